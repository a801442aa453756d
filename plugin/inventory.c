/* What there is to copy; see inventory.h. */
#include "plugin/inventory.h"
#include "plugin/progress.h"
#include "common/clock.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BUCKETS 16384u

struct pending_event
{
  struct pending_event *next;
  struct follower_event event;
};

struct inventory
{
  pthread_mutex_t mutex;
  pthread_cond_t changed;
  struct item *by_key[BUCKETS];     /* tablespaces by id, other files by path: item.next_hash */
  struct item *space_path[BUCKETS]; /* tablespaces by path: item.next_path */
  struct item *first, **last;
  struct item *tables; /* item.next_table */
  struct item **heap;  /* the queued: a heap, the largest first; item.heap_at is the place plus 1 */
  size_t heap_size, heap_room, items;
  unsigned count[ITEM_STATES]; /* of items in each state */
  uint64_t queued_bytes;
  bool complete, no_memory, closed;
  bool imports_over;   /* inventory_imports() */
  char left_out[1024]; /* the first of so many */
  unsigned left_out_count;
  uint64_t clock, listed_at; /* counts events and queries of the list */
  struct pending_event *events, **events_last;
  uint32_t *made; /* tablespaces of which the log holds the making of the first page and that were
                     not known then */
  size_t made_count, made_room;
  uint32_t next_number;
};

struct inventory *inventory_new(void)
{
  struct inventory *inv = calloc(1, sizeof *inv);
  if (!inv)
    return NULL;
  pthread_mutex_init(&inv->mutex, NULL);
  cond_init_monotonic(&inv->changed);
  inv->last = &inv->first;
  inv->events_last = &inv->events;
  inv->next_number = 1;
  return inv;
}

void inventory_free(struct inventory *inv)
{
  if (!inv)
    return;
  for (struct item *i = inv->first; i;)
  {
    struct item *next = i->next;
    free(i->path);
    free(i->announced);
    free(i);
    i = next;
  }
  for (struct pending_event *e = inv->events; e;)
  {
    struct pending_event *next = e->next;
    free(e);
    e = next;
  }
  pthread_mutex_destroy(&inv->mutex);
  pthread_cond_destroy(&inv->changed);
  free(inv->heap);
  free(inv->made);
  free(inv);
}

void inventory_clean_path(char *out, size_t size, const char *path, const char *datadir)
{
  size_t n = strlen(datadir);
  if (n > 1 && !strncmp(path, datadir, n))
    path += n;
  while (path[0] == '.' && path[1] == '/')
    for (path += 2; *path == '/';)
      path++;
  size_t at = 0;
  for (; *path && at + 1 < size; path++)
    if (*path != '/' || path[1] != '/')
      out[at++] = *path;
  out[at] = '\0';
}

static uint32_t hash_number(uint32_t space_id, uint32_t first_page)
{
  return (space_id * 2654435761u ^ first_page * 40503u) >> 7 & (BUCKETS - 1);
}

static uint32_t hash_path(const char *path)
{
  uint32_t h = 2166136261u;
  for (; *path; path++)
    h = (h ^ (uint8_t)*path) * 16777619u;
  return h >> 5 & (BUCKETS - 1);
}

/* Under mutex, all of these. */
static struct item *find_space(struct inventory *inv, uint32_t space_id, uint32_t first_page)
{
  struct item *i = inv->by_key[hash_number(space_id, first_page)];
  while (i && (i->class != ITEM_SPACE || i->space_id != space_id || i->first_page != first_page))
    i = i->next_hash;
  return i;
}

static struct item *find_file(struct inventory *inv, const char *path)
{
  struct item *i = inv->by_key[hash_path(path)];
  while (i && (i->class == ITEM_SPACE || strcmp(i->path, path)))
    i = i->next_hash;
  return i;
}

static void link_path(struct inventory *inv, struct item *i)
{
  uint32_t bucket = hash_path(i->path);
  i->next_path = inv->space_path[bucket];
  inv->space_path[bucket] = i;
}

static void set_path(struct inventory *inv, struct item *i, const char *path)
{
  if (!strcmp(i->path, path))
    return;
  char *copy = strdup(path);
  if (!copy)
  {
    inv->no_memory = true;
    return;
  }
  struct item **at = &inv->space_path[hash_path(i->path)];
  while (*at && *at != i)
    at = &(*at)->next_path;
  if (*at)
    *at = i->next_path;
  free(i->path);
  i->path = copy;
  link_path(inv, i);
}

static void heap_put(struct inventory *inv, size_t at, struct item *i)
{
  inv->heap[at] = i;
  i->heap_at = at + 1;
}

/* Moves i, whose place `at` is free, up or down to where it belongs. */
static void heap_settle(struct inventory *inv, size_t at, struct item *i)
{
  for (; at && inv->heap[(at - 1) / 2]->queued_bytes < i->queued_bytes; at = (at - 1) / 2)
    heap_put(inv, at, inv->heap[(at - 1) / 2]);
  for (size_t child; (child = 2 * at + 1) < inv->heap_size; at = child)
  {
    if (child + 1 < inv->heap_size &&
        inv->heap[child + 1]->queued_bytes > inv->heap[child]->queued_bytes)
      child++;
    if (inv->heap[child]->queued_bytes <= i->queued_bytes)
      break;
    heap_put(inv, at, inv->heap[child]);
  }
  heap_put(inv, at, i);
}

static void leave_queue(struct inventory *inv, struct item *i)
{
  size_t at = i->heap_at - 1;
  struct item *last = inv->heap[--inv->heap_size];
  i->heap_at = 0;
  inv->queued_bytes -= i->queued_bytes;
  if (last != i)
    heap_settle(inv, at, last);
}

/* Only a part of it is to be read next. */
static bool has_range(const struct item *i)
{
  return i->class == ITEM_ARIA_LOG || (i->class == ITEM_LOG_TABLE && i->upto);
}

static void enter_queue(struct inventory *inv, struct item *i)
{
  i->queued_bytes = has_range(i) ? i->upto - i->from : i->size;
  inv->queued_bytes += i->queued_bytes;
  heap_settle(inv, inv->heap_size++, i);
}

void inventory_set_state(struct inventory *inv, struct item *i, enum item_state state)
{
  if (i->state == ITEM_QUEUED)
    leave_queue(inv, i);
  inv->count[i->state]--;
  inv->count[state]++;
  i->state = state;
  i->left = 0;
  if (state == ITEM_QUEUED)
    enter_queue(inv, i);
}

void inventory_requeue(struct inventory *inv, struct item *i)
{
  if (i->state == ITEM_BUSY)
    i->again = true;
  else
    inventory_set_state(inv, i, ITEM_QUEUED);
}

/* Each item has its place in the heap, so that queueing one can't fail. */
static bool make_room(struct inventory *inv)
{
  if (inv->items < inv->heap_room)
    return true;
  size_t more = inv->heap_room ? 2 * inv->heap_room : 1024;
  struct item **heap = realloc(inv->heap, more * sizeof *heap);
  if (!heap)
    return false;
  inv->heap = heap;
  inv->heap_room = more;
  return true;
}

static struct item *add(struct inventory *inv, enum item_class class, uint8_t kind,
                        const char *path, uint32_t bucket)
{
  struct item *i = calloc(1, sizeof *i);
  if (!i || !make_room(inv) || !(i->path = strdup(path)))
  {
    inv->no_memory = true;
    free(i);
    return NULL;
  }
  i->class = class;
  i->kind = kind;
  i->space_id = 0xFFFFFFFFu;
  i->next_hash = inv->by_key[bucket];
  inv->by_key[bucket] = i;
  if (class == ITEM_SPACE)
    link_path(inv, i);
  *inv->last = i;
  inv->last = &i->next;
  inv->items++;
  inv->count[ITEM_IDLE]++;
  return i;
}

/* As if it had never been copied. Aria's log files are looked for anew in each round: some may have
 * been purged. */
static enum item_state fresh(const struct item *i)
{
  return i->class == ITEM_ARIA_LOG ? ITEM_GONE : ITEM_IDLE;
}

static void queue(struct inventory *inv, struct item *i)
{
  i->dropped = false;
  i->tries = 0;
  inventory_requeue(inv, i);
  pthread_cond_broadcast(&inv->changed);
}

/* What a reader is copying is dropped when it is done. */
static void gone(struct inventory *inv, struct item *i)
{
  i->again = false;
  i->dropped = true;
  i->dropped_at = inv->clock;
  if (i->state != ITEM_BUSY)
    inventory_set_state(inv, i, ITEM_GONE);
}

/* The file is made between the two records FILE_CREATE and that of its first page; a list that was
 * read meanwhile does not have it. */
static void note_made(struct inventory *inv, uint32_t space_id)
{
  if (inv->made_count == inv->made_room)
  {
    size_t room = inv->made_room ? 2 * inv->made_room : 64;
    uint32_t *more = realloc(inv->made, room * sizeof *more);
    if (!more)
    {
      inv->no_memory = true;
      return;
    }
    inv->made = more;
    inv->made_room = room;
  }
  inv->made[inv->made_count++] = space_id;
}

static bool was_made(const struct inventory *inv, uint32_t space_id)
{
  for (size_t n = 0; n < inv->made_count; n++)
    if (inv->made[n] == space_id)
      return true;
  return false;
}

static struct item *add_space(struct inventory *inv, uint8_t kind, uint32_t space_id,
                              uint32_t first_page, const char *path)
{
  struct item *i = add(inv, ITEM_SPACE, kind, path, hash_number(space_id, first_page));
  if (i)
  {
    i->space_id = space_id;
    i->first_page = first_page;
    i->created = kind == WIRE_KIND_TABLESPACE && was_made(inv, space_id);
  }
  return i;
}

/* A tablespace file that InnoDB did not know. */
static bool is_orphan(const struct item *i)
{
  size_t n = strlen(i->path);
  return i->class == ITEM_DEFINITION && i->kind == WIRE_KIND_OTHER && n > 4 &&
         !strcmp(i->path + n - 4, ".ibd");
}

/* A scan that was ahead of the log took the tablespace's file for one of nobody. */
static void take_place(struct inventory *inv, const char *path)
{
  struct item *file = find_file(inv, path);
  if (file && is_orphan(file) && file->state != ITEM_GONE)
    gone(inv, file);
}

static void apply(struct inventory *inv, const struct follower_event *e)
{
  inv->clock++;
  struct item *i = find_space(inv, e->space_id, 0);
  if (e->op == 0)
  {
    if (i)
      i->trimmed = true;
    return;
  }
  if (e->op == FOLLOWER_PAGE_0)
  {
    /* The checkpoint may lie between FILE_CREATE and this; all of the tablespace is in the redo
     * nevertheless. */
    if (!i)
      note_made(inv, e->space_id);
    else if (!i->dropped && i->kind == WIRE_KIND_TABLESPACE)
    {
      i->created = true;
      if (i->state == ITEM_MISSING)
        queue(inv, i);
    }
    return;
  }
  if (e->op == REDO_FILE_DELETE)
  {
    /* One that is not known yet, too: a list that was read before must not bring it in. */
    if (!i && e->space_id)
      i = add_space(inv, WIRE_KIND_TABLESPACE, e->space_id, 0, e->path);
    if (i)
    {
      gone(inv, i);
      i->created = false; /* if it comes back it is imported, and its pages are not in the redo */
    }
    return;
  }
  if (!e->space_id || (i && i->kind != WIRE_KIND_TABLESPACE))
    return;
  bool is_new = !i, create = e->op == REDO_FILE_CREATE;
  if (is_new && !(i = add_space(inv, WIRE_KIND_TABLESPACE, e->space_id, 0, e->path)))
    return;
  take_place(inv, e->path);
  bool moved = strcmp(i->path, e->path);
  i->created = i->created || create;
  set_path(inv, i, e->path);
  /* Back after its FILE_DELETE: created again or imported. Its old copy is worth nothing (rule 11).
     Or the record is late: a mini-transaction that had begun before names it once more. */
  i->back = !create && (i->dropped || i->back);
  if (is_new || i->dropped || (i->unopened && !(inv->imports_over && i->state == ITEM_COPIED)) ||
      (i->state == ITEM_MISSING && (moved || create)))
    queue(inv, i);
  i->unopened = false;
}

void inventory_add_space(struct inventory *inv, uint8_t kind, uint32_t space_id,
                         uint32_t first_page, const char *path, uint64_t size)
{
  pthread_mutex_lock(&inv->mutex);
  struct item *i = find_space(inv, space_id, first_page);
  if (!i && (i = add_space(inv, kind, space_id, first_page, path)))
  {
    i->size = size;
    queue(inv, i);
  }
  else if (i && i->dropped && i->dropped_at < inv->listed_at)
  {
    set_path(inv, i, path);
    queue(inv, i);
  }
  pthread_mutex_unlock(&inv->mutex);
}

void inventory_list_begin(struct inventory *inv)
{
  pthread_mutex_lock(&inv->mutex);
  inv->listed_at = ++inv->clock;
  pthread_mutex_unlock(&inv->mutex);
}

/* What has come while events had to wait; only what is of a mini-transaction that begins below end.
 */
static void apply_pending(struct inventory *inv, uint64_t end)
{
  struct pending_event *e = inv->events;
  inv->events = NULL;
  inv->events_last = &inv->events;
  while (e)
  {
    struct pending_event *next = e->next;
    if (e->event.lsn < end)
      apply(inv, &e->event);
    free(e);
    e = next;
  }
}

void inventory_list_complete(struct inventory *inv)
{
  pthread_mutex_lock(&inv->mutex);
  inv->complete = true;
  apply_pending(inv, UINT64_MAX);
  pthread_cond_broadcast(&inv->changed);
  pthread_mutex_unlock(&inv->mutex);
}

void inventory_event(void *context, const struct follower_event *event)
{
  struct inventory *inv = context;
  pthread_mutex_lock(&inv->mutex);
  if (inv->complete && !inv->closed)
    apply(inv, event);
  else
  {
    struct pending_event *e = malloc(sizeof *e);
    if (!e)
      inv->no_memory = true;
    else
    {
      e->event = *event;
      e->next = NULL;
      *inv->events_last = e;
      inv->events_last = &e->next;
    }
  }
  pthread_mutex_unlock(&inv->mutex);
}

/* The window walks the few tables that are not InnoDB's without a look at the many files that are
 * none. */
static void link_table(struct inventory *inv, struct item *i)
{
  if (i->is_table || (i->class != ITEM_CLOSED && i->class != ITEM_LOG_TABLE))
    return;
  i->is_table = true;
  i->next_table = inv->tables;
  inv->tables = i;
}

struct item *inventory_file(struct inventory *inv, enum item_class class, uint8_t kind,
                            const char *path)
{
  pthread_mutex_lock(&inv->mutex);
  struct item *i = find_file(inv, path);
  if (i)
  {
    i->class = class;
    i->kind = kind;
  }
  else
    i = add(inv, class, kind, path, hash_path(path));
  if (i)
    link_table(inv, i);
  pthread_mutex_unlock(&inv->mutex);
  return i;
}

static bool space_has_path(struct inventory *inv, const char *path)
{
  for (struct item *i = inv->space_path[hash_path(path)]; i; i = i->next_path)
    if (!i->dropped && !strcmp(i->path, path))
      return true;
  return false;
}

bool inventory_is_space_path(struct inventory *inv, const char *path)
{
  pthread_mutex_lock(&inv->mutex);
  bool yes = space_has_path(inv, path);
  pthread_mutex_unlock(&inv->mutex);
  return yes;
}

bool inventory_deleted(struct inventory *inv, const struct item **last, char *path, size_t size)
{
  bool found = false;
  pthread_mutex_lock(&inv->mutex);
  for (const struct item *i = *last ? (*last)->next : inv->first; i && !found; i = i->next)
  {
    *last = i;
    if (i->class != ITEM_SPACE || !i->dropped || space_has_path(inv, i->path))
      continue;
    const struct item *file = find_file(inv, i->path);
    found = !file || file->state == ITEM_GONE;
    snprintf(path, size, "%s", i->path);
  }
  pthread_mutex_unlock(&inv->mutex);
  return found;
}

bool inventory_has_space(struct inventory *inv, uint32_t space_id)
{
  pthread_mutex_lock(&inv->mutex);
  const struct item *i = find_space(inv, space_id, 0);
  bool has = i != NULL;
  pthread_mutex_unlock(&inv->mutex);
  return has;
}

void inventory_add_unopened(struct inventory *inv, uint32_t space_id, const char *path,
                            uint64_t size)
{
  pthread_mutex_lock(&inv->mutex);
  struct item *i = find_space(inv, space_id, 0);
  if (!i && (i = add(inv, ITEM_SPACE, WIRE_KIND_TABLESPACE, path, hash_number(space_id, 0))))
  {
    i->space_id = space_id;
    i->size = size;
    i->unopened = true;
    queue(inv, i);
  }
  pthread_mutex_unlock(&inv->mutex);
}

unsigned inventory_left_out(struct inventory *inv, char *path, size_t size)
{
  pthread_mutex_lock(&inv->mutex);
  unsigned count = inv->left_out_count;
  snprintf(path, size, "%s", inv->left_out);
  inv->left_out_count = 0;
  pthread_mutex_unlock(&inv->mutex);
  return count;
}

struct item_range inventory_range(struct inventory *inv, const struct item *i, uint32_t *number)
{
  struct item_range r = {0};
  pthread_mutex_lock(&inv->mutex);
  if (has_range(i))
    r = (struct item_range){
        .from = i->from, .upto = i->upto, .more = i->more, .further = i->file_no && i->from};
  if (r.further)
    *number = i->file_no;
  pthread_mutex_unlock(&inv->mutex);
  return r;
}

struct item *inventory_find_file(struct inventory *inv, const char *path)
{
  pthread_mutex_lock(&inv->mutex);
  struct item *i = find_file(inv, path);
  if (i && i->state == ITEM_GONE)
    i = NULL;
  pthread_mutex_unlock(&inv->mutex);
  return i;
}

void inventory_found(struct inventory *inv, struct item *i)
{
  pthread_mutex_lock(&inv->mutex);
  i->dropped = false;
  if (i->state == ITEM_GONE)
    inventory_set_state(inv, i, ITEM_IDLE);
  pthread_mutex_unlock(&inv->mutex);
}

void inventory_each_file(struct inventory *inv, void (*visit)(struct item *item, void *context),
                         void *context)
{
  pthread_mutex_lock(&inv->mutex);
  for (struct item *i = inv->first; i; i = i->next)
    if (i->class != ITEM_SPACE)
      visit(i, context);
  pthread_cond_broadcast(&inv->changed);
  pthread_mutex_unlock(&inv->mutex);
}

void inventory_each_table(struct inventory *inv, void (*visit)(struct item *item, void *context),
                          void *context)
{
  pthread_mutex_lock(&inv->mutex);
  for (struct item *i = inv->tables; i; i = i->next_table)
    visit(i, context);
  pthread_cond_broadcast(&inv->changed);
  pthread_mutex_unlock(&inv->mutex);
}

void inventory_visit(struct inventory *inv, struct item *i, const char *path,
                     void (*visit)(struct item *item, void *context), void *context)
{
  pthread_mutex_lock(&inv->mutex);
  if (!strcmp(i->path, path))
    visit(i, context);
  pthread_cond_broadcast(&inv->changed);
  pthread_mutex_unlock(&inv->mutex);
}

void inventory_each_cold(struct inventory *inv, void (*visit)(struct item *item, void *context),
                         void *context)
{
  pthread_mutex_lock(&inv->mutex);
  for (struct item *i = inv->first; i; i = i->next)
    if (i->class == ITEM_SPACE ? i->unopened : is_orphan(i))
      visit(i, context);
  pthread_cond_broadcast(&inv->changed);
  pthread_mutex_unlock(&inv->mutex);
}

void inventory_queue(struct inventory *inv, struct item *i)
{
  pthread_mutex_lock(&inv->mutex);
  queue(inv, i);
  pthread_mutex_unlock(&inv->mutex);
}

void inventory_gone(struct inventory *inv, struct item *i)
{
  pthread_mutex_lock(&inv->mutex);
  gone(inv, i);
  pthread_mutex_unlock(&inv->mutex);
}

struct item *inventory_take(struct inventory *inv, unsigned wait_ms, uint32_t *number)
{
  struct timespec until = deadline_in_ms(wait_ms);
  struct item *best = NULL;
  pthread_mutex_lock(&inv->mutex);
  for (int waited = 0;;)
  {
    best = inv->complete && !inv->closed && inv->heap_size ? inv->heap[0] : NULL;
    if (best || waited)
      break;
    waited = pthread_cond_timedwait(&inv->changed, &inv->mutex, &until);
  }
  if (best)
  {
    inventory_set_state(inv, best, ITEM_BUSY);
    best->again = best->discarded = best->unwritten = false;
    *number = inv->next_number++;
  }
  pthread_mutex_unlock(&inv->mutex);
  return best;
}

bool inventory_done(struct inventory *inv, struct item *i, uint32_t number, const char *announced,
                    enum item_state state, uint32_t *replaced)
{
  pthread_mutex_lock(&inv->mutex);
  /* A first page of zeros does not say whose it is: if this tablespace was not made meanwhile,
   * perhaps another one has its name. */
  if (state == ITEM_COPIED && i->unwritten && !i->created)
    state = ITEM_MISSING;
  bool keep = state == ITEM_COPIED && !i->dropped && !i->again && !i->discarded;
  if (state == ITEM_MISSING && strcmp(announced, i->path))
    state = ITEM_QUEUED; /* renamed while it was looked for */
  *replaced = keep && i->file_no != number ? i->file_no : 0;
  inventory_set_state(inv, i,
                      i->dropped     ? ITEM_GONE
                      : i->again     ? ITEM_QUEUED
                      : i->discarded ? fresh(i)
                                     : state);
  i->again = i->discarded = false;
  if (keep)
  {
    i->back = false;
    i->file_no = number;
    free(i->announced);
    if (!(i->announced = strdup(announced)))
      inv->no_memory = true;
  }
  pthread_cond_broadcast(&inv->changed);
  pthread_mutex_unlock(&inv->mutex);
  return keep;
}

bool inventory_number(struct inventory *inv, struct item *i, uint32_t *number)
{
  pthread_mutex_lock(&inv->mutex);
  bool ok = i->state != ITEM_BUSY;
  if (ok)
  {
    inventory_set_state(inv, i, ITEM_BUSY);
    i->again = i->dropped = i->discarded = false;
    *number = inv->next_number++;
  }
  pthread_mutex_unlock(&inv->mutex);
  return ok;
}

void inventory_put_back(struct inventory *inv, struct item *i)
{
  pthread_mutex_lock(&inv->mutex);
  inventory_set_state(inv, i,
                      i->dropped                  ? ITEM_GONE
                      : i->discarded && !i->again ? fresh(i)
                                                  : ITEM_QUEUED);
  i->again = i->discarded = false;
  pthread_cond_broadcast(&inv->changed);
  pthread_mutex_unlock(&inv->mutex);
}

void inventory_path(struct inventory *inv, const struct item *i, char *out, size_t size)
{
  pthread_mutex_lock(&inv->mutex);
  snprintf(out, size, "%s", i->path);
  pthread_mutex_unlock(&inv->mutex);
}

void inventory_note_shrunk(struct inventory *inv, struct item *i)
{
  pthread_mutex_lock(&inv->mutex);
  i->shrunk = true;
  pthread_mutex_unlock(&inv->mutex);
}

void inventory_note_left(struct inventory *inv, struct item *i, uint64_t bytes)
{
  pthread_mutex_lock(&inv->mutex);
  i->left = bytes;
  pthread_mutex_unlock(&inv->mutex);
}

void inventory_note_unwritten(struct inventory *inv, struct item *i)
{
  pthread_mutex_lock(&inv->mutex);
  i->unwritten = true;
  pthread_mutex_unlock(&inv->mutex);
}

void inventory_note_size(struct inventory *inv, struct item *i, uint64_t bytes)
{
  pthread_mutex_lock(&inv->mutex);
  i->size = bytes;
  pthread_mutex_unlock(&inv->mutex);
}

uint64_t inventory_space_bytes(struct inventory *inv)
{
  uint64_t bytes = 0;
  pthread_mutex_lock(&inv->mutex);
  for (const struct item *i = inv->first; i; i = i->next)
    if ((i->class == ITEM_SPACE || is_orphan(i)) &&
        (i->state == ITEM_QUEUED || i->state == ITEM_BUSY))
      bytes += i->state == ITEM_BUSY && i->left ? i->left : i->size;
  pthread_mutex_unlock(&inv->mutex);
  return bytes;
}

void inventory_imports(struct inventory *inv, bool possible)
{
  pthread_mutex_lock(&inv->mutex);
  inv->imports_over = !possible;
  pthread_mutex_unlock(&inv->mutex);
}

bool inventory_close(struct inventory *inv)
{
  pthread_mutex_lock(&inv->mutex);
  bool nothing_left =
      !inv->count[ITEM_QUEUED] && !inv->count[ITEM_BUSY] && !inv->count[ITEM_MISSING];
  inv->closed = nothing_left;
  pthread_mutex_unlock(&inv->mutex);
  return nothing_left;
}

void inventory_load(struct inventory *inv, struct inventory_load *load)
{
  pthread_mutex_lock(&inv->mutex);
  *load = (struct inventory_load){.queued = inv->count[ITEM_QUEUED],
                                  .busy = inv->count[ITEM_BUSY],
                                  .missing = inv->count[ITEM_MISSING],
                                  .queued_bytes = inv->queued_bytes};
  if (inv->heap_size)
    snprintf(load->largest, sizeof load->largest, "%s", inv->heap[0]->path);
  pthread_mutex_unlock(&inv->mutex);
}

bool inventory_retry_missing(struct inventory *inv, unsigned max_tries, struct gb_error *error)
{
  bool ok = true;
  pthread_mutex_lock(&inv->mutex);
  for (struct item *i = inv->first; ok && i; i = i->next)
    if (i->state == ITEM_MISSING && (i->unopened || i->back) && i->tries >= max_tries)
    {
      if (!inv->left_out_count++)
        snprintf(inv->left_out, sizeof inv->left_out, "%s", i->path);
      gone(inv, i);
    }
    else if (i->state == ITEM_MISSING)
    {
      if (i->tries >= max_tries && i->unwritten)
        ok = error_set(error, GB_corrupt_page,
                       "page 0 of %s (space %u) is all zero and the redo log does not say why",
                       i->path, i->space_id);
      else if (i->tries >= max_tries && i->class == ITEM_SPACE && i->created && !i->file_no)
      {
        ok = error_set(error, GB_file_vanished,
                       "%s (space %u) is in the redo log and not there: its statement failed, or "
                       "the file was removed",
                       i->path, i->space_id);
        error_hint(error, "see whether another file is in its place, then start the backup again "
                          "after the next checkpoint");
      }
      else if (i->tries >= max_tries)
        ok = error_set(
            error, GB_file_vanished,
            i->class == ITEM_SPACE
                ? "%s (space %u) can't be found under this name and the redo log does not say why"
                : "%s changes at each read",
            i->path, i->space_id);
      i->tries++;
      inventory_set_state(inv, i, ITEM_QUEUED);
    }
  pthread_cond_broadcast(&inv->changed);
  pthread_mutex_unlock(&inv->mutex);
  return ok;
}

void inventory_discard_files(struct inventory *inv, void (*drop)(uint32_t file_no, void *context),
                             void *context)
{
  pthread_mutex_lock(&inv->mutex);
  for (struct item *i = inv->first; i; i = i->next)
    if (i->class != ITEM_SPACE && i->state != ITEM_GONE)
    {
      if (i->file_no)
        drop(i->file_no, context);
      i->file_no = 0;
      i->from = i->upto = 0;
      i->more = false;
      i->again = false;
      if (i->state != ITEM_BUSY)
        inventory_set_state(inv, i, fresh(i));
      else
        i->discarded = true;
    }
  pthread_mutex_unlock(&inv->mutex);
}

bool inventory_finish(struct inventory *inv, uint64_t end, const struct inventory_image *image,
                      struct gb_error *error)
{
  pthread_mutex_lock(&inv->mutex);
  apply_pending(inv, end);
  bool ok = !inv->no_memory || error_set(error, GB_no_memory, "no memory for the list of files");
  for (struct item *i = inv->first; i && ok; i = i->next)
  {
    if (i->state == ITEM_GONE)
    {
      if (i->file_no)
        image->drop(i->file_no, image->context);
      continue;
    }
    /* Made when nothing was copied any more, by an ALTER that had begun before: all of it is in the
       redo. Not so where another file has its name: then making it failed. */
    if (i->state == ITEM_QUEUED && i->created && !i->file_no && !find_file(inv, i->path))
      image->create(inv->next_number++, i->space_id, i->path, image->context);
    else if (i->state != ITEM_COPIED)
      ok = error_set(error, i->class == ITEM_SPACE ? GB_ddl_storm : GB_internal,
                     i->class == ITEM_SPACE
                         ? "%s (space %u) appeared or changed too late to be copied"
                         : "%s was not copied (space %u)",
                     i->path, i->space_id);
    else if (i->shrunk && !i->trimmed)
      ok = error_set(error, GB_file_vanished, "%s became shorter and the redo log does not say why",
                     i->path);
    else if (i->unwritten && !i->created)
      ok = error_set(error, GB_corrupt_page,
                     "page 0 of %s (space %u) is all zero and the redo log does not say why",
                     i->path, i->space_id);
    else if (is_orphan(i) && space_has_path(inv, i->path))
      image->drop(
          i->file_no,
          image->context); /* an orphan that was imported meanwhile: the tablespace has its place */
    else if (i->announced && strcmp(i->announced, i->path))
      image->rename(i->file_no, i->path, image->context);
  }
  pthread_mutex_unlock(&inv->mutex);
  return ok;
}
