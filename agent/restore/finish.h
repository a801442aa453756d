/*
  What is done with a restored directory once its files are complete and before a server may start
  in it: recovery, its position, its history, the replica's position, a check of its tables.

  All of it needs a private mariadbd (private_server.h), and the guard of the restore (target.h)
  stays until it has ended: the redo log stands in RECOVERY_DIR meanwhile, ib_logfile0 is one that
  every server refuses, and the marker says MARKER_CHANGING: if it is interrupted, the next run
  begins anew. So the doublewrite buffer, which is for torn pages after a crash of the machine, is
  off.
*/
#ifndef GB_AGENT_RESTORE_FINISH_H
#define GB_AGENT_RESTORE_FINISH_H

#include "agent/restore/estimate.h"
#include "agent/restore/history.h"
#include "agent/restore/replica.h"
#include "agent/restore/tables.h"

#define FINISH_SETTINGS_MAX 8192u
#define RECOVERY_DIR        "galera-backup-recovery" /* beside the redo log */
#define RECOVERY_LOG        "galera-backup-recovery.log"

struct finish_request {
    bool recover, verify_boot, replica;
    const char *history;                           /* of --history; NULL: the default */
    void (*line)(void *context, const char *text); /* what recovery says; may be NULL */
    void *context;
};

struct finish_plan {
    bool in_place;    /* the directory itself is recovered */
    unsigned workers; /* of a parallel replica whose transactions may be prepared: a reason to */
    bool on_clone;    /* a throw-away copy is */
    bool done_before; /* an interrupted run had recovered it; only the guard was left */
    struct history history;
    char gtid[REPLICA_GTID_MAX]; /* of a replica, else "" */
    char program[WIRE_PATH_MAX], version[WIRE_NAME_MAX];
    char settings[FINISH_SETTINGS_MAX]; /* for tables that a plugin opens:
                                           server_program_key_settings() */
    uint64_t available;                 /* memory, bytes; 0: not known */
    uint64_t pool;                      /* buffer pool of the recovery */
    double recover_s;                   /* how long the recovery will take */
    uint64_t boot_pool;                 /* buffer pool that mariadbd here is configured to have */
    bool boot_pool_known;
    double boot_s; /* how long the first start will take if nothing is recovered before */
};

struct finish_result {
    bool recovered;
    double recover_s;                 /* from start to "ready for connections" */
    char position[RSEG_POSITION_MAX]; /* as --wsrep-recover would print it; "" without Galera */
    bool verified;
    struct tables_result tables;
};

/* After restore_plan(), whose marker gets what a later run has to know; of a save nothing is
 * planned. Errors: GB_no_server, GB_no_clone, GB_bad_value, GB_target_unfinished, those of
 * estimate_make().
 */
bool finish_plan(struct finish_plan *plan, const struct finish_request *finish,
                 struct repository *repository, const struct manifest *manifest,
                 const struct index *index, const struct restore_request *request,
                 struct restore_plan *restore, struct gb_error *error);

/* After restore_run(), which was stay_guarded if in_place or on_clone: then this takes the guard
   away at its end. Errors: GB_recovery_failed, GB_position_differs, GB_table_damaged, GB_cancelled,
   GB_target_failed, GB_no_clone. */
bool finish_run(const struct finish_plan *plan, const struct finish_request *finish,
                struct finish_result *result, const struct manifest *manifest,
                const struct index *index, const struct restore_request *request,
                struct restore_plan *restore, struct gb_error *error);

#endif
