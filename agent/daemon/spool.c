/* Sealed redo on disk; see spool.h. */
#include "agent/daemon/spool.h"
#include "agent/crypto/seal.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <openssl/crypto.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

struct spool {
    int fd;
    struct seal *seal; /* who puts closes, who takes opens */
    uint64_t most;
    pthread_mutex_t mutex;
    uint64_t held, end; /* bytes put and not taken; put in all. The file is a ring: byte n stands at
                           n % most */
};

struct spool *spool_open(const char *directory, uint64_t most, struct gb_error *error)
{
    struct spool *s = calloc(1, sizeof *s);
    if (!s) {
        error_set(error, GB_internal, "no memory for the redo spool");
        return NULL;
    }
    s->most = most;
    struct seal_key key;
    bool sealed = seal_key_make(&key, error);
    if (sealed && !(s->seal = seal_new(&key)))
        sealed = error_set(error, GB_internal, "no memory for the redo spool");
    OPENSSL_cleanse(&key, sizeof key);
    if (!sealed) {
        free(s);
        return NULL;
    }
    if ((s->fd = open(directory, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600)) < 0) {
        error_set_errno(error, GB_bad_config, errno, "redo-spool %s", directory);
        seal_free(s->seal);
        free(s);
        return NULL;
    }
    pthread_mutex_init(&s->mutex, NULL);
    return s;
}

void spool_close(struct spool *s)
{
    if (!s)
        return;
    close(s->fd);
    seal_free(s->seal);
    pthread_mutex_destroy(&s->mutex);
    free(s);
}

/* pread or pwrite until size; false: errno. */
static bool whole(struct spool *s, uint8_t *data, size_t size, uint64_t at, bool write)
{
    while (size) {
        uint64_t place = at % s->most;
        size_t piece = size < s->most - place ? size : (size_t)(s->most - place);
        ssize_t n = write ? pwrite(s->fd, data, piece, (off_t)place)
                          : pread(s->fd, data, piece, (off_t)place);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            if (n == 0)
                errno = EIO;
            return false;
        }
        data += n;
        at += (uint64_t)n;
        size -= (size_t)n;
    }
    return true;
}

static struct seal_place place_of(uint64_t at)
{
    return (struct seal_place){SEAL_FRAME, (uint32_t)(at >> 32), (uint32_t)at};
}

bool spool_put(struct spool *s, uint8_t *data, size_t size, uint64_t *at, struct gb_error *error)
{
    uint8_t tag[SEAL_TAG_SIZE];
    size_t sealed = size + sizeof tag;
    pthread_mutex_lock(&s->mutex);
    *at = s->end;
    bool room = sealed <= s->most - s->held;
    if (room) {
        s->end += sealed;
        s->held += sealed;
    }
    bool closed = room && seal_close(s->seal, place_of(*at), NULL, 0, data, size, tag, error);
    pthread_mutex_unlock(&s->mutex);
    if (!room)
        return error_set(error, GB_redo_memory,
                         "redo-memory and the redo-spool of %" PRIu64
                         " MB are full of redo that waits for the repository",
                         s->most >> 20);
    if (!closed)
        return false;
    if (!whole(s, data, size, *at, true) || !whole(s, tag, sizeof tag, *at + size, true))
        return error_set_errno(error, GB_io_error, errno, "the redo-spool can't be written");
    return true;
}

bool spool_take(struct spool *s, uint64_t at, uint8_t *data, size_t size, struct gb_error *error)
{
    uint8_t tag[SEAL_TAG_SIZE];
    bool ok = whole(s, data, size, at, false) && whole(s, tag, sizeof tag, at + size, false);
    if (!ok)
        error_set_errno(error, GB_io_error, errno, "the redo-spool can't be read");
    else if (!seal_open(s->seal, place_of(at), NULL, 0, data, size, tag, data, error))
        ok = error_set(error, GB_io_error,
                       "the redo-spool gives back something else than was put there");
    pthread_mutex_lock(&s->mutex);
    s->held -= size + sizeof tag;
    pthread_mutex_unlock(&s->mutex);
    return ok;
}
