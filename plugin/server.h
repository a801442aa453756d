/*
  The server's headers and exported symbols that this plugin uses, in one place.

  my_global.h forbids `bool` in C; what comes after this header uses stdbool again. Symbols that are
  not in any installed header are declared here with their type in sql/mysqld.h (same in 10.11
  and 11.8).
*/
#ifndef GB_PLUGIN_SERVER_H
#define GB_PLUGIN_SERVER_H

/* The server finds the services' pointers in us by name: they must not be hidden like all else. */
#pragma GCC visibility push(default)
#include <my_global.h>
#include <my_sys.h>
#include <mysql.h>
#include <mysql/plugin.h>
#include <my_pthread.h>
#undef bool
#include <stdbool.h>

#include <mysql/service_json.h>
#include <mysql/service_sql.h>
#pragma GCC visibility pop

#pragma GCC visibility push(default)
extern volatile char abort_loop; /* bool in the server: shutdown has begun */
extern int mysqld_server_started;
extern char server_version[];
extern char mysql_real_data_home[]; /* with a trailing slash */
#pragma GCC visibility pop

#endif
