/*
  Which frames of a restore are on disk: galera-backup-restore.journal, beside the marker.

  A frame counts only when all that was written before it was synced: so what the journal says is
  true after a power loss as well as after SIGKILL. What it does not say is written again, which
  changes nothing, for a frame's bytes have one place. The file is replaced as a whole; one that is
  damaged or of another backup counts as none.

  Bytes, big-endian: "GBJ1", u64 number of frames, one bit a frame (the index's order, lowest bit
  first), u64 XXH3-64 of all before it.
*/
#ifndef GB_AGENT_RESTORE_JOURNAL_H
#define GB_AGENT_RESTORE_JOURNAL_H

#include "common/error.h"

#include <stdint.h>

/* written: one byte a frame, 0 or 1; all 0 if there is no journal that can be used. */
void journal_read(const char *datadir, uint8_t *written, size_t count);
/* Durable when it returns. Errors: GB_target_failed, GB_target_no_space, GB_internal. */
bool journal_write(const char *datadir, const uint8_t *written, size_t count,
                   struct gb_error *error);
/* Durable when the directory is synced next. Errors: GB_target_failed. */
bool journal_remove(const char *datadir, struct gb_error *error);

#define RESTORE_JOURNAL "galera-backup-restore.journal"

#endif
