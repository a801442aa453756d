/* The plugin at the other end of a connection; see peer.h. */
#include "agent/daemon/peer.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#define MESSAGE_WAIT_MS 10000
#define SEND_TIMEOUT_S  30
#define AHEAD_SIZE      (64u << 10) /* bytes read from the socket at once */

struct peer {
    int fd;
    pthread_mutex_t mutex; /* one message at a time on the socket */
    uint8_t *in, *out;     /* WIRE_PAYLOAD_MAX each; out: with a header, under the mutex */
    uint8_t *ahead;        /* AHEAD_SIZE: what has been read and not been taken */
    size_t ahead_at, ahead_end;
    int passed_fd; /* that came with what has been read, -1 */
};

struct peer *peer_new(int fd)
{
    struct timeval timeout = {.tv_sec = SEND_TIMEOUT_S};
    struct peer *p = calloc(1, sizeof *p);
    if (!p) {
        close(fd);
        return NULL;
    }
    p->fd = fd;
    p->passed_fd = -1;
    pthread_mutex_init(&p->mutex, NULL);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof timeout);
    p->in = malloc(WIRE_PAYLOAD_MAX);
    p->out = malloc(WIRE_PAYLOAD_MAX + WIRE_HEADER_SIZE);
    p->ahead = malloc(AHEAD_SIZE);
    if (p->in && p->out && p->ahead)
        return p;
    peer_free(p);
    return NULL;
}

void peer_free(struct peer *p)
{
    if (!p)
        return;
    if (p->passed_fd >= 0)
        close(p->passed_fd);
    close(p->fd);
    pthread_mutex_destroy(&p->mutex);
    free(p->in);
    free(p->out);
    free(p->ahead);
    free(p);
}

static bool write_all(struct peer *p, const uint8_t *data, size_t size)
{
    while (size) {
        ssize_t n = send(p->fd, data, size, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        data += n;
        size -= (size_t)n;
    }
    return true;
}

#define DEFINE_SEND(name, TYPE)                                                                    \
    bool peer_send_##name(struct peer *p, const struct wire_##name *m)                             \
    {                                                                                              \
        pthread_mutex_lock(&p->mutex);                                                             \
        struct bytes_writer w = bytes_writer(p->out + WIRE_HEADER_SIZE, WIRE_PAYLOAD_MAX);         \
        bool ok = wire_put_##name(&w, m);                                                          \
        wire_put_header(p->out, TYPE, w.at);                                                       \
        ok = ok && write_all(p, p->out, WIRE_HEADER_SIZE + w.at);                                  \
        pthread_mutex_unlock(&p->mutex);                                                           \
        return ok;                                                                                 \
    }

DEFINE_SEND(welcome, WIRE_WELCOME)
DEFINE_SEND(ready, WIRE_READY)
DEFINE_SEND(error, WIRE_ERROR)
DEFINE_SEND(free, WIRE_FREE)
DEFINE_SEND(progress, WIRE_PROGRESS)
DEFINE_SEND(committed, WIRE_COMMITTED)
DEFINE_SEND(checked, WIRE_CHECKED)
DEFINE_SEND(held, WIRE_HELD)
DEFINE_SEND(warning, WIRE_WARNING)

void peer_send_failure(struct peer *p, const struct gb_error *error)
{
    struct wire_error m = {.code = (uint16_t)error->code};
    snprintf(m.what, sizeof m.what, "%s", error->what);
    snprintf(m.hint, sizeof m.hint, "%s", error->hint);
    peer_send_error(p, &m);
}

bool peer_readable(struct peer *p, int ms)
{
    struct pollfd one = {p->fd, POLLIN, 0};
    return p->ahead_at < p->ahead_end || poll(&one, 1, ms) > 0;
}

/* Reads size bytes, and a descriptor if one comes with them. False at end of file, error or after
   MESSAGE_WAIT_MS of silence. */
static bool read_all(struct peer *p, uint8_t *data, size_t size)
{
    while (size) {
        if (p->ahead_at < p->ahead_end) {
            size_t n = p->ahead_end - p->ahead_at < size ? p->ahead_end - p->ahead_at : size;
            memcpy(data, p->ahead + p->ahead_at, n);
            p->ahead_at += n;
            data += n;
            size -= n;
            continue;
        }
        struct iovec iov = {p->ahead, AHEAD_SIZE};
        union {
            struct cmsghdr header;
            char space[CMSG_SPACE(sizeof(int))];
        } control;
        struct msghdr m = {.msg_iov = &iov,
                           .msg_iovlen = 1,
                           .msg_control = &control,
                           .msg_controllen = sizeof control.space};
        if (!peer_readable(p, MESSAGE_WAIT_MS))
            return false;
        ssize_t n = recvmsg(p->fd, &m, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
        if (n < 0 && (errno == EINTR || errno == EAGAIN))
            continue;
        if (n <= 0)
            return false;
        struct cmsghdr *c = CMSG_FIRSTHDR(&m);
        /* The room for one may hold two: none is left open. */
        size_t fds = c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS
                         ? (c->cmsg_len - CMSG_LEN(0)) / sizeof(int)
                         : 0;
        for (size_t i = 0; i < fds; i++) {
            if (p->passed_fd >= 0)
                close(p->passed_fd);
            memcpy(&p->passed_fd, CMSG_DATA(c) + i * sizeof(int), sizeof(int));
        }
        p->ahead_at = 0;
        p->ahead_end = (size_t)n;
    }
    return true;
}

bool peer_read(struct peer *p, uint16_t *type, uint32_t *size, struct gb_error *error)
{
    uint8_t header[WIRE_HEADER_SIZE];
    if (!read_all(p, header, sizeof header))
        return error_set(error, GB_agent_lost, "the server closed the connection");
    if (!wire_get_header(header, type, size, error))
        return false;
    if (!read_all(p, p->in, *size))
        return error_set(error, GB_agent_lost,
                         "the server closed the connection in the middle of a message");
    return true;
}

const uint8_t *peer_payload(const struct peer *p)
{
    return p->in;
}

int peer_descriptor(struct peer *p)
{
    int fd = p->passed_fd;
    p->passed_fd = -1;
    return fd;
}

void peer_end(struct peer *p)
{
    shutdown(p->fd, SHUT_WR);
}
