/* The driver of directories; see directory_store.h. */
#include "agent/storage/directory_store.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define CLOCK_NAME ".galera-backup-clock"

int directory_open_below(int from, const char *name, bool make, const char **base)
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

int directory_open_parent(struct directory *s, const char *name, bool make, const char **base)
{
    return directory_open_below(s->root, name, make, base);
}

struct storage *storage_open_directory(const char *path, unsigned min_free_percent,
                                       struct gb_error *error)
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
    error_set_errno(error, GB_repository_unreachable, errno,
                    "the repository directory %s can't be opened", path);
    if (missing)
        error_hint(error, "see whether its file system is mounted; a new one is made by the agent "
                          "when it starts, or with mkdir");
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

bool directory_check_space(struct storage *storage, uint64_t bytes, uint64_t *free_bytes,
                           struct gb_error *error)
{
    struct directory *s = (struct directory *)storage;
    struct statvfs v;
    if (fstatvfs(s->root, &v))
        return error_set_errno(error, GB_repository_unreachable, errno, "%s", s->path);
    uint64_t available = (uint64_t)v.f_bavail * v.f_frsize,
             size = (uint64_t)v.f_blocks * v.f_frsize;
    uint64_t keep = size / 100 * s->min_free_percent;
    if (free_bytes)
        *free_bytes = available;
    if (available >= keep && available - keep >= bytes)
        return true;
    return error_set(error, GB_no_space,
                     "%s has %" PRIu64 " MB free of %" PRIu64 " MB; %" PRIu64
                     " MB are wanted and min-free keeps %" PRIu64 " MB (%u %%)",
                     s->path, available >> 20, size >> 20, bytes >> 20, keep >> 20,
                     s->min_free_percent);
}

static bool directory_remove(struct storage *storage, const char *name, struct gb_error *error)
{
    struct directory *s = (struct directory *)storage;
    const char *base;
    int directory = directory_open_parent(s, name, false, &base);
    bool ok = directory >= 0 && !unlinkat(directory, base, 0) && !fsync(directory);
    ok = ok || errno == ENOENT ||
         error_set_errno(error, GB_store_failed, errno, "%s/%s can't be removed", s->path, name);
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
        return faccessat(s->root, ".", R_OK | X_OK, AT_EACCESS) ? GB_store_unreachable
                                                                : GB_repository_unreachable;
    case EIO:
        return fstatvfs(s->root, &v) ? GB_store_unreachable : GB_repository_unreachable;
    default:
        return GB_repository_unreachable;
    }
}

int directory_open_object(struct directory *s, const char *name, struct gb_error *error)
{
    const char *base;
    int directory = directory_open_parent(s, name, false, &base);
    int fd = directory < 0 ? -1 : openat(directory, base, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    int failed = errno;
    if (directory >= 0)
        close(directory);
    if (fd < 0)
        error_set_errno(error, failed == ENOENT ? GB_not_found : unreadable(s, failed), failed,
                        "%s/%s", s->path, name);
    return fd;
}

static bool directory_read(struct storage *storage, const char *name, uint64_t offset, void *data,
                           size_t size, struct gb_error *error)
{
    struct directory *s = (struct directory *)storage;
    int fd = directory_open_object(s, name, error);
    if (fd < 0)
        return false;
    size_t have = 0;
    while (have < size) {
        ssize_t n = pread(fd, (char *)data + have, size - have, (off_t)(offset + have));
        if (n < 0 && errno == EINTR)
            continue;
        int failed = errno;
        if (n < 0)
            error_set_errno(error, unreadable(s, failed), failed, "%s/%s at offset %" PRIu64,
                            s->path, name, offset);
        else if (n == 0)
            error_set(error, GB_corrupt_backup, "%s/%s ends before offset %" PRIu64, s->path, name,
                      offset + size);
        if (n <= 0)
            break;
        have += (size_t)n;
    }
    posix_fadvise(fd, (off_t)offset, (off_t)size, POSIX_FADV_DONTNEED);
    close(fd);
    return have == size;
}

static bool directory_size(struct storage *storage, const char *name, uint64_t *size,
                           struct gb_error *error)
{
    struct directory *s = (struct directory *)storage;
    int fd = directory_open_object(s, name, error);
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
    int parent = directory_open_parent(s, prefix, false, &base);
    int fd =
        parent < 0 ? -1 : openat(parent, base, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    int failed = errno;
    if (parent >= 0)
        close(parent);
    errno = failed;
    return fd;
}

/* Objects that are being written are none yet. */
static int is_entry(const struct dirent *e)
{
    size_t n = strlen(e->d_name), suffix = strlen(DIRECTORY_TEMPORARY_SUFFIX);
    return !storage_name_hidden(e->d_name) && strcmp(e->d_name, "lost+found") &&
           (n < suffix || strcmp(e->d_name + n - suffix, DIRECTORY_TEMPORARY_SUFFIX));
}

static bool directory_list(struct storage *storage, const char *prefix,
                           bool (*visit)(void *context, const char *name, bool directory),
                           void *context, struct gb_error *error)
{
    struct directory *s = (struct directory *)storage;
    int fd = open_prefix(s, prefix);
    if (fd < 0)
        return errno == ENOENT ||
               error_set_errno(error, GB_repository_unreachable, errno, "%s/%s", s->path, prefix);
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
            ok = error_set_errno(error, GB_repository_unreachable, errno, "%s/%s/%s", s->path,
                                 prefix, list[i]->d_name);
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
    bool ok = !unlinkat(fd, "backup.json", 0) ||
              errno == ENOENT; /* else it would be a backup without its data */
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

static bool directory_remove_all(struct storage *storage, const char *prefix,
                                 struct gb_error *error)
{
    struct directory *s = (struct directory *)storage;
    const char *base;
    int parent = directory_open_parent(s, prefix, false, &base);
    int fd =
        parent < 0 ? -1 : openat(parent, base, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    bool absent = fd < 0 && errno == ENOENT;
    struct directory_lock *lock = fd < 0 ? NULL : directory_find_lock(s, prefix, false);
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

static bool directory_time(struct storage *storage, time_t *now, struct gb_error *error)
{
    struct directory *s = (struct directory *)storage;
    struct stat st;
    int fd = openat(s->root, CLOCK_NAME, O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    bool ok = fd >= 0 && !futimens(fd, NULL) &&
              !fstat(fd, &st); /* no byte is written: a full file system has a clock, too */
    if (!ok)
        error_set_errno(error, GB_store_failed, errno, "%s/" CLOCK_NAME " can't be written",
                        s->path);
    else
        *now = st.st_mtime;
    if (fd >= 0) {
        unlinkat(s->root, CLOCK_NAME, 0);
        close(fd);
    }
    return ok;
}

const struct storage_driver directory_driver = {
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
