/* Whose a cluster's directory in a repository is; see identity.h. */
#include "agent/repository/identity.h"
#include "agent/repository/remembered.h"
#include "agent/repository/sealed.h"
#include "agent/utc.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <uuid/uuid.h>

#define NAME_SIZE     (WIRE_NAME_MAX + 32)
#define IDENTITY_SIZE (64u << 10) /* of the text, at most */

static void object_name(const char *cluster, char out[NAME_SIZE])
{
    snprintf(out, NAME_SIZE, "%s/cluster.json", cluster);
}

bool identity_uuid_valid(const char *text)
{
    uuid_t uuid;
    return text && !uuid_parse(text, uuid) && !uuid_is_null(uuid);
}

static unsigned find_wsrep(const struct identity *i, const char *uuid)
{
    unsigned at = 0;
    while (at < i->wsrep_count && strcasecmp(i->wsrep[at].uuid, uuid))
        at++;
    return at;
}

static bool is_known(const struct identity *i, const char *uuid)
{
    return find_wsrep(i, uuid) < i->wsrep_count;
}

/* Of those that are too many the oldest goes. */
static void add_wsrep(struct identity *i, const char *uuid)
{
    if (i->wsrep_count == IDENTITY_WSREP_MAX)
        memmove(i->wsrep, i->wsrep + 1, --i->wsrep_count * sizeof *i->wsrep);
    snprintf(i->wsrep[i->wsrep_count].uuid, IDENTITY_UUID_SIZE, "%s", uuid);
    i->wsrep[i->wsrep_count++].first_seen_at = time(NULL);
}

static bool parse_wsrep(struct identity *i, const json_t *list)
{
    const json_t *entry;
    size_t at;
    json_array_foreach(list, at, entry)
    {
        const char *uuid = json_string_value(json_object_get(entry, "uuid"));
        const char *seen = json_string_value(json_object_get(entry, "first_seen_at"));
        if (!identity_uuid_valid(uuid) || !seen || utc_parse(seen) < 0 ||
            i->wsrep_count == IDENTITY_WSREP_MAX)
            return false;
        snprintf(i->wsrep[i->wsrep_count].uuid, IDENTITY_UUID_SIZE, "%s", uuid);
        i->wsrep[i->wsrep_count++].first_seen_at = utc_parse(seen);
    }
    return json_is_array(list);
}

bool identity_parse(struct identity *i, const char *text, size_t size, const char *name,
                    struct gb_error *error)
{
    json_t *root = json_loadb(text, size, JSON_REJECT_DUPLICATES, NULL);
    const char *uuid = json_string_value(json_object_get(root, "uuid")),
               *cluster = json_string_value(json_object_get(root, "cluster"));
    json_int_t format = json_integer_value(json_object_get(root, "format"));
    bool ok = true;
    memset(i, 0, sizeof *i);
    if (format > IDENTITY_FORMAT)
        ok = error_set(error, GB_format_newer, "%s has format %lld, this release knows %d", name,
                       (long long)format, IDENTITY_FORMAT);
    else if (!sealed_intact(text, size))
        ok = error_set(error, GB_corrupt_backup,
                       "%s has been changed or cut: its own SHA-256 is wrong", name);
    else if (format != IDENTITY_FORMAT || !identity_uuid_valid(uuid) || !cluster ||
             !cluster_name_valid(cluster) || !parse_wsrep(i, json_object_get(root, "wsrep")))
        ok = error_set(error, GB_corrupt_backup, "%s does not say whose it is", name);
    if (ok) {
        snprintf(i->uuid, sizeof i->uuid, "%s", uuid);
        snprintf(i->cluster, sizeof i->cluster, "%s", cluster);
    }
    json_decref(root);
    return ok;
}

bool identity_read(struct identity *i, struct storage *storage, const char *cluster,
                   struct gb_error *error)
{
    char name[NAME_SIZE], where[NAME_SIZE + 1024];
    size_t size;
    object_name(cluster, name);
    char *text = storage_read_all(storage, name, IDENTITY_SIZE, &size, error);
    snprintf(where, sizeof where, "%s/%s", storage_describe(storage), name);
    bool ok = text && identity_parse(i, text, size, where, error);
    free(text);
    if (ok && strcmp(i->cluster, cluster))
        ok = error_set(error, GB_wrong_cluster, "%s is of cluster %s: a directory that was renamed",
                       where, i->cluster);
    return ok;
}

static char *make_text(const struct identity *i)
{
    char seen[UTC_MAX];
    json_t *list = json_array();
    for (unsigned at = 0; at < i->wsrep_count; at++)
        json_array_append_new(list,
                              json_pack("{s:s, s:s}", "uuid", i->wsrep[at].uuid, "first_seen_at",
                                        utc_text(i->wsrep[at].first_seen_at, seen)));
    json_t *root = json_pack("{s:i, s:s, s:s, s:o}", "format", IDENTITY_FORMAT, "uuid", i->uuid,
                             "cluster", i->cluster, "wsrep", list);
    size_t size;
    char *text = root ? sealed_text(root, &size) : NULL;
    json_decref(root);
    return text;
}

static bool store_it(const struct identity *i, bool new, struct storage *storage,
                     struct gb_error *error)
{
    char name[NAME_SIZE], *text = make_text(i);
    object_name(i->cluster, name);
    bool ok = text
                  ? (new ? storage_make : storage_replace)(storage, name, text, strlen(text), error)
                  : error_set(error, GB_internal, "no memory");
    free(text);
    return ok;
}

/* Where there is none. Of two that make one at the same moment the first one counts, where the
   store knows no conditions the last one: *i is what stands there then. It is a small object like a
   hold, not one of a backup, which a store may be told to remove after some days. */
static bool make_new(struct identity *i, struct storage *storage, const char *cluster,
                     const char *wsrep_uuid, struct gb_error *error)
{
    uuid_t uuid;
    memset(i, 0, sizeof *i);
    uuid_generate_random(uuid);
    uuid_unparse_lower(uuid, i->uuid);
    snprintf(i->cluster, sizeof i->cluster, "%s", cluster);
    if (identity_uuid_valid(wsrep_uuid))
        add_wsrep(i, wsrep_uuid);
    struct gb_error problem = {0}, unread = {0};
    bool made = store_it(i, true, storage, &problem);
    if (identity_read(i, storage, cluster, &unread))
        return true;
    error_copy(error, made || unread.code != GB_not_found ? &unread : &problem);
    return false;
}

static bool refuse(const struct identity *i, const struct repository *r,
                   const struct identity_writer *w, struct gb_error *error)
{
    const struct repository_spec *spec = &r->spec;
    error_set(error, GB_wrong_cluster,
              "%.160s/%s belongs to cluster %s (wsrep uuid %s), this one is %s",
              storage_describe(r->storage), i->cluster, i->uuid, i->wsrep[i->wsrep_count - 1].uuid,
              w->wsrep_uuid);
    error_hint(error,
               "if it is the same cluster with a new history: galera-backup repo adopt "
               "--repository '%s' --cluster %s --wsrep-uuid %s; else give "
               "it another name or repository",
               w->remedy && *w->remedy ? w->remedy : spec->name, i->cluster, w->wsrep_uuid);
    return false;
}

bool identity_admit(struct repository *r, const struct identity_writer *w, struct gb_error *error)
{
    struct identity i;
    struct gb_error problem = {0};
    bool uuid_known = identity_uuid_valid(w->wsrep_uuid);
    bool there = identity_read(&i, r->storage, w->cluster, &problem);
    if (!there && problem.code != GB_not_found) {
        if (problem.code == GB_corrupt_backup)
            error_hint(&problem,
                       "galera-backup repo adopt --repository '%s' --cluster %s --wsrep-uuid %s "
                       "makes it anew",
                       w->remedy && *w->remedy ? w->remedy : r->spec.name, w->cluster,
                       uuid_known ? w->wsrep_uuid : "UUID");
        error_copy(error, &problem);
        return false;
    }
    if (!there && !w->writes)
        return true;
    if (!there && !make_new(&i, r->storage, w->cluster, w->wsrep_uuid, error))
        return false;
    bool same = !uuid_known || !i.wsrep_count || is_known(&i, w->wsrep_uuid) ||
                remembered_has(w->state_dir, i.uuid);
    if (!same)
        return refuse(&i, r, w, error);
    if (!w->writes)
        return true;
    if (uuid_known && !is_known(&i, w->wsrep_uuid)) {
        add_wsrep(&i, w->wsrep_uuid);
        if (!store_it(&i, false, r->storage, error))
            return false;
    }
    if (uuid_known) /* who has none is let in, and says nothing of who will come with one */
        remembered_add(w->state_dir, i.uuid, w->cluster);
    if (!repository_is_remote(&r->spec))
        remembered_add_place(w->state_dir, r->spec.path, w->cluster);
    return true;
}

bool identity_remembers(struct repository *r, const char *cluster, const char *state_dir)
{
    struct identity i;
    struct gb_error problem = {0};
    if (!identity_read(&i, r->storage, cluster, &problem))
        return problem.code == GB_not_found;
    return !i.wsrep_count || remembered_has(state_dir, i.uuid);
}

bool identity_adopt(struct repository *r, const char *cluster, const char *wsrep_uuid,
                    struct identity *i, struct gb_error *error)
{
    struct gb_error problem = {0};
    if (!cluster_name_valid(cluster))
        return error_set(error, GB_bad_value, "\"%s\" is not the name of a cluster", cluster);
    if (!identity_uuid_valid(wsrep_uuid)) {
        error_set(error, GB_bad_value, "\"%s\" is not the uuid of a cluster", wsrep_uuid);
        error_hint(error,
                   "SHOW STATUS LIKE 'wsrep_cluster_state_uuid' on a node of the cluster tells it");
        return false;
    }
    if (identity_read(i, r->storage, cluster, &problem)) {
        if (is_known(i, wsrep_uuid))
            return true;
        add_wsrep(i, wsrep_uuid);
        return store_it(i, false, r->storage, error);
    }
    if (problem.code == GB_corrupt_backup || problem.code == GB_wrong_cluster) {
        char name[NAME_SIZE];
        object_name(cluster, name);
        return storage_remove(r->storage, name, error) &&
               make_new(i, r->storage, cluster, wsrep_uuid, error);
    }
    if (problem.code == GB_not_found)
        return make_new(i, r->storage, cluster, wsrep_uuid, error);
    error_copy(error, &problem);
    return false;
}
