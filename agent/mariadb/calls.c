/* The procedures; see calls.h. */
#include "agent/mariadb/calls.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LOOK_MS 100

/* Numbers as numbers; a column that holds JSON as what it holds. */
static json_t *value_of(const MYSQL_FIELD *field, const char *text)
{
    if (!text)
        return json_null();
    if (IS_NUM(field->type) && field->type != MYSQL_TYPE_NULL)
        return field->decimals && strchr(text, '.') ? json_real(strtod(text, NULL))
                                                    : json_integer(strtoll(text, NULL, 10));
    json_t *inner = !strcmp(field->name, "repositories") ? json_loads(text, 0, NULL) : NULL;
    return inner ? inner : json_string(text);
}

bool calls_run(struct connection *c, const char *procedure, const char *argument, json_t **rows,
               struct gb_error *error)
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
            json_object_set_new(object, fields[i].name, value_of(&fields[i], row[i]));
        json_array_append_new(*rows, object);
    }
    if (result)
        mysql_free_result(result);
    return true;
}

bool calls_cancel(struct connection *c, const char *id, const volatile sig_atomic_t *leave,
                  struct gb_error *error)
{
    char sql[WIRE_ID_MAX + 64];
    MYSQL *mysql = connection_handle(c);
    snprintf(sql, sizeof sql, "CALL galera_backup.BACKUP_CANCEL('%s')", label_valid(id) ? id : "");
    bool ok = !mysql_send_query(mysql, sql, (unsigned long)strlen(sql));
    struct pollfd p = {mysql_get_socket(mysql), POLLIN, 0};
    while (ok && *leave < 2 && poll(&p, 1, LOOK_MS) <= 0)
        ;
    if (ok && *leave > 1)
        return error_set(error, GB_connection_lost, "left; the cancel of %s goes on in the server",
                         id);
    for (int more = ok ? mysql_read_query_result(mysql) : -1; !more;
         more = mysql_next_result(mysql))
        mysql_free_result(mysql_store_result(mysql));
    return ok || error_set(error, GB_connection_lost, "the connection to the server was lost");
}

const char *calls_text(const json_t *row, const char *column)
{
    const char *text = json_string_value(json_object_get(row, column));
    return text ? text : "";
}

long long calls_number(const json_t *row, const char *column)
{
    const json_t *value = json_object_get(row, column);
    return json_is_integer(value) ? json_integer_value(value) : atoll(calls_text(row, column));
}
