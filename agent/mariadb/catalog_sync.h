/*
  The SQL catalog made anew from the repositories, which are the truth (`catalog sync`).

  For each backup of one cluster in them: a row that is missing is added, one that differs is
  mended, in what the repositories know; what they do not (bytes_total, how the resync went) stays.
  A succeeded backup that is in none any more becomes failed, with GB_not_found, as soon as that is
  sure: another node may have a directory of the same name elsewhere, so a row of another node
  counts as gone only where the repository is a bucket, or holds something else of that node.
  Running backups and failed runs are left alone.

  What retention makes of them (hold_until, keep_reason, expires_at) is entered as well, and not
  counted as mended.

  May be run at any time, on any node, and twice: the second time nothing is written.
*/
#ifndef GB_AGENT_MARIADB_CATALOG_SYNC_H
#define GB_AGENT_MARIADB_CATALOG_SYNC_H

#include "agent/mariadb/connection.h"

struct catalog_sync {
    unsigned found;               /* backups in the repositories */
    unsigned added, mended, gone; /* rows */
    unsigned unknown; /* rows of backups that are in none of the repositories, and may be in another
                         node's */
    unsigned unread;  /* backups whose manifest can't be used; each was named through warn() */
};

/* repositories: of the configuration; each must be readable (else nothing is written). warn may be
   NULL. Errors: those of the repositories and of connection_query(). */
bool catalog_sync(struct connection *connection, const struct repository_spec *const *repositories,
                  unsigned count, const char *cluster,
                  void (*warn)(void *context, const char *text), void *context,
                  struct catalog_sync *result, struct gb_error *error);

#endif
