/* A flat redo in pieces; see redo_stream.h. */
#include "common/redo_stream.h"

#include <string.h>

void redo_stream_begin(struct redo_stream *s, uint32_t format, bool encrypted, uint64_t lsn,
                       const struct redo_visitor *visitor)
{
    s->format = format;
    s->encrypted = encrypted;
    s->broken = false;
    s->lsn = lsn;
    s->visitor = visitor;
    s->have = 0;
}

uint64_t redo_stream_lsn(const struct redo_stream *s)
{
    return s->lsn;
}

/* Reads what is whole and moves the rest to the front. */
static void parse(struct redo_stream *s)
{
    size_t at = 0, size;
    enum redo_result result = REDO_PARTIAL;
    while (at < s->have &&
           (result = redo_parse_flat_mtr(s->format, s->encrypted, s->lsn + at, s->data + at,
                                         s->have - at, s->visitor, &size)) == REDO_MTR)
        at += size;
    s->broken = at < s->have && result == REDO_END;
    memmove(s->data, s->data + at, s->have - at);
    s->have -= at;
    s->lsn += at;
}

bool redo_stream_feed(struct redo_stream *s, const uint8_t *data, size_t size)
{
    while (size && !s->broken) {
        size_t n = REDO_STREAM_ROOM - s->have < size ? REDO_STREAM_ROOM - s->have : size;
        memcpy(s->data + s->have, data, n);
        s->have += n;
        data += n;
        size -= n;
        parse(s);
    }
    return !s->broken;
}
