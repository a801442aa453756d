/* Where the keys of an S3 store come from; see s3_credentials.h. */
#include "agent/storage/s3_credentials.h"
#include "agent/storage/secret_file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SECTION "default"

static char *trim(char *text)
{
    text += strspn(text, " \t\r\n");
    for (size_t n = strlen(text); n && strchr(" \t\r\n", text[n - 1]); n--)
        text[n - 1] = '\0';
    return text;
}

static void copy(char *out, size_t size, const char *value, bool *fits)
{
    *fits = *fits && (size_t)snprintf(out, size, "%s", value) < size;
}

/* "name = value" of one line, blanks around both taken off. False: it is none. */
static bool split(char *line, char **name, char **value)
{
    char *equals = strchr(line, '=');
    if (!equals)
        return false;
    *equals = '\0';
    *name = trim(line);
    *value = trim(equals + 1);
    return true;
}

/* Lines are of any length: a session token has a thousand characters. */
static bool read_lines(FILE *in, struct sigv4_credentials *c)
{
    char *line = NULL, *name, *value;
    size_t room = 0;
    bool ours = false, fits = true;
    while (getline(&line, &room, in) >= 0) {
        char *text = trim(line);
        if (text[0] == '[')
            ours = !strcmp(text, "[" SECTION "]");
        if (!ours || strchr("[#;", text[0]) || !split(text, &name, &value))
            continue;
        if (!strcmp(name, "aws_access_key_id"))
            copy(c->access_key_id, sizeof c->access_key_id, value, &fits);
        else if (!strcmp(name, "aws_secret_access_key"))
            copy(c->secret_access_key, sizeof c->secret_access_key, value, &fits);
        else if (!strcmp(name, "aws_session_token"))
            copy(c->session_token, sizeof c->session_token, value, &fits);
    }
    free(line);
    return fits;
}

static bool read_file(const char *path, struct sigv4_credentials *c, struct gb_error *error)
{
    FILE *in = secret_file_open("credentials-file", path, error);
    if (!in)
        return false;
    bool fits = read_lines(in, c);
    fclose(in);
    if (!fits)
        return error_set(error, GB_bad_config, "%s: a value in it is too long", path);
    if (!c->access_key_id[0] || !c->secret_access_key[0]) {
        error_set(error, GB_bad_config,
                  "%s has no aws_access_key_id and aws_secret_access_key in [" SECTION "]", path);
        error_hint(error, "write both into it, in a section [" SECTION "]");
        return false;
    }
    return true;
}

bool s3_credentials(const struct s3_options *o, struct sigv4_credentials *c, struct gb_error *error)
{
    bool fits = true;
    memset(c, 0, sizeof *c);
    if (o->credentials_file[0])
        return read_file(o->credentials_file, c, error);
    if (o->access_key_id[0]) {
        copy(c->access_key_id, sizeof c->access_key_id, o->access_key_id, &fits);
        copy(c->secret_access_key, sizeof c->secret_access_key, o->secret_access_key, &fits);
        return true;
    }
    const char *id = getenv("AWS_ACCESS_KEY_ID"), *secret = getenv("AWS_SECRET_ACCESS_KEY"),
               *token = getenv("AWS_SESSION_TOKEN");
    if (!id || !*id || !secret || !*secret) {
        error_set(error, GB_store_denied, "there are no credentials for s3://%s", o->bucket);
        error_hint(error, "set credentials-file in the repository's section, or AWS_ACCESS_KEY_ID "
                          "and AWS_SECRET_ACCESS_KEY "
                          "in the environment");
        return false;
    }
    copy(c->access_key_id, sizeof c->access_key_id, id, &fits);
    copy(c->secret_access_key, sizeof c->secret_access_key, secret, &fits);
    copy(c->session_token, sizeof c->session_token, token ? token : "", &fits);
    return fits ||
           error_set(error, GB_store_denied,
                     "AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY or AWS_SESSION_TOKEN is too long");
}
