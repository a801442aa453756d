/*
  What becomes of a backup after it was taken, for its row in the catalog: hold_until, keep_reason
  and expires_at while it is there, that a repository has it no longer or has got it late, and the
  end of the row of one that is in no repository any more. As texts, so that the agent queues them
  (catalog.h) and the command line runs them at once.
*/
#ifndef GB_AGENT_MARIADB_KEPT_H
#define GB_AGENT_MARIADB_KEPT_H

#include "agent/repository/expire.h"

#define KEPT_SQL_MAX 3072u

/* Answer out. cluster and the id: of a valid name each. repository: its name; "": whichever it is.
 */
/* Of the first repository of those that have it: its reasons are those that the row gives. */
const char *kept_row_sql(char out[KEPT_SQL_MAX], const char *cluster, const char *repository,
                         const struct retention_backup *backup);
const char *kept_hold_sql(char out[KEPT_SQL_MAX], const char *cluster, const char *id,
                          time_t until);
/* The repository has got it, by a copy. */
const char *kept_copied_sql(char out[KEPT_SQL_MAX], const char *cluster, const char *repository,
                            const char *id, uint64_t bytes);

/* Runs one or two for each backup of the result: gone from the repository, or as it is now. */
void kept_each(const struct expire_result *result, const char *cluster, const char *repository,
               void (*run)(void *context, const char *sql), void *context);

#endif
