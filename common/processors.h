/*
  How many processors this process may use: what its affinity allows (a cpuset is part of it), and
  no more than the CPU limit of its cgroup or of any above it.

  Formats: cgroup v2 cpu.max and v1 cpu.cfs_quota_us, cpu.cfs_period_us
  (Documentation/admin-guide/cgroup-v2.rst, Documentation/scheduler/sched-bwc.rst).
*/
#ifndef GB_COMMON_PROCESSORS_H
#define GB_COMMON_PROCESSORS_H

/* Rounded up: at least 1. What can't be read limits nothing. */
unsigned processors(void);
/* The same with its fraction: 0.5 where the CPU limit is half a processor. */
double processors_allowed(void);

/* The CPU limit alone, in processors; 0: none. root: "", or a directory that stands for / (tests).
 */
double processors_cgroup_limit(const char *root);

#endif
