/*
  Declaration, system variables, status variables. Nothing happens here: command.c validates,
  coordinator.c works, progress.c holds what is shown.

  A daemon plugin must carry the interface version of the very server that loads it. It is set
  before the server reads it, from the version that the server exports, so that one build loads on
  every release of a series that it supports (docs/internals/plugin.md). A server of another series
  is refused in init, by name.
*/
#include "plugin/server.h"
#include "plugin/command.h"
#include "plugin/coordinator.h"
#include "plugin/log.h"
#include "plugin/progress.h"
#include "common/processors.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEFAULT_SOCKET  "/run/galera-backup/agent.sock"
#define MIB             (1ull << 20)
#define STATUS_TEXT_MAX 1024u

static struct st_mysql_daemon descriptor = {MYSQL_DAEMON_INTERFACE_VERSION};
static bool supported;

static void __attribute__((constructor)) match_interface(void)
{
  unsigned major = 0, minor = 0, patch = 0;
  if (sscanf(server_version, "%u.%u.%u", &major, &minor, &patch) == 3)
    descriptor.interface_version = (int)((major * 10000 + minor * 100 + patch) << 8);
  supported = (major == 10 && minor == 11) || (major == 11 && minor == 8);
}

/* ---- system variables ---- */

static char *var_socket, *var_command;
static my_bool var_enabled;
static unsigned long long var_read_rate, var_busy_rate, var_ring_size, var_max_recv_queue;
static unsigned var_threads, var_lock_wait, var_block_timeout, var_resync_timeout;

/* More than so many readers at a time gain nothing, and cost the server memory bandwidth. */
#define AUTO_THREADS_MAX 8u

static unsigned default_threads(void)
{
  unsigned allowed = var_threads ? var_threads : processors();
  return var_threads || allowed < AUTO_THREADS_MAX ? allowed : AUTO_THREADS_MAX;
}

static struct command_defaults defaults(void)
{
  return (struct command_defaults){.socket = var_socket ? var_socket : DEFAULT_SOCKET,
                                   .enabled = var_enabled,
                                   .rate = var_read_rate,
                                   .busy_rate = var_busy_rate,
                                   .ring_size = var_ring_size,
                                   .max_recv_queue = var_max_recv_queue,
                                   .threads = default_threads(),
                                   .lock_wait_s = var_lock_wait,
                                   .block_timeout_ms = var_block_timeout,
                                   .resync_timeout_s = var_resync_timeout};
}

static int check_command(MYSQL_THD thd, struct st_mysql_sys_var *var, void *save,
                         struct st_mysql_value *value)
{
  (void)var;
  int length = 0;
  const char *text = value->val_str(value, NULL, &length);
  struct command_defaults d = defaults();
  if (!supported)
  {
    my_printf_error(22012,
                    "GB2012 unsupported_server: galera_backup does not support MariaDB %s; do: use "
                    "10.11 or 11.8",
                    MYF(0), server_version);
    return 1;
  }
  if (!text || !command_check(text, length, &d))
    return 1;
  *(const char **)save = thd_strmake(thd, "", 0);
  return 0;
}

static void update_command(MYSQL_THD thd, struct st_mysql_sys_var *var, void *to, const void *save)
{
  (void)thd;
  (void)var;
  (void)to;
  (void)save;
  command_update();
}

static MYSQL_SYSVAR_STR(command, var_command, PLUGIN_VAR_NOCMDOPT,
                        "Set by the procedures of schema galera_backup only", check_command,
                        update_command, "");
static MYSQL_SYSVAR_STR(agent_socket, var_socket, PLUGIN_VAR_RQCMDARG | PLUGIN_VAR_READONLY,
                        "Unix socket at which the agent listens", NULL, NULL, DEFAULT_SOCKET);
static MYSQL_SYSVAR_BOOL(enabled, var_enabled, PLUGIN_VAR_OPCMDARG, "OFF refuses to start backups",
                         NULL, NULL, 1);
static MYSQL_SYSVAR_ULONGLONG(
    read_rate, var_read_rate, PLUGIN_VAR_RQCMDARG,
    "Bytes a second that a backup reads at most unless it says otherwise; 0: no limit", NULL, NULL,
    0, 0, 1ull << 50, 0);
static MYSQL_SYSVAR_ULONGLONG(
    busy_rate, var_busy_rate, PLUGIN_VAR_RQCMDARG,
    "Bytes a second for each processor that a backup still reads while the server needs the "
    "processors for its own work; 0: as fast as it can",
    NULL, NULL, 5 * MIB, 0, 1ull << 40, 0);
static MYSQL_SYSVAR_UINT(
    threads, var_threads, PLUGIN_VAR_RQCMDARG,
    "Reader threads of a backup; 0: the processors that affinity and cgroup allow, 8 at most", NULL,
    NULL, 0, 0, 64, 0);
static MYSQL_SYSVAR_ULONGLONG(ring_size, var_ring_size, PLUGIN_VAR_RQCMDARG,
                              "Bytes of shared memory between server and agent while a backup runs",
                              NULL, NULL, 64 * MIB, 48 * MIB, 4096 * MIB, MIB);
static MYSQL_SYSVAR_UINT(lock_wait, var_lock_wait, PLUGIN_VAR_RQCMDARG,
                         "Seconds in all that a backup tries to get its locks", NULL, NULL, 60, 0,
                         86400, 0);
static MYSQL_SYSVAR_UINT(
    block_timeout, var_block_timeout, PLUGIN_VAR_RQCMDARG,
    "Milliseconds after which a backup lets go of BLOCK_DDL and tries again later", NULL, NULL,
    2000, 10, 60000, 0);
static MYSQL_SYSVAR_ULONGLONG(
    max_recv_queue, var_max_recv_queue, PLUGIN_VAR_RQCMDARG,
    "Write-sets in the receive queue above which a backup does not pause the node", NULL, NULL, 100,
    0, 1ull << 40, 0);
static MYSQL_SYSVAR_UINT(
    resync_timeout, var_resync_timeout, PLUGIN_VAR_RQCMDARG,
    "Seconds that the receive queue may take to empty before the node is resynced anyway", NULL,
    NULL, 600, 1, 86400, 0);
#ifdef GB_TEST_HOOKS
static char *var_test_hold;

static void update_test_hold(MYSQL_THD thd, struct st_mysql_sys_var *var, void *to,
                             const void *save)
{
  (void)thd;
  (void)var;
  *(const char **)to = coordinator_test_hold(*(const char *const *)save);
}

static MYSQL_SYSVAR_STR(test_hold, var_test_hold, PLUGIN_VAR_NOCMDOPT,
                        "Tests only: stage at which a backup waits", NULL, update_test_hold, "");
#endif

static struct st_mysql_sys_var *system_variables[] = {MYSQL_SYSVAR(command),
                                                      MYSQL_SYSVAR(agent_socket),
                                                      MYSQL_SYSVAR(enabled),
                                                      MYSQL_SYSVAR(read_rate),
                                                      MYSQL_SYSVAR(busy_rate),
                                                      MYSQL_SYSVAR(threads),
                                                      MYSQL_SYSVAR(ring_size),
                                                      MYSQL_SYSVAR(lock_wait),
                                                      MYSQL_SYSVAR(block_timeout),
                                                      MYSQL_SYSVAR(max_recv_queue),
                                                      MYSQL_SYSVAR(resync_timeout),
#ifdef GB_TEST_HOOKS
                                                      MYSQL_SYSVAR(test_hold),
#endif
                                                      NULL};

/* ---- status variables: one array, filled from one copy of the progress ---- */

#define STATUS_MAX 64u

struct snapshot
{
  struct progress p;
  struct st_mysql_show_var vars[STATUS_MAX + 1];
  long long numbers[STATUS_MAX];
  unsigned count;
  char started_at[32];
};

static void add_text(struct snapshot *s, const char *name, char *text)
{
  if (s->count < STATUS_MAX)
    s->vars[s->count++] = (struct st_mysql_show_var){name, text, SHOW_CHAR};
}

static void add_number(struct snapshot *s, const char *name, int64_t number)
{
  if (s->count < STATUS_MAX)
  {
    s->numbers[s->count] = number;
    s->vars[s->count] =
        (struct st_mysql_show_var){name, (char *)&s->numbers[s->count], SHOW_SLONGLONG};
    s->count++;
  }
}

static int64_t seconds(uint64_t from_us, uint64_t to_us)
{
  return from_us && to_us > from_us ? (int64_t)((to_us - from_us) / 1000000) : 0;
}

static void fill_running(struct snapshot *s, uint64_t now)
{
  struct progress *p = &s->p;
  static const char *const bottlenecks[] = {"", "source", "cpu", "store", "throttle", "lock"};
  uint64_t end = p->finished_us ? p->finished_us : now;
  bool running = !strcmp(p->state, "running");
  int64_t percent = !strcmp(p->state, "succeeded") ? 100
                    : p->bytes_total               ? (int64_t)(p->bytes_done * 100 / p->bytes_total)
                                                   : 0;
  if (running && percent > 99)
    percent = 99;
  int64_t eta = running ? (int64_t)progress_eta_s(p) : 0;
  add_number(s, "percent", percent);
  add_number(s, "eta_s", eta);
  add_text(s, "started_at", s->started_at);
  add_number(s, "elapsed_s", seconds(p->started_us, end));
  add_number(s, "stage_s", running ? seconds(p->stage_us, now) : 0);
  add_number(s, "bytes_total", (int64_t)p->bytes_total);
  add_number(s, "bytes_done", (int64_t)p->bytes_done);
  add_number(s, "bytes_stored", (int64_t)p->bytes_stored);
  add_number(s, "read_rate", running ? (int64_t)p->read_rate : 0);
  add_number(s, "store_rate", running ? (int64_t)p->store_rate : 0);
  add_text(s, "bottleneck", (char *)(uintptr_t)(running ? bottlenecks[p->bottleneck] : ""));
  add_number(s, "rate_limit", (int64_t)p->rate_limit);
  add_number(s, "busy_rate", (int64_t)p->busy_rate);
  add_number(s, "redo_bytes", (int64_t)p->redo_bytes);
  add_number(s, "redo_headroom_s", p->redo_headroom_s);
  add_text(s, "waiting_for", p->waiting_for);
  add_number(s, "desynced", p->desynced);
  add_number(s, "desync_s", seconds(p->desynced_us, p->resynced_us ? p->resynced_us : now));
}

static int show_status(MYSQL_THD thd, struct st_mysql_show_var *var, void *buffer,
                       struct system_status_var *unused, enum enum_var_type scope)
{
  (void)buffer;
  (void)unused;
  (void)scope;
  struct snapshot *s = thd_alloc(thd, sizeof *s);
  static struct st_mysql_show_var none[] = {{NULL, NULL, SHOW_UNDEF}};
  var->type = SHOW_ARRAY;
  var->value = (char *)none;
  if (!s)
    return 0;
  memset(s, 0, sizeof *s);
  progress_get(&s->p);
  struct progress *p = &s->p;
  struct tm tm;
  if (p->started_at && gmtime_r(&p->started_at, &tm))
    strftime(s->started_at, sizeof s->started_at, "%Y-%m-%d %H:%M:%S", &tm);
  static char version[] = GB_VERSION, parent[] = "";
  add_text(s, "version", version);
  add_text(s, "id", p->id);
  add_text(s, "cluster", p->cluster);
  add_text(s, "node", p->node);
  add_text(s, "type", p->type);
  add_text(s, "parent", parent);
  add_text(s, "state", p->state);
  add_text(s, "stage", p->stage);
  fill_running(s, now_us());
  add_number(s, "recv_queue", (int64_t)p->recv_queue);
  add_number(s, "recv_queue_max", (int64_t)p->recv_queue_max);
  add_number(s, "flow_control_sent", (int64_t)p->flow_control_sent);
  add_number(s, "ddl_blocked_ms", (int64_t)(p->ddl_blocked_us / 1000));
  add_number(s, "commit_blocked_ms", (int64_t)(p->commit_blocked_us / 1000));
  add_number(s, "blocked_ms", (int64_t)(p->blocked_us / 1000));
  add_text(s, "position", p->position);
  add_text(s, "gtid", p->gtid);
  add_text(s, "binlog_file", p->binlog_file);
  add_number(s, "binlog_pos", (int64_t)p->binlog_pos);
  add_number(s, "lsn_start", (int64_t)p->lsn_start);
  add_number(s, "lsn_end", (int64_t)p->lsn_end);
  add_text(s, "repositories", p->repositories);
  add_text(s, "resync", p->resync);
  add_text(s, "warnings", p->warnings);
  add_number(s, "error_code", p->error.code);
  add_text(s, "error", p->error.what);
  add_text(s, "hint", p->error.hint);
  add_number(s, "threads", p->threads);
  add_text(s, "user", p->user);
  add_text(s, "comment", p->comment);
  add_text(s, "check_id", p->check_id);
  add_number(s, "check_done", p->check_done);
#ifdef GB_TEST_HOOKS
  add_number(s, "test_held", p->test_held);
#endif
  s->vars[s->count] = none[0];
  var->value = (char *)s->vars;
  return 0;
}

static struct st_mysql_show_var status_variables[] = {
    {"galera_backup", (char *)show_status, SHOW_FUNC}, {NULL, NULL, SHOW_UNDEF}};

static int init(void *p)
{
  (void)p;
  if (!supported)
  {
    log_line(LOG_LEVEL_ERROR, "MariaDB %s is not supported; supported are 10.11 and 11.8",
             server_version);
    return 1;
  }
  log_line(LOG_LEVEL_NOTE, "version %s loaded", GB_VERSION);
  return 0;
}

static int deinit(void *p)
{
  (void)p;
  coordinator_shutdown();
  command_drop();
  return 0;
}

#pragma GCC visibility push(default) /* what the server looks up by name */
maria_declare_plugin(galera_backup){MYSQL_DAEMON_PLUGIN,
                                    &descriptor,
                                    "galera_backup",
                                    "The galera-backup developers",
                                    "Physical backups of MariaDB and Galera, started by SQL",
                                    PLUGIN_LICENSE_GPL,
                                    init,
                                    deinit,
                                    0x0001,
                                    status_variables,
                                    system_variables,
                                    GB_VERSION,
                                    MariaDB_PLUGIN_MATURITY_GAMMA} maria_declare_plugin_end;
#pragma GCC visibility pop
