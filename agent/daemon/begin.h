/*
  How a backup is begun in one repository that is open: looked at for space and for whose it is,
  tidied up, locked; and held, if it is to be.
*/
#ifndef GB_AGENT_DAEMON_BEGIN_H
#define GB_AGENT_DAEMON_BEGIN_H

#include "agent/repository/identity.h"

struct begin_request { /* strings are borrowed */
    const struct repository_spec *spec;
    struct identity_writer writer;
    const char *id;
    time_t hold_until;          /* 0: it is not held */
    const struct seal_key *key; /* the backup's, in all repositories that it goes to */
};

/* repository: of request->spec. *backup is set where it was begun. Errors: those of
   storage_check_space(), identity_admit(), repository_collect(), repository_begin() and
   hold_write(). */
bool begin_in(const struct begin_request *request, struct repository *repository,
              struct repository_backup **backup, struct gb_error *error);

#endif
