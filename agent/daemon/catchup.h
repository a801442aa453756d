/*
  Backups that one of their repositories did not get: they are copied there as soon as it can be
  reached again.

  A thread of the daemon, with a connection to no server. What is owed stands in state-dir, so that
  a restart does not forget it; it ends when the copy is there, or when the backup is nowhere any
  more. While a backup is being committed it is written down as owed by each of its repositories to
  each other: an agent that dies in the midst of it finds out when it is back.
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

/* From any thread. names: of the backup's repositories, in the configuration; what can't be written
   down is named in the journal, and is done until the agent ends. expect: before the first
   backup.json is written; of one repository nothing is expected. settle: has[i]: names[i] has the
   backup; if any has, those that have not are owed it. A second time it changes nothing. */
void catchup_expect(struct catchup *catchup, const char *cluster, const char *id,
                    const char *const *names, unsigned count);
void catchup_settle(struct catchup *catchup, const char *cluster, const char *id,
                    const char *const *names, const bool *has, unsigned count);
/* From any thread: how many backups the repository is owed; oldest: the label of the first of them,
   "" if there is none. */
unsigned catchup_owed(struct catchup *catchup, const char *repository, char oldest[WIRE_ID_MAX]);

#endif
