/*
  Where a backup goes: the repositories, as BACKUP_START names them, and the cluster's directory in
  each.
*/
#ifndef GB_AGENT_DAEMON_CHOSEN_H
#define GB_AGENT_DAEMON_CHOSEN_H

#include "agent/config.h"
#include "agent/daemon/mirror.h"

#define CHOSEN_MAX (1 + MIRRORS_MAX)

struct chosen {
    /* The first is the one that frames are made for: the first named that must have the backup
     * (required = yes), or the first of all. It must have it in any case. */
    const struct repository_spec *spec[CHOSEN_MAX];
    unsigned count;
};

/* names: with commas between; "": the default one. Errors: GB_repository_unknown, GB_bad_value (one
 * named twice, or too many). */
bool chosen_parse(struct chosen *chosen, const struct config *config, const char *names,
                  struct gb_error *error);
/* Whether the backup fails if it can't go there. */
bool chosen_required(const struct chosen *chosen, unsigned number);

/* The name of the cluster's directory: the configuration's, the server's, or the node's. Errors:
 * GB_bad_config (it can't be one; cluster is set all the same). */
bool chosen_cluster(char cluster[WIRE_NAME_MAX], const struct config *config,
                    const struct wire_hello *hello, struct gb_error *error);

#endif
