/* AWS Signature Version 4; see sigv4.h. */
#include "agent/storage/sigv4.h"
#include "agent/hex.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <string.h>

#define ALGORITHM "AWS4-HMAC-SHA256"
#define DAY       8 /* digits of a date */

void sigv4_date(time_t when, char out[SIGV4_DATE_MAX])
{
    struct tm tm;
    strftime(out, SIGV4_DATE_MAX, "%Y%m%dT%H%M%SZ", gmtime_r(&when, &tm));
}

bool sigv4_sha256(const void *data, size_t size, char out[SIGV4_SHA256_MAX])
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned length;
    if (!EVP_Digest(data, size, digest, &length, EVP_sha256(), NULL))
        return false;
    hex_write(digest, length, out);
    return true;
}

bool sigv4_encode(const char *text, bool slash, char *out, size_t size, size_t *used)
{
    for (; *text; text++) {
        unsigned char c = (unsigned char)*text;
        bool plain = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
                     strchr("-._~", c) || (slash && c == '/');
        if (*used + 4 > size)
            return false;
        *used += (size_t)snprintf(out + *used, size - *used, plain ? "%c" : "%%%02X", c);
    }
    return *used < size;
}

static bool hmac(const unsigned char *key, size_t key_size, const char *text, unsigned char out[32])
{
    unsigned length;
    return HMAC(EVP_sha256(), key, (int)key_size, (const unsigned char *)text, strlen(text), out,
                &length) != NULL;
}

static void put(EVP_MD_CTX *digest, const char *text)
{
    EVP_DigestUpdate(digest, text, strlen(text));
}

static bool canonical_sha256(const struct sigv4_request *q, char out[SIGV4_SHA256_MAX])
{
    EVP_MD_CTX *digest = EVP_MD_CTX_new();
    unsigned char bytes[EVP_MAX_MD_SIZE];
    unsigned length;
    bool ok = digest && EVP_DigestInit_ex(digest, EVP_sha256(), NULL);
    if (ok) {
        const char *lines[] = {q->method, "\n", q->path, "\n", q->query, "\n"};
        for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++)
            put(digest, lines[i]);
        for (size_t i = 0; i < q->header_count; i++) {
            put(digest, q->headers[i].name);
            put(digest, ":");
            put(digest, q->headers[i].value);
            put(digest, "\n");
        }
        for (size_t i = 0; i < q->header_count; i++) {
            put(digest, i ? ";" : "\n");
            put(digest, q->headers[i].name);
        }
        put(digest, "\n");
        put(digest, q->payload_sha256);
        ok = EVP_DigestFinal_ex(digest, bytes, &length);
    }
    EVP_MD_CTX_free(digest);
    if (ok)
        hex_write(bytes, length, out);
    return ok;
}

/* The key of that day, region and service. */
static bool signing_key(const struct sigv4_credentials *c, const struct sigv4_request *q,
                        const char *day, unsigned char out[32])
{
    char secret[sizeof c->secret_access_key + 4];
    unsigned char a[32], b[32];
    int n = snprintf(secret, sizeof secret, "AWS4%s", c->secret_access_key);
    return hmac((const unsigned char *)secret, (size_t)n, day, a) &&
           hmac(a, sizeof a, q->region, b) && hmac(b, sizeof b, q->service, a) &&
           hmac(a, sizeof a, "aws4_request", out);
}

bool sigv4_sign(const struct sigv4_credentials *c, const struct sigv4_request *q, char *out,
                size_t size)
{
    char day[DAY + 1], scope[256], canonical[SIGV4_SHA256_MAX], text[512],
        signature[SIGV4_SHA256_MAX];
    unsigned char key[32], bytes[32];
    snprintf(day, sizeof day, "%.*s", DAY, q->date);
    snprintf(scope, sizeof scope, "%s/%s/%s/aws4_request", day, q->region, q->service);
    if (!canonical_sha256(q, canonical) || !signing_key(c, q, day, key))
        return false;
    snprintf(text, sizeof text, ALGORITHM "\n%s\n%s\n%s", q->date, scope, canonical);
    if (!hmac(key, sizeof key, text, bytes))
        return false;
    hex_write(bytes, sizeof bytes, signature);
    size_t used = (size_t)snprintf(
        out, size, ALGORITHM " Credential=%s/%s, SignedHeaders=", c->access_key_id, scope);
    for (size_t i = 0; i < q->header_count && used < size; i++)
        used += (size_t)snprintf(out + used, size - used, "%s%s", i ? ";" : "", q->headers[i].name);
    if (used < size)
        used += (size_t)snprintf(out + used, size - used, ", Signature=%s", signature);
    return used < size;
}
