/*
  What all object stores have in common: what is configured of them, whatever they speak.
  bucket_store.h has what their drivers share. A "bucket" is what Swift calls a container.
*/
#ifndef GB_AGENT_STORAGE_BUCKET_H
#define GB_AGENT_STORAGE_BUCKET_H

#include "agent/http/http.h"
#include "agent/storage/storage.h"

#define BUCKET_PART_SIZE      (8u << 20) /* of a larger object, unless the configuration says */
#define BUCKET_PART_SIZE_MIN  (5u << 20) /* S3 takes no smaller ones */
#define BUCKET_PART_SIZE_MAX  (256u << 20)
#define BUCKET_UPLOAD_THREADS 8u
#define BUCKET_LOCK_LEASE_S   600
#define BUCKET_TIMEOUT_S      60u

struct bucket_options {
    char region[64];    /* "": the store's own default */
    char prefix[256];   /* of all keys, without "/" at its ends; "": none */
    char ca_file[1024]; /* "": the system's certificates */
    char client_certificate[1024], client_key[1024]; /* "": none */
    unsigned timeout_s;                              /* without a byte moved; 0: BUCKET_TIMEOUT_S */
    unsigned attempts;                               /* of a request; 0: HTTP_ATTEMPTS */
    uint64_t part_size;                              /* bytes; 0: BUCKET_PART_SIZE */
    uint64_t rate_limit; /* bytes a second, of all connections, each way; 0: none */
};

/* Whether the options make sense, without asking the store. section: for messages; plain: the store
   is spoken to without TLS. Errors: GB_bad_config. */
bool bucket_check_options(const struct bucket_options *options, const char *section, bool plain,
                          struct gb_error *error);

/* The options of http_open(). They point into `options`. */
struct http_options bucket_http_options(const struct bucket_options *options);

#endif
