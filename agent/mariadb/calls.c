/* The procedures; see calls.h. */
#include "agent/mariadb/calls.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool calls_run(struct connection *c, const char *procedure, const char *argument, json_t **rows, struct gb_error *error)
{
    MYSQL_RES *result;
    char *quoted = connection_quote(c, argument);
    size_t size = (quoted ? strlen(quoted) : 0) + 128;
    char *sql = malloc(size);
    *rows = NULL;
    bool ok = quoted && sql;
    if (ok) {
        snprintf(sql, size, "CALL galera_backup.%s(%s)", procedure, quoted);
        ok = connection_query(c, sql, &result, NULL, error);
    } else
        error_set(error, GB_internal, "no memory");
    free(quoted);
    free(sql);
    if (!ok)
        return false;
    *rows = json_array();
    unsigned count = result ? mysql_num_fields(result) : 0;
    MYSQL_FIELD *fields = result ? mysql_fetch_fields(result) : NULL;
    for (MYSQL_ROW row; result && (row = mysql_fetch_row(result));) {
        json_t *object = json_object();
        for (unsigned i = 0; i < count; i++)
            json_object_set_new(object, fields[i].name, row[i] ? json_string(row[i]) : json_null());
        json_array_append_new(*rows, object);
    }
    if (result)
        mysql_free_result(result);
    return true;
}

const char *calls_text(const json_t *row, const char *column)
{
    const char *text = json_string_value(json_object_get(row, column));
    return text ? text : "";
}

long long calls_number(const json_t *row, const char *column)
{
    return atoll(calls_text(row, column));
}
