/* Statements that write rows of galera_backup.backups; see rows.h. */
#include "agent/mariadb/rows.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool is_true(const char *value)
{
    return value && value[0] == '1';
}

bool rows_begin(struct connection *c, unsigned *number, struct gb_error *error)
{
    MYSQL_RES *result = NULL;
    bool ok = connection_query(
        c,
        "SELECT @@sql_log_bin, @galera_backup_unlogged, NOT @@global.wsrep_on AND @@global.log_bin "
        "AND "
        "(@@global.read_only OR (SELECT VARIABLE_VALUE FROM information_schema.GLOBAL_STATUS "
        "WHERE VARIABLE_NAME = 'SLAVES_RUNNING') > 0)",
        &result, number, error);
    MYSQL_ROW row = result ? mysql_fetch_row(result) : NULL;
    bool logged = row && is_true(row[0]), ours = row && is_true(row[1]),
         replica = row && is_true(row[2]);
    mysql_free_result(result);
    const char *change =
        replica && logged  ? "SET SESSION sql_log_bin = 0, @galera_backup_unlogged = 1"
        : !replica && ours ? "SET SESSION sql_log_bin = 1, @galera_backup_unlogged = 0"
                           : NULL;
    if (!ok || !change || connection_query(c, change, NULL, number, error))
        return ok;
    if (error->code == GB_access_denied)
        error_hint(error, "what the agent writes on a replica must not be in its binary log: GRANT "
                          "BINLOG ADMIN ON *.* to its account");
    return false;
}

struct connection *rows_connect(const struct config *config, unsigned timeout_s,
                                struct gb_error *error)
{
    struct connection *c = connection_open(config, timeout_s, error);
    if (!c || rows_begin(c, NULL, error))
        return c;
    connection_close(c);
    return NULL;
}

size_t row_text(char *out, size_t size, const char *text)
{
    if (!text || !*text)
        return (size_t)snprintf(out, size, "''");
    size_t n = (size_t)snprintf(out, size, "_utf8mb4 0x");
    for (; *text && n + 3 < size; text++)
        n += (size_t)snprintf(out + n, size - n, "%02x", (unsigned char)*text);
    return n;
}

void row_add(struct row *s, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int n = vsnprintf(s->text + s->at, sizeof s->text - s->at, format, args);
    va_end(args);
    if (n > 0)
        s->at += (size_t)n < sizeof s->text - s->at ? (size_t)n : sizeof s->text - s->at - 1;
}

void row_set(struct row *s, const char *name, const char *text)
{
    char value[2 * ROW_TEXT_MAX + 32];
    row_text(value, sizeof value, text);
    row_add(s, ", %s = %s", name, value);
}

void row_begin(struct row *s, const char *cluster, const char *id)
{
    char a[600], b[300];
    row_text(a, sizeof a, cluster);
    row_text(b, sizeof b, id);
    s->at = 0;
    row_add(s,
            "INSERT INTO galera_backup.backups SET cluster = %s, id = %s, as_of = UTC_TIMESTAMP(6)",
            a, b);
}

void row_end(struct row *s)
{
    char *assignments = strstr(s->text, ", as_of = ");
    size_t length = s->at - (size_t)(assignments - s->text);
    char *copy = strndup(assignments + 2, length);
    row_add(s, " ON DUPLICATE KEY UPDATE %s", copy ? copy : "as_of = UTC_TIMESTAMP(6)");
    free(copy);
}

void row_set_manifest(struct row *s, const struct manifest *m)
{
    static const char *const texts[] = {"position", "binlog_file", NULL};
    static const char *const numbers[] = {"binlog_pos", "ddl_blocked_ms",    "commit_blocked_ms",
                                          "blocked_ms", "flow_control_sent", NULL};
    for (const char *const *k = texts; *k; k++)
        row_set(s, *k, wire_fact(&m->facts, *k));
    for (const char *const *k = numbers; *k; k++)
        row_add(s, ", %s = %llu", *k, strtoull(wire_fact(&m->facts, *k), NULL, 10));
    char *gtid = manifest_gtid(m, ROW_TEXT_MAX);
    row_set(s, "gtid", gtid);
    free(gtid);
    row_set(s, "server_version", m->server_version);
    row_set(s, "key_ids", m->encryption.key_ids);
    row_add(s,
            ", lsn_start = %" PRIu64 ", lsn_end = %" PRIu64 ", data_bytes = %" PRIu64
            ", bytes_done = %" PRIu64 ", stored_bytes = %" PRIu64
            ", chain_length = 1, encrypted = %d, percent = 100",
            m->checkpoint_lsn, m->end_lsn, m->data_bytes, m->read_bytes, m->stored_bytes,
            m->encryption.on);
}

void row_set_error(struct row *s, const struct gb_error *error)
{
    row_add(s, ", error_code = %d", (int)error->code);
    row_set(s, "error", error->what);
    row_set(s, "hint", error->hint);
}

void row_set_verified(struct row *s, const struct verified *v)
{
    row_add(s, ", verified = '%s', verified_at = ", verified_word(v));
    if (v->verified_at)
        row_add(s, "FROM_UNIXTIME(%lld)", (long long)v->verified_at);
    else
        row_add(s, "NULL");
}

void row_verified(struct row *s, const char *cluster, const char *id, const struct verified *v)
{
    char a[600], b[300];
    row_text(a, sizeof a, cluster);
    row_text(b, sizeof b, id);
    row_add(s, "UPDATE galera_backup.backups SET as_of = UTC_TIMESTAMP(6)");
    row_set_verified(s, v);
    row_add(s, " WHERE cluster = %s AND id = %s", a, b);
}

bool rows_verified(struct connection *connection, const char *cluster, const char *id,
                   const struct verified *v, struct gb_error *error)
{
    struct row *s = calloc(1, sizeof *s);
    if (!s)
        return error_set(error, GB_internal, "no memory");
    row_verified(s, cluster, id, v);
    bool ok = connection_query(connection, s->text, NULL, NULL, error);
    free(s);
    return ok;
}
