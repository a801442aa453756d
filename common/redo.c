/*
  InnoDB's redo log; see redo.h.

  The follower hands in bytes of a file that the server is writing: behind the newest
  mini-transaction stand bytes of an older lap, and a block may be caught half written. So nothing
  is believed before the end byte and the CRC-32C of a whole mini-transaction are right, every
  length is compared with what is there, and a mini-transaction whose CRC is right but whose records
  make no sense is refused as a whole rather than visited in part: a file operation that is lost
  silently would make a backup wrong.

  Depends on bytes and page (CRC-32C).
*/
#include "common/redo.h"
#include "common/bytes.h"
#include "common/page.h"

#include <inttypes.h>

/* Header block: log0log.h */
#define HEADER_ZERO_AT      4u
#define HEADER_FIRST_LSN_AT 8u
#define HEADER_CREATOR_AT   16u
#define HEADER_KEY_ID_AT    48u
#define HEADER_CRC_AT       508u
#define FIRST_LSN_MIN       0x3000u
#define FORMAT_10_5         0x50485953u /* "PHYS" */
#define FORMAT_ENCRYPTED    (1u << 31)  /* of 10.5 and before */
#define CHECKPOINT_SIZE     64u
#define CHECKPOINT_ZERO_AT  16u
#define CHECKPOINT_CRC_AT   60u
#define FILE_SIZE_MIN       (REDO_START_OFFSET + 16u) /* one FILE_CHECKPOINT */

/* Mini-transactions: mtr0types.h */
#define END_BYTE_MAX       1u
#define NONCE_SIZE         8u
#define CRC_SIZE           4u
#define FLAG_SAME_PAGE     0x80u /* before any page record: a FILE_* record */
#define FILE_OP_MASK       0xf0u
#define TYPE_MASK          0x70u
#define TYPE_FREE_PAGE     0x00u
#define TYPE_INIT_PAGE     0x10u
#define TYPE_EXTENDED      0x20u
#define TYPE_WRITE         0x30u
#define TYPE_MEMSET        0x40u
#define TYPE_MEMMOVE       0x50u
#define TYPE_RESERVED      0x60u
#define TYPE_OPTION        0x70u
#define FIL_PREV_AT        8u /* FIL_PAGE_PREV; records change no byte before it */
#define FIL_TYPE_AT        24u
#define FIL_SPACE_ID_AT    34u
#define OPT_PAGE_CHECKSUM  0u
#define CHECKSUM_PAYLOAD   5u
#define LENGTH_MASK        0x0fu
#define LENGTH_BIAS        15u
#define SUBTYPE_TRIM_PAGES 10u
#define CHECKPOINT_PAYLOAD 8u

static const char FILE_SUFFIX[] = {'.', 'i', 'b', 'd'};

/* ---- header ---- */

static bool parse_checkpoint(const uint8_t block[CHECKPOINT_SIZE], uint64_t first_lsn,
                             uint64_t *lsn, uint64_t *end_lsn)
{
    *lsn = bytes_u64_at(block, CHECKPOINT_SIZE, 0);
    *end_lsn = bytes_u64_at(block, CHECKPOINT_SIZE, 8);
    for (unsigned at = CHECKPOINT_ZERO_AT; at < CHECKPOINT_CRC_AT; at++)
        if (block[at])
            return false;
    return *lsn >= first_lsn && *end_lsn >= *lsn &&
           bytes_u32_at(block, CHECKPOINT_SIZE, CHECKPOINT_CRC_AT) ==
               page_crc32c(0, block, CHECKPOINT_CRC_AT);
}

static bool check_format(uint32_t format, const char *creator, struct gb_error *error)
{
    if (format == REDO_FORMAT_10_8 || format == REDO_FORMAT_ENC_11)
        return true;
    const char *known =
        (format & ~FORMAT_ENCRYPTED) == FORMAT_10_5 ? "that of 10.5 to 10.7" : "not known";
    return error_set(error, GB_unsupported_server,
                     "the format 0x%08x of ib_logfile0, written by \"%s\", is %s", format, creator,
                     known);
}

bool redo_parse_header(const uint8_t *data, uint64_t file_size, struct redo_log *log,
                       struct gb_error *error)
{
    memset(log, 0, sizeof *log);
    if (file_size < FILE_SIZE_MIN)
        return error_set(error, GB_redo_corrupt, "ib_logfile0 of %" PRIu64 " bytes is too short",
                         file_size);
    if (bytes_u32_at(data, REDO_HEADER_SIZE, HEADER_CRC_AT) != page_crc32c(0, data, HEADER_CRC_AT))
        return error_set(error, GB_redo_corrupt, "the header of ib_logfile0 has a wrong checksum");
    struct bytes_reader r = bytes_reader(data, REDO_START_OFFSET);
    memcpy(log->header, bytes_take(&r, REDO_HEADER_SIZE), REDO_HEADER_SIZE);
    bytes_seek(&r, HEADER_CREATOR_AT);
    memcpy(log->creator, bytes_take(&r, sizeof log->creator - 1), sizeof log->creator - 1);
    log->format = bytes_u32_at(log->header, REDO_HEADER_SIZE, 0);
    if (!check_format(log->format, log->creator, error))
        return false;
    log->first_lsn = bytes_u64_at(log->header, REDO_HEADER_SIZE, HEADER_FIRST_LSN_AT);
    if (bytes_u32_at(log->header, REDO_HEADER_SIZE, HEADER_ZERO_AT) ||
        log->first_lsn < FIRST_LSN_MIN)
        return error_set(error, GB_redo_corrupt, "the header of ib_logfile0 makes no sense");
    log->encrypted = log->format == REDO_FORMAT_ENC_11 ||
                     bytes_u32_at(log->header, REDO_HEADER_SIZE, HEADER_KEY_ID_AT) != 0;
    log->file_size = file_size;
    log->capacity = file_size - REDO_START_OFFSET;
    static const size_t blocks[] = {REDO_CHECKPOINT_1, REDO_CHECKPOINT_2};
    for (size_t i = 0; i < sizeof blocks / sizeof blocks[0]; i++) {
        uint64_t lsn, end_lsn;
        bytes_seek(&r, blocks[i]);
        if (parse_checkpoint(bytes_take(&r, CHECKPOINT_SIZE), log->first_lsn, &lsn, &end_lsn) &&
            lsn >= log->checkpoint_lsn) {
            log->checkpoint_lsn = lsn;
            log->end_lsn = end_lsn;
        }
    }
    if (!log->checkpoint_lsn)
        return error_set(error, GB_redo_corrupt, "ib_logfile0 has no valid checkpoint");
    return true;
}

uint64_t redo_offset(const struct redo_log *log, uint64_t lsn)
{
    return REDO_START_OFFSET + (lsn - log->first_lsn) % log->capacity;
}

uint8_t redo_sequence_bit(const struct redo_log *log, uint64_t lsn)
{
    return !((lsn - log->first_lsn) / log->capacity & 1);
}

/* ---- records ---- */

enum number {
    NUMBER_WHOLE,
    NUMBER_CUT, /* the input ends within it */
    NUMBER_BAD,
};

/* A number of 1 to 5 bytes: the first byte's high bits say how many follow, and each length starts
   where the one before ends (mtr0log.h). */
static enum number get_number(struct bytes_reader *r, uint32_t *value)
{
    static const uint32_t start[] = {0, 0x80, 0x4080, 0x204080, 0x10204080};
    uint8_t first = bytes_get_u8(r);
    if (r->failed)
        return NUMBER_CUT;
    size_t more = first < 0x80 ? 0 : first < 0xc0 ? 1 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
    if (first > 0xf0)
        return NUMBER_BAD;
    uint64_t high = more ? first & (0x7fu >> more) : first;
    uint64_t number = (high << 8 * more | bytes_get_be(r, more)) + start[more];
    if (r->failed)
        return NUMBER_CUT;
    *value = (uint32_t)number;
    return number > UINT32_MAX ? NUMBER_BAD : NUMBER_WHOLE;
}

/* Reads the start of a record; *length is that of the bytes that follow. */
static enum number get_record(struct bytes_reader *r, uint8_t *first, size_t *length)
{
    *first = bytes_get_u8(r);
    *length = *first & LENGTH_MASK;
    if (*length)
        return NUMBER_WHOLE;
    size_t before = r->at;
    uint32_t number = 0;
    enum number result = get_number(r, &number);
    if (result == NUMBER_WHOLE && number >= REDO_MTR_MAX)
        result = NUMBER_BAD;
    *length = number + LENGTH_BIAS - (r->at - before);
    return result;
}

/* Offset of the end byte. Believes nothing but lengths. */
static enum redo_result find_end(const uint8_t *data, size_t available, size_t *end)
{
    struct bytes_reader r = bytes_reader(data, available);
    while (r.at <= REDO_MTR_MAX && bytes_left(&r)) {
        if (data[r.at] <= END_BYTE_MAX) {
            *end = r.at;
            return r.at ? REDO_MTR : REDO_END;
        }
        uint8_t first;
        size_t length;
        enum number result = get_record(&r, &first, &length);
        if (result == NUMBER_BAD)
            return REDO_END;
        if (result == NUMBER_CUT)
            return REDO_PARTIAL;
        if (r.at + length > REDO_MTR_MAX)
            return REDO_END;
        if (!bytes_take(&r, length))
            return REDO_PARTIAL;
    }
    return r.at > REDO_MTR_MAX ? REDO_END : REDO_PARTIAL;
}

/* What a walk over the records of one mini-transaction carries along. */
struct walk {
    const struct redo_visitor *visitor; /* NULL: only look whether all of it makes sense */
    uint64_t lsn;
    bool encrypted;
    bool page_seen;
};

static bool walk_checkpoint(const struct walk *w, struct bytes_reader *payload)
{
    if (bytes_left(payload) == CHECKPOINT_PAYLOAD) {
        uint64_t checkpoint = bytes_get_u64(payload);
        if (checkpoint && w->visitor && w->visitor->checkpoint)
            w->visitor->checkpoint(w->visitor->context, checkpoint, w->lsn);
        return true;
    }
    /* Of any other length it is padding. */
    while (bytes_left(payload))
        if (bytes_get_u8(payload))
            return false;
    return true;
}

/* The next record of a mini-transaction whose lengths find_end() has followed: its first byte, and
 * what follows its length. */
static bool take_record(struct bytes_reader *r, uint8_t *first, struct bytes_reader *payload)
{
    size_t length;
    if (get_record(r, first, &length) != NUMBER_WHOLE)
        return false;
    const uint8_t *bytes = bytes_take(r, length);
    *payload = bytes_reader(bytes, length);
    return bytes;
}

static bool path_plausible(const char *path, size_t size)
{
    return size > sizeof FILE_SUFFIX &&
           !memcmp(path + size - sizeof FILE_SUFFIX, FILE_SUFFIX, sizeof FILE_SUFFIX);
}

static bool walk_file(const struct walk *w, uint8_t first, struct bytes_reader *payload)
{
    enum redo_op op = (enum redo_op)(first & FILE_OP_MASK);
    size_t length = bytes_left(payload);
    if (op == REDO_FILE_CHECKPOINT && length == 1)
        return bytes_get_u8(payload) == 0; /* the shortest padding has no room for ids */
    uint32_t space_id, page_no;
    if (get_number(payload, &space_id) != NUMBER_WHOLE ||
        get_number(payload, &page_no) != NUMBER_WHOLE || page_no)
        return false;
    if (op == REDO_FILE_CHECKPOINT)
        return !space_id && walk_checkpoint(w, payload);
    if (op != REDO_FILE_CREATE && op != REDO_FILE_DELETE && op != REDO_FILE_RENAME &&
        op != REDO_FILE_MODIFY)
        return false;
    size_t size = bytes_left(payload), new_size = 0;
    const char *path = (const char *)bytes_take(payload, size), *new_path = NULL;
    const char *nul = memchr(path, 0, size);
    if ((nul != NULL) != (op == REDO_FILE_RENAME) || !space_id)
        return false;
    if (nul) {
        new_path = nul + 1;
        new_size = size - (size_t)(new_path - path);
        size = (size_t)(nul - path);
        if (!path_plausible(new_path, new_size) || memchr(new_path, 0, new_size))
            return false;
    }
    if (!path_plausible(path, size))
        return false;
    if (w->visitor && w->visitor->file)
        w->visitor->file(w->visitor->context, op, space_id, path, size, new_path, new_size, w->lsn);
    return true;
}

static bool walk_page(const struct walk *w, uint8_t first, struct bytes_reader *payload)
{
    uint32_t space_id, page_no;
    uint8_t type = first & TYPE_MASK;
    if (get_number(payload, &space_id) != NUMBER_WHOLE ||
        get_number(payload, &page_no) != NUMBER_WHOLE)
        return false;
    if ((type == TYPE_FREE_PAGE || type == TYPE_INIT_PAGE) && bytes_left(payload))
        return false;
    bool trim = !w->encrypted && type == TYPE_EXTENDED && bytes_left(payload) == 1 &&
                bytes_get_u8(payload) == SUBTYPE_TRIM_PAGES;
    if (!w->visitor)
        return true;
    if (trim && w->visitor->trim)
        w->visitor->trim(w->visitor->context, space_id, page_no, w->lsn);
    if (type == TYPE_INIT_PAGE && w->visitor->init)
        w->visitor->init(w->visitor->context, space_id, page_no, w->lsn);
    if (!trim && w->visitor->page)
        w->visitor->page(w->visitor->context, space_id, page_no, w->lsn);
    return true;
}

static bool walk_record(struct walk *w, uint8_t first, struct bytes_reader *payload)
{
    uint8_t type = first & TYPE_MASK;
    if (!(first & FLAG_SAME_PAGE)) {
        w->page_seen = true;
        return type != TYPE_RESERVED && walk_page(w, first, payload);
    }
    if (w->page_seen)
        return type != TYPE_RESERVED && type != TYPE_FREE_PAGE && type != TYPE_INIT_PAGE;
    return walk_file(w, first, payload);
}

/* Visits the records of a mini-transaction whose lengths find_end() has followed. False: one makes
 * no sense. */
static bool walk(const uint8_t *data, size_t size, bool encrypted,
                 const struct redo_visitor *visitor, uint64_t lsn)
{
    struct bytes_reader r = bytes_reader(data, size);
    struct walk w = {.visitor = visitor, .lsn = lsn, .encrypted = encrypted};
    while (bytes_left(&r)) {
        uint8_t first;
        struct bytes_reader payload;
        if (!take_record(&r, &first, &payload) || !walk_record(&w, first, &payload))
            return false;
    }
    return true;
}

/* ---- mini-transactions ---- */

/* log is NULL where all sequence bits are 1. */
static enum redo_result parse(uint32_t format, bool encrypted, const struct redo_log *log,
                              uint64_t lsn, const uint8_t *data, size_t available,
                              const struct redo_visitor *visitor, size_t *size, size_t *end_byte)
{
    size_t end;
    enum redo_result result = find_end(data, available, &end);
    if (result != REDO_MTR)
        return result;
    if (data[end] != (log ? redo_sequence_bit(log, lsn + end) : 1))
        return REDO_END;
    size_t nonce_size = encrypted ? NONCE_SIZE : 0;
    struct bytes_reader r = bytes_reader(data, available);
    bytes_seek(&r, end + 1);
    const uint8_t *nonce = bytes_take(&r, nonce_size);
    uint32_t stored = bytes_get_u32(&r);
    if (r.failed)
        return REDO_PARTIAL;
    if (stored != page_crc32c(page_crc32c(0, data, end), nonce, nonce_size))
        return REDO_END;
    if (format == REDO_FORMAT_10_8) {
        if (!walk(data, end, encrypted, NULL, lsn))
            return REDO_END;
        if (visitor)
            walk(data, end, encrypted, visitor, lsn);
    }
    *size = r.at;
    *end_byte = end;
    return REDO_MTR;
}

enum redo_result redo_parse_mtr(const struct redo_log *log, uint64_t lsn, const uint8_t *data,
                                size_t available, const struct redo_visitor *visitor, size_t *size,
                                size_t *end_byte)
{
    return parse(log->format, log->encrypted, log, lsn, data, available, visitor, size, end_byte);
}

enum redo_result redo_parse_flat_mtr(uint32_t format, bool encrypted, uint64_t lsn,
                                     const uint8_t *data, size_t available,
                                     const struct redo_visitor *visitor, size_t *size)
{
    size_t end_byte;
    return parse(format, encrypted, NULL, lsn, data, available, visitor, size, &end_byte);
}

/* ---- records that count for nothing ---- */

/* One that recovery takes for a page's checksum would be compared with the page. */
static void forget_record(uint8_t *record, uint8_t *payload, size_t size)
{
    *record = (uint8_t)((*record & ~TYPE_MASK) | TYPE_OPTION);
    if (size == CHECKSUM_PAYLOAD && !*payload)
        *payload = 0xff; /* no kind of OPTION */
}

/* A FILE_DELETE or FILE_RENAME is made a FILE_MODIFY, in place of two names with one that no file
   has: recovery finds nothing there and leaves it at that. Where it finds nothing it looks for the
   last two parts of the name in the data directory (fil_ibd_discover() in fil/fil0fil.cc): the last
   part is made one that no table has. */
static bool forget_file(uint8_t *record, uint8_t *paths, size_t size)
{
    uint8_t op = *record & FILE_OP_MASK, *second = memchr(paths, 0, size);
    if (op != REDO_FILE_DELETE && op != REDO_FILE_RENAME)
        return false;
    *record = (uint8_t)((*record & ~FILE_OP_MASK) | REDO_FILE_MODIFY);
    for (; second && op == REDO_FILE_RENAME && second < paths + size; second++)
        if (!*second || *second == '/')
            *second = '_';
    return true;
}

static void put_crc(uint8_t *data, size_t size, size_t end)
{
    struct bytes_writer w = bytes_writer(data, size);
    bytes_writer_seek(&w, end + 1);
    bytes_put_u32(&w, page_crc32c(0, data, end));
}

bool redo_forget(uint8_t *data, size_t size, redo_ignored *ignored, const void *context)
{
    size_t end;
    bool page_seen = false, any = false;
    uint32_t id = 0, page_no;
    if (find_end(data, size, &end) != REDO_MTR || end + 1 + CRC_SIZE != size)
        return false;
    struct bytes_reader r = bytes_reader(data, end);
    while (bytes_left(&r)) {
        uint8_t first, *record = data + r.at;
        struct bytes_reader payload;
        if (!take_record(&r, &first, &payload))
            return false;
        size_t at = r.at - payload.size;
        if (!(first & FLAG_SAME_PAGE) || !page_seen) {
            get_number(&payload, &id);
            get_number(&payload, &page_no);
            page_seen = page_seen || !(first & FLAG_SAME_PAGE);
        }
        if (!ignored(context, id))
            continue;
        if (page_seen) {
            forget_record(record, data + at + payload.at, bytes_left(&payload));
            any = true;
        } else
            any |= forget_file(record, data + at + payload.at, bytes_left(&payload));
    }
    if (any)
        put_crc(data, size, end);
    return any;
}

/* ---- other names ---- */

/* Of one path, or of two with a NUL between. */
static bool rename_paths(char *paths, size_t size, redo_other_name *other, const void *context)
{
    bool any = false;
    for (size_t at = 0, length; at < size; at += length + 1) {
        length = strnlen(paths + at, size - at);
        const char *slash = memrchr(paths + at, '/', length);
        size_t name = slash ? (size_t)(slash - paths) + 1 : at;
        char byte = path_plausible(paths + name, at + length - name)
                        ? other(context, paths + at, length)
                        : 0;
        if (!byte)
            continue;
        paths[name] = byte;
        any = true;
    }
    return any;
}

bool redo_rename_files(uint8_t *data, size_t size, redo_other_name *other, const void *context)
{
    size_t end;
    bool any = false;
    uint32_t number;
    if (find_end(data, size, &end) != REDO_MTR || end + 1 + CRC_SIZE != size)
        return false;
    struct bytes_reader r = bytes_reader(data, end);
    while (bytes_left(&r)) {
        uint8_t first;
        struct bytes_reader payload;
        if (!take_record(&r, &first, &payload))
            return false;
        size_t at = r.at - payload.size;
        if (!(first & FLAG_SAME_PAGE))
            break; /* pages follow, and no files after them */
        if ((first & FILE_OP_MASK) == REDO_FILE_CHECKPOINT)
            continue;
        get_number(&payload, &number);
        get_number(&payload, &number);
        any |= rename_paths((char *)data + at + payload.at, bytes_left(&payload), other, context);
    }
    if (any)
        put_crc(data, size, end);
    return any;
}

/* ---- the first page of a new tablespace ---- */

/* Applies a WRITE, MEMSET or MEMMOVE, whose bytes begin with the distance from *at, where the
   record before it ended: where its own change ends, afterwards. False: it makes no sense, or is no
   such record. */
static bool change_page(uint8_t *page, size_t page_size, uint8_t type, struct bytes_reader *r,
                        size_t *at)
{
    uint32_t distance, count = 0, source = 0;
    if (get_number(r, &distance) != NUMBER_WHOLE ||
        (type != TYPE_WRITE && get_number(r, &count) != NUMBER_WHOLE) ||
        (type == TYPE_MEMMOVE && get_number(r, &source) != NUMBER_WHOLE))
        return false;
    size_t unit = bytes_left(r), length = type == TYPE_WRITE ? unit : count;
    size_t to = *at + distance, back = (source >> 1) + 1;
    const uint8_t *bytes = bytes_take(r, unit);
    if (to < FIL_PREV_AT || to > page_size || length > page_size - to)
        return false;
    *at = to + length;
    switch (type) {
    case TYPE_WRITE:
    case TYPE_MEMSET:
        if (!unit)
            return false;
        for (size_t done = 0, part; done < length; done += part) {
            part = done ? done : unit; /* what there is, repeated */
            if (part > length - done)
                part = length - done;
            memcpy(page + to + done, done ? page + to : bytes, part);
        }
        return true;
    case TYPE_MEMMOVE:
        if (source & 1 && back > to)
            return false;
        size_t from = source & 1 ? to - back : to + back;
        if (unit || from > page_size || length > page_size - from)
            return false;
        memmove(page + to, page + from, length);
        return true;
    default:
        return false;
    }
}

static void init_page_0(uint8_t *page, size_t page_size, uint32_t space_id)
{
    memset(page, 0, page_size);
    struct bytes_writer w = bytes_writer(page, page_size);
    bytes_writer_seek(&w, FIL_PREV_AT);
    bytes_put_u64(&w, UINT64_MAX);
    bytes_writer_seek(&w, FIL_SPACE_ID_AT);
    bytes_put_u32(&w, space_id);
}

bool redo_make_page_0(const uint8_t *mtr, size_t size, uint32_t space_id, uint8_t *page,
                      size_t page_size)
{
    size_t end, place = 0;
    bool page_seen = false, made = false;
    uint32_t id = 0, page_no = 0;
    if (find_end(mtr, size, &end) != REDO_MTR)
        return false;
    struct bytes_reader r = bytes_reader(mtr, end);
    while (bytes_left(&r)) {
        uint8_t first;
        struct bytes_reader payload;
        if (!take_record(&r, &first, &payload))
            return false;
        if (!(first & FLAG_SAME_PAGE) || !page_seen) {
            if (get_number(&payload, &id) != NUMBER_WHOLE ||
                get_number(&payload, &page_no) != NUMBER_WHOLE)
                return false;
            page_seen = page_seen || !(first & FLAG_SAME_PAGE);
            place = 0;
        }
        uint8_t type = first & TYPE_MASK;
        if (!page_seen || id != space_id || page_no || type == TYPE_OPTION)
            continue;
        if (type == TYPE_INIT_PAGE) {
            init_page_0(page, page_size, space_id);
            made = true;
            place = FIL_TYPE_AT;
            continue;
        }
        if (!made || !change_page(page, page_size, type, &payload, &place))
            return false;
    }
    return made;
}
