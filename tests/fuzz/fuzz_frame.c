/*
  Frames of a segment (segment.h, codec.h).

  Stored bytes of any kind, behind the header that the index demands, are decompressed within their
  bounds; and a frame that was built and of which any byte is changed is never opened.

  Input: u8 codec, u16 plain bytes, u16 where a byte is changed, u8 by what; then stored bytes.
*/
#include "agent/repository/segment.h"
#include "common/bytes.h"
#include "tests/fuzz/fuzz.h"

#include <string.h>

#define MAGIC 0x47424631u

/* Of backups that are not encrypted. */
static struct frame_reader *reader(void)
{
    static struct frame_reader *one;
    if (!one)
        one = frame_reader_new(NULL);
    return one;
}

static struct codec *codec, *lz4, *lz4hc;

static void put_header(const struct frame *f, struct bytes_writer *w)
{
    bytes_put_u32(w, MAGIC);
    bytes_put_u32(w, f->segment);
    bytes_put_u32(w, f->number);
    bytes_put_u32(w, f->stored_size);
    bytes_put_u32(w, f->plain_size);
    bytes_put_u8(w, (uint8_t)f->codec);
    bytes_put_u8(w, 0);
    bytes_put_u16(w, 0);
    bytes_put(w, f->hash, FRAME_HASH_SIZE);
}

/* Nearly always the hash is wrong in the end; all before it is what is looked at. */
static void open_any(struct bytes_reader r, uint8_t kind, uint16_t plain_size)
{
    struct frame f = {.segment = 1,
                      .number = 2,
                      .codec = (enum codec_kind)kind,
                      .plain_size = plain_size,
                      .stored_size = (uint32_t)bytes_left(&r)};
    struct gb_error error = {0};
    uint8_t *stored = malloc(FRAME_HEADER_SIZE + f.stored_size),
            *plain = malloc(plain_size ? plain_size : 1);
    REQUIRE(stored && plain);
    struct bytes_writer w = bytes_writer(stored, FRAME_HEADER_SIZE + f.stored_size);
    put_header(&f, &w);
    bytes_put(&w, bytes_take(&r, f.stored_size), f.stored_size);
    REQUIRE(frame_open(reader(), &f, stored, plain, &error) == !error.code);
    free(stored);
    free(plain);
}

static void open_changed(struct bytes_reader r, struct codec *writer, uint16_t where, uint8_t by)
{
    struct gb_error error = {0};
    struct frame_buffer buffer = {0};
    size_t size = bytes_left(&r);
    uint8_t *text = malloc(size ? size : 1), *plain = malloc(size ? size : 1);
    REQUIRE(text && plain);
    if (size)
        memcpy(text, bytes_take(&r, size), size);
    struct iovec pieces[2] = {{text, size / 3}, {text + size / 3, size - size / 3}};
    REQUIRE(frame_build(writer, pieces, 2, &buffer, &error));
    struct bytes_writer w = bytes_writer(buffer.data, FRAME_HEADER_SIZE);
    put_header(&buffer.frame, &w);
    REQUIRE(frame_open(reader(), &buffer.frame, buffer.data, plain, &error) &&
            !memcmp(plain, text, size));
    size_t stored = FRAME_HEADER_SIZE + buffer.frame.stored_size;
    buffer.data[where % stored] ^= by;
    bool ok = frame_open(reader(), &buffer.frame, buffer.data, plain, &error);
    REQUIRE(!ok || !memcmp(plain, text, size)); /* a bit that says nothing may differ */
    REQUIRE(!ok || where % stored >= FRAME_HEADER_SIZE || !by);
    frame_buffer_free(&buffer);
    free(text);
    free(plain);
}

int fuzz_input(const uint8_t *data, size_t size)
{
    if (!codec)
        codec = codec_new((struct codec_spec){CODEC_ZSTD, 1});
    if (!lz4) {
        lz4 = codec_new((struct codec_spec){CODEC_LZ4, 0});
        lz4hc = codec_new((struct codec_spec){CODEC_LZ4, 9});
    }
    REQUIRE(codec && lz4 && lz4hc);
    struct bytes_reader r = bytes_reader(data, size);
    uint8_t kind = bytes_get_u8(&r);
    uint16_t plain_size = bytes_get_u16(&r), where = bytes_get_u16(&r);
    uint8_t by = bytes_get_u8(&r);
    if (r.failed)
        return 0;
    open_any(r, kind, plain_size);
    open_changed(r, kind == CODEC_LZ4 ? where % 2 ? lz4 : lz4hc : codec, where, by);
    return 0;
}
