/*
  The procedures of schema galera_backup, as the command line calls them.
*/
#ifndef GB_AGENT_MARIADB_CALLS_H
#define GB_AGENT_MARIADB_CALLS_H

#include "agent/mariadb/connection.h"

#include <jansson.h>
#include <signal.h>

/* CALL galera_backup.<procedure>(argument); argument NULL: SQL NULL; a text otherwise. *rows: an
   array of objects, one a row, values as text, number or null, "repositories" as the array it is;
   the caller's reference. Errors: as connection_query(). */
bool calls_run(struct connection *connection, const char *procedure, const char *argument,
               json_t **rows, struct gb_error *error);
/* CALL galera_backup.BACKUP_CANCEL(id), which waits for the end of the backup. Once it has been
 *sent, returns as soon as leave is above 1 (GB_connection_lost; the cancel goes on, the connection
 *is of no more use). */
bool calls_cancel(struct connection *connection, const char *id, const volatile sig_atomic_t *leave,
                  struct gb_error *error);
/* Text of a column of a row; "" for NULL. Number of it; 0 for NULL. */
const char *calls_text(const json_t *row, const char *column);
long long calls_number(const json_t *row, const char *column);

#endif
