/*
  Reads that go wrong: loaded with LD_PRELOAD by tests.

  A disk with bad sectors: reads at an offset fail with EIO where they touch the bytes from
  GB_FAIL_FROM to GB_FAIL_TO of a file whose path ends in GB_FAIL_PATH.

  A read that meets a write half way: the first pread() of the plugin's threads (their names begin
  with "gb-") that has all of block GB_TORN_BLOCK, of GB_TORN_SIZE bytes, of a file whose path ends
  in GB_TORN_PATH finds other bytes in the second half of that block. The file GB_TORN_TOLD is made
  then.
*/
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

static int is_of(int fd, const char *end)
{
    char link[64], path[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, path, sizeof path - 1);
    size_t m = strlen(end);
    return n >= (ssize_t)m && !memcmp(path + n - m, end, m);
}

static int fails(int fd, size_t size, off_t at)
{
    const char *end = getenv("GB_FAIL_PATH"), *from = getenv("GB_FAIL_FROM"),
               *to = getenv("GB_FAIL_TO");
    return end && from && to && at < atoll(to) && at + (off_t)size > atoll(from) && is_of(fd, end);
}

static void tear(int fd, char *data, ssize_t size, off_t at)
{
    static atomic_int torn;
    const char *end = getenv("GB_TORN_PATH");
    char thread[17] = "";
    prctl(PR_GET_NAME, thread);
    if (!end || strncmp(thread, "gb-", 3) || !is_of(fd, end))
        return;
    off_t block = atoll(getenv("GB_TORN_SIZE")), from = atoll(getenv("GB_TORN_BLOCK")) * block;
    if (at > from || at + size < from + block || atomic_exchange(&torn, 1))
        return;
    memset(data + (from - at) + block / 2, 0xa5, (size_t)block / 2);
    close(open(getenv("GB_TORN_TOLD"), O_WRONLY | O_CREAT, 0600));
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
    ssize_t got = next(fd, data, size, at);
    tear(fd, data, got, at);
    return got;
}

ssize_t pread64(int fd, void *data, size_t size, off_t at)
{
    return pread(fd, data, size, at);
}
