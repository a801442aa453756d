/* Something that asks a repository behind a network; see errand.h. */
#include "agent/daemon/errand.h"
#include "common/clock.h"

#include <pthread.h>
#include <stdlib.h>
#include <time.h>

struct errand {
    void (*run)(void *context);
    void *context;
    pthread_t thread;
    pthread_mutex_t mutex; /* ended */
    pthread_cond_t changed;
    bool ended;
};

static void *errand_main(void *argument)
{
    struct errand *e = argument;
    e->run(e->context);
    pthread_mutex_lock(&e->mutex);
    e->ended = true;
    pthread_cond_broadcast(&e->changed);
    pthread_mutex_unlock(&e->mutex);
    return NULL;
}

static void destroy(struct errand *e)
{
    pthread_cond_destroy(&e->changed);
    pthread_mutex_destroy(&e->mutex);
    free(e);
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
