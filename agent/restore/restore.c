/* A data directory from a backup; see restore.h. */
#include "agent/restore/restore.h"
#include "agent/restore/beneath.h"
#include "agent/restore/clear.h"
#include "agent/restore/durable.h"
#include "agent/restore/journal.h"
#include "agent/restore/relocate.h"
#include "agent/restore/settle.h"
#include "agent/restore/saved.h"
#include "agent/restore/target.h"
#include "common/redo_writer.h"
#include "common/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <libgen.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define BATCH_BYTES (8u << 20) /* read from the repository at once */
#define THREADS_MAX 64u
#define SPARE                                                                                      \
    2u /* threads beyond those asked for: who waits for a disk leaves no processor idle            \
        */
#define ALIGNMENT    4096u /* of what O_DIRECT takes */
#define SLICES_PER_S 4u    /* --limit-rate: reads a second */
#define PROGRESS_US  200000

void restore_target_path(const struct restore_request *request, const char *path, char *out,
                         size_t size)
{
    if (path[0] == '/')
        snprintf(out, size, "%s", path);
    else
        snprintf(out, size, "%s/%s", request->datadir, path);
}

bool restore_is_held(const struct index_file *f)
{
    return f->kind == INDEX_KIND_LOG || f->kind == WIRE_KIND_ARIA_CONTROL ||
           !strcmp(f->path, "ib_logfile0") || !strcmp(f->path, "aria_log_control") ||
           !strcmp(f->path, "grastate.dat") ||
           (f->path[0] == '/' && f->kind != WIRE_KIND_DIRECTORY && f->kind != INDEX_KIND_LINK);
}

void restore_writing_path(const struct restore_request *request, const struct index_file *f,
                          char *out, size_t size)
{
    char name[WIRE_PATH_MAX + sizeof RESTORE_SUFFIX + sizeof SAVED_LINK_SUFFIX];
    snprintf(name, sizeof name, "%s%s%s", f->path, restore_is_held(f) ? RESTORE_SUFFIX : "",
             f->kind == INDEX_KIND_LINK ? SAVED_LINK_SUFFIX : "");
    restore_target_path(request, name, out, size);
}

/* A save's own is a file like any. */
static bool is_log(const struct index_file *f)
{
    return f->kind == INDEX_KIND_LOG || !strcmp(f->path, "ib_logfile0");
}

bool restore_log_path(const struct restore_request *request, const struct index *index, char *out,
                      size_t size)
{
    for (size_t i = 0; i < index->file_count; i++)
        if (is_log(&index->files[i])) {
            restore_target_path(request, index->files[i].path, out, size);
            return true;
        }
    return false;
}

struct writer {
    struct repository *repository;
    const struct manifest *manifest;
    const struct index *index;
    const struct restore_request *request;
    uid_t uid; /* of what is written; -1: this process's */
    gid_t gid;
    char prefix[1024];
    uint32_t *order; /* frames that are still to be written, by segment and offset */
    size_t count;
    uint8_t *written;      /* atomic, by frame: its bytes have been written */
    pthread_mutex_t mutex; /* next, error, turn_us */
    size_t next;
    uint64_t turn_us; /* --limit-rate: when the next read may begin, monotonic time */
    struct gb_error error;
    uint64_t done;    /* atomic, bytes */
    unsigned running; /* atomic, threads */
};

static const struct index *sort_index;

static int by_place(const void *a, const void *b)
{
    const struct frame *x = &sort_index->frames[*(const uint32_t *)a].frame,
                       *y = &sort_index->frames[*(const uint32_t *)b].frame;
    if (x->segment != y->segment)
        return x->segment < y->segment ? -1 : 1;
    return x->offset < y->offset ? -1 : x->offset > y->offset;
}

static mode_t mode_of(const struct index_file *f, mode_t otherwise)
{
    mode_t mode = f->mode & INDEX_MODE_MASK;
    return mode ? mode : otherwise;
}

/* The journal says that they are written, but the file was not there any more (a file system that
 * is not mounted, --map). */
static void forget_frames(struct writer *w, uint32_t file_no)
{
    for (size_t i = 0; i < w->index->frame_count; i++) {
        const struct index_frame *frame = &w->index->frames[i];
        const struct index_extent *e = &w->index->extents[frame->first_extent];
        uint64_t bytes = 0;
        bool holds = false;
        for (uint32_t j = 0; w->written[i] && j < frame->extents; j++) {
            holds |= e[j].file_no == file_no;
            bytes += e[j].length;
        }
        if (holds) {
            w->written[i] = 0;
            w->done -= bytes;
        }
    }
}

/* A file to be written, which may be there if an interrupted restore is gone on with. */
static int open_file(struct writer *w, const struct index_file *f, const char *path, bool go_on)
{
    int fd = go_on ? beneath_open(w->request->datadir, path, O_WRONLY, 0) : -1;
    if (fd >= 0 || (go_on && errno != ENOENT))
        return fd;
    if (go_on)
        forget_frames(w, f->file_no);
    return beneath_open(w->request->datadir, path, O_WRONLY | O_CREAT | O_EXCL, mode_of(f, 0660));
}

/* Makes all directories and files at their sizes; what no extent covers is a hole. */
static bool make_files(struct writer *w, bool go_on, struct gb_error *error)
{
    char path[WIRE_PATH_MAX], parent[WIRE_PATH_MAX];
    for (size_t i = 0; i < w->index->file_count; i++) {
        const struct index_file *f = &w->index->files[i];
        restore_writing_path(w->request, f, path, sizeof path);
        if (f->kind == WIRE_KIND_DIRECTORY) {
            if (!beneath_make_directory(w->request->datadir, path, mode_of(f, 0700)))
                return error_set_errno(error, GB_target_failed, errno,
                                       "the directory %s can't be made", path);
            continue;
        }
        snprintf(parent, sizeof parent, "%s", path);
        char *directory = dirname(parent);
        if (access(directory, F_OK) && !target_make_directories(directory, w->uid, w->gid, error))
            return false;
        int fd = open_file(w, f, path, go_on);
        bool ok = fd >= 0 && !ftruncate(fd, (off_t)f->size) &&
                  (w->uid == (uid_t)-1 || !fchown(fd, w->uid, w->gid)) &&
                  !fchmod(fd, mode_of(f, 0660));
        if (!ok)
            beneath_failed(error, path, "made");
        if (fd >= 0)
            close(fd);
        if (!ok)
            return false;
    }
    return true;
}

struct open_file { /* the file written last: frames of one file follow one another */
    uint32_t number;
    int fd;
    bool direct;
};

/* Past the page cache where alignment and file system let it: so the server's files stay in the
   cache, and nothing is left for the end to sync. */
static bool write_piece(struct open_file *f, const uint8_t *data, size_t size, uint64_t offset)
{
    bool aligned = !(((uintptr_t)data | size | offset) % ALIGNMENT);
    int flags = aligned != f->direct ? fcntl(f->fd, F_GETFL) : -1;
    if (flags >= 0 && !fcntl(f->fd, F_SETFL, aligned ? flags | O_DIRECT : flags & ~O_DIRECT))
        f->direct = aligned;
    return (!f->direct || aligned) && beneath_write(f->fd, data, size, offset);
}

static int open_target(const struct writer *w, struct open_file *last, uint32_t number, char *path,
                       size_t size)
{
    restore_writing_path(w->request, index_find(w->index, number), path, size);
    if (last->fd >= 0 && last->number == number)
        return last->fd;
    if (last->fd >= 0)
        close(last->fd);
    last->number = number;
    last->direct = false;
    return last->fd = beneath_open(w->request->datadir, path, O_WRONLY, 0);
}

static bool write_frame(struct writer *w, const struct index_frame *f, const uint8_t *plain,
                        struct open_file *last, struct gb_error *error)
{
    char path[WIRE_PATH_MAX];
    for (uint32_t i = 0; i < f->extents; i++) {
        const struct index_extent *e = &w->index->extents[f->first_extent + i];
        uint64_t offset = e->offset, length = e->length;
        const uint8_t *data = plain;
        plain += e->length;
        const struct index_file *file = index_find(w->index, e->file_no);
        if (!file)
            continue; /* a copy that was dropped */
        if (e->file_no == WIRE_FILE_REDO) {
            if (offset >= w->manifest->redo_bytes)
                continue;
            if (length > w->manifest->redo_bytes - offset)
                length = w->manifest->redo_bytes - offset;
            offset += REDO_START_OFFSET;
        }
        if (offset + length > file->size)
            return error_set(error, GB_corrupt_backup, "bytes beyond the end of %s", file->path);
        int fd = open_target(w, last, e->file_no, path, sizeof path);
        if (fd < 0 || !write_piece(last, data, length, offset))
            return beneath_failed(error, path, "written");
        __atomic_fetch_add(&w->done, length, __ATOMIC_RELAXED);
    }
    return true;
}

/* A run of frames that stand one behind another in a segment, at most BATCH_BYTES. */
static size_t take_batch(struct writer *w, size_t *first, uint64_t *bytes)
{
    const uint64_t slice = w->request->limit_rate / SLICES_PER_S + 1;
    const uint64_t most = w->request->limit_rate && slice < BATCH_BYTES ? slice : BATCH_BYTES;
    pthread_mutex_lock(&w->mutex);
    size_t from = w->next, to = from;
    *first = from;
    *bytes = 0;
    while (to < w->count && !w->error.code) {
        const struct frame *f = &w->index->frames[w->order[to]].frame,
                           *start = &w->index->frames[w->order[from]].frame;
        if (to > from &&
            (f->segment != start->segment || f->offset != start->offset + *bytes || *bytes >= most))
            break;
        *bytes += FRAME_HEADER_SIZE + f->stored_size;
        to++;
    }
    w->next = to;
    pthread_mutex_unlock(&w->mutex);
    return to - from;
}

/* --limit-rate: waits until so many bytes may be read; all threads share one line. */
static void wait_for_turn(struct writer *w, uint64_t bytes)
{
    if (!w->request->limit_rate)
        return;
    uint64_t now = now_us();
    pthread_mutex_lock(&w->mutex);
    uint64_t turn = w->turn_us > now ? w->turn_us : now;
    w->turn_us = turn + (uint64_t)((double)bytes * 1e6 / (double)w->request->limit_rate);
    pthread_mutex_unlock(&w->mutex);
    struct timespec t = {(time_t)(turn / 1000000), (long)(turn % 1000000) * 1000};
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL) == EINTR)
        ;
}

/* A frame of a batch that could not be read as a whole: of an object that was cut the beginning is
 * there. problem: of the batch. */
static bool read_alone(const struct writer *w, struct frame_reader *reader,
                       const struct index_frame *f, const struct gb_error *problem, uint8_t *stored,
                       uint8_t *plain, struct gb_error *error)
{
    if (!storage_is_away(problem) && !elsewhere_instead(w->request->elsewhere))
        return frame_read(reader, w->repository->storage, w->prefix, &f->frame, stored, plain,
                          error);
    error_copy(error, problem);
    return false;
}

static void *writer_main(void *argument)
{
    struct writer *w = argument;
    struct gb_error error = {0};
    struct open_file last = {.fd = -1};
    struct frame_reader *reader = frame_reader_new(manifest_key(w->manifest));
    const size_t most = codec_bound(FRAME_PLAIN_MAX) + FRAME_HEADER_SIZE,
                 room = BATCH_BYTES + 2 * most;
    uint8_t *stored = malloc(room + most),
            *plain = aligned_alloc(ALIGNMENT, FRAME_PLAIN_MAX); /* and one frame read by itself */
    if (!reader || !stored || !plain)
        error_set(&error, GB_internal, "no memory for a restore thread");
    size_t first, count;
    uint64_t bytes;
    while (!error.code && (count = take_batch(w, &first, &bytes))) {
        const struct frame *start = &w->index->frames[w->order[first]].frame;
        char name[1200];
        snprintf(name, sizeof name, "%s/data/%06u.seg", w->prefix, start->segment);
        wait_for_turn(w, bytes);
        struct gb_error problem = {0};
        if (bytes > room)
            error_set(&error, GB_corrupt_backup, "%s: frames of impossible size", name);
        bool read = !error.code && !elsewhere_instead(w->request->elsewhere) &&
                    storage_read(w->repository->storage, name, start->offset, stored, (size_t)bytes,
                                 &problem);
        const uint8_t *at = stored;
        for (size_t i = 0; i < count && !error.code; i++) {
            const struct index_frame *f = &w->index->frames[w->order[first + i]];
            struct gb_error why = {0};
            bool opened = read ? frame_open(reader, &f->frame, at, plain, &why)
                               : read_alone(w, reader, f, &problem, stored + room, plain, &why);
            if ((opened || elsewhere_frame(w->request->elsewhere, &f->frame, stored + room, plain,
                                           &why, &error)) &&
                write_frame(w, f, plain, &last, &error))
                __atomic_store_n(&w->written[w->order[first + i]], 1, __ATOMIC_RELEASE);
            at += FRAME_HEADER_SIZE + f->frame.stored_size;
        }
    }
    if (last.fd >= 0)
        close(last.fd);
    pthread_mutex_lock(&w->mutex);
    error_copy(&w->error, &error);
    pthread_mutex_unlock(&w->mutex);
    free(stored);
    free(plain);
    frame_reader_free(reader);
    __atomic_fetch_sub(&w->running, 1, __ATOMIC_RELEASE);
    return NULL;
}

static bool write_frames(struct writer *w, const struct restore_plan *plan, struct durable *durable,
                         struct gb_error *error)
{
    const struct restore_request *request = w->request;
    pthread_t thread[THREADS_MAX];
    struct gb_error failure = {0};
    unsigned threads = plan->threads + SPARE < THREADS_MAX ? plan->threads + SPARE : THREADS_MAX,
             started = 0;
    for (; started < threads; started++) {
        __atomic_fetch_add(&w->running, 1, __ATOMIC_RELAXED);
        if (pthread_create(&thread[started], NULL, writer_main, w)) {
            __atomic_fetch_sub(&w->running, 1, __ATOMIC_RELAXED);
            break;
        }
    }
    while (started && __atomic_load_n(&w->running, __ATOMIC_ACQUIRE)) {
        if (request->progress)
            request->progress(request->context, __atomic_load_n(&w->done, __ATOMIC_RELAXED),
                              plan->bytes);
        if (!failure.code &&
            !durable_checkpoint(durable, w->written, w->index->frame_count, &failure)) {
            pthread_mutex_lock(&w->mutex);
            error_copy(&w->error, &failure); /* ends the threads */
            pthread_mutex_unlock(&w->mutex);
        }
        usleep(PROGRESS_US / 10);
    }
    for (unsigned i = 0; i < started; i++)
        pthread_join(thread[i], NULL);
    if (!started)
        error_set(&w->error, GB_internal, "no thread for the restore");
    if (request->progress && !w->error.code)
        request->progress(request->context, plan->bytes, plan->bytes);
    error_copy(error, &w->error);
    return !error->code;
}

/* The log's header; the redo is written into it like any file. */
static bool write_log_header(const struct writer *w, struct gb_error *error)
{
    const struct manifest *m = w->manifest;
    char path[WIRE_PATH_MAX], version[32];
    snprintf(version, sizeof version, "%.*s", (int)strcspn(m->server_version, "-"),
             m->server_version);
    uint8_t *header = malloc(REDO_START_OFFSET);
    if (!header)
        return error_set(error, GB_internal, "no memory");
    restore_writing_path(w->request, index_find(w->index, WIRE_FILE_REDO), path, sizeof path);
    bool ok = redo_writer_header(m->redo_header, m->checkpoint_lsn, m->checkpoint_end_lsn,
                                 m->end_lsn, version, header, error);
    int fd = ok ? beneath_open(w->request->datadir, path, O_WRONLY, 0) : -1;
    if (ok && (fd < 0 || !beneath_write(fd, header, REDO_START_OFFSET, 0)))
        ok = beneath_failed(error, path, "written");
    if (fd >= 0)
        close(fd);
    free(header);
    return ok;
}

/* Where Aria's log or the redo log are not in the data directory itself, which target_begin()
 * guards. */
static bool guard_elsewhere(const struct writer *w, struct gb_error *error)
{
    char path[WIRE_PATH_MAX], parent[WIRE_PATH_MAX];
    for (size_t i = 0; i < w->index->file_count; i++) {
        const struct index_file *f = &w->index->files[i];
        if ((f->kind != WIRE_KIND_ARIA_CONTROL && f->kind != INDEX_KIND_LOG) ||
            !strchr(f->path, '/'))
            continue;
        restore_target_path(w->request, f->path, path, sizeof path);
        snprintf(parent, sizeof parent, "%s", path);
        if (!target_make_directories(dirname(parent), w->uid, w->gid, error) ||
            !target_guard(path, error))
            return false;
        if (w->uid != (uid_t)-1 && lchown(path, w->uid, w->gid))
            return error_set_errno(error, GB_target_failed, errno, "the owner of %s can't be set",
                                   path);
    }
    return true;
}

/* What is in the way goes, and the guard is up. */
static bool take_place(const struct writer *w, struct restore_plan *plan, struct gb_error *error)
{
    const struct restore_request *request = w->request;
    /* Somebody has been asked, perhaps, since the plan was made. */
    if (!target_check_idle(request->datadir, error) ||
        (plan->empty && !target_check(request->datadir, error)) ||
        !restore_look_outside(request, w->index, plan, error) ||
        !target_make_directories(request->datadir, w->uid, w->gid, error) ||
        (plan->lock < 0 && !target_lock(request->datadir, &plan->lock, error)))
        return false;
    if (plan->start == RESTORE_ANEW) {
        if (plan->previous.state != MARKER_CLEARING_KEEP)
            plan->previous.state = MARKER_CLEARING_DELETE;
        if (!clear_target(request->datadir, &plan->previous, error))
            return false;
    }
    if (plan->replaces && !clear_target(request->datadir, &plan->marker, error))
        return false;
    return target_begin(request->datadir, &plan->marker, w->uid, w->gid, error) &&
           guard_elsewhere(w, error) &&
           (plan->start != RESTORE_ANEW || clear_guards(&plan->previous, &plan->marker, error));
}

/* Outside the data directory anybody may have made a file of that name. */
static bool came_meanwhile(const char *path, struct gb_error *error)
{
    char from[WIRE_PATH_MAX + sizeof RESTORE_SUFFIX];
    snprintf(from, sizeof from, "%s" RESTORE_SUFFIX, path);
    if (access(from, F_OK) || access(path, F_OK) || target_is_guarded(path))
        return false;
    error_set(error, GB_target_not_empty, "%s has come while the restore was at work", path);
    error_hint(error, "move that file away; the same command then brings the restore to its end");
    return true;
}

/* Each gets its name; the redo log comes last, with target_end(). */
static bool release(const struct writer *w, struct gb_error *error)
{
    char path[WIRE_PATH_MAX], directory[WIRE_PATH_MAX] = "";
    for (size_t i = 0; i < w->index->file_count; i++) {
        const struct index_file *f = &w->index->files[i];
        if (!restore_is_held(f) || is_log(f))
            continue;
        restore_target_path(w->request, f->path, path, sizeof path);
        size_t length = (size_t)(strrchr(path, '/') - path);
        if (directory[0] && (strncmp(directory, path, length) || directory[length]) &&
            !target_sync_directory(directory, error))
            return false;
        snprintf(directory, sizeof directory, "%.*s", (int)length, path);
        if (f->path[0] == '/' && came_meanwhile(path, error))
            return false;
        if (!target_rename(path, error))
            return false;
    }
    return !directory[0] || target_sync_directory(directory, error);
}

/* A save's links, made and durable. */
static bool finish_save(const struct writer *w, struct gb_error *error)
{
    struct durable *durable = NULL;
    bool ok = saved_finish(w->index, w->request, error) &&
              target_chown(w->request->datadir, w->uid, w->gid, error) &&
              (durable = durable_open(w->request, w->index, error)) && durable_sync(durable, error);
    durable_close(durable);
    return ok;
}

/* All is durable. state: what happens next. Each step may be done again. */
static bool end_writing(const struct writer *w, struct restore_plan *plan, enum marker_state state,
                        struct gb_error *error)
{
    const char *datadir = w->request->datadir;
    char log[WIRE_PATH_MAX];
    bool save = manifest_is_save(w->manifest),
         has_log = restore_log_path(w->request, w->index, log, sizeof log);
    plan->marker.state = state;
    if (!marker_write(datadir, &plan->marker, error) || (save && !finish_save(w, error)) ||
        !release(w, error))
        return false;
    if (w->request->stay_guarded)
        return journal_remove(datadir, error);
    return target_end(datadir, has_log ? log : NULL, error);
}

static bool holds_redo(const struct index *index, const struct index_frame *frame)
{
    return frame->extents && index->extents[frame->first_extent].file_no == WIRE_FILE_REDO;
}

static bool make_order(struct writer *w, struct gb_error *error)
{
    w->order = malloc((w->index->frame_count + 1) * sizeof *w->order);
    if (!w->order)
        return error_set(error, GB_internal, "no memory");
    for (uint32_t i = 0; i < w->index->frame_count; i++)
        if (!w->written[i] ||
            holds_redo(w->index, &w->index->frames[i])) /* settle() had perhaps begun */
            w->order[w->count++] = i;
    sort_index = w->index;
    qsort(w->order, w->count, sizeof *w->order, by_place);
    return true;
}

static bool write_all(struct writer *w, struct restore_plan *plan, struct gb_error *error)
{
    const struct restore_request *request = w->request;
    const bool go_on = plan->start == RESTORE_GO_ON;
    struct durable *durable = NULL;
    bool ok = take_place(w, plan, error) && make_files(w, go_on, error) && make_order(w, error) &&
              (manifest_is_save(w->manifest) || write_log_header(w, error)) &&
              (durable = durable_open(request, w->index, error)) &&
              write_frames(w, plan, durable, error) &&
              (manifest_is_save(w->manifest) ||
               settle(request, w->manifest, w->index, plan->original, error)) &&
              relocate_links(request, w->index, plan->original, error) &&
              (request->galera ? target_grastate(request->datadir, manifest_position(w->manifest),
                                                 request->safe_to_bootstrap, error)
                               : target_no_grastate(request->datadir, error)) &&
              target_chown(request->datadir, w->uid, w->gid, error) &&
              durable_sync(durable, error) &&
              end_writing(w, plan, request->changes ? MARKER_CHANGING : MARKER_ENDING, error);
    durable_close(durable);
    return ok;
}

bool restore_run(struct repository *repository, const struct manifest *m, const struct index *index,
                 const struct restore_request *request, struct restore_plan *plan,
                 struct gb_error *error)
{
    struct writer w = {.repository = repository,
                       .manifest = m,
                       .index = index,
                       .request = request,
                       .uid = plan->uid,
                       .gid = plan->gid,
                       .written = plan->written,
                       .done = plan->done};
    if (plan->start == RESTORE_FINISH)
        return end_writing(&w, plan, MARKER_ENDING, error);
    repository_prefix(w.prefix, sizeof w.prefix, m->cluster, m->id);
    pthread_mutex_init(&w.mutex, NULL);
    bool ok = write_all(&w, plan, error);
    pthread_mutex_destroy(&w.mutex);
    free(w.order);
    return ok;
}
