/* The plan of a restore as people and programs read it. */
#ifndef GB_AGENT_CMD_RESTORE_PLAN_H
#define GB_AGENT_CMD_RESTORE_PLAN_H

#include "agent/restore/report.h"

/* report->result is not looked at: nothing has been done yet. The second: a new object. */
void restore_plan_print(const struct repository *repository, const struct index *index,
                        const struct report *report);
json_t *restore_plan_json(const struct repository *repository, const struct index *index,
                          const struct report *report);

#endif
