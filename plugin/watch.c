/* The watch over a running backup; see watch.h. */
#include "plugin/watch.h"
#include "plugin/bottleneck.h"
#include "plugin/log.h"
#include "plugin/progress.h"
#include "plugin/throttle.h"
#include "common/processors.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define SAMPLE_US        1000000u
#define AGENT_SILENCE_US 15000000u /* COPY: a living agent speaks once a second */
#define FLUSH_SILENCE_US 3000000u  /* from FLUSH on writes may be blocked */
#define HURRY_S                                                                                    \
  10 /* what the server writes in so many seconds has no room: the follower has to hurry */
#define HURRY_BEHIND_S 120 /* the same where it falls back */
#define LAG_FAIL       0.7 /* of the log's capacity */

void watch_waiting_for(const char *what)
{
  struct progress *p = progress_lock();
  snprintf(p->waiting_for, sizeof p->waiting_for, "%s", what);
  progress_unlock();
}

/* Why the readers are slow, or were before they are held back for a moment for a baseline. */
static enum pace_cause shown_cause(const struct pace *pace)
{
  return pace->cause == PACE_PROBE ? pace->cause_before_probe : pace->cause;
}

/* Tells why the readers are slow: status while it lasts, the error log when it begins and ends; for
   the sake of the server's own work, which may come and go all day, once. */
static void show_pace(struct backup *b, enum pace_cause before, double slowdown, double server)
{
  static const char *const causes[] = {"",
                                       "a baseline",
                                       "commits",
                                       "the receive queue",
                                       "the redo follower",
                                       "the server's own work"};
  enum pace_cause cause = shown_cause(&b->pace);
  bool was = before > PACE_PROBE, is = cause > PACE_PROBE;
  char text[256];
  if (cause == PACE_REDO)
    snprintf(text, sizeof text, "the redo follower, %" PRIu64 " bytes behind", b->redo_behind);
  else if (cause == PACE_QUEUE)
    snprintf(text, sizeof text, "the receive queue to shrink (%" PRIu64 ")", b->node.recv_queue);
  else if (cause == PACE_SERVER)
    snprintf(text, sizeof text, "processors that the server uses (%.0f %%; busy_rate)",
             server > 0 ? server * 100 : 0);
  else
    snprintf(text, sizeof text, "commits to be as fast as without it (%.1f times as long)",
             slowdown);
  if (is && cause != before && !(cause == PACE_SERVER && b->server_told))
  {
    b->slow_told = true;
    b->server_told |= cause == PACE_SERVER;
    log_line(LOG_LEVEL_NOTE, "%s page readers slow down for the sake of %s: waiting for %s",
             b->options.id, causes[cause], text);
  }
  if (was && !is && b->slow_told)
  {
    b->slow_told = false;
    log_line(LOG_LEVEL_NOTE, "%s page readers run at full speed again", b->options.id);
  }
  if (was || is)
    watch_waiting_for(is ? text : "");
}

/* What commits cost, and who has the processors, since the last look. */
static void look(struct backup *b, uint64_t now, struct pace_input *in)
{
  pressure_costs(&b->pressure, b->sql, now, in->cost);
  struct shares_clocks before = b->clocks;
  b->clocks = shares_look(b->pressure.on_cpu_ns, channel_agent(b->channel), now);
  in->shares = shares_between(&before, &b->clocks, b->processors);
  b->shares_known |= in->shares.server >= 0;
}

/* The pace of the readers, as long as nobody waits for them. */
static void set_pace(struct backup *b, uint64_t now)
{
  if (!b->copying || !b->readers ||
      now - b->paced_us < (b->shares_known ? PACE_STEP_US : SHARES_MIN_US))
    return;
  struct gb_error ignored = {0};
  uint64_t bytes = readers_bytes(b->readers), passed = now - b->paced_us;
  if (b->galera)
    stage_node_state(b->sql, true, &b->node, &ignored);
  struct progress p;
  progress_get(&p);
  struct pace_input in = {
      .read_rate =
          b->paced_us ? (uint64_t)((double)(bytes - b->paced_bytes) * 1e6 / (double)passed) : 0,
      .redo_behind = b->redo_behind,
      .redo_rate = b->redo_rate,
      .headroom_s = p.redo_headroom_s,
      .recv_queue = b->galera ? b->node.recv_queue : 0,
      .recv_queue_limit =
          b->options.max_recv_queue ? b->options.max_recv_queue : 1, /* pace.h: 0 is none */
      .busy_rate = (uint64_t)((double)p.busy_rate * b->processors)};
  look(b, now, &in);
  enum pace_cause before = shown_cause(&b->pace);
  if (!b->paced_us)
    pace_begin(&b->pace);
  pace_step(&b->pace, &in);
  if (b->pace.cause == PACE_REDO)
    follower_hurry(b->follower);
  b->paced_us = now;
  b->paced_bytes = bytes;
  throttle_pace(b->pace.limit);
  show_pace(b, before, pace_slowdown(&b->pace, &in), in.shares.server);
}

void watch_first_look(struct backup *b)
{
  struct pace_input ignored;
  b->processors = processors_allowed();
  look(b, now_us(), &ignored);
}

void watch_end_pace(struct backup *b)
{
  enum pace_cause before = shown_cause(&b->pace);
  b->copying = false;
  b->paced_us = 0;
  pace_begin(&b->pace);
  throttle_pace(b->pace.limit);
  show_pace(b, before, 0, 0);
}

void watch_tell_agent(struct backup *b, const char *stage)
{
  struct progress *p = progress_lock();
  struct wire_node_progress m = {
      .bytes_total = p->bytes_total, .bytes_done = p->bytes_done, .redo_bytes = p->redo_bytes};
  snprintf(m.stage, sizeof m.stage, "%s", stage ? stage : p->stage);
  m.percent = p->bytes_total ? (uint32_t)(p->bytes_done * 100 / p->bytes_total) : 0;
  m.eta_s = (uint32_t)progress_eta_s(p);
  progress_unlock();
  channel_send_node_progress(b->channel, &m);
}

/* Of what is known to be there, at most so much is still to be read. The estimate of bytes_total
   counts what a tablespace has allocated and never used, which is found out when its turn comes. */
static uint64_t still_to_read(struct backup *b)
{
  struct inventory_load load = {0};
  if (!b->inventory)
    return UINT64_MAX;
  inventory_load(b->inventory, &load);
  uint64_t spaces = inventory_space_bytes(b->inventory);
  return spaces > load.queued_bytes ? spaces : load.queued_bytes;
}

void watch_sample(struct backup *b)
{
  uint64_t now = now_us();
  double seconds = b->rate_us ? (double)(now - b->rate_us) / 1e6 : 0;
  uint64_t bytes = b->readers ? readers_bytes(b->readers) : 0;
  struct gb_error ignored = {0};
  uint64_t lsn = b->follower ? sql_status_number(b->sql, "Innodb_lsn_current", &ignored) : 0;
  if (b->follower)
    follower_set_final(b->follower, sql_status_number(b->sql, "Innodb_lsn_flushed", &ignored));
  if (b->galera)
    stage_node_state(b->sql, true, &b->node, &ignored);
  if (!b->flow_control_known && b->galera && !ignored.code)
  {
    b->flow_control_base = b->node.flow_control_sent;
    b->flow_control_known = true;
  }
  if (seconds > 0 && lsn && b->redo_lsn)
  {
    double rate = (double)(lsn - b->redo_lsn) / seconds;
    b->redo_rate = b->redo_rate > 0 ? 0.7 * b->redo_rate + 0.3 * rate : rate;
  }
  uint64_t slot_us = 0, throttle_us = 0, behind = 0;
  if (b->readers)
    readers_waits(b->readers, &slot_us, &throttle_us);
  uint64_t left = still_to_read(b);
  struct progress *p = progress_lock();
  p->bytes_left = left;
  if (seconds > 0)
    p->read_rate = (uint64_t)((double)(bytes - b->rate_bytes) / seconds);
  p->bytes_done = bytes;
  if (p->bytes_total < bytes)
    p->bytes_total = bytes;
  if (b->galera)
  {
    p->recv_queue = b->node.recv_queue;
    if (p->recv_queue > p->recv_queue_max)
      p->recv_queue_max = p->recv_queue;
    p->flow_control_sent = b->node.flow_control_sent - b->flow_control_base;
  }
  if (b->follower)
  {
    const struct redo_log *log = follower_log(b->follower);
    p->redo_bytes = follower_sent(b->follower) - log->checkpoint_lsn;
    uint64_t parsed = follower_parsed(b->follower);
    behind = lsn > parsed ? lsn - parsed : 0;
    /* It begins at the checkpoint, and on a busy server that alone may lie further back than
       LAG_FAIL; until it has caught up once what counts is that the server does not write over it.
     */
    bool caught_up = follower_caught_up(b->follower);
    double room = (caught_up ? LAG_FAIL : 1.0) * (double)log->capacity - (double)behind;
    p->redo_headroom_s = b->redo_rate > 1 ? (int64_t)((room > 0 ? room : 0) / b->redo_rate) : -1;
    if (!caught_up && b->redo_lsn &&
        (b->redo_rate * HURRY_S > room ||
         (behind > b->redo_behind && b->redo_rate * HURRY_BEHIND_S > room)))
      follower_hurry(b->follower);
    b->followed |= caught_up && room >= 0;
    if (room < 0 && lsn && (b->followed || behind > log->capacity))
      error_set(&b->error, GB_redo_overrun,
                "the redo follower is %" PRIu64
                " bytes behind, more than 70 %% of innodb_log_file_size (%" PRIu64 ")",
                behind, log->file_size);
  }
  struct bottleneck_input held = {.stage = p->stage,
                                  .waiting_for = p->waiting_for,
                                  .agent = p->agent_bottleneck,
                                  .interval_us = now - b->rate_us,
                                  .slot_us = slot_us - b->slot_wait_us,
                                  .throttle_us = throttle_us - b->throttle_wait_us,
                                  .read_bytes = bytes - b->rate_bytes};
  p->bottleneck = bottleneck_of(&held);
  /* The first sample is of a part of a second alone. */
  p->eta_rate = b->eta_samples > 1 ? (3 * p->eta_rate + p->read_rate) / 4 : p->read_rate;
  b->eta_samples += p->read_rate > 0;
  progress_unlock();
  b->redo_behind = behind;
  watch_tell_agent(b, NULL);
  b->slot_wait_us = slot_us;
  b->throttle_wait_us = throttle_us;
  b->rate_bytes = bytes;
  b->rate_us = now;
  b->redo_lsn = lsn;
}

bool backup_tick(struct backup *b)
{
  if (b->error.code)
    return false;
  if (server_stopping())
    return error_set(&b->error, GB_server_shutdown, "the server is shutting down");
  if (backup_cancelled())
    return error_set(&b->error, GB_cancelled, "cancelled");
  if (channel_failed(b->channel, &b->error) ||
      (b->follower && follower_failed(b->follower, &b->error)) ||
      (b->readers && readers_failed(b->readers, &b->error)))
    return false;
  uint64_t now = now_us();
  if (b->options.max_duration_s &&
      now - b->started_us > (uint64_t)b->options.max_duration_s * 1000000)
    return error_set(&b->error, GB_max_duration,
                     "the backup has taken longer than max_duration (%u s)",
                     b->options.max_duration_s);
  uint64_t silence = channel_silence_us(b->channel);
  if (silence > (b->stage_held && b->files.in_use ? FLUSH_SILENCE_US : AGENT_SILENCE_US))
  {
    channel_give_up(b->channel, "the agent has stopped answering");
    return error_set(&b->error, GB_agent_lost, "the agent has not said anything for %.1f s",
                     (double)silence / 1e6);
  }
  if (!b->window && now - b->sampled_us > SAMPLE_US)
  {
    b->sampled_us = now;
    watch_sample(b);
  }
  if (!b->window)
  {
    pressure_sample(&b->pressure, b->sql, now);
    set_pace(b, now);
  }
  return !b->error.code;
}
