/*
  The configuration file (my.cnf-style sections) as one struct. Unknown sections and keys are errors
  that name the nearest known one, the file and the line. docs/configuration.md is made from the
  same table (options.def).
*/
#ifndef GB_AGENT_CONFIG_H
#define GB_AGENT_CONFIG_H

#include "agent/repository/repository.h"

#define CONFIG_DEFAULT_FILE     "/etc/galera-backup/galera-backup.cnf"
#define CONFIG_STATE_DIR        "/var/lib/galera-backup-agent"
#define CONFIG_REPOSITORIES_MAX 16
#define CONFIG_MIN_FREE_PERCENT 10 /* of a repository that does not say */

struct config {
    /* [agent] */
    char cluster[WIRE_NAME_MAX]; /* "" = what the server says (wsrep_cluster_name), else the node's
                                    name */
    char socket[108];            /* /run/galera-backup/agent.sock */
    char server_user[64]; /* OS user whose processes may connect, beside root and our own; mysql */
    uint64_t redo_memory; /* bytes; 128M */
    char redo_spool[WIRE_PATH_MAX]; /* directory for redo beyond that; "" = none */
    uint64_t redo_spool_size;       /* bytes; 4G */
    unsigned threads;               /* 0 = auto: from the cgroup's CPU limit */
    char state_dir[WIRE_PATH_MAX];  /* what the agent remembers: repository/remembered.h */
    unsigned stall_timeout_s; /* a store that takes nothing for so long fails the backup; 15m */
    /* [server] */
    char server_socket[108];                  /* /run/mysqld/mysqld.sock */
    char server_sql_user[64];                 /* galera-backup */
    char server_password_file[WIRE_PATH_MAX]; /* "" = unix_socket authentication */
    /* [repository:NAME], in the order of the file */
    struct repository_spec repositories[CONFIG_REPOSITORIES_MAX];
    unsigned repository_count;
};

/* Defaults, then the file. path NULL: CONFIG_DEFAULT_FILE, whose absence is not an error (a
   repository named "default", directory /var/lib/galera-backup, is there then). Errors:
   GB_bad_config. */
bool config_load(struct config *config, const char *path, struct gb_error *error);

/* The repository of that name ("" or NULL: "default", else the first). Errors:
 * GB_repository_unknown. */
const struct repository_spec *config_repository(const struct config *config, const char *name,
                                                struct gb_error *error);

/* Sets a key of a repository in an object store (its type is set) from its text. place: for
 * messages. Errors: GB_bad_config. */
bool config_set_remote(struct repository_spec *spec, const char *place, const char *name,
                       const char *value, struct gb_error *error);

/* "100M" as bytes; units K, M, G, T (of 1024). False if text is not such a number. */
bool config_bytes(const char *text, uint64_t *bytes);

#endif
