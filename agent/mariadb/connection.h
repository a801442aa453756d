/*
  A libmariadb connection to the local server, over its socket. One thread at a time.
*/
#ifndef GB_AGENT_MARIADB_CONNECTION_H
#define GB_AGENT_MARIADB_CONNECTION_H

#include "agent/config.h"

#include <mysql.h>

struct connection;

/* Connects within 5 s; reads and writes have deadlines of timeout_s (0: 60 s). The session is UTC,
   utf8mb4. Errors: GB_server_unreachable, GB_access_denied, GB_bad_config (password file). */
struct connection *connection_open(const struct config *config, unsigned timeout_s,
                                   struct gb_error *error);
/* A server elsewhere: "HOST", "HOST:PORT" or "[IPv6]:PORT". User, password and TLS come from the
   group [client] of MariaDB's own option files (/etc/mysql/my.cnf, ~/.my.cnf), as for the mariadb
   client: nothing secret is ever an argument. Errors: as connection_open(); GB_bad_value. */
struct connection *connection_open_host(const char *address, unsigned timeout_s,
                                        struct gb_error *error);
void connection_close(struct connection *connection);
MYSQL *connection_handle(struct connection *connection);

/* Runs one statement; *result (may be NULL: rows are dropped) is the first result set or NULL.
   Further results of a CALL are drained. Errors: GB_connection_lost; an SQL error raised by our
   procedures ("GB2003 busy: ...; ...") comes back with that code, what and hint; others as
   GB_sql_failed with number and text. *sql_errno, if not NULL, is the server's number (0 on
   success). */
bool connection_query(struct connection *connection, const char *sql, MYSQL_RES **result,
                      unsigned *sql_errno, struct gb_error *error);

/* 'text' quoted and escaped for use in a statement; malloc'ed. NULL gives "NULL". */
char *connection_quote(struct connection *connection, const char *text);

#endif
