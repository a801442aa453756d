/* SQL inside the server; see sql.h. */
#include "plugin/server.h"
#include "plugin/sql.h"

#include <dlfcn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STATEMENT_MAX        4096
#define ER_UNKNOWN_COM_ERROR 1047u /* on a Galera node: it is not in the Primary component */

struct sql
{
  MYSQL *mysql;
  unsigned last_errno;
};

bool server_stopping(void)
{
  return abort_loop != 0;
}

bool sql_thread_begin(void)
{
  return my_thread_init() == 0;
}

void sql_thread_end(void)
{
  my_thread_end();
}

/* Adds to the server's count of connections that shutdown need not wait for. */
static void count_local(int by)
{
  static uint32_t *counter;
  static bool looked;
  if (!__atomic_load_n(&looked, __ATOMIC_ACQUIRE))
  {
    counter = dlsym(RTLD_DEFAULT, "local_connection_thread_count");
    __atomic_store_n(&looked, true, __ATOMIC_RELEASE);
  }
  if (counter)
    __atomic_fetch_add(counter, (uint32_t)by, __ATOMIC_SEQ_CST);
}

struct sql *sql_open(struct gb_error *error)
{
  struct sql *sql = calloc(1, sizeof *sql);
  if (!sql)
  {
    error_set(error, GB_no_memory, "no memory for a local connection");
    return NULL;
  }
  sql->mysql = mysql_init(NULL);
  if (!sql->mysql || !mysql_real_connect_local(sql->mysql))
  {
    error_set(error, GB_sql_failed, "no local connection: %s",
              sql->mysql ? mysql_error(sql->mysql) : "no memory");
    if (sql->mysql)
      mysql_close(sql->mysql);
    free(sql);
    return NULL;
  }
  count_local(-1);
  /* What a global setting gives each session must not change what statements mean, nor cut what
   * they list. */
  if (!sql_run(sql, error, "SET NAMES utf8mb4") ||
      !sql_run(
          sql, error,
          "SET SESSION lock_wait_timeout=1, time_zone='+00:00', max_statement_time=0, sql_mode='', "
          "autocommit=1, "
          "sql_select_limit=18446744073709551615, sql_big_selects=1, group_concat_max_len=1048576"))
  {
    sql_close(sql);
    return NULL;
  }
  return sql;
}

void sql_close(struct sql *sql)
{
  if (!sql)
    return;
  count_local(1);
  mysql_close(sql->mysql);
  free(sql);
}

unsigned sql_errno(const struct sql *sql)
{
  return sql->last_errno;
}

static bool __attribute__((format(printf, 3, 0)))
query(struct sql *sql, struct gb_error *error, const char *format, va_list args)
{
  char text[STATEMENT_MAX];
  int length = vsnprintf(text, sizeof text, format, args);
  sql->last_errno = 0;
  if (length < 0 || (size_t)length >= sizeof text)
    return error_set(error, GB_internal, "a statement of %d bytes is too long", length);
  if (mysql_real_query(sql->mysql, text, (unsigned long)length) == 0)
    return true;
  sql->last_errno = mysql_errno(sql->mysql);
  if (!sql->last_errno)
    sql->last_errno = ~0U;
  if (server_stopping())
    return error_set(error, GB_server_shutdown, "the server is shutting down");
  if (sql->last_errno == ER_UNKNOWN_COM_ERROR)
    return error_set(error, GB_node_not_fit,
                     "the node has left the Primary component: %.60s%s: error %u: %s", text,
                     strlen(text) > 60 ? "..." : "", sql->last_errno, mysql_error(sql->mysql));
  return error_set(error, GB_sql_failed, "%.60s%s: error %u: %s", text,
                   strlen(text) > 60 ? "..." : "", sql->last_errno, mysql_error(sql->mysql));
}

bool sql_run(struct sql *sql, struct gb_error *error, const char *format, ...)
{
  va_list args;
  va_start(args, format);
  bool ok = query(sql, error, format, args);
  va_end(args);
  if (ok)
  {
    MYSQL_RES *result = mysql_store_result(sql->mysql);
    if (result)
      mysql_free_result(result);
  }
  return ok;
}

bool sql_value(struct sql *sql, unsigned column, char *out, size_t size, struct gb_error *error,
               const char *format, ...)
{
  out[0] = '\0';
  va_list args;
  va_start(args, format);
  bool ok = query(sql, error, format, args);
  va_end(args);
  if (!ok)
    return false;
  MYSQL_RES *result = mysql_store_result(sql->mysql);
  if (!result)
    return true;
  MYSQL_ROW row = mysql_fetch_row(result);
  if (row && column < mysql_num_fields(result) && row[column])
    snprintf(out, size, "%s", row[column]);
  mysql_free_result(result);
  return true;
}

bool sql_rows(struct sql *sql, bool (*row)(void *context, char **columns, unsigned count),
              void *context, struct gb_error *error, const char *format, ...)
{
  va_list args;
  va_start(args, format);
  bool ok = query(sql, error, format, args);
  va_end(args);
  if (!ok)
    return false;
  MYSQL_RES *result = mysql_store_result(sql->mysql);
  if (!result)
    return true;
  unsigned count = mysql_num_fields(result);
  for (MYSQL_ROW columns; (columns = mysql_fetch_row(result));)
    if (!row(context, columns, count))
      break;
  mysql_free_result(result);
  return true;
}

bool sql_status(struct sql *sql, const char *name, char *out, size_t size, struct gb_error *error)
{
  return sql_value(sql, 1, out, size, error, "SHOW GLOBAL STATUS LIKE '%s'", name);
}

uint64_t sql_status_number(struct sql *sql, const char *name, struct gb_error *error)
{
  char text[64];
  return sql_status(sql, name, text, sizeof text, error) ? strtoull(text, NULL, 10) : 0;
}

bool sql_variable(struct sql *sql, const char *name, char *out, size_t size, struct gb_error *error)
{
  return sql_value(sql, 1, out, size, error, "SHOW GLOBAL VARIABLES LIKE '%s'", name);
}

bool sql_sessions(struct sql *sql, const char *condition, uint64_t *count, struct gb_error *error)
{
  char text[24];
  bool ok = sql_value(
      sql, 0, text, sizeof text, error,
      "SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE ID <> CONNECTION_ID() AND %s",
      condition);
  *count = strtoull(text, NULL, 10);
  return ok;
}
