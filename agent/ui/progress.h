/*
  Progress on standard error: a bar with rate and ETA on a terminal, a line every few seconds
  elsewhere, or one JSON object a line for programs (docs/cli.md has its keys).
*/
#ifndef GB_AGENT_UI_PROGRESS_H
#define GB_AGENT_UI_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

enum progress_kind { PROGRESS_NONE, PROGRESS_PLAIN, PROGRESS_BAR, PROGRESS_JSON };

struct progress {
    enum progress_kind kind;
    const char *verb;
    double started, shown; /* seconds; shown 0: not yet */
    uint64_t done, total;  /* as last told */
    char note[192];
};

/* kind: auto, bar, plain, json or none; NULL: auto, or none where the command's answer is JSON. */
void progress_start(struct progress *progress, const char *kind, const char *verb, bool json);
/* Bytes. Shows them if it is time to. note: what stands behind the figures, may be "". */
void progress_show(struct progress *progress, uint64_t done, uint64_t total, const char *note);
/* Takes the bar away for a line of other text; it comes again. From any thread. */
void progress_clear(const struct progress *progress);
/* Shows the last figures (plain, json), or takes the bar away. */
void progress_end(struct progress *progress);

#endif
