/* pace.h: sequences of figures and what the readers may do after each. */
#include "plugin/pace.c"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#define MB   (1ull << 20)
#define FAST (400 * MB)
#define FREE PACE_NO_LIMIT
#define BUSY (10 * MB)

static struct pace pace;
static struct pace_input in;

/* What the server and we use of the processors, and nobody else does. */
static void use(double server, double ours)
{
    in.shares = (struct shares){
        .server = server, .ours = ours, .left = server < 0 ? -1 : 1 - server - ours};
}

static int set_up(void **state)
{
    (void)state;
    pace_begin(&pace);
    in = (struct pace_input){.read_rate = FAST,
                             .headroom_s = -1,
                             .recv_queue_limit = 100,
                             .cost = {-1, -1},
                             .busy_rate = BUSY};
    use(-1, -1);
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
    in.cost[PACE_CPU] =
        9; /* with the readers at full speed, and still in the first step of the probe */
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

/* Figures are rare where little is done: a probe waits for one, but not for ever, and is not made
 * again at once. */
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

/* Else a node whose cluster writes more than it can apply would never end its backup, nor be synced
 * again. */
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
        step_and_expect(0, i < PACE_PROBE_STEPS ? PACE_PROBE
                                                : PACE_QUEUE); /* nor does a probe lift a limit */
    step_and_expect(25 * MB, PACE_QUEUE);
}

static void a_server_that_uses_a_third_leaves_the_lowest_rate(void **state)
{
    (void)state;
    use(0.36, 0);
    in.read_rate = 0;
    step_and_expect(BUSY, PACE_SERVER); /* from the first step on: nothing was read yet */
    in.read_rate = BUSY;
    use(0.9, 0.04);
    for (int i = 0; i < 1000; i++)
        step_and_expect(BUSY, PACE_SERVER);
    use(0.09, 0.04);
    step_and_expect(FREE, PACE_FREE);
    in.read_rate = FAST;
    use(0.09, 0.9);
    step_and_expect(FREE, PACE_FREE);
    use(0.35, 0.5); /* something is left */
    step_and_expect(200 * MB, PACE_SERVER);
    for (int i = 0; i < 10; i++)
        pace_step(&pace, &in);
    step_and_expect(BUSY, PACE_SERVER);
}

/* How much the server wants is not known then, whoever has the rest. */
static void where_nothing_is_left_the_lowest_rate_comes_at_once(void **state)
{
    (void)state;
    use(0.09, 0.85); /* so little doesn't count */
    step_and_expect(FREE, PACE_FREE);
    use(0.11, 0.8);
    step_and_expect(BUSY, PACE_SERVER);
    use(0.11, 0.05); /* and it was not much */
    step_and_expect(BUSY + FAST / 16, PACE_SERVER);
    in.shares.left = 0.05; /* others */
    step_and_expect(BUSY, PACE_SERVER);
}

static void a_server_that_uses_less_leaves_a_part(void **state)
{
    (void)state;
    use(0.2, 0.65); /* 0.6 at most for us */
    step_and_expect(200 * MB, PACE_SERVER);
    uint64_t most = 0, least = FREE;
    for (int i = 0; i < 100; i++) { /* 400 MB a second would be all that is left */
        use(0.2, 0.8 * (double)pace.limit / FAST);
        pace_step(&pace, &in);
        assert_true(pace.limit != FREE);
        most = larger(most, pace.limit);
        least = smaller(least, pace.limit);
    }
    assert_true(most <= 325 * MB && least >= 150 * MB);
}

static void the_server_does_not_count_where_nothing_is_said(void **state)
{
    (void)state;
    use(1, 0.5);
    in.busy_rate = 0;
    step_and_expect(FREE, PACE_FREE);
    in.busy_rate = BUSY;
    use(-1, -1);
    step_and_expect(FREE, PACE_FREE);
}

/* The redo log and commits may want less than the lowest rate for the server's sake, which is then
 * come back to step by step. */
static void what_is_dangerous_goes_below_the_rate_for_the_server(void **state)
{
    (void)state;
    use(0.9, 0.04);
    in.read_rate = 0;
    expect_probe(2, BUSY, PACE_SERVER);
    in.cost[PACE_CPU] = 3;
    step_and_expect(PACE_FLOOR, PACE_COMMITS);
    in.cost[PACE_CPU] = 2;
    step_and_expect(PACE_FLOOR + MB, PACE_SERVER);
    in.recv_queue = 101;
    for (int i = 0; i < 4; i++)
        pace_step(&pace, &in);
    step_and_expect(PACE_FLOOR_REDO, PACE_QUEUE);
    in.recv_queue = 0;
    for (unsigned i = 1; i < 9; i++)
        step_and_expect(PACE_FLOOR_REDO + i * MB, PACE_SERVER);
    step_and_expect(BUSY, PACE_SERVER);
    step_and_expect(BUSY, PACE_SERVER);
}

/* On one processor the rate for the server is below the floor for commits. */
static void commits_that_cost_more_make_nothing_faster(void **state)
{
    (void)state;
    use(0.9, 0.04);
    in.read_rate = 0;
    in.busy_rate = BUSY / 2;
    expect_probe(2, BUSY / 2, PACE_SERVER);
    in.read_rate = BUSY / 2;
    in.cost[PACE_CPU] = 3;
    step_and_expect(BUSY / 2, PACE_COMMITS);
}

/* It is then the commits' floor that counts. */
static void a_stand_still_ends_with_its_reason(void **state)
{
    (void)state;
    expect_probe(2, FREE, PACE_FREE);
    in.recv_queue = 1010;
    step_and_expect(0, PACE_QUEUE);
    in.recv_queue = 0;
    in.cost[PACE_CPU] = 4;
    step_and_expect(PACE_FLOOR, PACE_COMMITS);
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
        TEST(a_server_that_uses_a_third_leaves_the_lowest_rate),
        TEST(where_nothing_is_left_the_lowest_rate_comes_at_once),
        TEST(a_server_that_uses_less_leaves_a_part),
        TEST(the_server_does_not_count_where_nothing_is_said),
        TEST(what_is_dangerous_goes_below_the_rate_for_the_server),
        TEST(commits_that_cost_more_make_nothing_faster),
        TEST(a_stand_still_ends_with_its_reason),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
