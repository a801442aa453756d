/* CHECK TABLE of all tables; see tables.h. */
#include "agent/restore/tables.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHECK_TIMEOUT_S (7u * 86400u) /* of one table, however large */

/* What makes the server open none of them: the names alone, escaped for use in a statement. */
static const char TABLES[] = "SELECT CONCAT('`', REPLACE(table_schema, '`', '``'), '`.`', "
                             "REPLACE(table_name, '`', '``'), '`') "
                             "FROM information_schema.tables WHERE table_type = 'BASE TABLE' OR "
                             "table_type = 'SYSTEM VERSIONED' "
                             "OR table_type = 'SEQUENCE' ORDER BY table_schema, table_name";

struct verdict {
    bool damaged, unopened;
    char why[256];
};

/* Rows: Table, Op, Msg_type, Msg_text. */
static struct verdict judge(MYSQL_RES *rows)
{
    struct verdict v = {.damaged = true};
    snprintf(v.why, sizeof v.why, "no answer");
    for (MYSQL_ROW row; rows && (row = mysql_fetch_row(rows));) {
        const char *kind = row[2] ? row[2] : "", *text = row[3] ? row[3] : "";
        bool fine = !strcmp(text, "OK") || !strcmp(text, "Table is already up to date");
        if (!strcasecmp(kind, "status") && fine)
            v.damaged = false;
        else if (!strcasecmp(kind, "status") &&
                 strstr(text, "doesn't support check")) /* CSV's, sequences' and others' note */
            v.damaged = false;
        else if (!strcasecmp(kind, "note") && strstr(text, "doesn't support check"))
            v.damaged = false;
        else {
            if (!strcasecmp(kind, "error") && strstr(text, "Unknown storage engine"))
                v.unopened = true;
            snprintf(v.why, sizeof v.why, "%s: %s", kind, text);
        }
    }
    return v;
}

bool tables_check(struct private_server *server, struct tables_result *t, struct gb_error *error)
{
    MYSQL_RES *names = NULL;
    unsigned damaged = 0;
    char first[600] = "", sql[1200];
    memset(t, 0, sizeof *t);
    struct connection *c = private_server_connect(server, CHECK_TIMEOUT_S, error);
    bool ok = c && private_server_query(server, c, TABLES, &names, error);
    for (MYSQL_ROW name; ok && names && (name = mysql_fetch_row(names));) {
        MYSQL_RES *rows = NULL;
        snprintf(sql, sizeof sql, "CHECK TABLE %s", name[0]);
        ok = private_server_query(server, c, sql, &rows, error);
        struct verdict v = judge(rows);
        if (rows)
            mysql_free_result(rows);
        if (!ok)
            break;
        if (v.unopened) {
            if (!t->unopened++)
                snprintf(t->unopened_first, sizeof t->unopened_first, "%s", name[0]);
            continue;
        }
        t->checked++;
        if (v.damaged && !damaged++)
            snprintf(first, sizeof first, "%s: %s", name[0], v.why);
    }
    if (names)
        mysql_free_result(names);
    connection_close(c);
    if (ok && damaged)
        ok = error_set(error, GB_table_damaged, "CHECK TABLE found %u of %u tables damaged; %s",
                       damaged, t->checked, first);
    return ok;
}
