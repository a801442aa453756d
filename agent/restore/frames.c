/* Single frames of a backup; see frames.h. */
#include "agent/restore/frames.h"
#include "common/redo_stream.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NONE SIZE_MAX

struct frames {
    struct repository *repository;
    const struct manifest *manifest;
    const struct index *index;
    struct elsewhere *elsewhere;
    struct frame_reader *reader;
    uint8_t *stored, *plain;
    size_t held; /* frame in plain, or NONE */
};

struct frames *frames_open(struct repository *repository, const struct manifest *manifest,
                           const struct index *index, struct elsewhere *elsewhere,
                           struct gb_error *error)
{
    struct frames *f = calloc(1, sizeof *f);
    if (f) {
        *f = (struct frames){.repository = repository,
                             .manifest = manifest,
                             .index = index,
                             .elsewhere = elsewhere,
                             .held = NONE};
        f->reader = frame_reader_new(manifest_key(manifest));
        f->stored = malloc(codec_bound(FRAME_PLAIN_MAX) + FRAME_HEADER_SIZE);
        f->plain = malloc(FRAME_PLAIN_MAX);
    }
    if (f && f->reader && f->stored && f->plain)
        return f;
    frames_close(f);
    error_set(error, GB_internal, "no memory");
    return NULL;
}

void frames_close(struct frames *f)
{
    if (!f)
        return;
    frame_reader_free(f->reader);
    free(f->stored);
    free(f->plain);
    free(f);
}

const uint8_t *frames_read(struct frames *f, size_t number, struct gb_error *error)
{
    const struct frame *frame = &f->index->frames[number].frame;
    char prefix[1024];
    if (f->held == number)
        return f->plain;
    f->held = NONE;
    repository_prefix(prefix, sizeof prefix, f->manifest->cluster, f->manifest->id);
    struct gb_error why = {0};
    bool ok =
        !elsewhere_instead(f->elsewhere) &&
        frame_read(f->reader, f->repository->storage, prefix, frame, f->stored, f->plain, &why);
    if (!ok && !elsewhere_frame(f->elsewhere, frame, f->stored, f->plain, &why, error))
        return NULL;
    f->held = number;
    return f->plain;
}

struct piece { /* of the redo */
    uint64_t offset;
    size_t frame;
    uint32_t at, length; /* in the frame's plain text */
};

static int by_offset(const void *a, const void *b)
{
    uint64_t x = ((const struct piece *)a)->offset, y = ((const struct piece *)b)->offset;
    return x < y ? -1 : x > y;
}

static struct piece *redo_pieces(const struct index *index, size_t *count)
{
    struct piece *pieces = malloc((index->extent_count + 1) * sizeof *pieces);
    *count = 0;
    for (size_t i = 0; pieces && i < index->frame_count; i++) {
        const struct index_frame *f = &index->frames[i];
        uint32_t at = 0;
        for (uint32_t j = 0; j < f->extents; j++) {
            const struct index_extent *e = &index->extents[f->first_extent + j];
            if (e->file_no == WIRE_FILE_REDO)
                pieces[(*count)++] = (struct piece){e->offset, i, at, e->length};
            at += e->length;
        }
    }
    if (pieces)
        qsort(pieces, *count, sizeof *pieces, by_offset);
    return pieces;
}

bool frames_visit_redo(struct frames *f, const struct redo_visitor *visitor, struct gb_error *error)
{
    const struct manifest *m = f->manifest;
    size_t count;
    struct piece *pieces = redo_pieces(f->index, &count);
    struct redo_stream *stream = malloc(sizeof *stream);
    uint64_t have = 0; /* bytes behind C */
    bool ok = (pieces && stream) || error_set(error, GB_internal, "no memory");
    if (ok)
        redo_stream_begin(stream, REDO_FORMAT_10_8, false, m->checkpoint_lsn, visitor);
    for (size_t i = 0; ok && i < count; i++) {
        uint64_t end = pieces[i].offset + pieces[i].length;
        const uint8_t *plain = frames_read(f, pieces[i].frame, error);
        if (end > m->redo_bytes)
            end = m->redo_bytes;
        if (!(ok = plain != NULL) || end <= have)
            continue;
        if (pieces[i].offset > have ||
            !redo_stream_feed(stream, plain + pieces[i].at + (have - pieces[i].offset),
                              (size_t)(end - have)))
            break;
        have = end;
    }
    if (ok && redo_stream_lsn(stream) != m->end_lsn)
        ok = error_set(error, GB_corrupt_backup,
                       "the redo can't be read beyond LSN %" PRIu64 " (it ends at %" PRIu64 ")",
                       redo_stream_lsn(stream), m->end_lsn);
    free(stream);
    free(pieces);
    return ok;
}
