/*
  Page 0 and the extent descriptors; see space.h.

  Everything here comes from a page that may be torn, foreign or hostile: each field is checked
  before it decides how bytes are read, and a descriptor that is not understood never calls a page
  free, because a page called free is not backed up.
*/
#include "common/space.h"
#include "common/bytes.h"

#define SPACE_PARSE_MIN 1024u /* bytes: the smallest page */

/* FIL header and, behind it, the FSP header of page 0: fsp0fsp.h */
#define FIL_PAGE_NO_AT    4u
#define FIL_SPACE_ID_AT   34u
#define FSP_HEADER_AT     38u
#define FSP_SPACE_ID_AT   38u
#define FSP_SIZE_AT       46u
#define FSP_FREE_LIMIT_AT 50u
#define FSP_FLAGS_AT      54u

/* Flags of a full_crc32 file: fsp0types.h */
#define FCRC32_SSIZE_MASK 0xfu
#define FCRC32_MARKER     0x10u
#define FCRC32_ALGO_SHIFT 5u
#define FCRC32_ALGO_MAX   6u
/* Flags of an older file. Bit 10 was DATA_DIR of MySQL 5.6 and means nothing. */
#define OLD_NOT_REDUNDANT    (1u << 0)
#define OLD_ZIP_SHIFT        1u
#define OLD_ATOMIC_BLOBS     (1u << 5)
#define OLD_SSIZE_SHIFT      6u
#define OLD_FIELD_MASK       0xfu
#define OLD_RESERVED         (0x1fu << 11)
#define OLD_PAGE_COMPRESSION (1u << 16)
#define OLD_UNKNOWN          (~0u << 17)
/* Page sizes are 512 << n; older files of 16 KiB pages say 0. */
#define SSIZE_UNIT 512u
#define SSIZE_4K   3u
#define SSIZE_16K  5u
#define SSIZE_64K  7u

/* Extents and their descriptors */
#define EXTENT_SIZE        (1u << 20) /* bytes, of pages below 16 KiB */
#define EXTENT_PAGES_MIN   64u
#define XDES_ARRAY_AT      150u
#define XDES_STATE_AT      20u
#define XDES_BITMAP_AT     24u
#define XDES_BITS_PER_PAGE 2u
#define XDES_FREE          1u /* then FREE_FRAG, FULL_FRAG */
#define XDES_FSEG          4u
#define XDES_OFFSET        0u /* these two pages stand at the start of each run of page_size pages */
#define IBUF_BITMAP_OFFSET 1u

/* The doublewrite header stands at the end of the TRX_SYS page: trx0sys.h */
#define DBLWR_BEFORE_END 200u
#define DBLWR_MAGIC_AT   10u
#define DBLWR_MAGIC      536853855u

static const uint8_t CRYPT_MAGIC[] = {0x73, 0x0e, 0x0c, 0x52, 0x45, 0x74};

static uint32_t extent_pages(const struct space_format *format)
{
    uint32_t pages = EXTENT_SIZE / format->logical_size;
    return pages < EXTENT_PAGES_MIN ? EXTENT_PAGES_MIN : pages;
}

static uint32_t descriptor_size(const struct space_format *format)
{
    return XDES_BITMAP_AT + extent_pages(format) * XDES_BITS_PER_PAGE / 8;
}

static bool parse_full_crc32_flags(uint32_t flags, struct space_format *f)
{
    uint32_t ssize = flags & FCRC32_SSIZE_MASK, algorithm = flags >> FCRC32_ALGO_SHIFT;
    if (ssize < SSIZE_4K || ssize > SSIZE_64K || algorithm > FCRC32_ALGO_MAX)
        return false;
    f->full_crc32 = true;
    f->logical_size = f->page_size = SSIZE_UNIT << ssize;
    f->compression = (uint8_t)algorithm;
    f->page_compressed = algorithm != 0;
    return true;
}

static bool parse_old_flags(uint32_t flags, struct space_format *f)
{
    uint32_t zip = flags >> OLD_ZIP_SHIFT & OLD_FIELD_MASK;
    uint32_t ssize = flags >> OLD_SSIZE_SHIFT & OLD_FIELD_MASK;
    if (flags & (OLD_RESERVED | OLD_UNKNOWN))
        return false;
    if ((flags & OLD_ATOMIC_BLOBS) && !(flags & OLD_NOT_REDUNDANT))
        return false;
    if (ssize && (ssize < SSIZE_4K || ssize == SSIZE_16K || ssize > SSIZE_64K))
        return false;
    if (!ssize)
        ssize = SSIZE_16K;
    if (zip && (zip > ssize || zip > SSIZE_16K || !(flags & OLD_ATOMIC_BLOBS)))
        return false;
    f->logical_size = SSIZE_UNIT << ssize;
    f->page_size = zip ? SSIZE_UNIT << zip : f->logical_size;
    f->zip = zip != 0;
    f->page_compressed = flags & OLD_PAGE_COMPRESSION;
    return true;
}

/* Crypt data stands behind the last descriptor that page 0 has room for; the server adds the
   header's offset twice (fil_space_read_crypt_data()). */
static bool has_crypt_data(const struct space_format *format, const uint8_t *data, size_t size)
{
    struct bytes_reader r = bytes_reader(data, size);
    uint32_t descriptors = format->page_size / extent_pages(format);
    bytes_seek(&r, FSP_HEADER_AT + XDES_ARRAY_AT + descriptors * descriptor_size(format));
    const uint8_t *magic = bytes_take(&r, sizeof CRYPT_MAGIC);
    return magic && !memcmp(magic, CRYPT_MAGIC, sizeof CRYPT_MAGIC);
}

static bool all_zero(const uint8_t *data, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if (data[i])
            return false;
    return true;
}

bool space_parse(const uint8_t *data, size_t size, struct space_info *info, bool *zero,
                 struct gb_error *error)
{
    memset(info, 0, sizeof *info);
    *zero = false;
    if (size < SPACE_PARSE_MIN)
        return error_set(error, GB_corrupt_page, "%zu bytes are too few for a tablespace's page 0",
                         size);
    if (all_zero(data, SPACE_PARSE_MIN)) {
        *zero = true;
        return false;
    }
    uint32_t page_no = bytes_u32_at(data, size, FIL_PAGE_NO_AT);
    uint32_t fil_id = bytes_u32_at(data, size, FIL_SPACE_ID_AT);
    info->id = bytes_u32_at(data, size, FSP_SPACE_ID_AT);
    info->size = bytes_u32_at(data, size, FSP_SIZE_AT);
    info->free_limit = bytes_u32_at(data, size, FSP_FREE_LIMIT_AT);
    info->flags = bytes_u32_at(data, size, FSP_FLAGS_AT);
    if (page_no)
        return error_set(error, GB_corrupt_page, "page 0 calls itself page %u", page_no);
    if (info->id != fil_id)
        return error_set(error, GB_corrupt_page, "page 0 names two space ids, %u and %u", fil_id,
                         info->id);
    if (!(info->flags & FCRC32_MARKER ? parse_full_crc32_flags : parse_old_flags)(info->flags,
                                                                                  &info->format))
        return error_set(error, GB_corrupt_page, "page 0 of space %u has impossible flags 0x%x",
                         info->id, info->flags);
    info->format.crypt = has_crypt_data(&info->format, data, size);
    return true;
}

uint32_t space_xdes_page(const struct space_format *format, uint32_t page_no)
{
    return page_no & ~(format->page_size - 1);
}

bool space_page_free(const struct space_format *format, const uint8_t *xdes, uint32_t page_no)
{
    uint32_t within = page_no - space_xdes_page(format, page_no);
    if (within == XDES_OFFSET || within == IBUF_BITMAP_OFFSET)
        return false;
    uint32_t extent = within / extent_pages(format),
             bit = within % extent_pages(format) * XDES_BITS_PER_PAGE;
    size_t at = XDES_ARRAY_AT + (size_t)extent * descriptor_size(format);
    uint32_t state = bytes_u32_at(xdes, format->page_size, at + XDES_STATE_AT);
    if (state < XDES_FREE || state > XDES_FSEG)
        return false;
    uint64_t bits = bytes_be_at(xdes, format->page_size, at + XDES_BITMAP_AT + bit / 8, 1);
    return bits >> bit % 8 & 1;
}

bool space_doublewrite(const struct space_format *format, const uint8_t *trx_sys, uint32_t *first,
                       uint32_t *second, uint32_t *pages)
{
    struct bytes_reader r = bytes_reader(trx_sys, format->page_size);
    bytes_seek(&r, format->page_size - DBLWR_BEFORE_END + DBLWR_MAGIC_AT);
    if (bytes_get_u32(&r) != DBLWR_MAGIC)
        return false;
    *first = bytes_get_u32(&r);
    *second = bytes_get_u32(&r);
    *pages = extent_pages(format);
    return !r.failed;
}
