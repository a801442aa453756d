/* A further repository of a backup; see mirror.h. */
#include "agent/daemon/mirror.h"
#include "agent/repository/runs.h"
#include "agent/repository/segments.h"
#include "common/clock.h"
#include "common/priority.h"

#include <stdlib.h>
#include <string.h>

#define LANES     2u /* threads that write */
#define WAIT_MS   100u
#define LANE_NICE 15

struct mirror_frame {
    struct mirror_frame *next;
    struct frame placed;
    struct frame_buffer buffer; /* data NULL: the segment ends */
};

struct open_segment {
    struct open_segment *next;
    uint32_t number;
    struct segment_writer *writer;
};

struct lane { /* segment n belongs to lane n % LANES */
    struct mirror *mirror;
    pthread_t thread;
    struct mirror_frame *head, **tail; /* under the mirror's mutex */
    struct open_segment *open;         /* the thread's own */
};

struct mirror {
    struct mirror *next; /* of all there are; under the list's mutex */
    struct begin_request request;
    bool required;
    unsigned patience_ms;
    pthread_t thread;
    struct repository *repository; /* set under the mutex, with MIRROR_BEGUN at the latest */
    struct repository_backup *backup;
    struct segments written;
    pthread_mutex_t mutex; /* what follows */
    pthread_cond_t changed;
    struct lane lane[LANES];
    uint64_t queued, stored;
    enum mirror_step reached, goal;
    bool failed; /* final: nothing more is taken */
    bool hurry;
    bool hangs; /* failed by patience, and has not come back */
    struct gb_error error;
    uint64_t operations, moved_us;
    const struct index *index;
    struct manifest manifest;
};

/* All there are, of all backups: one that hangs is not waited for a second time. */
static struct mirror *all;
static pthread_mutex_t all_mutex = PTHREAD_MUTEX_INITIALIZER;

struct mirror_frame *mirror_frame(const struct frame_buffer *buffer)
{
    size_t size = FRAME_HEADER_SIZE + buffer->frame.stored_size;
    struct mirror_frame *f = calloc(1, sizeof *f);
    if (f && (f->buffer.data = malloc(size))) {
        memcpy(f->buffer.data, buffer->data, size);
        f->buffer.capacity = size;
        f->buffer.frame = buffer->frame;
        return f;
    }
    free(f);
    return NULL;
}

void mirror_frame_free(struct mirror_frame *f)
{
    if (f)
        frame_buffer_free(&f->buffer);
    free(f);
}

/* ---- under the mutex ---- */

static void fail(struct mirror *m, const struct gb_error *why)
{
    if (!m->failed)
        m->error = *why;
    m->failed = true;
    pthread_cond_broadcast(&m->changed);
}

static void wait_slice(struct mirror *m)
{
    struct timespec until = deadline_in_ms(WAIT_MS);
    pthread_cond_timedwait(&m->changed, &m->mutex, &until);
}

static uint64_t operations(const struct mirror *m)
{
    return m->repository ? storage_operations(m->repository->storage) : 0;
}

/* Published, and to be kept: whatever comes now is too late. */
static bool is_kept(const struct mirror *m)
{
    return m->reached >= MIRROR_PUBLISHED && m->goal >= MIRROR_KEPT;
}

/* Whether it has done nothing for too long while there was something to do. */
static void look_after(struct mirror *m)
{
    struct gb_error why = {0};
    uint64_t done = operations(m), now = now_us();
    if (done != m->operations || (!m->queued && m->reached >= m->goal))
        m->moved_us = now;
    m->operations = done;
    if (m->failed || is_kept(m) || now - m->moved_us < (uint64_t)m->patience_ms * 1000)
        return;
    error_set(&why, GB_store_failed, "repository %s has taken nothing for %u s",
              m->request.spec->name, m->patience_ms / 1000);
    m->hangs = true;
    fail(m, &why);
}

static void fail_with(struct mirror *m, enum gb_code code, const char *what)
{
    struct gb_error why = {0};
    error_set(&why, code, "repository %s: %s", m->request.spec->name, what);
    fail(m, &why);
}

static void put(struct mirror *m, struct mirror_frame *f)
{
    struct lane *lane = &m->lane[f->placed.segment % LANES];
    m->queued += f->buffer.capacity;
    *lane->tail = f;
    lane->tail = &f->next;
    pthread_cond_broadcast(&m->changed);
}

/* ---- frames ---- */

bool mirror_wants(struct mirror *m)
{
    pthread_mutex_lock(&m->mutex);
    bool wants = !m->failed;
    pthread_mutex_unlock(&m->mutex);
    return wants;
}

void mirror_hurry(struct mirror *m, bool hurry)
{
    pthread_mutex_lock(&m->mutex);
    m->hurry = hurry;
    pthread_mutex_unlock(&m->mutex);
}

void mirror_give(struct mirror *m, struct mirror_frame *f, const struct frame *placed)
{
    uint64_t hurried = 0;
    pthread_mutex_lock(&m->mutex);
    if (!f && !m->failed)
        fail_with(m, GB_internal, "no memory for a frame");
    while (!m->failed && m->queued && m->queued + f->buffer.capacity > MIRROR_QUEUE_MAX) {
        uint64_t now = now_us();
        hurried = !m->hurry || m->required ? 0 : hurried ? hurried : now;
        if (hurried && now - hurried > MIRROR_HURRY_MS * 1000) {
            fail_with(m, GB_store_failed,
                      "it is too slow while the server's writers may be waiting");
            break;
        }
        wait_slice(m);
        look_after(m);
    }
    bool taken = !m->failed;
    if (taken) {
        f->placed = *placed;
        put(m, f);
    }
    pthread_mutex_unlock(&m->mutex);
    if (!taken)
        mirror_frame_free(f);
}

void mirror_close_segment(struct mirror *m, uint32_t segment)
{
    struct mirror_frame *f = calloc(1, sizeof *f);
    if (!f)
        return; /* it is closed at the end */
    f->placed.segment = segment;
    pthread_mutex_lock(&m->mutex);
    put(m, f);
    pthread_mutex_unlock(&m->mutex);
}

/* The next of a lane; NULL: there will be none. */
static struct mirror_frame *take(struct lane *lane)
{
    struct mirror *m = lane->mirror;
    pthread_mutex_lock(&m->mutex);
    while (!m->failed && !lane->head && m->goal < MIRROR_PREPARED)
        wait_slice(m);
    struct mirror_frame *f = m->failed ? NULL : lane->head;
    if (f && !(lane->head = f->next))
        lane->tail = &lane->head;
    pthread_mutex_unlock(&m->mutex);
    return f;
}

static bool close_segment(struct lane *lane, uint32_t number, struct gb_error *error)
{
    for (struct open_segment **o = &lane->open, *s; (s = *o); o = &s->next)
        if (s->number == number) {
            *o = s->next;
            bool ok = segments_close(&lane->mirror->written, &s->writer, error);
            free(s);
            return ok;
        }
    return true;
}

static struct open_segment *find_segment(struct lane *lane, uint32_t number, struct gb_error *error)
{
    struct mirror *m = lane->mirror;
    struct open_segment *s = lane->open;
    while (s && s->number != number)
        s = s->next;
    if (s)
        return s;
    if (!(s = calloc(1, sizeof *s))) {
        error_set(error, GB_internal, "no memory for a segment");
        return NULL;
    }
    s->writer = segment_create(m->repository->storage, repository_backup_prefix(m->backup), number,
                               repository_backup_key(m->backup), error);
    if (!s->writer) {
        free(s);
        return NULL;
    }
    s->number = number;
    s->next = lane->open;
    return lane->open = s;
}

/* Where the first repository has it, it has to stand here, too. */
static bool write_frame(struct lane *lane, struct mirror_frame *f, struct gb_error *error)
{
    if (!f->buffer.data)
        return close_segment(lane, f->placed.segment, error);
    struct open_segment *s = find_segment(lane, f->placed.segment, error);
    if (!s || !segment_append(s->writer, &f->buffer, error))
        return false;
    if (f->buffer.frame.number != f->placed.number || f->buffer.frame.offset != f->placed.offset)
        return error_set(error, GB_internal,
                         "repository %s: frame %u of segment %u came as its frame %u",
                         lane->mirror->request.spec->name, f->placed.number, f->placed.segment,
                         f->buffer.frame.number);
    return true;
}

static void *lane_main(void *argument)
{
    struct lane *lane = argument;
    struct mirror *m = lane->mirror;
    struct gb_error error = {0};
    priority_name("gb-mirror");
    priority_lower(LANE_NICE);
    for (struct mirror_frame *f; !error.code && (f = take(lane)); mirror_frame_free(f)) {
        write_frame(lane, f, &error);
        pthread_mutex_lock(&m->mutex);
        m->queued -= f->buffer.capacity;
        m->stored += f->buffer.capacity;
        pthread_cond_broadcast(&m->changed);
        pthread_mutex_unlock(&m->mutex);
    }
    pthread_mutex_lock(&m->mutex);
    bool failed = m->failed;
    pthread_mutex_unlock(&m->mutex);
    while (!failed && !error.code && lane->open)
        close_segment(lane, lane->open->number, &error);
    for (struct open_segment *s = lane->open, *next; s; s = next) {
        next = s->next;
        segment_abort(s->writer);
        free(s);
    }
    lane->open = NULL;
    if (error.code) {
        pthread_mutex_lock(&m->mutex);
        fail(m, &error);
        pthread_mutex_unlock(&m->mutex);
    }
    return NULL;
}

/* ---- steps: the main thread ---- */

/* Tells that the step is done; from MIRROR_PREPARED on the next one waits until it is wanted.
 * False: the mirror has failed. */
static bool done(struct mirror *m, enum mirror_step step, bool ok, const struct gb_error *error)
{
    pthread_mutex_lock(&m->mutex);
    if (!ok)
        fail(m, error);
    else if (!m->failed)
        m->reached = step;
    pthread_cond_broadcast(&m->changed);
    while (!m->failed && step >= MIRROR_PREPARED && step < MIRROR_KEPT && m->goal <= step)
        wait_slice(m);
    ok = !m->failed;
    pthread_mutex_unlock(&m->mutex);
    return ok;
}

static bool write_all(struct mirror *m, struct gb_error *error)
{
    unsigned started = 0;
    segments_init(&m->written, m->repository->storage, repository_backup_prefix(m->backup),
                  repository_backup_key(m->backup));
    for (; started < LANES; started++)
        if (pthread_create(&m->lane[started].thread, NULL, lane_main, &m->lane[started])) {
            pthread_mutex_lock(&m->mutex);
            error_set(error, GB_internal, "no thread for repository %s", m->request.spec->name);
            fail(m, error);
            pthread_mutex_unlock(&m->mutex);
            break;
        }
    for (unsigned i = 0; i < started; i++)
        pthread_join(m->lane[i].thread, NULL);
    pthread_mutex_lock(&m->mutex);
    bool ok = !m->failed;
    error_copy(error, &m->error);
    pthread_mutex_unlock(&m->mutex);
    segments_sort(&m->written);
    return ok;
}

static bool begin(struct mirror *m, struct gb_error *error)
{
    struct repository *repository = repository_open(m->request.spec, error);
    pthread_mutex_lock(&m->mutex);
    m->repository = repository;
    pthread_mutex_unlock(&m->mutex);
    return repository && begin_in(&m->request, repository, &m->backup, error);
}

/* The backup is in the repository, or nothing of it is. */
static void go_through(struct mirror *m)
{
    struct gb_error error = {0};
    if (!mirror_wants(m))
        return;
    bool ok = begin(m, &error);
    if (done(m, MIRROR_BEGUN, ok, &error)) {
        ok =
            write_all(m, &error) && repository_prepare(m->backup, m->index, &m->manifest,
                                                       m->written.closed, m->written.count, &error);
        segments_free(&m->written);
        if (done(m, MIRROR_PREPARED, ok, &error)) {
            ok = repository_publish(m->backup, &m->manifest, &error);
            if (done(m, MIRROR_PUBLISHED, ok, &error)) {
                repository_end(m->backup);
                runs_note_good(m->repository, m->request.writer.cluster);
                done(m, MIRROR_KEPT, true, &error);
                return;
            }
        }
    }
    if (m->backup)
        repository_abort(m->backup);
    if (m->repository && m->error.code != GB_cancelled)
        runs_note_failed(m->repository, m->request.writer.cluster, m->request.id, &m->error);
}

static void *mirror_main(void *argument)
{
    struct mirror *m = argument;
    priority_name("gb-mirror");
    go_through(m);
    pthread_mutex_lock(&m->mutex);
    m->hangs = false;
    pthread_mutex_unlock(&m->mutex);
    return NULL;
}

/* Whether a mirror of an earlier backup hangs there. */
static bool one_hangs(const struct repository_spec *spec)
{
    bool hangs = false;
    pthread_mutex_lock(&all_mutex);
    for (struct mirror *m = all; m && !hangs; m = m->next) {
        pthread_mutex_lock(&m->mutex);
        hangs = m->request.spec == spec && m->hangs;
        pthread_mutex_unlock(&m->mutex);
    }
    pthread_mutex_unlock(&all_mutex);
    return hangs;
}

/* ---- its owner ---- */

struct mirror *mirror_start(const struct begin_request *request, bool required,
                            unsigned patience_ms, struct gb_error *error)
{
    struct mirror *m = calloc(1, sizeof *m);
    if (m) {
        m->request = *request;
        m->required = required;
        m->patience_ms = patience_ms;
        m->goal = MIRROR_BEGUN;
        m->moved_us = now_us();
        for (unsigned i = 0; i < LANES; i++) {
            m->lane[i].mirror = m;
            m->lane[i].tail = &m->lane[i].head;
        }
        pthread_mutex_init(&m->mutex, NULL);
        cond_init_monotonic(&m->changed);
        if (!required && one_hangs(request->spec))
            fail_with(m, GB_store_failed, "it hangs since an earlier backup");
        if (!pthread_create(&m->thread, NULL, mirror_main, m)) {
            pthread_mutex_lock(&all_mutex);
            m->next = all;
            all = m;
            pthread_mutex_unlock(&all_mutex);
            return m;
        }
        pthread_cond_destroy(&m->changed);
        pthread_mutex_destroy(&m->mutex);
        free(m);
    }
    error_set(error, GB_internal, "no thread for repository %s", request->spec->name);
    return NULL;
}

void mirror_free(struct mirror *m)
{
    struct gb_error why = {0};
    if (!m)
        return;
    error_set(&why, GB_cancelled, "the backup has ended");
    mirror_give_up(m, &why);
    pthread_join(m->thread, NULL);
    pthread_mutex_lock(&all_mutex);
    struct mirror **at = &all;
    while (*at != m)
        at = &(*at)->next;
    *at = m->next;
    pthread_mutex_unlock(&all_mutex);
    for (unsigned i = 0; i < LANES; i++)
        for (struct mirror_frame *f = m->lane[i].head, *next; f; f = next) {
            next = f->next;
            mirror_frame_free(f);
        }
    repository_close(m->repository);
    manifest_free(&m->manifest);
    pthread_cond_destroy(&m->changed);
    pthread_mutex_destroy(&m->mutex);
    free(m);
}

void mirror_advance(struct mirror *m, enum mirror_step goal)
{
    pthread_mutex_lock(&m->mutex);
    m->goal = goal;
    pthread_cond_broadcast(&m->changed);
    pthread_mutex_unlock(&m->mutex);
}

void mirror_commit(struct mirror *m, const struct index *index, const struct manifest *manifest,
                   enum mirror_step goal)
{
    pthread_mutex_lock(&m->mutex);
    m->index = index;
    m->manifest = *manifest;
    m->manifest.objects = NULL;
    m->manifest.object_count = 0;
    memset(&m->manifest.encryption, 0, sizeof m->manifest.encryption);
    pthread_mutex_unlock(&m->mutex);
    mirror_advance(m, goal);
}

void mirror_give_up(struct mirror *m, const struct gb_error *why)
{
    pthread_mutex_lock(&m->mutex);
    if (!is_kept(m))
        fail(m, why);
    pthread_mutex_unlock(&m->mutex);
}

int mirror_look(struct mirror *m, enum mirror_step step, struct gb_error *error)
{
    pthread_mutex_lock(&m->mutex);
    look_after(m);
    int reached = m->failed ? -1 : m->reached >= step;
    if (m->failed)
        error_copy(error, &m->error);
    pthread_mutex_unlock(&m->mutex);
    return reached;
}

bool mirror_await(struct mirror *m, enum mirror_step step, const bool *stop, struct gb_error *error)
{
    int reached;
    while (!(reached = mirror_look(m, step, error))) {
        if (__atomic_load_n(stop, __ATOMIC_ACQUIRE))
            return error_set(error, GB_internal, "the agent was asked to stop");
        pthread_mutex_lock(&m->mutex);
        if (!m->failed && m->reached < step)
            wait_slice(m);
        pthread_mutex_unlock(&m->mutex);
    }
    return reached > 0;
}

uint64_t mirror_stored(struct mirror *m)
{
    pthread_mutex_lock(&m->mutex);
    uint64_t stored = is_kept(m) ? m->manifest.stored_bytes : m->stored;
    pthread_mutex_unlock(&m->mutex);
    return stored;
}

uint64_t mirror_operations(struct mirror *m)
{
    pthread_mutex_lock(&m->mutex);
    uint64_t count = operations(m);
    pthread_mutex_unlock(&m->mutex);
    return count;
}

const struct repository_spec *mirror_spec(const struct mirror *m)
{
    return m->request.spec;
}

struct repository *mirror_repository(struct mirror *m)
{
    return m->repository;
}

const struct manifest *mirror_manifest(const struct mirror *m)
{
    return &m->manifest;
}
