/* throttle.h: never faster than the rate, changed while it is used, and no thread is held that is
 * to stop. */
/* The sources themselves: the plugin is no library. Each has a static `mutex`. */
#define mutex progress_mutex
#include "plugin/progress.c"
#undef mutex
#include "plugin/throttle.c"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#define MB       1000000u
#define PATIENCE 20000000u /* microseconds; what takes longer hangs */

static const volatile bool go_on = false, stopped = true;

static void no_limit_waits_for_nothing(void **state)
{
    (void)state;
    throttle_set(0);
    assert_true(throttle_rate() == 0);
    for (int i = 0; i < 1000; i++)
        assert_false(throttle_take(1u << 30, &go_on));
}

static void never_faster_than_the_rate(void **state)
{
    (void)state;
    static const uint64_t rates[] = {5 * MB, 20 * MB};
    for (size_t i = 0; i < 2; i++) {
        uint64_t began = now_us(), taken = 0;
        unsigned waits = 0;
        const uint64_t limit = rates[i], piece = limit / 50;
        throttle_set(limit);
        assert_true(throttle_rate() == limit);
        while (taken < limit / 5) {
            waits += throttle_take(piece, &go_on);
            taken += piece;
            /* the last piece may be owed */
            uint64_t earned = (now_us() - began) * limit / 1000000;
            if (taken - piece > earned)
                fail_msg("%llu bytes where %llu were earned", (unsigned long long)taken,
                         (unsigned long long)earned);
        }
        assert_true(waits > 0);
        assert_true(now_us() - began < PATIENCE);
    }
}

/* More than a bucket holds still passes. */
static void any_size_passes_at_any_rate(void **state)
{
    (void)state;
    throttle_set(1);
    assert_false(throttle_take(1u << 30, &go_on));
}

static void who_is_to_stop_is_not_held(void **state)
{
    (void)state;
    uint64_t began = now_us();
    throttle_set(1);
    throttle_take(1u << 30, &go_on);
    throttle_take(1u << 30, &stopped);
    assert_true(now_us() - began < PATIENCE);
}

static void a_new_rate_forgets_what_was_owed(void **state)
{
    (void)state;
    uint64_t began = now_us();
    throttle_set(1);
    throttle_take(1u << 30, &go_on);
    throttle_set(100 * MB);
    assert_false(throttle_take(1, &go_on));
    throttle_set(0);
    assert_false(throttle_take(1u << 30, &go_on));
    assert_true(now_us() - began < PATIENCE);
}

static void the_lower_of_rate_and_pace_holds(void **state)
{
    (void)state;
    uint64_t began = now_us(), taken = 0;
    throttle_set(1000 * MB);
    throttle_pace(5 * MB);
    for (; taken < MB; taken += MB / 10)
        throttle_take(MB / 10, &go_on);
    assert_true((now_us() - began) * 5 * MB / 1000000 + MB / 10 >= taken);
    /* A pace that changes does not forgive what is owed to the rate. */
    throttle_set(5 * MB);
    began = now_us();
    for (taken = 0; taken < MB; taken += MB / 10) {
        throttle_pace((1000 + taken) * MB);
        throttle_take(MB / 10, &go_on);
    }
    assert_true((now_us() - began) * 5 * MB / 1000000 + MB / 10 >= taken - MB / 10);
    throttle_pace(UINT64_MAX);
    throttle_set(0);
}

static void *lift(void *began)
{
    usleep(100000);
    __atomic_store_n((uint64_t *)began, now_us(), __ATOMIC_RELEASE);
    throttle_pace(UINT64_MAX);
    return NULL;
}

static void a_pace_of_nothing_holds_until_it_changes(void **state)
{
    (void)state;
    pthread_t thread;
    uint64_t lifted = UINT64_MAX;
    throttle_set(0);
    throttle_pace(0);
    assert_int_equal(pthread_create(&thread, NULL, lift, &lifted), 0);
    assert_true(throttle_take(1, &go_on));
    assert_true(now_us() >= __atomic_load_n(&lifted, __ATOMIC_ACQUIRE));
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_false(throttle_take(1u << 30, &go_on));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_limit_waits_for_nothing),
        cmocka_unit_test(never_faster_than_the_rate),
        cmocka_unit_test(any_size_passes_at_any_rate),
        cmocka_unit_test(who_is_to_stop_is_not_held),
        cmocka_unit_test(a_new_rate_forgets_what_was_owed),
        cmocka_unit_test(the_lower_of_rate_and_pace_holds),
        cmocka_unit_test(a_pace_of_nothing_holds_until_it_changes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
