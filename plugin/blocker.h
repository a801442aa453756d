/*
  Who keeps the backup from its locks, out of the server's process list; see design section 4 and
  rules 1 and 2.

  SHOW PROCESSLIST is read, and FULL only if a comment hides how a statement begins: that copies
  every statement whole. Never information_schema.PROCESSLIST: the text of a statement is a long
  one, so the table that the server makes for it is always on disk, in tmpdir, and this is asked
  fifty times a second.
*/
#ifndef GB_PLUGIN_BLOCKER_H
#define GB_PLUGIN_BLOCKER_H

#include "plugin/sql.h"

#define BLOCKER_MAX 256

/* DDL (on a Galera node in total order isolation) or an applier's statement, however young: pause()
   would wait for its end, and nothing bounds that. out: statement, thread, user, age; "" if there
   is none. Errors: those of sql_rows(). */
void blocker_isolated(struct sql *sql, char out[BLOCKER_MAX], struct gb_error *error);

/* What probably keeps a lock from us and is a second old: DDL first, then the oldest statement,
   then a session that may hold LOCK TABLES. "" if there is none, or if the server does not say. */
void blocker_probable(struct sql *sql, char out[BLOCKER_MAX]);

#endif
