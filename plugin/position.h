/*
  Where the image stands: positions of Galera, of GTIDs and of the binary log.
*/
#ifndef GB_PLUGIN_POSITION_H
#define GB_PLUGIN_POSITION_H

#include "plugin/image.h"

/* While commits are blocked. False: backup->error is set. */
bool position_take(struct backup *backup);

/* How many characters of a GTID position, at most `most`, are a position of some of its domains:
 * all, or up to a comma. */
int position_cut(const char *gtid, size_t most);

#endif
