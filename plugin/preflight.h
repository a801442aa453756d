/*
  What a backup must know of the server, and whether it may begin: the checks of PREFLIGHT.
  BACKUP_CHECK shows them as rows; a backup fails with the first that says FAIL.
*/
#ifndef GB_PLUGIN_PREFLIGHT_H
#define GB_PLUGIN_PREFLIGHT_H

#include "common/wire.h"
#include "plugin/stage.h"

struct facts
{
  bool galera;
  char version[64];         /* @@version */
  char node[WIRE_NAME_MAX]; /* wsrep_node_name, else hostname */
  char cluster[WIRE_NAME_MAX];
  char datadir[1024];      /* with a trailing slash */
  char innodb_home[1024];  /* innodb_data_home_dir, "" = datadir */
  char innodb_files[1024]; /* innodb_data_file_path */
  char innodb_undo[1024];
  char innodb_log[1024]; /* innodb_log_group_home_dir, absolute */
  char aria_dir[1024];   /* absolute, with a trailing slash */
  char page_size[16], log_file_size[24], checksum[32];
  bool log_direct; /* the redo log is written with O_DIRECT */
  bool binlog;
  char encrypt_log[8], wsrep_mode[256];
};

bool facts_read(struct sql *sql, struct facts *facts, struct gb_error *error);

/* All checks of the server. ring_size: bytes of shared memory that the backup will take. state: of
   the node, filled. Errors: that of the first check that fails; all rows are there nonetheless. */
bool preflight(struct sql *sql, uint64_t ring_size, struct facts *facts, struct node_state *state,
               struct wire_checked *rows, struct gb_error *error);

/* Whether all tables are of engines that can be backed up; false, or GB_unsupported_engine, which
   names some that are not. rows may be NULL. */
bool preflight_engines(struct sql *sql, struct wire_checked *rows, struct gb_error *error);

#endif
