/*
  One signed request to a bucket, and what its answer means.

  Errors of all: GB_not_found (no such object), GB_bucket_missing, GB_store_denied,
  GB_store_untrusted, GB_store_unreachable, GB_no_space (a quota), GB_store_failed (refused for
  another reason, or what came back is not what was sent), GB_internal.
*/
#ifndef GB_AGENT_STORAGE_S3_CLIENT_H
#define GB_AGENT_STORAGE_S3_CLIENT_H

#include "agent/http/http.h"
#include "agent/storage/s3.h"
#include "agent/storage/sigv4.h"

#define S3_KEY_MAX   1025u /* bytes, with NUL: what the stores allow */
#define S3_ETAG_MAX  80u
#define S3_QUERY_MAX 4u

struct s3_client {
    struct http *http;
    struct s3_options options;
    struct sigv4_credentials credentials;
    bool tls;
    char host[340];         /* as in the Host header, with the bucket where it stands there */
    char where[300];        /* the endpoint, for messages */
    int64_t clock_offset_s; /* atomic: the store's clock minus ours, where they differ too much for
                               it */
};

struct s3_query {
    const char *name, *value;
};

struct s3_request {
    const char *method;
    const char *key;                     /* with the prefix; NULL: the bucket itself */
    struct s3_query query[S3_QUERY_MAX]; /* sorted by name; those without a name are none */
    const void *body;
    size_t body_size;
    bool if_none; /* If-None-Match: * */
    void *into;   /* of a GET: so many bytes from offset on; NULL: all, as text */
    size_t into_size;
    uint64_t offset;
    unsigned attempts; /* 0: as usual */
};

struct s3_answer {
    struct http_response http;
    char code[64];       /* of the store: "NoSuchKey"; "" */
    bool unchecked_etag; /* the ETag is not an MD5: the store has encrypted the object */
    char md5[33];        /* of the request's body, hex; "" where MD5 is not to be had */
};

/* Errors: GB_internal, and those of http_open() and s3_credentials(). */
bool s3_client_open(struct s3_client *client, const struct s3_options *options, uint64_t *moved,
                    struct gb_error *error);
void s3_client_close(struct s3_client *client);

/* True: 2xx. answer: to be freed in any case; its http.status and code say what an error was about.
 */
bool s3_perform(struct s3_client *client, const struct s3_request *request,
                struct s3_answer *answer, struct gb_error *error);
void s3_answer_free(struct s3_answer *answer);

/* The ETag, without quotes. Returns out. */
const char *s3_etag(const struct s3_answer *answer, char out[S3_ETAG_MAX]);
/* Whether an ETag may be that of what was sent: false only if it is an MD5 of something else. */
bool s3_etag_fits(const struct s3_answer *answer);

/* A header with a time; 0: it is not there. */
time_t s3_header_time(const struct s3_answer *answer, const char *name);

#endif
