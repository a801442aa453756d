/*
  The bounds-checked cursor that every binary format here is read and written through.

  A reader or writer that would leave its buffer does nothing, sets `failed` and answers zero from
  then on, so that a parser can read a whole record and ask once at its end. No pointer arithmetic
  on input elsewhere, no struct casts. Integers are big-endian unless the name ends in _le.
*/
#ifndef GB_COMMON_BYTES_H
#define GB_COMMON_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct bytes_reader {
    const uint8_t *data; /* not owned */
    size_t size;
    size_t at; /* offset of the next byte, <= size */
    bool failed;
};

struct bytes_writer {
    uint8_t *data; /* not owned */
    size_t size;
    size_t at;
    bool failed;
};

static inline struct bytes_reader bytes_reader(const void *data, size_t size)
{
    return (struct bytes_reader){(const uint8_t *)data, size, 0, false};
}

static inline struct bytes_writer bytes_writer(void *data, size_t size)
{
    return (struct bytes_writer){(uint8_t *)data, size, 0, false};
}

static inline size_t bytes_left(const struct bytes_reader *r)
{
    return r->failed ? 0 : r->size - r->at;
}

/* The next n bytes, or NULL (and failed) if there are fewer. n = 0 answers a non-NULL pointer. */
static inline const uint8_t *bytes_take(struct bytes_reader *r, size_t n)
{
    if (r->failed || n > r->size - r->at) {
        r->failed = true;
        return NULL;
    }
    const uint8_t *p = r->data + r->at;
    r->at += n;
    return p;
}

/* Moves to an absolute offset. */
static inline void bytes_seek(struct bytes_reader *r, size_t at)
{
    if (at > r->size)
        r->failed = true;
    else
        r->at = at;
}

static inline uint64_t bytes_get_be(struct bytes_reader *r, size_t n)
{
    const uint8_t *p = bytes_take(r, n);
    uint64_t value = 0;
    for (size_t i = 0; p && i < n; i++)
        value = value << 8 | p[i];
    return value;
}

static inline uint8_t bytes_get_u8(struct bytes_reader *r)
{
    return (uint8_t)bytes_get_be(r, 1);
}

static inline uint16_t bytes_get_u16(struct bytes_reader *r)
{
    return (uint16_t)bytes_get_be(r, 2);
}

static inline uint32_t bytes_get_u32(struct bytes_reader *r)
{
    return (uint32_t)bytes_get_be(r, 4);
}

static inline uint64_t bytes_get_u64(struct bytes_reader *r)
{
    return bytes_get_be(r, 8);
}

static inline uint64_t bytes_get_u64_le(struct bytes_reader *r)
{
    return __builtin_bswap64(bytes_get_be(r, 8));
}

/* One field of a fixed layout: n bytes (<= 8) at an absolute offset. 0 where data ends before. */
static inline uint64_t bytes_be_at(const void *data, size_t size, size_t at, size_t n)
{
    struct bytes_reader r = bytes_reader(data, size);
    bytes_seek(&r, at);
    return bytes_get_be(&r, n);
}

static inline uint16_t bytes_u16_at(const void *data, size_t size, size_t at)
{
    return (uint16_t)bytes_be_at(data, size, at, 2);
}

static inline uint32_t bytes_u32_at(const void *data, size_t size, size_t at)
{
    return (uint32_t)bytes_be_at(data, size, at, 4);
}

static inline uint64_t bytes_u64_at(const void *data, size_t size, size_t at)
{
    return bytes_be_at(data, size, at, 8);
}

/* Room for n bytes, or NULL (and failed). */
static inline uint8_t *bytes_reserve(struct bytes_writer *w, size_t n)
{
    if (w->failed || n > w->size - w->at) {
        w->failed = true;
        return NULL;
    }
    uint8_t *p = w->data + w->at;
    w->at += n;
    return p;
}

static inline void bytes_put(struct bytes_writer *w, const void *data, size_t n)
{
    uint8_t *p = bytes_reserve(w, n);
    if (p && n)
        memcpy(p, data, n);
}

static inline void bytes_put_be(struct bytes_writer *w, uint64_t value, size_t n)
{
    uint8_t *p = bytes_reserve(w, n);
    for (size_t i = 0; p && i < n; i++)
        p[i] = (uint8_t)(value >> (8 * (n - 1 - i)));
}

static inline void bytes_put_u8(struct bytes_writer *w, uint8_t value)
{
    bytes_put_be(w, value, 1);
}

static inline void bytes_put_u16(struct bytes_writer *w, uint16_t value)
{
    bytes_put_be(w, value, 2);
}

static inline void bytes_put_u32(struct bytes_writer *w, uint32_t value)
{
    bytes_put_be(w, value, 4);
}

static inline void bytes_put_u64(struct bytes_writer *w, uint64_t value)
{
    bytes_put_be(w, value, 8);
}

/* Moves to an absolute offset; what is skipped keeps its bytes. */
static inline void bytes_writer_seek(struct bytes_writer *w, size_t at)
{
    if (at > w->size)
        w->failed = true;
    else
        w->at = at;
}

/* A string as u16 length and bytes, without NUL. Too long for u16: failed. */
static inline void bytes_put_string(struct bytes_writer *w, const char *s)
{
    size_t n = strlen(s);
    if (n > UINT16_MAX) {
        w->failed = true;
        return;
    }
    bytes_put_u16(w, (uint16_t)n);
    bytes_put(w, s, n);
}

/* Reads such a string into buffer (size >= 1), NUL-terminated. Fails on one that does not fit or
   that holds a NUL. */
static inline void bytes_get_string(struct bytes_reader *r, char *buffer, size_t size)
{
    size_t n = bytes_get_u16(r);
    const uint8_t *p = bytes_take(r, n);
    buffer[0] = '\0';
    if (!p)
        return;
    if (n >= size || memchr(p, 0, n)) {
        r->failed = true;
        return;
    }
    memcpy(buffer, p, n);
    buffer[n] = '\0';
}

#endif
