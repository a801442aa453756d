/*
  A data directory from a backup: plan first, then write, then make it bootable; in this order, so that what is
  unfinished can never be started (docs/restore.md).
*/
#ifndef GB_AGENT_RESTORE_RESTORE_H
#define GB_AGENT_RESTORE_RESTORE_H

#include "agent/repository/repository.h"

struct restore_request {
    const char *datadir;
    const char *owner;      /* USER[:GROUP] or NULL */
    bool galera;            /* write grastate.dat */
    bool safe_to_bootstrap;
    bool stay_guarded;      /* more is to be done before a server may start: the caller calls target_end() */
    unsigned threads;       /* 0: as many as there are processors */
    /* Called now and then, from the thread that called restore_run(). */
    void (*progress)(void *context, uint64_t done, uint64_t total);
    void *context;
};

struct restore_plan {
    uint64_t files, bytes;   /* to be written: what the frames hold, and the redo log */
    uint64_t stored;         /* bytes to be read from the repository */
    uint64_t available;      /* free bytes where the data directory is */
    unsigned outside;        /* files outside the data directory (absolute paths) */
};

/* Reads the index, checks target and space. index: filled, the caller frees it. Errors: GB_target_not_empty,
   GB_target_in_use, GB_target_no_space, GB_target_unfinished, GB_corrupt_backup, GB_not_supported. */
bool restore_plan(struct repository *repository, const struct manifest *manifest, const struct restore_request *request,
                  struct index *index, struct restore_plan *plan, struct gb_error *error);

/* Writes it. Errors: GB_target_failed, GB_target_no_space, GB_corrupt_backup. */
bool restore_run(struct repository *repository, const struct manifest *manifest, const struct index *index,
                 const struct restore_request *request, const struct restore_plan *plan, struct gb_error *error);

/* Where a file of the backup goes: its path there is relative to the data directory, or absolute. */
void restore_target_path(const struct restore_request *request, const char *path, char *out, size_t size);

/* The redo log until the directory is whole: target_end() gives it its name. */
#define RESTORE_LOG "ib_logfile0.restoring"

/* Name of the file that marks a directory whose restore has not ended. */
#define RESTORE_MARKER "galera-backup-restore.incomplete"

#endif
