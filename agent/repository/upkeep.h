/*
  Looking after a repository: is it as it should be, what is left over, who holds which lock.
*/
#ifndef GB_AGENT_REPOSITORY_UPKEEP_H
#define GB_AGENT_REPOSITORY_UPKEEP_H

#include "agent/repository/repository.h"

enum upkeep_result { UPKEEP_OK, UPKEEP_WARN, UPKEEP_FAIL };

struct upkeep_row {
    char check[32];
    enum upkeep_result result;
    char detail[GB_ERROR_TEXT_MAX], remedy[GB_ERROR_HINT_MAX];
};

/* Tries a repository out: it is listed, written to, written to again where that must be refused,
   read back; whose it is, its clock, what is left over, its locks. cluster: NULL, or the only one
   to look at. take: called for each row, in order. False: something failed. */
bool upkeep_check(struct repository *repository, const char *cluster,
                  void (*take)(void *context, const struct upkeep_row *row), void *context);

struct upkeep_gc {
    unsigned labels, uploads; /* of failed runs; uploads of parts that never became an object */
};
/* Removes what failed runs have left in a cluster's directory. Nothing of a complete backup, and of
 * one that is being written. */
bool upkeep_gc(struct repository *repository, const char *cluster, struct upkeep_gc *result,
               struct gb_error *error);

struct upkeep_lock {
    char name[WIRE_NAME_MAX + WIRE_ID_MAX + 32];
    struct storage_lock_state state;
};
/* The locks that are there, held or stale. *list is malloc'ed. */
bool upkeep_locks(struct repository *repository, const char *cluster, struct upkeep_lock **list,
                  size_t *count, struct gb_error *error);
/* Takes a stale one away. Errors: GB_not_found, GB_repository_busy (somebody holds it: names who),
 * the store's. */
bool upkeep_unlock(struct repository *repository, const char *cluster, const char *name,
                   struct gb_error *error);

#endif
