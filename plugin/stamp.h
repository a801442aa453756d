/*
  Whether a file is still the one that was copied, and unchanged (rule 16).
*/
#ifndef GB_PLUGIN_STAMP_H
#define GB_PLUGIN_STAMP_H

#include "plugin/inventory.h"

#include <sys/stat.h>

/* A file changed so shortly before its read counts as changed. Under DDL; and in the window, where
   what changes needs a lock that the copy excludes, the tick of the kernel's clock. */
#define STAMP_SLACK_NS        2000000000
#define STAMP_WINDOW_SLACK_NS 20000000

/* Right after st was taken: a change in the same tick of the clock must not look older than the
 * copy. */
struct item_stamp stamp_of(const struct stat *st);
/* Whether the copy is of the file that st describes, as it is now. */
bool stamp_same(const struct item_stamp *stamp, const struct stat *st, int64_t slack_ns);

/* Whether a table was made anew since this file of it (path: its .MAI or .MAD) was copied. Aria's
   recovery replays no TRUNCATE, ddl.log names none, and it names a bulk insert, repair or optimize
   before it is done; the LSNs in the header of the .MAI tell of all of them. Asks the disk. */
bool stamp_aria_anew(const char *datadir, const char *path, const struct item_stamp *stamp);

#endif
