/*
  One backup copied from one repository to another, without a key.

  Its objects go byte by byte, each compared with the SHA-256 in the manifest on its way,
  backup.json last and as it is, so signatures stay valid; keys.json and hold.json go along (who
  wants a backup kept wants its copy kept, too), verified.json does not: what was seen of the one
  says nothing of the other. Only where the target encrypts and the backup is not encrypted it is
  sealed on the way: the same frames, sealed for the target's recipients with a data key of its own,
  and a manifest with the new sums, signed by the target's signer. The id and the nonce stay, so it
  is known for the same backup everywhere.

  Meanwhile the target's lock is held, and the source's where it can be had, so that nothing expires
  it. What a killed copy leaves is no backup, and is collected as that of a killed backup is
  (repository_collect()), or by the next copy of the same.
*/
#ifndef GB_AGENT_REPOSITORY_COPY_H
#define GB_AGENT_REPOSITORY_COPY_H

#include "agent/repository/repository.h"

struct copy_request {
    const char *from_name, *to_name; /* what to put behind --repository, for messages; NULL: the
                                        names in the configuration */
    const char *state_dir;           /* what identity_admit() goes by; "": nothing */
    unsigned threads;                /* objects at a time; 0: a few */
    const bool *stop;                /* atomic; may be NULL */
    /* All may be NULL. progress: now and then, from the thread that called; bytes. warn: from that
     * thread, too. */
    void (*progress)(void *context, uint64_t done, uint64_t total);
    void (*warn)(void *context, const char *text);
    void *context;
};

enum copy_outcome {
    COPY_MADE,
    COPY_SEALED,
    COPY_THERE
}; /* as it is; sealed on the way; it was there already */

/* manifest: of the backup in `from`. Whoever writes to `to` must be let in there (identity.h), for
   the history that the backup is of. Errors: GB_bad_value (another backup of that label is there),
   GB_corrupt_backup (an object of the source, named; or what is in the target can't be read),
   GB_not_found (the source has been removed meanwhile), GB_untrusted_backup (the target would not
   trust it), GB_bad_key, GB_no_space, GB_wrong_cluster, GB_repository_busy (of the target),
   GB_cancelled, those of the stores. What was written is removed then. */
bool repository_copy(struct repository *from, struct repository *to,
                     const struct manifest *manifest, const struct copy_request *request,
                     enum copy_outcome *outcome, struct gb_error *error);

#endif
