/* Whether the newest run of a cluster failed; see runs.h. */
#include "agent/repository/runs.h"
#include "agent/utc.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#define RECORD_SIZE (64u << 10)
#define NAME_SIZE   (WIRE_NAME_MAX + WIRE_ID_MAX + 64)

void runs_note_failed(struct repository *r, const char *cluster, const char *id, const struct gb_error *why)
{
    char name[NAME_SIZE], now[UTC_MAX];
    struct gb_error problem = {0};
    /* What is encrypted betrays no name of a table by its errors. */
    const char *what = r->spec.keys.recipients[0] ? error_name(why->code) : why->what;
    json_t *root = json_pack("{s:i, s:s, s:s, s:i, s:s}", "format", 1, "id", id, "failed_at", utc_text(time(NULL), now), "error_code",
                             (int)why->code, "error", what);
    char *text = root ? json_dumps(root, JSON_INDENT(1)) : NULL;
    snprintf(name, sizeof name, "%s/failed.json", cluster);
    if (text && !storage_replace(r->storage, name, text, strlen(text), &problem))
        fprintf(stderr, "galera-backup: warning: that %s failed is not recorded in the repository: %s\n", id, problem.what);
    free(text);
    json_decref(root);
}

void runs_note_good(struct repository *r, const char *cluster)
{
    char name[NAME_SIZE];
    struct gb_error ignored = {0};
    snprintf(name, sizeof name, "%s/failed.json", cluster);
    storage_remove(r->storage, name, &ignored);
}

static bool read_record(struct repository *r, const char *cluster, struct failed_run *failed, struct gb_error *error)
{
    char name[NAME_SIZE];
    size_t size;
    struct gb_error problem = {0};
    snprintf(name, sizeof name, "%s/failed.json", cluster);
    char *text = storage_read_all(r->storage, name, RECORD_SIZE, &size, &problem);
    if (!text && problem.code == GB_not_found)
        return true;
    if (!text) {
        error_copy(error, &problem);
        return false;
    }
    json_t *root = json_loadb(text, size, 0, NULL);
    const char *id = json_string_value(json_object_get(root, "id")), *why = json_string_value(json_object_get(root, "error"));
    if (id && label_valid(id)) {
        snprintf(failed->id, sizeof failed->id, "%s", id);
        snprintf(failed->why, sizeof failed->why, "%s", why ? why : "");
        failed->code = (int)json_integer_value(json_object_get(root, "error_code"));
    }
    json_decref(root);
    free(text);
    return true;
}

/* Labels that are newer than any complete backup. */
struct newer {
    const char *than;
    char (*label)[WIRE_ID_MAX];
    size_t count;
    bool no_memory;
};

static bool take_newer(void *context, const char *name, bool directory)
{
    struct newer *n = context;
    if (!directory || !label_valid(name) || strstr(name, "-" MANIFEST_SAVE "-") || strcmp(name, n->than) <= 0)
        return true;
    void *more = realloc(n->label, (n->count + 1) * sizeof *n->label);
    if (!more)
        return !(n->no_memory = true);
    n->label = more;
    snprintf(n->label[n->count++], WIRE_ID_MAX, "%s", name);
    return true;
}

bool runs_left_over(struct repository *r, const char *cluster, const char *label, bool *is, struct gb_error *error)
{
    char prefix[NAME_SIZE], name[NAME_SIZE + 16];
    struct gb_error problem = {0};
    struct storage_lock_state lock;
    uint64_t size;
    repository_prefix(prefix, sizeof prefix, cluster, label);
    snprintf(name, sizeof name, "%s/backup.json", prefix);
    *is = false;
    if (storage_size(r->storage, name, &size, &problem))
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

bool runs_newest_failed(struct repository *r, const char *cluster, const char *newest, struct failed_run *failed,
                        struct gb_error *error)
{
    char prefix[NAME_SIZE];
    struct newer n = {.than = newest};
    memset(failed, 0, sizeof *failed);
    repository_prefix(prefix, sizeof prefix, cluster, "");
    bool ok = read_record(r, cluster, failed, error) && storage_list(r->storage, prefix, take_newer, &n, error) &&
              (!n.no_memory || error_set(error, GB_internal, "no memory for the list"));
    if (ok && strcmp(failed->id, newest) <= 0)
        memset(failed, 0, sizeof *failed);
    for (size_t i = 0; ok && i < n.count; i++) {
        bool is;
        ok = runs_left_over(r, cluster, n.label[i], &is, error);
        if (ok && is && strcmp(n.label[i], failed->id) > 0) {
            snprintf(failed->id, sizeof failed->id, "%s", n.label[i]);
            snprintf(failed->why, sizeof failed->why, "its agent did not live to its end");
            failed->code = 0;
        }
    }
    free(n.label);
    return ok;
}
