/*
  A large object of an S3 store: a multipart upload. The ETag of the whole, which stores make of the
  MD5s of the parts, is compared with our own.
*/
#include "agent/storage/s3_store.h"
#include "agent/hex.h"
#include "agent/storage/s3_xml.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool forgotten(const struct bucket *b, const char *key, struct gb_error *error)
{
    return error_set(error, GB_store_failed, "s3://%s/%s: the store has forgotten the upload",
                     b->name, key);
}

bool s3_upload_send(struct bucket *b, const char *key, const char *id, unsigned number,
                    const void *data, size_t size, struct bucket_part *part, struct gb_error *error)
{
    char text[16];
    snprintf(text, sizeof text, "%u", number);
    struct bucket_request q = {.method = "PUT",
                               .key = key,
                               .query = {{"partNumber", text}, {"uploadId", id}},
                               .body = data,
                               .body_size = size};
    struct bucket_answer a;
    struct gb_error problem = {0};
    bool ok = bucket_perform(b, &q, &a, &problem) && bucket_check_etag(b, key, &a, &problem);
    if (ok) {
        bucket_etag(&a, part->etag);
        part->number = number;
        part->size = size;
        part->md5 = a.md5[0] && !strcmp(part->etag, a.md5);
    } else if (problem.code == GB_not_found) {
        forgotten(b, key, error);
    } else {
        error_copy(error, &problem);
    }
    bucket_answer_free(&a);
    return ok;
}

static bool take_upload_id(void *context, const char *path, const char *text)
{
    char **id = context;
    if (!*id && !strcmp(path, "InitiateMultipartUploadResult/UploadId") && *text)
        *id = strdup(text);
    return true;
}

bool s3_upload_begin(struct bucket *b, const char *key, char **id, struct gb_error *error)
{
    struct bucket_request q = {
        .method = "POST", .key = key, .query = {{"uploads", ""}}, .kept = true};
    struct bucket_answer a;
    bool ok = bucket_perform(b, &q, &a, error);
    if (ok) {
        s3_xml_read(a.http.text ? a.http.text : "", a.http.size, take_upload_id, id);
        ok = *id || error_set(error, GB_store_failed, "the store began no upload of s3://%s/%s",
                              b->name, key);
    }
    bucket_answer_free(&a);
    return ok;
}

bool s3_upload_abort(struct bucket *b, const char *key, const char *id, unsigned count,
                     struct gb_error *error)
{
    const struct bucket_request q = {.method = "DELETE",
                                     .key = key,
                                     .query = {{"uploadId", id}},
                                     .attempts = BUCKET_CLEANING_TRIES};
    (void)count;
    return bucket_perform_delete(b, &q, error);
}

/* The MD5 of the parts' MD5s, as the store makes the ETag of the whole; "" where it is not known.
 */
static void whole_etag(struct bucket_part *const *list, unsigned parts, char out[BUCKET_ETAG_MAX])
{
    unsigned char digest[EVP_MAX_MD_SIZE], part[16];
    unsigned length = 0;
    EVP_MD_CTX *md5 = EVP_MD_CTX_new();
    bool ok = md5 && EVP_DigestInit_ex(md5, EVP_md5(), NULL);
    for (unsigned i = 0; i < parts && ok; i++) {
        ok = list[i]->md5;
        for (unsigned j = 0; j < sizeof part && ok; j++)
            ok = sscanf(list[i]->etag + (size_t)2 * j, "%2hhx", &part[j]) == 1;
        ok = ok && EVP_DigestUpdate(md5, part, sizeof part);
    }
    ok = ok && EVP_DigestFinal_ex(md5, digest, &length);
    EVP_MD_CTX_free(md5);
    out[0] = '\0';
    if (ok) {
        hex_write(digest, length, out);
        snprintf(out + (size_t)2 * length, BUCKET_ETAG_MAX - (size_t)2 * length, "-%u", parts);
    }
}

static bool take_etag(void *context, const char *path, const char *text)
{
    char *etag = context;
    if (!strcmp(path, "CompleteMultipartUploadResult/ETag")) {
        text += *text == '"';
        snprintf(etag, BUCKET_ETAG_MAX, "%.*s", (int)strcspn(text, "\""), text);
    }
    return true;
}

static char *parts_xml(struct bucket_part *const *list, unsigned parts, size_t *size)
{
    char *text = NULL;
    FILE *f = open_memstream(&text, size);
    if (!f)
        return NULL;
    fputs("<CompleteMultipartUpload xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">", f);
    for (unsigned i = 0; i < parts; i++)
        fprintf(f, "<Part><PartNumber>%u</PartNumber><ETag>&quot;%s&quot;</ETag></Part>", i + 1,
                list[i]->etag);
    fputs("</CompleteMultipartUpload>", f);
    if (!fclose(f))
        return text;
    free(text);
    return NULL;
}

static bool check_whole(struct bucket *b, const char *key, struct bucket_part *const *list,
                        unsigned parts, const struct bucket_answer *a, struct gb_error *error)
{
    char expected[BUCKET_ETAG_MAX], etag[BUCKET_ETAG_MAX] = "";
    whole_etag(list, parts, expected);
    s3_xml_read(a->http.text ? a->http.text : "", a->http.size, take_etag, etag);
    bool comparable = expected[0] && !a->unchecked_etag && strlen(etag) > 33 &&
                      strspn(etag, "0123456789abcdef") == 32 && etag[32] == '-';
    return !comparable || !strcmp(etag, expected) ||
           error_set(error, GB_store_failed,
                     "the store put s3://%s/%s together wrongly: its ETag is %s, not %s", b->name,
                     key, etag, expected);
}

bool s3_upload_complete(struct bucket *b, const char *key, const char *id,
                        struct bucket_part *const *list, unsigned count, struct gb_error *error)
{
    size_t size = 0;
    char *body = parts_xml(list, count, &size);
    struct bucket_request q = {
        .method = "POST", .key = key, .query = {{"uploadId", id}}, .body = body, .body_size = size};
    struct bucket_answer a = {0};
    struct gb_error problem = {0};
    bool ok = body ? bucket_perform(b, &q, &a, &problem)
                   : error_set(&problem, GB_internal, "no memory for the parts");
    if (ok) {
        ok = check_whole(b, key, list, count, &a, &problem);
    } else if (problem.code == GB_not_found && a.http.attempts > 1) {
        /* a try whose answer did not reach us may have done it; what is there is looked at by
         * whoever names it in backup.json */
        struct bucket_request head = {.method = "HEAD", .key = key};
        bucket_answer_free(&a);
        error_clear(&problem);
        ok = bucket_perform(b, &head, &a, &problem);
    }
    if (!ok && problem.code == GB_not_found)
        forgotten(b, key, error);
    error_copy(error, &problem);
    bucket_answer_free(&a);
    free(body);
    return ok;
}
