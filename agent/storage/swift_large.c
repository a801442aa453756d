/*
  A large object of Swift: a static large object, as swift.h says where its parts are.

  The store compares MD5 and size of each part with the manifest when it takes it; the ETag of the
  whole, the MD5 of the parts' ETags in hex, is compared with our own.
*/
#include "agent/storage/swift_store.h"
#include "agent/hex.h"

#include <jansson.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ID_BYTES 8u

/* DIRECTORY/.NAME/ID/KIND-NNNNNNNN; kind: "part", "list". Errors: GB_store_failed (too long). */
static bool part_key(const char *key, const char *id, const char *kind, unsigned number,
                     char out[BUCKET_KEY_MAX], struct gb_error *error)
{
    const char *slash = strrchr(key, '/'), *base = slash ? slash + 1 : key;
    return snprintf(out, BUCKET_KEY_MAX, "%.*s.%s/%s/%s-%08u", (int)(base - key), key, base, id,
                    kind, number) < (int)BUCKET_KEY_MAX ||
           error_set(error, GB_store_failed, "the name %s is too long for a large object", key);
}

bool swift_large_begin(struct bucket *b, const char *key, char **id, struct gb_error *error)
{
    struct swift_limits limits;
    unsigned char bytes[ID_BYTES];
    (void)key;
    if (!swift_limits(&((struct swift *)b)->client, &limits, error))
        return false;
    if (limits.file_size < b->part_size)
        return error_set(error, GB_bad_config,
                         "%s takes objects of at most %llu bytes, less than part-size", b->describe,
                         (unsigned long long)limits.file_size);
    if (RAND_bytes(bytes, sizeof bytes) != 1 || !(*id = calloc(1, 2 * ID_BYTES + 1)))
        return error_set(error, GB_internal, "no memory, or no random numbers");
    hex_write(bytes, ID_BYTES, *id);
    return true;
}

bool swift_large_send(struct bucket *b, const char *key, const char *id, unsigned number,
                      const void *data, size_t size, struct bucket_part *part,
                      struct gb_error *error)
{
    char name[BUCKET_KEY_MAX];
    if (!part_key(key, id, "part", number, name, error))
        return false;
    struct bucket_request q = {
        .method = "PUT", .key = name, .body = data, .body_size = size, .kept = true};
    struct bucket_answer a;
    bool ok = bucket_perform(b, &q, &a, error) && bucket_check_etag(b, name, &a, error);
    if (ok) {
        bucket_etag(&a, part->etag);
        part->number = number;
        part->size = size;
        part->md5 = true;
    }
    bucket_answer_free(&a);
    return ok;
}

/* ---- manifests ---- */

struct piece { /* of a manifest */
    char key[BUCKET_KEY_MAX];
    char etag[BUCKET_ETAG_MAX];
    uint64_t size;
};

/* Malloc'ed; NULL: no memory. */
static char *manifest(const struct bucket *b, const struct piece *pieces, unsigned count)
{
    json_t *root = json_array();
    char path[BUCKET_KEY_MAX + sizeof b->name + 2];
    int bad = !root;
    for (unsigned i = 0; i < count && !bad; i++) {
        snprintf(path, sizeof path, "/%s/%s", b->name, pieces[i].key);
        bad = json_array_append_new(root,
                                    json_pack("{s:s,s:s,s:I}", "path", path, "etag", pieces[i].etag,
                                              "size_bytes", (json_int_t)pieces[i].size));
    }
    char *text = bad ? NULL : json_dumps(root, JSON_COMPACT);
    json_decref(root);
    return text;
}

static bool whole_etag(const struct piece *pieces, unsigned count, char out[BUCKET_MD5_MAX])
{
    char *text = calloc(count, BUCKET_ETAG_MAX);
    size_t used = 0;
    for (unsigned i = 0; text && i < count; i++)
        used += (size_t)sprintf(text + used, "%s", pieces[i].etag);
    *out = '\0';
    if (text)
        bucket_md5(text, used, out, NULL);
    free(text);
    return text != NULL;
}

/* Whether it is there already, put by a try whose answer did not reach us. */
static bool is_there(struct bucket *b, const char *key, const char *expected)
{
    struct bucket_request q = {.method = "HEAD", .key = key};
    struct bucket_answer a;
    struct gb_error ignored = {0};
    char etag[BUCKET_ETAG_MAX];
    bool there = bucket_perform(b, &q, &a, &ignored) && expected[0] &&
                 !strcmp(bucket_etag(&a, etag), expected);
    bucket_answer_free(&a);
    return there;
}

/* Puts the manifest key of these pieces; etag: that of the whole. */
static bool put_manifest(struct bucket *b, const char *key, const struct piece *pieces,
                         unsigned count, char etag[BUCKET_ETAG_MAX], struct gb_error *error)
{
    char expected[BUCKET_MD5_MAX];
    char *text = whole_etag(pieces, count, expected) ? manifest(b, pieces, count) : NULL;
    if (!text)
        return error_set(error, GB_internal, "no memory for the parts of %s", key);
    struct bucket_request q = {.method = "PUT",
                               .key = key,
                               .query = {{"multipart-manifest", "put"}},
                               .body = text,
                               .body_size = strlen(text),
                               .if_none = true,
                               .kept = true};
    struct bucket_answer a;
    struct gb_error problem = {0};
    bool ok = bucket_perform(b, &q, &a, &problem);
    if (!ok && a.http.status == 412)
        ok = (a.http.attempts > 1 && is_there(b, key, expected)) ||
             error_set(error, GB_store_failed, "swift://%s/%s exists already", b->name, key);
    else if (!ok)
        error_copy(error, &problem);
    else if (bucket_etag(&a, etag)[0] && expected[0] && strcmp(etag, expected))
        ok = error_set(error, GB_store_failed,
                       "the store put swift://%s/%s together wrongly: its ETag is %s, not %s",
                       b->name, key, etag, expected);
    snprintf(etag, BUCKET_ETAG_MAX, "%s", expected);
    bucket_answer_free(&a);
    free(text);
    return ok;
}

/* More pieces than a manifest may have: they are replaced by manifests of as many of them as it
 * may, as often as needed. */
static bool gather(struct bucket *b, const char *key, const char *id, struct piece *pieces,
                   unsigned *count, unsigned most, struct gb_error *error)
{
    unsigned lists = 0;
    while (*count > most) {
        unsigned made = 0;
        for (unsigned from = 0; from < *count; from += most) {
            const unsigned n = *count - from < most ? *count - from : most;
            struct piece list = {0};
            for (unsigned i = from; i < from + n; i++)
                list.size += pieces[i].size;
            if (!part_key(key, id, "list", ++lists, list.key, error) ||
                !put_manifest(b, list.key, pieces + from, n, list.etag, error))
                return false;
            pieces[made++] = list; /* made <= from: what it replaces has been put */
        }
        *count = made;
    }
    return true;
}

/* How many manifests gather() makes at most. */
static unsigned lists_of(unsigned count, unsigned most)
{
    unsigned lists = 0;
    for (; count > most; count = (count + most - 1) / most)
        lists += (count + most - 1) / most;
    return lists;
}

bool swift_large_complete(struct bucket *b, const char *key, const char *id,
                          struct bucket_part *const *parts, unsigned count, struct gb_error *error)
{
    struct swift_limits limits;
    char etag[BUCKET_ETAG_MAX];
    if (!swift_limits(&((struct swift *)b)->client, &limits, error))
        return false;
    struct piece *pieces = calloc(count, sizeof *pieces);
    bool ok = pieces || error_set(error, GB_internal, "no memory for the parts of %s", key);
    for (unsigned i = 0; i < count && ok; i++) {
        ok = part_key(key, id, "part", i + 1, pieces[i].key, error);
        snprintf(pieces[i].etag, sizeof pieces[i].etag, "%s", parts[i]->etag);
        pieces[i].size = parts[i]->size;
    }
    ok = ok && gather(b, key, id, pieces, &count, limits.manifest_segments, error) &&
         put_manifest(b, key, pieces, count, etag, error);
    free(pieces);
    return ok;
}

bool swift_large_abort(struct bucket *b, const char *key, const char *id, unsigned count,
                       struct gb_error *error)
{
    char name[BUCKET_KEY_MAX];
    struct swift_limits limits;
    bool ok = swift_limits(&((struct swift *)b)->client, &limits, error);
    for (unsigned i = 1; ok && i <= lists_of(count, limits.manifest_segments); i++)
        ok = part_key(key, id, "list", i, name, error) &&
             bucket_delete(b, name, BUCKET_CLEANING_TRIES, error);
    for (unsigned i = 1; i <= count && ok; i++)
        ok = part_key(key, id, "part", i, name, error) &&
             bucket_delete(b, name, BUCKET_CLEANING_TRIES, error);
    return ok;
}
