/* Whether a file is still as it was copied; see stamp.h. */
#include "plugin/stamp.h"
#include "plugin/aria.h"
#include "common/wire.h"

#include <errno.h>

struct item_stamp stamp_of(const struct stat *st)
{
  struct item_stamp stamp = {
      .inode = st->st_ino, .size = st->st_size, .mtime = st->st_mtim, .ctime = st->st_ctim};
  clock_gettime(CLOCK_REALTIME, &stamp.read_at);
  return stamp;
}

bool stamp_same(const struct item_stamp *s, const struct stat *st, int64_t slack_ns)
{
  int64_t age_ns = (s->read_at.tv_sec - st->st_ctim.tv_sec) * (int64_t)1000000000 +
                   s->read_at.tv_nsec - st->st_ctim.tv_nsec;
  return s->inode == st->st_ino && s->size == st->st_size &&
         s->mtime.tv_sec == st->st_mtim.tv_sec && s->mtime.tv_nsec == st->st_mtim.tv_nsec &&
         s->ctime.tv_sec == st->st_ctim.tv_sec && s->ctime.tv_nsec == st->st_ctim.tv_nsec &&
         age_ns > slack_ns;
}

bool stamp_aria_anew(const char *datadir, const char *path, const struct item_stamp *stamp)
{
  char index[WIRE_PATH_MAX];
  struct stat st;
  struct aria_table table;
  aria_index_path(datadir, path, index);
  if (stat(index, &st))
    return errno != ENOENT; /* dropped */
  if (stamp->created && stamp_same(stamp, &st, STAMP_WINDOW_SLACK_NS))
    return false;
  return !aria_read_table(index, &table) || table.created != stamp->created ||
         table.skip_redo != stamp->skip_redo;
}
