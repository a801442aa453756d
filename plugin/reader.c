/* Reader threads; see reader.h. */
#include "plugin/reader.h"
#include "plugin/copy.h"
#include "plugin/copy_space.h"
#include "plugin/progress.h"
#include "common/priority.h"
#include "common/clock.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define THREADS_MAX 64u
/* For something to read; shorter while writers wait, shortest in the window. */
#define WAIT_MS        50u
#define PROMPT_WAIT_MS 10u
#define WINDOW_WAIT_MS 1u
#define BULK_NICE                                                                                  \
  10 /* no lower: they share mutexes with the redo follower, which must not wait long for one that \
        waits */

struct readers
{
  struct copy_shared shared;
  pthread_mutex_t mutex; /* what follows; never held across I/O */
  pthread_cond_t changed;
  pthread_cond_t turn;              /* bulk and prompt readers take turns */
  pthread_t thread[THREADS_MAX];    /* bulk: of low priority, for COPY */
  pthread_t prompt[READERS_WINDOW]; /* while writers may be waiting */
  unsigned started, wanted, busy;   /* busy: threads that hold an item or a part-filled slot */
  void (*job)(void *argument);
  void *job_argument;
  bool job_running;
  struct gb_error error;
};

static struct copier *job_copier; /* of the thread that runs the job: one job at a time */

static void fail(struct readers *r, const struct gb_error *error)
{
  pthread_mutex_lock(&r->mutex);
  error_copy(&r->error, error);
  pthread_cond_broadcast(&r->changed);
  pthread_mutex_unlock(&r->mutex);
}

static void drop(struct readers *r, uint32_t number)
{
  struct wire_file_no m = {number};
  channel_send_file_drop(r->shared.channel, &m);
}

static void copy_one(struct readers *r, struct copier *c, struct item *item, uint32_t number)
{
  struct inventory *inv = r->shared.inventory;
  char path[WIRE_PATH_MAX];
  inventory_path(inv, item, path, sizeof path);
  /* Further ranges of a log file belong to the copy that was announced. */
  c->range = inventory_range(inv, item, &number);
  bool further = c->range.further;
  struct gb_error error = {0};
  enum copy_result result = copy_item(c, item, number, path, &error);
  uint32_t replaced = 0;
  switch (result)
  {
  case COPY_DONE:
    if (!inventory_done(inv, item, number, path, ITEM_COPIED, &replaced))
      drop(r, number);
    else if (replaced)
      drop(r, replaced);
    return;
  case COPY_MISSING:
  case COPY_GONE:
    inventory_done(inv, item, number, path, result == COPY_MISSING ? ITEM_MISSING : ITEM_GONE,
                   &replaced);
    drop(r, number);
    return;
  case COPY_AGAIN:
    inventory_put_back(inv, item);
    if (!further)
      drop(r, number);
    return;
  case COPY_FAILED:
    inventory_done(inv, item, number, path, ITEM_MISSING, &replaced);
    fail(r, &error);
    return;
  }
}

static bool take_job(struct readers *r, struct copier *c)
{
  pthread_mutex_lock(&r->mutex);
  void (*job)(void *) = r->job;
  void *argument = r->job_argument;
  r->job = NULL;
  if (job)
  {
    r->job_running = true;
    r->busy++;
    job_copier = c;
  }
  pthread_mutex_unlock(&r->mutex);
  if (!job)
    return false;
  job(argument);
  copier_flush(c);
  pthread_mutex_lock(&r->mutex);
  r->job_running = false;
  r->busy--;
  pthread_cond_broadcast(&r->changed);
  pthread_mutex_unlock(&r->mutex);
  return true;
}

static bool writers_wait(const struct readers *r)
{
  return r->shared.window || r->shared.urgent;
}

/* Until it is the turn of this kind of reader. A bulk reader may be kept from the CPU for long, so
   it must not even take a mutex now and then while writers wait. */
static void wait_turn(struct readers *r, struct copier *c, bool prompt, bool *counted)
{
  copier_flush(c);
  pthread_mutex_lock(&r->mutex);
  if (*counted)
  {
    r->busy--;
    *counted = false;
    pthread_cond_broadcast(&r->changed);
  }
  while (writers_wait(r) != prompt && !r->shared.stop)
    pthread_cond_wait(&r->turn, &r->mutex);
  pthread_mutex_unlock(&r->mutex);
}

static void set_turn(struct readers *r, volatile bool *which, bool on)
{
  pthread_mutex_lock(&r->mutex);
  *which = on;
  pthread_cond_broadcast(&r->turn);
  pthread_cond_broadcast(&r->changed);
  pthread_mutex_unlock(&r->mutex);
}

static void read_files(struct readers *r, bool prompt)
{
  struct copier c;
  struct gb_error error = {0};
  bool ok = copier_init(&c, &r->shared);
  if (!ok)
  {
    error_set(&error, GB_no_memory, "no memory for a reader");
    fail(r, &error);
  }
  bool counted = false; /* in r->busy */
  while (ok && !r->shared.stop)
  {
    pthread_mutex_lock(&r->mutex);
    bool leave = !prompt && r->started > r->wanted, turn = writers_wait(r) == prompt;
    if (leave)
      r->started--;
    pthread_mutex_unlock(&r->mutex);
    if (leave)
    {
      copier_flush(&c); /* what it holds has been announced as done */
      break;
    }
    if (!turn)
    {
      wait_turn(r, &c, prompt, &counted);
      continue;
    }
    if (take_job(r, &c))
      continue;
    uint32_t number;
    pthread_mutex_lock(&r->mutex);
    bool blocked = r->shared.window && (__atomic_load_n(&r->shared.overflow, __ATOMIC_RELAXED) ||
                                        (!counted && r->busy >= READERS_WINDOW));
    if (!counted && !blocked)
    {
      r->busy++;
      counted = true;
    }
    pthread_mutex_unlock(&r->mutex);
    struct item *item = blocked ? NULL : inventory_take(r->shared.inventory, 0, &number);
    if (item)
    {
      copy_one(r, &c, item, number);
      continue;
    }
    copier_flush(&c);
    pthread_mutex_lock(&r->mutex);
    if (counted)
    {
      r->busy--;
      counted = false;
      pthread_cond_broadcast(&r->changed);
    }
    struct timespec until = deadline_in_ms(r->shared.window ? WINDOW_WAIT_MS
                                           : prompt         ? PROMPT_WAIT_MS
                                                            : WAIT_MS);
    if (!r->job && !r->shared.stop)
      pthread_cond_timedwait(&r->changed, &r->mutex, &until);
    pthread_mutex_unlock(&r->mutex);
  }
  if (counted)
  {
    pthread_mutex_lock(&r->mutex);
    r->busy--;
    pthread_mutex_unlock(&r->mutex);
  }
  copier_free(&c);
}

static void *bulk_main(void *argument)
{
  priority_name("gb-reader");
  priority_lower(BULK_NICE);
  read_files(argument, false);
  return NULL;
}

static void *prompt_main(void *argument)
{
  priority_name("gb-prompt");
  read_files(argument, true);
  return NULL;
}

static bool start_prompt(struct readers *r, unsigned threads)
{
  for (unsigned i = 0; i < threads && i < READERS_WINDOW; i++)
  {
    pthread_t thread;
    if (pthread_create(&thread, NULL, prompt_main, r))
      return false;
    r->prompt[i] = thread;
  }
  return true;
}

struct readers *readers_start(const struct reader_setup *setup, unsigned threads,
                              struct gb_error *error)
{
  struct readers *r = calloc(1, sizeof *r);
  if (!r)
  {
    error_set(error, GB_no_memory, "no memory for readers");
    return NULL;
  }
  r->shared.channel = setup->channel;
  r->shared.inventory = setup->inventory;
  r->shared.direct = setup->direct;
  snprintf(r->shared.datadir, sizeof r->shared.datadir, "%s", setup->datadir);
  pthread_mutex_init(&r->mutex, NULL);
  cond_init_monotonic(&r->changed);
  pthread_cond_init(&r->turn, NULL);
  if (copy_read_system(&r->shared, setup->system_file, error))
  {
    readers_set_threads(r, threads);
    if (start_prompt(r, threads) && r->started)
      return r;
    error_set(error, GB_no_memory, "no thread for a reader");
  }
  readers_stop(r);
  return NULL;
}

void readers_set_threads(struct readers *r, unsigned threads)
{
  if (threads > THREADS_MAX)
    threads = THREADS_MAX;
  pthread_mutex_lock(&r->mutex);
  r->wanted = threads ? threads : 1;
  /* Threads that leave are joined at the end: their places in the table are not used again. */
  unsigned at = 0;
  while (at < THREADS_MAX && r->thread[at])
    at++;
  while (r->started < r->wanted && at < THREADS_MAX)
  {
    pthread_t thread; /* its place is undefined where this fails */
    if (pthread_create(&thread, NULL, bulk_main, r))
      break;
    r->thread[at] = thread;
    r->started++;
    at++;
  }
  pthread_mutex_unlock(&r->mutex);
}

void readers_quit(struct readers *r)
{
  if (!r)
    return;
  r->shared.stop = true;
  pthread_mutex_lock(&r->mutex);
  pthread_cond_broadcast(&r->changed);
  pthread_cond_broadcast(&r->turn);
  pthread_mutex_unlock(&r->mutex);
}

void readers_stop(struct readers *r)
{
  if (!r)
    return;
  readers_quit(r);
  for (unsigned i = 0; i < THREADS_MAX; i++)
    if (r->thread[i])
      pthread_join(r->thread[i], NULL);
  for (unsigned i = 0; i < READERS_WINDOW; i++)
    if (r->prompt[i])
      pthread_join(r->prompt[i], NULL);
  pthread_mutex_destroy(&r->mutex);
  pthread_cond_destroy(&r->changed);
  pthread_cond_destroy(&r->turn);
  free(r);
}

void readers_window(struct readers *r, bool on)
{
  __atomic_store_n(&r->shared.overflow, false, __ATOMIC_RELAXED);
  set_turn(r, &r->shared.window, on);
}

void readers_urgent(struct readers *r, bool on)
{
  set_turn(r, &r->shared.urgent, on);
}

bool readers_idle(struct readers *r, unsigned timeout_ms)
{
  struct timespec until = deadline_in_ms(timeout_ms);
  bool idle = false;
  int waited = 0;
  pthread_mutex_lock(&r->mutex);
  for (;;)
  {
    struct inventory_load load;
    pthread_mutex_unlock(&r->mutex);
    inventory_load(r->shared.inventory, &load);
    pthread_mutex_lock(&r->mutex);
    idle = !r->busy && !load.queued && !load.busy && !r->job && !r->job_running;
    if (idle || waited || r->error.code || __atomic_load_n(&r->shared.overflow, __ATOMIC_RELAXED))
      break;
    pthread_cond_broadcast(&r->changed);
    waited = pthread_cond_timedwait(&r->changed, &r->mutex, &until);
  }
  pthread_mutex_unlock(&r->mutex);
  return idle;
}

void readers_run(struct readers *r, void (*function)(void *argument), void *argument)
{
  pthread_mutex_lock(&r->mutex);
  r->job = function;
  r->job_argument = argument;
  pthread_cond_broadcast(&r->changed);
  pthread_mutex_unlock(&r->mutex);
}

bool readers_ran(struct readers *r, unsigned timeout_ms)
{
  struct timespec until = deadline_in_ms(timeout_ms);
  int waited = 0;
  pthread_mutex_lock(&r->mutex);
  while ((r->job || r->job_running) && !waited)
    waited = pthread_cond_timedwait(&r->changed, &r->mutex, &until);
  bool ran = !r->job && !r->job_running;
  pthread_mutex_unlock(&r->mutex);
  return ran;
}

void readers_forget_job(struct readers *r)
{
  pthread_mutex_lock(&r->mutex);
  r->job = NULL;
  pthread_mutex_unlock(&r->mutex);
}

bool readers_emit(struct readers *r, uint8_t kind, const char *path, const void *data,
                  uint32_t size, uint32_t number)
{
  (void)r;
  return copy_bytes(job_copier, kind, path, 0660, data, size, number);
}

uint64_t readers_bytes(struct readers *r)
{
  return __atomic_load_n(&r->shared.bytes, __ATOMIC_RELAXED);
}

void readers_waits(struct readers *r, uint64_t *slot_us, uint64_t *throttle_us)
{
  *slot_us = __atomic_load_n(&r->shared.slot_wait_us, __ATOMIC_RELAXED);
  *throttle_us = __atomic_load_n(&r->shared.throttle_wait_us, __ATOMIC_RELAXED);
}

bool readers_failed(struct readers *r, struct gb_error *error)
{
  pthread_mutex_lock(&r->mutex);
  bool failed = r->error.code != 0;
  if (failed)
    error_copy(error, &r->error);
  pthread_mutex_unlock(&r->mutex);
  return failed;
}

bool readers_overflowed(struct readers *r)
{
  return __atomic_load_n(&r->shared.overflow, __ATOMIC_RELAXED);
}
