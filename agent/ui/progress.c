/* Progress on standard error; see progress.h. */
#include "agent/ui/progress.h"
#include "agent/ui/text.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define BAR_WIDTH    30
#define BAR_EVERY_S  0.2
#define LINE_EVERY_S 5.0

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

void progress_start(struct progress *p, const char *kind, const char *verb)
{
    p->kind = !kind || !strcmp(kind, "auto") ? (isatty(STDERR_FILENO) ? PROGRESS_BAR : PROGRESS_PLAIN)
              : !strcmp(kind, "bar")         ? PROGRESS_BAR
              : !strcmp(kind, "plain")       ? PROGRESS_PLAIN
                                             : PROGRESS_NONE;
    p->verb = verb;
    p->started = now();
    p->shown = 0;
}

void progress_show(struct progress *p, uint64_t done, uint64_t total, const char *note)
{
    double t = now(), seconds = t - p->started;
    if (p->kind == PROGRESS_NONE || t - p->shown < (p->kind == PROGRESS_BAR ? BAR_EVERY_S : LINE_EVERY_S))
        return;
    p->shown = t;
    if (done > total)
        done = total;
    double share = total ? (double)done / (double)total : 0;
    double rate = seconds > 0.1 ? (double)done / seconds : 0;
    char bytes[32], all[32], per_second[32], eta[32] = "?";
    if (rate > 0)
        text_duration((uint64_t)((double)(total - done) / rate), eta, sizeof eta);
    text_bytes(done, bytes, sizeof bytes);
    text_bytes(total, all, sizeof all);
    text_bytes((uint64_t)rate, per_second, sizeof per_second);
    if (p->kind == PROGRESS_PLAIN) {
        fprintf(stderr, "%s: %.0f %%, %s of %s, %s/s, ETA %s%s%s\n", p->verb, share * 100, bytes, all, per_second, eta,
                *note ? ", " : "", note);
        return;
    }
    char bar[BAR_WIDTH + 1];
    memset(bar, '.', BAR_WIDTH);
    memset(bar, '#', (size_t)(share * BAR_WIDTH));
    bar[BAR_WIDTH] = '\0';
    fprintf(stderr, "\r\033[K%s [%s] %3.0f %% %s of %s, %s/s, ETA %s %s", p->verb, bar, share * 100, bytes, all, per_second, eta,
            note);
    fflush(stderr);
}

void progress_end(struct progress *p)
{
    if (p->kind == PROGRESS_BAR && p->shown > 0)
        fprintf(stderr, "\r\033[K");
}
