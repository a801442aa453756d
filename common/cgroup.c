/* The control groups that this process is in; see cgroup.h. */
#include "common/cgroup.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

struct hierarchy {
    bool v2;
    char mount[PATH_MAX], mount_root[PATH_MAX]; /* where, and which of its cgroups is seen there */
};

FILE *cgroup_open(const char *directory, const char *name)
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
static bool take_mount(const char *line, const char *controller, struct hierarchy *h)
{
    char type[64], options[1024];
    const char *rest = strstr(line, " - ");
    if (!rest || sscanf(line, "%*s %*s %*s %4095s %4095s", h->mount_root, h->mount) != 2 ||
        sscanf(rest, " - %63s %*s %1023s", type, options) != 2)
        return false;
    h->v2 = !strcmp(type, "cgroup2");
    return h->v2 || (!strcmp(type, "cgroup") && listed(options, controller));
}

/* Our path in that hierarchy: a line "0::PATH" (v2) or "N:CONTROLLERS:PATH". */
static bool own_path(const char *root, const char *controller, const struct hierarchy *h,
                     char *path, size_t size)
{
    FILE *f = cgroup_open(root, "proc/self/cgroup");
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
        found = h->v2 ? !*controllers : listed(controllers, controller);
        if (found)
            snprintf(path, size, "%s", own);
    }
    if (f)
        fclose(f);
    return found;
}

/* From our group up to the top that is mounted. */
static void visit_upwards(const char *root, const char *controller, const struct hierarchy *h,
                          cgroup_visit *visit, void *context)
{
    char own[PATH_MAX], directory[2 * PATH_MAX + 1];
    if (!own_path(root, controller, h, own, sizeof own))
        return;
    size_t prefix = strcmp(h->mount_root, "/") ? strlen(h->mount_root) : 0;
    bool below = !strncmp(own, h->mount_root, prefix) && (!own[prefix] || own[prefix] == '/') &&
                 !strstr(own, "/..");
    int n =
        snprintf(directory, sizeof directory, "%s%s%s", root, h->mount, below ? own + prefix : "");
    if (n < 0 || (size_t)n >= sizeof directory)
        return;
    size_t top = strlen(root) + strlen(h->mount);
    for (;;) {
        visit(context, directory, h->v2);
        char *last = strrchr(directory, '/');
        if (!last || last < directory + top)
            return;
        *last = '\0';
    }
}

void cgroup_each(const char *root, const char *controller, cgroup_visit *visit, void *context)
{
    FILE *f = cgroup_open(root, "proc/self/mountinfo");
    char *line = NULL;
    size_t size = 0;
    struct hierarchy h;
    while (f && getline(&line, &size, f) > 0)
        if (take_mount(line, controller, &h))
            visit_upwards(root, controller, &h, visit, context);
    free(line);
    if (f)
        fclose(f);
}
