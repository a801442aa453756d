/*
  Something that has to be asked for and is good for a time: a token, temporary keys. One thread
  asks for it, those who come meanwhile wait and share what it got, or its failure. Nothing is held
  while it is asked for.
*/
#ifndef GB_AGENT_STORAGE_RENEWAL_H
#define GB_AGENT_STORAGE_RENEWAL_H

#include "common/error.h"

#include <pthread.h>
#include <stdint.h>

struct renewal {
    pthread_mutex_t mutex; /* all below, and what is renewed */
    pthread_cond_t changed;
    bool busy;
    unsigned generation; /* 0: nothing is there */
    unsigned failures;
    uint64_t
        renew_at_us; /* monotonic: when it is asked for again; set by fetch(), UINT64_MAX: never */
    struct gb_error error;
};

void renewal_open(struct renewal *renewal);
void renewal_close(struct renewal *renewal);

/* Makes sure that what is there is good and newer than generation `stale` (0: any will do). True:
   the mutex is held; the caller copies what it wants and calls renewal_leave(). fetch() is called
   without the mutex, from one thread at a time, and takes it to store what it got. If that fails
   while what is there is only about to expire, it is used on. */
bool renewal_enter(struct renewal *renewal, unsigned stale,
                   bool (*fetch)(void *context, struct gb_error *error), void *context,
                   struct gb_error *error);
void renewal_leave(struct renewal *renewal);

#endif
