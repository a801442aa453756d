/*
  Expiring: what retention.h decides, carried out.

  One process of all hosts expires a cluster's backups at a time (the lock <cluster>/locks/expire),
  and a backup is removed under its own lock: whoever needs one that is complete (a hold, later an
  incremental that names it as its parent) takes that lock, and sees whether it is still there.
  backup.json goes first, so that from that moment on it is none; deepest of a chain first, so that
  at no moment a parent is missing. What is interrupted is left over like the rest of a failed run,
  and collected by the next expire or backup.

  Nothing goes (expire_refused) while the newest run of the cluster is one that failed (runs.h),
  when our clock and the store's differ by more than five minutes, and when more than half of the
  backups (saves are not counted) would go at once unless that is confirmed.
*/
#ifndef GB_AGENT_REPOSITORY_EXPIRE_H
#define GB_AGENT_REPOSITORY_EXPIRE_H

#include "agent/repository/repository.h"

#define EXPIRE_CLOCK_S 300

/* The repository as expiring opens it: with expire_credentials_file, where there is one. Errors: of
 * repository_open(). */
struct repository *expire_open(const struct repository_spec *spec, struct gb_error *error);

struct expire_request {
    const char *cluster;
    bool dry_run;      /* decides and explains only */
    bool confirm_mass; /* more than half may go */
    const bool *stop;  /* atomic; ends it between two backups. NULL: nothing does */
};

struct expire_result {
    struct retention_backup *list; /* newest first */
    size_t count;
    unsigned expire;         /* how many of them the rules let go */
    unsigned removed;        /* how many went */
    bool *gone;              /* of list: it was removed */
    struct gb_error refused; /* what keeps it from going on, also of a dry run; code 0: nothing */
};

/* To be freed in any case. False: the store failed, or another one expires (GB_repository_busy). A
   backup that could not be removed is named on stderr, the rest goes on, and the first error is the
   answer. */
bool expire_run(struct repository *repository, const struct expire_request *request,
                struct expire_result *result, struct gb_error *error);
void expire_result_free(struct expire_result *result);

/* The decision alone, of the manifests of one cluster among those given: *list is malloc'ed, newest
   first. Reads what stands beside each backup. Errors: the store's. */
bool expire_decide(struct repository *repository, const char *cluster,
                   const struct manifest *manifests, size_t manifest_count, time_t now,
                   struct retention_backup **list, size_t *count, struct gb_error *error);

#endif
