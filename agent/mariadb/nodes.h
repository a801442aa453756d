/*
  This node's row of galera_backup.nodes: what it could give a joiner, so that any node can answer
  for all (rule 29).

  Looked at every 5 s on the catalog's connection, written sparingly, as each row is a write-set:
  when the agent or its server has started, after a backup, when the cluster's members changed, when
  the window has moved by an eighth, else every ten minutes. Never while the node is not Synced in
  the Primary component, never on a standalone server. Readers take rows of the present
  wsrep_cluster_conf_id only, so a node that has left is not counted.
*/
#ifndef GB_AGENT_MARIADB_NODES_H
#define GB_AGENT_MARIADB_NODES_H

#include "agent/mariadb/ist.h"

#include <time.h>

struct nodes {
    struct ist_facts seen, written; /* at the last look; in the row */
    time_t seen_at, written_at;     /* monotonic_s(); 0: never */
    time_t look_at;
    double bytes_s; /* moving average over an hour */
    bool refused_told;
};

/* Look at once, and write whatever has changed. */
void nodes_soon(struct nodes *nodes);
/* Looks and writes if it is time. cluster: of the configuration, "": wsrep_cluster_name. *number:
   the server's error, 0 if it was none. */
void nodes_tick(struct nodes *nodes, struct connection *connection, const char *cluster,
                unsigned *number);

/* For tests: whether figures have changed enough to be written. */
bool nodes_changed(const struct ist_facts *written, const struct ist_facts *now);

#endif
