/* adapt.h: the level rises while threads wait for the store, falls while the store waits for them,
 * within its bounds. */
#include "agent/codec/adapt.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

static void one_step(void **state)
{
    (void)state;
    for (int level = ADAPT_LEVEL_MIN; level <= ADAPT_LEVEL_MAX; level++) {
        int up = level < ADAPT_LEVEL_MAX ? level + 1 : level;
        assert_int_equal(adapt_level(level, 1.0), up);
        assert_int_equal(adapt_level(level, 0.7), up);
        assert_int_equal(adapt_level(level, 0.5), level);
        assert_int_equal(adapt_level(level, 0.34), level);
        assert_true(adapt_level(level, 0.3) < level || level == ADAPT_LEVEL_MIN);
        assert_int_equal(adapt_level(level, 0.3), adapt_level(level, 0.0));
    }
    /* down faster than up */
    assert_int_equal(adapt_level(9, 0), 6);
    assert_int_equal(adapt_level(6, 0), 4);
    assert_int_equal(adapt_level(4, 0), 2);
    assert_int_equal(adapt_level(2, 0), 1);
    /* what is out of bounds comes back */
    assert_int_equal(adapt_level(40, 1), ADAPT_LEVEL_MAX);
    assert_int_equal(adapt_level(-7, 0), ADAPT_LEVEL_MIN);
}

/* A backup on `threads` threads of which so many wait for the store, all the time. */
static int after(struct adapt *a, uint64_t *now, uint64_t *store, unsigned seconds,
                 unsigned threads, unsigned waiting)
{
    for (unsigned i = 0; i < 10 * seconds; i++) {
        *now += 100000;
        *store += 100000ull * waiting;
        adapt_look(a, *now, *store, threads);
    }
    return a->level;
}

static void a_backup(void **state)
{
    (void)state;
    struct adapt a;
    uint64_t now = 777, store = 0;
    adapt_begin(&a, now);
    assert_int_equal(a.level, ADAPT_LEVEL_MIN);
    assert_int_equal(after(&a, &now, &store, 60, 4, 1),
                     ADAPT_LEVEL_MIN); /* a fast store, however long it takes */
    assert_int_equal(a.highest, ADAPT_LEVEL_MIN);
    assert_int_equal(after(&a, &now, &store, 1, 4, 4), ADAPT_LEVEL_MIN + 2);
    assert_int_equal(after(&a, &now, &store, 5, 4, 2), ADAPT_LEVEL_MIN + 2); /* in balance */
    assert_int_equal(after(&a, &now, &store, 60, 4, 4), ADAPT_LEVEL_MAX);
    assert_int_equal(after(&a, &now, &store, 3, 4, 0), ADAPT_LEVEL_MIN);
    assert_int_equal(a.highest, ADAPT_LEVEL_MAX);
}

/* Between two looks nothing changes: a frame that took long says little. */
static void not_too_often(void **state)
{
    (void)state;
    struct adapt a;
    adapt_begin(&a, 1000);
    assert_false(adapt_look(&a, 1000, 0, 4));
    assert_false(adapt_look(&a, 1000 + ADAPT_EVERY_US - 1, 4ull * ADAPT_EVERY_US, 4));
    assert_false(adapt_look(&a, 1000 + ADAPT_EVERY_US, 0, 0));
    assert_true(adapt_look(&a, 1000 + ADAPT_EVERY_US, 4ull * ADAPT_EVERY_US, 4));
    assert_int_equal(a.level, ADAPT_LEVEL_MIN + 1);
    assert_false(adapt_look(&a, 1000 + ADAPT_EVERY_US, 8ull * ADAPT_EVERY_US, 4));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_step),
        cmocka_unit_test(a_backup),
        cmocka_unit_test(not_too_often),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
