/*
  Tables that the server has open: what of them is in memory only is not in their files.
*/
#ifndef GB_PLUGIN_OPEN_TABLES_H
#define GB_PLUGIN_OPEN_TABLES_H

#include "plugin/image.h"

/* Those that statements use now, into backup->files.in_use, by the names of their files. False:
 * backup->error is set. */
bool open_tables_find(struct backup *backup);

/* Closes those of backup->files.to_close, which appliers wrote after BLOCK_DDL had closed them.
   STAGE_BUSY: a statement keeps one; STAGE_FAILED: backup->error is set. */
enum stage_result open_tables_close(struct backup *backup);

#endif
