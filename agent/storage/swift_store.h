/*
  What the files of the Swift driver share: swift.c (the dialect), swift_client.c (a request),
  swift_list.c (names), swift_large.c (large objects). What they do is said in bucket_store.h and
  swift.h.
*/
#ifndef GB_AGENT_STORAGE_SWIFT_STORE_H
#define GB_AGENT_STORAGE_SWIFT_STORE_H

#include "agent/storage/swift_client.h"

struct swift {
    struct bucket bucket;
    struct swift_client client;
};

bool swift_list(struct bucket *bucket, const char *prefix, bool immediate,
                struct bucket_names *names, struct gb_error *error);
bool swift_remove_below(struct bucket *bucket, const char *prefix, const char *keep,
                        struct gb_error *error);

bool swift_large_begin(struct bucket *bucket, const char *key, char **id, struct gb_error *error);
bool swift_large_send(struct bucket *bucket, const char *key, const char *id, unsigned number,
                      const void *data, size_t size, struct bucket_part *part,
                      struct gb_error *error);
bool swift_large_complete(struct bucket *bucket, const char *key, const char *id,
                          struct bucket_part *const *parts, unsigned count, struct gb_error *error);
bool swift_large_abort(struct bucket *bucket, const char *key, const char *id, unsigned count,
                       struct gb_error *error);

#endif
