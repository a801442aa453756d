/*
  Times as files, options and messages have them: UTC, ISO 8601.
*/
#ifndef GB_AGENT_UTC_H
#define GB_AGENT_UTC_H

#include <time.h>

#define UTC_MAX 32u

/* "2026-11-21T02:00:00Z". Answers out. */
const char *utc_text(time_t t, char out[UTC_MAX]);
/* YYYY-MM-DD, T or a space, HH:MM, perhaps :SS, perhaps Z. -1: not such a time. */
time_t utc_parse(const char *text);

#endif
