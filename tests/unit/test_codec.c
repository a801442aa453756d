/* codec.h: what is compressed comes back; what is damaged, cut or of another size is refused. */
#include "agent/codec/codec.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PLAIN_MAX 100000u

static uint8_t plain[PLAIN_MAX];

/* text: as compressible as tables are; else as compressible as encrypted ones. */
static void fill(bool text)
{
    uint32_t x = 1;
    for (size_t i = 0; i < PLAIN_MAX; i++) {
        x = x * 1664525u + 1013904223u;
        plain[i] =
            (uint8_t)(text ? (uint8_t) "customer;2026-01-02;"[i % 20] + i / 1000 % 7 : x >> 24);
    }
}

struct stored {
    uint8_t *data; /* of exactly size bytes */
    size_t size;
    enum codec_kind kind;
};

static struct stored compress(struct codec *codec, const struct iovec *pieces, int count)
{
    struct gb_error error = {0};
    struct stored s;
    size_t size = 0;
    for (int i = 0; i < count; i++)
        size += pieces[i].iov_len;
    uint8_t *room = malloc(codec_bound(size) + 1);
    assert_non_null(room);
    if (!codec_compress(codec, pieces, count, room, codec_bound(size), &s.size, &s.kind, &error))
        fail_msg("%s", error.what);
    s.data = malloc(s.size + 1);
    assert_non_null(s.data);
    memcpy(s.data, room, s.size);
    free(room);
    return s;
}

static void comes_back(struct codec *codec, struct stored s, size_t size)
{
    struct gb_error error = {0};
    uint8_t *out = malloc(size + 1);
    assert_non_null(out);
    out[size] = 0xa5;
    if (!codec_decompress(codec, s.kind, s.data, s.size, out, size, &error))
        fail_msg("%s", error.what);
    assert_memory_equal(out, plain, size);
    assert_int_equal(out[size], 0xa5);
    free(out);
}

static void what_is_compressed_comes_back(void **state)
{
    (void)state;
    static const struct codec_spec specs[] = {{CODEC_NONE, 0},  {CODEC_ZSTD, 1}, {CODEC_ZSTD, 19},
                                              {CODEC_ZSTD, -7}, {CODEC_LZ4, 0},  {CODEC_LZ4, 3},
                                              {CODEC_LZ4, 12}};
    static const size_t sizes[] = {0, 1, 2, 100, 4096, PLAIN_MAX};
    for (size_t i = 0; i < sizeof specs / sizeof specs[0]; i++)
        for (int text = 0; text < 2; text++) {
            struct codec *codec = codec_new(specs[i]);
            assert_non_null(codec);
            fill(text);
            for (size_t j = 0; j < sizeof sizes / sizeof sizes[0]; j++) {
                struct iovec whole = {plain, sizes[j]};
                struct stored s = compress(codec, &whole, 1);
                assert_true(s.size <= sizes[j]);
                if (specs[i].kind == CODEC_NONE || !text)
                    assert_int_equal(s.kind, CODEC_NONE);
                if (s.kind == CODEC_NONE)
                    assert_int_equal(s.size, sizes[j]);
                else
                    assert_true(s.size < sizes[j]);
                if (specs[i].kind != CODEC_NONE && text && sizes[j] >= 4096)
                    assert_true(s.kind == specs[i].kind && s.size < sizes[j] / 4);
                assert_true(codec_plausible(s.kind, s.data, s.size, sizes[j]));
                comes_back(codec, s, sizes[j]);
                free(s.data);
            }
            codec_free(codec);
        }
}

/* Extents of a slot are pieces: where they are cut is not seen in the plain text. */
static void pieces_are_concatenated(void **state)
{
    (void)state;
    fill(true);
    for (enum codec_kind kind = CODEC_NONE; kind <= CODEC_LZ4; kind++) {
        struct codec *codec = codec_new((struct codec_spec){kind, kind == CODEC_ZSTD});
        struct iovec pieces[] = {
            {plain, 1}, {plain + 1, 0}, {plain + 1, 70000}, {plain + 70001, 999}};
        for (int repeat = 0; repeat < 2; repeat++) { /* a context can be used again */
            struct stored s = compress(codec, pieces, 4);
            assert_int_equal(s.kind, kind);
            comes_back(codec, s, 71000);
            free(s.data);
        }
        codec_free(codec);
    }
}

static bool refused(struct codec *codec, enum codec_kind kind, const uint8_t *data, size_t size,
                    size_t expected)
{
    struct gb_error error = {0};
    uint8_t *in = malloc(size + !size), *out = malloc(expected + !expected);
    assert_true(in && out);
    memcpy(in, data, size);
    bool ok = codec_decompress(codec, kind, in, size, out, expected, &error);
    if (ok)
        ok = !memcmp(out, plain, expected); /* a bit that means nothing may be flipped */
    else
        assert_int_equal(error.code, GB_corrupt_backup);
    free(in);
    free(out);
    return !ok;
}

static void another_size_is_refused(void **state)
{
    (void)state;
    fill(true);
    for (enum codec_kind kind = CODEC_NONE; kind <= CODEC_LZ4; kind++) {
        struct codec *codec = codec_new((struct codec_spec){kind, kind == CODEC_ZSTD});
        struct iovec whole = {plain, 5000};
        struct stored s = compress(codec, &whole, 1);
        for (size_t n = 0; n < s.size; n++)
            if (!refused(codec, s.kind, s.data, n, 5000))
                fail_msg("%zu of %zu bytes are accepted", n, s.size);
        assert_true(refused(codec, s.kind, s.data, s.size, 4999));
        assert_true(refused(codec, s.kind, s.data, s.size, 5001));
        assert_true(refused(codec, s.kind, s.data, s.size, 0));
        s.data[s.size] = 0;
        assert_true(refused(codec, s.kind, s.data, s.size + 1, 5000));
        comes_back(codec, s, 5000); /* the context has survived all that */
        free(s.data);
        codec_free(codec);
    }
}

static void damage_of(enum codec_kind kind)
{
    fill(true);
    struct codec *codec = codec_new((struct codec_spec){kind, kind == CODEC_ZSTD});
    struct iovec whole = {plain, 3000};
    struct stored s = compress(codec, &whole, 1);
    size_t found = 0;
    for (size_t at = 0; at < s.size; at++)
        for (unsigned bit = 0; bit < 8; bit++) {
            s.data[at] ^= (uint8_t)(1u << bit);
            struct gb_error error = {0};
            uint8_t *out = malloc(3000);
            assert_non_null(out);
            if (!codec_decompress(codec, s.kind, s.data, s.size, out, 3000, &error)) {
                assert_int_equal(error.code, GB_corrupt_backup);
                found++;
            }
            free(out);
            s.data[at] ^= (uint8_t)(1u << bit);
        }
    assert_true(found > 0);
    free(s.data);
    codec_free(codec);
}

static void damage_stays_within_bounds(void **state)
{
    (void)state;
    damage_of(CODEC_ZSTD);
    damage_of(CODEC_LZ4);
}

/* One context reads what any other has written, and a level that changes in between is nobody's
 * concern. */
static void any_codec_reads_any(void **state)
{
    (void)state;
    static const struct codec_spec specs[] = {
        {CODEC_NONE, 0}, {CODEC_ZSTD, 1}, {CODEC_LZ4, 0}, {CODEC_LZ4, 9}};
    fill(true);
    for (size_t i = 0; i < 4; i++)
        for (size_t j = 0; j < 4; j++) {
            struct codec *writer = codec_new(specs[i]), *reader = codec_new(specs[j]);
            struct iovec whole = {plain, PLAIN_MAX};
            for (int level = 1; level < 4; level++) {
                if (specs[i].kind == CODEC_ZSTD)
                    codec_set_level(writer, level);
                struct stored s = compress(writer, &whole, 1);
                assert_int_equal(s.kind, specs[i].kind);
                comes_back(reader, s, PLAIN_MAX);
                free(s.data);
            }
            codec_free(writer);
            codec_free(reader);
        }
}

/* What claims to become more than its codec can make of it is known before memory is taken. */
static void implausible_sizes_are_seen(void **state)
{
    (void)state;
    static const uint8_t stored[100] = {0};
    assert_true(codec_plausible(CODEC_LZ4, stored, 100, 25599));
    assert_false(codec_plausible(CODEC_LZ4, stored, 100, 25755));
    assert_false(codec_plausible(CODEC_NONE, stored, 100, 101));
    assert_false(codec_plausible((enum codec_kind)3, stored, 100, 100));
}

static void unknown_codecs_are_refused(void **state)
{
    (void)state;
    struct codec *codec = codec_new((struct codec_spec){CODEC_ZSTD, 1});
    fill(true);
    for (int kind = CODEC_LZ4 + 1; kind < 256; kind++)
        assert_true(refused(codec, (enum codec_kind)kind, plain, 100, 100));
    codec_free(codec);
}

static void too_little_room_is_an_error(void **state)
{
    (void)state;
    struct gb_error error = {0};
    uint8_t out[10];
    size_t size;
    enum codec_kind kind;
    struct iovec whole = {plain, 11};
    struct codec *codec = codec_new((struct codec_spec){CODEC_NONE, 0});
    assert_false(codec_compress(codec, &whole, 1, out, sizeof out, &size, &kind, &error));
    assert_int_equal(error.code, GB_internal);
    codec_free(codec);
}

static void names(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum codec_kind kind;
        int level;
    } good[] = {
        {"none", CODEC_NONE, 0},     {"zstd", CODEC_ZSTD, 1},
        {"zstd:1", CODEC_ZSTD, 1},   {"zstd:19", CODEC_ZSTD, 19},
        {"zstd:-7", CODEC_ZSTD, -7}, {"zstd:auto", CODEC_ZSTD, CODEC_LEVEL_ADAPTS},
        {"lz4", CODEC_LZ4, 0},       {"lz4:3", CODEC_LZ4, 3},
        {"lz4:12", CODEC_LZ4, 12},
    };
    static const char *const bad[] = {
        "",        "lz4:2",    "lz4:13",     "lz4:",
        "lz4hc",   "lz4:auto", "zstd:autos", "none:auto",
        "zstd:20", "zstd:-8",  "zstd:",      "zstd:3x",
        "zstd3",   "ZSTD",     "none:1",     "zstd:99999999999999999999",
        "zst",     "zstd:x",   "nones"};
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        struct codec_spec spec;
        struct gb_error error = {0};
        assert_true(codec_parse(good[i].text, &spec, &error));
        assert_int_equal(spec.kind, good[i].kind);
        assert_true(spec.kind == CODEC_NONE || spec.level == good[i].level);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct codec_spec spec;
        struct gb_error error = {0};
        if (codec_parse(bad[i], &spec, &error))
            fail_msg("\"%s\" is accepted", bad[i]);
        assert_int_equal(error.code, GB_bad_value);
        assert_non_null(strstr(error.what, bad[i]));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_compressed_comes_back),
        cmocka_unit_test(pieces_are_concatenated),
        cmocka_unit_test(another_size_is_refused),
        cmocka_unit_test(damage_stays_within_bounds),
        cmocka_unit_test(any_codec_reads_any),
        cmocka_unit_test(implausible_sizes_are_seen),
        cmocka_unit_test(unknown_codecs_are_refused),
        cmocka_unit_test(too_little_room_is_an_error),
        cmocka_unit_test(names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
