/* Reading a backup back; see repository.h. */
#include "agent/repository/repository.h"
#include "common/page.h"
#include "common/redo.h"

#include <inttypes.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define READ_SIZE   (4u << 20)
#define THREADS_MAX 64u

struct verifier {
    struct repository *repository;
    const struct manifest *manifest;
    const struct index *index;
    char prefix[1024];
    bool deep;
    struct space_format *formats; /* by place in index->files; page_size 0: not known */
    uint8_t *redo;                /* redo_bytes, filled by the frames; NULL unless deep */
    pthread_mutex_t mutex;        /* what follows */
    size_t next_object, next_frame;
    size_t objects, frames; /* visited, whatever was found */
    struct gb_error failure; /* the check itself could not be done */
    struct verify_report *result;
    void (*report)(void *context, const struct gb_error *problem);
    void *context;
};

static void problem(struct verifier *v, const struct gb_error *error)
{
    pthread_mutex_lock(&v->mutex);
    if (error->code == GB_internal) {
        error_copy(&v->failure, error);
    } else {
        v->result->damaged++;
        if (v->report)
            v->report(v->context, error);
    }
    pthread_mutex_unlock(&v->mutex);
}

/* Presence, size and SHA-256 of one object. */
static void check_object(struct verifier *v, const struct object_info *info, uint8_t *buffer)
{
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
        error_set(&error, GB_corrupt_backup, "%s has %" PRIu64 " bytes instead of %" PRIu64, name, size, info->size);
    for (uint64_t at = 0; !error.code && at < size;) {
        size_t n = size - at < READ_SIZE ? (size_t)(size - at) : READ_SIZE;
        if (storage_read(v->repository->storage, name, at, buffer, n, &error))
            EVP_DigestUpdate(digest, buffer, n);
        at += n;
    }
    if (!error.code) {
        EVP_DigestFinal_ex(digest, sha256, &length);
        if (memcmp(sha256, info->sha256, sizeof sha256))
            error_set(&error, GB_corrupt_backup, "%s has another SHA-256 than backup.json says", name);
    }
    EVP_MD_CTX_free(digest);
    if (error.code)
        problem(v, &error);
}

static bool read_frame(struct verifier *v, struct codec *codec, const struct frame *f, uint8_t *stored, uint8_t *plain,
                       struct gb_error *error)
{
    char name[1200];
    snprintf(name, sizeof name, "%s/data/%06u.seg", v->prefix, f->segment);
    return storage_read(v->repository->storage, name, f->offset, stored, FRAME_HEADER_SIZE + f->stored_size, error) &&
           frame_open(codec, f, stored, plain, error);
}

static void check_pages(struct verifier *v, const struct index_file *file, const struct space_format *format,
                        const struct index_extent *e, const uint8_t *data)
{
    for (uint32_t at = 0; format->page_size && at + format->page_size <= e->length; at += format->page_size) {
        uint64_t offset = e->offset + at;
        uint32_t page_no = (uint32_t)(offset / format->page_size);
        if (page_verify(format, page_no, data + at) == PAGE_CORRUPT) {
            struct gb_error error = {0};
            error_set(&error, GB_corrupt_backup, "page %u of %s (offset %" PRIu64 ") has a wrong checksum", page_no, file->path,
                      offset);
            problem(v, &error);
            return;
        }
    }
}

static void check_frame(struct verifier *v, struct codec *codec, const struct index_frame *f, uint8_t *stored, uint8_t *plain)
{
    struct gb_error error = {0};
    if (!read_frame(v, codec, &f->frame, stored, plain, &error)) {
        problem(v, &error);
        return;
    }
    const uint8_t *at = plain;
    for (uint32_t i = 0; i < f->extents; i++) {
        const struct index_extent *e = &v->index->extents[f->first_extent + i];
        const struct index_file *file = index_find(v->index, e->file_no);
        if (e->file_no == WIRE_FILE_REDO) {
            if (e->offset < v->manifest->redo_bytes) {
                uint64_t n = v->manifest->redo_bytes - e->offset;
                memcpy(v->redo + e->offset, at, n < e->length ? (size_t)n : e->length);
            }
        } else if (file && (file->kind == WIRE_KIND_TABLESPACE || file->kind == WIRE_KIND_UNDO)) {
            check_pages(v, file, &v->formats[file - v->index->files], e, at);
        }
        at += e->length;
    }
    pthread_mutex_lock(&v->mutex);
    v->result->frames++;
    v->result->bytes += f->frame.plain_size;
    pthread_mutex_unlock(&v->mutex);
}

static void *verify_main(void *argument)
{
    struct verifier *v = argument;
    uint8_t *stored = malloc(codec_bound(FRAME_PLAIN_MAX) + FRAME_HEADER_SIZE + READ_SIZE), *plain = malloc(FRAME_PLAIN_MAX);
    struct codec *codec = codec_new((struct codec_spec){CODEC_ZSTD, 1});
    bool ready = stored && plain && codec;
    if (!ready) {
        struct gb_error error = {0};
        error_set(&error, GB_internal, "no memory to check %s", v->prefix);
        problem(v, &error);
    }
    while (ready) {
        pthread_mutex_lock(&v->mutex);
        size_t object = v->next_object, frame = v->next_frame;
        if (object < v->manifest->object_count)
            v->next_object++;
        else if (v->deep && frame < v->index->frame_count)
            v->next_frame++;
        pthread_mutex_unlock(&v->mutex);
        if (object < v->manifest->object_count)
            check_object(v, &v->manifest->objects[object], stored);
        else if (v->deep && frame < v->index->frame_count)
            check_frame(v, codec, &v->index->frames[frame], stored, plain);
        else
            break;
        pthread_mutex_lock(&v->mutex);
        if (object < v->manifest->object_count)
            v->objects++;
        else
            v->frames++;
        pthread_mutex_unlock(&v->mutex);
    }
    free(stored);
    free(plain);
    codec_free(codec);
    return NULL;
}

/* Page 0 of each tablespace says what its pages look like. */
static bool find_formats(struct verifier *v, struct gb_error *error)
{
    struct codec *codec = codec_new((struct codec_spec){CODEC_ZSTD, 1});
    uint8_t *stored = malloc(codec_bound(FRAME_PLAIN_MAX) + FRAME_HEADER_SIZE), *plain = malloc(FRAME_PLAIN_MAX);
    v->formats = calloc(v->index->file_count + 1, sizeof *v->formats);
    bool ok = (codec && stored && plain && v->formats) || error_set(error, GB_internal, "no memory");
    for (size_t i = 0; ok && i < v->index->frame_count; i++) {
        const struct index_frame *f = &v->index->frames[i];
        bool opened = false;
        const uint8_t *at = plain;
        for (uint32_t j = 0; j < f->extents; j++) {
            const struct index_extent *e = &v->index->extents[f->first_extent + j];
            const struct index_file *file = e->offset ? NULL : index_find(v->index, e->file_no);
            if (file && (file->kind == WIRE_KIND_TABLESPACE || file->kind == WIRE_KIND_UNDO)) {
                struct gb_error ignored = {0};
                struct space_info info;
                bool zero;
                opened = opened || read_frame(v, codec, &f->frame, stored, plain, &ignored);
                if (opened && space_parse(at, e->length, &info, &zero, &ignored))
                    v->formats[file - v->index->files] = info.format;
            }
            at += e->length;
        }
    }
    free(stored);
    free(plain);
    codec_free(codec);
    return ok;
}

/* The redo, from C to L: mini-transaction after mini-transaction, without a gap. */
static void check_redo(struct verifier *v)
{
    const struct manifest *m = v->manifest;
    struct redo_visitor none = {0};
    uint64_t at = 0;
    while (at < m->redo_bytes) {
        size_t size;
        if (redo_parse_flat_mtr(REDO_FORMAT_10_8, false, m->checkpoint_lsn + at, v->redo + at, (size_t)(m->redo_bytes - at), &none,
                                &size) != REDO_MTR)
            break;
        at += size;
    }
    if (at != m->redo_bytes) {
        struct gb_error error = {0};
        error_set(&error, GB_corrupt_backup, "the redo can't be read beyond LSN %" PRIu64 " (it ends at %" PRIu64 ")",
                  m->checkpoint_lsn + at, m->end_lsn);
        problem(v, &error);
    }
}

bool repository_verify(struct repository *repository, const struct manifest *manifest, bool deep, unsigned threads,
                       void (*report)(void *context, const struct gb_error *problem), void *context,
                       struct verify_report *result, struct gb_error *error)
{
    struct index index;
    struct gb_error damage = {0};
    struct verifier v = {.repository = repository, .manifest = manifest, .index = &index, .deep = deep, .result = result,
                         .report = report, .context = context};
    memset(result, 0, sizeof *result);
    pthread_mutex_init(&v.mutex, NULL);
    repository_prefix(v.prefix, sizeof v.prefix, manifest->cluster, manifest->id);
    if (!index_read(&index, repository->storage, v.prefix, &manifest->objects[0], &damage)) {
        problem(&v, &damage);
        v.deep = false;
    }
    for (size_t i = 0; i < index.file_count; i++)
        result->unverifiable += index.files[i].unverifiable;
    bool ok = !v.deep || (find_formats(&v, error) && ((v.redo = calloc(1, manifest->redo_bytes + 1)) ||
                                                      error_set(error, GB_internal, "no memory for the redo")));
    pthread_t thread[THREADS_MAX];
    unsigned started = 0;
    while (ok && started < threads && started < THREADS_MAX && !pthread_create(&thread[started], NULL, verify_main, &v))
        started++;
    if (ok && !started)
        verify_main(&v);
    for (unsigned i = 0; i < started; i++)
        pthread_join(thread[i], NULL);
    if (ok && v.failure.code) {
        error_copy(error, &v.failure);
        ok = false;
    }
    if (ok && (v.objects != manifest->object_count || (v.deep && v.frames != index.frame_count)))
        ok = error_set(error, GB_internal, "%s: %zu of %zu objects and %zu of %zu frames were visited", v.prefix, v.objects,
                       manifest->object_count, v.frames, index.frame_count);
    if (ok && v.deep && !result->damaged)
        check_redo(&v);
    free(v.formats);
    free(v.redo);
    index_free(&index);
    pthread_mutex_destroy(&v.mutex);
    return ok;
}
