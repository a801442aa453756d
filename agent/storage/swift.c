/* Objects in a container of Swift; see swift.h. */
#include "agent/storage/swift_store.h"

#include <stdlib.h>
#include <string.h>

static bool url_valid(const char *text)
{
    const char *host = !strncmp(text, "http://", 7)    ? text + 7
                       : !strncmp(text, "https://", 8) ? text + 8
                                                       : "";
    return *host && *host != '/' && !strpbrk(host, "?#@ \t");
}

bool swift_check_options(const struct swift_options *o, const struct bucket_options *common,
                         const char *section, struct gb_error *error)
{
    static const char *const interfaces[] = {"", "public", "internal", "admin"};
    bool known = false;
    if (!o->container[0]) {
        error_set(error, GB_bad_config, "%s has type = swift and no container", section);
        error_hint(error, "set container = NAME");
        return false;
    }
    if (strchr(o->container, '/') || !strcmp(o->container, ".") || !strcmp(o->container, ".."))
        return error_set(error, GB_bad_config, "%s: %s is not the name of a container", section,
                         o->container);
    if (o->auth_url[0] && !url_valid(o->auth_url))
        return error_set(error, GB_bad_config,
                         "%s: auth-url = %s is not http[s]://HOST[:PORT]/PATH", section,
                         o->auth_url);
    if (o->key_file[0] && o->key_file[0] != '/')
        return error_set(error, GB_bad_config, "%s: key-file = %s is not an absolute path", section,
                         o->key_file);
    if (o->user[0] && o->application_credential[0])
        return error_set(error, GB_bad_config,
                         "%s has user and application-credential: which is meant?", section);
    for (size_t i = 0; i < sizeof interfaces / sizeof interfaces[0]; i++)
        known = known || !strcmp(o->interface, interfaces[i]);
    if (!known)
        return error_set(error, GB_bad_config,
                         "%s: interface = %s is none of public, internal and admin", section,
                         o->interface);
    return bucket_check_options(common, section, !strncmp(o->auth_url, "http://", 7), error);
}

static void swift_close(struct bucket *bucket)
{
    struct swift *s = (struct swift *)bucket;
    bucket_release(bucket);
    swift_client_close(&s->client);
    free(s);
}

static bool swift_perform_request(struct bucket *bucket, const struct bucket_request *q,
                                  struct bucket_answer *a, struct gb_error *error)
{
    return swift_perform(&((struct swift *)bucket)->client, q, a, error);
}

static const struct bucket_dialect swift_dialect = {
    .scheme = "swift",
    .close = swift_close,
    .perform = swift_perform_request,
    .list = swift_list,
    .remove_below = swift_remove_below,
    .begin = swift_large_begin,
    .send = swift_large_send,
    .complete = swift_large_complete,
    .abort = swift_large_abort,
};

struct storage *storage_open_swift(const struct swift_options *o,
                                   const struct bucket_options *common, struct gb_error *error)
{
    struct swift *s = calloc(1, sizeof *s);
    if (!s) {
        error_set(error, GB_internal, "no memory");
        return NULL;
    }
    if (swift_client_open(&s->client, o, common, &s->bucket.base.operations, error)) {
        if (bucket_open(&s->bucket, &swift_dialect, common, o->container, SWIFT_PARTS_MAX, error))
            return &s->bucket.base;
        swift_client_close(&s->client);
    }
    free(s);
    return NULL;
}
