/* The way of a slot through the agent; see pipeline.h. */
#include "agent/daemon/pipeline.h"
#include "agent/codec/adapt.h"
#include "agent/daemon/spool.h"
#include "agent/repository/segments.h"
#include "common/priority.h"
#include "common/clock.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define THREADS_MAX 64u
#define SPARE                                                                                      \
    2u /* workers beyond the threads asked for: who waits for the store leaves no processor idle   \
        */
#define WAIT_MS     100u
#define WORKER_NICE 15 /* no lower: on a saturated machine a backup has to end some day */

struct job {
    struct job *next;
    uint32_t slot, count;
    struct wire_extent extents[];
};

struct sealed { /* a redo frame that waits for the store */
    struct sealed *next;
    struct frame_buffer buffer;
    size_t size;
    bool spooled; /* buffer.data is NULL, the bytes are in the spool at spool_at */
    uint64_t spool_at;
    uint32_t count;
    struct wire_extent extents[];
};

struct job_queue {
    struct job *head, **tail;
    unsigned count;
};

struct pipeline {
    struct pipeline_setup setup;
    uint32_t slots;
    pthread_mutex_t mutex;     /* all below; never held across compression or I/O */
    pthread_cond_t pages_come; /* workers wait for it: one is woken for each job */
    pthread_cond_t hurried;    /* prompt workers */
    pthread_cond_t changed;    /* the others */
    struct job_queue pages, redo;
    struct sealed *sealed_head, **sealed_tail;
    uint64_t sealed_bytes;         /* in memory */
    struct spool *spool;           /* NULL: none */
    unsigned in_store;             /* threads in the store at this moment */
    uint64_t store_us, counted_us; /* their time up to counted_us */
    struct adapt adapt; /* where the compression adapts; its level is read without the mutex */
    unsigned active;    /* jobs and sealed frames taken from a queue and not yet in the index */
    unsigned mirroring; /* threads that give a frame to mirrors */
    bool stop, finish, hurry;
    bool redo_waits; /* for room: pages leave the store to it */
    bool *held;      /* by slot: with us */
    struct index index;
    struct segments written;
    uint64_t stored, took_us;
    struct gb_error error;
    pthread_t thread[2 * THREADS_MAX + 2];
    unsigned threads, workers; /* all; those that take pages */
};

/* Under the mutex. */
static void wake_all(struct pipeline *p)
{
    pthread_cond_broadcast(&p->changed);
    pthread_cond_broadcast(&p->pages_come);
    pthread_cond_broadcast(&p->hurried);
}

static void fail(struct pipeline *p, const struct gb_error *error)
{
    pthread_mutex_lock(&p->mutex);
    error_copy(&p->error, error);
    p->stop = true;
    wake_all(p);
    pthread_mutex_unlock(&p->mutex);
}

static void wait_slice(struct pipeline *p)
{
    struct timespec until = deadline_in_ms(WAIT_MS);
    pthread_cond_timedwait(&p->changed, &p->mutex, &until);
}

enum who {
    ANY,
    PROMPT, /* works only while there is hurry */
    EARLY,  /* leaves when there is, or when the queue grows */
};

/* Under the mutex. */
static bool leaves(const struct pipeline *p, const struct job_queue *q, enum who who)
{
    return p->stop ||
           (who == EARLY && (p->hurry || p->finish || 2 * q->count >= p->setup.shape.redo_slots));
}

/* The next job of a queue; NULL when the pipeline stops, or finishes and the queue is empty. */
static struct job *take(struct pipeline *p, struct job_queue *q, enum who who)
{
    pthread_mutex_lock(&p->mutex);
    while ((!q->head || (q == &p->pages && p->redo_waits) || (who == PROMPT && !p->hurry)) &&
           !p->finish && !leaves(p, q, who))
        pthread_cond_wait(who == PROMPT    ? &p->hurried
                          : q == &p->pages ? &p->pages_come
                                           : &p->changed,
                          &p->mutex);
    struct job *job = leaves(p, q, who) ? NULL : q->head;
    if (job) {
        q->head = job->next;
        if (!q->head)
            q->tail = &q->head;
        q->count--;
        p->active++;
    }
    pthread_mutex_unlock(&p->mutex);
    return job;
}

/* Compresses a job's extents and gives the slot back. */
static bool compress(struct pipeline *p, struct codec *codec, const struct job *job,
                     struct frame_buffer *buffer, struct gb_error *error)
{
    struct iovec *pieces = malloc((job->count + 1) * sizeof *pieces);
    if (!pieces)
        return error_set(error, GB_internal, "no memory for a frame");
    const uint8_t *slot = p->setup.ring + (size_t)job->slot * RING_SLOT_SIZE;
    int count = 0;
    for (uint32_t i = 0; i < job->count; i++) {
        uint8_t *at = (uint8_t *)(uintptr_t)(slot + job->extents[i].at);
        if (count && (uint8_t *)pieces[count - 1].iov_base + pieces[count - 1].iov_len == at)
            pieces[count - 1].iov_len += job->extents[i].length;
        else
            pieces[count++] = (struct iovec){at, job->extents[i].length};
    }
    bool ok = frame_build(codec, pieces, count, buffer, error);
    free(pieces);
    pthread_mutex_lock(&p->mutex);
    p->held[job->slot] = false;
    pthread_mutex_unlock(&p->mutex);
    p->setup.free_slot(p->setup.context, job->slot);
    return ok;
}

/* Under mutex. One thread more (1) or less (-1) is in the store. */
static void count_store(struct pipeline *p, int change)
{
    uint64_t now = now_us();
    p->store_us += p->in_store * (now - p->counted_us);
    p->counted_us = now;
    p->in_store = (unsigned)((int)p->in_store + change);
}

static void enter_store(struct pipeline *p, int change)
{
    pthread_mutex_lock(&p->mutex);
    count_store(p, change);
    pthread_mutex_unlock(&p->mutex);
}

struct outlet { /* a thread's own */
    struct segment_writer *segment;
    uint32_t number; /* of the segment that it has appended to last; 0: none */
};

static void close_mirrored(const struct pipeline *p, uint32_t segment)
{
    for (unsigned i = 0; segment && i < p->setup.mirror_count; i++)
        mirror_close_segment(p->setup.mirrors[i], segment);
}

/* Copies for the mirrors, before the frame is sealed where it stands. NULL: there is none, or it
 * has failed. */
static void copy_frame(const struct pipeline *p, const struct frame_buffer *buffer,
                       struct mirror_frame **copy)
{
    for (unsigned i = 0; i < p->setup.mirror_count; i++)
        copy[i] = mirror_wants(p->setup.mirrors[i]) ? mirror_frame(buffer) : NULL;
}

/* Whether a mirror's failure is one of the backup's, its owner knows. */
static void give_frame(struct pipeline *p, const struct outlet *out, struct mirror_frame **copy,
                       const struct frame *frame)
{
    if (out->number != frame->segment)
        close_mirrored(p, out->number);
    for (unsigned i = 0; i < p->setup.mirror_count; i++)
        mirror_give(p->setup.mirrors[i], copy[i], frame);
    pthread_mutex_lock(&p->mutex);
    p->mirroring--;
    p->took_us = now_us(); /* the store has waited for the mirrors, not the other way round */
    pthread_mutex_unlock(&p->mutex);
}

/* Appends it and enters it in the index. */
static bool place(struct pipeline *p, struct outlet *out, struct frame_buffer *buffer,
                  const struct wire_extent *extents, uint32_t count, struct gb_error *error)
{
    struct mirror_frame *copy[MIRRORS_MAX] = {NULL};
    const struct frame *frame = &buffer->frame;
    copy_frame(p, buffer, copy);
    enter_store(p, 1);
    bool ok = segments_append(&p->written, &out->segment, buffer, error);
    pthread_mutex_lock(&p->mutex);
    count_store(p, -1);
    adapt_look(&p->adapt, p->counted_us, p->store_us, p->workers);
    if (ok) {
        p->stored += FRAME_HEADER_SIZE + frame->stored_size;
        p->took_us = now_us();
        ok = index_add_frame(&p->index, frame, extents, count, error);
        p->active--;
        p->mirroring += ok && p->setup.mirror_count;
        if (p->finish)
            pthread_cond_broadcast(&p->changed);
    }
    pthread_mutex_unlock(&p->mutex);
    if (ok && p->setup.mirror_count)
        give_frame(p, out, copy, frame);
    for (unsigned i = 0; i < p->setup.mirror_count && !ok; i++)
        mirror_frame_free(copy[i]);
    if (ok)
        out->number = frame->segment;
    return ok;
}

static void end_thread(struct pipeline *p, struct outlet *out, struct gb_error *error)
{
    pthread_mutex_lock(&p->mutex);
    bool stop = p->stop;
    pthread_mutex_unlock(&p->mutex);
    if (stop || error->code)
        segment_abort(out->segment);
    else
        segments_close(&p->written, &out->segment, error);
    close_mirrored(p, out->number);
    if (error->code)
        fail(p, error);
}

static void work(struct pipeline *p, enum who who)
{
    struct gb_error error = {0};
    struct codec *codec = codec_new(p->setup.repository->spec.compression);
    struct frame_buffer buffer = {0};
    struct outlet out = {.segment = NULL};
    if (!codec)
        error_set(&error, GB_internal, "no memory for a worker");
    for (struct job *job; !error.code && (job = take(p, &p->pages, who)); free(job)) {
        if (p->setup.repository->spec.compression.level == CODEC_LEVEL_ADAPTS)
            codec_set_level(codec, __atomic_load_n(&p->adapt.level, __ATOMIC_RELAXED));
        if (compress(p, codec, job, &buffer, &error))
            place(p, &out, &buffer, job->extents, job->count, &error);
    }
    end_thread(p, &out, &error);
    frame_buffer_free(&buffer);
    codec_free(codec);
}

static void *worker_main(void *argument)
{
    priority_name("gb-worker");
    priority_lower(WORKER_NICE);
    work(argument, ANY);
    return NULL;
}

/* While the server's writers may be waiting for slots: of normal priority. */
static void *prompt_main(void *argument)
{
    priority_name("gb-prompt");
    work(argument, PROMPT);
    return NULL;
}

void pipeline_hurry(struct pipeline *p, bool hurry)
{
    pthread_mutex_lock(&p->mutex);
    p->hurry = hurry;
    wake_all(p);
    pthread_mutex_unlock(&p->mutex);
}

/* Redo: from slot to sealed frame in memory. */
static void frame_data_free(struct frame_buffer *buffer)
{
    free(buffer->data);
    buffer->data = NULL;
    buffer->capacity = 0;
}

/* Under the mutex. */
static bool redo_fits(const struct pipeline *p, size_t size)
{
    return !p->sealed_bytes || p->sealed_bytes + size <= p->setup.redo_memory;
}

static void redo_work(struct pipeline *p, enum who who)
{
    struct gb_error error = {0};
    struct codec *codec = codec_new(p->setup.repository->spec.compression);
    if (!codec)
        error_set(&error, GB_internal, "no memory for the redo thread");
    for (struct job *job; !error.code && (job = take(p, &p->redo, who)); free(job)) {
        struct sealed *s = calloc(1, sizeof *s + job->count * sizeof *s->extents);
        if (!s || !compress(p, codec, job, &s->buffer, &error)) {
            error_set(&error, GB_internal, "no memory for redo");
            if (s)
                frame_buffer_free(&s->buffer);
            free(s);
            continue;
        }
        /* Frames of little redo hold little memory. */
        size_t used = FRAME_HEADER_SIZE + s->buffer.frame.stored_size;
        uint8_t *less = realloc(s->buffer.data, used);
        if (less)
            s->buffer.data = less;
        s->buffer.capacity = s->size = used;
        s->count = job->count;
        memcpy(s->extents, job->extents, job->count * sizeof *s->extents);
        pthread_mutex_lock(&p->mutex);
        /* While the server need not be hurried, what comes next waits in its slots, and behind them
         * in the server's log; and pages wait for it. */
        bool waited = false;
        for (; (p->redo_waits = !p->spool && !p->hurry && !p->stop && !redo_fits(p, used));
             waited = true)
            wait_slice(p);
        if (waited)
            pthread_cond_broadcast(&p->pages_come);
        bool fits = redo_fits(p, used);
        pthread_mutex_unlock(&p->mutex);
        if (!fits && p->spool && spool_put(p->spool, s->buffer.data, used, &s->spool_at, &error)) {
            s->spooled = true;
            frame_data_free(&s->buffer);
        }
        pthread_mutex_lock(&p->mutex);
        p->sealed_bytes += s->spooled ? 0 : used;
        if (!fits && !p->spool)
            error_set(&error, GB_redo_memory,
                      "%llu MB of redo wait for the repository, more than redo-memory (%llu MB)",
                      (unsigned long long)(p->sealed_bytes >> 20),
                      (unsigned long long)(p->setup.redo_memory >> 20));
        *p->sealed_tail = s;
        p->sealed_tail = &s->next;
        pthread_cond_broadcast(&p->changed);
        pthread_mutex_unlock(&p->mutex);
    }
    if (error.code)
        fail(p, &error);
    codec_free(codec);
}

/* The redo of before the backup is bulk work. */
static void *redo_early_main(void *argument)
{
    priority_name("gb-redo-early");
    priority_lower(WORKER_NICE);
    redo_work(argument, EARLY);
    return NULL;
}

static void *redo_main(void *argument)
{
    pthread_t early;
    priority_name("gb-redo");
    if (!pthread_create(&early, NULL, redo_early_main, argument))
        pthread_join(early, NULL);
    redo_work(argument, ANY);
    return NULL;
}

static struct sealed *take_sealed(struct pipeline *p)
{
    pthread_mutex_lock(&p->mutex);
    /* At the end: nothing more can come once no job is queued and none is being compressed. */
    while (!p->sealed_head && !p->stop && !(p->finish && !p->redo.head && !p->active))
        wait_slice(p);
    struct sealed *s = p->stop ? NULL : p->sealed_head;
    if (s) {
        p->sealed_head = s->next;
        if (!p->sealed_head)
            p->sealed_tail = &p->sealed_head;
    }
    pthread_mutex_unlock(&p->mutex);
    return s;
}

static void *redo_writer_main(void *argument)
{
    struct pipeline *p = argument;
    struct gb_error error = {0};
    struct outlet out = {.segment = NULL};
    for (struct sealed *s; !error.code && (s = take_sealed(p));) {
        if (s->spooled) {
            s->buffer.capacity = s->size;
            if (!(s->buffer.data = malloc(s->size)))
                error_set(&error, GB_internal, "no memory for redo");
            else
                spool_take(p->spool, s->spool_at, s->buffer.data, s->size, &error);
        }
        if (!error.code)
            place(p, &out, &s->buffer, s->extents, s->count, &error);
        pthread_mutex_lock(&p->mutex);
        p->sealed_bytes -= s->spooled ? 0 : s->size;
        pthread_cond_broadcast(&p->changed);
        pthread_mutex_unlock(&p->mutex);
        frame_buffer_free(&s->buffer);
        free(s);
    }
    end_thread(p, &out, &error);
    return NULL;
}

static bool start_thread(struct pipeline *p, void *(*main)(void *), struct gb_error *error)
{
    if (pthread_create(&p->thread[p->threads], NULL, main, p))
        return error_set(error, GB_internal, "no thread for the backup");
    p->threads++;
    return true;
}

struct pipeline *pipeline_start(const struct pipeline_setup *setup, struct gb_error *error)
{
    struct pipeline *p = calloc(1, sizeof *p);
    if (!p) {
        error_set(error, GB_internal, "no memory");
        return NULL;
    }
    p->setup = *setup;
    p->slots = setup->shape.page_slots + setup->shape.redo_slots;
    p->held = calloc(p->slots, sizeof *p->held);
    p->pages.tail = &p->pages.head;
    p->redo.tail = &p->redo.head;
    p->sealed_tail = &p->sealed_head;
    segments_init(&p->written, setup->repository->storage, setup->prefix, setup->key);
    p->took_us = p->counted_us = now_us();
    adapt_begin(&p->adapt, p->counted_us);
    index_init(&p->index);
    pthread_mutex_init(&p->mutex, NULL);
    cond_init_monotonic(&p->changed);
    pthread_cond_init(&p->pages_come, NULL);
    pthread_cond_init(&p->hurried, NULL);
    bool spool = setup->redo_spool && setup->redo_spool[0];
    bool ok =
        p->held &&
        (!spool || (p->spool = spool_open(setup->redo_spool, setup->redo_spool_size, error))) &&
        start_thread(p, redo_main, error) && start_thread(p, redo_writer_main, error);
    p->workers = setup->threads + SPARE < THREADS_MAX ? setup->threads + SPARE : THREADS_MAX;
    for (unsigned i = 0; ok && i < p->workers; i++)
        ok = start_thread(p, worker_main, error) &&
             (i < SPARE || start_thread(p, prompt_main, error));
    if (ok)
        return p;
    error_set(error, GB_internal, "no memory");
    pipeline_abort(p);
    return NULL;
}

static void join(struct pipeline *p)
{
    for (unsigned i = 0; i < p->threads; i++)
        pthread_join(p->thread[i], NULL);
    p->threads = 0;
}

void pipeline_stop(struct pipeline *p)
{
    if (!p)
        return;
    pthread_mutex_lock(&p->mutex);
    p->stop = true;
    wake_all(p);
    pthread_mutex_unlock(&p->mutex);
    join(p);
}

void pipeline_abort(struct pipeline *p)
{
    if (!p)
        return;
    pipeline_stop(p);
    struct job_queue *queues[] = {&p->pages, &p->redo};
    for (unsigned i = 0; i < 2; i++)
        for (struct job *job = queues[i]->head, *next; job; job = next) {
            next = job->next;
            free(job);
        }
    for (struct sealed *s = p->sealed_head, *next; s; s = next) {
        next = s->next;
        frame_buffer_free(&s->buffer);
        free(s);
    }
    pthread_mutex_destroy(&p->mutex);
    pthread_cond_destroy(&p->changed);
    pthread_cond_destroy(&p->pages_come);
    pthread_cond_destroy(&p->hurried);
    index_free(&p->index);
    spool_close(p->spool);
    segments_free(&p->written);
    free(p->held);
    free(p);
}

bool pipeline_slot(struct pipeline *p, const struct wire_slot *m, struct gb_error *error)
{
    bool redo = m->slot >= p->setup.shape.page_slots;
    if (m->slot >= p->slots || !m->count)
        return error_set(error, GB_protocol, "slot %u of %u", m->slot, p->slots);
    uint64_t plain = 0;
    for (uint32_t i = 0; i < m->count; i++) {
        const struct wire_extent *e = &m->extents[i];
        plain += e->length;
        if (!e->length || e->length > RING_SLOT_SIZE || e->at > RING_SLOT_SIZE - e->length ||
            redo != (e->file_no == WIRE_FILE_REDO) || e->offset > (uint64_t)INT64_MAX - e->length)
            return error_set(error, GB_protocol, "slot %u has an extent outside itself", m->slot);
    }
    if (plain > FRAME_PLAIN_MAX)
        return error_set(error, GB_protocol, "slot %u has overlapping extents", m->slot);
    struct job *job = malloc(sizeof *job + m->count * sizeof *job->extents);
    if (!job)
        return error_set(error, GB_internal, "no memory for a slot");
    job->next = NULL;
    job->slot = m->slot;
    job->count = m->count;
    memcpy(job->extents, m->extents, m->count * sizeof *job->extents);
    pthread_mutex_lock(&p->mutex);
    bool ok = !p->held[m->slot] && !p->finish;
    for (uint32_t i = 0; ok && !redo && i < m->count; i++)
        if (!index_find(&p->index, m->extents[i].file_no))
            ok = error_set(error, GB_protocol, "slot %u holds bytes of file %u, which is not known",
                           m->slot, m->extents[i].file_no);
    if (ok) {
        struct job_queue *q = redo ? &p->redo : &p->pages;
        p->held[m->slot] = true;
        *q->tail = job;
        q->tail = &job->next;
        q->count++;
        if (redo)
            pthread_cond_broadcast(&p->changed);
        else
            pthread_cond_signal(&p->pages_come);
        if (!redo && p->hurry)
            pthread_cond_signal(&p->hurried);
    }
    pthread_mutex_unlock(&p->mutex);
    if (ok)
        return true;
    free(job);
    return error_set(error, GB_protocol, "slot %u came twice", m->slot);
}

struct index *pipeline_index_lock(struct pipeline *p)
{
    pthread_mutex_lock(&p->mutex);
    return &p->index;
}

void pipeline_index_unlock(struct pipeline *p)
{
    pthread_mutex_unlock(&p->mutex);
}

bool pipeline_finish(struct pipeline *p, const bool *stop, struct gb_error *error)
{
    pthread_mutex_lock(&p->mutex);
    p->finish = true;
    wake_all(p);
    while ((p->pages.head || p->redo.head || p->sealed_head || p->active) && !p->stop) {
        if (__atomic_load_n(stop, __ATOMIC_ACQUIRE)) {
            error_set(&p->error, GB_internal, "the agent was asked to stop");
            p->stop = true;
            wake_all(p);
        }
        wait_slice(p);
    }
    pthread_mutex_unlock(&p->mutex);
    join(p);
    return !pipeline_failed(p, error) && index_check_sent(&p->index, error);
}

struct index *pipeline_finished(struct pipeline *p, const struct object_info **segments,
                                size_t *count)
{
    segments_sort(&p->written);
    *segments = p->written.closed;
    *count = p->written.count;
    return &p->index;
}

void pipeline_figures(struct pipeline *p, struct pipeline_figures *f)
{
    pthread_mutex_lock(&p->mutex);
    f->stored = p->stored;
    f->redo_full = !p->spool && p->sealed_bytes >= p->setup.redo_memory / 2;
    f->idle_us =
        !p->mirroring && (p->active || p->pages.head || p->sealed_head) ? now_us() - p->took_us : 0;
    f->queued = p->pages.head != NULL;
    f->workers = p->workers;
    count_store(p, 0);
    f->store_us = p->store_us;
    f->level = p->adapt.level;
    f->level_highest = p->adapt.highest;
    if (!p->active && !p->pages.head && !p->sealed_head)
        p->took_us = now_us();
    pthread_mutex_unlock(&p->mutex);
}

bool pipeline_failed(struct pipeline *p, struct gb_error *error)
{
    pthread_mutex_lock(&p->mutex);
    bool failed = p->error.code != 0;
    if (failed)
        error_copy(error, &p->error);
    pthread_mutex_unlock(&p->mutex);
    return failed;
}
