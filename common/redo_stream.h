/*
  A flat redo (sequence bits all 1: of a backup, of a restored log) that comes in pieces, read
  mini-transaction after mini-transaction with the memory of one of them.
*/
#ifndef GB_COMMON_REDO_STREAM_H
#define GB_COMMON_REDO_STREAM_H

#include "common/redo.h"

/* REDO_PARTIAL is never answered to more than REDO_MTR_MAX + 13 bytes; as much again comes at once.
 */
#define REDO_STREAM_ROOM (2u * (REDO_MTR_MAX + 16u))

struct redo_stream { /* private; two megabytes: not for the stack */
    uint32_t format;
    bool encrypted, broken;
    uint64_t lsn; /* of data[0] */
    const struct redo_visitor *visitor;
    size_t have;
    uint8_t data[REDO_STREAM_ROOM];
};

/* lsn: of the first byte that will come; a mini-transaction starts there. visitor: may be NULL,
 * borrowed. */
void redo_stream_begin(struct redo_stream *stream, uint32_t format, bool encrypted, uint64_t lsn,
                       const struct redo_visitor *visitor);

/* The next bytes, cut anywhere. False: no mini-transaction starts at redo_stream_lsn(), and no
 * further bytes are read. */
bool redo_stream_feed(struct redo_stream *stream, const uint8_t *data, size_t size);
/* The end of the last whole mini-transaction. Where it is the LSN behind the last byte fed, the
 * redo is without a gap. */
uint64_t redo_stream_lsn(const struct redo_stream *stream);

#endif
