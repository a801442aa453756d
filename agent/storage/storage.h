/*
  The one small interface to where objects are kept: a directory (directory.c) or a bucket (s3.h).

  Objects are named by a path relative to the store's root
  ("cluster/backups/LABEL/data/000001.seg"), written once, streaming, from start to end, and never
  changed; but for small ones that are replaced whole. An object exists for readers only after
  storage_commit(). Safe to use from several threads, one writer or reader object per thread.

  A store behind a network has errors of its own, whatever is done there: GB_store_unreachable,
  GB_store_denied, GB_store_untrusted, GB_bucket_missing. They say nothing about an object:
  storage_is_away() tells them from those that do.
*/
#ifndef GB_AGENT_STORAGE_STORAGE_H
#define GB_AGENT_STORAGE_STORAGE_H

#include "common/error.h"

#include <stdint.h>
#include <time.h>

struct storage;
struct storage_writer;

#define STORAGE_FREE_UNKNOWN UINT64_MAX
#define STORAGE_REPLACE_MAX  (64u << 20)

/* Opens the directory path. min_free_percent: 0..99. Errors: GB_repository_unreachable. */
struct storage *storage_open_directory(const char *path, unsigned min_free_percent,
                                       struct gb_error *error);
void storage_close(struct storage *storage);

/* Whether an error is about the way to the store, not about what is in it. */
bool storage_is_away(const struct gb_error *error);

/* Whether `bytes` more would leave min-free untouched, as far as the store can tell. free_bytes may
   be NULL; it gets STORAGE_FREE_UNKNOWN where the store can't tell: a bucket ends by its quota, and
   says so while it is written. Errors: GB_no_space (says free, wanted, min-free),
   GB_repository_unreachable. */
bool storage_check_space(struct storage *storage, uint64_t bytes, uint64_t *free_bytes,
                         struct gb_error *error);

/* Starts an object; missing directories are made. Errors: GB_store_failed, GB_no_space. */
struct storage_writer *storage_create(struct storage *storage, const char *name,
                                      struct gb_error *error);
/* Appends. min-free is watched while writing: GB_no_space. */
bool storage_write(struct storage_writer *writer, const void *data, size_t size,
                   struct gb_error *error);
/* Makes the object durable (fsync of file and directory) and visible, atomically; frees writer in
   any case. A name that exists already: GB_store_failed. */
bool storage_commit(struct storage_writer *writer, struct gb_error *error);
/* Drops what was written. Frees writer. */
void storage_abort(struct storage_writer *writer);

/* A whole object at once: the four above. Errors: theirs. */
bool storage_put(struct storage *storage, const char *name, const void *data, size_t size,
                 struct gb_error *error);
/* A small object that may change, at most STORAGE_REPLACE_MAX bytes: written whole and durably over
   what may be there. Readers see what was or what is now, also of several at a time. Errors:
   GB_store_failed, GB_no_space. */
bool storage_replace(struct storage *storage, const char *name, const void *data, size_t size,
                     struct gb_error *error);
/* The same where nothing may be there yet: GB_store_failed if there is, also of two that make it at
   the same moment (in a bucket as far as the store knows conditions: storage_is_conditional()). */
bool storage_make(struct storage *storage, const char *name, const void *data, size_t size,
                  struct gb_error *error);
/* Removes one object; one that is not there has been removed. Errors: GB_store_failed. */
bool storage_remove(struct storage *storage, const char *name, struct gb_error *error);

/* Reads exactly size bytes at offset. Errors: GB_not_found, GB_corrupt_backup (shorter than that),
   GB_repository_unreachable. */
bool storage_read(struct storage *storage, const char *name, uint64_t offset, void *data,
                  size_t size, struct gb_error *error);
/* The whole object, malloc'ed, NUL-terminated behind *size bytes. limit bounds *size
 * (GB_corrupt_backup). */
char *storage_read_all(struct storage *storage, const char *name, size_t limit, size_t *size,
                       struct gb_error *error);
/* GB_not_found if it is not there. */
bool storage_size(struct storage *storage, const char *name, uint64_t *size,
                  struct gb_error *error);

/* Calls visit for each immediate entry below prefix ("" for the root), in order of name; directory
   tells prefixes from objects. A prefix that does not exist has no entries. Stops when visit
   answers false. */
bool storage_list(struct storage *storage, const char *prefix,
                  bool (*visit)(void *context, const char *name, bool directory), void *context,
                  struct gb_error *error);
/* Removes all below a prefix, backup.json first so that a backup that is being removed is none at
   once. A lock of this store that is held in it stays, with the directory, until storage_unlock().
 */
bool storage_remove_all(struct storage *storage, const char *prefix, struct gb_error *error);

/* An exclusive lock named `name` (an object below the root), held until storage_unlock() or the end
   of the process (in a bucket: until it is S3_LOCK_LEASE_S old); false with GB_repository_busy if
   someone else holds it. While it is held, objects below its directory are committed only as long
   as the lock is still ours (else GB_store_failed), and a directory is never made anew. */
struct storage_lock;
struct storage_lock *storage_lock(struct storage *storage, const char *name,
                                  struct gb_error *error);
void storage_unlock(struct storage_lock *lock);

/* What is known of a lock without touching it. */
struct storage_lock_state {
    bool there,
        held; /* held: by a process that lives, as far as the store can tell; else it is stale */
    char owner[128]; /* host and process; "" not known */
    time_t since;    /* when it was taken, or (in a bucket) written last; 0 not known */
};
/* Errors: what the store says. */
bool storage_lock_look(struct storage *storage, const char *name, struct storage_lock_state *state,
                       struct gb_error *error);

/* Ends uploads of parts below a prefix that never became an object, those of which drop() says so;
   *count of them. Where there are no such uploads, or what is left of them goes with its prefix
   only (Swift), there are none. Errors: the store's. */
bool storage_drop_uploads(struct storage *storage, const char *prefix,
                          bool (*drop)(void *context, const char *name), void *context,
                          unsigned *count, struct gb_error *error);

/* Whether the store itself refuses to write over what is there, as far as has been seen: ask after
 * something was written. */
bool storage_is_conditional(const struct storage *storage);

/* The store's own clock: of a directory that of the file system (a file is written for it), of a
   bucket that of its answers. Errors: GB_store_failed (it does not tell), those of the store. */
bool storage_time(struct storage *storage, time_t *now, struct gb_error *error);

/* How much has been done there, in calls and pieces that have come back: a number that stands still
 * while the store hangs. */
uint64_t storage_operations(const struct storage *storage);

/* Where it is, for messages: "/var/lib/galera-backup", "s3://bucket/prefix". */
const char *storage_describe(const struct storage *storage);

#endif
