/*
  BACKUP STAGE and desync: advance, prove the pause, undo. The only room that speaks these
  statements.

  The connection given must be the coordinator's own: the stage belongs to its THD.
*/
#ifndef GB_PLUGIN_STAGE_H
#define GB_PLUGIN_STAGE_H

#include "plugin/sql.h"

/* What wsrep says of the node, from one reading of its status. */
struct node_state
{
  bool galera;   /* a provider is loaded: @@global.wsrep_on */
  char uuid[64]; /* wsrep_local_state_uuid */
  char cluster_status[32];
  char comment[64]; /* wsrep_local_state_comment */
  int64_t last_committed;
  int64_t desync_count;
  uint64_t recv_queue, flow_control_sent;
  bool ready;
};

enum stage_result
{
  STAGE_OK,
  STAGE_BUSY,   /* a lock was not granted in time: stage_end(), wait, start over (rule 1) */
  STAGE_FAILED, /* error is set */
};

/* Prepares the session: wsrep_on=1 where a provider is loaded (rule 8), wsrep_sync_wait=0;
   wsrep_dirty_reads=1, without which a node that is not Primary refuses BACKUP STAGE END. */
bool stage_prepare(struct sql *sql, bool *galera, struct gb_error *error);

/* name: START, FLUSH, BLOCK_DDL, BLOCK_COMMIT. After anything but STAGE_OK the next call must be
 * stage_end(). */
enum stage_result stage_enter(struct sql *sql, const char *name, struct gb_error *error);
/* FLUSH LOCAL TABLES: closes a table, whose names are quoted already, and replicates nothing. */
enum stage_result stage_close_table(struct sql *sql, const char *database, const char *table,
                                    struct gb_error *error);
/* Always possible; nothing happens if no stage is held. */
bool stage_end(struct sql *sql, struct gb_error *error);

/* Not Galera: only galera=false is set. */
bool stage_node_state(struct sql *sql, bool galera, struct node_state *state,
                      struct gb_error *error);

bool stage_desync(struct sql *sql, bool on, struct gb_error *error);
/* Whether somebody, we or another, has set wsrep_desync. wsrep_desync_count counts those too who
 * pause the provider, and donors. */
bool stage_desynced(struct sql *sql, bool *on, struct gb_error *error);

#endif
