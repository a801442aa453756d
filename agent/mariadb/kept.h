/*
  What retention makes of the catalog's rows: hold_until, keep_reason and expires_at of a backup that is there, and the end of the row of
  one that has gone. As texts, so that the agent queues them (catalog.h) and the command line runs them at once.
*/
#ifndef GB_AGENT_MARIADB_KEPT_H
#define GB_AGENT_MARIADB_KEPT_H

#include "agent/repository/expire.h"

#define KEPT_SQL_MAX 1024u

/* Answers out. cluster and the id: of a valid name each. */
const char *kept_row_sql(char out[KEPT_SQL_MAX], const char *cluster, const struct retention_backup *backup);
const char *kept_hold_sql(char out[KEPT_SQL_MAX], const char *cluster, const char *id, time_t until);
const char *kept_gone_sql(char out[KEPT_SQL_MAX], const char *cluster, const char *id);

/* Runs one for each backup of the result: gone, or as it is now. */
void kept_each(const struct expire_result *result, const char *cluster, void (*run)(void *context, const char *sql), void *context);

#endif
