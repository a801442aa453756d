/* What retention makes of the catalog's rows; see kept.h. */
#include "agent/mariadb/kept.h"

#include <stdio.h>

/* A time as SQL has it: FROM_UNIXTIME() ends in 2038. */
static const char *sql_time(time_t t, char out[40])
{
    struct tm tm;
    if (!t)
        snprintf(out, 40, "NULL");
    else
        strftime(out, 40, "'%Y-%m-%d %H:%M:%S'", gmtime_r(&t, &tm));
    return out;
}

const char *kept_row_sql(char out[KEPT_SQL_MAX], const char *cluster, const struct retention_backup *b)
{
    char hold[40], expires[40];
    /* A row that says so already is not written: it would be a write-set for nothing. */
    snprintf(out, KEPT_SQL_MAX,
             "UPDATE galera_backup.backups SET hold_until = %1$s, keep_reason = '%2$s', expires_at = %3$s, as_of = UTC_TIMESTAMP(6) WHERE cluster = "
             "'%4$s' AND id = '%5$s' AND NOT (hold_until <=> %1$s AND keep_reason = '%2$s' AND expires_at <=> %3$s)",
             sql_time(b->hold_until, hold), b->reason, sql_time(b->expires_at, expires), cluster, b->id);
    return out;
}

const char *kept_hold_sql(char out[KEPT_SQL_MAX], const char *cluster, const char *id, time_t until)
{
    char hold[40];
    snprintf(out, KEPT_SQL_MAX,
             "UPDATE galera_backup.backups SET hold_until = %s, as_of = UTC_TIMESTAMP(6) WHERE cluster = '%s' AND id = '%s'",
             sql_time(until, hold), cluster, id);
    return out;
}

const char *kept_gone_sql(char out[KEPT_SQL_MAX], const char *cluster, const char *id)
{
    snprintf(out, KEPT_SQL_MAX,
             "DELETE galera_backup.backups, galera_backup.backup_log FROM galera_backup.backups LEFT JOIN galera_backup.backup_log ON "
             "backup_log.cluster = backups.cluster AND backup_log.id = backups.id WHERE backups.cluster = '%s' AND backups.id = '%s'",
             cluster, id);
    return out;
}

void kept_each(const struct expire_result *result, const char *cluster, void (*run)(void *context, const char *sql), void *context)
{
    char sql[KEPT_SQL_MAX];
    for (size_t i = 0; i < result->count; i++)
        run(context, result->gone[i] ? kept_gone_sql(sql, cluster, result->list[i].id) : kept_row_sql(sql, cluster, &result->list[i]));
}
