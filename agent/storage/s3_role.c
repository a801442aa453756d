/* Temporary keys of a role; see s3_role.h. */
#include "agent/storage/s3_role.h"
#include "agent/storage/s3_xml.h"
#include "common/clock.h"

#include <errno.h>
#include <jansson.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define METADATA         "http://169.254.169.254"
#define METADATA_LIMIT_S 5u
#define METADATA_TRIES   3u
#define ROLES            "/latest/meta-data/iam/security-credentials/"
#define SESSION_NAME     "galera-backup"
#define TOKEN_MAX        20001u /* of a web identity, which STS takes up to 20,000 of */
#define MARGIN_S         300    /* before they expire, or a quarter of their time if that is less */

bool s3_role_wanted(const struct s3_options *o)
{
    const char *file = getenv("AWS_WEB_IDENTITY_TOKEN_FILE"), *id = getenv("AWS_ACCESS_KEY_ID");
    if (o->credentials[0])
        return true;
    return !o->credentials_file[0] && !o->access_key_id[0] && (!id || !*id) && file && *file;
}

static const char *choose(const char *configured, const char *variable, const char *otherwise)
{
    const char *value = getenv(variable);
    return *configured ? configured : value && *value ? value : otherwise;
}

static bool open_web_identity(struct s3_role *r, const struct s3_options *o, const char *region,
                              struct gb_error *error)
{
    char regional[128];
    snprintf(regional, sizeof regional, "https://sts.%s.amazonaws.com", region);
    snprintf(r->endpoint, sizeof r->endpoint, "%s",
             choose(o->sts_endpoint, "AWS_ENDPOINT_URL_STS", regional));
    snprintf(r->role_arn, sizeof r->role_arn, "%s", choose(o->role_arn, "AWS_ROLE_ARN", ""));
    snprintf(r->token_file, sizeof r->token_file, "%s",
             choose(o->web_identity_token_file, "AWS_WEB_IDENTITY_TOKEN_FILE", ""));
    if (r->role_arn[0] && r->token_file[0])
        return true;
    error_set(error, GB_store_denied, "there is no %s for s3://%s",
              r->role_arn[0] ? "file with the token of the web identity" : "role", o->bucket);
    error_hint(error, "set role-arn and web-identity-token-file, or AWS_ROLE_ARN and "
                      "AWS_WEB_IDENTITY_TOKEN_FILE in the "
                      "environment, as Kubernetes does for a service account with a role");
    return false;
}

bool s3_role_open(struct s3_role *r, const struct s3_options *o,
                  const struct bucket_options *common, const char *region, uint64_t *moved,
                  struct gb_error *error)
{
    struct http_options http = bucket_http_options(common);
    memset(r, 0, sizeof *r);
    r->web_identity = strcmp(o->credentials, "instance") != 0;
    r->attempts = common->attempts;
    if (r->web_identity) {
        if (!open_web_identity(r, o, region, error))
            return false;
    } else {
        http = (struct http_options){.limit_s = METADATA_LIMIT_S};
        r->attempts = METADATA_TRIES;
        snprintf(r->endpoint, sizeof r->endpoint, "%s",
                 choose("", "AWS_EC2_METADATA_SERVICE_ENDPOINT", METADATA));
    }
    size_t n = strlen(r->endpoint);
    if (n && r->endpoint[n - 1] == '/')
        r->endpoint[n - 1] = '\0';
    if (!(r->http = http_open(&http, moved, error)))
        return false;
    renewal_open(&r->renewal);
    return true;
}

void s3_role_close(struct s3_role *r)
{
    if (!r->http)
        return;
    renewal_close(&r->renewal);
    http_close(r->http);
    OPENSSL_cleanse(&r->credentials, sizeof r->credentials);
}

time_t s3_role_time(const char *text)
{
    struct tm tm = {0};
    int end = 0;
    if (sscanf(text, "%4d-%2d-%2dT%2d:%2d:%2d%n", &tm.tm_year, &tm.tm_mon, &tm.tm_mday, &tm.tm_hour,
               &tm.tm_min, &tm.tm_sec, &end) != 6 ||
        end != 19)
        return 0;
    tm.tm_year -= 1900;
    tm.tm_mon--;
    time_t t = timegm(&tm);
    return t > 0 ? t : 0;
}

/* ---- what comes back, of either ---- */

struct keys {
    struct sigv4_credentials credentials;
    time_t expires;
    bool too_long;
    char code[64], message[200];
};

static void keep(char *out, size_t size, const char *text, bool *too_long)
{
    *too_long = *too_long || (size_t)snprintf(out, size, "%s", text ? text : "") >= size;
}

static bool take(struct s3_role *r, struct keys *k, struct gb_error *error)
{
    time_t now = time(NULL);
    if (k->too_long || !k->credentials.access_key_id[0] || !k->credentials.secret_access_key[0] ||
        k->expires <= now)
        return error_set(error, GB_store_denied, "%s answered no keys that are good now",
                         r->endpoint);
    uint64_t good_s = (uint64_t)(k->expires - now),
             margin_s = good_s / 4 < MARGIN_S ? good_s / 4 : MARGIN_S;
    pthread_mutex_lock(&r->renewal.mutex);
    r->credentials = k->credentials;
    r->renewal.renew_at_us = now_us() + (good_s - margin_s) * 1000000;
    pthread_mutex_unlock(&r->renewal.mutex);
    return true;
}

static enum http_verdict judge(void *context, const struct http_response *response)
{
    (void)context;
    return http_judge_status(response);
}

/* ---- the metadata service ---- */

struct metadata_request {
    const char *token; /* NULL: it is asked for */
};

static bool sign_metadata(void *context, struct http_headers *headers)
{
    const struct metadata_request *m = context;
    if (m->token)
        http_add_header(headers, "X-aws-ec2-metadata-token", m->token);
    else
        http_add_header(headers, "X-aws-ec2-metadata-token-ttl-seconds", "300");
    return true;
}

/* The body of what stands there; malloc'ed, to be wiped. */
static char *metadata(struct s3_role *r, const char *method, const char *path, const char *token,
                      struct gb_error *error)
{
    struct metadata_request m = {token};
    char url[600], name[640];
    snprintf(url, sizeof url, "%s%s", r->endpoint, path);
    snprintf(name, sizeof name, "%s %s", method, url);
    struct http_request q = {.method = method,
                             .url = url,
                             .name = name,
                             .attempts = r->attempts,
                             .sign = sign_metadata,
                             .judge = judge,
                             .context = &m};
    struct http_response a = {0};
    char *text = NULL;
    if (http_perform(r->http, &q, &a, error)) {
        if (a.status == 200 && a.text) {
            text = a.text;
            a.text = NULL;
        } else {
            error_set(error, a.status >= 500 ? GB_store_unreachable : GB_store_denied,
                      "%s: HTTP %d", name, a.status);
            error_hint(error, "give the instance a role that may use the bucket, and let IMDSv2 be "
                              "used by it (hop limit 2 "
                              "from a container)");
        }
    }
    http_response_free(&a);
    return text;
}

static void wipe(char *text)
{
    if (text)
        OPENSSL_cleanse(text, strlen(text));
    free(text);
}

static bool fetch_instance(struct s3_role *r, struct keys *k, struct gb_error *error)
{
    char path[400];
    char *token = metadata(r, "PUT", "/latest/api/token", NULL, error);
    char *roles = token ? metadata(r, "GET", ROLES, token, error) : NULL;
    if (roles)
        roles[strcspn(roles, "\r\n")] = '\0';
    snprintf(path, sizeof path, ROLES "%s", roles ? roles : "");
    char *text = roles ? metadata(r, "GET", path, token, error) : NULL;
    json_t *root = text ? json_loads(text, 0, NULL) : NULL;
    if (root) {
        struct sigv4_credentials *c = &k->credentials;
        const char *expires = json_string_value(json_object_get(root, "Expiration"));
        keep(c->access_key_id, sizeof c->access_key_id,
             json_string_value(json_object_get(root, "AccessKeyId")), &k->too_long);
        keep(c->secret_access_key, sizeof c->secret_access_key,
             json_string_value(json_object_get(root, "SecretAccessKey")), &k->too_long);
        keep(c->session_token, sizeof c->session_token,
             json_string_value(json_object_get(root, "Token")), &k->too_long);
        k->expires = s3_role_time(expires ? expires : "");
    }
    json_decref(root);
    bool ok = text != NULL;
    wipe(token);
    wipe(roles);
    wipe(text);
    return ok;
}

/* ---- STS ---- */

static bool take_element(void *context, const char *path, const char *text)
{
    struct keys *k = context;
    static const char credentials[] =
        "AssumeRoleWithWebIdentityResponse/AssumeRoleWithWebIdentityResult/Credentials/";
    bool ignored = false;
    if (!strcmp(path, "ErrorResponse/Error/Code"))
        keep(k->code, sizeof k->code, text, &ignored);
    else if (!strcmp(path, "ErrorResponse/Error/Message"))
        keep(k->message, sizeof k->message, text, &ignored);
    if (strncmp(path, credentials, strlen(credentials)) != 0)
        return true;
    path += strlen(credentials);
    struct sigv4_credentials *c = &k->credentials;
    if (!strcmp(path, "AccessKeyId"))
        keep(c->access_key_id, sizeof c->access_key_id, text, &k->too_long);
    else if (!strcmp(path, "SecretAccessKey"))
        keep(c->secret_access_key, sizeof c->secret_access_key, text, &k->too_long);
    else if (!strcmp(path, "SessionToken"))
        keep(c->session_token, sizeof c->session_token, text, &k->too_long);
    else if (!strcmp(path, "Expiration"))
        k->expires = s3_role_time(text);
    return true;
}

static bool sign_form(void *context, struct http_headers *headers)
{
    (void)context;
    http_add_header(headers, "Content-Type", "application/x-www-form-urlencoded");
    return true;
}

/* Its content; kubelet writes it anew before it expires. */
static bool read_token(const char *path, char *out, size_t size, struct gb_error *error)
{
    FILE *in = fopen(path, "re");
    if (!in)
        return error_set_errno(error, GB_bad_config, errno,
                               "web-identity-token-file = %s can't be read", path);
    size_t n = fread(out, 1, size - 1, in);
    bool whole = feof(in) != 0;
    fclose(in);
    while (n && strchr(" \r\n", out[n - 1]))
        n--;
    out[n] = '\0';
    return (n && whole) || error_set(error, GB_bad_config, "web-identity-token-file = %s is %s",
                                     path, n ? "too long" : "empty");
}

/* The form; malloc'ed, to be wiped. */
static char *make_form(struct s3_role *r, struct gb_error *error)
{
    const size_t size = 3 * (TOKEN_MAX + sizeof r->role_arn) + 256;
    char *token = malloc(TOKEN_MAX), *form = malloc(size);
    bool ok = token && form ? read_token(r->token_file, token, TOKEN_MAX, error)
                            : error_set(error, GB_internal, "no memory");
    if (ok) {
        size_t used = (size_t)snprintf(form, size,
                                       "Action=AssumeRoleWithWebIdentity&Version=2011-06-15"
                                       "&RoleSessionName=" SESSION_NAME "&RoleArn=");
        ok = sigv4_encode(r->role_arn, false, form, size, &used);
        used += (size_t)snprintf(form + used, size - used, "&WebIdentityToken=");
        ok = ok && sigv4_encode(token, false, form, size, &used);
    }
    wipe(token);
    if (ok)
        return form;
    free(form);
    return NULL;
}

static bool fetch_web_identity(struct s3_role *r, struct keys *k, struct gb_error *error)
{
    char url[310], name[330];
    char *form = make_form(r, error);
    if (!form)
        return false;
    snprintf(url, sizeof url, "%s/", r->endpoint);
    snprintf(name, sizeof name, "POST %s", url);
    struct http_request q = {.method = "POST",
                             .url = url,
                             .name = name,
                             .body = form,
                             .body_size = strlen(form),
                             .attempts = r->attempts,
                             .sign = sign_form,
                             .judge = judge};
    struct http_response a = {0};
    bool ok = http_perform(r->http, &q, &a, error);
    if (ok) {
        s3_xml_read(a.text ? a.text : "", a.size, take_element, k);
        ok = a.status == 200;
        if (!ok) {
            error_set(error, a.status >= 500 ? GB_store_unreachable : GB_store_denied,
                      "%s: %s%sHTTP %d%s%s", name, k->code, k->code[0] ? ", " : "", a.status,
                      k->message[0] ? ": " : "", k->message);
            error_hint(error, "let the role %s be assumed by whom the token in %s names",
                       r->role_arn, r->token_file);
        }
    }
    if (a.text)
        OPENSSL_cleanse(a.text, a.size);
    http_response_free(&a);
    wipe(form);
    return ok;
}

/* ---- either ---- */

static bool fetch(void *context, struct gb_error *error)
{
    struct s3_role *r = context;
    struct keys *k = calloc(1, sizeof *k);
    if (!k)
        return error_set(error, GB_internal, "no memory");
    bool ok = (r->web_identity ? fetch_web_identity(r, k, error) : fetch_instance(r, k, error)) &&
              take(r, k, error);
    OPENSSL_cleanse(k, sizeof *k);
    free(k);
    return ok;
}

bool s3_role_credentials(struct s3_role *r, unsigned stale, struct sigv4_credentials *credentials,
                         unsigned *generation, struct gb_error *error)
{
    if (!renewal_enter(&r->renewal, stale, fetch, r, error))
        return false;
    *credentials = r->credentials;
    *generation = r->renewal.generation;
    renewal_leave(&r->renewal);
    return true;
}
