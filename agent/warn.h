/*
  What goes otherwise than it should without keeping a command, or the daemon, from its end.
*/
#ifndef GB_AGENT_WARN_H
#define GB_AGENT_WARN_H

#include "common/error.h"

/* A line on stderr: "galera-backup: warning: GBnnnn name: CONTEXT: WHAT; HINT". context: what it
 * means here; NULL: nothing more. */
void warn_of(const struct gb_error *why, const char *context, ...)
    __attribute__((format(printf, 2, 3)));

/* One that has its number already; the callback that repository_list() and the like take. */
void warn_text(void *unused, const char *text);

#endif
