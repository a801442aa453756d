/* agent/daemon/spool.c */
#include "agent/daemon/spool.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static char directory[] = "/tmp/test_spool.XXXXXX";

static int make_directory(void **state)
{
    (void)state;
    return mkdtemp(directory) ? 0 : -1;
}

/* Whatever was in it had no name. */
static int remove_directory(void **state)
{
    (void)state;
    return rmdir(directory);
}

static void what_is_put_comes_back_in_order(void **state)
{
    (void)state;
    struct gb_error error = {0};
    struct spool *s = spool_open(directory, 1000, &error);
    assert_non_null(s);
    uint64_t at[3];
    uint8_t data[300], back[300];
    for (unsigned i = 0; i < 3; i++) {
        memset(data, (int)('a' + i), sizeof data);
        assert_true(spool_put(s, data, sizeof data, &at[i], &error));
    }
    for (unsigned i = 0; i < 3; i++) {
        memset(data, (int)('a' + i), sizeof data);
        assert_true(spool_take(s, at[i], back, sizeof back, &error));
        assert_memory_equal(data, back, sizeof back);
    }
    spool_close(s);
}

static void a_full_one_refuses_until_there_is_room(void **state)
{
    (void)state;
    struct gb_error error = {0};
    struct spool *s = spool_open(directory, 500, &error);
    assert_non_null(s);
    uint64_t first, second;
    uint8_t data[300] = {1}, back[300];
    assert_true(spool_put(s, data, sizeof data, &first, &error));
    assert_false(spool_put(s, data, sizeof data, &second, &error));
    assert_int_equal(error.code, GB_redo_memory);
    assert_true(spool_take(s, first, back, sizeof back, &error));
    error_clear(&error);
    assert_true(spool_put(s, data, sizeof data, &second, &error));
    spool_close(s);
}

/* The repository never catches up in full: what has been taken makes room all the same. */
static void room_comes_back_frame_by_frame(void **state)
{
    (void)state;
    struct gb_error error = {0};
    struct spool *s = spool_open(directory, 1000, &error);
    assert_non_null(s);
    uint64_t at[40];
    uint8_t data[300], back[300];
    for (unsigned i = 0; i < 40; i++) {
        memset(data, (int)i, sizeof data);
        assert_true(spool_put(s, data, sizeof data, &at[i], &error));
        if (i < 2)
            continue;
        assert_true(spool_take(s, at[i - 2], back, sizeof back, &error));
        memset(data, (int)i - 2, sizeof data);
        assert_memory_equal(data, back, sizeof back);
    }
    spool_close(s);
}

static void a_directory_that_is_not_there_is_named(void **state)
{
    (void)state;
    struct gb_error error = {0};
    assert_null(spool_open("/nonexistent/spool", 500, &error));
    assert_int_equal(error.code, GB_bad_config);
    assert_non_null(strstr(error.what, "/nonexistent/spool"));
    spool_close(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_put_comes_back_in_order),
        cmocka_unit_test(a_full_one_refuses_until_there_is_room),
        cmocka_unit_test(room_comes_back_frame_by_frame),
        cmocka_unit_test(a_directory_that_is_not_there_is_named),
    };
    return cmocka_run_group_tests(tests, make_directory, remove_directory);
}
