/* How long a server will take to replay the redo of a backup; see estimate.h. */
#include "agent/restore/estimate.h"
#include "agent/restore/frames.h"
#include "agent/restore/memory.h"
#include "common/bytes.h"
#include "common/redo.h"

#include <fcntl.h>
#include <libgen.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define PROBE_PAGE  16384u
#define PROBE_PAGES 256u
#define SYNC_BYTES  65536u /* of a sample, in which a mini-transaction must begin */

/* Measured with MariaDB 10.11 (docs/benchmarks.md). What the server does with a byte of redo
   (parse, store, apply) and with a page (bring in, change, write) costs that many times what
   parsing a byte costs here. */
#define REPLAY_PER_PARSE 20.0
#define PAGE_PER_PARSE   45000.0
/* It reads and writes many pages at a time, the probe one: its share of the probe's time. */
#define PAGE_PER_PROBE 0.07
#define LATER_PASS     1.65 /* redo of each pass after the first, which stops before memory is full */
#define START_S        1.0 /* of a server that has nothing to recover */

#define PARSE_S_DEFAULT 1e-9   /* where the samples can't be parsed */
#define PAGE_S_DEFAULT  400e-6 /* where no file can be made */

static double seconds_of(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* ---- samples ---- */

struct sample {
    uint64_t *pages; /* space id and page number */
    size_t count, capacity;
    uint64_t bytes;
    double seconds;
};

static void note_page(void *context, uint32_t space_id, uint32_t page_no, uint64_t lsn)
{
    struct sample *s = context;
    (void)lsn;
    if (s->count == s->capacity) {
        size_t capacity = s->capacity ? 2 * s->capacity : 4096;
        uint64_t *more = realloc(s->pages, capacity * sizeof *more);
        if (!more)
            return;
        s->pages = more;
        s->capacity = capacity;
    }
    s->pages[s->count++] = (uint64_t)space_id << 32 | page_no;
}

static int by_number(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

/* Sorted, each once. Returns how many. */
static size_t distinct(uint64_t *pages, size_t count)
{
    size_t kept = 0;
    if (count)
        qsort(pages, count, sizeof *pages, by_number);
    for (size_t i = 0; i < count; i++)
        if (!kept || pages[i] != pages[kept - 1])
            pages[kept++] = pages[i];
    return kept;
}

/* A frame begins anywhere in a mini-transaction: the first byte from which one parses is a
 * beginning. */
static void parse_sample(struct sample *s, uint32_t format, const uint8_t *data, size_t size)
{
    const struct redo_visitor none = {0}, visitor = {.context = s, .page = note_page};
    size_t at = 0, length = 0;
    while (at < size && at < SYNC_BYTES &&
           redo_parse_flat_mtr(format, false, 0, data + at, size - at, &none, &length) != REDO_MTR)
        at++;
    double began = seconds_of(CLOCK_THREAD_CPUTIME_ID); /* what others do at this moment passes */
    size_t from = at;
    while (at < size && redo_parse_flat_mtr(format, false, 0, data + at, size - at, &visitor,
                                            &length) == REDO_MTR)
        at += length;
    s->seconds += seconds_of(CLOCK_THREAD_CPUTIME_ID) - began;
    s->bytes += at - from;
    s->count = distinct(s->pages, s->count);
}

/* ---- what the samples say ---- */

/* Pages that so many chunks change, from how often each is seen in the samples: interpolated within
   the samples, extrapolated beyond them by what pages seen once and twice say of those not seen at
   all (Colwell and others, Journal of Plant Ecology 5, 2012, for species in samples: equations 17
   and 18, with Chao's estimate of what is unseen). */
static double pages_in(const struct estimate *e, double redo_bytes)
{
    double chunks = e->chunk > 0 ? redo_bytes / e->chunk : 0, k = e->samples, seen = 0, pages = 0;
    if (!e->samples)
        return 0;
    for (unsigned i = 1; i <= e->samples; i++) {
        seen += e->seen_in[i];
        pages += e->seen_in[i] * (1 - pow(1 - i / k, chunks));
    }
    if (chunks <= k)
        return pages;
    double once = e->seen_in[1], twice = e->samples > 1 ? e->seen_in[2] : 0;
    double unseen = (k - 1) / k * (twice > 0 ? once * once / (2 * twice) : once * (once - 1) / 2);
    return unseen > 0 ? seen + unseen * (1 - pow(1 - once / (k * unseen + once), chunks - k))
                      : seen;
}

/* pages: those of all samples, once for each sample that changes them. */
static void count_pages(struct estimate *e, uint64_t *pages, size_t count)
{
    if (count)
        qsort(pages, count, sizeof *pages, by_number);
    for (size_t i = 0, end; i < count; i = end) {
        for (end = i; end < count && pages[end] == pages[i]; end++)
            ;
        e->seen_in[end - i < e->samples ? end - i : e->samples]++;
    }
}

static bool read_sample(struct frames *frames, const struct index *index, size_t number,
                        uint32_t format, struct sample *s, struct gb_error *error)
{
    const struct index_frame *f = &index->frames[number];
    const uint8_t *plain = frames_read(frames, number, error);
    size_t at = 0;
    for (uint32_t i = 0; plain && i < f->extents; i++) {
        const struct index_extent *x = &index->extents[f->first_extent + i];
        if (x->file_no == WIRE_FILE_REDO)
            parse_sample(s, format, plain + at, x->length);
        at += x->length;
    }
    return plain != NULL;
}

static bool is_redo(const struct index *index, size_t i)
{
    const struct index_frame *f = &index->frames[i];
    return f->extents && index->extents[f->first_extent].file_no == WIRE_FILE_REDO;
}

static bool take_samples(struct estimate *e, struct repository *r, const struct manifest *m,
                         const struct index *index, struct elsewhere *elsewhere,
                         struct gb_error *error)
{
    struct sample all = {0};
    struct frames *reader = frames_open(r, m, index, elsewhere, error);
    size_t frames = 0, seen = 0;
    unsigned taken = 0;
    double seconds = 0, bytes = 0;
    uint32_t format = bytes_u32_at(m->redo_header, sizeof m->redo_header, 0);
    for (size_t i = 0; i < index->frame_count; i++)
        frames += is_redo(index, i);
    bool ok = reader != NULL;
    for (size_t i = 0; ok && i < index->frame_count; i++) {
        if (!is_redo(index, i))
            continue;
        /* as many as wanted, at equal distances */
        bool wanted = seen * ESTIMATE_SAMPLES / frames != (seen + 1) * ESTIMATE_SAMPLES / frames;
        seen++;
        if (!wanted && frames > ESTIMATE_SAMPLES)
            continue;
        struct sample s = {0};
        ok = read_sample(reader, index, i, format, &s, error);
        for (size_t k = 0; k < s.count; k++)
            note_page(&all, (uint32_t)(s.pages[k] >> 32), (uint32_t)s.pages[k], 0);
        if (s.bytes)
            taken++;
        bytes += (double)s.bytes;
        seconds += s.seconds;
        free(s.pages);
    }
    frames_close(reader);
    if (ok && taken && bytes > 0) {
        e->chunk = bytes / taken;
        e->samples = taken;
        count_pages(e, all.pages, all.count);
        e->parse_s = seconds / bytes;
    }
    free(all.pages);
    return ok;
}

/* ---- the disk ---- */

/* Writes pages twice and reads them once, past the page cache where that is possible; seconds for
 * one page. */
static double probe(int fd)
{
    uint8_t *page = aligned_alloc(PROBE_PAGE, PROBE_PAGE);
    if (!page)
        return PAGE_S_DEFAULT;
    memset(page, 0x5a, PROBE_PAGE);
    double began = seconds_of(CLOCK_MONOTONIC);
    bool ok = true;
    for (unsigned pass = 0; ok && pass < 2; pass++) {
        for (uint32_t i = 0; ok && i < PROBE_PAGES; i++)
            ok = pwrite(fd, page, PROBE_PAGE, (off_t)(i * 37u % PROBE_PAGES) * PROBE_PAGE) ==
                 (ssize_t)PROBE_PAGE;
        ok = ok && !fdatasync(fd);
    }
    for (uint32_t i = 0; ok && i < PROBE_PAGES; i++)
        ok = pread(fd, page, PROBE_PAGE, (off_t)(i * 101u % PROBE_PAGES) * PROBE_PAGE) ==
             (ssize_t)PROBE_PAGE;
    double seconds = seconds_of(CLOCK_MONOTONIC) - began;
    free(page);
    return ok ? seconds / PROBE_PAGES : PAGE_S_DEFAULT;
}

static double probe_directory(const char *datadir)
{
    char path[WIRE_PATH_MAX];
    snprintf(path, sizeof path, "%s", datadir);
    const char *at = path;
    while (access(at, F_OK) && strcmp(at, "/") && strcmp(at, "."))
        at = dirname(path);
    int fd = open(at, O_TMPFILE | O_RDWR | O_DIRECT | O_CLOEXEC, 0600);
    if (fd < 0)
        fd = open(at, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (fd < 0)
        return PAGE_S_DEFAULT;
    double seconds = probe(fd);
    close(fd);
    return seconds;
}

bool estimate_make(struct estimate *e, struct repository *r, const struct manifest *m,
                   const struct index *index, struct elsewhere *elsewhere, const char *datadir,
                   struct gb_error *error)
{
    *e = (struct estimate){.redo_bytes = m->redo_bytes, .parse_s = PARSE_S_DEFAULT};
    if (!take_samples(e, r, m, index, elsewhere, error))
        return false;
    e->page_s = probe_directory(datadir);
    return true;
}

uint64_t estimate_page_count(const struct estimate *e, uint64_t pool)
{
    double left = (double)e->redo_bytes, pass = (double)memory_redo_in_one_pass(pool), pages = 0;
    for (unsigned i = 0; left > 0; i++) {
        pages += pages_in(e, left < pass ? left : pass);
        left -= pass;
        if (!i)
            pass *= LATER_PASS;
    }
    return (uint64_t)pages;
}

double estimate_seconds(const struct estimate *e, uint64_t pool)
{
    return START_S + (double)e->redo_bytes * e->parse_s * REPLAY_PER_PARSE +
           (double)estimate_page_count(e, pool) *
               (e->parse_s * PAGE_PER_PARSE + e->page_s * PAGE_PER_PROBE);
}
