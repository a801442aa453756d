/*
  The ib_logfile0 of a restored directory; see redo_writer.h.

  Only what the server reads is written, field by field: whatever else the source's header may hold
  does not travel. Depends on bytes, page (CRC-32C) and redo (offsets). No I/O here: the restore
  writes.
*/
#include "common/redo_writer.h"
#include "common/bytes.h"
#include "common/page.h"

#include <inttypes.h>
#include <stdio.h>

#define HEADER_FIRST_LSN_AT 8u
#define HEADER_CREATOR_AT   16u
#define HEADER_CREATOR_SIZE 32u
#define HEADER_CRYPT_AT     48u /* key id, key version, message, nonce: log0crypt.cc */
#define HEADER_CRYPT_SIZE   32u
#define HEADER_CRC_AT       508u
#define CHECKPOINT_CRC_AT   60u
#define PADDING_MIN         16u   /* so that recovery finds zeros at L, not the end of the file */
#define ALIGNMENT           4096u /* innodb_log_file_size is a multiple of it */

/* "unfinished galera-backup": a number that no server has used for a format */
#define FORMAT_UNFINISHED 0x75676275u

/* The server stops with "Unsupported redo log format. The redo log was created with" and this. */
static const char UNFINISHED[] = "an unfinished restore";

static void put_creator(struct bytes_writer *w, const char *creator)
{
    char field[HEADER_CREATOR_SIZE + 1] = "";
    snprintf(field, sizeof field, "%s", creator);
    bytes_writer_seek(w, HEADER_CREATOR_AT);
    bytes_put(w, field, HEADER_CREATOR_SIZE);
}

static void put_crc(struct bytes_writer *w, size_t block, size_t size)
{
    bytes_writer_seek(w, block + size);
    bytes_put_u32(w, page_crc32c(0, w->data + block, size));
}

bool redo_writer_header(const uint8_t *source_header, uint64_t checkpoint_lsn,
                        uint64_t checkpoint_end_lsn, uint64_t end, const char *server_version,
                        uint8_t *out, struct gb_error *error)
{
    if (checkpoint_lsn > checkpoint_end_lsn || checkpoint_end_lsn >= end)
        return error_set(error, GB_internal,
                         "a redo log from LSN %" PRIu64 " to %" PRIu64
                         " whose checkpoint record is at %" PRIu64 " can't be recovered from",
                         checkpoint_lsn, end, checkpoint_end_lsn);
    char creator[HEADER_CREATOR_SIZE + 1];
    snprintf(creator, sizeof creator, "Backup %s", server_version);
    struct bytes_reader r = bytes_reader(source_header, REDO_HEADER_SIZE);
    struct bytes_writer w = bytes_writer(out, REDO_START_OFFSET);
    memset(out, 0, REDO_START_OFFSET);
    bytes_put_u32(&w, bytes_get_u32(&r)); /* format */
    bytes_writer_seek(&w, HEADER_FIRST_LSN_AT);
    bytes_put_u64(&w, checkpoint_lsn);
    put_creator(&w, creator);
    bytes_seek(&r, HEADER_CRYPT_AT);
    bytes_writer_seek(&w, HEADER_CRYPT_AT);
    bytes_put(&w, bytes_take(&r, HEADER_CRYPT_SIZE), HEADER_CRYPT_SIZE);
    put_crc(&w, 0, HEADER_CRC_AT);
    bytes_writer_seek(&w, REDO_CHECKPOINT_1);
    bytes_put_u64(&w, checkpoint_lsn);
    bytes_put_u64(&w, checkpoint_end_lsn);
    put_crc(&w, REDO_CHECKPOINT_1, CHECKPOINT_CRC_AT);
    return true;
}

uint64_t redo_writer_file_size(uint64_t redo_bytes)
{
    uint64_t size = REDO_START_OFFSET + redo_bytes + PADDING_MIN;
    return size % ALIGNMENT ? size : size + PADDING_MIN;
}

void redo_writer_unfinished(uint8_t *out)
{
    struct bytes_writer w = bytes_writer(out, REDO_START_OFFSET);
    memset(out, 0, REDO_START_OFFSET);
    bytes_put_u32(&w, FORMAT_UNFINISHED);
    put_creator(&w, UNFINISHED);
    put_crc(&w, 0, HEADER_CRC_AT);
}
