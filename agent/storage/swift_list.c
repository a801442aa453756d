/* Names in a container of Swift, page by page, and the removal of all below a prefix; see
 * swift_store.h. */
#include "agent/storage/swift_store.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

/* Adds the names of a page; marker: the last of them. */
static bool take_page(struct bucket *b, const struct bucket_answer *a, struct bucket_names *names,
                      char *marker, size_t *count, struct gb_error *error)
{
    json_t *root = json_loadb(a->http.text ? a->http.text : "", a->http.size, 0, NULL), *entry;
    size_t n;
    bool ok = json_is_array(root);
    *count = json_array_size(root);
    json_array_foreach(root, n, entry)
    {
        const char *object = json_string_value(json_object_get(entry, "name")),
                   *below = json_string_value(json_object_get(entry, "subdir")),
                   *name = object ? object : below;
        ok = ok && name && strlen(name) < BUCKET_KEY_MAX &&
             bucket_names_add(names, name, NULL, !object,
                              json_object_get(entry, "slo_etag") != NULL);
        if (ok)
            snprintf(marker, BUCKET_KEY_MAX, "%s", name);
    }
    json_decref(root);
    if (names->no_memory)
        return error_set(error, GB_internal, "no memory for the list");
    return ok || error_set(error, GB_store_failed, "the store answered no list of %s", b->describe);
}

bool swift_list(struct bucket *b, const char *prefix, bool immediate, struct bucket_names *names,
                struct gb_error *error)
{
    char marker[BUCKET_KEY_MAX] = "", before[BUCKET_KEY_MAX];
    size_t count = 0;
    bool ok;
    do {
        struct bucket_answer a;
        struct bucket_request q = {.method = "GET",
                                   .query = {{"format", "json"},
                                             {"prefix", prefix},
                                             {immediate ? "delimiter" : NULL, "/"},
                                             {marker[0] ? "marker" : NULL, marker}}};
        snprintf(before, sizeof before, "%s", marker);
        ok = bucket_perform(b, &q, &a, error) &&
             (a.http.status == 204 ? !(count = 0) : take_page(b, &a, names, marker, &count, error));
        bucket_answer_free(&a);
        if (ok && count && !strcmp(marker, before))
            ok = error_set(error, GB_store_failed,
                           "the store answered a list of %s that has no end", b->describe);
    } while (ok && count);
    return ok;
}

/* The answer is 200 whatever happened, so that what is left is looked for afterwards. */
static bool remove_large(struct bucket *b, const char *key, struct gb_error *error)
{
    const struct bucket_request q = {.method = "DELETE",
                                     .key = key,
                                     .query = {{"multipart-manifest", "delete"}},
                                     .attempts = BUCKET_CLEANING_TRIES};
    return bucket_perform_delete(b, &q, error);
}

/* Large objects first, by their manifests: one request removes all their parts. Then what is still
   there, parts without a manifest among it. */
bool swift_remove_below(struct bucket *b, const char *below, const char *keep,
                        struct gb_error *error)
{
    struct bucket_names names = {0};
    bool ok = swift_list(b, below, false, &names, error);
    for (size_t i = 0; i < names.count && ok; i++)
        if (names.list[i].large && !strstr(names.list[i].text, "/."))
            ok = remove_large(b, names.list[i].text, error);
    bucket_names_free(&names);
    ok = ok && swift_list(b, below, false, &names, error);
    for (size_t i = 0; i < names.count && ok; i++)
        if (!keep || strcmp(names.list[i].text, keep))
            ok = bucket_delete(b, names.list[i].text, BUCKET_CLEANING_TRIES, error);
    bucket_names_free(&names);
    return ok;
}
