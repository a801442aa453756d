/*
  Something that asks a repository, in a thread of its own: the plugin waits a second for an answer,
  a store behind a network may take minutes, a disk seconds. Whoever sent it out goes on talking
  meanwhile, and waits for its end before what it works on goes, or leaves it that.
*/
#ifndef GB_AGENT_ERRAND_H
#define GB_AGENT_ERRAND_H

#include <stdbool.h>

#define ERRAND_ANSWER_MS 700u /* of the second that the plugin waits for an answer */

struct errand;

/* NULL: no memory, or no thread. */
struct errand *errand_start(void (*run)(void *context), void *context);
/* Waits so long for its end, no longer. True: it has ended, and what it wrote may be read. */
bool errand_wait(struct errand *errand, unsigned ms);
/* Waits for its end, however long, and frees it. NULL is allowed. */
void errand_end(struct errand *errand);
/* Waits for nothing: when it ends, or at once if it has, what it works on is freed. */
void errand_leave(struct errand *errand, void (*free_context)(void *context));

#endif
