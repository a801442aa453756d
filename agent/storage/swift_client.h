/*
  One request to a container of Swift, with a token, and what its answer means. A token that the
  store takes no more is renewed and the request made again, once.
*/
#ifndef GB_AGENT_STORAGE_SWIFT_CLIENT_H
#define GB_AGENT_STORAGE_SWIFT_CLIENT_H

#include "agent/storage/bucket_store.h"
#include "agent/storage/swift_auth.h"

struct swift_limits { /* of the store: /info, else what Swift has unless it is told otherwise */
    unsigned manifest_segments;
    uint64_t file_size;
};

struct swift_client {
    struct http *http;
    struct swift_auth auth;
    char container[257];
    unsigned attempts, delete_after_s;
    pthread_mutex_t mutex; /* limits */
    bool limits_known;
    struct swift_limits limits;
};

/* Errors: GB_internal, and those of http_open() and swift_identity(). */
bool swift_client_open(struct swift_client *client, const struct swift_options *options,
                       const struct bucket_options *common, uint64_t *moved,
                       struct gb_error *error);
void swift_client_close(struct swift_client *client);

/* As bucket_dialect.perform. A PUT with multipart-manifest in its query carries a manifest: its MD5
 * is not compared. */
bool swift_perform(struct swift_client *client, const struct bucket_request *request,
                   struct bucket_answer *answer, struct gb_error *error);

/* Asks once. A store that says nothing has the usual limits. Errors: those of a token. */
bool swift_limits(struct swift_client *client, struct swift_limits *limits, struct gb_error *error);

#endif
