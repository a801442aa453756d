/* What an agent remembers; see remembered.h. */
#include "agent/repository/remembered.h"
#include "agent/state_file.h"
#include "agent/warn.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define FILE_NAME "repositories.json"

/* Sessions of one agent; two processes that write at the same moment forget one of two uuids, which
 * the next backup adds again. */
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;

bool remembered_has(const char *state_dir, const char *uuid)
{
    pthread_mutex_lock(&mutex);
    json_t *root = state_file_read(state_dir, FILE_NAME);
    pthread_mutex_unlock(&mutex);
    bool has = json_object_get(json_object_get(root, "repositories"), uuid) != NULL;
    json_decref(root);
    return has;
}

/* Under mutex. The object under that key of the file's text, made if it is not there. */
static json_t *open_part(const char *state_dir, const char *key, json_t **root)
{
    *root = state_file_read(state_dir, FILE_NAME);
    if (!*root)
        *root = json_pack("{s:i}", "format", 1);
    if (!json_object_get(*root, key))
        json_object_set_new(*root, key, json_object());
    return json_object_get(*root, key);
}

static void write_all(const char *state_dir, const json_t *root, const char *then)
{
    struct gb_error problem = {0};
    if (!state_file_write(state_dir, FILE_NAME, root)) {
        error_set_errno(&problem, GB_io_error, errno, "%s/" FILE_NAME " can't be written",
                        state_dir);
        warn_of(&problem, "%s", then);
    }
}

void remembered_add(const char *state_dir, const char *uuid, const char *cluster)
{
    json_t *root;
    if (!*state_dir || remembered_has(state_dir, uuid))
        return;
    pthread_mutex_lock(&mutex);
    json_object_set_new(open_part(state_dir, "repositories", &root), uuid,
                        json_pack("{s:s}", "cluster", cluster));
    write_all(state_dir, root,
              "a new history of this cluster will have to be made known with repo adopt");
    json_decref(root);
    pthread_mutex_unlock(&mutex);
}

void remembered_add_place(const char *state_dir, const char *path, const char *cluster)
{
    struct stat st;
    json_t *root;
    if (!*state_dir || stat(path, &st))
        return;
    pthread_mutex_lock(&mutex);
    json_t *all = open_part(state_dir, "places", &root),
           *now = json_pack("{s:s, s:I}", "cluster", cluster, "device", (json_int_t)st.st_dev);
    if (!json_equal(json_object_get(all, path), now)) {
        json_object_set(all, path, now);
        write_all(state_dir, root, "a mount that is missing will not be noticed");
    }
    json_decref(now);
    json_decref(root);
    pthread_mutex_unlock(&mutex);
}

bool remembered_check_place(const char *state_dir, const char *path, struct gb_error *error)
{
    char identity[PATH_MAX];
    struct stat st, of_cluster;
    pthread_mutex_lock(&mutex);
    json_t *root = state_file_read(state_dir, FILE_NAME);
    pthread_mutex_unlock(&mutex);
    const json_t *place = json_object_get(json_object_get(root, "places"), path);
    const char *cluster = json_string_value(json_object_get(place, "cluster"));
    bool there = !stat(path, &st), ok = true;
    if (cluster && !there && errno == ENOENT) {
        ok = error_set(error, GB_repository_unreachable,
                       "the repository directory %s is not there, and this agent has written to it",
                       path);
        error_hint(error,
                   "see whether its file system is mounted; to begin anew, make the directory");
    } else if (cluster && there &&
               st.st_dev != (dev_t)json_integer_value(json_object_get(place, "device"))) {
        snprintf(identity, sizeof identity, "%s/%s/cluster.json", path, cluster);
        ok = !stat(identity, &of_cluster) || errno != ENOENT ||
             error_set(error, GB_repository_unreachable,
                       "%s is on another file system than when this agent wrote to it, and has no "
                       "%s/cluster.json",
                       path, cluster);
        if (!ok)
            error_hint(error,
                       "see whether it is mounted; to begin anew there, remove its entry from "
                       "%s/" FILE_NAME,
                       state_dir);
    }
    json_decref(root);
    return ok;
}
