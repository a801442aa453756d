/*
  The control groups that this process is in: its own and those above it, as far as they are
  mounted, in versions 1 and 2.

  Formats: /proc/self/cgroup (cgroups(7)) and /proc/self/mountinfo (proc(5)). Where a container sees
  neither its own path nor that of its parents, the place where the hierarchy is mounted counts.
*/
#ifndef GB_COMMON_CGROUP_H
#define GB_COMMON_CGROUP_H

#include <stdbool.h>
#include <stdio.h>

typedef void cgroup_visit(void *context, const char *directory, bool v2);

/* Calls visit for the directory of each group that may have the controller ("cpu", "memory"), of
   our own first. root: "", or a directory that stands for / (tests). What can't be read is left
   out. */
void cgroup_each(const char *root, const char *controller, cgroup_visit *visit, void *context);

/* A file of such a directory, for reading; NULL if there is none. The caller closes it. */
FILE *cgroup_open(const char *directory, const char *name);

#endif
