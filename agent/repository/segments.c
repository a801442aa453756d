/* The segments of one backup; see segments.h. */
#include "agent/repository/segments.h"

#include <stdlib.h>
#include <string.h>

void segments_init(struct segments *s, struct storage *storage, const char *prefix,
                   const struct seal_key *key)
{
    memset(s, 0, sizeof *s);
    s->storage = storage;
    s->prefix = prefix;
    s->key = key;
    s->next = 1;
    pthread_mutex_init(&s->mutex, NULL);
}

void segments_free(struct segments *s)
{
    free(s->closed);
    pthread_mutex_destroy(&s->mutex);
}

bool segments_close(struct segments *s, struct segment_writer **segment, struct gb_error *error)
{
    struct object_info info;
    struct segment_writer *writer = *segment;
    *segment = NULL;
    if (!writer)
        return true;
    if (!segment_close(writer, &info, error))
        return false;
    bool ok = true;
    pthread_mutex_lock(&s->mutex);
    if (s->count == s->capacity) {
        size_t capacity = s->capacity ? s->capacity * 2 : 64;
        struct object_info *more = realloc(s->closed, capacity * sizeof *more);
        if (more) {
            s->closed = more;
            s->capacity = capacity;
        } else
            ok = error_set(error, GB_internal, "no memory for the list of segments");
    }
    if (ok)
        s->closed[s->count++] = info;
    pthread_mutex_unlock(&s->mutex);
    return ok;
}

bool segments_append(struct segments *s, struct segment_writer **segment,
                     struct frame_buffer *buffer, struct gb_error *error)
{
    uint64_t more = FRAME_HEADER_SIZE + buffer->frame.stored_size;
    if (*segment && segment_size(*segment) + more > SEGMENT_SIZE_MAX &&
        !segments_close(s, segment, error))
        return false;
    if (!*segment) {
        pthread_mutex_lock(&s->mutex);
        uint32_t number = s->next++;
        pthread_mutex_unlock(&s->mutex);
        if (!(*segment = segment_create(s->storage, s->prefix, number, s->key, error)))
            return false;
    }
    return segment_append(*segment, buffer, error);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct object_info *)a)->name, ((const struct object_info *)b)->name);
}

void segments_sort(struct segments *s)
{
    if (s->count)
        qsort(s->closed, s->count, sizeof *s->closed, by_name);
}
