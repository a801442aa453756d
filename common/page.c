/*
  One InnoDB page; see page.h for the formats and the server's functions that define them.

  The rule followed here: a page that mariadbd would read with a non-strict
  innodb_checksum_algorithm is not called corrupt, and a page whose bytes no checksum covers is
  never called whole. So the checksums of servers before 10.6 are still computed when the current
  one does not match: a data directory keeps pages written by all the servers it ever had.

  Depends on bytes and space (the format of the page). Nothing here may assume that the content is
  sane: any bytes may arrive, torn in any place.
*/
#include "common/page.h"
#include "common/bytes.h"

/* FIL header and trailer: fil0fil.h */
#define FIL_CHECKSUM_AT 0u /* full_crc32: key version, 0 in a page that is not encrypted */
#define FIL_PAGE_NO_AT  4u
#define FIL_LSN_AT      16u
#define FIL_TYPE_AT     24u
#define FIL_FLUSH_LSN_AT                                                                           \
    26u /* older format: 0, or key version and checksum of an encrypted page                       \
         */
#define FIL_CRYPT_CHECKSUM_AT 30u
#define FIL_SPACE_ID_AT       34u
#define FIL_DATA_AT           38u
#define FIL_TRAILER_SIZE      8u
#define LSN_LOW               4u /* offset of its low half in an LSN */
#define CRC_SIZE              4u

#define NO_CHECKSUM                0xDEADBEEFu
#define TYPE_FCRC32_COMPRESSED_BIT 0x8000u
#define FCRC32_COMPRESSED_SHIFT    8u

/* PAGE_COMPRESSED before full_crc32: fil0pagecompress.cc */
#define TYPE_COMPRESSED           34354u
#define TYPE_COMPRESSED_ENCRYPTED 37401u
#define COMPRESSED_SIZE_AT        FIL_DATA_AT
#define COMPRESSED_ALGORITHM_AT   (FIL_FLUSH_LSN_AT + 6u)
#define COMPRESSED_HEADER         (FIL_DATA_AT + 2u)
#define CRYPT_ALGORITHM_AT        (FIL_DATA_AT + 2u)
#define CRYPT_COMPRESSED_HEADER   (FIL_DATA_AT + 4u)
#define ALGORITHM_MAX             6u /* zlib, lz4, lzo, lzma, bzip2, snappy */

#define ZERO_STEP 64u

/* ---- CRC-32C ---- */

#define POLYNOMIAL 0x82F63B78u /* Castagnoli, reflected */
#define LANE       256u /* bytes of each of the three streams that the processor works on at once */

static uint32_t crc_table[8][256];
/* What LANE zero bytes make of a register, for each value of each of its four bytes: the operation
 * is linear. */
static uint32_t crc_skip[4][256];

static uint32_t crc_tables(uint32_t crc, const uint8_t *p, size_t size)
{
    for (; size >= 8; p += 8, size -= 8) {
        crc ^= (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
        crc = crc_table[7][crc & 255] ^ crc_table[6][crc >> 8 & 255] ^
              crc_table[5][crc >> 16 & 255] ^ crc_table[4][crc >> 24] ^ crc_table[3][p[4]] ^
              crc_table[2][p[5]] ^ crc_table[1][p[6]] ^ crc_table[0][p[7]];
    }
    for (; size; p++, size--)
        crc = crc >> 8 ^ crc_table[0][(crc ^ *p) & 255];
    return crc;
}

typedef uint32_t crc_function(uint32_t crc, const uint8_t *p, size_t size);

static crc_function *crc_run = crc_tables;

#if defined(__x86_64__)
static uint64_t word_at(const uint8_t *p)
{
    uint64_t word;
    memcpy(&word, p, sizeof word);
    return word;
}

static uint32_t skip_lane(uint64_t crc)
{
    return crc_skip[0][crc & 255] ^ crc_skip[1][crc >> 8 & 255] ^ crc_skip[2][crc >> 16 & 255] ^
           crc_skip[3][crc >> 24 & 255];
}

/* The instruction takes 3 cycles but one can start at each: three independent streams keep it busy.
 */
__attribute__((target("sse4.2"))) static uint32_t crc_sse42(uint32_t crc, const uint8_t *p,
                                                            size_t size)
{
    uint64_t a = crc;
    for (; size >= 3 * LANE; p += 3 * LANE, size -= 3 * LANE) {
        uint64_t b = 0, c = 0;
        for (size_t i = 0; i < LANE; i += 8) {
            a = __builtin_ia32_crc32di(a, word_at(p + i));
            b = __builtin_ia32_crc32di(b, word_at(p + LANE + i));
            c = __builtin_ia32_crc32di(c, word_at(p + 2 * LANE + i));
        }
        a = skip_lane(skip_lane(a) ^ b) ^ c;
    }
    for (; size >= 8; p += 8, size -= 8)
        a = __builtin_ia32_crc32di(a, word_at(p));
    crc = (uint32_t)a;
    for (; size; p++, size--)
        crc = __builtin_ia32_crc32qi(crc, *p);
    return crc;
}
#endif

/* Before main() and before a plugin's init function: no thread can be in page_crc32c() yet. */
__attribute__((constructor)) static void crc_begin(void)
{
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t crc = i;
        for (int bit = 0; bit < 8; bit++)
            crc = crc & 1 ? crc >> 1 ^ POLYNOMIAL : crc >> 1;
        crc_table[0][i] = crc;
    }
    for (uint32_t i = 0; i < 256; i++)
        for (int t = 1; t < 8; t++)
            crc_table[t][i] = crc_table[t - 1][i] >> 8 ^ crc_table[0][crc_table[t - 1][i] & 255];
#if defined(__x86_64__)
    static const uint8_t zeros[LANE];
    for (uint32_t i = 0; i < 256; i++)
        for (int byte = 0; byte < 4; byte++)
            crc_skip[byte][i] = crc_tables(i << 8 * byte, zeros, LANE);
    if (__builtin_cpu_supports("sse4.2"))
        crc_run = crc_sse42;
#endif
}

uint32_t page_crc32c(uint32_t crc, const void *data, size_t size)
{
    return ~crc_run(~crc, data, size);
}

uint32_t page_crc32c_portable(uint32_t crc, const void *data, size_t size)
{
    return ~crc_tables(~crc, data, size);
}

/* ---- fields ---- */

uint32_t page_key_version(const struct space_format *format, const uint8_t *page)
{
    return bytes_u32_at(page, format->page_size,
                        format->full_crc32 ? FIL_CHECKSUM_AT : FIL_FLUSH_LSN_AT);
}

uint64_t page_lsn(const uint8_t *page)
{
    return bytes_u64_at(page, FIL_DATA_AT, FIL_LSN_AT);
}

uint32_t page_space_id(const uint8_t *page)
{
    return bytes_u32_at(page, FIL_DATA_AT, FIL_SPACE_ID_AT);
}

bool page_is_zero(const uint8_t *page, size_t size)
{
    /* A used page fails at the first step. In the second, each step of bytes equals the one before
       it, so all equal the first; memcmp() is the fastest loop there is. */
    static const uint8_t zeros[ZERO_STEP];
    return !memcmp(page, zeros, ZERO_STEP) && !memcmp(page, page + ZERO_STEP, size - ZERO_STEP);
}

/* Low half of the LSN, written at both ends of a page: a tear between them shows. */
static bool same_lsn(const uint8_t *page, uint32_t size, uint32_t end_lsn_at)
{
    return bytes_u32_at(page, size, FIL_LSN_AT + LSN_LOW) == bytes_u32_at(page, size, end_lsn_at);
}

/* ---- full_crc32 ---- */

static enum page_state verify_full_crc32(const uint8_t *page, uint32_t page_size)
{
    uint32_t size = page_size, type = bytes_u16_at(page, page_size, FIL_TYPE_AT);
    bool compressed = type & TYPE_FCRC32_COMPRESSED_BIT;
    if (compressed) {
        size = (type & ~TYPE_FCRC32_COMPRESSED_BIT) << FCRC32_COMPRESSED_SHIFT;
        if (!size || size >= page_size)
            return PAGE_CORRUPT;
    }
    uint32_t crc_at = size - CRC_SIZE;
    if (page_crc32c(0, page, crc_at) != bytes_u32_at(page, size, crc_at))
        return PAGE_CORRUPT;
    bool encrypted = bytes_u32_at(page, size, FIL_CHECKSUM_AT) != 0;
    if (!compressed && !encrypted && !same_lsn(page, size, size - FIL_TRAILER_SIZE))
        return PAGE_CORRUPT;
    return PAGE_WHOLE;
}

/* ---- older formats: checksums ---- */

static uint32_t crc_old(const uint8_t *page, uint32_t size)
{
    return page_crc32c(0, page + FIL_PAGE_NO_AT, FIL_FLUSH_LSN_AT - FIL_PAGE_NO_AT) ^
           page_crc32c(0, page + FIL_DATA_AT, size - FIL_DATA_AT - FIL_TRAILER_SIZE);
}

/* innodb_checksum_algorithm=innodb, the default until 10.2 (ut0rnd.h) */
static uint32_t fold(const uint8_t *p, size_t size)
{
    const uint32_t mask = 1463735687u, mask2 = 1653893711u;
    uint32_t sum = 0;
    for (size_t i = 0; i < size; i++)
        sum = ((((sum ^ p[i] ^ mask2) << 8) + sum) ^ mask) + p[i];
    return sum;
}

static uint32_t fold_page(const uint8_t *page, uint32_t size)
{
    return fold(page + FIL_PAGE_NO_AT, FIL_FLUSH_LSN_AT - FIL_PAGE_NO_AT) +
           fold(page + FIL_DATA_AT, size - FIL_DATA_AT - FIL_TRAILER_SIZE);
}

static uint32_t crc_zip(const uint8_t *page, uint32_t size)
{
    return page_crc32c(0, page + FIL_PAGE_NO_AT, FIL_LSN_AT - FIL_PAGE_NO_AT) ^
           page_crc32c(0, page + FIL_TYPE_AT, FIL_FLUSH_LSN_AT - FIL_TYPE_AT) ^
           page_crc32c(0, page + FIL_SPACE_ID_AT, size - FIL_SPACE_ID_AT);
}

static uint32_t adler(uint32_t sum, const uint8_t *p, size_t size)
{
    const uint32_t base = 65521u;
    uint32_t a = sum & 0xffff, b = sum >> 16;
    for (size_t i = 0; i < size; i++) {
        a = (a + p[i]) % base;
        b = (b + a) % base;
    }
    return b << 16 | a;
}

/* InnoDB starts at 0, not at the 1 of RFC 1950. */
static uint32_t adler_zip(const uint8_t *page, uint32_t size)
{
    uint32_t sum = adler(0, page + FIL_PAGE_NO_AT, FIL_LSN_AT - FIL_PAGE_NO_AT);
    sum = adler(sum, page + FIL_TYPE_AT, FIL_FLUSH_LSN_AT - FIL_TYPE_AT);
    return adler(sum, page + FIL_SPACE_ID_AT, size - FIL_SPACE_ID_AT);
}

/* ---- older formats: pages ---- */

static enum page_state verify_old(const uint8_t *page, uint32_t size)
{
    if (!same_lsn(page, size, size - CRC_SIZE))
        return PAGE_CORRUPT;
    uint32_t first = bytes_u32_at(page, size, FIL_CHECKSUM_AT);
    uint32_t last = bytes_u32_at(page, size, size - FIL_TRAILER_SIZE);
    uint32_t crc = crc_old(page, size);
    if (first == crc && last == crc)
        return PAGE_WHOLE;
    if (last != bytes_u32_at(page, size, FIL_LSN_AT) && last != NO_CHECKSUM &&
        last != fold(page, FIL_FLUSH_LSN_AT))
        return PAGE_CORRUPT;
    if (first == 0 || first == NO_CHECKSUM)
        return PAGE_UNVERIFIABLE;
    return first == fold_page(page, size) ? PAGE_WHOLE : PAGE_CORRUPT;
}

static enum page_state verify_zip(const uint8_t *page, uint32_t size)
{
    uint32_t stored = bytes_u32_at(page, size, FIL_CHECKSUM_AT);
    if (stored == crc_zip(page, size))
        return PAGE_WHOLE;
    if (stored == NO_CHECKSUM)
        return PAGE_UNVERIFIABLE;
    return stored == adler_zip(page, size) ? PAGE_WHOLE : PAGE_CORRUPT;
}

/* The checksum of the cipher text, behind the key version. Header and trailer are in clear, so the
   LSN stands at both ends here too. PAGE_CORRUPT may also mean: not an encrypted page. */
static enum page_state verify_encrypted(const uint8_t *page, uint32_t size, bool zip)
{
    if (!bytes_u32_at(page, size, FIL_FLUSH_LSN_AT))
        return PAGE_CORRUPT;
    if (!zip && !same_lsn(page, size, size - CRC_SIZE))
        return PAGE_CORRUPT;
    uint32_t stored = bytes_u32_at(page, size, FIL_CRYPT_CHECKSUM_AT);
    if (stored == (zip ? crc_zip(page, size) : crc_old(page, size)))
        return PAGE_WHOLE;
    if (stored == NO_CHECKSUM)
        return PAGE_UNVERIFIABLE;
    /* The Adler-32 of zeros is 0, and what was encrypted is not zeros. */
    uint32_t older = zip ? adler_zip(page, size) : fold_page(page, size);
    return stored && stored == older ? PAGE_WHOLE : PAGE_CORRUPT;
}

/* The checksum is inside what is compressed; only the header can be looked at. */
static enum page_state verify_compressed(const uint8_t *page, uint32_t size, bool encrypted)
{
    uint32_t header = encrypted ? CRYPT_COMPRESSED_HEADER : COMPRESSED_HEADER;
    uint32_t length = bytes_u16_at(page, size, COMPRESSED_SIZE_AT);
    uint32_t algorithm =
        bytes_u16_at(page, size, encrypted ? CRYPT_ALGORITHM_AT : COMPRESSED_ALGORITHM_AT);
    if (bytes_u32_at(page, size, FIL_CHECKSUM_AT) != NO_CHECKSUM)
        return PAGE_CORRUPT;
    if (!length || length > size - header || !algorithm || algorithm > ALGORITHM_MAX)
        return PAGE_CORRUPT;
    bool key_version = bytes_u32_at(page, size, FIL_FLUSH_LSN_AT) != 0;
    return key_version == encrypted ? PAGE_UNVERIFIABLE : PAGE_CORRUPT;
}

/* Before 10.1 the server stamped FIL_PAGE_FILE_FLUSH_LSN on the first page of each file of the
   system tablespace, even on one never used. */
static bool only_flush_lsn(const uint8_t *page, uint32_t size)
{
    for (uint32_t i = 0; i < size; i++)
        if (page[i] && (i < FIL_FLUSH_LSN_AT || i >= FIL_SPACE_ID_AT))
            return false;
    return true;
}

static enum page_state verify_older(const struct space_format *format, const uint8_t *page)
{
    uint32_t size = format->page_size, type = bytes_u16_at(page, size, FIL_TYPE_AT);
    if (format->page_compressed && (type == TYPE_COMPRESSED || type == TYPE_COMPRESSED_ENCRYPTED))
        return verify_compressed(page, size, type == TYPE_COMPRESSED_ENCRYPTED);
    /* What looks like a key version may be R-tree or flush LSN data: both readings are tried. */
    enum page_state as_encrypted = verify_encrypted(page, size, format->zip);
    if (as_encrypted == PAGE_WHOLE)
        return PAGE_WHOLE;
    enum page_state plain = format->zip ? verify_zip(page, size) : verify_old(page, size);
    return plain == PAGE_CORRUPT ? as_encrypted : plain;
}

enum page_state page_verify(const struct space_format *format, uint32_t page_no,
                            const uint8_t *page)
{
    if (page_is_zero(page, format->page_size))
        return PAGE_ZERO;
    if (!format->full_crc32 && !format->zip && only_flush_lsn(page, format->page_size))
        return PAGE_WHOLE;
    if (bytes_u32_at(page, format->page_size, FIL_PAGE_NO_AT) != page_no)
        return PAGE_CORRUPT;
    return format->full_crc32 ? verify_full_crc32(page, format->page_size)
                              : verify_older(format, page);
}

bool page_seal(const struct space_format *format, uint8_t *page)
{
    uint32_t size = format->page_size, type = bytes_u16_at(page, size, FIL_TYPE_AT);
    struct bytes_writer w = bytes_writer(page, size);
    if (format->full_crc32) {
        if (bytes_u32_at(page, size, FIL_CHECKSUM_AT) || type & TYPE_FCRC32_COMPRESSED_BIT)
            return false;
        bytes_writer_seek(&w, size - CRC_SIZE);
        bytes_put_u32(&w, page_crc32c(0, page, size - CRC_SIZE));
        return true;
    }
    if (type == TYPE_COMPRESSED || type == TYPE_COMPRESSED_ENCRYPTED ||
        verify_encrypted(page, size, format->zip) != PAGE_CORRUPT)
        return false;
    if (format->zip) {
        bytes_put_u32(&w, crc_zip(page, size));
        return true;
    }
    uint32_t crc = crc_old(page, size);
    bytes_put_u32(&w, crc);
    bytes_writer_seek(&w, size - FIL_TRAILER_SIZE);
    bytes_put_u32(&w, crc);
    return true;
}
