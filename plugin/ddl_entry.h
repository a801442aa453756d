/*
  What an entry of ddl.log does not say of the files: triggers, views, partitions, vector indexes
  and files outside the data directory, of which only a scan tells.

  Both functions ask the disk, so reader threads alone call them. datadir: with a trailing slash.
*/
#ifndef GB_PLUGIN_DDL_ENTRY_H
#define GB_PLUGIN_DDL_ENTRY_H

#include "plugin/ddl_log.h"
#include "plugin/inventory.h"

/* Whether its statement has perhaps not ended: of these the line is written before the files have
   their names, and what ends between the scan and the pause would be seen by neither. */
bool ddl_entry_may_go_on(struct inventory *inventory, const char *datadir,
                         const struct ddl_entry *entry);
/* Whether it touches files whose names only a scan finds. */
bool ddl_entry_needs_scan(struct inventory *inventory, const char *datadir,
                          const struct ddl_entry *entry);

#endif
