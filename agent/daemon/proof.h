/*
  A backup that has just been committed is read back before the plugin is told (option verify of
  BACKUP_START), in a thread of its own: the session goes on talking meanwhile.
*/
#ifndef GB_AGENT_DAEMON_PROOF_H
#define GB_AGENT_DAEMON_PROOF_H

#include "agent/repository/verification.h"

struct proof;

/* Repository and manifest are borrowed until proof_end(). NULL: no memory, or no thread. */
struct proof *proof_start(struct repository *repository, const struct manifest *manifest, bool deep,
                          unsigned threads);
/* Waits so long for its end, no longer. */
bool proof_wait(struct proof *proof, unsigned ms);
/* It is not wanted any more: it ends soon, and nothing is recorded. */
void proof_stop(struct proof *proof);
/* Waits for its end and frees it. *record: what was recorded; verified_at 0: nothing. True if it
   was read and is good, or was stopped; else *error says that the backup is stored, and what is
   wrong with it. */
bool proof_end(struct proof *proof, struct verified *record, struct gb_error *error);

#endif
