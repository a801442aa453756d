/*
  The commands: thin. Each parses nothing but its own options' values, calls a service and prints.
  Each answers the exit status; errors are printed by the caller.
*/
#ifndef GB_AGENT_CMD_CMD_H
#define GB_AGENT_CMD_CMD_H

#include "agent/mariadb/ist.h"
#include "agent/options.h"
#include "agent/repository/elsewhere.h"

#include <jansson.h>

#define CMD_LIST(X)                                                                                \
    X(agent)                                                                                       \
    X(check)                                                                                       \
    X(backup) X(status) X(cancel) X(set) X(list) X(info) X(log) X(restore) X(save) X(verify)       \
        X(copy) X(expire) X(hold) X(release) X(key) X(repo) X(catalog) X(version)

#define CMD_DECLARE(name) int cmd_##name(const struct options *options, struct gb_error *error);
CMD_LIST(CMD_DECLARE)
#undef CMD_DECLARE

/* What --repository says of it, nothing opened: by where it is (agent/location.h), or by its name
 * in the configuration. */
bool cmd_repository_spec(const struct options *options, struct repository_spec *spec,
                         struct gb_error *error);
/* The repository that --repository names: by where it is (agent/location.h), or by its name in the
 * configuration. */
struct repository *cmd_repository(const struct options *options, struct gb_error *error);
/* Another repository than that: what the value of `option` says, as --repository does. It is opened
   with --key as well as with its own decryption-key. Errors: also GB_usage of one that is `than`.
 */
struct repository *cmd_other_repository(const struct options *options, const char *option,
                                        const char *value, const struct repository *than,
                                        struct gb_error *error);
/* The other repositories of the configuration, where the backup may be, too; none where
   --repository needs no configuration. They are opened with
   --key as well as with their own decryption-key. Errors: those of the configuration. */
struct elsewhere *cmd_elsewhere(const struct options *options, struct repository *home,
                                void (*say)(void *context, const char *text), void *context,
                                struct gb_error *error);
/* Whether --repository is a path or a URL, so that no configuration is needed. */
bool cmd_repository_is_path(const struct options *options);
/* The backup that the command's argument or --as-of names. The latest (of verify: the newest,
   whatever was found in it before) is that of --cluster, else of the configured cluster; of a
   repository that is named by its path, of the only cluster in it. */
bool cmd_find(const struct options *options, struct repository *repository,
              struct manifest *manifest, struct gb_error *error);
/* The cluster whose directory is meant: --cluster, else the configured one, else the only one in
 * the repository. Errors: GB_usage. */
bool cmd_cluster(const struct options *options, struct repository *repository,
                 char cluster[WIRE_NAME_MAX], struct gb_error *error);
/* Whether who asks may remove, hold or release what is in that cluster's directory: refused as a
   writer is (identity.h) if the directory is the configured cluster's and the server of the
   configuration has another history. Who names the repository by its path without --config, or
   another cluster with --cluster, or whose server does not answer, has no identity that could be
   wrong. Errors: those of identity_admit(). */
bool cmd_admit(const struct options *options, struct repository *repository, const char *cluster,
               struct gb_error *error);
/* The configuration of --config, or the default one. */
bool cmd_config(const struct options *options, struct config *config, struct gb_error *error);
/* What a node of the cluster knows of its donors: that of --donor, else the server of the
   configuration (none where the repository is named by its path). False: it can't be asked; *error
   says why. */
bool cmd_donors(const struct options *options, struct ist_donors *donors, struct gb_error *error);
/* "IST possible: ..." of a backup with a position, or what to ask a donor where donors is NULL.
 * Text in out. */
void cmd_ist_text(const struct ist_donors *donors, const char *position, char *out, size_t size);
/* Adds ist ("yes", "no", "unknown"; null without a position), ist_writesets, ist_lowest, ist_donors
 * to the JSON of a backup. */
void cmd_ist_json(json_t *backup, const char *position, const struct ist_prediction *prediction);

#endif
