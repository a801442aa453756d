/* galera-backup expire, hold, release */
#include "agent/cmd/cmd.h"
#include "agent/mariadb/kept.h"
#include "agent/mariadb/rows.h"
#include "agent/repository/hold.h"
#include "agent/utc.h"

#include <string.h>

#define SQL_TIMEOUT_S 5u

/* The catalog follows the repository, where a server answers; the agent's next run would write the
 * same. */
struct follower {
    struct connection *connection;
    struct gb_error error;
};

static void follow_begin(const struct options *options, struct follower *f)
{
    struct config config;
    memset(f, 0, sizeof *f);
    if (cmd_repository_is_path(options) && !options->config)
        return;
    if (cmd_config(options, &config, &f->error))
        f->connection = rows_connect(&config, SQL_TIMEOUT_S, &f->error);
}

static void follow(void *context, const char *sql)
{
    struct follower *f = context;
    if (f->connection && !f->error.code)
        connection_query(f->connection, sql, NULL, NULL, &f->error);
}

static void follow_end(struct follower *f)
{
    connection_close(f->connection);
    if (f->error.code)
        fprintf(stderr, "galera-backup: the catalog does not show it yet: %s\n", f->error.what);
}

static json_t *time_json(time_t t)
{
    char text[UTC_MAX];
    return t ? json_string(utc_text(t, text)) : json_null();
}

static json_t *hold_json(time_t until)
{
    char text[WIRE_HOLD_MAX];
    return until ? json_string(hold_text(until, text)) : json_null();
}

static void print_json(json_t *root)
{
    json_object_set_new(root, "schema", json_integer(1));
    json_dumpf(root, stdout, JSON_INDENT(1));
    putchar('\n');
    json_decref(root);
}

static void print_result_json(const struct expire_result *result, const char *cluster, bool dry_run)
{
    json_t *list = json_array();
    for (size_t i = 0; i < result->count; i++) {
        const struct retention_backup *b = &result->list[i];
        json_array_append_new(list,
                              json_pack("{s:s, s:s, s:b, s:s, s:o, s:o}", "id", b->id, "decision",
                                        b->keep ? "keep" : "expire", "removed", result->gone[i],
                                        "reason", b->reason, "hold_until", hold_json(b->hold_until),
                                        "expires_at", time_json(b->expires_at)));
    }
    json_t *refused = result->refused.code
                          ? json_pack("{s:i, s:s, s:s}", "code", (int)result->refused.code,
                                      "message", result->refused.what, "hint", result->refused.hint)
                          : json_null();
    print_json(json_pack("{s:s, s:b, s:o, s:o, s:i, s:i}", "cluster", cluster, "dry_run", dry_run,
                         "backups", list, "refused", refused, "expire", (int)result->expire,
                         "removed", (int)result->removed));
}

static void print_result(const struct expire_result *result, const char *cluster,
                         const struct repository *r, bool dry_run)
{
    for (size_t i = 0; i < result->count; i++) {
        const struct retention_backup *b = &result->list[i];
        printf("%-36s %-7s %s\n", b->id,
               result->gone[i] ? "removed"
               : b->keep       ? "keep"
                               : "expire",
               b->reason);
    }
    printf("%s of %s: %zu backups, %u %s\n", storage_describe(r->storage), cluster, result->count,
           dry_run ? result->expire : result->removed, dry_run ? "would expire" : "removed");
    if (dry_run && result->refused.code && result->expire)
        printf("but nothing would be removed: %s; do: %s\n", result->refused.what,
               result->refused.hint);
}

int cmd_expire(const struct options *options, struct gb_error *error)
{
    struct repository_spec spec;
    struct repository *r =
        cmd_repository_spec(options, &spec, error) ? expire_open(&spec, error) : NULL;
    char cluster[WIRE_NAME_MAX];
    struct expire_request request = {.cluster = cluster,
                                     .dry_run = options->dry_run,
                                     .confirm_mass = options->confirm_mass_expire};
    struct expire_result result = {0};
    if (r && cmd_cluster(options, r, cluster, error) && cmd_admit(options, r, cluster, error)) {
        bool ran = expire_run(r, &request, &result, error);
        if (ran && options->json)
            print_result_json(&result, cluster, options->dry_run);
        else if (ran || result.removed)
            print_result(&result, cluster, r, options->dry_run);
        if (result.removed || (ran && !options->dry_run)) {
            struct follower f;
            follow_begin(options, &f);
            kept_each(&result, cluster, r->spec.name, follow, &f);
            follow_end(&f);
        }
        if (ran && !options->dry_run && result.refused.code && result.expire)
            error_copy(error, &result.refused);
    }
    expire_result_free(&result);
    repository_close(r);
    return error->code ? error_exit_status(error->code) : 0;
}

/* until 0: release. */
static int set_hold(const struct options *options, time_t until, struct gb_error *error)
{
    struct repository *r = cmd_repository(options, error);
    struct manifest m = {0};
    char text[WIRE_HOLD_MAX], sql[KEPT_SQL_MAX];
    if (r && cmd_find(options, r, &m, error) && cmd_admit(options, r, m.cluster, error) &&
        hold_set(r, &m, until, error)) {
        struct follower f;
        follow_begin(options, &f);
        follow(&f, kept_hold_sql(sql, m.cluster, m.id, until));
        follow_end(&f);
        if (options->json)
            print_json(json_pack("{s:s, s:s, s:o}", "id", m.id, "cluster", m.cluster, "hold_until",
                                 hold_json(until)));
        else if (!until)
            printf("%s is not held any more\n", m.id);
        else
            printf("%s is held %s%s\n", m.id, until < RETENTION_FOREVER ? "until " : "",
                   hold_text(until, text));
    }
    manifest_free(&m);
    repository_close(r);
    return error->code ? error_exit_status(error->code) : 0;
}

int cmd_hold(const struct options *options, struct gb_error *error)
{
    time_t until = options->until ? hold_parse(options->until) : RETENTION_FOREVER;
    if (until)
        return set_hold(options, until, error);
    error_set(error, GB_bad_value, "--until %s is not a time", options->until);
    error_hint(error, "give it in UTC, with date and time: 2027-01-31T00:00:00Z; without --until "
                      "it is held until it is released");
    return error_exit_status(error->code);
}

int cmd_release(const struct options *options, struct gb_error *error)
{
    return set_hold(options, 0, error);
}
