/*
  A copy of a directory that shares its blocks (FICLONE: XFS with reflink, btrfs, bcachefs, OCFS2):
  made in seconds, and what is written to it afterwards costs space, not the original. ext4 and
  tmpfs have no such copies, and an overlay copies each file that is opened for writing as a whole:
  there a trial of the recovery would be a copy of nearly everything, so it is refused.
*/
#ifndef GB_AGENT_RESTORE_CLONE_H
#define GB_AGENT_RESTORE_CLONE_H

#include "common/error.h"

/* Whether the file system of a directory, or of the nearest one above it that exists, can do it.
 * Errors: GB_no_clone. */
bool clone_possible(const char *directory, struct gb_error *error);
/* from becomes to, which must not exist; owners and modes too. Errors: GB_no_clone,
 * GB_target_failed. */
bool clone_make(const char *from, const char *to, struct gb_error *error);
/* Removes a directory with all that is in it. Errors: GB_target_failed. */
bool clone_remove(const char *path, struct gb_error *error);

#endif
