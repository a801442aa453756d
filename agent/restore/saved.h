/*
  What is special in the restore of a save: links, and an end that invents nothing. All else its
  files have from the ordinary way.

  Until the end a link stands as a file under another name, so that nothing of a backup can be
  written through it; and the save's own ib_logfile0 stands where the one that a restore makes does.
*/
#ifndef GB_AGENT_RESTORE_SAVED_H
#define GB_AGENT_RESTORE_SAVED_H

#include "agent/restore/restore.h"

#define SAVED_LINK_SUFFIX ".galera-backup-link"

/* When all is written and nothing will be written again: makes the links of what was written for
   them, and takes away the guard's mysql/ if the save has none. May be done again. Errors:
   GB_target_failed, GB_corrupt_backup. */
bool saved_finish(const struct index *index, const struct restore_request *request,
                  struct gb_error *error);

#endif
