/*
  Rate limit of the page readers: a token bucket that can be changed while it is used. Two limits
  hold at once: the one that people set, and the pace that the coordinator finds fit for the server
  (pace.h). Without either no lock is taken.
*/
#ifndef GB_PLUGIN_THROTTLE_H
#define GB_PLUGIN_THROTTLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* bytes a second; 0 = no limit. Effective at once. */
void throttle_set(uint64_t rate);
uint64_t throttle_rate(void);
/* The second limit; 0: stand still, UINT64_MAX: none. The other is as it was. */
void throttle_pace(uint64_t rate);
/* Takes bytes from the bucket; waits until they are there or *stop is set, in slices of at most 50
   ms. True if it had to wait. */
bool throttle_take(size_t bytes, const volatile bool *stop);

#endif
