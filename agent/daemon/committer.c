/* The commit of a backup; see committer.h. */
#include "agent/daemon/committer.h"
#include "common/clock.h"

#include <pthread.h>
#include <stdlib.h>
#include <time.h>

struct committer {
    struct repository *repository;
    struct pipeline *pipeline;
    struct repository_backup *backup;
    struct manifest *manifest;
    pthread_t thread;
    pthread_mutex_t mutex; /* given_up, committed */
    bool committed;
    bool given_up; /* atomic: read without the mutex by pipeline_finish(); it only ever becomes true */
    bool ended;   /* atomic */
    struct gb_error error; /* the thread's, until it has ended */
    uint64_t operations;   /* of the storage, when it was looked at last */
    uint64_t moved_ms;     /* when they had changed */
};

/* repository_commit() asks; the last answer is the decision. */
static bool wanted(void *context, bool last)
{
    struct committer *c = context;
    pthread_mutex_lock(&c->mutex);
    bool yes = !c->given_up;
    c->committed = last && yes;
    pthread_mutex_unlock(&c->mutex);
    return yes;
}

static void *committer_main(void *argument)
{
    struct committer *c = argument;
    if (pipeline_finish(c->pipeline, &c->given_up, &c->error)) {
        const struct object_info *segments;
        size_t count;
        struct index *index = pipeline_finished(c->pipeline, &segments, &count);
        c->manifest->finished_at = time(NULL);
        if (c->manifest->finished_at < c->manifest->started_at)
            c->manifest->finished_at = c->manifest->started_at; /* the clock was set back meanwhile */
        repository_backup_ask(c->backup, wanted, c);
        repository_commit(c->backup, index, c->manifest, segments, count, &c->error);
    } else {
        repository_abort(c->backup);
    }
    __atomic_store_n(&c->ended, true, __ATOMIC_RELEASE);
    return NULL;
}

struct committer *committer_start(struct repository *repository, struct pipeline *pipeline,
                                  struct repository_backup *backup, struct manifest *manifest,
                                  struct gb_error *error)
{
    struct committer *c = calloc(1, sizeof *c);
    if (c) {
        c->repository = repository;
        c->pipeline = pipeline;
        c->backup = backup;
        c->manifest = manifest;
        c->operations = storage_operations(repository->storage);
        c->moved_ms = now_us() / 1000;
        pthread_mutex_init(&c->mutex, NULL);
        if (!pthread_create(&c->thread, NULL, committer_main, c))
            return c;
        pthread_mutex_destroy(&c->mutex);
        free(c);
    }
    error_set(error, GB_internal, "no thread for the commit");
    return NULL;
}

bool committer_ended(struct committer *c)
{
    return __atomic_load_n(&c->ended, __ATOMIC_ACQUIRE);
}

uint64_t committer_idle_ms(struct committer *c)
{
    uint64_t operations = storage_operations(c->repository->storage), now = now_us() / 1000;
    if (operations != c->operations)
        c->moved_ms = now;
    c->operations = operations;
    return now - c->moved_ms;
}

bool committer_give_up(struct committer *c)
{
    pthread_mutex_lock(&c->mutex);
    bool in_time = !c->committed;
    if (in_time)
        __atomic_store_n(&c->given_up, true, __ATOMIC_RELEASE);
    pthread_mutex_unlock(&c->mutex);
    return in_time;
}

bool committer_end(struct committer *c, struct gb_error *error)
{
    if (!c)
        return false;
    pthread_join(c->thread, NULL);
    bool committed = c->committed;
    if (!committed)
        error_copy(error, &c->error);
    pthread_mutex_destroy(&c->mutex);
    free(c);
    return committed;
}
