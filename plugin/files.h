/*
  Everything that is not InnoDB, by the rules of its engine: which files there are, what class each
  belongs to, what ddl.log says has changed (rule 16).

  All of it does I/O and runs in reader threads, never in the coordinator.
*/
#ifndef GB_PLUGIN_FILES_H
#define GB_PLUGIN_FILES_H

#include "plugin/aria.h"
#include "plugin/inventory.h"

#include <sys/stat.h>

struct unopened /* see unopened.h */
{
  char *name; /* "db/table", as in file names */
  uint32_t space_id;
};

struct files
{
  struct inventory *inventory;
  char datadir[1024];  /* with a trailing slash */
  char aria_dir[1024]; /* with a trailing slash */
  off_t ddl_log_at;    /* how much of ddl.log has been taken into account */
  time_t began;        /* shortly before BACKUP STAGE START */
  bool complex;        /* something that only another round can follow: start over */
  bool rescan;         /* in the window: something that only a scan finds */
  uint64_t scan_us;    /* how long the last scan took */
  bool unsettled; /* a statement that a scan found in ddl.log has perhaps not ended, and its files
                     get their names after the scan: until BACKUP STAGE BLOCK_DDL, whatever round
                     that is in */
  bool unknown_engine; /* ddl.log names one that can't be backed up */
  bool control_changed;
  bool altered;       /* some ALTER TABLE since before BACKUP STAGE START: perhaps an IMPORT */
  bool altered_since; /* some since FLUSH looked for files */
  bool
      replicated; /* appliers write non-transactional tables, whatever stage is held (wsrep_mode) */
  struct aria_control control_first, control_last;
  uint32_t newest_log;                /* Aria's, by number */
  uint64_t newest_log_size, log_tail; /* bytes; of its logs, what only the window can copy */
  struct gb_error error;
  /* in use, as SHOW OPEN TABLES says: "db/table" in the file name's charset, sorted */
  char **in_use;
  size_t in_use_count;
  /* tables to be closed by FLUSH LOCAL TABLES before they are copied in the window: "db/table" */
  char **to_close;
  size_t to_close_count;
  struct unopened *unopened;
  size_t unopened_count;
};

void files_reset(struct files *files); /* frees the lists, forgets ddl.log */

/* Scans the data directory: adds what is new, marks what is gone, queues definitions, online Aria
   tables and directories that are new or changed. Sets ddl_log_at to where ddl.log ended before the
   scan, unsettled and unknown_engine where it said so until there. Errors in files->error. */
void files_scan(void *files);
/* After FLUSH: queues closed tables that are not in use, and large log tables. in_use must be set.
 */
void files_queue_closed(struct files *files);
/* The item of a file in a database's directory, or NULL if it is none of ours. path: relative to
 * the data directory. Asks the disk. */
struct item *files_classify(struct files *files, const char *path, const struct stat *st);
/* Queues the files of one table that are there now. No directory is read. */
void files_queue_table(struct files *files, const char *database, const char *table);
bool files_is_copied(const struct files *files, const struct item *item);

/* "db/table" of a path. */
void files_table_of(const char *path, char *out, size_t size);
/* Of lists of tables: in_use, to_close. */
void files_sort_tables(char **list, size_t count);
/* Whether the file is of a table of the sorted list. */
bool files_have_table(char **list, size_t count, const char *path);

#endif
