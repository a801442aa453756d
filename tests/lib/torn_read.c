/*
  A read that meets a write half way: loaded with LD_PRELOAD by tests, into a server. The first pread() of the plugin's threads (their names
  begin with "gb-") that has all of block GB_TORN_BLOCK, of GB_TORN_SIZE bytes, of a file whose path ends in GB_TORN_PATH finds other bytes
  in the second half of that block. The file GB_TORN_TOLD is made then.
*/
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

static int is_meant(int fd)
{
    char link[64], path[4096], name[17] = "";
    const char *end = getenv("GB_TORN_PATH");
    prctl(PR_GET_NAME, name);
    if (!end || strncmp(name, "gb-", 3))
        return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, path, sizeof path - 1);
    size_t m = strlen(end);
    return n >= (ssize_t)m && !memcmp(path + n - m, end, m);
}

ssize_t pread(int fd, void *data, size_t size, off_t at)
{
    static ssize_t (*next)(int, void *, size_t, off_t);
    static atomic_int torn;
    if (!next)
        next = (ssize_t(*)(int, void *, size_t, off_t))dlsym(RTLD_NEXT, "pread");
    ssize_t got = next(fd, data, size, at);
    if (!is_meant(fd))
        return got;
    off_t block = atoll(getenv("GB_TORN_SIZE")), from = atoll(getenv("GB_TORN_BLOCK")) * block;
    if (at <= from && at + got >= from + block && !atomic_exchange(&torn, 1)) {
        memset((char *)data + (from - at) + block / 2, 0xa5, (size_t)block / 2);
        close(open(getenv("GB_TORN_TOLD"), O_WRONLY | O_CREAT, 0600));
    }
    return got;
}

ssize_t pread64(int fd, void *data, size_t size, off_t at)
{
    return pread(fd, data, size, at);
}
