/* The stage plan; see coordinator.h. Reads top to bottom from run_backup() at the end. */
#include "plugin/coordinator.h"
#include "plugin/desync.h"
#include "plugin/facts.h"
#include "plugin/files.h"
#include "plugin/image.h"
#include "plugin/log.h"
#include "plugin/preflight.h"
#include "plugin/progress.h"
#include "plugin/reader.h"
#include "plugin/survey.h"
#include "plugin/throttle.h"
#include "common/priority.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TICK_MS         20u
#define RESYNC_RETRY_MS 500u
#define SYNCED_WAIT_S   60u
#define COMMIT_ABORT_US 15000000u
#define ABORT_FLUSH_MS  1000u
/* The server puts a line of ddl.log together in a buffer, with no look at its end (sql/backup.cc,
 * backup_log_ddl()); in bytes. */
#define DDL_LOG_BUFFER 438u
#define DDL_LOG_BESIDE 123u /* what ALTER and RENAME TABLE write beside two names */

/* The thread and what may be asked of it from other threads. */
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static struct
{
  bool running, joinable, cancel;
  unsigned threads; /* as last asked for */
  pthread_t thread;
  char id[WIRE_ID_MAX];
  struct readers *readers; /* while they run */
  struct wire_checked check;
  char check_id[WIRE_ID_MAX];
} current;

bool backup_cancelled(void)
{
  pthread_mutex_lock(&mutex);
  bool cancel = current.cancel;
  pthread_mutex_unlock(&mutex);
  return cancel;
}

void backup_publish_readers(struct readers *readers)
{
  pthread_mutex_lock(&mutex);
  current.readers = readers;
  if (readers)
    readers_set_threads(readers, current.threads); /* BACKUP_SET may have come before them */
  pthread_mutex_unlock(&mutex);
}

void backup_set_stage(struct backup *b, const char *stage)
{
  uint64_t now = now_us();
  struct progress *p = progress_lock();
  snprintf(p->stage, sizeof p->stage, "%s", stage);
  p->stage_us = now;
  p->waiting_for[0] = '\0';
  progress_unlock();
  /* Inside the window nothing is sent and nothing is logged: the summary has its times. */
  if (!b->window)
  {
    log_line(LOG_LEVEL_NOTE, "%s stage %s", b->options.id, stage);
    if (b->channel && b->channel_begun)
    {
      struct wire_log m = {.level = 0};
      snprintf(m.stage, sizeof m.stage, "%s", stage);
      snprintf(m.message, sizeof m.message, "stage %s after %" PRIu64 " ms", stage,
               (now - b->started_us) / 1000);
      channel_send_log(b->channel, &m);
    }
  }
#ifdef GB_TEST_HOOKS
  backup_test_hold(b, stage);
#endif
}

#ifdef GB_TEST_HOOKS
#define HOLD_MAX_US 60000000u
static char hold_at[16]; /* under mutex */

const char *coordinator_test_hold(const char *stage)
{
  pthread_mutex_lock(&mutex);
  if (strcmp(hold_at, stage ? stage : ""))
  {
    struct progress *p = progress_lock();
    p->test_held =
        false; /* where it is held is not where it shall be: two of these places are in one stage */
    progress_unlock();
  }
  snprintf(hold_at, sizeof hold_at, "%s", stage ? stage : "");
  pthread_mutex_unlock(&mutex);
  return hold_at;
}

/* Waits here while the test says so. Whatever ends a backup ends the hold. */
void backup_test_hold(struct backup *b, const char *stage)
{
  uint64_t until = now_us() + HOLD_MAX_US;
  bool held = false;
  for (;;)
  {
    struct gb_error ignored = {0};
    pthread_mutex_lock(&mutex);
    bool hold = !strcmp(hold_at, stage) && !current.cancel;
    pthread_mutex_unlock(&mutex);
    if (hold != held)
    {
      struct progress *p = progress_lock();
      p->test_held = held = hold;
      progress_unlock();
    }
    if (!hold || server_stopping() || now_us() > until ||
        (b->channel_begun ? channel_failed(b->channel, &ignored)
                          : b->channel && channel_closed(b->channel)))
      break;
    usleep(1000);
  }
  struct progress *p = progress_lock();
  p->test_held = false;
  progress_unlock();
}
#endif

void backup_warn(const struct backup *b, enum gb_code code, const char *format, ...)
{
  struct gb_error warning = {0};
  char text[GB_ERROR_TEXT_MAX], line[GB_ERROR_LINE_MAX];
  va_list args;
  va_start(args, format);
  vsnprintf(text, sizeof text, format, args);
  va_end(args);
  error_set(&warning, code, "%s", text);
  error_format(&warning, line, sizeof line);
  log_line(LOG_LEVEL_WARNING, "%s %s", b->options.id, line);
  progress_warn(line, true);
}

static void warn_of_names(const struct backup *b, const struct survey *survey,
                          struct wire_checked *rows)
{
  char text[GB_ERROR_TEXT_MAX];
  if (2 * survey->longest <= DDL_LOG_BUFFER - DDL_LOG_BESIDE)
    return;
  snprintf(text, sizeof text,
           "the server may crash at ALTER or RENAME TABLE of %.360s while a backup runs, by "
           "whatever tool: its name is too long for ddl.log",
           survey->longest_name);
  wire_add_check(rows, "names", "WARN", text,
                 "no DDL on tables with such names meanwhile: docs/restore.md, What MariaDB itself "
                 "gets wrong");
  if (!b->options.check && !b->options.dry_run)
    backup_warn(b, GB_long_name, "%s", text);
}

/* PREFLIGHT: the node untouched. */
static bool run_preflight(struct backup *b, const struct wire_checked *agent)
{
  struct wire_checked rows = {0};
  struct survey survey = {0};
  if (agent)
    rows = *agent;
  if (!(b->sql = sql_open(&b->error)) || !stage_prepare(b->sql, &b->galera, &b->error))
    return false;
  bool ok = preflight(b->sql, b->options.ring_size, &b->facts, &b->node, &rows, &b->error);
  if (ok)
  {
    survey_take(b->facts.datadir, &survey);
    warn_of_names(b, &survey, &rows);
  }
  pthread_mutex_lock(&mutex);
  current.check = rows;
  snprintf(current.check_id, sizeof current.check_id, "%s", b->options.id);
  pthread_mutex_unlock(&mutex);
  struct progress *p = progress_lock();
  snprintf(p->node, sizeof p->node, "%s", b->facts.node);
  snprintf(p->cluster, sizeof p->cluster, "%s", b->facts.cluster);
  progress_unlock();
  if (!ok || b->options.check || b->options.dry_run)
    return ok;
  p = progress_lock();
  p->bytes_total = survey.bytes;
  progress_unlock();
  b->channel_begun = true;
  if (!channel_begin(b->channel, b->options.ring_size, &b->error))
  {
    b->channel_begun = false;
    return false;
  }
  return true;
}

static bool enter_desync(struct backup *b)
{
  char reason[256];
  if (!b->galera)
    return true;
  backup_set_stage(b, "DESYNC");
  if (!backup_tick(b) || !desync_on(b, true, reason))
    return false;
  if (reason[0])
    return error_set(&b->error, GB_node_not_fit, "the backup would wait for %s", reason);
  if (b->node.desync_count > b->desync_ours)
    log_line(LOG_LEVEL_NOTE, "%s the node is desynced already%s", b->options.id,
             b->base_desync ? "; it is left so" : "");
  return true;
}

static void send_abort(struct backup *b)
{
  struct wire_abort m = {.cancelled = b->error.code == GB_cancelled,
                         .code = (uint16_t)b->error.code};
  snprintf(m.what, sizeof m.what, "%s", b->error.what);
  snprintf(m.hint, sizeof m.hint, "%s", b->error.hint);
  if (b->channel_begun)
    channel_send_abort(b->channel, &m);
  else
    channel_refuse(b->channel, &m);
}

/* Between FINISH and COMMITTED the agent alone knows whether the backup exists. A cancel asks it to
   stop, and its answer decides: COMMITTED, then the cancel came too late; or the end of the
   connection. */
static bool still_committing(struct backup *b, uint64_t *abort_sent)
{
  static const char look[] =
      "galera-backup list shows whether the backup was committed; else start it again";
  struct gb_error lost = {0};
  if (channel_failed(b->channel, &lost))
  {
    if (lost.code == GB_agent_lost && !*abort_sent)
      error_hint(&lost, "%s", look);
    error_copy(&b->error, &lost);
    return false;
  }
  if (!*abort_sent && backup_tick(b))
    return true;
  if (*abort_sent)
  {
    /* An agent that is alive and hangs in its repository does not keep the node's next backup
     * waiting. */
    if (now_us() - *abort_sent < COMMIT_ABORT_US)
      return true;
    error_hint(
        &b->error,
        "the agent did not answer: galera-backup list shows whether the backup was committed");
    return false;
  }
  if (b->error.code != GB_cancelled)
  {
    error_hint(&b->error, "%s", look);
    return false;
  }
  send_abort(b);
  *abort_sent = now_us();
  return true;
}

/* RESYNC beside COMMIT: neither waits for the other. */
static bool finish(struct backup *b)
{
  struct wire_facts *facts = calloc(1, sizeof *facts);
  if (!facts)
    return error_set(&b->error, GB_no_memory, "no memory for the manifest");
  backup_set_stage(b, "COMMIT");
  if (!backup_tick(b))
  {
    free(facts);
    return false;
  }
  facts_fill(b, facts);
  channel_send_finish(b->channel, facts);
  uint64_t resync_until = now_us() + (uint64_t)b->options.resync_timeout_s * 1000000;
  uint64_t next_resync = 0;
  bool resynced = false, committed = false, told = false;
  uint64_t abort_sent = 0; /* when, microseconds */
  struct wire_committed *message = calloc(1, sizeof *message);
  while ((!resynced || !committed) && message)
  {
    if (!resynced && now_us() >= next_resync)
    {
      resynced = desync_step_off(b, resync_until);
      next_resync = now_us() + RESYNC_RETRY_MS * 100;
    }
    if (resynced && !told)
    {
      struct progress p;
      progress_get(&p);
      memset(facts, 0, sizeof *facts);
      wire_add_fact(facts, "resync", "%s", b->galera ? p.resync : "not needed");
      wire_add_fact(facts, "desync_s", "%" PRIu64,
                    p.desynced_us ? (p.resynced_us - p.desynced_us) / 1000000 : 0);
      wire_add_fact(facts, "recv_queue_max", "%" PRIu64, p.recv_queue_max);
      channel_send_resynced(b->channel, facts);
      told = true;
    }
    if (!committed && !(committed = channel_committed(b->channel, message)))
    {
      /* Resync first: a dead agent does not keep the node desynced, and its death is reported
       * below. */
      if (resynced && !still_committing(b, &abort_sent))
        break;
    }
    if (!resynced || !committed)
      usleep(TICK_MS * 1000);
    if (server_stopping() && !committed)
    {
      error_set(&b->error, GB_server_shutdown, "the server is shutting down");
      break;
    }
  }
  if (committed)
  {
    if (abort_sent)
      backup_warn(b, GB_cancel_too_late, "the cancel came when the backup was being committed");
    error_clear(&b->error);
    struct progress *p = progress_lock();
    p->bytes_stored = message->bytes_stored;
    snprintf(p->repositories, sizeof p->repositories, "%.*s", (int)sizeof p->repositories - 1,
             message->repositories);
    progress_unlock();
  }
  free(message);
  free(facts);
  return committed;
}

/* The receive queue may take as long as resync_timeout: who looks at the status meanwhile sees why
 * the backup has failed. */
static void tell_why(const struct backup *b)
{
  char text[GB_ERROR_TEXT_MAX + GB_ERROR_HINT_MAX + 64];
  struct progress *p = progress_lock();
  p->error = b->error;
  snprintf(p->waiting_for, sizeof p->waiting_for,
           "the receive queue to be empty before the node is Synced again");
  progress_unlock();
  error_format(&b->error, text, sizeof text);
  log_line(LOG_LEVEL_WARNING, "%s is over, and the node is not Synced yet: %s", b->options.id,
           text);
}

/* Whatever ended the backup: stage, desync, threads, ring, agent, report; in this order (design
 * section 4). */
static void leave(struct backup *b, bool ok)
{
  struct gb_error ignored = {0};
  if (b->sql && b->stage_held && !stage_end(b->sql, &ignored))
  {
    /* The end of the connection ends the stage. */
    log_line(LOG_LEVEL_ERROR, "%s BACKUP STAGE END failed: %s", b->options.id, ignored.what);
    sql_close(b->sql);
    b->sql = NULL;
    while (b->desync_ours && !server_stopping() && !(b->sql = sql_open(&ignored)))
      usleep(RESYNC_RETRY_MS * 1000);
  }
  b->stage_held = false;
  b->window = false;
  backup_publish_readers(NULL);
  readers_quit(b->readers); /* a node that catches up needs its cores */
  if (!ok && b->channel && !b->options.check)
    send_abort(b);
  uint64_t until = now_us() + (uint64_t)b->options.resync_timeout_s * 1000000;
  bool told = ok;
  while (b->sql && !desync_step_off(b, until))
  {
    if (!told)
      tell_why(b);
    told = true;
    usleep(RESYNC_RETRY_MS * 100);
  }
  sql_close(b->sql);
  readers_stop(b->readers);
  follower_close(b->follower);
  inventory_free(b->inventory);
  files_reset(&b->files);
  if (b->channel_begun)
    channel_flush(b->channel, ABORT_FLUSH_MS);
  channel_close(b->channel);
}

static void report(struct backup *b, bool ok)
{
  char text[GB_ERROR_TEXT_MAX + GB_ERROR_HINT_MAX + 64];
  struct progress p;
  progress_get(&p);
  if (!ok)
  {
    error_format(&b->error, text, sizeof text);
    log_line(b->error.code == GB_cancelled ? LOG_LEVEL_WARNING : LOG_LEVEL_ERROR, "%s %s: %s",
             b->options.id, b->error.code == GB_cancelled ? "cancelled" : "failed", text);
  }
  else if (!b->options.check && !b->options.dry_run)
    log_line(LOG_LEVEL_NOTE,
             "%s succeeded: %.1f MB read, %.1f MB stored, %.1f s, commits blocked %" PRIu64
             " ms, desynced %" PRIu64 " s, receive queue at most %" PRIu64 ", position %s",
             b->options.id, (double)p.bytes_done / 1e6, (double)p.bytes_stored / 1e6,
             (double)(now_us() - b->started_us) / 1e6, p.commit_blocked_us / 1000,
             p.desynced_us ? (p.resynced_us - p.desynced_us) / 1000000 : 0, p.recv_queue_max,
             p.position);
  struct progress *q = progress_lock();
  if (b->options.check)
    q->check_done = true;
  else
  {
    q->error = b->error;
    q->finished_us = now_us();
    snprintf(q->stage, sizeof q->stage, "DONE");
    snprintf(q->state, sizeof q->state, "%s",
             ok                              ? "succeeded"
             : b->error.code == GB_cancelled ? "cancelled"
                                             : "failed");
    q->redo_headroom_s = -1;
    q->waiting_for[0] = '\0';
  }
  progress_unlock();
}

struct start
{
  struct backup_options options;
  struct channel *channel;
  struct wire_checked *agent;
};

static bool run_backup(struct backup *b, const struct wire_checked *agent)
{
  if (!b->options.check)
    backup_set_stage(b, "PREFLIGHT");
  if (!run_preflight(b, agent))
    return false;
  if (b->options.check || b->options.dry_run)
    return true;
  return enter_desync(b) && image_take(b) && finish(b);
}

static void *coordinator_main(void *argument)
{
  priority_name("gb-backup");
  struct start *start = argument;
  struct backup *b = calloc(1, sizeof *b);
  if (b && sql_thread_begin())
  {
    b->options = start->options;
    b->channel = start->channel;
    b->started_us = now_us();
    bool ok = run_backup(b, start->agent);
    leave(b, ok);
    sql_thread_end();
    report(b, ok);
  }
  else
    channel_close(start->channel);
  free(b);
  free(start->agent);
  free(start);
  pthread_mutex_lock(&mutex);
  current.running = false;
  pthread_mutex_unlock(&mutex);
  return NULL;
}

static unsigned percent_of(const struct progress *p)
{
  return p->bytes_total
             ? (unsigned)(p->bytes_done >= p->bytes_total ? 99
                                                          : p->bytes_done * 100 / p->bytes_total)
             : 0;
}

bool coordinator_idle(struct gb_error *error)
{
  struct progress p;
  bool running;
  /* A backup that is reported as ended is gone in a moment. */
  for (unsigned i = 0;; i++)
  {
    pthread_mutex_lock(&mutex);
    running = current.running;
    pthread_mutex_unlock(&mutex);
    progress_get(&p);
    if (!running || strcmp(p.stage, "DONE") || i == 500)
      break;
    usleep(1000);
  }
  if (!running)
    return true;
  return error_set(error, GB_busy, "%s is running on %s (%s, %u %%)", p.id[0] ? p.id : "a check",
                   p.node[0] ? p.node : "this node", p.stage, percent_of(&p));
}

static void reset_progress(const struct backup_options *o)
{
  struct progress *p = progress_lock();
  if (o->check)
  {
    snprintf(p->check_id, sizeof p->check_id, "%s", o->id);
    p->check_done = false;
  }
  else
  {
    memset(p, 0, sizeof *p);
    snprintf(p->id, sizeof p->id, "%s", o->id);
    snprintf(p->type, sizeof p->type, "full");
    snprintf(p->state, sizeof p->state, "running");
    snprintf(p->stage, sizeof p->stage, "PREFLIGHT");
    snprintf(p->user, sizeof p->user, "%s", o->user);
    snprintf(p->comment, sizeof p->comment, "%s", o->comment);
    p->started_at = time(NULL);
    p->started_us = p->stage_us = now_us();
    p->rate_limit = o->rate;
    p->busy_rate = o->busy_rate;
    p->threads = o->threads;
    p->redo_headroom_s = -1;
  }
  progress_unlock();
}

bool coordinator_start(const struct backup_options *options, struct channel *channel,
                       const struct wire_checked *agent, struct gb_error *error)
{
  struct start *start = calloc(1, sizeof *start);
  struct wire_checked *copy = agent ? malloc(sizeof *copy) : NULL;
  bool ok = start && (!agent || copy) && coordinator_idle(error);
  if (ok)
  {
    pthread_mutex_lock(&mutex);
    if (current.joinable)
      pthread_join(current.thread, NULL); /* it has ended: running is false */
    start->options = *options;
    start->channel = channel;
    if (agent)
      *copy = *agent;
    start->agent = copy;
    current.cancel = false;
    current.threads = options->threads;
    snprintf(current.id, sizeof current.id, "%s", options->id);
    reset_progress(options);
    throttle_set(options->rate);
    throttle_pace(UINT64_MAX);
    current.running = true;
    ok = !pthread_create(&current.thread, NULL, coordinator_main, start);
    current.running = current.joinable = ok;
    pthread_mutex_unlock(&mutex);
  }
  if (!ok)
  {
    error_set(error, GB_no_memory, "no memory for the coordinator");
    free(start);
    free(copy);
    channel_close(channel);
  }
  return ok;
}

bool coordinator_cancel(const char *id, struct gb_error *error)
{
  pthread_mutex_lock(&mutex);
  bool ok = current.running && (!id[0] || !strcmp(id, current.id));
  if (ok)
    current.cancel = true;
  pthread_mutex_unlock(&mutex);
  return ok ||
         error_set(error, GB_not_running,
                   id[0] ? "backup %s is not running on this node" : "no backup is running%s", id);
}

bool coordinator_set(int64_t rate, int64_t busy_rate, int threads, struct gb_error *error)
{
  pthread_mutex_lock(&mutex);
  bool ok = current.running;
  if (ok && rate >= 0)
    throttle_set((uint64_t)rate);
  if (ok && threads > 0)
  {
    current.threads = (unsigned)threads;
    if (current.readers)
      readers_set_threads(current.readers, current.threads);
  }
  pthread_mutex_unlock(&mutex);
  if (!ok)
    return error_set(error, GB_not_running, "no backup is running on this node");
  struct progress *p = progress_lock();
  if (rate >= 0)
    p->rate_limit = (uint64_t)rate;
  if (busy_rate >= 0)
    p->busy_rate = (uint64_t)busy_rate;
  if (threads > 0)
    p->threads = (uint32_t)threads;
  progress_unlock();
  return true;
}

bool coordinator_check_rows(const char *id, struct wire_checked *rows)
{
  pthread_mutex_lock(&mutex);
  bool ok = !strcmp(current.check_id, id);
  if (ok)
    *rows = current.check;
  pthread_mutex_unlock(&mutex);
  return ok;
}

void coordinator_shutdown(void)
{
  desync_leaving(true);
  pthread_mutex_lock(&mutex);
  current.cancel = true;
  bool joinable = current.joinable;
  pthread_mutex_unlock(&mutex);
  if (joinable)
    pthread_join(current.thread, NULL);
  pthread_mutex_lock(&mutex);
  current.joinable = false;
  pthread_mutex_unlock(&mutex);
  desync_leaving(false); /* it may be installed again */
}
