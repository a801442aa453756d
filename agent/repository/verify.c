/* Reading a backup back; see repository.h. */
#include "agent/repository/repository.h"
#include "common/page.h"
#include "common/redo_stream.h"

#include <inttypes.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define READ_SIZE   (4u << 20)
#define THREADS_MAX 64u
#define POLL_US     20000

struct redo_piece { /* one extent of the redo */
    uint64_t offset;
    uint32_t frame;      /* place in index->frames */
    uint32_t length, at; /* bytes; offset in the frame's plain text */
};

struct verifier {
    const struct verify_request *request;
    struct repository *repository;
    const struct manifest *manifest;
    const struct index *index;
    char prefix[1024];
    bool deep;
    struct space_format *formats; /* by place in index->files; page_size 0: not known */
    struct redo_piece *redo;      /* by offset */
    size_t redo_count;
    bool *is_redo;    /* by place in index->frames: it is read with the redo, in the redo's order */
    uint64_t done;    /* atomic, bytes read */
    unsigned running; /* atomic, threads */
    pthread_mutex_t mutex; /* what follows */
    bool redo_taken;
    size_t next_object, next_frame;
    size_t objects, frames;  /* visited, whatever was found, and left to other turns */
    struct gb_error failure; /* the check itself could not be done */
    struct verify_report *result;
};

/* Whether it is an object's or a frame's turn. */
static bool has_turn(const struct verifier *v, size_t number)
{
    const struct verify_request *r = v->request;
    return !r->turns || number % r->turns == r->turn;
}

static bool is_stopped(const struct verifier *v)
{
    return v->request->stop && __atomic_load_n(v->request->stop, __ATOMIC_ACQUIRE);
}

#define NO_OBJECT SIZE_MAX

/* object: its place in the manifest's, if it is one of those that is bad. */
static void problem(struct verifier *v, size_t object, const struct gb_error *error)
{
    pthread_mutex_lock(&v->mutex);
    if (error->code == GB_internal || storage_is_away(error)) {
        error_copy(&v->failure, error);
    } else {
        v->result->damaged++;
        if (v->request->damaged && object != NO_OBJECT)
            v->request->damaged[object] = true;
        if (v->request->report)
            v->request->report(v->request->context, error);
    }
    pthread_mutex_unlock(&v->mutex);
}

/* The place of a segment in the manifest's objects. */
static size_t object_of(const struct verifier *v, uint32_t segment)
{
    char name[64];
    snprintf(name, sizeof name, "data/%06u.seg", segment);
    for (size_t i = 0; i < v->manifest->object_count; i++)
        if (!strcmp(v->manifest->objects[i].name, name))
            return i;
    return NO_OBJECT;
}

/* Presence, size and, if it is to be read, SHA-256 of one object. */
static void check_object(struct verifier *v, size_t number, bool read, uint8_t *buffer)
{
    const struct object_info *info = &v->manifest->objects[number];
    struct gb_error error = {0};
    char name[1200];
    uint64_t size = 0;
    uint8_t sha256[32];
    unsigned length;
    snprintf(name, sizeof name, "%s/%s", v->prefix, info->name);
    EVP_MD_CTX *digest = EVP_MD_CTX_new();
    if (!digest || !EVP_DigestInit_ex(digest, EVP_sha256(), NULL))
        error_set(&error, GB_internal, "no memory");
    else if (storage_size(v->repository->storage, name, &size, &error) && size != info->size)
        error_set(&error, GB_corrupt_backup, "%s has %" PRIu64 " bytes instead of %" PRIu64, name,
                  size, info->size);
    for (uint64_t at = 0; read && !error.code && at < size && !is_stopped(v);) {
        size_t n = size - at < READ_SIZE ? (size_t)(size - at) : READ_SIZE;
        if (storage_read(v->repository->storage, name, at, buffer, n, &error))
            EVP_DigestUpdate(digest, buffer, n);
        at += n;
        __atomic_fetch_add(&v->done, n, __ATOMIC_RELAXED);
    }
    if (read && !error.code && !is_stopped(v)) {
        EVP_DigestFinal_ex(digest, sha256, &length);
        if (memcmp(sha256, info->sha256, sizeof sha256))
            error_set(&error, GB_corrupt_backup, "%s has another SHA-256 than backup.json says",
                      name);
    }
    EVP_MD_CTX_free(digest);
    if (error.code)
        problem(v, number, &error);
    pthread_mutex_lock(&v->mutex);
    v->objects++;
    pthread_mutex_unlock(&v->mutex);
}

static bool read_frame(struct verifier *v, struct frame_reader *reader, const struct frame *f,
                       uint8_t *stored, uint8_t *plain, struct gb_error *error)
{
    return frame_read(reader, v->repository->storage, v->prefix, f, stored, plain, error);
}

/* The place is in the hint: what is recorded in the repository names no table. */
static void check_pages(struct verifier *v, const struct frame *f, const struct index_file *file,
                        const struct space_format *format, const struct index_extent *e,
                        const uint8_t *data)
{
    for (uint32_t at = 0; format->page_size && at + format->page_size <= e->length;
         at += format->page_size) {
        uint64_t offset = e->offset + at;
        uint32_t page_no = (uint32_t)(offset / format->page_size);
        if (page_verify(format, page_no, data + at) == PAGE_CORRUPT) {
            struct gb_error error = {0};
            error_set(&error, GB_corrupt_backup,
                      "%s/data/%06u.seg, frame %u at offset %" PRIu64
                      ": page %u has a wrong checksum",
                      v->prefix, f->segment, f->number, f->offset, page_no);
            error_hint(&error, "page %u of %s (offset %" PRIu64 ")", page_no, file->path, offset);
            problem(v, NO_OBJECT, &error); /* its frame is as it was written */
            return;
        }
    }
}

/* Whether its plain text could be read. */
static bool check_frame(struct verifier *v, struct frame_reader *reader,
                        const struct index_frame *f, uint8_t *stored, uint8_t *plain)
{
    struct gb_error error = {0};
    bool ok = read_frame(v, reader, &f->frame, stored, plain, &error);
    const uint8_t *at = plain;
    __atomic_fetch_add(&v->done, FRAME_HEADER_SIZE + f->frame.stored_size, __ATOMIC_RELAXED);
    if (!ok)
        problem(v, object_of(v, f->frame.segment), &error);
    for (uint32_t i = 0; ok && i < f->extents; i++) {
        const struct index_extent *e = &v->index->extents[f->first_extent + i];
        const struct index_file *file = index_find(v->index, e->file_no);
        if (file && (file->kind == WIRE_KIND_TABLESPACE || file->kind == WIRE_KIND_UNDO))
            check_pages(v, &f->frame, file, &v->formats[file - v->index->files], e, at);
        at += e->length;
    }
    pthread_mutex_lock(&v->mutex);
    v->frames++;
    v->result->frames += ok;
    v->result->bytes += ok ? f->frame.plain_size : 0;
    pthread_mutex_unlock(&v->mutex);
    return ok;
}

/* The redo, from C to L: mini-transaction after mini-transaction, without a gap. Its frames are
 * read in its order. */
static void check_redo(struct verifier *v, struct frame_reader *reader, uint8_t *stored,
                       uint8_t *plain)
{
    const struct manifest *m = v->manifest;
    struct gb_error error = {0};
    struct redo_stream *stream = malloc(sizeof *stream);
    bool *seen = calloc(v->index->frame_count + 1, sizeof *seen);
    uint32_t open = UINT32_MAX; /* the frame in plain */
    bool ready = stream && seen, whole = ready;
    if (!ready)
        error_set(&error, GB_internal, "no memory to read the redo");
    else
        redo_stream_begin(stream, REDO_FORMAT_10_8, false, m->checkpoint_lsn, NULL);
    for (size_t i = 0; ready && i < v->redo_count && !is_stopped(v); i++) {
        const struct redo_piece *p = &v->redo[i];
        const struct index_frame *f = &v->index->frames[p->frame];
        bool ok = p->frame == open;
        if (!seen[p->frame]) {
            seen[p->frame] = true;
            ok = check_frame(v, reader, f, stored, plain);
        } else if (!ok) {
            struct gb_error again = {0}; /* it was checked when it was read first */
            ok = read_frame(v, reader, &f->frame, stored, plain, &again);
        }
        open = ok ? p->frame : UINT32_MAX;
        whole = whole && ok;
        uint64_t left = p->offset < m->redo_bytes ? m->redo_bytes - p->offset : 0;
        if (whole)
            redo_stream_feed(stream, plain + p->at, left < p->length ? (size_t)left : p->length);
    }
    if (whole && !is_stopped(v) && redo_stream_lsn(stream) != m->end_lsn)
        error_set(&error, GB_corrupt_backup,
                  "the redo can't be read beyond LSN %" PRIu64 " (it ends at %" PRIu64 ")",
                  redo_stream_lsn(stream), m->end_lsn);
    if (error.code)
        problem(v, NO_OBJECT, &error);
    free(stream);
    free(seen);
}

enum job { JOB_NONE, JOB_REDO, JOB_OBJECT, JOB_FRAME };

/* The redo first: it is one thread's. */
static enum job take(struct verifier *v, size_t *which)
{
    enum job job = JOB_NONE;
    pthread_mutex_lock(&v->mutex);
    if (v->failure.code || is_stopped(v)) {
        pthread_mutex_unlock(&v->mutex);
        return JOB_NONE;
    }
    for (; v->deep && v->next_frame < v->index->frame_count &&
           (v->is_redo[v->next_frame] || !has_turn(v, v->next_frame));
         v->next_frame++)
        v->frames += !v->is_redo[v->next_frame];
    if (v->deep && !v->redo_taken) {
        v->redo_taken = true;
        job = JOB_REDO;
    } else if (v->next_object < v->manifest->object_count) {
        *which = v->next_object++;
        job = JOB_OBJECT;
    } else if (v->deep && v->next_frame < v->index->frame_count) {
        *which = v->next_frame++;
        job = JOB_FRAME;
    }
    pthread_mutex_unlock(&v->mutex);
    return job;
}

static void *verify_main(void *argument)
{
    struct verifier *v = argument;
    uint8_t *stored = malloc(codec_bound(FRAME_PLAIN_MAX) + FRAME_HEADER_SIZE + READ_SIZE),
            *plain = malloc(FRAME_PLAIN_MAX);
    struct frame_reader *reader = frame_reader_new(manifest_key(v->manifest));
    bool ready = stored && plain && reader;
    enum job job;
    size_t which = 0;
    if (!ready) {
        struct gb_error error = {0};
        error_set(&error, GB_internal, "no memory to check %s", v->prefix);
        problem(v, NO_OBJECT, &error);
    }
    while (ready && (job = take(v, &which)) != JOB_NONE) {
        if (job == JOB_REDO)
            check_redo(v, reader, stored, plain);
        else if (job == JOB_FRAME)
            check_frame(v, reader, &v->index->frames[which], stored, plain);
        else
            check_object(v, which, has_turn(v, which), stored);
    }
    free(stored);
    free(plain);
    frame_reader_free(reader);
    __atomic_fetch_sub(&v->running, 1, __ATOMIC_RELEASE);
    return NULL;
}

/* By place in index->files: whether a frame that has its turn holds a piece of it. NULL: no memory.
 */
static bool *files_of_turn(const struct verifier *v)
{
    const struct index *x = v->index;
    bool *wanted = calloc(x->file_count + 1, sizeof *wanted);
    for (size_t i = 0; wanted && i < x->frame_count; i++)
        for (uint32_t j = 0; has_turn(v, i) && j < x->frames[i].extents; j++) {
            const struct index_file *file =
                index_find(x, x->extents[x->frames[i].first_extent + j].file_no);
            if (file)
                wanted[file - x->files] = true;
        }
    return wanted;
}

/* Page 0 of each tablespace says what its pages look like. */
static bool find_formats(struct verifier *v, struct gb_error *error)
{
    struct frame_reader *reader = frame_reader_new(manifest_key(v->manifest));
    uint8_t *stored = malloc(codec_bound(FRAME_PLAIN_MAX) + FRAME_HEADER_SIZE),
            *plain = malloc(FRAME_PLAIN_MAX);
    bool *wanted = files_of_turn(v);
    v->formats = calloc(v->index->file_count + 1, sizeof *v->formats);
    bool ok = (reader && stored && plain && wanted && v->formats) ||
              error_set(error, GB_internal, "no memory");
    for (size_t i = 0; ok && i < v->index->frame_count; i++) {
        const struct index_frame *f = &v->index->frames[i];
        bool opened = false;
        const uint8_t *at = plain;
        for (uint32_t j = 0; j < f->extents; j++) {
            const struct index_extent *e = &v->index->extents[f->first_extent + j];
            const struct index_file *file = e->offset ? NULL : index_find(v->index, e->file_no);
            if (file && wanted[file - v->index->files] &&
                (file->kind == WIRE_KIND_TABLESPACE || file->kind == WIRE_KIND_UNDO)) {
                struct gb_error ignored = {0};
                struct space_info info;
                bool zero;
                opened = opened || read_frame(v, reader, &f->frame, stored, plain, &ignored);
                if (storage_is_away(&ignored)) {
                    error_copy(error, &ignored);
                    ok = false;
                    break;
                }
                if (opened && space_parse(at, e->length, &info, &zero, &ignored))
                    v->formats[file - v->index->files] = info.format;
            }
            at += e->length;
        }
    }
    free(wanted);
    free(stored);
    free(plain);
    frame_reader_free(reader);
    return ok;
}

static int by_offset(const void *a, const void *b)
{
    const struct redo_piece *x = a, *y = b;
    return x->offset < y->offset ? -1 : x->offset > y->offset;
}

/* In another turn than the first its frames are frames like others. */
static bool find_redo(struct verifier *v, struct gb_error *error)
{
    const struct index *x = v->index;
    v->redo = malloc((x->extent_count + 1) * sizeof *v->redo);
    v->is_redo = calloc(x->frame_count + 1, sizeof *v->is_redo);
    if (!v->redo || !v->is_redo)
        return error_set(error, GB_internal, "no memory");
    v->redo_taken = v->request->turn > 0;
    for (uint32_t i = 0; !v->redo_taken && i < x->frame_count; i++) {
        uint32_t at = 0;
        for (uint32_t j = 0; j < x->frames[i].extents; j++) {
            const struct index_extent *e = &x->extents[x->frames[i].first_extent + j];
            if (e->file_no == WIRE_FILE_REDO) {
                v->redo[v->redo_count++] = (struct redo_piece){e->offset, i, e->length, at};
                v->is_redo[i] = true;
            }
            at += e->length;
        }
    }
    qsort(v->redo, v->redo_count, sizeof *v->redo, by_offset);
    return true;
}

static uint64_t bytes_to_read(const struct verifier *v)
{
    uint64_t total = 0;
    for (size_t i = 0; i < v->manifest->object_count; i++)
        total += has_turn(v, i) ? v->manifest->objects[i].size : 0;
    for (size_t i = 0; v->deep && i < v->index->frame_count; i++)
        total += !v->is_redo[i] && !has_turn(v, i)
                     ? 0
                     : FRAME_HEADER_SIZE + v->index->frames[i].frame.stored_size;
    return total;
}

static void run_threads(struct verifier *v)
{
    const struct verify_request *r = v->request;
    pthread_t thread[THREADS_MAX];
    uint64_t total = bytes_to_read(v);
    unsigned started = 0;
    for (; started < r->threads && started < THREADS_MAX; started++) {
        __atomic_fetch_add(&v->running, 1, __ATOMIC_RELAXED);
        if (pthread_create(&thread[started], NULL, verify_main, v)) {
            __atomic_fetch_sub(&v->running, 1, __ATOMIC_RELAXED);
            break;
        }
    }
    if (!started) {
        v->running = 1;
        verify_main(v);
    }
    while (r->progress && __atomic_load_n(&v->running, __ATOMIC_ACQUIRE)) {
        r->progress(r->context, __atomic_load_n(&v->done, __ATOMIC_RELAXED), total);
        usleep(POLL_US);
    }
    for (unsigned i = 0; i < started; i++)
        pthread_join(thread[i], NULL);
    if (r->progress)
        r->progress(r->context, v->done, total);
}

bool repository_verify(struct repository *repository, const struct manifest *manifest,
                       const struct verify_request *request, struct verify_report *result,
                       struct gb_error *error)
{
    struct index index;
    struct gb_error damage = {0};
    struct manifest opened = *manifest;
    struct verifier v = {.request = request,
                         .repository = repository,
                         .manifest = &opened,
                         .index = &index,
                         .deep = request->deep,
                         .result = result};
    char recipients[512];
    memset(result, 0, sizeof *result);
    if (v.deep && !repository_unlock(repository, &opened, &damage) &&
        damage.code != GB_corrupt_backup) {
        error_copy(error, &damage);
        return false;
    }
    pthread_mutex_init(&v.mutex, NULL);
    repository_prefix(v.prefix, sizeof v.prefix, manifest->cluster, manifest->id);
    index_init(&index);
    /* Unlocked or not: who has just written the backup knows its key without keys.json. */
    if (damage.code ||
        !repository_recipients(repository, &opened, recipients, sizeof recipients, &damage)) {
        problem(&v, NO_OBJECT, &damage);
        error_clear(&damage);
    }
    if (opened.encryption.on && !opened.encryption.unlocked)
        v.deep = false;
    else if (!index_read(&index, repository->storage, v.prefix, manifest_key(&opened),
                         &opened.objects[0], &damage)) {
        problem(&v, 0, &damage);
        v.deep = false;
    } else if (!index_check_kinds(&index, manifest_is_save(manifest), &damage)) {
        problem(&v, NO_OBJECT, &damage);
    }
    for (size_t i = 0; i < index.file_count; i++)
        result->unverifiable += index.files[i].unverifiable;
    bool ok = !v.deep || (find_formats(&v, error) && find_redo(&v, error));
    if (ok)
        run_threads(&v);
    if (ok && v.failure.code) {
        error_copy(error, &v.failure);
        ok = false;
    }
    if (ok && is_stopped(&v))
        ok = error_set(error, GB_cancelled, "the verification of %s was stopped", v.prefix);
    if (ok && (v.objects != manifest->object_count || (v.deep && v.frames != index.frame_count)))
        ok = error_set(error, GB_internal,
                       "%s: %zu of %zu objects and %zu of %zu frames were visited", v.prefix,
                       v.objects, manifest->object_count, v.frames, index.frame_count);
    free(v.formats);
    free(v.redo);
    free(v.is_redo);
    index_free(&index);
    OPENSSL_cleanse(&opened.encryption, sizeof opened.encryption);
    pthread_mutex_destroy(&v.mutex);
    return ok;
}
