/* repository.h, repository_begin() and repository_collect(): what is a backup, or becomes one
   meanwhile, is never removed. */
#include "agent/repository/listing.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define LABEL "20260102T030405Z-full-01234567"
#define OTHER "20260102T030406Z-full-89abcdef"

static char root[64];
static struct repository *repository;

/* What happens before the next lock is opened, and between its open() and its flock(); once. */
static void (*before_open)(void), (*before_flock)(void);

int openat(int directory, const char *name, int flags, ...)
{
    va_list args;
    va_start(args, flags);
    mode_t mode = flags & O_CREAT ? va_arg(args, mode_t) : 0;
    va_end(args);
    void (*happen)(void) = strcmp(name, ".lock") ? NULL : before_open;
    if (happen) {
        before_open = NULL;
        happen();
    }
    return (int)syscall(SYS_openat, directory, name, flags, mode);
}

int flock(int fd, int operation)
{
    void (*happen)(void) = before_flock;
    before_flock = NULL;
    if (happen)
        happen();
    return (int)syscall(SYS_flock, fd, operation);
}

/* An NFS client renames a file that is open instead of removing it; the new name goes with the last
 * close(). */
#define NFS_NAME ".nfs0001"
static bool nfs;
static const char *stuck; /* an entry that can't be removed */

static bool path_of_fd(int fd, char path[PATH_MAX])
{
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, path, PATH_MAX - 1);
    path[n > 0 ? n : 0] = '\0';
    return n > 0;
}

static bool is_open(const char *path)
{
    char other[PATH_MAX];
    for (int fd = 3; fd < 256; fd++)
        if (path_of_fd(fd, other) && !strcmp(path, other))
            return true;
    return false;
}

int unlinkat(int directory, const char *name, int flags)
{
    char parent[PATH_MAX], path[PATH_MAX + NAME_MAX + 2];
    if (stuck && !strcmp(name, stuck)) {
        errno = EACCES;
        return -1;
    }
    if (nfs && !flags && path_of_fd(directory, parent)) {
        snprintf(path, sizeof path, "%s/%s", parent, name);
        if (is_open(path) && !strcmp(name, NFS_NAME)) {
            errno = EBUSY;
            return -1;
        }
        if (is_open(path))
            return renameat(directory, name, directory, NFS_NAME);
    }
    return (int)syscall(SYS_unlinkat, directory, name, flags);
}

int close(int fd)
{
    char path[PATH_MAX] = "";
    bool renamed = nfs && path_of_fd(fd, path) && strstr(path, "/" NFS_NAME);
    int result = (int)syscall(SYS_close, fd);
    if (renamed && !is_open(path))
        unlink(path);
    return result;
}

/* ---- what is said on stderr ---- */

static int real_stderr = -1, said_fd = -1;

static void listen_to_stderr(void)
{
    char path[] = "/tmp/gb-test-collect-stderr-XXXXXX";
    said_fd = mkstemp(path);
    assert_true(said_fd >= 0 && !unlink(path));
    real_stderr = dup(STDERR_FILENO);
    assert_true(dup2(said_fd, STDERR_FILENO) >= 0);
}

static const char *said(void)
{
    static char text[4096];
    fflush(stderr);
    assert_true(dup2(real_stderr, STDERR_FILENO) >= 0);
    ssize_t n = pread(said_fd, text, sizeof text - 1, 0);
    text[n > 0 ? n : 0] = '\0';
    close(real_stderr);
    close(said_fd);
    return text;
}

static int set_up(void **state)
{
    (void)state;
    nfs = false;
    stuck = NULL;
    struct gb_error error = {0};
    struct repository_spec spec = {.name = "test", .type = "directory", .make = true};
    snprintf(root, sizeof root, "/tmp/gb-test-collect-XXXXXX");
    if (!mkdtemp(root))
        return -1;
    snprintf(spec.path, sizeof spec.path, "%s/repository", root);
    repository = repository_open(&spec, &error);
    return repository ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    char command[128];
    repository_close(repository);
    snprintf(command, sizeof command, "rm -rf %s", root);
    return system(command);
}

static struct repository_backup *begin(const char *label)
{
    struct gb_error error = {0};
    struct repository_backup *b = repository_begin(repository, "c", label, NULL, &error);
    if (!b)
        fail_msg("%s: %s", label, error.what);
    return b;
}

/* Writes a segment of one frame. */
static struct object_info write_segment(struct repository_backup *b, struct index *index)
{
    struct gb_error error = {0};
    struct object_info info = {.size = 0};
    uint8_t plain[100] = "redo";
    struct iovec piece = {plain, sizeof plain};
    struct wire_extent extent = {WIRE_FILE_REDO, 0, sizeof plain, 0};
    struct codec *codec = codec_new((struct codec_spec){CODEC_NONE, 0});
    struct frame_buffer buffer = {0};
    struct segment_writer *s =
        segment_create(repository->storage, repository_backup_prefix(b), 1, NULL, &error);
    index_init(index);
    assert_true(s && frame_build(codec, &piece, 1, &buffer, &error) &&
                segment_append(s, &buffer, &error) &&
                index_add_frame(index, &buffer.frame, &extent, 1, &error) &&
                segment_close(s, &info, &error));
    frame_buffer_free(&buffer);
    codec_free(codec);
    return info;
}

/* What happens when the segments are written, before they are committed. */
static void (*before_commit)(void);

static bool try_commit(struct repository_backup *b, const char *cluster, const char *label,
                       struct gb_error *error)
{
    struct index index;
    struct object_info info = write_segment(b, &index);
    void (*happen)(void) = before_commit;
    before_commit = NULL;
    if (happen)
        happen();
    struct manifest m = {
        .checkpoint_lsn = 1000, .checkpoint_end_lsn = 1010, .end_lsn = 1100, .redo_bytes = 100};
    snprintf(m.id, sizeof m.id, "%s", label);
    snprintf(m.cluster, sizeof m.cluster, "%s", cluster);
    bool ok = repository_commit(b, &index, &m, &info, 1, error);
    manifest_free(&m);
    index_free(&index);
    return ok;
}

static void commit(struct repository_backup *b, const char *label)
{
    struct gb_error error = {0};
    if (!try_commit(b, "c", label, &error))
        fail_msg("%s", error.what);
}

/* Listed, and every object of it is there and whole. */
static bool is_whole(const char *label)
{
    struct gb_error error = {0};
    struct manifest m;
    struct verify_report report;
    if (!repository_find(repository, "c", label, &m, &error))
        return false;
    assert_true(
        repository_verify(repository, &m, &(struct verify_request){.threads = 1}, &report, &error));
    manifest_free(&m);
    return !report.damaged;
}

static unsigned collect(void)
{
    struct gb_error error = {0};
    unsigned removed;
    if (!repository_collect(repository, "c", &removed, &error))
        fail_msg("%s", error.what);
    return removed;
}

static bool is_there(const char *label)
{
    char path[256];
    snprintf(path, sizeof path, "%s/repository/c/backups/%s", root, label);
    return !access(path, F_OK);
}

static void leftovers_are_collected_backups_are_not(void **state)
{
    (void)state;
    struct gb_error error = {0};
    struct index index;
    commit(begin(LABEL), LABEL);
    struct repository_backup *running = begin(OTHER);
    write_segment(running, &index);
    index_free(&index);
    assert_int_equal(collect(), 0);
    assert_true(is_whole(LABEL) && is_there(OTHER));
    /* Its process died: what it wrote is there, its lock is not held. */
    struct repository_backup *dead = begin("20260102T030407Z-full-00000000");
    char path[256], copy[300], command[700];
    snprintf(path, sizeof path, "%s/repository/c/backups/20260102T030407Z-full-00000000", root);
    snprintf(copy, sizeof copy, "%s/copy", root);
    write_segment(dead, &index);
    index_free(&index);
    snprintf(command, sizeof command, "cp -r %s %s", path, copy);
    assert_int_equal(system(command), 0);
    repository_abort(dead);
    assert_int_equal(rename(copy, path), 0);
    assert_int_equal(collect(), 1);
    assert_true(is_whole(LABEL) && is_there(OTHER) && access(path, F_OK));
    unsigned removed;
    assert_true(repository_collect(repository, "nowhere", &removed, &error));
    assert_int_equal(removed, 0);
    repository_abort(running);
    assert_false(is_there(OTHER));
}

static struct repository_backup *ending;

static void end_it(void)
{
    commit(ending, LABEL);
}

/* It is without backup.json when the collector looks, and committed before the collector has its
 * lock. */
static void a_backup_that_commits_meanwhile_stays(void **state)
{
    (void)state;
    ending = begin(LABEL);
    before_open = end_it;
    assert_int_equal(collect(), 0);
    assert_null(before_open);
    assert_true(is_whole(LABEL));
}

static void a_backup_that_lets_its_lock_go_meanwhile_stays(void **state)
{
    (void)state;
    ending = begin(LABEL);
    before_flock = end_it;
    assert_int_equal(collect(), 0);
    assert_null(before_flock);
    assert_true(is_whole(LABEL));
}

static void a_label_is_used_once(void **state)
{
    (void)state;
    struct gb_error error = {0};
    commit(begin(LABEL), LABEL);
    assert_null(repository_begin(repository, "c", LABEL, NULL, &error));
    assert_int_equal(error.code, GB_store_failed);
    assert_true(is_whole(LABEL));
}

static void names_that_lead_elsewhere_are_refused(void **state)
{
    (void)state;
    static const char *const clusters[] = {"", "..", "a/b", ".hidden", "c"};
    static const char *const labels[] = {LABEL "/x", "../" LABEL, "", "latest", LABEL "/../x"};
    for (size_t i = 0; i < 5; i++) {
        struct gb_error error = {0};
        assert_null(
            repository_begin(repository, clusters[i], i < 4 ? LABEL : labels[0], NULL, &error));
        assert_int_equal(error.code, GB_bad_value);
        error_clear(&error);
        assert_null(repository_begin(repository, "c", labels[i], NULL, &error));
        assert_int_equal(error.code, GB_bad_value);
    }
}

static void backups_are_found_by_name(void **state)
{
    (void)state;
    struct gb_error error = {0};
    struct manifest m;
    assert_false(repository_find(repository, "c", "latest", &m, &error));
    assert_int_equal(error.code, GB_not_found);
    error_clear(&error);
    commit(begin(LABEL), LABEL);
    commit(begin(OTHER), OTHER);
    static const struct {
        const char *id, *found;
        enum gb_code code;
    } cases[] = {
        {"latest", OTHER, GB_OK},           {LABEL, LABEL, GB_OK},
        {"20260102T030405Z", LABEL, GB_OK}, {"20260102T03040", NULL, GB_bad_value}, /* fits both */
        {"20260103", NULL, GB_not_found},   {LABEL "-more", NULL, GB_not_found},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        error_clear(&error);
        bool ok = repository_find(repository, "c", cases[i].id, &m, &error);
        assert_int_equal(error.code, cases[i].code);
        assert_int_equal(ok, cases[i].found != NULL);
        if (ok) {
            assert_string_equal(m.id, cases[i].found);
            manifest_free(&m);
        }
    }
    error_clear(&error);
    assert_false(repository_find(repository, "other", "latest", &m, &error));
    assert_int_equal(error.code, GB_not_found);
}

static unsigned warnings;

static void warn(void *context, const char *text)
{
    (void)context;
    assert_non_null(strstr(text, LABEL));
    warnings++;
}

static void damaged_manifests_are_named_others_listed(void **state)
{
    (void)state;
    struct gb_error error = {0};
    struct manifest *list;
    size_t count;
    char path[256];
    commit(begin(LABEL), LABEL);
    commit(begin(OTHER), OTHER);
    snprintf(path, sizeof path, "%s/repository/c/backups/" LABEL "/backup.json", root);
    assert_int_equal(truncate(path, 100), 0);
    warnings = 0;
    assert_true(repository_list(repository, NULL, &list, &count, warn, NULL, &error));
    assert_int_equal(warnings, 1);
    assert_int_equal(count, 1);
    assert_string_equal(list[0].id, OTHER);
    manifest_free(&list[0]);
    free(list);
    assert_int_equal(collect(), 0); /* it may be of use yet */
    assert_true(is_there(LABEL));
}

/* What a process that died leaves. */
static void leave_over(const char *label)
{
    struct index index;
    char command[700];
    struct repository_backup *dead = begin(label);
    write_segment(dead, &index);
    index_free(&index);
    snprintf(command, sizeof command, "cp -r %s/repository/c/backups/%s %s/copy", root, label,
             root);
    assert_int_equal(system(command), 0);
    repository_abort(dead);
    snprintf(command, sizeof command,
             "rm -rf %s/repository/c/backups/%s; mv %s/copy %s/repository/c/backups/%s", root,
             label, root, root, label);
    assert_int_equal(system(command), 0);
}

static void on_nfs_nothing_is_left(void **state)
{
    (void)state;
    struct index index;
    leave_over(LABEL);
    nfs = true;
    struct repository_backup *b = begin(OTHER);
    write_segment(b, &index);
    index_free(&index);
    repository_abort(b);
    assert_false(is_there(OTHER));
    assert_int_equal(collect(), 1);
    assert_false(is_there(LABEL));
    commit(begin(OTHER), OTHER);
    assert_int_equal(collect(), 0);
    assert_true(is_whole(OTHER));
}

static void what_cant_be_removed_is_in_nobodys_way(void **state)
{
    (void)state;
    char path[256];
    leave_over(LABEL);
    snprintf(path, sizeof path, "%s/repository/c/backups/" LABEL "/stays", root);
    assert_int_equal(mkdir(path, 0700), 0);
    leave_over(OTHER);
    stuck = "stays";
    listen_to_stderr();
    assert_int_equal(collect(), 1);
    assert_non_null(strstr(said(), LABEL));
    assert_true(is_there(LABEL) && !is_there(OTHER));
    commit(begin(OTHER), OTHER);
    assert_true(is_whole(OTHER));
}

/* ---- what is committed ---- */

static void run_below(const char *command)
{
    char all[512];
    snprintf(all, sizeof all, "cd %s/repository/c/backups/" LABEL " && %s", root, command);
    assert_int_equal(system(all), 0);
}

static void take_lock_away(void)
{
    run_below("rm .lock");
}

static void take_lock_over(void)
{
    run_below("cp .lock other && mv other .lock");
}

static void remove_it_all(void)
{
    run_below("rm -r ../" LABEL);
}

static void replace_it_all(void)
{
    run_below("cp -r . ../copy && rm -r ../" LABEL " && mv ../copy ../" LABEL);
}

static void cut_a_segment(void)
{
    run_below("truncate -s -1 data/000001.seg");
}

static void remove_a_segment(void)
{
    run_below("rm data/000001.seg");
}

static void what_is_not_ours_or_not_there_is_not_committed(void **state)
{
    (void)state;
    static const struct {
        void (*happens)(void);
        const char *word;
        bool stays; /* what another process has put there */
    } cases[] = {
        {take_lock_away, ".lock", false},     {take_lock_over, ".lock", true},
        {remove_it_all, LABEL, false},        {replace_it_all, ".lock", true},
        {cut_a_segment, "000001.seg", false}, {remove_a_segment, "000001.seg", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct gb_error error = {0};
        struct repository_backup *b = begin(LABEL);
        before_commit = cases[i].happens;
        listen_to_stderr();
        bool ok = try_commit(b, "c", LABEL, &error);
        said();
        if (ok)
            fail_msg("case %zu is committed", i);
        assert_int_equal(error.code, GB_store_failed);
        assert_non_null(strstr(error.what, cases[i].word));
        assert_false(is_whole(LABEL));
        if (is_there(LABEL) != cases[i].stays)
            fail_msg("case %zu: %s", i, cases[i].stays ? "is gone" : "is there");
        if (is_there(LABEL))
            remove_it_all();
    }
}

/* ---- which is the latest ---- */

static void the_latest_of_several_clusters_is_nobodys(void **state)
{
    (void)state;
    struct gb_error error = {0};
    struct manifest m;
    commit(begin(LABEL), LABEL);
    assert_true(repository_find(repository, NULL, "latest", &m, &error));
    manifest_free(&m);
    struct repository_backup *b = repository_begin(repository, "second", OTHER, NULL, &error);
    assert_true(b && try_commit(b, "second", OTHER, &error));
    assert_false(repository_find(repository, NULL, "latest", &m, &error));
    assert_int_equal(error.code, GB_bad_value);
    assert_non_null(strstr(error.what, " c"));
    assert_non_null(strstr(error.what, " second"));
    error_clear(&error);
    assert_true(repository_find(repository, "c", "latest", &m, &error));
    assert_string_equal(m.id, LABEL);
    manifest_free(&m);
    assert_true(repository_find(repository, NULL, LABEL, &m, &error)); /* a label says enough */
    manifest_free(&m);
}

static void cut_manifest(const char *label)
{
    char path[256];
    snprintf(path, sizeof path, "%s/repository/c/backups/%s/backup.json", root, label);
    assert_int_equal(truncate(path, 100), 0);
}

static void a_damaged_latest_is_named(void **state)
{
    (void)state;
    struct gb_error error = {0};
    struct manifest m;
    commit(begin(LABEL), LABEL);
    commit(begin(OTHER), OTHER);
    cut_manifest(OTHER);
    listen_to_stderr();
    assert_true(repository_find(repository, "c", "latest", &m, &error));
    assert_non_null(strstr(said(), OTHER));
    assert_string_equal(m.id, LABEL);
    manifest_free(&m);
    assert_false(repository_find(repository, "c", OTHER, &m, &error));
    assert_int_equal(error.code, GB_corrupt_backup);
    error_clear(&error);
    cut_manifest(LABEL);
    listen_to_stderr();
    assert_false(repository_find(repository, "c", "latest", &m, &error));
    assert_non_null(strstr(said(), LABEL));
    assert_int_equal(error.code, GB_not_found);
}

static void a_damaged_older_one_is_not(void **state)
{
    (void)state;
    struct gb_error error = {0};
    struct manifest m;
    commit(begin(LABEL), LABEL);
    commit(begin(OTHER), OTHER);
    cut_manifest(LABEL);
    listen_to_stderr();
    assert_true(repository_find(repository, "c", "latest", &m, &error));
    assert_string_equal(said(), "");
    assert_string_equal(m.id, OTHER);
    manifest_free(&m);
}

static void what_cant_be_read_may_be_the_latest(void **state)
{
    (void)state;
    struct gb_error error = {0};
    struct manifest m;
    char path[256];
    commit(begin(LABEL), LABEL);
    commit(begin(OTHER), OTHER);
    snprintf(path, sizeof path, "%s/repository/c/backups/" OTHER "/backup.json", root);
    assert_true(!unlink(path) && !symlink(path, path)); /* ELOOP */
    assert_false(repository_find(repository, "c", "latest", &m, &error));
    assert_int_equal(error.code, GB_repository_unreachable);
    assert_non_null(strstr(error.what, OTHER));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
        TEST(leftovers_are_collected_backups_are_not),
        TEST(a_backup_that_commits_meanwhile_stays),
        TEST(a_backup_that_lets_its_lock_go_meanwhile_stays),
        TEST(a_label_is_used_once),
        TEST(names_that_lead_elsewhere_are_refused),
        TEST(backups_are_found_by_name),
        TEST(damaged_manifests_are_named_others_listed),
        TEST(on_nfs_nothing_is_left),
        TEST(what_cant_be_removed_is_in_nobodys_way),
        TEST(what_is_not_ours_or_not_there_is_not_committed),
        TEST(the_latest_of_several_clusters_is_nobodys),
        TEST(a_damaged_latest_is_named),
        TEST(a_damaged_older_one_is_not),
        TEST(what_cant_be_read_may_be_the_latest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
