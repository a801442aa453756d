/*
  Which storage engines' tables can be backed up: by the names that SQL and ddl.log have for them,
  and by the numbers in .frm files.
*/
#ifndef GB_PLUGIN_ENGINES_H
#define GB_PLUGIN_ENGINES_H

#include "plugin/ddl_log.h"
#include "plugin/inventory.h"

/* Whether a storage engine, by its name, is one whose tables can be backed up. */
bool engines_know(const char *name);

/* Whether an entry of ddl.log names one that is not. What is dropped need not be backed up; of a
   database with a view in it the server says UNKNOWN. */
bool engines_unknown_in(const struct ddl_entry *entry);

/* How many tables have been copied of engines that can't be backed up, and the first of them, as
   "db/table". None of these engines is loaded (preflight_engines() looks for those), so the server
   itself has nothing but the definitions. */
unsigned engines_unloaded(struct inventory *inventory, char *first, size_t size);

#endif
