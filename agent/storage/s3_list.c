/* Names in a bucket, page by page, and the removal of all below a prefix; see s3_store.h. */
#include "agent/storage/s3_store.h"
#include "agent/storage/s3_xml.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What the pages of a list have named. */
struct names {
    struct name {
        char *text, *upload_id; /* upload_id: of a multipart upload, else NULL */
        bool directory;
    } * list;
    size_t count, capacity;
    bool no_memory;
    /* of the last page */
    bool truncated;
    char key[S3_KEY_MAX];                     /* that an UploadId is going to be of */
    char marker[S3_KEY_MAX], id_marker[1024]; /* where the next page begins */
};

static void names_free(struct names *n)
{
    for (size_t i = 0; i < n->count; i++) {
        free(n->list[i].text);
        free(n->list[i].upload_id);
    }
    free(n->list);
    memset(n, 0, sizeof *n);
}

static bool add(struct names *n, const char *text, const char *upload_id, bool directory)
{
    if (n->count == n->capacity) {
        size_t capacity = n->capacity ? 2 * n->capacity : 64;
        struct name *more = realloc(n->list, capacity * sizeof *more);
        if (!more)
            return !(n->no_memory = true);
        n->list = more;
        n->capacity = capacity;
    }
    struct name *new = &n->list[n->count++];
    *new = (struct name){.text = strdup(text), .directory = directory};
    if (upload_id)
        new->upload_id = strdup(upload_id);
    n->no_memory = !new->text || (upload_id && !new->upload_id);
    return !n->no_memory;
}

static bool take_listed(void *context, const char *path, const char *text)
{
    struct names *n = context;
    if (!strcmp(path, "ListBucketResult/Contents/Key"))
        return add(n, text, NULL, false);
    if (!strcmp(path, "ListBucketResult/CommonPrefixes/Prefix"))
        return add(n, text, NULL, true);
    if (!strcmp(path, "ListBucketResult/IsTruncated"))
        n->truncated = !strcmp(text, "true");
    else if (!strcmp(path, "ListBucketResult/NextContinuationToken"))
        snprintf(n->marker, sizeof n->marker, "%s", text);
    return true;
}

static bool take_upload(void *context, const char *path, const char *text)
{
    struct names *n = context;
    if (!strcmp(path, "ListMultipartUploadsResult/Upload/Key"))
        snprintf(n->key, sizeof n->key, "%s", text);
    else if (!strcmp(path, "ListMultipartUploadsResult/Upload/UploadId"))
        return add(n, n->key, text, false);
    else if (!strcmp(path, "ListMultipartUploadsResult/IsTruncated"))
        n->truncated = !strcmp(text, "true");
    else if (!strcmp(path, "ListMultipartUploadsResult/NextKeyMarker"))
        snprintf(n->marker, sizeof n->marker, "%s", text);
    else if (!strcmp(path, "ListMultipartUploadsResult/NextUploadIdMarker"))
        snprintf(n->id_marker, sizeof n->id_marker, "%s", text);
    return true;
}

static bool get_page(struct s3 *s, const struct s3_request *q,
                     bool (*take)(void *context, const char *path, const char *text),
                     struct names *n, struct gb_error *error)
{
    struct s3_answer a;
    char before[S3_KEY_MAX];
    snprintf(before, sizeof before, "%s", n->marker);
    n->truncated = false;
    n->marker[0] = n->id_marker[0] = '\0';
    bool ok = s3_perform(&s->client, q, &a, error);
    if (ok && !s3_xml_read(a.http.text ? a.http.text : "", a.http.size, take, n))
        ok = n->no_memory ? error_set(error, GB_internal, "no memory for the list")
                          : error_set(error, GB_store_failed, "%s answered no list of %s",
                                      s->client.where, s->describe);
    if (ok && n->truncated && (!n->marker[0] || !strcmp(n->marker, before)))
        ok = error_set(error, GB_store_failed, "%s answered a list of %s that has no end",
                       s->client.where, s->describe);
    s3_answer_free(&a);
    return ok;
}

/* All keys that begin with prefix; with `immediate`, up to the next "/" behind it. */
static bool list_keys(struct s3 *s, const char *prefix, bool immediate, struct names *n,
                      struct gb_error *error)
{
    bool ok = true;
    char marker[S3_KEY_MAX];
    do {
        snprintf(marker, sizeof marker, "%s", n->marker);
        struct s3_request q = {.method = "GET",
                               .query = {{marker[0] ? "continuation-token" : NULL, marker},
                                         {immediate ? "delimiter" : NULL, "/"},
                                         {"list-type", "2"},
                                         {"prefix", prefix}}};
        ok = get_page(s, &q, take_listed, n, error);
    } while (ok && n->truncated);
    return ok;
}

static bool list_uploads(struct s3 *s, const char *prefix, struct names *n, struct gb_error *error)
{
    bool ok = true;
    char marker[S3_KEY_MAX], id_marker[sizeof n->id_marker];
    do {
        snprintf(marker, sizeof marker, "%s", n->marker);
        snprintf(id_marker, sizeof id_marker, "%s", n->id_marker);
        struct s3_request q = {.method = "GET",
                               .query = {{marker[0] ? "key-marker" : NULL, marker},
                                         {"prefix", prefix},
                                         {id_marker[0] ? "upload-id-marker" : NULL, id_marker},
                                         {"uploads", ""}}};
        ok = get_page(s, &q, take_upload, n, error);
    } while (ok && n->truncated);
    return ok;
}

static int by_text(const void *a, const void *b)
{
    return strcmp(((const struct name *)a)->text, ((const struct name *)b)->text);
}

/* "prefix/", or "" of the root. */
static bool key_below(struct s3 *s, const char *prefix, char out[S3_KEY_MAX],
                      struct gb_error *error)
{
    if (!s3_key(s, prefix, out, error))
        return false;
    size_t n = strlen(out);
    if (n && out[n - 1] != '/' && n + 1 < S3_KEY_MAX) {
        out[n] = '/';
        out[n + 1] = '\0';
    }
    return true;
}

bool s3_list(struct storage *storage, const char *prefix,
             bool (*visit)(void *context, const char *name, bool directory), void *context,
             struct gb_error *error)
{
    struct s3 *s = (struct s3 *)storage;
    struct names n = {0};
    char below[S3_KEY_MAX];
    bool ok = key_below(s, prefix, below, error) && list_keys(s, below, true, &n, error),
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
    names_free(&n);
    return ok;
}

/* Keys first, uploads after them: an upload that is under way ends as an object or as none. */
static bool remove_listed(struct s3 *s, const char *below, const char *keep, struct gb_error *error)
{
    struct names keys = {0}, uploads = {0};
    bool ok = list_keys(s, below, false, &keys, error);
    for (size_t i = 0; i < keys.count && ok; i++)
        if (!keep || strcmp(keys.list[i].text, keep))
            ok = s3_delete(s, keys.list[i].text, S3_CLEANING_TRIES, error);
    ok = ok && list_uploads(s, below, &uploads, error);
    for (size_t i = 0; i < uploads.count && ok; i++)
        ok = s3_abort_upload(s, uploads.list[i].text, uploads.list[i].upload_id, error);
    names_free(&keys);
    names_free(&uploads);
    return ok;
}

bool s3_remove_all(struct storage *storage, const char *prefix, struct gb_error *error)
{
    struct s3 *s = (struct s3 *)storage;
    char below[S3_KEY_MAX], commit[S3_KEY_MAX + 16];
    if (!key_below(s, prefix, below, error))
        return false;
    snprintf(commit, sizeof commit, "%sbackup.json", below);
    return s3_delete(s, commit, S3_CLEANING_TRIES, error) &&
           remove_listed(s, below, s3_lock_key(s, prefix), error);
}
