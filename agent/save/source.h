/*
  What a save takes: a data directory in which no server runs, and what outside it belongs to it.

  Everything in the directory is taken but sockets, pipes, devices and the pid files at its top: a
  save is for what nobody has judged yet, so nothing is left out for not being needed. Outside it
  belong the files and directories that symbolic links lead to (databases and MyISAM tables
  elsewhere) and the tablespaces that .isl files name (DATA DIRECTORY). What a setting alone names
  (innodb_undo_directory, innodb_data_home_dir, log_bin) can't be known from the directory: what is
  missing there and usually isn't, source_open() says in its warnings.

  From source_open() to source_close() the directory's ibdata1 and aria_log_control are locked for
  reading, where they are: a server that is started meanwhile waits for them and then gives up.
  Locks of the open file, not of the process: no close() of another descriptor drops them.
*/
#ifndef GB_AGENT_SAVE_SOURCE_H
#define GB_AGENT_SAVE_SOURCE_H

#include "common/error.h"

#include <stdint.h>
#include <sys/stat.h>

/* Directories outside the data directory are in the list too, with their absolute paths: what is in
 * them names them. */
struct source_file {
    uint8_t kind; /* WIRE_KIND_OTHER, WIRE_KIND_DIRECTORY, INDEX_KIND_LINK, INDEX_KIND_OUTSIDE */
    uint32_t mode;
    uint64_t size;      /* bytes; of a link: of where it leads to */
    uint64_t allocated; /* bytes on disk, at most size */
    char *name;         /* relative to the data directory, absolute if outside */
    char *path;         /* to open it by; of a link: where it leads to */
    dev_t device;
    ino_t inode;
};

#define SOURCE_NOTES_MAX 20u /* texts that are kept; more are counted */

struct source_notes {
    char *text[SOURCE_NOTES_MAX];
    unsigned count; /* of all */
};

struct source {
    char *datadir; /* real path */
    struct source_file *files;
    size_t count, capacity;
    uint64_t bytes, allocated;    /* sums over the files */
    unsigned outside;             /* files that are not in the data directory */
    struct source_notes left_out; /* sockets, pid files, ... */
    struct source_notes warnings;
    char server_version[64]; /* as mariadb_upgrade_info says; "" if it is not there */
    char galera_state[128];  /* "uuid:seqno" of grastate.dat, "" if it is not there */
    int lock[2];
};

/* repository: the directory it is in, which must not be among what is saved; NULL if it is none. To
   be closed in any case. Errors: GB_source_not_datadir, GB_source_in_use, GB_source_failed,
   GB_target_unfinished, GB_bad_value (repository inside). */
bool source_open(struct source *source, const char *datadir, const char *repository,
                 struct gb_error *error);
void source_close(struct source *source);

#endif
