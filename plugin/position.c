/* Where the image stands; see position.h. */
#include "plugin/position.h"
#include "plugin/progress.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool take_master(void *context, char **column, unsigned count)
{
  (void)context;
  struct progress *p = progress_lock();
  if (count >= 2 && column[0] && column[1])
  {
    snprintf(p->binlog_file, sizeof p->binlog_file, "%s", column[0]);
    p->binlog_pos = strtoull(column[1], NULL, 10);
  }
  progress_unlock();
  return false;
}

int position_cut(const char *gtid, size_t most)
{
  size_t n = strlen(gtid);
  if (n <= most)
    return (int)n;
  for (n = most; n && gtid[n] != ',';)
    n--;
  return (int)n;
}

static bool read_gtid(struct backup *b, const char *variable, char out[GTID_MAX])
{
  if (!sql_value(b->sql, 0, out, GTID_MAX, &b->error, "SELECT @@global.%s", variable))
    return false;
  if (strlen(out) + 1 < GTID_MAX)
    return true;
  error_set(&b->error, GB_unsupported_config, "%s has more than %u characters", variable, GTID_MAX);
  error_hint(&b->error, "take domains that are not used any more out of it: FLUSH BINARY LOGS "
                        "DELETE_DOMAIN_ID, SET GLOBAL gtid_slave_pos");
  return false;
}

/* A worker of a parallel replica that waits for the commit before its own gives BLOCK_COMMIT's lock
   away, and its transaction is prepared by then: a server that starts without that binary log
   refuses to (restore.md). Which of those at work wait is not told beyond doubt. */
static bool count_workers(struct backup *b)
{
  return sql_sessions(b->sql,
                      "COMMAND = 'Slave_worker' AND STATE <> 'Waiting for work from SQL thread'",
                      &b->parallel, &b->error);
}

bool position_take(struct backup *b)
{
  if (b->galera)
    snprintf(b->position, sizeof b->position, "%s:%" PRId64, b->node.uuid, b->node.last_committed);
  if (!b->galera && b->facts.binlog && !count_workers(b))
    return false;
  if (b->facts.binlog && !sql_rows(b->sql, take_master, NULL, &b->error, "SHOW MASTER STATUS"))
    return false;
  return (!b->facts.binlog || read_gtid(b, "gtid_binlog_pos", b->gtid_binlog_pos)) &&
         read_gtid(b, "gtid_current_pos", b->gtid) &&
         read_gtid(b, "gtid_slave_pos", b->gtid_slave_pos);
}
