/*
  What is damaged of a backup, made anew from the same backup in another repository.

  An object is what it was before, byte by byte: either the other repository's is the same one (its
  manifest has the same SHA-256), or its frames are opened and sealed as they were here, which is
  the same each time. It is put in place only if it has this manifest's SHA-256. What is damaged
  goes at the last moment, when the new one has been written and found right: a crash in between
  leaves it missing, which is damage that verify finds and the next repair mends. All of it under
  the backup's lock.
*/
#ifndef GB_AGENT_REPOSITORY_REPAIR_H
#define GB_AGENT_REPOSITORY_REPAIR_H

#include "agent/repository/repository.h"

struct repair_request {
    const bool *damaged; /* by place in the manifest's objects */
    const bool *stop;    /* atomic; may be NULL */
    /* Of each of them, and of keys.json; problem NULL: it is mended. */
    void (*report)(void *context, const char *object, const struct gb_error *problem);
    void *context;
};

/* Mends what of them can be mended. False: nothing could be tried, or it ended early. Errors:
 * GB_not_found (the other repository does not have this backup), GB_repository_busy, GB_cancelled,
 * those of the stores. */
bool repository_repair(struct repository *home, struct repository *other,
                       const struct manifest *manifest, const struct repair_request *request,
                       struct gb_error *error);

/* keys.json of an encrypted backup, if it is damaged: it becomes that of the other copy, for its
   recipients, if that has the same data key. *mended: it was. False: it is damaged and stays so, or
   can't be looked at. Errors: GB_corrupt_backup, GB_not_found, GB_repository_busy, those of the
   stores. */
bool repository_repair_keys(struct repository *home, struct repository *other,
                            const struct manifest *manifest, bool *mended, struct gb_error *error);

/* backup.json that is there and can't be read: becomes that of the other copy, byte by byte, if an
   object here is what that one says of it. Whether all are, verify finds. Errors: GB_corrupt_backup
   (this copy is sealed in another way, or none of its objects is right), GB_not_found,
   GB_untrusted_backup, GB_repository_busy, those of the stores. */
bool repository_repair_manifest(struct repository *home, struct repository *other,
                                const char *cluster, const char *label, struct gb_error *error);

#endif
