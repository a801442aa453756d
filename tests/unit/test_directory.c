/* storage.h over a directory: an object is there whole or not at all, and nothing is reached
 * outside the root. */
#include "agent/storage/storage.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static char root[64], store[96], outside[96];
static struct storage *storage;

/* What happens between the open() and the flock() of a lock; each runs once. */
static void (*before_flock)(void);

int flock(int fd, int operation)
{
    void (*happen)(void) =
        __atomic_exchange_n(&before_flock, NULL, __ATOMIC_ACQ_REL); /* some tests have threads */
    if (happen)
        happen();
    return (int)syscall(SYS_flock, fd, operation);
}

/* The first name that is removed. */
static char first_removed[256];

int unlinkat(int directory, const char *name, int flags)
{
    if (!first_removed[0])
        snprintf(first_removed, sizeof first_removed, "%s", name);
    return (int)syscall(SYS_unlinkat, directory, name, flags);
}

static int set_up(void **state)
{
    (void)state;
    struct gb_error error = {0};
    snprintf(root, sizeof root, "/tmp/gb-test-directory-XXXXXX");
    if (!mkdtemp(root))
        return -1;
    snprintf(store, sizeof store, "%s/store", root);
    snprintf(outside, sizeof outside, "%s/outside", root);
    storage = mkdir(store, 0700) ? NULL : storage_open_directory(store, 0, &error);
    return storage && !mkdir(outside, 0700) ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    char command[128];
    storage_close(storage);
    snprintf(command, sizeof command, "rm -rf %s", root);
    return system(command);
}

static const char *path_of(const char *name)
{
    static char path[4][512];
    static unsigned at;
    char *p = path[at++ % 4];
    snprintf(p, sizeof path[0], "%s/%s", store, name);
    return p;
}

static mode_t mode_of(const char *path)
{
    struct stat st;
    if (lstat(path, &st))
        fail_msg("%s is not there", path);
    return st.st_mode & 07777;
}

static bool is_there(const char *path)
{
    struct stat st;
    return !lstat(path, &st);
}

static void make_file(const char *path, const char *text)
{
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    assert_true(fputs(text, f) >= 0 && !fclose(f));
}

static struct storage_writer *create(const char *name)
{
    struct gb_error error = {0};
    struct storage_writer *w = storage_create(storage, name, &error);
    if (!w)
        fail_msg("%s: %s", name, error.what);
    return w;
}

static void put(const char *name, const char *text)
{
    struct gb_error error = {0};
    struct storage_writer *w = create(name);
    if (!storage_write(w, text, strlen(text), &error) || !storage_commit(w, &error))
        fail_msg("%s: %s", name, error.what);
}

static void holds(const char *name, const char *text)
{
    struct gb_error error = {0};
    size_t size;
    char *data = storage_read_all(storage, name, 1 << 20, &size, &error);
    if (!data)
        fail_msg("%s: %s", name, error.what);
    assert_int_equal(size, strlen(text));
    assert_string_equal(data, text); /* and a NUL behind */
    free(data);
}

/* Names of the entries of a prefix, each with a space, directories with a slash. */
struct names {
    char text[1024];
    unsigned count, most;
};

static bool take(void *context, const char *name, bool directory)
{
    struct names *n = context;
    size_t at = strlen(n->text);
    snprintf(n->text + at, sizeof n->text - at, "%s%s ", name, directory ? "/" : "");
    return ++n->count != n->most;
}

static void lists(const char *prefix, const char *expected)
{
    struct gb_error error = {0};
    struct names n = {.count = 0};
    if (!storage_list(storage, prefix, take, &n, &error))
        fail_msg("%s: %s", prefix, error.what);
    assert_string_equal(n.text, expected);
}

/* ---- objects ---- */

static void an_object_is_there_whole_or_not(void **state)
{
    (void)state;
    struct gb_error error = {0};
    uint64_t size;
    struct storage_writer *w = create("c/b/one");
    assert_true(storage_write(w, "first ", 6, &error));
    assert_true(storage_write(w, "", 0, &error));
    assert_true(storage_write(w, "second", 6, &error));
    assert_false(storage_size(storage, "c/b/one", &size, &error));
    assert_int_equal(error.code, GB_not_found);
    lists("c/b", "");
    error_clear(&error);
    assert_true(storage_commit(w, &error));
    holds("c/b/one", "first second");
    lists("c/b", "one ");
    assert_int_equal(unlink(path_of("c/b/one")), 0);
    assert_int_equal(rmdir(path_of("c/b")), 0); /* there was nothing else */
}

static void an_aborted_object_leaves_nothing(void **state)
{
    (void)state;
    struct gb_error error = {0};
    struct storage_writer *w = create("c/b/one");
    assert_true(storage_write(w, "half", 4, &error));
    storage_abort(w);
    assert_int_equal(rmdir(path_of("c/b")), 0);
}

static void an_object_is_never_changed(void **state)
{
    (void)state;
    struct gb_error error = {0};
    put("c/one", "old");
    struct storage_writer *w = storage_create(storage, "c/one", &error);
    assert_false(w && storage_write(w, "new", 3, &error) && storage_commit(w, &error));
    assert_int_equal(error.code, GB_store_failed);
    assert_non_null(strstr(error.what, "c/one"));
    holds("c/one", "old");
    assert_int_equal(unlink(path_of("c/one")), 0);
    assert_int_equal(rmdir(path_of("c")), 0);
}

static void of_two_writers_one_commits(void **state)
{
    (void)state;
    struct gb_error one_error = {0}, two_error = {0};
    struct storage_writer *one = create("c/one");
    struct storage_writer *two = storage_create(storage, "c/one", &two_error);
    bool second = two && storage_commit(two, &two_error);
    bool first = storage_commit(one, &one_error);
    assert_true(first != second);
    assert_int_equal(first ? two_error.code : one_error.code, GB_store_failed);
    lists("c", "one ");
}

static void modes(void **state)
{
    (void)state;
    mode_t old = umask(0);
    put("c/backups/label/one", "x");
    struct gb_error error = {0};
    struct storage_lock *lock = storage_lock(storage, "d/.lock", &error);
    umask(old);
    assert_non_null(lock);
    assert_int_equal(mode_of(store), 0700);
    assert_int_equal(mode_of(path_of("c")), 0700);
    assert_int_equal(mode_of(path_of("c/backups")), 0700);
    assert_int_equal(mode_of(path_of("c/backups/label")), 0700);
    assert_int_equal(mode_of(path_of("c/backups/label/one")), 0600);
    assert_int_equal(mode_of(path_of("d")), 0700);
    assert_int_equal(mode_of(path_of("d/.lock")), 0600);
    storage_unlock(lock);
}

static void reading(void **state)
{
    (void)state;
    struct gb_error error = {0};
    char data[16];
    uint64_t bytes;
    size_t size;
    put("c/one", "0123456789");
    put("c/empty", "");
    assert_true(storage_size(storage, "c/one", &bytes, &error));
    assert_int_equal(bytes, 10);
    assert_true(storage_read(storage, "c/one", 3, data, 7, &error));
    assert_memory_equal(data, "3456789", 7);
    assert_true(storage_read(storage, "c/one", 10, data, 0, &error));
    assert_false(storage_read(storage, "c/one", 4, data, 7, &error)); /* shorter */
    assert_int_equal(error.code, GB_corrupt_backup);
    error_clear(&error);
    assert_false(storage_read(storage, "c/two", 0, data, 1, &error));
    assert_int_equal(error.code, GB_not_found);
    error_clear(&error);
    assert_null(storage_read_all(storage, "c/two", 10, &size, &error));
    assert_int_equal(error.code, GB_not_found);
    error_clear(&error);
    assert_null(storage_read_all(storage, "c/one", 9, &size, &error)); /* above the limit */
    assert_int_equal(error.code, GB_corrupt_backup);
    error_clear(&error);
    char *whole = storage_read_all(storage, "c/one", 10, &size, &error);
    assert_non_null(whole);
    assert_string_equal(whole, "0123456789");
    free(whole);
    holds("c/empty", "");
    assert_false(storage_size(storage, "c", &bytes, &error)); /* no object */
    assert_true(error.code != GB_OK);
}

/* ---- names ---- */

static void names_that_lead_elsewhere_are_refused(void **state)
{
    (void)state;
    char too_long[310];
    memset(too_long, 'n', sizeof too_long);
    memcpy(too_long + sizeof too_long - 3, "/x", 3);
    const char *const bad[] = {"../x", "/tmp/x", "c/../../x", "c/..", "c/./x",
                               "c//x", "./x",    "..",        ".",    too_long};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct gb_error error = {0};
        uint64_t size;
        char byte;
        struct names n = {.count = 0};
        if (storage_create(storage, bad[i], &error))
            fail_msg("%s can be written", bad[i]);
        assert_int_equal(error.code, GB_store_failed);
        assert_false(storage_read(storage, bad[i], 0, &byte, 1, &error));
        assert_false(storage_size(storage, bad[i], &size, &error));
        assert_null(storage_lock(storage, bad[i], &error));
        error_clear(&error);
        assert_false(storage_remove_all(storage, bad[i], &error));
        assert_int_equal(error.code, GB_store_failed);
        error_clear(&error);
        assert_false(storage_list(storage, bad[i], take, &n, &error));
        assert_int_equal(n.count, 0);
    }
    lists("", "");
}

static int set_up_links(void **state)
{
    char path[512];
    if (set_up(state))
        return -1;
    snprintf(path, sizeof path, "%s/secret", outside);
    make_file(path, "secret");
    put("c/real/one", "real");
    return symlink(outside, path_of("c/way")) || symlink(path, path_of("c/real/link"));
}

static void links_are_not_followed(void **state)
{
    (void)state;
    struct gb_error error = {0};
    uint64_t size;
    char data[8], path[512];
    struct names n = {.count = 0};
    assert_null(storage_create(storage, "c/way/new", &error));
    assert_int_equal(error.code, GB_store_failed);
    error_clear(&error);
    assert_null(storage_create(storage, "c/way/deep/new", &error));
    error_clear(&error);
    assert_false(storage_read(storage, "c/way/secret", 0, data, 6, &error));
    error_clear(&error);
    assert_false(storage_read(storage, "c/real/link", 0, data, 6, &error));
    error_clear(&error);
    assert_false(storage_size(storage, "c/real/link", &size, &error));
    error_clear(&error);
    assert_null(storage_lock(storage, "c/way/.lock", &error));
    assert_null(storage_lock(storage, "c/real/link", &error));
    error_clear(&error);
    assert_false(storage_list(storage, "c/way", take, &n, &error));
    assert_int_equal(n.count, 0);
    error_clear(&error);
    assert_false(storage_remove_all(storage, "c/way", &error));
    assert_int_equal(error.code, GB_store_failed);
    lists("c", "real/ ");
    lists("c/real", "one ");
    snprintf(path, sizeof path, "%s/new", outside);
    assert_false(is_there(path));
    snprintf(path, sizeof path, "%s/deep", outside);
    assert_false(is_there(path));
    /* What is removed is the link, not what it names. */
    error_clear(&error);
    assert_true(storage_remove_all(storage, "c", &error));
    assert_false(is_there(path_of("c")));
    snprintf(path, sizeof path, "%s/secret", outside);
    assert_true(is_there(path));
}

/* ---- prefixes ---- */

static void listing(void **state)
{
    (void)state;
    struct gb_error error = {0};
    struct names n = {.most = 2};
    put("c/b", "x");
    put("c/a/x", "x");
    put("c/c/x", "x");
    put("c/Z", "x");
    put("c/10", "x");
    put("c/9", "x");
    assert_int_equal(mkdir(path_of("c/lost+found"), 0700), 0);
    make_file(path_of("c/.hidden"), "");
    assert_int_equal(mkfifo(path_of("c/pipe"), 0600), 0);
    struct storage_writer *w = create("c/unfinished");
    lists("c", "10 9 Z a/ b c/ ");
    storage_abort(w);
    assert_true(storage_list(storage, "c", take, &n, &error));
    assert_string_equal(n.text, "10 9 "); /* stopped */
    lists("", "c/ ");
    lists("nowhere", "");
    lists("nowhere/below", "");
}

static void removing(void **state)
{
    (void)state;
    struct gb_error error = {0};
    put("c/backups/one/data/000001.seg", "x");
    put("c/backups/one/backup.json", "x");
    put("c/backups/one/index", "x");
    put("c/backups/two/index", "x");
    make_file(path_of("c/backups/one/.lock"), "");
    make_file(path_of("c/backups/one/data/000002.seg.part"), "left over");
    first_removed[0] = '\0';
    assert_true(storage_remove_all(storage, "c/backups/one", &error));
    assert_string_equal(first_removed, "backup.json");
    assert_false(is_there(path_of("c/backups/one")));
    holds("c/backups/two/index", "x");
    assert_true(storage_remove_all(storage, "c/backups/one", &error)); /* it is not there */
    assert_true(storage_remove_all(storage, "nowhere/below", &error));
    assert_false(storage_remove_all(storage, "c/backups/two/index", &error)); /* no prefix */
    assert_int_equal(error.code, GB_store_failed);
}

/* ---- locks ---- */

static void a_lock_is_held_once(void **state)
{
    (void)state;
    struct gb_error error = {0};
    struct storage_lock *one = storage_lock(storage, "c/.lock", &error);
    assert_non_null(one);
    assert_null(storage_lock(storage, "c/.lock", &error));
    assert_int_equal(error.code, GB_repository_busy);
    error_clear(&error);
    struct storage_lock *other = storage_lock(storage, "d/.lock", &error);
    assert_non_null(other);
    storage_unlock(one);
    assert_false(is_there(path_of("c/.lock")));
    one = storage_lock(storage, "c/.lock", &error);
    assert_non_null(one);
    storage_unlock(one);
    storage_unlock(other);
    storage_unlock(NULL);
}

static void remove_lock_file(void)
{
    assert_int_equal(unlink(path_of("c/.lock")), 0);
}

/* Someone else removes the file (he held the lock) between open() and flock(): a lock of a file
   without a name excludes nobody. */
static void a_removed_lock_is_no_lock(void **state)
{
    (void)state;
    struct gb_error error = {0};
    before_flock = remove_lock_file;
    struct storage_lock *one = storage_lock(storage, "c/.lock", &error);
    struct storage_lock *two = storage_lock(storage, "c/.lock", &error);
    assert_false(one && two);
    storage_unlock(one);
    storage_unlock(two);
}

/* Moved, or unmounted: what is held open leads to where nobody looks. */
static void a_store_that_has_been_moved_takes_nothing_more(void **state)
{
    (void)state;
    struct gb_error error = {0};
    char away[256];
    snprintf(away, sizeof away, "%s.away", store);
    struct storage_lock *lock = storage_lock(storage, "c/one/.lock", &error);
    struct storage_writer *w = storage_create(storage, "c/one/object", &error);
    assert_true(w && storage_write(w, "abc", 3, &error));
    assert_int_equal(rename(store, away), 0);
    assert_false(storage_commit(w, &error));
    assert_int_equal(error.code, GB_store_failed);
    assert_non_null(strstr(error.what, store));
    error_clear(&error);
    assert_null(storage_create(storage, "c/one/other", &error));
    assert_int_equal(error.code, GB_store_failed);
    assert_false(is_there(store));
    assert_int_equal(rename(away, store), 0);
    assert_false(is_there(path_of("c/one/object")));
    storage_unlock(lock);
}

/* ---- space ---- */

static void the_root_must_be_a_directory(void **state)
{
    (void)state;
    struct gb_error error = {0};
    char path[128];
    snprintf(path, sizeof path, "%s/nowhere", root);
    assert_null(storage_open_directory(path, 0, &error));
    assert_int_equal(error.code, GB_repository_unreachable);
    assert_non_null(strstr(error.what, path));
    assert_non_null(strstr(error.hint, "mounted"));
    assert_false(is_there(path));
    error_clear(&error);
    snprintf(path, sizeof path, "%s/file", root);
    make_file(path, "");
    assert_null(storage_open_directory(path, 0, &error));
    assert_int_equal(error.code, GB_repository_unreachable);
    assert_string_equal(storage_describe(storage), store);
}

static void space_that_is_wanted(void **state)
{
    (void)state;
    static const uint64_t too_much[] = {1ull << 60, UINT64_MAX / 2, UINT64_MAX - 1, UINT64_MAX};
    static const unsigned percents[] = {0, 1, 10, 99};
    struct gb_error error = {0};
    uint64_t available = 0;
    assert_true(storage_check_space(storage, 0, &available, &error));
    assert_true(available > 0);
    assert_true(storage_check_space(storage, 0, NULL, &error));
    for (size_t i = 0; i < 4; i++)
        for (size_t j = 0; j < 4; j++) {
            struct storage *s = storage_open_directory(store, percents[i], &error);
            assert_non_null(s);
            if (storage_check_space(s, too_much[j], &available, &error))
                fail_msg("room for %llu bytes beside %u %%", (unsigned long long)too_much[j],
                         percents[i]);
            assert_int_equal(error.code, GB_no_space);
            assert_non_null(strstr(error.what, store));
            error_clear(&error);
            storage_close(s);
        }
}

#define SMALL (100u << 20) /* bytes of the file system that is filled */

/* A file system of its own, where this user may have one. */
static struct storage *open_small(unsigned min_free_percent)
{
    struct gb_error error = {0};
    char options[32];
    snprintf(options, sizeof options, "size=%u", SMALL);
    if (unshare(CLONE_NEWNS) || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
        mount("none", outside, "tmpfs", 0, options))
        return NULL;
    struct storage *s = storage_open_directory(outside, min_free_percent, &error);
    assert_non_null(s);
    return s;
}

static void close_small(struct storage *s)
{
    storage_close(s);
    assert_int_equal(umount(outside), 0);
}

/* How much can be written until it is refused. */
static uint64_t write_until_refused(struct storage *s, struct gb_error *error)
{
    static uint8_t data[1 << 20];
    struct storage_writer *w = storage_create(s, "c/one", error);
    assert_non_null(w);
    uint64_t written = 0;
    while (written < 2 * (uint64_t)SMALL && storage_write(w, data, sizeof data, error))
        written += sizeof data;
    storage_abort(w);
    return written;
}

static void a_full_file_system_is_named(void **state)
{
    (void)state;
    struct gb_error error = {0};
    struct storage *s = open_small(0);
    if (!s)
        skip();
    uint64_t written = write_until_refused(s, &error), available;
    assert_int_equal(error.code, GB_no_space);
    assert_non_null(strstr(error.what, outside));
    assert_true(written > SMALL / 2);
    error_clear(&error);
    assert_true(storage_check_space(s, written, &available, &error)); /* all is given back */
    assert_false(storage_check_space(s, SMALL + 1, &available, &error));
    assert_int_equal(error.code, GB_no_space);
    close_small(s);
}

static void min_free_is_left(void **state)
{
    (void)state;
    struct gb_error error = {0};
    struct storage *s = open_small(40);
    if (!s)
        skip();
    assert_true(storage_check_space(s, SMALL / 2, NULL, &error));
    assert_false(storage_check_space(s, SMALL / 10 * 7, NULL, &error));
    assert_int_equal(error.code, GB_no_space);
    assert_non_null(strstr(error.what, "40 %"));
    error_clear(&error);
    uint64_t written = write_until_refused(s, &error);
    assert_int_equal(error.code, GB_no_space);
    assert_non_null(strstr(error.what, "min-free"));
    assert_true(written < SMALL / 10 * 9); /* before the file system is full */
    close_small(s);
}

static void what_is_removed_under_its_lock_goes_with_it(void **state)
{
    (void)state;
    struct gb_error error = {0};
    struct storage_lock *lock = storage_lock(storage, "c/one/.lock", &error);
    struct storage_lock *above = storage_lock(storage, ".lock", &error);
    assert_true(lock && above);
    put("c/one/data/object", "x");
    assert_true(storage_remove_all(storage, "c/one", &error));
    assert_int_equal(access(path_of("c/one/.lock"), F_OK), 0);
    assert_int_not_equal(access(path_of("c/one/data"), F_OK), 0);
    assert_null(storage_lock(storage, "c/one/.lock", &error));
    assert_int_equal(error.code, GB_repository_busy);
    storage_unlock(lock);
    assert_int_not_equal(access(path_of("c/one"), F_OK), 0);
    assert_int_equal(access(path_of("c"), F_OK), 0);
    storage_unlock(above);
    assert_int_equal(access(store, F_OK), 0);
}

/* Removed and taken by another process, which holds it now. */
static void what_is_anothers_lock_stays(void **state)
{
    (void)state;
    struct gb_error error = {0};
    struct storage_lock *one = storage_lock(storage, "c/.lock", &error);
    assert_int_equal(unlink(path_of("c/.lock")), 0);
    struct storage_lock *two = storage_lock(storage, "c/.lock", &error);
    assert_true(one && two);
    storage_unlock(one);
    assert_int_equal(access(path_of("c/.lock"), F_OK), 0);
    storage_unlock(two);
    assert_int_not_equal(access(path_of("c/.lock"), F_OK), 0);
}

/* Directories below a lock are made, those that it stands in are not made anew. */
static void nothing_is_written_where_the_lock_is_gone(void **state)
{
    (void)state;
    struct gb_error error = {0};
    struct storage_lock *lock = storage_lock(storage, "c/one/.lock", &error);
    assert_non_null(lock);
    put("c/one/data/object", "x");
    struct storage_writer *w = create("c/one/index");
    assert_true(storage_remove_all(storage, "c", &error));
    assert_null(storage_create(storage, "c/one/backup.json", &error));
    assert_int_equal(error.code, GB_store_failed);
    error_clear(&error);
    assert_false(storage_commit(w, &error));
    assert_int_equal(error.code, GB_store_failed);
    assert_int_not_equal(access(path_of("c"), F_OK), 0);
    storage_unlock(lock);
}

static void *replace_often(void *first)
{
    struct gb_error error = {0};
    char text[5000];
    memset(text, *(char *)first, sizeof text);
    for (int i = 0; i < 100; i++)
        if (!storage_replace(storage, "c/small", text, sizeof text, &error))
            return "failed";
    return NULL;
}

static void a_small_object_is_replaced_whole(void **state)
{
    (void)state;
    struct gb_error error = {0};
    char a = 'a', b = 'b';
    pthread_t one, other;
    void *one_failed, *other_failed;
    assert_true(storage_replace(storage, "c/small", "first", 5, &error));
    assert_int_equal(mode_of(path_of("c/small")), 0600);
    assert_int_equal(pthread_create(&one, NULL, replace_often, &a), 0);
    assert_int_equal(pthread_create(&other, NULL, replace_often, &b), 0);
    for (int i = 0; i < 200; i++) {
        size_t size;
        char *text = storage_read_all(storage, "c/small", 10000, &size, &error);
        assert_non_null(text);
        assert_true(size == 5 || size == 5000);
        for (size_t k = 1; k < size && size == 5000; k++)
            assert_int_equal(text[k], text[0]);
        free(text);
    }
    pthread_join(one, &one_failed);
    pthread_join(other, &other_failed);
    assert_null(one_failed);
    assert_null(other_failed);
    assert_int_equal(access(path_of("c/small.part"), F_OK), -1);
    /* what a process that died left is taken over, and shorter than it was */
    int fd = open(path_of("c/small.part"), O_WRONLY | O_CREAT, 0600);
    assert_int_equal(write(fd, "left over", 9), 9);
    close(fd);
    assert_true(storage_replace(storage, "c/small", "x", 1, &error));
    uint64_t size;
    assert_true(storage_size(storage, "c/small", &size, &error));
    assert_int_equal(size, 1);
    char *large = calloc(1, STORAGE_REPLACE_MAX + 1);
    assert_false(storage_replace(storage, "c/small", large, STORAGE_REPLACE_MAX + 1, &error));
    assert_int_equal(error.code, GB_store_failed);
    free(large);
    assert_true(storage_remove(storage, "c/small", &error));
    assert_int_equal(access(path_of("c/small"), F_OK), -1);
    assert_true(storage_remove(storage, "c/small", &error));
    assert_true(storage_remove(storage, "none/small", &error));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
        TEST(an_object_is_there_whole_or_not),
        TEST(an_aborted_object_leaves_nothing),
        TEST(an_object_is_never_changed),
        TEST(of_two_writers_one_commits),
        TEST(modes),
        TEST(reading),
        TEST(names_that_lead_elsewhere_are_refused),
        cmocka_unit_test_setup_teardown(links_are_not_followed, set_up_links, tear_down),
        TEST(listing),
        TEST(removing),
        TEST(a_lock_is_held_once),
        TEST(a_removed_lock_is_no_lock),
        TEST(a_store_that_has_been_moved_takes_nothing_more),
        TEST(the_root_must_be_a_directory),
        TEST(space_that_is_wanted),
        TEST(a_full_file_system_is_named),
        TEST(min_free_is_left),
        TEST(what_is_removed_under_its_lock_goes_with_it),
        TEST(what_is_anothers_lock_stays),
        TEST(nothing_is_written_where_the_lock_is_gone),
        TEST(a_small_object_is_replaced_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
