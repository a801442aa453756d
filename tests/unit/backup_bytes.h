/* What the files of a backup hold in these tests: bytes that tell where they are from. The redo is
 * one, too, that can be read. */
#ifndef GB_TESTS_BACKUP_BYTES_H
#define GB_TESTS_BACKUP_BYTES_H

#include "common/bytes.h"
#include "common/page.h"
#include "common/wire.h"

#define MTR_SIZE  20u  /* of each mini-transaction: a test's redo is so many whole ones */
#define MTR_WRITE 0x3e /* a WRITE record of 14 bytes */

/* A mini-transaction that writes to a page of tablespace 5 how many are before it. */
static inline uint8_t redo_byte_of(uint64_t offset)
{
    uint8_t mtr[MTR_SIZE] = {MTR_WRITE, 5, 3, 60};
    struct bytes_writer w = bytes_writer(mtr, sizeof mtr);
    bytes_writer_seek(&w, 4);
    bytes_put_u64(&w, offset / MTR_SIZE);
    bytes_writer_seek(&w, 15);
    bytes_put_u8(&w, 1);
    bytes_put_u32(&w, page_crc32c(0, mtr, 15));
    return mtr[offset % MTR_SIZE];
}

static inline uint8_t byte_of(uint32_t file_no, uint64_t offset)
{
    return file_no == WIRE_FILE_REDO ? redo_byte_of(offset)
                                     : (uint8_t)(file_no * 31 + offset * 7 / 5);
}

#endif
