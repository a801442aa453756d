/* What retention makes of the catalog's rows; see kept.h. */
#include "agent/mariadb/kept.h"
#include "agent/mariadb/rows.h"

#include <stdio.h>
#include <string.h>

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

/* The place of a repository's entry in the row's JSON, as an SQL expression: NULL if there is none.
 */
static const char *entry_sql(const char *repository, const char *key, char out[512])
{
    char pattern[2 * sizeof((struct repository_spec *)NULL)->name + 1],
        literal[4 * sizeof pattern + 8];
    size_t at = 0;
    for (const char *c = repository; *c && at + 2 < sizeof pattern; c++) {
        if (strchr("|%_", *c)) /* JSON_SEARCH() takes patterns */
            pattern[at++] = '|';
        pattern[at++] = *c;
    }
    pattern[at] = '\0';
    row_text(literal, sizeof literal, pattern);
    snprintf(out, 512,
             "REPLACE(JSON_UNQUOTE(JSON_SEARCH(repositories, 'one', CONVERT(%s USING utf8mb4), "
             "'|', '$[*].name')), '.name', '%s')",
             literal, key);
    return out;
}

const char *kept_row_sql(char out[KEPT_SQL_MAX], const char *cluster, const char *repository,
                         const struct retention_backup *b)
{
    char hold[40], expires[40], place[512];
    /* A row that says so already is not written: it would be a write-set for nothing. */
    int n = snprintf(out, KEPT_SQL_MAX,
                     "UPDATE galera_backup.backups SET hold_until = %1$s, keep_reason = '%2$s', "
                     "expires_at = %3$s, as_of = UTC_TIMESTAMP(6) WHERE "
                     "cluster = '%4$s' AND id = '%5$s' AND NOT (hold_until <=> %1$s AND "
                     "keep_reason = '%2$s' AND expires_at <=> %3$s)",
                     sql_time(b->hold_until, hold), b->reason, sql_time(b->expires_at, expires),
                     cluster, b->id);
    if (*repository)
        snprintf(out + n, KEPT_SQL_MAX - (size_t)n,
                 " AND IF(JSON_VALID(repositories), IFNULL(%s, '') = "
                 "REPLACE(IFNULL(JSON_UNQUOTE(JSON_SEARCH(repositories, 'one', 'succeeded', NULL, "
                 "'$[*].state')), ''), '.state', ''), TRUE)",
                 entry_sql(repository, "", place));
    return out;
}

const char *kept_hold_sql(char out[KEPT_SQL_MAX], const char *cluster, const char *id, time_t until)
{
    char hold[40];
    snprintf(out, KEPT_SQL_MAX,
             "UPDATE galera_backup.backups SET hold_until = %s, as_of = UTC_TIMESTAMP(6) WHERE "
             "cluster = '%s' AND id = '%s'",
             sql_time(until, hold), cluster, id);
    return out;
}

const char *kept_copied_sql(char out[KEPT_SQL_MAX], const char *cluster, const char *repository,
                            const char *id, uint64_t bytes)
{
    char state[512], size[512], problem[512];
    entry_sql(repository, ".state", state);
    snprintf(out, KEPT_SQL_MAX,
             "UPDATE galera_backup.backups SET as_of = UTC_TIMESTAMP(6), repositories = "
             "JSON_REMOVE(JSON_SET(repositories, %s, 'succeeded', %s, %llu), %s) "
             "WHERE cluster = '%s' AND id = '%s' AND JSON_VALID(repositories) AND %s IS NOT NULL",
             state, entry_sql(repository, ".bytes", size), (unsigned long long)bytes,
             entry_sql(repository, ".error", problem), cluster, id, state);
    return out;
}

/* Its entry goes; the row goes with the last one that has it. */
static const char *gone_sql(char out[KEPT_SQL_MAX], const char *cluster, const char *repository,
                            const char *id)
{
    char place[512];
    entry_sql(repository, "", place);
    snprintf(out, KEPT_SQL_MAX,
             "UPDATE galera_backup.backups SET as_of = UTC_TIMESTAMP(6), repositories = "
             "JSON_REMOVE(repositories, %s) WHERE cluster = '%s' AND id = '%s' "
             "AND JSON_VALID(repositories) AND %s IS NOT NULL",
             place, cluster, id, place);
    return out;
}

static const char *nowhere_sql(char out[KEPT_SQL_MAX], const char *cluster, const char *id)
{
    snprintf(out, KEPT_SQL_MAX,
             "DELETE galera_backup.backups, galera_backup.backup_log FROM galera_backup.backups "
             "LEFT JOIN galera_backup.backup_log ON "
             "backup_log.cluster = backups.cluster AND backup_log.id = backups.id WHERE "
             "backups.cluster = '%s' AND backups.id = '%s' AND "
             "(NOT JSON_VALID(repositories) OR COALESCE(JSON_SEARCH(repositories, 'one', "
             "'succeeded', NULL, '$[*].state'), "
             "JSON_SEARCH(repositories, 'one', 'damaged', NULL, '$[*].state')) IS NULL)",
             cluster, id);
    return out;
}

void kept_each(const struct expire_result *result, const char *cluster, const char *repository,
               void (*run)(void *context, const char *sql), void *context)
{
    char sql[KEPT_SQL_MAX];
    for (size_t i = 0; i < result->count; i++) {
        const struct retention_backup *b = &result->list[i];
        run(context, result->gone[i] ? gone_sql(sql, cluster, repository, b->id)
                                     : kept_row_sql(sql, cluster, repository, b));
        if (result->gone[i])
            run(context, nowhere_sql(sql, cluster, b->id));
    }
}
