/*
  An object on its way into a bucket: one request if it is small, else parts, of which several are
  under way at a time.

  What the store says of the parts comes back in any order; the object is completed with it by
  number.
*/
#include "agent/storage/bucket_store.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct bucket_writer {
    struct storage_writer base;
    struct bucket *store;
    struct bucket_lock *lock; /* that guards the object; NULL */
    char key[BUCKET_KEY_MAX];
    char *upload_id; /* NULL: all fits into the buffer, so far */
    uint8_t *buffer; /* NULL: nothing in it */
    size_t used;
    unsigned count; /* of parts given away */
    struct parts_object object;
    pthread_mutex_t mutex; /* parts */
    struct bucket_part *parts;
};

static bool send_part(void *context, unsigned number, const void *data, size_t size,
                      struct gb_error *error)
{
    struct bucket_writer *w = context;
    struct bucket_part *part = calloc(1, sizeof *part);
    if (!part)
        return error_set(error, GB_internal, "no memory for a part");
    if (!w->store->dialect->send(w->store, w->key, w->upload_id, number, data, size, part, error)) {
        free(part);
        return false;
    }
    pthread_mutex_lock(&w->mutex);
    part->next = w->parts;
    w->parts = part;
    pthread_mutex_unlock(&w->mutex);
    return true;
}

struct storage_writer *bucket_create(struct storage *storage, const char *name,
                                     struct gb_error *error)
{
    struct bucket *s = (struct bucket *)storage;
    struct bucket_writer *w = calloc(1, sizeof *w);
    if (!w) {
        error_set(error, GB_internal, "no memory");
        return NULL;
    }
    w->base.driver = s->base.driver;
    w->store = s;
    w->lock = bucket_lock_above(s, name);
    w->object.send = send_part;
    w->object.context = w;
    if (bucket_key(s, name, w->key, error)) {
        pthread_mutex_init(&w->mutex, NULL);
        return &w->base;
    }
    free(w);
    return NULL;
}

/* Gives the buffer away. */
static bool give_part(struct bucket_writer *w, struct gb_error *error)
{
    struct bucket *s = w->store;
    if (w->count == s->parts_max)
        return error_set(error, GB_store_failed,
                         "%s://%s/%s would have more than %u parts of %zu bytes",
                         s->dialect->scheme, s->name, w->key, s->parts_max, s->part_size);
    if (!w->upload_id && !s->dialect->begin(s, w->key, &w->upload_id, error))
        return false;
    void *buffer = w->buffer;
    size_t size = w->used;
    w->buffer = NULL;
    w->used = 0;
    return parts_give(s->parts, &w->object, ++w->count, buffer, size, error);
}

bool bucket_write(struct storage_writer *writer, const void *data, size_t size,
                  struct gb_error *error)
{
    struct bucket_writer *w = (struct bucket_writer *)writer;
    const size_t whole = w->store->part_size;
    for (const uint8_t *at = data; size;) {
        if (w->used == whole && !give_part(w, error))
            return false;
        if (!w->buffer && !(w->buffer = parts_buffer(w->store->parts)))
            return error_set(error, GB_internal, "no memory for a part");
        size_t n = whole - w->used < size ? whole - w->used : size;
        memcpy(w->buffer + w->used, at, n);
        w->used += n;
        at += n;
        size -= n;
    }
    return true;
}

/* Frees all; parts under way have ended. */
static void writer_free(struct bucket_writer *w)
{
    parts_free_buffer(w->store->parts, w->buffer);
    for (struct bucket_part *part = w->parts, *next; part; part = next) {
        next = part->next;
        free(part);
    }
    free(w->upload_id);
    pthread_mutex_destroy(&w->mutex);
    free(w);
}

/* What stays because the store is away is removed by whoever removes the prefix. */
static void drop_parts(struct bucket_writer *w)
{
    struct gb_error ignored = {0};
    if (w->upload_id)
        w->store->dialect->abort(w->store, w->key, w->upload_id, w->count, &ignored);
}

void bucket_abort(struct storage_writer *writer)
{
    struct bucket_writer *w = (struct bucket_writer *)writer;
    parts_drop(w->store->parts, &w->object);
    drop_parts(w);
    writer_free(w);
}

static bool complete(struct bucket_writer *w, struct gb_error *error)
{
    struct bucket_part **parts = calloc(w->count, sizeof *parts);
    bool all = parts != NULL;
    for (struct bucket_part *part = w->parts; all && part; part = part->next)
        parts[part->number - 1] = part;
    for (unsigned i = 0; i < w->count && all; i++)
        all = parts[i] != NULL;
    bool ok =
        all ? w->store->dialect->complete(w->store, w->key, w->upload_id, parts, w->count, error)
            : error_set(error, GB_internal, "no memory for the parts of %s", w->key);
    free(parts);
    return ok;
}

static bool publish(struct bucket_writer *w, struct gb_error *error)
{
    bool exists;
    if (!w->upload_id)
        return bucket_put_new(w->store, w->key, w->buffer ? (const void *)w->buffer : "", w->used,
                              true, &exists, error);
    return (!w->used || give_part(w, error)) && parts_wait(w->store->parts, &w->object, error) &&
           complete(w, error);
}

/* What was written under a lock that is lost: backup.json was made as a new one, everything else
 * may be another's by now. */
static bool is_ours(struct bucket_writer *w)
{
    char commit[BUCKET_KEY_MAX + 16];
    struct gb_error ignored = {0};
    const char *lock = bucket_lock_key(w->lock);
    snprintf(commit, sizeof commit, "%.*sbackup.json", (int)(strrchr(lock, '/') + 1 - lock), lock);
    return !strcmp(w->key, commit) || bucket_may_remove(w->store, w->lock, commit, &ignored);
}

/* A lock that has been taken from us is seen here at the latest: see bucket_lock.c. Before, too:
   what is published may replace what another has made under that name. */
bool bucket_commit(struct storage_writer *writer, struct gb_error *error)
{
    struct bucket_writer *w = (struct bucket_writer *)writer;
    struct gb_error ignored = {0};
    if ((w->lock && !bucket_lock_check(w->lock, 0, NULL, error)) || !publish(w, error)) {
        bucket_abort(writer);
        return false;
    }
    bool ok = !w->lock || bucket_lock_check(w->lock, 0, NULL, error);
    if (!ok && is_ours(w) && bucket_delete(w->store, w->key, BUCKET_CLEANING_TRIES, &ignored))
        drop_parts(w);
    writer_free(w);
    return ok;
}
