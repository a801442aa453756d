/* memory.h: what cgroups leave, on trees of files as hosts and containers show them. */
#include "common/memory.h"
#include "tests/unit/temporary_tree.h"

#define MIB          (1ull << 20)
#define V2_MOUNT     "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n"
#define V1_MOUNT     "33 32 0:29 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
#define V1_CONTAINER "33 32 0:29 /docker/1 /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"

static void machine_with(unsigned available_kib)
{
    char text[128];
    snprintf(text, sizeof text, "MemTotal: 9999999 kB\nMemAvailable:  %u kB\n", available_kib);
    put("proc/meminfo", text);
}

static void the_machine_without_limits(void **state)
{
    (void)state;
    assert_int_equal(memory_available(root), 0);
    machine_with(4096);
    assert_int_equal(memory_available(root), 4 * MIB);
    put("proc/self/mountinfo", V2_MOUNT);
    put("proc/self/cgroup", "0::/a\n");
    put("sys/fs/cgroup/a/memory.max", "max\n");
    put("sys/fs/cgroup/a/memory.stat", "anon 100\n");
    assert_int_equal(memory_available(root), 4 * MIB);
}

static void the_least_of_the_groups_above(void **state)
{
    (void)state;
    machine_with(1 << 20);
    put("proc/self/mountinfo", V2_MOUNT);
    put("proc/self/cgroup", "0::/a/b\n");
    put("sys/fs/cgroup/a/b/memory.max", "209715200\n");
    put("sys/fs/cgroup/a/b/memory.stat", "anon 52428800\nfile 104857600\nshmem 41943040\n");
    assert_int_equal(memory_available(root), 110 * MIB); /* page cache is given back */
    put("sys/fs/cgroup/a/memory.max", "314572800\n");
    put("sys/fs/cgroup/a/memory.stat", "anon 262144000\nshmem 0\n");
    assert_int_equal(memory_available(root), 50 * MIB);
    put("sys/fs/cgroup/a/memory.stat", "anon 400000000\nshmem 0\n");
    assert_int_equal(memory_available(root), 1);
}

static void version_1_and_containers(void **state)
{
    (void)state;
    machine_with(1 << 20);
    put("proc/self/mountinfo", V1_MOUNT);
    put("proc/self/cgroup", "5:cpu,cpuacct:/other\n4:memory:/pod\n");
    put("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
    put("sys/fs/cgroup/memory/pod/memory.limit_in_bytes", "104857600\n");
    put("sys/fs/cgroup/memory/pod/memory.stat",
        "rss 1\ntotal_rss 10485760\ntotal_shmem 20971520\n");
    assert_int_equal(memory_available(root), 70 * MIB);
    /* its own path is not seen there: the place where the hierarchy is mounted counts */
    put("proc/self/mountinfo", V1_CONTAINER);
    put("proc/self/cgroup", "4:memory:/docker/1\n");
    put("sys/fs/cgroup/memory/memory.limit_in_bytes", "31457280\n");
    put("sys/fs/cgroup/memory/memory.stat", "total_rss 10485760\n");
    assert_int_equal(memory_available(root), 20 * MIB);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
        TEST(the_machine_without_limits),
        TEST(the_least_of_the_groups_above),
        TEST(version_1_and_containers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
