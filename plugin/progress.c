/* Figures about the running backup; see progress.h. */
#include "plugin/progress.h"

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static struct progress current = {.state = "idle", .redo_headroom_s = -1};

uint64_t now_us(void)
{
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

struct progress *progress_lock(void)
{
  pthread_mutex_lock(&mutex);
  return &current;
}

void progress_unlock(void)
{
  pthread_mutex_unlock(&mutex);
}

void progress_get(struct progress *out)
{
  *out = *progress_lock();
  progress_unlock();
}
