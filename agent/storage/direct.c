/* Files written past the page cache; see direct.h. */
#include "agent/storage/direct.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ALIGNMENT   4096u
#define BUFFER_SIZE (1u << 20)

static bool set(struct direct *d, bool on)
{
    int flags = fcntl(d->fd, F_GETFL);
    d->on = on && flags >= 0 && !fcntl(d->fd, F_SETFL, flags | O_DIRECT);
    return d->on || (flags >= 0 && !fcntl(d->fd, F_SETFL, flags & ~O_DIRECT));
}

bool direct_begin(struct direct *d, int fd)
{
    *d = (struct direct){.fd = fd};
    if (posix_memalign((void **)&d->buffer, ALIGNMENT, BUFFER_SIZE)) {
        d->buffer = NULL;
        return false;
    }
    set(d, true);
    return true;
}

static bool write_out(struct direct *d)
{
    const uint8_t *at = d->buffer;
    while (d->used) {
        if (d->on && ((uintptr_t)at % ALIGNMENT || d->used % ALIGNMENT) && !set(d, false))
            return false;
        ssize_t n = write(d->fd, at, d->used);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EINVAL && d->on && set(d, false))
            continue;
        if (n <= 0) {
            errno = n < 0 ? errno : EIO;
            return false;
        }
        at += n;
        d->used -= (size_t)n;
    }
    return true;
}

bool direct_write(struct direct *d, const void *data, size_t size)
{
    const uint8_t *at = data;
    while (size) {
        size_t n = BUFFER_SIZE - d->used < size ? BUFFER_SIZE - d->used : size;
        memcpy(d->buffer + d->used, at, n);
        d->used += n;
        at += n;
        size -= n;
        if (d->used == BUFFER_SIZE && !write_out(d))
            return false;
    }
    return true;
}

bool direct_flush(struct direct *d)
{
    return write_out(d);
}

void direct_end(struct direct *d)
{
    free(d->buffer);
    d->buffer = NULL;
}
