/* Processors that may be used; see processors.h. */
#include "common/processors.h"
#include "common/cgroup.h"

#include <math.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define AFFINITY_MAX 65536u /* processors; the kernel's own mask may be larger than cpu_set_t */

static double limit_of(const char *directory, bool v2)
{
    long long quota = -1, period = 0;
    FILE *f = cgroup_open(directory, v2 ? "cpu.max" : "cpu.cfs_quota_us");
    if (f && v2 && fscanf(f, "%lld %lld", &quota, &period) != 2)
        quota = -1; /* "max 100000" */
    if (f && !v2 && fscanf(f, "%lld", &quota) != 1)
        quota = -1;
    if (f)
        fclose(f);
    f = v2 ? NULL : cgroup_open(directory, "cpu.cfs_period_us");
    if (f && fscanf(f, "%lld", &period) != 1)
        period = 0;
    if (f)
        fclose(f);
    return quota > 0 && period > 0 ? (double)quota / (double)period : HUGE_VAL;
}

static void take_limit(void *context, const char *directory, bool v2)
{
    double limit = limit_of(directory, v2), *least = context;
    if (limit < *least)
        *least = limit;
}

double processors_cgroup_limit(const char *root)
{
    double least = HUGE_VAL;
    cgroup_each(root, "cpu", take_limit, &least);
    return least < HUGE_VAL ? least : 0;
}

static unsigned by_affinity(void)
{
    for (unsigned most = CPU_SETSIZE; most <= AFFINITY_MAX; most *= 2) {
        cpu_set_t *set = CPU_ALLOC(most);
        if (!set)
            break;
        size_t size = CPU_ALLOC_SIZE(most);
        int count = sched_getaffinity(0, size, set) ? 0 : CPU_COUNT_S(size, set);
        CPU_FREE(set);
        if (count > 0)
            return (unsigned)count;
    }
    return 1;
}

double processors_allowed(void)
{
    double count = by_affinity(), limit = processors_cgroup_limit("");
    return limit > 0 && limit < count ? limit : count;
}

unsigned processors(void)
{
    return (unsigned)ceil(processors_allowed());
}
