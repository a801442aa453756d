/* How much memory may still be taken; see memory.h. */
#include "common/memory.h"
#include "common/cgroup.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* The number in a file, or otherwise. */
static uint64_t number_in(const char *directory, const char *file, uint64_t otherwise)
{
    FILE *f = cgroup_open(directory, file);
    uint64_t n = otherwise;
    if (f && fscanf(f, "%" SCNu64, &n) != 1) /* "max" */
        n = otherwise;
    if (f)
        fclose(f);
    return n;
}

/* The value behind a name in a file of "name value" lines. */
static uint64_t value_in(const char *directory, const char *file, const char *name,
                         uint64_t otherwise)
{
    FILE *f = cgroup_open(directory, file);
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

static void take_left(void *context, const char *directory, bool v2)
{
    uint64_t *least = context,
             limit = number_in(directory, v2 ? "memory.max" : "memory.limit_in_bytes", UINT64_MAX);
    uint64_t used = value_in(directory, "memory.stat", v2 ? "anon" : "total_rss", 0) +
                    value_in(directory, "memory.stat", v2 ? "shmem" : "total_shmem", 0);
    uint64_t left = limit > used ? limit - used : 0;
    if (limit != UINT64_MAX && left < *least)
        *least = left;
}

uint64_t memory_available(const char *root)
{
    uint64_t least = value_in(root, "proc/meminfo", "MemAvailable", 0) * 1024;
    if (!least)
        return 0;
    cgroup_each(root, "memory", take_left, &least);
    return least ? least : 1;
}
