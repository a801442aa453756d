/*
  Frames compressed and back: zstd, lz4 or none. One context per thread; it decompresses whatever
  its own kind is.
*/
#ifndef GB_AGENT_CODEC_CODEC_H
#define GB_AGENT_CODEC_CODEC_H

#include "common/error.h"

#include <limits.h>
#include <stdint.h>
#include <sys/uio.h>

enum codec_kind { CODEC_NONE = 0, CODEC_ZSTD = 1, CODEC_LZ4 = 2 };

struct codec_spec {
    enum codec_kind kind;
    int level; /* zstd: 1 .. 19, negative levels down to -7, CODEC_LEVEL_ADAPTS; lz4: 0 is lz4, 3 ..
                  12 are levels of lz4hc */
};
/* The level follows the store (adapt.h); a codec begins with ADAPT_LEVEL_MIN. */
#define CODEC_LEVEL_ADAPTS INT_MIN

/* "none", "lz4", "lz4:9", "zstd", "zstd:3", "zstd:auto". Errors: GB_bad_value. */
bool codec_parse(const char *text, struct codec_spec *spec, struct gb_error *error);

struct codec;
struct codec *codec_new(struct codec_spec spec);
void codec_free(struct codec *codec);
/* Of a codec of kind CODEC_ZSTD: for what is compressed from now on. */
void codec_set_level(struct codec *codec, int level);

/* Most bytes that plain_size bytes can become. */
size_t codec_bound(size_t plain_size);
/* Compresses the pieces, concatenated, into out. *stored_size is set; *kind is CODEC_NONE where
   compression would not have made it smaller. Errors: GB_internal. */
bool codec_compress(struct codec *codec, const struct iovec *pieces, int count, uint8_t *out,
                    size_t out_size, size_t *stored_size, enum codec_kind *kind,
                    struct gb_error *error);
/* Whether that can become plain_size bytes, as far as its beginning tells: to be asked before so
 * much memory is taken. */
bool codec_plausible(enum codec_kind kind, const uint8_t *stored, size_t stored_size,
                     size_t plain_size);
/* The other way; the plain text must be exactly plain_size bytes. Errors: GB_corrupt_backup. */
bool codec_decompress(struct codec *codec, enum codec_kind kind, const uint8_t *stored,
                      size_t stored_size, uint8_t *plain, size_t plain_size,
                      struct gb_error *error);

#endif
