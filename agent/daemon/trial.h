/*
  Whether a repository can take a backup of a cluster now: opened, looked at for whose it is and for
  space, and written to (a lock that goes at once). Of one behind a network each request is tried
  once; the answers, of however many repositories, are not waited for longer than the plugin waits:
  see errand.h.
*/
#ifndef GB_AGENT_DAEMON_TRIAL_H
#define GB_AGENT_DAEMON_TRIAL_H

#include "agent/config.h"
#include "agent/daemon/peer.h"
#include "agent/errand.h"
#include "agent/repository/identity.h"
#include "agent/repository/keytest.h"

struct trial {
    struct gb_error error; /* why not */
    bool on_device;        /* of the data directory */
    uint64_t available;    /* bytes free, or STORAGE_FREE_UNKNOWN */
    char recipients[256];  /* whom a backup would be encrypted for */
    struct keytest key;    /* of an encrypted one */
    /* private */
    struct repository_spec spec;
    char cluster[WIRE_NAME_MAX], cluster_uuid[WIRE_UUID_MAX];
    const char *state_dir;
    uint64_t device;
    struct errand *errand;
};

/* writer: whose backup it would be; its state_dir must stay until trial_end(). device: st_dev of
 * the data directory, 0: not asked. */
void trial_begin(struct trial *trial, const struct repository_spec *spec,
                 const struct identity_writer *writer, uint64_t device);
/* Waits until then (now_us()), at most. True: it has ended, and says what it found. False: it has
   not, and what it found is not to be looked at before trial_end(); late says so
   (GB_store_unreachable). */
bool trial_wait(struct trial *trial, uint64_t until_us, struct gb_error *late);
/* Waits for its end, however long. A trial that is all zero is none. */
void trial_end(struct trial *trial);

/* START of type "dry-run": sends READY, or the ERROR that a backup would be refused with, and waits
 * then for trials that have not ended. */
void trial_answer(struct peer *peer, const struct config *config, const struct wire_hello *hello,
                  const struct wire_start *start);

#endif
