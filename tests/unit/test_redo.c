/* redo.h against the logs of servers that were killed, and against mini-transactions made here. */
#include "common/redo.h"
#include "common/page.h"
#include "tests/unit/vectors.h"

#define CAPACITY   100000u
#define FIRST_LSN  0x3000u
#define FILES_MAX  64u
#define RECORD_MAX (2u << 20)

/* ---- what a visitor saw ---- */

struct seen {
    unsigned files, checkpoints, pages, trims, inits;
    struct {
        enum redo_op op;
        uint32_t space_id;
        uint64_t lsn;
        char path[256], new_path[256];
    } file[FILES_MAX];
    uint64_t checkpoint, checkpoint_at;
    uint32_t space_id, page_no, trim_space, trim_pages;
    uint64_t lsn;
};

static void see_file(void *context, enum redo_op op, uint32_t space_id, const char *path,
                     size_t path_size, const char *new_path, size_t new_path_size, uint64_t lsn)
{
    struct seen *s = context;
    if (s->files < FILES_MAX) {
        s->file[s->files].op = op;
        s->file[s->files].space_id = space_id;
        s->file[s->files].lsn = lsn;
        snprintf(s->file[s->files].path, 256, "%.*s", (int)path_size, path);
        snprintf(s->file[s->files].new_path, 256, "%.*s", (int)new_path_size,
                 new_path ? new_path : "");
    }
    s->files++;
}

static void see_checkpoint(void *context, uint64_t checkpoint, uint64_t lsn)
{
    struct seen *s = context;
    s->checkpoints++;
    s->checkpoint = checkpoint;
    s->checkpoint_at = lsn;
}

static void see_page(void *context, uint32_t space_id, uint32_t page_no, uint64_t lsn)
{
    struct seen *s = context;
    s->pages++;
    s->space_id = space_id;
    s->page_no = page_no;
    s->lsn = lsn;
}

static void see_trim(void *context, uint32_t space_id, uint32_t pages, uint64_t lsn)
{
    (void)lsn;
    struct seen *s = context;
    s->trims++;
    s->trim_space = space_id;
    s->trim_pages = pages;
}

static void see_init(void *context, uint32_t space_id, uint32_t page_no, uint64_t lsn)
{
    (void)space_id, (void)page_no, (void)lsn;
    struct seen *s = context;
    s->inits++;
}

static struct redo_visitor visitor(struct seen *s)
{
    memset(s, 0, sizeof *s);
    return (struct redo_visitor){s, see_file, see_checkpoint, see_page, see_trim, see_init};
}

static unsigned total(const struct seen *s)
{
    return s->files + s->checkpoints + s->pages + s->trims;
}

/* ---- logs of real servers ---- */

struct real {
    struct vector v;
    struct redo_log log;
    uint64_t current;    /* LSN that the server called current before it was killed */
    const uint8_t *data; /* from checkpoint on */
    size_t size;
};

static uint64_t fact(const char *text, const char *key)
{
    const char *p = strstr(text, key);
    assert_non_null(p);
    return strtoull(p + strlen(key), NULL, 10);
}

static void open_real(struct real *real, const char *name)
{
    char path[64];
    size_t size;
    struct gb_error error = {0};
    snprintf(path, sizeof path, "%s.vec", name);
    vector_open(&real->v, path);
    snprintf(path, sizeof path, "%s.facts", name);
    uint8_t *facts = vector_read_file(path, &size);
    facts[size] = '\0';
    if (!redo_parse_header(real->v.block[0].data, real->v.file_size, &real->log, &error))
        fail_msg("%s", error.what);
    assert_true(real->log.first_lsn == fact((char *)facts, "first_lsn"));
    assert_true(real->log.checkpoint_lsn == fact((char *)facts, "checkpoint"));
    assert_true(real->log.end_lsn == fact((char *)facts, "end_lsn"));
    real->current = fact((char *)facts, "lsn_current");
    test_free(facts);
    assert_true(real->v.block[1].offset == redo_offset(&real->log, real->log.checkpoint_lsn));
    real->data = real->v.block[1].data;
    real->size = real->v.block[1].size;
}

/* Follows the log from its checkpoint to its end; returns the LSN of the end. */
static uint64_t follow(const struct real *real, const struct redo_visitor *v)
{
    uint64_t lsn = real->log.checkpoint_lsn;
    size_t at = 0, size, end_byte;
    while (redo_parse_mtr(&real->log, lsn, real->data + at, real->size - at, v, &size, &end_byte) ==
           REDO_MTR) {
        assert_true(end_byte < size);
        lsn += size;
        at += size;
    }
    assert_int_equal(
        redo_parse_mtr(&real->log, lsn, real->data + at, real->size - at, v, &size, &end_byte),
        REDO_END);
    return lsn;
}

static void expect_file(const struct seen *s, unsigned *at, enum redo_op op, const char *path,
                        const char *new_path)
{
    for (; *at < s->files; (*at)++)
        if (s->file[*at].op == op && !strcmp(s->file[*at].path, path) &&
            !strcmp(s->file[*at].new_path, new_path)) {
            (*at)++;
            return;
        }
    fail_msg("no record 0x%x of %s %s", (unsigned)op, path, new_path);
}

/* The statements are in make_vectors.sh. */
static void a_real_log_to_its_end(void **state)
{
    (void)state;
    struct real real;
    struct seen s;
    unsigned at = 0;
    open_real(&real, "redo");
    assert_false(real.log.encrypted);
    assert_int_equal(real.log.format, REDO_FORMAT_10_8);
    assert_memory_equal(real.log.creator, "MariaDB 1", 9);
    struct redo_visitor v = visitor(&s);
    assert_true(follow(&real, &v) == real.current);
    assert_true(s.pages > 50);
    assert_int_equal(s.trims, 0);
    assert_int_equal(s.checkpoints, 1);
    assert_true(s.checkpoint == real.log.checkpoint_lsn && s.checkpoint_at == real.log.end_lsn);
    expect_file(&s, &at, REDO_FILE_CREATE, "./r/born.ibd", "");
    expect_file(&s, &at, REDO_FILE_RENAME, "./r/born.ibd", "./r/renamed.ibd");
    uint32_t before = s.file[at - 1].space_id;
    expect_file(&s, &at, REDO_FILE_CREATE, "./r/renamed.ibd", ""); /* TRUNCATE makes a new file */
    assert_true(s.file[at - 1].space_id > before);
    expect_file(&s, &at, REDO_FILE_DELETE, s.file[at].path, "");
    expect_file(&s, &at, REDO_FILE_CREATE, "./r/dropped.ibd", "");
    expect_file(&s, &at, REDO_FILE_DELETE, "./r/dropped.ibd", "");
    for (unsigned i = 1; i < s.files; i++)
        assert_true(s.file[i].lsn >= s.file[i - 1].lsn);
    vector_close(&real.v);
}

static void a_real_encrypted_log_to_its_end(void **state)
{
    (void)state;
    struct real real;
    struct seen s;
    open_real(&real, "redo_encrypted");
    assert_true(real.log.encrypted);
    assert_int_equal(real.log.format, REDO_FORMAT_ENC_11);
    struct redo_visitor v = visitor(&s);
    assert_true(follow(&real, &v) == real.current);
    assert_int_equal(total(&s), 0);
    vector_close(&real.v);
}

/* Whatever is cut off, in a buffer that ends there: no answer but "more" or "none", and nothing
 * visited. */
static void truncated(const char *name)
{
    struct real real;
    struct seen s;
    open_real(&real, name);
    struct redo_visitor v = visitor(&s);
    size_t at = 0, size = 0, end_byte;
    for (unsigned n = 0; n < 40; n++) {
        uint64_t lsn = real.log.checkpoint_lsn + at;
        struct seen whole;
        struct redo_visitor w = visitor(&whole);
        assert_int_equal(
            redo_parse_mtr(&real.log, lsn, real.data + at, real.size - at, &w, &size, &end_byte),
            REDO_MTR);
        size_t step = size / 97 + 1;
        for (size_t available = 0; available<size; available += size - available> 16 ? step : 1) {
            size_t none = 12345, none_either = 12345;
            uint8_t *copy = test_malloc(available + 1);
            memcpy(copy + 1, real.data + at, available);
            assert_int_equal(
                redo_parse_mtr(&real.log, lsn, copy + 1, available, &v, &none, &none_either),
                REDO_PARTIAL);
            assert_int_equal(none, 12345);
            assert_int_equal(none_either, 12345);
            test_free(copy);
        }
        at += size;
    }
    assert_int_equal(total(&s), 0);
    vector_close(&real.v);
}

static void truncated_input_asks_for_more(void **state)
{
    (void)state;
    truncated("redo");
    truncated("redo_encrypted");
}

static void flipped(const char *name)
{
    struct real real;
    struct seen s;
    open_real(&real, name);
    struct redo_visitor v = visitor(&s);
    size_t at = 0, size = 0, end_byte;
    for (unsigned n = 0; n < 40; n++) {
        uint64_t lsn = real.log.checkpoint_lsn + at;
        assert_int_equal(
            redo_parse_mtr(&real.log, lsn, real.data + at, real.size - at, NULL, &size, &end_byte),
            REDO_MTR);
        uint8_t *copy = test_malloc(size);
        memcpy(copy, real.data + at, size);
        size_t step = size / 97 + 1;
        for (size_t i = 0; i < size; i += i < 64 ? 1 : step)
            for (unsigned bit = 0; bit < 8; bit++) {
                size_t other, other_end;
                copy[i] ^= (uint8_t)(1u << bit);
                if (redo_parse_mtr(&real.log, lsn, copy, size, &v, &other, &other_end) == REDO_MTR)
                    fail_msg("bit %u of byte %zu at LSN %llu", bit, i, (unsigned long long)lsn);
                copy[i] ^= (uint8_t)(1u << bit);
            }
        test_free(copy);
        at += size;
    }
    assert_int_equal(total(&s), 0);
    vector_close(&real.v);
}

static void flipped_bits_are_noticed(void **state)
{
    (void)state;
    flipped("redo");
    flipped("redo_encrypted");
}

static void flat_log_has_ones_on_every_lap(void **state)
{
    (void)state;
    struct real real;
    open_real(&real, "redo");
    size_t at = 0, size;
    while (redo_parse_flat_mtr(real.log.format, false, real.log.checkpoint_lsn + at, real.data + at,
                               real.size - at, NULL, &size) == REDO_MTR)
        at += size;
    assert_true(real.log.checkpoint_lsn + at == real.current); /* the first lap has ones too */
    vector_close(&real.v);
}

/* ---- header ---- */

static uint8_t *real_header(struct real *real)
{
    open_real(real, "redo");
    return real->v.block[0].data;
}

static void stamp(uint8_t *data, size_t block, size_t size)
{
    struct bytes_writer w = bytes_writer(data, REDO_START_OFFSET);
    bytes_writer_seek(&w, block + size);
    bytes_put_u32(&w, page_crc32c(0, data + block, size));
}

static void put(uint8_t *data, size_t at, uint64_t value, size_t size)
{
    struct bytes_writer w = bytes_writer(data, REDO_START_OFFSET);
    bytes_writer_seek(&w, at);
    bytes_put_be(&w, value, size);
}

static void expect_header(const uint8_t *data, uint64_t size, enum gb_code code, const char *word)
{
    struct redo_log log;
    struct gb_error error = {0};
    assert_int_equal(redo_parse_header(data, size, &log, &error), code == GB_OK);
    assert_int_equal(error.code, code);
    if (code && !strstr(error.what, word))
        fail_msg("%s", error.what);
}

static void impossible_headers(void **state)
{
    (void)state;
    struct real real;
    uint8_t *h = real_header(&real);
    uint64_t size = real.v.file_size;
    expect_header(h, REDO_START_OFFSET, GB_redo_corrupt, "too short");
    for (size_t at = 0; at < 512; at++) {
        h[at] ^= 0x10;
        expect_header(h, size, GB_redo_corrupt, "checksum");
        h[at] ^= 0x10;
    }
    put(h, 0, 0x50485953, 4);
    stamp(h, 0, 508);
    expect_header(h, size, GB_unsupported_server, "10.5 to 10.7");
    put(h, 0, 0xd0485953, 4);
    stamp(h, 0, 508);
    expect_header(h, size, GB_unsupported_server, "10.5 to 10.7");
    put(h, 0, 0x12345678, 4);
    stamp(h, 0, 508);
    expect_header(h, size, GB_unsupported_server, "0x12345678");
    put(h, 0, REDO_FORMAT_10_8, 4);
    put(h, 4, 1, 4);
    stamp(h, 0, 508);
    expect_header(h, size, GB_redo_corrupt, "no sense");
    put(h, 4, 0, 4);
    put(h, 8, 0x2fff, 8);
    stamp(h, 0, 508);
    expect_header(h, size, GB_redo_corrupt, "no sense");
    vector_close(&real.v);
}

static void put_checkpoint(uint8_t *h, size_t block, uint64_t lsn, uint64_t end_lsn)
{
    memset(h + block, 0, 64);
    put(h, block, lsn, 8);
    put(h, block + 8, end_lsn, 8);
    stamp(h, block, 60);
}

static void the_newest_valid_checkpoint_counts(void **state)
{
    (void)state;
    struct real real;
    struct redo_log log;
    struct gb_error error = {0};
    uint8_t *h = real_header(&real);
    uint64_t size = real.v.file_size;
    put_checkpoint(h, REDO_CHECKPOINT_1, 50000, 50100);
    put_checkpoint(h, REDO_CHECKPOINT_2, 60000, 60100);
    assert_true(redo_parse_header(h, size, &log, &error));
    assert_true(log.checkpoint_lsn == 60000 && log.end_lsn == 60100);
    put_checkpoint(h, REDO_CHECKPOINT_1, 70000, 70000);
    assert_true(redo_parse_header(h, size, &log, &error));
    assert_true(log.checkpoint_lsn == 70000 && log.end_lsn == 70000);
    for (size_t at = 0; at < 64; at++) { /* torn: the other one is taken */
        h[REDO_CHECKPOINT_1 + at] ^= 1;
        assert_true(redo_parse_header(h, size, &log, &error));
        assert_true(log.checkpoint_lsn == 60000);
        h[REDO_CHECKPOINT_1 + at] ^= 1;
    }
    put_checkpoint(h, REDO_CHECKPOINT_1, 12287, 70000); /* before first_lsn */
    put_checkpoint(h, REDO_CHECKPOINT_2, 60000, 59999); /* ends before it starts */
    expect_header(h, size, GB_redo_corrupt, "no valid checkpoint");
    h[REDO_CHECKPOINT_1 + 20] = 1; /* not zero where it must be, with the right checksum */
    put(h, REDO_CHECKPOINT_1, 70000, 8);
    stamp(h, REDO_CHECKPOINT_1, 60);
    expect_header(h, size, GB_redo_corrupt, "no valid checkpoint");
    vector_close(&real.v);
}

static void offsets_and_laps(void **state)
{
    (void)state;
    const struct redo_log log = {
        .first_lsn = 20000, .capacity = 4096, .file_size = REDO_START_OFFSET + 4096};
    assert_true(redo_offset(&log, 20000) == REDO_START_OFFSET);
    assert_true(redo_offset(&log, 20000 + 4095) == REDO_START_OFFSET + 4095);
    assert_true(redo_offset(&log, 20000 + 4096) == REDO_START_OFFSET);
    assert_int_equal(redo_sequence_bit(&log, 20000), 1);
    assert_int_equal(redo_sequence_bit(&log, 20000 + 4095), 1);
    assert_int_equal(redo_sequence_bit(&log, 20000 + 4096), 0);
    assert_int_equal(redo_sequence_bit(&log, 20000 + 2 * 4096), 1);
}

/* ---- mini-transactions made here ---- */

static struct redo_log made_log(uint32_t format, bool encrypted)
{
    return (struct redo_log){.format = format,
                             .first_lsn = FIRST_LSN,
                             .capacity = CAPACITY,
                             .file_size = REDO_START_OFFSET + CAPACITY,
                             .encrypted = encrypted};
}

/* Appends end byte, nonce and checksum. Returns the whole size. */
static size_t finish(uint8_t *mtr, size_t records, uint8_t bit, bool encrypted)
{
    struct bytes_writer w = bytes_writer(mtr, RECORD_MAX + 64);
    bytes_writer_seek(&w, records);
    bytes_put_u8(&w, bit);
    uint32_t crc = page_crc32c(0, mtr, records);
    if (encrypted) {
        bytes_put_u64(&w, 0x1122334455667788u);
        crc = page_crc32c(crc, mtr + records + 1, 8);
    }
    bytes_put_u32(&w, crc);
    assert_false(w.failed);
    return w.at;
}

static enum redo_result parse_made(const void *records, size_t size, bool encrypted,
                                   uint32_t format, struct seen *s)
{
    struct redo_log log = made_log(format, encrypted);
    struct redo_visitor v = visitor(s);
    uint8_t *mtr = test_malloc(RECORD_MAX + 64);
    memcpy(mtr, records, size);
    size_t whole = finish(mtr, size, 1, encrypted), found = 0, end_byte = 0;
    uint8_t *exact = test_malloc(whole);
    memcpy(exact, mtr, whole);
    test_free(mtr);
    enum redo_result result = redo_parse_mtr(&log, FIRST_LSN, exact, whole, &v, &found, &end_byte);
    test_free(exact);
    if (result == REDO_MTR) {
        assert_int_equal(found, whole);
        assert_int_equal(end_byte, size);
    }
    return result;
}

#define MADE(records, s) parse_made(records, sizeof(records) - 1, false, REDO_FORMAT_10_8, s)

static void page_records(void **state)
{
    (void)state;
    struct seen s;
    assert_int_equal(MADE("\x12\x34\x56", &s),
                     REDO_MTR); /* INIT_PAGE, the example of mtr0types.h */
    assert_int_equal(s.pages, 1);
    assert_int_equal(s.inits, 1);
    assert_int_equal(s.space_id, 0x34);
    assert_int_equal(s.page_no, 0x56);
    assert_true(s.lsn == FIRST_LSN);
    /* WRITE, WRITE to the same page, FREE_PAGE of another */
    assert_int_equal(MADE("\x36\x40\x57\x60\x12\x34\x56"
                          "\xb5\x7f\x23\x34\x56\x78"
                          "\x02\x40\x58",
                          &s),
                     REDO_MTR);
    assert_int_equal(s.pages, 2);
    assert_int_equal(s.page_no, 0x58);
    /* numbers of two to five bytes: the least and the greatest */
    assert_int_equal(MADE("\x14\x80\x00\xbf\xff", &s), REDO_MTR);
    assert_int_equal(s.space_id, 0x80);
    assert_int_equal(s.page_no, 0x407f);
    assert_int_equal(MADE("\x16\xc0\x00\x00\xdf\xff\xff", &s), REDO_MTR);
    assert_int_equal(s.space_id, 0x4080);
    assert_int_equal(s.page_no, 0x20407f);
    assert_int_equal(MADE("\x18\xe0\x00\x00\x00\xef\xff\xff\xff", &s), REDO_MTR);
    assert_int_equal(s.space_id, 0x204080);
    assert_int_equal(s.page_no, 0x1020407f);
    assert_int_equal(MADE("\x1a\xf0\x00\x00\x00\x00\xf0\xef\xdf\xbf\x7f", &s), REDO_MTR);
    assert_int_equal(s.space_id, 0x10204080);
    assert_true(s.page_no == 0xffffffffu);
}

static void long_records(void **state)
{
    (void)state;
    struct seen s;
    uint8_t *records = test_calloc(1, RECORD_MAX);
    static const struct {
        const char *head;
        size_t head_size, total;
    } cases[] = {
        {"\x30\x00\x05\x06", 4, 16},
        {"\x30\x7f\x05\x06", 4, 16 + 127},
        {"\x30\x80\x00\x05\x06", 5, 16 + 128},
        {"\x30\xbf\xff\x05\x06", 5, 16 + 16511},
        {"\x30\xc0\x00\x00\x05\x06", 6, 16 + 16512},
        {"\x30\xcf\xbf\x70\x05\x06", 6, 16 + 16512 + 0xfbf70}, /* 1 MiB */
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        memset(records, 0, RECORD_MAX);
        memcpy(records, cases[i].head, cases[i].head_size);
        assert_int_equal(parse_made(records, cases[i].total, false, REDO_FORMAT_10_8, &s),
                         REDO_MTR);
        assert_int_equal(s.pages, 1);
        assert_int_equal(s.space_id, 5);
        assert_int_equal(s.page_no, 6);
    }
    test_free(records);
}

static void no_mini_transaction_is_longer_than_a_mebibyte(void **state)
{
    (void)state;
    struct seen s;
    const struct redo_log log = made_log(REDO_FORMAT_10_8, false);
    uint8_t *records = test_malloc(RECORD_MAX);
    size_t size, end_byte;
    /* one long record: refused from its length alone */
    memset(records, 0, RECORD_MAX);
    memcpy(records, "\x30\xcf\xbf\x71\x05\x06", 6);
    assert_int_equal(redo_parse_mtr(&log, FIRST_LSN, records, 8, NULL, &size, &end_byte), REDO_END);
    memcpy(records, "\x30\xef\xff\xff\xff\x05\x06", 7);
    assert_int_equal(redo_parse_mtr(&log, FIRST_LSN, records, 8, NULL, &size, &end_byte), REDO_END);
    /* many short ones without an end */
    for (size_t i = 0; i + 3 <= RECORD_MAX; i += 3)
        memcpy(records + i, "\x12\x34\x56", 3);
    assert_int_equal(
        redo_parse_mtr(&log, FIRST_LSN, records, REDO_MTR_MAX - 100, NULL, &size, &end_byte),
        REDO_PARTIAL);
    assert_int_equal(redo_parse_mtr(&log, FIRST_LSN, records, RECORD_MAX, NULL, &size, &end_byte),
                     REDO_END);
    assert_int_equal(parse_made(records, 1048575, false, REDO_FORMAT_10_8, &s), REDO_MTR);
    assert_int_equal(s.pages, 1048575 / 3);
    test_free(records);
}

static void file_records(void **state)
{
    (void)state;
    struct seen s;
    assert_int_equal(MADE("\x89\x05\x00./a.ibd", &s), REDO_MTR);
    assert_int_equal(s.files, 1);
    assert_int_equal(s.file[0].op, REDO_FILE_CREATE);
    assert_int_equal(s.file[0].space_id, 5);
    assert_string_equal(s.file[0].path, "./a.ibd");
    assert_int_equal(MADE("\xa0\x03\x05\x00./a.ibd\0./b.ibd"
                          "\xb9\x05\x00./b.ibd"
                          "\x12\x05\x03"
                          "\xb5\x7f\x23\x34\x56\x78", /* the same page: no FILE_MODIFY */
                          &s),
                     REDO_MTR);
    assert_int_equal(s.files, 2);
    assert_int_equal(s.pages, 1);
    assert_int_equal(s.file[0].op, REDO_FILE_RENAME);
    assert_string_equal(s.file[0].path, "./a.ibd");
    assert_string_equal(s.file[0].new_path, "./b.ibd");
    assert_int_equal(s.file[1].op, REDO_FILE_MODIFY);
}

/* The records as a mini-transaction, to be freed by test_free(): not a byte more. */
static uint8_t *mtr_of(const void *records, size_t size, size_t *whole)
{
    uint8_t *mtr = test_malloc(RECORD_MAX + 64);
    memcpy(mtr, records, size);
    *whole = finish(mtr, size, 1, false);
    uint8_t *exact = test_malloc(*whole);
    memcpy(exact, mtr, *whole);
    test_free(mtr);
    return exact;
}

static bool is_that(const void *context, uint32_t space_id)
{
    return space_id == *(const uint32_t *)context;
}

/* Forgets a space in a copy of the records; what it says afterwards goes to s, and which records it
 * has to out. */
static bool forget_made(const void *records, size_t size, uint32_t space_id, struct seen *s,
                        uint8_t *out)
{
    struct redo_visitor v = visitor(s);
    size_t whole, found;
    uint8_t *exact = mtr_of(records, size, &whole);
    bool any = redo_forget(exact, whole, is_that, &space_id);
    assert_int_equal(any, memcmp(exact, records, size) != 0);
    assert_int_equal(
        redo_parse_flat_mtr(REDO_FORMAT_10_8, false, FIRST_LSN, exact, whole, &v, &found),
        REDO_MTR);
    assert_int_equal(found, whole);
    memcpy(out, exact, size);
    test_free(exact);
    return any;
}

static void forgotten_records(void **state)
{
    (void)state;
    struct seen s;
    uint8_t out[64];
    static const char mixed[] =
        "\x12\x06\x05"                 /* INIT_PAGE: page 5 of 6 */
        "\xb5\x05\x05\x05\x05\x05"     /* WRITE to the same page */
        "\x36\x05\x57\x60\x12\x34\x56" /* WRITE to page 0x57 of 5 */
        "\xb5\x00\x23\x34\x56\x78"     /* and again, as long as a checksum of a page */
        "\x02\x05\x03";                /* FREE_PAGE of 5 */
    static const char without_5[] = "\x12\x06\x05"
                                    "\xb5\x05\x05\x05\x05\x05"
                                    "\x76\x05\x57\x60\x12\x34\x56"
                                    "\xf5\xff\x23\x34\x56\x78"
                                    "\x72\x05\x03";
    static const char without_6[] = "\x72\x06\x05"
                                    "\xf5\x05\x05\x05\x05\x05"
                                    "\x36\x05\x57\x60\x12\x34\x56"
                                    "\xb5\x00\x23\x34\x56\x78"
                                    "\x02\x05\x03";
    assert_true(forget_made(mixed, sizeof mixed - 1, 5, &s, out));
    assert_memory_equal(out, without_5, sizeof without_5 - 1);
    assert_true(forget_made(mixed, sizeof mixed - 1, 6, &s, out));
    assert_memory_equal(out, without_6, sizeof without_6 - 1);
    assert_false(forget_made(mixed, sizeof mixed - 1, 7, &s, out));
    /* FILE_DELETE becomes FILE_MODIFY, FILE_RENAME one of no file */
    assert_true(forget_made("\x99\x05\x00./a.ibd", 10, 5, &s, out));
    assert_int_equal(s.file[0].op, REDO_FILE_MODIFY);
    assert_int_equal(s.file[0].space_id, 5);
    assert_string_equal(s.file[0].path, "./a.ibd");
    assert_false(forget_made("\x99\x05\x00./a.ibd", 10, 6, &s, out));
    assert_true(forget_made("\xa0\x03\x05\x00./a.ibd\0./b.ibd", 19, 5, &s, out));
    assert_int_equal(s.file[0].op, REDO_FILE_MODIFY);
    assert_string_equal(s.file[0].path, "./a.ibd_._b.ibd");
    assert_false(forget_made("\xa0\x03\x05\x00./a.ibd\0./b.ibd", 19, 6, &s, out));
    /* names that it has elsewhere stay */
    assert_false(forget_made("\x89\x05\x00./a.ibd", 10, 5, &s, out));
    assert_false(forget_made("\xb9\x05\x00./a.ibd", 10, 5, &s, out));
    /* FILE_CHECKPOINT has no id */
    assert_false(forget_made("\xfa\x00\x00\x00\x00\x00\x00\x00\x00\x30\x00", 11, 0, &s, out));
}

static char other_than_a(const void *context, const char *path, size_t size)
{
    return size == strlen(context) && !memcmp(path, context, size) ? 'Z' : 0;
}

/* Renames what has that path in a copy of the records; what it says afterwards goes to s. */
static bool renamed(const void *records, size_t size, const char *path, struct seen *s)
{
    struct redo_visitor v = visitor(s);
    size_t whole, found;
    uint8_t *exact = mtr_of(records, size, &whole);
    memset(s, 0, sizeof *s);
    bool any = redo_rename_files(exact, whole, other_than_a, path);
    assert_int_equal(any, memcmp(exact, records, size) != 0);
    assert_int_equal(
        redo_parse_flat_mtr(REDO_FORMAT_10_8, false, FIRST_LSN, exact, whole, &v, &found),
        REDO_MTR);
    assert_int_equal(found, whole);
    test_free(exact);
    return any;
}

static void other_names(void **state)
{
    (void)state;
    struct seen s;
    static const char three[] = "\xa0\x03\x05\x00./a.ibd\0./b.ibd"
                                "\xb9\x06\x00./b.ibd"
                                "\x12\x05\x03";
    assert_true(renamed("\x89\x05\x00./a.ibd", 10, "./a.ibd", &s));
    assert_string_equal(s.file[0].path, "./Z.ibd");
    assert_true(s.file[0].op == REDO_FILE_CREATE && s.file[0].space_id == 5);
    assert_false(renamed("\x89\x05\x00./a.ibd", 10, "a.ibd", &s));
    assert_true(renamed("\x97\x05\x00"
                        "a.ibd",
                        8, "a.ibd", &s));
    assert_string_equal(s.file[0].path, "Z.ibd");
    assert_false(
        renamed("\xb8\x05\x00./.ibd", 9, "./.ibd", &s)); /* the suffix is all of the name */
    assert_true(renamed(three, sizeof three - 1, "./b.ibd", &s));
    assert_int_equal(s.files, 2);
    assert_string_equal(s.file[0].path, "./a.ibd");
    assert_string_equal(s.file[0].new_path, "./Z.ibd");
    assert_string_equal(s.file[1].path, "./Z.ibd");
    assert_true(renamed(three, sizeof three - 1, "./a.ibd", &s));
    assert_string_equal(s.file[0].path, "./Z.ibd");
    assert_string_equal(s.file[0].new_path, "./b.ibd");
    assert_false(renamed("\xfa\x00\x00\x00\x00\x00\x00\x00\x00\x30\x00", 11, "", &s));
}

/* ---- the first page of a new tablespace ---- */

#define PAGE_SIZE 4096u

static bool make(const void *records, size_t size, uint32_t space_id, uint8_t page[PAGE_SIZE])
{
    size_t whole;
    uint8_t *exact = mtr_of(records, size, &whole);
    memset(page, 0xaa, PAGE_SIZE);
    bool made = redo_make_page_0(exact, whole, space_id, page, PAGE_SIZE);
    test_free(exact);
    return made;
}

#define INIT "\x12\x05\x00"

static void first_pages(void **state)
{
    (void)state;
    uint8_t page[PAGE_SIZE], expected[PAGE_SIZE] = {0};
    static const char whole[] = "\x36\x06\x00\x60\x01\x02\x03" /* of another tablespace */
        INIT "\xb2\x01\x08"                                    /* WRITE at 24 + 1 */
                                "\xb5\x14\x01\x02\x03\x04"     /* 20 bytes further */
                                "\x12\x05\x01\xb2\x01\x05"     /* page 1 */
                                "\x45\x05\x00\x64\x05\xff"     /* MEMSET at 100: 5 times a byte */
                                "\xc4\x01\x03\x11\x22"         /* at 106: 3 bytes of two */
                                "\xf2\xff\x01"                 /* OPTION */
                                "\xd3\x03\x04\x11"             /* MEMMOVE to 112: 4 from 9 before */
                                "\x35\x05\x00\x8f\x7f\x01";    /* WRITE, the last byte */
    static const struct {
        const char *records;
        size_t size;
    } refused[] = {
        {"\x34\x05\x00\x20\x01", 5},               /* nothing makes the page */
        {INIT "\x36\x05\x00\x8f\x7f\x01\x02", 10}, /* beyond its end */
        {INIT "\x34\x05\x00\x07\x01", 8},          /* in what no record changes */
        {INIT "\x44\x05\x00\x64\x05", 8},          /* MEMSET of no bytes */
        {INIT "\x55\x05\x00\x10\x04\x41", 9},      /* MEMMOVE from before the page */
        {INIT "\x56\x05\x00\x10\x04\xbf\x00", 10}, /* from behind it */
        {INIT "\x23\x05\x00\x01", 7},              /* EXTENDED */
        {INIT "\x02\x05\x00", 6},                  /* FREE_PAGE */
    };
    memset(expected + 8, 0xff, 8);
    expected[25] = 8;
    expected[37] = 5;
    memcpy(expected + 46, "\x01\x02\x03\x04", 4);
    memset(expected + 100, 0xff, 5);
    memcpy(expected + 106, "\x11\x22\x11", 3);
    memcpy(expected + 112, expected + 103, 4);
    expected[PAGE_SIZE - 1] = 1;
    assert_true(make(whole, sizeof whole - 1, 5, page));
    assert_memory_equal(page, expected, PAGE_SIZE);
    assert_false(make(whole, sizeof whole - 1, 6, page));
    assert_false(make(whole, sizeof whole - 1, 7, page));
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++)
        if (make(refused[i].records, refused[i].size, 5, page))
            fail_msg("%zu is not refused", i);
}

static void checkpoints_and_padding(void **state)
{
    (void)state;
    struct seen s;
    assert_int_equal(MADE("\xfa\x00\x00\x00\x00\x00\x00\x00\x01\x02\x03", &s), REDO_MTR);
    assert_int_equal(s.checkpoints, 1);
    assert_true(s.checkpoint == 0x10203 && s.checkpoint_at == FIRST_LSN);
    assert_int_equal(MADE("\xf1\x00", &s), REDO_MTR);
    assert_int_equal(MADE("\xf2\x00\x00", &s), REDO_MTR);
    assert_int_equal(MADE("\xf5\x00\x00\x00\x00\x00", &s), REDO_MTR);
    assert_int_equal(MADE("\xfa\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00", &s), REDO_MTR);
    assert_int_equal(MADE("\xff\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00", &s),
                     REDO_MTR);
    assert_int_equal(total(&s), 0);
}

static void undo_truncation(void **state)
{
    (void)state;
    struct seen s;
    assert_int_equal(MADE("\x24\x01\x82\x00\x0a", &s), REDO_MTR); /* 640 pages of 16 KiB: 10 MiB */
    assert_int_equal(s.trims, 1);
    assert_int_equal(s.trim_space, 1);
    assert_int_equal(s.trim_pages, 640);
    assert_int_equal(s.pages, 0);
    assert_int_equal(MADE("\x24\x01\x82\x00\x01", &s), REDO_MTR); /* INIT_ROW_FORMAT_DYNAMIC */
    assert_int_equal(s.trims, 0);
    assert_int_equal(s.pages, 1);
}

/* Right lengths, right checksum, no sense: refused as a whole, even where only the last record is
 * bad. */
static void records_without_sense(void **state)
{
    (void)state;
    static const struct {
        const char *records;
        size_t size;
    } bad[] = {
#define BAD(records) {records, sizeof(records) - 1}
        BAD("\x62\x05\x03"),                       /* reserved type */
        BAD("\x12\x05\x03\xe1\x01"),               /* the same, same page */
        BAD("\x13\x05\x03\x00"),                   /* INIT_PAGE with a payload */
        BAD("\x12\x05\x03\x91\x01"),               /* INIT_PAGE, same page */
        BAD("\x12\x05\x03\x81\x01"),               /* FREE_PAGE, same page */
        BAD("\x11\x05"),                           /* no page number */
        BAD("\x12\xf1\x05"),                       /* not a number */
        BAD("\x17\xf0\xef\xdf\xbf\x80\x05\x05"),   /* a number above 32 bits */
        BAD("\x13\x05\xc0\x00"),                   /* a number cut by the record's end */
        BAD("\x89\x00\x00./a.ibd"),                /* FILE_CREATE in the system tablespace */
        BAD("\x89\x05\x01./a.ibd"),                /* of another page than 0 */
        BAD("\x89\x05\x00./a.txt"),                /* of another file */
        BAD("\x82\x05\x00"),                       /* of none */
        BAD("\x8a\x05\x00./a\0.ibd"),              /* FILE_CREATE with two names */
        BAD("\xa9\x05\x00./a.ibd"),                /* FILE_RENAME with one */
        BAD("\xa0\x04\x05\x00./a.ibd\0./b.ibd\0"), /* with three */
        BAD("\xa0\x03\x05\x00./a.ibd\0./b.txt"),   /* to another kind of file */
        BAD("\xa0\x03\x05\x00./a.txt\0./b.ibd"),   /* from one */
        BAD("\xc9\x05\x00./a.ibd"),                /* an operation that does not exist */
        BAD("\xd9\x05\x00./a.ibd"),
        BAD("\xe9\x05\x00./a.ibd"),
        BAD("\xfa\x01\x00\x00\x00\x00\x00\x00\x01\x02\x03"), /* FILE_CHECKPOINT of a tablespace */
        BAD("\xf5\x00\x00\x00\x01\x00"),                     /* padding that is not zero */
        BAD("\xf1\x01"),
        BAD("\x89\x05\x00./a.ibd\x62\x05\x03"), /* a good record before a bad one */
#undef BAD
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct seen s;
        if (parse_made(bad[i].records, bad[i].size, false, REDO_FORMAT_10_8, &s) != REDO_END ||
            total(&s))
            fail_msg("record %zu is accepted", i);
    }
}

static void nothing_before_the_log_begins(void **state)
{
    (void)state;
    const struct redo_log log = made_log(REDO_FORMAT_10_8, false);
    size_t size, end_byte;
    static const uint8_t zeros[64], ones[64] = {1, 1, 1, 1};
    assert_int_equal(redo_parse_mtr(&log, FIRST_LSN, zeros, sizeof zeros, NULL, &size, &end_byte),
                     REDO_END);
    assert_int_equal(redo_parse_mtr(&log, FIRST_LSN, ones, sizeof ones, NULL, &size, &end_byte),
                     REDO_END);
    assert_int_equal(redo_parse_mtr(&log, FIRST_LSN, zeros, 0, NULL, &size, &end_byte),
                     REDO_PARTIAL);
}

/* The same bytes at LSNs of two laps: only the right sequence bit is taken, that of the end byte's
 * own LSN. */
static void sequence_bits(void **state)
{
    (void)state;
    const struct redo_log log = made_log(REDO_FORMAT_10_8, false);
    uint8_t *mtr = test_malloc(RECORD_MAX + 64);
    memcpy(mtr, "\x12\x34\x56", 3);
    size_t size, end_byte;
    for (uint8_t bit = 0; bit <= 1; bit++) {
        size_t whole = finish(mtr, 3, bit, false);
        for (unsigned lap = 0; lap < 4; lap++) {
            uint64_t lsn = FIRST_LSN + (uint64_t)lap * CAPACITY;
            enum redo_result expected = bit == (lap + 1) % 2 ? REDO_MTR : REDO_END;
            assert_int_equal(redo_parse_mtr(&log, lsn, mtr, whole, NULL, &size, &end_byte),
                             expected);
            /* starts on the lap before, its end byte is the first byte of this one */
            if (lap)
                assert_int_equal(redo_parse_mtr(&log, lsn - 3, mtr, whole, NULL, &size, &end_byte),
                                 expected);
            assert_int_equal(
                redo_parse_flat_mtr(REDO_FORMAT_10_8, false, lsn, mtr, whole, NULL, &size),
                bit ? REDO_MTR : REDO_END);
        }
    }
    test_free(mtr);
}

static void encrypted_logs(void **state)
{
    (void)state;
    struct seen s;
    static const char records[] = "\x89\x05\x00./a.ibd\x24\x01\x82\x00\x0a";
    assert_int_equal(parse_made(records, sizeof records - 1, true, REDO_FORMAT_10_8, &s), REDO_MTR);
    assert_int_equal(s.files, 1); /* in clear; what looks like TRIM_PAGES is cipher text */
    assert_int_equal(s.trims, 0);
    assert_int_equal(s.pages, 1);
    static const char cipher[] = "\x82\xaa\xbb\x64\xfe\xfe\xfe\xfe";
    assert_int_equal(parse_made(cipher, sizeof cipher - 1, true, REDO_FORMAT_ENC_11, &s), REDO_MTR);
    assert_int_equal(total(&s), 0);
    assert_int_equal(parse_made(cipher, sizeof cipher - 1, false, REDO_FORMAT_10_8, &s), REDO_END);
}

/* Bytes of no sense in buffers of every size: the sanitizers watch the ends. */
static void noise(void **state)
{
    (void)state;
    struct redo_log log = made_log(REDO_FORMAT_10_8, false);
    struct seen s;
    struct redo_visitor v = visitor(&s);
    uint32_t seed = 12345;
    for (unsigned n = 0; n < 20000; n++) {
        size_t available = n % 200, size, end_byte;
        uint8_t *data = test_malloc(available + 1);
        for (size_t i = 0; i < available; i++)
            data[i + 1] = (uint8_t)((seed = seed * 1103515245u + 12345u) >> (n % 3 ? 16 : 20));
        log.encrypted = n & 1;
        assert_int_not_equal(
            redo_parse_mtr(&log, FIRST_LSN + n, data + 1, available, &v, &size, &end_byte),
            REDO_MTR);
        test_free(data);
    }
    assert_int_equal(total(&s), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_real_log_to_its_end),
        cmocka_unit_test(a_real_encrypted_log_to_its_end),
        cmocka_unit_test(truncated_input_asks_for_more),
        cmocka_unit_test(flipped_bits_are_noticed),
        cmocka_unit_test(flat_log_has_ones_on_every_lap),
        cmocka_unit_test(impossible_headers),
        cmocka_unit_test(the_newest_valid_checkpoint_counts),
        cmocka_unit_test(offsets_and_laps),
        cmocka_unit_test(page_records),
        cmocka_unit_test(long_records),
        cmocka_unit_test(no_mini_transaction_is_longer_than_a_mebibyte),
        cmocka_unit_test(file_records),
        cmocka_unit_test(forgotten_records),
        cmocka_unit_test(other_names),
        cmocka_unit_test(first_pages),
        cmocka_unit_test(checkpoints_and_padding),
        cmocka_unit_test(undo_truncation),
        cmocka_unit_test(records_without_sense),
        cmocka_unit_test(nothing_before_the_log_begins),
        cmocka_unit_test(sequence_bits),
        cmocka_unit_test(encrypted_logs),
        cmocka_unit_test(noise),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
