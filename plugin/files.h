/*
  Everything that is not InnoDB, by the rules of its engine: which files there are, what class each belongs to,
  what ddl.log says has changed (rule 16).

  All of it does I/O and runs in reader threads, never in the coordinator.
*/
#ifndef GB_PLUGIN_FILES_H
#define GB_PLUGIN_FILES_H

#include "plugin/aria.h"
#include "plugin/inventory.h"

#include <dirent.h>
#include <sys/stat.h>

/* A table of InnoDB's dictionary whose tablespace nobody has opened since the server's start: it is in none of InnoDB's own
   lists of files. */
struct unopened
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
  bool unsettled;      /* a statement that a scan found in ddl.log has perhaps not ended, and its files get their names after the scan:
                          until BACKUP STAGE BLOCK_DDL, whatever round that is in */
  bool unknown_engine; /* ddl.log names one that can't be backed up */
  bool control_changed;
  bool altered;        /* some ALTER TABLE since before BACKUP STAGE START: perhaps an IMPORT */
  bool altered_since;  /* some since FLUSH looked for files */
  bool replicated;     /* appliers write non-transactional tables, whatever stage is held (wsrep_mode) */
  struct aria_control control_first, control_last;
  uint32_t newest_log; /* Aria's, by number */
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

/* Whether a storage engine, by its name, is one whose tables can be backed up. */
bool files_knows_engine(const char *name);

/* How many tables have been copied of engines that can't be backed up, and the first of them, as "db/table". None of these engines is loaded
   (preflight_engines() looks for those), so the server itself has nothing but the definitions. */
unsigned files_unloaded(struct inventory *inventory, char *first, size_t size);

void files_reset(struct files *files); /* frees the lists, forgets ddl.log */

/* Adds a name to unopened. */
bool files_add_unopened(struct files *files, const char *name, uint32_t space_id);
/* Gives the inventory those of unopened whose file (NAME.ibd, or what NAME.isl points to) has that space id on its first
   page; any other file of that name waits for an import. Empties the list. */
void files_find_unopened(void *files);

/* Scans the data directory: adds what is new, marks what is gone, queues definitions, online Aria tables and
   directories that are new or changed. Sets ddl_log_at to where ddl.log ended before the scan, unsettled and unknown_engine where it
   said so until there. Errors in files->error. */
void files_scan(void *files);
/* After FLUSH: queues closed tables that are not in use, and large log tables. in_use must be set. */
void files_queue_closed(struct files *files);
/* In the window: what ddl.log says since, what a TRUNCATE may have made anew, and (altered) what an IMPORT may have written. What only a scan finds
   is looked for by one, if the last was short; else it sets complex.
   Where appliers write non-transactional tables, fills to_close with those that have changed since their copy: FLUSH does not
   stop appliers, only the pause does. Sets complex. */
void files_window_ddl(void *files);
/* In the window, after to_close has been closed: queues these and the tables that were in use. */
void files_window_tables(struct files *files);
/* In the window, commits blocked: log tables that have changed or were not copied. Sets complex. */
void files_window_commit(struct files *files);

/* Bytes of closed tables in use, log tables and the tail of Aria's log: what the window will have to copy. Call it after
   aria_log_queue_bulk(). largest: path of the largest table. */
uint64_t files_window_bytes(struct files *files, char *largest, size_t size);

struct files_survey
{
  uint64_t bytes;          /* about so many are in the data directory: for progress and free space */
  size_t longest;          /* bytes of the longest name of a table in the file system, without the slash; 0: there is none */
  char longest_name[1024]; /* "db/table" */
};
/* What can't be read is left out. */
void files_survey(const char *datadir, struct files_survey *survey);

/* stat() and readdir() where names come and go: what is not there any more is no error; all else is files->error (GB_io_error), so that
   nothing unread passes for gone. path: of the file, of the directory. False: not there, or an error. NULL: no more, or an error. */
bool files_is_there(struct files *files, const char *path, struct stat *st);
struct dirent *files_next_entry(struct files *files, DIR *directory, const char *path);

#endif
