/* shares.h: what the server has, what we have and what is left, from two looks at the clocks; and a
 * look at this machine's. */
#include "plugin/shares.c"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <math.h>

#define MS 1000000ull

static struct shares_clocks before, now;

/* Half a second of two processors: the server 0.2 of them, the plugin 0.1, the agent 0.3, all that
 * is busy 0.9. */
static int set_up(void **state)
{
    (void)state;
    before = (struct shares_clocks){.us = 7000000,
                                    .server_ns = 500,
                                    .process_ns = 100 * MS,
                                    .agent_ns = 3000 * MS,
                                    .machine_ns = 9000 * MS,
                                    .idle_ns = 4000 * MS};
    now = (struct shares_clocks){.us = 7500000,
                                 .server_ns = 500 + 200 * MS,
                                 .process_ns = 400 * MS,
                                 .agent_ns = 3300 * MS,
                                 .machine_ns = 10000 * MS,
                                 .idle_ns = 4100 * MS};
    return 0;
}

static void expect(double processors, double server, double ours, double left)
{
    struct shares s = shares_between(&before, &now, processors);
    assert_true(fabs(s.server - server) < 1e-9);
    assert_true(fabs(s.ours - ours) < 1e-9);
    assert_true(fabs(s.left - left) < 1e-9);
}

static void everybody_has_a_share(void **state)
{
    (void)state;
    expect(2, 0.2, 0.4, 0.1);
}

static void an_agent_that_is_not_seen_is_not_ours(void **state)
{
    (void)state;
    before.agent_ns = 0;
    expect(2, 0.2, 0.1, 0.1);
    set_up(NULL);
    now.agent_ns = 0; /* it has ended */
    expect(2, 0.2, 0.1, 0.1);
}

/* A quota of half a processor on a machine with 64 that does little: what is left of the quota
 * counts. */
static void a_limit_of_the_server_counts_where_it_is_narrower(void **state)
{
    (void)state;
    now.server_ns = before.server_ns + 150 * MS;
    now.process_ns = before.process_ns + 200 * MS;
    now.agent_ns = before.agent_ns + 25 * MS;
    now.machine_ns = before.machine_ns + 32000 * MS;
    now.idle_ns = before.idle_ns + 31000 * MS;
    expect(0.5, 0.6, 0.3, 0.2);
}

static void the_machine_may_not_be_known(void **state)
{
    (void)state;
    before.machine_ns = before.idle_ns = now.machine_ns = now.idle_ns = 0;
    expect(2, 0.2, 0.4, 0.7);
}

static void nothing_is_known_from_one_look(void **state)
{
    (void)state;
    before = (struct shares_clocks){.us = 0};
    expect(2, -1, -1, -1);
    set_up(NULL);
    before.us = now.us - SHARES_MIN_US + 1;
    expect(2, -1, -1, -1);
}

/* Clocks are read one after another, and a limit may have been raised since. */
static void never_less_than_nothing(void **state)
{
    (void)state;
    now.server_ns = before.server_ns + 9000 * MS;
    expect(2, 0.3, 0.3, 0.1);
    expect(0.5, 1.2, 1.2, 0);
}

static void this_machine_has_clocks(void **state)
{
    (void)state;
    struct shares_clocks c = shares_look(5, getpid(), 17), alone = shares_look(5, 0, 17);
    assert_true(c.us == 17 && c.server_ns == 5 && c.process_ns > 0 && c.agent_ns > 0);
    assert_true(c.machine_ns > c.idle_ns && c.machine_ns - c.idle_ns > c.process_ns);
    assert_true(alone.agent_ns == 0 && alone.process_ns > c.process_ns);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup(name, set_up)
        TEST(everybody_has_a_share),
        TEST(an_agent_that_is_not_seen_is_not_ours),
        TEST(a_limit_of_the_server_counts_where_it_is_narrower),
        TEST(the_machine_may_not_be_known),
        TEST(nothing_is_known_from_one_look),
        TEST(never_less_than_nothing),
        TEST(this_machine_has_clocks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
