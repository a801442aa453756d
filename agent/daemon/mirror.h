/*
  A further repository of a backup. It gets what the first one gets, frame by frame: the same
  segments, numbers and offsets, sealed if the repository wants that; so what one of them has lost
  can be fetched from another.

  It has threads of its own and a bounded queue. Its main thread begins the backup there, waits
  until all frames are written, and goes the steps of the commit as far as it is told to. A
  repository that need not have the backup (required = no) and is away, full or hangs costs the
  backup its patience once: the mirror is given up, and what its threads still write, when the
  repository moves again, they remove.

  Shared: its mutex guards the queue and the steps, and is never held across I/O.
*/
#ifndef GB_AGENT_DAEMON_MIRROR_H
#define GB_AGENT_DAEMON_MIRROR_H

#include "agent/daemon/begin.h"

#define MIRRORS_MAX      7u /* beside the first repository */
#define MIRROR_HURRY_MS  3000u
#define MIRROR_QUEUE_MAX (16u << 20) /* bytes of frames that wait for one */

enum mirror_step {
    MIRROR_NONE,
    MIRROR_BEGUN,
    MIRROR_PREPARED,  /* all but backup.json is there */
    MIRROR_PUBLISHED, /* backup.json is there; whoever gives up now removes it */
    MIRROR_KEPT,      /* the backup stays */
};

struct mirror;
struct mirror_frame;

/* request: what it points to is borrowed until mirror_free(). required: the backup fails without
   it; else one that hangs since an earlier backup fails at once. patience_ms: how long it may do
   nothing while there is something to do. Begins at once. NULL: GB_internal. */
struct mirror *mirror_start(const struct begin_request *request, bool required,
                            unsigned patience_ms, struct gb_error *error);
/* Waits for its threads, however long the repository takes; what is not kept is removed. NULL is
 * allowed. */
void mirror_free(struct mirror *mirror);

/* A copy of a frame that has been built and not placed yet: placing seals it where it stands. NULL:
 * no memory. */
struct mirror_frame *mirror_frame(const struct frame_buffer *buffer);
void mirror_frame_free(struct mirror_frame *frame); /* NULL is allowed */
/* Whether it takes frames still. */
bool mirror_wants(struct mirror *mirror);
/* The server's writers may be waiting: one that is not required holds them up for MIRROR_HURRY_MS
 * at most. */
void mirror_hurry(struct mirror *mirror, bool hurry);
/* Takes frame over; NULL: there was no memory for it, which is its failure. placed: where the first
   repository has it; of one segment frames come from one thread, in their order. Waits while the
   queue is full. */
void mirror_give(struct mirror *mirror, struct mirror_frame *frame, const struct frame *placed);
/* No more frames of that segment will come. */
void mirror_close_segment(struct mirror *mirror, uint32_t segment);

/* After the last frame: goes on up to `goal`. index (after index_finish()) is borrowed until
 * mirror_free(); manifest: without its objects; copied. */
void mirror_commit(struct mirror *mirror, const struct index *index,
                   const struct manifest *manifest, enum mirror_step goal);
/* Goes on up to goal. */
void mirror_advance(struct mirror *mirror, enum mirror_step goal);
/* Gives it up unless it has failed or is kept; why: GB_cancelled leaves no trace of a failed run.
 */
void mirror_give_up(struct mirror *mirror, const struct gb_error *why);

/* 1: it has reached the step. 0: not yet. -1: it has failed or has lost patience just now
 * (GB_store_failed), *error says how. */
int mirror_look(struct mirror *mirror, enum mirror_step step, struct gb_error *error);
/* Waits for a step. False: *error is why not; GB_internal if *stop (atomic) was set. */
bool mirror_await(struct mirror *mirror, enum mirror_step step, const bool *stop,
                  struct gb_error *error);

/* Bytes written so far; of a backup that is kept, all of its objects. */
uint64_t mirror_stored(struct mirror *mirror);
/* Of its storage, as storage_operations(); 0 before it is open. */
uint64_t mirror_operations(struct mirror *mirror);
const struct repository_spec *mirror_spec(const struct mirror *mirror);
/* After MIRROR_PREPARED; both belong to the mirror. */
struct repository *mirror_repository(struct mirror *mirror);
const struct manifest *mirror_manifest(const struct mirror *mirror);

#endif
