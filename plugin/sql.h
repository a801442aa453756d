/*
  SQL inside the server, over the SQL service's local connection: run, one value, rows, errors.

  A connection is a hidden THD that belongs to the thread that opened it. It starts with wsrep_on=0
  and all privileges. It is invisible in the process list and cannot be killed, so everything run
  through it must end by itself: sql_open() sets lock_wait_timeout=1 (rule 1).

  Shutdown does not wait for local connections by itself (mysqld.cc close_connections()). While one
  of ours is open it is counted as an ordinary one where the server exports the counter, so that
  InnoDB is not taken away under a running statement; whoever owns the connection leaves soon after
  server_stopping().
*/
#ifndef GB_PLUGIN_SQL_H
#define GB_PLUGIN_SQL_H

#include "common/error.h"

#include <stdint.h>

struct sql;

/* Whether shutdown has begun. */
bool server_stopping(void);

/* Before and after any use of SQL in a thread of ours. */
bool sql_thread_begin(void);
void sql_thread_end(void);

/* Errors: GB_sql_failed, GB_server_shutdown. */
struct sql *sql_open(struct gb_error *error);
void sql_close(struct sql *sql);

/* Runs a statement and drops its rows. Errors: GB_sql_failed with the server's number and text,
 * GB_server_shutdown. */
bool sql_run(struct sql *sql, struct gb_error *error, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* The server's error number of the last statement, 0 if it succeeded. */
unsigned sql_errno(const struct sql *sql);

/* First column of the first row into out (NUL-terminated, cut at size); "" for NULL or no row.
   column 1 is what SHOW STATUS and SHOW VARIABLES have their value in. */
bool sql_value(struct sql *sql, unsigned column, char *out, size_t size, struct gb_error *error,
               const char *format, ...) __attribute__((format(printf, 6, 7)));

/* Calls row for each row; columns may be NULL (SQL NULL). Stops early when row answers false. */
bool sql_rows(struct sql *sql, bool (*row)(void *context, char **columns, unsigned count),
              void *context, struct gb_error *error, const char *format, ...)
    __attribute__((format(printf, 5, 6)));

/* Shorthands: SHOW GLOBAL STATUS LIKE / @@GLOBAL variables, as text or number (0 if absent). */
bool sql_status(struct sql *sql, const char *name, char *out, size_t size, struct gb_error *error);
uint64_t sql_status_number(struct sql *sql, const char *name, struct gb_error *error);
bool sql_variable(struct sql *sql, const char *name, char *out, size_t size,
                  struct gb_error *error);
/* Other sessions of which a condition on information_schema.PROCESSLIST is true. */
bool sql_sessions(struct sql *sql, const char *condition, uint64_t *count, struct gb_error *error);

#endif
