/* Whether the newest run of a cluster failed; see runs.h. */
#include "agent/repository/runs.h"
#include "agent/utc.h"
#include "agent/warn.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#define RECORD_SIZE   (64u << 10)
#define EXPIRING_SIZE (1u << 20)
#define NAME_SIZE     (WIRE_NAME_MAX + WIRE_ID_MAX + 64)
#define KILLED        "its agent did not live to its end"

static void object_name(const char *cluster, const char *object, char out[NAME_SIZE])
{
    snprintf(out, NAME_SIZE, "%s/%s", cluster, object);
}

static void write_record(struct repository *r, const char *cluster, const char *id, int code,
                         const char *why)
{
    char name[NAME_SIZE], now[UTC_MAX];
    struct gb_error problem = {0};
    json_t *root = json_pack("{s:i, s:s, s:s, s:i, s:s}", "format", 1, "id", id, "failed_at",
                             utc_text(time(NULL), now), "error_code", code, "error", why);
    char *text = root ? json_dumps(root, JSON_INDENT(1)) : NULL;
    object_name(cluster, "failed.json", name);
    if (text && !storage_replace(r->storage, name, text, strlen(text), &problem))
        warn_of(&problem, "that %s failed is not recorded in the repository", id);
    free(text);
    json_decref(root);
}

void runs_note_failed(struct repository *r, const char *cluster, const char *id,
                      const struct gb_error *why)
{
    /* What is encrypted betrays no name of a table by its errors. */
    write_record(r, cluster, id, (int)why->code,
                 r->spec.keys.recipients[0] ? error_name(why->code) : why->what);
}

/* A small object as JSON; NULL where there is none. *there: there is one, whatever is in it. False:
 * the store failed. */
static bool read_json(struct repository *r, const char *cluster, const char *object, size_t limit,
                      bool *there, json_t **root, struct gb_error *error)
{
    char name[NAME_SIZE];
    size_t size;
    struct gb_error problem = {0};
    object_name(cluster, object, name);
    char *text = storage_read_all(r->storage, name, limit, &size, &problem);
    *there = text || problem.code != GB_not_found;
    *root = text ? json_loadb(text, size, 0, NULL) : NULL;
    free(text);
    if (text || problem.code == GB_not_found || problem.code == GB_corrupt_backup)
        return true;
    error_copy(error, &problem);
    return false;
}

static bool read_record(struct repository *r, const char *cluster, struct failed_run *failed,
                        struct gb_error *error)
{
    json_t *root;
    bool there;
    memset(failed, 0, sizeof *failed);
    if (!read_json(r, cluster, "failed.json", RECORD_SIZE, &there, &root, error))
        return false;
    const char *id = json_string_value(json_object_get(root, "id")),
               *why = json_string_value(json_object_get(root, "error"));
    if (there) {
        snprintf(failed->id, sizeof failed->id, "%s",
                 id && label_valid(id) ? id : "of which failed.json can't be read");
        snprintf(failed->why, sizeof failed->why, "%s", why ? why : "it is not known why");
        failed->code = (int)json_integer_value(json_object_get(root, "error_code"));
    }
    json_decref(root);
    return true;
}

void runs_note_good(struct repository *r, const char *cluster)
{
    char name[NAME_SIZE];
    struct gb_error problem = {0};
    object_name(cluster, "failed.json", name);
    if (!storage_remove(r->storage, name, &problem))
        warn_of(&problem, "nothing expires before the next backup");
}

void runs_note_copied(struct repository *r, const char *cluster, const char *id)
{
    struct failed_run failed;
    struct gb_error problem = {0};
    /* Ids are of one length up to their type, and begin with the time. */
    if (!read_record(r, cluster, &failed, &problem) || !label_valid(failed.id) ||
        strcmp(failed.id, id) <= 0)
        runs_note_good(r, cluster);
}

/* ---- what is being removed ---- */

bool runs_expire_begin(struct repository *r, const char *cluster,
                       const struct retention_backup *list, size_t count, struct gb_error *error)
{
    char name[NAME_SIZE];
    json_t *ids = json_array();
    for (size_t i = 0; i < count; i++)
        if (!list[i].keep)
            json_array_append_new(ids, json_string(list[i].id));
    bool any = json_array_size(ids);
    json_t *root = json_pack("{s:i, s:o}", "format", 1, "ids", ids);
    char *text = root ? json_dumps(root, JSON_COMPACT) : NULL;
    object_name(cluster, "expiring.json", name);
    bool ok = !any || (text ? storage_replace(r->storage, name, text, strlen(text), error)
                            : error_set(error, GB_internal, "no memory"));
    free(text);
    json_decref(root);
    return ok;
}

bool runs_expire_end(struct repository *r, const char *cluster, struct gb_error *error)
{
    char name[NAME_SIZE];
    object_name(cluster, "expiring.json", name);
    return storage_remove(r->storage, name, error);
}

/* The ids, to be freed with json_decref(); NULL: none. */
static bool read_expiring(struct repository *r, const char *cluster, json_t **ids,
                          struct gb_error *error)
{
    json_t *root;
    bool there;
    if (!read_json(r, cluster, "expiring.json", EXPIRING_SIZE, &there, &root, error))
        return false;
    *ids = json_incref(json_object_get(root, "ids"));
    json_decref(root);
    return true;
}

static bool has_id(const json_t *ids, const char *label)
{
    const json_t *id;
    size_t at;
    json_array_foreach(ids, at, id) if (json_is_string(id) &&
                                        !strcmp(json_string_value(id), label)) return true;
    return false;
}

/* ---- what killed runs left ---- */

static bool is_save(const char *label)
{
    return strstr(label, "-" MANIFEST_SAVE "-") != NULL;
}

void runs_note_left_over(struct repository *r, const char *cluster, const char *label)
{
    struct failed_run known;
    struct gb_error problem = {0};
    json_t *expiring = NULL;
    if (is_save(label))
        return;
    bool ok =
        read_expiring(r, cluster, &expiring, &problem) && read_record(r, cluster, &known, &problem);
    if (!ok || (!has_id(expiring, label) && strcmp(known.id, label)))
        write_record(r, cluster, label, 0, KILLED);
    json_decref(expiring);
}

static bool is_complete(const struct retention_backup *list, size_t count, const char *label)
{
    while (count && strcmp(list[count - 1].id, label))
        count--;
    return count;
}

bool runs_left_over(struct repository *r, const char *cluster, const char *label, bool *is,
                    struct gb_error *error)
{
    char prefix[NAME_SIZE];
    struct gb_error problem = {0};
    struct storage_lock_state lock;
    repository_prefix(prefix, sizeof prefix, cluster, label);
    *is = false;
    if (manifest_exists(r->storage, prefix, &problem))
        return true;
    if (problem.code != GB_not_found) {
        error_copy(error, &problem);
        return false;
    }
    if (!repository_lock_look(r, prefix, &lock, error))
        return false;
    *is = !lock.held;
    return true;
}

bool runs_newest_failed(struct repository *r, const char *cluster,
                        const struct retention_backup *list, size_t count,
                        struct failed_run *failed, struct gb_error *error)
{
    json_t *expiring = NULL;
    struct repository_names labels = {0};
    bool ok = read_record(r, cluster, failed, error) &&
              read_expiring(r, cluster, &expiring, error) &&
              repository_labels(r, cluster, &labels, error);
    for (size_t i = 0; ok && i < labels.count; i++) {
        const char *label = labels.name[i];
        bool is = false;
        ok = is_save(label) || has_id(expiring, label) || is_complete(list, count, label) ||
             runs_left_over(r, cluster, label, &is, error);
        if (ok && is && strcmp(label, failed->id)) {
            snprintf(failed->id, sizeof failed->id, "%s", label);
            snprintf(failed->why, sizeof failed->why, KILLED);
            failed->code = 0;
        }
    }
    free(labels.name);
    json_decref(expiring);
    return ok;
}
