/* Figures about the running backup; see progress.h. */
#include "plugin/progress.h"

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static struct progress current = {.state = "idle", .redo_headroom_s = -1};

struct progress *progress_lock(void)
{
  pthread_mutex_lock(&mutex);
  return &current;
}

void progress_unlock(void)
{
  pthread_mutex_unlock(&mutex);
}

uint64_t progress_eta_s(const struct progress *p)
{
  uint64_t left = p->bytes_total > p->bytes_done ? p->bytes_total - p->bytes_done : 0;
  if (left > p->bytes_left)
    left = p->bytes_left;
  return p->eta_rate ? (left + p->eta_rate - 1) / p->eta_rate : 0;
}

void progress_get(struct progress *out)
{
  *out = *progress_lock();
  progress_unlock();
}
