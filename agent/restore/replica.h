/*
  A restored directory as an asynchronous replica of the server that was backed up.

  gtid_slave_pos is set to what the data hold: in each domain the later of the source's binary log
  position and of its own gtid_slave_pos (a source that is a replica itself). gtid_current_pos would
  not do: it leaves out what a Galera node or a replica has logged with another server's id.
*/
#ifndef GB_AGENT_RESTORE_REPLICA_H
#define GB_AGENT_RESTORE_REPLICA_H

#include "agent/restore/private_server.h"

#define REPLICA_GTID_MAX      32768u
#define REPLICA_STATEMENT_MAX 4096u

/* The position, REPLICA_GTID_MAX bytes. Errors: GB_bad_value if the source had no binary log and no
 * replication. */
bool replica_position(const struct manifest *manifest, char *gtid, struct gb_error *error);
/* Stores it in the directory. Errors: those of private_server_query(). */
bool replica_seed(struct private_server *server, const char *gtid, struct gb_error *error);
/* CHANGE MASTER for the restored server, with places to fill in, REPLICA_STATEMENT_MAX bytes.
 * Returns out. */
const char *replica_statement(const struct manifest *manifest, char *out);

#endif
