/* pace.h: sequences of figures and what the readers may do after each. */
#include "plugin/pace.c"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#define MB   (1ull << 20)
#define FAST (400 * MB)
#define FREE PACE_NO_LIMIT

static struct pace pace;
static struct pace_input in;

static int set_up(void **state)
{
    (void)state;
    pace_begin(&pace);
    in = (struct pace_input){.read_rate = FAST, .headroom_s = -1, .recv_queue_limit = 100, .cost = {-1, -1}};
    return 0;
}

static void step_and_expect(uint64_t limit, enum pace_cause cause)
{
    pace_step(&pace, &in);
    assert_int_equal(pace.limit, limit);
    assert_int_equal(pace.cause, cause);
}

/* A probe at this cost, after which it is the baseline and the limit is as before. */
static void expect_probe(double cost, uint64_t after, enum pace_cause cause)
{
    in.cost[PACE_CPU] = cost;
    for (unsigned i = 0; i < PACE_PROBE_STEPS; i++)
        step_and_expect(PACE_FLOOR, PACE_PROBE);
    step_and_expect(after, cause);
}

static void an_idle_server_is_read_at_full_speed(void **state)
{
    (void)state;
    for (int i = 0; i < 1000; i++)
        step_and_expect(FREE, PACE_FREE);
}

static void a_busy_server_is_measured_with_the_readers_held_back(void **state)
{
    (void)state;
    in.cost[PACE_CPU] = 9; /* with the readers at full speed, and still in the first step of the probe */
    step_and_expect(PACE_FLOOR, PACE_PROBE);
    step_and_expect(PACE_FLOOR, PACE_PROBE);
    in.cost[PACE_CPU] = 2;
    step_and_expect(PACE_FLOOR, PACE_PROBE);
    step_and_expect(FREE, PACE_FREE);
    assert_true(pace.cost[PACE_CPU].baseline == 2);
    in.cost[PACE_CPU] = 5;
    assert_true(pace_slowdown(&pace, &in) == 2.5);
}

static void slower_commits_halve_the_rate_and_calm_brings_it_back(void **state)
{
    (void)state;
    expect_probe(2, FREE, PACE_FREE);
    in.cost[PACE_CPU] = 2.4; /* no more than noise */
    step_and_expect(FREE, PACE_FREE);
    in.cost[PACE_CPU] = 3;
    step_and_expect(200 * MB, PACE_COMMITS);
    step_and_expect(100 * MB, PACE_COMMITS);
    in.cost[PACE_CPU] = 2.1;
    for (unsigned i = 1; i < 12; i++)
        step_and_expect((100 + i * 25) * MB, PACE_COMMITS);
    step_and_expect(FREE, PACE_FREE);
}

/* Either figure tells: the disk is not seen in the CPU's. */
static void statements_that_wait_for_the_disk_count_as_well(void **state)
{
    (void)state;
    in.cost[PACE_STATEMENTS] = 10;
    expect_probe(2, FREE, PACE_FREE);
    in.cost[PACE_STATEMENTS] = 12;
    step_and_expect(FREE, PACE_FREE);
    in.cost[PACE_STATEMENTS] = 13;
    step_and_expect(200 * MB, PACE_COMMITS);
    in.cost[PACE_STATEMENTS] = -1;
    step_and_expect(225 * MB, PACE_COMMITS);
}

static void never_below_the_floor_for_commits(void **state)
{
    (void)state;
    expect_probe(2, FREE, PACE_FREE);
    in.cost[PACE_CPU] = 50;
    for (int i = 0; i < 6; i++)
        pace_step(&pace, &in);
    assert_int_equal(pace.limit, PACE_FLOOR);
}

/* The load itself has grown: at the floor it is not the readers, and after a look they go on. */
static void a_load_that_grows_is_the_new_baseline(void **state)
{
    (void)state;
    expect_probe(2, FREE, PACE_FREE);
    in.cost[PACE_CPU] = 8;
    unsigned steps = 0;
    while (pace.limit != FREE || pace.cost[PACE_CPU].baseline < 8) {
        pace_step(&pace, &in);
        assert_true(++steps < 60); /* half a minute */
    }
    assert_true(steps > PACE_PROBE_STEPS);
    step_and_expect(FREE, PACE_FREE);
}

static void the_baseline_is_taken_again(void **state)
{
    (void)state;
    expect_probe(2, FREE, PACE_FREE);
    unsigned steps = 0;
    do {
        pace_step(&pace, &in);
        steps++;
    } while (pace.cause != PACE_PROBE && steps < 1000);
    assert_true(steps <= PACE_PROBE_EVERY);
    set_up(NULL);
    expect_probe(2, FREE, PACE_FREE);
    in.cost[PACE_CPU] = -1; /* nobody commits: later there is another load */
    for (unsigned i = 0; i < PACE_IDLE_STEPS; i++)
        step_and_expect(FREE, PACE_FREE);
    expect_probe(7, FREE, PACE_FREE);
}

/* Figures are rare where little is done: a probe waits for one, but not for ever, and is not made again at once. */
static void a_quiet_server_does_not_hold_the_readers_back(void **state)
{
    (void)state;
    in.cost[PACE_CPU] = 3;
    step_and_expect(PACE_FLOOR, PACE_PROBE);
    in.cost[PACE_CPU] = -1;
    unsigned steps = 0;
    for (; pace.cause == PACE_PROBE && steps < 100; steps++)
        pace_step(&pace, &in);
    assert_int_equal(steps, PACE_PROBE_MAX);
    for (unsigned i = 0; i < PACE_PROBE_EVERY - PACE_PROBE_MAX - 1; i++) {
        in.cost[PACE_CPU] = i % 5 ? -1 : 3;
        step_and_expect(FREE, PACE_FREE);
    }
}

static void redo_that_may_be_overrun_slows_pages_further(void **state)
{
    (void)state;
    in.redo_behind = 30 * MB;
    in.redo_rate = (double)(20 * MB);
    in.headroom_s = 60;
    step_and_expect(FREE, PACE_FREE); /* long enough */
    in.headroom_s = 59;
    step_and_expect(200 * MB, PACE_REDO);
    for (int i = 0; i < 20; i++)
        pace_step(&pace, &in);
    assert_int_equal(pace.limit, PACE_FLOOR_REDO);
    in.redo_behind = 20 * MB; /* a second's redo is not behind */
    step_and_expect(PACE_FLOOR_REDO + 25 * MB, PACE_REDO);
}

static void a_receive_queue_slows_and_then_stops_the_readers(void **state)
{
    (void)state;
    in.recv_queue = 100;
    step_and_expect(FREE, PACE_FREE);
    in.recv_queue = 101;
    step_and_expect(200 * MB, PACE_QUEUE);
    in.recv_queue = 500;
    step_and_expect(100 * MB, PACE_QUEUE);
    in.recv_queue = 1010;
    step_and_expect(0, PACE_QUEUE);
    step_and_expect(0, PACE_QUEUE);
    in.recv_queue = 900;
    step_and_expect(PACE_FLOOR_REDO, PACE_QUEUE);
    in.recv_queue = 0;
    for (int i = 0; i < 15; i++)
        pace_step(&pace, &in);
    step_and_expect(FREE, PACE_FREE);
    in.recv_queue_limit = 0; /* a standalone server */
    in.recv_queue = 100000;
    step_and_expect(FREE, PACE_FREE);
}

static void steps(unsigned count)
{
    while (count--)
        pace_step(&pace, &in);
}

/* Else a node whose cluster writes more than it can apply would never end its backup, nor be synced again. */
static void a_receive_queue_that_does_not_shrink_slows_no_further(void **state)
{
    (void)state;
    in.recv_queue = 5000;
    step_and_expect(0, PACE_QUEUE);
    for (unsigned i = 0; i < 3 * PACE_FUTILE_STEPS; i++) { /* it does: go on standing still */
        in.recv_queue = i % 7 ? 6000 : 5000 - 10 * i;
        step_and_expect(0, PACE_QUEUE);
    }
    in.recv_queue = 5000;
    steps(2 * PACE_FUTILE_STEPS);
    step_and_expect(PACE_FLOOR, PACE_QUEUE);
    steps(PACE_PROBE_EVERY - PACE_FUTILE_STEPS);
    steps(PACE_FUTILE_STEPS / 2);
    step_and_expect(0, PACE_QUEUE); /* once more */
    in.recv_queue = 0;
    steps(20);
    step_and_expect(FREE, PACE_FREE);
}

/* Catching up with the redo costs commits as well, and is not the readers' doing. */
static void no_baseline_while_the_redo_is_behind(void **state)
{
    (void)state;
    in.redo_behind = 200 * MB;
    in.redo_rate = (double)MB;
    in.headroom_s = 600;
    in.cost[PACE_CPU] = 5;
    for (int i = 0; i < 10; i++)
        step_and_expect(FREE, PACE_FREE);
    in.redo_behind = 0;
    expect_probe(2, FREE, PACE_FREE);
}

/* What is dangerous comes before what is polite. */
static void trouble_ends_a_probe(void **state)
{
    (void)state;
    in.cost[PACE_CPU] = 2;
    step_and_expect(PACE_FLOOR, PACE_PROBE);
    in.recv_queue = 200;
    step_and_expect(200 * MB, PACE_QUEUE);
    assert_true(pace.cost[PACE_CPU].baseline < 0);
    in.recv_queue = 2000;
    step_and_expect(0, PACE_QUEUE);
    in.recv_queue = 0;
    for (unsigned i = 0; i < PACE_PROBE_STEPS + 1; i++)
        step_and_expect(0, i < PACE_PROBE_STEPS ? PACE_PROBE : PACE_QUEUE); /* nor does a probe lift a limit */
    step_and_expect(25 * MB, PACE_QUEUE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup(name, set_up)
        TEST(an_idle_server_is_read_at_full_speed),
        TEST(a_busy_server_is_measured_with_the_readers_held_back),
        TEST(slower_commits_halve_the_rate_and_calm_brings_it_back),
        TEST(statements_that_wait_for_the_disk_count_as_well),
        TEST(never_below_the_floor_for_commits),
        TEST(a_load_that_grows_is_the_new_baseline),
        TEST(the_baseline_is_taken_again),
        TEST(a_quiet_server_does_not_hold_the_readers_back),
        TEST(redo_that_may_be_overrun_slows_pages_further),
        TEST(a_receive_queue_slows_and_then_stops_the_readers),
        TEST(a_receive_queue_that_does_not_shrink_slows_no_further),
        TEST(no_baseline_while_the_redo_is_behind),
        TEST(trouble_ends_a_probe),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
