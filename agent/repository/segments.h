/*
  The segments of one backup, written by several threads: each thread has an open one of its own, so
  no frame waits for another thread's I/O. Numbers and the list of what was closed are shared.
*/
#ifndef GB_AGENT_REPOSITORY_SEGMENTS_H
#define GB_AGENT_REPOSITORY_SEGMENTS_H

#include "agent/repository/segment.h"

#include <pthread.h>

struct segments {
    struct storage *storage;
    const char *prefix;
    const struct seal_key *key; /* NULL: frames are not sealed */
    pthread_mutex_t mutex;      /* what follows; held for no I/O */
    uint32_t next;
    struct object_info *closed; /* by number after segments_sort() */
    size_t count, capacity;
};

/* prefix and key: of the backup, borrowed. */
void segments_init(struct segments *segments, struct storage *storage, const char *prefix,
                   const struct seal_key *key);
void segments_free(struct segments *segments);

/* Appends a frame to *segment, the calling thread's own (NULL at first), and goes on to the next
   one when it is full: sets segment, number and offset in buffer->frame. Errors: those of
   segment.h; GB_internal. */
bool segments_append(struct segments *segments, struct segment_writer **segment,
                     struct frame_buffer *buffer, struct gb_error *error);
/* Closes the thread's segment and enters it in the list; NULL is allowed. *segment is NULL
 * afterwards. */
bool segments_close(struct segments *segments, struct segment_writer **segment,
                    struct gb_error *error);
/* When all threads have ended. */
void segments_sort(struct segments *segments);

#endif
