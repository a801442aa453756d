/* No link is followed below the data directory; see beneath.h. */
#include "agent/restore/beneath.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void close_keeping_errno(int fd)
{
    int failed = errno;
    if (fd >= 0)
        close(fd);
    errno = failed;
}

/* The directory that holds the last part of path; *base is that part. */
static int open_parent(const char *top, const char *path, const char **base)
{
    size_t n = strlen(top);
    if (strncmp(path, top, n) || path[n] != '/') {
        *base = path;
        return open("/", O_PATH | O_DIRECTORY |
                             O_CLOEXEC); /* path is absolute: openat() does not look at it */
    }
    int at = open(top, O_PATH | O_DIRECTORY | O_CLOEXEC);
    const char *part = path + n + strspn(path + n, "/"), *slash;
    while (at >= 0 && (slash = strchr(part, '/'))) {
        char one[NAME_MAX + 1];
        if ((size_t)(slash - part) > NAME_MAX) {
            close(at);
            errno = ENAMETOOLONG;
            return -1;
        }
        snprintf(one, sizeof one, "%.*s", (int)(slash - part), part);
        int next = openat(at, one, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        close_keeping_errno(at);
        at = next;
        part = slash + strspn(slash, "/");
    }
    *base = part;
    return at;
}

int beneath_open(const char *top, const char *path, int flags, mode_t mode)
{
    const char *base;
    int parent = open_parent(top, path, &base);
    int fd = parent < 0 ? -1 : openat(parent, base, flags | O_NOFOLLOW | O_CLOEXEC, mode);
    close_keeping_errno(parent);
    return fd;
}

bool beneath_make_directory(const char *top, const char *path, mode_t mode)
{
    const char *base;
    int parent = open_parent(top, path, &base), fd = -1;
    if (parent >= 0 && (!mkdirat(parent, base, 0700) || errno == EEXIST))
        fd = openat(parent, base, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    bool ok = fd >= 0 && !fchmod(fd, mode);
    close_keeping_errno(fd);
    close_keeping_errno(parent);
    return ok;
}

bool beneath_write(int fd, const void *data, size_t size, uint64_t offset)
{
    const char *at = data;
    while (size) {
        ssize_t n = pwrite(fd, at, size, (off_t)offset);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        at += n;
        size -= (size_t)n;
        offset += (uint64_t)n;
    }
    return true;
}

bool beneath_failed(struct gb_error *error, const char *path, const char *what)
{
    return error_set_errno(error, errno == ENOSPC ? GB_target_no_space : GB_target_failed, errno,
                           "%s can't be %s", path, what);
}
