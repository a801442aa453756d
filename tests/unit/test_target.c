/* target.h: which directories are refused, the guard against starting one too early, grastate.dat,
 * owners. */
#include "agent/restore/target.h"
#include "common/redo.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define LABEL    "20260102T030405Z-full-01234567"
#define UUID     "6f1d2c3b-0000-11ee-8000-0123456789ab"
#define LOG_SIZE (REDO_START_OFFSET + 4096)

static char root[64], data[96];

static int set_up(void **state)
{
    (void)state;
    snprintf(root, sizeof root, "/tmp/gb-test-target-XXXXXX");
    snprintf(data, sizeof data, "%s", mkdtemp(root) ? root : "");
    strcat(data, "/data");
    return mkdir(data, 0750);
}

static int tear_down(void **state)
{
    (void)state;
    char command[128];
    snprintf(command, sizeof command, "rm -rf %s", root);
    return system(command);
}

static const char *path_of(const char *name)
{
    static char path[256];
    snprintf(path, sizeof path, "%s/%s", data, name);
    return path;
}

static void make_file(const char *name, const char *text)
{
    FILE *f = fopen(path_of(name), "w");
    assert_non_null(f);
    assert_true(fputs(text, f) >= 0 && !fclose(f));
}

static bool is_there(const char *name)
{
    struct stat st;
    return !lstat(path_of(name), &st);
}

static void holds(const char *name, const char *text)
{
    char found[1024] = "";
    FILE *f = fopen(path_of(name), "r");
    assert_non_null(f);
    fread(found, 1, sizeof found - 1, f);
    fclose(f);
    assert_string_equal(found, text);
}

static enum gb_code check(const char *word)
{
    struct gb_error error = {0};
    bool ok = target_check(data, &error);
    assert_true(ok == !error.code);
    if (!ok && (!strstr(error.what, data) || !strstr(error.what, word)))
        fail_msg("\"%s\" does not name %s", error.what, word);
    return error.code;
}

static void what_is_empty_is_fit(void **state)
{
    (void)state;
    assert_int_equal(check(""), GB_OK);
    assert_int_equal(mkdir(path_of("lost+found"), 0700), 0);
    assert_int_equal(check(""), GB_OK);
    assert_int_equal(rmdir(path_of("lost+found")), 0);
    assert_int_equal(rmdir(data), 0);
    assert_int_equal(check(""), GB_OK);
}

static void content_is_refused_by_name(void **state)
{
    (void)state;
    static const char *const names[] = {"ibdata1", "some.file", ".hidden", "grastate.dat"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        make_file(names[i], "");
        assert_int_equal(check(names[i]), GB_target_not_empty);
        assert_int_equal(error_exit_status(GB_target_not_empty), 15);
        assert_int_equal(unlink(path_of(names[i])), 0);
    }
    assert_int_equal(mkdir(path_of("mysql"), 0700), 0);
    assert_int_equal(check("mysql"), GB_target_not_empty);
}

static void a_file_is_no_directory(void **state)
{
    (void)state;
    assert_int_equal(rmdir(data), 0);
    FILE *f = fopen(data, "w");
    assert_true(f && !fclose(f));
    assert_int_equal(check(""), GB_target_failed);
}

/* A process that holds the lock that a server holds; ends when the pipe is closed. */
static pid_t hold_lock(const char *name, int *pipe_end)
{
    int ready[2], end[2];
    char byte;
    assert_true(!pipe(ready) && !pipe(end));
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (!pid) {
        struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
        int fd = open(path_of(name), O_RDWR);
        close(end[1]);
        bool ok = fd >= 0 && !fcntl(fd, F_SETLK, &lock) && write(ready[1], "r", 1) == 1;
        _exit(ok && read(end[0], &byte, 1) == 0 ? 0 : 1);
    }
    close(end[0]);
    close(ready[1]);
    assert_int_equal(read(ready[0], &byte, 1), 1);
    close(ready[0]);
    *pipe_end = end[1];
    return pid;
}

static void a_server_that_runs_there_is_seen(void **state)
{
    (void)state;
    static const char *const names[] = {"ibdata1", "aria_log_control"};
    for (size_t i = 0; i < 2; i++) {
        int end, status;
        char word[32];
        make_file(names[i], "");
        pid_t pid = hold_lock(names[i], &end);
        snprintf(word, sizeof word, "%d", (int)pid);
        assert_int_equal(check(word), GB_target_in_use);
        close(end);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFEXITED(status) && !WEXITSTATUS(status));
        assert_int_equal(check(names[i]), GB_target_not_empty);
        assert_int_equal(unlink(path_of(names[i])), 0);
    }
}

static void begin(const char *directory)
{
    struct gb_error error = {0};
    struct marker m = {.state = MARKER_WRITING};
    snprintf(m.backup, sizeof m.backup, LABEL);
    if (!target_begin(directory, &m, (uid_t)-1, (gid_t)-1, &error))
        fail_msg("%s", error.what);
}

/* What the server would say of the log. */
static bool log_is_refused(void)
{
    struct redo_log log;
    struct gb_error error = {0};
    uint8_t *header = calloc(1, REDO_START_OFFSET);
    FILE *f = fopen(path_of("ib_logfile0"), "r");
    assert_true(f && header);
    assert_int_equal(fread(header, 1, REDO_START_OFFSET, f), REDO_START_OFFSET);
    fclose(f);
    bool ok = redo_parse_header(header, LOG_SIZE, &log, &error);
    assert_true(ok || strstr(error.what, "unfinished restore"));
    free(header);
    return !ok;
}

static void the_guard(void **state)
{
    (void)state;
    begin(data);
    assert_true(is_there(RESTORE_MARKER) && is_there("mysql"));
    assert_true(log_is_refused());
    char text[1024] = "";
    FILE *f = fopen(path_of(RESTORE_MARKER), "r");
    assert_non_null(f);
    assert_true(fread(text, 1, sizeof text - 1, f) > 0);
    fclose(f);
    assert_non_null(strstr(text, LABEL));
    assert_int_equal(check(""), GB_target_unfinished);
}

static void the_end_takes_the_guard_away(void **state)
{
    (void)state;
    struct gb_error error = {0};
    begin(data);
    assert_false(target_end(data, path_of("ib_logfile0"), &error));
    assert_int_equal(error.code, GB_target_failed);
    assert_true(is_there(RESTORE_MARKER));
    assert_true(log_is_refused());
    error_clear(&error);
    make_file("ib_logfile0.restoring", "the restored one");
    assert_true(target_end(data, path_of("ib_logfile0"), &error));
    assert_false(is_there(RESTORE_MARKER));
    assert_false(is_there("ib_logfile0.restoring"));
    holds("ib_logfile0", "the restored one");
    assert_int_equal(check("mysql"), GB_target_not_empty);
}

static void directories_above_are_made(void **state)
{
    (void)state;
    struct stat st;
    static const char *const endings[] = {"/deep/er/data", "/deep/slash/data/"};
    mode_t old = umask(022);
    for (size_t i = 0; i < 2; i++) {
        char path[160];
        snprintf(path, sizeof path, "%s%s", root, endings[i]);
        begin(path);
        assert_int_equal(stat(path, &st), 0);
        assert_int_equal(st.st_mode & 0777, 0700);
    }
    umask(old);
    char path[160];
    snprintf(path, sizeof path, "%s/deep", root);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0755);
}

static void a_directory_that_is_there_keeps_its_mode(void **state)
{
    (void)state;
    struct stat st;
    begin(data);
    assert_int_equal(stat(data, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0750);
}

static void what_galera_reads(void **state)
{
    (void)state;
    static const struct {
        const char *position;
        bool safe;
        const char *text;
    } good[] = {
        {UUID ":4711", false,
         "# GALERA saved state\nversion: 2.1\nuuid:    " UUID
         "\nseqno:   4711\nsafe_to_bootstrap: 0\n"},
        {UUID ":0", true,
         "# GALERA saved state\nversion: 2.1\nuuid:    " UUID
         "\nseqno:   0\nsafe_to_bootstrap: 1\n"},
        {UUID ":9223372036854775807", false,
         "# GALERA saved state\nversion: 2.1\nuuid:    " UUID
         "\nseqno:   9223372036854775807\nsafe_to_bootstrap: 0\n"},
    };
    static const char *const bad[] = {
        "",           "4711",        UUID,
        "short:4711", UUID "0:4711", UUID ":",
        UUID ":x",    UUID ":4711 ", UUID ":4711\nsafe_to_bootstrap: 1"};
    struct gb_error error = {0};
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        assert_true(target_grastate(data, good[i].position, good[i].safe, &error));
        holds("grastate.dat", good[i].text);
    }
    assert_int_equal(unlink(path_of("grastate.dat")), 0);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        error_clear(&error);
        if (target_grastate(data, bad[i], false, &error))
            fail_msg("\"%s\" is accepted", bad[i]);
        assert_int_equal(error.code, GB_corrupt_backup);
        assert_false(is_there("grastate.dat"));
    }
}

static void owners(void **state)
{
    (void)state;
    struct gb_error error = {0};
    struct restore_request request = {.datadir = data, .owner = "root"};
    uid_t uid;
    gid_t gid;
    assert_true(target_owner(&request, &uid, &gid, &error));
    assert_true(uid == 0 && gid == 0);
    static const char *const bad[] = {"no-such-user-gb", "root:no-such-group-gb", "", ":root"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        error_clear(&error);
        request.owner = bad[i];
        assert_false(target_owner(&request, &uid, &gid, &error));
        assert_int_equal(error.code, GB_bad_value);
        assert_non_null(strstr(error.what, bad[i]));
    }
}

static void the_owner_of_the_directory_is_kept(void **state)
{
    (void)state;
    struct gb_error error = {0};
    struct restore_request request = {.datadir = data};
    struct stat st;
    uid_t uid;
    gid_t gid;
    if (geteuid())
        skip();
    assert_int_equal(chown(data, 12345, 54321), 0);
    assert_true(target_owner(&request, &uid, &gid, &error));
    assert_true(uid == 12345 && gid == 54321);
    begin(data);
    assert_int_equal(symlink("/nowhere/gb", path_of("mysql/link")), 0);
    assert_true(target_chown(data, uid, gid, &error));
    static const char *const names[] = {".", "mysql", "mysql/link", "ib_logfile0"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        assert_int_equal(lstat(path_of(names[i]), &st), 0);
        assert_true(st.st_uid == 12345 && st.st_gid == 54321);
    }
    assert_int_equal(lstat(path_of(RESTORE_MARKER), &st), 0);
    assert_int_equal(st.st_uid, geteuid());                        /* so that it is believed */
    assert_true(target_chown(data, (uid_t)-1, (gid_t)-1, &error)); /* leave */
    assert_int_equal(stat(data, &st), 0);
    assert_int_equal(st.st_uid, 12345);
}

static void a_link_to_the_directory_is_followed_others_not(void **state)
{
    (void)state;
    struct gb_error error = {0};
    struct stat st;
    char link[128], elsewhere[128];
    if (geteuid())
        skip();
    begin(data);
    snprintf(link, sizeof link, "%s/link", root);
    snprintf(elsewhere, sizeof elsewhere, "%s/elsewhere", root);
    assert_int_equal(symlink(data, link), 0);
    assert_true(!mkdir(elsewhere, 0700) && !symlink(elsewhere, path_of("way")));
    assert_true(target_chown(link, 12345, 54321, &error));
    static const char *const names[] = {".", "mysql", "way", "ib_logfile0"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        assert_int_equal(lstat(path_of(names[i]), &st), 0);
        if (st.st_uid != 12345 || st.st_gid != 54321)
            fail_msg("%s belongs to %u", names[i], (unsigned)st.st_uid);
    }
    assert_int_equal(lstat(elsewhere, &st), 0);
    assert_int_equal(st.st_uid, geteuid());
    assert_false(target_chown(path_of("nowhere"), 12345, 54321, &error));
    assert_int_equal(error.code, GB_target_failed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
        TEST(what_is_empty_is_fit),
        TEST(content_is_refused_by_name),
        TEST(a_file_is_no_directory),
        TEST(a_server_that_runs_there_is_seen),
        TEST(the_guard),
        TEST(the_end_takes_the_guard_away),
        TEST(directories_above_are_made),
        TEST(a_directory_that_is_there_keeps_its_mode),
        TEST(what_galera_reads),
        TEST(owners),
        TEST(the_owner_of_the_directory_is_kept),
        TEST(a_link_to_the_directory_is_followed_others_not),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
