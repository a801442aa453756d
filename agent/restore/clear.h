/*
  What is in the way of a restore is moved aside or removed: --replace keep|delete, and what an
  unfinished restore left.

  The guard (target.h) goes up first and stays up, entry by entry, so that at no moment a server
  could start on half of the old content, or a start script find the directory without mysql/ and
  initialise it. The marker says what is being done: a later run goes on with it.
*/
#ifndef GB_AGENT_RESTORE_CLEAR_H
#define GB_AGENT_RESTORE_CLEAR_H

#include "agent/restore/marker.h"

/* Where old content would go: beside the data directory (DATADIR.before-STAMP), or in it where that
   is a mount point (DATADIR/.before-STAMP). A link is followed. Errors: GB_target_failed. */
bool clear_aside(const char *datadir, const char *stamp, char *out, size_t size,
                 struct gb_error *error);
/* Whether an entry can be made beside the data directory, on its own file system. real: its real
 * path. */
bool clear_beside(const char *real);
/* Whether an entry of the data directory is content: not lost+found, and not what was moved aside
 * before. */
bool clear_is_content(const char *name);
/* Whether content can be moved or removed: no file system is mounted below. Errors:
 * GB_target_not_empty, naming it. */
bool clear_possible(const char *datadir, struct gb_error *error);
/* Bytes that the content takes on disk. */
uint64_t clear_bytes(const char *datadir);

/* Does what marker->state says, with the content of datadir and with files at marker->outside;
   marker->state is MARKER_WRITING when it returns true. Errors: GB_target_failed,
   GB_target_no_space. */
bool clear_target(const char *datadir, struct marker *marker, struct gb_error *error);
/* Once a new restore has its guards: those that an unfinished one left at places which are not the
 * new one's go. Errors: GB_target_failed. */
bool clear_guards(const struct marker *old, const struct marker *new, struct gb_error *error);

#endif
