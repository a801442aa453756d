/*
  Objects in a bucket of an S3-compatible store, behind storage.h: AWS S3, Ceph RGW, OpenStack
  Swift's s3api, MinIO and others.

  An object of less than S3_PART_SIZE is put in one request, a larger one in parts, of which several
  are under way at a time: a segment never stands on a disk of ours. The memory that this takes is a
  part for each object that is being written and one for each thread that sends, whatever the size
  of the backup. Every request is signed with the SHA-256 of what it carries and the store is given
  its MD5 to compare; the ETag that comes back is compared, too, where it is an MD5.

  An object is there whole or not at all: that is how these stores work. That a name is not given
  twice is the store's to check (If-None-Match) where it can; else it is looked at before. A lock is
  an object that its owner writes anew every minute; one that has not been written for
  S3_LOCK_LEASE_S, by the store's clock, is nobody's any more (s3_lock.c says why this is enough).
*/
#ifndef GB_AGENT_STORAGE_S3_H
#define GB_AGENT_STORAGE_S3_H

#include "agent/storage/storage.h"

#define S3_PART_SIZE      (8u << 20) /* 10,000 of them are the most an object can have: 78 GiB */
#define S3_PARTS_MAX      10000u
#define S3_UPLOAD_THREADS 8u
#define S3_LOCK_LEASE_S   600
#define S3_TIMEOUT_S      60u

enum s3_addressing { S3_PATH, S3_VIRTUAL_HOST };

struct s3_options {
    char endpoint[256]; /* http[s]://HOST[:PORT]; "": that of AWS for the region */
    char bucket[64];
    char region[64];  /* "": us-east-1 */
    char prefix[256]; /* of all keys, without "/" at its ends; "": none */
    enum s3_addressing addressing;
    char ca_file[1024];          /* "": the system's certificates */
    char credentials_file[1024]; /* "": the two keys below, else the environment */
    char access_key_id[129], secret_access_key[257];
    unsigned timeout_s; /* without a byte moved; 0: S3_TIMEOUT_S */
    unsigned attempts;  /* of a request; 0: HTTP_ATTEMPTS */
};

/* Whether the options make sense, without asking the store. section: for messages. Errors:
 * GB_bad_config. */
bool s3_check_options(const struct s3_options *options, const char *section,
                      struct gb_error *error);

/* Asks nobody yet. Errors: GB_bad_config (the credentials file, the CA file), GB_store_denied (no
 * credentials), GB_internal. */
struct storage *storage_open_s3(const struct s3_options *options, struct gb_error *error);

#endif
