/* The thread that follows the redo log; see follower.h. */
#include "plugin/follower.h"
#include "plugin/progress.h"
#include "plugin/tail.h"
#include "common/priority.h"
#include "common/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define ALIGNMENT      4096u
#define READ_MIN       (64u << 10)
#define READ_MAX       (2u << 20)
#define BUFFER_SIZE    (READ_MAX + REDO_MTR_MAX + 2 * ALIGNMENT)
#define QUEUE_SIZE     (8u << 20)   /* parsed, not yet handed over */
#define SEND_MIN       (256u << 10) /* a slot waits for this much, unless... */
#define SEND_AFTER_US  500000u      /* ...it has waited this long */
#define IDLE_MS        20u          /* while somebody waits */
#define CALM_MS        100u /* else, at most: a log of 100 MiB is not written around in that time */
#define CHECK_EVERY_US 200000u /* inode and checkpoint while idle */
#define HEADER_TRIES   20
#define LOST_TRIES     50 /* idle rounds with the server far ahead before the place is given up */
#define EARLY_NICE     10 /* as bulk readers: the redo of before the backup is bulk work */
#define EARLY_LEFT     (2u << 20)
#define EARLY_ROOM                                                                                 \
  (64u << 20) /* the server has less before it writes over what is not read: no time for that */

struct follower
{
  int fd;
  char path[1024];
  ino_t inode;
  struct redo_log log;
  follower_sink *sink;
  void *sink_context;
  struct channel *channel;
  struct redo_visitor visitor;

  uint8_t *buffer; /* aligned; bytes of the log from where it is parsed */
  uint32_t read_size;

  uint8_t *queue; /* ring of parsed bytes: LSNs sent .. parsed */
  uint64_t sent, parsed;
  uint64_t queued_since_us;

  pthread_mutex_t mutex; /* what follows, and sent/parsed for readers in other threads */
  pthread_cond_t changed;
  uint64_t end;
  struct tail tail;
  bool stop, hurry, caught_up;
  unsigned awaited; /* callers of follower_catch_up() that wait */
  struct gb_error error;
  pthread_t thread;
  bool running;
};

static void emit(struct follower *f, enum redo_op op, uint32_t space_id, const char *path,
                 size_t size, uint64_t lsn)
{
  struct follower_event e = {.op = op, .space_id = space_id, .lsn = lsn};
  if (size >= 2 && path[0] == '.' && path[1] == '/')
  {
    path += 2;
    size -= 2;
  }
  if (size >= sizeof e.path)
    size = sizeof e.path - 1;
  if (size)
    memcpy(e.path, path, size);
  f->sink(f->sink_context, &e);
}

static void visit_file(void *context, enum redo_op op, uint32_t space_id, const char *path,
                       size_t path_size, const char *new_path, size_t new_path_size, uint64_t lsn)
{
  if (op == REDO_FILE_RENAME)
    emit(context, op, space_id, new_path, new_path_size, lsn);
  else
    emit(context, op, space_id, path, path_size, lsn);
}

static void visit_trim(void *context, uint32_t space_id, uint32_t pages, uint64_t lsn)
{
  (void)pages;
  emit(context, (enum redo_op)0, space_id, "", 0, lsn);
}

static void visit_init(void *context, uint32_t space_id, uint32_t page_no, uint64_t lsn)
{
  if (!page_no && space_id)
    emit(context, FOLLOWER_PAGE_0, space_id, "", 0, lsn);
}

static bool read_header(struct follower *f, struct redo_log *log, struct gb_error *error)
{
  uint8_t *data = NULL;
  struct stat st;
  if (posix_memalign((void **)&data, ALIGNMENT, REDO_START_OFFSET))
    return error_set(error, GB_no_memory, "no memory for the redo log's header");
  bool ok = false;
  for (int i = 0; i < HEADER_TRIES && !ok; i++)
  {
    /* Two equal reads, so that a checkpoint being written is not taken for the newest one. */
    struct redo_log again;
    error_clear(error);
    ssize_t n = fstat(f->fd, &st) ? -1 : pread(f->fd, data, REDO_START_OFFSET, 0);
    if (n != (ssize_t)REDO_START_OFFSET)
      error_set_errno(error, GB_io_error, n < 0 ? errno : 0, "%s can't be read", f->path);
    else if (redo_parse_header(data, (uint64_t)st.st_size, log, error) &&
             pread(f->fd, data, REDO_START_OFFSET, 0) == (ssize_t)REDO_START_OFFSET &&
             redo_parse_header(data, (uint64_t)st.st_size, &again, error))
    {
      ok = again.checkpoint_lsn == log->checkpoint_lsn && again.end_lsn == log->end_lsn;
      if (!ok)
        error_set(error, GB_redo_corrupt, "%s: its checkpoint changes at each read", f->path);
    }
    if (!ok)
    {
      if (error->code == GB_unsupported_server)
        break;
      usleep(IDLE_MS * 1000);
    }
  }
  free(data);
  return ok;
}

struct follower *follower_open(const char *directory, bool direct, follower_sink *sink,
                               void *context, struct gb_error *error)
{
  struct follower *f = calloc(1, sizeof *f);
  /* Not from malloc(): freed blocks of this size make it keep as much in each of its arenas from
   * then on (mallopt(3)). */
  uint8_t *memory = f ? mmap(NULL, BUFFER_SIZE + QUEUE_SIZE, PROT_READ | PROT_WRITE,
                             MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
                      : MAP_FAILED;
  if (memory == MAP_FAILED)
  {
    error_set(error, GB_no_memory, "no memory for the redo follower");
    free(f);
    return NULL;
  }
  f->buffer = memory;
  f->queue = memory + BUFFER_SIZE;
  pthread_mutex_init(&f->mutex, NULL);
  cond_init_monotonic(&f->changed);
  f->sink = sink;
  f->sink_context = context;
  f->visitor = (struct redo_visitor){
      .context = f, .file = visit_file, .trim = visit_trim, .init = visit_init};
  f->end = UINT64_MAX;
  f->read_size = READ_MIN;
  snprintf(f->path, sizeof f->path, "%s/ib_logfile0", directory);
  f->fd = open(f->path, O_RDONLY | O_CLOEXEC | (direct ? O_DIRECT : 0));
  if (f->fd < 0 && direct && errno == EINVAL)
    f->fd = open(f->path, O_RDONLY | O_CLOEXEC);
  struct stat st;
  if (f->fd < 0 || fstat(f->fd, &st))
    error_set_errno(error, GB_io_error, errno, "%s can't be opened", f->path);
  else
  {
    f->inode = st.st_ino;
    if (read_header(f, &f->log, error))
    {
      if (!f->log.encrypted)
      {
        f->sent = f->parsed = f->log.checkpoint_lsn;
        f->tail.final = f->log.end_lsn;
        return f;
      }
      error_set(error, GB_unsupported_config, "the redo log is encrypted (innodb_encrypt_log=ON)");
      error_hint(error, "put innodb_encrypt_log=OFF into my.cnf and restart: this release can't follow an "
                        "encrypted redo log");
    }
  }
  follower_close(f);
  return NULL;
}

const struct redo_log *follower_log(const struct follower *f)
{
  return &f->log;
}

/* Reads up to read_size bytes of the log from LSN parsed into the buffer, joining the ring's two
 *ends. skip: bytes before parsed in the buffer. Returns the bytes from parsed on, 0 on error. */
static size_t read_log(struct follower *f, size_t *skip, struct gb_error *error)
{
  uint64_t offset = redo_offset(&f->log, f->parsed);
  uint64_t start = offset & ~(uint64_t)(ALIGNMENT - 1);
  *skip = (size_t)(offset - start);
  size_t want = f->read_size + ALIGNMENT;
  size_t have = 0;
  while (have < want)
  {
    size_t n = want - have;
    if (n > f->log.file_size - start)
      n = (size_t)(f->log.file_size - start);
    ssize_t got = pread(f->fd, f->buffer + have, n, (off_t)start);
    if (got <= 0)
    {
      if (got < 0 && errno == EINTR)
        continue;
      error_set_errno(error, GB_io_error, got < 0 ? errno : 0, "%s can't be read at offset %llu",
                      f->path, (unsigned long long)start);
      return 0;
    }
    have += (size_t)got;
    start += (uint64_t)got;
    if (start >= f->log.file_size)
      start = REDO_START_OFFSET;
    else if ((size_t)got < n)
      break;
    if (f->log.capacity <= want && have + ALIGNMENT >= f->log.capacity)
      break;
  }
  return have > *skip ? have - *skip : 0;
}

static void queue_put(struct follower *f, const uint8_t *data, size_t size)
{
  size_t at = (size_t)(f->parsed % QUEUE_SIZE);
  size_t first = size < QUEUE_SIZE - at ? size : QUEUE_SIZE - at;
  memcpy(f->queue + at, data, first);
  memcpy(f->queue, data + first, size - first);
}

/* Parses what there is. Returns the bytes parsed; *at_end: the log ends there for now. */
static size_t advance(struct follower *f, bool *at_end, struct gb_error *error)
{
  *at_end = false;
  if (f->parsed - f->sent + BUFFER_SIZE > QUEUE_SIZE)
    return 0;
  size_t skip;
  pthread_mutex_lock(&f->mutex);
  uint64_t end = f->end;
  struct tail tail = f->tail; /* before the file is read */
  pthread_mutex_unlock(&f->mutex);
  size_t available = read_log(f, &skip, error);
  if (!available)
    return 0;
  struct tail_read r =
      tail_take(&tail, &f->log, f->parsed, f->buffer + skip, available, end, &f->visitor);
  if (r.taken)
    queue_put(f, f->buffer + skip, r.taken);
  /* An incomplete mini-transaction with its greatest length already read is no mini-transaction. */
  *at_end = r.after == REDO_END ||
            (r.after == REDO_PARTIAL && (available - r.seen > REDO_MTR_MAX + ALIGNMENT)) ||
            f->parsed + r.taken >= end || (!r.seen && f->read_size == READ_MAX);
  f->read_size = *at_end && r.seen < READ_MIN ? READ_MIN : READ_MAX;
  pthread_mutex_lock(&f->mutex);
  f->parsed += r.taken;
  f->tail.passed = tail.passed;
  pthread_cond_broadcast(&f->changed);
  pthread_mutex_unlock(&f->mutex);
  if (f->parsed > end)
    error_set(error, GB_redo_corrupt, "LSN %llu is inside a mini-transaction that ends at %llu",
              (unsigned long long)end, (unsigned long long)f->parsed);
  if (r.taken && !f->queued_since_us)
    f->queued_since_us = now_us();
  return r.taken;
}

/* Hands queued bytes over while there are slots for them; once the end is known and handed over, no
   more: the agent has had FINISH. */
static void hand_over(struct follower *f, bool all)
{
  while (f->sent < f->parsed)
  {
    pthread_mutex_lock(&f->mutex);
    uint64_t upto = f->parsed < f->end ? f->parsed : f->end;
    pthread_mutex_unlock(&f->mutex);
    if (f->sent >= upto)
      return;
    uint64_t queued = upto - f->sent;
    if (!all && queued < SEND_MIN && now_us() - f->queued_since_us < SEND_AFTER_US)
      return;
    int slot = channel_slot_take(f->channel, SLOT_REDO, NULL);
    if (slot < 0)
      return;
    uint32_t size = queued < RING_SLOT_SIZE ? (uint32_t)queued : RING_SLOT_SIZE;
    uint8_t *to = channel_slot_data(f->channel, slot);
    size_t at = (size_t)(f->sent % QUEUE_SIZE);
    size_t first = size < QUEUE_SIZE - at ? size : QUEUE_SIZE - at;
    memcpy(to, f->queue + at, first);
    memcpy(to + first, f->queue, size - first);
    struct wire_slot *m = calloc(1, sizeof *m);
    if (!m)
    {
      channel_slot_return(f->channel, slot);
      return;
    }
    m->slot = (uint32_t)slot;
    m->count = 1;
    m->extents[0] = (struct wire_extent){WIRE_FILE_REDO, f->sent - f->log.checkpoint_lsn, size, 0};
    channel_send_slot(f->channel, m);
    free(m);
    pthread_mutex_lock(&f->mutex);
    f->sent += size;
    pthread_mutex_unlock(&f->mutex);
    f->queued_since_us = f->sent < f->parsed ? now_us() : 0;
  }
}

/* Called while nothing new is found: is it still the same log, and are we still in it? */
static void check_place(struct follower *f, unsigned *lost, struct gb_error *error)
{
  struct stat st;
  if (stat(f->path, &st) || st.st_ino != f->inode)
  {
    error_set(error, GB_redo_resized,
              "%s was replaced at LSN %llu (innodb_log_file_size was changed)", f->path,
              (unsigned long long)f->parsed);
    return;
  }
  struct redo_log now;
  struct gb_error ignored = {0};
  if (read_header(f, &now, &ignored) && now.checkpoint_lsn > f->parsed)
  {
    if (++*lost >= LOST_TRIES)
      error_set(
          error, GB_redo_overrun,
          "the redo log was overwritten: LSN %llu could not be read before the server reached %llu",
          (unsigned long long)f->parsed, (unsigned long long)now.checkpoint_lsn);
  }
  else
    *lost = 0;
}

/* How long the log may be left alone: each time costs a read past the page cache, and the server's
 * threads a processor. */
static unsigned calm_ms(const struct redo_log *log)
{
  uint64_t ms = log->capacity >> 20;
  return ms < IDLE_MS ? IDLE_MS : ms < CALM_MS ? (unsigned)ms : CALM_MS;
}

/* early: until it has nearly caught up, or is asked to hurry. */
static void follow(struct follower *f, bool early)
{
  struct gb_error error = {0};
  unsigned lost = 0;
  uint64_t checked_us = now_us();
  for (;;)
  {
    pthread_mutex_lock(&f->mutex);
    bool stop =
        f->stop || f->error.code || (early && (f->hurry || f->parsed + EARLY_LEFT > f->tail.final));
    uint64_t final = f->tail.final;
    uint64_t end = f->end;
    pthread_mutex_unlock(&f->mutex);
    if (stop)
      break;
    bool at_end = false;
    size_t done = f->parsed < end ? advance(f, &at_end, &error) : 0;
    hand_over(f, f->parsed >= end);
    if (done)
      lost = 0;
    else if (!error.code && now_us() - checked_us > CHECK_EVERY_US && f->parsed < end)
    {
      checked_us = now_us();
      check_place(f, &lost, &error);
    }
    pthread_mutex_lock(&f->mutex);
    if (error.code)
      f->error = error;
    /* Nothing new, or what is new is to be read once more before it is believed. */
    if ((at_end || !done) && f->tail.final == final && f->end == end && !f->stop && !f->error.code)
    {
      struct timespec until = deadline_in_ms(f->awaited ? IDLE_MS : calm_ms(&f->log));
      pthread_cond_timedwait(&f->changed, &f->mutex, &until);
    }
    pthread_mutex_unlock(&f->mutex);
  }
  pthread_mutex_lock(&f->mutex);
  pthread_cond_broadcast(&f->changed);
  pthread_mutex_unlock(&f->mutex);
}

static void *early_main(void *argument)
{
  priority_name("gb-redo-early");
  priority_lower(EARLY_NICE);
  follow(argument, true);
  return NULL;
}

static void *follower_main(void *argument)
{
  struct follower *f = argument;
  pthread_t early;
  priority_name("gb-redo");
  if (!pthread_create(&early, NULL, early_main, f))
    pthread_join(early, NULL);
  pthread_mutex_lock(&f->mutex);
  f->caught_up = true;
  pthread_mutex_unlock(&f->mutex);
  follow(f, false);
  return NULL;
}

bool follower_start(struct follower *f, struct channel *channel, struct gb_error *error)
{
  f->channel = channel;
  f->hurry = f->log.capacity < f->tail.final - f->parsed + EARLY_ROOM;
  struct wire_redo m = {.checkpoint_lsn = f->log.checkpoint_lsn, .end_lsn = f->log.end_lsn};
  memcpy(m.header, f->log.header, sizeof m.header);
  channel_send_redo(channel, &m);
  if (pthread_create(&f->thread, NULL, follower_main, f))
    return error_set(error, GB_no_memory, "no thread for the redo follower");
  f->running = true;
  return true;
}

void follower_close(struct follower *f)
{
  if (!f)
    return;
  if (f->running)
  {
    pthread_mutex_lock(&f->mutex);
    f->stop = true;
    pthread_cond_broadcast(&f->changed);
    pthread_mutex_unlock(&f->mutex);
    pthread_join(f->thread, NULL);
  }
  if (f->fd >= 0)
    close(f->fd);
  pthread_mutex_destroy(&f->mutex);
  pthread_cond_destroy(&f->changed);
  munmap(f->buffer, BUFFER_SIZE + QUEUE_SIZE);
  free(f);
}

uint64_t follower_parsed(struct follower *f)
{
  pthread_mutex_lock(&f->mutex);
  uint64_t lsn = f->parsed;
  pthread_mutex_unlock(&f->mutex);
  return lsn;
}

uint64_t follower_sent(struct follower *f)
{
  pthread_mutex_lock(&f->mutex);
  uint64_t lsn = f->sent;
  pthread_mutex_unlock(&f->mutex);
  return lsn;
}

uint64_t follower_queued(struct follower *f)
{
  pthread_mutex_lock(&f->mutex);
  uint64_t bytes = f->parsed - f->sent;
  pthread_mutex_unlock(&f->mutex);
  return bytes;
}

void follower_set_final(struct follower *f, uint64_t lsn)
{
  pthread_mutex_lock(&f->mutex);
  if (lsn > f->tail.final)
    f->tail.final = lsn;
  pthread_cond_broadcast(&f->changed);
  pthread_mutex_unlock(&f->mutex);
}

bool follower_caught_up(struct follower *f)
{
  pthread_mutex_lock(&f->mutex);
  bool yes = f->caught_up;
  pthread_mutex_unlock(&f->mutex);
  return yes;
}

void follower_hurry(struct follower *f)
{
  pthread_mutex_lock(&f->mutex);
  f->hurry = true;
  pthread_mutex_unlock(&f->mutex);
}

bool follower_catch_up(struct follower *f, uint64_t lsn, unsigned timeout_ms)
{
  follower_hurry(f);
  struct timespec until = deadline_in_ms(timeout_ms);
  pthread_mutex_lock(&f->mutex);
  int waited = 0;
  if (!f->awaited++ && f->parsed < lsn)
    pthread_cond_broadcast(&f->changed);
  while (f->parsed < lsn && !f->error.code && !waited)
    waited = pthread_cond_timedwait(&f->changed, &f->mutex, &until);
  f->awaited--;
  bool ok = f->parsed >= lsn && !f->error.code;
  pthread_mutex_unlock(&f->mutex);
  return ok;
}

void follower_place(struct follower *f, char text[160])
{
  uint64_t lsn = follower_parsed(f), offset = redo_offset(&f->log, lsn);
  uint8_t bytes[16] = {0};
  /* A descriptor of its own, through the page cache: the follower's may be of O_DIRECT, which wants
   * whole blocks. */
  int fd = open(f->path, O_RDONLY | O_CLOEXEC);
  ssize_t n = fd < 0 ? -1 : pread(fd, bytes, sizeof bytes, (off_t)offset);
  if (fd >= 0)
    close(fd);
  size_t at = (size_t)snprintf(text, 160, "LSN %llu, offset %llu of ib_logfile0, which holds",
                               (unsigned long long)lsn, (unsigned long long)offset);
  for (ssize_t i = 0; i < n; i++)
    at += (size_t)snprintf(text + at, 160 - at, " %02x", bytes[i]);
}

void follower_set_end(struct follower *f, uint64_t lsn)
{
  pthread_mutex_lock(&f->mutex);
  f->end = lsn;
  pthread_cond_broadcast(&f->changed);
  pthread_mutex_unlock(&f->mutex);
}

bool follower_failed(struct follower *f, struct gb_error *error)
{
  pthread_mutex_lock(&f->mutex);
  bool failed = f->error.code != 0;
  if (failed)
    error_copy(error, &f->error);
  pthread_mutex_unlock(&f->mutex);
  return failed;
}
