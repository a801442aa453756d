/* Parts of objects on their way to a store; see parts.h. */
#include "agent/storage/parts.h"
#include "common/priority.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define THREADS_MAX 32u

struct job {
    struct job *next;
    struct parts_object *object;
    unsigned number;
    void *buffer;
    size_t size;
};

struct parts {
    size_t part_size;
    unsigned most;
    pthread_mutex_t mutex; /* all below, and of objects what is private; held for no I/O */
    pthread_cond_t changed;
    struct job *head, **tail;
    unsigned under_way; /* given and not sent yet */
    bool stop;
    pthread_t thread[THREADS_MAX];
    unsigned threads;
};

struct parts *parts_open(unsigned threads, size_t part_size)
{
    struct parts *p = calloc(1, sizeof *p);
    if (!p)
        return NULL;
    p->part_size = part_size;
    p->most = threads < THREADS_MAX ? threads : THREADS_MAX;
    p->tail = &p->head;
    pthread_mutex_init(&p->mutex, NULL);
    pthread_cond_init(&p->changed, NULL);
    return p;
}

void parts_close(struct parts *p)
{
    if (!p)
        return;
    pthread_mutex_lock(&p->mutex);
    p->stop = true;
    pthread_cond_broadcast(&p->changed);
    pthread_mutex_unlock(&p->mutex);
    for (unsigned i = 0; i < p->threads; i++)
        pthread_join(p->thread[i], NULL);
    pthread_cond_destroy(&p->changed);
    pthread_mutex_destroy(&p->mutex);
    free(p);
}

void *parts_buffer(const struct parts *p)
{
    void *buffer =
        mmap(NULL, p->part_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return buffer == MAP_FAILED ? NULL : buffer;
}

void parts_free_buffer(const struct parts *p, void *buffer)
{
    if (buffer)
        munmap(buffer, p->part_size);
}

/* Under the mutex. */
static struct job *take(struct parts *p)
{
    struct job *job = p->head;
    p->head = job->next;
    if (!p->head)
        p->tail = &p->head;
    return job;
}

static void *sender_main(void *argument)
{
    struct parts *p = argument;
    priority_name("gb-send");
    pthread_mutex_lock(&p->mutex);
    for (;;) {
        while (!p->head && !p->stop)
            pthread_cond_wait(&p->changed, &p->mutex);
        if (!p->head)
            break;
        struct job *job = take(p);
        struct parts_object *o = job->object;
        struct gb_error error = {0};
        bool wanted = !o->dropped && !o->error.code;
        pthread_mutex_unlock(&p->mutex);
        if (wanted)
            o->send(o->context, job->number, job->buffer, job->size, &error);
        parts_free_buffer(p, job->buffer);
        pthread_mutex_lock(&p->mutex);
        error_copy(&o->error, &error);
        o->pending--;
        p->under_way--;
        free(job);
        pthread_cond_broadcast(&p->changed);
    }
    pthread_mutex_unlock(&p->mutex);
    return NULL;
}

/* Under the mutex: as many threads as there are parts under way, up to the bound. */
static void start_thread(struct parts *p)
{
    if (p->threads < p->most && p->threads < p->under_way &&
        !pthread_create(&p->thread[p->threads], NULL, sender_main, p))
        p->threads++;
}

bool parts_give(struct parts *p, struct parts_object *o, unsigned number, void *buffer, size_t size,
                struct gb_error *error)
{
    struct job *job = calloc(1, sizeof *job);
    if (!job) {
        parts_free_buffer(p, buffer);
        return error_set(error, GB_internal, "no memory for a part");
    }
    *job = (struct job){.object = o, .number = number, .buffer = buffer, .size = size};
    pthread_mutex_lock(&p->mutex);
    while (p->under_way >= p->most && !o->error.code)
        pthread_cond_wait(&p->changed, &p->mutex);
    bool ok = !o->error.code;
    if (ok) {
        p->under_way++;
        start_thread(p);
        ok = p->threads > 0;
        if (ok) {
            o->pending++;
            *p->tail = job;
            p->tail = &job->next;
            pthread_cond_broadcast(&p->changed);
        } else {
            p->under_way--;
            error_set(error, GB_internal, "no thread to send with");
        }
    } else {
        error_copy(error, &o->error);
    }
    pthread_mutex_unlock(&p->mutex);
    if (!ok) {
        parts_free_buffer(p, buffer);
        free(job);
    }
    return ok;
}

bool parts_wait(struct parts *p, struct parts_object *o, struct gb_error *error)
{
    pthread_mutex_lock(&p->mutex);
    while (o->pending)
        pthread_cond_wait(&p->changed, &p->mutex);
    bool ok = !o->error.code;
    if (!ok)
        error_copy(error, &o->error);
    pthread_mutex_unlock(&p->mutex);
    return ok;
}

void parts_drop(struct parts *p, struct parts_object *o)
{
    struct gb_error ignored = {0};
    pthread_mutex_lock(&p->mutex);
    o->dropped = true;
    pthread_mutex_unlock(&p->mutex);
    parts_wait(p, o, &ignored);
}
