/*
  The commands: thin. Each parses nothing but its own options' values, calls a service and prints. Each answers the exit
  status; errors are printed by the caller.
*/
#ifndef GB_AGENT_CMD_CMD_H
#define GB_AGENT_CMD_CMD_H

#include "agent/options.h"

#define CMD_LIST(X) X(agent) X(check) X(backup) X(status) X(cancel) X(set) X(list) X(info) X(log) X(restore) X(verify) X(version)

#define CMD_DECLARE(name) int cmd_##name(const struct options *options, struct gb_error *error);
CMD_LIST(CMD_DECLARE)
#undef CMD_DECLARE

/* The repository that --repository names: a directory's path or file:// URL, or a name of the configuration. */
struct repository *cmd_repository(const struct options *options, struct gb_error *error);
/* Whether --repository is a path or a URL, so that no configuration is needed. */
bool cmd_repository_is_path(const struct options *options);
/* The backup that the command's argument or --as-of names. The latest is that of --cluster, else of the configured cluster; of a
   repository that is named by its path, of the only cluster in it. */
bool cmd_find(const struct options *options, struct repository *repository, struct manifest *manifest, struct gb_error *error);
/* The configuration of --config, or the default one. */
bool cmd_config(const struct options *options, struct config *config, struct gb_error *error);

#endif
