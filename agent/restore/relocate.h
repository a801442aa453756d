/*
  Where the files go that lie outside the data directory: --map OLD=NEW.

  The index is changed in place: from here on its paths are those of the restored server. A
  tablespace of a table with DATA DIRECTORY is found by InnoDB through db/table.isl, which is
  written anew, and through FILE_* records of the redo, which name the old place and can't be
  changed. fil_ibd_load() (fil0fil.cc) tries the path of the record first, then db/table.ibd, then
  the .isl. So the first start finds a moved file if its first page is in the file (else
  deferred_spaces makes it anew at the old path; settle.h sees to that), nothing is left at its old
  path, and no FILE_RENAME is replayed (recv_rename_files() would rename it back), and the link that
  recovery tries is the one that the dictionary knows: what can't be is refused.
*/
#ifndef GB_AGENT_RESTORE_RELOCATE_H
#define GB_AGENT_RESTORE_RELOCATE_H

#include "agent/restore/restore.h"

/* Applies request->maps. original: by place in index->files, the old path of what is moved, else
   NULL; each is malloc'ed and the caller's. Errors: GB_bad_value (a map that matches nothing, two
   files in one place), GB_not_supported and GB_target_not_empty (see above), GB_corrupt_backup and
   those of reading. */
bool relocate_files(struct repository *repository, const struct manifest *manifest,
                    const struct restore_request *request, struct index *index, char **original,
                    struct gb_error *error);

/* When all files are written: the .isl files of what was moved. May be done again. Errors:
 * GB_target_failed. */
bool relocate_links(const struct restore_request *request, const struct index *index,
                    char *const *original, struct gb_error *error);

#endif
