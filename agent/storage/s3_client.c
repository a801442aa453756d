/* One signed request to a bucket; see s3_client.h. */
#include "agent/storage/s3_client.h"
#include "agent/storage/s3_credentials.h"
#include "agent/storage/s3_xml.h"

#include <inttypes.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SERVICE     "s3"
#define QUERY_MAX   8192u
#define SKEW_MIN_S  300 /* stores allow 900 */
#define MESSAGE_MAX 200u
#define SIGNED_MAX  (6u + S3_POLICY_HEADERS_MAX)
#define MD5_SIZE    16

/* ---- where it is ---- */

static const char *region_of(const struct bucket_options *common)
{
    return common->region[0] ? common->region : "us-east-1";
}

/* HOST[:PORT] of the endpoint, a port that the scheme implies left out, as HTTP wants the Host
 * header. */
static void endpoint_host(const struct s3_options *o, const struct bucket_options *common,
                          bool *tls, char *out, size_t size)
{
    const char *at = strstr(o->endpoint, "://");
    *tls = !at || !strncmp(o->endpoint, "https", 5);
    if (!at) {
        snprintf(out, size, "s3.%s.amazonaws.com", region_of(common));
        return;
    }
    snprintf(out, size, "%s", at + 3);
    const char *implied = *tls ? ":443" : ":80";
    size_t n = strlen(out), m = strlen(implied);
    if (n > m && !strcmp(out + n - m, implied))
        out[n - m] = '\0';
}

bool s3_client_open(struct s3_client *c, const struct s3_options *o,
                    const struct bucket_options *common, uint64_t *moved, struct gb_error *error)
{
    const struct http_options http = bucket_http_options(common);
    char host[264];
    memset(c, 0, sizeof *c);
    c->options = *o;
    c->attempts = common->attempts;
    snprintf(c->region, sizeof c->region, "%s", region_of(common));
    endpoint_host(o, common, &c->tls, host, sizeof host);
    snprintf(c->where, sizeof c->where, "%s://%s", c->tls ? "https" : "http", host);
    if (o->addressing == S3_VIRTUAL_HOST)
        snprintf(c->host, sizeof c->host, "%s.%s", o->bucket, host);
    else
        snprintf(c->host, sizeof c->host, "%s", host);
    c->temporary = s3_role_wanted(o);
    if (s3_policy_open(&c->policy, &o->policy, error) &&
        (c->temporary ? s3_role_open(&c->role, o, common, c->region, moved, error)
                      : s3_credentials(o, &c->credentials, error)) &&
        (c->http = http_open(&http, moved, error)) != NULL)
        return true;
    s3_client_close(c);
    return false;
}

void s3_client_close(struct s3_client *c)
{
    http_close(c->http);
    s3_role_close(&c->role);
    s3_policy_close(&c->policy);
    OPENSSL_cleanse(&c->credentials, sizeof c->credentials);
    OPENSSL_cleanse(c->options.secret_access_key, sizeof c->options.secret_access_key);
}

/* ---- the request ---- */

struct attempt {
    struct s3_client *client;
    const struct bucket_request *request;
    char path[3 * BUCKET_KEY_MAX + 80], query[QUERY_MAX];
    char sha256[SIGV4_SHA256_MAX], md5[BUCKET_MD5_MAX], md5_base64[32];
    struct sigv4_credentials credentials;
    unsigned generation; /* of temporary ones */
    bool skewed;         /* the clock has been set right once */
};

static bool make_path(struct attempt *a)
{
    const struct s3_options *o = &a->client->options;
    const struct bucket_request *q = a->request;
    size_t used = 0;
    bool ok = sigv4_encode("/", true, a->path, sizeof a->path, &used);
    if (o->addressing == S3_PATH)
        ok = ok && sigv4_encode(o->bucket, false, a->path, sizeof a->path, &used) &&
             (!q->key || sigv4_encode("/", true, a->path, sizeof a->path, &used));
    return ok && (!q->key || sigv4_encode(q->key, true, a->path, sizeof a->path, &used));
}

static bool put_plain(char *out, size_t size, size_t *used, const char *text)
{
    *used += (size_t)snprintf(out + *used, size - *used, "%s", text);
    return *used < size;
}

static bool make_query(struct attempt *a)
{
    size_t used = 0, size = sizeof a->query;
    bool ok = true;
    for (size_t i = 0; i < BUCKET_QUERY_MAX && ok; i++) {
        const struct bucket_query *q = &a->request->query[i];
        if (q->name)
            ok = put_plain(a->query, size, &used, used ? "&" : "") &&
                 sigv4_encode(q->name, false, a->query, size, &used) &&
                 put_plain(a->query, size, &used, "=") &&
                 sigv4_encode(q->value, false, a->query, size, &used);
    }
    return ok;
}

/* MD5 is for the store's own check and the ETag; where the machine forbids it (FIPS) the signed
 * SHA-256 stands alone. */
static bool make_digests(struct attempt *a)
{
    const struct bucket_request *q = a->request;
    unsigned char digest[MD5_SIZE];
    a->md5[0] = a->md5_base64[0] = '\0';
    if (!strcmp(q->method, "PUT") || q->body_size)
        bucket_md5(q->body ? q->body : "", q->body_size, a->md5, digest);
    if (a->md5[0])
        EVP_EncodeBlock((unsigned char *)a->md5_base64, digest, MD5_SIZE);
    return sigv4_sha256(q->body ? q->body : "", q->body_size, a->sha256);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct sigv4_header *)a)->name, ((const struct sigv4_header *)b)->name);
}

static bool sign(void *context, struct http_headers *headers)
{
    struct attempt *a = context;
    struct s3_client *c = a->client;
    const struct bucket_request *q = a->request;
    char date[SIGV4_DATE_MAX], text[SIGV4_TEXT_MAX + 64u * S3_POLICY_HEADERS_MAX], range[64];
    struct sigv4_header signed_headers[SIGNED_MAX];
    struct s3_policy_headers policy;
    size_t n = 0;
    time_t now = time(NULL) + (time_t)__atomic_load_n(&c->clock_offset_s, __ATOMIC_RELAXED);
    sigv4_date(now, date);
    s3_policy_headers(&c->policy, q, now, &policy);
    if (a->md5_base64[0])
        signed_headers[n++] = (struct sigv4_header){"content-md5", a->md5_base64};
    signed_headers[n++] = (struct sigv4_header){"host", c->host};
    signed_headers[n++] = (struct sigv4_header){"x-amz-content-sha256", a->sha256};
    signed_headers[n++] = (struct sigv4_header){"x-amz-date", date};
    if (a->credentials.session_token[0])
        signed_headers[n++] =
            (struct sigv4_header){"x-amz-security-token", a->credentials.session_token};
    for (size_t i = 0; i < policy.count; i++)
        signed_headers[n++] = policy.list[i];
    qsort(signed_headers, n, sizeof *signed_headers, by_name);
    struct sigv4_request s = {.method = q->method,
                              .path = a->path,
                              .query = a->query,
                              .headers = signed_headers,
                              .header_count = n,
                              .payload_sha256 = a->sha256,
                              .region = c->region,
                              .service = SERVICE,
                              .date = date};
    if (!sigv4_sign(&a->credentials, &s, text, sizeof text))
        return false;
    for (size_t i = 0; i < n; i++)
        http_add_header(headers, signed_headers[i].name, signed_headers[i].value);
    http_add_header(headers, "Authorization", text);
    if (q->if_none)
        http_add_header(headers, "If-None-Match", "*");
    if (q->into) {
        snprintf(range, sizeof range, "bytes=%" PRIu64 "-%" PRIu64, q->offset,
                 q->offset + q->into_size - 1);
        http_add_header(headers, "Range", range);
    }
    return true;
}

/* ---- the answer ---- */

static void read_code(const struct http_response *r, char *code, size_t code_size, char *message,
                      size_t message_size)
{
    s3_xml_error(r->text, r->size, code, code_size, message, message_size);
}

static enum http_verdict judge(void *context, const struct http_response *r)
{
    struct attempt *a = context;
    char code[64], message[MESSAGE_MAX];
    read_code(r, code, sizeof code, message, sizeof message);
    static const char *const passing[] = {"SlowDown",
                                          "Throttling",
                                          "RequestTimeout",
                                          "InternalError",
                                          "ServiceUnavailable",
                                          "OperationAborted",
                                          "ConditionalRequestConflict",
                                          "BadDigest",
                                          "XAmzContentSHA256Mismatch",
                                          "IncompleteBody"};
    for (size_t i = 0; i < sizeof passing / sizeof passing[0]; i++)
        if (!strcmp(code, passing[i]))
            return HTTP_AGAIN;
    /* The answer to a HEAD has no body that could say why. */
    bool unsaid =
        !code[0] && !strcmp(a->request->method, "HEAD") && (r->status == 400 || r->status == 403);
    if ((!strcmp(code, "RequestTimeTooSkewed") || unsaid) && !a->skewed) {
        time_t theirs = bucket_header_time(r, "Date"),
               ours = time(NULL) +
                      (time_t)__atomic_load_n(&a->client->clock_offset_s, __ATOMIC_RELAXED);
        a->skewed = true;
        if (theirs && (!unsaid || llabs((long long)(theirs - ours)) > SKEW_MIN_S)) {
            __atomic_store_n(&a->client->clock_offset_s, (int64_t)(theirs - time(NULL)),
                             __ATOMIC_RELAXED);
            return HTTP_AGAIN_ONCE;
        }
    }
    return http_judge_status(r);
}

static bool is_code(const char *code, const char *const *list)
{
    for (; *list; list++)
        if (!strcmp(code, *list))
            return true;
    return false;
}

static bool denied(const struct s3_client *c, const char *name, const char *said, const char *code,
                   struct gb_error *error)
{
    const struct s3_options *o = &c->options;
    const char *place = c->temporary             ? c->role.endpoint
                        : o->credentials_file[0] ? o->credentials_file
                        : o->access_key_id[0]    ? "the configuration"
                                                 : "the environment";
    error_set(error, GB_store_denied, "%s: %s", name, said);
    if (!strcmp(code, "RequestTimeTooSkewed"))
        error_hint(error, "set this host's clock right (NTP): the store's differs too much");
    else if (!strcmp(code, "AuthorizationHeaderMalformed") || !strcmp(code, "PermanentRedirect"))
        error_hint(error, "set region (now %s) and endpoint to those of the bucket %s", c->region,
                   o->bucket);
    else if (!strcmp(code, "SignatureDoesNotMatch") || !strcmp(code, "InvalidAccessKeyId"))
        error_hint(error, "correct the access key and its secret in %s", place);
    else if (c->temporary)
        error_hint(error, "let the role whose keys %s gave use the bucket %s", place, o->bucket);
    else
        error_hint(error,
                   "correct the access key and secret in %s, or let that key use the bucket %s",
                   place, o->bucket);
    return false;
}

/* What a status other than 2xx means. */
static bool refused(const struct s3_client *c, const struct bucket_request *q,
                    const struct bucket_answer *a, const char *name, const char *message,
                    struct gb_error *error)
{
    static const char *const who[] = {"InvalidAccessKeyId",
                                      "SignatureDoesNotMatch",
                                      "AccessDenied",
                                      "ExpiredToken",
                                      "InvalidToken",
                                      "RequestTimeTooSkewed",
                                      "AuthorizationHeaderMalformed",
                                      "PermanentRedirect",
                                      NULL};
    static const char *const full[] = {"QuotaExceeded", "InsufficientStorage", "XMinioStorageFull",
                                       "EntityTooLarge", NULL};
    const int status = a->http.status;
    const bool reads = !strcmp(q->method, "GET") || !strcmp(q->method, "HEAD");
    char said[MESSAGE_MAX + 128], tries[32] = "";
    if (a->http.attempts > 1)
        snprintf(tries, sizeof tries, ", %u times", a->http.attempts);
    snprintf(said, sizeof said, "%s%sHTTP %d%s%s%s", a->code, a->code[0] ? ", " : "", status,
             message[0] ? ": " : "", message, tries);
    if (!strcmp(a->code, "NoSuchBucket"))
        return error_set(error, GB_bucket_missing, "there is no bucket %s at %s", c->options.bucket,
                         c->where);
    if (is_code(a->code, full) || status == 413 || status == 507)
        return error_set(error, GB_no_space, "%s: %s", name, said);
    if (is_code(a->code, who) || status == 401 || status == 403 || status == 301)
        return denied(c, name, said, a->code, error);
    if (status == 404)
        return error_set(error, GB_not_found, "%s: %s", name, said);
    if (status >= 500 || status == 429 || status == 408)
        return error_set(error, GB_store_unreachable, "%s: %s", name, said);
    return error_set(error, reads ? GB_store_unreachable : GB_store_failed, "%s: %s", name, said);
}

static bool perform_once(struct s3_client *c, struct attempt *a, const char *url,
                         struct bucket_answer *answer, struct gb_error *error)
{
    const struct bucket_request *q = a->request;
    char name[BUCKET_KEY_MAX + 400], message[MESSAGE_MAX] = "", encrypted[32];
    snprintf(name, sizeof name, "%s s3://%s%s%s at %s", q->method, c->options.bucket,
             q->key ? "/" : "", q->key ? q->key : "", c->where);
    struct http_request request = {.method = q->method,
                                   .url = url,
                                   .name = name,
                                   .body = q->body,
                                   .body_size = q->body_size,
                                   .into = q->into,
                                   .into_size = q->into_size,
                                   .attempts = q->attempts ? q->attempts : c->attempts,
                                   .sign = sign,
                                   .judge = judge,
                                   .context = a};
    if (!http_perform(c->http, &request, &answer->http, error))
        return false;
    read_code(&answer->http, answer->code, sizeof answer->code, message, sizeof message);
    snprintf(answer->md5, sizeof answer->md5, "%s", a->md5);
    http_header(&answer->http, "x-amz-server-side-encryption", encrypted, sizeof encrypted);
    answer->unchecked_etag = !strncmp(encrypted, "aws:kms", 7) || c->policy.customer_key[0];
    /* A multipart upload may be completed with 200 and an error behind it. */
    return (answer->http.status >= 200 && answer->http.status < 300 && !answer->code[0]) ||
           refused(c, q, answer, name, message, error);
}

static bool get_credentials(struct s3_client *c, struct attempt *a, struct gb_error *error)
{
    if (c->temporary)
        return s3_role_credentials(&c->role, a->generation, &a->credentials, &a->generation, error);
    a->credentials = c->credentials;
    return true;
}

/* A HEAD is refused without a word. */
static bool keys_are_stale(const struct s3_client *c, const struct bucket_request *q,
                           const struct bucket_answer *a)
{
    static const char *const codes[] = {"ExpiredToken", "InvalidToken", "TokenRefreshRequired",
                                        "InvalidAccessKeyId", NULL};
    return c->temporary &&
           (is_code(a->code, codes) ||
            (!strcmp(q->method, "HEAD") && (a->http.status == 400 || a->http.status == 403)));
}

bool s3_perform(struct s3_client *c, const struct bucket_request *q, struct bucket_answer *answer,
                struct gb_error *error)
{
    struct attempt *a = calloc(1, sizeof *a);
    size_t url_size = sizeof a->path + QUERY_MAX + sizeof c->host + 16;
    char *url = malloc(url_size);
    struct gb_error problem = {0};
    bool ok = a && url;
    if (ok) {
        a->client = c;
        a->request = q;
        ok = make_path(a) && make_query(a) && make_digests(a);
    }
    if (!ok) {
        free(a);
        free(url);
        return error_set(error, GB_internal, "%s s3://%s/%s: the name is too long, or no memory",
                         q->method, c->options.bucket, q->key ? q->key : "");
    }
    snprintf(url, url_size, "%s://%s%s%s%s", c->tls ? "https" : "http", c->host, a->path,
             a->query[0] ? "?" : "", a->query);
    ok = get_credentials(c, a, &problem) && perform_once(c, a, url, answer, &problem);
    if (!ok && keys_are_stale(c, q, answer)) {
        http_response_free(&answer->http);
        answer->code[0] = '\0';
        error_clear(&problem);
        ok = get_credentials(c, a, &problem) && perform_once(c, a, url, answer, &problem);
    }
    error_copy(error, &problem);
    OPENSSL_cleanse(&a->credentials, sizeof a->credentials);
    free(a);
    free(url);
    return ok;
}
