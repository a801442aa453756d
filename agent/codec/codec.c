/* Frames compressed and back; see codec.h. */
#include "agent/codec/codec.h"
#include "agent/codec/adapt.h"

#include <lz4.h>
#include <lz4hc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

#define ZSTD_LEVEL_MIN (-7)
#define ZSTD_LEVEL_MAX 19
#define ZSTD_RATIO_MAX 43691u /* a block of 128 KiB takes 3 bytes at least */
#define LZ4_LEVEL_MIN  3      /* of lz4hc; what lower ones mean depends on the library's version */
#define LZ4_LEVEL_MAX  12
#define LZ4_RATIO_MAX  255u /* a byte adds so many to the length of a match at most */

struct codec {
    struct codec_spec spec;
    ZSTD_CCtx *compressor;
    ZSTD_DCtx *decompressor;
    void *lz4; /* state of lz4 or lz4hc, whichever the level asks for; NULL with another kind */
    uint8_t *whole; /* pieces put together for lz4, which takes a text in one piece */
    size_t whole_size;
};

/* A number and nothing behind it. */
static bool parse_level(const char *text, int least, int most, int *level)
{
    char *end;
    long n = strtol(text, &end, 10);
    if (!*text || *end || n < least || n > most)
        return false;
    *level = (int)n;
    return true;
}

bool codec_parse(const char *text, struct codec_spec *spec, struct gb_error *error)
{
    *spec = (struct codec_spec){CODEC_ZSTD, 1};
    if (!strcmp(text, "none")) {
        spec->kind = CODEC_NONE;
        return true;
    }
    if (!strcmp(text, "zstd") ||
        (!strncmp(text, "zstd:", 5) &&
         parse_level(text + 5, ZSTD_LEVEL_MIN, ZSTD_LEVEL_MAX, &spec->level)))
        return true;
    if (!strcmp(text, "zstd:auto")) {
        spec->level = CODEC_LEVEL_ADAPTS;
        return true;
    }
    *spec = (struct codec_spec){CODEC_LZ4, 0};
    if (!strcmp(text, "lz4") || (!strncmp(text, "lz4:", 4) &&
                                 parse_level(text + 4, LZ4_LEVEL_MIN, LZ4_LEVEL_MAX, &spec->level)))
        return true;
    return error_set(error, GB_bad_value,
                     "compression \"%s\" is not none, lz4, lz4:%d to lz4:%d, zstd, zstd:%d to "
                     "zstd:%d or zstd:auto",
                     text, LZ4_LEVEL_MIN, LZ4_LEVEL_MAX, ZSTD_LEVEL_MIN, ZSTD_LEVEL_MAX);
}

struct codec *codec_new(struct codec_spec spec)
{
    struct codec *c = calloc(1, sizeof *c);
    bool lz4 = spec.kind == CODEC_LZ4;
    if (!c)
        return NULL;
    c->spec = spec;
    c->compressor = ZSTD_createCCtx();
    c->decompressor = ZSTD_createDCtx();
    c->lz4 = lz4 ? malloc((size_t)(spec.level ? LZ4_sizeofStateHC() : LZ4_sizeofState())) : NULL;
    if (c->compressor && c->decompressor && (!lz4 || c->lz4)) {
        if (spec.kind == CODEC_ZSTD)
            codec_set_level(c, spec.level == CODEC_LEVEL_ADAPTS ? ADAPT_LEVEL_MIN : spec.level);
        return c;
    }
    codec_free(c);
    return NULL;
}

void codec_set_level(struct codec *c, int level)
{
    c->spec.level = level;
    ZSTD_CCtx_setParameter(c->compressor, ZSTD_c_compressionLevel, level);
}

void codec_free(struct codec *c)
{
    if (!c)
        return;
    ZSTD_freeCCtx(c->compressor);
    ZSTD_freeDCtx(c->decompressor);
    free(c->lz4);
    free(c->whole);
    free(c);
}

size_t codec_bound(size_t plain_size)
{
    size_t zstd = ZSTD_compressBound(plain_size),
           lz4 = plain_size <= LZ4_MAX_INPUT_SIZE ? (size_t)LZ4_compressBound((int)plain_size) : 0;
    size_t bound = zstd > lz4 ? zstd : lz4;
    return bound > plain_size ? bound : plain_size;
}

static size_t total(const struct iovec *pieces, int count)
{
    size_t size = 0;
    for (int i = 0; i < count; i++)
        size += pieces[i].iov_len;
    return size;
}

/* Compressed size, or 0 if it would not be smaller than the plain text. */
static size_t compress_zstd(struct codec *c, const struct iovec *pieces, int count, size_t plain,
                            uint8_t *out, size_t out_size, const char **problem)
{
    size_t result;
    if (count == 1) {
        result =
            ZSTD_compress2(c->compressor, out, out_size, pieces[0].iov_base, pieces[0].iov_len);
        if (ZSTD_isError(result)) {
            *problem = ZSTD_getErrorName(result);
            return 0;
        }
        return result < plain ? result : 0;
    }
    ZSTD_CCtx_reset(c->compressor, ZSTD_reset_session_only);
    ZSTD_CCtx_setPledgedSrcSize(c->compressor, plain);
    ZSTD_outBuffer to = {out, out_size, 0};
    for (int i = 0; i < count; i++) {
        ZSTD_inBuffer from = {pieces[i].iov_base, pieces[i].iov_len, 0};
        ZSTD_EndDirective end = i + 1 == count ? ZSTD_e_end : ZSTD_e_continue;
        do {
            result = ZSTD_compressStream2(c->compressor, &to, &from, end);
            if (ZSTD_isError(result)) {
                *problem = ZSTD_getErrorName(result);
                return 0;
            }
        } while (from.pos < from.size || (end == ZSTD_e_end && result));
    }
    return to.pos < plain ? to.pos : 0;
}

static void join(const struct iovec *pieces, int count, uint8_t *out)
{
    for (int i = 0; i < count; i++) {
        memcpy(out, pieces[i].iov_base, pieces[i].iov_len);
        out += pieces[i].iov_len;
    }
}

/* As compress_zstd(). */
static size_t compress_lz4(struct codec *c, const struct iovec *pieces, int count, size_t plain,
                           uint8_t *out, size_t out_size, const char **problem)
{
    const char *from = pieces[0].iov_base;
    if (plain > LZ4_MAX_INPUT_SIZE || out_size > INT_MAX) {
        *problem = "the text is too long";
        return 0;
    }
    if (count > 1) {
        uint8_t *more = c->whole_size < plain ? realloc(c->whole, plain) : c->whole;
        if (!more) {
            *problem = "no memory";
            return 0;
        }
        c->whole_size = c->whole_size < plain ? plain : c->whole_size;
        c->whole = more;
        join(pieces, count, more);
        from = (const char *)more;
    }
    int result = c->spec.level ? LZ4_compress_HC_extStateHC(c->lz4, from, (char *)out, (int)plain,
                                                            (int)out_size, c->spec.level)
                               : LZ4_compress_fast_extState(c->lz4, from, (char *)out, (int)plain,
                                                            (int)out_size, 1);
    return result > 0 && (size_t)result < plain ? (size_t)result
                                                : 0; /* 0: there was no room for it */
}

bool codec_compress(struct codec *c, const struct iovec *pieces, int count, uint8_t *out,
                    size_t out_size, size_t *stored_size, enum codec_kind *kind,
                    struct gb_error *error)
{
    size_t plain = total(pieces, count);
    const char *problem = NULL;
    if (c->spec.kind != CODEC_NONE && plain) {
        bool lz4 = c->spec.kind == CODEC_LZ4;
        *stored_size = lz4 ? compress_lz4(c, pieces, count, plain, out, out_size, &problem)
                           : compress_zstd(c, pieces, count, plain, out, out_size, &problem);
        *kind = c->spec.kind;
        if (*stored_size)
            return true;
        if (problem)
            return error_set(error, GB_internal, "%s: %s", lz4 ? "lz4" : "zstd", problem);
    }
    if (plain > out_size)
        return error_set(error, GB_internal, "a frame of %zu bytes does not fit into %zu", plain,
                         out_size);
    join(pieces, count, out);
    *stored_size = plain;
    *kind = CODEC_NONE;
    return true;
}

bool codec_plausible(enum codec_kind kind, const uint8_t *stored, size_t stored_size,
                     size_t plain_size)
{
    if (kind == CODEC_NONE)
        return stored_size == plain_size;
    if (kind == CODEC_LZ4)
        return plain_size / LZ4_RATIO_MAX <= stored_size;
    unsigned long long size = ZSTD_getFrameContentSize(stored, stored_size);
    return kind == CODEC_ZSTD && plain_size / ZSTD_RATIO_MAX <= stored_size &&
           (size == ZSTD_CONTENTSIZE_UNKNOWN || size == plain_size);
}

bool codec_decompress(struct codec *c, enum codec_kind kind, const uint8_t *stored,
                      size_t stored_size, uint8_t *plain, size_t plain_size, struct gb_error *error)
{
    if (kind == CODEC_NONE) {
        if (stored_size != plain_size)
            return error_set(error, GB_corrupt_backup, "%zu bytes where %zu were expected",
                             stored_size, plain_size);
        memcpy(plain, stored, plain_size);
        return true;
    }
    if (kind == CODEC_LZ4) {
        int size = stored_size > INT_MAX || plain_size > INT_MAX
                       ? -1
                       : LZ4_decompress_safe((const char *)stored, (char *)plain, (int)stored_size,
                                             (int)plain_size);
        if (size < 0)
            return error_set(error, GB_corrupt_backup, "lz4: this is not what it writes");
        if ((size_t)size != plain_size)
            return error_set(error, GB_corrupt_backup, "%d bytes where %zu were expected", size,
                             plain_size);
        return true;
    }
    if (kind != CODEC_ZSTD)
        return error_set(error, GB_corrupt_backup, "codec %d is not known", (int)kind);
    size_t result = ZSTD_decompressDCtx(c->decompressor, plain, plain_size, stored, stored_size);
    if (ZSTD_isError(result))
        return error_set(error, GB_corrupt_backup, "zstd: %s", ZSTD_getErrorName(result));
    if (result != plain_size)
        return error_set(error, GB_corrupt_backup, "%zu bytes where %zu were expected", result,
                         plain_size);
    return true;
}
