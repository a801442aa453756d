/* Rate limit of the page readers; see throttle.h. */
#include "plugin/throttle.h"
#include "plugin/progress.h"

#include <unistd.h>

#define SLICE_US 50000u
#define BURST_US 250000u /* a bucket holds this much time of the rate */

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static uint64_t rate, brake;
static int64_t tokens; /* bytes; below zero: owed */
static uint64_t filled_us;

void throttle_set(uint64_t new_rate)
{
  pthread_mutex_lock(&mutex);
  rate = new_rate;
  tokens = 0;
  filled_us = now_us();
  pthread_mutex_unlock(&mutex);
}

void throttle_brake(uint64_t new_rate)
{
  pthread_mutex_lock(&mutex);
  brake = new_rate;
  pthread_mutex_unlock(&mutex);
}

uint64_t throttle_rate(void)
{
  pthread_mutex_lock(&mutex);
  uint64_t r = rate;
  pthread_mutex_unlock(&mutex);
  return r;
}

/* True if taken; a debt is allowed once the bucket is not empty, so any size passes at any rate. */
static bool try_take(size_t bytes)
{
  bool ok = true;
  pthread_mutex_lock(&mutex);
  uint64_t limit = brake && (!rate || brake < rate) ? brake : rate;
  if (limit)
  {
    uint64_t now = now_us();
    tokens += (int64_t)((double)limit * (double)(now - filled_us) / 1e6);
    filled_us = now;
    int64_t most = (int64_t)((double)limit * BURST_US / 1e6);
    if (tokens > most)
      tokens = most;
    if ((ok = tokens >= 0))
      tokens -= (int64_t)bytes;
  }
  pthread_mutex_unlock(&mutex);
  return ok;
}

bool throttle_take(size_t bytes, const volatile bool *stop)
{
  bool waited = false;
  while (!try_take(bytes) && !*stop)
  {
    waited = true;
    usleep(SLICE_US / 2);
  }
  return waited;
}
