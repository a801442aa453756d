/*
  Objects as files below a directory; what its files share: directory.c (objects), directory_write.c
  (objects that are written), directory_lock.c (locks).

  An object is written under a temporary name and linked to its own when it is whole and on disk, so
  half an object never has an object's name. Directories are made 0700, files 0600. Names are
  checked to be relative and free of "..": below the root every directory is opened without
  following links.

  A lock is a file in the directory that it guards, held by flock(). A store knows the locks that
  were taken through it: what is below such a directory is written only while the lock is still the
  file of its name, and into the directory that the lock stands in, which is never made anew. And
  storage_remove_all() of that directory leaves the lock, because an NFS client renames a file that
  is open (.nfsXXXX) instead of removing it and no directory with a file in it goes:
  directory_unlock() removes first the lock, then the directory.
*/
#ifndef GB_AGENT_STORAGE_DIRECTORY_STORE_H
#define GB_AGENT_STORAGE_DIRECTORY_STORE_H

#include "agent/storage/direct.h"
#include "agent/storage/driver.h"

#include <limits.h>
#include <pthread.h>

#define DIRECTORY_TEMPORARY_SUFFIX ".part"

extern const struct storage_driver directory_driver;

struct directory {
    struct storage base;
    char path[PATH_MAX];
    int root;
    unsigned min_free_percent;
    pthread_mutex_t mutex; /* locks */
    struct directory_lock *locks;
};

struct directory_writer {
    struct storage_writer base;
    struct directory *storage;
    const struct directory_lock *lock; /* that guards the object; NULL: none of this store does */
    char name[PATH_MAX];
    char temporary[PATH_MAX];
    int directory, fd;
    struct direct direct;
    uint64_t unchecked;
};

struct directory_lock {
    struct storage_lock base;
    struct directory *storage;
    struct directory_lock *next;
    int directory, fd;
    bool remove_directory;
    char prefix[PATH_MAX]; /* the directory; "" the root */
    char name[NAME_MAX + 1];
};

/* Opens the directory that holds `name` below the directory `from`; *base is its last part. make:
 * create what is missing. -1 with errno. */
int directory_open_below(int from, const char *name, bool make, const char **base);
int directory_open_parent(struct directory *storage, const char *name, bool make,
                          const char **base);
/* For reading; -1. Errors: GB_not_found, GB_repository_unreachable, GB_store_unreachable. */
int directory_open_object(struct directory *storage, const char *name, struct gb_error *error);
bool directory_check_space(struct storage *storage, uint64_t bytes, uint64_t *free_bytes,
                           struct gb_error *error);

/* The lock of this store on the directory `prefix`, or, with below, on one that `prefix` is below
   of. Locks of the root guard nothing. It is valid as long as the one who asks for what it guards
   holds it. */
struct directory_lock *directory_find_lock(struct directory *storage, const char *prefix,
                                           bool below);
/* Whether what it guards may not be written any more. lock: may be NULL. True: the error is set. */
bool directory_lock_lost(const struct directory_lock *lock, struct gb_error *error);

/* As struct storage_driver wants them. */
struct storage_writer *directory_create(struct storage *storage, const char *name,
                                        struct gb_error *error);
bool directory_write(struct storage_writer *writer, const void *data, size_t size,
                     struct gb_error *error);
bool directory_commit(struct storage_writer *writer, struct gb_error *error);
void directory_abort(struct storage_writer *writer);
bool directory_replace(struct storage *storage, const char *name, const void *data, size_t size,
                       struct gb_error *error);
bool directory_make(struct storage *storage, const char *name, const void *data, size_t size,
                    struct gb_error *error);
struct storage_lock *directory_lock(struct storage *storage, const char *name,
                                    struct gb_error *error);
void directory_unlock(struct storage_lock *lock);
bool directory_lock_look(struct storage *storage, const char *name,
                         struct storage_lock_state *state, struct gb_error *error);

#endif
