/*
  Progress on standard error: a bar with rate and ETA on a terminal, a line every few seconds elsewhere.
*/
#ifndef GB_AGENT_UI_PROGRESS_H
#define GB_AGENT_UI_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

enum progress_kind { PROGRESS_NONE, PROGRESS_PLAIN, PROGRESS_BAR };

struct progress {
    enum progress_kind kind;
    const char *verb;
    double started, shown;
};

/* kind: auto (NULL too), bar, plain or none. */
void progress_start(struct progress *progress, const char *kind, const char *verb);
/* note: what stands behind the figures, may be "". */
void progress_show(struct progress *progress, uint64_t done, uint64_t total, const char *note);
void progress_end(struct progress *progress);

#endif
