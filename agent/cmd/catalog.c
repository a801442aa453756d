/* galera-backup catalog sync|export */
#include "agent/cmd/cmd.h"
#include "agent/hex.h"
#include "agent/mariadb/catalog_sync.h"
#include "agent/mariadb/rows.h"
#include "agent/repository/listing.h"
#include "agent/repository/verified.h"
#include "agent/utc.h"

#include <openssl/evp.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define SQL_TIMEOUT_S 60u
#define MANIFEST_MAX  (64u << 20)

static void warn(void *context, const char *text)
{
    unsigned *unread = context;
    ++*unread;
    fprintf(stderr, "galera-backup: damaged: %s\n", text);
}

static bool all_read(unsigned unread, struct gb_error *error)
{
    return !unread ||
           error_set(error, GB_corrupt_backup, "%u backups can't be read and are left out", unread);
}

/* ---- sync ---- */

/* Under which name this server's backups stand: as the agent chooses it. */
static bool choose_cluster(const struct options *options, const struct config *config,
                           struct connection *connection, char out[WIRE_NAME_MAX],
                           struct gb_error *error)
{
    static const char ask[] = "SELECT IF(@@wsrep_on, @@wsrep_cluster_name, @@hostname)";
    MYSQL_RES *rows = NULL;
    const char *given = options->cluster ? options->cluster : config->cluster;
    snprintf(out, WIRE_NAME_MAX, "%s", given);
    if (!given[0] && !connection_query(connection, ask, &rows, NULL, error))
        return false;
    MYSQL_ROW row = rows ? mysql_fetch_row(rows) : NULL;
    if (row && row[0])
        snprintf(out, WIRE_NAME_MAX, "%s", row[0]);
    if (rows)
        mysql_free_result(rows);
    return cluster_name_valid(out) ||
           error_set(error, GB_bad_value, "\"%s\" is no name of a cluster in a repository", out);
}

static bool sync_with(const struct options *options, const struct config *config,
                      struct connection *connection, struct gb_error *error)
{
    const struct repository_spec *list[CONFIG_REPOSITORIES_MAX];
    struct catalog_sync r;
    char cluster[WIRE_NAME_MAX];
    unsigned count = 0, ignored = 0;
    if (options->repository &&
        !(list[count++] = config_repository(config, options->repository, error)))
        return false;
    for (unsigned i = 0; !options->repository && i < config->repository_count; i++)
        list[count++] = &config->repositories[i];
    if (!choose_cluster(options, config, connection, cluster, error) ||
        !catalog_sync(connection, list, count, cluster, warn, &ignored, &r, error))
        return false;
    if (options->json)
        printf("{\"schema\": 1, \"cluster\": \"%s\", \"found\": %u, \"added\": %u, \"mended\": %u, "
               "\"gone\": %u, \"unknown\": %u, "
               "\"unread\": %u}\n",
               cluster, r.found, r.added, r.mended, r.gone, r.unknown, r.unread);
    else
        printf("%u backups of %s in %u repositories: %u rows added, %u mended, %u marked as gone\n",
               r.found, cluster, count, r.added, r.mended, r.gone);
    if (r.unknown && !options->json)
        printf("%u rows are of backups that another node may have in a directory of its own; run "
               "this there\n",
               r.unknown);
    return all_read(r.unread, error);
}

static bool run_sync(const struct options *options, struct gb_error *error)
{
    static struct config config;
    struct connection *connection;
    if (options->format)
        return error_set(error, GB_usage, "catalog sync takes no --format");
    if (cmd_repository_is_path(options)) {
        error_set(
            error, GB_bad_value,
            "catalog sync names repositories as the configuration does, not by where they are");
        error_hint(error, "give the name of a [repository:NAME], or none for all of them");
        return false;
    }
    if (!cmd_config(options, &config, error) ||
        !(connection = rows_connect(&config, SQL_TIMEOUT_S, error)))
        return false;
    bool ok = sync_with(options, &config, connection, error);
    connection_close(connection);
    return ok;
}

/* ---- export ---- */

static const char *const columns[] = {"id",         "cluster",     "type",        "parent",
                                      "node",       "started_at",  "finished_at", "duration_s",
                                      "repository", "place",       "data_bytes",  "stored_bytes",
                                      "sha256",     "position",    "gtid",        "server_version",
                                      "verified",   "verified_at", "comment",     NULL};

/* SHA-256 of backup.json, which names those of all other objects; "" where it can't be read again.
 */
static void checksum(struct repository *r, const char *prefix, char out[65])
{
    char name[1100];
    size_t size = 0;
    unsigned length;
    uint8_t sha256[32];
    struct gb_error ignored = {0};
    snprintf(name, sizeof name, "%s/backup.json", prefix);
    char *text = storage_read_all(r->storage, name, MANIFEST_MAX, &size, &ignored);
    out[0] = '\0';
    if (text && EVP_Digest(text, size, sha256, &length, EVP_sha256(), NULL))
        hex_write(sha256, sizeof sha256, out);
    free(text);
}

static json_t *text_or_null(const char *text)
{
    return *text ? json_string(text) : json_null();
}

/* One backup, under the names of the columns. */
static json_t *describe(struct repository *r, const struct manifest *m, unsigned *unread)
{
    char prefix[1024], sha256[65], place[2200], started[UTC_MAX], finished[UTC_MAX], at[UTC_MAX];
    struct verified v;
    struct gb_error why = {0};
    repository_prefix(prefix, sizeof prefix, m->cluster, m->id);
    checksum(r, prefix, sha256);
    snprintf(place, sizeof place, "%s/%s", storage_describe(r->storage), prefix);
    char line[GB_ERROR_LINE_MAX];
    if (!verified_read(&v, r, m->cluster, m->id, &why))
        warn(unread, error_format(&why, line, sizeof line));
    char *gtid = manifest_gtid(m, SIZE_MAX);
    json_t *one =
        json_pack("{s:s, s:s, s:s, s:n, s:s, s:s, s:s, s:I, s:s, s:s, s:I, s:I, s:o, s:o, s:o, "
                  "s:s, s:s, s:o, s:s}",
                  "id", m->id, "cluster", m->cluster, "type", m->type, "parent", "node", m->node,
                  "started_at", utc_text(m->started_at, started), "finished_at",
                  utc_text(m->finished_at, finished), "duration_s",
                  (json_int_t)(m->finished_at - m->started_at), "repository", r->spec.name, "place",
                  place, "data_bytes", (json_int_t)m->data_bytes, "stored_bytes",
                  (json_int_t)m->stored_bytes, "sha256", text_or_null(sha256), "position",
                  text_or_null(manifest_position(m)), "gtid", text_or_null(gtid ? gtid : ""),
                  "server_version", m->server_version, "verified", verified_word(&v), "verified_at",
                  v.verified_at ? json_string(utc_text(v.verified_at, at)) : json_null(), "comment",
                  m->comment);
    free(gtid);
    return one;
}

/* As RFC 4180 has it. */
static void print_field(const json_t *value, bool last)
{
    const char *text = json_string_value(value);
    if (json_is_integer(value))
        printf("%lld", (long long)json_integer_value(value));
    else if (text && strpbrk(text, ",\"\r\n")) {
        putchar('"');
        for (; *text; text++)
            printf(*text == '"' ? "\"\"" : "%c", *text);
        putchar('"');
    } else
        printf("%s", text ? text : "");
    printf("%s", last ? "\r\n" : ",");
}

static void print_csv(const json_t *all)
{
    const json_t *one;
    size_t i;
    for (const char *const *c = columns; *c; c++)
        printf("%s%s", *c, c[1] ? "," : "\r\n");
    json_array_foreach(all, i, one) for (const char *const *c = columns; *c; c++)
        print_field(json_object_get(one, *c), !c[1]);
}

static bool export_one(const struct options *options, struct repository *r, json_t *all,
                       unsigned *unread, struct gb_error *error)
{
    struct manifest *list = NULL;
    size_t count = 0;
    bool ok = r && repository_list(r, options->cluster, &list, &count, warn, unread, error);
    for (size_t i = 0; i < count; i++) {
        if (ok && json_array_append_new(all, describe(r, &list[i], unread)))
            ok = error_set(error, GB_internal,
                           "%s can't be described: no memory, or a text that is not UTF-8",
                           list[i].id);
        manifest_free(&list[i]);
    }
    free(list);
    repository_close(r);
    return ok;
}

static bool run_export(const struct options *options, struct gb_error *error)
{
    static struct config config;
    json_t *all = json_array();
    unsigned unread = 0;
    bool ok = true;
    if (options->repository)
        ok = export_one(options, cmd_repository(options, error), all, &unread, error);
    else if ((ok = cmd_config(options, &config, error)))
        for (unsigned i = 0; ok && i < config.repository_count; i++)
            ok = export_one(options, repository_open(&config.repositories[i], error), all, &unread,
                            error);
    if (ok && (options->json || !options->format || !strcmp(options->format, "json"))) {
        json_t *root = json_pack("{s:i, s:O}", "schema", 1, "backups", all);
        json_dumpf(root, stdout, JSON_INDENT(1));
        putchar('\n');
        json_decref(root);
    } else if (ok)
        print_csv(all);
    json_decref(all);
    return ok && all_read(unread, error);
}

int cmd_catalog(const struct options *options, struct gb_error *error)
{
    if (!strcmp(options->argument, "sync"))
        run_sync(options, error);
    else if (strcmp(options->argument, "export"))
        error_set(error, GB_usage, "catalog has no \"%s\"; there are sync and export",
                  options->argument);
    else if (options->json && options->format && strcmp(options->format, "json"))
        error_set(error, GB_usage, "--json and --format %s do not go together", options->format);
    else
        run_export(options, error);
    return error->code ? error_exit_status(error->code) : 0;
}
