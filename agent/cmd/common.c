/* What several commands need; see cmd.h. */
#include "agent/cmd/cmd.h"
#include "agent/location.h"
#include "agent/repository/listing.h"

#include <stdlib.h>
#include <string.h>

bool cmd_config(const struct options *options, struct config *config, struct gb_error *error)
{
    return config_load(config, options->config, error);
}

bool cmd_repository_is_path(const struct options *options)
{
    return options->repository && location_is(options->repository);
}

/* The keys that the command line names take the place of the configured ones. */
static bool take_keys(const struct options *options, struct repository_spec *spec,
                      struct gb_error *error)
{
    const struct {
        const char *name, *given;
        char *to;
    } keys[] = {{"key", options->key, spec->keys.openers},
                {"trusted-signer", options->trusted_signer, spec->keys.trusted}};
    for (unsigned i = 0; i < sizeof keys / sizeof keys[0]; i++)
        if (keys[i].given &&
            snprintf(keys[i].to, WIRE_PATH_MAX, "%s", keys[i].given) >= (int)WIRE_PATH_MAX)
            return error_set(error, GB_bad_value, "the value of --%s is too long", keys[i].name);
    return true;
}

/* What an option's value says of a repository, "" or NULL: the default one. */
static bool named_spec(const struct options *options, const char *value,
                       struct repository_spec *spec, struct gb_error *error)
{
    struct config config;
    const struct repository_spec *configured;
    if (value && location_is(value))
        return location_parse(value, spec, error);
    if (!cmd_config(options, &config, error) ||
        !(configured = config_repository(&config, value, error)))
        return false;
    *spec = *configured;
    return true;
}

bool cmd_repository_spec(const struct options *options, struct repository_spec *spec,
                         struct gb_error *error)
{
    return named_spec(options, options->repository, spec, error) && take_keys(options, spec, error);
}

struct repository *cmd_repository(const struct options *options, struct gb_error *error)
{
    struct repository_spec spec;
    return cmd_repository_spec(options, &spec, error) ? repository_open(&spec, error) : NULL;
}

/* What --key names besides the repository's own. */
static bool add_key(const struct options *options, struct repository_spec *spec,
                    struct gb_error *error)
{
    char both[2 * WIRE_PATH_MAX];
    if (!options->key)
        return true;
    int n = snprintf(both, sizeof both, "%s%s%s", options->key, spec->keys.openers[0] ? "," : "",
                     spec->keys.openers);
    if (n < 0 || (size_t)n >= sizeof spec->keys.openers)
        return error_set(error, GB_bad_value, "the value of --key is too long");
    memcpy(spec->keys.openers, both, (size_t)n + 1);
    return true;
}

struct repository *cmd_other_repository(const struct options *options, const char *option,
                                        const char *value, const struct repository *than,
                                        struct gb_error *error)
{
    struct repository_spec spec;
    if (!named_spec(options, value, &spec, error) || !add_key(options, &spec, error))
        return NULL;
    if (!repository_is_same(&spec, &than->spec))
        return repository_open(&spec, error);
    error_set(error, GB_usage, "%s %s is the same repository as --repository", option, value);
    return NULL;
}

struct elsewhere *cmd_elsewhere(const struct options *options, struct repository *home,
                                void (*say)(void *context, const char *text), void *context,
                                struct gb_error *error)
{
    struct config *config = calloc(1, sizeof *config);
    struct elsewhere *e = NULL;
    bool ok = config || error_set(error, GB_internal, "no memory");
    if (ok && (options->config || !cmd_repository_is_path(options)))
        ok = cmd_config(options, config, error);
    for (unsigned i = 0; ok && i < config->repository_count; i++)
        ok = add_key(options, &config->repositories[i], error);
    if (ok &&
        !(e = elsewhere_new(home, config->repositories, config->repository_count, say, context)))
        error_set(error, GB_internal, "no memory");
    free(config);
    return e;
}

bool cmd_cluster(const struct options *options, struct repository *repository,
                 char cluster[WIRE_NAME_MAX], struct gb_error *error)
{
    struct config config;
    struct repository_names there;
    snprintf(cluster, WIRE_NAME_MAX, "%s", options->cluster ? options->cluster : "");
    if (!cluster[0] && (options->config || !cmd_repository_is_path(options))) {
        if (!cmd_config(options, &config, error))
            return false;
        snprintf(cluster, WIRE_NAME_MAX, "%s", config.cluster);
    }
    if (!cluster[0]) {
        bool ok = repository_clusters(repository, &there, error);
        if (ok && there.count != 1) {
            ok = error_set(error, GB_usage, "%s has directories of %zu clusters",
                           storage_describe(repository->storage), there.count);
            error_hint(error, "say which one: --cluster NAME");
        }
        if (ok)
            snprintf(cluster, WIRE_NAME_MAX, "%s", there.name[0]);
        free(there.name);
        if (!ok)
            return false;
    }
    return cluster_name_valid(cluster) ||
           error_set(error, GB_bad_value, "\"%s\" is not the name of a cluster", cluster);
}

bool cmd_find(const struct options *options, struct repository *repository,
              struct manifest *manifest, struct gb_error *error)
{
    struct config config;
    const char *cluster = options->cluster, *id = options->argument ? options->argument : "";
    /* A repository that is named by its path is all there is, unless --config says otherwise. */
    if (!cluster && (options->as_of || !strcmp(id, "latest")) &&
        (options->config || !cmd_repository_is_path(options))) {
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
