/*
  A file system that takes nothing: loaded with LD_PRELOAD by tests, into the agent or a restore. While the file
  GB_STALL_FILE exists, writes to files whose path holds GB_STALL_PATH wait, and so does fsync, as on a hung mount.
*/
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define POLL_US 1000

static void stall(int fd)
{
    const char *file = getenv("GB_STALL_FILE"), *part = getenv("GB_STALL_PATH");
    char link[64], path[4096];
    if (!file || !part || access(file, F_OK))
        return;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, path, sizeof path - 1);
    if (n <= 0)
        return;
    path[n] = '\0';
    if (!strstr(path, part))
        return;
    while (!access(file, F_OK))
        usleep(POLL_US);
}

ssize_t write(int fd, const void *data, size_t size)
{
    static ssize_t (*next)(int, const void *, size_t);
    if (!next)
        next = (ssize_t(*)(int, const void *, size_t))dlsym(RTLD_NEXT, "write");
    stall(fd);
    return next(fd, data, size);
}

ssize_t pwrite(int fd, const void *data, size_t size, off_t at)
{
    static ssize_t (*next)(int, const void *, size_t, off_t);
    if (!next)
        next = (ssize_t(*)(int, const void *, size_t, off_t))dlsym(RTLD_NEXT, "pwrite");
    stall(fd);
    return next(fd, data, size, at);
}

ssize_t pwrite64(int fd, const void *data, size_t size, off_t at)
{
    return pwrite(fd, data, size, at);
}

int fsync(int fd)
{
    static int (*next)(int);
    if (!next)
        next = (int (*)(int))dlsym(RTLD_NEXT, "fsync");
    stall(fd);
    return next(fd);
}
