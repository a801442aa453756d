/*
  The procedures of schema galera_backup, as the command line calls them.
*/
#ifndef GB_AGENT_MARIADB_CALLS_H
#define GB_AGENT_MARIADB_CALLS_H

#include "agent/mariadb/connection.h"

#include <jansson.h>

/* CALL galera_backup.<procedure>(argument); argument NULL: SQL NULL; a text otherwise. *rows: an array of objects, one a
   row, values as text or null; the caller's reference. Errors: as connection_query(). */
bool calls_run(struct connection *connection, const char *procedure, const char *argument, json_t **rows,
               struct gb_error *error);
/* Text of a column of a row; "" for NULL. Number of it; 0 for NULL. */
const char *calls_text(const json_t *row, const char *column);
long long calls_number(const json_t *row, const char *column);

#endif
