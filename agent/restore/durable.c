/* What is on disk; see durable.h. */
#include "agent/restore/durable.h"
#include "agent/restore/journal.h"
#include "common/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define DEVICES_MAX    64u
#define PAUSE_LEAST_S  1.0
#define PAUSE_PER_SYNC 9.0 /* of the time a sync took */

struct durable {
    const char *datadir;
    struct {
        dev_t device;
        int fd;
        char path[WIRE_PATH_MAX];
    } list[DEVICES_MAX];
    unsigned count;
    double next; /* time of the next checkpoint */
};

static bool add(struct durable *d, const char *path, struct gb_error *error)
{
    struct stat st;
    if (stat(path, &st) && errno == ENOENT)
        return true; /* has its last name already */
    if (stat(path, &st))
        return error_set_errno(error, GB_target_failed, errno, "%s", path);
    for (unsigned i = 0; i < d->count; i++)
        if (d->list[i].device == st.st_dev)
            return true;
    if (d->count == DEVICES_MAX)
        return error_set(error, GB_not_supported, "files on more than %u file systems",
                         DEVICES_MAX);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return error_set_errno(error, GB_target_failed, errno, "%s", path);
    d->list[d->count].device = st.st_dev;
    d->list[d->count].fd = fd;
    snprintf(d->list[d->count++].path, sizeof d->list[0].path, "%s", path);
    return true;
}

struct durable *durable_open(const struct restore_request *request, const struct index *index,
                             struct gb_error *error)
{
    struct durable *d = calloc(1, sizeof *d);
    if (!d) {
        error_set(error, GB_internal, "no memory");
        return NULL;
    }
    d->datadir = request->datadir;
    d->next = now_s() + PAUSE_LEAST_S;
    bool ok = add(d, request->datadir, error);
    for (size_t i = 0; ok && i < index->file_count; i++)
        if (index->files[i].path[0] == '/') {
            char path[WIRE_PATH_MAX];
            restore_writing_path(request, &index->files[i], path, sizeof path);
            ok = add(d, path, error);
        }
    if (ok)
        return d;
    durable_close(d);
    return NULL;
}

void durable_close(struct durable *d)
{
    for (unsigned i = 0; d && i < d->count; i++)
        close(d->list[i].fd);
    free(d);
}

bool durable_sync(struct durable *d, struct gb_error *error)
{
    for (unsigned i = 0; i < d->count; i++)
        if (syncfs(d->list[i].fd))
            return error_set_errno(error, errno == ENOSPC ? GB_target_no_space : GB_target_failed,
                                   errno, "the file system of %s can't be synced to disk",
                                   d->list[i].path);
    return true;
}

bool durable_checkpoint(struct durable *d, const uint8_t *written, size_t count,
                        struct gb_error *error)
{
    double began = now_s();
    if (began < d->next)
        return true;
    uint8_t *now = malloc(count + 1);
    if (!now)
        return error_set(error, GB_internal, "no memory");
    for (size_t i = 0; i < count; i++)
        now[i] = __atomic_load_n(&written[i], __ATOMIC_ACQUIRE);
    bool ok = durable_sync(d, error) && journal_write(d->datadir, now, count, error);
    free(now);
    double took = now_s() - began;
    d->next = began + took +
              (took * PAUSE_PER_SYNC > PAUSE_LEAST_S ? took * PAUSE_PER_SYNC : PAUSE_LEAST_S);
    return ok;
}
