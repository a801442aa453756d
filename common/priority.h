/*
  Courtesy of the threads that do a backup's bulk work, in the server and in the agent: they get
  what the server's own threads leave. Lower priority can't be taken back without a privilege, so
  what must be quick (the redo follower, the coordinator, the copies that writers wait for) runs in
  other threads and never here.

  It holds among threads that the scheduler weighs against each other: those of one cgroup, or of
  services without CPU weights. Between containers, and between sessions with
  sched_autogroup_enabled (sched(7)), it does not: there the pace of the readers does it
  (plugin/pace.h). A whole session is not slowed down: the agent's redo threads are in it (rule 19).
*/
#ifndef GB_COMMON_PRIORITY_H
#define GB_COMMON_PRIORITY_H

/* The calling thread's name, as ps -L shows it; at most 15 characters. */
void priority_name(const char *name);

/* The calling thread's nice value (19: least CPU time), and the lowest I/O priority, for as long as
   it lives. What the system refuses is left out. */
void priority_lower(int nice_value);

#endif
