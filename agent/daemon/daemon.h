/*
  The agent's daemon: listens, gives each connection a session, stops cleanly.
*/
#ifndef GB_AGENT_DAEMON_DAEMON_H
#define GB_AGENT_DAEMON_DAEMON_H

#include "agent/config.h"

/* Runs until SIGTERM or SIGINT. Errors: GB_bad_config (socket, user), GB_internal. */
bool daemon_run(const struct config *config, struct gb_error *error);

/* One line to the journal; id may be "". */
void daemon_log(const char *id, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
