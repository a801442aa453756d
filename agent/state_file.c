/* Small JSON files of an agent; see state_file.h. */
#include "agent/state_file.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

json_t *state_file_read(const char *state_dir, const char *name)
{
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/%s", state_dir, name);
    json_t *root = *state_dir ? json_load_file(path, JSON_REJECT_DUPLICATES, NULL) : NULL;
    if (json_is_object(root))
        return root;
    json_decref(root);
    return NULL;
}

bool state_file_write(const char *state_dir, const char *name, const json_t *root)
{
    char path[PATH_MAX], temporary[PATH_MAX + 8];
    snprintf(path, sizeof path, "%s/%s", state_dir, name);
    snprintf(temporary, sizeof temporary, "%s.new", path);
    if (mkdir(state_dir, 0700) && errno != EEXIST)
        return false;
    FILE *f = fopen(temporary, "we");
    if (!f)
        return false;
    bool ok = !json_dumpf(root, f, JSON_INDENT(1)) && !fflush(f) && !fsync(fileno(f));
    ok = !fclose(f) && ok;
    return ok && !rename(temporary, path);
}
