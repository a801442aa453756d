/*
  What a restore says before it begins about what follows the files, and at its end: size, time and
  rate, the position and its age, the redo that is left and about how long it takes, the next
  command. As text, and as one JSON object with "schema": 1.
*/
#ifndef GB_AGENT_RESTORE_REPORT_H
#define GB_AGENT_RESTORE_REPORT_H

#include "agent/restore/finish.h"

#include <jansson.h>
#include <stdio.h>

struct report {
    const struct manifest *manifest;
    const struct restore_request *request;
    const struct restore_plan *plan;
    const struct finish_plan *finish;
    const struct finish_result *result;
    const char *ist;        /* whether IST is possible; NULL where it does not matter */
    double seconds;         /* of restore_run() */
    const char *repository; /* what stands behind --repository to name it */
    const char *key;        /* and behind --key; NULL: it was not given */
};

/* The lines of the plan that are about recovery, history and replica. */
void report_plan(const struct report *report, FILE *out);
/* The same, added to the JSON of the plan. */
void report_plan_json(const struct report *report, json_t *plan);
/* The closing report. */
void report_text(const struct report *report, FILE *out);
/* The same, for --json; the caller adds what it knows of IST and frees it. */
json_t *report_json(const struct report *report);

#endif
