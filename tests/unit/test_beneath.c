/* beneath.h and marker.h: links that were planted in a directory to be restored are not followed, a
   marker that was planted there is not believed. */
#include "agent/restore/beneath.h"
#include "agent/restore/marker.h"

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
#include <unistd.h>

static char root[64], data[80], outside[80];

static int set_up(void **state)
{
    (void)state;
    snprintf(root, sizeof root, "/tmp/gb-test-beneath-XXXXXX");
    if (!mkdtemp(root))
        return -1;
    snprintf(data, sizeof data, "%s/data", root);
    snprintf(outside, sizeof outside, "%s/outside", root);
    return mkdir(data, 0700) || mkdir(outside, 0750) ? -1 : 0;
}

static int tear_down(void **state)
{
    (void)state;
    char command[128];
    snprintf(command, sizeof command, "rm -rf %s", root);
    return system(command);
}

static const char *in(const char *top, const char *name)
{
    static char path[2][256];
    static unsigned turn;
    char *out = path[turn++ % 2];
    snprintf(out, sizeof path[0], "%s/%s", top, name);
    return out;
}

static void put(const char *path, const char *text)
{
    FILE *f = fopen(path, "w");
    assert_true(f && fputs(text, f) >= 0 && !fclose(f));
}

static bool is_there(const char *path)
{
    struct stat st;
    return !lstat(path, &st);
}

static void files_and_directories_are_made(void **state)
{
    (void)state;
    struct stat st;
    assert_true(beneath_make_directory(data, in(data, "db"), 0751));
    assert_true(beneath_make_directory(data, in(data, "db"), 0750)); /* it is there */
    assert_true(!stat(in(data, "db"), &st) && (st.st_mode & 0777) == 0750);
    int fd = beneath_open(data, in(data, "db/t.ibd"), O_WRONLY | O_CREAT | O_EXCL, 0640);
    assert_true(fd >= 0 && write(fd, "x", 1) == 1 && !close(fd));
    assert_true(!stat(in(data, "db/t.ibd"), &st) && st.st_size == 1);
    fd = beneath_open(data, in(outside, "t.ibd"), O_WRONLY | O_CREAT | O_EXCL,
                      0640); /* where a file outside belongs */
    assert_true(fd >= 0 && !close(fd) && is_there(in(outside, "t.ibd")));
    assert_int_equal(beneath_open(data, in(data, "none/t.ibd"), O_WRONLY | O_CREAT, 0640), -1);
    assert_int_equal(errno, ENOENT);
}

static void the_way_to_the_data_directory_may_be_a_link(void **state)
{
    (void)state;
    char link[128];
    snprintf(link, sizeof link, "%s/link", root);
    assert_int_equal(symlink(data, link), 0);
    assert_true(beneath_make_directory(link, in(link, "db"), 0700));
    int fd = beneath_open(link, in(link, "db/t.ibd"), O_WRONLY | O_CREAT | O_EXCL, 0640);
    assert_true(fd >= 0 && !close(fd) && is_there(in(data, "db/t.ibd")));
}

static void a_planted_link_to_a_directory_is_not_followed(void **state)
{
    (void)state;
    struct stat st;
    assert_int_equal(symlink(outside, in(data, "db")), 0);
    assert_false(beneath_make_directory(data, in(data, "db"), 0777));
    assert_true(!stat(outside, &st) && (st.st_mode & 0777) == 0750);
    assert_int_equal(beneath_open(data, in(data, "db/t.ibd"), O_WRONLY | O_CREAT, 0640), -1);
    assert_true(errno == ELOOP || errno == ENOTDIR);
    assert_false(is_there(in(outside, "t.ibd")));
}

static void a_planted_link_to_a_file_is_not_followed(void **state)
{
    (void)state;
    put(in(outside, "passwd"), "root");
    assert_int_equal(symlink(in(outside, "passwd"), in(data, "ibdata1")), 0);
    assert_int_equal(beneath_open(data, in(data, "ibdata1"), O_WRONLY | O_TRUNC, 0), -1);
    assert_int_equal(errno, ELOOP);
    assert_int_equal(symlink(in(outside, "new"), in(data, "ibdata2")), 0);
    assert_int_equal(beneath_open(data, in(data, "ibdata2"), O_WRONLY | O_CREAT, 0600), -1);
    assert_false(is_there(in(outside, "new")));
    struct stat st;
    assert_true(!stat(in(outside, "passwd"), &st) && st.st_size == 4);
}

static const char marker_text[] =
    "People read this.\n\nbackup: 20260102T030405Z-full-01234567\nnonce: 0\nbegan: "
    "20260102T030405Z\n"
    "state: moving old content aside\naside: %s\noutside: %s\n";

static bool read_marker(struct marker *m)
{
    struct gb_error error = {0};
    bool there = false;
    assert_true(marker_read(data, m, &there, &error));
    return there;
}

static void plant_marker(const char *aside, const char *file)
{
    char text[1024];
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    snprintf(text, sizeof text, marker_text, aside, file);
#pragma GCC diagnostic pop
    put(in(data, RESTORE_MARKER), text);
}

static void our_own_marker_is_believed(void **state)
{
    (void)state;
    struct marker m;
    plant_marker("/aside", "/far/t.ibd");
    assert_true(read_marker(&m));
    assert_string_equal(m.backup, "20260102T030405Z-full-01234567");
    assert_string_equal(m.aside, "/aside");
    assert_int_equal(m.state, MARKER_CLEARING_KEEP);
    assert_int_equal(m.outside_count, 1);
    marker_free(&m);
}

static void places_that_are_relative_are_not_taken(void **state)
{
    (void)state;
    struct marker m;
    plant_marker("../aside", "../far/t.ibd");
    assert_true(read_marker(&m));
    assert_string_equal(m.aside, "");
    assert_int_equal(m.outside_count, 0);
    marker_free(&m);
}

static void a_marker_of_another_user_is_not_believed(void **state)
{
    (void)state;
    struct marker m;
    if (geteuid())
        skip();
    plant_marker("/etc/cron.d", "/etc/passwd");
    assert_int_equal(chown(in(data, RESTORE_MARKER), 12345, 12345), 0);
    assert_true(read_marker(&m)); /* there is one */
    assert_string_equal(m.backup, "");
    assert_string_equal(m.aside, "");
    assert_int_equal(m.state, MARKER_CHANGING);
    assert_int_equal(m.outside_count, 0);
    marker_free(&m);
}

static void a_link_for_a_marker_is_not_followed(void **state)
{
    (void)state;
    struct marker m;
    plant_marker("/aside", "/far/t.ibd");
    assert_int_equal(rename(in(data, RESTORE_MARKER), in(outside, "marker")), 0);
    assert_int_equal(symlink(in(outside, "marker"), in(data, RESTORE_MARKER)), 0);
    assert_true(read_marker(&m));
    assert_string_equal(m.backup, "");
    assert_int_equal(m.outside_count, 0);
    assert_int_equal(unlink(in(data, RESTORE_MARKER)), 0);
    assert_int_equal(mkfifo(in(data, RESTORE_MARKER), 0600),
                     0); /* nobody writes: it must not wait */
    assert_true(read_marker(&m));
    assert_string_equal(m.backup, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
        TEST(files_and_directories_are_made),
        TEST(the_way_to_the_data_directory_may_be_a_link),
        TEST(a_planted_link_to_a_directory_is_not_followed),
        TEST(a_planted_link_to_a_file_is_not_followed),
        TEST(our_own_marker_is_believed),
        TEST(places_that_are_relative_are_not_taken),
        TEST(a_marker_of_another_user_is_not_believed),
        TEST(a_link_for_a_marker_is_not_followed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
