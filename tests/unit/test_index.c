/* index.h: what is written comes back; what docs/format.md does not allow is refused, written or
 * read. */
#include "agent/repository/index.h"
#include "common/bytes.h"
#include "temporary_storage.h"

#include <errno.h>
#include <openssl/evp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PREFIX   "c/backups/20260102T030405Z-full-01234567"
#define NO_SPACE 0xFFFFFFFFu

/* ---- building ---- */

static void add(struct index *x, uint32_t number, uint8_t kind, uint32_t space_id, const char *path)
{
    struct gb_error error = {0};
    struct wire_file f = {.file_no = number, .kind = kind, .space_id = space_id, .mode = 0640};
    snprintf(f.path, sizeof f.path, "%s", path);
    if (!index_add_file(x, &f, &error))
        fail_msg("%s: %s", path, error.what);
}

static void done(struct index *x, uint32_t number, uint64_t size)
{
    struct gb_error error = {0};
    struct wire_file_done d = {number, size, 0, size};
    if (!index_file_done(x, &d, &error))
        fail_msg("%u: %s", number, error.what);
}

static void frame(struct index *x, const struct wire_extent *extents, uint32_t count)
{
    struct gb_error error = {0};
    struct frame f = {.segment = 1,
                      .number = (uint32_t)x->frame_count,
                      .offset = x->frame_count * 1000,
                      .stored_size = 960,
                      .codec = CODEC_ZSTD};
    for (uint32_t i = 0; i < count; i++)
        f.plain_size += extents[i].length;
    memset(f.hash, (int)x->frame_count + 1, sizeof f.hash);
    assert_true(index_add_frame(x, &f, extents, count, &error));
}

static void extent(struct index *x, uint32_t number, uint64_t offset, uint32_t length)
{
    struct wire_extent e = {number, offset, length, 0};
    frame(x, &e, 1);
}

/* A tablespace, a file beside it, a directory, a dropped copy, and redo of 300 bytes. */
static void build(struct index *x)
{
    struct gb_error error = {0};
    index_init(x);
    add(x, 1, WIRE_KIND_TABLESPACE, 5, "db/t.ibd");
    add(x, 2, WIRE_KIND_OTHER, NO_SPACE, "db/t.frm");
    add(x, 3, WIRE_KIND_DIRECTORY, NO_SPACE, "db");
    add(x, 4, WIRE_KIND_OTHER, NO_SPACE, "db/t.frm");
    done(x, 1, 1ull << 40);
    done(x, 2, 100);
    done(x, 3, 0);
    assert_true(index_file_drop(x, 4, &error));
    struct wire_extent both[] = {{1, (1ull << 40) - 16384, 16384, 0}, {2, 0, 100, 16384}};
    frame(x, both, 2);
    extent(x, 4, 0, 50);
    extent(x, WIRE_FILE_REDO, 200, 100);
    extent(x, WIRE_FILE_REDO, 0, 200);
}

static void write_it(struct index *x, struct object_info *info)
{
    struct gb_error error = {0};
    if (!index_write(x, storage, PREFIX, NULL, info, &error))
        fail_msg("%s", error.what);
    assert_string_equal(info->name, "index");
}

static void same(const struct index *a, const struct index *b)
{
    assert_int_equal(a->file_count, b->file_count);
    assert_int_equal(a->frame_count, b->frame_count);
    for (size_t i = 0; i < a->file_count; i++) {
        const struct index_file *f = &a->files[i], *g = index_find(b, f->file_no);
        assert_non_null(g);
        assert_string_equal(f->path, g->path);
        assert_true(f->size == g->size && f->kind == g->kind && f->space_id == g->space_id &&
                    f->page_size == g->page_size && f->mode == g->mode &&
                    f->unverifiable == g->unverifiable);
    }
    for (size_t i = 0; i < a->frame_count; i++) {
        const struct index_frame *f = &a->frames[i], *g = &b->frames[i];
        assert_true(f->frame.segment == g->frame.segment && f->frame.number == g->frame.number &&
                    f->frame.offset == g->frame.offset && f->frame.codec == g->frame.codec &&
                    f->frame.stored_size == g->frame.stored_size &&
                    f->frame.plain_size == g->frame.plain_size && f->extents == g->extents);
        assert_memory_equal(f->frame.hash, g->frame.hash, FRAME_HASH_SIZE);
        for (uint32_t j = 0; j < f->extents; j++) {
            const struct index_extent *e = &a->extents[f->first_extent + j];
            const struct index_extent *h = &b->extents[g->first_extent + j];
            assert_true(e->file_no == h->file_no && e->offset == h->offset &&
                        e->length == h->length);
        }
    }
}

/* ---- written and read ---- */

static void what_is_written_comes_back(void **state)
{
    (void)state;
    struct gb_error error = {0};
    struct index x, y;
    struct object_info info;
    build(&x);
    index_find(&x, 1)->unverifiable = 1;
    index_find(&x, 1)->page_size = 16384;
    if (!index_finish(&x, 300, &error))
        fail_msg("%s", error.what);
    assert_int_equal(x.file_count, 3);
    assert_null(index_find(&x, 4));
    write_it(&x, &info);
    assert_true(index_read(&y, storage, PREFIX, NULL, &info, &error));
    same(&x, &y);
    assert_string_equal(index_find(&y, 2)->path, "db/t.frm");
    assert_null(index_find(&y, 4));
    assert_null(index_find(&y, 0));
    assert_null(index_find(&y, 4000000000u));
    index_free(&x);
    index_free(&y);
}

static void of_a_mode_the_permissions_come_back(void **state)
{
    (void)state;
    struct gb_error error = {0};
    struct index x, y;
    struct object_info info;
    build(&x);
    index_find(&x, 2)->mode = 0106755;
    assert_true(index_finish(&x, 300, &error));
    write_it(&x, &info);
    assert_true(index_read(&y, storage, PREFIX, NULL, &info, &error));
    assert_int_equal(index_find(&y, 2)->mode, 0755);
    index_free(&x);
    index_free(&y);
}

static void an_empty_one_comes_back(void **state)
{
    (void)state;
    struct gb_error error = {0};
    struct index x, y;
    struct object_info info;
    index_init(&x);
    assert_true(index_finish(&x, 0, &error));
    write_it(&x, &info);
    assert_true(index_read(&y, storage, PREFIX, NULL, &info, &error));
    assert_int_equal(y.file_count, 0);
    assert_int_equal(y.frame_count, 0);
    index_free(&x);
    index_free(&y);
}

static void many_files_long_names(void **state)
{
    (void)state;
    enum { FILES = 40000 };
    struct gb_error error = {0};
    struct index x, y;
    struct object_info info;
    char path[WIRE_PATH_MAX];
    index_init(&x);
    for (uint32_t i = 0; i < FILES; i++) {
        snprintf(path, sizeof path, "db/table_%u.ibd", i);
        add(&x, 2 * i + 1, WIRE_KIND_TABLESPACE, i + 1, path);
        done(&x, 2 * i + 1, 16384);
        extent(&x, 2 * i + 1, 0, 16384);
    }
    memset(path, 'n', sizeof path - 1);
    path[sizeof path - 1] = '\0';
    add(&x, 1u << 20, WIRE_KIND_OTHER, NO_SPACE, path);
    done(&x, 1u << 20, 0);
    struct wire_extent *most = calloc(WIRE_EXTENTS_MAX, sizeof *most);
    assert_non_null(most);
    for (uint32_t i = 0; i < WIRE_EXTENTS_MAX; i++)
        most[i] = (struct wire_extent){2 * i + 1, 1, 255, 0};
    frame(&x, most, WIRE_EXTENTS_MAX);
    free(most);
    assert_true(index_finish(&x, 0, &error));
    write_it(&x, &info);
    assert_true(index_read(&y, storage, PREFIX, NULL, &info, &error));
    same(&x, &y);
    assert_string_equal(index_find(&y, 1u << 20)->path, path);
    index_free(&x);
    index_free(&y);
}

/* Replaces the object "index"; not through the storage: hundreds of them need not be on disk. */
static void put_object(const uint8_t *data, size_t size)
{
    static const char name[] = PREFIX "/index";
    char path[256];
    for (const char *slash = strchr(name, '/'); slash; slash = strchr(slash + 1, '/')) {
        snprintf(path, sizeof path, "%s/%.*s", root, (int)(slash - name), name);
        assert_true(!mkdir(path, 0700) || errno == EEXIST);
    }
    snprintf(path, sizeof path, "%s/%s", root, name);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    assert_true(fwrite(data, 1, size, f) == size && !fclose(f));
}

static void damage_is_found(void **state)
{
    (void)state;
    struct gb_error error = {0};
    struct index x, y;
    struct object_info info;
    size_t size;
    build(&x);
    assert_true(index_finish(&x, 300, &error));
    write_it(&x, &info);
    uint8_t *data = (uint8_t *)storage_read_all(storage, PREFIX "/index", 1 << 20, &size, &error);
    assert_non_null(data);
    assert_int_equal(size, info.size);
    for (size_t i = 0; i < 2 * size; i++) {
        bool cut = i >= size;
        uint8_t flip = (uint8_t)(cut ? 0 : 1u << (i % 8));
        data[i % size] ^= flip;
        put_object(data, cut ? i - size : size);
        data[i % size] ^= flip;
        if (index_read(&y, storage, PREFIX, NULL, &info, &error))
            fail_msg("byte %zu may be %s", i % size, cut ? "missing" : "changed");
        assert_int_equal(error.code, GB_corrupt_backup);
        assert_non_null(strstr(error.what, PREFIX "/index"));
        error_clear(&error);
    }
    put_object(data, size);
    assert_true(index_read(&y, storage, PREFIX, NULL, &info, &error));
    index_free(&y);
    assert_true(storage_remove_all(storage, PREFIX, &error));
    assert_false(index_read(&y, storage, PREFIX, NULL, &info, &error));
    assert_true(error.code != GB_OK);
    index_free(&x);
    free(data);
}

/* ---- reading what no agent has written ---- */

struct object {
    uint8_t data[1 << 16];
    struct bytes_writer w;
};

static void begin(struct object *o, uint32_t magic, uint16_t version)
{
    o->w = bytes_writer(o->data, sizeof o->data);
    bytes_put_u32(&o->w, magic);
    bytes_put_u16(&o->w, version);
    bytes_put_u8(&o->w, CODEC_NONE);
    bytes_put_u8(&o->w, 0);
    bytes_put_u64(&o->w, 0);
}

struct raw_file {
    uint32_t number;
    uint8_t kind;
    uint32_t space_id;
    uint64_t size;
    const char *path;
};

static void put_file(struct object *o, const struct raw_file *f)
{
    bytes_put_u32(&o->w, f->number);
    bytes_put_u8(&o->w, f->kind);
    bytes_put_u8(&o->w, 0);
    bytes_put_u32(&o->w, f->space_id);
    bytes_put_u32(&o->w, 0);
    bytes_put_u32(&o->w, 0600);
    bytes_put_u64(&o->w, f->size);
    bytes_put_string(&o->w, f->path);
}

struct raw_extent {
    uint32_t file_no;
    uint64_t offset;
    uint32_t length;
};

static void put_frame(struct object *o, uint32_t stored, uint32_t plain, uint32_t extents)
{
    bytes_put_u32(&o->w, 1);
    bytes_put_u32(&o->w, 0);
    bytes_put_u64(&o->w, 0);
    bytes_put_u32(&o->w, stored);
    bytes_put_u32(&o->w, plain);
    bytes_put_u8(&o->w, CODEC_NONE);
    memset(bytes_reserve(&o->w, FRAME_HASH_SIZE), 1, FRAME_HASH_SIZE);
    bytes_put_u32(&o->w, extents);
}

static void put_extent(struct object *o, const struct raw_extent *e)
{
    bytes_put_u32(&o->w, e->file_no);
    bytes_put_u64(&o->w, e->offset);
    bytes_put_u32(&o->w, e->length);
}

/* Stores the object with a right SHA-256 and a right size of its body, and reads it. */
static bool read_object(struct object *o, struct gb_error *error)
{
    struct object_info info = {.name = "index", .size = o->w.at};
    struct index x;
    size_t end = o->w.at;
    assert_false(o->w.failed);
    bytes_writer_seek(&o->w, 8);
    bytes_put_u64(&o->w, end - 16);
    EVP_Digest(o->data, end, info.sha256, NULL, EVP_sha256(), NULL);
    put_object(o->data, end);
    memset(error, 0, sizeof *error);
    bool ok = index_read(&x, storage, PREFIX, NULL, &info, error);
    if (ok)
        index_free(&x);
    assert_true(ok == !error->code);
    return ok;
}

static const struct raw_file good_file = {1, WIRE_KIND_TABLESPACE, 5, 1000, "db/t.ibd"};

/* A good file and a second one, no frames. */
static bool read_with_file(struct raw_file second, struct gb_error *error)
{
    struct object *o = malloc(sizeof *o);
    assert_non_null(o);
    begin(o, 0x47424958, 1);
    bytes_put_u32(&o->w, 2);
    put_file(o, &good_file);
    put_file(o, &second);
    bytes_put_u32(&o->w, 0);
    bool ok = read_object(o, error);
    free(o);
    return ok;
}

static void files_that_are_refused(void **state)
{
    (void)state;
    char too_long[WIRE_PATH_MAX + 1];
    memset(too_long, 'n', sizeof too_long - 1);
    too_long[sizeof too_long - 1] = '\0';
    const struct raw_file good[] = {
        {2, WIRE_KIND_TABLESPACE, 6, 1000, "db/u.ibd"},
        {2, WIRE_KIND_OTHER, 5, 1000, "db/u.ibd"}, /* the id of another kind means nothing */
        {2, WIRE_KIND_UNDO, 6, 1000, "/undo/undo001"},
        {2, WIRE_KIND_SYSTEM, 0, 1000, "/data/ibdata1"},
        {2, WIRE_KIND_TABLESPACE, 6, 1000, "/data/db/u.ibd"},
        {2, WIRE_KIND_ARIA_LOG, NO_SPACE, 1000, "/aria/aria_log.00000001"},
        {2, WIRE_KIND_ARIA_CONTROL, NO_SPACE, 52, "/aria/aria_log_control"},
        {2, WIRE_KIND_OTHER, NO_SPACE, INT64_MAX, "..a/.b/..."},
        {2, WIRE_KIND_OTHER, NO_SPACE, 0, too_long + 1},
        {2, INDEX_KIND_LINK, NO_SPACE, INDEX_LINK_MAX, "db"},
        {2, INDEX_KIND_LINK, NO_SPACE, 4, "/data/db/t.MYD"},
        {2, INDEX_KIND_OUTSIDE, NO_SPACE, 1000, "/data/db/t.MYD"},
    };
    const struct raw_file bad[] = {
        {0, WIRE_KIND_OTHER, 6, 1000, "db/u"}, /* the redo's */
        {1, WIRE_KIND_OTHER, 6, 1000, "db/u"}, /* used */
        {2, 0, 6, 1000, "db/u"},
        {2, INDEX_KIND_OUTSIDE + 1, 6, 1000, "db/u"},
        {2, INDEX_KIND_OUTSIDE, NO_SPACE, 1000, "db/u"}, /* inside */
        {2, INDEX_KIND_LINK, NO_SPACE, INDEX_LINK_MAX + 1, "db"},
        {2, WIRE_KIND_OTHER, 6, 1ull << 63, "db/u"},
        {2, WIRE_KIND_OTHER, 6, 1000, "db/t.ibd"}, /* twice */
        {2, WIRE_KIND_TABLESPACE, 5, 1000, "db/u.ibd"},
        {2, WIRE_KIND_UNDO, 5, 1000, "undo001"},
        {2, WIRE_KIND_OTHER, 6, 1000, ""},
        {2, WIRE_KIND_OTHER, 6, 1000, "/"},
        {2, WIRE_KIND_OTHER, 6, 1000, "."},
        {2, WIRE_KIND_OTHER, 6, 1000, ".."},
        {2, WIRE_KIND_OTHER, 6, 1000, "../u"},
        {2, WIRE_KIND_OTHER, 6, 1000, "db/../../u"},
        {2, WIRE_KIND_OTHER, 6, 1000, "db/.."},
        {2, WIRE_KIND_OTHER, 6, 1000, "/a/../u"},
        {2, WIRE_KIND_OTHER, 6, 1000, "./u"},
        {2, WIRE_KIND_OTHER, 6, 1000, "db//u"},
        {2, WIRE_KIND_OTHER, 6, 1000, "db/"},
        {2, WIRE_KIND_OTHER, 6, 1000, "//u"},
        {2, WIRE_KIND_OTHER, NO_SPACE, 1000, "/etc/cron.d/u"}, /* never outside */
        {2, WIRE_KIND_ARIA, NO_SPACE, 1000, "/data/db/u.MAD"},
        {2, WIRE_KIND_DIRECTORY, NO_SPACE, 0, "/data"},
        {2, WIRE_KIND_OTHER, 6, 1000, too_long},
    };
    struct gb_error error;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
        if (!read_with_file(good[i], &error))
            fail_msg("%s: %s", good[i].path, error.what);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        if (read_with_file(bad[i], &error))
            fail_msg("file %zu, \"%s\", is accepted", i, bad[i].path);
        if (error.code != GB_corrupt_backup)
            fail_msg("file %zu: GB%d %s", i, (int)error.code, error.what);
    }
}

/* Links, and any file anywhere, are a save's alone: another backup that has them is not one that we
 * have written. */
static void kinds_of_a_save(void **state)
{
    (void)state;
    static const struct {
        uint8_t kind;
        const char *path;
        bool in_save, in_other;
    } cases[] = {
        {WIRE_KIND_OTHER, "db/t.frm", true, true},
        {WIRE_KIND_DIRECTORY, "db", true, true},
        {INDEX_KIND_LINK, "db", true, false},
        {INDEX_KIND_OUTSIDE, "/data/t.MYD", true, false},
        {WIRE_KIND_TABLESPACE, "db/t.ibd", false, true},
        {WIRE_KIND_SYSTEM, "ibdata1", false, true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct index x;
        struct gb_error error = {0};
        index_init(&x);
        add(&x, 1, cases[i].kind, NO_SPACE, cases[i].path);
        assert_true(index_check_kinds(&x, true, &error) == cases[i].in_save);
        error_clear(&error);
        assert_true(index_check_kinds(&x, false, &error) == cases[i].in_other);
        assert_true(cases[i].in_other ||
                    (error.code == GB_corrupt_backup && strstr(error.what, cases[i].path)));
        index_free(&x);
    }
}

/* A good file, and a frame of two extents. */
static bool read_with_frame(uint32_t stored, uint32_t plain, struct raw_extent first,
                            struct raw_extent second, struct gb_error *error)
{
    struct object *o = malloc(sizeof *o);
    assert_non_null(o);
    begin(o, 0x47424958, 1);
    bytes_put_u32(&o->w, 1);
    put_file(o, &good_file);
    bytes_put_u32(&o->w, 1);
    put_frame(o, stored, plain, 2);
    put_extent(o, &first);
    put_extent(o, &second);
    bool ok = read_object(o, error);
    free(o);
    return ok;
}

/* What is read is restored without another look: it must hold all that was checked when it was
 * written. */
static void frames_that_are_refused(void **state)
{
    (void)state;
    static const struct {
        uint32_t stored, plain;
        struct raw_extent first, second;
        bool good;
    } cases[] = {
        {90, 100, {1, 0, 60}, {1, 960, 40}, true},
        {90, 100, {1, 0, 60}, {9, 1ull << 62, 40}, true}, /* of a copy that was dropped */
        {90, 100, {0, 0, 60}, {0, 60, 40}, true},         /* redo */
        {90, 100, {1, 0, 60}, {1, 961, 40}, false},       /* beyond the file */
        {90, 100, {1, 0, 60}, {1, UINT64_MAX - 10, 40}, false},
        {90, 100, {1, 0, 60}, {1, 60, 41}, false}, /* more than the frame has */
        {90, 100, {1, 0, 60}, {9, 0, 0x7fffffff}, false},
        {90, 100, {1, 0, 60}, {1, 60, 39}, false}, /* less */
        {90, 100, {0, 0, 60}, {0, 61, 40}, false}, /* a gap in the redo */
        {90, 100, {0, 0, 60}, {0, 59, 40}, false}, /* the same redo twice */
        {90, FRAME_PLAIN_MAX + 1, {9, 0, FRAME_PLAIN_MAX}, {9, 0, 1}, false},
        {2 * FRAME_PLAIN_MAX, 100, {1, 0, 60}, {1, 60, 40}, false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct gb_error error;
        if (read_with_frame(cases[i].stored, cases[i].plain, cases[i].first, cases[i].second,
                            &error) != cases[i].good)
            fail_msg("frame %zu: %s", i, cases[i].good ? error.what : "accepted");
        assert_int_equal(error.code, cases[i].good ? GB_OK : GB_corrupt_backup);
    }
}

static void objects_that_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *what;
        uint32_t magic, files, frames, extents, more;
        uint16_t version;
        bool good;
    } cases[] = {
        {"a good one", 0x47424958, 0, 0, 0, 0, 1, true},
        {"another magic", 0x47424631, 0, 0, 0, 0, 1, false},
        {"version 0", 0x47424958, 0, 0, 0, 0, 0, false},
        {"version 2", 0x47424958, 0, 0, 0, 0, 2, false},
        {"bytes left over", 0x47424958, 0, 0, 0, 1, 1, false},
        {"files that are not there", 0x47424958, UINT32_MAX, 0, 0, 0, 1, false},
        {"frames that are not there", 0x47424958, 0, UINT32_MAX, 0, 0, 1, false},
        {"extents that are not there", 0x47424958, 0, 1, 1, 0, 1, false},
        {"too many extents", 0x47424958, 0, 1, WIRE_EXTENTS_MAX + 1, 65000, 1, false},
    };
    struct object *o = malloc(sizeof *o);
    assert_non_null(o);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct gb_error error;
        begin(o, cases[i].magic, cases[i].version);
        bytes_put_u32(&o->w, cases[i].files);
        bytes_put_u32(&o->w, cases[i].frames);
        if (cases[i].extents)
            put_frame(o, 0, 0, cases[i].extents);
        memset(bytes_reserve(&o->w, cases[i].more), 0, cases[i].more);
        if (read_object(o, &error) != cases[i].good)
            fail_msg("%s: %s", cases[i].what, error.what);
        assert_int_equal(error.code, cases[i].good ? GB_OK : GB_corrupt_backup);
    }
    free(o);
}

/* ---- building ---- */

static void messages_that_are_refused(void **state)
{
    (void)state;
    struct gb_error error = {0};
    struct index x;
    struct wire_file f = {.kind = WIRE_KIND_OTHER, .space_id = NO_SPACE, .path = "a"};
    struct wire_file_done d = {.file_no = 2};
    build(&x);
    for (f.file_no = 0; f.file_no < 2; f.file_no++) {
        assert_false(index_add_file(&x, &f, &error));
        assert_int_equal(error.code, GB_protocol);
        error_clear(&error);
    }
    assert_false(index_file_done(&x, &d, &error)); /* twice */
    assert_int_equal(error.code, GB_protocol);
    error_clear(&error);
    d.file_no = 77;
    assert_false(index_file_done(&x, &d, &error)); /* unknown */
    assert_int_equal(error.code, GB_protocol);
    error_clear(&error);
    assert_false(index_file_name(&x, 77, "b", &error));
    assert_int_equal(error.code, GB_protocol);
    index_free(&x);
}

static void a_renamed_file_has_its_last_name(void **state)
{
    (void)state;
    struct gb_error error = {0};
    struct index x;
    build(&x);
    assert_true(index_file_name(&x, 1, "db/u.ibd", &error));
    assert_true(index_file_name(&x, 1, "other/v.ibd", &error));
    assert_true(index_finish(&x, 300, &error));
    assert_string_equal(index_find(&x, 1)->path, "other/v.ibd");
    index_free(&x);
}

static void is_not_finished(struct index *x, uint64_t redo_bytes, const char *word)
{
    struct gb_error error = {0};
    if (index_finish(x, redo_bytes, &error))
        fail_msg("finished without a word of \"%s\"", word);
    assert_int_equal(error.code, GB_internal);
    if (!strstr(error.what, word))
        fail_msg("\"%s\" has no \"%s\"", error.what, word);
    index_free(x);
}

/* A file that was not copied to its end, among others that were or that were dropped. */
static void an_unfinished_file_is_named(void **state)
{
    (void)state;
    struct gb_error error = {0};
    struct index x;
    build(&x);
    add(&x, 5, WIRE_KIND_OTHER, NO_SPACE, "db/a");
    add(&x, 6, WIRE_KIND_OTHER, NO_SPACE, "db/b");
    add(&x, 7, WIRE_KIND_OTHER, NO_SPACE, "db/unfinished");
    assert_true(index_file_drop(&x, 5, &error));
    done(&x, 6, 10);
    is_not_finished(&x, 300, "db/unfinished");
}

static void what_can_not_be_restored_is_named(void **state)
{
    (void)state;
    struct index x;
    build(&x);
    is_not_finished(&x, 301, "redo"); /* a byte is missing at the end */

    build(&x);
    extent(&x, WIRE_FILE_REDO, 301, 10);
    is_not_finished(&x, 311, "redo"); /* a gap */

    build(&x);
    extent(&x, WIRE_FILE_REDO, 299, 10);
    is_not_finished(&x, 309, "redo"); /* a byte twice */

    build(&x);
    extent(&x, 2, 91, 10);
    is_not_finished(&x, 300, "db/t.frm"); /* beyond its end */

    build(&x);
    extent(&x, 2, UINT64_MAX - 4, 10);
    is_not_finished(&x, 300, "db/t.frm");

    build(&x);
    add(&x, 5, WIRE_KIND_OTHER, NO_SPACE, "db/t.frm");
    done(&x, 5, 1);
    is_not_finished(&x, 300, "db/t.frm"); /* twice */

    build(&x);
    add(&x, 5, WIRE_KIND_UNDO, 5, "undo001");
    done(&x, 5, 1);
    is_not_finished(&x, 300, "undo001"); /* the id of db/t.ibd */

    build(&x);
    add(&x, 5, WIRE_KIND_OTHER, NO_SPACE, "../up");
    done(&x, 5, 1);
    is_not_finished(&x, 300, "../up");

    struct gb_error error = {0};
    struct frame f = {.segment = 9, .plain_size = 11};
    struct wire_extent e = {2, 0, 10, 0};
    build(&x);
    assert_true(index_add_frame(&x, &f, &e, 1, &error));
    is_not_finished(&x, 300, "segment 9"); /* extents that are not all of the frame */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
        TEST(what_is_written_comes_back),
        TEST(of_a_mode_the_permissions_come_back),
        TEST(an_empty_one_comes_back),
        TEST(many_files_long_names),
        TEST(damage_is_found),
        TEST(files_that_are_refused),
        TEST(kinds_of_a_save),
        TEST(frames_that_are_refused),
        TEST(objects_that_are_refused),
        TEST(messages_that_are_refused),
        TEST(a_renamed_file_has_its_last_name),
        TEST(an_unfinished_file_is_named),
        TEST(what_can_not_be_restored_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
