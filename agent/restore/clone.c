/* A copy of a directory that shares its blocks; see clone.h. */
#include "agent/restore/clone.h"
#include "agent/restore/clear.h"

#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <libgen.h>
#include <limits.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

bool clone_possible(const char *directory, struct gb_error *error)
{
    char path[PATH_MAX], byte = 0;
    if (realpath(directory, path) && !clear_beside(path))
        return error_set(error, GB_no_clone,
                         "%s is a mount point, or the directory above it can't be written to: "
                         "there is no place beside it for a "
                         "throw-away copy",
                         path);
    snprintf(path, sizeof path, "%s", directory);
    const char *at = path;
    while (access(at, F_OK) && strcmp(at, "/") && strcmp(at, "."))
        at = dirname(path);
    int from = open(at, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600),
        to = open(at, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    bool ok = from >= 0 && to >= 0 && write(from, &byte, 1) == 1 && !ioctl(to, FICLONE, from);
    if (!ok)
        error_set_errno(error, GB_no_clone, errno,
                        "the file system of %s can't make copies that share their blocks, which a "
                        "trial on a throw-away copy needs "
                        "(XFS with reflink and btrfs can)",
                        at);
    if (from >= 0)
        close(from);
    if (to >= 0)
        close(to);
    return ok;
}

static bool clone_file(const char *from, const char *to, const struct stat *st,
                       struct gb_error *error)
{
    int in = open(from, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    int out =
        in < 0 ? -1
               : open(to, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, st->st_mode & 0777);
    bool ok = out >= 0 && !ioctl(out, FICLONE, in) && !fchown(out, st->st_uid, st->st_gid) &&
              !fchmod(out, st->st_mode & 0777);
    if (!ok)
        error_set_errno(error, GB_no_clone, errno, "%s can't be cloned to %s", from, to);
    if (in >= 0)
        close(in);
    if (out >= 0)
        close(out);
    return ok;
}

static bool clone_entry(const FTSENT *e, const char *to, struct gb_error *error)
{
    const struct stat *st = e->fts_statp;
    switch (e->fts_info) {
    case FTS_DP:
        return true;
    case FTS_D:
        if (!mkdir(to, st->st_mode & 0777) && !chown(to, st->st_uid, st->st_gid))
            return true;
        return error_set_errno(error, GB_target_failed, errno, "the directory %s can't be made",
                               to);
    case FTS_F:
        return clone_file(e->fts_path, to, st, error);
    default:
        return error_set_errno(error, GB_target_failed, e->fts_errno, "%s can't be cloned",
                               e->fts_path);
    }
}

bool clone_make(const char *from, const char *to, struct gb_error *error)
{
    char root[PATH_MAX], path[PATH_MAX];
    snprintf(root, sizeof root, "%s", from);
    char *paths[] = {root, NULL};
    FTS *fts = fts_open(paths, FTS_PHYSICAL | FTS_NOCHDIR, NULL);
    if (!fts)
        return error_set_errno(error, GB_target_failed, errno, "%s", from);
    bool ok = true;
    errno = 0;
    for (FTSENT *e; ok && (e = fts_read(fts)); errno = 0) {
        snprintf(path, sizeof path, "%s%s", to, e->fts_path + strlen(root));
        ok = clone_entry(e, path, error);
    }
    if (ok && errno)
        ok = error_set_errno(error, GB_target_failed, errno, "%s can't be read to its end", from);
    fts_close(fts);
    return ok;
}

bool clone_remove(const char *path, struct gb_error *error)
{
    char root[PATH_MAX];
    snprintf(root, sizeof root, "%s", path);
    char *paths[] = {root, NULL};
    FTS *fts = fts_open(paths, FTS_PHYSICAL | FTS_NOCHDIR, NULL);
    bool ok = fts != NULL;
    for (FTSENT *e; ok && (e = fts_read(fts));)
        if (e->fts_info != FTS_D && remove(e->fts_path))
            ok = errno == ENOENT;
    if (!ok)
        error_set_errno(error, GB_target_failed, errno, "%s can't be removed", path);
    if (fts)
        fts_close(fts);
    return ok;
}
