/* How one file gets into slots; see copy.h. */
#include "plugin/copy.h"
#include "plugin/aria.h"
#include "plugin/kept.h"
#include "plugin/progress.h"
#include "plugin/throttle.h"
#include "common/page.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define ALIGNMENT        4096u
#define CUT_TRIES        10u    /* a file that is too short is looked at so often */
#define PAGE_SIZE_LEAST  1024u  /* of InnoDB and of Aria */
#define VIEW_BEGINS      "TYPE=VIEW" /* the .frm of one */
#define FRM_BEGINS       "\xfe\x01"  /* that of a table (sql/table.cc) */
#define FRM_ENGINE       3u
#define FRM_PARTS_ENGINE 61u /* of a partitioned table, whose engine is FRM_PARTITION */
#define FRM_PARTITION    20u
#define PAGE_TRIES       10     /* rule 2 of the design's section 3: a floor */
#define PAGE_RETRY_US    100000u
#define PAGE_0_TRIES 10
#define EXTENTS_FULL     (WIRE_EXTENTS_MAX - 256u)
#define ROOM_MIN         (64u << 10) /* a slot with less room left is handed over */
#define DEFINITION_TRIES 10

static uint32_t align_up(uint32_t n)
{
  return (n + ALIGNMENT - 1) & ~(ALIGNMENT - 1);
}

bool copier_init(struct copier *c, struct copy_shared *shared)
{
  memset(c, 0, sizeof *c);
  c->shared = shared;
  c->slot = -1;
  c->message = malloc(sizeof *c->message);
  return c->message && !posix_memalign((void **)&c->scratch, ALIGNMENT, SPACE_PAGE_SIZE_MAX);
}

void copier_free(struct copier *c)
{
  if (c->slot >= 0)
    channel_slot_return(c->shared->channel, c->slot);
  free(c->message);
  free(c->scratch);
  free(c->second);
}

void copier_flush(struct copier *c)
{
  if (c->slot < 0)
    return;
  if (c->message->count)
  {
    c->message->slot = (uint32_t)c->slot;
    channel_send_slot(c->shared->channel, c->message);
  }
  else
    channel_slot_return(c->shared->channel, c->slot);
  c->slot = -1;
}

/* Room for at least ROOM_MIN bytes in the current slot, or a new one. NULL: none to be had (stop, death, reserve
   used up). */
static uint8_t *room(struct copier *c, uint32_t *size)
{
  struct copy_shared *s = c->shared;
  if (c->slot >= 0 && (RING_SLOT_SIZE - c->at < ROOM_MIN || c->message->count >= EXTENTS_FULL))
    copier_flush(c);
  if (c->slot < 0)
  {
    uint64_t before = now_us();
    c->slot = channel_slot_take(s->channel, s->window ? SLOT_RESERVE : SLOT_PAGE, &s->stop);
    __atomic_fetch_add(&s->slot_wait_us, now_us() - before, __ATOMIC_RELAXED);
    if (c->slot < 0)
    {
      if (s->window)
        __atomic_store_n(&s->overflow, true, __ATOMIC_RELAXED);
      return NULL;
    }
    c->at = 0;
    c->message->count = 0;
  }
  *size = RING_SLOT_SIZE - c->at;
  return channel_slot_data(s->channel, c->slot) + c->at;
}

/* Bytes [offset, offset+length) of the file stand at `at` in the slot. */
static void extent(struct copier *c, uint32_t number, uint64_t offset, uint32_t length, uint32_t at)
{
  struct wire_slot *m = c->message;
  c->sent += length;
  struct wire_extent *last = m->count ? &m->extents[m->count - 1] : NULL;
  if (last && last->file_no == number && last->offset + last->length == offset && last->at + last->length == at)
    last->length += length;
  else if (m->count < WIRE_EXTENTS_MAX)
    m->extents[m->count++] = (struct wire_extent){number, offset, length, at};
}

static void announce(struct copier *c, const struct item *item, uint32_t number, const char *path, uint32_t page_size,
                     mode_t mode)
{
  struct wire_file m = {.file_no = number, .kind = item->kind, .space_id = item->space_id, .page_size = page_size,
                        .mode = mode & 0777};
  snprintf(m.path, sizeof m.path, "%s", path);
  channel_send_file(c->shared->channel, &m);
}

static void done(struct copier *c, uint32_t number, uint64_t size, bool unverifiable)
{
  struct wire_file_done m = {.file_no = number, .size = size, .unverifiable = unverifiable, .sent = c->sent};
  channel_send_file_done(c->shared->channel, &m);
}

static void absolute(const struct copier *c, const char *path, char *out, size_t size)
{
  snprintf(out, size, "%s%s", path[0] == '/' ? "" : c->shared->datadir, path);
}

static int open_file(const char *path, bool direct)
{
  int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | (direct ? O_DIRECT : 0));
  if (fd < 0 && direct && errno == EINVAL)
    fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
  return fd;
}

/* pread until size or end of file; -1 on error. */
static ssize_t read_at(int fd, void *data, size_t size, uint64_t offset)
{
  size_t have = 0;
  while (have < size)
  {
    ssize_t n = pread(fd, (uint8_t *)data + have, size - have, (off_t)(offset + have));
    if (n < 0 && errno == EINTR)
      continue;
    if (n < 0)
      return -1;
    if (n == 0)
      break;
    have += (size_t)n;
    if (have % ALIGNMENT)
      break; /* end of file: a further read would not be aligned */
  }
  return (ssize_t)have;
}

/* pread, out of the page cache if all of it is there, else past it. A small file costs less so, and none is brought in. */
static ssize_t read_cached(int fd, void *data, size_t size, uint64_t offset)
{
  int flags = fcntl(fd, F_GETFL);
  struct iovec iov = {data, size};
  if (flags < 0 || !(flags & O_DIRECT) || fcntl(fd, F_SETFL, flags & ~O_DIRECT))
    return read_at(fd, data, size, offset);
  ssize_t n = preadv2(fd, &iov, 1, (off_t)offset, RWF_NOWAIT);
  if (fcntl(fd, F_SETFL, flags) || n == (ssize_t)size)
    return n;
  return read_at(fd, data, align_up((uint32_t)size), offset);
}

static void throttle(struct copier *c, size_t bytes)
{
  struct copy_shared *s = c->shared;
  if (s->window || s->urgent)
    return;
  uint64_t before = now_us();
  if (throttle_take(bytes, &s->stop))
    __atomic_fetch_add(&s->throttle_wait_us, now_us() - before, __ATOMIC_RELAXED);
}

/* Reads one page again into `page`, which stands in a slot or in scratch; aligned as O_DIRECT wants it. */
static bool read_page(struct copier *c, int fd, uint32_t page_size, uint64_t offset, uint8_t *page)
{
  uint64_t start = offset & ~(uint64_t)(ALIGNMENT - 1);
  uint32_t size = align_up((uint32_t)(offset - start) + page_size);
  ssize_t n = read_at(fd, c->scratch, size, start);
  if (n < (ssize_t)(offset - start + page_size))
    return false;
  if (page != c->scratch)
    memcpy(page, c->scratch + (offset - start), page_size);
  return true;
}

/* Whether the extent descriptors, verified, call the page free. */
static bool page_is_free(struct copier *c, int fd, const struct space_info *info, uint32_t first_page, uint32_t page_no)
{
  const struct space_format *f = &info->format;
  uint32_t xdes = space_xdes_page(f, page_no);
  if (xdes < first_page || xdes == page_no)
    return false;
  uint8_t *copy = malloc(f->page_size);
  bool free_page = copy && read_page(c, fd, f->page_size, (uint64_t)(xdes - first_page) * f->page_size, copy) &&
                   page_verify(f, xdes, copy) == PAGE_WHOLE && space_page_free(f, copy, page_no);
  free(copy);
  return free_page;
}

struct space_read
{
  int fd;
  uint32_t number, first_page;
  uint64_t size; /* bytes, when it was opened */
  struct space_info info;
  const char *path;
  bool unverifiable;
  bool sealed; /* a page carries the version of a key */
};

/* InnoDB writes into page 0 that a space is encrypted, durably, before it writes the first encrypted page; a copy whose page 0 does
   not know of it fails in recovery, which takes such a page for a damaged one. Whether that is so, page 0 having been read before. */
static bool sealed_meanwhile(struct copier *c, struct space_read *s)
{
  struct space_info now;
  struct gb_error ignored = {0};
  bool zero;
  uint32_t page_size = s->info.format.page_size;
  if (!s->sealed || s->info.format.crypt || s->first_page || !read_page(c, s->fd, page_size, 0, c->scratch) ||
      !space_parse(c->scratch, page_size, &now, &zero, &ignored) || !now.format.crypt)
    return false;
  if (!s->info.id) /* of it page 0 is read but once */
    __atomic_store_n(&c->shared->system.format.crypt, true, __ATOMIC_RELAXED);
  return true;
}

/* A page that did not verify is read again until it does. False: it is not in the file any more, which the server has cut. */
static bool retry_page(struct copier *c, const struct space_read *s, uint32_t page_no, uint64_t offset, uint8_t *page,
                       enum page_state *state)
{
  for (int i = 0; i < PAGE_TRIES && *state == PAGE_CORRUPT && !c->shared->stop; i++)
  {
    usleep(i ? PAGE_RETRY_US : 1000);
    if (!read_page(c, s->fd, s->info.format.page_size, offset, page))
      return false;
    *state = page_verify(&s->info.format, page_no, page);
  }
  return true;
}

/* Pages without a checksum, or with one that only their key tells, and all behind the first such (at `first`; what lies before has been verified):
   of each two equal reads at least PAGE_RETRY_US apart (rule 14). */
static bool settle(struct copier *c, int fd, uint8_t *data, uint32_t size, uint32_t first, uint64_t offset, uint32_t page_size)
{
  bool settled[RING_SLOT_SIZE / PAGE_SIZE_LEAST] = {false};
  if (!c->second && posix_memalign((void **)&c->second, ALIGNMENT, RING_SLOT_SIZE))
  {
    c->second = NULL;
    return false;
  }
  for (int i = 0; i < PAGE_TRIES && !c->shared->stop; i++)
  {
    usleep(PAGE_RETRY_US);
    if (read_at(fd, c->second, size, offset) != (ssize_t)size)
      return false;
    bool all = true;
    for (uint32_t at = first, number = 0; at < size; at += page_size, number++)
    {
      uint32_t n = size - at < page_size ? size - at : page_size;
      if (settled[number])
        continue;
      settled[number] = !memcmp(c->second + at, data + at, n);
      if (!settled[number])
        memcpy(data + at, c->second + at, n);
      all = all && settled[number];
    }
    if (all)
      return true;
  }
  return false;
}

static bool in_doublewrite(const struct copy_shared *s, uint32_t page_no)
{
  for (int i = 0; i < 2; i++)
    if (s->dblwr_pages && page_no >= s->dblwr_first[i] && page_no < s->dblwr_first[i] + s->dblwr_pages)
      return true;
  return false;
}

/* Verifies the pages of a chunk read to `at` in the slot and makes extents of those that hold something. */
static enum copy_result take_pages(struct copier *c, struct space_read *s, uint8_t *data, uint32_t size, uint64_t offset,
                                   struct gb_error *error)
{
  const struct space_format *f = &s->info.format;
  bool settled = false;
  for (uint32_t at = 0; at < size; at += f->page_size)
  {
    uint32_t page_no = s->first_page + (uint32_t)((offset + at) / f->page_size);
    if (!s->info.id && in_doublewrite(c->shared, page_no))
      continue;
    uint8_t *page = data + at;
    enum page_state state = page_verify(f, page_no, page);
    if (state == PAGE_CORRUPT && !retry_page(c, s, page_no, offset + at, page, &state))
      return COPY_AGAIN;
    if (state == PAGE_UNVERIFIABLE && !settled)
    {
      if (!settle(c, s->fd, data, size, at, offset, f->page_size))
        return c->shared->stop ? COPY_AGAIN : COPY_MISSING;
      s->unverifiable = settled = true;
      state = page_verify(f, page_no, page);
    }
    if (state == PAGE_ZERO)
      continue;
    if (state == PAGE_CORRUPT)
    {
      if (c->shared->stop)
        return COPY_AGAIN;
      if (page_is_free(c, s->fd, &s->info, s->first_page, page_no))
        continue;
      error_set(error, GB_corrupt_page, "page %u of %s (offset %llu, space %u) has a wrong checksum in %d reads",
                page_no, s->path, (unsigned long long)(offset + at), s->info.id, PAGE_TRIES + 1);
      return COPY_FAILED;
    }
    s->sealed = s->sealed || page_key_version(f, page);
    extent(c, s->number, offset + at, f->page_size, c->at + at);
  }
  return COPY_DONE;
}

/* Page 0 of a tablespace. COPY_GONE: nothing of the file's start has been written yet. */
static enum copy_result read_page_0(struct copier *c, const struct item *item, struct space_read *s,
                                    struct gb_error *error)
{
  for (int i = 0; i < PAGE_0_TRIES; i++)
  {
    bool zero = false;
    struct gb_error problem = {0};
    ssize_t n = read_at(s->fd, c->scratch, SPACE_PAGE_SIZE_MAX, 0);
    if (n < 0)
    {
      error_set_errno(error, GB_io_error, errno, "%s can't be read", s->path);
      return COPY_FAILED;
    }
    bool parsed = n >= 1024 && space_parse(c->scratch, (size_t)n, &s->info, &zero, &problem);
    if (parsed && s->info.id != item->space_id)
      return COPY_MISSING;
    if (parsed && (size_t)n >= s->info.format.page_size &&
        page_verify(&s->info.format, 0, c->scratch) != PAGE_CORRUPT)
      return COPY_DONE;
    if (n < 1024 || (zero && page_is_zero(c->scratch, 1024)))
      return COPY_GONE; /* pages behind it may have been written before it: they are in the redo as well */
    if (i + 1 == PAGE_0_TRIES || c->shared->stop)
    {
      if (parsed || zero)
        error_set(error, GB_corrupt_page, "page 0 of %s (space %u) has a wrong checksum in %d reads", s->path,
                  item->space_id, PAGE_0_TRIES);
      else
        error_set(error, GB_corrupt_page, "%s (space %u): %s", s->path, item->space_id, problem.what);
      return c->shared->stop ? COPY_AGAIN : COPY_FAILED;
    }
    usleep(c->shared->window ? 1000 : PAGE_RETRY_US);
  }
  return COPY_FAILED;
}

/* Whether the file is long enough for what its first page, which has been read, says is in use. The server makes a file longer before it
   writes so into that page, of small pages by whole blocks of 4096 bytes; shorter it makes undo tablespaces alone. */
static bool long_enough(const struct space_read *s, const struct item *item, uint64_t size)
{
  uint32_t used = s->info.size < s->info.free_limit ? s->info.size : s->info.free_limit;
  uint64_t least = (uint64_t)used * s->info.format.page_size & ~(uint64_t)(ALIGNMENT - 1);
  return !item->space_id || item->kind == WIRE_KIND_UNDO || size >= least;
}

static enum copy_result check_length(const struct space_read *s, const struct item *item, struct gb_error *error)
{
  struct stat st;
  if (fstat(s->fd, &st))
    error_set_errno(error, GB_io_error, errno, "%s can't be read", s->path);
  else if (long_enough(s, item, (uint64_t)st.st_size))
    return COPY_DONE;
  else if (item->tries < CUT_TRIES)
    return COPY_MISSING; /* perhaps it is being put there, for an IMPORT */
  else
    error_set(error, GB_corrupt_page, "%s (space %u) has been cut: it ends at page %llu (offset %llu), its first page says that there are %u",
              s->path, item->space_id, (unsigned long long)st.st_size / s->info.format.page_size, (unsigned long long)st.st_size,
              s->info.size);
  return COPY_FAILED;
}

static enum copy_result copy_pages(struct copier *c, struct space_read *s, struct item *item, struct gb_error *error)
{
  uint32_t page_size = s->info.format.page_size;
  uint64_t pages = s->size / page_size;
  uint64_t limit = s->info.free_limit > s->first_page ? s->info.free_limit - s->first_page : 0;
  uint64_t end = (pages < limit ? pages : limit) * page_size;
  for (uint64_t offset = 0; offset < end;)
  {
    uint32_t space_left;
    if (c->shared->stop)
      return COPY_AGAIN;
    uint8_t *data = room(c, &space_left);
    if (!data)
      return COPY_AGAIN;
    uint32_t unit = page_size < ALIGNMENT ? ALIGNMENT : page_size;
    uint32_t want = space_left - space_left % unit;
    if (end - offset < want)
      want = (uint32_t)(end - offset);
    inventory_note_left(c->shared->inventory, item, end - offset);
    throttle(c, want);
    ssize_t n = read_at(s->fd, data, align_up(want), offset);
    if (n < 0)
    {
      error_set_errno(error, GB_io_error, errno, "%s can't be read at offset %llu", s->path, (unsigned long long)offset);
      return COPY_FAILED;
    }
    uint32_t got = (uint32_t)n < want ? (uint32_t)n - (uint32_t)n % page_size : want;
    enum copy_result result = take_pages(c, s, data, got, offset, error);
    if (result != COPY_DONE)
      return result;
    c->at += align_up(got);
    __atomic_fetch_add(&c->shared->bytes, got, __ATOMIC_RELAXED);
    offset += got;
    if (got < want)
    {
      if (item->kind != WIRE_KIND_UNDO)
        return COPY_MISSING;
      inventory_note_shrunk(c->shared->inventory, item);
      s->size = offset;
      break;
    }
  }
  return COPY_DONE;
}

/* A tablespace that fits into a slot is read once: page 0 is looked at where it lies. False: it wants the longer way. */
static bool copy_small(struct copier *c, struct space_read *s, const struct item *item, mode_t mode,
                       enum copy_result *result, struct gb_error *error)
{
  struct gb_error ignored = {0};
  uint32_t size = (uint32_t)s->size, space_left;
  bool zero;
  if (c->slot >= 0 && RING_SLOT_SIZE - c->at < align_up(size))
    copier_flush(c);
  uint8_t *data = room(c, &space_left);
  *result = COPY_AGAIN;
  if (!data)
    return true;
  throttle(c, size);
  if (read_cached(s->fd, data, size, 0) < (ssize_t)size || !space_parse(data, size, &s->info, &zero, &ignored) ||
      s->info.id != item->space_id || size < s->info.format.page_size ||
      page_verify(&s->info.format, 0, data) == PAGE_CORRUPT || !long_enough(s, item, size))
    return false;
  announce(c, item, s->number, s->path, s->info.format.page_size, mode);
  uint64_t end = (uint64_t)s->info.free_limit * s->info.format.page_size;
  if (end > size)
    end = size - size % s->info.format.page_size;
  *result = take_pages(c, s, data, (uint32_t)end, 0, error);
  if (*result == COPY_DONE)
  {
    c->at += align_up((uint32_t)end);
    __atomic_fetch_add(&c->shared->bytes, end, __ATOMIC_RELAXED);
  }
  return true;
}

/* Right after st was taken: a change in the same tick of the clock must not look older than the copy. */
static struct item_stamp stamp_of(const struct stat *st)
{
  struct item_stamp stamp = {.inode = st->st_ino, .size = st->st_size, .mtime = st->st_mtim, .ctime = st->st_ctim};
  clock_gettime(CLOCK_REALTIME, &stamp.read_at);
  return stamp;
}

/* A tablespace file. Every page is read after checkpoint C was chosen; a page that does not verify is read again
   PAGE_TRIES times; then it is a hole if the extent descriptors call it free, else the backup fails. */
static enum copy_result copy_space(struct copier *c, struct item *item, uint32_t number, const char *path,
                                   struct gb_error *error)
{
  char full[WIRE_PATH_MAX];
  absolute(c, path, full, sizeof full);
  struct space_read s = {.number = number, .first_page = item->first_page, .path = path};
  bool kept = !item->space_id;
  s.fd = kept ? kept_open(full, c->shared->direct) : open_file(full, c->shared->direct);
  struct stat st;
  if (s.fd < 0 || fstat(s.fd, &st))
  {
    int failed = errno;
    if (s.fd >= 0 && !kept)
      close(s.fd);
    if (failed == ENOENT || failed == ENOTDIR)
      return COPY_MISSING;
    error_set_errno(error, GB_io_error, failed, "%s can't be opened", path);
    return COPY_FAILED;
  }
  struct item_stamp stamp = stamp_of(&st);
  s.size = (uint64_t)st.st_size;
  inventory_note_size(c->shared->inventory, item, s.size);
  enum copy_result result = COPY_DONE;
  bool small = item->space_id && s.size >= 1024 && s.size <= RING_SLOT_SIZE &&
               copy_small(c, &s, item, st.st_mode, &result, error);
  if (!item->space_id)
    s.info = c->shared->system;
  else if (!small && (result = read_page_0(c, item, &s, error)) == COPY_DONE)
    result = check_length(&s, item, error);
  if (result == COPY_GONE)
  {
    /* Not written since the file was made: then it was made after C, and all of it is in the redo behind its
       FILE_CREATE, which inventory_finish() asks for. */
    inventory_note_unwritten(c->shared->inventory, item);
    s.info.format = c->shared->system.format;
    s.info.free_limit = 0;
    result = COPY_DONE;
  }
  if (result == COPY_DONE && !small)
  {
    announce(c, item, number, path, s.info.format.page_size, st.st_mode);
    result = copy_pages(c, &s, item, error);
  }
  if (result == COPY_DONE && sealed_meanwhile(c, &s))
    result = COPY_AGAIN;
  if (result == COPY_DONE)
  {
    item->stamp = stamp;
    done(c, number, s.size, s.unverifiable);
  }
  if (!kept)
    close(s.fd);
  return result;
}

bool copy_read_system(struct copy_shared *shared, const char *path, struct gb_error *error)
{
  struct copier c;
  bool ok = copier_init(&c, shared) || error_set(error, GB_no_memory, "no memory for a reader");
  char full[WIRE_PATH_MAX];
  absolute(&c, path, full, sizeof full);
  int fd = ok ? kept_open(full, shared->direct) : -1;
  struct stat st;
  if (ok && (fd < 0 || fstat(fd, &st)))
    ok = error_set_errno(error, GB_io_error, errno, "%s can't be opened", full);
  if (ok && !S_ISREG(st.st_mode))
    ok = error_set(error, GB_unsupported_config, "%s is a raw device: a system tablespace has to be a file", full);
  struct space_read s = {.fd = fd, .path = path};
  struct item item = {.space_id = 0};
  if (ok)
  {
    enum copy_result result = read_page_0(&c, &item, &s, error);
    if ((ok = result == COPY_DONE))
      shared->system = s.info;
    else
      error_set(error, GB_corrupt_page, "page 0 of %s is not that of a system tablespace", path);
  }
  const uint32_t trx_sys_page = 5;
  uint32_t page_size = s.info.format.page_size;
  if (ok)
  {
    enum page_state state = PAGE_CORRUPT;
    for (int i = 0; i < PAGE_TRIES && state != PAGE_WHOLE; i++)
    {
      if (i)
        usleep(PAGE_RETRY_US);
      if (read_page(&c, fd, page_size, (uint64_t)trx_sys_page * page_size, c.scratch))
        state = page_verify(&s.info.format, trx_sys_page, c.scratch);
      if (state == PAGE_UNVERIFIABLE)
        break;
    }
    if (state == PAGE_CORRUPT)
      ok = error_set(error, GB_corrupt_page, "page %u of %s has a wrong checksum", trx_sys_page, path);
    else if (!space_doublewrite(&s.info.format, c.scratch, &shared->dblwr_first[0], &shared->dblwr_first[1],
                                &shared->dblwr_pages))
      shared->dblwr_pages = 0;
  }
  copier_free(&c);
  return ok;
}

/* Aria pages of a chunk: read again until whole. The checksum of an encrypted one is that of its plain text. */
static enum copy_result check_aria(struct copier *c, const struct aria_table *table, bool index, int fd, uint8_t *data,
                                   uint32_t size, uint64_t offset, const char *path, struct gb_error *error)
{
  if (table->encrypted && !settle(c, fd, data, size, 0, offset, table->block_size))
    return c->shared->stop ? COPY_AGAIN : COPY_MISSING;
  if (table->encrypted)
    return COPY_DONE;
  for (uint32_t at = 0; at + table->block_size <= size; at += table->block_size)
  {
    uint64_t block = (offset + at) / table->block_size;
    for (int i = 0; !aria_page_whole(table, index, block, data + at); i++)
    {
      if (c->shared->stop)
        return COPY_AGAIN;
      if (i == PAGE_TRIES)
      {
        error_set(error, GB_corrupt_page, "block %llu of %s (offset %llu) has a wrong checksum in %d reads",
                  (unsigned long long)block, path, (unsigned long long)(offset + at), PAGE_TRIES + 1);
        return COPY_FAILED;
      }
      usleep(i ? PAGE_RETRY_US : 1000);
      if (read_at(fd, data + at, table->block_size, offset + at) < (ssize_t)table->block_size)
        return COPY_MISSING; /* as in copy_range() */
    }
  }
  return COPY_DONE;
}

/* Bytes [from, upto) of an open file as they are; table: verify Aria pages. */
static enum copy_result copy_range(struct copier *c, uint32_t number, int fd, const char *path, uint64_t from,
                                   uint64_t upto, const struct aria_table *table, bool index, struct gb_error *error)
{
  for (uint64_t offset = from; offset < upto;)
  {
    uint32_t space_left;
    if (c->shared->stop)
      return COPY_AGAIN;
    uint8_t *data = room(c, &space_left);
    if (!data)
      return COPY_AGAIN;
    uint32_t want = upto - offset < space_left ? (uint32_t)(upto - offset) : space_left;
    if (table && upto - offset > want)
      want -= want % table->block_size;
    throttle(c, want);
    ssize_t n = read_at(fd, data, want, offset);
    if (n < 0)
    {
      error_set_errno(error, GB_io_error, errno, "%s can't be read at offset %llu", path, (unsigned long long)offset);
      return COPY_FAILED;
    }
    if (n < (ssize_t)want)
      return COPY_MISSING; /* shorter than it was: being dropped or truncated */
    enum copy_result result =
        table ? check_aria(c, table, index, fd, data, want, offset, path, error) : COPY_DONE;
    if (result != COPY_DONE)
      return result;
    extent(c, number, offset, want, c->at);
    c->at += align_up(want);
    __atomic_fetch_add(&c->shared->bytes, want, __ATOMIC_RELAXED);
    offset += want;
  }
  return COPY_DONE;
}

/* The header of the Aria table that a .MAI or .MAD belongs to, and its stamp. False: errno is ENOENT if there is no .MAI; maria_create()
   empties one before it writes the header. */
static bool aria_table_of(const char *full, struct aria_table *table, struct item_stamp *stamp)
{
  char index[WIRE_PATH_MAX];
  snprintf(index, sizeof index, "%s", full);
  size_t n = strlen(index);
  if (n < 4)
    return false;
  memcpy(index + n - 3, "MAI", 3);
  int fd = open_file(index, false);
  if (fd < 0)
    return false;
  uint8_t head[ALIGNMENT];
  struct stat st;
  bool ok = !fstat(fd, &st);
  *stamp = stamp_of(&st);
  ssize_t got = ok ? read_at(fd, head, sizeof head, 0) : -1;
  close(fd);
  if (got <= 0 || !aria_parse_header(head, (size_t)got, table))
  {
    errno = EIO;
    return false;
  }
  /* maria_create() writes the LSNs, then empties the .MAD, then extends the .MAI to its header's size. */
  if (st.st_size >= table->header_size)
  {
    stamp->created = table->created;
    stamp->skip_redo = table->skip_redo;
  }
  return true;
}

static bool same_stat(const struct stat *a, const struct stat *b)
{
  return a->st_ino == b->st_ino && a->st_size == b->st_size && a->st_mtim.tv_sec == b->st_mtim.tv_sec &&
         a->st_mtim.tv_nsec == b->st_mtim.tv_nsec && a->st_ctim.tv_sec == b->st_ctim.tv_sec &&
         a->st_ctim.tv_nsec == b->st_ctim.tv_nsec;
}

/* Whether an Aria file and its table's header are still those that were opened: a statement that makes the table anew puts other files
   there, one after the other. */
static bool same_table(const char *full, const struct stat *opened, const struct aria_table *table)
{
  struct aria_table now;
  struct item_stamp ignored;
  struct stat st;
  return !stat(full, &st) && st.st_ino == opened->st_ino && st.st_dev == opened->st_dev && aria_table_of(full, &now, &ignored) &&
         now.header_size == table->header_size && now.block_size == table->block_size;
}

/* Its beginning, which is only read once the whole has been copied. */
static void look_at_definition(struct item *item, int fd)
{
  uint8_t head[FRM_PARTS_ENGINE + 1] = {0};
  ssize_t n = pread(fd, head, sizeof head, 0);
  item->view = n >= (ssize_t)strlen(VIEW_BEGINS) && !memcmp(head, VIEW_BEGINS, strlen(VIEW_BEGINS));
  item->engine = 0;
  if (n == sizeof head && !memcmp(head, FRM_BEGINS, strlen(FRM_BEGINS)))
    item->engine = head[head[FRM_ENGINE] == FRM_PARTITION ? FRM_PARTS_ENGINE : FRM_ENGINE];
}

static enum copy_result copy_file(struct copier *c, struct item *item, uint32_t number, const char *path,
                                  struct gb_error *error)
{
  char full[WIRE_PATH_MAX];
  absolute(c, path, full, sizeof full);
  struct stat st, after;
  int fd = open_file(full, false);
  if (fd < 0 || fstat(fd, &st))
  {
    int failed = errno;
    if (fd >= 0)
      close(fd);
    if (failed == ENOENT || failed == ENOTDIR)
      return COPY_GONE;
    error_set_errno(error, GB_io_error, failed, "%s can't be opened", path);
    return COPY_FAILED;
  }
  enum copy_result result = COPY_DONE;
  struct item_stamp stamp = stamp_of(&st);
  const struct item_range *range = &c->range;
  if (range->further)
    c->sent = item->sent;
  else
    announce(c, item, number, path, 0, st.st_mode);
  if (item->class == ITEM_ARIA_LOG || range->upto)
  {
    uint64_t end = range->more && range->upto < (uint64_t)st.st_size ? range->upto : (uint64_t)st.st_size;
    result = copy_range(c, number, fd, path, range->from, end, NULL, false, error);
    if (result == COPY_DONE && !range->more && range->from && item->class == ITEM_ARIA_LOG)
      result = copy_range(c, number, fd, path, 0, ARIA_LOG_PAGE, NULL, false, error);
  }
  else
  {
    struct aria_table table;
    bool online = item->class == ITEM_ARIA_ONLINE;
    if (online && !aria_table_of(full, &table, &stamp))
      result = errno == ENOENT ? COPY_GONE : COPY_MISSING;
    else
    {
      struct gb_error problem = {0};
      online = online && table.online; /* made anew as one that is not: the scan finds it */
      result = copy_range(c, number, fd, path, 0, (uint64_t)st.st_size, online ? &table : NULL,
                          !strcmp(path + strlen(path) - 4, ".MAI"), &problem);
      if (online && (result == COPY_DONE || problem.code == GB_corrupt_page) && !same_table(full, &st, &table))
        result = COPY_MISSING;
      else if (problem.code)
        error_copy(error, &problem);
    }
  }
  /* Only DDL writes these: unchanged around the read means that the read is of one version. */
  if (result == COPY_DONE && item->class == ITEM_DEFINITION && (fstat(fd, &after) || !same_stat(&st, &after)))
    result = COPY_MISSING;
  if (result == COPY_DONE)
    item->stamp = stamp;
  if (result == COPY_DONE && item->class == ITEM_DEFINITION)
    look_at_definition(item, fd);
  item->sent = c->sent;
  if (result == COPY_DONE && !range->more)
    done(c, number, (uint64_t)st.st_size, false);
  close(fd);
  return result;
}

enum copy_result copy_item(struct copier *c, struct item *item, uint32_t number, const char *path,
                           struct gb_error *error)
{
  c->sent = 0;
  if (item->class == ITEM_SPACE)
    return copy_space(c, item, number, path, error);
  if (item->class != ITEM_DIRECTORY)
    return copy_file(c, item, number, path, error);
  char full[WIRE_PATH_MAX];
  absolute(c, path, full, sizeof full);
  struct stat st;
  if (stat(full, &st) || !S_ISDIR(st.st_mode))
    return COPY_GONE;
  announce(c, item, number, path, 0, st.st_mode);
  done(c, number, 0, false);
  return COPY_DONE;
}

bool copy_bytes(struct copier *c, uint8_t kind, const char *path, uint32_t mode, const void *data, uint32_t size,
                uint32_t number)
{
  uint32_t space_left;
  uint8_t *to = room(c, &space_left);
  if (!to || size > space_left)
    return false;
  struct item item = {.kind = kind, .space_id = SPACE_ID_NONE};
  c->sent = 0;
  announce(c, &item, number, path, 0, mode);
  memcpy(to, data, size);
  extent(c, number, 0, size, c->at);
  c->at += align_up(size);
  done(c, number, size, false);
  return true;
}
