/* What an agent remembers; see remembered.h. */
#include "agent/repository/remembered.h"

#include <errno.h>
#include <jansson.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_NAME "repositories.json"

/* Sessions of one agent; two processes that write at the same moment forget one of two uuids, which the next backup adds again. */
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;

static json_t *load(const char *state_dir)
{
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/" FILE_NAME, state_dir);
    json_t *root = *state_dir ? json_load_file(path, JSON_REJECT_DUPLICATES, NULL) : NULL;
    if (json_is_object(root))
        return root;
    json_decref(root);
    return NULL;
}

bool remembered_has(const char *state_dir, const char *uuid)
{
    pthread_mutex_lock(&mutex);
    json_t *root = load(state_dir);
    pthread_mutex_unlock(&mutex);
    bool has = json_object_get(json_object_get(root, "repositories"), uuid) != NULL;
    json_decref(root);
    return has;
}

/* Over the old file, or not at all. */
static bool save(const char *state_dir, const json_t *root)
{
    char path[PATH_MAX], temporary[PATH_MAX + 8];
    snprintf(path, sizeof path, "%s/" FILE_NAME, state_dir);
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

void remembered_add(const char *state_dir, const char *uuid, const char *cluster)
{
    if (!*state_dir || remembered_has(state_dir, uuid))
        return;
    pthread_mutex_lock(&mutex);
    json_t *root = load(state_dir), *all;
    if (!root)
        root = json_pack("{s:i}", "format", 1);
    if (!(all = json_object_get(root, "repositories"))) {
        all = json_object();
        json_object_set_new(root, "repositories", all);
    }
    json_object_set_new(all, uuid, json_pack("{s:s}", "cluster", cluster));
    if (!save(state_dir, root))
        fprintf(stderr, "galera-backup: warning: %s/" FILE_NAME " can't be written (%s): a new history of this cluster will have to be made known with repo adopt\n",
                state_dir, strerror(errno));
    json_decref(root);
    pthread_mutex_unlock(&mutex);
}
