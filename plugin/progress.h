/*
  One struct of figures about the running backup, or the last one: what BACKUP_STATUS shows. Written
  by the coordinator and, for the counters, by readers and follower; copied out whole for status.
*/
#ifndef GB_PLUGIN_PROGRESS_H
#define GB_PLUGIN_PROGRESS_H

#include "common/error.h"
#include "common/wire.h"
#include "common/clock.h"

#include <pthread.h>
#include <time.h>

struct progress
{
  char id[WIRE_ID_MAX], cluster[WIRE_NAME_MAX], node[WIRE_NAME_MAX], type[16];
  char state[16], stage[16];
  char user[WIRE_NAME_MAX], comment[WIRE_TEXT_MAX];
  time_t started_at;
  uint64_t started_us, stage_us, finished_us; /* monotonic microseconds; 0: not yet */
  uint64_t bytes_total, bytes_done, bytes_stored;
  uint64_t read_rate, store_rate, rate_limit, busy_rate, redo_bytes;
  int64_t redo_headroom_s; /* -1: not known */
  uint32_t threads;
  uint64_t bytes_left;      /* not more than this is still to be read */
  uint64_t eta_rate;        /* read_rate, smoothed over some seconds */
  uint8_t bottleneck;       /* enum bottleneck */
  uint8_t agent_bottleneck; /* the agent's own word: CPU, STORE or NONE */
  bool redo_full;           /* the agent's: its memory for redo is half full, or fuller */
  char waiting_for[256];
  bool desynced;
  uint64_t desynced_us, resynced_us;
  uint64_t recv_queue, recv_queue_max, flow_control_sent;
  uint64_t ddl_blocked_us, commit_blocked_us, blocked_us;
  char position[64], gtid[WIRE_TEXT_MAX];
  char binlog_file[256];
  uint64_t binlog_pos, lsn_start, lsn_end;
  char repositories[WIRE_TEXT_MAX];
  char resync[16];
  char warnings[WIRE_TEXT_MAX];
  char own_warnings[WIRE_TEXT_MAX]; /* those that are not the agent's: a fact of the manifest */
  struct gb_error error;
  char check_id[WIRE_ID_MAX];
  bool check_done;
  bool test_held;
};

enum bottleneck
{
  BOTTLENECK_NONE,
  BOTTLENECK_SOURCE,
  BOTTLENECK_CPU,
  BOTTLENECK_STORE,
  BOTTLENECK_THROTTLE,
  BOTTLENECK_LOCK,
};

/* The one instance, locked. Hold it for assignments only. */
struct progress *progress_lock(void);
void progress_unlock(void);
/* Adds a warning. own: it is not the agent's. */
void progress_warn(const char *text, bool own);
/* Seconds until all is read, at the rate of the last seconds; 0: done, or not known yet. */
uint64_t progress_eta_s(const struct progress *progress);
/* A copy. */
void progress_get(struct progress *out);

#endif
