/* How fast the page readers may be; see pace.h. */
#include "plugin/pace.h"

#define HEADROOM_MIN_S 60
#define BEHIND_NONE    (1ull << 20) /* so much, and a second's redo, is not behind */
#define QUEUE_STOP     10u          /* times the limit */
#define SLOWER         1.25         /* than the baseline: our doing */
#define DECREASE       2u           /* divides */
#define INCREASE       16u  /* a sixteenth of the full rate: from floor to full in eight seconds */
#define SERVER_LITTLE  0.1  /* of the processors: a server that uses less doesn't count */
#define SERVER_MUCH    0.35 /* one that uses so much leaves us nothing */
#define LEFT_LITTLE    0.1  /* nothing is left to speak of */

static void forget_baseline(struct pace *p)
{
  for (unsigned i = 0; i < PACE_COSTS; i++)
    p->cost[i].baseline = -1;
  p->probed = 0;
}

void pace_begin(struct pace *p)
{
  *p = (struct pace){.limit = PACE_NO_LIMIT, .before_probe = PACE_NO_LIMIT};
  forget_baseline(p);
}

double pace_slowdown(const struct pace *p, const struct pace_input *in)
{
  double most = 0;
  for (unsigned i = 0; i < PACE_COSTS; i++)
    if (p->cost[i].baseline > 0 && in->cost[i] / p->cost[i].baseline > most)
      most = in->cost[i] / p->cost[i].baseline;
  return most;
}

static bool busy(const struct pace_input *in)
{
  bool any = false;
  for (unsigned i = 0; i < PACE_COSTS; i++)
    any |= in->cost[i] >= 0;
  return any;
}

static uint64_t larger(uint64_t a, uint64_t b)
{
  return a > b ? a : b;
}

static bool behind(const struct pace_input *in)
{
  return (double)in->redo_behind > in->redo_rate + BEHIND_NONE;
}

static uint64_t smaller(uint64_t a, uint64_t b)
{
  return a < b ? a : b;
}

/* Notes whether the queue shrinks while the readers are at their slowest. */
static void watch_queue(struct pace *p, const struct pace_input *in)
{
  if (p->futile)
    p->futile--;
  if (p->futile || p->cause != PACE_QUEUE || p->limit > PACE_FLOOR_REDO)
  {
    p->lowest = 0;
    p->queue_first = p->queue_last = UINT64_MAX;
    return;
  }
  p->lowest++;
  if (p->lowest <= PACE_FUTILE_LOOK)
    p->queue_first = smaller(p->queue_first, in->recv_queue);
  if (p->lowest > PACE_FUTILE_STEPS - PACE_FUTILE_LOOK)
    p->queue_last = smaller(p->queue_last, in->recv_queue);
  if (p->lowest < PACE_FUTILE_STEPS)
    return;
  p->futile = p->queue_last < p->queue_first ? 0 : PACE_PROBE_EVERY;
  p->lowest = 0;
  p->queue_first = p->queue_last = UINT64_MAX;
}

enum room
{
  ROOM_ENOUGH,
  ROOM_LITTLE,
  ROOM_NONE,
};

/* What the server's own work leaves us. Where nothing is left idle it has less than it wants, and
 * how much that is is not known. */
static enum room room_of(const struct pace_input *in)
{
  const struct shares *s = &in->shares;
  if (!in->busy_rate || s->server <= SERVER_LITTLE)
    return ROOM_ENOUGH;
  if (s->left < LEFT_LITTLE)
    return ROOM_NONE;
  return s->ours > (SERVER_MUCH - s->server) / (SERVER_MUCH - SERVER_LITTLE) ? ROOM_LITTLE
                                                                             : ROOM_ENOUGH;
}

static enum pace_cause trouble(const struct pace *p, const struct pace_input *in)
{
  if (behind(in) && in->headroom_s >= 0 && in->headroom_s < HEADROOM_MIN_S)
    return PACE_REDO;
  if (in->recv_queue_limit && in->recv_queue > in->recv_queue_limit)
    return PACE_QUEUE;
  if (pace_slowdown(p, in) > SLOWER)
    return PACE_COMMITS;
  return room_of(in) == ROOM_ENOUGH ? PACE_FREE : PACE_SERVER;
}

static void slower(struct pace *p, uint64_t floor)
{
  p->limit = larger((p->limit == PACE_NO_LIMIT ? p->full : p->limit) / DECREASE, floor);
}

static uint64_t increased(const struct pace *p)
{
  return p->limit + larger(p->full / INCREASE, PACE_FLOOR_REDO);
}

static void faster(struct pace *p)
{
  if (p->limit == PACE_NO_LIMIT)
    return;
  p->limit = increased(p);
  if (p->limit >= p->full)
    p->limit = PACE_NO_LIMIT;
}

/* Towards the lowest rate for the sake of the server: at once, by halves, or step by step from
 * below. */
static void make_room(struct pace *p, const struct pace_input *in)
{
  if (p->limit <= in->busy_rate)
    p->limit = smaller(increased(p), in->busy_rate);
  else if (room_of(in) == ROOM_NONE)
    p->limit = in->busy_rate;
  else
    slower(p, in->busy_rate);
  p->cause = PACE_SERVER;
}

/* Readers are at the floor: what a commit costs now is not our doing. The first figures are of the
 * time before as well. */
static void probe(struct pace *p, const struct pace_input *in)
{
  p->probe++;
  p->probed += busy(in);
  for (unsigned i = 0; i < PACE_COSTS; i++)
    if (in->cost[i] >= 0 && p->cost[i].count++ > 0)
      p->cost[i].sum += in->cost[i];
  if (p->probe <= PACE_PROBE_MAX && (p->probe <= PACE_PROBE_STEPS || p->probed < 2))
    return;
  for (unsigned i = 0; i < PACE_COSTS; i++)
    p->cost[i].baseline = p->cost[i].count > 1 ? p->cost[i].sum / (p->cost[i].count - 1) : -1;
  p->probed = 1;
  p->probe = 0;
  p->limit = p->before_probe;
  p->cause = p->cause_before_probe;
}

static void begin_probe(struct pace *p)
{
  p->before_probe = p->limit;
  p->cause_before_probe = p->cause;
  p->limit = p->limit < PACE_FLOOR ? p->limit : PACE_FLOOR;
  p->probe = 1;
  p->probed = p->age = 0;
  for (unsigned i = 0; i < PACE_COSTS; i++)
    p->cost[i].sum = p->cost[i].count = 0;
  p->cause = PACE_PROBE;
}

/* A probe that brought no figure is not made again at once: the server does little. */
static bool probe_due(const struct pace *p)
{
  return !p->probed ||
         p->age >= (p->limit <= PACE_FLOOR && p->cause == PACE_COMMITS ? PACE_PROBE_FLOOR
                                                                       : PACE_PROBE_EVERY);
}

void pace_step(struct pace *p, const struct pace_input *in)
{
  enum pace_cause cause = trouble(p, in);
  watch_queue(p, in);
  p->age++;
  p->idle = busy(in) ? 0 : p->idle + 1;
  if (p->idle >= PACE_IDLE_STEPS && !p->probe)
    forget_baseline(p);
  if (p->limit == PACE_NO_LIMIT)
    p->full = larger(p->full, in->read_rate);
  if (cause == PACE_REDO || cause == PACE_QUEUE)
  {
    if (p->probe)
    {
      p->limit = p->before_probe;
      p->probe = p->probed = 0;
    }
    slower(p, cause == PACE_QUEUE && p->futile ? PACE_FLOOR : PACE_FLOOR_REDO);
    if (cause == PACE_QUEUE && !p->futile && in->recv_queue / QUEUE_STOP > in->recv_queue_limit)
      p->limit = 0;
    p->cause = cause;
  }
  else if (p->probe)
  {
    probe(p, in);
    if (!p->probe && room_of(in) != ROOM_ENOUGH)
      make_room(p, in);
  }
  else if (busy(in) && !behind(in) &&
           probe_due(p)) /* redo that is caught up with costs commits as well */
    begin_probe(p);
  else if (cause == PACE_COMMITS)
  {
    if (p->limit > PACE_FLOOR || !p->limit)
      slower(p, PACE_FLOOR);
    p->cause = cause;
  }
  else if (cause == PACE_SERVER)
    make_room(p, in);
  else
  {
    faster(p);
    if (p->limit == PACE_NO_LIMIT)
      p->cause = PACE_FREE;
  }
}
