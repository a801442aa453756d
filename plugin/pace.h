/*
  How fast the page readers may be: one decision from all that tells of trouble, taken twice a
  second. Pure: it reads no clock and no file, so its tests are sequences of figures
  (tests/unit/test_pace.c).

  Additive increase, multiplicative decrease between a floor and "no limit". What slows the readers:
  - the redo follower is behind and the log would overrun it within a minute (rule 19);
  - the receive queue of a desynced node grows: slower above its limit, a stand-still at ten times
  that. Where it has not shrunk after PACE_FUTILE_STEPS of the lowest rate the cluster writes more
  than this node can apply, backup or not: PACE_FLOOR for a minute, so that the backup ends and the
  node can be synced again;
  - commits cost more than with the readers held back;
  - the server's own work needs the processors: it gets slower by what a backup does, however low
  its priority (docs/benchmarks.md). What the backup may use falls from all, where the server uses a
  tenth, to nothing but the lowest rate (busy_rate), where it uses a third. Where nothing is left
    idle the server may want more than it has: the lowest rate at once, and then what it is seen to
  leave. The commits' cost needs a figure to compare with, of this very load: while the server is
  busy the readers are held at the floor for PACE_PROBE_STEPS, or until there is a figure, at the
  start, and again every PACE_PROBE_EVERY steps (PACE_PROBE_FLOOR where they have come down to the
  floor anyway), and what a commit costs meanwhile is the baseline. So a load that grows by itself
  is not taken for our doing for long, and a baseline is never from another time of day.
*/
#ifndef GB_PLUGIN_PACE_H
#define GB_PLUGIN_PACE_H

#include "plugin/shares.h"

#define PACE_STEP_US      500000u
#define PACE_PROBE_STEPS  3u
#define PACE_PROBE_MAX    10u  /* steps, where figures are rare */
#define PACE_PROBE_EVERY  120u /* steps: a minute */
#define PACE_PROBE_FLOOR  8u
#define PACE_FUTILE_STEPS 40u
#define PACE_FUTILE_LOOK  10u
#define PACE_IDLE_STEPS   10u          /* without commits: the baseline is of another load */
#define PACE_FLOOR        (8ull << 20) /* bytes a second, for the sake of commits */
#define PACE_FLOOR_REDO   (1ull << 20) /* for the sake of the redo log and the receive queue */
#define PACE_NO_LIMIT     UINT64_MAX

/* Figures of what a commit costs (pressure.h). */
enum pace_cost
{
  PACE_CPU,
  PACE_STATEMENTS,
  PACE_COSTS,
};

enum pace_cause
{
  PACE_FREE,
  PACE_PROBE,
  PACE_COMMITS,
  PACE_QUEUE,
  PACE_REDO,
  PACE_SERVER,
};

struct pace_input
{
  uint64_t read_rate;                    /* bytes a second, of late */
  uint64_t redo_behind;                  /* bytes that the redo follower is behind */
  double redo_rate;                      /* bytes a second */
  int64_t headroom_s;                    /* -1: not known */
  uint64_t recv_queue, recv_queue_limit; /* write-sets; no limit: 0 */
  double cost[PACE_COSTS]; /* any unit; negative: the server is idle, or it is not known */
  struct shares shares;
  uint64_t busy_rate; /* bytes a second, the least for the sake of the server's own work; 0: it
                         doesn't count */
};

struct pace
{
  uint64_t limit; /* bytes a second, 0: stand still, PACE_NO_LIMIT */
  uint64_t full;  /* the most that the readers did without a limit: reaching it ends the limit */
  uint64_t before_probe;
  enum pace_cause cause_before_probe;
  struct
  {
    double baseline; /* at the floor; negative: none */
    double sum;      /* of the probe */
    unsigned count;
  } cost[PACE_COSTS];
  unsigned probe,
      probed; /* steps of the probe so far (0: none); of them with a figure, and not 0 after one */
  unsigned age;    /* steps since the last probe began */
  unsigned idle;   /* steps without a figure */
  unsigned lowest; /* steps at the lowest rate for the sake of the receive queue */
  uint64_t queue_first,
      queue_last; /* write-sets, at least: in the first and in the last PACE_FUTILE_LOOK of these */
  unsigned futile; /* steps for which the receive queue does not count */
  enum pace_cause cause;
};

void pace_begin(struct pace *pace);
/* One step; pace->limit and pace->cause are what holds until the next. */
void pace_step(struct pace *pace, const struct pace_input *input);
/* What a commit costs as a multiple of the baseline, by the figure that has risen most; 0: not
 * known. */
double pace_slowdown(const struct pace *pace, const struct pace_input *input);

#endif
