/*
  How much memory this process may still take. A shared memory file counts as a process's own: what
  goes beyond a limit kills the process, so what needs much asks first.
*/
#ifndef GB_COMMON_MEMORY_H
#define GB_COMMON_MEMORY_H

#include <stdint.h>

/* Bytes that can be taken without swapping and without reaching a memory limit of the control group
   (version 1 or 2) or of any above it; page cache counts as free, as it is given back. At least 1;
   0: not known. root: "", or a directory that stands for / (tests). */
uint64_t memory_available(const char *root);

#endif
