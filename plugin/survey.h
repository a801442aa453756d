/*
  How much there is to back up, before anything of it is read: for progress, free space, and names
  that are too long.
*/
#ifndef GB_PLUGIN_SURVEY_H
#define GB_PLUGIN_SURVEY_H

#include <stddef.h>
#include <stdint.h>

struct survey
{
  uint64_t bytes; /* about so many are in the data directory */
  size_t longest; /* bytes of the longest name of a table in the file system, without the slash; 0:
                     there is none */
  char longest_name[1024]; /* "db/table" */
};

/* datadir: with a trailing slash. What can't be read is left out. */
void survey_take(const char *datadir, struct survey *survey);

#endif
