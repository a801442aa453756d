/*
  Time that only ever goes on, whatever is done to the machine's clock: for deadlines, pauses and
  rates. The time of day is for labels and for what people read.
*/
#ifndef GB_COMMON_MONOTONIC_H
#define GB_COMMON_MONOTONIC_H

#include <time.h>

/* Whole seconds since some moment before this process; never 0. */
static inline time_t monotonic_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + 1;
}

#endif
