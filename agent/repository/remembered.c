/* What an agent remembers; see remembered.h. */
#include "agent/repository/remembered.h"
#include "agent/state_file.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#define FILE_NAME "repositories.json"

/* Sessions of one agent; two processes that write at the same moment forget one of two uuids, which the next backup adds again. */
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

void remembered_add(const char *state_dir, const char *uuid, const char *cluster)
{
    if (!*state_dir || remembered_has(state_dir, uuid))
        return;
    pthread_mutex_lock(&mutex);
    json_t *root = state_file_read(state_dir, FILE_NAME), *all;
    if (!root)
        root = json_pack("{s:i}", "format", 1);
    if (!(all = json_object_get(root, "repositories"))) {
        all = json_object();
        json_object_set_new(root, "repositories", all);
    }
    json_object_set_new(all, uuid, json_pack("{s:s}", "cluster", cluster));
    if (!state_file_write(state_dir, FILE_NAME, root))
        fprintf(stderr, "galera-backup: warning: %s/" FILE_NAME " can't be written (%s): a new history of this cluster will have to be made known with repo adopt\n",
                state_dir, strerror(errno));
    json_decref(root);
    pthread_mutex_unlock(&mutex);
}
