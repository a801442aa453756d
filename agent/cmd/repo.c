/* galera-backup repo adopt|...: the repository itself */
#include "agent/cmd/cmd.h"
#include "agent/repository/identity.h"
#include "agent/utc.h"

#include <string.h>

static json_t *identity_json(const struct identity *i)
{
    char seen[UTC_MAX];
    json_t *wsrep = json_array();
    for (unsigned at = 0; at < i->wsrep_count; at++)
        json_array_append_new(wsrep, json_pack("{s:s, s:s}", "uuid", i->wsrep[at].uuid, "first_seen_at",
                                               utc_text(i->wsrep[at].first_seen_at, seen)));
    return json_pack("{s:s, s:s, s:o}", "cluster", i->cluster, "uuid", i->uuid, "wsrep", wsrep);
}

static void print_json(json_t *root)
{
    json_object_set_new(root, "schema", json_integer(1));
    json_dumpf(root, stdout, JSON_INDENT(1));
    putchar('\n');
    json_decref(root);
}

static bool adopt(const struct options *options, struct repository *r, struct gb_error *error)
{
    struct identity i;
    char cluster[WIRE_NAME_MAX], seen[UTC_MAX];
    if (!options->wsrep_uuid) {
        error_set(error, GB_usage, "repo adopt needs --wsrep-uuid UUID");
        error_hint(error, "SHOW STATUS LIKE 'wsrep_cluster_state_uuid' on a node of the cluster tells it");
        return false;
    }
    if (!cmd_cluster(options, r, cluster, error) || !identity_adopt(r, cluster, options->wsrep_uuid, &i, error))
        return false;
    if (options->json) {
        print_json(identity_json(&i));
        return true;
    }
    printf("%s/%s is %s's; histories that may write there:\n", storage_describe(r->storage), cluster, cluster);
    for (unsigned at = 0; at < i.wsrep_count; at++)
        printf("  %s, since %s\n", i.wsrep[at].uuid, utc_text(i.wsrep[at].first_seen_at, seen));
    return true;
}

int cmd_repo(const struct options *options, struct gb_error *error)
{
    static const struct {
        const char *name;
        bool (*run)(const struct options *options, struct repository *r, struct gb_error *error);
    } parts[] = {{"adopt", adopt}};
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        if (strcmp(options->argument, parts[i].name))
            continue;
        struct repository *r = cmd_repository(options, error);
        if (r)
            parts[i].run(options, r, error);
        repository_close(r);
        return error->code ? error_exit_status(error->code) : 0;
    }
    error_set(error, GB_usage, "repo has no \"%s\"; there is adopt", options->argument);
    return error_exit_status(error->code);
}
