/*
  The redo log: header and checkpoints, mini-transactions as the follower and as verify read them
  (redo.h), redo that comes in pieces (redo_stream.h).

  Checksums are made right where the choice asks for it: no change of bytes would ever get past
  them. The redo in pieces must say the same as the redo at once, and what is visited must lie in
  the input.

  Input: u8 choice (below), then bytes.
*/
#include "common/bytes.h"
#include "common/page.h"
#include "common/redo_stream.h"
#include "tests/fuzz/fuzz.h"

#include <stdlib.h>
#include <string.h>

#define AS_HEADER  1u /* else mini-transactions */
#define ENCRYPTED  2u
#define FORMAT_11  4u
#define SEALED     8u /* checksums are made right */
#define LATER_LAP  16u
#define LSN        100000u
#define NONCE_SIZE 8u
#define PAGE_SIZE  4096u

struct seen {
    const uint8_t *data;
    size_t size;
    uint64_t lsn, records, sum;
    uint32_t made; /* the tablespace whose page 0 was seen to be made last */
};

static void require_inside(const struct seen *s, const char *path, size_t size)
{
    if (s->data)
        REQUIRE((const uint8_t *)path >= s->data &&
                (const uint8_t *)path + size <= s->data + s->size);
    REQUIRE(size > 4 && !memcmp(path + size - 4, ".ibd", 4) && !memchr(path, 0, size));
}

static void see(struct seen *s, uint64_t lsn, uint64_t value)
{
    REQUIRE(lsn >= s->lsn);
    s->lsn = lsn;
    s->records++;
    s->sum = s->sum * 31 + value;
}

static void see_file(void *context, enum redo_op op, uint32_t space_id, const char *path,
                     size_t path_size, const char *new_path, size_t new_path_size, uint64_t lsn)
{
    struct seen *s = context;
    require_inside(s, path, path_size);
    REQUIRE((new_path != NULL) == (op == REDO_FILE_RENAME) && space_id);
    if (new_path)
        require_inside(s, new_path, new_path_size);
    see(s, lsn, space_id + path_size + new_path_size);
}

static void see_checkpoint(void *context, uint64_t checkpoint, uint64_t lsn)
{
    see(context, lsn, checkpoint);
}

static void see_page(void *context, uint32_t space_id, uint32_t page_no, uint64_t lsn)
{
    see(context, lsn, (uint64_t)space_id << 32 | page_no);
}

static void see_trim(void *context, uint32_t space_id, uint32_t pages, uint64_t lsn)
{
    see(context, lsn, space_id + pages);
}

static void see_init(void *context, uint32_t space_id, uint32_t page_no, uint64_t lsn)
{
    struct seen *s = context;
    REQUIRE(lsn >= s->lsn);
    if (!page_no)
        s->made = space_id;
}

static struct redo_visitor visitor_of(struct seen *s)
{
    return (struct redo_visitor){s, see_file, see_checkpoint, see_page, see_trim, see_init};
}

/* Whether it makes the page depends on nothing else. */
static void make_page(const uint8_t *mtr, size_t size, uint32_t space_id)
{
    static uint8_t page[PAGE_SIZE], again[PAGE_SIZE];
    bool made = redo_make_page_0(mtr, size, space_id, page, sizeof page);
    REQUIRE(redo_make_page_0(mtr, size, space_id, again, sizeof again) == made);
    REQUIRE(!made || !memcmp(page, again, sizeof page));
}

static char always(const void *context, const char *path, size_t size)
{
    const struct seen *s = context;
    REQUIRE(size > 4 && (const uint8_t *)path >= s->data &&
            (const uint8_t *)path + size <= s->data + s->size);
    return 'Z';
}

/* With other names it is as long and as whole. */
static void rename_files(uint32_t format, const uint8_t *mtr, size_t size, uint64_t lsn)
{
    uint8_t *copy = malloc(size);
    size_t length;
    if (!copy)
        return;
    memcpy(copy, mtr, size);
    const struct seen s = {.data = copy, .size = size};
    redo_rename_files(copy, size, always, &s);
    REQUIRE(redo_parse_flat_mtr(format, false, lsn, copy, size, NULL, &length) == REDO_MTR &&
            length == size);
    free(copy);
}

/* The whole input: how far mini-transactions go. */
static size_t at_once(uint32_t format, bool encrypted, const uint8_t *data, size_t size,
                      struct seen *s)
{
    struct redo_visitor visitor = visitor_of(s);
    size_t at = 0, length;
    s->data = data;
    s->size = size;
    while (at < size && redo_parse_flat_mtr(format, encrypted, LSN + at, data + at, size - at,
                                            &visitor, &length) == REDO_MTR) {
        REQUIRE(length && length <= size - at);
        if (!encrypted && s->made)
            make_page(data + at, length, s->made);
        if (!encrypted && format == REDO_FORMAT_10_8)
            rename_files(format, data + at, length, LSN + at);
        at += length;
    }
    return at;
}

static void in_pieces(uint32_t format, bool encrypted, const uint8_t *data, size_t size,
                      size_t piece)
{
    static struct redo_stream stream;
    struct seen whole = {0}, pieces = {0};
    struct redo_visitor visitor = visitor_of(&pieces);
    size_t end = at_once(format, encrypted, data, size, &whole);
    redo_stream_begin(&stream, format, encrypted, LSN, &visitor);
    for (size_t at = 0; at < size; at += piece)
        if (!redo_stream_feed(&stream, data + at, size - at < piece ? size - at : piece))
            break;
    REQUIRE(redo_stream_lsn(&stream) == LSN + end);
    REQUIRE(whole.records == pieces.records && whole.sum == pieces.sum);
}

/* One by one as the follower does, in a file of which they are the first lap or a later one. */
static void as_follower(uint32_t format, unsigned choice, const uint8_t *data, size_t size)
{
    struct redo_log log = {.format = format,
                           .first_lsn = 0x3000,
                           .file_size = 0x3000 + (4u << 20),
                           .capacity = 4u << 20,
                           .encrypted = choice & ENCRYPTED};
    uint64_t lsn = LSN + (choice & LATER_LAP ? log.capacity : 0);
    REQUIRE(redo_offset(&log, lsn) >= REDO_START_OFFSET && redo_offset(&log, lsn) < log.file_size);
    struct seen s = {.data = data, .size = size};
    struct redo_visitor visitor = visitor_of(&s);
    for (size_t at = 0, length, end; at < size; at += length) {
        enum redo_result result =
            redo_parse_mtr(&log, lsn + at, data + at, size - at, &visitor, &length, &end);
        if (result != REDO_MTR) {
            REQUIRE(result == REDO_END || size - at <= REDO_MTR_MAX + 13);
            return;
        }
        REQUIRE(length <= size - at && end < length);
        REQUIRE(data[at + end] == redo_sequence_bit(&log, lsn + at + end));
    }
}

/* Records (all of the input) as one mini-transaction with a right end. */
static void as_records(uint32_t format, unsigned choice, const uint8_t *data, size_t size)
{
    size_t nonce = choice & ENCRYPTED ? NONCE_SIZE : 0, total = size + 1 + nonce + 4;
    uint8_t *mtr = calloc(1, total);
    REQUIRE(mtr);
    if (size)
        memcpy(mtr, data, size);
    mtr[size] = !(choice & LATER_LAP);
    struct bytes_writer w = bytes_writer(mtr, total);
    bytes_writer_seek(&w, total - 4);
    bytes_put_u32(&w, page_crc32c(page_crc32c(0, mtr, size), mtr + size + 1, nonce));
    as_follower(format, choice, mtr, total);
    mtr[size] = 1;
    in_pieces(format, choice & ENCRYPTED, mtr, total, 1 + size / 3);
    free(mtr);
}

/* 512 bytes of header and the two checkpoint blocks of 64. */
static void as_header(unsigned choice, const uint8_t *data, size_t size)
{
    uint8_t *file = calloc(1, REDO_START_OFFSET);
    REQUIRE(file);
    struct bytes_reader r = bytes_reader(data, size);
    uint64_t file_size = bytes_get_u64(&r);
    static const struct {
        size_t at, size;
    } parts[] = {{0, REDO_HEADER_SIZE}, {REDO_CHECKPOINT_1, 64}, {REDO_CHECKPOINT_2, 64}};
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        size_t n = bytes_left(&r) < parts[i].size ? bytes_left(&r) : parts[i].size;
        if (n)
            memcpy(file + parts[i].at, bytes_take(&r, n), n);
        struct bytes_writer w = bytes_writer(file + parts[i].at, parts[i].size);
        bytes_writer_seek(&w, parts[i].size - 4);
        if (choice & SEALED)
            bytes_put_u32(&w, page_crc32c(0, file + parts[i].at, parts[i].size - 4));
    }
    struct redo_log log;
    struct gb_error error = {0};
    bool ok = redo_parse_header(file, file_size, &log, &error);
    REQUIRE(ok == !error.code);
    if (ok) {
        REQUIRE(log.capacity && log.checkpoint_lsn >= log.first_lsn &&
                log.end_lsn >= log.checkpoint_lsn);
        REQUIRE(redo_offset(&log, log.checkpoint_lsn) < log.file_size &&
                strlen(log.creator) < sizeof log.creator);
        redo_sequence_bit(&log, log.end_lsn);
    }
    free(file);
}

int fuzz_input(const uint8_t *data, size_t size)
{
    if (!size)
        return 0;
    unsigned choice = data[0];
    uint32_t format = choice & FORMAT_11 ? REDO_FORMAT_ENC_11 : REDO_FORMAT_10_8;
    data++;
    size--;
    if (choice & AS_HEADER)
        as_header(choice, data, size);
    else if (choice & SEALED)
        as_records(format, choice, data, size);
    else {
        as_follower(format, choice, data, size);
        in_pieces(format, choice & ENCRYPTED, data, size, 1 + size % 4099);
    }
    return 0;
}
