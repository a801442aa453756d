/*
  A file system that takes nothing: loaded with LD_PRELOAD by tests, into the agent or a restore. While the file
  GB_STALL_FILE exists, writes to files whose path holds GB_STALL_PATH (with * for anything) wait, and so does fsync, as on a hung mount. Where a
  number stands in it, the file system is slow: it takes so many bytes a second of all threads together.
*/
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fnmatch.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define POLL_US 1000

static pthread_mutex_t device = PTHREAD_MUTEX_INITIALIZER;

/* Bytes a second; 0: none at all. */
static long rate_of(const char *file)
{
    char text[32] = "";
    FILE *f = fopen(file, "re");
    if (f) {
        if (!fgets(text, sizeof text, f))
            text[0] = '\0';
        fclose(f);
    }
    return atol(text);
}

static void stall(int fd, size_t size)
{
    const char *file = getenv("GB_STALL_FILE"), *part = getenv("GB_STALL_PATH");
    char link[64], path[4096], pattern[512];
    if (!file || !part || access(file, F_OK))
        return;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, path, sizeof path - 1);
    if (n <= 0)
        return;
    path[n] = '\0';
    snprintf(pattern, sizeof pattern, "*%s*", part);
    if (fnmatch(pattern, path, 0))
        return;
    for (long rate; !access(file, F_OK);) {
        if ((rate = rate_of(file)) > 0) {
            pthread_mutex_lock(&device);
            usleep((useconds_t)((double)size * 1e6 / (double)rate));
            pthread_mutex_unlock(&device);
            return;
        }
        usleep(POLL_US);
    }
}

ssize_t write(int fd, const void *data, size_t size)
{
    static ssize_t (*next)(int, const void *, size_t);
    if (!next)
        next = (ssize_t(*)(int, const void *, size_t))dlsym(RTLD_NEXT, "write");
    stall(fd, size);
    return next(fd, data, size);
}

ssize_t pwrite(int fd, const void *data, size_t size, off_t at)
{
    static ssize_t (*next)(int, const void *, size_t, off_t);
    if (!next)
        next = (ssize_t(*)(int, const void *, size_t, off_t))dlsym(RTLD_NEXT, "pwrite");
    stall(fd, size);
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
    stall(fd, 0);
    return next(fd);
}
