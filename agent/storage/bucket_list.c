/* Names in a bucket, and the removal of all below a prefix; see bucket_store.h. */
#include "agent/storage/bucket_store.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void bucket_names_free(struct bucket_names *n)
{
    for (size_t i = 0; i < n->count; i++) {
        free(n->list[i].text);
        free(n->list[i].upload_id);
    }
    free(n->list);
    memset(n, 0, sizeof *n);
}

bool bucket_names_add(struct bucket_names *n, const char *text, const char *upload_id,
                      bool directory, bool large)
{
    if (n->count == n->capacity) {
        size_t capacity = n->capacity ? 2 * n->capacity : 64;
        struct bucket_name *more = realloc(n->list, capacity * sizeof *more);
        if (!more)
            return !(n->no_memory = true);
        n->list = more;
        n->capacity = capacity;
    }
    struct bucket_name *new = &n->list[n->count++];
    *new = (struct bucket_name){.text = strdup(text), .directory = directory, .large = large};
    if (upload_id)
        new->upload_id = strdup(upload_id);
    n->no_memory = !new->text || (upload_id && !new->upload_id);
    return !n->no_memory;
}

static int by_text(const void *a, const void *b)
{
    return strcmp(((const struct bucket_name *)a)->text, ((const struct bucket_name *)b)->text);
}

/* "prefix/", or "" of the root. */
static bool key_below(struct bucket *s, const char *prefix, char out[BUCKET_KEY_MAX],
                      struct gb_error *error)
{
    if (!bucket_key(s, prefix, out, error))
        return false;
    size_t n = strlen(out);
    if (n && out[n - 1] != '/' && n + 1 < BUCKET_KEY_MAX) {
        out[n] = '/';
        out[n + 1] = '\0';
    }
    return true;
}

bool bucket_list(struct storage *storage, const char *prefix,
                 bool (*visit)(void *context, const char *name, bool directory), void *context,
                 struct gb_error *error)
{
    struct bucket *s = (struct bucket *)storage;
    struct bucket_names n = {0};
    char below[BUCKET_KEY_MAX];
    bool ok = key_below(s, prefix, below, error) && s->dialect->list(s, below, true, &n, error),
         go_on = ok;
    if (ok && n.count)
        qsort(n.list, n.count, sizeof *n.list, by_text);
    for (size_t i = 0; i < n.count && go_on; i++) {
        char *text = n.list[i].text;
        size_t length = strlen(text), cut = strlen(below);
        if (length <= cut || strncmp(text, below, cut))
            continue;
        if (n.list[i].directory)
            text[length - 1] = '\0';
        if (text[cut] && !storage_name_hidden(text + cut))
            go_on = visit(context, text + cut, n.list[i].directory);
    }
    bucket_names_free(&n);
    return ok;
}

bool bucket_may_remove(struct bucket *s, struct bucket_lock *lock, const char *commit,
                       struct gb_error *error)
{
    struct bucket_request q = {.method = "HEAD", .key = commit, .attempts = BUCKET_CLEANING_TRIES};
    struct bucket_answer a;
    struct gb_error why = {0};
    bool gone;
    if (!lock || bucket_lock_check(lock, BUCKET_CLEANING_TRIES, &gone, error))
        return true;
    if (!gone)
        return false;
    bucket_perform(s, &q, &a, &why);
    bucket_answer_free(&a);
    if (why.code != GB_not_found)
        return false;
    error_clear(error);
    return true;
}

bool bucket_remove_all(struct storage *storage, const char *prefix, struct gb_error *error)
{
    struct bucket *s = (struct bucket *)storage;
    char below[BUCKET_KEY_MAX], commit[BUCKET_KEY_MAX + 16];
    if (!key_below(s, prefix, below, error))
        return false;
    struct bucket_lock *lock = bucket_lock_on(s, prefix);
    snprintf(commit, sizeof commit, "%sbackup.json", below);
    return bucket_may_remove(s, lock, commit, error) &&
           bucket_delete(s, commit, BUCKET_CLEANING_TRIES, error) &&
           s->dialect->remove_below(s, below, lock ? bucket_lock_key(lock) : NULL, error);
}

/* The name that a key is of; NULL: of none below our prefix. */
static const char *name_of(const struct bucket *s, const char *key)
{
    size_t n = strlen(s->options.prefix);
    if (!n)
        return key;
    return !strncmp(key, s->options.prefix, n) && key[n] == '/' ? key + n + 1 : NULL;
}

bool bucket_drop_uploads(struct storage *storage, const char *prefix,
                         bool (*drop)(void *context, const char *name), void *context,
                         unsigned *count, struct gb_error *error)
{
    struct bucket *s = (struct bucket *)storage;
    struct bucket_names uploads = {0};
    char below[BUCKET_KEY_MAX];
    if (!s->dialect->list_uploads)
        return true;
    bool ok =
        key_below(s, prefix, below, error) && s->dialect->list_uploads(s, below, &uploads, error);
    for (size_t i = 0; i < uploads.count && ok; i++) {
        const char *name = name_of(s, uploads.list[i].text);
        if (!name || !drop(context, name))
            continue;
        ok = s->dialect->abort(s, uploads.list[i].text, uploads.list[i].upload_id, 0, error);
        *count += ok;
    }
    bucket_names_free(&uploads);
    return ok;
}
