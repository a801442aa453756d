/*
  Rows of the SQL catalog, galera_backup.backups and backup_log (rule 24), and this node's of
  galera_backup.nodes.

  A thread of its own with its own connection writes them, so nothing on the data path ever waits
  for the server. What can't be written is kept and tried again; the repository stays the truth, and
  a backup succeeds without its row.
*/
#ifndef GB_AGENT_MARIADB_CATALOG_H
#define GB_AGENT_MARIADB_CATALOG_H

#include "agent/config.h"
#include "agent/repository/verified.h"

struct catalog;

struct catalog *catalog_start(const struct config *config, struct gb_error *error);
/* Writes what is queued, for at most 5 s, and stops. NULL is allowed. */
void catalog_stop(struct catalog *catalog);

/* The row of a running backup. A later row of the same id replaces one that is still queued, behind
   what was logged meanwhile. */
void catalog_running(struct catalog *catalog, const char *cluster, const char *node,
                     const struct wire_start *start, const struct wire_node_progress *progress,
                     uint64_t bytes_stored, time_t started_at);
/* The final row: state is succeeded, failed or cancelled. manifest is NULL unless it succeeded. */
void catalog_final(struct catalog *catalog, const char *cluster, const char *node,
                   const struct wire_start *start, const char *state,
                   const struct manifest *manifest, const char *repositories, const char *warnings,
                   const struct gb_error *error, time_t started_at);
/* What RESYNCED brought. */
void catalog_resynced(struct catalog *catalog, const char *cluster, const char *id,
                      const struct wire_facts *facts);
/* What reading it back has shown. */
void catalog_verified(struct catalog *catalog, const char *cluster, const char *id,
                      const struct verified *verified);
void catalog_log(struct catalog *catalog, const char *cluster, const char *id,
                 const struct wire_log *log);
/* A statement that is written as it is, in its turn. */
void catalog_statement(struct catalog *catalog, const char *sql);
/* From here on the thread stays connected, keeps this node's row (nodes.h), and each time that it
   has connected it settles the rows of this node that say running and have no session. Their end
   was not seen, or the server was restored from that very backup: what the repositories have of it
   makes the row succeeded, with the manifest's figures, or failed (GB_agent_lost). A row waits
   while a repository cannot be read, and no other row does. */
void catalog_agent_started(struct catalog *catalog);

#endif
