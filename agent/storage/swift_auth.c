/* A token for Swift, and where its account is; see swift_auth.h. */
#include "agent/storage/swift_auth.h"

#include <jansson.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void swift_auth_open(struct swift_auth *a, struct http *http, unsigned attempts)
{
    a->http = http;
    a->attempts = attempts;
    renewal_open(&a->renewal);
}

void swift_auth_close(struct swift_auth *a)
{
    renewal_close(&a->renewal);
    OPENSSL_cleanse(a->identity.secret, sizeof a->identity.secret);
    OPENSSL_cleanse(a->token, sizeof a->token);
}

/* ---- the request ---- */

char *swift_auth_request(const struct swift_identity *i)
{
    json_t *root;
    if (i->application_credential[0])
        root = json_pack("{s:{s:{s:[s],s:{s:s,s:s}}}}", "auth", "identity", "methods",
                         "application_credential", "application_credential", "id",
                         i->application_credential, "secret", i->secret);
    else
        root = json_pack("{s:{s:{s:[s],s:{s:{s:s,s:s,s:{s:s}}}},s:{s:{s:s,s:{s:s}}}}}", "auth",
                         "identity", "methods", "password", "password", "user", "name", i->user,
                         "password", i->secret, "domain", "name", i->user_domain, "scope",
                         "project", "name", i->project, "domain", "name", i->project_domain);
    char *text = root ? json_dumps(root, JSON_COMPACT) : NULL;
    json_decref(root);
    return text;
}

static bool sign_v1(void *context, struct http_headers *headers)
{
    const struct swift_auth *a = context;
    http_add_header(headers, "X-Auth-User", a->identity.user);
    http_add_header(headers, "X-Auth-Key", a->identity.secret);
    return true;
}

static bool sign_v3(void *context, struct http_headers *headers)
{
    (void)context;
    http_add_header(headers, "Content-Type", "application/json");
    http_add_header(headers, "Accept", "application/json");
    return true;
}

static enum http_verdict judge(void *context, const struct http_response *response)
{
    (void)context;
    return http_judge_status(response);
}

/* ---- the answer ---- */

static bool text_is(const json_t *value, const char *text)
{
    const char *is = json_string_value(value);
    return is && !strcmp(is, text);
}

static bool fits(const json_t *endpoint, const struct swift_identity *i)
{
    return text_is(json_object_get(endpoint, "interface"), i->interface) &&
           (!i->region[0] || text_is(json_object_get(endpoint, "region_id"), i->region) ||
            text_is(json_object_get(endpoint, "region"), i->region));
}

/* "public of RegionOne", added to a list of them. */
static void note(char *list, size_t size, const json_t *endpoint)
{
    const char *interface = json_string_value(json_object_get(endpoint, "interface")),
               *region = json_string_value(json_object_get(endpoint, "region_id"));
    size_t n = strlen(list);
    if (interface)
        snprintf(list + n, size - n, "%s%s of %s", n ? ", " : "", interface,
                 region ? region : "no region");
}

bool swift_auth_endpoint(const char *body, size_t size, const struct swift_identity *i,
                         char out[SWIFT_URL_MAX], struct gb_error *error)
{
    json_t *root = json_loadb(body ? body : "", size, 0, NULL), *service, *endpoint;
    const json_t *catalog = json_object_get(json_object_get(root, "token"), "catalog");
    const char *url = NULL;
    char there[300] = "";
    size_t n, m;
    bool ok = json_is_array(catalog) ||
              error_set(error, GB_store_failed, "%s answered no catalog", i->auth_url);
    json_array_foreach(catalog, n, service)
    {
        if (!text_is(json_object_get(service, "type"), "object-store"))
            continue;
        json_array_foreach(json_object_get(service, "endpoints"), m, endpoint)
        {
            if (!url && fits(endpoint, i))
                url = json_string_value(json_object_get(endpoint, "url"));
            note(there, sizeof there, endpoint);
        }
    }
    if (ok && !url) {
        ok = error_set(error, GB_bad_config,
                       "the catalog of %s has no object-store of interface %s%s%s", i->auth_url,
                       i->interface, i->region[0] ? " in region " : "", i->region);
        if (there[0])
            error_hint(error, "set interface and region to one that it has: %s", there);
        else
            error_hint(error,
                       "let the project use an object store, or correct project and auth-url");
    } else if (ok && strlen(url) >= SWIFT_URL_MAX) {
        ok = error_set(error, GB_store_failed, "%s answered an endpoint that is too long",
                       i->auth_url);
    } else if (ok) {
        snprintf(out, SWIFT_URL_MAX, "%s", url);
    }
    json_decref(root);
    return ok;
}

static bool denied(const struct swift_auth *a, const struct http_response *r, const char *name,
                   struct gb_error *error)
{
    const struct swift_identity *i = &a->identity;
    const int status = r->status;
    /* Keystone knows no such application credential, or not any more: 404, with an error of its own
     * in the body */
    const bool withdrawn =
        status == 404 && i->application_credential[0] && r->text && strstr(r->text, "\"error\"");
    if (status == 401 || status == 403 || withdrawn) {
        error_set(error, GB_store_denied, "%s: HTTP %d for %s %s", name, status,
                  i->application_credential[0] ? "application credential" : "user",
                  i->application_credential[0] ? i->application_credential : i->user);
        error_hint(error, "correct %s",
                   !i->v3                         ? "user and key-file"
                   : i->application_credential[0] ? "application-credential and key-file"
                                                  : "user, key-file, project and domain");
        return false;
    }
    if (status >= 500 || status == 429 || status == 408)
        return error_set(error, GB_store_unreachable, "%s: HTTP %d", name, status);
    error_set(error, GB_bad_config, "%s: HTTP %d", name, status);
    error_hint(error, "correct auth-url: https://HOST:5000/v3 of Keystone, https://HOST/auth/v1.0 "
                      "of Swift's own");
    return false;
}

static bool take(struct swift_auth *a, const struct http_response *r, const char *name,
                 struct gb_error *error)
{
    char token[SWIFT_TOKEN_MAX], url[SWIFT_URL_MAX] = "";
    http_header(r, a->identity.v3 ? "X-Subject-Token" : "X-Auth-Token", token, sizeof token);
    if (a->identity.v3) {
        if (!swift_auth_endpoint(r->text, r->size, &a->identity, url, error))
            return false;
    } else {
        http_header(r, "X-Storage-Url", url, sizeof url);
    }
    size_t n = strlen(url);
    while (n && url[n - 1] == '/')
        url[--n] = '\0';
    if (!token[0] || strlen(token) == sizeof token - 1 ||
        (strncmp(url, "http://", 7) && strncmp(url, "https://", 8)))
        return error_set(error, GB_store_failed,
                         "%s: the answer has no token, or no address of an account", name);
    pthread_mutex_lock(&a->renewal.mutex);
    snprintf(a->token, sizeof a->token, "%s", token);
    snprintf(a->url, sizeof a->url, "%s", url);
    a->renewal.renew_at_us = UINT64_MAX; /* the store says when it takes the token no more */
    pthread_mutex_unlock(&a->renewal.mutex);
    OPENSSL_cleanse(token, sizeof token);
    return true;
}

static bool fetch(void *context, struct gb_error *error)
{
    struct swift_auth *a = context;
    const bool v3 = a->identity.v3;
    char url[300], name[320];
    char *body = v3 ? swift_auth_request(&a->identity) : NULL;
    snprintf(url, sizeof url, "%s%s", a->identity.auth_url, v3 ? "/auth/tokens" : "");
    snprintf(name, sizeof name, "%s %s", v3 ? "POST" : "GET", url);
    struct http_request q = {.method = v3 ? "POST" : "GET",
                             .url = url,
                             .name = name,
                             .body = body,
                             .body_size = body ? strlen(body) : 0,
                             .attempts = a->attempts,
                             .sign = v3 ? sign_v3 : sign_v1,
                             .judge = judge,
                             .context = a};
    struct http_response r = {0};
    bool ok = (!v3 || body) ? http_perform(a->http, &q, &r, error)
                            : error_set(error, GB_internal, "no memory");
    if (ok)
        ok = r.status >= 200 && r.status < 300 ? take(a, &r, name, error)
                                               : denied(a, &r, name, error);
    http_response_free(&r);
    if (body)
        OPENSSL_cleanse(body, strlen(body));
    free(body);
    return ok;
}

bool swift_auth_token(struct swift_auth *a, unsigned stale, struct swift_token *token,
                      struct gb_error *error)
{
    if (!renewal_enter(&a->renewal, stale, fetch, a, error))
        return false;
    token->generation = a->renewal.generation;
    snprintf(token->token, sizeof token->token, "%s", a->token);
    snprintf(token->url, sizeof token->url, "%s", a->url);
    renewal_leave(&a->renewal);
    return true;
}
