/* Sizes, durations and times as people read them; errors as they are shown. */
#ifndef GB_AGENT_UI_TEXT_H
#define GB_AGENT_UI_TEXT_H

#include "common/error.h"

#include <stdint.h>
#include <time.h>

/* Each answers out. */
const char *text_bytes(uint64_t bytes, char *out, size_t size);      /* "81.2 GB", powers of ten */
const char *text_duration(uint64_t seconds, char *out, size_t size); /* "3m12s" */
const char *text_time(time_t t, char *out, size_t size);             /* "2026-11-21T02:00:00Z" */

/* Prints an error to stderr; as a JSON object if json. */
void text_error(const struct gb_error *error, bool json);

#endif
