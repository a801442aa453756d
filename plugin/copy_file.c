/* Files that are no tablespaces; see copy_file.h. */
#include "plugin/copy_file.h"
#include "plugin/aria.h"
#include "plugin/disk.h"
#include "plugin/stamp.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define VIEW_BEGINS      "TYPE=VIEW" /* the .frm of one */
#define FRM_BEGINS       "\xfe\x01"  /* that of a table (sql/table.cc) */
#define FRM_ENGINE       3u
#define FRM_PARTS_ENGINE 61u /* of a partitioned table, whose engine is FRM_PARTITION */
#define FRM_PARTITION    20u

/* Aria pages of a chunk: read again until whole. The checksum of an encrypted one is that of its
 * plain text. */
static enum copy_result check_aria(struct copier *c, const struct aria_table *table, bool index,
                                   int fd, uint8_t *data, uint32_t size, uint64_t offset,
                                   const char *path, struct gb_error *error)
{
  if (table->encrypted && !copier_settle(c, fd, data, size, 0, offset, table->block_size))
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
      if (i == COPY_PAGE_TRIES)
      {
        error_set(error, GB_corrupt_page,
                  "block %llu of %s (offset %llu) has a wrong checksum in %d reads",
                  (unsigned long long)block, path, (unsigned long long)(offset + at),
                  COPY_PAGE_TRIES + 1);
        return COPY_FAILED;
      }
      usleep(i ? COPY_PAGE_RETRY_US : 1000);
      if (disk_read(fd, data + at, table->block_size, offset + at) < (ssize_t)table->block_size)
        return COPY_MISSING; /* as in copy_range() */
    }
  }
  return COPY_DONE;
}

/* Bytes [from, upto) of an open file as they are; table: verify Aria pages. */
static enum copy_result copy_range(struct copier *c, uint32_t number, int fd, const char *path,
                                   uint64_t from, uint64_t upto, const struct aria_table *table,
                                   bool index, struct gb_error *error)
{
  for (uint64_t offset = from; offset < upto;)
  {
    uint32_t space_left;
    if (c->shared->stop)
      return COPY_AGAIN;
    uint8_t *data = copier_room(c, &space_left);
    if (!data)
      return COPY_AGAIN;
    uint32_t want = upto - offset < space_left ? (uint32_t)(upto - offset) : space_left;
    if (table && upto - offset > want)
      want -= want % table->block_size;
    copier_throttle(c, want);
    ssize_t n = disk_read(fd, data, want, offset);
    if (n < 0)
    {
      error_set_errno(error, GB_io_error, errno, "%s can't be read at offset %llu", path,
                      (unsigned long long)offset);
      return COPY_FAILED;
    }
    if (n < (ssize_t)want)
      return COPY_MISSING; /* shorter than it was: being dropped or truncated */
    enum copy_result result =
        table ? check_aria(c, table, index, fd, data, want, offset, path, error) : COPY_DONE;
    if (result != COPY_DONE)
      return result;
    copier_extent(c, number, offset, want, c->at);
    c->at += disk_align(want);
    __atomic_fetch_add(&c->shared->bytes, want, __ATOMIC_RELAXED);
    offset += want;
  }
  return COPY_DONE;
}

/* The header of the Aria table that a .MAI or .MAD belongs to, and its stamp. False: errno is
   ENOENT if there is no .MAI; maria_create() empties one before it writes the header. */
static bool aria_table_of(const char *full, struct aria_table *table, struct item_stamp *stamp)
{
  char index[WIRE_PATH_MAX];
  snprintf(index, sizeof index, "%s", full);
  size_t n = strlen(index);
  if (n < 4)
    return false;
  memcpy(index + n - 3, "MAI", 3);
  int fd = disk_open(index, false);
  if (fd < 0)
    return false;
  uint8_t head[DISK_ALIGNMENT];
  struct stat st;
  bool ok = !fstat(fd, &st);
  *stamp = stamp_of(&st);
  ssize_t got = ok ? disk_read(fd, head, sizeof head, 0) : -1;
  close(fd);
  if (got <= 0 || !aria_parse_header(head, (size_t)got, table))
  {
    errno = EIO;
    return false;
  }
  /* maria_create() writes the LSNs, then empties the .MAD, then extends the .MAI to its header's
   * size. */
  if (st.st_size >= table->header_size)
  {
    stamp->created = table->created;
    stamp->skip_redo = table->skip_redo;
  }
  return true;
}

static bool same_stat(const struct stat *a, const struct stat *b)
{
  return a->st_ino == b->st_ino && a->st_size == b->st_size &&
         a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec &&
         a->st_ctim.tv_sec == b->st_ctim.tv_sec && a->st_ctim.tv_nsec == b->st_ctim.tv_nsec;
}

/* Whether an Aria file and its table's header are still those that were opened: a statement that
   makes the table anew puts other files there, one after the other. */
static bool same_table(const char *full, const struct stat *opened, const struct aria_table *table)
{
  struct aria_table now;
  struct item_stamp ignored;
  struct stat st;
  return !stat(full, &st) && st.st_ino == opened->st_ino && st.st_dev == opened->st_dev &&
         aria_table_of(full, &now, &ignored) && now.header_size == table->header_size &&
         now.block_size == table->block_size;
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

enum copy_result copy_file(struct copier *c, struct item *item, uint32_t number, const char *path,
                           struct gb_error *error)
{
  char full[WIRE_PATH_MAX];
  copier_path(c, path, full, sizeof full);
  struct stat st, after;
  int fd = disk_open(full, false);
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
    copier_announce(c, item, number, path, 0, st.st_mode);
  if (item->class == ITEM_ARIA_LOG || range->upto)
  {
    uint64_t end =
        range->more && range->upto < (uint64_t)st.st_size ? range->upto : (uint64_t)st.st_size;
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
      if (online && (result == COPY_DONE || problem.code == GB_corrupt_page) &&
          !same_table(full, &st, &table))
        result = COPY_MISSING;
      else if (problem.code)
        error_copy(error, &problem);
    }
  }
  /* Only DDL writes these: unchanged around the read means that the read is of one version. */
  if (result == COPY_DONE && item->class == ITEM_DEFINITION &&
      (fstat(fd, &after) || !same_stat(&st, &after)))
    result = COPY_MISSING;
  if (result == COPY_DONE)
    item->stamp = stamp;
  if (result == COPY_DONE && item->class == ITEM_DEFINITION)
    look_at_definition(item, fd);
  item->sent = c->sent;
  if (result == COPY_DONE && !range->more)
    copier_done(c, number, (uint64_t)st.st_size, false);
  close(fd);
  return result;
}
