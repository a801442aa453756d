/*
  A store that takes nothing: loaded into the agent with LD_PRELOAD by tests. While the file GB_STALL_FILE exists,
  write() and fsync() on files below GB_STALL_DIR wait, as on a hung mount.
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
    const char *file = getenv("GB_STALL_FILE"), *directory = getenv("GB_STALL_DIR");
    char link[64], path[4096];
    if (!file || !directory || access(file, F_OK))
        return;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, path, sizeof path - 1);
    if (n <= 0)
        return;
    path[n] = '\0';
    if (strncmp(path, directory, strlen(directory)))
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

int fsync(int fd)
{
    static int (*next)(int);
    if (!next)
        next = (int (*)(int))dlsym(RTLD_NEXT, "fsync");
    stall(fd);
    return next(fd);
}
