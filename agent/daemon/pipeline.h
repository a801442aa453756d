/*
  The way of a slot through the agent: queue, worker, frame, segment; and the redo's own way beside
  it (rule 19).

  Workers compress out of the mapped ring, give the slot back at once, and append the frame to a
  segment of their own: no lock is shared on the data path but for the index. Redo is compressed as
  it comes into a bounded memory queue, so a store that stalls does not keep its slots; a writer of
  its own drains it, before pages when there is much of it. Only while the server need not be
  hurried, and there is no spool, redo waits in its slots when that queue is full: so much of it
  stays in the server's log, whose end the plugin watches. Mirrors get each frame when it has its
  place.
*/
#ifndef GB_AGENT_DAEMON_PIPELINE_H
#define GB_AGENT_DAEMON_PIPELINE_H

#include "agent/daemon/mirror.h"
#include "common/ring.h"

struct pipeline;

struct pipeline_setup {
    struct repository *repository;
    const char *prefix;
    struct mirror *const
        *mirrors; /* borrowed until pipeline_stop(); the index is theirs until they are freed */
    unsigned mirror_count;
    const struct seal_key *key; /* frames are sealed with it; NULL: they are not. Borrowed */
    const uint8_t *ring;        /* mapped read-only */
    struct wire_ring shape;
    uint64_t redo_memory;   /* bytes of sealed redo that may wait */
    const char *redo_spool; /* directory for what goes beyond; NULL or "": none */
    uint64_t redo_spool_size;
    unsigned threads;
    /* Gives slots back to the plugin; called from several threads. */
    void (*free_slot)(void *context, uint32_t slot);
    void *context;
};

struct pipeline *pipeline_start(const struct pipeline_setup *setup, struct gb_error *error);
/* Stops at once and drops open segments: its threads have ended, what it has written in memory is
 * there. NULL is allowed. */
void pipeline_stop(struct pipeline *pipeline);
/* The same, and frees it. NULL is allowed. */
void pipeline_abort(struct pipeline *pipeline);

/* Takes a slot over. Errors: GB_protocol (bad slot or extent), GB_redo_memory, and what has failed
 * inside. */
bool pipeline_slot(struct pipeline *pipeline, const struct wire_slot *slot, struct gb_error *error);
/* The index, for FILE, FILE_DONE, FILE_DROP and FILE_NAME; the pipeline's lock is held between
 * these two. */
struct index *pipeline_index_lock(struct pipeline *pipeline);
void pipeline_index_unlock(struct pipeline *pipeline);

/* True: the server's writers may be waiting for slots. Workers get what CPU time others leave
   (common/priority.h); while there is hurry as many of normal priority work beside them. */
void pipeline_hurry(struct pipeline *pipeline, bool hurry);

/* Waits until all slots are in segments, closes them. Afterwards only pipeline_finished() and
   pipeline_abort() are allowed. Errors: what has failed inside; GB_internal if *stop was set. */
bool pipeline_finish(struct pipeline *pipeline, const bool *stop, struct gb_error *error);
/* After a successful finish: the index (owned by the pipeline) and the segments by number. */
struct index *pipeline_finished(struct pipeline *pipeline, const struct object_info **segments,
                                size_t *count);

struct pipeline_figures {
    uint64_t stored;
    bool redo_full; /* sealed redo has half of redo_memory, and no spool */
    uint64_t
        idle_us; /* since the store last took something while something waited; 0: nothing waits */
    bool queued; /* slots wait for a worker */
    uint64_t store_us; /* time that threads have spent in the store, all together, calls under way
                          included */
    unsigned workers;
    int level, level_highest; /* where the compression adapts: now, and the highest so far */
};
void pipeline_figures(struct pipeline *pipeline, struct pipeline_figures *figures);
/* True if something inside has failed; copies the error. */
bool pipeline_failed(struct pipeline *pipeline, struct gb_error *error);

#endif
