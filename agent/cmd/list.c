/* galera-backup list */
#include "agent/cmd/cmd.h"
#include "agent/mariadb/connection.h"
#include "agent/repository/expire.h"
#include "agent/repository/hold.h"
#include "agent/repository/listing.h"
#include "agent/repository/verified.h"
#include "agent/ui/text.h"
#include "agent/warn.h"

#include <jansson.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define FAILED_DAYS 7

static void warn(void *context, const char *text)
{
    (void)context;
    fprintf(stderr, "galera-backup: damaged: %s\n", text);
}

/* donors may be NULL or empty: then IST is not known. */
static struct ist_prediction predict(const struct ist_donors *donors, const struct manifest *m)
{
    struct ist_prediction p = {.behind = -1, .lowest = -1};
    if (donors)
        ist_predict(donors, manifest_position(m), &p);
    return p;
}

/* What retention makes of the backups of each cluster among them; those of which it can't be told
 * are missing. */
struct kept {
    struct retention_backup *list;
    size_t count;
};

static bool decide_all(struct repository *r, const struct manifest *list, size_t count,
                       struct kept *kept, struct gb_error *error)
{
    bool ok = true;
    *kept = (struct kept){NULL, 0};
    kept->list = calloc(count + 1, sizeof *kept->list);
    for (size_t i = 0; kept->list && ok && i < count; i++) {
        struct retention_backup *some = NULL;
        size_t n = 0, before = 0;
        while (before < i && strcmp(list[before].cluster, list[i].cluster))
            before++;
        if (before < i)
            continue;
        ok = expire_decide(r, list[i].cluster, list, count, time(NULL), &some, &n, error);
        /* In the order of the list, as it has them. */
        for (size_t k = 0; ok && k < n; k++)
            kept->list[kept->count++] = some[k];
        free(some);
    }
    return ok && (kept->list || error_set(error, GB_internal, "no memory for the list"));
}

static void add_kept(json_t *o, const struct kept *kept, const struct manifest *m)
{
    char text[WIRE_HOLD_MAX];
    for (size_t i = 0; i < kept->count; i++) {
        const struct retention_backup *b = &kept->list[i];
        if (strcmp(b->id, m->id))
            continue;
        json_object_set_new(o, "hold_until",
                            b->hold_until ? json_string(hold_text(b->hold_until, text))
                                          : json_null());
        json_object_set_new(o, "keep_reason", json_string(b->keep ? b->reason : ""));
        json_object_set_new(o, "expires_at",
                            b->expires_at ? json_string(hold_text(b->expires_at, text))
                                          : json_null());
        return;
    }
}

/* A record that can't be read says nothing; it is named. */
static struct verified read_verified(struct repository *r, const struct manifest *m)
{
    struct verified v;
    struct gb_error why = {0};
    if (!verified_read(&v, r, m->cluster, m->id, &why))
        warn_of(&why, NULL);
    return v;
}

static json_t *entry(const struct manifest *m, const char *repository, const struct verified *v,
                     const struct ist_donors *donors, const struct kept *kept)
{
    char started[32], finished[32], verified[32];
    struct ist_prediction ist = predict(donors, m);
    char *gtid = manifest_gtid(m, SIZE_MAX);
    json_t *o = json_pack(
        "{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:I, s:I, s:I, s:s, s:s, s:s, s:s}", "id", m->id,
        "cluster", m->cluster, "type", m->type, "state", "succeeded", "node", m->node, "started_at",
        text_time(m->started_at, started, sizeof started), "finished_at",
        text_time(m->finished_at, finished, sizeof finished), "duration_s",
        (json_int_t)(m->finished_at - m->started_at), "data_bytes", (json_int_t)m->data_bytes,
        "stored_bytes", (json_int_t)m->stored_bytes, "position", manifest_position(m),
        "server_version", m->server_version, "verified", verified_word(v), "comment", m->comment);
    if (o) {
        json_object_set_new(o, "repositories", json_pack("[s]", repository));
        json_object_set_new(o, "parent", json_null());
        json_object_set_new(o, "chain_length", json_integer(1));
        json_object_set_new(o, "gtid", json_string(gtid));
        json_object_set_new(o, "encrypted", json_boolean(m->encryption.on));
        json_object_set_new(o, "verified_at",
                            v->verified_at
                                ? json_string(text_time(v->verified_at, verified, sizeof verified))
                                : json_null());
        cmd_ist_json(o, manifest_position(m), &ist);
        add_kept(o, kept, m);
    }
    free(gtid);
    return o;
}

/* Failed runs leave nothing in the repository: the server's catalog knows them. NULL: it did not
 * answer. */
static MYSQL_RES *failed_runs(const struct options *options, struct connection **connection,
                              struct gb_error *error)
{
    struct config config;
    MYSQL_RES *rows = NULL;
    char sql[512];
    snprintf(sql, sizeof sql,
             "SELECT id, state, error_code, error, started_at, cluster FROM galera_backup.backups "
             "WHERE state IN "
             "('failed','cancelled') AND started_at > UTC_TIMESTAMP() - INTERVAL %d DAY ORDER BY "
             "id DESC LIMIT 100",
             FAILED_DAYS);
    if (cmd_config(options, &config, error) && (*connection = connection_open(&config, 5, error)))
        connection_query(*connection, sql, &rows, NULL, error);
    return rows;
}

static void print_failed(MYSQL_RES *rows)
{
    for (MYSQL_ROW row; rows && (row = mysql_fetch_row(rows));)
        printf("%-36s %-9s GB%s %.64s\n", row[0], row[1], row[2] ? row[2] : "?",
               row[3] ? row[3] : "");
}

int cmd_list(const struct options *options, struct gb_error *error)
{
    struct repository *r = cmd_repository(options, error);
    struct manifest *list = NULL;
    size_t count = 0;
    struct kept kept = {NULL, 0};
    bool ok = r && repository_list(r, options->cluster, &list, &count, warn, NULL, error) &&
              (!options->json || decide_all(r, list, count, &kept, error));
    if (!ok) {
        for (size_t i = 0; i < count; i++)
            manifest_free(&list[i]);
        free(list);
        free(kept.list);
        repository_close(r);
        return error_exit_status(error->code);
    }
    struct connection *connection = NULL;
    struct gb_error absent = {0}, unasked = {0};
    struct ist_donors *donors = calloc(1, sizeof *donors);
    bool by_path = cmd_repository_is_path(options) && !options->config;
    const char *repository = r->spec.name[0] ? r->spec.name : storage_describe(r->storage);
    MYSQL_RES *failed = by_path ? NULL : failed_runs(options, &connection, &absent);
    if (!by_path && !failed)
        fprintf(stderr, "failed runs are not shown: %s\n", absent.what);
    if (donors && !cmd_donors(options, donors, &unasked) && options->donor)
        fprintf(stderr, "%s could not be asked about IST: %s\n", options->donor, unasked.what);
    if (options->json) {
        json_t *root = json_pack("{s:i, s:b, s:[]}", "schema", 1, "failed_runs_known",
                                 failed != NULL, "backups"),
               *all = json_object_get(root, "backups");
        for (size_t i = 0; i < count; i++) {
            struct verified verified = read_verified(r, &list[i]);
            json_array_append_new(all, entry(&list[i], repository, &verified, donors, &kept));
        }
        for (MYSQL_ROW row; failed && (row = mysql_fetch_row(failed));)
            json_array_append_new(all,
                                  json_pack("{s:s, s:s, s:i, s:s, s:s, s:s}", "id", row[0], "state",
                                            row[1], "error_code", row[2] ? atoi(row[2]) : 0,
                                            "error", row[3] ? row[3] : "", "started_at",
                                            row[4] ? row[4] : "", "cluster", row[5]));
        json_dumpf(root, stdout, JSON_INDENT(1));
        putchar('\n');
        json_decref(root);
    } else {
        printf("%-30s %6s %-5s %8s %8s %8s %-12s %-8s %-7s %s\n", "ID", "AGE", "TYPE", "SIZE",
               "STORED", "DURATION", "REPOS", "VERIFIED", "IST", "POSITION");
        for (size_t i = 0; i < count; i++) {
            char age[32], size[32], stored[32], duration[32];
            struct verified verified = read_verified(r, &list[i]);
            const char *seqno = strrchr(manifest_position(&list[i]), ':');
            char position[64] = "-";
            if (seqno)
                snprintf(position, sizeof position, "%.8s..%s", manifest_position(&list[i]), seqno);
            printf("%-30s %6s %-5s %8s %8s %8s %-12s %-8s %-7s %s\n", list[i].id,
                   text_duration((uint64_t)(time(NULL) - list[i].finished_at), age, sizeof age),
                   list[i].type, text_bytes(list[i].data_bytes, size, sizeof size),
                   text_bytes(list[i].stored_bytes, stored, sizeof stored),
                   text_duration((uint64_t)(list[i].finished_at - list[i].started_at), duration,
                                 sizeof duration),
                   repository, verified_word(&verified),
                   seqno ? ist_word(predict(donors, &list[i]).answer) : "-", position);
        }
        print_failed(failed);
    }
    if (failed)
        mysql_free_result(failed);
    connection_close(connection);
    free(donors);
    for (size_t i = 0; i < count; i++)
        manifest_free(&list[i]);
    free(list);
    free(kept.list);
    repository_close(r);
    return 0;
}
