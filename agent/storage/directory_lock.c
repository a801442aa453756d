/* Locks; see directory_store.h. */
#include "agent/storage/directory_store.h"
#include "agent/warn.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define LOCK_TRIES    20u
#define LOCK_PAUSE_MS 5

struct directory_lock *directory_find_lock(struct directory *s, const char *prefix, bool below)
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

/* Whoever held the lock may have removed the file between our open() and flock(): then it excludes
 * nobody. */
static bool still_named(const struct directory_lock *l)
{
    struct stat mine, there;
    return !fstat(l->fd, &mine) && !fstatat(l->directory, l->name, &there, AT_SYMLINK_NOFOLLOW) &&
           mine.st_ino == there.st_ino && mine.st_dev == there.st_dev;
}

/* What is written goes where the directories are that we hold open. They may have been moved, or
   their mount be gone: then nobody would find it below the repository's path. */
static bool still_below_path(const struct directory_lock *l)
{
    struct stat mine, there;
    char path[2 * PATH_MAX + NAME_MAX + 3];
    snprintf(path, sizeof path, "%s/%s/%s", l->storage->path, l->prefix, l->name);
    return !fstat(l->fd, &mine) && !stat(path, &there) && mine.st_ino == there.st_ino &&
           mine.st_dev == there.st_dev;
}

bool directory_lock_lost(const struct directory_lock *l, struct gb_error *error)
{
    if (!l || still_below_path(l))
        return false;
    if (still_named(l)) {
        error_set(error, GB_store_failed,
                  "%s/%s is not the directory any more that this backup was begun in: moved, "
                  "removed or unmounted",
                  l->storage->path, l->prefix);
        error_hint(error,
                   "see what is mounted at the repository's path, then start the backup again");
    } else
        error_set(
            error, GB_store_failed,
            "%s/%s/%s is not the lock any more that this backup holds: another process removed it",
            l->storage->path, l->prefix, l->name);
    return true;
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

static struct storage_lock *try_lock(struct storage *storage, const char *name,
                                     struct gb_error *error)
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
    l->directory = directory_open_parent(s, name, true, &base);
    l->fd = l->directory < 0
                ? -1
                : openat(l->directory, base, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
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

/* Who looks at a lock has it for that moment, and who collects finds a directory that has just been
 * made with nobody's lock in it. */
struct storage_lock *directory_lock(struct storage *storage, const char *name,
                                    struct gb_error *error)
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

/* The directory that storage_remove_all() left for its lock. Another lock may be in it by now: then
 * it stays for its owner. */
static void remove_locked_directory(const struct directory_lock *l)
{
    const char *base;
    int parent = directory_open_parent(l->storage, l->prefix, false, &base);
    bool ok = parent >= 0 && !unlinkat(parent, base, AT_REMOVEDIR) && !fsync(parent);
    struct gb_error problem = {0};
    if (!ok && errno != ENOENT) {
        error_set_errno(&problem, GB_store_failed, errno, "%s/%s can't be removed",
                        l->storage->path, l->prefix);
        warn_of(&problem, NULL);
    }
    if (parent >= 0)
        close(parent);
}

void directory_unlock(struct storage_lock *lock)
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

/* flock() tells whether a process of any host that shares the file system holds it; who wrote
 * itself into it, what it says. */
bool directory_lock_look(struct storage *storage, const char *name,
                         struct storage_lock_state *state, struct gb_error *error)
{
    struct directory *s = (struct directory *)storage;
    struct gb_error problem = {0};
    struct stat st;
    int fd = directory_open_object(s, name, &problem);
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
