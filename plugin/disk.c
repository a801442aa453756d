/* The data directory while names come and go; see disk.h. */
#include "plugin/disk.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
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
