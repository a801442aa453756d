/* Memory for a recovery; see memory.h. */
#include "agent/restore/memory.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CGROUP_ROOT "/sys/fs/cgroup"
#define MIB         (1ull << 20)

/* A record in memory has a header of 26 bytes and is aligned: 1.4 times its bytes in the log were
   measured with rows of 200 bytes; the smaller the changes, the more. */
#define RECORDS_PERCENT 145u
#define POOL_PERCENT    300u /* for smaller changes, and room for the pages themselves */

/* The number in a file, or otherwise. */
static uint64_t number_in(const char *path, uint64_t otherwise)
{
    FILE *f = fopen(path, "re");
    uint64_t n = otherwise;
    if (f && fscanf(f, "%" SCNu64, &n) != 1) /* "max" */
        n = otherwise;
    if (f)
        fclose(f);
    return n;
}

/* The value behind a name in a file of "name value" lines. */
static uint64_t value_in(const char *path, const char *name, uint64_t otherwise)
{
    FILE *f = fopen(path, "re");
    char line[256];
    size_t length = strlen(name);
    while (f && fgets(line, sizeof line, f))
        if (!strncmp(line, name, length) && (line[length] == ' ' || line[length] == ':')) {
            otherwise = strtoull(line + length + 1, NULL, 10);
            break;
        }
    if (f)
        fclose(f);
    return otherwise;
}

/* What the group at path, or one above it, leaves. Page cache counts as free: it is given back. */
static uint64_t left_in_groups(const char *root, const char *path, bool v2)
{
    uint64_t least = UINT64_MAX;
    char at[4096], file[4200];
    snprintf(at, sizeof at, "%s%s", root, strcmp(path, "/") ? path : "");
    for (;;) {
        snprintf(file, sizeof file, "%s/%s", at, v2 ? "memory.max" : "memory.limit_in_bytes");
        uint64_t limit = number_in(file, UINT64_MAX);
        snprintf(file, sizeof file, "%s/memory.stat", at);
        uint64_t used = value_in(file, v2 ? "anon" : "total_rss", 0) +
                        value_in(file, v2 ? "shmem" : "total_shmem", 0);
        if (limit != UINT64_MAX && (limit > used ? limit - used : 0) < least)
            least = limit > used ? limit - used : 0;
        char *slash = strrchr(at, '/');
        if (strlen(at) <= strlen(root) || !slash)
            return least;
        *slash = '\0';
    }
}

static uint64_t left_in_cgroup(void)
{
    FILE *f = fopen("/proc/self/cgroup", "re");
    uint64_t least = UINT64_MAX;
    char line[4096];
    while (f && fgets(line, sizeof line, f)) {
        line[strcspn(line, "\n")] = '\0';
        char *controllers = strchr(line, ':'),
             *path = controllers ? strchr(controllers + 1, ':') : NULL;
        if (!path)
            continue;
        *controllers++ = '\0';
        *path++ = '\0';
        bool v2 = !strcmp(line, "0") && !controllers[0];
        uint64_t left = UINT64_MAX;
        if (v2)
            left = left_in_groups(CGROUP_ROOT, path, true);
        else if (!strcmp(controllers, "memory"))
            left = left_in_groups(CGROUP_ROOT "/memory", path, false);
        if (left < least)
            least = left;
    }
    if (f)
        fclose(f);
    return least;
}

uint64_t memory_available(void)
{
    uint64_t machine = value_in("/proc/meminfo", "MemAvailable", 0) * 1024,
             group = left_in_cgroup();
    return group < machine ? group : machine;
}

static uint64_t whole_mib(uint64_t bytes)
{
    return (bytes + MIB - 1) / MIB * MIB;
}

uint64_t memory_pool_for(uint64_t redo_bytes)
{
    return whole_mib(redo_bytes / 100 * POOL_PERCENT + MEMORY_POOL_MIN);
}

uint64_t memory_pool_within(uint64_t redo_bytes, uint64_t available)
{
    uint64_t pool = memory_pool_for(redo_bytes), most = available / 4 * 3 / MIB * MIB;
    if (pool > most)
        pool = most;
    return pool < MEMORY_POOL_MIN ? MEMORY_POOL_MIN : pool;
}

uint64_t memory_redo_in_one_pass(uint64_t pool)
{
    return pool / RECORDS_PERCENT * 100;
}
