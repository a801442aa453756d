/* restore.h: a backup becomes files again, byte for byte; until the very end the directory can't be
 * started. */
#include "agent/repository/listing.h"
#include "agent/restore/journal.h"
#include "agent/restore/restore.h"
#include "agent/restore/target.h"
#include "common/redo_writer.h"
#include "tests/unit/backup_bytes.h"
#include "tests/unit/vectors.h"

#include <fcntl.h>
#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

#define LABEL      "20260102T030405Z-full-01234567"
#define UUID       "6f1d2c3b-0000-11ee-8000-0123456789ab"
#define C          100000u
#define REDO_BYTES 5000u
#define TABLE_SIZE (1u << 20)
#define TEXT_SIZE  70000u

static char root[64], data[96], outside[96];
static struct repository *repository;
static uint8_t source[REDO_HEADER_SIZE];

static const char *path_of(const char *name)
{
    static char path[512];
    snprintf(path, sizeof path, name[0] == '/' ? "%s%s" : "%s/data/%s", name[0] == '/' ? "" : root,
             name);
    return path;
}

static bool is_there(const char *name)
{
    struct stat st;
    return !lstat(path_of(name), &st);
}

/* ---- a backup ---- */

struct writing {
    struct index index;
    struct codec *codec;
    struct segment_writer *segment;
    struct frame_buffer buffer;
};

/* A frame of the extents' bytes. */
static void put_frame(struct writing *w, const struct wire_extent *extents, uint32_t count)
{
    struct gb_error error = {0};
    uint8_t *plain = malloc(FRAME_PLAIN_MAX);
    struct iovec piece = {plain, 0};
    assert_non_null(plain);
    for (uint32_t i = 0; i < count; i++)
        for (uint32_t at = 0; at < extents[i].length; at++)
            plain[piece.iov_len++] = byte_of(extents[i].file_no, extents[i].offset + at);
    assert_true(frame_build(w->codec, &piece, 1, &w->buffer, &error) &&
                segment_append(w->segment, &w->buffer, &error) &&
                index_add_frame(&w->index, &w->buffer.frame, extents, count, &error));
    free(plain);
}

static void put_file(struct writing *w, uint32_t number, uint8_t kind, uint32_t mode,
                     const char *path, uint64_t size)
{
    struct gb_error error = {0};
    struct wire_file f = {.file_no = number, .kind = kind, .space_id = number, .mode = mode};
    struct wire_file_done d = {number, size, 0, 0};
    snprintf(f.path, sizeof f.path, "%s", path);
    assert_true(index_add_file(&w->index, &f, &error) && index_file_done(&w->index, &d, &error));
}

/* The files of a directory come before it; 1 has holes; 5 lies outside the data directory; 6 was
 * dropped. */
static void write_backup(void)
{
    struct gb_error error = {0};
    struct repository_backup *b = repository_begin(repository, "c", LABEL, NULL, &error);
    struct writing w = {.codec = codec_new((struct codec_spec){CODEC_ZSTD, 1})};
    assert_true(b && w.codec);
    w.segment = segment_create(repository->storage, repository_backup_prefix(b), 1, NULL, &error);
    assert_non_null(w.segment);
    index_init(&w.index);
    put_file(&w, 1, WIRE_KIND_TABLESPACE, 0640, "db/t.ibd", TABLE_SIZE);
    put_file(&w, 2, WIRE_KIND_OTHER, 0604, "db/t.frm", TEXT_SIZE);
    put_file(&w, 3, WIRE_KIND_DIRECTORY, 0775, "db", 0);
    put_file(&w, 4, WIRE_KIND_OTHER, 0, "empty", 0);
    put_file(&w, 5, WIRE_KIND_UNDO, 0660, outside, 100);
    put_file(&w, 6, WIRE_KIND_OTHER, 0660, "dropped", 100);
    put_file(&w, 7, WIRE_KIND_DIRECTORY, 0750, "mysql", 0);
    assert_true(index_file_drop(&w.index, 6, &error));
    struct wire_extent one[] = {{1, 16384, 16384, 0}, {2, 0, TEXT_SIZE, 0}};
    struct wire_extent two[] = {{1, TABLE_SIZE - 1, 1, 0}, {6, 0, 100, 0}, {5, 0, 100, 0}};
    struct wire_extent redo[] = {{WIRE_FILE_REDO, 2000, REDO_BYTES - 2000, 0},
                                 {WIRE_FILE_REDO, 0, 2000, 0}};
    put_frame(&w, one, 2);
    put_frame(&w, &redo[0], 1);
    put_frame(&w, two, 3);
    put_frame(&w, &redo[1], 1);
    struct object_info info;
    assert_true(segment_close(w.segment, &info, &error));
    struct manifest m = {.checkpoint_lsn = C,
                         .checkpoint_end_lsn = C + 100,
                         .end_lsn = C + REDO_BYTES,
                         .redo_bytes = REDO_BYTES};
    snprintf(m.id, sizeof m.id, LABEL);
    snprintf(m.cluster, sizeof m.cluster, "c");
    snprintf(m.server_version, sizeof m.server_version, "10.11.19-MariaDB");
    memcpy(m.redo_header, source, sizeof m.redo_header);
    wire_add_fact(&m.facts, "position", "%s", UUID ":7");
    if (!repository_commit(b, &w.index, &m, &info, 1, &error))
        fail_msg("%s", error.what);
    manifest_free(&m);
    index_free(&w.index);
    frame_buffer_free(&w.buffer);
    codec_free(w.codec);
}

static int set_up(void **state)
{
    (void)state;
    struct gb_error error = {0};
    struct repository_spec spec = {.name = "test", .type = "directory", .make = true};
    struct vector v;
    snprintf(root, sizeof root, "/tmp/gb-test-restore-XXXXXX");
    if (!mkdtemp(root))
        return -1;
    snprintf(data, sizeof data, "%s/data", root);
    snprintf(outside, sizeof outside, "%s/elsewhere/undo/undo001", root);
    snprintf(spec.path, sizeof spec.path, "%s/repository", root);
    vector_open(&v, "redo.vec");
    memcpy(source, v.block[0].data, sizeof source);
    vector_close(&v);
    if (!(repository = repository_open(&spec, &error)))
        return -1;
    write_backup();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    char command[128];
    repository_close(repository);
    snprintf(command, sizeof command, "rm -rf %s", root);
    return system(command);
}

/* ---- a restore ---- */

struct restore {
    struct manifest m;
    struct index index;
    struct restore_plan plan;
    struct restore_request request;
    struct gb_error error;
};

static const char *owner; /* of the next plan */

static bool plan(struct restore *r)
{
    struct gb_error error = {0};
    memset(r, 0, sizeof *r);
    r->request =
        (struct restore_request){.datadir = data, .owner = owner, .galera = true, .threads = 2};
    index_init(&r->index);
    assert_true(repository_find(repository, "c", LABEL, &r->m, &error));
    bool ok = restore_plan(repository, &r->m, &r->request, &r->index, &r->plan, &r->error);
    assert_true(ok == !r->error.code);
    return ok;
}

static bool run(struct restore *r)
{
    bool ok = restore_run(repository, &r->m, &r->index, &r->request, &r->plan, &r->error);
    assert_true(ok == !r->error.code);
    return ok;
}

static void end(struct restore *r)
{
    restore_plan_free(&r->plan);
    index_free(&r->index);
    manifest_free(&r->m);
}

/* What mariadbd would say of ib_logfile0. */
static bool read_log(struct redo_log *log)
{
    struct gb_error error = {0};
    struct stat st;
    uint8_t *header = test_malloc(REDO_START_OFFSET);
    int fd = open(path_of("ib_logfile0"), O_RDONLY);
    assert_true(fd >= 0 && !fstat(fd, &st));
    assert_int_equal(read(fd, header, REDO_START_OFFSET), REDO_START_OFFSET);
    close(fd);
    bool ok = redo_parse_header(header, (uint64_t)st.st_size + 4096, log, &error);
    assert_true(ok || strstr(error.what, "unfinished restore"));
    test_free(header);
    return ok;
}

static bool is_guarded(void)
{
    struct redo_log log;
    return is_there(RESTORE_MARKER) && !read_log(&log);
}

static mode_t mode_of(const char *name)
{
    struct stat st;
    if (lstat(path_of(name), &st))
        fail_msg("%s is not there", name);
    return st.st_mode & 07777;
}

/* Bytes of a file: those of its extents, else zeros. */
static void holds(const char *name, uint32_t file_no, uint64_t size, const uint64_t extents[][2],
                  size_t count)
{
    struct stat st;
    int fd = open(path_of(name), O_RDONLY);
    if (fd < 0)
        fail_msg("%s is not there", name);
    assert_int_equal(fstat(fd, &st), 0);
    assert_int_equal(st.st_size, size);
    uint8_t *found = test_malloc(size + 1), *expected = test_calloc(1, size + 1);
    assert_int_equal(read(fd, found, size), size);
    close(fd);
    for (size_t i = 0; i < count; i++)
        for (uint64_t at = extents[i][0]; at < extents[i][0] + extents[i][1]; at++)
            expected[at] = byte_of(file_no, at);
    if (memcmp(found, expected, size))
        fail_msg("%s holds something else", name);
    test_free(found);
    test_free(expected);
}

static void every_byte_comes_back(void **state)
{
    (void)state;
    struct restore r;
    struct redo_log log;
    char elsewhere[128];
    snprintf(elsewhere, sizeof elsewhere, "%s/elsewhere", root);
    assert_int_equal(mkdir(elsewhere, 0755), 0);
    mode_t old = umask(027);
    if (!plan(&r) || !run(&r))
        fail_msg("%s", r.error.what);
    umask(old);
    assert_int_equal(r.plan.files, 6);
    assert_int_equal(r.plan.outside, 1);
    static const uint64_t table[][2] = {{16384, 16384}, {TABLE_SIZE - 1, 1}},
                          text[][2] = {{0, TEXT_SIZE}}, undo[][2] = {{0, 100}};
    holds("db/t.ibd", 1, TABLE_SIZE, table, 2);
    holds("db/t.frm", 2, TEXT_SIZE, text, 1);
    holds("empty", 4, 0, NULL, 0);
    holds(outside, 5, 100, undo, 1);
    assert_false(is_there("dropped"));
    assert_false(is_there(RESTORE_MARKER));
    assert_true(read_log(&log));
    assert_true(log.checkpoint_lsn == C && log.end_lsn == C + 100 && log.first_lsn == C);
    struct stat st;
    assert_int_equal(stat(path_of("ib_logfile0"), &st), 0);
    assert_int_equal(st.st_size, redo_writer_file_size(REDO_BYTES));
    uint8_t redo[REDO_BYTES + 16];
    int fd = open(path_of("ib_logfile0"), O_RDONLY);
    assert_int_equal(pread(fd, redo, sizeof redo, REDO_START_OFFSET), sizeof redo);
    close(fd);
    for (size_t i = 0; i < sizeof redo; i++)
        assert_int_equal(redo[i], i < REDO_BYTES ? byte_of(WIRE_FILE_REDO, i) : 0);
    end(&r);
}

/* Permission bits are those of the backup, whatever the umask and the order of the files. */
static void modes(void **state)
{
    (void)state;
    struct restore r;
    char elsewhere[128];
    snprintf(elsewhere, sizeof elsewhere, "%s/elsewhere", root);
    assert_int_equal(mkdir(elsewhere, 0755), 0);
    mode_t old = umask(077);
    bool ok = plan(&r) && run(&r);
    umask(old);
    if (!ok)
        fail_msg("%s", r.error.what);
    assert_int_equal(mode_of("db/t.ibd"), 0640);
    assert_int_equal(mode_of("db/t.frm"), 0604);
    assert_int_equal(mode_of(outside), 0660);
    assert_int_equal(mode_of("db"), 0775);
    assert_int_equal(mode_of("mysql"), 0750);
    assert_int_equal(mode_of(data), 0700);
    end(&r);
}

/* The same absolute paths on a host that does not have the directories yet. */
static void no_file_runs_as_its_owner(void **state)
{
    (void)state;
    struct restore r;
    struct stat st;
    assert_true(plan(&r));
    for (size_t i = 0; i < r.index.file_count; i++)
        r.index.files[i].mode |= 07000;
    if (!run(&r))
        fail_msg("%s", r.error.what);
    static const char *const names[] = {"db/t.ibd", "db/t.frm", "db", "empty", "mysql"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        assert_int_equal(lstat(path_of(names[i]), &st), 0);
        assert_int_equal(st.st_mode & 07000, 0);
    }
    end(&r);
}

static void directories_outside_are_made(void **state)
{
    (void)state;
    struct restore r;
    if (!plan(&r) || !run(&r))
        fail_msg("%s", r.error.what);
    assert_true(is_there(outside));
    end(&r);
}

static void everything_has_its_owner(void **state)
{
    (void)state;
    struct restore r;
    struct stat st;
    struct passwd *user = getpwnam("nobody");
    if (geteuid() || !user)
        skip();
    uid_t uid = user->pw_uid;
    owner = "nobody";
    bool planned = plan(&r);
    owner = NULL;
    assert_true(planned);
    if (!run(&r))
        fail_msg("%s", r.error.what);
    const char *const names[] = {data,    "db",          "db/t.ibd",     "mysql", "db/t.frm",
                                 "empty", "ib_logfile0", "grastate.dat", outside};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        assert_int_equal(lstat(path_of(names[i]), &st), 0);
        if (st.st_uid != uid)
            fail_msg("%s belongs to %u", names[i], (unsigned)st.st_uid);
    }
    end(&r);
}

static uint64_t last_done;
static unsigned calls;

static void look(void *context, uint64_t done, uint64_t total)
{
    (void)context;
    assert_true(done <= total && done >= last_done);
    last_done = done;
    calls++;
    assert_true(is_guarded());
}

static void the_guard_stays_until_the_end(void **state)
{
    (void)state;
    struct restore r;
    last_done = calls = 0;
    assert_true(plan(&r));
    assert_false(is_there(data)); /* a plan writes nothing */
    r.request.progress = look;
    if (!run(&r))
        fail_msg("%s", r.error.what);
    assert_true(calls > 0);
    assert_int_equal(last_done, r.plan.bytes);
    assert_false(is_there(RESTORE_MARKER));
    assert_true(is_there("grastate.dat"));
    end(&r);
}

static void a_standalone_server_gets_no_grastate(void **state)
{
    (void)state;
    struct restore r;
    assert_true(plan(&r));
    r.request.galera = false;
    if (!run(&r))
        fail_msg("%s", r.error.what);
    assert_false(is_there("grastate.dat"));
    end(&r);
}

/* Damage that the plan's samples miss, as it comes after them: each ends the restore, and what it
 * leaves can't be started. Once the byte is right again the restore goes on. */
static void a_damaged_backup_is_not_restored(void **state)
{
    (void)state;
    struct restore r;
    struct stat st;
    char segment[256], command[256];
    static const uint64_t table[][2] = {{16384, 16384}, {TABLE_SIZE - 1, 1}};
    snprintf(segment, sizeof segment, "%s/repository/c/backups/" LABEL "/data/000001.seg", root);
    snprintf(command, sizeof command, "rm -rf %s/data %s/elsewhere", root, root);
    int fd = open(segment, O_RDWR);
    assert_true(fd >= 0 && !fstat(fd, &st));
    for (off_t at = 0; at < st.st_size; at += st.st_size / 5 + 1) {
        uint8_t byte, flipped;
        assert_int_equal(pread(fd, &byte, 1, at), 1);
        flipped = byte ^ 0x10;
        assert_true(plan(&r));
        assert_int_equal(pwrite(fd, &flipped, 1, at), 1);
        assert_false(run(&r));
        assert_int_equal(r.error.code, GB_corrupt_backup);
        assert_non_null(strstr(r.error.what, "data/000001.seg"));
        assert_true(is_guarded());
        end(&r);
        assert_false(plan(&r)); /* the plan reads samples */
        assert_int_equal(r.error.code, GB_corrupt_backup);
        end(&r);
        assert_int_equal(pwrite(fd, &byte, 1, at), 1);
        assert_true(plan(&r));
        assert_int_equal(r.plan.start, RESTORE_GO_ON);
        assert_true(run(&r));
        holds("db/t.ibd", 1, TABLE_SIZE, table, 2);
        end(&r);
        assert_int_equal(system(command), 0);
    }
    assert_true(plan(&r));
    assert_int_equal(ftruncate(fd, st.st_size - 1), 0);
    close(fd);
    assert_false(run(&r));
    assert_int_equal(r.error.code, GB_corrupt_backup);
    assert_true(is_guarded());
    end(&r);
}

/* Recovery would end where the redo does, at an older state than that of the files. */
static void redo_that_ends_early_is_not_restored(void **state)
{
    (void)state;
    struct restore r;
    assert_true(plan(&r));
    r.m.end_lsn++;
    assert_false(run(&r));
    assert_int_equal(r.error.code, GB_corrupt_backup);
    assert_non_null(strstr(r.error.what, "105000"));
    assert_true(is_guarded());
    end(&r);
}

static void a_damaged_index_is_not_planned(void **state)
{
    (void)state;
    struct restore r;
    char path[256];
    snprintf(path, sizeof path, "%s/repository/c/backups/" LABEL "/index", root);
    assert_int_equal(truncate(path, 40), 0);
    assert_false(plan(&r));
    assert_int_equal(r.error.code, GB_corrupt_backup);
    assert_false(is_there(data));
    end(&r);
}

/* Nor one that was killed, or had no room, while it wrote a new one. */
static void a_journal_leaves_nothing(void **state)
{
    (void)state;
    static const uint8_t written[] = {1, 0, 1};
    uint8_t read[sizeof written];
    struct gb_error error = {0};
    int fd;
    mkdir(data, 0700);
    assert_true(journal_write(data, written, sizeof written, &error));
    journal_read(data, read, sizeof read);
    assert_memory_equal(read, written, sizeof read);
    fd = open(path_of(RESTORE_JOURNAL ".new"), O_WRONLY | O_CREAT, 0600);
    assert_true(fd >= 0 && !close(fd));
    assert_true(journal_remove(data, &error) && journal_remove(data, &error));
    assert_false(is_there(RESTORE_JOURNAL) || is_there(RESTORE_JOURNAL ".new"));
}

/* One that is killed before it has given the directory away leaves it under another name. */
static void directories_come_to_be_with_their_owner(void **state)
{
    (void)state;
    struct gb_error error = {0};
    struct stat st;
    char deep[128];
    uid_t uid = geteuid() ? geteuid() : 12345;
    gid_t gid = geteuid() ? getegid() : 12346;
    snprintf(deep, sizeof deep, "%s/undo/of/server/", data);
    assert_true(!mkdir(data, 0700) && !mkdir(path_of("undo" RESTORE_SUFFIX), 0755));
    for (int n = 0; n < 2; n++) {
        assert_true(target_make_directories(deep, uid, gid, &error));
        assert_int_equal(stat(deep, &st), 0);
        assert_int_equal(st.st_mode & 0777, 0700);
        assert_int_equal(stat(path_of("undo"), &st), 0);
        assert_int_equal(st.st_mode & 0777, 0755);
        assert_true(st.st_uid == uid && st.st_gid == gid);
        assert_false(is_there("undo" RESTORE_SUFFIX));
    }
}

static void targets_that_are_refused(void **state)
{
    (void)state;
    struct restore r;
    assert_int_equal(mkdir(data, 0700), 0);
    int fd = open(path_of("something"), O_WRONLY | O_CREAT, 0600);
    assert_true(fd >= 0);
    close(fd);
    assert_false(plan(&r));
    assert_int_equal(r.error.code, GB_target_not_empty);
    end(&r);
    assert_int_equal(unlink(path_of("something")), 0);
    char command[256];
    snprintf(command, sizeof command, "mkdir -p %s/elsewhere/undo && touch %s", root, outside);
    assert_int_equal(system(command), 0);
    assert_false(plan(&r));
    assert_int_equal(r.error.code, GB_target_not_empty);
    assert_non_null(strstr(r.error.what, outside));
    end(&r);
    assert_int_equal(unlink(outside), 0);
    assert_true(plan(&r));
    end(&r);
}

static void too_little_space_is_refused(void **state)
{
    (void)state;
    struct restore r;
    assert_true(plan(&r));
    assert_true(r.plan.available > r.plan.bytes);
    restore_plan_free(&r.plan);
    index_free(&r.index);
    r.m.redo_bytes = 1ull << 60;
    assert_false(restore_plan(repository, &r.m, &r.request, &r.index, &r.plan, &r.error));
    assert_int_equal(r.error.code, GB_target_no_space);
    assert_int_equal(error_exit_status(r.error.code), 9);
    assert_non_null(strstr(r.error.what, data));
    assert_false(is_there(data));
    end(&r);
}

/* A path of the backup that is in the way of the guard. */
static void nothing_is_written_over(void **state)
{
    (void)state;
    struct restore r;
    assert_true(plan(&r));
    char *mine = r.index.files[0].path;
    r.index.files[0].path = strdup(RESTORE_MARKER);
    assert_false(run(&r));
    assert_int_equal(r.error.code, GB_target_failed);
    assert_true(is_guarded());
    free(r.index.files[0].path);
    r.index.files[0].path = mine;
    end(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
        TEST(every_byte_comes_back),
        TEST(modes),
        TEST(no_file_runs_as_its_owner),
        TEST(directories_outside_are_made),
        TEST(everything_has_its_owner),
        TEST(the_guard_stays_until_the_end),
        TEST(a_standalone_server_gets_no_grastate),
        TEST(a_damaged_backup_is_not_restored),
        TEST(redo_that_ends_early_is_not_restored),
        TEST(a_damaged_index_is_not_planned),
        TEST(a_journal_leaves_nothing),
        TEST(directories_come_to_be_with_their_owner),
        TEST(targets_that_are_refused),
        TEST(too_little_space_is_refused),
        TEST(nothing_is_written_over),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
