/* Processors that may be used; see processors.h. */
#include "common/processors.h"

#include <limits.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define AFFINITY_MAX 65536u /* processors; the kernel's own mask may be larger than cpu_set_t */
#define NO_LIMIT     UINT_MAX

struct hierarchy {
    bool v2;
    char mount[PATH_MAX], mount_root[PATH_MAX]; /* where, and which of its cgroups is seen there */
};

static FILE *open_below(const char *directory, const char *name)
{
    char path[2 * PATH_MAX + 64];
    int n = snprintf(path, sizeof path, "%s/%s", directory, name);
    return n > 0 && (size_t)n < sizeof path ? fopen(path, "re") : NULL;
}

/* Whether a list "a,b,c" holds the word. */
static bool listed(const char *list, const char *word)
{
    size_t n = strlen(word);
    for (const char *at = list; at; at = strchr(at, ',')) {
        at += *at == ',';
        if (!strncmp(at, word, n) && (!at[n] || at[n] == ','))
            return true;
    }
    return false;
}

/* A line of mountinfo: "id parent major:minor root mount options [tags] - type source
 * superoptions". */
static bool take_mount(const char *line, struct hierarchy *h)
{
    char type[64], options[1024];
    const char *rest = strstr(line, " - ");
    if (!rest || sscanf(line, "%*s %*s %*s %4095s %4095s", h->mount_root, h->mount) != 2 ||
        sscanf(rest, " - %63s %*s %1023s", type, options) != 2)
        return false;
    h->v2 = !strcmp(type, "cgroup2");
    return h->v2 || (!strcmp(type, "cgroup") && listed(options, "cpu"));
}

/* Our path in that hierarchy: a line "0::PATH" (v2) or "N:CONTROLLERS:PATH". */
static bool own_path(const char *root, const struct hierarchy *h, char *path, size_t size)
{
    FILE *f = open_below(root, "proc/self/cgroup");
    char line[PATH_MAX + 256];
    bool found = false;
    while (f && !found && fgets(line, sizeof line, f)) {
        line[strcspn(line, "\n")] = '\0';
        char *controllers = strchr(line, ':'),
             *own = controllers ? strchr(controllers + 1, ':') : NULL;
        if (!own)
            continue;
        *own++ = '\0';
        controllers++;
        found = h->v2 ? !*controllers : listed(controllers, "cpu");
        if (found)
            snprintf(path, size, "%s", own);
    }
    if (f)
        fclose(f);
    return found;
}

static unsigned limit_of(const char *directory, bool v2)
{
    long long quota = -1, period = 0;
    FILE *f = open_below(directory, v2 ? "cpu.max" : "cpu.cfs_quota_us");
    if (f && v2 && fscanf(f, "%lld %lld", &quota, &period) != 2)
        quota = -1; /* "max 100000" */
    if (f && !v2 && fscanf(f, "%lld", &quota) != 1)
        quota = -1;
    if (f)
        fclose(f);
    f = v2 ? NULL : open_below(directory, "cpu.cfs_period_us");
    if (f && fscanf(f, "%lld", &period) != 1)
        period = 0;
    if (f)
        fclose(f);
    if (quota <= 0 || period <= 0 || quota / period >= NO_LIMIT - 1)
        return NO_LIMIT;
    return (unsigned)((quota + period - 1) / period);
}

/* The least limit from our cgroup up to the top that is mounted. */
static unsigned limit_upwards(const char *root, const struct hierarchy *h)
{
    char own[PATH_MAX], directory[2 * PATH_MAX + 1];
    if (!own_path(root, h, own, sizeof own))
        return NO_LIMIT;
    size_t prefix = strcmp(h->mount_root, "/") ? strlen(h->mount_root) : 0;
    bool below = !strncmp(own, h->mount_root, prefix) && (!own[prefix] || own[prefix] == '/') &&
                 !strstr(own, "/..");
    int n =
        snprintf(directory, sizeof directory, "%s%s%s", root, h->mount, below ? own + prefix : "");
    if (n < 0 || (size_t)n >= sizeof directory)
        return NO_LIMIT;
    size_t top = strlen(root) + strlen(h->mount);
    unsigned least = NO_LIMIT;
    for (;;) {
        unsigned limit = limit_of(directory, h->v2);
        if (limit < least)
            least = limit;
        char *last = strrchr(directory, '/');
        if (!last || last < directory + top)
            return least;
        *last = '\0';
    }
}

unsigned processors_cgroup_limit(const char *root)
{
    FILE *f = open_below(root, "proc/self/mountinfo");
    char *line = NULL;
    size_t size = 0;
    unsigned least = NO_LIMIT;
    struct hierarchy h;
    while (f && getline(&line, &size, f) > 0)
        if (take_mount(line, &h)) {
            unsigned limit = limit_upwards(root, &h);
            if (limit < least)
                least = limit;
        }
    free(line);
    if (f)
        fclose(f);
    return least == NO_LIMIT ? 0 : least;
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

unsigned processors(void)
{
    unsigned count = by_affinity(), limit = processors_cgroup_limit("");
    return limit && limit < count ? limit : count;
}
