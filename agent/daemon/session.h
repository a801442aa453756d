/*
  One connection from a plugin: a check, or a backup from START to COMMITTED.

  Threads of a backup: the receiver (the session's own thread), workers, the redo compressor, the
  redo writer, the sign of life. docs/internals/threads.md has the table of locks.
*/
#ifndef GB_AGENT_DAEMON_SESSION_H
#define GB_AGENT_DAEMON_SESSION_H

#include "agent/config.h"
#include "agent/daemon/catchup.h"

/* Holds the conversation on fd (closed at the end). *stop, read now and then, asks to end it. */
void session_run(int fd, const struct config *config, struct catalog *catalog,
                 struct catchup *catchup, const bool *stop);

#endif
