/*
  BACKUP_HOLD and BACKUP_RELEASE at the agent: in each repository of the configuration that has the
  backup.
*/
#ifndef GB_AGENT_DAEMON_HOLDING_H
#define GB_AGENT_DAEMON_HOLDING_H

#include "agent/config.h"
#include "agent/repository/identity.h"

struct holding_request {
    const struct config *config;
    struct identity_writer asker; /* whose backup it must be */
    const char *id;
    time_t until; /* 0: released */
    /* A remote repository takes longer than the plugin waits: it is told so once
     * (GB_repository_busy) and asks again; the work goes on. */
    void (*slow)(void *context, const struct gb_error *error);
    void *context;
};

/* *done: at least one repository has it, and has done it. False: GB_not_found, or the error of one
 * that could not be asked; none if slow() has been called. */
bool holding_run(const struct holding_request *request, bool *done, struct gb_error *error);

#endif
