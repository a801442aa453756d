/* Facts of the server and the checks of PREFLIGHT; see preflight.h. */
#include "plugin/server.h"
#include "plugin/preflight.h"
#include "plugin/engines.h"
#include "common/memory.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PLUGIN_MEMORY (32ull << 20) /* bytes that a backup takes beside the ring */

struct field
{
  const char *name;
  size_t offset, size;
};

#define FIELD(name, member)                                                                        \
  {                                                                                                \
    name, offsetof(struct facts, member), sizeof(((struct facts *)0)->member)                      \
  }

static const struct field fields[] = {
    FIELD("version", version),
    FIELD("datadir", datadir),
    FIELD("innodb_data_home_dir", innodb_home),
    FIELD("innodb_data_file_path", innodb_files),
    FIELD("innodb_undo_directory", innodb_undo),
    FIELD("innodb_log_group_home_dir", innodb_log),
    FIELD("aria_log_dir_path", aria_dir),
    FIELD("innodb_page_size", page_size),
    FIELD("innodb_log_file_size", log_file_size),
    FIELD("innodb_checksum_algorithm", checksum),
    FIELD("innodb_encrypt_log", encrypt_log),
    FIELD("wsrep_mode", wsrep_mode),
};

static bool take_variable(void *context, char **column, unsigned count)
{
  struct facts *f = context;
  if (count < 2 || !column[0] || !column[1])
    return true;
  for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++)
    if (!strcmp(column[0], fields[i].name))
      snprintf((char *)f + fields[i].offset, fields[i].size, "%s", column[1]);
  if (!strcmp(column[0], "wsrep_on"))
    f->galera = !strcmp(column[1], "ON");
  else if (!strcmp(column[0], "log_bin"))
    f->binlog = !strcmp(column[1], "ON");
  else if (!strcmp(column[0], "innodb_log_file_buffering"))
    f->log_direct = !strcmp(column[1], "OFF");
  else if (!strcmp(column[0], "wsrep_cluster_name") && f->galera)
    snprintf(f->cluster, sizeof f->cluster, "%s", column[1]);
  else if (!strcmp(column[0], "hostname") && !f->node[0])
    snprintf(f->node, sizeof f->node, "%s", column[1]);
  else if (!strcmp(column[0], "wsrep_node_name") && column[1][0] && f->galera)
    snprintf(f->node, sizeof f->node, "%s", column[1]);
  return true;
}

/* Makes a directory absolute, with a trailing slash. "" and "." mean the data directory. */
static void absolute(char *path, size_t size, const char *datadir)
{
  char full[2048];
  while (path[0] == '.' && (path[1] == '/' || !path[1]))
    memmove(path, path + (path[1] ? 2 : 1), strlen(path) + 1 - (path[1] ? 2 : 1));
  snprintf(full, sizeof full, "%s%s", path[0] == '/' ? "" : datadir, path);
  size_t n = strlen(full);
  if (n && full[n - 1] != '/' && n + 1 < sizeof full)
    strcpy(full + n, "/");
  snprintf(path, size, "%.*s", (int)size - 1, full);
}

bool facts_read(struct sql *sql, struct facts *facts, struct gb_error *error)
{
  memset(facts, 0, sizeof *facts);
  facts->log_direct = true;
  /* wsrep_on comes first, as what follows depends on it. */
  char on[16];
  if (!sql_variable(sql, "wsrep_on", on, sizeof on, error))
    return false;
  facts->galera = !strcmp(on, "ON");
  if (!sql_rows(
          sql, take_variable, facts, error,
          "SHOW GLOBAL VARIABLES WHERE Variable_name IN "
          "('version','datadir','innodb_data_home_dir',"
          "'innodb_data_file_path','innodb_undo_directory','innodb_log_group_home_dir','aria_log_"
          "dir_path',"
          "'innodb_page_size','innodb_log_file_size','innodb_checksum_algorithm','innodb_encrypt_"
          "log',"
          "'wsrep_mode','log_bin','innodb_log_file_buffering','wsrep_cluster_name','hostname',"
          "'wsrep_node_name')"))
    return false;
  absolute(facts->datadir, sizeof facts->datadir, "/");
  absolute(facts->innodb_home, sizeof facts->innodb_home, facts->datadir);
  absolute(facts->innodb_log, sizeof facts->innodb_log, facts->datadir);
  absolute(facts->innodb_undo, sizeof facts->innodb_undo, facts->datadir);
  absolute(facts->aria_dir, sizeof facts->aria_dir, facts->datadir);
  return true;
}

/* A check that ends the backup. */
static void fail(struct wire_checked *rows, const char *check, enum gb_code code,
                 struct gb_error *error, const char *what, const char *hint)
{
  if (rows)
    wire_add_check(rows, check, "FAIL", what, hint ? hint : error_default_hint(code));
  error_set(error, code, "%s", what);
  if (hint && error->code == code && !strcmp(error->what, what))
    error_hint(error, "%s", hint);
}

static void check_node(const struct facts *facts, const struct node_state *state,
                       struct wire_checked *rows, struct gb_error *error)
{
  char text[512];
  if (!facts->galera)
  {
    wire_add_check(rows, "node", "OK", "standalone server", "");
    return;
  }
  snprintf(text, sizeof text, "node %.64s is %s in a %s component", facts->node, state->comment,
           state->cluster_status);
  bool primary = !strcmp(state->cluster_status, "Primary") && state->ready;
  bool synced = !strcmp(state->comment, "Synced");
  bool desynced = !strcmp(state->comment, "Donor/Desynced") && state->desync_count > 0;
  if (primary && (synced || desynced))
    wire_add_check(rows, "node", "OK", text, "");
  else
    fail(rows, "node", GB_node_not_fit, error, text, NULL);
  if (strstr(facts->wsrep_mode, "BF_ABORT_MARIABACKUP"))
    fail(rows, "wsrep_mode", GB_unsupported_config, error,
         "wsrep_mode holds BF_ABORT_MARIABACKUP: an applier could abort the backup's lock",
         "take BF_ABORT_MARIABACKUP out of wsrep_mode, in my.cnf and by SET GLOBAL");
}

struct engines
{
  char names[256];
};

static bool take_engine(void *context, char **column, unsigned count)
{
  struct engines *e = context;
  if (!count || !column[0])
    return true;
  if (engines_know(column[0]))
    return true;
  size_t n = strlen(e->names);
  if (!strpbrk(column[0], "'\\\""))
    snprintf(e->names + n, sizeof e->names - n, "%s'%s'", n ? "," : "", column[0]);
  return true;
}

bool preflight_engines(struct sql *sql, struct wire_checked *rows, struct gb_error *error)
{
  struct engines unknown = {""};
  char tables[512] = "";
  if (!sql_rows(sql, take_engine, &unknown, error,
                "SELECT ENGINE FROM information_schema.ENGINES WHERE SUPPORT IN ('YES','DEFAULT')"))
    return false;
  /* Tables are only looked at where an engine is loaded that can't be backed up. */
  if (unknown.names[0] &&
      !sql_value(sql, 0, tables, sizeof tables, error,
                 "SELECT GROUP_CONCAT(TABLE_SCHEMA,'.',TABLE_NAME,' (',ENGINE,')' ORDER BY 1 "
                 "SEPARATOR ', ') FROM "
                 "(SELECT * FROM information_schema.TABLES WHERE ENGINE IN (%s) LIMIT 5) t",
                 unknown.names))
    return false;
  char text[600];
  snprintf(text, sizeof text, "tables of an engine that can't be backed up: %s", tables);
  if (tables[0])
    fail(rows, "engines", GB_unsupported_engine, error, text, NULL);
  else if (rows)
    wire_add_check(rows, "engines", "OK", "all tables are of engines that can be backed up", "");
  return true;
}

/* InnoDB's lists are plugins of information_schema that can be switched off. */
static bool check_list(struct sql *sql, struct wire_checked *rows, struct gb_error *first,
                       struct gb_error *error)
{
  char status[16] = "";
  if (!sql_value(sql, 0, status, sizeof status, error,
                 "SELECT COUNT(*) FROM information_schema.PLUGINS WHERE PLUGIN_STATUS = 'ACTIVE' "
                 "AND PLUGIN_NAME IN "
                 "('INNODB_SYS_TABLESPACES', 'INNODB_SYS_TABLES')"))
    return false;
  if (strcmp(status, "2"))
    fail(rows, "innodb", GB_unsupported_config, first,
         "information_schema.INNODB_SYS_TABLESPACES or INNODB_SYS_TABLES is switched off",
         "start the server with innodb-sys-tablespaces=ON and innodb-sys-tables=ON");
  return true;
}

/* Shared memory counts as the server's own: beyond a limit of its control group the kernel would
 * kill it. */
static void check_memory(uint64_t ring_size, struct wire_checked *rows, struct gb_error *error)
{
  uint64_t need = ring_size + PLUGIN_MEMORY, available = memory_available("");
  char text[256];
  snprintf(text, sizeof text,
           "the server can take %" PRIu64
           " MB more before it reaches a memory limit; a backup needs %" PRIu64 " MB",
           available >> 20, need >> 20);
  if (available && available < need)
    fail(rows, "memory", GB_no_memory, error, text, NULL);
  else if (available)
    wire_add_check(rows, "memory", "OK", text, "");
}

bool preflight(struct sql *sql, uint64_t ring_size, struct facts *facts, struct node_state *state,
               struct wire_checked *rows, struct gb_error *error)
{
  if (!facts_read(sql, facts, error) || !stage_node_state(sql, facts->galera, state, error))
    return false;
  struct gb_error first = {0};
  wire_add_check(rows, "server", "OK", facts->version, "");
  check_node(facts, state, rows, &first);
  if (!strcmp(facts->encrypt_log, "ON"))
    fail(rows, "redo_log", GB_unsupported_config, &first,
         "the redo log is encrypted (innodb_encrypt_log=ON)",
         "put innodb_encrypt_log=OFF into my.cnf and restart: this release can't follow an encrypted redo log");
  else
    wire_add_check(rows, "redo_log", "OK", facts->log_file_size, "");
  check_memory(ring_size, rows, &first);
  if (!check_list(sql, rows, &first, error) || !preflight_engines(sql, rows, error))
    return false;
  error_copy(error, &first);
  return !error->code;
}
