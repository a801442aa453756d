/*
  What a commit costs on this server, in two figures, each milliseconds a commit:

  - time of the CPU and time in its queue, of all threads but the readers
  (/proc/self/task/N/schedstat). Exact, so it tells within half a second, also where little is done;
  - time of running statements, which is their mean time by Little's law (how many run at once,
  divided by how many end in a second). It rises with whatever makes commits wait, the disk as well,
  but it is sampled: Threads_running every PRESSURE_SAMPLE_US. Where few run it is not known for
  seconds.

  Handler_commit counts the commits. A statement of ours costs about 0.1 ms, a thread's line in
  /proc 0.02 ms. docs/internals/plugin.md says what else was tried. The coordinator's thread alone
  uses this.
*/
#ifndef GB_PLUGIN_PRESSURE_H
#define GB_PLUGIN_PRESSURE_H

#include "plugin/pace.h"
#include "plugin/sql.h"

#define PRESSURE_SAMPLE_US 200000u
#define PRESSURE_THREADS_MAX                                                                       \
  1024u /* more are not looked at; their time is then taken for ours (shares.h) */

struct pressure
{
  struct pressure_thread
  {
    uint32_t id;
    uint64_t ns, on_cpu_ns; /* on a CPU or waiting for one, and on one, since the thread began */
  } threads[PRESSURE_THREADS_MAX];
  unsigned thread_count;
  uint64_t cpu_commits;       /* Handler_commit at the last figure of the CPU; 0: none */
  uint64_t began_us, commits; /* of the other figure */
  uint64_t sampled_us;
  double running_us;  /* statements times microseconds */
  uint64_t observed;  /* statements seen running */
  uint64_t on_cpu_ns; /* the server's own threads, since the first look */
};

/* Takes a sample of running statements if one is due. */
void pressure_sample(struct pressure *pressure, struct sql *sql, uint64_t now_us);
/* The figures since the last; negative: not known yet, or too few commits to tell. Twice a second.
 */
void pressure_costs(struct pressure *pressure, struct sql *sql, uint64_t now_us,
                    double cost[PACE_COSTS]);

#endif
