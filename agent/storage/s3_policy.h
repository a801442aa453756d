/*
  What the store is asked to do with the objects that are put: encryption by the store (SSE-S3,
  SSE-KMS, SSE-C), storage class, tags, object lock; as headers of a request.

  Locks and small objects that change are encrypted like all, but have no class, tags and retention
  of their own: they are written over and removed.
*/
#ifndef GB_AGENT_STORAGE_S3_POLICY_H
#define GB_AGENT_STORAGE_S3_POLICY_H

#include "agent/storage/bucket_store.h"
#include "agent/storage/s3.h"
#include "agent/storage/sigv4.h"

#define S3_POLICY_HEADERS_MAX 8u

struct s3_policy_state { /* of a client: what the configuration's files hold */
    struct s3_policy policy;
    char customer_key[48], customer_key_md5[28]; /* base64 */
    char tags[3072];                             /* as the header wants them */
};

/* Headers of one request. They point into it and into the state. */
struct s3_policy_headers {
    struct sigv4_header list[S3_POLICY_HEADERS_MAX];
    size_t count;
    char retain_until[32];
};

/* Whether it makes sense. plain: without TLS. Errors: GB_bad_config. */
bool s3_policy_check(const struct s3_policy *policy, const char *section, bool plain,
                     struct gb_error *error);
/* Errors: GB_bad_config (the key file; what the machine can't do). */
bool s3_policy_open(struct s3_policy_state *state, const struct s3_policy *policy,
                    struct gb_error *error);
void s3_policy_close(struct s3_policy_state *state);

/* now: by the store's clock, as far as it is known. */
void s3_policy_headers(const struct s3_policy_state *state, const struct bucket_request *request,
                       time_t now, struct s3_policy_headers *headers);

#endif
