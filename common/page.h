/*
  One InnoDB page: is it whole, what is its LSN, is it all zero.

  Every format that MariaDB 10.11 to 11.8 can hold: full_crc32 (plain, encrypted, PAGE_COMPRESSED),
  the older crc32, innodb and none checksums, ROW_FORMAT=COMPRESSED, old-format PAGE_COMPRESSED and
  encrypted pages. 10.11 writes only CRC-32C (innodb_checksum_algorithm lost "innodb" and "none"
  in 10.6) but still reads the others unless a strict algorithm is set; so do we. Sources:
  buf0buf.cc buf_page_is_corrupted(), page0zip.cc page_zip_verify_checksum(), fil0crypt.cc
  fil_space_verify_crypt_checksum(), fil0pagecompress.cc.

  What no checksum covers, so that damage to it is not seen: bytes 26 to 37 of pages in older
  formats (flush LSN, space id); bytes 16 to 23 (the LSN) and 26 to 33 of ROW_FORMAT=COMPRESSED
  pages; in both, when encrypted, bytes 0 to 3 and 26 to 29 (the key version) but not 30 to 33, and
  four bytes before the last four; in compressed full_crc32 pages all that stands behind the
  payload.
*/
#ifndef GB_COMMON_PAGE_H
#define GB_COMMON_PAGE_H

#include "common/space.h"

enum page_state {
    PAGE_WHOLE,        /* checksum right (and low LSN, where the format has one) */
    PAGE_ZERO,         /* every byte is zero: never written, or freed and punched */
    PAGE_CORRUPT,      /* torn or damaged: read it again, then fail */
    PAGE_UNVERIFIABLE, /* plausible, but without a checksum: two equal reads are the best there is
                        */
};

/* State of the format->page_size bytes at page, which stand at page_no of the tablespace (counted
   over all files of the system tablespace). A page number in the header that differs is
   PAGE_CORRUPT, in space 0 too: the doublewrite area, which holds images of other pages, must not
   be given. The space id is not compared: the caller knows the file by the id on page 0.
   format->crypt does not matter: encryption may begin while a file is read. */
enum page_state page_verify(const struct space_format *format, uint32_t page_no,
                            const uint8_t *page);

/* Makes the checksum right again after bytes of a whole page have been changed: CRC-32C, as the
   page's format has it. False, and nothing is changed, for an encrypted page or one of
   PAGE_COMPRESSED. */
bool page_seal(const struct space_format *format, uint8_t *page);

/* Version of the key that the page is encrypted with; 0: it is not. In older formats pages of
   spatial indexes have other things there, so that a page that is not encrypted may seem to be. */
uint32_t page_key_version(const struct space_format *format, const uint8_t *page);

/* FIL_PAGE_LSN: in clear text in every format, encrypted ones too. */
uint64_t page_lsn(const uint8_t *page);

/* FIL_PAGE_SPACE_ID at offset 34; meaningless on encrypted or compressed full_crc32 pages. */
uint32_t page_space_id(const uint8_t *page);

/* Whether size bytes (a multiple of 64, not 0) are all zero. */
bool page_is_zero(const uint8_t *page, size_t size);

/* crc32c (Castagnoli) of data continued from crc (0 at the start), by the processor's instruction
   where it has SSE 4.2. A constructor chooses when program or plugin are loaded. */
uint32_t page_crc32c(uint32_t crc, const void *data, size_t size);
/* The same without that instruction; slower by a factor of ten. */
uint32_t page_crc32c_portable(uint32_t crc, const void *data, size_t size);

#endif
