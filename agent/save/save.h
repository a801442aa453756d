/*
  An offline copy of a data directory into a repository: every byte as it is, whatever state it is
  in.

  Pages are looked at on the way and those with a wrong checksum are counted and named, never
  refused: the directory of a dead server may be damaged, and a restore of the save brings the
  damage back as it was. What the disk refuses to give (EIO) is zeros in the save, counted and named
  too.

  Threads take pieces of 1 MiB (or several small files) from one list, compress them and append them
  to segments of their own; one huge table is copied by as many threads as many tables.
*/
#ifndef GB_AGENT_SAVE_SAVE_H
#define GB_AGENT_SAVE_SAVE_H

#include "agent/repository/repository.h"
#include "agent/save/source.h"

#include <signal.h>

struct save_request {
    const char *cluster;
    const char *comment;               /* NULL: none */
    unsigned threads;                  /* 0: as many as there are processors */
    const volatile sig_atomic_t *stop; /* not 0: give up */
    /* Called now and then from the thread that called save_run(). */
    void (*progress)(void *context, uint64_t done, uint64_t total);
    void *context;
};

#define SAVE_NOTES_MAX 20u

struct save_report {
    struct manifest manifest; /* the caller frees it */
    uint64_t pages;           /* whose checksums were looked at */
    uint64_t damaged; /* pages with a wrong one, tablespaces that are cut short or whose page 0
                         can't be read */
    uint64_t unreadable_bytes;      /* that the disk did not give */
    char note[SAVE_NOTES_MAX][320]; /* of the first damaged or unreadable places */
    unsigned notes;
};

/* source: open. The backup exists when it returns true, even with damaged pages or unreadable bytes
   in it; false leaves nothing behind. Errors: GB_no_space, GB_store_failed, GB_source_failed,
   GB_cancelled, GB_bad_value (cluster). */
bool save_run(struct repository *repository, const struct source *source,
              const struct save_request *request, struct save_report *report,
              struct gb_error *error);

#endif
