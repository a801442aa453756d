/*
  What page 0 and the extent descriptors say of a tablespace file: its format, size, free limit,
  which pages are free.

  Sources: storage/innobase/include/fsp0types.h (flags), fsp0fsp.h (FSP header, XDES), trx0sys.h
  (doublewrite). Depends on bytes and error only. The caller reads the pages; nothing here does I/O.
*/
#ifndef GB_COMMON_SPACE_H
#define GB_COMMON_SPACE_H

#include "common/error.h"

#include <stdint.h>

#define SPACE_ID_NONE       0xFFFFFFFFu
#define SPACE_PAGE_SIZE_MAX 65536u

/* Shape of the pages of one tablespace file. */
struct space_format {
    uint32_t page_size;    /* bytes of a page in the file (ROW_FORMAT=COMPRESSED: 1024 .. 16384) */
    uint32_t logical_size; /* bytes of an uncompressed page: innodb_page_size, 4096 .. 65536 */
    bool full_crc32;       /* marker of innodb_checksum_algorithm=full_crc32 in the flags */
    bool zip;              /* ROW_FORMAT=COMPRESSED */
    bool page_compressed;  /* PAGE_COMPRESSED=1 (holes are punched behind each compressed page) */
    uint8_t compression;   /* algorithm of page_compressed where full_crc32 flags hold it, else 0 */
    bool crypt; /* page 0 holds crypt data: pages may be encrypted; false if cut before */
};

struct space_info {
    struct space_format format;
    uint32_t id;    /* space id of page 0 */
    uint32_t flags; /* FSP_SPACE_FLAGS */
    uint32_t size;  /* FSP_SIZE, pages */
    uint32_t
        free_limit; /* FSP_FREE_LIMIT: pages from here on were never initialised; may be > size */
};

/* Parses page 0. data holds at least the first `size` bytes of the file (size >= 1024; give 64 KiB
   where the file has them). Verifies flags for plausibility, that the space id is the same in both
   its places, that page number is 0; NOT the checksum (use page_verify() with the format found).
   Page 0 is never encrypted or compressed. Flags that 10.1.0 to 10.1.20 wrote wrongly are refused;
   a newer server corrects them when it opens the table. A start of 1024 zero bytes answers false
   with *zero = true and no error: page 0 has not been written. Errors: GB_corrupt_page (text names
   what is implausible). */
bool space_parse(const uint8_t *data, size_t size, struct space_info *info, bool *zero,
                 struct gb_error *error);

/* Page number of the extent descriptor page that describes page_no (0 or a multiple of the page
   size, counted in pages: fsp0fsp.h xdes_calc_descriptor_page). */
uint32_t space_xdes_page(const struct space_format *format, uint32_t page_no);

/* Whether the extent descriptors call page_no free. xdes is the verified page
   space_xdes_page(page_no) of the same space, in full. Descriptor pages, the change buffer bitmap
   and pages of an extent in a state that is not known (uninitialised ones beyond the free limit
   too) are never free. Pages are shared out in extents of logical, not physical, page size:
   fsp0types.h FSP_EXTENT_SIZE. */
bool space_page_free(const struct space_format *format, const uint8_t *xdes, uint32_t page_no);

/* Place of the doublewrite buffer: first pages of its two blocks of *pages pages each, from the
   TRX_SYS page (space 0, page 5, in full and verified). False where none has been created. The
   numbers are as they stand on the page: whether they lie inside the file is for the caller to see.
 */
bool space_doublewrite(const struct space_format *format, const uint8_t *trx_sys, uint32_t *first,
                       uint32_t *second, uint32_t *pages);

#endif
