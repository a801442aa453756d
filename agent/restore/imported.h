/*
  Tablespaces that were imported while they were backed up, in the restored redo log.

  A table that DISCARD and then IMPORT TABLESPACE give another file keeps its space id. Where the
  log holds the FILE_DELETE of the DISCARD, InnoDB's recovery takes the tablespace for deleted for
  good and throws away all of its records, those of after the IMPORT too; and if a RENAME makes it
  look again, it applies those of before the DISCARD to the pages that were imported, which have no
  LSN (log0recv.cc, fil_name_process()). A server that crashes has the same trouble until the next
  checkpoint; a restored one, whose log begins before the backup, always.

  So what the log says of the pages of such a tablespace up to its last FILE_DELETE is made into
  records that recovery ignores, and the FILE_DELETE into a FILE_MODIFY (redo.h, redo_forget()).
*/
#ifndef GB_AGENT_RESTORE_IMPORTED_H
#define GB_AGENT_RESTORE_IMPORTED_H

#include "agent/repository/index.h"
#include "agent/repository/manifest.h"

/* fd: the restored redo log, open for reading and writing, its redo complete; path names it in
   errors. To be done again from the start if it was interrupted: on redo as the backup has it.
   Errors: GB_target_failed, GB_internal (no memory). */
bool imported_settle(const struct manifest *manifest, const struct index *index, int fd,
                     const char *path, struct gb_error *error);

#endif
