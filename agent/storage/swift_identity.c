/* Who asks Swift; see swift_identity.h. */
#include "agent/storage/swift_identity.h"
#include "agent/storage/secret_file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The first of them that says something, "" if none does. */
static bool choose(char *out, size_t size, const char *configured, const char *variable,
                   const char *other, const char *otherwise, struct gb_error *error)
{
    const char *value = configured, *name = "the value of the configuration";
    if (!*value && variable && getenv(variable))
        value = getenv(name = variable);
    if (!*value && other && getenv(other))
        value = getenv(name = other);
    if (!*value)
        value = otherwise;
    return (size_t)snprintf(out, size, "%s", value) < size ||
           error_set(error, GB_bad_config, "%s is too long", name);
}

static bool missing(const struct swift_options *o, const char *what, const char *key,
                    const char *variable, struct gb_error *error)
{
    error_set(error, GB_store_denied, "there is no %s for swift://%s", what, o->container);
    error_hint(error, "set %s in the repository's section, or %s in the environment", key,
               variable);
    return false;
}

static bool read_secret(const struct swift_options *o, struct swift_identity *i,
                        struct gb_error *error)
{
    if (o->key_file[0])
        return secret_file_line("key-file", o->key_file, i->secret, sizeof i->secret, error);
    bool credential = i->application_credential[0] != '\0';
    const char *variable = credential ? "OS_APPLICATION_CREDENTIAL_SECRET" : "OS_PASSWORD";
    return choose(i->secret, sizeof i->secret, "", variable, i->v3 ? NULL : "ST_KEY", "", error) &&
           (i->secret[0] ||
            missing(o, credential ? "secret of the application credential" : "password", "key-file",
                    i->v3 ? variable : "OS_PASSWORD or ST_KEY", error));
}

bool swift_identity(const struct swift_options *o, const struct bucket_options *common,
                    struct swift_identity *i, struct gb_error *error)
{
    memset(i, 0, sizeof *i);
    if (!choose(i->auth_url, sizeof i->auth_url - 3, o->auth_url, "OS_AUTH_URL", "ST_AUTH", "",
                error))
        return false;
    size_t n = strlen(i->auth_url);
    while (n && i->auth_url[n - 1] == '/')
        i->auth_url[--n] = '\0';
    if (!n)
        return missing(o, "auth-url", "auth-url", "OS_AUTH_URL", error);
    i->v3 = !strstr(i->auth_url, "/v1");
    if (i->v3 && (n < 3 || strcmp(i->auth_url + n - 3, "/v3")))
        memcpy(i->auth_url + n, "/v3", 4);
    if (!choose(i->region, sizeof i->region, common->region, "OS_REGION_NAME", NULL, "", error) ||
        !choose(i->interface, sizeof i->interface, o->interface, "OS_INTERFACE", NULL, "public",
                error) ||
        !choose(i->application_credential, sizeof i->application_credential,
                o->application_credential, o->user[0] ? NULL : "OS_APPLICATION_CREDENTIAL_ID", NULL,
                "", error) ||
        !choose(i->user, sizeof i->user, o->user, "OS_USERNAME", i->v3 ? NULL : "ST_USER", "",
                error) ||
        !choose(i->project, sizeof i->project, o->project, "OS_PROJECT_NAME", NULL, "", error) ||
        !choose(i->user_domain, sizeof i->user_domain, o->domain, "OS_USER_DOMAIN_NAME", NULL,
                "Default", error) ||
        !choose(i->project_domain, sizeof i->project_domain, o->project_domain,
                "OS_PROJECT_DOMAIN_NAME", NULL, i->user_domain, error))
        return false;
    if (!i->v3)
        i->application_credential[0] = '\0';
    if (!i->user[0] && !i->application_credential[0])
        return missing(o, "user", "user", i->v3 ? "OS_USERNAME" : "OS_USERNAME or ST_USER", error);
    if (i->v3 && !i->application_credential[0] && !i->project[0])
        return missing(o, "project", "project", "OS_PROJECT_NAME", error);
    return read_secret(o, i, error);
}
