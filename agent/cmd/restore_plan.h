/* The plan of a restore as people and programs read it. */
#ifndef GB_AGENT_CMD_RESTORE_PLAN_H
#define GB_AGENT_CMD_RESTORE_PLAN_H

#include "agent/restore/restore.h"

void restore_plan_print(const struct manifest *manifest, const struct repository *repository,
                        const struct restore_request *request, const struct index *index,
                        const struct restore_plan *plan);
void restore_plan_print_json(const struct manifest *manifest, const struct repository *repository,
                             const struct restore_request *request, const struct index *index,
                             const struct restore_plan *plan);

#endif
