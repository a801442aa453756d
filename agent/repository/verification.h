/*
  One verification of a backup, and its record (verified.h): which part is looked at is what the
  record says has its turn, and what was found is entered in it.
*/
#ifndef GB_AGENT_REPOSITORY_VERIFICATION_H
#define GB_AGENT_REPOSITORY_VERIFICATION_H

#include "agent/repository/verified.h"

struct verification {
    struct verify_report report;
    struct verified
        record; /* as it is now; verified_at 0: the backup has gone meanwhile, and there is none */
    struct gb_error record_damaged; /* of the record that was there: it has been made anew */
    struct gb_error hold_damaged, identity_damaged; /* of hold.json, and of the cluster's
                                                       cluster.json: no damage of the backup */
    struct gb_error
        not_recorded; /* why the record could not be written: no failure of the verification */
};

/* percent: 0 and 100: all of it; else a part. Of the request, turn and turns are set here. False
   only if the check itself could not be done: then nothing is recorded. Errors: as
   repository_verify(). */
bool verification_run(struct repository *repository, const struct manifest *manifest,
                      const struct verify_request *request, unsigned percent,
                      struct verification *result, struct gb_error *error);

#endif
