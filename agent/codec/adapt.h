/*
  A level of compression that follows the store: "zstd:auto".

  Where the threads of a backup spend most of their time waiting for the store, processors are idle,
  and a higher level makes less of what the store is slow to take; where the store waits for them,
  the level falls. The level begins at the lowest and rises one step at a time, so a store that is
  never waited for gets what zstd:1 gives it; it falls in larger steps than it rises. The bounds:
  zstd:1, and a level beyond which zstd needs several times the time and memory for a few percent.

  No clock, no lock and no I/O here: who asks has measured, and holds the lock that guards the
  struct.
*/
#ifndef GB_AGENT_CODEC_ADAPT_H
#define GB_AGENT_CODEC_ADAPT_H

#include <stdbool.h>
#include <stdint.h>

#define ADAPT_LEVEL_MIN 1
#define ADAPT_LEVEL_MAX 9
#define ADAPT_EVERY_US  500000u

/* The level that follows `level` when so much (0 to 1) of all threads' time has been spent in the
 * store. */
int adapt_level(int level, double store_share);

struct adapt {
    int level, highest;       /* now (atomic: may be read without the lock); so far */
    uint64_t at_us, store_us; /* of the last look */
};

/* now_us: a monotonic clock's. */
void adapt_begin(struct adapt *adapt, uint64_t now_us);
/* Sets the level anew, every ADAPT_EVERY_US at most. store_us: the time that all threads have spent
   in the store since the beginning, all together; threads: how many they are. Answers whether the
   level is another one. */
bool adapt_look(struct adapt *adapt, uint64_t now_us, uint64_t store_us, unsigned threads);

#endif
