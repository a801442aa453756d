/*
  Holds: <backup>/hold.json says until when nothing may remove a backup. An object of its own, so
  that it can be set and taken away while the backup stays as it was written.
*/
#ifndef GB_AGENT_REPOSITORY_HOLD_H
#define GB_AGENT_REPOSITORY_HOLD_H

#include "agent/repository/repository.h"

/* "forever" or a time in UTC (utc.h), as RETENTION_FOREVER or a time. 0: it is neither. */
time_t hold_parse(const char *text);
/* Whether a text that somebody gave is such a time, and to come; "", none, is valid. Errors:
 * GB_bad_value. */
bool hold_valid(const char *text, struct gb_error *error);
/* The reverse; "" of 0. Answers out. */
const char *hold_text(time_t until, char out[WIRE_HOLD_MAX]);

/* *until: 0 if there is none, RETENTION_FOREVER also of one that can't be understood. Errors: the
 * store's. */
bool hold_read(struct storage *storage, const char *prefix, time_t *until, struct gb_error *error);
/* Whether it is as it was written, or there is none. Errors: GB_corrupt_backup, the store's. */
bool hold_check(struct storage *storage, const char *prefix, struct gb_error *error);
/* Of a backup that is being written: prefix is that of its writer, who has its lock. Errors: the
 * store's. */
bool hold_write(struct storage *storage, const char *prefix, time_t until, struct gb_error *error);

/* Of a backup that is there; until 0: releases it. Nothing can remove the backup meanwhile. Errors:
   GB_not_found, GB_repository_busy (it is just being removed), GB_bad_value (a time that has
   passed), the store's. */
bool hold_set(struct repository *repository, const struct manifest *manifest, time_t until,
              struct gb_error *error);

#endif
