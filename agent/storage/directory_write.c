/* Objects that are written; see directory_store.h. */
#include "agent/storage/directory_store.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define SPACE_CHECK_EVERY (64u << 20) /* bytes written between two looks at the free space */
#define COUNTED_SIZE      (1u << 20)  /* bytes written at once, for storage_operations() */

static bool write_failed(struct directory_writer *w, int failed, struct gb_error *error)
{
    if (failed == ENOSPC || failed == EDQUOT)
        return error_set_errno(error, GB_no_space, failed, "%s/%s", w->storage->path, w->name);
    return error_set_errno(error, GB_store_failed, failed, "%s/%s can't be written",
                           w->storage->path, w->name);
}

struct storage_writer *directory_create(struct storage *storage, const char *name,
                                        struct gb_error *error)
{
    struct directory *s = (struct directory *)storage;
    struct directory_writer *w = calloc(1, sizeof *w);
    if (!w) {
        error_set(error, GB_internal, "no memory");
        return NULL;
    }
    w->base.driver = &directory_driver;
    w->storage = s;
    w->fd = -1;
    snprintf(w->name, sizeof w->name, "%s", name);
    const char *base;
    w->lock = directory_find_lock(s, name, true);
    if (directory_lock_lost(w->lock, error)) {
        free(w);
        return NULL;
    }
    if (w->lock)
        w->directory = directory_open_below(w->lock->directory, name + strlen(w->lock->prefix) + 1,
                                            true, &base);
    else
        w->directory = directory_open_parent(s, name, true, &base);
    if (w->directory >= 0) {
        snprintf(w->temporary, sizeof w->temporary, "%s" DIRECTORY_TEMPORARY_SUFFIX, base);
        if (w->lock) /* ours: then whoever wrote it has died */
            unlinkat(w->directory, w->temporary, 0);
        w->fd = openat(w->directory, w->temporary,
                       O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    }
    storage_count(&s->base);
    if (w->fd >= 0 && direct_begin(&w->direct, w->fd))
        return &w->base;
    write_failed(w, w->fd < 0 ? errno : ENOMEM, error);
    if (w->fd >= 0) {
        unlinkat(w->directory, w->temporary, 0);
        close(w->fd);
    }
    if (w->directory >= 0)
        close(w->directory);
    free(w);
    return NULL;
}

bool directory_write(struct storage_writer *writer, const void *data, size_t size,
                     struct gb_error *error)
{
    struct directory_writer *w = (struct directory_writer *)writer;
    w->unchecked += size;
    if (w->unchecked >= SPACE_CHECK_EVERY) {
        w->unchecked = 0;
        if (!directory_check_space(&w->storage->base, 0, NULL, error))
            return false;
    }
    const char *at = data;
    for (size_t n; size; at += n, size -= n, storage_count(&w->storage->base)) {
        n = size < COUNTED_SIZE ? size : COUNTED_SIZE;
        if (!direct_write(&w->direct, at, n))
            return write_failed(w, errno, error);
    }
    return true;
}

bool directory_commit(struct storage_writer *writer, struct gb_error *error)
{
    struct directory_writer *w = (struct directory_writer *)writer;
    const char *base = strrchr(w->name, '/');
    base = base ? base + 1 : w->name;
    bool synced = direct_flush(&w->direct) && !fsync(w->fd),
         lost = synced && directory_lock_lost(w->lock, error);
    bool ok = synced && !lost && !linkat(w->directory, w->temporary, w->directory, base, 0) &&
              !unlinkat(w->directory, w->temporary, 0) && !fsync(w->directory);
    if (!ok) {
        if (!lost)
            write_failed(w, errno, error);
        directory_abort(writer);
        return false;
    }
    storage_count(&w->storage->base);
    posix_fadvise(w->fd, 0, 0, POSIX_FADV_DONTNEED);
    direct_end(&w->direct);
    close(w->fd);
    close(w->directory);
    free(w);
    return true;
}

void directory_abort(struct storage_writer *writer)
{
    struct directory_writer *w = (struct directory_writer *)writer;
    unlinkat(w->directory, w->temporary, 0);
    direct_end(&w->direct);
    close(w->fd);
    close(w->directory);
    free(w);
}

/* The temporary file of an object that is replaced, locked: who else replaces it waits. What a
   process that died left there is taken over. -1 with errno. */
static int open_replacement(int directory, const char *temporary)
{
    for (;;) {
        struct stat mine, there;
        int fd = openat(directory, temporary, O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
        if (fd < 0)
            return -1;
        bool locked = !flock(fd, LOCK_EX) && !fstat(fd, &mine);
        bool named = locked && !fstatat(directory, temporary, &there, AT_SYMLINK_NOFOLLOW) &&
                     mine.st_ino == there.st_ino && mine.st_dev == there.st_dev;
        if (named && !ftruncate(fd, 0))
            return fd;
        int failed = errno;
        close(fd);
        errno = failed;
        if (!locked || named) /* else it has got its own name meanwhile */
            return -1;
    }
}

/* new: nothing may be there, which is looked at under the lock of the temporary file, as all who
   write this object have it. Not by a link: who died before he had removed the other name would
   leave the object itself to be taken over. */
static bool write_whole(struct storage *storage, const char *name, const void *data, size_t size,
                        bool new, struct gb_error *error)
{
    struct stat there;
    struct directory *s = (struct directory *)storage;
    struct directory_writer w = {.storage = s, .directory = -1, .fd = -1};
    const char *base;
    w.lock = directory_find_lock(s, name, true);
    if (directory_lock_lost(w.lock, error))
        return false;
    snprintf(w.name, sizeof w.name, "%s", name);
    w.directory = w.lock ? directory_open_below(w.lock->directory,
                                                name + strlen(w.lock->prefix) + 1, true, &base)
                         : directory_open_parent(s, name, true, &base);
    if (w.directory >= 0) {
        snprintf(w.temporary, sizeof w.temporary, "%s" DIRECTORY_TEMPORARY_SUFFIX, base);
        w.fd = open_replacement(w.directory, w.temporary);
    }
    bool ok = w.fd >= 0;
    if (ok && new && !fstatat(w.directory, base, &there, AT_SYMLINK_NOFOLLOW)) {
        ok = false;
        errno = EEXIST;
    }
    for (size_t at = 0; ok && at < size;) {
        ssize_t n = write(w.fd, (const char *)data + at, size - at);
        ok = n > 0 || (n < 0 && errno == EINTR);
        at += n > 0 ? (size_t)n : 0;
    }
    ok = ok && !fsync(w.fd) && !renameat(w.directory, w.temporary, w.directory, base) &&
         !fsync(w.directory);
    if (!ok) {
        write_failed(&w, errno, error);
        if (w.fd >= 0)
            unlinkat(w.directory, w.temporary, 0);
    }
    if (w.fd >= 0)
        close(w.fd);
    if (w.directory >= 0)
        close(w.directory);
    storage_count(&s->base);
    return ok;
}

bool directory_replace(struct storage *storage, const char *name, const void *data, size_t size,
                       struct gb_error *error)
{
    return write_whole(storage, name, data, size, false, error);
}

bool directory_make(struct storage *storage, const char *name, const void *data, size_t size,
                    struct gb_error *error)
{
    return write_whole(storage, name, data, size, true, error);
}
