/*
  What is known of a backup from reading it back: <backup>/verified.json, beside what is written
  once.

  It holds the last verification, and no damage that was found is forgotten: it stands until a
  verification of at least that level, of all of the backup, finds none. It tells which backup is
  offered as the latest and when the next part of a large one has its turn; nothing that is restored
  comes from it. It has its own SHA-256, as backup.json has, and no signature.
*/
#ifndef GB_AGENT_REPOSITORY_VERIFIED_H
#define GB_AGENT_REPOSITORY_VERIFIED_H

#include "agent/repository/repository.h"

#define VERIFIED_NAME         "verified.json"
#define VERIFIED_PROBLEMS_MAX 10u

/* Verifications of parts, one after another until all parts have had their turn, and then again. */
struct verified_round {
    unsigned turn, turns; /* the last one, from 0; of how many. turns 0: there was none */
    unsigned clean;       /* how many of the last ones have found nothing; turns at most */
};

struct verified {
    time_t verified_at; /* 0: never */
    bool deep, damaged;
    time_t deep_at;   /* when all of it was last known to be without damage, deep; 0: never */
    unsigned percent; /* how much was looked at, of those that are read; 0: all */
    struct verified_round round[2]; /* quick, deep */
    unsigned problem_count;         /* those that are kept; the first */
    char problem[VERIFIED_PROBLEMS_MAX][GB_ERROR_TEXT_MAX];
};

/* "none", "quick", "deep" or "damaged" */
const char *verified_word(const struct verified *verified);

/* The round of which the next part of so many percent (1 to 100) is: that behind the last one, or
 * the first of another round. */
struct verified_round verified_next(const struct verified *last, bool deep, unsigned percent);
/* Enters in `now`, made of what was just found, what of `last` still holds. */
void verified_merge(struct verified *now, const struct verified *last);

/* Of one that was never verified: true, with verified_at 0. Errors: GB_corrupt_backup (it is
   damaged or another backup's), GB_format_newer, what the store says. */
bool verified_read(struct verified *verified, struct repository *repository, const char *cluster,
                   const char *id, struct gb_error *error);
bool verified_write(const struct verified *verified, struct repository *repository,
                    const char *cluster, const char *id, struct gb_error *error);
/* As the record has it, without its SHA-256; for whoever shows it. NULL: no memory. */
struct json_t *verified_json(const struct verified *verified);

#endif
