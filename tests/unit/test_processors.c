/* processors.h: the CPU limit of cgroups on trees of files as hosts and containers show them. */
#include "common/processors.h"
#include "tests/unit/temporary_tree.h"

#include <math.h>
#include <sched.h>

#define V2_MOUNT "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n"
#define V1_MOUNT(root_of)                                                                          \
    "33 32 0:29 " root_of " /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n"
#define OTHERS                                                                                     \
    "22 27 0:21 / /proc rw - proc proc rw\n34 32 0:30 / /sys/fs/cgroup/cpuset rw - cgroup cgroup " \
    "rw,cpuset\n"

static void expect_limit(double processors)
{
    assert_true(fabs(processors_cgroup_limit(root) - processors) < 1e-9);
}

static void v2_on_a_host(void **state)
{
    (void)state;
    put("proc/self/mountinfo", OTHERS V2_MOUNT);
    put("proc/self/cgroup", "0::/system.slice/mariadb.service\n");
    put("sys/fs/cgroup/system.slice/mariadb.service/cpu.max", "max 100000\n");
    expect_limit(0);
    put("sys/fs/cgroup/system.slice/mariadb.service/cpu.max", "400000 100000\n");
    expect_limit(4);
    put("sys/fs/cgroup/system.slice/mariadb.service/cpu.max", "150000 100000\n");
    expect_limit(1.5);
    put("sys/fs/cgroup/system.slice/mariadb.service/cpu.max", "10000 100000\n");
    expect_limit(0.1);
    /* The least on the way up counts; the root of the hierarchy has no such file. */
    put("sys/fs/cgroup/system.slice/mariadb.service/cpu.max", "800000 100000\n");
    put("sys/fs/cgroup/system.slice/cpu.max", "300000 100000\n");
    expect_limit(3);
}

/* With a namespace of its own a container sees its cgroup as "/". */
static void v2_in_a_container(void **state)
{
    (void)state;
    put("proc/self/mountinfo", OTHERS V2_MOUNT);
    put("proc/self/cgroup", "0::/\n");
    put("sys/fs/cgroup/cpu.max", "250000 100000\n");
    expect_limit(2.5);
}

/* "/../x": our cgroup lies outside what is mounted. */
static void v2_out_of_sight(void **state)
{
    (void)state;
    put("proc/self/mountinfo", V2_MOUNT);
    put("proc/self/cgroup", "0::/../../other\n");
    put("sys/fs/cgroup/cpu.max", "200000 100000\n");
    expect_limit(2);
}

static void v1_on_a_host(void **state)
{
    (void)state;
    put("proc/self/mountinfo", OTHERS V1_MOUNT("/"));
    put("proc/self/cgroup",
        "5:cpuset:/elsewhere\n4:cpu,cpuacct:/docker/abc\n1:name=systemd:/\n0::/\n");
    put("sys/fs/cgroup/cpu,cpuacct/docker/abc/cpu.cfs_quota_us", "-1\n");
    put("sys/fs/cgroup/cpu,cpuacct/docker/abc/cpu.cfs_period_us", "100000\n");
    expect_limit(0);
    put("sys/fs/cgroup/cpu,cpuacct/docker/abc/cpu.cfs_quota_us", "120000\n");
    expect_limit(1.2);
    put("sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "50000\n");
    put("sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us", "50000\n");
    expect_limit(1);
}

/* The path is the host's, and the mount shows that very cgroup: Docker with cgroup v1. */
static void v1_in_a_container(void **state)
{
    (void)state;
    put("proc/self/mountinfo", OTHERS V1_MOUNT("/docker/abc"));
    put("proc/self/cgroup", "4:cpu,cpuacct:/docker/abc\n");
    put("sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "600000\n");
    put("sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us", "100000\n");
    expect_limit(6);
    /* and one below it; "/docker/abcd" is not below it */
    put("proc/self/cgroup", "4:cpu,cpuacct:/docker/abc/job\n");
    put("sys/fs/cgroup/cpu,cpuacct/job/cpu.cfs_quota_us", "100000\n");
    put("sys/fs/cgroup/cpu,cpuacct/job/cpu.cfs_period_us", "100000\n");
    expect_limit(1);
    put("proc/self/cgroup", "4:cpu,cpuacct:/docker/abcd\n");
    expect_limit(6);
}

/* cgroup v2 mounted beside v1, as systemd's hybrid layout has it: the controller is in v1. */
static void both(void **state)
{
    (void)state;
    put("proc/self/mountinfo",
        V1_MOUNT("/") "40 32 0:31 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n");
    put("proc/self/cgroup", "4:cpu,cpuacct:/a\n0::/b\n");
    put("sys/fs/cgroup/cpu,cpuacct/a/cpu.cfs_quota_us", "300000\n");
    put("sys/fs/cgroup/cpu,cpuacct/a/cpu.cfs_period_us", "100000\n");
    put("sys/fs/cgroup/unified/b/cgroup.procs", "");
    expect_limit(3);
}

static void what_is_not_understood_limits_nothing(void **state)
{
    (void)state;
    expect_limit(0); /* nothing is there */
    put("proc/self/mountinfo", "x\n" V2_MOUNT "30 23 0:26 - cgroup2\n");
    put("proc/self/cgroup", "nonsense\n0:\n0::/a\n");
    static const char *const texts[] = {"",           "max",  "100000", "0 100000\n", "-5 100000\n",
                                        "100000 0\n", "a b\n"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        put("sys/fs/cgroup/a/cpu.max", texts[i]);
        expect_limit(0);
    }
}

static void affinity_counts(void **state)
{
    (void)state;
    cpu_set_t all, one;
    assert_int_equal(sched_getaffinity(0, sizeof all, &all), 0);
    double limit = processors_cgroup_limit(""), count = CPU_COUNT(&all),
           allowed = limit > 0 && limit < count ? limit : count;
    assert_true(processors_allowed() == allowed);
    assert_int_equal(
        processors(),
        (unsigned)ceil(allowed)); /* rounded up: a thread for a part of a processor too */
    size_t first = 0;
    while (!CPU_ISSET(first, &all))
        first++;
    CPU_ZERO(&one);
    CPU_SET(first, &one);
    assert_int_equal(sched_setaffinity(0, sizeof one, &one), 0);
    assert_int_equal(processors(), 1);
    assert_int_equal(sched_setaffinity(0, sizeof all, &all), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(v2_on_a_host, set_up, tear_down),
        cmocka_unit_test_setup_teardown(v2_in_a_container, set_up, tear_down),
        cmocka_unit_test_setup_teardown(v2_out_of_sight, set_up, tear_down),
        cmocka_unit_test_setup_teardown(v1_on_a_host, set_up, tear_down),
        cmocka_unit_test_setup_teardown(v1_in_a_container, set_up, tear_down),
        cmocka_unit_test_setup_teardown(both, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_is_not_understood_limits_nothing, set_up, tear_down),
        cmocka_unit_test(affinity_counts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
