/*
  Whether a repository can take a backup now: opened, looked at for space, and written to (a lock
  that goes at once). Of one behind a network each request is tried once, and the answer is not
  waited for longer than the plugin waits: see errand.h.
*/
#ifndef GB_AGENT_DAEMON_TRIAL_H
#define GB_AGENT_DAEMON_TRIAL_H

#include "agent/daemon/errand.h"
#include "agent/repository/repository.h"

struct trial {
    struct gb_error error; /* why not */
    bool opened;
    uint64_t available; /* bytes free, or STORAGE_FREE_UNKNOWN */
    /* private */
    struct repository_spec spec;
    uint64_t bytes;
    struct errand *errand;
};

/* bytes: that a backup may need. True: it has ended, and says what it found. False: it has not, and
   what it found is not to be looked at before trial_end(); late says so (GB_store_unreachable). */
bool trial_run(struct trial *trial, const struct repository_spec *spec, uint64_t bytes,
               struct gb_error *late);
/* Waits for its end, however long. A trial that is all zero is none. */
void trial_end(struct trial *trial);

#endif
