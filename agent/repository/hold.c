/* Holds; see hold.h. */
#include "agent/repository/hold.h"
#include "agent/repository/sealed.h"
#include "agent/utc.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#define HOLD_FORMAT 1
#define HOLD_SIZE   (4u << 10)
#define FOREVER     "forever"
#define NAME_SIZE   1200

time_t hold_parse(const char *text)
{
    time_t t = strcmp(text, FOREVER) ? utc_parse(text) : RETENTION_FOREVER;
    return t > 0 && t <= RETENTION_FOREVER ? t : 0;
}

bool hold_valid(const char *text, struct gb_error *error)
{
    time_t until = *text ? hold_parse(text) : RETENTION_FOREVER;
    return until > time(NULL) ||
           error_set(error, GB_bad_value,
                     "a backup can't be held until \"%s\": it is not a time to come", text);
}

const char *hold_text(time_t until, char out[WIRE_HOLD_MAX])
{
    char text[UTC_MAX];
    snprintf(out, WIRE_HOLD_MAX, "%s",
             !until                       ? ""
             : until >= RETENTION_FOREVER ? FOREVER
                                          : utc_text(until, text));
    return out;
}

static void object_name(const char *prefix, char out[NAME_SIZE])
{
    snprintf(out, NAME_SIZE, "%s/hold.json", prefix);
}

bool hold_read(struct storage *storage, const char *prefix, time_t *until, struct gb_error *error)
{
    char name[NAME_SIZE];
    size_t size;
    struct gb_error problem = {0};
    object_name(prefix, name);
    *until = 0;
    char *text = storage_read_all(storage, name, HOLD_SIZE, &size, &problem);
    if (!text && problem.code == GB_not_found)
        return true;
    if (!text && problem.code != GB_corrupt_backup) {
        error_copy(error, &problem);
        return false;
    }
    json_t *root = text ? sealed_parse(text, size) : NULL;
    const char *when = json_string_value(json_object_get(root, "until"));
    *until = when ? hold_parse(when) : 0;
    if (!*until)
        *until = RETENTION_FOREVER; /* somebody wanted it held: until when is not known */
    json_decref(root);
    free(text);
    return true;
}

bool hold_check(struct storage *storage, const char *prefix, struct gb_error *error)
{
    char name[NAME_SIZE];
    size_t size;
    struct gb_error problem = {0};
    object_name(prefix, name);
    char *text = storage_read_all(storage, name, HOLD_SIZE, &size, &problem);
    bool ok = text ? sealed_intact(text, size) : problem.code == GB_not_found;
    if (!text && !ok)
        error_copy(error, &problem);
    else if (!ok)
        error_set(error, GB_corrupt_backup,
                  "%s has been changed or cut: its own SHA-256 is wrong; the backup is held until "
                  "it is released",
                  name);
    free(text);
    return ok;
}

bool hold_write(struct storage *storage, const char *prefix, time_t until, struct gb_error *error)
{
    char name[NAME_SIZE], when[WIRE_HOLD_MAX], now[UTC_MAX];
    json_t *root = json_pack("{s:i, s:s, s:s}", "format", HOLD_FORMAT, "until",
                             hold_text(until, when), "held_at", utc_text(time(NULL), now));
    size_t size = 0;
    char *text = root ? sealed_text(root, &size) : NULL;
    object_name(prefix, name);
    bool ok = text ? storage_replace(storage, name, text, size, error)
                   : error_set(error, GB_internal, "no memory");
    free(text);
    json_decref(root);
    return ok;
}

bool hold_set(struct repository *r, const struct manifest *m, time_t until, struct gb_error *error)
{
    char prefix[WIRE_NAME_MAX + WIRE_ID_MAX + 16], name[NAME_SIZE], text[UTC_MAX];
    if (until && until <= time(NULL)) {
        error_set(error, GB_bad_value, "%s has passed: nothing would be held",
                  utc_text(until, text));
        return false;
    }
    repository_prefix(prefix, sizeof prefix, m->cluster, m->id);
    struct storage_lock *lock = repository_lock(r, prefix, error);
    if (!lock)
        return false;
    /* Looked at under the lock: whoever removes it has it, too. */
    bool ok = manifest_exists(r->storage, prefix, error);
    if (ok && until)
        ok = hold_write(r->storage, prefix, until, error);
    else if (ok) {
        object_name(prefix, name);
        ok = storage_remove(r->storage, name, error);
    }
    storage_unlock(lock);
    return ok;
}
