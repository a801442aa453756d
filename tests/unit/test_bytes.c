/* bytes.h: a cursor never leaves its buffer, and says so. */
#include "common/bytes.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdlib.h>

static void integers_are_big_endian(void **state)
{
    (void)state;
    uint8_t buffer[15 + 8];
    struct bytes_writer w = bytes_writer(buffer, sizeof buffer);
    bytes_put_u8(&w, 0x01);
    bytes_put_u16(&w, 0x0203);
    bytes_put_u32(&w, 0x04050607);
    bytes_put_u64(&w, 0x08090a0b0c0d0e0fu);
    bytes_put_be(&w, 0x1112131415161718u, 8);
    assert_false(w.failed);
    for (unsigned i = 0; i < 15; i++)
        assert_int_equal(buffer[i], i + 1);
    struct bytes_reader r = bytes_reader(buffer, sizeof buffer);
    assert_int_equal(bytes_get_u8(&r), 0x01);
    assert_int_equal(bytes_get_u16(&r), 0x0203);
    assert_int_equal(bytes_get_u32(&r), 0x04050607);
    assert_true(bytes_get_u64(&r) == 0x08090a0b0c0d0e0fu);
    assert_true(bytes_get_u64_le(&r) == 0x1817161514131211u);
    assert_int_equal(bytes_left(&r), 0);
    assert_false(r.failed);
}

static void reading_past_the_end_fails_for_good(void **state)
{
    (void)state;
    static const uint8_t data[] = {1, 2, 3};
    struct bytes_reader r = bytes_reader(data, sizeof data);
    assert_int_equal(bytes_get_u32(&r), 0);
    assert_true(r.failed);
    assert_int_equal(bytes_left(&r), 0);
    assert_int_equal(bytes_get_u8(&r), 0); /* though one byte would be there */
    assert_null(bytes_take(&r, 0));
    struct bytes_reader again = bytes_reader(data, sizeof data);
    assert_non_null(bytes_take(&again, 3));
    assert_non_null(bytes_take(&again, 0));
    assert_null(bytes_take(&again, SIZE_MAX));
    assert_true(again.failed);
}

static void seeking(void **state)
{
    (void)state;
    static const uint8_t data[] = {1, 2, 3};
    struct bytes_reader r = bytes_reader(data, sizeof data);
    bytes_seek(&r, 2);
    assert_int_equal(bytes_get_u8(&r), 3);
    bytes_seek(&r, 3);
    assert_false(r.failed);
    bytes_seek(&r, 4);
    assert_true(r.failed);
    uint8_t out[3] = {7, 7, 7};
    struct bytes_writer w = bytes_writer(out, sizeof out);
    bytes_writer_seek(&w, 1);
    bytes_put_u8(&w, 9);
    assert_int_equal(out[0], 7);
    assert_int_equal(out[1], 9);
    bytes_writer_seek(&w, 4);
    assert_true(w.failed);
}

static void fields_at_an_offset(void **state)
{
    (void)state;
    static const uint8_t data[] = {1, 2, 3, 4, 5, 6, 7, 8, 9};
    assert_int_equal(bytes_u16_at(data, sizeof data, 1), 0x0203);
    assert_int_equal(bytes_u32_at(data, sizeof data, 5), 0x06070809);
    assert_true(bytes_u64_at(data, sizeof data, 1) == 0x0203040506070809u);
    assert_int_equal(bytes_u32_at(data, sizeof data, 6), 0);
    assert_int_equal(bytes_u16_at(data, sizeof data, SIZE_MAX), 0);
    assert_int_equal(bytes_be_at(data, sizeof data, 2, 3), 0x030405);
}

static void writing_past_the_end_writes_nothing(void **state)
{
    (void)state;
    uint8_t buffer[4] = {9, 9, 9, 9};
    struct bytes_writer w = bytes_writer(buffer, 3);
    bytes_put_u32(&w, 0x01020304);
    assert_true(w.failed);
    assert_int_equal(w.at, 0);
    bytes_put_u8(&w, 1);
    for (int i = 0; i < 4; i++)
        assert_int_equal(buffer[i], 9);
    assert_null(bytes_reserve(&w, 0));
}

static void strings(void **state)
{
    (void)state;
    uint8_t buffer[64];
    char text[8];
    struct bytes_writer w = bytes_writer(buffer, sizeof buffer);
    bytes_put_string(&w, "sieben7");
    bytes_put_string(&w, "");
    bytes_put_string(&w, "achtacht");
    assert_false(w.failed);
    struct bytes_reader r = bytes_reader(buffer, w.at);
    bytes_get_string(&r, text, sizeof text);
    assert_string_equal(text, "sieben7");
    bytes_get_string(&r, text, sizeof text);
    assert_string_equal(text, "");
    assert_false(r.failed);
    bytes_get_string(&r, text, sizeof text); /* no room for the NUL */
    assert_true(r.failed);
    assert_string_equal(text, "");
}

static void bad_strings(void **state)
{
    (void)state;
    static const uint8_t with_nul[] = {0, 3, 'a', 0, 'b'}, cut[] = {0, 3, 'a', 'b'};
    char text[8] = "x";
    struct bytes_reader r = bytes_reader(with_nul, sizeof with_nul);
    bytes_get_string(&r, text, sizeof text);
    assert_true(r.failed);
    assert_string_equal(text, "");
    r = bytes_reader(cut, sizeof cut);
    bytes_get_string(&r, text, sizeof text);
    assert_true(r.failed);
    char *longest = malloc(UINT16_MAX + 2u);
    uint8_t *room = malloc(UINT16_MAX + 16u);
    assert_non_null(longest);
    assert_non_null(room);
    memset(longest, 'a', UINT16_MAX + 1u);
    longest[UINT16_MAX + 1u] = '\0';
    struct bytes_writer w = bytes_writer(room, UINT16_MAX + 16u);
    bytes_put_string(&w, longest);
    assert_true(w.failed);
    w = bytes_writer(room, UINT16_MAX + 16u);
    bytes_put_string(&w, longest + 1);
    assert_false(w.failed);
    free(longest);
    free(room);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(integers_are_big_endian),
        cmocka_unit_test(reading_past_the_end_fails_for_good),
        cmocka_unit_test(seeking),
        cmocka_unit_test(fields_at_an_offset),
        cmocka_unit_test(writing_past_the_end_writes_nothing),
        cmocka_unit_test(strings),
        cmocka_unit_test(bad_strings),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
