/*
  Objects as files below a directory; see storage.h.

  An object is written under a temporary name and linked to its own when it is whole and on disk, so half an object
  never has an object's name. Directories are made 0700, files 0600. Names are checked to be relative and free of "..":
  below the root every directory is opened without following links.

  A lock is a file in the directory that it guards, held by flock(). A store knows the locks that were taken through it:
  what is below such a directory is written only while the lock is still the file of its name, and into the directory that
  the lock stands in, which is never made anew. And storage_remove_all() of that directory leaves the lock, because an NFS
  client renames a file that is open (.nfsXXXX) instead of removing it and no directory with a file in it goes:
  directory_unlock() removes first the lock, then the directory.
*/
#include "agent/storage/direct.h"
#include "agent/storage/driver.h"
#include "agent/warn.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define SPACE_CHECK_EVERY (64u << 20) /* bytes written between two looks at the free space */
#define COUNTED_SIZE      (1u << 20) /* bytes written at once, for storage_operations() */
#define TEMPORARY_SUFFIX  ".part"
#define LOCK_TRIES        20u
#define LOCK_PAUSE_MS     5
#define CLOCK_NAME        ".galera-backup-clock"

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

static const struct storage_driver directory_driver;
static void directory_abort(struct storage_writer *writer);

/* Opens the directory that holds `name` below the directory `from`; *base is its last part. make: create what is missing. */
static int open_below(int from, const char *name, bool make, const char **base)
{
    if (!storage_name_clean(name)) {
        errno = EINVAL;
        return -1;
    }
    int at = dup(from);
    const char *part = name, *slash;
    while (at >= 0 && (slash = strchr(part, '/'))) {
        char one[NAME_MAX + 1];
        snprintf(one, sizeof one, "%.*s", (int)(slash - part), part);
        int next = openat(at, one, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (next < 0 && errno == ENOENT && make) {
            if (!mkdirat(at, one, 0700))
                fsync(at);
            next = openat(at, one, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        }
        int failed = errno;
        close(at);
        errno = failed;
        at = next;
        part = slash + 1;
    }
    *base = part;
    return at;
}

static int open_parent(struct directory *s, const char *name, bool make, const char **base)
{
    return open_below(s->root, name, make, base);
}

/* The lock of this store on the directory `prefix`, or, with below, on one that `prefix` is below of. Locks of the root guard
   nothing. It is valid as long as the one who asks for what it guards holds it. */
static struct directory_lock *find_lock(struct directory *s, const char *prefix, bool below)
{
    pthread_mutex_lock(&s->mutex);
    struct directory_lock *l = s->locks;
    for (; l; l = l->next) {
        size_t n = strlen(l->prefix);
        if (n && !strncmp(prefix, l->prefix, n) && prefix[n] == (below ? '/' : '\0'))
            break;
    }
    pthread_mutex_unlock(&s->mutex);
    return l;
}

/* Whoever held the lock may have removed the file between our open() and flock(): then it excludes nobody. */
static bool still_named(const struct directory_lock *l)
{
    struct stat mine, there;
    return !fstat(l->fd, &mine) && !fstatat(l->directory, l->name, &there, AT_SYMLINK_NOFOLLOW) && mine.st_ino == there.st_ino &&
           mine.st_dev == there.st_dev;
}

/* What is written goes where the directories are that we hold open. They may have been moved, or their mount be gone: then nobody would find
   it below the repository's path. */
static bool still_below_path(const struct directory_lock *l)
{
    struct stat mine, there;
    char path[2 * PATH_MAX + NAME_MAX + 3];
    snprintf(path, sizeof path, "%s/%s/%s", l->storage->path, l->prefix, l->name);
    return !fstat(l->fd, &mine) && !stat(path, &there) && mine.st_ino == there.st_ino && mine.st_dev == there.st_dev;
}

static bool lock_lost(const struct directory_lock *l, struct gb_error *error)
{
    if (!l || still_below_path(l))
        return false;
    if (still_named(l)) {
        error_set(error, GB_store_failed, "%s/%s is not the directory any more that this backup was begun in: moved, removed or unmounted",
                  l->storage->path, l->prefix);
        error_hint(error, "see what is mounted at the repository's path, then start the backup again");
    } else
        error_set(error, GB_store_failed, "%s/%s/%s is not the lock any more that this backup holds: another process removed it",
                  l->storage->path, l->prefix, l->name);
    return true;
}

struct storage *storage_open_directory(const char *path, unsigned min_free_percent, struct gb_error *error)
{
    struct directory *s = calloc(1, sizeof *s);
    if (!s) {
        error_set(error, GB_internal, "no memory");
        return NULL;
    }
    s->base.driver = &directory_driver;
    snprintf(s->path, sizeof s->path, "%s", path);
    s->min_free_percent = min_free_percent;
    s->root = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (s->root >= 0) {
        pthread_mutex_init(&s->mutex, NULL);
        return &s->base;
    }
    bool missing = errno == ENOENT;
    error_set_errno(error, GB_repository_unreachable, errno, "the repository directory %s can't be opened", path);
    if (missing)
        error_hint(error, "see whether its file system is mounted; a new one is made by the agent when it starts, or with mkdir");
    free(s);
    return NULL;
}

static void directory_close(struct storage *storage)
{
    struct directory *s = (struct directory *)storage;
    close(s->root);
    pthread_mutex_destroy(&s->mutex);
    free(s);
}

static const char *directory_describe(const struct storage *storage)
{
    return ((const struct directory *)storage)->path;
}

static bool directory_check_space(struct storage *storage, uint64_t bytes, uint64_t *free_bytes, struct gb_error *error)
{
    struct directory *s = (struct directory *)storage;
    struct statvfs v;
    if (fstatvfs(s->root, &v))
        return error_set_errno(error, GB_repository_unreachable, errno, "%s", s->path);
    uint64_t available = (uint64_t)v.f_bavail * v.f_frsize, size = (uint64_t)v.f_blocks * v.f_frsize;
    uint64_t keep = size / 100 * s->min_free_percent;
    if (free_bytes)
        *free_bytes = available;
    if (available >= keep && available - keep >= bytes)
        return true;
    return error_set(error, GB_no_space,
                     "%s has %" PRIu64 " MB free of %" PRIu64 " MB; %" PRIu64 " MB are wanted and min-free keeps %" PRIu64
                     " MB (%u %%)",
                     s->path, available >> 20, size >> 20, bytes >> 20, keep >> 20, s->min_free_percent);
}

static bool write_failed(struct directory_writer *w, int failed, struct gb_error *error)
{
    if (failed == ENOSPC || failed == EDQUOT)
        return error_set_errno(error, GB_no_space, failed, "%s/%s", w->storage->path, w->name);
    return error_set_errno(error, GB_store_failed, failed, "%s/%s can't be written", w->storage->path, w->name);
}

static struct storage_writer *directory_create(struct storage *storage, const char *name, struct gb_error *error)
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
    w->lock = find_lock(s, name, true);
    if (lock_lost(w->lock, error)) {
        free(w);
        return NULL;
    }
    if (w->lock)
        w->directory = open_below(w->lock->directory, name + strlen(w->lock->prefix) + 1, true, &base);
    else
        w->directory = open_parent(s, name, true, &base);
    if (w->directory >= 0) {
        snprintf(w->temporary, sizeof w->temporary, "%s" TEMPORARY_SUFFIX, base);
        if (w->lock) /* ours: then whoever wrote it has died */
            unlinkat(w->directory, w->temporary, 0);
        w->fd = openat(w->directory, w->temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
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

static bool directory_write(struct storage_writer *writer, const void *data, size_t size, struct gb_error *error)
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

static bool directory_commit(struct storage_writer *writer, struct gb_error *error)
{
    struct directory_writer *w = (struct directory_writer *)writer;
    const char *base = strrchr(w->name, '/');
    base = base ? base + 1 : w->name;
    bool synced = direct_flush(&w->direct) && !fsync(w->fd), lost = synced && lock_lost(w->lock, error);
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

static void directory_abort(struct storage_writer *writer)
{
    struct directory_writer *w = (struct directory_writer *)writer;
    unlinkat(w->directory, w->temporary, 0);
    direct_end(&w->direct);
    close(w->fd);
    close(w->directory);
    free(w);
}

/* The temporary file of an object that is replaced, locked: who else replaces it waits. What a process that died left there is
   taken over. -1 with errno. */
static int open_replacement(int directory, const char *temporary)
{
    for (;;) {
        struct stat mine, there;
        int fd = openat(directory, temporary, O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
        if (fd < 0)
            return -1;
        bool locked = !flock(fd, LOCK_EX) && !fstat(fd, &mine);
        bool named = locked && !fstatat(directory, temporary, &there, AT_SYMLINK_NOFOLLOW) && mine.st_ino == there.st_ino &&
                     mine.st_dev == there.st_dev;
        if (named && !ftruncate(fd, 0))
            return fd;
        int failed = errno;
        close(fd);
        errno = failed;
        if (!locked || named) /* else it has got its own name meanwhile */
            return -1;
    }
}

/* new: nothing may be there, which is looked at under the lock of the temporary file, as all who write this object have it. Not by a link: who
   died before he had removed the other name would leave the object itself to be taken over. */
static bool write_whole(struct storage *storage, const char *name, const void *data, size_t size, bool new, struct gb_error *error)
{
    struct stat there;
    struct directory *s = (struct directory *)storage;
    struct directory_writer w = {.storage = s, .directory = -1, .fd = -1};
    const char *base;
    w.lock = find_lock(s, name, true);
    if (lock_lost(w.lock, error))
        return false;
    snprintf(w.name, sizeof w.name, "%s", name);
    w.directory = w.lock ? open_below(w.lock->directory, name + strlen(w.lock->prefix) + 1, true, &base) : open_parent(s, name, true, &base);
    if (w.directory >= 0) {
        snprintf(w.temporary, sizeof w.temporary, "%s" TEMPORARY_SUFFIX, base);
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
    ok = ok && !fsync(w.fd) && !renameat(w.directory, w.temporary, w.directory, base) && !fsync(w.directory);
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

static bool directory_replace(struct storage *storage, const char *name, const void *data, size_t size, struct gb_error *error)
{
    return write_whole(storage, name, data, size, false, error);
}

static bool directory_make(struct storage *storage, const char *name, const void *data, size_t size, struct gb_error *error)
{
    return write_whole(storage, name, data, size, true, error);
}

static bool directory_remove(struct storage *storage, const char *name, struct gb_error *error)
{
    struct directory *s = (struct directory *)storage;
    const char *base;
    int directory = open_parent(s, name, false, &base);
    bool ok = directory >= 0 && !unlinkat(directory, base, 0) && !fsync(directory);
    ok = ok || errno == ENOENT || error_set_errno(error, GB_store_failed, errno, "%s/%s can't be removed", s->path, name);
    if (directory >= 0)
        close(directory);
    return ok;
}

/* Of what can't be read: damage, or a store that is away and gives no sign of what it holds? */
static enum gb_code unreadable(const struct directory *s, int failed)
{
    struct statvfs v;
    switch (failed) {
    case ESTALE:
    case ETIMEDOUT:
    case EHOSTDOWN:
    case ENOTCONN:
    case EMFILE:
    case ENFILE:
    case ENOMEM:
        return GB_store_unreachable;
    case EACCES: /* of one backup, or of all? */
    case EPERM:
        return faccessat(s->root, ".", R_OK | X_OK, AT_EACCESS) ? GB_store_unreachable : GB_repository_unreachable;
    case EIO:
        return fstatvfs(s->root, &v) ? GB_store_unreachable : GB_repository_unreachable;
    default:
        return GB_repository_unreachable;
    }
}

static int open_object(struct directory *s, const char *name, struct gb_error *error)
{
    const char *base;
    int directory = open_parent(s, name, false, &base);
    int fd = directory < 0 ? -1 : openat(directory, base, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    int failed = errno;
    if (directory >= 0)
        close(directory);
    if (fd < 0)
        error_set_errno(error, failed == ENOENT ? GB_not_found : unreadable(s, failed), failed, "%s/%s", s->path, name);
    return fd;
}

static bool directory_read(struct storage *storage, const char *name, uint64_t offset, void *data, size_t size,
                           struct gb_error *error)
{
    struct directory *s = (struct directory *)storage;
    int fd = open_object(s, name, error);
    if (fd < 0)
        return false;
    size_t have = 0;
    while (have < size) {
        ssize_t n = pread(fd, (char *)data + have, size - have, (off_t)(offset + have));
        if (n < 0 && errno == EINTR)
            continue;
        int failed = errno;
        if (n < 0)
            error_set_errno(error, unreadable(s, failed), failed, "%s/%s at offset %" PRIu64, s->path, name, offset);
        else if (n == 0)
            error_set(error, GB_corrupt_backup, "%s/%s ends before offset %" PRIu64, s->path, name, offset + size);
        if (n <= 0)
            break;
        have += (size_t)n;
    }
    posix_fadvise(fd, (off_t)offset, (off_t)size, POSIX_FADV_DONTNEED);
    close(fd);
    return have == size;
}

static bool directory_size(struct storage *storage, const char *name, uint64_t *size, struct gb_error *error)
{
    struct directory *s = (struct directory *)storage;
    int fd = open_object(s, name, error);
    if (fd < 0)
        return false;
    struct stat st;
    bool ok = !fstat(fd, &st) && S_ISREG(st.st_mode);
    close(fd);
    storage_count(&s->base);
    *size = ok ? (uint64_t)st.st_size : 0;
    return ok || error_set(error, GB_corrupt_backup, "%s/%s is not a file", s->path, name);
}

/* The directory `prefix` below the root, or -1. */
static int open_prefix(struct directory *s, const char *prefix)
{
    if (!*prefix)
        return dup(s->root);
    const char *base;
    int parent = open_parent(s, prefix, false, &base);
    int fd = parent < 0 ? -1 : openat(parent, base, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    int failed = errno;
    if (parent >= 0)
        close(parent);
    errno = failed;
    return fd;
}

/* Objects that are being written are none yet. */
static int is_entry(const struct dirent *e)
{
    size_t n = strlen(e->d_name), suffix = strlen(TEMPORARY_SUFFIX);
    return !storage_name_hidden(e->d_name) && strcmp(e->d_name, "lost+found") &&
           (n < suffix || strcmp(e->d_name + n - suffix, TEMPORARY_SUFFIX));
}

static bool directory_list(struct storage *storage, const char *prefix,
                           bool (*visit)(void *context, const char *name, bool directory), void *context, struct gb_error *error)
{
    struct directory *s = (struct directory *)storage;
    int fd = open_prefix(s, prefix);
    if (fd < 0)
        return errno == ENOENT || error_set_errno(error, GB_repository_unreachable, errno, "%s/%s", s->path, prefix);
    struct dirent **list;
    int count = scandirat(fd, ".", &list, is_entry, alphasort);
    if (count < 0) {
        error_set_errno(error, GB_repository_unreachable, errno, "%s/%s", s->path, prefix);
        close(fd);
        return false;
    }
    bool go_on = true, ok = true;
    for (int i = 0; i < count; i++) {
        struct stat st;
        bool there = go_on && ok && !fstatat(fd, list[i]->d_name, &st, AT_SYMLINK_NOFOLLOW);
        if (there && (S_ISDIR(st.st_mode) || S_ISREG(st.st_mode)))
            go_on = visit(context, list[i]->d_name, S_ISDIR(st.st_mode));
        else if (!there && go_on && ok && errno != ENOENT)
            ok = error_set_errno(error, GB_repository_unreachable, errno, "%s/%s/%s", s->path, prefix, list[i]->d_name);
        free(list[i]);
    }
    free(list);
    close(fd);
    return ok;
}

/* Removes all entries of an open directory but `keep`; takes fd over. */
static bool remove_entries(int fd, const char *keep)
{
    DIR *d = fdopendir(fd);
    if (!d) {
        close(fd);
        return false;
    }
    bool ok = !unlinkat(fd, "backup.json", 0) || errno == ENOENT; /* else it would be a backup without its data */
    int failed = errno;
    for (struct dirent *e; ok && (e = readdir(d));) {
        if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, "..") || !strcmp(e->d_name, keep))
            continue;
        if (!unlinkat(fd, e->d_name, 0))
            continue;
        int child = openat(fd, e->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        ok = child >= 0 && remove_entries(child, "") && !unlinkat(fd, e->d_name, AT_REMOVEDIR);
        failed = errno;
    }
    closedir(d);
    errno = failed;
    return ok;
}

static bool directory_remove_all(struct storage *storage, const char *prefix, struct gb_error *error)
{
    struct directory *s = (struct directory *)storage;
    const char *base;
    int parent = open_parent(s, prefix, false, &base);
    int fd = parent < 0 ? -1 : openat(parent, base, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    bool absent = fd < 0 && errno == ENOENT;
    struct directory_lock *lock = fd < 0 ? NULL : find_lock(s, prefix, false);
    bool ok = fd >= 0 && remove_entries(fd, lock ? lock->name : "");
    if (ok && lock)
        lock->remove_directory = true;
    else
        ok = ok && !unlinkat(parent, base, AT_REMOVEDIR) && !fsync(parent);
    if (!ok && !absent)
        error_set_errno(error, GB_store_failed, errno, "%s/%s can't be removed", s->path, prefix);
    if (parent >= 0)
        close(parent);
    return ok || absent;
}

/* For whoever looks at it: it is flock() that excludes. */
static void sign(const struct directory_lock *l)
{
    char host[64] = "", text[128];
    gethostname(host, sizeof host - 1);
    int n = snprintf(text, sizeof text, "%s, process %d\n", host, (int)getpid());
    if (ftruncate(l->fd, 0) || pwrite(l->fd, text, (size_t)n, 0) < 0)
        errno = 0; /* a full file system: the lock holds all the same */
}

static struct storage_lock *try_lock(struct storage *storage, const char *name, struct gb_error *error)
{
    struct directory *s = (struct directory *)storage;
    const char *base;
    struct directory_lock *l = calloc(1, sizeof *l);
    if (!l) {
        error_set(error, GB_internal, "no memory");
        return NULL;
    }
    l->base.driver = &directory_driver;
    l->storage = s;
    l->directory = open_parent(s, name, true, &base);
    l->fd = l->directory < 0 ? -1 : openat(l->directory, base, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    bool locked = l->fd >= 0 && !flock(l->fd, LOCK_EX | LOCK_NB);
    if (locked) {
        snprintf(l->name, sizeof l->name, "%s", base);
        if (base > name)
            snprintf(l->prefix, sizeof l->prefix, "%.*s", (int)(base - name - 1), name);
    }
    if (locked && still_named(l)) {
        sign(l);
        pthread_mutex_lock(&s->mutex);
        l->next = s->locks;
        s->locks = l;
        pthread_mutex_unlock(&s->mutex);
        return &l->base;
    }
    if (locked || (l->fd >= 0 && errno == EWOULDBLOCK))
        error_set(error, GB_repository_busy, "%s/%s is locked by another process", s->path, name);
    else
        error_set_errno(error, GB_store_failed, errno, "%s/%s can't be locked", s->path, name);
    if (l->fd >= 0)
        close(l->fd);
    if (l->directory >= 0)
        close(l->directory);
    free(l);
    return NULL;
}

/* Who looks at a lock has it for that moment, and who collects finds a directory that has just been made with nobody's lock in it. */
static struct storage_lock *directory_lock(struct storage *storage, const char *name, struct gb_error *error)
{
    for (unsigned tries = LOCK_TRIES; tries--;) {
        struct gb_error problem = {0};
        struct storage_lock *lock = try_lock(storage, name, &problem);
        if (lock)
            return lock;
        if (problem.code == GB_repository_busy && tries) {
            nanosleep(&(struct timespec){.tv_nsec = LOCK_PAUSE_MS * 1000000L}, NULL);
            continue;
        }
        error_copy(error, &problem);
        break;
    }
    return NULL;
}

/* The directory that storage_remove_all() left for its lock. Another lock may be in it by now: then it stays for its owner. */
static void remove_locked_directory(const struct directory_lock *l)
{
    const char *base;
    int parent = open_parent(l->storage, l->prefix, false, &base);
    bool ok = parent >= 0 && !unlinkat(parent, base, AT_REMOVEDIR) && !fsync(parent);
    struct gb_error problem = {0};
    if (!ok && errno != ENOENT) {
        error_set_errno(&problem, GB_store_failed, errno, "%s/%s can't be removed", l->storage->path, l->prefix);
        warn_of(&problem, NULL);
    }
    if (parent >= 0)
        close(parent);
}

static void directory_unlock(struct storage_lock *lock)
{
    struct directory_lock *l = (struct directory_lock *)lock;
    pthread_mutex_lock(&l->storage->mutex);
    for (struct directory_lock **at = &l->storage->locks; *at; at = &(*at)->next)
        if (*at == l) {
            *at = l->next;
            break;
        }
    pthread_mutex_unlock(&l->storage->mutex);
    if (still_named(l))
        unlinkat(l->directory, l->name, 0);
    close(l->fd);
    if (l->remove_directory)
        remove_locked_directory(l);
    close(l->directory);
    free(l);
}

/* flock() tells whether a process of any host that shares the file system holds it; who wrote itself into it, what it says. */
static bool directory_lock_look(struct storage *storage, const char *name, struct storage_lock_state *state, struct gb_error *error)
{
    struct directory *s = (struct directory *)storage;
    struct gb_error problem = {0};
    struct stat st;
    int fd = open_object(s, name, &problem);
    if (fd < 0) {
        if (problem.code != GB_not_found)
            error_copy(error, &problem);
        return problem.code == GB_not_found;
    }
    state->there = true;
    state->held = flock(fd, LOCK_SH | LOCK_NB) != 0;
    ssize_t n = read(fd, state->owner, sizeof state->owner - 1);
    state->owner[n > 0 ? strcspn(state->owner, "\n") : 0] = '\0';
    if (!fstat(fd, &st))
        state->since = st.st_mtime;
    close(fd);
    return true;
}

static bool directory_time(struct storage *storage, time_t *now, struct gb_error *error)
{
    struct directory *s = (struct directory *)storage;
    struct stat st;
    int fd = openat(s->root, CLOCK_NAME, O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    bool ok = fd >= 0 && !futimens(fd, NULL) && !fstat(fd, &st); /* no byte is written: a full file system has a clock, too */
    if (!ok)
        error_set_errno(error, GB_store_failed, errno, "%s/" CLOCK_NAME " can't be written", s->path);
    else
        *now = st.st_mtime;
    if (fd >= 0) {
        unlinkat(s->root, CLOCK_NAME, 0);
        close(fd);
    }
    return ok;
}

static const struct storage_driver directory_driver = {
    .close = directory_close,
    .describe = directory_describe,
    .check_space = directory_check_space,
    .create = directory_create,
    .write = directory_write,
    .commit = directory_commit,
    .abort = directory_abort,
    .replace = directory_replace,
    .make = directory_make,
    .remove = directory_remove,
    .read = directory_read,
    .size = directory_size,
    .list = directory_list,
    .remove_all = directory_remove_all,
    .lock = directory_lock,
    .unlock = directory_unlock,
    .lock_look = directory_lock_look,
    .time = directory_time,
};
