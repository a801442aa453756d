/* tail.h: what stands in the block where the log ends is not believed, however well its checksums
 * fit. */
#include "plugin/tail.c"
#include "common/page.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#define FIRST_LSN 0x100000u
#define PAYLOAD   20u /* bytes of a record */
#define MTR       (PAYLOAD + 1 + 4)

static const struct redo_log redo = {.format = REDO_FORMAT_10_8,
                                     .first_lsn = FIRST_LSN,
                                     .file_size = REDO_START_OFFSET + (1u << 20),
                                     .capacity = 1u << 20};
static uint8_t bytes[3 * TAIL_BLOCK];
static unsigned visited;

static void page(void *context, uint32_t space_id, uint32_t page_no, uint64_t lsn)
{
    (void)context, (void)space_id, (void)page_no, (void)lsn;
    visited++;
}

static const struct redo_visitor visitor = {.page = page};

/* A mini-transaction of one record that changes page `number` of tablespace 5, at offset `at`; its
 * length. */
static size_t put(size_t at, uint8_t number)
{
    uint8_t *m = bytes + at;
    memset(m, number, MTR);
    m[0] = 0x30; /* WRITE, the length follows */
    m[1] = PAYLOAD - 16;
    m[2] = 5;
    m[3] = number;
    m[PAYLOAD] = redo_sequence_bit(&redo, FIRST_LSN + at + PAYLOAD);
    uint32_t crc = page_crc32c(0, m, PAYLOAD);
    for (unsigned i = 0; i < 4; i++)
        m[PAYLOAD + 1 + i] = (uint8_t)(crc >> (24 - 8 * i));
    return MTR;
}

static size_t fill(size_t at, size_t upto)
{
    for (uint8_t number = 1; at + MTR <= upto; number = number % 100 + 1)
        at += put(at, number);
    return at;
}

static int set_up(void **state)
{
    (void)state;
    memset(bytes, 0, sizeof bytes);
    visited = 0;
    return 0;
}

static struct tail_read take(struct tail *tail, size_t from, uint64_t end)
{
    return tail_take(tail, &redo, FIRST_LSN + from, bytes + from, sizeof bytes - from, end,
                     &visitor);
}

static void nothing_is_taken_from_the_block_in_which_the_log_ends(void **state)
{
    (void)state;
    struct tail tail = {0};
    size_t written = fill(0, 1000);
    struct tail_read r = take(&tail, 0, UINT64_MAX);
    assert_int_equal(r.taken, 0);
    assert_int_equal(r.seen, written);
    assert_int_equal(r.after, REDO_END);
    assert_int_equal(take(&tail, 0, UINT64_MAX).taken, 0); /* however often it is read */
    assert_int_equal(visited, 0);
}

static void what_the_server_says_is_written_is_taken(void **state)
{
    (void)state;
    size_t written = fill(0, 1000);
    put(written,
        77); /* what the buffer held before: complete, with its checksum, and not of this place */
    struct tail tail = {.final = FIRST_LSN + written};
    struct tail_read r = take(&tail, 0, UINT64_MAX);
    assert_int_equal(r.taken, written);
    assert_int_equal(r.seen, written + MTR);
    assert_int_equal(visited, written / MTR);
    /* The server writes on, over it. */
    size_t more = put(written, 78) + put(written + MTR, 79);
    tail.final += more;
    r = take(&tail, written, UINT64_MAX);
    assert_int_equal(r.taken, more);
    assert_int_equal(r.after, REDO_END);
    assert_int_equal(visited, (written + more) / MTR);
}

static void a_block_is_taken_once_an_earlier_read_found_more_behind_it(void **state)
{
    (void)state;
    struct tail tail = {0};
    size_t written = fill(0, 2 * TAIL_BLOCK + 500), whole = 0;
    assert_int_equal(take(&tail, 0, UINT64_MAX).taken, 0);
    struct tail_read r = take(&tail, 0, UINT64_MAX);
    while (whole < 2 * TAIL_BLOCK)
        whole += MTR;
    assert_int_equal(r.taken, whole); /* the one that reaches into the last block is the last */
    assert_int_equal(r.seen, written);
}

static void a_log_that_ends_with_its_block_is_no_reason_to_take_the_block(void **state)
{
    (void)state;
    struct tail tail = {0};
    size_t at = TAIL_BLOCK % MTR;
    /* Begins inside the block, so that its last mini-transaction ends with it. */
    size_t written = fill(at, TAIL_BLOCK);
    assert_int_equal(written, TAIL_BLOCK);
    assert_int_equal(take(&tail, at, UINT64_MAX).seen, TAIL_BLOCK - at);
    assert_int_equal(take(&tail, at, UINT64_MAX).taken, 0);
}

static void nothing_is_taken_beyond_the_end(void **state)
{
    (void)state;
    size_t written = fill(0, 1000);
    struct tail tail = {.final = FIRST_LSN + written};
    struct tail_read r = take(&tail, 0, FIRST_LSN + 10 * MTR);
    assert_int_equal(r.taken, 10 * MTR);
    assert_int_equal(bytes[PAYLOAD], 1);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup(f, set_up)
    const struct CMUnitTest tests[] = {
        TEST(nothing_is_taken_from_the_block_in_which_the_log_ends),
        TEST(what_the_server_says_is_written_is_taken),
        TEST(a_block_is_taken_once_an_earlier_read_found_more_behind_it),
        TEST(a_log_that_ends_with_its_block_is_no_reason_to_take_the_block),
        TEST(nothing_is_taken_beyond_the_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
