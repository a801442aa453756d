/*
  What the agent answers to CHECK: rows on the repository, where it is and whether it can be
  written, on backups that repositories lack, and on the agent's memory.
*/
#ifndef GB_AGENT_DAEMON_CHECK_H
#define GB_AGENT_DAEMON_CHECK_H

#include "agent/daemon/catchup.h"
#include "agent/daemon/peer.h"

/* Sends CHECKED, unless there is no memory, and waits then for what repositories have not answered
 * yet. */
void check_answer(struct peer *peer, const struct config *config, struct catchup *catchup,
                  const struct wire_hello *hello, const struct wire_check *check);

#endif
