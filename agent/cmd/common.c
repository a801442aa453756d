/* What several commands need; see cmd.h. */
#include "agent/cmd/cmd.h"
#include "agent/location.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

bool cmd_config(const struct options *options, struct config *config, struct gb_error *error)
{
    return config_load(config, options->config, error);
}

bool cmd_repository_is_path(const struct options *options)
{
    return options->repository && location_is(options->repository);
}

struct repository *cmd_repository(const struct options *options, struct gb_error *error)
{
    struct repository_spec spec;
    struct stat st;
    if (cmd_repository_is_path(options)) {
        if (!location_parse(options->repository, &spec, error))
            return NULL;
        bool directory = !strcmp(spec.type, REPOSITORY_DIRECTORY), there = !directory || !stat(spec.path, &st);
        if (directory && (!there || !S_ISDIR(st.st_mode))) { /* to open it would make it */
            error_set_errno(error, GB_repository_unreachable, there ? ENOTDIR : errno, "the repository %s", spec.path);
            return NULL;
        }
        return repository_open(&spec, error);
    }
    struct config config;
    const struct repository_spec *configured;
    if (!cmd_config(options, &config, error) || !(configured = config_repository(&config, options->repository, error)))
        return NULL;
    return repository_open(configured, error);
}

bool cmd_find(const struct options *options, struct repository *repository, struct manifest *manifest, struct gb_error *error)
{
    struct config config;
    const char *cluster = options->cluster, *id = options->argument ? options->argument : "";
    /* A repository that is named by its path is all there is, unless --config says otherwise. */
    if (!cluster && (options->as_of || !strcmp(id, "latest")) && (options->config || !cmd_repository_is_path(options))) {
        if (!cmd_config(options, &config, error))
            return false;
        if (config.cluster[0])
            cluster = config.cluster;
    }
    if (options->as_of)
        return repository_find_as_of(repository, cluster, options_as_of(options), manifest, error);
    if (!strcmp(options->command, "verify") && !strcmp(id, "latest"))
        return repository_find_newest(repository, cluster, manifest, error);
    return repository_find(repository, cluster, id, manifest, error);
}
