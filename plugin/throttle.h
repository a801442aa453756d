/*
  Rate limit of the page readers: a token bucket that can be changed while it is used.
*/
#ifndef GB_PLUGIN_THROTTLE_H
#define GB_PLUGIN_THROTTLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* bytes a second; 0 = no limit. Effective at once. */
void throttle_set(uint64_t rate);
uint64_t throttle_rate(void);
/* Takes bytes from the bucket; waits until they are there or *stop is set, in slices of at most 50 ms. True if it
   had to wait. */
bool throttle_take(size_t bytes, const volatile bool *stop);

#endif
