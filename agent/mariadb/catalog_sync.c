/* The SQL catalog made anew from the repositories; see catalog_sync.h. */
#include "agent/mariadb/catalog_sync.h"
#include "agent/mariadb/kept.h"
#include "agent/mariadb/rows.h"
#include "agent/repository/identity.h"
#include "agent/repository/listing.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* One that has been opened, and what it holds of the cluster. */
struct source {
    const struct repository_spec *spec;
    struct repository *repository;
    struct manifest *list; /* newest first */
    size_t count;
    bool unknown; /* neither backups of the cluster nor its cluster.json: not the repository, or its
                     mount is missing */
};

struct syncing {
    struct connection *connection;
    const char *cluster;
    struct source source[CONFIG_REPOSITORIES_MAX];
    unsigned sources;
    json_t *before; /* the cluster's rows by id: {state, node, repositories (array)} */
    char *node;     /* this one's name, as rows have it */
    void (*warn)(void *context, const char *text);
    void *context;
    struct catalog_sync *result;
};

static bool read_rows(struct syncing *s, struct gb_error *error)
{
    MYSQL_RES *rows = NULL;
    char sql[1024], cluster[600];
    row_text(cluster, sizeof cluster, s->cluster);
    if (!connection_query(s->connection, "SELECT IF(@@wsrep_on, @@wsrep_node_name, @@hostname)",
                          &rows, NULL, error))
        return false;
    MYSQL_ROW row = rows ? mysql_fetch_row(rows) : NULL;
    s->node = strdup(row && row[0] ? row[0] : "");
    mysql_free_result(rows);
    snprintf(sql, sizeof sql,
             "SELECT id, state, node, repositories FROM galera_backup.backups WHERE cluster = %s",
             cluster);
    if (!connection_query(s->connection, sql, &rows, NULL, error))
        return false;
    while (rows && (row = mysql_fetch_row(rows))) {
        json_t *list = json_loads(row[3], 0, NULL);
        json_object_set_new(s->before, row[0],
                            json_pack("{s:s, s:s, s:o}", "state", row[1], "node", row[2],
                                      "repositories", json_is_array(list) ? list : json_array()));
        if (!json_is_array(list))
            json_decref(list);
    }
    mysql_free_result(rows);
    return true;
}

static void count_unread(void *context, const char *text)
{
    struct syncing *s = context;
    s->result->unread++;
    if (s->warn)
        s->warn(s->context, text);
}

static bool read_sources(struct syncing *s, const struct repository_spec *const *specs,
                         unsigned count, struct gb_error *error)
{
    for (unsigned i = 0; i < count; i++) {
        struct source *from = &s->source[s->sources++];
        from->spec = specs[i];
        if (!(from->repository = repository_open(specs[i], error)) ||
            !repository_list(from->repository, s->cluster, &from->list, &from->count, count_unread,
                             s, error))
            return false;
        struct identity identity;
        struct gb_error why = {0};
        from->unknown = !from->count &&
                        !identity_read(&identity, from->repository->storage, s->cluster, &why) &&
                        why.code == GB_not_found;
    }
    return true;
}

static const struct manifest *find(const struct source *from, const char *id)
{
    for (size_t i = 0; i < from->count; i++)
        if (!strcmp(from->list[i].id, id))
            return &from->list[i];
    return NULL;
}

static const struct source *source_named(const struct syncing *s, const char *name)
{
    for (unsigned i = 0; name && i < s->sources; i++)
        if (!strcmp(s->source[i].spec->name, name))
            return &s->source[i];
    return NULL;
}

/* Where it is: those of our repositories that have it, in the order of the configuration, behind
   what the row says of others and of those of which nothing is known. */
static json_t *places_of(const struct syncing *s, const char *id)
{
    json_t *list = json_array(), *entry;
    size_t i;
    json_array_foreach(json_object_get(json_object_get(s->before, id), "repositories"), i, entry)
    {
        const struct source *from =
            source_named(s, json_string_value(json_object_get(entry, "name")));
        if (!from || from->unknown)
            json_array_append(list, entry);
    }
    for (unsigned k = 0; k < s->sources; k++) {
        const struct manifest *m = find(&s->source[k], id);
        if (m)
            json_array_append_new(list,
                                  json_pack("{s:s, s:s, s:s, s:I}", "name", s->source[k].spec->name,
                                            "type", s->source[k].spec->type, "state", "succeeded",
                                            "bytes", (json_int_t)m->stored_bytes));
    }
    return list;
}

/* The newest verification of it, wherever it was. One that can't be read is named, and none. */
static bool newest_verified(struct syncing *s, const char *id, struct verified *newest,
                            struct gb_error *error)
{
    memset(newest, 0, sizeof *newest);
    for (unsigned i = 0; i < s->sources; i++) {
        struct verified v;
        struct gb_error why = {0};
        if (!find(&s->source[i], id))
            continue;
        if (!verified_read(&v, s->source[i].repository, s->cluster, id, &why)) {
            if (storage_is_away(&why)) {
                error_copy(error, &why);
                return false;
            }
            char line[GB_ERROR_LINE_MAX];
            if (s->warn)
                s->warn(s->context, error_format(&why, line, sizeof line));
        } else if (v.verified_at > newest->verified_at)
            *newest = v;
    }
    return true;
}

/* A statement that changes rows; *changed: 0 none, 1 one was inserted, 2 one was updated (as the
 * server counts). */
static bool change(struct syncing *s, const char *sql, unsigned long long *changed,
                   struct gb_error *error)
{
    MYSQL_RES *rows = NULL;
    if (!connection_query(s->connection, sql, NULL, NULL, error) ||
        !connection_query(s->connection, "SELECT ROW_COUNT()", &rows, NULL, error))
        return false;
    MYSQL_ROW row = rows ? mysql_fetch_row(rows) : NULL;
    *changed = row && row[0] ? strtoull(row[0], NULL, 10) : 0;
    mysql_free_result(rows);
    return true;
}

static bool touch(struct syncing *s, const char *id, struct gb_error *error)
{
    char sql[1200], cluster[600], label[300];
    unsigned long long changed;
    row_text(cluster, sizeof cluster, s->cluster);
    row_text(label, sizeof label, id);
    snprintf(
        sql, sizeof sql,
        "UPDATE galera_backup.backups SET as_of = UTC_TIMESTAMP(6) WHERE cluster = %s AND id = %s",
        cluster, label);
    return change(s, sql, &changed, error);
}

/* What the repositories know of it. */
static bool set_known(struct syncing *s, struct row *r, const struct manifest *m,
                      struct gb_error *error)
{
    static const struct gb_error none;
    struct verified verified;
    if (!newest_verified(s, m->id, &verified, error))
        return false;
    json_t *list = places_of(s, m->id);
    char *places = json_dumps(list, JSON_COMPACT);
    row_set(r, "type", m->type);
    row_set(r, "node", m->node);
    row_set(r, "user", m->user);
    row_set(r, "comment", m->comment);
    row_add(r,
            ", state = 'succeeded', stage = 'DONE', eta_s = 0, started_at = FROM_UNIXTIME(%lld), "
            "finished_at = FROM_UNIXTIME(%lld), "
            "duration_s = %lld",
            (long long)m->started_at, (long long)m->finished_at,
            (long long)(m->finished_at - m->started_at));
    row_set_manifest(r, m);
    row_set(r, "warnings", wire_fact(&m->facts, "warnings"));
    row_set_verified(r, &verified);
    row_set(r, "repositories", places ? places : "[]");
    row_set_error(r, &none);
    free(places);
    json_decref(list);
    return true;
}

static bool sync_one(struct syncing *s, const struct manifest *m, struct gb_error *error)
{
    struct row *known = calloc(1, sizeof *known);
    char cluster[600], id[300], *sql = NULL;
    unsigned long long changed = 0;
    row_text(cluster, sizeof cluster, s->cluster);
    row_text(id, sizeof id, m->id);
    /* what the resync has added to it is in no manifest */
    bool ok = (known || error_set(error, GB_internal, "no memory")) &&
              set_known(s, known, m, error) &&
              (asprintf(&sql,
                        "INSERT INTO galera_backup.backups SET cluster = %s, id = %s, as_of = "
                        "UTC_TIMESTAMP(6), recv_queue_max = %llu%s "
                        "ON DUPLICATE KEY UPDATE %s",
                        cluster, id, strtoull(wire_fact(&m->facts, "recv_queue_max"), NULL, 10),
                        known->text, known->text + 2) >= 0 ||
               error_set(error, GB_internal, "no memory")) &&
              change(s, sql, &changed, error) && (changed != 2 || touch(s, m->id, error));
    s->result->found++;
    s->result->added += changed == 1;
    s->result->mended += changed == 2;
    free(known);
    free(sql);
    return ok;
}

static bool holds_some_of(const struct source *from, const char *node)
{
    for (size_t i = 0; i < from->count; i++)
        if (!strcmp(from->list[i].node, node))
            return true;
    return false;
}

enum presence { GONE, THERE, UNKNOWN };

/* Of a backup that none of the lists has: whether each repository that its row names is known to
 * have lost it. */
static enum presence look_for(struct syncing *s, const char *id, const json_t *row,
                              struct gb_error *error)
{
    const char *node = json_string_value(json_object_get(row, "node"));
    enum presence presence = UNKNOWN;
    const json_t *entry;
    size_t at;
    json_array_foreach(json_object_get(row, "repositories"), at, entry)
    {
        const struct source *from =
            source_named(s, json_string_value(json_object_get(entry, "name")));
        char prefix[1024];
        struct gb_error why = {0};
        if (!from || (strcmp(node, s->node) && !repository_is_remote(from->spec) &&
                      !holds_some_of(from, node)))
            return UNKNOWN;
        repository_prefix(prefix, sizeof prefix, s->cluster, id);
        if (manifest_exists(from->repository->storage, prefix, &why))
            return THERE; /* damaged, or committed since */
        if (why.code == GB_not_found && from->unknown) {
            error_clear(&why);
            error_set(&why, GB_repository_unreachable, "%s has no %s/cluster.json",
                      storage_describe(from->repository->storage), s->cluster);
        }
        if (why.code != GB_not_found) {
            error_copy(error, &why);
            return UNKNOWN;
        }
        presence = GONE;
    }
    return presence;
}

static bool mark_gone(struct syncing *s, const char *id, struct gb_error *error)
{
    struct row *r = calloc(1, sizeof *r);
    struct gb_error why = {0};
    char cluster[600], label[300];
    unsigned long long changed = 0;
    if (!r)
        return error_set(error, GB_internal, "no memory");
    row_text(cluster, sizeof cluster, s->cluster);
    row_text(label, sizeof label, id);
    error_set(&why, GB_not_found, "it had succeeded, and no repository has it any more");
    row_add(r, "UPDATE galera_backup.backups SET as_of = UTC_TIMESTAMP(6), state = 'failed'");
    row_set_error(r, &why);
    row_add(r, " WHERE cluster = %s AND id = %s AND state = 'succeeded'", cluster, label);
    bool ok = change(s, r->text, &changed, error);
    s->result->gone += ok && changed;
    free(r);
    return ok;
}

static bool is_listed(const struct syncing *s, const char *id)
{
    for (unsigned i = 0; i < s->sources; i++)
        if (find(&s->source[i], id))
            return true;
    return false;
}

/* hold_until, keep_reason and expires_at of those that are in no repository before this one. */
static bool sync_kept(struct syncing *s, unsigned at, struct gb_error *error)
{
    struct source *from = &s->source[at];
    struct retention_backup *list = NULL;
    size_t count = 0;
    bool ok = expire_decide(from->repository, s->cluster, from->list, from->count, time(NULL),
                            &list, &count, error);
    for (size_t i = 0; ok && i < count; i++) {
        char sql[KEPT_SQL_MAX];
        unsigned long long changed;
        bool done = false;
        for (unsigned before = 0; before < at; before++)
            done = done || find(&s->source[before], list[i].id);
        ok = done || change(s, kept_row_sql(sql, s->cluster, "", &list[i]), &changed, error);
    }
    free(list);
    return ok;
}

static bool sync_all(struct syncing *s, struct gb_error *error)
{
    const char *id;
    json_t *row;
    for (unsigned i = 0; i < s->sources; i++)
        for (size_t k = 0; k < s->source[i].count; k++) {
            const struct manifest *m = &s->source[i].list[k];
            bool done = false;
            for (unsigned before = 0; before < i; before++)
                done = done || find(&s->source[before], m->id);
            if (!done && !sync_one(s, m, error))
                return false;
        }
    for (unsigned i = 0; i < s->sources; i++)
        if (!sync_kept(s, i, error))
            return false;
    json_object_foreach(s->before, id, row)
    {
        if (strcmp(json_string_value(json_object_get(row, "state")), "succeeded") ||
            is_listed(s, id))
            continue;
        enum presence presence = look_for(s, id, row, error);
        if (error->code || (presence == GONE && !mark_gone(s, id, error)))
            return false;
        s->result->unknown += presence == UNKNOWN;
    }
    return true;
}

bool catalog_sync(struct connection *connection, const struct repository_spec *const *repositories,
                  unsigned count, const char *cluster,
                  void (*warn)(void *context, const char *text), void *context,
                  struct catalog_sync *result, struct gb_error *error)
{
    struct syncing s = {.connection = connection,
                        .cluster = cluster,
                        .before = json_object(),
                        .warn = warn,
                        .context = context,
                        .result = result};
    memset(result, 0, sizeof *result);
    bool ok =
        read_rows(&s, error) && read_sources(&s, repositories, count, error) && sync_all(&s, error);
    for (unsigned i = 0; i < s.sources; i++) {
        for (size_t k = 0; k < s.source[i].count; k++)
            manifest_free(&s.source[i].list[k]);
        free(s.source[i].list);
        repository_close(s.source[i].repository);
    }
    json_decref(s.before);
    free(s.node);
    return ok;
}
