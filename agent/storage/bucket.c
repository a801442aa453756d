/* Objects in a bucket; see bucket_store.h. */
#include "agent/storage/bucket_store.h"
#include "agent/hex.h"

#include <ctype.h>
#include <curl/curl.h>
#include <inttypes.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define READ_PIECE (16u << 20) /* of one request: what is read again when a connection breaks */

static const struct storage_driver bucket_driver;

/* ---- what the configuration says ---- */

bool bucket_check_options(const struct bucket_options *o, const char *section, bool plain,
                          struct gb_error *error)
{
    if (o->prefix[0] && !storage_name_clean(o->prefix))
        return error_set(error, GB_bad_config,
                         "%s: prefix = %s has a \"/\" too many, or \".\" or \"..\"", section,
                         o->prefix);
    if (strpbrk(o->region, "/ \t"))
        return error_set(error, GB_bad_config, "%s: region = %s is none", section, o->region);
    if (o->ca_file[0] && plain)
        return error_set(error, GB_bad_config,
                         "%s has ca-file and an endpoint of http, which has no certificate",
                         section);
    if (o->client_certificate[0] && plain)
        return error_set(error, GB_bad_config,
                         "%s has client-certificate and an endpoint of http, which asks for none",
                         section);
    if (!o->client_certificate[0] && o->client_key[0])
        return error_set(error, GB_bad_config, "%s has client-key without client-certificate",
                         section);
    if (o->part_size &&
        (o->part_size < BUCKET_PART_SIZE_MIN || o->part_size > BUCKET_PART_SIZE_MAX))
        return error_set(error, GB_bad_config, "%s: part-size is not from 5M to 256M", section);
    return true;
}

struct http_options bucket_http_options(const struct bucket_options *o)
{
    return (struct http_options){.ca_file = o->ca_file,
                                 .client_certificate = o->client_certificate,
                                 .client_key = o->client_key,
                                 .limit_s = o->timeout_s ? o->timeout_s : BUCKET_TIMEOUT_S,
                                 .rate_limit = o->rate_limit};
}

bool bucket_open(struct bucket *b, const struct bucket_dialect *dialect,
                 const struct bucket_options *o, const char *name, unsigned parts_max,
                 struct gb_error *error)
{
    b->base.driver = &bucket_driver;
    b->dialect = dialect;
    b->options = *o;
    b->part_size = o->part_size ? (size_t)o->part_size : BUCKET_PART_SIZE;
    b->parts_max = parts_max;
    snprintf(b->name, sizeof b->name, "%s", name);
    snprintf(b->describe, sizeof b->describe, "%s://%s%s%s", dialect->scheme, name,
             o->prefix[0] ? "/" : "", o->prefix);
    b->parts = parts_open(BUCKET_UPLOAD_THREADS, b->part_size);
    if (!b->parts)
        return error_set(error, GB_internal, "no memory");
    pthread_mutex_init(&b->mutex, NULL);
    return true;
}

void bucket_release(struct bucket *b)
{
    parts_close(b->parts);
    pthread_mutex_destroy(&b->mutex);
}

static void close_bucket(struct storage *storage)
{
    struct bucket *b = (struct bucket *)storage;
    b->dialect->close(b);
}

static const char *describe(const struct storage *storage)
{
    return ((const struct bucket *)storage)->describe;
}

/* A bucket tells nobody how much still fits. */
static bool check_space(struct storage *storage, uint64_t bytes, uint64_t *free_bytes,
                        struct gb_error *error)
{
    (void)storage;
    (void)bytes;
    (void)error;
    if (free_bytes)
        *free_bytes = STORAGE_FREE_UNKNOWN;
    return true;
}

bool bucket_key(const struct bucket *b, const char *name, char out[BUCKET_KEY_MAX],
                struct gb_error *error)
{
    const char *prefix = b->options.prefix;
    if (storage_name_clean(name) &&
        snprintf(out, BUCKET_KEY_MAX, "%s%s%s", prefix, prefix[0] && name[0] ? "/" : "", name) <
            (int)BUCKET_KEY_MAX)
        return true;
    return error_set(error, GB_store_failed, "\"%.200s\" is not a name for an object", name);
}

/* ---- a request and its answer ---- */

bool bucket_perform(struct bucket *b, const struct bucket_request *q, struct bucket_answer *a,
                    struct gb_error *error)
{
    memset(a, 0, sizeof *a);
    return b->dialect->perform(b, q, a, error);
}

void bucket_answer_free(struct bucket_answer *a)
{
    http_response_free(&a->http);
}

const char *bucket_etag(const struct bucket_answer *a, char out[BUCKET_ETAG_MAX])
{
    http_header(&a->http, "ETag", out, BUCKET_ETAG_MAX);
    size_t n = strlen(out);
    if (n >= 2 && out[0] == '"' && out[n - 1] == '"') {
        memmove(out, out + 1, n - 2);
        out[n - 2] = '\0';
    }
    return out;
}

time_t bucket_header_time(const struct http_response *r, const char *name)
{
    char text[64];
    http_header(r, name, text, sizeof text);
    time_t t = text[0] ? curl_getdate(text, NULL) : 0;
    return t > 0 ? t : 0;
}

void bucket_md5(const void *data, size_t size, char out[BUCKET_MD5_MAX], unsigned char *digest)
{
    unsigned char bytes[EVP_MAX_MD_SIZE];
    unsigned length = 0;
    *out = '\0';
    if (!EVP_Digest(data, size, bytes, &length, EVP_md5(), NULL))
        return;
    hex_write(bytes, length, out);
    if (digest)
        memcpy(digest, bytes, length);
}

bool bucket_check_etag(struct bucket *b, const char *key, const struct bucket_answer *a,
                       struct gb_error *error)
{
    char etag[BUCKET_ETAG_MAX];
    bucket_etag(a, etag);
    bool md5 = strlen(etag) == 32 && strspn(etag, "0123456789abcdef") == 32;
    return !md5 || a->unchecked_etag || !a->md5[0] || !strcmp(etag, a->md5) ||
           error_set(
               error, GB_store_failed,
               "the store has something else in %s://%s/%s than was sent: its MD5 is %s, not %s",
               b->dialect->scheme, b->name, key, etag, a->md5);
}

/* ---- one request each ---- */

static bool put(struct bucket *b, const char *key, const void *data, size_t size, unsigned tries,
                bool kept, struct gb_error *error)
{
    struct bucket_request q = {.method = "PUT",
                               .key = key,
                               .body = data,
                               .body_size = size,
                               .attempts = tries,
                               .kept = kept};
    struct bucket_answer a;
    bool ok = bucket_perform(b, &q, &a, error) && bucket_check_etag(b, key, &a, error);
    bucket_answer_free(&a);
    return ok;
}

bool bucket_put(struct bucket *b, const char *key, const void *data, size_t size, unsigned tries,
                struct gb_error *error)
{
    return put(b, key, data, size, tries, false, error);
}

/* Whether an object has just these bytes. */
static bool has_bytes(struct bucket *s, const char *key, const void *data, size_t size)
{
    char *there = malloc(size + 1);
    struct bucket_request q = {.method = "GET", .key = key, .into = there, .into_size = size + 1};
    struct bucket_answer a = {0};
    struct gb_error ignored = {0};
    bool same = there && bucket_perform(s, &q, &a, &ignored) && a.http.size == size &&
                !memcmp(there, data, size);
    bucket_answer_free(&a);
    free(there);
    return same;
}

static bool exists_already(struct bucket *s, const char *key, bool *exists, struct gb_error *error)
{
    *exists = true;
    return error_set(error, GB_store_failed, "%s://%s/%s exists already", s->dialect->scheme,
                     s->name, key);
}

/* For a store without conditions: whoever comes between the two requests loses. */
static bool put_if_absent(struct bucket *s, const char *key, const void *data, size_t size,
                          bool kept, bool *exists, struct gb_error *error)
{
    struct bucket_request q = {.method = "HEAD", .key = key};
    struct bucket_answer a;
    struct gb_error problem = {0};
    bool there = bucket_perform(s, &q, &a, &problem);
    bucket_answer_free(&a);
    if (there)
        return exists_already(s, key, exists, error);
    if (problem.code != GB_not_found) {
        error_copy(error, &problem);
        return false;
    }
    return put(s, key, data, size, 0, kept, error);
}

bool bucket_put_new(struct bucket *s, const char *key, const void *data, size_t size, bool kept,
                    bool *exists, struct gb_error *error)
{
    *exists = false;
    if (__atomic_load_n(&s->unconditional, __ATOMIC_RELAXED))
        return put_if_absent(s, key, data, size, kept, exists, error);
    struct bucket_request q = {.method = "PUT",
                               .key = key,
                               .body = data,
                               .body_size = size,
                               .if_none = true,
                               .kept = kept};
    struct bucket_answer a;
    struct gb_error problem = {0};
    bool ok = bucket_perform(s, &q, &a, &problem) && bucket_check_etag(s, key, &a, &problem);
    int status = a.http.status;
    bool repeated = a.http.attempts > 1;
    bucket_answer_free(&a);
    if (ok)
        return true;
    if (status == 501) {
        __atomic_store_n(&s->unconditional, true, __ATOMIC_RELAXED);
        return put_if_absent(s, key, data, size, kept, exists, error);
    }
    if (status == 412) /* it may be our own: of a try whose answer did not reach us */
        return (repeated && has_bytes(s, key, data, size)) || exists_already(s, key, exists, error);
    error_copy(error, &problem);
    return false;
}

/* What is not there has been removed. */
bool bucket_perform_delete(struct bucket *s, const struct bucket_request *q, struct gb_error *error)
{
    struct bucket_answer a;
    struct gb_error problem = {0};
    bool ok = bucket_perform(s, q, &a, &problem) || problem.code == GB_not_found;
    bucket_answer_free(&a);
    if (!ok)
        error_copy(error, &problem);
    return ok;
}

bool bucket_delete(struct bucket *s, const char *key, unsigned tries, struct gb_error *error)
{
    const struct bucket_request q = {.method = "DELETE", .key = key, .attempts = tries};
    return bucket_perform_delete(s, &q, error);
}

static bool replace(struct storage *storage, const char *name, const void *data, size_t size,
                    struct gb_error *error)
{
    struct bucket *s = (struct bucket *)storage;
    char key[BUCKET_KEY_MAX];
    return bucket_key(s, name, key, error) && bucket_put(s, key, data, size, 0, error);
}

static bool make(struct storage *storage, const char *name, const void *data, size_t size,
                 struct gb_error *error)
{
    struct bucket *s = (struct bucket *)storage;
    char key[BUCKET_KEY_MAX];
    bool exists;
    return bucket_key(s, name, key, error) &&
           bucket_put_new(s, key, data, size, false, &exists, error);
}

static bool remove_object(struct storage *storage, const char *name, struct gb_error *error)
{
    struct bucket *s = (struct bucket *)storage;
    char key[BUCKET_KEY_MAX];
    return bucket_key(s, name, key, error) && bucket_delete(s, key, 0, error);
}

/* ---- reading ---- */

static bool read_piece(struct bucket *s, const char *key, uint64_t offset, void *data, size_t size,
                       struct gb_error *error)
{
    struct bucket_request q = {
        .method = "GET", .key = key, .into = data, .into_size = size, .offset = offset};
    struct bucket_answer a;
    struct gb_error problem = {0};
    bool ok = bucket_perform(s, &q, &a, &problem);
    bool partial = a.http.status == 206 || (offset == 0 && a.http.status == 200);
    if (ok ? a.http.size < size : a.http.status == 416)
        ok = error_set(error, GB_corrupt_backup, "%s://%s/%s ends before offset %" PRIu64,
                       s->dialect->scheme, s->name, key, offset + size);
    else if (ok && !partial)
        ok = error_set(error, GB_store_failed, "the store does not give ranges of %s://%s/%s",
                       s->dialect->scheme, s->name, key);
    else if (!ok)
        error_copy(error, &problem);
    bucket_answer_free(&a);
    return ok;
}

static bool read_object(struct storage *storage, const char *name, uint64_t offset, void *data,
                        size_t size, struct gb_error *error)
{
    struct bucket *s = (struct bucket *)storage;
    char key[BUCKET_KEY_MAX];
    if (!bucket_key(s, name, key, error))
        return false;
    for (size_t at = 0; at < size;) {
        size_t n = size - at < READ_PIECE ? size - at : READ_PIECE;
        if (!read_piece(s, key, offset + at, (char *)data + at, n, error))
            return false;
        at += n;
    }
    return true;
}

static bool object_size(struct storage *storage, const char *name, uint64_t *size,
                        struct gb_error *error)
{
    struct bucket *s = (struct bucket *)storage;
    struct bucket_request q = {.method = "HEAD"};
    struct bucket_answer a;
    char key[BUCKET_KEY_MAX], text[32];
    *size = 0;
    if (!bucket_key(s, name, key, error))
        return false;
    q.key = key;
    bool ok = bucket_perform(s, &q, &a, error);
    if (ok) {
        http_header(&a.http, "Content-Length", text, sizeof text);
        ok = isdigit((unsigned char)text[0]) ||
             error_set(error, GB_store_failed, "the store does not tell the size of %s://%s/%s",
                       s->dialect->scheme, s->name, key);
        *size = ok ? strtoull(text, NULL, 10) : 0;
    }
    bucket_answer_free(&a);
    return ok;
}

static bool is_conditional(const struct storage *storage)
{
    return !__atomic_load_n(&((const struct bucket *)storage)->unconditional, __ATOMIC_RELAXED);
}

/* Any answer has the time, also that of an object that is not there. */
static bool store_time(struct storage *storage, time_t *now, struct gb_error *error)
{
    struct bucket *s = (struct bucket *)storage;
    struct bucket_request q = {.method = "HEAD"};
    struct bucket_answer a;
    struct gb_error problem = {0};
    char key[BUCKET_KEY_MAX];
    if (!bucket_key(s, ".galera-backup-clock", key, error))
        return false;
    q.key = key;
    bool ok = bucket_perform(s, &q, &a, &problem) || problem.code == GB_not_found;
    *now = bucket_header_time(&a.http, "Date");
    bucket_answer_free(&a);
    if (!ok)
        error_copy(error, &problem);
    return ok &&
           (*now || error_set(error, GB_store_failed, "%s does not tell its time", s->describe));
}

static const struct storage_driver bucket_driver = {
    .close = close_bucket,
    .describe = describe,
    .check_space = check_space,
    .create = bucket_create,
    .write = bucket_write,
    .commit = bucket_commit,
    .abort = bucket_abort,
    .replace = replace,
    .make = make,
    .remove = remove_object,
    .read = read_object,
    .size = object_size,
    .list = bucket_list,
    .remove_all = bucket_remove_all,
    .lock = bucket_lock,
    .unlock = bucket_unlock,
    .lock_look = bucket_lock_look,
    .drop_uploads = bucket_drop_uploads,
    .is_conditional = is_conditional,
    .time = store_time,
};
