/*
  One backup at a time: the thread that runs the stage plan of the design's section 4. The room to
  read first.

  coordinator_start() is called under the server's lock on system variables: it only creates the
  thread.
*/
#ifndef GB_PLUGIN_COORDINATOR_H
#define GB_PLUGIN_COORDINATOR_H

#include "plugin/channel.h"

struct backup_options
{
  char id[WIRE_ID_MAX];
  char user[WIRE_NAME_MAX], node[WIRE_NAME_MAX], cluster[WIRE_NAME_MAX];
  char cluster_uuid[WIRE_UUID_MAX]; /* wsrep_cluster_state_uuid, "" without Galera */
  char hold[WIRE_HOLD_MAX];         /* as in struct wire_start */
  char verify[8];                   /* the same */
  char comment[WIRE_TEXT_MAX];
  char repositories[WIRE_TEXT_MAX]; /* names separated by commas */
  bool check;                       /* preflight only */
  bool dry_run;
  uint64_t rate;      /* bytes a second, 0: no limit */
  uint64_t busy_rate; /* the same for each processor while the server needs them (pace.h) */
  unsigned threads;
  unsigned lock_wait_s, block_timeout_ms, max_duration_s, resync_timeout_s;
  uint64_t max_recv_queue;
  uint64_t ring_size;
};

/* Starts a backup over channel, which has been told START and is the coordinator's from here on
   (also if this fails). With check or dry_run, channel may be NULL. Errors: GB_busy (names the
   running one), GB_no_memory. */
bool coordinator_start(const struct backup_options *options, struct channel *channel,
                       const struct wire_checked *agent, struct gb_error *error);
/* GB_busy with what runs, if something does. */
bool coordinator_idle(struct gb_error *error);
/* id "": whatever runs. Errors: GB_not_running. */
bool coordinator_cancel(const char *id, struct gb_error *error);
/* Rates and threads of the running backup; -1, 0 threads: leave as it is. Errors: GB_not_running.
 */
bool coordinator_set(int64_t rate, int64_t busy_rate, int threads, struct gb_error *error);
/* Rows of the check with that id; false if there are none. */
bool coordinator_check_rows(const char *id, struct wire_checked *rows);
/* Cancels what runs and joins the thread: for deinit. */
void coordinator_shutdown(void);

#ifdef GB_TEST_HOOKS
/* Sets the stage at which backups wait, "": none. Answers the text, which stays valid. */
const char *coordinator_test_hold(const char *stage);
#endif

#endif
