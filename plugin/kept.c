/* Descriptors that are never closed; see kept.h. */
#include "plugin/kept.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/stat.h>

#define KEPT_MAX 128u

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static struct
{
  dev_t device;
  ino_t inode;
  bool direct;
  int fd;
} kept[KEPT_MAX];
static unsigned count;

static int find_or_open(const char *path, bool direct)
{
  struct stat st;
  if (stat(path, &st))
    return -1;
  for (unsigned i = 0; i < count; i++)
    if (kept[i].device == st.st_dev && kept[i].inode == st.st_ino && kept[i].direct == direct)
      return kept[i].fd;
  if (count == KEPT_MAX)
  {
    errno = EMFILE;
    return -1;
  }
  int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | (direct ? O_DIRECT : 0));
  if (fd < 0 && direct && errno == EINVAL)
    fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
  if (fd < 0 || fstat(fd, &st))
    return -1; /* opened and without fstat: kept as well, unknown */
  kept[count].device = st.st_dev;
  kept[count].inode = st.st_ino;
  kept[count].direct = direct;
  kept[count].fd = fd;
  count++;
  return fd;
}

int kept_open(const char *path, bool direct)
{
  pthread_mutex_lock(&mutex);
  int fd = find_or_open(path, direct);
  int failed = errno;
  pthread_mutex_unlock(&mutex);
  errno = failed;
  return fd;
}
