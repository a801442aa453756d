/*
  BACKUP_HOLD and BACKUP_RELEASE at the agent: in each repository of the configuration that has the
  backup.
*/
#ifndef GB_AGENT_DAEMON_HOLDING_H
#define GB_AGENT_DAEMON_HOLDING_H

#include "agent/config.h"
#include "agent/daemon/peer.h"
#include "agent/mariadb/catalog.h"

/* HOLD: sends HELD where all that have the backup have done it, else an ERROR: GB_bad_config,
   GB_bad_value, GB_not_found, or that of a repository that could not be asked. One
   may take longer than the plugin waits: it is told so (GB_repository_busy) and asks again; the
   work goes on, and is waited for. The catalog hears of what has been done. */
void holding_answer(struct peer *peer, const struct config *config, struct catalog *catalog,
                    const struct wire_hello *hello, const struct wire_hold *hold);

#endif
