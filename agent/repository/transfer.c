/* Objects of a backup carried from one repository to another; see transfer.h. */
#include "agent/repository/transfer.h"

#include <inttypes.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PIECE_SIZE (4u << 20) /* read at once, and a frame more */
#define FRAME_MAX  (codec_bound(FRAME_PLAIN_MAX) + FRAME_HEADER_SIZE)
#define NAME_SIZE  1200

/* One object on its way. */
struct passage {
    struct transfer *transfer;
    const struct object_info *source;
    EVP_MD_CTX *read, *made;       /* sums of what comes and of what goes */
    struct storage_writer *writer; /* NULL: it is only read */
    uint64_t size;                 /* of what goes */
    struct seal *opener, *closer;  /* of a resealing */
    uint8_t *buffer;
    char name[NAME_SIZE];
};

static int by_place(const void *a, const void *b)
{
    const struct frame *x = *(const struct frame *const *)a, *y = *(const struct frame *const *)b;
    if (x->segment != y->segment)
        return x->segment < y->segment ? -1 : 1;
    return x->offset < y->offset ? -1 : x->offset > y->offset;
}

bool transfer_begin(struct transfer *t, const struct index *index, struct gb_error *error)
{
    t->frames = NULL;
    t->frame_count = 0;
    t->halt = false;
    t->done = 0;
    if (!t->reseal)
        return true;
    if (!(t->frames = malloc((index->frame_count + 1) * sizeof *t->frames)))
        return error_set(error, GB_internal, "no memory");
    for (size_t i = 0; i < index->frame_count; i++)
        t->frames[t->frame_count++] = &index->frames[i].frame;
    qsort(t->frames, t->frame_count, sizeof *t->frames, by_place);
    return true;
}

void transfer_end(struct transfer *t)
{
    free(t->frames);
    t->frames = NULL;
}

void transfer_halt(struct transfer *t)
{
    __atomic_store_n(&t->halt, true, __ATOMIC_RELEASE);
}

uint64_t transfer_done(const struct transfer *t)
{
    return __atomic_load_n(&t->done, __ATOMIC_RELAXED);
}

static bool goes_on(const struct transfer *t, struct gb_error *error)
{
    if (!__atomic_load_n(&t->halt, __ATOMIC_ACQUIRE) &&
        !(t->stop && __atomic_load_n(t->stop, __ATOMIC_ACQUIRE)))
        return true;
    return error_set(error, GB_cancelled, "%s was stopped", t->prefix);
}

static bool is_wrong(const struct passage *p, struct gb_error *error, const char *what)
{
    return error_set(error, GB_corrupt_backup, "%s/%s %s",
                     storage_describe(p->transfer->from->storage), p->name, what);
}

static bool take(struct passage *p, uint64_t offset, size_t size, struct gb_error *error)
{
    if (!goes_on(p->transfer, error) ||
        !storage_read(p->transfer->from->storage, p->name, offset, p->buffer, size, error))
        return false;
    EVP_DigestUpdate(p->read, p->buffer, size);
    __atomic_fetch_add(&p->transfer->done, size, __ATOMIC_RELAXED);
    return true;
}

static bool give(struct passage *p, const uint8_t *data, size_t size, struct gb_error *error)
{
    EVP_DigestUpdate(p->made, data, size);
    p->size += size;
    return !p->writer || storage_write(p->writer, data, size, error);
}

static bool carry_bytes(struct passage *p, struct gb_error *error)
{
    bool ok = true;
    for (uint64_t at = 0; ok && at < p->source->size;) {
        size_t n = p->source->size - at < PIECE_SIZE ? (size_t)(p->source->size - at) : PIECE_SIZE;
        ok = take(p, at, n, error) && give(p, p->buffer, n, error);
        at += n;
    }
    return ok;
}

static bool carry_index(struct passage *p, struct gb_error *error)
{
    struct transfer *t = p->transfer;
    size_t size = 0, made_size = 0;
    uint8_t *stored =
        goes_on(t, error) ? index_read_stored(t->from->storage, t->prefix, &size, error) : NULL;
    if (stored)
        EVP_DigestUpdate(p->read, stored, size);
    uint8_t *made =
        stored ? index_reseal(stored, size, p->name, t->from_key, t->to_key, &made_size, error)
               : NULL;
    bool ok = made && give(p, made, made_size, error);
    __atomic_fetch_add(&t->done, size, __ATOMIC_RELAXED);
    free(stored);
    free(made);
    return ok;
}

/* The place in frames of the first of a segment. */
static size_t first_of(const struct transfer *t, uint32_t segment)
{
    size_t low = 0, high = t->frame_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (t->frames[middle]->segment < segment)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* All of a segment is frames: each where the one before ends, and numbered one after another, so
 * that none is sealed in the place of two. */
static bool carry_segment(struct passage *p, uint32_t segment, struct gb_error *error)
{
    const struct transfer *t = p->transfer;
    uint64_t at = 0;
    uint32_t number = 0;
    bool ok = true;
    for (size_t i = first_of(t, segment); ok && at < p->source->size;) {
        size_t bytes = 0, to = i;
        for (; to < t->frame_count && t->frames[to]->segment == segment && bytes < PIECE_SIZE;
             to++) {
            const struct frame *f = t->frames[to];
            if (f->offset != at + bytes || f->number != number++ ||
                f->stored_size > codec_bound(FRAME_PLAIN_MAX))
                return is_wrong(p, error, "is not laid out as the index says");
            bytes += FRAME_HEADER_SIZE + f->stored_size;
        }
        if (!bytes || bytes > p->source->size - at)
            return is_wrong(p, error, "is not laid out as the index says");
        ok = take(p, at, bytes, error);
        for (uint8_t *frame = p->buffer; ok && i < to; i++) {
            ok = frame_reseal(t->frames[i], p->opener, p->closer, frame, error);
            frame += FRAME_HEADER_SIZE + t->frames[i]->stored_size;
        }
        ok = ok && give(p, p->buffer, bytes, error);
        at += bytes;
    }
    return ok;
}

static bool carry(struct passage *p, struct gb_error *error)
{
    unsigned segment;
    if (!p->transfer->reseal)
        return carry_bytes(p, error);
    if (sscanf(p->source->name, "data/%6u.seg", &segment) == 1)
        return carry_segment(p, segment, error);
    return carry_index(p, error);
}

static bool prepare(struct passage *p, enum transfer_mode mode, struct gb_error *error)
{
    const struct transfer *t = p->transfer;
    p->read = EVP_MD_CTX_new();
    p->made = EVP_MD_CTX_new();
    p->buffer = malloc(PIECE_SIZE + FRAME_MAX);
    if (t->reseal && t->from_key)
        p->opener = seal_new(t->from_key);
    if (t->reseal && t->to_key)
        p->closer = seal_new(t->to_key);
    if (!p->read || !p->made || !p->buffer || !EVP_DigestInit_ex(p->read, EVP_sha256(), NULL) ||
        !EVP_DigestInit_ex(p->made, EVP_sha256(), NULL) ||
        (t->reseal && ((t->from_key && !p->opener) || (t->to_key && !p->closer))))
        return error_set(error, GB_internal, "no memory to copy %s", p->name);
    return mode == TRANSFER_LOOK || (p->writer = storage_create(t->to->storage, p->name, error));
}

static bool check_size(const struct passage *p, struct gb_error *error)
{
    uint64_t size;
    char text[96];
    struct gb_error why = {0};
    if (!storage_size(p->transfer->from->storage, p->name, &size, &why)) {
        if (why.code == GB_not_found)
            return is_wrong(p, error, "is missing");
        error_copy(error, &why);
        return false;
    }
    snprintf(text, sizeof text, "has %" PRIu64 " bytes instead of %" PRIu64, size, p->source->size);
    return size == p->source->size || is_wrong(p, error, text);
}

/* Of what was made, and whether what was read and what was made are as they should be. */
static bool check_sums(struct passage *p, const struct object_info *expected,
                       struct object_info *made, struct gb_error *error)
{
    uint8_t sha256[32];
    unsigned length;
    EVP_DigestFinal_ex(p->read, sha256, &length);
    *made = (struct object_info){.size = p->size};
    memcpy(made->name, p->source->name, sizeof made->name);
    EVP_DigestFinal_ex(p->made, made->sha256, &length);
    if (memcmp(sha256, p->source->sha256, sizeof sha256))
        return is_wrong(p, error, "has another SHA-256 than backup.json says");
    return !expected ||
           (made->size == expected->size &&
            !memcmp(made->sha256, expected->sha256, sizeof made->sha256)) ||
           is_wrong(p, error, "does not become the object that is wanted (SHA-256)");
}

bool transfer_object(struct transfer *t, const struct object_info *source, enum transfer_mode mode,
                     const struct object_info *expected, struct object_info *made,
                     struct gb_error *error)
{
    struct passage p = {.transfer = t, .source = source};
    struct object_info unused;
    struct gb_error why = {0};
    snprintf(p.name, sizeof p.name, "%s/%s", t->prefix, source->name);
    bool ok = check_size(&p, &why) && prepare(&p, mode, &why) && carry(&p, &why) &&
              check_sums(&p, expected, made ? made : &unused, &why);
    if (ok && mode == TRANSFER_REPLACE)
        ok = storage_remove(t->to->storage, p.name, &why);
    if (p.writer && ok)
        ok = storage_commit(p.writer, &why);
    else if (p.writer)
        storage_abort(p.writer);
    error_copy(error, &why);
    EVP_MD_CTX_free(p.read);
    EVP_MD_CTX_free(p.made);
    seal_free(p.opener);
    seal_free(p.closer);
    free(p.buffer);
    return ok;
}
