/*
  How long a server will take to replay the redo of a backup.

  Two things take the time (docs/benchmarks.md): going through the log, which grows with its bytes,
  and bringing pages in, changing and writing them, once for each pass in which they are changed.
  How many pages that is, is estimated from samples of the redo itself; what a byte and a page cost
  is measured here and now: by parsing the samples, and by writing and reading a file without a name
  where the data directory will be.
*/
#ifndef GB_AGENT_RESTORE_ESTIMATE_H
#define GB_AGENT_RESTORE_ESTIMATE_H

#include "agent/repository/elsewhere.h"

#define ESTIMATE_SAMPLES 32u

struct estimate {
    uint64_t redo_bytes;
    double parse_s; /* for one byte of redo to be parsed here */
    double page_s;  /* for one page to be written twice and read once here */
    double chunk;   /* bytes of redo in a sample, on average */
    unsigned samples;
    double seen_in[ESTIMATE_SAMPLES + 1]; /* how many pages so many of the samples change */
};

/* Reads up to ESTIMATE_SAMPLES frames of redo and measures. datadir: where it will be; it need not
   exist. elsewhere: as frames_open(). Errors: those of frames_read(). */
bool estimate_make(struct estimate *estimate, struct repository *repository,
                   const struct manifest *manifest, const struct index *index,
                   struct elsewhere *elsewhere, const char *datadir, struct gb_error *error);

/* Pages that are read and written in all passes with a buffer pool of that size, bytes. */
uint64_t estimate_page_count(const struct estimate *estimate, uint64_t pool);

/* Seconds until a server with that buffer pool accepts connections. */
double estimate_seconds(const struct estimate *estimate, uint64_t pool);

#endif
