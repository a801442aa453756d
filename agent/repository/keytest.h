/*
  The test of a key, and what is remembered of it: a key that nobody has tried is found missing on
  the day of the restore.

  <cluster>/key-test.json says which key opened which backup when. It is for the check on the
  writing host, which has no such key.
*/
#ifndef GB_AGENT_REPOSITORY_KEYTEST_H
#define GB_AGENT_REPOSITORY_KEYTEST_H

#include "agent/repository/repository.h"

struct keytest {
    time_t tested_at; /* 0: never, as far as the repository knows */
    char key[KEY_ID_MAX];
};

/* Opens the backup, reads its index and one frame, and writes down that it could. What can't be
   written down is a warning on stderr. Errors: those of repository_unlock(), index_read() and
   frame_open(). */
bool keytest_run(struct repository *repository, struct manifest *manifest, struct gb_error *error);
/* Never an error: what can't be read has not been tested. */
void keytest_read(struct repository *repository, const char *cluster, struct keytest *test);

#endif
