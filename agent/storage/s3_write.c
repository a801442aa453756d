/*
  An object on its way into a bucket: one request if it is small, else a multipart upload of which
  several parts are under way at a time.

  The ETags of the parts come back in any order; the upload is completed with them by number, and
  the ETag of the whole, which stores make of the MD5s of the parts, is compared with our own.
*/
#include "agent/storage/s3_store.h"
#include "agent/storage/s3_xml.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct part_tag { /* what the store called a part */
    struct part_tag *next;
    unsigned number;
    bool md5; /* the ETag is the MD5 of what was sent */
    char etag[S3_ETAG_MAX];
};

struct s3_writer {
    struct storage_writer base;
    struct s3 *store;
    struct s3_lock *lock; /* that guards the object; NULL */
    char key[S3_KEY_MAX];
    char *upload_id; /* NULL: all fits into the buffer, so far */
    uint8_t *buffer; /* NULL: nothing in it */
    size_t used;
    unsigned parts;
    struct parts_object object;
    pthread_mutex_t mutex; /* tags */
    struct part_tag *tags;
};

struct storage_writer *s3_create(struct storage *storage, const char *name, struct gb_error *error)
{
    struct s3 *s = (struct s3 *)storage;
    struct s3_writer *w = calloc(1, sizeof *w);
    if (!w) {
        error_set(error, GB_internal, "no memory");
        return NULL;
    }
    w->base.driver = s->base.driver;
    w->store = s;
    w->lock = s3_lock_above(s, name);
    if (s3_key(s, name, w->key, error)) {
        pthread_mutex_init(&w->mutex, NULL);
        return &w->base;
    }
    free(w);
    return NULL;
}

static bool add_tag(struct s3_writer *w, unsigned number, const struct s3_answer *a,
                    struct gb_error *error)
{
    struct part_tag *tag = calloc(1, sizeof *tag);
    if (!tag)
        return error_set(error, GB_internal, "no memory for a part");
    s3_etag(a, tag->etag);
    tag->number = number;
    tag->md5 = a->md5[0] && !strcmp(tag->etag, a->md5);
    pthread_mutex_lock(&w->mutex);
    tag->next = w->tags;
    w->tags = tag;
    pthread_mutex_unlock(&w->mutex);
    return true;
}

static bool send_part(void *context, unsigned number, const void *data, size_t size,
                      struct gb_error *error)
{
    struct s3_writer *w = context;
    char text[16];
    snprintf(text, sizeof text, "%u", number);
    struct s3_request q = {.method = "PUT",
                           .key = w->key,
                           .query = {{"partNumber", text}, {"uploadId", w->upload_id}},
                           .body = data,
                           .body_size = size};
    struct s3_answer a;
    struct gb_error problem = {0};
    bool ok = s3_perform(&w->store->client, &q, &a, &problem) &&
              s3_check_etag(w->store, w->key, &a, &problem) && add_tag(w, number, &a, &problem);
    s3_answer_free(&a);
    if (!ok && problem.code == GB_not_found)
        ok = error_set(error, GB_store_failed, "s3://%s/%s: the store has forgotten the upload",
                       w->store->client.options.bucket, w->key);
    else if (!ok)
        error_copy(error, &problem);
    return ok;
}

static bool take_upload_id(void *context, const char *path, const char *text)
{
    char **id = context;
    if (!*id && !strcmp(path, "InitiateMultipartUploadResult/UploadId") && *text)
        *id = strdup(text);
    return true;
}

static bool begin_upload(struct s3_writer *w, struct gb_error *error)
{
    struct s3_request q = {.method = "POST", .key = w->key, .query = {{"uploads", ""}}};
    struct s3_answer a;
    bool ok = s3_perform(&w->store->client, &q, &a, error);
    if (ok) {
        s3_xml_read(a.http.text ? a.http.text : "", a.http.size, take_upload_id, &w->upload_id);
        ok = w->upload_id ||
             error_set(error, GB_store_failed, "%s began no upload of s3://%s/%s",
                       w->store->client.where, w->store->client.options.bucket, w->key);
    }
    s3_answer_free(&a);
    w->object.send = send_part;
    w->object.context = w;
    return ok;
}

/* Gives the buffer away. */
static bool give_part(struct s3_writer *w, struct gb_error *error)
{
    if (w->parts == S3_PARTS_MAX)
        return error_set(error, GB_store_failed, "s3://%s/%s would have more than %u parts",
                         w->store->client.options.bucket, w->key, S3_PARTS_MAX);
    if (!w->upload_id && !begin_upload(w, error))
        return false;
    void *buffer = w->buffer;
    size_t size = w->used;
    w->buffer = NULL;
    w->used = 0;
    return parts_give(w->store->parts, &w->object, ++w->parts, buffer, size, error);
}

bool s3_write(struct storage_writer *writer, const void *data, size_t size, struct gb_error *error)
{
    struct s3_writer *w = (struct s3_writer *)writer;
    for (const uint8_t *at = data; size;) {
        if (w->used == S3_PART_SIZE && !give_part(w, error))
            return false;
        if (!w->buffer && !(w->buffer = parts_buffer(w->store->parts)))
            return error_set(error, GB_internal, "no memory for a part");
        size_t n = S3_PART_SIZE - w->used < size ? S3_PART_SIZE - w->used : size;
        memcpy(w->buffer + w->used, at, n);
        w->used += n;
        at += n;
        size -= n;
    }
    return true;
}

/* Frees all; parts under way have ended. */
static void writer_free(struct s3_writer *w)
{
    parts_free_buffer(w->store->parts, w->buffer);
    for (struct part_tag *tag = w->tags, *next; tag; tag = next) {
        next = tag->next;
        free(tag);
    }
    free(w->upload_id);
    pthread_mutex_destroy(&w->mutex);
    free(w);
}

void s3_abort(struct storage_writer *writer)
{
    struct s3_writer *w = (struct s3_writer *)writer;
    struct gb_error ignored = {0}; /* who removes the prefix aborts what is left below it */
    parts_drop(w->store->parts, &w->object);
    if (w->upload_id)
        s3_abort_upload(w->store, w->key, w->upload_id, &ignored);
    writer_free(w);
}

/* The MD5 of the parts' MD5s, as the store makes the ETag of the whole; "" where it is not known.
 */
static void whole_etag(struct part_tag *const *tags, unsigned parts, char out[S3_ETAG_MAX])
{
    unsigned char digest[EVP_MAX_MD_SIZE], part[16];
    unsigned length = 0;
    EVP_MD_CTX *md5 = EVP_MD_CTX_new();
    bool ok = md5 && EVP_DigestInit_ex(md5, EVP_md5(), NULL);
    for (unsigned i = 0; i < parts && ok; i++) {
        ok = tags[i]->md5;
        for (unsigned j = 0; j < sizeof part && ok; j++)
            ok = sscanf(tags[i]->etag + (size_t)2 * j, "%2hhx", &part[j]) == 1;
        ok = ok && EVP_DigestUpdate(md5, part, sizeof part);
    }
    ok = ok && EVP_DigestFinal_ex(md5, digest, &length);
    EVP_MD_CTX_free(md5);
    out[0] = '\0';
    for (unsigned i = 0; ok && i < length; i++)
        snprintf(out + (size_t)2 * i, 3, "%02x", digest[i]);
    if (ok)
        snprintf(out + (size_t)2 * length, S3_ETAG_MAX - (size_t)2 * length, "-%u", parts);
}

static bool take_etag(void *context, const char *path, const char *text)
{
    char *etag = context;
    if (!strcmp(path, "CompleteMultipartUploadResult/ETag")) {
        text += *text == '"';
        snprintf(etag, S3_ETAG_MAX, "%.*s", (int)strcspn(text, "\""), text);
    }
    return true;
}

/* By number, each once. */
static struct part_tag **sorted_tags(struct s3_writer *w, struct gb_error *error)
{
    struct part_tag **tags = calloc(w->parts, sizeof *tags);
    for (struct part_tag *tag = w->tags; tags && tag; tag = tag->next)
        tags[tag->number - 1] = tag;
    bool all = tags != NULL;
    for (unsigned i = 0; i < w->parts && all; i++)
        all = tags[i] != NULL;
    if (all)
        return tags;
    free(tags);
    error_set(error, GB_internal, "no memory for the parts of %s", w->key);
    return NULL;
}

static char *parts_xml(struct part_tag *const *tags, unsigned parts, size_t *size)
{
    char *text = NULL;
    FILE *f = open_memstream(&text, size);
    if (!f)
        return NULL;
    fputs("<CompleteMultipartUpload xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">", f);
    for (unsigned i = 0; i < parts; i++)
        fprintf(f, "<Part><PartNumber>%u</PartNumber><ETag>&quot;%s&quot;</ETag></Part>", i + 1,
                tags[i]->etag);
    fputs("</CompleteMultipartUpload>", f);
    if (!fclose(f))
        return text;
    free(text);
    return NULL;
}

static bool check_whole(struct s3_writer *w, struct part_tag *const *tags,
                        const struct s3_answer *a, struct gb_error *error)
{
    char expected[S3_ETAG_MAX], etag[S3_ETAG_MAX] = "";
    whole_etag(tags, w->parts, expected);
    s3_xml_read(a->http.text ? a->http.text : "", a->http.size, take_etag, etag);
    bool comparable = expected[0] && !a->unchecked_etag && strlen(etag) > 33 &&
                      strspn(etag, "0123456789abcdef") == 32 && etag[32] == '-';
    return !comparable || !strcmp(etag, expected) ||
           error_set(
               error, GB_store_failed, "%s put s3://%s/%s together wrongly: its ETag is %s, not %s",
               w->store->client.where, w->store->client.options.bucket, w->key, etag, expected);
}

static bool complete(struct s3_writer *w, struct gb_error *error)
{
    size_t size = 0;
    struct part_tag **tags = sorted_tags(w, error);
    char *body = tags ? parts_xml(tags, w->parts, &size) : NULL;
    struct s3_request q = {.method = "POST",
                           .key = w->key,
                           .query = {{"uploadId", w->upload_id}},
                           .body = body,
                           .body_size = size};
    struct s3_answer a = {0};
    struct gb_error problem = {0};
    bool ok = body ? s3_perform(&w->store->client, &q, &a, &problem)
                   : error_set(&problem, GB_internal, "no memory for the parts");
    if (ok)
        ok = check_whole(w, tags, &a, &problem);
    else if (problem.code == GB_not_found && a.http.attempts > 1) {
        /* a try whose answer did not reach us may have done it; what is there is looked at by
         * whoever names it in backup.json */
        struct s3_request head = {.method = "HEAD", .key = w->key};
        s3_answer_free(&a);
        error_clear(&problem);
        ok = s3_perform(&w->store->client, &head, &a, &problem);
    }
    if (!ok && problem.code == GB_not_found)
        error_set(error, GB_store_failed, "s3://%s/%s: the store has forgotten the upload",
                  w->store->client.options.bucket, w->key);
    error_copy(error, &problem);
    s3_answer_free(&a);
    free(tags);
    free(body);
    return ok;
}

static bool publish(struct s3_writer *w, struct gb_error *error)
{
    bool exists;
    if (!w->upload_id)
        return s3_put_new(w->store, w->key, w->buffer ? (const void *)w->buffer : "", w->used,
                          &exists, error);
    return (!w->used || give_part(w, error)) && parts_wait(w->store->parts, &w->object, error) &&
           complete(w, error);
}

/* A lock that has been taken from us is seen here at the latest: see s3_lock.c. */
bool s3_commit(struct storage_writer *writer, struct gb_error *error)
{
    struct s3_writer *w = (struct s3_writer *)writer;
    struct gb_error ignored = {0};
    if (!publish(w, error)) {
        s3_abort(writer);
        return false;
    }
    bool ok = !w->lock || s3_lock_check(w->lock, error);
    if (!ok)
        s3_delete(w->store, w->key, S3_CLEANING_TRIES, &ignored);
    writer_free(w);
    return ok;
}
