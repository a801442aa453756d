/* Names in a bucket of an S3 store, page by page, and what is left of multipart uploads; see
 * bucket_store.h. */
#include "agent/storage/s3_store.h"
#include "agent/storage/s3_xml.h"

#include <stdio.h>
#include <string.h>

struct page {
    struct bucket_names *names;
    bool truncated;
    char key[BUCKET_KEY_MAX];                     /* that an UploadId is going to be of */
    char marker[BUCKET_KEY_MAX], id_marker[1024]; /* where the next page begins */
};

static bool take_listed(void *context, const char *path, const char *text)
{
    struct page *n = context;
    if (!strcmp(path, "ListBucketResult/Contents/Key"))
        return bucket_names_add(n->names, text, NULL, false, false);
    if (!strcmp(path, "ListBucketResult/CommonPrefixes/Prefix"))
        return bucket_names_add(n->names, text, NULL, true, false);
    if (!strcmp(path, "ListBucketResult/IsTruncated"))
        n->truncated = !strcmp(text, "true");
    else if (!strcmp(path, "ListBucketResult/NextContinuationToken"))
        snprintf(n->marker, sizeof n->marker, "%s", text);
    return true;
}

static bool take_upload(void *context, const char *path, const char *text)
{
    struct page *n = context;
    if (!strcmp(path, "ListMultipartUploadsResult/Upload/Key"))
        snprintf(n->key, sizeof n->key, "%s", text);
    else if (!strcmp(path, "ListMultipartUploadsResult/Upload/UploadId"))
        return bucket_names_add(n->names, n->key, text, false, false);
    else if (!strcmp(path, "ListMultipartUploadsResult/IsTruncated"))
        n->truncated = !strcmp(text, "true");
    else if (!strcmp(path, "ListMultipartUploadsResult/NextKeyMarker"))
        snprintf(n->marker, sizeof n->marker, "%s", text);
    else if (!strcmp(path, "ListMultipartUploadsResult/NextUploadIdMarker"))
        snprintf(n->id_marker, sizeof n->id_marker, "%s", text);
    return true;
}

static bool get_page(struct bucket *s, const struct bucket_request *q,
                     bool (*take)(void *context, const char *path, const char *text),
                     struct page *n, struct gb_error *error)
{
    struct bucket_answer a;
    char before[BUCKET_KEY_MAX];
    snprintf(before, sizeof before, "%s", n->marker);
    n->truncated = false;
    n->marker[0] = n->id_marker[0] = '\0';
    bool ok = bucket_perform(s, q, &a, error);
    if (ok && !s3_xml_read(a.http.text ? a.http.text : "", a.http.size, take, n))
        ok = n->names->no_memory ? error_set(error, GB_internal, "no memory for the list")
                                 : error_set(error, GB_store_failed,
                                             "the store answered no list of %s", s->describe);
    if (ok && n->truncated && (!n->marker[0] || !strcmp(n->marker, before)))
        ok = error_set(error, GB_store_failed, "the store answered a list of %s that has no end",
                       s->describe);
    bucket_answer_free(&a);
    return ok;
}

/* All keys that begin with prefix; with `immediate`, up to the next "/" behind it. */
static bool list_keys(struct bucket *s, const char *prefix, bool immediate, struct page *n,
                      struct gb_error *error)
{
    bool ok = true;
    char marker[BUCKET_KEY_MAX];
    do {
        snprintf(marker, sizeof marker, "%s", n->marker);
        struct bucket_request q = {.method = "GET",
                                   .query = {{marker[0] ? "continuation-token" : NULL, marker},
                                             {immediate ? "delimiter" : NULL, "/"},
                                             {"list-type", "2"},
                                             {"prefix", prefix}}};
        ok = get_page(s, &q, take_listed, n, error);
    } while (ok && n->truncated);
    return ok;
}

static bool list_uploads(struct bucket *s, const char *prefix, struct page *n,
                         struct gb_error *error)
{
    bool ok = true;
    char marker[BUCKET_KEY_MAX], id_marker[sizeof n->id_marker];
    do {
        snprintf(marker, sizeof marker, "%s", n->marker);
        snprintf(id_marker, sizeof id_marker, "%s", n->id_marker);
        struct bucket_request q = {.method = "GET",
                                   .query = {{marker[0] ? "key-marker" : NULL, marker},
                                             {"prefix", prefix},
                                             {id_marker[0] ? "upload-id-marker" : NULL, id_marker},
                                             {"uploads", ""}}};
        ok = get_page(s, &q, take_upload, n, error);
    } while (ok && n->truncated);
    return ok;
}

bool s3_list(struct bucket *s, const char *prefix, bool immediate, struct bucket_names *names,
             struct gb_error *error)
{
    struct page page = {.names = names};
    return list_keys(s, prefix, immediate, &page, error);
}

bool s3_list_uploads(struct bucket *s, const char *prefix, struct bucket_names *names,
                     struct gb_error *error)
{
    struct page page = {.names = names};
    return list_uploads(s, prefix, &page, error);
}

/* Keys first, uploads after them: an upload that is under way ends as an object or as none. */
bool s3_remove_below(struct bucket *s, const char *below, const char *keep, struct gb_error *error)
{
    struct bucket_names keys = {0}, uploads = {0};
    struct page page = {.names = &uploads};
    bool ok = s3_list(s, below, false, &keys, error);
    for (size_t i = 0; i < keys.count && ok; i++)
        if (!keep || strcmp(keys.list[i].text, keep))
            ok = bucket_delete(s, keys.list[i].text, BUCKET_CLEANING_TRIES, error);
    ok = ok && list_uploads(s, below, &page, error);
    for (size_t i = 0; i < uploads.count && ok; i++)
        ok = s3_upload_abort(s, uploads.list[i].text, uploads.list[i].upload_id, 0, error);
    bucket_names_free(&keys);
    bucket_names_free(&uploads);
    return ok;
}
