/*
  The directory that a restore writes: is it fit, the guard against starting it too early, owner,
  what Galera reads.
*/
#ifndef GB_AGENT_RESTORE_TARGET_H
#define GB_AGENT_RESTORE_TARGET_H

#include "agent/restore/restore.h"

#include <sys/types.h>

/* Keeps other restores out of datadir until *fd (to be closed; -1: datadir is not there) is closed.
   false, with GB_target_in_use: one is at work there. Where the file system can't do that (NFS)
   nobody is kept out. */
bool target_lock(const char *datadir, int *fd, struct gb_error *error);
/* Whether a server runs there, or a save reads it: false, with GB_target_in_use, if so. */
bool target_check_idle(const char *datadir, struct gb_error *error);
/* Whether a server, or a save, has that file locked. */
bool target_locked(const char *path);
/* Not there, or empty but for lost+found and what was moved aside. Errors: GB_target_not_empty,
   GB_target_in_use, GB_target_unfinished. */
bool target_check(const char *datadir, struct gb_error *error);
/* A small file, and a directory: durable when they return. Errors: GB_target_failed,
 * GB_target_no_space. */
bool target_write_file(const char *path, const void *data, size_t size, mode_t mode,
                       struct gb_error *error);
bool target_sync_directory(const char *path, struct gb_error *error);
/* The ib_logfile0 that InnoDB refuses: write it, durable; is this one? */
bool target_write_guard(const char *path, struct gb_error *error);
bool target_is_guard(const char *path);
/* A directory (mode 0700) and those above it (0755), as far as they are missing. What is made
   belongs to uid and gid; uid -1: to this process. */
bool target_make_directories(const char *path, uid_t uid, gid_t gid, struct gb_error *error);
/* The guard, durable before it returns: the marker file, mysql/, an ib_logfile0 that InnoDB
   refuses, an aria_log_control that Aria refuses, a grastate.dat that forbids to bootstrap. uid,
   gid: as target_make_directories(). May be done again. */
bool target_begin(const char *datadir, const struct marker *marker, uid_t uid, gid_t gid,
                  struct gb_error *error);
/* Aria's alone, also outside the data directory: a control file that it refuses, at path; is it
 * one? */
bool target_is_aria_guard(const char *path);
bool target_guard_aria(const char *path, struct gb_error *error);
/* Of either kind, by the name of the file: puts it up; does it stand there? */
bool target_guard(const char *path, struct gb_error *error);
bool target_is_guarded(const char *path);
/* A held file from path RESTORE_SUFFIX to its place, if it is not there already; the second:
 * durable. */
bool target_rename(const char *path, struct gb_error *error);
bool target_release(const char *path, struct gb_error *error);
/* No grastate.dat, for a server without Galera. */
bool target_no_grastate(const char *datadir, struct gb_error *error);
/* grastate.dat with uuid and seqno of "uuid:seqno". */
bool target_grastate(const char *datadir, const char *position, bool safe_to_bootstrap,
                     struct gb_error *error);
/* Takes the guard away; the directory can be started when this has returned. log: path of the redo
   log, which is written as log RESTORE_SUFFIX; NULL: there is none (a save that had none). May be
   done again. */
bool target_end(const char *datadir, const char *log, struct gb_error *error);
/* Its last step: the marker goes. */
bool target_finish(const char *datadir, struct gb_error *error);
/* Owner of all that is written: --owner, else the directory's if it was there, else user mysql; uid
 * -1: leave. */
bool target_owner(const struct restore_request *request, uid_t *uid, gid_t *gid,
                  struct gb_error *error);
/* chown of datadir (if that is a link, of the directory it leads to) and of everything below but
   the marker and the journal, which go in the end, and what an earlier --replace keep has moved
   aside; links there are not followed. */
bool target_chown(const char *datadir, uid_t uid, gid_t gid, struct gb_error *error);

#endif
