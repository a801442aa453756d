/* BACKUP STAGE and desync; see stage.h. */
#include "plugin/stage.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Server error numbers (mysqld_error.h, same in 10.11 and 11.8) */
#define ER_LOCK_WAIT_TIMEOUT   1205u
#define ER_LOCK_DEADLOCK       1213u
#define ER_BACKUP_NOT_RUNNING  4146u
#define ER_BACKUP_STAGE_FAILED 4145u

bool stage_prepare(struct sql *sql, bool *galera, struct gb_error *error)
{
  char on[16];
  if (!sql_variable(sql, "wsrep_on", on, sizeof on, error))
    return false;
  *galera = !strcmp(on, "ON");
  return !*galera ||
         sql_run(sql, error, "SET SESSION wsrep_on=1, wsrep_sync_wait=0, wsrep_dirty_reads=1");
}

/* Somebody else has a lock that the last statement needs. */
static bool is_kept(const struct sql *sql)
{
  return sql_errno(sql) == ER_LOCK_WAIT_TIMEOUT || sql_errno(sql) == ER_LOCK_DEADLOCK;
}

enum stage_result stage_enter(struct sql *sql, const char *name, struct gb_error *error)
{
  struct gb_error why = {0};
  if (sql_run(sql, &why, "BACKUP STAGE %s", name))
    return STAGE_OK;
  unsigned number = sql_errno(sql);
  if (is_kept(sql) || number == ER_BACKUP_STAGE_FAILED)
    return STAGE_BUSY;
  if (number == ER_BACKUP_NOT_RUNNING)
    error_set(error, GB_stage_lost, "the server ended our backup stage before %s", name);
  else
    error_copy(error, &why);
  return STAGE_FAILED;
}

enum stage_result stage_close_table(struct sql *sql, const char *database, const char *table,
                                    struct gb_error *error)
{
  struct gb_error why = {0};
  if (sql_run(sql, &why, "FLUSH LOCAL TABLES `%s`.`%s`", database, table))
    return STAGE_OK;
  if (is_kept(sql))
    return STAGE_BUSY;
  error_copy(error, &why);
  return STAGE_FAILED;
}

bool stage_end(struct sql *sql, struct gb_error *error)
{
  struct gb_error why = {0};
  if (sql_run(sql, &why, "BACKUP STAGE END") || sql_errno(sql) == ER_BACKUP_NOT_RUNNING)
    return true;
  error_copy(error, &why);
  return false;
}

static bool take_status(void *context, char **column, unsigned count)
{
  struct node_state *s = context;
  if (count < 2 || !column[0] || !column[1])
    return true;
  const char *name = column[0], *value = column[1];
  if (!strcmp(name, "wsrep_local_state_uuid"))
    snprintf(s->uuid, sizeof s->uuid, "%s", value);
  else if (!strcmp(name, "wsrep_cluster_status"))
    snprintf(s->cluster_status, sizeof s->cluster_status, "%s", value);
  else if (!strcmp(name, "wsrep_local_state_comment"))
    snprintf(s->comment, sizeof s->comment, "%s", value);
  else if (!strcmp(name, "wsrep_last_committed"))
    s->last_committed = strtoll(value, NULL, 10);
  else if (!strcmp(name, "wsrep_desync_count"))
    s->desync_count = strtoll(value, NULL, 10);
  else if (!strcmp(name, "wsrep_local_recv_queue"))
    s->recv_queue = strtoull(value, NULL, 10);
  else if (!strcmp(name, "wsrep_flow_control_sent"))
    s->flow_control_sent = strtoull(value, NULL, 10);
  else if (!strcmp(name, "wsrep_ready"))
    s->ready = !strcmp(value, "ON");
  return true;
}

bool stage_node_state(struct sql *sql, bool galera, struct node_state *state,
                      struct gb_error *error)
{
  memset(state, 0, sizeof *state);
  state->galera = galera;
  state->last_committed = state->desync_count = -1;
  return !galera ||
         sql_rows(sql, take_status, state, error, "SHOW GLOBAL STATUS LIKE 'wsrep\\_%%'");
}

bool stage_desync(struct sql *sql, bool on, struct gb_error *error)
{
  return sql_run(sql, error, "SET GLOBAL wsrep_desync=%s", on ? "ON" : "OFF");
}

bool stage_desynced(struct sql *sql, bool *on, struct gb_error *error)
{
  char value[16];
  bool ok = sql_variable(sql, "wsrep_desync", value, sizeof value, error);
  *on = ok && !strcmp(value, "ON");
  return ok;
}
