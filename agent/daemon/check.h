/*
  What the agent answers to CHECK: rows on the repository, where it is and whether it can be written, on backups that repositories
  lack, and on the agent's memory.
*/
#ifndef GB_AGENT_DAEMON_CHECK_H
#define GB_AGENT_DAEMON_CHECK_H

#include "agent/config.h"
#include "agent/daemon/catchup.h"
#include "agent/daemon/trial.h"
#include "agent/repository/repository.h"
#include "common/wire.h"

/* cluster: whose backup it would be. asked: the server's data directory and its size. trial: to be ended when the rows have been sent. */
void check_repository(const struct config *config, const struct repository_spec *spec, const char *cluster, const struct wire_check *asked,
                      struct trial *trial, struct wire_checked *rows);
/* A row for each repository of the configuration that lacks backups which others have. */
void check_owed(const struct config *config, struct catchup *catchup, struct wire_checked *rows);
/* available: bytes that the agent may still take, 0: not known. */
void check_memory(const struct config *config, uint64_t available, struct wire_checked *rows);

#endif
