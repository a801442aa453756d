/* The socket to the agent; see socket.h. */
#include "plugin/socket.h"
#include "common/clock.h"

#include <errno.h>
#include <libgen.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define CONNECT_PAUSE_US 10000 /* its queue is full: asked again */

bool socket_wait(int fd, short events, uint64_t until_us)
{
  uint64_t now = now_us();
  int ms = until_us > now ? (int)((until_us - now) / 1000) : 0;
  struct pollfd p = {fd, events, 0};
  return poll(&p, 1, ms) > 0;
}

bool socket_write(int fd, const uint8_t *data, size_t size, uint64_t until_us, int pass_fd)
{
  while (size)
  {
    struct iovec iov = {(void *)(uintptr_t)data, size};
    union
    {
      struct cmsghdr header;
      char space[CMSG_SPACE(sizeof(int))];
    } control = {0};
    struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};
    if (pass_fd >= 0)
    {
      m.msg_control = &control;
      m.msg_controllen = sizeof control.space;
      struct cmsghdr *c = CMSG_FIRSTHDR(&m);
      c->cmsg_level = SOL_SOCKET;
      c->cmsg_type = SCM_RIGHTS;
      c->cmsg_len = CMSG_LEN(sizeof(int));
      memcpy(CMSG_DATA(c), &pass_fd, sizeof pass_fd);
    }
    ssize_t n = sendmsg(fd, &m, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n > 0)
    {
      data += n;
      size -= (size_t)n;
      pass_fd = -1;
      continue;
    }
    if (n < 0 && errno == EINTR)
      continue;
    if (n == 0 || (errno != EAGAIN && errno != EWOULDBLOCK) || !socket_wait(fd, POLLOUT, until_us))
      return false;
  }
  return true;
}

int socket_read(int fd, uint8_t *data, size_t size, uint64_t until_us)
{
  size_t have = 0;
  while (have < size)
  {
    ssize_t n = recv(fd, data + have, size - have, MSG_DONTWAIT);
    if (n > 0)
    {
      have += (size_t)n;
      continue;
    }
    if (n == 0)
      return 0;
    if (errno == EINTR)
      continue;
    if (errno != EAGAIN && errno != EWOULDBLOCK)
      return 0;
    if (!socket_wait(fd, POLLIN, until_us))
      return -1;
  }
  return 1;
}

bool socket_peer(int fd, struct ucred *peer)
{
  socklen_t length = sizeof *peer;
  return !getsockopt(fd, SOL_SOCKET, SO_PEERCRED, peer, &length);
}

static bool check_peer(int fd, const char *path, struct gb_error *error)
{
  struct ucred peer;
  if (!socket_peer(fd, &peer))
    return error_set_errno(error, GB_agent_refused, errno, "the peer at %s has no credentials",
                           path);
  char directory[sizeof(((struct sockaddr_un *)0)->sun_path)];
  snprintf(directory, sizeof directory, "%s", path);
  struct stat st;
  bool owner = stat(dirname(directory), &st) == 0 && st.st_uid == peer.uid;
  if (peer.uid == 0 || peer.uid == geteuid() || owner)
    return true;
  return error_set(
      error, GB_agent_refused,
      "the process at %s runs as uid %u, which is neither root, nor this server's user, nor the "
      "owner of the socket's directory",
      path, (unsigned)peer.uid);
}

int socket_connect(const char *path, uint64_t until_us, struct gb_error *error)
{
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  if (strlen(path) >= sizeof address.sun_path)
  {
    error_set(error, GB_agent_absent, "the socket path %s is longer than %zu bytes", path,
              sizeof address.sun_path - 1);
    return -1;
  }
  memcpy(address.sun_path, path, strlen(path) + 1);
  int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0)
  {
    error_set_errno(error, GB_agent_absent, errno, "no socket");
    return -1;
  }
  while (connect(fd, (struct sockaddr *)&address, sizeof address))
  {
    if ((errno == EAGAIN || errno == EINTR) && now_us() < until_us)
    {
      usleep(CONNECT_PAUSE_US);
      continue;
    }
    error_set_errno(error, GB_agent_absent, errno, "no agent answers at %s", path);
    close(fd);
    return -1;
  }
  if (!check_peer(fd, path, error))
  {
    close(fd);
    return -1;
  }
  return fd;
}
