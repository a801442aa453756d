/*
  Whether the newest run of a cluster failed: what keeps expiring from going on while nothing new comes.

  A run that fails leaves nothing that looks like a backup. Its agent writes <cluster>/failed.json; one whose agent was killed leaves a
  label without backup.json whose lock nobody holds. Either counts as long as no complete backup has a newer label. A run that was
  cancelled is not one that failed, and saves are no runs.
*/
#ifndef GB_AGENT_REPOSITORY_RUNS_H
#define GB_AGENT_REPOSITORY_RUNS_H

#include "agent/repository/repository.h"

/* What can't be written is named on stderr. */
void runs_note_failed(struct repository *repository, const char *cluster, const char *id, const struct gb_error *why);

/* *is: what stands under that label is neither a backup nor being written. A backup.json that can't be read is damage, and no failed run.
   Errors: the store's. */
bool runs_left_over(struct repository *repository, const char *cluster, const char *label, bool *is, struct gb_error *error);

/* After a commit: what failed before it is over. */
void runs_note_good(struct repository *repository, const char *cluster);

struct failed_run {
    char id[WIRE_ID_MAX]; /* "": the newest run did not fail */
    char why[GB_ERROR_TEXT_MAX];
    int code; /* GB number; 0: not known */
};
/* newest: label of the newest complete backup, "" if there is none. Errors: the store's. */
bool runs_newest_failed(struct repository *repository, const char *cluster, const char *newest, struct failed_run *failed,
                        struct gb_error *error);

#endif
