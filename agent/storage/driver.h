/*
  What a driver of storage.h is made of. A driver's own structs begin with these; storage.c calls
  through them and does what is the same for all. Only files of this directory include it.
*/
#ifndef GB_AGENT_STORAGE_DRIVER_H
#define GB_AGENT_STORAGE_DRIVER_H

#include "agent/storage/storage.h"

struct storage_driver {
    void (*close)(struct storage *storage);
    const char *(*describe)(const struct storage *storage);
    bool (*check_space)(struct storage *storage, uint64_t bytes, uint64_t *free_bytes,
                        struct gb_error *error);
    struct storage_writer *(*create)(struct storage *storage, const char *name,
                                     struct gb_error *error);
    bool (*write)(struct storage_writer *writer, const void *data, size_t size,
                  struct gb_error *error);
    bool (*commit)(struct storage_writer *writer, struct gb_error *error);
    void (*abort)(struct storage_writer *writer);
    bool (*replace)(struct storage *storage, const char *name, const void *data, size_t size,
                    struct gb_error *error);
    bool (*make)(struct storage *storage, const char *name, const void *data, size_t size,
                 struct gb_error *error);
    bool (*remove)(struct storage *storage, const char *name, struct gb_error *error);
    bool (*read)(struct storage *storage, const char *name, uint64_t offset, void *data,
                 size_t size, struct gb_error *error);
    bool (*size)(struct storage *storage, const char *name, uint64_t *size, struct gb_error *error);
    bool (*list)(struct storage *storage, const char *prefix,
                 bool (*visit)(void *context, const char *name, bool directory), void *context,
                 struct gb_error *error);
    bool (*remove_all)(struct storage *storage, const char *prefix, struct gb_error *error);
    struct storage_lock *(*lock)(struct storage *storage, const char *name, struct gb_error *error);
    void (*unlock)(struct storage_lock *lock);
    bool (*lock_look)(struct storage *storage, const char *name, struct storage_lock_state *state,
                      struct gb_error *error);
    /* May be NULL: there are none. */
    bool (*drop_uploads)(struct storage *storage, const char *prefix,
                         bool (*drop)(void *context, const char *name), void *context,
                         unsigned *count, struct gb_error *error);
    bool (*is_conditional)(const struct storage *storage); /* NULL: it always is */
    bool (*time)(struct storage *storage, time_t *now, struct gb_error *error);
};

struct storage {
    const struct storage_driver *driver;
    uint64_t operations; /* atomic: see storage_operations() */
};

struct storage_writer {
    const struct storage_driver *driver;
};

struct storage_lock {
    const struct storage_driver *driver;
};

/* Whether a name is relative, without empty parts, "." and "..", and of a length that every driver
 * takes. */
bool storage_name_clean(const char *name);

/* What a list leaves out: names that begin with a dot. */
bool storage_name_hidden(const char *name);

/* Something came back from the store. */
void storage_count(struct storage *storage);

#endif
