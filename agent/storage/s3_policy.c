/* What the store is asked to do with the objects that are put; see s3_policy.h. */
#include "agent/storage/s3_policy.h"
#include "agent/storage/secret_file.h"
#include "agent/utc.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#define CUSTOMER    "x-amz-server-side-encryption-customer-"
#define KEY_SIZE    32u
#define BASE64_SIZE 44u /* of KEY_SIZE bytes */
#define TAGS_MAX    10u

/* ---- what the configuration says ---- */

/* Appends the tags of "NAME=VALUE, NAME=VALUE" as a header wants them. False: they are none. */
static bool encode_tags(const char *text, char *out, size_t size)
{
    size_t used = 0;
    char part[520];
    unsigned count = 0;
    *out = '\0';
    for (const char *at = text + strspn(text, " "); *at; at += strspn(at, ", ")) {
        size_t n = strcspn(at, ","), trimmed = n;
        while (trimmed && at[trimmed - 1] == ' ')
            trimmed--;
        const char *equals = memchr(at, '=', trimmed);
        if (!equals || equals == at || trimmed >= sizeof part || ++count > TAGS_MAX)
            return false;
        snprintf(part, sizeof part, "%.*s", (int)trimmed, at);
        char *value = strchr(part, '=') + 1;
        value[-1] = '\0';
        int begun = snprintf(out + used, size - used, "%s", used ? "&" : "");
        used += (size_t)begun;
        if (!sigv4_encode(part, false, out, size, &used) || used + 2 > size)
            return false;
        out[used++] = '=';
        out[used] = '\0';
        if (!sigv4_encode(value, false, out, size, &used))
            return false;
        at += n;
    }
    return true;
}

static bool check_encryption(const struct s3_policy *p, const char *section, bool plain,
                             struct gb_error *error)
{
    const char *e = p->encryption;
    bool customer = !strcmp(e, "customer");
    if (*e && strcmp(e, "AES256") && strcmp(e, "aws:kms") && !customer)
        return error_set(error, GB_bad_config,
                         "%s: server-side-encryption = %s is none of AES256, aws:kms and customer",
                         section, e);
    if (p->kms_key_id[0] && strcmp(e, "aws:kms"))
        return error_set(error, GB_bad_config,
                         "%s has kms-key-id without server-side-encryption = aws:kms", section);
    if (!p->customer_key_file[0] != !customer)
        return error_set(
            error, GB_bad_config,
            "%s: customer-key-file and server-side-encryption = customer go together only",
            section);
    if (customer && plain)
        return error_set(error, GB_bad_config,
                         "%s has server-side-encryption = customer and an endpoint of http, which "
                         "would send the key in clear",
                         section);
    return !customer || p->customer_key_file[0] == '/' ||
           error_set(error, GB_bad_config, "%s: customer-key-file = %s is not an absolute path",
                     section, p->customer_key_file);
}

bool s3_policy_check(const struct s3_policy *p, const char *section, bool plain,
                     struct gb_error *error)
{
    char tags[sizeof((struct s3_policy_state *)0)->tags];
    if (!check_encryption(p, section, plain, error))
        return false;
    if (!strcasecmp(p->storage_class, "GLACIER") || !strcasecmp(p->storage_class, "DEEP_ARCHIVE"))
        return error_set(error, GB_bad_config,
                         "%s: storage-class = %s can't be read before it has been thawed, for "
                         "hours; GLACIER_IR can",
                         section, p->storage_class);
    if (strspn(p->storage_class,
               "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-") !=
        strlen(p->storage_class))
        return error_set(error, GB_bad_config, "%s: storage-class = %s is none", section,
                         p->storage_class);
    if (!encode_tags(p->tags, tags, sizeof tags))
        return error_set(error, GB_bad_config,
                         "%s: tags = %s are not NAME=VALUE, NAME=VALUE, ten at most", section,
                         p->tags);
    if (p->lock_mode[0] && strcmp(p->lock_mode, "governance") && strcmp(p->lock_mode, "compliance"))
        return error_set(error, GB_bad_config,
                         "%s: object-lock = %s is neither governance nor compliance", section,
                         p->lock_mode);
    return !p->lock_mode[0] == !p->lock_time_s ||
           error_set(error, GB_bad_config, "%s: object-lock and object-lock-time go together only",
                     section);
}

/* 32 bytes as they are, or the base64 of them. */
static bool read_key(const char *path, unsigned char key[KEY_SIZE], struct gb_error *error)
{
    unsigned char text[BASE64_SIZE + 3], decoded[BASE64_SIZE];
    FILE *in = secret_file_open("customer-key-file", path, error);
    if (!in)
        return false;
    size_t n = fread(text, 1, sizeof text, in);
    fclose(in);
    bool ok = n == KEY_SIZE;
    if (ok)
        memcpy(key, text, KEY_SIZE);
    while (!ok && n && strchr("\r\n", text[n - 1]))
        n--;
    if (!ok && n == BASE64_SIZE && text[n - 1] == '=' && text[n - 2] != '=' &&
        EVP_DecodeBlock(decoded, text, (int)n) == (int)KEY_SIZE + 1) {
        memcpy(key, decoded, KEY_SIZE);
        ok = true;
    }
    OPENSSL_cleanse(text, sizeof text);
    OPENSSL_cleanse(decoded, sizeof decoded);
    if (ok)
        return true;
    error_set(error, GB_bad_config,
              "customer-key-file = %s does not hold 32 bytes, nor the base64 of them", path);
    error_hint(
        error,
        "openssl rand -base64 32 makes one; keep a copy: without it nothing can be restored");
    return false;
}

bool s3_policy_open(struct s3_policy_state *s, const struct s3_policy *p, struct gb_error *error)
{
    unsigned char key[KEY_SIZE], digest[16];
    char md5[BUCKET_MD5_MAX];
    memset(s, 0, sizeof *s);
    s->policy = *p;
    encode_tags(p->tags, s->tags, sizeof s->tags);
    bucket_md5("", 0, md5, digest);
    if ((p->lock_mode[0] || p->customer_key_file[0]) && !md5[0])
        return error_set(error, GB_bad_config,
                         "object-lock and server-side-encryption = customer want MD5, which this "
                         "machine does not allow");
    if (!p->customer_key_file[0])
        return true;
    if (!read_key(p->customer_key_file, key, error))
        return false;
    bucket_md5(key, sizeof key, md5, digest);
    EVP_EncodeBlock((unsigned char *)s->customer_key, key, KEY_SIZE);
    EVP_EncodeBlock((unsigned char *)s->customer_key_md5, digest, sizeof digest);
    OPENSSL_cleanse(key, sizeof key);
    return true;
}

void s3_policy_close(struct s3_policy_state *s)
{
    OPENSSL_cleanse(s->customer_key, sizeof s->customer_key);
}

/* ---- headers ---- */

static bool has_query(const struct bucket_request *q, const char *name)
{
    for (unsigned i = 0; i < BUCKET_QUERY_MAX; i++)
        if (q->query[i].name && !strcmp(q->query[i].name, name))
            return true;
    return false;
}

static void add(struct s3_policy_headers *h, const char *name, const char *value)
{
    if (*value)
        h->list[h->count++] = (struct sigv4_header){name, value};
}

void s3_policy_headers(const struct s3_policy_state *s, const struct bucket_request *q, time_t now,
                       struct s3_policy_headers *h)
{
    const struct s3_policy *p = &s->policy;
    const bool part = has_query(q, "partNumber");
    const bool makes = (!strcmp(q->method, "PUT") && !part) ||
                       (!strcmp(q->method, "POST") && has_query(q, "uploads"));
    const bool reads = q->key && (!strcmp(q->method, "GET") || !strcmp(q->method, "HEAD"));
    h->count = 0;
    if (s->customer_key[0] && (makes || part || reads)) {
        add(h, CUSTOMER "algorithm", "AES256");
        add(h, CUSTOMER "key", s->customer_key);
        add(h, CUSTOMER "key-md5", s->customer_key_md5);
    } else if (!s->customer_key[0] && makes) {
        add(h, "x-amz-server-side-encryption", p->encryption);
        add(h, "x-amz-server-side-encryption-aws-kms-key-id", p->kms_key_id);
    }
    if (!makes || !q->kept)
        return;
    add(h, "x-amz-storage-class", p->storage_class);
    add(h, "x-amz-tagging", s->tags);
    if (p->lock_mode[0]) {
        utc_text(now + (time_t)p->lock_time_s, h->retain_until);
        add(h, "x-amz-object-lock-mode", *p->lock_mode == 'g' ? "GOVERNANCE" : "COMPLIANCE");
        add(h, "x-amz-object-lock-retain-until-date", h->retain_until);
    }
}
