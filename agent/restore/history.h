/*
  The history that a restored Galera directory belongs to (rule 28): the cluster's uuid, in InnoDB's
  own position and in grastate.dat.

  A cluster that is restored whole goes on from an old position. With its old uuid a node that was
  not restored and is ahead would be given write-sets (IST) that continue another history than its
  own, and differ from then on without a word. So such a restore gets a new uuid: the first 16 bytes
  of SHA-256("galera-backup history\n" ID "\n" NONCE "\n" TOKEN), ID and NONCE the backup's, marked
  as a version 8 uuid (RFC 9562). The same backup and TOKEN give the same uuid on every node.

  The position is in the rollback segment headers (common/rseg.h). It is read and written only in a
  directory that a server has shut down cleanly: the log then holds nothing that would be applied
  over it.
*/
#ifndef GB_AGENT_RESTORE_HISTORY_H
#define GB_AGENT_RESTORE_HISTORY_H

#include "agent/restore/private_server.h"
#include "common/rseg.h"

#define HISTORY_TOKEN_MAX 64u

struct history {
    bool new;        /* else the backup's uuid stays */
    bool token_made; /* nobody gave TOKEN: it has to be told to the other nodes */
    char token[HISTORY_TOKEN_MAX + 1];
    char position[RSEG_POSITION_MAX]; /* uuid:seqno that the directory will have; "" without Galera
                                       */
};

/* From --history (NULL: new if safe_to_bootstrap, else keep). begun: the token of an interrupted
   run, for a new one without TOKEN; "" if there is none. Errors: GB_bad_value. */
bool history_choose(struct history *history, const char *option, bool safe_to_bootstrap,
                    const char *begun, const struct manifest *manifest, struct gb_error *error);

/* uuid:seqno of the directory, RSEG_POSITION_MAX bytes; "" if no write-set was ever committed in
   it. Errors: GB_target_failed, GB_position_differs (pages that can't be read). */
bool history_read(const struct layout *layout, char *position, struct gb_error *error);

/* For a new history: empties the tables in which the server keeps the last view of the cluster and
   the fragments of streaming transactions under way. A node that joins holds the view's uuid
   against that of its position (wsrep-lib, sst_received(): "bogus GTID"), and no node of the old
   history will ever finish those transactions. Errors: those of private_server_query(). */
bool history_forget_view(struct private_server *server, struct gb_error *error);

/* Gives every XID of the directory the uuid of position, durable. Errors as above. */
bool history_write(const struct layout *layout, const char *position, struct gb_error *error);

#endif
