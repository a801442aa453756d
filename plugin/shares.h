/*
  Who has the processors: the server for its own work, or the backup, which is the plugin's threads
  and the agent; and what is left.

  All are shares of the processors that affinity and cgroup allow the server (processors.h). What is
  left is the less of what they leave there and of what is idle on the machine (/proc/stat). A
  thread that begins and ends between two looks (a connection of a server that keeps no threads,
  thread_cache_size=0) counts as the backup's, for it is not seen, and so do threads beyond
  PRESSURE_THREADS_MAX. Where the agent's process can't be seen (a container with process numbers of
  its own) its time is not in ours.

  Formats: proc(5); time that a hypervisor gave to another machine (steal) is neither used nor idle.
*/
#ifndef GB_PLUGIN_SHARES_H
#define GB_PLUGIN_SHARES_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define SHARES_MIN_US 150000u /* between two looks: the machine's clock has ticks of 10 ms */

/* From 0 to about 1; negative, all of them: not known. */
struct shares
{
  double server, ours, left;
};

/* All that counts up, as of one look. */
struct shares_clocks
{
  uint64_t us; /* monotonic; 0: there was no look */
  uint64_t server_ns,
      process_ns;    /* on a processor: the server's own threads, and all of this process */
  uint64_t agent_ns; /* 0: not known */
  uint64_t machine_ns, idle_ns; /* of all processors; 0: not known */
};

/* server_ns: from whatever moment, the same in each look (pressure.h). agent: its process, 0: not
 * known. */
struct shares_clocks shares_look(uint64_t server_ns, pid_t agent, uint64_t now_us);

/* Of what there was between two looks; nothing is known where one of them is missing, or they are
   less than SHARES_MIN_US apart. processors: that this process may use. */
struct shares shares_between(const struct shares_clocks *before, const struct shares_clocks *now,
                             double processors);

#endif
