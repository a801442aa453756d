/*
  InnoDB's redo log of 10.8 and later (10.11, 11.4, 11.8): header, checkpoints, mini-transactions,
  FILE_* records and the (space, page) of page records.

  The follower in the plugin reads the file; this room reads bytes. Sources: log0log.h, log0recv.cc
  find_checkpoint(), log_parse_start(), parse_tail() and log_parse_file(), mtr0types.h, mtr0log.h,
  log0crypt.cc.
*/
#ifndef GB_COMMON_REDO_H
#define GB_COMMON_REDO_H

#include "common/error.h"

#include <stdint.h>

#define REDO_START_OFFSET  0x3000u /* file offset of first_lsn; the header is all before it */
#define REDO_CHECKPOINT_1  0x1000u
#define REDO_CHECKPOINT_2  0x2000u
#define REDO_MTR_MAX       (1u << 20) /* no mini-transaction is longer */
#define REDO_FORMAT_10_8   0x50687973u
#define REDO_FORMAT_ENC_11 0xf09f979du
#define REDO_HEADER_SIZE   512u

struct redo_log {
    uint32_t format;
    uint64_t first_lsn; /* LSN of the byte at REDO_START_OFFSET */
    uint64_t file_size; /* bytes */
    uint64_t capacity;  /* file_size - REDO_START_OFFSET */
    bool encrypted;     /* mini-transactions carry an 8-byte nonce */
    char creator[33];
    uint64_t checkpoint_lsn;          /* C: newest valid checkpoint block */
    uint64_t end_lsn;                 /* E: of the mini-transaction with FILE_CHECKPOINT(C) */
    uint8_t header[REDO_HEADER_SIZE]; /* as read, for redo_writer_header() */
};

/* Parses the first REDO_START_OFFSET bytes of ib_logfile0 whose size is file_size.
   Errors: GB_unsupported_server (a format that is not that of 10.8 to 11.8, named), GB_redo_corrupt
   (CRC, no valid checkpoint: may be a read in the middle of a write, so the caller tries again a
   few times). */
bool redo_parse_header(const uint8_t *data, uint64_t file_size, struct redo_log *log,
                       struct gb_error *error);

/* File offset of lsn (>= first_lsn), and the sequence bit (0 or 1) that the end byte at lsn must
   have: 1 on the first lap of the file, then 0 and 1 in turn. */
uint64_t redo_offset(const struct redo_log *log, uint64_t lsn);
uint8_t redo_sequence_bit(const struct redo_log *log, uint64_t lsn);

enum redo_op {
    REDO_FILE_CREATE = 0x80,
    REDO_FILE_DELETE = 0x90,
    REDO_FILE_RENAME = 0xa0,
    REDO_FILE_MODIFY = 0xb0,
    REDO_FILE_CHECKPOINT = 0xf0,
};

/* What a mini-transaction said. Callbacks may be NULL. Strings are not NUL-terminated and live in
   the input. Paths are as InnoDB logs them: "./db/table.ibd", or absolute; never empty, and they
   end in ".ibd". lsn is where the mini-transaction starts: it is the same for all its records,
   which hold together or not at all. */
struct redo_visitor {
    void *context;
    /* new_path is set for REDO_FILE_RENAME only */
    void (*file)(void *context, enum redo_op op, uint32_t space_id, const char *path,
                 size_t path_size, const char *new_path, size_t new_path_size, uint64_t lsn);
    /* FILE_CHECKPOINT; not for padding records */
    void (*checkpoint)(void *context, uint64_t checkpoint_lsn, uint64_t lsn);
    /* once per change of page within the mini-transaction; INIT_PAGE, FREE_PAGE, OPTION included */
    void (*page)(void *context, uint32_t space_id, uint32_t page_no, uint64_t lsn);
    /* undo tablespace truncated (TRIM_PAGES): new size in pages. page() is not called for it */
    void (*trim)(void *context, uint32_t space_id, uint32_t pages, uint64_t lsn);
    /* INIT_PAGE; beside page() */
    void (*init)(void *context, uint32_t space_id, uint32_t page_no, uint64_t lsn);
};

enum redo_result {
    /* one whole mini-transaction; *size is its length in bytes */
    REDO_MTR,
    /* the input ends within it, and what is there is plausible: give more bytes. Behind the end of
       the log stand bytes of an older lap, so this may still be the end */
    REDO_PARTIAL,
    /* no mini-transaction of this lap starts here: end of the log, or not written yet, or torn */
    REDO_END,
};

/* Reads the mini-transaction that starts at data (LSN lsn). Its end byte must carry the sequence
   bit of its own LSN, its CRC-32C must be right and its records must make sense, else REDO_END;
   nothing is visited before all three are checked. Records longer than REDO_MTR_MAX are REDO_END;
   so REDO_PARTIAL is never answered to more than REDO_MTR_MAX + 13 bytes. Never reads at or beyond
   data + available. data is linear (the caller has joined the ring's two ends). *size is the length
   up to and including the CRC; *end_byte is the offset of the end byte in data, so that the caller
   can set it to 1 for a restored log (the CRC does not cover it). Both are set with REDO_MTR only.
   In an encrypted REDO_FORMAT_10_8 log ids and paths are in clear but TRIM_PAGES can't be told from
   other records: trim() is not called. In REDO_FORMAT_ENC_11 logs nothing is visited: only lengths
   are in clear. */
enum redo_result redo_parse_mtr(const struct redo_log *log, uint64_t lsn, const uint8_t *data,
                                size_t available, const struct redo_visitor *visitor, size_t *size,
                                size_t *end_byte);

/* The same for a log whose sequence bits were all set to 1 (a restored log, or redo kept in a
   backup). Used by verify and by tests. */
enum redo_result redo_parse_flat_mtr(uint32_t format, bool encrypted, uint64_t lsn,
                                     const uint8_t *data, size_t available,
                                     const struct redo_visitor *visitor, size_t *size);

/* Whether what the log says of a space is to be ignored. */
typedef bool redo_ignored(const void *context, uint32_t space_id);

/* Makes recovery ignore what a whole mini-transaction says of the pages of such spaces: their
   records become OPTION, FILE_DELETE becomes FILE_MODIFY, FILE_RENAME a FILE_MODIFY of a name that
   no file has, of the same sizes; the CRC is made right. False: it says nothing of them, and
   nothing is changed. size: as redo_parse_*() told. Not for encrypted logs. */
bool redo_forget(uint8_t *data, size_t size, redo_ignored *ignored, const void *context);

/* Of a file that has this path in the log: the byte that the first one of its last part becomes; 0:
 * none, the name stays. path is not terminated. */
typedef char redo_other_name(const void *context, const char *path, size_t size);

/* Gives files other names in the FILE_* records of a whole mini-transaction; the CRC is made right.
   False: nothing is changed. size: as redo_parse_*() told; parse it before. */
bool redo_rename_files(uint8_t *data, size_t size, redo_other_name *other, const void *context);

/* Page 0 of a tablespace as the whole mini-transaction leaves it that makes it: page gets page_size
   bytes (SPACE_PAGE_SIZE_MAX; a shorter page is their beginning), without LSN and checksum. size:
   as redo_parse_*() told; parse it before. False: it does not make that page, or does more than
   give it bytes; page is then of no use. Not for encrypted logs. Source: log0recv.cc
   log_phys_t::apply(), fsp0fsp.cc fsp_apply_init_file_page(). */
bool redo_make_page_0(const uint8_t *mtr, size_t size, uint32_t space_id, uint8_t *page,
                      size_t page_size);

#endif
