/*
  Files in the window: what has changed since FLUSH looked for files, by the rules of each engine
  (rule 16). No directory is read there but by a scan that is known to be short.

  All but files_window_bytes() and files_window_tables() does I/O and runs in reader threads.
*/
#ifndef GB_PLUGIN_FILES_WINDOW_H
#define GB_PLUGIN_FILES_WINDOW_H

#include "plugin/files.h"

/* In the window: what ddl.log says since, what a TRUNCATE may have made anew, and (altered) what an
   IMPORT may have written. What only a scan finds is looked for by one, if the last was short; else
   it sets complex. Where appliers write non-transactional tables, fills to_close with those that
   have changed since their copy: FLUSH does not stop appliers, only the pause does. Sets complex.
 */
void files_window_ddl(void *files);
/* In the window, after to_close has been closed: queues these and the tables that were in use. */
void files_window_tables(struct files *files);
/* In the window, commits blocked: log tables that have changed or were not copied. Sets complex. */
void files_window_commit(struct files *files);

/* Bytes of closed tables in use, log tables and the tail of Aria's log: what the window will have
   to copy. Call it after aria_log_queue_bulk(). largest: path of the largest table. */
uint64_t files_window_bytes(struct files *files, char *largest, size_t size);

#endif
