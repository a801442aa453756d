/*
  Single frames of a backup, for what is looked at before a restore: the redo. Not the way on which
  files are written (restore.c). One thread. What can't be read here is taken from elsewhere.
*/
#ifndef GB_AGENT_RESTORE_FRAMES_H
#define GB_AGENT_RESTORE_FRAMES_H

#include "agent/repository/elsewhere.h"

struct frames;

/* repository, manifest, index and elsewhere (may be NULL) stay the caller's and must outlive it.
 * Errors: GB_internal. */
struct frames *frames_open(struct repository *repository, const struct manifest *manifest,
                           const struct index *index, struct elsewhere *elsewhere,
                           struct gb_error *error);
void frames_close(struct frames *frames);
/* Plain text of the frame at that place in index->frames, valid until the next call; NULL on
   errors: GB_corrupt_backup and those of storage_read(). */
const uint8_t *frames_read(struct frames *frames, size_t number, struct gb_error *error);

/* All FILE_* records of the redo, in order. Errors: as above; GB_corrupt_backup too if the redo
 * can't be read to its end. */
struct redo_visitor;
bool frames_visit_redo(struct frames *frames, const struct redo_visitor *visitor,
                       struct gb_error *error);

#endif
