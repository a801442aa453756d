/*
  The server's ddl.log, in which it names DDL while a backup runs: from BACKUP STAGE START on, a
  line for each statement, with fields between tabs (sql/backup.cc, backup_log_ddl()).
*/
#ifndef GB_PLUGIN_DDL_LOG_H
#define GB_PLUGIN_DDL_LOG_H

#include "common/error.h"

#include <stdbool.h>
#include <sys/types.h>

#define DDL_FIELDS 12u

enum ddl_field
{
  DDL_QUERY = 1,
  DDL_ORG_ENGINE = 2, /* "DATABASE" and "TRIGGER" stand here too */
  DDL_ORG_PARTITIONED = 3,
  DDL_ORG_DB = 4, /* names as in file names */
  DDL_ORG_TABLE = 5,
  DDL_NEW_ENGINE = 7,
  DDL_NEW_PARTITIONED = 8,
  DDL_NEW_DB = 9,
  DDL_NEW_TABLE = 10,
};

struct ddl_entry /* pointers into the line */
{
  char *field[DDL_FIELDS];
};

/* From byte *at, which is advanced, to its end; the caller frees it. NULL if there is nothing, or
 * after an error. */
char *ddl_log_read(const char *datadir, off_t *at, struct gb_error *error);
/* The next line of the text, without its end; NULL when there is no more. */
char *ddl_log_line(char **rest);
/* False: the line has fewer fields. */
bool ddl_log_split(char *line, struct ddl_entry *entry);

/* How many characters of a file's name ("table.ext") are the table's. What follows is the
   extension, a partition (#P#NAME), or the number of a vector index (#i#NN): since 11.7 that is a
   table beside its own, of the same engine (sql/handler.cc, ha_create_table()). */
size_t ddl_table_length(const char *file);

/* What lines have named; the texts are theirs. */
struct ddl_name
{
  const char *database, *table; /* table "": all of the database */
};

struct ddl_names
{
  struct ddl_name *name;
  size_t count;
};

/* False: no memory. */
bool ddl_names_add(struct ddl_names *names, const char *database, const char *table);
/* Sorts them, each once: before they are asked. */
void ddl_names_sort(struct ddl_names *names);
/* Whether the file, "db/table.ext", is of one of them. */
bool ddl_names_have(const struct ddl_names *names, const char *path);
void ddl_names_free(struct ddl_names *names);

#endif
