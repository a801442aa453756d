/*
  The backups of a repository: all of them, and the one that is meant by "latest", by a time, by a
  label or by the beginning of one.

  They stand in the order of their labels, newest first: a label begins with the time. What is
  removed meanwhile is left out. A backup.json that is there and can't be used keeps nobody from the
  other backups; where it may be the one that is looked for, that is said. A store that can't be
  reached (storage_is_away()) ends everything: what it does not show may be the newest.

  A manifest is large. To find one backup, few words of each are kept while they are read; the
  manifest of the one is read again then.
*/
#ifndef GB_AGENT_REPOSITORY_LISTING_H
#define GB_AGENT_REPOSITORY_LISTING_H

#include "agent/repository/repository.h"

/* Manifests of all backups, newest first, of one cluster or of all (NULL). Damaged manifests are
   skipped and named through warn (may be NULL). *list is malloc'ed; free each with manifest_free(),
   then the array, also if the answer is false. Errors: the store's. */
bool repository_list(struct repository *repository, const char *cluster, struct manifest **list,
                     size_t *count, void (*warn)(void *context, const char *text), void *context,
                     struct gb_error *error);
/* The same one after another: a manifest takes more than 160 KB, and *manifest is the visitor's for
   the call. False of a visitor ends it. Errors: the store's, the visitor's. */
bool repository_each(struct repository *repository, const char *cluster,
                     bool (*visit)(void *context, const struct manifest *manifest,
                                   struct gb_error *error),
                     void (*warn)(void *context, const char *text), void *context,
                     struct gb_error *error);

/* id: a label, "latest", or a prefix that fits just one label. "latest" is never a save, nor a
   backup that a verification has found damaged. What is newer than the latest and damaged is named
   on stderr. *manifest is to be freed with manifest_free() if the answer is true, and is written
   over in any case; so it is by the next two. Errors: GB_not_found; GB_bad_value (ambiguous;
   "latest" without a cluster where there are several); GB_corrupt_backup, GB_format_newer and
   GB_untrusted_backup of a backup that id names; GB_corrupt_backup where all that could be the
   latest were found damaged; GB_repository_unreachable and all else that a store says, also for one
   that may be the latest. */
bool repository_find(struct repository *repository, const char *cluster, const char *id,
                     struct manifest *manifest, struct gb_error *error);
/* The newest, as "latest", but whatever a verification has said of it. */
bool repository_find_newest(struct repository *repository, const char *cluster,
                            struct manifest *manifest, struct gb_error *error);
/* The newest that had finished at that time. Errors: as of "latest"; GB_not_found says when the
 * oldest finished. */
bool repository_find_as_of(struct repository *repository, const char *cluster, time_t when,
                           struct manifest *manifest, struct gb_error *error);

#endif
