/*
  Parts of objects on their way to a store: so many at a time, and no more memory than that.

  Whoever writes an object fills a buffer and gives it away; a thread of the pool sends it. A giver
  waits while as many are under way as there are threads, so a store that is slow slows the givers
  down. What is held is therefore one buffer for each object that is being filled and one for each
  thread, whatever there is to send. A buffer is memory of the kernel's (mmap), given back when its
  part has been sent: it never becomes a hole in the heap.

  Threads are started with the first part.
*/
#ifndef GB_AGENT_STORAGE_PARTS_H
#define GB_AGENT_STORAGE_PARTS_H

#include "common/error.h"

struct parts;

struct parts *parts_open(unsigned threads, size_t part_size);
/* No object may have parts under way. NULL is allowed. */
void parts_close(struct parts *parts);

/* A buffer of part_size bytes; NULL: no memory. */
void *parts_buffer(const struct parts *parts);
void parts_free_buffer(const struct parts *parts, void *buffer);

/* The object that parts belong to: one thread gives them. */
struct parts_object {
    /* Called from a thread of the pool; from several at a time for one object. */
    bool (*send)(void *context, unsigned number, const void *data, size_t size,
                 struct gb_error *error);
    void *context;
    /* private, under the pool's mutex */
    unsigned pending;
    bool dropped;
    struct gb_error error;
};

/* Takes buffer over, and in any case. Errors: of an earlier part of the object; GB_internal. */
bool parts_give(struct parts *parts, struct parts_object *object, unsigned number, void *buffer,
                size_t size, struct gb_error *error);
/* Waits until none is under way. Errors: the first of any part. */
bool parts_wait(struct parts *parts, struct parts_object *object, struct gb_error *error);
/* The same for an object that is given up: what nobody has begun to send is not sent. */
void parts_drop(struct parts *parts, struct parts_object *object);

#endif
