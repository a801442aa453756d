/*
  Files that can't be opened: loaded with LD_PRELOAD by tests, into a server. GB_STALL_FILE has
  lines "open END", "stat END", "rename END" and "create END"; the first that opens for reading,
  stats, renames, or creates (or empties) a path with that end waits until the file has that line no
  more: before it, but with create when it has been done. Its line is then in GB_STALL_FILE.reached.
  "open:N END": the Nth that opens it, of the line last looked for alone.
*/
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define POLL_US 1000
#define LINE    256

static bool is_for(const char *line, const char *call, const char *path)
{
    size_t n = strlen(call), m = strlen(path);
    if (strncmp(line, call, n) || !strchr(" :", line[n]))
        return false;
    const char *end = line + strcspn(line, " ");
    end += *end == ' ';
    return *end && strlen(end) <= m && !strcmp(path + m - strlen(end), end);
}

/* Whether the call is the one that the line means. Under the mutex. */
static bool its_turn(const char *line)
{
    static char counted[LINE];
    static unsigned long count;
    const char *colon = memchr(line, ':', strcspn(line, " "));
    if (strcmp(counted, line)) {
        strcpy(counted, line);
        count = 0;
    }
    return !colon || ++count == strtoul(colon + 1, NULL, 10);
}

/* The line of the file that is for this call. */
static bool find(const char *file, const char *call, const char *path, char line[LINE])
{
    FILE *lines = access(file, F_OK) ? NULL : fopen(file, "re");
    bool found = false;
    while (lines && !found && fgets(line, LINE, lines)) {
        line[strcspn(line, "\n")] = '\0';
        found = is_for(line, call, path);
    }
    if (lines)
        fclose(lines);
    return found;
}

static void stall(const char *call, const char *path)
{
    static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
    const char *file = getenv("GB_STALL_FILE");
    char line[LINE], other[LINE], name[4096];
    if (!file || !find(file, call, path, line))
        return;
    snprintf(name, sizeof name, "%s.reached", file);
    pthread_mutex_lock(&mutex);
    bool first = !find(name, call, path, other) && its_turn(line);
    FILE *reached = first ? fopen(name, "ae") : NULL;
    if (reached) {
        fprintf(reached, "%s\n", line);
        fclose(reached);
    }
    pthread_mutex_unlock(&mutex);
    while (first && find(file, call, path, other))
        usleep(POLL_US);
}

/* open() and its variants; those ending in _2 are what the compiler calls where no mode is given.
 */
#define OPEN(name)                                                                                 \
    int name(const char *path, int flags, ...)                                                     \
    {                                                                                              \
        static int (*next)(const char *, int, ...);                                                \
        if (!next)                                                                                 \
            next = (int (*)(const char *, int, ...))dlsym(RTLD_NEXT, #name);                       \
        va_list list;                                                                              \
        va_start(list, flags);                                                                     \
        int mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(list, int) : 0;                          \
        va_end(list);                                                                              \
        if ((flags & O_ACCMODE) == O_RDONLY)                                                       \
            stall("open", path);                                                                   \
        int fd = next(path, flags, mode);                                                          \
        if (flags & O_CREAT)                                                                       \
            stall("create", path);                                                                 \
        return fd;                                                                                 \
    }
#define OPEN_2(name)                                                                               \
    int name(const char *path, int flags)                                                          \
    {                                                                                              \
        static int (*next)(const char *, int);                                                     \
        if (!next)                                                                                 \
            next = (int (*)(const char *, int))dlsym(RTLD_NEXT, #name);                            \
        if ((flags & O_ACCMODE) == O_RDONLY)                                                       \
            stall("open", path);                                                                   \
        return next(path, flags);                                                                  \
    }
#define STAT(name, type)                                                                           \
    int name(const char *path, struct type *st)                                                    \
    {                                                                                              \
        static int (*next)(const char *, struct type *);                                           \
        if (!next)                                                                                 \
            next = (int (*)(const char *, struct type *))dlsym(RTLD_NEXT, #name);                  \
        stall("stat", path);                                                                       \
        return next(path, st);                                                                     \
    }

OPEN(open)
OPEN(open64)
OPEN_2(__open_2)
OPEN_2(__open64_2)
int rename(const char *from, const char *to)
{
    static int (*next)(const char *, const char *);
    if (!next)
        next = (int (*)(const char *, const char *))dlsym(RTLD_NEXT, "rename");
    stall("rename", from);
    return next(from, to);
}

STAT(stat, stat)
STAT(stat64, stat64)
