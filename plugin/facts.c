/* What the manifest says of the image; see facts.h. */
#include "plugin/facts.h"
#include "plugin/position.h"
#include "plugin/progress.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* A position may have any number of domains: of a long one each fact (KEY, KEY+2, ...) is a
 * position of some of them. */
static void add_gtid(struct wire_facts *f, const char *key, const char *gtid)
{
  char name[64];
  snprintf(name, sizeof name, "%s", key);
  for (unsigned part = 2;; part++)
  {
    int n = position_cut(gtid, GTID_FACT_MAX);
    wire_add_fact(f, name, "%.*s", n, gtid);
    gtid += n;
    if (!*gtid)
      return;
    gtid++; /* the comma */
    snprintf(name, sizeof name, "%s+%u", key, part);
  }
}

void facts_fill(struct backup *b, struct wire_facts *f)
{
  struct progress p;
  progress_get(&p);
  char log_directory[1024]; /* as paths of files are: relative to the data directory where it is
                               below, "" where it is that one */
  inventory_clean_path(log_directory, sizeof log_directory, b->facts.innodb_log, b->facts.datadir);
  size_t n = strlen(log_directory);
  if (n > 1 && log_directory[n - 1] == '/')
    log_directory[n - 1] = '\0';
  wire_add_fact(f, "position", "%s", b->position);
  wire_add_fact(f, "uuid", "%s", b->at_pause.uuid);
  wire_add_fact(f, "seqno", "%" PRId64, b->galera ? b->at_pause.last_committed : -1);
  wire_add_fact(f, "lsn_start", "%" PRIu64, follower_log(b->follower)->checkpoint_lsn);
  wire_add_fact(f, "lsn_checkpoint_end", "%" PRIu64, follower_log(b->follower)->end_lsn);
  wire_add_fact(f, "lsn_end", "%" PRIu64, b->lsn_end);
  add_gtid(f, "gtid", b->gtid);
  add_gtid(f, "gtid_slave_pos", b->gtid_slave_pos);
  add_gtid(f, "gtid_binlog_pos", b->gtid_binlog_pos);
  wire_add_fact(f, "parallel_workers", "%" PRIu64, b->parallel);
  wire_add_fact(f, "binlog_file", "%s", p.binlog_file);
  wire_add_fact(f, "binlog_pos", "%" PRIu64, p.binlog_pos);
  if (p.own_warnings[0])
    wire_add_fact(f, "warnings", "%s", p.own_warnings);
  wire_add_fact(f, "server_version", "%s", b->facts.version);
  wire_add_fact(f, "datadir", "%s", b->facts.datadir);
  wire_add_fact(f, "innodb_page_size", "%s", b->facts.page_size);
  wire_add_fact(f, "innodb_log_file_size", "%s", b->facts.log_file_size);
  wire_add_fact(f, "innodb_log_group_home_dir", "%s", log_directory);
  wire_add_fact(f, "innodb_data_file_path", "%.1000s", b->facts.innodb_files);
  wire_add_fact(f, "innodb_checksum_algorithm", "%s", b->facts.checksum);
  char encrypted[24];
  struct gb_error ignored = {0}; /* the list may be switched off */
  if (sql_value(b->sql, 0, encrypted, sizeof encrypted, &ignored,
                "SELECT COUNT(*) FROM information_schema.INNODB_TABLESPACES_ENCRYPTION WHERE "
                "ENCRYPTION_SCHEME = 1"))
    wire_add_fact(f, "encrypted_tablespaces", "%s", encrypted);
  wire_add_fact(f, "ddl_blocked_ms", "%" PRIu64, p.ddl_blocked_us / 1000);
  wire_add_fact(f, "commit_blocked_ms", "%" PRIu64, p.commit_blocked_us / 1000);
  wire_add_fact(f, "blocked_ms", "%" PRIu64, p.blocked_us / 1000);
  wire_add_fact(f, "recv_queue_max", "%" PRIu64, p.recv_queue_max);
  wire_add_fact(f, "flow_control_sent", "%" PRIu64, p.flow_control_sent);
}
