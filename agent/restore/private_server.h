/*
  A mariadbd of our own in a restored directory: nobody else can reach it, and it does not outlive
  us.

  No network, no configuration file but for the plugins that open tables, no grants, no events, no
  replication, no Galera, no binary log, no plugins of the directory; its socket is in a directory
  of its own that only its user may enter. It runs as the owner of the data directory and is killed
  when this process ends, however it ends. What it says goes to a log that is kept.

  A wait ends when the server is ready or gone, when it has neither read nor written anything nor
  said a word for PRIVATE_SERVER_STALL_S, or when SIGINT, SIGTERM or SIGHUP comes (the handlers are
  set while a server is there). One server at a time.
*/
#ifndef GB_AGENT_RESTORE_PRIVATE_SERVER_H
#define GB_AGENT_RESTORE_PRIVATE_SERVER_H

#include "agent/mariadb/connection.h"
#include "agent/restore/layout.h"

#include <sys/types.h>

#define PRIVATE_SERVER_STALL_S 600u

struct private_server_spec {
    const char *program;
    const struct layout *layout;
    const char *log_home; /* innodb_log_group_home_dir; NULL: the data directory */
    const char *log_path; /* what it says is appended there */
    const char *settings; /* server_program_key_settings(); "": none */
    uint64_t buffer_pool; /* bytes */
    uid_t uid;            /* it runs as; -1: as this process */
    gid_t gid;
    bool wsrep_recover; /* print the Galera position and end */
    bool roll_back;     /* what was prepared to commit; some releases end then */
    /* Called with what recovery says, a line at a time. May be NULL. */
    void (*line)(void *context, const char *text);
    void *context;
};

struct private_server;

/* Starts it. spec must stay until private_server_free(). Errors: GB_recovery_failed. */
struct private_server *private_server_start(const struct private_server_spec *spec,
                                            struct gb_error *error);
/* Waits until recovery is done and it accepts connections. Errors: GB_recovery_failed (with the end
   of its log), GB_cancelled. */
bool private_server_wait_ready(struct private_server *server, struct gb_error *error);
/* A connection with all privileges; timeout_s as connection_open(). */
struct connection *private_server_connect(struct private_server *server, unsigned timeout_s,
                                          struct gb_error *error);
/* connection_query() on such a connection. Errors: GB_sql_failed, and as above if the server goes.
 */
bool private_server_query(struct private_server *server, struct connection *connection,
                          const char *sql, MYSQL_RES **result, struct gb_error *error);
/* Waits for the end of a server that ends by itself (wsrep_recover). Errors as above. */
bool private_server_wait_end(struct private_server *server, struct gb_error *error);
/* A clean shutdown. Errors as above. */
bool private_server_stop(struct private_server *server, struct gb_error *error);
/* Kills it if it still runs. NULL is allowed. */
void private_server_free(struct private_server *server);

/* The last line of its log since it was started that holds text, from there on; "" if there is
 * none. Returns out. */
const char *private_server_said(struct private_server *server, const char *text, char *out,
                                size_t size);

#endif
