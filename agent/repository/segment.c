/* Segments and frames; see segment.h. */
#include "agent/repository/segment.h"
#include "common/bytes.h"

#include <inttypes.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#define XXH_STATIC_LINKING_ONLY
#include <xxhash.h>

#define FRAME_MAGIC 0x47424631u /* "GBF1" */
#define SEAL_NONE   0u
#define SEAL_GCM    1u
#define TAG_AT                                                                                     \
    (FRAME_HEADER_SIZE - FRAME_HASH_SIZE) /* of the header: where the hash stands, or the tag */

_Static_assert(FRAME_HASH_SIZE == SEAL_TAG_SIZE, "one takes the other's place");

struct frame_reader {
    struct codec *codec;
    struct seal *seal; /* NULL: frames are not sealed */
    uint8_t *opened;   /* what was sealed, still compressed */
};

struct segment_writer {
    struct storage_writer *writer;
    struct seal *seal; /* NULL: frames are not sealed */
    EVP_MD_CTX *digest;
    uint32_t number, frames;
    uint64_t size;
    char name[64];
};

static void hash_pieces(const struct iovec *pieces, int count, uint8_t out[FRAME_HASH_SIZE])
{
    XXH3_state_t state;
    XXH3_INITSTATE(&state);
    XXH3_128bits_reset(&state);
    for (int i = 0; i < count; i++)
        XXH3_128bits_update(&state, pieces[i].iov_base, pieces[i].iov_len);
    XXH128_canonical_t canonical;
    XXH128_canonicalFromHash(&canonical, XXH3_128bits_digest(&state));
    memcpy(out, canonical.digest, FRAME_HASH_SIZE);
}

bool frame_build(struct codec *codec, const struct iovec *pieces, int count,
                 struct frame_buffer *buffer, struct gb_error *error)
{
    size_t plain = 0;
    for (int i = 0; i < count; i++)
        plain += pieces[i].iov_len;
    size_t need = FRAME_HEADER_SIZE + codec_bound(plain);
    if (plain > FRAME_PLAIN_MAX)
        return error_set(error, GB_internal, "a frame of %zu bytes is too long", plain);
    if (buffer->capacity < need) {
        uint8_t *data = realloc(buffer->data, need);
        if (!data)
            return error_set(error, GB_internal, "no memory for a frame");
        buffer->data = data;
        buffer->capacity = need;
    }
    struct frame *f = &buffer->frame;
    memset(f, 0, sizeof *f);
    size_t stored;
    if (!codec_compress(codec, pieces, count, buffer->data + FRAME_HEADER_SIZE,
                        buffer->capacity - FRAME_HEADER_SIZE, &stored, &f->codec, error))
        return false;
    f->stored_size = (uint32_t)stored;
    f->plain_size = (uint32_t)plain;
    hash_pieces(pieces, count, f->hash);
    return true;
}

void frame_buffer_free(struct frame_buffer *buffer)
{
    free(buffer->data);
    memset(buffer, 0, sizeof *buffer);
}

static void put_header(const struct frame *f, bool sealed, uint8_t *out)
{
    struct bytes_writer w = bytes_writer(out, FRAME_HEADER_SIZE);
    bytes_put_u32(&w, FRAME_MAGIC);
    bytes_put_u32(&w, f->segment);
    bytes_put_u32(&w, f->number);
    bytes_put_u32(&w, f->stored_size);
    bytes_put_u32(&w, f->plain_size);
    bytes_put_u8(&w, (uint8_t)f->codec);
    bytes_put_u8(&w, sealed ? SEAL_GCM : SEAL_NONE);
    bytes_put_u16(&w, 0);
    bytes_put(&w, f->hash, FRAME_HASH_SIZE);
}

static struct seal_place place_of(const struct frame *f)
{
    return (struct seal_place){SEAL_FRAME, f->segment, f->number};
}

struct frame_reader *frame_reader_new(const struct seal_key *key)
{
    struct frame_reader *r = calloc(1, sizeof *r);
    if (r && (r->codec = codec_new((struct codec_spec){CODEC_ZSTD, 1})) &&
        (!key || ((r->seal = seal_new(key)) && (r->opened = malloc(codec_bound(FRAME_PLAIN_MAX))))))
        return r;
    frame_reader_free(r);
    return NULL;
}

void frame_reader_free(struct frame_reader *r)
{
    if (!r)
        return;
    codec_free(r->codec);
    seal_free(r->seal);
    free(r->opened);
    free(r);
}

bool frame_open(struct frame_reader *r, const struct frame *f, const uint8_t *stored,
                uint8_t *plain, struct gb_error *error)
{
    uint8_t expected[FRAME_HEADER_SIZE], hash[FRAME_HASH_SIZE];
    const uint8_t *text = stored + FRAME_HEADER_SIZE;
    put_header(f, r->seal != NULL, expected);
    struct gb_error why = {0};
    if (memcmp(stored, expected, r->seal ? TAG_AT : FRAME_HEADER_SIZE))
        error_set(&why, GB_corrupt_backup, "its header is not what the index says");
    else if (r->seal && f->stored_size > codec_bound(FRAME_PLAIN_MAX))
        error_set(&why, GB_corrupt_backup, "it is too long");
    else if ((!r->seal || seal_open(r->seal, place_of(f), stored, TAG_AT, text, f->stored_size,
                                    stored + TAG_AT, r->opened, &why)) &&
             codec_decompress(r->codec, f->codec, r->seal ? r->opened : text, f->stored_size, plain,
                              f->plain_size, &why)) {
        struct iovec piece = {plain, f->plain_size};
        hash_pieces(&piece, 1, hash);
        if (!memcmp(hash, f->hash, FRAME_HASH_SIZE))
            return true;
        error_set(&why, GB_corrupt_backup, "its hash is wrong");
    }
    return error_set(error, GB_corrupt_backup, "data/%06u.seg, frame %u at offset %" PRIu64 ": %s",
                     f->segment, f->number, f->offset, why.what);
}

bool frame_read(struct frame_reader *r, struct storage *storage, const char *prefix,
                const struct frame *f, uint8_t *stored, uint8_t *plain, struct gb_error *error)
{
    char name[1200];
    snprintf(name, sizeof name, "%s/data/%06u.seg", prefix, f->segment);
    if (f->stored_size > codec_bound(FRAME_PLAIN_MAX))
        return error_set(error, GB_corrupt_backup, "%s: a frame of impossible size", name);
    return storage_read(storage, name, f->offset, stored, FRAME_HEADER_SIZE + f->stored_size,
                        error) &&
           frame_open(r, f, stored, plain, error);
}

bool frame_reseal(const struct frame *f, struct seal *from, struct seal *to, uint8_t *stored,
                  struct gb_error *error)
{
    uint8_t expected[FRAME_HEADER_SIZE], *text = stored + FRAME_HEADER_SIZE;
    struct gb_error why = {0};
    put_header(f, from != NULL, expected);
    if (memcmp(stored, expected, from ? TAG_AT : FRAME_HEADER_SIZE))
        error_set(&why, GB_corrupt_backup, "its header is not what the index says");
    else if (!from || seal_open(from, place_of(f), stored, TAG_AT, text, f->stored_size,
                                stored + TAG_AT, text, &why)) {
        put_header(f, to != NULL, stored);
        if (!to || seal_close(to, place_of(f), stored, TAG_AT, text, f->stored_size,
                              stored + TAG_AT, &why))
            return true;
    }
    return error_set(error, why.code, "data/%06u.seg, frame %u at offset %" PRIu64 ": %s",
                     f->segment, f->number, f->offset, why.what);
}

static void writer_free(struct segment_writer *s)
{
    if (!s)
        return;
    EVP_MD_CTX_free(s->digest);
    seal_free(s->seal);
    free(s);
}

struct segment_writer *segment_create(struct storage *storage, const char *prefix, uint32_t number,
                                      const struct seal_key *key, struct gb_error *error)
{
    struct segment_writer *s = calloc(1, sizeof *s);
    char path[1024];
    if (s && (s->digest = EVP_MD_CTX_new()) && EVP_DigestInit_ex(s->digest, EVP_sha256(), NULL) &&
        (!key || (s->seal = seal_new(key)))) {
        s->number = number;
        snprintf(s->name, sizeof s->name, "data/%06u.seg", number);
        snprintf(path, sizeof path, "%s/%s", prefix, s->name);
        if ((s->writer = storage_create(storage, path, error)))
            return s;
    } else
        error_set(error, GB_internal, "no memory for a segment");
    writer_free(s);
    return NULL;
}

bool segment_append(struct segment_writer *s, struct frame_buffer *buffer, struct gb_error *error)
{
    struct frame *f = &buffer->frame;
    f->segment = s->number;
    f->number = s->frames++; /* whatever becomes of it: a number is sealed but once */
    f->offset = s->size;
    put_header(f, s->seal != NULL, buffer->data);
    if (s->seal &&
        !seal_close(s->seal, place_of(f), buffer->data, TAG_AT, buffer->data + FRAME_HEADER_SIZE,
                    f->stored_size, buffer->data + TAG_AT, error))
        return false;
    size_t size = FRAME_HEADER_SIZE + f->stored_size;
    EVP_DigestUpdate(s->digest, buffer->data, size);
    if (!storage_write(s->writer, buffer->data, size, error))
        return false;
    s->size += size;
    return true;
}

uint64_t segment_size(const struct segment_writer *s)
{
    return s->size;
}

bool segment_close(struct segment_writer *s, struct object_info *info, struct gb_error *error)
{
    memset(info, 0, sizeof *info);
    memcpy(info->name, s->name, sizeof info->name);
    info->size = s->size;
    unsigned length;
    EVP_DigestFinal_ex(s->digest, info->sha256, &length);
    bool ok = storage_commit(s->writer, error);
    writer_free(s);
    return ok;
}

void segment_abort(struct segment_writer *s)
{
    if (!s)
        return;
    storage_abort(s->writer);
    writer_free(s);
}
