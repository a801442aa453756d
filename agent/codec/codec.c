/* Frames compressed and back; see codec.h. */
#include "agent/codec/codec.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

#define ZSTD_LEVEL_MIN (-7)
#define ZSTD_LEVEL_MAX 19
#define ZSTD_RATIO_MAX 43691u /* a block of 128 KiB takes 3 bytes at least */

struct codec {
    struct codec_spec spec;
    ZSTD_CCtx *compressor;
    ZSTD_DCtx *decompressor;
};

bool codec_parse(const char *text, struct codec_spec *spec, struct gb_error *error)
{
    char *end;
    *spec = (struct codec_spec){CODEC_ZSTD, 1};
    if (!strcmp(text, "none")) {
        spec->kind = CODEC_NONE;
        return true;
    }
    if (!strcmp(text, "zstd"))
        return true;
    if (!strncmp(text, "zstd:", 5) && text[5]) {
        long level = strtol(text + 5, &end, 10);
        if (!*end && level >= ZSTD_LEVEL_MIN && level <= ZSTD_LEVEL_MAX) {
            spec->level = (int)level;
            return true;
        }
    }
    return error_set(error, GB_bad_value, "compression \"%s\" is not none, zstd or zstd:%d to zstd:%d", text, ZSTD_LEVEL_MIN,
                     ZSTD_LEVEL_MAX);
}

struct codec *codec_new(struct codec_spec spec)
{
    struct codec *c = calloc(1, sizeof *c);
    if (!c)
        return NULL;
    c->spec = spec;
    c->compressor = ZSTD_createCCtx();
    c->decompressor = ZSTD_createDCtx();
    if (c->compressor && c->decompressor) {
        ZSTD_CCtx_setParameter(c->compressor, ZSTD_c_compressionLevel, spec.level);
        return c;
    }
    codec_free(c);
    return NULL;
}

void codec_free(struct codec *c)
{
    if (!c)
        return;
    ZSTD_freeCCtx(c->compressor);
    ZSTD_freeDCtx(c->decompressor);
    free(c);
}

size_t codec_bound(size_t plain_size)
{
    size_t bound = ZSTD_compressBound(plain_size);
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
static size_t compress_zstd(struct codec *c, const struct iovec *pieces, int count, size_t plain, uint8_t *out,
                            size_t out_size, const char **problem)
{
    size_t result;
    if (count == 1) {
        result = ZSTD_compress2(c->compressor, out, out_size, pieces[0].iov_base, pieces[0].iov_len);
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

bool codec_compress(struct codec *c, const struct iovec *pieces, int count, uint8_t *out, size_t out_size,
                    size_t *stored_size, enum codec_kind *kind, struct gb_error *error)
{
    size_t plain = total(pieces, count);
    const char *problem = NULL;
    if (c->spec.kind == CODEC_ZSTD && plain) {
        *stored_size = compress_zstd(c, pieces, count, plain, out, out_size, &problem);
        *kind = CODEC_ZSTD;
        if (*stored_size)
            return true;
        if (problem)
            return error_set(error, GB_internal, "zstd: %s", problem);
    }
    if (plain > out_size)
        return error_set(error, GB_internal, "a frame of %zu bytes does not fit into %zu", plain, out_size);
    for (int i = 0; i < count; i++) {
        memcpy(out, pieces[i].iov_base, pieces[i].iov_len);
        out += pieces[i].iov_len;
    }
    *stored_size = plain;
    *kind = CODEC_NONE;
    return true;
}

bool codec_plausible(enum codec_kind kind, const uint8_t *stored, size_t stored_size, size_t plain_size)
{
    if (kind == CODEC_NONE)
        return stored_size == plain_size;
    unsigned long long size = ZSTD_getFrameContentSize(stored, stored_size);
    return kind == CODEC_ZSTD && plain_size / ZSTD_RATIO_MAX <= stored_size && (size == ZSTD_CONTENTSIZE_UNKNOWN || size == plain_size);
}

bool codec_decompress(struct codec *c, enum codec_kind kind, const uint8_t *stored, size_t stored_size, uint8_t *plain,
                      size_t plain_size, struct gb_error *error)
{
    if (kind == CODEC_NONE) {
        if (stored_size != plain_size)
            return error_set(error, GB_corrupt_backup, "%zu bytes where %zu were expected", stored_size, plain_size);
        memcpy(plain, stored, plain_size);
        return true;
    }
    if (kind != CODEC_ZSTD)
        return error_set(error, GB_corrupt_backup, "codec %d is not known", (int)kind);
    size_t result = ZSTD_decompressDCtx(c->decompressor, plain, plain_size, stored, stored_size);
    if (ZSTD_isError(result))
        return error_set(error, GB_corrupt_backup, "zstd: %s", ZSTD_getErrorName(result));
    if (result != plain_size)
        return error_set(error, GB_corrupt_backup, "%zu bytes where %zu were expected", result, plain_size);
    return true;
}
