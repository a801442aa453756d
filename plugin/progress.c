/* Figures about the running backup; see progress.h. */
#include "plugin/progress.h"

#include <stdio.h>
#include <string.h>

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

static void add_text(char out[WIRE_TEXT_MAX], const char *text)
{
  size_t n = strlen(out);
  snprintf(out + n, WIRE_TEXT_MAX - n, "%s%s", n ? "; " : "", text);
}

void progress_warn(const char *text, bool own)
{
  struct progress *p = progress_lock();
  add_text(p->warnings, text);
  if (own)
    add_text(p->own_warnings, text);
  progress_unlock();
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
