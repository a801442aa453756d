/*
  Aria's files: what a table's header says, whether a page is whole, and the control file (rule 17).

  Sources: storage/maria/maria_def.h (header, base information), ma_pagecrc.c, ma_control_file.c,
  ma_loghandler_lsn.h. Nothing here does I/O but aria_read_control().
*/
#ifndef GB_PLUGIN_ARIA_H
#define GB_PLUGIN_ARIA_H

#include "common/error.h"

#include <stdint.h>

#define ARIA_LOG_PAGE    8192u
#define ARIA_CONTROL_MAX 512u
/* Bytes before the end of a log file that the server may still be writing: eight buffers of 1 MiB
   and a page (TRANSLOG_BUFFERS_NO, TRANSLOG_WRITE_BUFFER). */
#define ARIA_LOG_TAIL (9u << 20)

struct aria_table
{
  bool online;    /* transactional with page checksums: may be copied while it changes */
  bool encrypted; /* the checksum is over the plain text: pages can't be checked without a key */
  uint32_t block_size;
  uint32_t header_size; /* of the .MAI; pages before it have no checksum */
  /* LSNs that change when a table is filled, emptied, repaired or made anew without all of it being
   * in Aria's log */
  uint64_t created, skip_redo;
};

/* From the first bytes of a .MAI (give 4096 where the file has them). False: not an Aria index
 * file. */
bool aria_parse_header(const uint8_t *data, size_t size, struct aria_table *table);
/* The .MAI of a table, whose .MAI or .MAD path is. out: WIRE_PATH_MAX bytes. */
void aria_index_path(const char *datadir, const char *path, char *out);
/* Reads the first bytes of a .MAI and parses them. False: not to be read, or not an Aria index
 * file. */
bool aria_read_table(const char *index, struct aria_table *table);
/* Whether block (counted in block_size) is whole. index: of the .MAI, else of the .MAD. */
bool aria_page_whole(const struct aria_table *table, bool index, uint64_t block,
                     const uint8_t *page);

struct aria_control
{
  uint8_t bytes[ARIA_CONTROL_MAX];
  uint32_t size;
  uint32_t last_log; /* number of the newest log file */
};

/* Reads <directory>/aria_log_control. Errors: GB_io_error, GB_unsupported_config (damaged, or of a
   later version), GB_file_vanished (there is none: Aria is always there). */
bool aria_read_control(const char *directory, struct aria_control *control, struct gb_error *error);
/* The control file of the backup: checkpoint LSN of first, the rest of last, checksum made anew. */
void aria_merge_control(const struct aria_control *first, const struct aria_control *last,
                        struct aria_control *out);

#endif
