/*
  Copies of what ddl.log names count for nothing: the scan, or the look in the window, queues anew
  what is still there.
*/
#ifndef GB_PLUGIN_SPOIL_H
#define GB_PLUGIN_SPOIL_H

#include "plugin/ddl_log.h"
#include "plugin/files.h"

struct spoiled
{
  struct files *files;
  struct ddl_names names; /* ddl_names_free() */
};

/* The texts stay the caller's. Errors in files->error. */
void spoil_add(struct spoiled *spoiled, const char *database, const char *table);
/* All that was added, in one walk, however much that is. */
void spoil_named(struct spoiled *spoiled);

#endif
