/* The data directory while names come and go; see disk.h. */
#include "plugin/disk.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

void disk_unless_gone(const char *path, struct gb_error *error)
{
  if (errno != ENOENT && errno != ENOTDIR)
    error_set_errno(error, GB_io_error, errno, "%s can't be read", path);
}

bool disk_is_there(const char *path, struct stat *st, struct gb_error *error)
{
  if (!stat(path, st))
    return true;
  disk_unless_gone(path, error);
  return false;
}

struct dirent *disk_next_entry(DIR *directory, const char *path, struct gb_error *error)
{
  errno = 0;
  struct dirent *e = readdir(directory);
  if (!e && errno)
    disk_unless_gone(path, error);
  return e;
}

ssize_t disk_head(const char *full, uint8_t head[DISK_HEAD_SIZE], struct stat *st)
{
  int fd = open(full, O_RDONLY | O_CLOEXEC);
  ssize_t n = fd < 0 || (st && fstat(fd, st)) ? -1 : pread(fd, head, DISK_HEAD_SIZE, 0);
  int failed = errno;
  if (fd >= 0)
    close(fd);
  errno = failed;
  return n;
}

bool disk_ends_with(const char *text, const char *suffix)
{
  size_t n = strlen(text), m = strlen(suffix);
  return n >= m && !strcmp(text + n - m, suffix);
}

bool disk_skips(const char *name)
{
  return name[0] == '.' || name[0] == '#' || !strcmp(name, "lost+found");
}

uint32_t disk_align(uint32_t n)
{
  return (n + DISK_ALIGNMENT - 1) & ~(DISK_ALIGNMENT - 1);
}

int disk_open(const char *path, bool direct)
{
  int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | (direct ? O_DIRECT : 0));
  if (fd < 0 && direct && errno == EINVAL)
    fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
  return fd;
}

ssize_t disk_read(int fd, void *data, size_t size, uint64_t offset)
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
    if (have % DISK_ALIGNMENT)
      break; /* end of file: a further read would not be aligned */
  }
  return (ssize_t)have;
}

ssize_t disk_read_cached(int fd, void *data, size_t size, uint64_t offset)
{
  int flags = fcntl(fd, F_GETFL);
  struct iovec iov = {data, size};
  if (flags < 0 || !(flags & O_DIRECT) || fcntl(fd, F_SETFL, flags & ~O_DIRECT))
    return disk_read(fd, data, size, offset);
  ssize_t n = preadv2(fd, &iov, 1, (off_t)offset, RWF_NOWAIT);
  if (fcntl(fd, F_SETFL, flags) || n == (ssize_t)size)
    return n;
  return disk_read(fd, data, disk_align((uint32_t)size), offset);
}
