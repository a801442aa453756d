/*
  A file system that takes nothing: loaded with LD_PRELOAD by tests, into the agent or a restore.
  While the file GB_STALL_FILE exists, writes to files whose path holds GB_STALL_PATH (with * for
  anything) wait, and so does fsync, as on a hung mount. Where a number stands in it, the file
  system is slow: it takes so many bytes a second of all threads together. Where "everything" stands
  in it, stat() and statfs() of such paths wait as well.
*/
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fnmatch.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#define POLL_US 1000

static pthread_mutex_t device = PTHREAD_MUTEX_INITIALIZER;

static void read_text(const char *file, char *text, size_t size)
{
    FILE *f = fopen(file, "re");
    if (!f || !fgets(text, (int)size, f))
        text[0] = '\0';
    if (f)
        fclose(f);
}

/* The file that makes paths like that wait; NULL: none. */
static const char *stalled(const char *path)
{
    const char *file = getenv("GB_STALL_FILE"), *part = getenv("GB_STALL_PATH");
    char pattern[512];
    if (!file || !part || access(file, F_OK))
        return NULL;
    snprintf(pattern, sizeof pattern, "*%s*", part);
    return fnmatch(pattern, path, 0) ? NULL : file;
}

static void stall(int fd, size_t size)
{
    char link[64], path[4096], text[32];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, path, sizeof path - 1);
    if (n <= 0)
        return;
    path[n] = '\0';
    for (const char *file; (file = stalled(path));) {
        read_text(file, text, sizeof text);
        long rate = atol(text); /* bytes a second; 0: none at all */
        if (rate > 0) {
            pthread_mutex_lock(&device);
            usleep((useconds_t)((double)size * 1e6 / (double)rate));
            pthread_mutex_unlock(&device);
            return;
        }
        usleep(POLL_US);
    }
}

static void stall_look(const char *path)
{
    char text[32];
    for (const char *file; (file = stalled(path));) {
        read_text(file, text, sizeof text);
        if (strcmp(text, "everything"))
            return;
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

int stat(const char *path, struct stat *st)
{
    static int (*next)(const char *, struct stat *);
    if (!next)
        next = (int (*)(const char *, struct stat *))dlsym(RTLD_NEXT, "stat");
    stall_look(path);
    return next(path, st);
}

int statfs(const char *path, struct statfs *fs)
{
    static int (*next)(const char *, struct statfs *);
    if (!next)
        next = (int (*)(const char *, struct statfs *))dlsym(RTLD_NEXT, "statfs");
    stall_look(path);
    return next(path, fs);
}
