/* Something that asks a repository; see errand.h. */
#include "agent/errand.h"
#include "common/clock.h"

#include <pthread.h>
#include <stdlib.h>
#include <time.h>

struct errand {
    void (*run)(void *context);
    void *context;
    pthread_t thread;
    pthread_mutex_t mutex; /* ended, free_context */
    pthread_cond_t changed;
    bool ended;
    void (*free_context)(void *context); /* nobody waits for it any more */
};

static void destroy(struct errand *e)
{
    pthread_cond_destroy(&e->changed);
    pthread_mutex_destroy(&e->mutex);
    free(e);
}

static void *errand_main(void *argument)
{
    struct errand *e = argument;
    e->run(e->context);
    pthread_mutex_lock(&e->mutex);
    e->ended = true;
    void (*free_context)(void *context) = e->free_context;
    pthread_cond_broadcast(&e->changed);
    pthread_mutex_unlock(&e->mutex);
    if (free_context) {
        free_context(e->context);
        destroy(e);
    }
    return NULL;
}

struct errand *errand_start(void (*run)(void *context), void *context)
{
    struct errand *e = calloc(1, sizeof *e);
    if (!e)
        return NULL;
    e->run = run;
    e->context = context;
    pthread_mutex_init(&e->mutex, NULL);
    cond_init_monotonic(&e->changed);
    if (!pthread_create(&e->thread, NULL, errand_main, e))
        return e;
    destroy(e);
    return NULL;
}

bool errand_wait(struct errand *e, unsigned ms)
{
    struct timespec until = deadline_in_ms(ms);
    pthread_mutex_lock(&e->mutex);
    int failed = 0;
    while (!e->ended && !failed)
        failed = pthread_cond_timedwait(&e->changed, &e->mutex, &until);
    bool ended = e->ended;
    pthread_mutex_unlock(&e->mutex);
    return ended;
}

void errand_end(struct errand *e)
{
    if (!e)
        return;
    pthread_join(e->thread, NULL);
    destroy(e);
}

void errand_leave(struct errand *e, void (*free_context)(void *context))
{
    pthread_mutex_lock(&e->mutex);
    bool ended = e->ended;
    if (!ended) {
        e->free_context = free_context;
        pthread_detach(e->thread);
    }
    pthread_mutex_unlock(&e->mutex);
    if (ended) {
        free_context(e->context);
        errand_end(e);
    }
}
