/* The command variable; see command.h. */
#include "plugin/server.h"
#include "plugin/command.h"
#include "plugin/coordinator.h"
#include "plugin/survey.h"
#include "plugin/log.h"
#include "plugin/request.h"

#include <mysqld_error.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define AGENT_TIMEOUT_MS 1000u
#define SQL_NUMBER_BASE  20000 /* SQL error number of GBnnnn */

/* What check has accepted and update will run. One at a time: the server serialises neither, so the
 * mutex does. */
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static struct
{
  bool set;
  struct backup_options options;
  struct channel *channel;
  struct wire_checked *agent;
} accepted;

static void raise_sql(const struct gb_error *error)
{
  char text[GB_ERROR_TEXT_MAX + GB_ERROR_HINT_MAX + 32];
  snprintf(text, sizeof text, "GB%04d %s: %s; do: %s", (int)error->code, error_name(error->code),
           error->what, error->hint);
  my_printf_error(SQL_NUMBER_BASE + (unsigned)error->code, "%s", MYF(0), text);
}

/* ---- operations ---- */

/* node and cluster come with the command: the procedure can read them without borrowing this
 * thread's session. */
static void hello_of(const struct backup_options *o, struct wire_hello *h)
{
  memset(h, 0, sizeof *h);
  h->version_min = WIRE_VERSION_MIN;
  h->version_max = WIRE_VERSION_MAX;
  snprintf(h->server_version, sizeof h->server_version, "%s", server_version);
  snprintf(h->node, sizeof h->node, "%s", o->node);
  snprintf(h->cluster, sizeof h->cluster, "%s", o->cluster);
}

static void drop_accepted(void)
{
  channel_close(accepted.channel);
  free(accepted.agent);
  memset(&accepted, 0, sizeof accepted);
}

static bool accept_command(const struct backup_options *o, struct channel *channel,
                           struct wire_checked *agent)
{
  pthread_mutex_lock(&mutex);
  drop_accepted();
  accepted.set = true;
  accepted.options = *o;
  accepted.channel = channel;
  accepted.agent = agent;
  pthread_mutex_unlock(&mutex);
  return true;
}

static bool op_start(const struct backup_options *o, const struct command_defaults *d,
                     struct gb_error *error)
{
  if (!d->enabled)
    return error_set(error, GB_disabled,
                     "backups are switched off on this node (galera_backup_enabled=OFF)");
  if (!coordinator_idle(error))
    return false;
  struct wire_hello hello;
  hello_of(o, &hello);
  struct channel *ch = channel_open(d->socket, &hello, AGENT_TIMEOUT_MS, error);
  if (!ch)
    return false;
  /* To a dry run the agent answers as to a start, and begins nothing. */
  struct wire_start start = {.id = ""};
  snprintf(start.id, sizeof start.id, "%s", o->id);
  snprintf(start.type, sizeof start.type, "%s", o->dry_run ? "dry-run" : "full");
  snprintf(start.repositories, sizeof start.repositories, "%s", o->repositories);
  snprintf(start.comment, sizeof start.comment, "%s", o->comment);
  snprintf(start.user, sizeof start.user, "%s", o->user);
  snprintf(start.cluster_uuid, sizeof start.cluster_uuid, "%s", o->cluster_uuid);
  snprintf(start.hold, sizeof start.hold, "%s", o->hold);
  snprintf(start.verify, sizeof start.verify, "%s", o->verify);
  struct wire_ready ready;
  if (!channel_start(ch, &start, &ready, AGENT_TIMEOUT_MS, error))
  {
    channel_close(ch);
    return false;
  }
  if (o->dry_run)
  {
    channel_close(ch);
    return accept_command(o, NULL, NULL);
  }
  my_printf_error(ER_UNKNOWN_ERROR, "repositories|%.400s", MYF(ME_WARNING), ready.repositories);
  return accept_command(o, ch, NULL);
}

static bool op_check(struct backup_options *o, const struct command_defaults *d,
                     struct gb_error *error)
{
  if (!coordinator_idle(error))
    return false;
  struct wire_hello hello;
  struct stat st; /* mariadbd's working directory is its data directory */
  struct survey survey;
  survey_take("./", &survey);
  struct wire_check check = {.bytes_estimate = survey.bytes,
                             .datadir_device = stat(".", &st) ? 0 : (uint64_t)st.st_dev};
  struct wire_checked *agent = calloc(1, sizeof *agent);
  if (!agent)
    return error_set(error, GB_no_memory, "no memory for the check");
  hello_of(o, &hello);
  snprintf(check.repositories, sizeof check.repositories, "%s", o->repositories);
  snprintf(check.cluster_uuid, sizeof check.cluster_uuid, "%s", o->cluster_uuid);
  struct gb_error problem = {0};
  struct channel *ch = channel_open(d->socket, &hello, AGENT_TIMEOUT_MS, &problem);
  if (!ch || !channel_check(ch, &check, agent, AGENT_TIMEOUT_MS, &problem))
  {
    agent->count = 1;
    snprintf(agent->row[0].check, sizeof agent->row[0].check, "agent");
    snprintf(agent->row[0].result, sizeof agent->row[0].result, "FAIL");
    snprintf(agent->row[0].detail, sizeof agent->row[0].detail, "%s", problem.what);
    snprintf(agent->row[0].remedy, sizeof agent->row[0].remedy, "%s", problem.hint);
  }
  channel_close(ch);
  o->check = true;
  return accept_command(o, NULL, agent);
}

static bool op_check_rows(const char *id, struct gb_error *error)
{
  struct wire_checked *rows = calloc(1, sizeof *rows);
  bool ok = rows && coordinator_check_rows(id, rows);
  for (uint32_t i = 0; ok && i < rows->count; i++)
  {
    for (char *c = rows->row[i].detail; *c; c++)
      if (*c == '|')
        *c = '/';
    my_printf_error(ER_UNKNOWN_ERROR, "%s|%s|%.200s|%.200s", MYF(ME_WARNING), rows->row[i].check,
                    rows->row[i].result, rows->row[i].detail, rows->row[i].remedy);
  }
  free(rows);
  return ok || error_set(error, GB_not_found, "there is no check %s", id);
}

/* Answers by a warning: until when it is held now. */
static bool op_hold(const struct backup_options *o, const struct command_defaults *d,
                    struct gb_error *error)
{
  struct wire_hello hello;
  struct wire_hold hold = {.id = ""};
  struct wire_held held;
  hello_of(o, &hello);
  snprintf(hold.id, sizeof hold.id, "%s", o->id);
  snprintf(hold.until, sizeof hold.until, "%s", o->hold);
  snprintf(hold.cluster_uuid, sizeof hold.cluster_uuid, "%s", o->cluster_uuid);
  struct channel *ch = channel_open(d->socket, &hello, AGENT_TIMEOUT_MS, error);
  bool ok = ch && channel_hold(ch, &hold, &held, AGENT_TIMEOUT_MS, error);
  channel_close(ch);
  if (ok)
    my_printf_error(ER_UNKNOWN_ERROR, "held|%s", MYF(ME_WARNING), held.until);
  return ok;
}

static bool run(const char *json, int length, const struct command_defaults *d,
                struct gb_error *error)
{
  struct request r = {.options = {.rate = d->rate,
                                  .busy_rate = d->busy_rate,
                                  .threads = d->threads,
                                  .lock_wait_s = d->lock_wait_s,
                                  .block_timeout_ms = d->block_timeout_ms,
                                  .resync_timeout_s = d->resync_timeout_s,
                                  .max_recv_queue = d->max_recv_queue,
                                  .ring_size = d->ring_size}};
  if (!request_parse(json, length, &r, error))
    return false;
  switch (r.op)
  {
  case REQUEST_START:
    return op_start(&r.options, d, error);
  case REQUEST_CHECK:
    return op_check(&r.options, d, error);
  case REQUEST_CHECK_ROWS:
    return op_check_rows(r.options.id, error);
  case REQUEST_HOLD:
    return op_hold(&r.options, d, error);
  case REQUEST_CANCEL:
    return coordinator_cancel(r.options.id, error);
  case REQUEST_SET:
    return coordinator_set(r.set_rate, r.set_busy_rate, r.set_threads, error);
  }
  return false;
}

bool command_check(const char *json, int length, const struct command_defaults *defaults)
{
  struct gb_error error = {0};
  if (run(json, length, defaults, &error))
    return true;
  raise_sql(&error);
  return false;
}

bool command_update(void)
{
  pthread_mutex_lock(&mutex);
  bool set = accepted.set;
  struct backup_options o = accepted.options;
  struct channel *ch = accepted.channel;
  struct wire_checked *agent = accepted.agent;
  memset(&accepted, 0, sizeof accepted);
  pthread_mutex_unlock(&mutex);
  if (!set)
    return true;
  struct gb_error error = {0};
  bool ok = coordinator_start(&o, ch, agent, &error);
  free(agent);
  if (!ok)
    raise_sql(&error);
  return ok;
}

void command_drop(void)
{
  pthread_mutex_lock(&mutex);
  drop_accepted();
  pthread_mutex_unlock(&mutex);
}
