/* Objects in a bucket; see s3.h. */
#include "agent/storage/s3.h"
#include "agent/storage/s3_store.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define READ_PIECE (16u << 20) /* of one request: what is read again when a connection breaks */

static const struct storage_driver s3_driver;

/* ---- what the configuration says ---- */

static bool host_valid(const char *text)
{
    const char *end = text + strcspn(text, "/?#@ \t");
    return *text && !*end;
}

bool s3_check_options(const struct s3_options *o, const char *section, struct gb_error *error)
{
    bool http = !strncmp(o->endpoint, "http://", 7), https = !strncmp(o->endpoint, "https://", 8);
    const char *host = http ? o->endpoint + 7 : o->endpoint + 8;
    size_t bucket = strlen(o->bucket);
    if (!bucket) {
        error_set(error, GB_bad_config, "%s has type = s3 and no bucket", section);
        error_hint(error, "set bucket = NAME");
        return false;
    }
    if (bucket < 3 ||
        strspn(o->bucket, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_") !=
            bucket)
        return error_set(error, GB_bad_config, "%s: %s is not the name of a bucket", section,
                         o->bucket);
    if (o->endpoint[0] && ((!http && !https) || !host_valid(host))) {
        error_set(error, GB_bad_config, "%s: endpoint = %s is not http[s]://HOST[:PORT]", section,
                  o->endpoint);
        error_hint(error, "the bucket and the prefix have keys of their own");
        return false;
    }
    if (o->ca_file[0] && http)
        return error_set(error, GB_bad_config,
                         "%s has ca-file and an endpoint of http, which has no certificate",
                         section);
    if (o->prefix[0] && (!storage_name_clean(o->prefix) || strlen(o->prefix) >= sizeof o->prefix))
        return error_set(error, GB_bad_config,
                         "%s: prefix = %s has a \"/\" too many, or \".\" or \"..\"", section,
                         o->prefix);
    if (!o->access_key_id[0] != !o->secret_access_key[0])
        return error_set(error, GB_bad_config,
                         "%s has one of access-key-id and secret-access-key without the other",
                         section);
    if (o->credentials_file[0] && o->access_key_id[0])
        return error_set(error, GB_bad_config,
                         "%s has credentials-file and access-key-id: which is meant?", section);
    if (o->credentials_file[0] && o->credentials_file[0] != '/')
        return error_set(error, GB_bad_config, "%s: credentials-file = %s is not an absolute path",
                         section, o->credentials_file);
    return !strpbrk(o->region, "/ \t") ||
           error_set(error, GB_bad_config, "%s: region = %s is none", section, o->region);
}

struct storage *storage_open_s3(const struct s3_options *o, struct gb_error *error)
{
    struct s3 *s = calloc(1, sizeof *s);
    if (!s) {
        error_set(error, GB_internal, "no memory");
        return NULL;
    }
    s->base.driver = &s3_driver;
    snprintf(s->describe, sizeof s->describe, "s3://%s%s%s", o->bucket, o->prefix[0] ? "/" : "",
             o->prefix);
    if (s3_client_open(&s->client, o, &s->base.operations, error)) {
        if ((s->parts = parts_open(S3_UPLOAD_THREADS, S3_PART_SIZE))) {
            pthread_mutex_init(&s->mutex, NULL);
            return &s->base;
        }
        error_set(error, GB_internal, "no memory");
        s3_client_close(&s->client);
    }
    free(s);
    return NULL;
}

static void s3_close(struct storage *storage)
{
    struct s3 *s = (struct s3 *)storage;
    parts_close(s->parts);
    s3_client_close(&s->client);
    pthread_mutex_destroy(&s->mutex);
    free(s);
}

static const char *s3_describe(const struct storage *storage)
{
    return ((const struct s3 *)storage)->describe;
}

/* A bucket tells nobody how much still fits. */
static bool s3_check_space(struct storage *storage, uint64_t bytes, uint64_t *free_bytes,
                           struct gb_error *error)
{
    (void)storage;
    (void)bytes;
    (void)error;
    if (free_bytes)
        *free_bytes = STORAGE_FREE_UNKNOWN;
    return true;
}

bool s3_key(const struct s3 *s, const char *name, char out[S3_KEY_MAX], struct gb_error *error)
{
    const char *prefix = s->client.options.prefix;
    if (storage_name_clean(name) &&
        snprintf(out, S3_KEY_MAX, "%s%s%s", prefix, prefix[0] && name[0] ? "/" : "", name) <
            (int)S3_KEY_MAX)
        return true;
    return error_set(error, GB_store_failed, "\"%.200s\" is not a name for an object", name);
}

/* ---- one request each ---- */

bool s3_check_etag(struct s3 *s, const char *key, const struct s3_answer *a, struct gb_error *error)
{
    char etag[S3_ETAG_MAX];
    return s3_etag_fits(a) ||
           error_set(error, GB_store_failed,
                     "%s has something else in s3://%s/%s than was sent: its MD5 is %s, not %s",
                     s->client.where, s->client.options.bucket, key, s3_etag(a, etag), a->md5);
}

bool s3_put(struct s3 *s, const char *key, const void *data, size_t size, unsigned tries,
            struct gb_error *error)
{
    struct s3_request q = {
        .method = "PUT", .key = key, .body = data, .body_size = size, .attempts = tries};
    struct s3_answer a;
    bool ok = s3_perform(&s->client, &q, &a, error) && s3_check_etag(s, key, &a, error);
    s3_answer_free(&a);
    return ok;
}

/* Whether an object has just these bytes. */
static bool has_bytes(struct s3 *s, const char *key, const void *data, size_t size)
{
    struct s3_request q = {.method = "GET", .key = key};
    struct s3_answer a;
    struct gb_error ignored = {0};
    bool same = s3_perform(&s->client, &q, &a, &ignored) && a.http.size == size &&
                (!size || !memcmp(a.http.text, data, size));
    s3_answer_free(&a);
    return same;
}

static bool exists_already(struct s3 *s, const char *key, bool *exists, struct gb_error *error)
{
    *exists = true;
    return error_set(error, GB_store_failed, "s3://%s/%s exists already", s->client.options.bucket,
                     key);
}

/* For a store without conditions: whoever comes between the two requests loses. */
static bool put_if_absent(struct s3 *s, const char *key, const void *data, size_t size,
                          bool *exists, struct gb_error *error)
{
    struct s3_request q = {.method = "HEAD", .key = key};
    struct s3_answer a;
    struct gb_error problem = {0};
    bool there = s3_perform(&s->client, &q, &a, &problem);
    s3_answer_free(&a);
    if (there)
        return exists_already(s, key, exists, error);
    if (problem.code != GB_not_found) {
        error_copy(error, &problem);
        return false;
    }
    return s3_put(s, key, data, size, 0, error);
}

bool s3_put_new(struct s3 *s, const char *key, const void *data, size_t size, bool *exists,
                struct gb_error *error)
{
    *exists = false;
    if (__atomic_load_n(&s->unconditional, __ATOMIC_RELAXED))
        return put_if_absent(s, key, data, size, exists, error);
    struct s3_request q = {
        .method = "PUT", .key = key, .body = data, .body_size = size, .if_none = true};
    struct s3_answer a;
    struct gb_error problem = {0};
    bool ok = s3_perform(&s->client, &q, &a, &problem) && s3_check_etag(s, key, &a, &problem);
    int status = a.http.status;
    bool repeated = a.http.attempts > 1;
    s3_answer_free(&a);
    if (ok)
        return true;
    if (status == 501) {
        __atomic_store_n(&s->unconditional, true, __ATOMIC_RELAXED);
        return put_if_absent(s, key, data, size, exists, error);
    }
    if (status == 412) /* it may be our own: of a try whose answer did not reach us */
        return (repeated && has_bytes(s, key, data, size)) || exists_already(s, key, exists, error);
    error_copy(error, &problem);
    return false;
}

/* What is not there has been removed. */
static bool perform_delete(struct s3 *s, const struct s3_request *q, struct gb_error *error)
{
    struct s3_answer a;
    struct gb_error problem = {0};
    bool ok = s3_perform(&s->client, q, &a, &problem) || problem.code == GB_not_found;
    s3_answer_free(&a);
    if (!ok)
        error_copy(error, &problem);
    return ok;
}

bool s3_delete(struct s3 *s, const char *key, unsigned tries, struct gb_error *error)
{
    const struct s3_request q = {.method = "DELETE", .key = key, .attempts = tries};
    return perform_delete(s, &q, error);
}

static bool s3_replace(struct storage *storage, const char *name, const void *data, size_t size,
                       struct gb_error *error)
{
    struct s3 *s = (struct s3 *)storage;
    char key[S3_KEY_MAX];
    return s3_key(s, name, key, error) && s3_put(s, key, data, size, 0, error);
}

static bool s3_remove(struct storage *storage, const char *name, struct gb_error *error)
{
    struct s3 *s = (struct s3 *)storage;
    char key[S3_KEY_MAX];
    return s3_key(s, name, key, error) && s3_delete(s, key, 0, error);
}

bool s3_abort_upload(struct s3 *s, const char *key, const char *upload_id, struct gb_error *error)
{
    const struct s3_request q = {.method = "DELETE",
                                 .key = key,
                                 .query = {{"uploadId", upload_id}},
                                 .attempts = S3_CLEANING_TRIES};
    return perform_delete(s, &q, error);
}

/* ---- reading ---- */

static bool read_piece(struct s3 *s, const char *key, uint64_t offset, void *data, size_t size,
                       struct gb_error *error)
{
    struct s3_request q = {
        .method = "GET", .key = key, .into = data, .into_size = size, .offset = offset};
    struct s3_answer a;
    struct gb_error problem = {0};
    bool ok = s3_perform(&s->client, &q, &a, &problem);
    bool partial = a.http.status == 206 || (offset == 0 && a.http.status == 200);
    if (ok ? a.http.size < size : a.http.status == 416)
        ok = error_set(error, GB_corrupt_backup, "s3://%s/%s ends before offset %" PRIu64,
                       s->client.options.bucket, key, offset + size);
    else if (ok && !partial)
        ok = error_set(error, GB_store_failed, "%s does not give ranges of s3://%s/%s",
                       s->client.where, s->client.options.bucket, key);
    else if (!ok)
        error_copy(error, &problem);
    s3_answer_free(&a);
    return ok;
}

static bool s3_read(struct storage *storage, const char *name, uint64_t offset, void *data,
                    size_t size, struct gb_error *error)
{
    struct s3 *s = (struct s3 *)storage;
    char key[S3_KEY_MAX];
    if (!s3_key(s, name, key, error))
        return false;
    for (size_t at = 0; at < size;) {
        size_t n = size - at < READ_PIECE ? size - at : READ_PIECE;
        if (!read_piece(s, key, offset + at, (char *)data + at, n, error))
            return false;
        at += n;
    }
    return true;
}

static bool s3_size(struct storage *storage, const char *name, uint64_t *size,
                    struct gb_error *error)
{
    struct s3 *s = (struct s3 *)storage;
    struct s3_request q = {.method = "HEAD"};
    struct s3_answer a;
    char key[S3_KEY_MAX], text[32];
    *size = 0;
    if (!s3_key(s, name, key, error))
        return false;
    q.key = key;
    bool ok = s3_perform(&s->client, &q, &a, error);
    if (ok) {
        http_header(&a.http, "Content-Length", text, sizeof text);
        ok = isdigit((unsigned char)text[0]) ||
             error_set(error, GB_store_failed, "%s does not tell the size of s3://%s/%s",
                       s->client.where, s->client.options.bucket, key);
        *size = ok ? strtoull(text, NULL, 10) : 0;
    }
    s3_answer_free(&a);
    return ok;
}

static const struct storage_driver s3_driver = {
    .close = s3_close,
    .describe = s3_describe,
    .check_space = s3_check_space,
    .create = s3_create,
    .write = s3_write,
    .commit = s3_commit,
    .abort = s3_abort,
    .replace = s3_replace,
    .remove = s3_remove,
    .read = s3_read,
    .size = s3_size,
    .list = s3_list,
    .remove_all = s3_remove_all,
    .lock = s3_lock,
    .unlock = s3_unlock,
};
