/* A libmariadb connection to the local server; see connection.h. */
#include "agent/mariadb/connection.h"
#include "agent/storage/secret_file.h"

#include <errmsg.h>
#include <mysqld_error.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CONNECT_TIMEOUT_S 5u
#define DEFAULT_TIMEOUT_S 60u
#define PASSWORD_MAX      256

struct connection {
    MYSQL *mysql;
};

static struct connection *new_connection(unsigned timeout_s, struct gb_error *error)
{
    struct connection *c = calloc(1, sizeof *c);
    unsigned connect_timeout = CONNECT_TIMEOUT_S,
             timeout = timeout_s ? timeout_s : DEFAULT_TIMEOUT_S;
    if (!c || !(c->mysql = mysql_init(NULL))) {
        error_set(error, GB_internal, "no memory for a connection");
        free(c);
        return NULL;
    }
    mysql_options(c->mysql, MYSQL_OPT_CONNECT_TIMEOUT, &connect_timeout);
    mysql_options(c->mysql, MYSQL_OPT_READ_TIMEOUT, &timeout);
    mysql_options(c->mysql, MYSQL_OPT_WRITE_TIMEOUT, &timeout);
    mysql_options(c->mysql, MYSQL_SET_CHARSET_NAME, "utf8mb4");
    return c;
}

/* After mysql_real_connect(): connected, or closed and *error set. */
static struct connection *opened(struct connection *c, bool ok, const char *where, const char *user,
                                 struct gb_error *error)
{
    if (!ok) {
        unsigned number = mysql_errno(c->mysql);
        bool denied = number == ER_ACCESS_DENIED_ERROR || number == ER_ACCOUNT_HAS_BEEN_LOCKED ||
                      number == ER_ACCESS_DENIED_NO_PASSWORD_ERROR;
        error_set(error, denied ? GB_access_denied : GB_server_unreachable, "%s%s%s: %s", where,
                  user ? " as user " : "", user ? user : "", mysql_error(c->mysql));
    } else if (connection_query(c, "SET SESSION time_zone='+00:00'", NULL, NULL, error))
        return c;
    connection_close(c);
    return NULL;
}

struct connection *connection_open(const struct config *config, unsigned timeout_s,
                                   struct gb_error *error)
{
    struct connection *c = new_connection(timeout_s, error);
    char password[PASSWORD_MAX] = "";
    if (c && config->server_password_file[0] &&
        !secret_file_line("password-file", config->server_password_file, password, sizeof password,
                          error)) {
        connection_close(c);
        return NULL;
    }
    if (!c)
        return NULL;
    bool ok = mysql_real_connect(c->mysql, "localhost", config->server_sql_user, password, NULL, 0,
                                 config->server_socket, CLIENT_MULTI_RESULTS) != NULL;
    explicit_bzero(password, sizeof password);
    return opened(c, ok, config->server_socket, config->server_sql_user, error);
}

/* "HOST", "HOST:PORT", "[IPv6]:PORT"; an IPv6 address without a port needs no brackets. */
static bool split_address(const char *address, char *host, size_t size, unsigned *port)
{
    bool bracket = address[0] == '[';
    const char *end = bracket ? strchr(address, ']') : strchr(address, ':');
    if (!bracket && end && strchr(end + 1, ':'))
        end = NULL;
    size_t length = end ? (size_t)(end - address) - bracket : strlen(address);
    if ((bracket && !end) || !length || length >= size)
        return false;
    snprintf(host, size, "%.*s", (int)length, address + bracket);
    const char *rest = end ? end + bracket : "";
    char *stop = NULL;
    *port = *rest ? (unsigned)strtoul(rest + 1, &stop, 10) : 0;
    return !*rest || (*rest == ':' && rest[1] >= '0' && rest[1] <= '9' && !*stop && *port >= 1 &&
                      *port <= 65535);
}

struct connection *connection_open_host(const char *address, unsigned timeout_s,
                                        struct gb_error *error)
{
    char host[256];
    unsigned port, tcp = MYSQL_PROTOCOL_TCP;
    if (!split_address(address, host, sizeof host, &port)) {
        error_set(error, GB_bad_value, "\"%s\" is not HOST, HOST:PORT or [IPv6]:PORT", address);
        return NULL;
    }
    struct connection *c = new_connection(timeout_s, error);
    if (!c)
        return NULL;
    mysql_options(c->mysql, MYSQL_READ_DEFAULT_GROUP, "client");
    mysql_options(c->mysql, MYSQL_OPT_PROTOCOL, &tcp);
    bool ok = mysql_real_connect(c->mysql, host, NULL, NULL, NULL, port, NULL,
                                 CLIENT_MULTI_RESULTS) != NULL;
    c = opened(c, ok, address, NULL, error);
    if (!c && error->code == GB_access_denied)
        error_hint(error, "user and password come from [client] in ~/.my.cnf or /etc/mysql/my.cnf; "
                          "any account will do");
    return c;
}

void connection_close(struct connection *c)
{
    if (!c)
        return;
    mysql_close(c->mysql);
    free(c);
}

MYSQL *connection_handle(struct connection *c)
{
    return c->mysql;
}

/* "GBnnnn name: what; do: hint" back into an error. */
static bool from_text(const char *text, struct gb_error *error)
{
    unsigned number;
    int at = 0;
    if (sscanf(text, "GB%4u %*[a-z_]: %n", &number, &at) < 1 || !at)
        return false;
    const char *hint = strstr(text + at, "; do: ");
    int length = hint ? (int)(hint - text) - at : (int)strlen(text + at);
    error_set(error, error_from_number(number), "%.*s", length, text + at);
    if (hint)
        error_hint(error, "%s", hint + 6);
    return true;
}

bool connection_query(struct connection *c, const char *sql, MYSQL_RES **result,
                      unsigned *sql_errno, struct gb_error *error)
{
    if (result)
        *result = NULL;
    int failed = mysql_query(c->mysql, sql);
    bool first = true;
    while (!failed) {
        MYSQL_RES *r = mysql_store_result(c->mysql);
        if (r && first && result)
            *result = r;
        else if (r)
            mysql_free_result(r);
        first = first && !r;
        int more = mysql_next_result(c->mysql);
        if (more < 0) {
            if (sql_errno)
                *sql_errno = 0;
            return true;
        }
        failed = more > 0;
    }
    unsigned number = mysql_errno(c->mysql);
    if (sql_errno)
        *sql_errno = number;
    if (result && *result) {
        mysql_free_result(*result);
        *result = NULL;
    }
    if (number == CR_SERVER_LOST || number == CR_SERVER_GONE_ERROR)
        return error_set(error, GB_connection_lost, "the connection to the server was lost");
    if (from_text(mysql_error(c->mysql), error))
        return false;
    bool denied = number == ER_DBACCESS_DENIED_ERROR || number == ER_TABLEACCESS_DENIED_ERROR ||
                  number == ER_PROCACCESS_DENIED_ERROR || number == ER_SPECIFIC_ACCESS_DENIED_ERROR;
    error_set(error, denied ? GB_access_denied : GB_sql_failed, "error %u: %s", number,
              mysql_error(c->mysql));
    if (number == ER_BAD_DB_ERROR || number == ER_SP_DOES_NOT_EXIST || number == ER_NO_SUCH_TABLE)
        error_hint(error,
                   "the schema galera_backup is missing or of another release: run install.sql");
    return false;
}

char *connection_quote(struct connection *c, const char *text)
{
    if (!text)
        return strdup("NULL");
    size_t size = strlen(text);
    char *out = malloc(2 * size + 3);
    if (!out)
        return NULL;
    out[0] = '\'';
    size_t n = mysql_real_escape_string(c->mysql, out + 1, text, (unsigned long)size);
    memcpy(out + 1 + n, "'", 2);
    return out;
}
