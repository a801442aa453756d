/* The interface to where objects are kept: to the driver; see storage.h and driver.h. */
#include "agent/storage/driver.h"

#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

bool storage_name_clean(const char *name)
{
    if (name[0] == '/' || strlen(name) >= PATH_MAX - 16)
        return false;
    for (const char *part = name; part;) {
        const char *slash = strchr(part, '/');
        size_t n = slash ? (size_t)(slash - part) : strlen(part);
        if ((!n && *name) || n > NAME_MAX || (n == 1 && part[0] == '.') ||
            (n == 2 && part[0] == '.' && part[1] == '.'))
            return false;
        part = slash ? slash + 1 : NULL;
    }
    return true;
}

bool storage_name_hidden(const char *name)
{
    return name[0] == '.';
}

void storage_count(struct storage *s)
{
    __atomic_fetch_add(&s->operations, 1, __ATOMIC_RELAXED);
}

uint64_t storage_operations(const struct storage *s)
{
    return __atomic_load_n(&s->operations, __ATOMIC_RELAXED);
}

bool storage_is_away(const struct gb_error *error)
{
    return error->code == GB_store_unreachable || error->code == GB_store_denied ||
           error->code == GB_store_untrusted || error->code == GB_bucket_missing;
}

void storage_close(struct storage *s)
{
    if (s)
        s->driver->close(s);
}

const char *storage_describe(const struct storage *s)
{
    return s->driver->describe(s);
}

bool storage_check_space(struct storage *s, uint64_t bytes, uint64_t *free_bytes,
                         struct gb_error *error)
{
    return s->driver->check_space(s, bytes, free_bytes, error);
}

struct storage_writer *storage_create(struct storage *s, const char *name, struct gb_error *error)
{
    return s->driver->create(s, name, error);
}

bool storage_write(struct storage_writer *w, const void *data, size_t size, struct gb_error *error)
{
    return w->driver->write(w, data, size, error);
}

bool storage_commit(struct storage_writer *w, struct gb_error *error)
{
    return w->driver->commit(w, error);
}

void storage_abort(struct storage_writer *w)
{
    w->driver->abort(w);
}

bool storage_put(struct storage *s, const char *name, const void *data, size_t size,
                 struct gb_error *error)
{
    struct storage_writer *w = storage_create(s, name, error);
    if (w && storage_write(w, data, size, error))
        return storage_commit(w, error);
    if (w)
        storage_abort(w);
    return false;
}

bool storage_replace(struct storage *s, const char *name, const void *data, size_t size,
                     struct gb_error *error)
{
    if (size > STORAGE_REPLACE_MAX)
        return error_set(error, GB_store_failed, "%s/%s would have %zu bytes, more than %u",
                         storage_describe(s), name, size, STORAGE_REPLACE_MAX);
    return s->driver->replace(s, name, data, size, error);
}

bool storage_make(struct storage *s, const char *name, const void *data, size_t size,
                  struct gb_error *error)
{
    return s->driver->make(s, name, data, size, error);
}

bool storage_remove(struct storage *s, const char *name, struct gb_error *error)
{
    return s->driver->remove(s, name, error);
}

bool storage_read(struct storage *s, const char *name, uint64_t offset, void *data, size_t size,
                  struct gb_error *error)
{
    return s->driver->read(s, name, offset, data, size, error);
}

bool storage_size(struct storage *s, const char *name, uint64_t *size, struct gb_error *error)
{
    return s->driver->size(s, name, size, error);
}

char *storage_read_all(struct storage *s, const char *name, size_t limit, size_t *size,
                       struct gb_error *error)
{
    uint64_t bytes;
    if (!storage_size(s, name, &bytes, error))
        return NULL;
    if (bytes > limit) {
        error_set(error, GB_corrupt_backup, "%s/%s has %" PRIu64 " bytes, more than %zu",
                  storage_describe(s), name, bytes, limit);
        return NULL;
    }
    char *data = malloc((size_t)bytes + 1);
    if (!data) {
        error_set(error, GB_internal, "no memory for %s", name);
        return NULL;
    }
    if (!storage_read(s, name, 0, data, (size_t)bytes, error)) {
        free(data);
        return NULL;
    }
    data[bytes] = '\0';
    *size = (size_t)bytes;
    return data;
}

bool storage_list(struct storage *s, const char *prefix,
                  bool (*visit)(void *context, const char *name, bool directory), void *context,
                  struct gb_error *error)
{
    return s->driver->list(s, prefix, visit, context, error);
}

bool storage_remove_all(struct storage *s, const char *prefix, struct gb_error *error)
{
    return s->driver->remove_all(s, prefix, error);
}

struct storage_lock *storage_lock(struct storage *s, const char *name, struct gb_error *error)
{
    return s->driver->lock(s, name, error);
}

void storage_unlock(struct storage_lock *l)
{
    if (l)
        l->driver->unlock(l);
}

bool storage_lock_look(struct storage *s, const char *name, struct storage_lock_state *state,
                       struct gb_error *error)
{
    *state = (struct storage_lock_state){0};
    return s->driver->lock_look(s, name, state, error);
}

bool storage_time(struct storage *s, time_t *now, struct gb_error *error)
{
    *now = 0;
    return s->driver->time(s, now, error);
}

bool storage_drop_uploads(struct storage *s, const char *prefix,
                          bool (*drop)(void *context, const char *name), void *context,
                          unsigned *count, struct gb_error *error)
{
    *count = 0;
    return !s->driver->drop_uploads ||
           s->driver->drop_uploads(s, prefix, drop, context, count, error);
}

bool storage_is_conditional(const struct storage *s)
{
    return !s->driver->is_conditional || s->driver->is_conditional(s);
}
