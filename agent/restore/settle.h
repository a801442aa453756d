/*
  What InnoDB's recovery could not make of a restored redo log and of the files beside it.

  Tablespaces that were imported while they were backed up. A table that DISCARD and then IMPORT
  TABLESPACE give another file keeps its space id. Where the log holds the FILE_DELETE of the
  DISCARD, recovery takes the tablespace for deleted for good and throws away all of its records,
  those of after the IMPORT too; and if a RENAME makes it look again, it applies those of before the
  DISCARD to the pages that were imported, which have no LSN (log0recv.cc, fil_name_process()). A
  server that crashes has the same trouble until the next checkpoint; a restored one, whose log
  begins before the backup, always. So what the log says of the pages of such a tablespace up to its
  last FILE_DELETE is made into records that recovery ignores, and the FILE_DELETE into a
  FILE_MODIFY (redo.h, redo_forget()). So are the FILE_RENAMEs of until then: at its end recovery
  gives a tablespace the name that the last one says (recv_rename_files()), and what a table without
  a file is called after its DISCARD is in no record.

  Files that wait for an IMPORT, after a DISCARD. What the log says of the discarded tablespace
  makes recovery open the file that stands in its place now, and if that has the number of a
  tablespace which is open already, the one that it was copied from, recovery ends there ("Attempted
  to open a previously opened tablespace"). A server that crashes has the same trouble until the
  next checkpoint. Such a file belongs to no tablespace of the log, so those that the log names like
  it get a name that no file has.

  Tablespaces of which the server had not written the first page when they were copied. All of them
  is in the log, and recovery makes them from it under the name that it has noted for them. But it
  notes one tablespace for each name, the one that the log shows there latest, and reads the log's
  end before its beginning: a table that is renamed or exchanged with a partition and comes back to
  its first name can be lost from the notes, and then no server starts ("Tablespace ... was not
  found"; log0recv.cc, deferred_spaces). It happens to a server that crashes, too. So such a file
  gets the first page that the log makes, and recovery knows the file by what it holds.
*/
#ifndef GB_AGENT_RESTORE_SETTLE_H
#define GB_AGENT_RESTORE_SETTLE_H

#include "agent/restore/restore.h"

/* When all that the backup holds is written, to be done again from the start if it was interrupted:
   on redo as the backup has it. original: by place in index->files, not NULL where --map moves the
   file. One whose first page in the log is not understood gets a warning. Errors: GB_not_supported
   (that, or no such page, of a file that is moved), GB_corrupt_backup (the redo does not reach the
   manifest's end_lsn: recovery would end there, at an older state than the files'),
   GB_target_failed, GB_target_no_space, GB_internal (no memory). */
bool settle(const struct restore_request *request, const struct manifest *manifest,
            const struct index *index, char *const *original, struct gb_error *error);

#endif
