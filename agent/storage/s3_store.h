/*
  What the files of the S3 driver share: s3.c (objects), s3_write.c (objects that are written),
  s3_list.c (names, removal), s3_lock.c (locks).
*/
#ifndef GB_AGENT_STORAGE_S3_STORE_H
#define GB_AGENT_STORAGE_S3_STORE_H

#include "agent/storage/driver.h"
#include "agent/storage/parts.h"
#include "agent/storage/s3_client.h"

#include <pthread.h>

#define S3_CLEANING_TRIES 3u /* of a request that only tidies up: who comes next does it again */

struct s3_lock;

struct s3 {
    struct storage base;
    struct s3_client client;
    struct parts *parts;
    char describe[384];
    bool unconditional;    /* atomic: the store does not know If-None-Match */
    pthread_mutex_t mutex; /* locks */
    struct s3_lock *locks;
};

/* The key of a name ("" and a prefix that ends with "/" are allowed). Errors: GB_store_failed. */
bool s3_key(const struct s3 *store, const char *name, char out[S3_KEY_MAX], struct gb_error *error);

/* Puts a small object over whatever is there. tries: 0 as usual. */
bool s3_put(struct s3 *store, const char *key, const void *data, size_t size, unsigned tries,
            struct gb_error *error);
/* Puts one that must not be there yet: else false, *exists, and GB_store_failed. */
bool s3_put_new(struct s3 *store, const char *key, const void *data, size_t size, bool *exists,
                struct gb_error *error);
/* One that is not there is no error. */
bool s3_delete(struct s3 *store, const char *key, unsigned tries, struct gb_error *error);
bool s3_abort_upload(struct s3 *store, const char *key, const char *upload_id,
                     struct gb_error *error);

/* Whether the answer to a PUT fits what was put. Errors: GB_store_failed. */
bool s3_check_etag(struct s3 *store, const char *key, const struct s3_answer *answer,
                   struct gb_error *error);

/* ---- s3_write.c ---- */

struct storage_writer *s3_create(struct storage *storage, const char *name, struct gb_error *error);
bool s3_write(struct storage_writer *writer, const void *data, size_t size, struct gb_error *error);
bool s3_commit(struct storage_writer *writer, struct gb_error *error);
void s3_abort(struct storage_writer *writer);

/* ---- s3_list.c ---- */

bool s3_list(struct storage *storage, const char *prefix,
             bool (*visit)(void *context, const char *name, bool directory), void *context,
             struct gb_error *error);
bool s3_remove_all(struct storage *storage, const char *prefix, struct gb_error *error);

/* ---- s3_lock.c ---- */

struct storage_lock *s3_lock(struct storage *storage, const char *name, struct gb_error *error);
void s3_unlock(struct storage_lock *lock);
/* The lock of this store on a directory that the object `name` is below of; NULL. It is valid as
 * long as the one who asks holds it. */
struct s3_lock *s3_lock_above(struct s3 *store, const char *name);
/* The key of this store's lock on the directory `prefix`; NULL. */
const char *s3_lock_key(struct s3 *store, const char *prefix);
/* Whether it is ours still, as the store has it now. Errors: GB_store_failed, those of s3_client.h.
 */
bool s3_lock_check(struct s3_lock *lock, struct gb_error *error);

#endif
