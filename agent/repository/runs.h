/*
  Whether the newest run of a cluster failed: what keeps expiring from going on while nothing new
  comes.

  A run that fails leaves nothing that looks like a backup. Its agent writes <cluster>/failed.json;
  one whose agent was killed leaves a label without backup.json whose lock nobody holds, and who
  collects that writes failed.json in its place. Either counts until a run ends well: no time and no
  label is compared, as a clock that was wrong once would hide what failed, or keep what has been
  mended, for years. A run that was cancelled is not one that failed, and saves are no runs.

  What an interrupted expire leaves looks like a killed run. So it writes down what it is going to
  remove, in <cluster>/expiring.json.
*/
#ifndef GB_AGENT_REPOSITORY_RUNS_H
#define GB_AGENT_REPOSITORY_RUNS_H

#include "agent/repository/repository.h"

/* What can't be written is named on stderr. */
void runs_note_failed(struct repository *repository, const char *cluster, const char *id,
                      const struct gb_error *why);

/* Before what is left over under that label is removed. Does nothing where that is no run, or is
 * known as failed. */
void runs_note_left_over(struct repository *repository, const char *cluster, const char *label);

/* *is: what stands under that label is neither a backup nor being written. A backup.json that can't
   be read is damage, and no failed run. Errors: the store's. */
bool runs_left_over(struct repository *repository, const char *cluster, const char *label, bool *is,
                    struct gb_error *error);

/* After a commit: what failed before it is over, also if a clock that was wrong has given it a
   later name. What can't be removed is named on stderr. */
void runs_note_good(struct repository *repository, const char *cluster);
/* When a backup that it lacked was copied into it: what failed before that one is over. */
void runs_note_copied(struct repository *repository, const char *cluster, const char *id);

/* Before those of the list that are not to be kept are removed; and when nothing is left of any of
 * them. Errors: the store's. */
bool runs_expire_begin(struct repository *repository, const char *cluster,
                       const struct retention_backup *list, size_t count, struct gb_error *error);
bool runs_expire_end(struct repository *repository, const char *cluster, struct gb_error *error);

struct failed_run {
    char id[WIRE_ID_MAX]; /* "": the newest run did not fail */
    char why[GB_ERROR_TEXT_MAX];
    int code; /* GB number; 0: not known */
};
/* list: complete backups, which need not be looked at. Errors: the store's. */
bool runs_newest_failed(struct repository *repository, const char *cluster,
                        const struct retention_backup *list, size_t count,
                        struct failed_run *failed, struct gb_error *error);

#endif
