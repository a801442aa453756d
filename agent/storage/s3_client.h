/*
  One signed request to a bucket, and what its answer means.
*/
#ifndef GB_AGENT_STORAGE_S3_CLIENT_H
#define GB_AGENT_STORAGE_S3_CLIENT_H

#include "agent/storage/bucket_store.h"
#include "agent/storage/s3.h"
#include "agent/storage/s3_policy.h"
#include "agent/storage/s3_role.h"
#include "agent/storage/sigv4.h"

struct s3_client {
    struct http *http;
    struct s3_options options;
    char region[64];
    unsigned attempts; /* of a request; 0: as usual */
    bool temporary;    /* the keys are those of role, else credentials */
    struct sigv4_credentials credentials;
    struct s3_role role;
    struct s3_policy_state policy;
    bool tls;
    char host[340];         /* as in the Host header, with the bucket where it stands there */
    char where[300];        /* the endpoint, for messages */
    int64_t clock_offset_s; /* atomic: the store's clock minus ours, where they differ too much for
                               it */
};

/* Errors: GB_internal, and those of http_open(), s3_credentials(), s3_role_open() and
 * s3_policy_open(). */
bool s3_client_open(struct s3_client *client, const struct s3_options *options,
                    const struct bucket_options *common, uint64_t *moved, struct gb_error *error);
void s3_client_close(struct s3_client *client);

/* As bucket_dialect.perform. */
bool s3_perform(struct s3_client *client, const struct bucket_request *request,
                struct bucket_answer *answer, struct gb_error *error);

#endif
