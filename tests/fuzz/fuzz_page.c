/*
  Pages, page 0 and the extent descriptors (page.h, space.h), rollback segment headers (rseg.h).

  Input: u8 choice of the format, u32 page number, u8 whether the checksum is made right first, then
  the page; what is missing of it is zeros.
*/
#include "common/bytes.h"
#include "common/page.h"
#include "common/rseg.h"
#include "tests/fuzz/fuzz.h"

#include <string.h>

static const struct space_format formats[] = {
    {.page_size = 4096, .logical_size = 4096, .full_crc32 = true},
    {.page_size = 16384, .logical_size = 16384, .full_crc32 = true},
    {.page_size = 65536, .logical_size = 65536, .full_crc32 = true},
    {.page_size = 16384,
     .logical_size = 16384,
     .full_crc32 = true,
     .page_compressed = true,
     .compression = 1},
    {.page_size = 4096, .logical_size = 4096},
    {.page_size = 16384, .logical_size = 16384},
    {.page_size = 65536, .logical_size = 65536},
    {.page_size = 4096, .logical_size = 4096, .page_compressed = true},
    {.page_size = 16384, .logical_size = 16384, .page_compressed = true},
    {.page_size = 1024, .logical_size = 16384, .zip = true},
    {.page_size = 1024, .logical_size = 4096, .zip = true},
    {.page_size = 8192, .logical_size = 16384, .zip = true},
    {.page_size = 16384, .logical_size = 16384, .zip = true},
};

#define KEY_VERSION_AT 26u
#define FORMATS        (sizeof formats / sizeof formats[0])

/* Without its key version a page of the older formats is read as one that is not encrypted. */
static bool whole_as_plain(const struct space_format *format, uint32_t page_no, uint8_t *page)
{
    uint8_t version[4];
    memcpy(version, page + KEY_VERSION_AT, sizeof version);
    memset(page + KEY_VERSION_AT, 0, sizeof version);
    bool whole = page_verify(format, page_no, page) == PAGE_WHOLE;
    memcpy(page + KEY_VERSION_AT, version, sizeof version);
    return whole;
}

/* A flip where a checksum covers the content is seen by that checksum. The other one of the older
   formats may be right just then: no page of a server's comes to that, but libFuzzer does, as it
   sees what is compared. */
static void flip(const struct space_format *format, uint32_t page_no, uint8_t *page)
{
    uint32_t at = 38 + page_no % (format->page_size - 38 - 16);
    bool plain = whole_as_plain(format, page_no, page);
    page[at] ^= 0x10;
    bool whole = page_verify(format, page_no, page) == PAGE_WHOLE;
    bool still_plain = whole_as_plain(format, page_no, page);
    page[at] ^= 0x10;
    REQUIRE(plain ? !still_plain : !whole || still_plain);
}

static void read_page(const struct space_format *format, uint32_t page_no, uint8_t *page)
{
    enum page_state state = page_verify(format, page_no, page);
    REQUIRE(state == PAGE_WHOLE || state == PAGE_ZERO || state == PAGE_CORRUPT ||
            state == PAGE_UNVERIFIABLE);
    REQUIRE((state == PAGE_ZERO) == page_is_zero(page, format->page_size));
    REQUIRE(page_verify(format, page_no, page) == state);
    REQUIRE(page_lsn(page) == bytes_u64_at(page, format->page_size, 16));
    bool compressed = format->page_compressed || (format->full_crc32 && page[24] & 0x80);
    if (state == PAGE_WHOLE && !compressed) /* behind a compressed payload there is no checksum */
        flip(format, page_no, page);
}

static void read_descriptors(const struct space_format *format, uint32_t page_no,
                             const uint8_t *page)
{
    uint32_t first, second, pages, xdes = space_xdes_page(format, page_no);
    REQUIRE(xdes <= page_no && page_no - xdes < format->page_size);
    REQUIRE(!space_page_free(format, page, xdes) && !space_page_free(format, page, xdes + 1));
    space_page_free(format, page, page_no);
    if (space_doublewrite(format, page, &first, &second, &pages))
        REQUIRE(pages >= 16);
}

static void read_position(const struct space_format *format, uint8_t *page)
{
    struct rseg_slot slots[RSEG_SLOTS];
    uint8_t uuid[RSEG_UUID_SIZE], other[RSEG_UUID_SIZE] = {1, 2, 3}, again[RSEG_UUID_SIZE];
    int64_t seqno, same;
    char text[RSEG_POSITION_MAX];
    REQUIRE(rseg_slots(page, format->page_size, slots) <= RSEG_SLOTS);
    if (!rseg_position(page, format->page_size, uuid, &seqno)) {
        REQUIRE(!rseg_set_uuid(page, format->page_size, other));
        return;
    }
    REQUIRE(strlen(rseg_position_text(uuid, seqno, text)) < sizeof text);
    REQUIRE(rseg_set_uuid(page, format->page_size, other));
    REQUIRE(rseg_position(page, format->page_size, again, &same));
    REQUIRE(same == seqno && !memcmp(again, other, sizeof other));
}

static void read_first_page(const uint8_t *data, size_t size)
{
    struct space_info info;
    struct gb_error error = {0};
    bool zero;
    if (!space_parse(data, size, &info, &zero, &error)) {
        REQUIRE(zero == !error.code);
        return;
    }
    const struct space_format *f = &info.format;
    REQUIRE(f->logical_size >= 4096 && f->logical_size <= SPACE_PAGE_SIZE_MAX);
    REQUIRE(f->page_size >= 1024 && f->page_size <= f->logical_size &&
            !(f->page_size & (f->page_size - 1)));
    if (f->page_size <= size)
        page_verify(f, 0, data);
}

int fuzz_input(const uint8_t *data, size_t size)
{
    struct bytes_reader r = bytes_reader(data, size);
    const struct space_format *format = &formats[bytes_get_u8(&r) % FORMATS];
    uint32_t page_no = bytes_get_u32(&r);
    bool seal = bytes_get_u8(&r) & 1;
    size_t n = bytes_left(&r) < format->page_size ? bytes_left(&r) : format->page_size;
    const uint8_t *given = bytes_take(&r, n);
    uint8_t *page = calloc(1, format->page_size);
    REQUIRE(page);
    if (given)
        memcpy(page, given, n);
    if (seal && page_seal(format, page) && !page_is_zero(page, format->page_size) &&
        bytes_u32_at(page, format->page_size, 4) == page_no) {
        /* a page that is torn, its LSN different at its ends, stays torn */
        enum page_state state = page_verify(format, page_no, page);
        REQUIRE(state == PAGE_WHOLE || state == PAGE_CORRUPT);
    }
    read_page(format, page_no, page);
    read_descriptors(format, page_no, page);
    read_first_page(page, format->page_size);
    if (given)
        read_first_page(given, n);
    read_position(format, page);
    free(page);
    return 0;
}
