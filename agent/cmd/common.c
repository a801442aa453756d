/* What several commands need; see cmd.h. */
#include "agent/cmd/cmd.h"

#include <string.h>

bool cmd_config(const struct options *options, struct config *config, struct gb_error *error)
{
    return config_load(config, options->config, error);
}

struct repository *cmd_repository(const struct options *options, struct gb_error *error)
{
    const char *name = options->repository;
    if (name && !strncmp(name, "file://", 7))
        name += 7;
    if (name && name[0] == '/') {
        struct repository_spec spec = {.name = "path", .type = "directory", .compression = {CODEC_ZSTD, 1}};
        snprintf(spec.path, sizeof spec.path, "%s", name);
        return repository_open(&spec, error);
    }
    struct config config;
    const struct repository_spec *spec;
    if (!cmd_config(options, &config, error) || !(spec = config_repository(&config, name, error)))
        return NULL;
    return repository_open(spec, error);
}

bool cmd_find(const struct options *options, struct repository *repository, struct manifest *manifest, struct gb_error *error)
{
    struct config config;
    struct gb_error ignored = {0}; /* a repository that is named by its path needs no configuration */
    const char *cluster = options->cluster;
    if (!cluster && !strcmp(options->argument, "latest") && cmd_config(options, &config, &ignored) && config.cluster[0])
        cluster = config.cluster;
    return repository_find(repository, cluster, options->argument, manifest, error);
}
