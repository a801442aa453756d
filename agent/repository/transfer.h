/*
  Objects of a backup carried from one repository to another that has, or gets, the same backup.

  Byte by byte, or resealed: the layout of a backup is the same wherever it is (segments, frame
  numbers, offsets, compressed bytes), and sealing changes no size, so a frame that is sealed with
  another key, or not sealed, is made into one of the other copy without being decompressed. What is
  read is compared with the SHA-256 that the source's manifest has, while it passes; nothing is kept
  whole but the index, and a few MiB of a segment.
*/
#ifndef GB_AGENT_REPOSITORY_TRANSFER_H
#define GB_AGENT_REPOSITORY_TRANSFER_H

#include "agent/repository/repository.h"

struct transfer {
    /* given */
    struct repository *from, *to;
    const char *prefix; /* of the backup, in both */
    bool reseal;
    const struct seal_key *from_key, *to_key; /* of a resealing; NULL: not sealed there */
    const bool *stop;                         /* atomic; NULL: nothing stops it */
    /* private */
    const struct frame **frames; /* by place, of a resealing */
    size_t frame_count;
    bool halt;     /* atomic: see transfer_halt() */
    uint64_t done; /* atomic, bytes read: see transfer_done() */
};

/* The given part is filled. index: of the backup, must outlive it; NULL: nothing is resealed.
 * False: no memory. To be ended in any case. */
bool transfer_begin(struct transfer *transfer, const struct index *index, struct gb_error *error);
void transfer_end(struct transfer *transfer);

/* Makes all that run end soon, with GB_cancelled. From any thread. */
void transfer_halt(struct transfer *transfer);
uint64_t transfer_done(const struct transfer *transfer);

enum transfer_mode {
    TRANSFER_LOOK,   /* nothing is written: it is only read, and its sums are made */
    TRANSFER_WRITE,  /* there is none of that name */
    TRANSFER_REPLACE /* what is there goes when the new one has been written and found right, and is
                        about to take its name */
};

/* One object. source: of the manifest it is read by. expected: what the result must be; NULL:
   anything. *made (may be NULL) gets what it has become. Several threads may each carry one.
   Errors: GB_corrupt_backup, naming the object and where it is: missing, cut, changed, or not
   expected; GB_cancelled; those of reading and writing. */
bool transfer_object(struct transfer *transfer, const struct object_info *source,
                     enum transfer_mode mode, const struct object_info *expected,
                     struct object_info *made, struct gb_error *error);

#endif
