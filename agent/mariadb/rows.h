/*
  Statements that write rows of galera_backup.backups: what each place that writes one puts
  together.

  Texts go into a statement as hexadecimal literals: they need no connection to escape them and
  can't break out of their place.
*/
#ifndef GB_AGENT_MARIADB_ROWS_H
#define GB_AGENT_MARIADB_ROWS_H

#include "agent/mariadb/connection.h"
#include "agent/repository/verified.h"

#define ROW_STATEMENT_MAX 32768u
#define ROW_TEXT_MAX      4096u /* bytes of one text; of a longer one the beginning */

struct row {
    char text[ROW_STATEMENT_MAX]; /* the statement, up to here */
    size_t at;
};

/* A connection to the configuration's server for them; one to a replica leaves its binary log
   alone, which must not get transactions of its own. Errors: as connection_open(), and
   GB_access_denied where the account may not do that. */
struct connection *rows_connect(const struct config *config, unsigned timeout_s,
                                struct gb_error *error);

/* Before what is written after a while: the server may have become a replica, or have been
   promoted. What a replica writes of its own ends its replication with gtid_strict_mode, and is
   errant in any (rule 24). number: the server's error. Errors: as above. */
bool rows_begin(struct connection *connection, unsigned *number, struct gb_error *error);

/* A literal of text ('' of NULL), cut where there is no room; answers its length. */
size_t row_text(char *out, size_t size, const char *text);
void row_add(struct row *row, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* ", name = 'text'" */
void row_set(struct row *row, const char *name, const char *text);

/* INSERT of the row of a backup; assignments follow; row_end() repeats them for a row that is there
 * already. */
void row_begin(struct row *row, const char *cluster, const char *id);
void row_end(struct row *row);

/* What the manifest says of sizes, position and pause; but for recv_queue_max, which grows after it
 * was written. */
void row_set_manifest(struct row *row, const struct manifest *manifest);
void row_set_error(struct row *row, const struct gb_error *error);
/* verified and verified_at. */
void row_set_verified(struct row *row, const struct verified *verified);
/* UPDATE of the row of a backup with them. */
void row_verified(struct row *row, const char *cluster, const char *id,
                  const struct verified *verified);
/* Enters a verification in the row of a backup, if there is one. Errors: as connection_query(). */
bool rows_verified(struct connection *connection, const char *cluster, const char *id,
                   const struct verified *verified, struct gb_error *error);

#endif
