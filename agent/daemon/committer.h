/*
  The commit of a backup in a thread of its own, so that whoever waits for it is not held up by a
  repository that hangs: the session goes on listening to the plugin and to the clock, and may give
  the commit up.

  Given up is final: what the thread still writes, when the repository moves again, it removes.
  Where the backup goes to several repositories, backup.json is written when all else is there in
  all of them. Which of the two came first, give-up or commit, is decided under one mutex: a backup
  that was reported as failed is not there, one that was reported as committed is.
*/
#ifndef GB_AGENT_DAEMON_COMMITTER_H
#define GB_AGENT_DAEMON_COMMITTER_H

#include "agent/daemon/pipeline.h"

struct committer;

struct committer_setup {
    struct repository *repository;
    struct pipeline *pipeline;
    struct repository_backup *backup;
    struct mirror *mirrors[MIRRORS_MAX]; /* of the repositories that must have the backup as well */
    unsigned mirror_count;
    struct manifest *manifest; /* filled but for its sums and finished_at */
};

/* Takes over backup, and removes it if it fails or is given up; the rest stays the caller's, who
   leaves it alone until committer_end(), but for giving mirrors up. NULL: GB_internal; backup is
   the caller's still. */
struct committer *committer_start(const struct committer_setup *setup, struct gb_error *error);

/* Whether the thread has ended: committer_end() will not wait. */
bool committer_ended(struct committer *committer);
/* How long the repository has done nothing, as far as this and the last call can tell: call it
 * often. */
uint64_t committer_idle_ms(struct committer *committer);
/* False: it is too late, the backup is committed. */
bool committer_give_up(struct committer *committer);
/* Waits for the thread, however long the repository takes. True if the backup is committed; else
   the error of the thread. Frees committer; NULL is allowed (false, no error). */
bool committer_end(struct committer *committer, struct gb_error *error);

#endif
