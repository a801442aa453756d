/*
  The command line as one struct, parsed from the table in options.def. Unknown commands and options
  are errors that name the nearest one.
*/
#ifndef GB_AGENT_OPTIONS_H
#define GB_AGENT_OPTIONS_H

#include "agent/config.h"

#include <stdio.h>

#define OPTIONS_MAPS_MAX 64

struct options {
    const char *command;  /* name from the table */
    const char *argument; /* ID, or NULL */
    const char *second;   /* what follows it, of a command that takes two words; NULL */
    const char *config, *repository, *cluster, *type, *comment, *rate, *busy_rate, *threads,
        *lock_wait, *max_duration, *progress, *datadir, *owner, *key, *trusted_signer, *recipient,
        *kind, *as, *as_of, *replace, *limit_rate, *donor, *history, *wsrep_uuid, *verify, *sample,
        *until, *lock, *format, *to, *repair_from;
    bool help, json, no_wait, dry_run, watch, safe_to_bootstrap, yes, quick, restart, recover,
        verify_boot, hold, confirm_mass_expire;
    const char *maps[OPTIONS_MAPS_MAX]; /* --map, each "OLD=NEW" */
    unsigned map_count;
};

/* Errors: GB_usage, GB_unknown_option, GB_bad_value. */
bool options_parse(struct options *options, int argc, char **argv, struct gb_error *error);
/* command NULL: the overview. */
void options_help(FILE *to, const char *command);
/* --threads as a number; 0: not given. */
unsigned options_threads(const struct options *options);

/* --sample, 1 to 100 percent; 0: not given */
unsigned options_sample(const struct options *options);

/* --as-of as a time; 0: not given. */
time_t options_as_of(const struct options *options);
/* --limit-rate, bytes a second; 0: not given. */
uint64_t options_limit_rate(const struct options *options);

#endif
