/* Rate limit of the page readers; see throttle.h. */
#include "plugin/throttle.h"
#include "plugin/progress.h"

#include <unistd.h>

#define WAIT_MIN_US 1000u
#define WAIT_MAX_US 50000u  /* a new rate, or the end, is seen so late */
#define BURST_US    250000u /* a bucket holds this much time of the rate */

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static uint64_t rate, pace = UINT64_MAX;
static bool limited;   /* atomic: either is set */
static int64_t tokens; /* bytes; below zero: owed */
static uint64_t filled_us;

static void note_limited(void)
{
  __atomic_store_n(&limited, rate || pace != UINT64_MAX, __ATOMIC_RELAXED);
}

void throttle_set(uint64_t new_rate)
{
  pthread_mutex_lock(&mutex);
  rate = new_rate;
  tokens = 0;
  filled_us = now_us();
  note_limited();
  pthread_mutex_unlock(&mutex);
}

void throttle_pace(uint64_t new_rate)
{
  pthread_mutex_lock(&mutex);
  pace = new_rate; /* what is owed stays owed: it changes often, and the other limit must hold */
  note_limited();
  pthread_mutex_unlock(&mutex);
}

uint64_t throttle_rate(void)
{
  pthread_mutex_lock(&mutex);
  uint64_t r = rate;
  pthread_mutex_unlock(&mutex);
  return r;
}

/* 0 if taken; a debt is allowed once the bucket is not empty, so any size passes at any rate. Else
 * microseconds to wait. */
static uint32_t try_take(size_t bytes)
{
  uint32_t wait_us = 0;
  if (!__atomic_load_n(&limited, __ATOMIC_RELAXED))
    return 0;
  pthread_mutex_lock(&mutex);
  uint64_t limit = rate && rate < pace ? rate : pace;
  if (!limit)
    wait_us = WAIT_MAX_US;
  else if (limit != UINT64_MAX)
  {
    uint64_t now = now_us();
    int64_t earned = (int64_t)((double)limit * (double)(now - filled_us) / 1e6);
    if (earned) /* a low rate earns a byte in several looks */
      filled_us = now;
    tokens += earned;
    int64_t most = (int64_t)((double)limit * BURST_US / 1e6);
    if (tokens > most)
      tokens = most;
    if (tokens < 0)
    {
      double owed_us = -(double)tokens * 1e6 / (double)limit;
      wait_us = owed_us < WAIT_MIN_US   ? WAIT_MIN_US
                : owed_us < WAIT_MAX_US ? (uint32_t)owed_us
                                        : WAIT_MAX_US;
    }
    else
      tokens -= (int64_t)bytes;
  }
  pthread_mutex_unlock(&mutex);
  return wait_us;
}

bool throttle_take(size_t bytes, const volatile bool *stop)
{
  bool waited = false;
  for (uint32_t wait_us; (wait_us = try_take(bytes)) && !*stop;)
  {
    waited = true;
    usleep(wait_us);
  }
  return waited;
}
