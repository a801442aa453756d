/*
  What the drivers of object stores share: bucket.c (objects), bucket_write.c (objects that are
  written), bucket_list.c (names, removal), bucket_lock.c (locks). What an object store speaks is
  its dialect: s3.c, swift.c.

  An object that fits into a part is put in one request, a larger one in parts, of which several are
  under way at a time: a segment never stands on a disk of ours. The memory that this takes is a
  part for each object that is being written and one for each thread that sends, whatever the size
  of the backup. The store is given the MD5 of what a request carries to compare; the ETag that
  comes back is compared, too, where it is an MD5.

  An object is there whole or not at all: that is how these stores work. That a name is not given
  twice is the store's to check (If-None-Match) where it can; else it is looked at before. A lock is
  an object that its owner writes anew every minute; one that has not been written for
  BUCKET_LOCK_LEASE_S, by the store's clock, is nobody's any more (bucket_lock.c says why this is
  enough).

  Errors of all requests: GB_not_found (no such object), GB_bucket_missing, GB_store_denied,
  GB_store_untrusted, GB_store_unreachable, GB_no_space (a quota), GB_store_failed (refused for
  another reason, or what came back is not what was sent), GB_internal.
*/
#ifndef GB_AGENT_STORAGE_BUCKET_STORE_H
#define GB_AGENT_STORAGE_BUCKET_STORE_H

#include "agent/storage/bucket.h"
#include "agent/storage/driver.h"
#include "agent/storage/parts.h"

#include <pthread.h>
#include <time.h>

#define BUCKET_KEY_MAX   1025u /* bytes, with NUL: what the stores allow */
#define BUCKET_ETAG_MAX  80u
#define BUCKET_MD5_MAX   33u /* hex digits and NUL */
#define BUCKET_QUERY_MAX 6u
#define BUCKET_CLEANING_TRIES                                                                      \
    3u /* of a request that only tidies up: who comes next does it again */

struct bucket;
struct bucket_lock;

struct bucket_query {
    const char *name, *value;
};

struct bucket_request {
    const char *method;
    const char *key;                             /* with the prefix; NULL: the bucket itself */
    struct bucket_query query[BUCKET_QUERY_MAX]; /* sorted by name; those without a name are none */
    const void *body;
    size_t body_size;
    bool if_none; /* If-None-Match: * */
    bool kept;    /* PUT, POST: an object of a backup, that storage class, tags, retention are meant
                     for; not a lock */
    void *into;   /* of a GET: so many bytes from offset on; NULL: all, as text */
    size_t into_size;
    uint64_t offset;
    unsigned attempts; /* 0: as usual */
};

struct bucket_answer {
    struct http_response http;
    char code[64];            /* of an S3 store: "NoSuchKey"; "" */
    bool unchecked_etag;      /* the ETag is not an MD5: the store has encrypted the object */
    char md5[BUCKET_MD5_MAX]; /* of the request's body, hex; "" where MD5 is not to be had */
};

struct bucket_part { /* of a large object, as the store has it */
    struct bucket_part *next;
    unsigned number; /* from 1 */
    size_t size;
    bool md5; /* the ETag is the MD5 of what was sent */
    char etag[BUCKET_ETAG_MAX];
};

struct bucket_name {
    char *text, *upload_id; /* upload_id: of an upload of parts, else NULL */
    bool directory;
    bool large; /* made of parts that are objects themselves */
};

struct bucket_names {
    struct bucket_name *list;
    size_t count, capacity;
    bool no_memory;
};

/* What a store speaks. Keys have the prefix. */
struct bucket_dialect {
    const char *scheme; /* "s3" */
    void (*close)(struct bucket *bucket);
    /* True: 2xx. answer: to be freed in any case; its http.status and code say what an error was
     * about. */
    bool (*perform)(struct bucket *bucket, const struct bucket_request *request,
                    struct bucket_answer *answer, struct gb_error *error);
    /* Adds all keys that begin with prefix; with `immediate`, up to the next "/" behind it. */
    bool (*list)(struct bucket *bucket, const char *prefix, bool immediate,
                 struct bucket_names *names, struct gb_error *error);
    /* Removes all below a prefix, but for the key `keep` (NULL: none), what is left of uploads,
     * too. */
    bool (*remove_below)(struct bucket *bucket, const char *prefix, const char *keep,
                         struct gb_error *error);
    /* Adds the uploads of parts whose keys begin with prefix. NULL: they can't be listed. */
    bool (*list_uploads)(struct bucket *bucket, const char *prefix, struct bucket_names *names,
                         struct gb_error *error);
    /* A large object: *id is malloc'ed. */
    bool (*begin)(struct bucket *bucket, const char *key, char **id, struct gb_error *error);
    /* Fills number, size, etag, md5 of part. From several threads at a time. */
    bool (*send)(struct bucket *bucket, const char *key, const char *id, unsigned number,
                 const void *data, size_t size, struct bucket_part *part, struct gb_error *error);
    /* parts: by number, each once. */
    bool (*complete)(struct bucket *bucket, const char *key, const char *id,
                     struct bucket_part *const *parts, unsigned count, struct gb_error *error);
    /* Drops what has been sent, of up to `count` parts. */
    bool (*abort)(struct bucket *bucket, const char *key, const char *id, unsigned count,
                  struct gb_error *error);
};

/* The beginning of a driver's own struct. */
struct bucket {
    struct storage base;
    const struct bucket_dialect *dialect;
    struct bucket_options options;
    char name[257]; /* of the bucket */
    char describe[640];
    size_t part_size;
    unsigned parts_max; /* of one object */
    struct parts *parts;
    bool unconditional;    /* atomic: the store does not know If-None-Match */
    pthread_mutex_t mutex; /* locks */
    struct bucket_lock *locks;
};

/* Fills all of *bucket; the dialect is ready when it returns. Errors: GB_internal. */
bool bucket_open(struct bucket *bucket, const struct bucket_dialect *dialect,
                 const struct bucket_options *options, const char *name, unsigned parts_max,
                 struct gb_error *error);
/* What bucket_open() made. Nobody uses it any more. */
void bucket_release(struct bucket *bucket);

bool bucket_perform(struct bucket *bucket, const struct bucket_request *request,
                    struct bucket_answer *answer, struct gb_error *error);
void bucket_answer_free(struct bucket_answer *answer);
/* The ETag, without quotes. Returns out. */
const char *bucket_etag(const struct bucket_answer *answer, char out[BUCKET_ETAG_MAX]);
/* A header with a time; 0: it is not there. */
time_t bucket_header_time(const struct http_response *response, const char *name);
/* The MD5 of data, in hex; "" where MD5 is not to be had. digest may be NULL; else 16 bytes. */
void bucket_md5(const void *data, size_t size, char out[BUCKET_MD5_MAX], unsigned char *digest);

/* The key of a name ("" and a prefix that ends with "/" are allowed). Errors: GB_store_failed. */
bool bucket_key(const struct bucket *bucket, const char *name, char out[BUCKET_KEY_MAX],
                struct gb_error *error);

/* Puts a small object over whatever is there. tries: 0 as usual. */
bool bucket_put(struct bucket *bucket, const char *key, const void *data, size_t size,
                unsigned tries, struct gb_error *error);
/* Puts one that must not be there yet: else false, *exists, and GB_store_failed. kept: as in
 * bucket_request. */
bool bucket_put_new(struct bucket *bucket, const char *key, const void *data, size_t size,
                    bool kept, bool *exists, struct gb_error *error);
/* One that is not there is no error. */
bool bucket_delete(struct bucket *bucket, const char *key, unsigned tries, struct gb_error *error);
/* The same for what `request` says. */
bool bucket_perform_delete(struct bucket *bucket, const struct bucket_request *request,
                           struct gb_error *error);

/* Whether the answer to a PUT fits what was put: the ETag is no MD5 of something else. Errors:
 * GB_store_failed. */
bool bucket_check_etag(struct bucket *bucket, const char *key, const struct bucket_answer *answer,
                       struct gb_error *error);

/* ---- bucket_write.c ---- */

struct storage_writer *bucket_create(struct storage *storage, const char *name,
                                     struct gb_error *error);
bool bucket_write(struct storage_writer *writer, const void *data, size_t size,
                  struct gb_error *error);
bool bucket_commit(struct storage_writer *writer, struct gb_error *error);
void bucket_abort(struct storage_writer *writer);

/* ---- bucket_list.c ---- */

/* False: no memory (names->no_memory). upload_id may be NULL. */
bool bucket_names_add(struct bucket_names *names, const char *text, const char *upload_id,
                      bool directory, bool large);
void bucket_names_free(struct bucket_names *names);
bool bucket_list(struct storage *storage, const char *prefix,
                 bool (*visit)(void *context, const char *name, bool directory), void *context,
                 struct gb_error *error);
bool bucket_remove_all(struct storage *storage, const char *prefix, struct gb_error *error);
/* A writer that hung may come back when its lock has gone to another, and that one may have ended,
   too: what stands there then is not the writer's to remove. lock may be NULL; commit: the key of
   backup.json. */
bool bucket_may_remove(struct bucket *bucket, struct bucket_lock *lock, const char *commit,
                       struct gb_error *error);
bool bucket_drop_uploads(struct storage *storage, const char *prefix,
                         bool (*drop)(void *context, const char *name), void *context,
                         unsigned *count, struct gb_error *error);

/* ---- bucket_lock.c ---- */

struct storage_lock *bucket_lock(struct storage *storage, const char *name, struct gb_error *error);
void bucket_unlock(struct storage_lock *lock);
bool bucket_lock_look(struct storage *storage, const char *name, struct storage_lock_state *state,
                      struct gb_error *error);
/* The lock of this store on a directory that the object `name` is below of; NULL. It is valid as
 * long as the one who asks holds it. */
struct bucket_lock *bucket_lock_above(struct bucket *bucket, const char *name);
/* The same, of the lock on the directory `prefix` itself. */
struct bucket_lock *bucket_lock_on(struct bucket *bucket, const char *prefix);
const char *bucket_lock_key(const struct bucket_lock *lock);
/* Whether it is ours still, as the store has it now; tries: of the request, 0: as many as others;
 *gone (may be NULL): it is nobody's. Errors: GB_store_failed, those of a request. */
bool bucket_lock_check(struct bucket_lock *lock, unsigned tries, bool *gone,
                       struct gb_error *error);

#endif
