/* segment.h: frames as docs/format.md describes them; any byte that is changed, missing or of
 * elsewhere is named. */
#include "agent/repository/segment.h"
#include "temporary_storage.h"

#include <openssl/evp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#define PREFIX "c/backups/20260102T030405Z-full-01234567"

static void fill(uint8_t *data, size_t size, bool text)
{
    uint32_t x = 1;
    for (size_t i = 0; i < size; i++) {
        x = x * 1664525u + 1013904223u;
        data[i] = text ? (uint8_t)("some row "[i % 9]) : (uint8_t)(x >> 24);
    }
}

/* Of backups that are not encrypted. */
static struct frame_reader *reader(void)
{
    static struct frame_reader *one;
    if (!one)
        one = frame_reader_new(NULL);
    return one;
}

static void build(struct codec *codec, uint8_t *plain, size_t size, struct frame_buffer *buffer)
{
    struct gb_error error = {0};
    struct iovec piece = {plain, size};
    if (!frame_build(codec, &piece, 1, buffer, &error))
        fail_msg("%s", error.what);
}

static struct segment_writer *create(uint32_t number)
{
    struct gb_error error = {0};
    struct segment_writer *s = segment_create(storage, PREFIX, number, NULL, &error);
    if (!s)
        fail_msg("%s", error.what);
    return s;
}

static void append(struct segment_writer *s, struct frame_buffer *buffer)
{
    struct gb_error error = {0};
    if (!segment_append(s, buffer, &error))
        fail_msg("%s", error.what);
}

static void bytes_of_a_frame(void **state)
{
    (void)state;
    static const uint8_t expected[24] = {'G', 'B', 'F', '1', 0, 0, 0, 3, 0, 0, 0, 1,
                                         0,   0,   0,   5,   0, 0, 0, 5, 0, 0, 0, 0};
    uint8_t plain[] = "plain";
    struct codec *codec = codec_new((struct codec_spec){CODEC_NONE, 0});
    struct frame_buffer buffer = {0};
    struct segment_writer *s = create(3);
    build(codec, plain, 5, &buffer);
    append(s, &buffer);
    build(codec, plain, 5, &buffer);
    append(s, &buffer);
    assert_int_equal(buffer.frame.segment, 3);
    assert_int_equal(buffer.frame.number, 1);
    assert_int_equal(buffer.frame.offset, FRAME_HEADER_SIZE + 5);
    assert_int_equal(segment_size(s), 2 * (FRAME_HEADER_SIZE + 5));
    XXH128_canonical_t hash;
    XXH128_canonicalFromHash(&hash, XXH3_128bits(plain, 5));
    assert_memory_equal(buffer.data, expected, sizeof expected);
    assert_memory_equal(buffer.data + 24, hash.digest, FRAME_HASH_SIZE);
    assert_memory_equal(buffer.data + FRAME_HEADER_SIZE, plain, 5);
    segment_abort(s);
    frame_buffer_free(&buffer);
    codec_free(codec);
}

/* Frames of several sizes through a segment, read back one by one and out of order. */
static void frames_come_back(void **state)
{
    (void)state;
    static const size_t sizes[] = {FRAME_PLAIN_MAX, 1, 0, 16384, 100000};
    enum { FRAMES = sizeof sizes / sizeof sizes[0] };
    struct gb_error error = {0};
    struct frame frame[FRAMES];
    uint8_t *plain = malloc(FRAME_PLAIN_MAX), *out = malloc(FRAME_PLAIN_MAX), sha256[32];
    assert_true(plain && out);
    struct codec *codec = codec_new((struct codec_spec){CODEC_ZSTD, 1});
    struct frame_buffer buffer = {0};
    struct segment_writer *s = create(1);
    for (int i = 0; i < FRAMES; i++) {
        fill(plain, sizes[i], i % 2);
        build(codec, plain, sizes[i], &buffer);
        append(s, &buffer);
        frame[i] = buffer.frame;
        assert_int_equal(frame[i].number, i);
        assert_int_equal(frame[i].plain_size, sizes[i]);
    }
    uint64_t expected = segment_size(s), size;
    struct object_info info;
    assert_true(segment_close(s, &info, &error));
    assert_string_equal(info.name, "data/000001.seg");
    assert_int_equal(info.size, expected);
    assert_true(storage_size(storage, PREFIX "/data/000001.seg", &size, &error));
    assert_int_equal(size, expected);
    size_t whole;
    char *data = storage_read_all(storage, PREFIX "/data/000001.seg", expected, &whole, &error);
    assert_non_null(data);
    assert_true(EVP_Digest(data, whole, sha256, NULL, EVP_sha256(), NULL));
    assert_memory_equal(info.sha256, sha256, sizeof sha256);
    for (int i = FRAMES - 1; i >= 0; i--) {
        fill(plain, sizes[i], i % 2);
        if (!frame_open(reader(), &frame[i], (const uint8_t *)data + frame[i].offset, out, &error))
            fail_msg("%s", error.what);
        assert_memory_equal(out, plain, sizes[i]);
    }
    free(data);
    free(plain);
    free(out);
    frame_buffer_free(&buffer);
    codec_free(codec);
}

/* Refused by the name that an operator needs, or the same text as before (a bit without a meaning).
 */
static bool found(struct codec *codec, const struct frame *f, const uint8_t *stored,
                  const uint8_t *plain)
{
    struct gb_error error = {0};
    uint8_t *out = malloc(f->plain_size), *in = malloc(FRAME_HEADER_SIZE + f->stored_size);
    assert_true(out && in);
    memcpy(in, stored, FRAME_HEADER_SIZE + f->stored_size);
    bool ok = frame_open(reader(), f, in, out, &error);
    if (ok)
        assert_memory_equal(out, plain, f->plain_size);
    else
        assert_true(error.code == GB_corrupt_backup && strstr(error.what, "data/000007.seg") &&
                    strstr(error.what, "frame 1 at offset 540"));
    free(out);
    free(in);
    return !ok;
}

static void every_changed_byte_is_found(void **state)
{
    (void)state;
    static const enum codec_kind kinds[] = {CODEC_NONE, CODEC_ZSTD, CODEC_LZ4};
    for (size_t k = 0; k < 2; k++) {
        uint8_t plain[500];
        struct codec *codec = codec_new((struct codec_spec){kinds[k], 1});
        struct codec *none = codec_new((struct codec_spec){CODEC_NONE, 0});
        struct frame_buffer first = {0}, buffer = {0};
        struct segment_writer *s = create(7);
        fill(plain, sizeof plain, true);
        build(none, plain, sizeof plain, &first);
        append(s, &first);
        build(codec, plain, sizeof plain, &buffer);
        append(s, &buffer);
        assert_int_equal(buffer.frame.codec, kinds[k]);
        assert_false(found(codec, &buffer.frame, buffer.data, plain));
        size_t missed = 0, size = FRAME_HEADER_SIZE + buffer.frame.stored_size;
        for (size_t at = 0; at < size; at++)
            for (unsigned bit = 0; bit < 8; bit++) {
                buffer.data[at] ^= (uint8_t)(1u << bit);
                bool ok = found(codec, &buffer.frame, buffer.data, plain);
                if (!ok && (at < FRAME_HEADER_SIZE || kinds[k] == CODEC_NONE))
                    fail_msg("bit %u of byte %zu may change", bit, at);
                missed += !ok;
                buffer.data[at] ^= (uint8_t)(1u << bit);
            }
        assert_true(missed < 8); /* of zstd's frame header */
        segment_abort(s);
        frame_buffer_free(&first);
        frame_buffer_free(&buffer);
        codec_free(codec);
        codec_free(none);
    }
}

/* What the index says must be what stands there: field by field. */
static void a_frame_of_elsewhere_is_refused(void **state)
{
    (void)state;
    uint8_t plain[500], out[501];
    struct codec *codec = codec_new((struct codec_spec){CODEC_NONE, 0});
    struct frame_buffer buffer = {0};
    struct segment_writer *s = create(7);
    fill(plain, sizeof plain, true);
    build(codec, plain, sizeof plain, &buffer);
    append(s, &buffer);
    struct frame good = buffer.frame, bad[6];
    for (size_t i = 0; i < 6; i++)
        bad[i] = good;
    bad[0].segment++;
    bad[1].number++;
    bad[2].stored_size--;
    bad[3].plain_size++;
    bad[4].codec = CODEC_ZSTD;
    bad[5].hash[15] ^= 1;
    for (size_t i = 0; i < 6; i++) {
        struct gb_error error = {0};
        assert_false(frame_open(reader(), &bad[i], buffer.data, out, &error));
        assert_int_equal(error.code, GB_corrupt_backup);
    }
    struct gb_error error = {0};
    assert_true(frame_open(reader(), &good, buffer.data, out, &error));
    segment_abort(s);
    frame_buffer_free(&buffer);
    codec_free(codec);
}

static void a_frame_is_never_longer_than_a_slot(void **state)
{
    (void)state;
    struct gb_error error = {0};
    struct codec *codec = codec_new((struct codec_spec){CODEC_NONE, 0});
    struct frame_buffer buffer = {0};
    uint8_t *plain = calloc(1, FRAME_PLAIN_MAX + 1);
    assert_non_null(plain);
    struct iovec pieces[] = {{plain, FRAME_PLAIN_MAX}, {plain + FRAME_PLAIN_MAX, 1}};
    assert_false(frame_build(codec, pieces, 2, &buffer, &error));
    assert_int_equal(error.code, GB_internal);
    frame_buffer_free(&buffer);
    codec_free(codec);
    free(plain);
}

static void an_aborted_segment_leaves_nothing(void **state)
{
    (void)state;
    struct gb_error error = {0};
    uint64_t size;
    uint8_t plain[] = "plain";
    struct codec *codec = codec_new((struct codec_spec){CODEC_NONE, 0});
    struct frame_buffer buffer = {0};
    struct segment_writer *s = create(2);
    build(codec, plain, 5, &buffer);
    append(s, &buffer);
    assert_false(storage_size(storage, PREFIX "/data/000002.seg", &size, &error)); /* not yet */
    assert_int_equal(error.code, GB_not_found);
    segment_abort(s);
    segment_abort(NULL);
    char path[256];
    snprintf(path, sizeof path, "%s/" PREFIX "/data", root);
    assert_false(rmdir(path)); /* empty */
    frame_buffer_free(&buffer);
    codec_free(codec);
}

static void a_number_is_used_once(void **state)
{
    (void)state;
    struct gb_error error = {0};
    struct object_info info;
    assert_true(segment_close(create(1), &info, &error));
    struct segment_writer *again = segment_create(storage, PREFIX, 1, NULL, &error);
    assert_false(again && segment_close(again, &info, &error));
    assert_int_equal(error.code, GB_store_failed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
        TEST(bytes_of_a_frame),
        TEST(frames_come_back),
        TEST(every_changed_byte_is_found),
        TEST(a_frame_of_elsewhere_is_refused),
        TEST(a_frame_is_never_longer_than_a_slot),
        TEST(an_aborted_segment_leaves_nothing),
        TEST(a_number_is_used_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
