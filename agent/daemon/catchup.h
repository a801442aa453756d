/*
  Backups that a repository with required = no did not get: they are copied there as soon as it can
  be reached again.

  A thread of the daemon, with a connection to no server. What is owed stands in state-dir, so that
  a restart does not forget it; it ends when the copy is there, or when the backup is nowhere any
  more.
*/
#ifndef GB_AGENT_DAEMON_CATCHUP_H
#define GB_AGENT_DAEMON_CATCHUP_H

#include "agent/config.h"
#include "agent/mariadb/catalog.h"

struct catchup;

/* Both are borrowed until catchup_stop(). Errors: GB_internal. */
struct catchup *catchup_start(const struct config *config, struct catalog *catalog,
                              struct gb_error *error);
/* Ends a copy that is under way; what is owed stays owed. NULL is allowed. */
void catchup_stop(struct catchup *catchup);

/* From any thread. from, to: names in the configuration. What can't be written down is named in the
 * journal, and is done until the agent ends. */
void catchup_note(struct catchup *catchup, const char *cluster, const char *id, const char *from,
                  const char *to);

#endif
