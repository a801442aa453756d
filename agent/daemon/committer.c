/* The commit of a backup; see committer.h. */
#include "agent/daemon/committer.h"
#include "common/clock.h"

#include <pthread.h>
#include <stdlib.h>
#include <time.h>

struct committer {
    struct committer_setup setup;
    pthread_t thread;
    pthread_mutex_t mutex; /* given_up, committed */
    bool committed;
    bool given_up; /* atomic: read without the mutex where something is waited for; it only ever
                      becomes true */
    bool ended;    /* atomic */
    struct gb_error error; /* the thread's, until it has ended */
    uint64_t operations;   /* of the storages, when they were looked at last */
    uint64_t moved_ms;     /* when they had changed */
};

/* Asked twice; the last answer is the decision. */
static bool wanted(struct committer *c, bool last)
{
    pthread_mutex_lock(&c->mutex);
    bool yes = !c->given_up;
    c->committed = last && yes;
    pthread_mutex_unlock(&c->mutex);
    return yes ||
           error_set(&c->error, GB_cancelled, "%s is not wanted any more", c->setup.manifest->id);
}

/* All mirrors have come to a step. */
static bool await(struct committer *c, enum mirror_step step)
{
    for (unsigned i = 0; i < c->setup.mirror_count; i++)
        if (!mirror_await(c->setup.mirrors[i], step, &c->given_up, &c->error))
            return false;
    return true;
}

static void advance(struct committer *c, enum mirror_step step)
{
    for (unsigned i = 0; i < c->setup.mirror_count; i++)
        mirror_advance(c->setup.mirrors[i], step);
}

/* All is there but the manifests. */
static bool prepare(struct committer *c)
{
    struct committer_setup *s = &c->setup;
    const struct object_info *segments;
    size_t count;
    if (!pipeline_finish(s->pipeline, &c->given_up, &c->error))
        return false;
    struct index *index = pipeline_finished(s->pipeline, &segments, &count);
    s->manifest->finished_at = time(NULL);
    if (s->manifest->finished_at < s->manifest->started_at)
        s->manifest->finished_at = s->manifest->started_at; /* the clock was set back meanwhile */
    if (!index_finish(index, s->manifest->redo_bytes, &c->error))
        return false;
    for (unsigned i = 0; i < s->mirror_count; i++)
        mirror_commit(s->mirrors[i], index, s->manifest, MIRROR_PREPARED);
    return repository_prepare(s->backup, index, s->manifest, segments, count, &c->error) &&
           await(c, MIRROR_PREPARED);
}

static void *committer_main(void *argument)
{
    struct committer *c = argument;
    struct committer_setup *s = &c->setup;
    bool ok =
        prepare(c) && wanted(c, false) && repository_publish(s->backup, s->manifest, &c->error);
    if (ok)
        advance(c, MIRROR_PUBLISHED);
    if (ok && await(c, MIRROR_PUBLISHED) && wanted(c, true)) {
        advance(c, MIRROR_KEPT);
        repository_end(s->backup);
    } else
        repository_abort(s->backup);
    __atomic_store_n(&c->ended, true, __ATOMIC_RELEASE);
    return NULL;
}

static uint64_t operations(const struct committer *c)
{
    uint64_t sum = storage_operations(c->setup.repository->storage);
    for (unsigned i = 0; i < c->setup.mirror_count; i++)
        sum += mirror_operations(c->setup.mirrors[i]);
    return sum;
}

struct committer *committer_start(const struct committer_setup *setup, struct gb_error *error)
{
    struct committer *c = calloc(1, sizeof *c);
    if (c) {
        c->setup = *setup;
        c->operations = operations(c);
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
    uint64_t done = operations(c), now = now_us() / 1000;
    if (done != c->operations)
        c->moved_ms = now;
    c->operations = done;
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
