/*
  What the files of the S3 driver share: s3.c (the dialect), s3_client.c (a request), s3_list.c
  (names), s3_upload.c (large objects). What they do is said in bucket_store.h.
*/
#ifndef GB_AGENT_STORAGE_S3_STORE_H
#define GB_AGENT_STORAGE_S3_STORE_H

#include "agent/storage/s3_client.h"

struct s3 {
    struct bucket bucket;
    struct s3_client client;
};

bool s3_list(struct bucket *bucket, const char *prefix, bool immediate, struct bucket_names *names,
             struct gb_error *error);
bool s3_list_uploads(struct bucket *bucket, const char *prefix, struct bucket_names *names,
                     struct gb_error *error);
bool s3_remove_below(struct bucket *bucket, const char *prefix, const char *keep,
                     struct gb_error *error);

bool s3_upload_begin(struct bucket *bucket, const char *key, char **id, struct gb_error *error);
bool s3_upload_send(struct bucket *bucket, const char *key, const char *id, unsigned number,
                    const void *data, size_t size, struct bucket_part *part,
                    struct gb_error *error);
bool s3_upload_complete(struct bucket *bucket, const char *key, const char *id,
                        struct bucket_part *const *parts, unsigned count, struct gb_error *error);
bool s3_upload_abort(struct bucket *bucket, const char *key, const char *id, unsigned count,
                     struct gb_error *error);

#endif
