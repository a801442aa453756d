/*
  Aria's logs, the files aria_log.NNNNNNNN. Each is copied in two ranges: its bulk before the
  window, what was still being written then in the window; with the latter the reader takes the
  first page (copy.c).

  Both functions look at all of them, so they run in reader threads. Errors in files->error:
  GB_io_error, where the directory or a file in it can't be read; a file that goes meanwhile is
  none.
*/
#ifndef GB_PLUGIN_ARIA_LOG_H
#define GB_PLUGIN_ARIA_LOG_H

#include "plugin/files.h"

/* Before the window, a job: queues the bulk of each that has not been copied yet. Sets log_tail. */
void aria_log_queue_bulk(void *files);
/* In the window, commits blocked: queues the rest of each, or all of one whose bulk was not queued.
 */
void aria_log_queue_tails(struct files *files);

#endif
