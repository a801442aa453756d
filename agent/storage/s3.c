/* Objects in a bucket of an S3 store; see s3.h. */
#include "agent/storage/s3_policy.h"
#include "agent/storage/s3_store.h"

#include <stdlib.h>
#include <string.h>

static bool host_valid(const char *text)
{
    const char *end = text + strcspn(text, "/?#@ \t");
    return *text && !*end;
}

static bool check_role(const struct s3_options *o, const char *section, struct gb_error *error)
{
    bool instance = !strcmp(o->credentials, "instance"),
         web = !strcmp(o->credentials, "web-identity");
    if (o->credentials[0] && !instance && !web)
        return error_set(error, GB_bad_config,
                         "%s: credentials = %s is neither instance nor web-identity", section,
                         o->credentials);
    if (o->credentials[0] && (o->credentials_file[0] || o->access_key_id[0]))
        return error_set(error, GB_bad_config,
                         "%s has credentials = %s and keys of its own: which is meant?", section,
                         o->credentials);
    if (!web && (o->role_arn[0] || o->web_identity_token_file[0] || o->sts_endpoint[0]))
        return error_set(error, GB_bad_config,
                         "%s: role-arn, web-identity-token-file and sts-endpoint want credentials "
                         "= web-identity",
                         section);
    if (o->sts_endpoint[0] && strncmp(o->sts_endpoint, "http://", 7) &&
        strncmp(o->sts_endpoint, "https://", 8))
        return error_set(error, GB_bad_config, "%s: sts-endpoint = %s is not http[s]://HOST[:PORT]",
                         section, o->sts_endpoint);
    return !o->web_identity_token_file[0] || o->web_identity_token_file[0] == '/' ||
           error_set(error, GB_bad_config,
                     "%s: web-identity-token-file = %s is not an absolute path", section,
                     o->web_identity_token_file);
}

bool s3_check_options(const struct s3_options *o, const struct bucket_options *common,
                      const char *section, struct gb_error *error)
{
    bool http = !strncmp(o->endpoint, "http://", 7), https = !strncmp(o->endpoint, "https://", 8);
    const char *host = http ? o->endpoint + 7 : o->endpoint + 8;
    size_t bucket = strlen(o->bucket);
    if (!bucket) {
        error_set(error, GB_bad_config, "%s has type = s3 and no bucket", section);
        error_hint(error, "set bucket = NAME");
        return false;
    }
    if (bucket < 3 ||
        strspn(o->bucket, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_") !=
            bucket)
        return error_set(error, GB_bad_config, "%s: %s is not the name of a bucket", section,
                         o->bucket);
    if (o->endpoint[0] && ((!http && !https) || !host_valid(host))) {
        error_set(error, GB_bad_config, "%s: endpoint = %s is not http[s]://HOST[:PORT]", section,
                  o->endpoint);
        error_hint(error, "the bucket and the prefix have keys of their own");
        return false;
    }
    if (!o->access_key_id[0] != !o->secret_access_key[0])
        return error_set(error, GB_bad_config,
                         "%s has one of access-key-id and secret-access-key without the other",
                         section);
    if (o->credentials_file[0] && o->access_key_id[0])
        return error_set(error, GB_bad_config,
                         "%s has credentials-file and access-key-id: which is meant?", section);
    if (o->credentials_file[0] && o->credentials_file[0] != '/')
        return error_set(error, GB_bad_config, "%s: credentials-file = %s is not an absolute path",
                         section, o->credentials_file);
    return check_role(o, section, error) && s3_policy_check(&o->policy, section, http, error) &&
           bucket_check_options(common, section, http, error);
}

static void s3_close(struct bucket *bucket)
{
    struct s3 *s = (struct s3 *)bucket;
    bucket_release(bucket);
    s3_client_close(&s->client);
    free(s);
}

static bool s3_perform_request(struct bucket *bucket, const struct bucket_request *q,
                               struct bucket_answer *a, struct gb_error *error)
{
    return s3_perform(&((struct s3 *)bucket)->client, q, a, error);
}

static const struct bucket_dialect s3_dialect = {
    .scheme = "s3",
    .close = s3_close,
    .perform = s3_perform_request,
    .list = s3_list,
    .list_uploads = s3_list_uploads,
    .remove_below = s3_remove_below,
    .begin = s3_upload_begin,
    .send = s3_upload_send,
    .complete = s3_upload_complete,
    .abort = s3_upload_abort,
};

struct storage *storage_open_s3(const struct s3_options *o, const struct bucket_options *common,
                                struct gb_error *error)
{
    struct s3 *s = calloc(1, sizeof *s);
    if (!s) {
        error_set(error, GB_internal, "no memory");
        return NULL;
    }
    if (s3_client_open(&s->client, o, common, &s->bucket.base.operations, error)) {
        if (bucket_open(&s->bucket, &s3_dialect, common, o->bucket, S3_PARTS_MAX, error))
            return &s->bucket.base;
        s3_client_close(&s->client);
    }
    free(s);
    return NULL;
}
