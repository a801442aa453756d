/*
  A data directory from a backup: plan first, then clear the place, then write, then make it
  bootable; in this order, so that what is unfinished can never be started (docs/restore.md). A
  restore that was interrupted goes on: internals/restore.md.
*/
#ifndef GB_AGENT_RESTORE_RESTORE_H
#define GB_AGENT_RESTORE_RESTORE_H

#include "agent/repository/elsewhere.h"
#include "agent/restore/marker.h"

#include <sys/types.h>

#define RESTORE_MAPS_MAX 64

struct restore_map { /* --map; absolute paths, not owned */
    char from[WIRE_PATH_MAX], to[WIRE_PATH_MAX];
};

enum restore_replace { RESTORE_REFUSE, RESTORE_KEEP, RESTORE_DELETE };

struct restore_request {
    const char *datadir;
    const char *owner; /* USER[:GROUP] or NULL */
    bool galera;       /* write grastate.dat */
    bool safe_to_bootstrap;
    bool stay_guarded;   /* more is to be done before a server may start: the caller calls
                            target_end() */
    bool changes;        /* that changes the files: once it has begun they can't be gone on with */
    unsigned threads;    /* 0: as many as there are processors */
    uint64_t limit_rate; /* bytes a second of what is read from the repository; 0: no limit */
    enum restore_replace replace; /* what becomes of old content */
    bool restart;                 /* begin anew where an unfinished restore could go on */
    const struct restore_map *maps;
    unsigned map_count;
    struct elsewhere
        *elsewhere; /* where else the backup may be, for what can't be read; may be NULL */
    /* Called now and then, from the thread that called restore_run(). */
    void (*progress)(void *context, uint64_t done, uint64_t total);
    void *context;
};

enum restore_start {
    RESTORE_FRESH,  /* into a directory that is empty, or is emptied first */
    RESTORE_GO_ON,  /* where an interrupted one ended */
    RESTORE_ANEW,   /* what an interrupted one left is removed first */
    RESTORE_FINISH, /* an interrupted one had all but taken the guard away */
};

struct restore_plan {
    uint64_t files,
        bytes;          /* of the backup; to be written: what the frames hold, and the redo log */
    uint64_t stored;    /* bytes to be read from the repository */
    uint64_t done;      /* of bytes: on disk already */
    uint64_t available; /* free bytes where the data directory is, and what is removed first */
    unsigned outside;   /* files, and the redo log, outside the data directory (absolute paths) */
    unsigned threads;
    uint64_t seconds; /* estimate: reading and unpacking were measured, writing is assumed */
    uid_t uid;        /* of what is written; -1: this process's */
    gid_t gid;
    enum restore_start start;
    bool replaces;      /* there is old content, and request->replace says what becomes of it */
    bool empty;         /* none of it in the data directory */
    uint64_t old_bytes; /* of that content, or of what the unfinished restore left */
    char **original;  /* by place in index->files: the path in the backup of what --map moves, else
                         NULL */
    uint8_t *written; /* by frame: it is on disk */
    struct marker marker, previous; /* ours; that of the unfinished restore */
    size_t file_count;
    int lock; /* target_lock(); -1: none. Before restore_plan() it must be -1 */
};

/* Reads the index, applies --map to it, checks target and space. index: filled, the caller frees
   it; plan: with restore_plan_free(), in any case. Nothing is written. Errors: GB_target_not_empty,
   GB_target_in_use, GB_target_no_space, GB_target_unfinished, GB_target_failed, GB_corrupt_backup,
   GB_not_supported, GB_bad_value. */
bool restore_plan(struct repository *repository, const struct manifest *manifest,
                  const struct restore_request *request, struct index *index,
                  struct restore_plan *plan, struct gb_error *error);
void restore_plan_free(struct restore_plan *plan);

/* Writes it. Errors: GB_target_failed, GB_target_no_space, GB_corrupt_backup, GB_not_supported
 * (settle.h). */
bool restore_run(struct repository *repository, const struct manifest *manifest,
                 const struct index *index, const struct restore_request *request,
                 struct restore_plan *plan, struct gb_error *error);

/* Whether files outside the data directory, as they are now, still fit the plan. Errors:
 * GB_target_in_use, GB_target_not_empty. */
bool restore_look_outside(const struct restore_request *request, const struct index *index,
                          const struct restore_plan *plan, struct gb_error *error);

/* Where a file of the backup goes: its path there is relative to the data directory, or absolute.
 */
void restore_target_path(const struct restore_request *request, const char *path, char *out,
                         size_t size);

/* Files that a server is started by have another name until the directory is whole, and a guard has
   theirs: ib_logfile0, Aria's control file, grastate.dat. So have all outside the data directory:
   what has the name itself there is not this restore's. Links of a save are files (saved.h). */
#define RESTORE_SUFFIX ".restoring"
bool restore_is_held(const struct index_file *file);
/* Where the bytes of a file are written. */
void restore_writing_path(const struct restore_request *request, const struct index_file *file,
                          char *out, size_t size);

/* Where the redo log goes, for target_end(); false: a save without one. */
bool restore_log_path(const struct restore_request *request, const struct index *index, char *out,
                      size_t size);

#endif
