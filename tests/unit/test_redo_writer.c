/* redo_writer.h: what it writes is what redo.h reads, and a restore that did not finish can't be
 * started. */
#include "common/redo_writer.h"
#include "common/page.h"
#include "tests/unit/vectors.h"

static void headers_of(const char *name, bool encrypted)
{
    struct vector v;
    struct redo_log source, log;
    struct gb_error error = {0};
    uint8_t out[REDO_START_OFFSET];
    vector_open(&v, name);
    assert_true(redo_parse_header(v.block[0].data, v.file_size, &source, &error));
    uint64_t c = source.checkpoint_lsn, e = source.end_lsn + 16, end = c + 1000;
    memset(out, 0xaa, sizeof out);
    assert_true(redo_writer_header(source.header, c, e, end, "10.11.19", out, &error));
    assert_true(redo_parse_header(out, redo_writer_file_size(end - c), &log, &error));
    assert_int_equal(log.format, source.format);
    assert_int_equal(log.encrypted, encrypted);
    assert_memory_equal(log.header + 48, source.header + 48, 32); /* encryption parameters */
    assert_true(log.first_lsn == c && log.checkpoint_lsn == c && log.end_lsn == e);
    assert_string_equal(log.creator, "Backup 10.11.19");
    assert_true(log.capacity >= end - c + 16); /* no lap ever begins */
    for (size_t at = 80; at < 508; at++)
        assert_int_equal(out[at], 0);
    for (size_t at = 512; at < sizeof out; at++)
        if (at - REDO_CHECKPOINT_1 >= 64)
            assert_int_equal(out[at], 0);
    vector_close(&v);
}

static void written_headers_are_read_back(void **state)
{
    (void)state;
    headers_of("redo.vec", false);
    headers_of("redo_encrypted.vec", true);
}

/* The records of a real server behind a written header: as a restore lays them out. */
static void a_restored_log_is_followed_to_its_end(void **state)
{
    (void)state;
    struct vector v;
    struct redo_log source, log;
    struct gb_error error = {0};
    uint8_t out[REDO_START_OFFSET];
    vector_open(&v, "redo.vec");
    assert_true(redo_parse_header(v.block[0].data, v.file_size, &source, &error));
    uint8_t *data = v.block[1].data;
    size_t at = 0, size, end_byte, end = 0;
    while (redo_parse_mtr(&source, source.checkpoint_lsn + end, data + end, v.block[1].size - end,
                          NULL, &size, &end_byte) == REDO_MTR) {
        data[end + end_byte] = 1;
        end += size;
    }
    assert_true(redo_writer_header(source.header, source.checkpoint_lsn, source.end_lsn,
                                   source.checkpoint_lsn + end, "10.11.19", out, &error));
    assert_true(redo_parse_header(out, redo_writer_file_size(end), &log, &error));
    uint8_t *padded = test_calloc(1, end + 16);
    memcpy(padded, data, end);
    while (redo_parse_mtr(&log, log.first_lsn + at, padded + at, end + 16 - at, NULL, &size,
                          &end_byte) == REDO_MTR)
        at += size;
    assert_int_equal(at, end);
    assert_int_equal(
        redo_parse_mtr(&log, log.first_lsn + at, padded + at, 16, NULL, &size, &end_byte),
        REDO_END);
    test_free(padded);
    vector_close(&v);
}

static void impossible_positions_are_refused(void **state)
{
    (void)state;
    static const uint64_t bad[][3] = {
        {100, 99, 200},  /* the checkpoint record before the checkpoint */
        {100, 200, 200}, /* the end before the checkpoint record is whole */
        {100, 201, 200},
    };
    uint8_t source[REDO_HEADER_SIZE] = {0}, out[REDO_START_OFFSET];
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct gb_error error = {0};
        assert_false(
            redo_writer_header(source, bad[i][0], bad[i][1], bad[i][2], "10.11.19", out, &error));
        assert_int_equal(error.code, GB_internal);
    }
    struct gb_error error = {0};
    assert_true(redo_writer_header(source, 100, 100, 116, "10.11.19", out, &error));
}

static void a_long_version_is_cut(void **state)
{
    (void)state;
    uint8_t source[REDO_HEADER_SIZE] = {0}, out[REDO_START_OFFSET];
    struct gb_error error = {0};
    assert_true(redo_writer_header(source, 100, 100, 116, "10.11.19-MariaDB-0+deb12u1-with-more",
                                   out, &error));
    assert_memory_equal(out + 16, "Backup 10.11.19-MariaDB-0+deb12u", 32);
    assert_int_equal(out[48], 0);
}

/* Rule 10: never the configured size, which is a multiple of 4096, and zeros behind the end. */
static void file_sizes(void **state)
{
    (void)state;
    for (uint64_t bytes = 0; bytes < 20000; bytes++) {
        uint64_t size = redo_writer_file_size(bytes);
        assert_true(size % 4096 != 0);
        assert_true(size >= REDO_START_OFFSET + bytes + 16 &&
                    size <= REDO_START_OFFSET + bytes + 32);
    }
    assert_true(redo_writer_file_size(5ull << 40) > 5ull << 40);
}

static void an_unfinished_restore_is_refused(void **state)
{
    (void)state;
    uint8_t out[REDO_START_OFFSET];
    struct redo_log log;
    struct gb_error error = {0};
    redo_writer_unfinished(out);
    assert_false(redo_parse_header(out, sizeof out + 4096, &log, &error));
    assert_int_equal(error.code, GB_unsupported_server);
    assert_non_null(strstr(error.what, "unfinished restore"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(written_headers_are_read_back),
        cmocka_unit_test(a_restored_log_is_followed_to_its_end),
        cmocka_unit_test(impossible_positions_are_refused),
        cmocka_unit_test(a_long_version_is_cut),
        cmocka_unit_test(file_sizes),
        cmocka_unit_test(an_unfinished_restore_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
