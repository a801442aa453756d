/*
  Can a backup's position still be joined by IST (rule 29)?

  Galera decides when the node joins: gcs/src/gcs_group.cpp, group_find_ist_donor(). The position
  must not be below the least wsrep_local_cached_downto of the group's members plus a safety gap,
  1/128 of what the group has cached and 2^20 write-sets at most, and must be of the cluster's
  history. The same rule stands in sql/install.sql (function ist_lowest), which answers for
  BACKUP_LIST and BACKUP_CHECK.

  What is known of donors: the live figures of the server that is asked, and what the agents of the
  others have written into galera_backup.nodes (agent/mariadb/nodes.h). A prediction is of that
  moment: write-sets that come push old ones out.
*/
#ifndef GB_AGENT_MARIADB_IST_H
#define GB_AGENT_MARIADB_IST_H

#include "agent/mariadb/connection.h"

#define IST_DONORS_MAX 64u
#define IST_WRITESET_EXTRA                                                                         \
    40u /* bytes that gcache adds to a write-set: header and alignment (measured: 37 to 39) */

struct ist_donor {
    char node[WIRE_NAME_MAX], address[WIRE_NAME_MAX];
    char uuid[40];         /* wsrep_cluster_state_uuid */
    int64_t cached_downto; /* seqno of the oldest write-set of its gcache */
    int64_t last_committed;
    uint64_t gcache_bytes; /* gcache.size */
    uint64_t
        written_bytes_s; /* bytes of gcache that write-sets take a second; 0: none, or not known */
    uint64_t writeset_bytes; /* of a write-set in gcache, on average; 0: not known */
};

struct ist_donors {
    struct ist_donor list[IST_DONORS_MAX];
    unsigned count;
};

/* Figures of the server at the other end, all at one moment. */
struct ist_facts {
    struct ist_donor donor; /* its rate: the average since the server started */
    char cluster[WIRE_NAME_MAX];
    char conf_id[24]; /* wsrep_cluster_conf_id: another one after each change of the cluster's
                         members */
    char port[8];     /* of SQL */
    bool galera, primary, synced;
    bool cached;          /* its gcache holds something */
    uint64_t bytes, sets; /* replicated and received since the server started */
    uint64_t uptime_s;
};

/* Needs no privilege. Errors: as connection_query(). */
bool ist_facts_read(struct connection *connection, struct ist_facts *facts, struct gb_error *error);

/* All donors that the server knows, itself included: galera_backup.donors; where that can't be
   read, itself alone. Errors: as connection_query(); GB_node_not_fit: not in the Primary component
   of a cluster. */
bool ist_donors_read(struct connection *connection, struct ist_donors *donors,
                     struct gb_error *error);

enum ist_answer { IST_UNKNOWN, IST_NO, IST_YES };

struct ist_prediction {
    enum ist_answer answer;
    int64_t behind;       /* write-sets from the position to the newest one; -1: not known */
    int64_t lowest;       /* the lowest seqno that can be joined by IST; -1: not known */
    uint64_t needs_bytes; /* gcache.size that would hold what is behind, with a quarter to spare; 0:
                             not known */
    uint64_t day_bytes;   /* the same for 24 h of writes at the measured rate */
    uint64_t left_s;      /* how long the position stays in reach at that rate; 0: not known */
    char nodes[256];      /* donors that reach back to it: "db1, db3" */
};

/* position: "uuid:seqno"; "" gives IST_UNKNOWN. */
void ist_predict(const struct ist_donors *donors, const char *position,
                 struct ist_prediction *prediction);
/* "yes", "no", "unknown" */
const char *ist_word(enum ist_answer answer);
/* One line for people: what and why. */
void ist_text(const struct ist_prediction *prediction, char *out, size_t size);

/* gcache.size out of wsrep_provider_options, in bytes; 0: it is not there. */
uint64_t ist_gcache_bytes(const char *provider_options);

#endif
