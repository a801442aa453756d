/* One request to a container of Swift; see swift_client.h. */
#include "agent/storage/swift_client.h"
#include "agent/storage/sigv4.h"

#include <inttypes.h>
#include <jansson.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define URL_MAX              (SWIFT_URL_MAX + 3 * (BUCKET_KEY_MAX + 260u) + 4096u)
#define COMMIT_NAME          "backup.json"
#define USUAL_SEGMENTS       1000u
#define USUAL_FILE_SIZE      5368709122ull
#define STATUS_RATE_LIMITED  498 /* Swift's own */
#define STATUS_UNPROCESSABLE 422 /* the ETag of the request is not that of what arrived */

bool swift_client_open(struct swift_client *c, const struct swift_options *o,
                       const struct bucket_options *common, uint64_t *moved, struct gb_error *error)
{
    const struct http_options http = bucket_http_options(common);
    memset(c, 0, sizeof *c);
    snprintf(c->container, sizeof c->container, "%s", o->container);
    c->attempts = common->attempts;
    c->delete_after_s = o->delete_after_s;
    if (!swift_identity(o, common, &c->auth.identity, error))
        return false;
    if (!(c->http = http_open(&http, moved, error))) {
        OPENSSL_cleanse(&c->auth.identity, sizeof c->auth.identity);
        return false;
    }
    swift_auth_open(&c->auth, c->http, common->attempts);
    pthread_mutex_init(&c->mutex, NULL);
    return true;
}

void swift_client_close(struct swift_client *c)
{
    swift_auth_close(&c->auth);
    http_close(c->http);
    pthread_mutex_destroy(&c->mutex);
}

/* ---- the request ---- */

struct attempt {
    const struct swift_client *client;
    const struct bucket_request *request;
    struct swift_token token;
    char md5[BUCKET_MD5_MAX];
    char url[URL_MAX];
};

static bool put_plain(struct attempt *a, size_t *used, const char *text)
{
    *used += (size_t)snprintf(a->url + *used, sizeof a->url - *used, "%s", text);
    return *used < sizeof a->url;
}

static bool make_url(struct attempt *a)
{
    const struct bucket_request *q = a->request;
    const size_t size = sizeof a->url;
    size_t used = 0;
    bool ok = put_plain(a, &used, a->token.url) && put_plain(a, &used, "/") &&
              sigv4_encode(a->client->container, false, a->url, size, &used);
    if (q->key)
        ok = ok && put_plain(a, &used, "/") && sigv4_encode(q->key, true, a->url, size, &used);
    for (unsigned i = 0, n = 0; i < BUCKET_QUERY_MAX && ok; i++)
        if (q->query[i].name)
            ok = put_plain(a, &used, n++ ? "&" : "?") &&
                 sigv4_encode(q->query[i].name, false, a->url, size, &used) &&
                 put_plain(a, &used, "=") &&
                 sigv4_encode(q->query[i].value, false, a->url, size, &used);
    return ok;
}

static bool is_manifest(const struct bucket_request *q)
{
    for (unsigned i = 0; i < BUCKET_QUERY_MAX; i++)
        if (q->query[i].name && !strcmp(q->query[i].name, "multipart-manifest"))
            return true;
    return false;
}

/* What makes the backup exist goes first: what is left of it then is collected. */
static unsigned lifetime_s(const struct attempt *a)
{
    const char *slash = strrchr(a->request->key, '/');
    bool commits = !strcmp(slash ? slash + 1 : a->request->key, COMMIT_NAME);
    return a->client->delete_after_s + (commits ? 0 : SWIFT_DELETE_MARGIN_S);
}

static bool sign(void *context, struct http_headers *headers)
{
    struct attempt *a = context;
    const struct bucket_request *q = a->request;
    char text[64];
    http_add_header(headers, "X-Auth-Token", a->token.token);
    if (a->md5[0])
        http_add_header(headers, "ETag", a->md5);
    if (q->if_none)
        http_add_header(headers, "If-None-Match", "*");
    if (q->kept && a->client->delete_after_s) {
        snprintf(text, sizeof text, "%u", lifetime_s(a));
        http_add_header(headers, "X-Delete-After", text);
    }
    if (q->into) {
        snprintf(text, sizeof text, "bytes=%" PRIu64 "-%" PRIu64, q->offset,
                 q->offset + q->into_size - 1);
        http_add_header(headers, "Range", text);
    }
    return true;
}

/* A manifest is refused (400) when a part is not there: it may not be seen yet where it is looked
 * for. */
static enum http_verdict judge(void *context, const struct http_response *r)
{
    const struct attempt *a = context;
    if (r->status == STATUS_RATE_LIMITED || r->status == STATUS_UNPROCESSABLE ||
        (r->status == 400 && is_manifest(a->request)))
        return HTTP_AGAIN;
    return http_judge_status(r);
}

/* ---- the answer ---- */

/* SCHEME://HOST of the account, for messages. */
static void where(const char *url, char *out, size_t size)
{
    const char *host = strstr(url, "://");
    size_t n = host ? (size_t)(host + 3 - url) + strcspn(host + 3, "/") : strlen(url);
    snprintf(out, size, "%.*s", (int)n, url);
}

static bool refused(const struct attempt *a, const struct http_response *r, const char *name,
                    struct gb_error *error)
{
    const struct bucket_request *q = a->request;
    const bool reads = !strcmp(q->method, "GET") || !strcmp(q->method, "HEAD");
    const int status = r->status;
    char tries[32] = "", place[300];
    if (r->attempts > 1)
        snprintf(tries, sizeof tries, ", %u times", r->attempts);
    if (status == 404 && (!q->key || !strcmp(q->method, "PUT"))) {
        where(a->token.url, place, sizeof place);
        error_set(error, GB_bucket_missing, "there is no container %s at %s", a->client->container,
                  place);
        error_hint(error,
                   "create the container, or correct container, auth-url, project and region");
        return false;
    }
    if (status == 413 || status == 507)
        return error_set(error, GB_no_space, "%s: HTTP %d%s: a quota, or the store is full", name,
                         status, tries);
    if (status == 401 || status == 403) {
        error_set(error, GB_store_denied, "%s: HTTP %d", name, status);
        error_hint(
            error,
            "let the user read and write the container %s, or correct user, project and key-file",
            a->client->container);
        return false;
    }
    if (status == 404)
        return error_set(error, GB_not_found, "%s: HTTP %d", name, status);
    if (status >= 500 || status == 429 || status == 408 || status == STATUS_RATE_LIMITED)
        return error_set(error, GB_store_unreachable, "%s: HTTP %d%s", name, status, tries);
    return error_set(error, reads ? GB_store_unreachable : GB_store_failed, "%s: HTTP %d%s%s%.150s",
                     name, status, tries, r->text && *r->text ? ": " : "", r->text ? r->text : "");
}

static bool perform_once(struct swift_client *c, struct attempt *a, struct bucket_answer *answer,
                         struct gb_error *error)
{
    const struct bucket_request *q = a->request;
    char name[BUCKET_KEY_MAX + 600], place[300];
    if (!make_url(a))
        return error_set(error, GB_internal, "%s swift://%s/%s: the name is too long", q->method,
                         c->container, q->key ? q->key : "");
    where(a->token.url, place, sizeof place);
    snprintf(name, sizeof name, "%s swift://%s%s%s at %s", q->method, c->container,
             q->key ? "/" : "", q->key ? q->key : "", place);
    struct http_request request = {.method = q->method,
                                   .url = a->url,
                                   .name = name,
                                   .body = q->body,
                                   .body_size = q->body_size,
                                   .into = q->into,
                                   .into_size = q->into_size,
                                   .attempts = q->attempts ? q->attempts : c->attempts,
                                   .sign = sign,
                                   .judge = judge,
                                   .context = a};
    bool ok = http_perform(c->http, &request, &answer->http, error);
    if (!ok || (answer->http.status >= 200 && answer->http.status < 300))
        return ok;
    return refused(a, &answer->http, name, error);
}

bool swift_perform(struct swift_client *c, const struct bucket_request *q,
                   struct bucket_answer *answer, struct gb_error *error)
{
    struct attempt *a = calloc(1, sizeof *a);
    if (!a)
        return error_set(error, GB_internal, "no memory");
    a->client = c;
    a->request = q;
    if (!strcmp(q->method, "PUT") && !is_manifest(q))
        bucket_md5(q->body ? q->body : "", q->body_size, a->md5, NULL);
    snprintf(answer->md5, sizeof answer->md5, "%s", a->md5);
    bool ok = swift_auth_token(&c->auth, 0, &a->token, error);
    if (ok) {
        struct gb_error problem = {0};
        ok = perform_once(c, a, answer, &problem);
        if (!ok && answer->http.status == 401) {
            http_response_free(&answer->http);
            error_clear(&problem);
            ok = swift_auth_token(&c->auth, a->token.generation, &a->token, &problem) &&
                 perform_once(c, a, answer, &problem);
        }
        if (!ok)
            error_copy(error, &problem);
    }
    OPENSSL_cleanse(a->token.token, sizeof a->token.token);
    free(a);
    return ok;
}

/* ---- what the store allows ---- */

static bool sign_nothing(void *context, struct http_headers *headers)
{
    (void)context;
    (void)headers;
    return true;
}

static enum http_verdict judge_info(void *context, const struct http_response *r)
{
    (void)context;
    return http_judge_status(r);
}

static void read_limits(const struct http_response *r, struct swift_limits *limits)
{
    json_t *root = json_loadb(r->text ? r->text : "", r->size, 0, NULL);
    json_int_t segments = json_integer_value(
                   json_object_get(json_object_get(root, "slo"), "max_manifest_segments")),
               size = json_integer_value(
                   json_object_get(json_object_get(root, "swift"), "max_file_size"));
    if (segments > 1 && segments <= 100000)
        limits->manifest_segments = (unsigned)segments;
    if (size > 0)
        limits->file_size = (uint64_t)size;
    json_decref(root);
}

bool swift_limits(struct swift_client *c, struct swift_limits *limits, struct gb_error *error)
{
    struct swift_token *token;
    struct gb_error ignored = {0};
    char place[300], url[310];
    pthread_mutex_lock(&c->mutex);
    bool known = c->limits_known;
    *limits = c->limits;
    pthread_mutex_unlock(&c->mutex);
    if (known)
        return true;
    if (!(token = calloc(1, sizeof *token)))
        return error_set(error, GB_internal, "no memory");
    bool ok = swift_auth_token(&c->auth, 0, token, error);
    where(token->url, place, sizeof place);
    free(token);
    if (!ok)
        return false;
    snprintf(url, sizeof url, "%s/info", place);
    struct http_request q = {.method = "GET",
                             .url = url,
                             .name = url,
                             .attempts = 2,
                             .sign = sign_nothing,
                             .judge = judge_info};
    struct http_response r = {0};
    *limits =
        (struct swift_limits){.manifest_segments = USUAL_SEGMENTS, .file_size = USUAL_FILE_SIZE};
    if (http_perform(c->http, &q, &r, &ignored) && r.status == 200)
        read_limits(&r, limits);
    http_response_free(&r);
    pthread_mutex_lock(&c->mutex);
    c->limits = *limits;
    c->limits_known = true;
    pthread_mutex_unlock(&c->mutex);
    return true;
}
