/*
  Files that fail: loaded with LD_PRELOAD by tests, into a server or an agent. GB_FAULT_FILE has
  lines "CALL ERRNO END": CALL is open (for reading), read, write or sync, END the end of the path.
  While the file is there such a call fails with that errno; in threads whose name begins with
  GB_FAULT_THREADS only, if that is set: what is the server's own goes on.
*/
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/uio.h>
#include <unistd.h>

#define LINE 256

static bool is_ours(void)
{
    const char *prefix = getenv("GB_FAULT_THREADS");
    char name[17] = "";
    return !prefix || (!prctl(PR_GET_NAME, name) && !strncmp(name, prefix, strlen(prefix)));
}

static bool ends_with(const char *text, const char *end)
{
    size_t n = strlen(text), m = strlen(end);
    return m && n >= m && !strcmp(text + n - m, end);
}

/* The errno that the call on that path fails with, 0: none. */
static int fault(const char *call, const char *path)
{
    const char *file = getenv("GB_FAULT_FILE");
    char line[LINE], kind[16], end[LINE];
    int number, found = 0;
    FILE *lines = file && !access(file, F_OK) && is_ours() ? fopen(file, "re") : NULL;
    while (lines && !found && fgets(line, sizeof line, lines))
        if (sscanf(line, "%15s %d %255s", kind, &number, end) == 3 && !strcmp(kind, call) &&
            ends_with(path, end))
            found = number;
    if (lines)
        fclose(lines);
    return found;
}

static int fault_of(const char *call, int fd)
{
    const char *file = getenv("GB_FAULT_FILE");
    char link[64], path[4096];
    if (!file || access(file, F_OK))
        return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, path, sizeof path - 1);
    path[n > 0 ? n : 0] = '\0';
    return fault(call, path);
}

#define FAIL(number)                                                                               \
    do {                                                                                           \
        int failed = (number);                                                                     \
        if (failed) {                                                                              \
            errno = failed;                                                                        \
            return -1;                                                                             \
        }                                                                                          \
    } while (0)

#define NEXT(name, type)                                                                           \
    static type next;                                                                              \
    if (!next)                                                                                     \
    next = (type)dlsym(RTLD_NEXT, #name)

/* open() and its variants; those ending in _2 are what the compiler calls where no mode is given.
 */
typedef int (*open_call)(const char *, int, ...);
#define OPEN(name)                                                                                 \
    int name(const char *path, int flags, ...)                                                     \
    {                                                                                              \
        NEXT(name, open_call);                                                                     \
        va_list list;                                                                              \
        va_start(list, flags);                                                                     \
        int mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(list, int) : 0;                          \
        va_end(list);                                                                              \
        FAIL((flags & O_ACCMODE) == O_RDONLY ? fault("open", path) : 0);                           \
        return next(path, flags, mode);                                                            \
    }
typedef int (*open_2_call)(const char *, int);
#define OPEN_2(name)                                                                               \
    int name(const char *path, int flags)                                                          \
    {                                                                                              \
        NEXT(name, open_2_call);                                                                   \
        FAIL((flags & O_ACCMODE) == O_RDONLY ? fault("open", path) : 0);                           \
        return next(path, flags);                                                                  \
    }
typedef ssize_t (*read_call)(int, void *, size_t, off_t);
#define READ(name)                                                                                 \
    ssize_t name(int fd, void *data, size_t size, off_t at)                                        \
    {                                                                                              \
        NEXT(name, read_call);                                                                     \
        FAIL(fault_of("read", fd));                                                                \
        return next(fd, data, size, at);                                                           \
    }
typedef ssize_t (*read_vector_call)(int, const struct iovec *, int, off_t, int);
#define READ_VECTOR(name)                                                                          \
    ssize_t name(int fd, const struct iovec *data, int count, off_t at, int flags)                 \
    {                                                                                              \
        NEXT(name, read_vector_call);                                                              \
        FAIL(fault_of("read", fd));                                                                \
        return next(fd, data, count, at, flags);                                                   \
    }
typedef ssize_t (*write_at_call)(int, const void *, size_t, off_t);
#define WRITE_AT(name)                                                                             \
    ssize_t name(int fd, const void *data, size_t size, off_t at)                                  \
    {                                                                                              \
        NEXT(name, write_at_call);                                                                 \
        FAIL(fault_of("write", fd));                                                               \
        return next(fd, data, size, at);                                                           \
    }
typedef int (*sync_call)(int);
#define SYNC(name)                                                                                 \
    int name(int fd)                                                                               \
    {                                                                                              \
        NEXT(name, sync_call);                                                                     \
        FAIL(fault_of("sync", fd));                                                                \
        return next(fd);                                                                           \
    }

OPEN(open)
OPEN(open64)
OPEN_2(__open_2)
OPEN_2(__open64_2)
READ(pread)
READ(pread64)
READ_VECTOR(preadv2)
READ_VECTOR(preadv64v2)
WRITE_AT(pwrite)
WRITE_AT(pwrite64)
SYNC(fsync)
SYNC(fdatasync)

typedef ssize_t (*write_call)(int, const void *, size_t);
ssize_t write(int fd, const void *data, size_t size)
{
    NEXT(write, write_call);
    FAIL(fault_of("write", fd));
    return next(fd, data, size);
}
