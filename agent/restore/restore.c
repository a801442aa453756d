/* A data directory from a backup; see restore.h. */
#include "agent/restore/restore.h"
#include "agent/restore/saved.h"
#include "agent/restore/target.h"
#include "common/processors.h"
#include "common/redo_writer.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <libgen.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define BATCH_BYTES    (8u << 20) /* read from the repository at once */
#define THREADS_MAX    64u
#define SPARE          2u  /* threads beyond those asked for: who waits for a disk leaves no processor idle */
#define ALIGNMENT      4096u /* of what O_DIRECT takes */
#define SPACE_SLACK    (16u << 20)
#define PROGRESS_US    200000

void restore_target_path(const struct restore_request *request, const char *path, char *out, size_t size)
{
    if (path[0] == '/')
        snprintf(out, size, "%s", path);
    else
        snprintf(out, size, "%s/%s", request->datadir, path);
}

/* ---- plan ---- */

static bool check_outside(const struct index *index, struct restore_plan *plan, struct gb_error *error)
{
    for (size_t i = 0; i < index->file_count; i++) {
        const char *path = index->files[i].path;
        if (path[0] != '/')
            continue;
        plan->outside++;
        if (!access(path, F_OK))
            return error_set(error, GB_target_not_empty, "%s, which is part of the backup, is outside the data directory and exists",
                             path);
    }
    return true;
}

bool restore_plan(struct repository *repository, const struct manifest *m, const struct restore_request *request,
                  struct index *index, struct restore_plan *plan, struct gb_error *error)
{
    memset(plan, 0, sizeof *plan);
    if (!target_check(request->datadir, error))
        return false;
    char prefix[1024], parent[WIRE_PATH_MAX];
    repository_prefix(prefix, sizeof prefix, m->cluster, m->id);
    if (!index_read(index, repository->storage, prefix, &m->objects[0], error))
        return false;
    if (!index_check_kinds(index, manifest_is_save(m), error))
        return false;
    plan->files = index->file_count;
    plan->bytes = manifest_is_save(m) ? 0 : redo_writer_file_size(m->redo_bytes);
    for (size_t i = 0; i < index->frame_count; i++)
        plan->stored += index->frames[i].frame.stored_size + FRAME_HEADER_SIZE;
    /* What the frames hold, not the sizes: holes stay holes. */
    uint64_t redo = 0;
    for (size_t i = 0; i < index->extent_count; i++)
        if (index->extents[i].file_no != WIRE_FILE_REDO)
            plan->bytes += index->extents[i].length;
        else
            redo += index->extents[i].length; /* without a gap, says index_read() */
    struct statvfs v;
    snprintf(parent, sizeof parent, "%s", request->datadir);
    const char *at = parent;
    while (statvfs(at, &v)) {
        if (errno != ENOENT || !strcmp(at, "/") || !strcmp(at, "."))
            return error_set_errno(error, GB_target_failed, errno, "the directory %s", at);
        at = dirname(parent);
    }
    plan->available = (uint64_t)v.f_bavail * v.f_frsize;
    if (plan->available < plan->bytes + SPACE_SLACK)
        return error_set(error, GB_target_no_space, "%s needs %" PRIu64 " MB and its file system has %" PRIu64 " MB free",
                         request->datadir, (plan->bytes + SPACE_SLACK) >> 20, plan->available >> 20);
    if (redo < m->redo_bytes)
        return error_set(error, GB_corrupt_backup, "%s: the redo ends at byte %" PRIu64 " of %" PRIu64, m->id, redo, m->redo_bytes);
    return check_outside(index, plan, error);
}

/* ---- write ---- */

struct writer {
    struct repository *repository;
    const struct manifest *manifest;
    const struct index *index;
    const struct restore_request *request;
    uid_t uid; /* of what is written; -1: this process's */
    gid_t gid;
    char prefix[1024];
    uint32_t *order;      /* frames by segment and offset */
    pthread_mutex_t mutex; /* next, error */
    size_t next;
    struct gb_error error;
    uint64_t done;        /* atomic, bytes */
    unsigned running;     /* atomic, threads */
};

static const struct index *sort_index;

static int by_place(const void *a, const void *b)
{
    const struct frame *x = &sort_index->frames[*(const uint32_t *)a].frame, *y = &sort_index->frames[*(const uint32_t *)b].frame;
    if (x->segment != y->segment)
        return x->segment < y->segment ? -1 : 1;
    return x->offset < y->offset ? -1 : x->offset > y->offset;
}

static mode_t mode_of(const struct index_file *f, mode_t otherwise)
{
    mode_t mode = f->mode & INDEX_MODE_MASK;
    return mode ? mode : otherwise;
}

static void place_of(const struct writer *w, const struct index_file *f, char *out, size_t size)
{
    restore_target_path(w->request, saved_place(f), out, size);
    if (f->kind == INDEX_KIND_LINK)
        strncat(out, SAVED_LINK_SUFFIX, size - strlen(out) - 1);
}

/* Makes all directories and files at their sizes; what no extent covers is a hole. */
static bool make_files(const struct writer *w, struct gb_error *error)
{
    char path[WIRE_PATH_MAX], parent[WIRE_PATH_MAX];
    for (size_t i = 0; i < w->index->file_count; i++) {
        const struct index_file *f = &w->index->files[i];
        place_of(w, f, path, sizeof path);
        if (f->kind == WIRE_KIND_DIRECTORY) {
            if ((mkdir(path, 0700) && errno != EEXIST) || chmod(path, mode_of(f, 0700)))
                return error_set_errno(error, GB_target_failed, errno, "the directory %s can't be made", path);
            continue;
        }
        snprintf(parent, sizeof parent, "%s", path);
        char *directory = dirname(parent);
        if (access(directory, F_OK) && !target_make_directories(directory, w->uid, w->gid, error))
            return false;
        int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode_of(f, 0660));
        bool ok = fd >= 0 && !ftruncate(fd, (off_t)f->size) && (w->uid == (uid_t)-1 || !fchown(fd, w->uid, w->gid)) &&
                  !fchmod(fd, mode_of(f, 0660));
        if (!ok)
            error_set_errno(error, errno == ENOSPC ? GB_target_no_space : GB_target_failed, errno, "%s can't be made", path);
        if (fd >= 0)
            close(fd);
        if (!ok)
            return false;
    }
    return true;
}

static bool write_at(int fd, const uint8_t *data, size_t size, uint64_t offset)
{
    while (size) {
        ssize_t n = pwrite(fd, data, size, (off_t)offset);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        data += n;
        size -= (size_t)n;
        offset += (uint64_t)n;
    }
    return true;
}

struct open_file { /* the file written last: frames of one file follow one another */
    uint32_t number;
    int fd;
    bool direct;
};

/* Past the page cache where alignment and file system let it: so the server's files stay in the cache, and nothing is left for the
   end to sync. */
static bool write_piece(struct open_file *f, const uint8_t *data, size_t size, uint64_t offset)
{
    bool aligned = !(((uintptr_t)data | size | offset) % ALIGNMENT);
    int flags = aligned != f->direct ? fcntl(f->fd, F_GETFL) : -1;
    if (flags >= 0 && !fcntl(f->fd, F_SETFL, aligned ? flags | O_DIRECT : flags & ~O_DIRECT))
        f->direct = aligned;
    return (!f->direct || aligned) && write_at(f->fd, data, size, offset);
}

static int open_target(const struct writer *w, struct open_file *last, uint32_t number, char *path, size_t size)
{
    const struct index_file *f = number == WIRE_FILE_REDO ? NULL : index_find(w->index, number);
    if (f)
        place_of(w, f, path, size);
    else
        restore_target_path(w->request, RESTORE_LOG, path, size);
    if (last->fd >= 0 && last->number == number)
        return last->fd;
    if (last->fd >= 0)
        close(last->fd);
    last->number = number;
    last->direct = false;
    return last->fd = open(path, O_WRONLY | O_NOFOLLOW | O_CLOEXEC);
}

static bool write_frame(struct writer *w, const struct index_frame *f, const uint8_t *plain, struct open_file *last,
                        struct gb_error *error)
{
    char path[WIRE_PATH_MAX];
    for (uint32_t i = 0; i < f->extents; i++) {
        const struct index_extent *e = &w->index->extents[f->first_extent + i];
        uint64_t offset = e->offset, length = e->length;
        const uint8_t *data = plain;
        plain += e->length;
        if (e->file_no != WIRE_FILE_REDO && !index_find(w->index, e->file_no))
            continue; /* a copy that was dropped */
        if (e->file_no == WIRE_FILE_REDO) {
            if (offset >= w->manifest->redo_bytes)
                continue;
            if (length > w->manifest->redo_bytes - offset)
                length = w->manifest->redo_bytes - offset;
            offset += REDO_START_OFFSET;
        } else if (offset + length > index_find(w->index, e->file_no)->size)
            return error_set(error, GB_corrupt_backup, "bytes beyond the end of %s", index_find(w->index, e->file_no)->path);
        int fd = open_target(w, last, e->file_no, path, sizeof path);
        if (fd < 0 || !write_piece(last, data, length, offset))
            return error_set_errno(error, errno == ENOSPC ? GB_target_no_space : GB_target_failed, errno, "%s can't be written",
                                   path);
        __atomic_fetch_add(&w->done, length, __ATOMIC_RELAXED);
    }
    return true;
}

/* A run of frames that stand one behind another in a segment, at most BATCH_BYTES. */
static size_t take_batch(struct writer *w, size_t *first, uint64_t *bytes)
{
    pthread_mutex_lock(&w->mutex);
    size_t from = w->next, to = from;
    *first = from;
    *bytes = 0;
    while (to < w->index->frame_count && !w->error.code) {
        const struct frame *f = &w->index->frames[w->order[to]].frame, *start = &w->index->frames[w->order[from]].frame;
        if (to > from && (f->segment != start->segment || f->offset != start->offset + *bytes || *bytes >= BATCH_BYTES))
            break;
        *bytes += FRAME_HEADER_SIZE + f->stored_size;
        to++;
    }
    w->next = to;
    pthread_mutex_unlock(&w->mutex);
    return to - from;
}

static void *writer_main(void *argument)
{
    struct writer *w = argument;
    struct gb_error error = {0};
    struct open_file last = {.fd = -1};
    struct codec *codec = codec_new((struct codec_spec){CODEC_ZSTD, 1});
    size_t room = BATCH_BYTES + 2 * (codec_bound(FRAME_PLAIN_MAX) + FRAME_HEADER_SIZE);
    uint8_t *stored = malloc(room), *plain = aligned_alloc(ALIGNMENT, FRAME_PLAIN_MAX);
    if (!codec || !stored || !plain)
        error_set(&error, GB_internal, "no memory for a restore thread");
    size_t first, count;
    uint64_t bytes;
    while (!error.code && (count = take_batch(w, &first, &bytes))) {
        const struct frame *start = &w->index->frames[w->order[first]].frame;
        char name[1200];
        snprintf(name, sizeof name, "%s/data/%06u.seg", w->prefix, start->segment);
        if (bytes > room)
            error_set(&error, GB_corrupt_backup, "%s: frames of impossible size", name);
        else
            storage_read(w->repository->storage, name, start->offset, stored, (size_t)bytes, &error);
        const uint8_t *at = stored;
        for (size_t i = 0; i < count && !error.code; i++) {
            const struct index_frame *f = &w->index->frames[w->order[first + i]];
            if (frame_open(codec, &f->frame, at, plain, &error))
                write_frame(w, f, plain, &last, &error);
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
    codec_free(codec);
    __atomic_fetch_sub(&w->running, 1, __ATOMIC_RELEASE);
    return NULL;
}

static bool write_frames(struct writer *w, const struct restore_request *request, uint64_t total, struct gb_error *error)
{
    pthread_t thread[THREADS_MAX];
    unsigned threads = (request->threads ? request->threads : processors()) + SPARE, started = 0;
    if (threads > THREADS_MAX)
        threads = THREADS_MAX;
    for (; started < threads; started++) {
        __atomic_fetch_add(&w->running, 1, __ATOMIC_RELAXED);
        if (pthread_create(&thread[started], NULL, writer_main, w)) {
            __atomic_fetch_sub(&w->running, 1, __ATOMIC_RELAXED);
            break;
        }
    }
    while (started && __atomic_load_n(&w->running, __ATOMIC_ACQUIRE)) {
        if (request->progress)
            request->progress(request->context, __atomic_load_n(&w->done, __ATOMIC_RELAXED), total);
        usleep(PROGRESS_US / 10);
    }
    for (unsigned i = 0; i < started; i++)
        pthread_join(thread[i], NULL);
    if (!started)
        error_set(&w->error, GB_internal, "no thread for the restore");
    if (request->progress && !w->error.code)
        request->progress(request->context, total, total);
    error_copy(error, &w->error);
    return !error->code;
}

/* The log under its temporary name, header first; the redo is written into it like any file. */
static bool make_log(const struct writer *w, struct gb_error *error)
{
    const struct manifest *m = w->manifest;
    char path[WIRE_PATH_MAX], version[32];
    snprintf(version, sizeof version, "%.*s", (int)strcspn(m->server_version, "-"), m->server_version);
    uint8_t *header = malloc(REDO_START_OFFSET);
    if (!header)
        return error_set(error, GB_internal, "no memory");
    restore_target_path(w->request, RESTORE_LOG, path, sizeof path);
    bool ok = redo_writer_header(m->redo_header, m->checkpoint_lsn, m->checkpoint_end_lsn, m->end_lsn, version, header, error);
    int fd = ok ? open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0660) : -1;
    if (ok && (fd < 0 || ftruncate(fd, (off_t)redo_writer_file_size(m->redo_bytes)) ||
               !write_at(fd, header, REDO_START_OFFSET, 0)))
        ok = error_set_errno(error, errno == ENOSPC ? GB_target_no_space : GB_target_failed, errno, "%s can't be written", path);
    if (fd >= 0)
        close(fd);
    free(header);
    return ok;
}

static bool sync_all(const struct writer *w, struct gb_error *error)
{
    int fd = open(w->request->datadir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool ok = fd >= 0 && !syncfs(fd);
    if (!ok)
        error_set_errno(error, GB_target_failed, errno, "%s can't be synced to disk", w->request->datadir);
    if (fd >= 0)
        close(fd);
    for (size_t i = 0; ok && i < w->index->file_count; i++) {
        const char *path = w->index->files[i].path;
        if (path[0] != '/' || w->index->files[i].kind == INDEX_KIND_LINK)
            continue;
        fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0 || fsync(fd))
            ok = error_set_errno(error, GB_target_failed, errno, "%s can't be synced to disk", path);
        if (fd >= 0)
            close(fd);
    }
    return ok;
}

bool restore_run(struct repository *repository, const struct manifest *m, const struct index *index,
                 const struct restore_request *request, const struct restore_plan *plan, struct gb_error *error)
{
    struct writer w = {.repository = repository, .manifest = m, .index = index, .request = request};
    repository_prefix(w.prefix, sizeof w.prefix, m->cluster, m->id);
    w.order = malloc((index->frame_count + 1) * sizeof *w.order);
    if (!w.order)
        return error_set(error, GB_internal, "no memory");
    for (uint32_t i = 0; i < index->frame_count; i++)
        w.order[i] = i;
    sort_index = index;
    qsort(w.order, index->frame_count, sizeof *w.order, by_place);
    pthread_mutex_init(&w.mutex, NULL);
    bool save = manifest_is_save(m), has_log = true;
    bool ok = target_owner(request, &w.uid, &w.gid, error) && target_begin(request->datadir, m, error) &&
              make_files(&w, error) && (save || make_log(&w, error)) && write_frames(&w, request, plan->bytes, error) &&
              (!save || saved_finish(index, request, &has_log, error)) &&
              (!request->galera || target_grastate(request->datadir, manifest_position(m), request->safe_to_bootstrap, error)) &&
              target_chown(request->datadir, w.uid, w.gid, error) && sync_all(&w, error) &&
              (request->stay_guarded || target_end(request->datadir, has_log ? RESTORE_LOG : NULL, error));
    pthread_mutex_destroy(&w.mutex);
    free(w.order);
    return ok;
}
