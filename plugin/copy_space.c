/* Tablespaces; see copy_space.h. */
#include "plugin/copy_space.h"
#include "plugin/disk.h"
#include "plugin/kept.h"
#include "plugin/stamp.h"
#include "common/page.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CUT_TRIES    10u /* a file that is too short is looked at so often */
#define PAGE_0_TRIES 10

/* Reads one page again into `page`, which stands in a slot or in scratch; aligned as O_DIRECT wants
 * it. */
static bool read_page(struct copier *c, int fd, uint32_t page_size, uint64_t offset, uint8_t *page)
{
  uint64_t start = offset & ~(uint64_t)(DISK_ALIGNMENT - 1);
  uint32_t size = disk_align((uint32_t)(offset - start) + page_size);
  ssize_t n = disk_read(fd, c->scratch, size, start);
  if (n < (ssize_t)(offset - start + page_size))
    return false;
  if (page != c->scratch)
    memcpy(page, c->scratch + (offset - start), page_size);
  return true;
}

/* Whether the extent descriptors, verified, call the page free. */
static bool page_is_free(struct copier *c, int fd, const struct space_info *info,
                         uint32_t first_page, uint32_t page_no)
{
  const struct space_format *f = &info->format;
  uint32_t xdes = space_xdes_page(f, page_no);
  if (xdes < first_page || xdes == page_no)
    return false;
  uint8_t *copy = malloc(f->page_size);
  bool free_page =
      copy && read_page(c, fd, f->page_size, (uint64_t)(xdes - first_page) * f->page_size, copy) &&
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

/* InnoDB writes into page 0 that a space is encrypted, durably, before it writes the first
   encrypted page; a copy whose page 0 does not know of it fails in recovery, which takes such a
   page for a damaged one. Whether that is so, page 0 having been read before. */
static bool sealed_meanwhile(struct copier *c, struct space_read *s)
{
  struct space_info now;
  struct gb_error ignored = {0};
  bool zero;
  uint32_t page_size = s->info.format.page_size;
  if (!s->sealed || s->info.format.crypt || s->first_page ||
      !read_page(c, s->fd, page_size, 0, c->scratch) ||
      !space_parse(c->scratch, page_size, &now, &zero, &ignored) || !now.format.crypt)
    return false;
  if (!s->info.id) /* of it page 0 is read but once */
    __atomic_store_n(&c->shared->system.format.crypt, true, __ATOMIC_RELAXED);
  return true;
}

/* A page that did not verify is read again until it does. False: it is not in the file any more,
 * which the server has cut. */
static bool retry_page(struct copier *c, const struct space_read *s, uint32_t page_no,
                       uint64_t offset, uint8_t *page, enum page_state *state)
{
  for (int i = 0; i < COPY_PAGE_TRIES && *state == PAGE_CORRUPT && !c->shared->stop; i++)
  {
    usleep(i ? COPY_PAGE_RETRY_US : 1000);
    if (!read_page(c, s->fd, s->info.format.page_size, offset, page))
      return false;
    *state = page_verify(&s->info.format, page_no, page);
  }
  return true;
}

static bool in_doublewrite(const struct copy_shared *s, uint32_t page_no)
{
  for (int i = 0; i < 2; i++)
    if (s->dblwr_pages && page_no >= s->dblwr_first[i] &&
        page_no < s->dblwr_first[i] + s->dblwr_pages)
      return true;
  return false;
}

/* Verifies the pages of a chunk read to `at` in the slot and makes extents of those that hold
 * something. */
static enum copy_result take_pages(struct copier *c, struct space_read *s, uint8_t *data,
                                   uint32_t size, uint64_t offset, struct gb_error *error)
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
      if (!copier_settle(c, s->fd, data, size, at, offset, f->page_size))
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
      error_set(error, GB_corrupt_page,
                "page %u of %s (offset %llu, space %u) has a wrong checksum in %d reads", page_no,
                s->path, (unsigned long long)(offset + at), s->info.id, COPY_PAGE_TRIES + 1);
      return COPY_FAILED;
    }
    s->sealed = s->sealed || page_key_version(f, page);
    copier_extent(c, s->number, offset + at, f->page_size, c->at + at);
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
    ssize_t n = disk_read(s->fd, c->scratch, SPACE_PAGE_SIZE_MAX, 0);
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
      return COPY_GONE; /* pages behind it may have been written before it: they are in the redo as
                           well */
    if (i + 1 == PAGE_0_TRIES || c->shared->stop)
    {
      if (parsed || zero)
        error_set(error, GB_corrupt_page,
                  "page 0 of %s (space %u) has a wrong checksum in %d reads", s->path,
                  item->space_id, PAGE_0_TRIES);
      else
        error_set(error, GB_corrupt_page, "%s (space %u): %s", s->path, item->space_id,
                  problem.what);
      return c->shared->stop ? COPY_AGAIN : COPY_FAILED;
    }
    usleep(c->shared->window ? 1000 : COPY_PAGE_RETRY_US);
  }
  return COPY_FAILED;
}

/* Whether the file is long enough for what its first page, which has been read, says is in use. The
   server makes a file longer before it writes so into that page, of small pages by whole blocks of
   4096 bytes; shorter it makes undo tablespaces alone. */
static bool long_enough(const struct space_read *s, const struct item *item, uint64_t size)
{
  uint32_t used = s->info.size < s->info.free_limit ? s->info.size : s->info.free_limit;
  uint64_t least = (uint64_t)used * s->info.format.page_size & ~(uint64_t)(DISK_ALIGNMENT - 1);
  return !item->space_id || item->kind == WIRE_KIND_UNDO || size >= least;
}

static enum copy_result check_length(const struct space_read *s, const struct item *item,
                                     struct gb_error *error)
{
  struct stat st;
  if (fstat(s->fd, &st))
    error_set_errno(error, GB_io_error, errno, "%s can't be read", s->path);
  else if (long_enough(s, item, (uint64_t)st.st_size))
    return COPY_DONE;
  else if (item->tries < CUT_TRIES)
    return COPY_MISSING; /* perhaps it is being put there, for an IMPORT */
  else
    error_set(error, GB_corrupt_page,
              "%s (space %u) has been cut: it ends at page %llu (offset %llu), its first page says "
              "that there are %u",
              s->path, item->space_id, (unsigned long long)st.st_size / s->info.format.page_size,
              (unsigned long long)st.st_size, s->info.size);
  return COPY_FAILED;
}

static enum copy_result copy_pages(struct copier *c, struct space_read *s, struct item *item,
                                   struct gb_error *error)
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
    uint8_t *data = copier_room(c, &space_left);
    if (!data)
      return COPY_AGAIN;
    uint32_t unit = page_size < DISK_ALIGNMENT ? DISK_ALIGNMENT : page_size;
    uint32_t want = space_left - space_left % unit;
    if (end - offset < want)
      want = (uint32_t)(end - offset);
    inventory_note_left(c->shared->inventory, item, end - offset);
    copier_throttle(c, want);
    ssize_t n = disk_read(s->fd, data, disk_align(want), offset);
    if (n < 0)
    {
      error_set_errno(error, GB_io_error, errno, "%s can't be read at offset %llu", s->path,
                      (unsigned long long)offset);
      return COPY_FAILED;
    }
    uint32_t got = (uint32_t)n < want ? (uint32_t)n - (uint32_t)n % page_size : want;
    enum copy_result result = take_pages(c, s, data, got, offset, error);
    c->at += disk_align(got); /* whatever came of it: there are extents in it */
    if (result != COPY_DONE)
      return result;
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

/* A tablespace that fits into a slot is read once: page 0 is looked at where it lies. False: it
 * wants the longer way. */
static bool copy_small(struct copier *c, struct space_read *s, const struct item *item, mode_t mode,
                       enum copy_result *result, struct gb_error *error)
{
  struct gb_error ignored = {0};
  uint32_t size = (uint32_t)s->size, space_left;
  bool zero;
  if (c->slot >= 0 && RING_SLOT_SIZE - c->at < disk_align(size))
    copier_flush(c);
  uint8_t *data = copier_room(c, &space_left);
  *result = COPY_AGAIN;
  if (!data)
    return true;
  copier_throttle(c, size);
  if (disk_read_cached(s->fd, data, size, 0) < (ssize_t)size ||
      !space_parse(data, size, &s->info, &zero, &ignored) || s->info.id != item->space_id ||
      size < s->info.format.page_size || page_verify(&s->info.format, 0, data) == PAGE_CORRUPT ||
      !long_enough(s, item, size))
    return false;
  copier_announce(c, item, s->number, s->path, s->info.format.page_size, mode);
  uint64_t end = (uint64_t)s->info.free_limit * s->info.format.page_size;
  if (end > size)
    end = size - size % s->info.format.page_size;
  *result = take_pages(c, s, data, (uint32_t)end, 0, error);
  c->at += disk_align((uint32_t)end);
  if (*result == COPY_DONE)
    __atomic_fetch_add(&c->shared->bytes, end, __ATOMIC_RELAXED);
  return true;
}

enum copy_result copy_space(struct copier *c, struct item *item, uint32_t number, const char *path,
                            struct gb_error *error)
{
  char full[WIRE_PATH_MAX];
  copier_path(c, path, full, sizeof full);
  struct space_read s = {.number = number, .first_page = item->first_page, .path = path};
  bool kept = !item->space_id;
  s.fd = kept ? kept_open(full, c->shared->direct) : disk_open(full, c->shared->direct);
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
    /* Not written since the file was made: then it was made after C, and all of it is in the redo
       behind its FILE_CREATE, which inventory_finish() asks for. */
    inventory_note_unwritten(c->shared->inventory, item);
    s.info.format = c->shared->system.format;
    s.info.free_limit = 0;
    result = COPY_DONE;
  }
  if (result == COPY_DONE && !small)
  {
    copier_announce(c, item, number, path, s.info.format.page_size, st.st_mode);
    result = copy_pages(c, &s, item, error);
  }
  if (result == COPY_DONE && sealed_meanwhile(c, &s))
    result = COPY_AGAIN;
  if (result == COPY_DONE)
  {
    item->stamp = stamp;
    copier_done(c, number, s.size, s.unverifiable);
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
  copier_path(&c, path, full, sizeof full);
  int fd = ok ? kept_open(full, shared->direct) : -1;
  struct stat st;
  if (ok && (fd < 0 || fstat(fd, &st)))
    ok = error_set_errno(error, GB_io_error, errno, "%s can't be opened", full);
  if (ok && !S_ISREG(st.st_mode))
    ok = error_set(error, GB_unsupported_config,
                   "%s is a raw device: a system tablespace has to be a file", full);
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
    for (int i = 0; i < COPY_PAGE_TRIES && state != PAGE_WHOLE; i++)
    {
      if (i)
        usleep(COPY_PAGE_RETRY_US);
      if (read_page(&c, fd, page_size, (uint64_t)trx_sys_page * page_size, c.scratch))
        state = page_verify(&s.info.format, trx_sys_page, c.scratch);
      if (state == PAGE_UNVERIFIABLE)
        break;
    }
    if (state == PAGE_CORRUPT)
      ok = error_set(error, GB_corrupt_page, "page %u of %s has a wrong checksum", trx_sys_page,
                     path);
    else if (!space_doublewrite(&s.info.format, c.scratch, &shared->dblwr_first[0],
                                &shared->dblwr_first[1], &shared->dblwr_pages))
      shared->dblwr_pages = 0;
  }
  copier_free(&c);
  return ok;
}
