/*
  A disk with bad sectors: loaded with LD_PRELOAD by tests. Reads at an offset fail with EIO where they touch the bytes from
  GB_FAIL_FROM to GB_FAIL_TO of a file whose path ends in GB_FAIL_PATH.
*/
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int fails(int fd, size_t size, off_t at)
{
    const char *end = getenv("GB_FAIL_PATH"), *from = getenv("GB_FAIL_FROM"), *to = getenv("GB_FAIL_TO");
    char link[64], path[4096];
    if (!end || !from || !to || at >= atoll(to) || at + (off_t)size <= atoll(from))
        return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, path, sizeof path - 1);
    size_t m = strlen(end);
    return n >= (ssize_t)m && !memcmp(path + n - m, end, m);
}

ssize_t pread(int fd, void *data, size_t size, off_t at)
{
    static ssize_t (*next)(int, void *, size_t, off_t);
    if (!next)
        next = (ssize_t(*)(int, void *, size_t, off_t))dlsym(RTLD_NEXT, "pread");
    if (fails(fd, size, at)) {
        errno = EIO;
        return -1;
    }
    return next(fd, data, size, at);
}

ssize_t pread64(int fd, void *data, size_t size, off_t at)
{
    return pread(fd, data, size, at);
}
