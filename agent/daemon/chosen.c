/* Where a backup goes; see chosen.h. */
#include "agent/daemon/chosen.h"

#include <stdio.h>
#include <string.h>

static bool add(struct chosen *c, const struct repository_spec *spec, struct gb_error *error)
{
    for (unsigned i = 0; i < c->count; i++)
        if (c->spec[i] == spec)
            return error_set(error, GB_bad_value, "repository %s is named twice", spec->name);
    if (c->count == CHOSEN_MAX)
        return error_set(error, GB_bad_value, "a backup can go to %u repositories at once",
                         CHOSEN_MAX);
    c->spec[c->count++] = spec;
    return true;
}

bool chosen_parse(struct chosen *c, const struct config *config, const char *names,
                  struct gb_error *error)
{
    c->count = 0;
    do {
        char name[sizeof c->spec[0]->name];
        names += strspn(names, " ");
        size_t length = strcspn(names, ","), used = length;
        while (used && names[used - 1] == ' ')
            used--;
        if (used >= sizeof name || (!used && (c->count || names[length])))
            return error_set(error, GB_repository_unknown,
                             "\"%.*s\" is not the name of a repository", (int)used, names);
        memcpy(name, names, used);
        name[used] = '\0';
        const struct repository_spec *spec = config_repository(config, name, error);
        if (!spec || !add(c, spec, error))
            return false;
        names += length;
    } while (*names++);
    for (unsigned i = 0; i < c->count; i++)
        if (c->spec[i]->required) {
            const struct repository_spec *first = c->spec[i];
            memmove(&c->spec[1], &c->spec[0], i * sizeof c->spec[0]);
            c->spec[0] = first;
            break;
        }
    return true;
}

bool chosen_required(const struct chosen *c, unsigned number)
{
    return !number || c->spec[number]->required;
}

bool chosen_cluster(char cluster[WIRE_NAME_MAX], const struct config *config,
                    const struct wire_hello *hello, struct gb_error *error)
{
    const char *name = config->cluster[0]  ? config->cluster
                       : hello->cluster[0] ? hello->cluster
                                           : hello->node;
    snprintf(cluster, WIRE_NAME_MAX, "%s", name);
    if (cluster_name_valid(cluster))
        return true;
    error_set(error, GB_bad_config,
              "the cluster name \"%s\" can't name a directory of the repository", cluster);
    error_hint(error, "set cluster = NAME in [agent] of the agent's configuration");
    return false;
}
