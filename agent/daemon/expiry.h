/*
  Expiring after a backup, by the agent: in the session's own thread once the plugin has been told
  everything, so that neither the backup nor the plugin waits for it. What it does, or why it does
  nothing, is one line in the agent's log and follows in the catalog.
*/
#ifndef GB_AGENT_DAEMON_EXPIRY_H
#define GB_AGENT_DAEMON_EXPIRY_H

#include "agent/config.h"
#include "agent/mariadb/catalog.h"

/* Nothing in a repository without rules, and in one that is append-only. id: of the backup that was
 * taken, for the log. *stop: ends it. */
void expiry_run(const struct repository_spec *spec, const char *cluster, const char *id,
                struct catalog *catalog, const bool *stop);

#endif
