/*
  Objects in a bucket of an S3-compatible store, behind storage.h: AWS S3, Ceph RGW, OpenStack
  Swift's s3api, MinIO and others. What is the same for all object stores: bucket.h, bucket_store.h.

  Every request is signed with the SHA-256 of what it carries.
*/
#ifndef GB_AGENT_STORAGE_S3_H
#define GB_AGENT_STORAGE_S3_H

#include "agent/storage/bucket.h"

#define S3_PARTS_MAX 10000u /* of an object: 78 GiB in parts of 8 MiB */

enum s3_addressing { S3_PATH, S3_VIRTUAL_HOST };

/* What the store is asked to do with the objects that are put. */
struct s3_policy {
    char encryption[16];          /* AES256, aws:kms, customer; "": as the bucket has it */
    char kms_key_id[256];         /* of aws:kms; "": that of the account */
    char customer_key_file[1024]; /* of customer: 32 bytes, or the base64 of them */
    char storage_class[32]; /* "": STANDARD. This, the tags and the lock are of backups, not of
                               locks and of what changes */
    char tags[1024];        /* NAME=VALUE, NAME=VALUE */
    char lock_mode[16];     /* governance, compliance; "": none */
    unsigned lock_time_s;   /* from when an object is put */
};

struct s3_options {
    char endpoint[256]; /* http[s]://HOST[:PORT]; "": that of AWS for the region */
    char bucket[64];
    enum s3_addressing addressing;
    char credentials_file[1024]; /* "": the two keys below, else the environment */
    char access_key_id[129], secret_access_key[257];
    char credentials[16]; /* "": the above, else AWS_WEB_IDENTITY_TOKEN_FILE; instance,
                             web-identity: s3_role.h */
    char role_arn[256],
        web_identity_token_file[1024]; /* "": AWS_ROLE_ARN, AWS_WEB_IDENTITY_TOKEN_FILE */
    char sts_endpoint[256];            /* "": that of AWS for the region */
    struct s3_policy policy;
};

/* Whether the options make sense, without asking the store. section: for messages. Errors:
 * GB_bad_config. */
bool s3_check_options(const struct s3_options *options, const struct bucket_options *common,
                      const char *section, struct gb_error *error);

/* Asks nobody yet. Errors: GB_bad_config (the credentials file, the CA file), GB_store_denied (no
 * credentials), GB_internal. */
struct storage *storage_open_s3(const struct s3_options *options,
                                const struct bucket_options *common, struct gb_error *error);

#endif
