/*
  The command variable: validates, answers, hands over (docs/sql.md; the procedures are its only
  users).

  The value is a JSON object {"op", "id", "user", "options"}. check runs in the caller's thread
  before the server's lock on system variables is taken: all validation and the second at most that
  the agent is given are there. update only starts the coordinator (rule 25).
*/
#ifndef GB_PLUGIN_COMMAND_H
#define GB_PLUGIN_COMMAND_H

#include <stdbool.h>
#include <stdint.h>

/* Settings that a backup starts with where its options say nothing: the plugin's system variables.
 */
struct command_defaults
{
  const char *socket;
  bool enabled;
  uint64_t rate, busy_rate, ring_size, max_recv_queue;
  unsigned threads, lock_wait_s, block_timeout_ms, resync_timeout_s;
};

/* True: accepted; command_update() must follow in the same thread, or the next command replaces it.
   False: an SQL error has been raised. */
bool command_check(const char *json, int length, const struct command_defaults *defaults);
bool command_update(void);
/* Drops what was accepted and not run: for deinit. */
void command_drop(void);

#endif
