/*
  Monotonic time, and waiting for a condition until a moment of it: nobody's waits change with the
  host's clock.
*/
#ifndef GB_COMMON_CLOCK_H
#define GB_COMMON_CLOCK_H

#include <pthread.h>
#include <stdint.h>
#include <time.h>

/* CLOCK_MONOTONIC, microseconds. */
uint64_t now_us(void);
/* The same, seconds. */
double now_s(void);

/* Milliseconds until a moment of now_us(), rounded up; 0 if it has passed. */
unsigned ms_until(uint64_t us);

/* For pthread_cond_timedwait() on a condition of cond_init_monotonic(): so many milliseconds from
 * now. */
struct timespec deadline_in_ms(unsigned ms);
void cond_init_monotonic(pthread_cond_t *cond);

#endif
