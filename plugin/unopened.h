/*
  Tables of InnoDB's dictionary whose tablespace nobody has opened since the server's start: they
  are in none of InnoDB's own lists of files.
*/
#ifndef GB_PLUGIN_UNOPENED_H
#define GB_PLUGIN_UNOPENED_H

#include "plugin/files.h"

/* Adds one to files->unopened. name: "db/table", as in file names. False: no memory. */
bool unopened_add(struct files *files, const char *name, uint32_t space_id);

/* A job for a reader thread. Gives the inventory those whose file (NAME.ibd, or what NAME.isl
   points to) has that space id on its first page; any other file of that name waits for an import.
   Leaves those that have no file in the list. Errors in files->error. */
void unopened_find(void *files);
/* Whether one that had no file has one now: an IMPORT, which need not leave a record. In a reader
   thread. */
bool unopened_appeared(struct files *files);

void unopened_forget(struct files *files);

#endif
