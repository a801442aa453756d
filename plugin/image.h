/*
  The crash image: from BACKUP STAGE START to the last redo byte before L. Stages COPY to END of the
  plan.

  image_take() goes round COPY, FLUSH and the window until a window has succeeded (rule 1): page
  copies and the redo follower carry on across rounds, every copy that is not a tablespace is made
  anew.
*/
#ifndef GB_PLUGIN_IMAGE_H
#define GB_PLUGIN_IMAGE_H

#include "plugin/coordinator.h"
#include "plugin/files.h"
#include "plugin/pace.h"
#include "plugin/preflight.h"
#include "plugin/pressure.h"
#include "plugin/shares.h"
#include "plugin/reader.h"

#define GTID_MAX      16384u /* a position: some hundred domains */
#define GTID_FACT_MAX 1000u  /* what one fact of the manifest holds of it */

/* ALTER TABLE since the server's start: of IMPORT TABLESPACE ddl.log says nothing. */
struct ddl_counts
{
  uint64_t alters;  /* counted when they begin */
  uint64_t reset;   /* the server's uptime when they were last set to 0 */
  uint64_t imports; /* under way, perhaps waiting for their table: they hold no backup stage up */
};

/* The backup under way; belongs to the coordinator's thread. */
struct backup
{
  struct backup_options options;
  struct channel *channel;
  bool channel_begun;
  struct sql *sql;
  struct facts facts;
  bool galera;
  struct node_state node; /* as last read */
  struct node_state at_pause;
  int64_t base_desync; /* 1: somebody else has set wsrep_desync, and it is left so */
  bool desync_ours, stage_held, window;
  struct inventory *inventory;
  struct follower *follower;
  struct readers *readers;
  struct files files;
  uint64_t started_us, sampled_us;
  uint64_t rate_bytes, rate_us; /* of the last sample */
  uint64_t redo_lsn;            /* server's LSN at the last sample */
  double redo_rate;             /* bytes a second, smoothed */
  bool followed;                /* the redo follower has once been near enough to the server */
  uint64_t redo_behind;         /* bytes, at the last sample */
  uint64_t slot_wait_us, throttle_wait_us; /* of the readers, at the last sample */
  unsigned eta_samples;
  struct pressure pressure;
  struct shares_clocks clocks; /* at the last look */
  bool shares_known;           /* there were two looks far enough apart */
  double processors;           /* that this process may use */
  struct pace pace;
  uint64_t paced_us, paced_bytes; /* of the last step */
  bool slow_told, server_told;    /* in the error log: that the readers are slow; once that they are
                                     for the sake of the server's own work */
  uint64_t flow_control_base;
  bool flow_control_known;
  uint64_t lsn_end;
  bool control_written;            /* Aria's, in this window */
  bool copying;                    /* in COPY: the readers keep to a pace */
  uint64_t copy_us;                /* how long this round has copied: not lost to locks */
  struct ddl_counts began, looked; /* before this round, and before FLUSH looked for files */
  uint64_t parallel; /* in the pause: workers of a parallel replica that were at work */
  char position[128], gtid[GTID_MAX], gtid_slave_pos[GTID_MAX], gtid_binlog_pos[GTID_MAX];
  struct gb_error error;
};

bool image_take(struct backup *backup);

/* Every wait of the coordinator calls this at least each 50 ms: is there a reason to stop?
   Refreshes the figures once a second, not inside the window. False: backup->error is set. */
bool backup_tick(struct backup *backup);

/* From coordinator.c */
bool backup_cancelled(void);
void backup_set_stage(struct backup *backup, const char *stage);
/* Into the backup's warnings (BACKUP_STATUS, manifest, catalog) and the error log. */
void backup_warn(const struct backup *b, enum gb_code code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void backup_publish_readers(struct readers *readers);
void backup_test_hold(struct backup *backup, const char *stage);

#endif
