/*
  The file that marks a directory whose restore has not ended: galera-backup-restore.incomplete.

  Its first lines are for people, the rest is what a later run needs to know: of which backup,
  whether the directory is still being cleared, and which files outside the data directory are this
  restore's. It is replaced as a whole and durable before anything happens that it speaks of.
*/
#ifndef GB_AGENT_RESTORE_MARKER_H
#define GB_AGENT_RESTORE_MARKER_H

#include "agent/repository/repository.h"

#define RESTORE_FILES  "galera-backup-restore." /* all names of such files begin so */
#define RESTORE_MARKER RESTORE_FILES "incomplete"

enum marker_state {
    MARKER_CLEARING_KEEP,   /* old content is being moved to marker.aside */
    MARKER_CLEARING_DELETE, /* old content, or that of an unfinished restore, is being removed */
    MARKER_WRITING,         /* files are being written: the journal says which frames are there */
    MARKER_ENDING,          /* all is written and durable: the guard is being taken away */
    MARKER_CHANGING, /* all were written, and a server has been at work on them: they are not the
                        backup's any more */
};

struct marker {
    char backup[WIRE_ID_MAX], nonce[33];
    enum marker_state state;
    char aside[WIRE_PATH_MAX]; /* MARKER_CLEARING_KEEP: a directory */
    char stamp[32]; /* of what is moved aside, and when this restore began: 20261121T031500Z */
    char token[65]; /* of a new history (history.h), which the next run takes, too; "": none */
    bool replica;   /* gtid_slave_pos is to be set */
    bool recovered; /* MARKER_ENDING: a server has recovered the directory */
    char **outside; /* absolute paths that the restore writes, in the order of the index */
    size_t outside_count;
};

/* Of this backup and index. Free it with marker_free(). Errors: GB_internal. */
bool marker_make(struct marker *marker, const struct manifest *manifest, const struct index *index,
                 struct gb_error *error);
void marker_free(struct marker *marker);
/* Durable when it returns. Errors: GB_target_failed, GB_target_no_space. */
bool marker_write(const char *datadir, const struct marker *marker, struct gb_error *error);
/* *there: whether there is one, also one that can't be understood or that somebody else than root
   or this process's user has written: its backup is "" then. Errors: GB_target_failed. */
bool marker_read(const char *datadir, struct marker *marker, bool *there, struct gb_error *error);
/* Whether path is one of those outside the data directory. */
bool marker_lists(const struct marker *marker, const char *path);
/* Whether both speak of the same backup and of the same places. */
bool marker_same(const struct marker *one, const struct marker *two);

#endif
