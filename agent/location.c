/* A repository that is named by where it is; see location.h. */
#include "agent/location.h"

#include <stdio.h>
#include <string.h>

#define FILE_SCHEME  "file://"
#define S3_SCHEME    "s3://"
#define SWIFT_SCHEME "swift://"

bool location_is(const char *text)
{
    return text[0] == '/' || strstr(text, "://");
}

/* The part of text up to end, percent-encoding undone. */
static bool decode(const char *text, const char *at, const char *end, char *out, size_t size,
                   struct gb_error *error)
{
    size_t n = 0;
    for (; at < end; at++) {
        unsigned byte;
        int used = 0;
        if (*at == '%' &&
            (end - at < 3 || sscanf(at + 1, "%2x%n", &byte, &used) != 1 || used != 2 || !byte))
            return error_set(error, GB_bad_value,
                             "--repository %s: \"%.3s\" is not %% and two hexadecimal digits", text,
                             at);
        if (n + 1 >= size)
            return error_set(error, GB_bad_value, "--repository %s: a part of it is too long",
                             text);
        out[n++] = *at == '%' ? (char)byte : *at;
        at += used;
    }
    out[n] = '\0';
    return true;
}

static bool parse_file(const char *text, struct repository_spec *spec, struct gb_error *error)
{
    const char *at = text + strlen(FILE_SCHEME);
    if (*at != '/')
        return error_set(error, GB_bad_value,
                         "--repository %s has no absolute path: it is file:///PATH", text);
    return decode(text, at, at + strlen(at), spec->path, sizeof spec->path, error);
}

/* One KEY=VALUE. */
static bool parse_option(const char *text, const char *at, const char *end,
                         struct repository_spec *spec, struct gb_error *error)
{
    char name[32], value[1024];
    const char *equals = memchr(at, '=', (size_t)(end - at));
    if (!equals)
        return error_set(error, GB_bad_value, "--repository %s: \"%.*s\" is not KEY=VALUE", text,
                         (int)(end - at), at);
    if (!decode(text, at, equals, name, sizeof name, error) ||
        !decode(text, equals + 1, end, value, sizeof value, error))
        return false;
    bool swift = !strcmp(spec->type, REPOSITORY_SWIFT);
    if (!strcmp(name, "access-key-id") || !strcmp(name, "secret-access-key")) {
        /* the value is not repeated */
        error_set(
            error, GB_bad_value,
            "--repository s3://...: %s can't stand in a URL, which every user of the host can see",
            name);
        error_hint(error, "give credentials-file=FILE, or AWS_ACCESS_KEY_ID and "
                          "AWS_SECRET_ACCESS_KEY in the environment");
        return false;
    }
    if (!strcmp(name, swift ? "container" : "bucket") || !strcmp(name, "prefix"))
        return error_set(error, GB_bad_value, "--repository %s: %s stands before the \"?\": %s",
                         text, name, swift ? "swift://CONTAINER/PREFIX" : "s3://BUCKET/PREFIX");
    return config_set_remote(spec, swift ? SWIFT_SCHEME "..." : S3_SCHEME "...", name, value,
                             error);
}

/* SCHEME://BUCKET[/PREFIX][?KEY=VALUE[&KEY=VALUE...]] */
static bool parse_remote(const char *text, size_t scheme, char *out, size_t size,
                         struct repository_spec *spec, struct gb_error *error)
{
    const char *bucket = text + scheme, *path_end = bucket + strcspn(bucket, "?"),
               *slash = bucket + strcspn(bucket, "/?");
    if (!decode(text, bucket, slash, out, size, error))
        return false;
    const char *prefix = *slash == '/' ? slash + 1 : slash, *prefix_end = path_end;
    while (prefix_end > prefix && prefix_end[-1] == '/')
        prefix_end--;
    if (!decode(text, prefix, prefix_end, spec->remote.prefix, sizeof spec->remote.prefix, error))
        return false;
    for (const char *at = path_end; *at;) {
        const char *end = at + 1 + strcspn(at + 1, "&");
        if (!parse_option(text, at + 1, end, spec, error))
            return false;
        at = end;
    }
    return true;
}

static bool parse_s3(const char *text, struct repository_spec *spec, struct gb_error *error)
{
    return parse_remote(text, strlen(S3_SCHEME), spec->s3.bucket, sizeof spec->s3.bucket, spec,
                        error) &&
           s3_check_options(&spec->s3, &spec->remote, "--repository s3://...", error);
}

static bool parse_swift(const char *text, struct repository_spec *spec, struct gb_error *error)
{
    return parse_remote(text, strlen(SWIFT_SCHEME), spec->swift.container,
                        sizeof spec->swift.container, spec, error) &&
           swift_check_options(&spec->swift, &spec->remote, "--repository swift://...", error);
}

bool location_parse(const char *text, struct repository_spec *spec, struct gb_error *error)
{
    bool file = !strncmp(text, FILE_SCHEME, strlen(FILE_SCHEME)),
         s3 = !strncmp(text, S3_SCHEME, strlen(S3_SCHEME)),
         swift = !strncmp(text, SWIFT_SCHEME, strlen(SWIFT_SCHEME));
    *spec = (struct repository_spec){.name = "path",
                                     .compression = {CODEC_ZSTD, 1},
                                     .min_free_percent = CONFIG_MIN_FREE_PERCENT,
                                     .keep = {.min = 1}};
    snprintf(spec->type, sizeof spec->type, "%s",
             s3      ? REPOSITORY_S3
             : swift ? REPOSITORY_SWIFT
                     : REPOSITORY_DIRECTORY);
    if (s3)
        return parse_s3(text, spec, error);
    if (swift)
        return parse_swift(text, spec, error);
    if (file)
        return parse_file(text, spec, error);
    if (text[0] != '/')
        return error_set(error, GB_not_supported,
                         "repositories of %.*s are not supported by this release",
                         (int)(strstr(text, "://") - text), text);
    if (strlen(text) >= sizeof spec->path)
        return error_set(error, GB_bad_value, "--repository: the path is too long");
    snprintf(spec->path, sizeof spec->path, "%s", text);
    return true;
}
