/*
  The socket to the agent, never waited for beyond a deadline (until_us, as now_us() tells time).
*/
#ifndef GB_PLUGIN_SOCKET_H
#define GB_PLUGIN_SOCKET_H

#include "common/error.h"

#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

/* A descriptor that does not block, of a peer that runs as root, as this server's user, or as the
   owner of the socket's directory; -1. Errors: GB_agent_absent, GB_agent_refused. */
int socket_connect(const char *path, uint64_t until_us, struct gb_error *error);
/* Who is there, by the kernel's word. */
bool socket_peer(int fd, struct ucred *peer);

/* poll() for one descriptor. True: something has come of events, or the end. */
bool socket_wait(int fd, short events, uint64_t until_us);
/* All of it; pass_fd, unless -1, goes with the first byte. */
bool socket_write(int fd, const uint8_t *data, size_t size, uint64_t until_us, int pass_fd);
/* 1: all of it is read; 0: end of file, or an error; -1: not all of it in time, and what had come
 * is lost. */
int socket_read(int fd, uint8_t *data, size_t size, uint64_t until_us);

#endif
