/* The rooms of repository, storage and codec: a backup written, read back, damaged. */
#include "agent/repository/expire.h"
#include "agent/repository/listing.h"
#include "agent/repository/repair.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define LABEL      "20260102T030405Z-full-01234567"
#define PLAIN_SIZE 300000u
#define REDO_BYTES 5000u
#define LISTED     1000
#define LISTED_KB  8192 /* what looking through so many may take */
#define LARGE      (1u << 20)

static char root[64];

/* Buffers for a frame that can still be had; negative: any number. A sanitizer has a malloc() of
 * its own. */
static int frames_of_memory = -1;
#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) ||                         \
    __has_feature(memory_sanitizer)
#define HAS_SANITIZER
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || defined(HAS_SANITIZER) ||     \
    !defined(__GLIBC__)
#define MALLOC_IS_OURS false
#else
#define MALLOC_IS_OURS true
void *__libc_malloc(size_t size);

void *malloc(size_t size)
{
    if (size == FRAME_PLAIN_MAX && __atomic_load_n(&frames_of_memory, __ATOMIC_RELAXED) >= 0 &&
        __atomic_fetch_sub(&frames_of_memory, 1, __ATOMIC_RELAXED) <= 0) {
        __atomic_store_n(&frames_of_memory, 0, __ATOMIC_RELAXED);
        return NULL;
    }
    return __libc_malloc(size);
}
#endif

static struct repository_spec spec(void)
{
    struct repository_spec s = {
        .name = "test", .type = "directory", .compression = {CODEC_ZSTD, 1}, .make = true};
    snprintf(s.path, sizeof s.path, "%s/repository", root);
    return s;
}

static int set_up(void **state)
{
    (void)state;
    snprintf(root, sizeof root, "/tmp/gb-test-repository-XXXXXX");
    return mkdtemp(root) ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    char command[128];
    snprintf(command, sizeof command, "rm -rf %s", root);
    return system(command);
}

static struct repository *open_it(void)
{
    struct gb_error error = {0};
    struct repository_spec s = spec();
    struct repository *r = repository_open(&s, &error);
    assert_non_null(r);
    return r;
}

/* By who writes there first; who reads finds nothing, rather than an empty repository in the wrong
 * place. */
static void test_the_directory_is_made_not_its_parents(void **state)
{
    (void)state;
    struct gb_error error = {0};
    struct repository_spec s = spec();
    s.make = false;
    assert_null(repository_open(&s, &error));
    assert_int_equal(access(s.path, F_OK), -1);
    error_clear(&error);
    strcat(s.path, "/no/where");
    s.make = true;
    assert_null(repository_open(&s, &error));
    assert_int_equal(error.code, GB_repository_unreachable);
    repository_close(open_it());
    assert_int_equal(access(spec().path, F_OK), 0);
}

/* A file of PLAIN_SIZE bytes at offset 4096 of "db/t.MYD" (size 1 MiB), an empty directory, a
 * dropped copy, and redo. */
static void write_backup_that_ended(struct repository *r, const char *label, time_t finished_at)
{
    struct gb_error error = {0};
    struct repository_backup *b = repository_begin(r, "c", label, NULL, &error);
    assert_non_null(b);
    struct index index;
    index_init(&index);
    struct wire_file files[] = {{.file_no = 1,
                                 .kind = WIRE_KIND_OTHER,
                                 .space_id = 0xFFFFFFFF,
                                 .mode = 0640,
                                 .path = "db/t.MYD"},
                                {.file_no = 2,
                                 .kind = WIRE_KIND_DIRECTORY,
                                 .space_id = 0xFFFFFFFF,
                                 .mode = 0700,
                                 .path = "db"},
                                {.file_no = 3,
                                 .kind = WIRE_KIND_OTHER,
                                 .space_id = 0xFFFFFFFF,
                                 .mode = 0640,
                                 .path = "db/t.MYD"}};
    for (size_t i = 0; i < 3; i++)
        assert_true(index_add_file(&index, &files[i], &error));
    struct wire_file_done done[] = {{1, 1 << 20, 0, 1 << 20}, {2, 0, 0, 0}};
    assert_true(index_file_done(&index, &done[0], &error) &&
                index_file_done(&index, &done[1], &error));
    assert_true(index_file_drop(&index, 3, &error));

    uint8_t *plain = malloc(PLAIN_SIZE + REDO_BYTES);
    for (size_t i = 0; i < PLAIN_SIZE + REDO_BYTES; i++)
        plain[i] = (uint8_t)(i * 7 / 5);
    struct codec *codec = codec_new(r->spec.compression);
    struct frame_buffer buffer = {0};
    struct segment_writer *segment =
        segment_create(r->storage, repository_backup_prefix(b), 1, NULL, &error);
    assert_non_null(segment);
    struct iovec pages[] = {{plain, 100000}, {plain + 100000, PLAIN_SIZE - 100000}},
                 redo = {plain + PLAIN_SIZE, REDO_BYTES};
    struct wire_extent extents[] = {{1, 4096, 100000, 0}, {1, 104096, PLAIN_SIZE - 100000, 100000}};
    struct wire_extent redo_extent = {WIRE_FILE_REDO, 0, REDO_BYTES, 0};
    assert_true(frame_build(codec, pages, 2, &buffer, &error) &&
                segment_append(segment, &buffer, &error));
    assert_true(index_add_frame(&index, &buffer.frame, extents, 2, &error));
    assert_true(frame_build(codec, &redo, 1, &buffer, &error) &&
                segment_append(segment, &buffer, &error));
    assert_true(index_add_frame(&index, &buffer.frame, &redo_extent, 1, &error));
    struct object_info info;
    assert_true(segment_close(segment, &info, &error));
    assert_string_equal(info.name, "data/000001.seg");

    struct manifest m = {.checkpoint_lsn = 1000,
                         .checkpoint_end_lsn = 1100,
                         .end_lsn = 1000 + REDO_BYTES,
                         .redo_bytes = REDO_BYTES};
    snprintf(m.id, sizeof m.id, "%s", label);
    snprintf(m.cluster, sizeof m.cluster, "c");
    snprintf(m.type, sizeof m.type, "full");
    m.started_at = 1700000000;
    m.finished_at = finished_at;
    wire_add_fact(&m.facts, "position", "%s", "uuid:7");
    assert_true(repository_commit(b, &index, &m, &info, 1, &error));
    assert_int_equal(m.files, 2);
    assert_int_equal(m.read_bytes, PLAIN_SIZE);
    manifest_free(&m);
    index_free(&index);
    frame_buffer_free(&buffer);
    codec_free(codec);
    free(plain);
}

static void write_backup(struct repository *r, const char *label)
{
    write_backup_that_ended(r, label, 1700000000);
}

static unsigned damaged(struct repository *r, const char *label, bool deep)
{
    struct gb_error error = {0};
    struct manifest m;
    struct verify_report report;
    char prefix[256];
    repository_prefix(prefix, sizeof prefix, "c", label);
    if (!manifest_read(&m, r->storage, prefix, NULL, &error))
        return 1;
    assert_true(repository_verify(r, &m, &(struct verify_request){.deep = deep, .threads = 2},
                                  &report, &error));
    manifest_free(&m);
    return report.damaged;
}

static void test_round_trip(void **state)
{
    (void)state;
    struct repository *r = open_it();
    struct gb_error error = {0};
    write_backup(r, LABEL);
    struct manifest m, *list;
    size_t count;
    assert_true(repository_find(r, "c", "latest", &m, &error));
    assert_string_equal(m.id, LABEL);
    assert_string_equal(manifest_position(&m), "uuid:7");
    assert_int_equal(m.end_lsn, 1000 + REDO_BYTES);
    assert_int_equal(m.started_at, 1700000000);
    assert_int_equal(m.object_count, 2);
    struct index index;
    char prefix[256];
    repository_prefix(prefix, sizeof prefix, "c", LABEL);
    assert_true(index_read(&index, r->storage, prefix, NULL, &m.objects[0], &error));
    assert_int_equal(index.file_count, 2);
    assert_string_equal(index_find(&index, 1)->path, "db/t.MYD");
    assert_null(index_find(&index, 3));
    assert_int_equal(index.frame_count, 2);
    index_free(&index);
    manifest_free(&m);
    assert_true(repository_list(r, NULL, &list, &count, NULL, NULL, &error));
    assert_int_equal(count, 1);
    manifest_free(&list[0]);
    free(list);
    assert_int_equal(damaged(r, LABEL, false), 0);
    repository_close(r);
}

static void test_every_kind_of_damage_is_found(void **state)
{
    (void)state;
    struct repository *r = open_it();
    static const char *const objects[] = {"data/000001.seg", "index", "backup.json"};
    write_backup(r, LABEL);
    for (size_t i = 0; i < 3; i++) {
        char path[256];
        struct stat st;
        snprintf(path, sizeof path, "%s/repository/c/backups/" LABEL "/%s", root, objects[i]);
        int fd = open(path, O_RDWR);
        assert_true(fd >= 0 && !fstat(fd, &st));
        for (off_t at = 0; at < st.st_size; at += st.st_size / 37 + 1) {
            uint8_t byte, flipped;
            assert_int_equal(pread(fd, &byte, 1, at), 1);
            flipped = byte ^ 0x20;
            assert_int_equal(pwrite(fd, &flipped, 1, at), 1);
            assert_true(damaged(r, LABEL, false) > 0);
            assert_int_equal(pwrite(fd, &byte, 1, at), 1);
        }
        assert_int_equal(damaged(r, LABEL, false), 0);
        assert_false(ftruncate(fd, st.st_size - 1));
        assert_true(damaged(r, LABEL, false) > 0);
        close(fd);
        unlink(path);
        assert_true(damaged(r, LABEL, false) > 0);
        char command[200];
        snprintf(command, sizeof command, "rm -rf %s/repository/c", root);
        assert_false(system(command));
        write_backup(r, LABEL);
    }
    repository_close(r);
}

/* Of backups that are not encrypted. */
static struct frame_reader *reader(void)
{
    static struct frame_reader *one;
    if (!one)
        one = frame_reader_new(NULL);
    return one;
}

static void test_a_frame_of_another_backup_is_refused(void **state)
{
    (void)state;
    struct gb_error error = {0};
    struct codec *codec = codec_new((struct codec_spec){CODEC_NONE, 0});
    struct frame_buffer a = {0};
    uint8_t one[100], out[100];
    memset(one, 1, sizeof one);
    struct iovec piece = {one, sizeof one};
    assert_true(frame_build(codec, &piece, 1, &a, &error));
    struct repository *r = open_it();
    struct segment_writer *s = segment_create(r->storage, "c/backups/x", 1, NULL, &error);
    assert_true(s && segment_append(s, &a, &error));
    assert_true(frame_open(reader(), &a.frame, a.data, out, &error));
    assert_memory_equal(one, out, sizeof one);
    struct frame other = a.frame;
    other.hash[3] ^= 1;
    assert_false(frame_open(reader(), &other, a.data, out, &error));
    assert_int_equal(error.code, GB_corrupt_backup);
    error_clear(&error);
    a.data[FRAME_HEADER_SIZE + 50] ^= 1;
    assert_false(frame_open(reader(), &a.frame, a.data, out, &error));
    segment_abort(s);
    frame_buffer_free(&a);
    codec_free(codec);
    repository_close(r);
}

static void test_what_failed_leaves_nothing(void **state)
{
    (void)state;
    struct repository *r = open_it();
    struct gb_error error = {0};
    struct repository_backup *b = repository_begin(r, "c", LABEL, NULL, &error);
    assert_non_null(b);
    assert_null(repository_begin(r, "c", LABEL, NULL, &error)); /* locked, or there */
    error_clear(&error);
    unsigned removed;
    assert_true(repository_collect(r, "c", &removed, &error));
    assert_int_equal(removed, 0); /* it is being written */
    struct segment_writer *s =
        segment_create(r->storage, repository_backup_prefix(b), 1, NULL, &error);
    assert_non_null(s);
    struct manifest *list;
    size_t count;
    assert_true(repository_list(r, NULL, &list, &count, NULL, NULL, &error));
    assert_int_equal(count, 0);
    free(list);
    segment_abort(s);
    repository_abort(b);
    char path[256];
    snprintf(path, sizeof path, "%s/repository/c/backups/" LABEL, root);
    assert_int_not_equal(access(path, F_OK), 0);
    /* Left over by a process that died: collected. */
    assert_false(mkdir(path, 0700));
    assert_true(repository_collect(r, "c", &removed, &error));
    assert_int_equal(removed, 1);
    assert_int_not_equal(access(path, F_OK), 0);
    repository_close(r);
}

/* A save is never the latest, whatever it is newer than and whether or not its manifest can be
 * read. */
static void test_latest_is_no_save(void **state)
{
    (void)state;
    static const char *const saves[] = {"20361121T020000Z-save-0000000a",
                                        "20371121T020000Z-save-0000000b"};
    struct gb_error error = {0};
    struct manifest m;
    char path[256];
    struct repository *r = open_it();
    write_backup(r, saves[0]);
    assert_false(repository_find(r, "c", "latest", &m, &error));
    assert_int_equal(error.code, GB_not_found);
    error_clear(&error);
    write_backup(r, LABEL);
    write_backup(r, saves[1]);
    snprintf(path, sizeof path, "%s/repository/c/backups/%s/backup.json", root, saves[1]);
    assert_false(truncate(path, 10));
    assert_true(repository_find(r, "c", "latest", &m, &error));
    assert_string_equal(m.id, LABEL);
    manifest_free(&m);
    assert_true(repository_find(r, "c", saves[0], &m, &error));
    assert_string_equal(m.id, saves[0]);
    manifest_free(&m);
    repository_close(r);
}

static bool answer_in_turn(void *context, bool last)
{
    (void)last;
    int *left = context;
    return (*left)-- > 0;
}

/* What is not wanted any more is not there, even if that is known only when backup.json is written.
 */
static void test_not_wanted(void **state)
{
    (void)state;
    struct repository *r = open_it();
    for (int yes = 0; yes < 3; yes++) {
        struct gb_error error = {0};
        struct repository_backup *b = repository_begin(r, "c", LABEL, NULL, &error);
        struct manifest m = {.id = LABEL, .cluster = "c", .type = "full"}, *list;
        struct index index;
        size_t count;
        int left = yes;
        index_init(&index);
        assert_non_null(b);
        repository_backup_ask(b, answer_in_turn, &left);
        bool ok = repository_commit(b, &index, &m, NULL, 0, &error);
        assert_true(ok == (yes == 2));
        assert_true(ok || error.code == GB_cancelled);
        assert_true(repository_list(r, "c", &list, &count, NULL, NULL, &error));
        assert_int_equal(count, ok);
        for (size_t i = 0; i < count; i++)
            manifest_free(&list[i]);
        free(list);
        manifest_free(&m);
        index_free(&index);
    }
    repository_close(r);
}

/* What was not read is not good: neither without any memory nor with too little for one of the
 * threads. */
static void test_without_memory_nothing_is_good(void **state)
{
    (void)state;
    static const struct {
        bool deep;
        int memory;
    } cases[] = {{false, 0}, {false, 1}, {true, 0}, {true, 1}, {true, 2}};
    if (!MALLOC_IS_OURS)
        skip();
    struct repository *r = open_it();
    write_backup(r, LABEL);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct gb_error error = {0};
        struct manifest m;
        struct verify_report report;
        assert_true(repository_find(r, "c", LABEL, &m, &error));
        frames_of_memory = cases[i].memory;
        bool ok = repository_verify(
            r, &m, &(struct verify_request){.deep = cases[i].deep, .threads = 2}, &report, &error);
        frames_of_memory = -1;
        if (ok)
            fail_msg("case %zu: %u damaged places", i, report.damaged);
        assert_int_equal(error.code, GB_internal);
        manifest_free(&m);
    }
    repository_close(r);
}

static void test_index_refuses(void **state)
{
    (void)state;
    struct gb_error error = {0};
    struct index index;
    index_init(&index);
    struct wire_file file = {
        .file_no = 1, .kind = WIRE_KIND_TABLESPACE, .space_id = 5, .path = "db/a.ibd"};
    assert_true(index_add_file(&index, &file, &error));
    assert_false(index_add_file(&index, &file, &error));
    assert_int_equal(error.code, GB_protocol);
    error_clear(&error);
    assert_false(index_finish(&index, 0, &error)); /* not done */
    error_clear(&error);
    struct wire_file_done done = {1, 16384, 0, 0};
    assert_true(index_file_done(&index, &done, &error));
    assert_false(index_file_done(&index, &done, &error));
    error_clear(&error);
    assert_false(index_finish(&index, 1, &error)); /* no redo */
    assert_non_null(strstr(error.what, "redo"));
    error_clear(&error);
    struct wire_file twin = {
        .file_no = 2, .kind = WIRE_KIND_TABLESPACE, .space_id = 5, .path = "db/b.ibd"};
    struct wire_file_done twin_done = {2, 16384, 0, 0};
    assert_true(index_add_file(&index, &twin, &error) &&
                index_file_done(&index, &twin_done, &error));
    assert_false(index_finish(&index, 0, &error));
    assert_non_null(strstr(error.what, "same space id"));
    error_clear(&error);
    assert_true(index_file_name(&index, 2, "db/../../etc/passwd", &error));
    assert_false(index_finish(&index, 0, &error));
    index_free(&index);
}

static void test_as_of(void **state)
{
    (void)state;
    struct repository *r = open_it();
    struct gb_error error = {0};
    struct manifest m;
    static const char *const labels[] = {"20231114T221320Z-full-00000001",
                                         "20231114T221420Z-full-00000002",
                                         "20231114T221520Z-full-00000003"};
    for (int i = 0; i < 3; i++)
        write_backup_that_ended(r, labels[i], 1700000000 + 60 * i + 30);
    static const struct {
        time_t after; /* the first began */
        int found;
    } cases[] = {{29, -1}, {30, 0}, {89, 0}, {90, 1}, {149, 1}, {150, 2}, {86400, 2}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        error_clear(&error);
        bool ok = repository_find_as_of(r, NULL, 1700000000 + cases[i].after, &m, &error);
        assert_int_equal(ok, cases[i].found >= 0);
        if (ok) {
            assert_string_equal(m.id, labels[cases[i].found]);
            manifest_free(&m);
        } else {
            assert_int_equal(error.code, GB_not_found);
            assert_non_null(strstr(error.what, "2023-11-14T22:13:49Z"));
            assert_non_null(strstr(error.hint, labels[0]));
        }
    }
    /* One that is damaged is passed over, with a warning, whether it would have been the one or
     * not. */
    char path[256];
    snprintf(path, sizeof path, "%s/repository/c/backups/%s/backup.json", root, labels[1]);
    FILE *f = fopen(path, "w");
    assert_true(f && fputs("{", f) >= 0 && !fclose(f));
    assert_true(repository_find_as_of(r, "c", 1700000000 + 100, &m, &error));
    assert_string_equal(m.id, labels[0]);
    manifest_free(&m);
    repository_close(r);
}

static void test_names(void **state)
{
    (void)state;
    assert_true(label_valid(LABEL));
    assert_true(label_valid(LABEL "-nightly"));
    assert_false(label_valid("latest"));
    assert_false(label_valid("../" LABEL));
    assert_false(label_valid("20260102T030405Z-full-0123456"));
    assert_true(cluster_name_valid("region-one.a_b"));
    assert_false(cluster_name_valid(""));
    assert_false(cluster_name_valid(".."));
    assert_false(cluster_name_valid("a/b"));
    struct codec_spec c;
    struct gb_error error = {0};
    assert_true(codec_parse("zstd:3", &c, &error) && c.level == 3);
    assert_true(codec_parse("none", &c, &error) && c.kind == CODEC_NONE);
    assert_false(codec_parse("zstd:99", &c, &error));
}

static long most_kb(void)
{
    struct rusage usage;
    assert_false(getrusage(RUSAGE_SELF, &usage));
    return usage.ru_maxrss;
}

/* A repository may hold thousands: the memory of who expires some of them, or looks for one, does
 * not grow with their manifests. */
static void test_many_take_little_memory(void **state)
{
    (void)state;
    if (!MALLOC_IS_OURS)
        skip(); /* a sanitizer keeps what was freed */
    struct repository *r = open_it();
    struct gb_error error = {0};
    char prefix[256], text[WIRE_TEXT_MAX] = "";
    struct manifest *m = calloc(1, sizeof *m);
    write_backup(r, LABEL);
    repository_prefix(prefix, sizeof prefix, "c", LABEL);
    assert_true(manifest_read(m, r->storage, prefix, NULL, &error));
    memset(text, 'x', 40);
    for (unsigned i = 0; i < 30; i++) {
        char key[16];
        snprintf(key, sizeof key, "fact %u", i);
        assert_true(wire_add_fact(&m->facts, key, "%s", text));
    }
    for (int i = 0; i < LISTED; i++) {
        snprintf(m->id, sizeof m->id, "20260102T030405Z-full-%08x", i);
        repository_prefix(prefix, sizeof prefix, "c", m->id);
        assert_true(manifest_write(m, r->storage, prefix, NULL, &error));
    }
    long before = most_kb();
    struct expire_result result;
    assert_true(
        expire_run(r, &(struct expire_request){.cluster = "c", .dry_run = true}, &result, &error));
    assert_int_equal(result.count, LISTED + 1);
    manifest_free(m);
    assert_true(repository_find(r, "c", "20260102T030405Z-full-00000007", m, &error));
    assert_int_equal(m->facts.count, 31);
    assert_true(most_kb() - before < LISTED_KB);
    expire_result_free(&result);
    manifest_free(m);
    free(m);
    repository_close(r);
}

static void write_large(struct repository *r, const struct manifest *m)
{
    struct gb_error error = {0};
    char prefix[256], name[300];
    repository_prefix(prefix, sizeof prefix, "c", LABEL);
    snprintf(name, sizeof name, "%s/backup.json", prefix);
    assert_true(storage_remove(r->storage, name, &error));
    assert_true(manifest_write(m, r->storage, prefix, NULL, &error));
}

/* A backup of some terabytes has a manifest of more than a megabyte, and that is mended, too. */
static void test_a_large_manifest_is_mended(void **state)
{
    (void)state;
    enum { OBJECTS = 12000 };
    struct gb_error error = {0};
    struct repository_spec of_other = spec();
    char prefix[256], name[300];
    uint64_t size, now;
    struct manifest m;
    strcat(of_other.path, "-other");
    struct repository *home = open_it(), *other = repository_open(&of_other, &error);
    assert_non_null(other);
    write_backup(home, LABEL);
    write_backup(other, LABEL);
    repository_prefix(prefix, sizeof prefix, "c", LABEL);
    snprintf(name, sizeof name, "%s/backup.json", prefix);
    assert_true(manifest_read(&m, home->storage, prefix, NULL, &error));
    struct object_info *objects = calloc(OBJECTS, sizeof *objects);
    memcpy(objects, m.objects, m.object_count * sizeof *objects);
    for (unsigned i = (unsigned)m.object_count; i < OBJECTS; i++)
        snprintf(objects[i].name, sizeof objects[i].name, "data/%06u.seg", i);
    free(m.objects);
    m.objects = objects;
    m.object_count = OBJECTS;
    write_large(home, &m);
    write_large(other, &m);
    manifest_free(&m);
    assert_true(storage_size(other->storage, name, &size, &error));
    assert_true(size > LARGE);
    char path[300];
    snprintf(path, sizeof path, "%s/repository/%s", root, name);
    assert_false(truncate(path, 1000));
    if (!repository_repair_manifest(home, other, "c", LABEL, &error))
        fail_msg("%s", error.what);
    assert_true(storage_size(home->storage, name, &now, &error));
    assert_int_equal(now, size);
    assert_true(manifest_read(&m, home->storage, prefix, NULL, &error));
    assert_int_equal(m.object_count, OBJECTS);
    manifest_free(&m);
    repository_close(home);
    repository_close(other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_the_directory_is_made_not_its_parents, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_round_trip, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_every_kind_of_damage_is_found, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_frame_of_another_backup_is_refused, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_what_failed_leaves_nothing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_latest_is_no_save, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_not_wanted, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_without_memory_nothing_is_good, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_as_of, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_many_take_little_memory, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_large_manifest_is_mended, set_up, tear_down),
        cmocka_unit_test(test_index_refuses),
        cmocka_unit_test(test_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
