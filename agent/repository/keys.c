/* keys.json; see keys.h. */
#include "agent/repository/keys.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NAME_SIZE 1024

static void name_of(const char *prefix, char name[NAME_SIZE])
{
    snprintf(name, NAME_SIZE, "%s/keys.json", prefix);
}

bool backup_keys_read(struct storage *storage, const char *prefix, struct envelope *envelope, struct gb_error *error)
{
    char name[NAME_SIZE];
    struct gb_error why = {0};
    size_t size;
    name_of(prefix, name);
    char *text = storage_read_all(storage, name, ENVELOPE_SIZE_MAX, &size, &why);
    bool ok = text && envelope_parse(envelope, text, size, name, error);
    free(text);
    if (!text && why.code == GB_not_found)
        error_set(error, GB_corrupt_backup, "%s is not there: without it nobody can read the backup", name);
    else if (!text)
        error_copy(error, &why);
    return ok;
}

bool backup_keys_write(struct storage *storage, const char *prefix, const struct envelope *envelope, bool first, struct gb_error *error)
{
    char name[NAME_SIZE], *text = envelope_text(envelope);
    name_of(prefix, name);
    bool ok = (text || error_set(error, GB_internal, "no memory for %s", name)) &&
              (strlen(text) <= ENVELOPE_SIZE_MAX || error_set(error, GB_bad_key, "%s would be too long", name));
    if (ok && first) {
        struct storage_writer *w = storage_create(storage, name, error);
        ok = w && storage_write(w, text, strlen(text), error);
        if (ok)
            ok = storage_commit(w, error);
        else if (w)
            storage_abort(w);
    } else if (ok)
        ok = storage_replace(storage, name, text, strlen(text), error);
    free(text);
    return ok;
}
