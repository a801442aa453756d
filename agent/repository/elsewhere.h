/*
  The same backup in other repositories: where a restore finds what it can't read in its own.

  The layout of a backup is the same wherever it is, so what stands at (segment, offset) here stands
  there, sealed perhaps with another key. It is the same backup if id, cluster and nonce are the
  same; what comes from there is held against the hash in this one's index like any frame. A
  repository is opened only when something is missing. Of what was taken from where an account is
  kept.

  Safe to use from several threads. The first that needs another repository opens it, and the others
  wait for that.
*/
#ifndef GB_AGENT_REPOSITORY_ELSEWHERE_H
#define GB_AGENT_REPOSITORY_ELSEWHERE_H

#include "agent/repository/repository.h"

/* The manifest of the backup of that prefix in another repository; whoever is trusted here must
   have signed it, too. nonce: that it must have; NULL: any. Errors: GB_not_found (also: it is
   another backup), those of manifest_read(). */
bool elsewhere_manifest(struct repository *home, struct repository *other, const char *prefix,
                        const char *nonce, struct manifest *manifest, struct gb_error *error);

struct elsewhere;

/* home: the repository that is read; specs: those that may have it too, home among them or not;
   copied. say (may be NULL) is told once of each object that is taken from another, from any
   thread, one at a time. NULL: no memory. */
struct elsewhere *elsewhere_new(struct repository *home, const struct repository_spec *specs,
                                unsigned count, void (*say)(void *context, const char *text),
                                void *context);
void elsewhere_free(struct elsewhere *elsewhere); /* NULL is allowed */
/* Of which backup; before all that follows. Must outlive it. */
void elsewhere_of(struct elsewhere *elsewhere, const struct manifest *manifest);

/* In all of these elsewhere may be NULL: then, and where no other repository has it right, the
   answer is false and *error is why, which is what was wrong here, with what was found elsewhere.
   Errors that say nothing about the repository (GB_internal) stay as they are. */

/* The data key of an encrypted backup whose keys.json here can't be read; manifest: that of
 * elsewhere_of(). */
bool elsewhere_unlock(struct elsewhere *elsewhere, struct manifest *manifest,
                      const struct gb_error *why, struct gb_error *error);
bool elsewhere_index(struct elsewhere *elsewhere, struct index *index, const struct gb_error *why,
                     struct gb_error *error);
/* Whether an object that is missing or of another size here is there. */
bool elsewhere_object(struct elsewhere *elsewhere, size_t number, const struct gb_error *why,
                      struct gb_error *error);
/* A frame that can't be read or opened here, as frame_read() of here would give it. */
bool elsewhere_frame(struct elsewhere *elsewhere, const struct frame *frame, uint8_t *stored,
                     uint8_t *plain, const struct gb_error *why, struct gb_error *error);
/* Whether the store of home has gone away while another has the backup: then it need not be asked
 * again, and be waited for, for each frame. */
bool elsewhere_instead(const struct elsewhere *elsewhere);

/* What was taken: object is "data/000003.seg" or "index"; frames: of a segment, else 0. When no
 * thread uses it any more. */
struct elsewhere_taken {
    char object[64];
    const char *repository; /* its name */
    uint64_t frames;
};
const struct elsewhere_taken *elsewhere_account(const struct elsewhere *elsewhere, size_t *count);

#endif
