/* Progress on standard error; see progress.h. */
#include "agent/ui/progress.h"
#include "agent/ui/text.h"
#include "common/clock.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BAR_WIDTH    30
#define BAR_EVERY_S  0.2
#define JSON_EVERY_S 1.0
#define LINE_EVERY_S 5.0
#define RATE_AFTER_S 0.1 /* a rate of less time is none */

struct figures {
    double share, rate; /* 0 to 1; bytes a second, 0: not known */
    int64_t eta_s;      /* -1: not known */
};

void progress_start(struct progress *p, const char *kind, const char *verb, bool json)
{
    memset(p, 0, sizeof *p);
    kind = kind ? kind : json ? "none" : "auto";
    p->kind = !strcmp(kind, "auto")    ? (isatty(STDERR_FILENO) ? PROGRESS_BAR : PROGRESS_PLAIN)
              : !strcmp(kind, "bar")   ? PROGRESS_BAR
              : !strcmp(kind, "plain") ? PROGRESS_PLAIN
              : !strcmp(kind, "json")  ? PROGRESS_JSON
                                       : PROGRESS_NONE;
    p->verb = verb;
    p->started = now_s();
}

static struct figures figures_of(const struct progress *p, double t)
{
    struct figures f = {.eta_s = -1};
    double seconds = t - p->started;
    f.share = p->total ? (double)p->done / (double)p->total : 0;
    f.rate = seconds > RATE_AFTER_S ? (double)p->done / seconds : 0;
    if (p->total && p->done == p->total)
        f.eta_s = 0;
    else if (f.rate > 0)
        f.eta_s = (int64_t)((double)(p->total - p->done) / f.rate);
    return f;
}

static void show_json(const struct progress *p, const struct figures *f, double t)
{
    json_t *o = json_pack(
        "{s:i, s:s, s:s, s:I, s:I, s:f, s:I, s:f, s:s}", "schema", 1, "event", "progress", "doing",
        p->verb, "done_bytes", (json_int_t)p->done, "total_bytes", (json_int_t)p->total, "percent",
        (double)(int)(f->share * 1000) / 10, "rate", (json_int_t)f->rate, "elapsed_s",
        (double)(int64_t)((t - p->started) * 1000) / 1000, "note", p->note);
    if (!o)
        return;
    json_object_set_new(o, "eta_s", f->eta_s < 0 ? json_null() : json_integer(f->eta_s));
    char *text = json_dumps(o, JSON_COMPACT | JSON_REAL_PRECISION(9));
    if (text)
        fprintf(stderr, "%s\n", text);
    free(text);
    json_decref(o);
}

static void show(struct progress *p, double t)
{
    struct figures f = figures_of(p, t);
    char bytes[32], all[32], rate[32], eta[32] = "?", bar[BAR_WIDTH + 1];
    p->shown = t;
    if (p->kind == PROGRESS_JSON) {
        show_json(p, &f, t);
        return;
    }
    if (f.eta_s >= 0)
        text_duration((uint64_t)f.eta_s, eta, sizeof eta);
    text_bytes(p->done, bytes, sizeof bytes);
    text_bytes(p->total, all, sizeof all);
    text_bytes((uint64_t)f.rate, rate, sizeof rate);
    if (p->kind == PROGRESS_PLAIN) {
        fprintf(stderr, "%s: %.0f %%, %s of %s, %s/s, ETA %s%s%s\n", p->verb, f.share * 100, bytes,
                all, rate, eta, p->note[0] ? ", " : "", p->note);
        return;
    }
    memset(bar, '.', BAR_WIDTH);
    memset(bar, '#', (size_t)(f.share * BAR_WIDTH));
    bar[BAR_WIDTH] = '\0';
    fprintf(stderr, "\r\033[K%s [%s] %3.0f %% %s of %s, %s/s, ETA %s %s", p->verb, bar,
            f.share * 100, bytes, all, rate, eta, p->note);
    fflush(stderr);
}

void progress_show(struct progress *p, uint64_t done, uint64_t total, const char *note)
{
    static const double every[] = {[PROGRESS_BAR] = BAR_EVERY_S,
                                   [PROGRESS_PLAIN] = LINE_EVERY_S,
                                   [PROGRESS_JSON] = JSON_EVERY_S};
    double t = now_s();
    p->done = done < total ? done : total;
    p->total = total;
    snprintf(p->note, sizeof p->note, "%s", note);
    if (p->kind != PROGRESS_NONE && t - p->shown >= every[p->kind])
        show(p, t);
}

void progress_clear(const struct progress *p)
{
    if (p->kind == PROGRESS_BAR)
        fprintf(stderr, "\r\033[K");
}

void progress_end(struct progress *p)
{
    progress_clear(p);
    if ((p->kind == PROGRESS_PLAIN || p->kind == PROGRESS_JSON) && p->total)
        show(p, now_s());
}
