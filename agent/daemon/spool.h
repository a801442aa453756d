/*
  A bounded file for redo frames that find no room in memory while the repository stalls (rule 19).
  The file has no name: whatever ends the agent, nothing is left; and what is in it is sealed with a
  key that only this process has. One thread puts, one takes, in order.
*/
#ifndef GB_AGENT_DAEMON_SPOOL_H
#define GB_AGENT_DAEMON_SPOOL_H

#include "common/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct spool;

/* directory must exist; at most `most` bytes are held, with SEAL_TAG_SIZE for each put. Errors:
 * GB_bad_config, GB_internal. */
struct spool *spool_open(const char *directory, uint64_t most, struct gb_error *error);
void spool_close(struct spool *spool); /* NULL is allowed */

/* Appends; *at is where. data is worth nothing afterwards. Errors: GB_redo_memory (full),
 * GB_io_error. */
bool spool_put(struct spool *spool, uint8_t *data, size_t size, uint64_t *at,
               struct gb_error *error);
/* Reads back what was put there and gives its room back. Errors: GB_io_error. */
bool spool_take(struct spool *spool, uint64_t at, uint8_t *data, size_t size,
                struct gb_error *error);

#endif
