/* What several commands need; see cmd.h. */
#include "agent/cmd/cmd.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

bool cmd_config(const struct options *options, struct config *config, struct gb_error *error)
{
    return config_load(config, options->config, error);
}

/* The path in --repository, or "": file:///PATH (%20 and the like are undone) or /PATH. */
static bool repository_path(const char *name, char *out, size_t size, struct gb_error *error)
{
    const char *scheme = name ? strstr(name, "://") : NULL;
    *out = '\0';
    if (name && name[0] == '/') {
        snprintf(out, size, "%s", name);
        return true;
    }
    if (!scheme)
        return true;
    if (strncmp(name, "file://", 7))
        return error_set(error, GB_not_supported, "repositories of %.*s are not supported by this release", (int)(scheme - name),
                         name);
    const char *at = name + 7;
    if (*at != '/')
        return error_set(error, GB_bad_value, "--repository %s has no absolute path: it is file:///PATH", name);
    for (size_t n = 0; *at && n + 1 < size; at++) {
        unsigned byte;
        int used = 0;
        if (*at == '%' && (sscanf(at + 1, "%2x%n", &byte, &used) != 1 || used != 2 || !byte))
            return error_set(error, GB_bad_value, "--repository %s: \"%.3s\" is not %% and two hexadecimal digits", name, at);
        out[n++] = *at == '%' ? (char)byte : *at;
        out[n] = '\0';
        at += used;
    }
    return true;
}

bool cmd_repository_is_path(const struct options *options)
{
    return options->repository && (options->repository[0] == '/' || strstr(options->repository, "://"));
}

struct repository *cmd_repository(const struct options *options, struct gb_error *error)
{
    struct repository_spec spec = {.name = "path", .type = "directory", .compression = {CODEC_ZSTD, 1},
                                   .min_free_percent = CONFIG_MIN_FREE_PERCENT};
    struct stat st;
    if (!repository_path(options->repository, spec.path, sizeof spec.path, error))
        return NULL;
    if (spec.path[0]) {
        bool there = !stat(spec.path, &st);
        if (!there || !S_ISDIR(st.st_mode)) { /* to open it would make it */
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
    return repository_find(repository, cluster, id, manifest, error);
}
