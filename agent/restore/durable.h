/*
  What a restore has written becomes durable: every file system that it writes to is synced as a
  whole, then the journal may say so.

  syncfs() of a few file systems, not fsync() of each of a hundred thousand files. One thread.
*/
#ifndef GB_AGENT_RESTORE_DURABLE_H
#define GB_AGENT_RESTORE_DURABLE_H

#include "agent/restore/restore.h"

struct durable;

/* When all files are made. request and index stay the caller's. Errors: GB_target_failed,
 * GB_internal. */
struct durable *durable_open(const struct restore_request *request, const struct index *index,
                             struct gb_error *error);
void durable_close(struct durable *durable);
/* Errors: GB_target_failed, GB_target_no_space (delayed allocation). */
bool durable_sync(struct durable *durable, struct gb_error *error);
/* To be called often: once in a while (a second apart at least, and syncing no more than a tenth of
   the time) syncs and writes the journal. written: one byte a frame, set by other threads with
   release order when the frame's bytes have been written. */
bool durable_checkpoint(struct durable *durable, const uint8_t *written, size_t count,
                        struct gb_error *error);

#endif
