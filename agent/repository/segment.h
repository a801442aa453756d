/*
  Segments: objects that hold frames one behind another.

  A frame is up to 1 MiB of plain text (the used part of one ring slot: the concatenation of its
  extents), compressed and, in an encrypted backup, sealed. Header of FRAME_HEADER_SIZE bytes,
  big-endian: 0 u32 magic "GBF1"   4 u32 segment number   8 u32 frame number within the segment,
  from 0 12 u32 stored bytes  16 u32 plain bytes  20 u8 codec  21 u8 seal (0: none, 1: AES-256-GCM)
  22 u16 zero 24 u8[16] not sealed: XXH3-128 of the plain text (canonical big-endian form); sealed:
  the tag, over the header before it too then the stored bytes. Frames are independent. Segment
  numbers start at 1.

  One writer has one thread.
*/
#ifndef GB_AGENT_REPOSITORY_SEGMENT_H
#define GB_AGENT_REPOSITORY_SEGMENT_H

#include "agent/codec/codec.h"
#include "agent/crypto/seal.h"
#include "agent/storage/storage.h"

#define FRAME_HEADER_SIZE 40u
#define FRAME_HASH_SIZE   16u
#define FRAME_PLAIN_MAX   (1u << 20)
#define SEGMENT_SIZE_MAX  (256u << 20) /* a segment is closed before it grows beyond this */

struct frame {
    uint32_t segment, number;
    uint64_t offset;                  /* of the header in the segment */
    uint32_t stored_size, plain_size; /* without the header */
    enum codec_kind codec;
    uint8_t hash[FRAME_HASH_SIZE]; /* XXH3-128 of the plain text */
};

/* A frame compressed but not yet placed: FRAME_HEADER_SIZE bytes of room, then the stored bytes.
   Made by worker threads; owned by the caller. */
struct frame_buffer {
    struct frame frame; /* segment, number, offset: set when it is placed */
    uint8_t *data;
    size_t capacity;
};

/* Compresses and hashes pieces into buffer (grown as needed). Errors: GB_internal. */
bool frame_build(struct codec *codec, const struct iovec *pieces, int count,
                 struct frame_buffer *buffer, struct gb_error *error);
void frame_buffer_free(struct frame_buffer *buffer);

/* One thread's means to read frames of one backup. key: of an encrypted one, else NULL; copied.
 * NULL: no memory. */
struct frame_reader;
struct frame_reader *frame_reader_new(const struct seal_key *key);
void frame_reader_free(struct frame_reader *reader); /* NULL is allowed */
/* Checks header, seal and hash of a whole frame read from a segment against what the index says of
   it, and decompresses it into plain (frame->plain_size bytes). stored: FRAME_HEADER_SIZE +
   stored_size bytes. Errors: GB_corrupt_backup naming segment, frame and offset. */
bool frame_open(struct frame_reader *reader, const struct frame *frame, const uint8_t *stored,
                uint8_t *plain, struct gb_error *error);

/* The same of the backup whose prefix that is: reads the frame into stored (FRAME_HEADER_SIZE +
   codec_bound(FRAME_PLAIN_MAX) bytes), then as frame_open(). Errors: those of storage_read(), too.
 */
bool frame_read(struct frame_reader *reader, struct storage *storage, const char *prefix,
                const struct frame *frame, uint8_t *stored, uint8_t *plain, struct gb_error *error);

/* Makes a frame of one copy of a backup into that of another, where it stands: opened with `from`,
   sealed with `to` (NULL: it is not sealed). What was compressed stays as it is, and its hash is
   not looked at: the caller knows the SHA-256 of the object. Errors: GB_corrupt_backup (header or
   seal), GB_internal. */
bool frame_reseal(const struct frame *frame, struct seal *from, struct seal *to, uint8_t *stored,
                  struct gb_error *error);

struct object_info {
    char name[64]; /* relative to the backup: "data/000001.seg" */
    uint64_t size;
    uint8_t sha256[32];
};

struct segment_writer;
/* Opens segment `number` of the backup whose prefix is "cluster/backups/LABEL". Writes nothing yet.
   key: frames are sealed with it; NULL: they are not. */
struct segment_writer *segment_create(struct storage *storage, const char *prefix, uint32_t number,
                                      const struct seal_key *key, struct gb_error *error);
/* Places a frame: sets segment, number and offset in buffer->frame; what is in buffer->data may be
 * sealed afterwards, where it stands. */
bool segment_append(struct segment_writer *writer, struct frame_buffer *buffer,
                    struct gb_error *error);
uint64_t segment_size(const struct segment_writer *writer);
/* Makes it durable; fills info. Frees writer in any case. */
bool segment_close(struct segment_writer *writer, struct object_info *info, struct gb_error *error);
void segment_abort(struct segment_writer *writer);

#endif
