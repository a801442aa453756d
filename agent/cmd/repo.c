/* galera-backup repo check|gc|unlock|upgrade|adopt */
#include "agent/cmd/cmd.h"
#include "agent/repository/identity.h"
#include "agent/repository/listing.h"
#include "agent/repository/upkeep.h"
#include "agent/utc.h"
#include "agent/warn.h"

#include <stdlib.h>
#include <string.h>

static json_t *identity_json(const struct identity *i)
{
    char seen[UTC_MAX];
    json_t *wsrep = json_array();
    for (unsigned at = 0; at < i->wsrep_count; at++)
        json_array_append_new(wsrep,
                              json_pack("{s:s, s:s}", "uuid", i->wsrep[at].uuid, "first_seen_at",
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
        error_hint(error,
                   "SHOW STATUS LIKE 'wsrep_cluster_state_uuid' on a node of the cluster tells it");
        return false;
    }
    if (!cmd_cluster(options, r, cluster, error) ||
        !identity_adopt(r, cluster, options->wsrep_uuid, &i, error))
        return false;
    if (options->json) {
        print_json(identity_json(&i));
        return true;
    }
    printf("%s/%s is %s's; histories that may write there:\n", storage_describe(r->storage),
           cluster, cluster);
    for (unsigned at = 0; at < i.wsrep_count; at++)
        printf("  %s, since %s\n", i.wsrep[at].uuid, utc_text(i.wsrep[at].first_seen_at, seen));
    return true;
}

/* ---- check ---- */

static const char *const words[] = {
    [UPKEEP_OK] = "OK", [UPKEEP_WARN] = "WARN", [UPKEEP_FAIL] = "FAIL"};

static void print_row(void *context, const struct upkeep_row *row)
{
    (void)context;
    printf("%-4s  %-16s %s%s%s\n", words[row->result], row->check, row->detail,
           row->result == UPKEEP_OK ? "" : "\n      do: ",
           row->result == UPKEEP_OK ? "" : row->remedy);
}

static void add_row(void *context, const struct upkeep_row *row)
{
    json_array_append_new(context, json_pack("{s:s, s:s, s:s, s:s}", "check", row->check, "result",
                                             words[row->result], "detail", row->detail, "remedy",
                                             row->remedy));
}

static bool check(const struct options *options, struct repository *r, struct gb_error *error)
{
    json_t *list = options->json ? json_array() : NULL;
    bool ok = upkeep_check(r, options->cluster, list ? add_row : print_row, list);
    if (list)
        print_json(
            json_pack("{s:s, s:o}", "repository", storage_describe(r->storage), "checks", list));
    return ok || error_set(error, GB_repository_unreachable, "%s is not fit to hold backups",
                           storage_describe(r->storage));
}

/* ---- gc, unlock, upgrade ---- */

static bool gc(const struct options *options, struct repository *r, struct gb_error *error)
{
    char cluster[WIRE_NAME_MAX];
    struct upkeep_gc done;
    if (!cmd_cluster(options, r, cluster, error) || !cmd_admit(options, r, cluster, error) ||
        !upkeep_gc(r, cluster, &done, error))
        return false;
    if (options->json)
        print_json(json_pack("{s:s, s:i, s:i}", "cluster", cluster, "left_overs", (int)done.labels,
                             "uploads", (int)done.uploads));
    else
        printf("%s/%s: removed what %u failed runs had left, and %u uploads that never became an "
               "object\n",
               storage_describe(r->storage), cluster, done.labels, done.uploads);
    return true;
}

static bool unlock(const struct options *options, struct repository *r, struct gb_error *error)
{
    char cluster[WIRE_NAME_MAX], since[UTC_MAX];
    struct upkeep_lock *list = NULL;
    size_t count = 0;
    bool ok = cmd_cluster(options, r, cluster, error);
    if (ok && options->lock)
        ok = upkeep_unlock(r, cluster, options->lock, error);
    ok = ok && upkeep_locks(r, cluster, &list, &count, error);
    json_t *locks = options->json ? json_array() : NULL;
    for (size_t i = 0; ok && i < count; i++) {
        const struct storage_lock_state *s = &list[i].state;
        utc_text(s->since, since);
        if (locks)
            json_array_append_new(locks,
                                  json_pack("{s:s, s:b, s:s, s:s}", "name", list[i].name, "held",
                                            s->held, "owner", s->owner, "since", since));
        else
            printf("%-5s  %s, %s, since %s\n", s->held ? "held" : "stale", list[i].name,
                   s->owner[0] ? s->owner : "owner not known", since);
    }
    if (ok && !locks && !count)
        printf("no locks of %s in %s\n", cluster, storage_describe(r->storage));
    if (ok && locks)
        print_json(json_pack("{s:s, s:O}", "cluster", cluster, "locks", locks));
    json_decref(locks);
    free(list);
    return ok;
}

/* There has been one format so far. */
static bool upgrade(const struct options *options, struct repository *r, struct gb_error *error)
{
    struct repository_names clusters;
    size_t backups = 0;
    struct manifest *list = NULL;
    struct identity identity;
    struct gb_error problem = {0};
    bool ok = repository_clusters(r, &clusters, error) &&
              repository_list(r, NULL, &list, &backups, warn_text, NULL, error);
    for (size_t i = 0; ok && i < clusters.count; i++)
        if (!identity_read(&identity, r->storage, clusters.name[i], &problem) &&
            problem.code == GB_format_newer) {
            error_copy(error, &problem);
            ok = false;
        }
    for (size_t i = 0; i < backups; i++)
        manifest_free(&list[i]);
    free(list);
    free(clusters.name);
    if (!ok)
        return false;
    if (options->json)
        print_json(json_pack("{s:s, s:i, s:i, s:b}", "repository", storage_describe(r->storage),
                             "format", MANIFEST_FORMAT, "backups", (int)backups, "upgraded",
                             false));
    else
        printf("%s has format %d, the newest: nothing to do (%zu backups)\n",
               storage_describe(r->storage), MANIFEST_FORMAT, backups);
    return true;
}

int cmd_repo(const struct options *options, struct gb_error *error)
{
    static const struct {
        const char *name;
        bool (*run)(const struct options *options, struct repository *r, struct gb_error *error);
    } parts[] = {
        {"check", check}, {"gc", gc}, {"unlock", unlock}, {"upgrade", upgrade}, {"adopt", adopt}};
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        if (strcmp(options->argument, parts[i].name))
            continue;
        struct repository *r = cmd_repository(options, error);
        if (r)
            parts[i].run(options, r, error);
        repository_close(r);
        return error->code ? error_exit_status(error->code) : 0;
    }
    error_set(error, GB_usage, "repo has no \"%s\"; there are check, gc, unlock, upgrade and adopt",
              options->argument);
    return error_exit_status(error->code);
}
