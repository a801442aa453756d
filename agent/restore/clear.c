/* Old content, moved aside or removed; see clear.h. */
#include "agent/restore/clear.h"
#include "agent/restore/finish.h"
#include "agent/restore/saved.h"
#include "agent/restore/target.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define ASIDE_INSIDE ".before-"
#define GUARD_LOG    "ib_logfile0"
#define GUARD_ARIA   "aria_log_control"

bool clear_is_content(const char *name)
{
    return strcmp(name, ".") && strcmp(name, "..") && strcmp(name, "lost+found") &&
           strncmp(name, ASIDE_INSIDE, sizeof ASIDE_INSIDE - 1);
}

static bool mount_of(const char *path, uint64_t *id)
{
    struct statx x;
    if (statx(AT_FDCWD, path, 0, STATX_MNT_ID, &x) || !(x.stx_mask & STATX_MNT_ID))
        return false;
    *id = x.stx_mnt_id;
    return true;
}

bool clear_beside(const char *real)
{
    char parent[PATH_MAX];
    uint64_t here, above;
    snprintf(parent, sizeof parent, "%s", real);
    const char *directory = dirname(parent);
    return mount_of(real, &here) && mount_of(directory, &above) && here == above &&
           !access(directory, W_OK | X_OK);
}

bool clear_aside(const char *datadir, const char *stamp, char *out, size_t size,
                 struct gb_error *error)
{
    char real[PATH_MAX];
    if (!realpath(datadir, real))
        return error_set_errno(error, GB_target_failed, errno, "the directory %s", datadir);
    snprintf(out, size, clear_beside(real) ? "%s.before-%s" : "%s/" ASIDE_INSIDE "%s", real, stamp);
    return true;
}

bool clear_possible(const char *datadir, struct gb_error *error)
{
    char *real = realpath(datadir, NULL), *paths[] = {real, NULL};
    uint64_t here, there;
    bool ok = true;
    FTS *fts =
        real && mount_of(real, &here) ? fts_open(paths, FTS_PHYSICAL | FTS_NOCHDIR, NULL) : NULL;
    for (FTSENT *e; ok && fts && (e = fts_read(fts));)
        if (e->fts_level == 1 && !clear_is_content(e->fts_name))
            fts_set(fts, e, FTS_SKIP);
        else if (e->fts_info == FTS_D && mount_of(e->fts_path, &there) && there != here) {
            ok = error_set(
                error, GB_target_not_empty,
                "%s, in the data directory, is a mount point: it can't be moved or removed",
                e->fts_path);
            error_hint(error, "umount it, or empty the data directory yourself");
        }
    if (fts)
        fts_close(fts);
    free(real);
    return ok;
}

uint64_t clear_bytes(const char *datadir)
{
    uint64_t bytes = 0;
    char *real = realpath(datadir, NULL), *paths[] = {real, NULL};
    FTS *fts = real ? fts_open(paths, FTS_PHYSICAL | FTS_NOCHDIR, NULL) : NULL;
    for (FTSENT *e; fts && (e = fts_read(fts));)
        if (e->fts_level == 1 && !clear_is_content(e->fts_name))
            fts_set(fts, e, FTS_SKIP);
        else if (e->fts_info == FTS_F)
            bytes += (uint64_t)e->fts_statp->st_blocks * 512;
    if (fts)
        fts_close(fts);
    free(real);
    return bytes;
}

static bool remove_tree(const char *path, bool keep_top, struct gb_error *error)
{
    char *copy = strdup(path), *paths[] = {copy, NULL};
    FTS *fts = copy ? fts_open(paths, FTS_PHYSICAL, NULL)
                    : NULL; /* goes into each directory: see target_chown() */
    bool ok = fts || error_set_errno(error, GB_target_failed, errno, "%s can't be removed", path);
    for (FTSENT *e; ok && (e = fts_read(fts));) {
        bool top = keep_top && e->fts_level == 0;
        if (e->fts_info == FTS_D || top)
            continue;
        if (e->fts_info == FTS_DP ? rmdir(e->fts_accpath) : unlink(e->fts_accpath))
            ok =
                error_set_errno(error, GB_target_failed, errno, "%s can't be removed", e->fts_path);
    }
    if (fts)
        fts_close(fts);
    free(copy);
    return ok;
}

/* from does not have to be there: an earlier run may have done it. */
static bool move(const char *from, const char *to, struct gb_error *error)
{
    struct stat st;
    if (lstat(from, &st) && errno == ENOENT)
        return true;
    if (!renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE))
        return true;
    if (errno == EINVAL && lstat(to, &st) && errno == ENOENT &&
        !rename(from, to)) /* a file system that does not know the flag */
        return true;
    return error_set_errno(error, GB_target_failed, errno, "%s can't be moved to %s", from, to);
}

/* An own mysql/ takes the place of the old one at one blow. */
static bool swap_directory(const char *from, const char *to, struct gb_error *error)
{
    struct stat st;
    if (lstat(from, &st))
        return !mkdir(from, 0700) ||
               error_set_errno(error, GB_target_failed, errno, "%s can't be made", from);
    if (mkdir(to, 0700) && errno != EEXIST)
        return error_set_errno(error, GB_target_failed, errno, "%s can't be made", to);
    if (rmdir(to) && (errno == ENOTEMPTY || errno == EEXIST || errno == ENOTDIR))
        return true; /* an earlier run has done it */
    if (!mkdir(to, 0700) && !renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_EXCHANGE))
        return true;
    if ((!rmdir(to) || errno == ENOENT) && !rename(from, to) && !mkdir(from, 0700))
        return true;
    return error_set_errno(error, GB_target_failed, errno, "%s can't be moved to %s", from, to);
}

struct clearing {
    const char *datadir,
        *aside; /* aside NULL: remove; "": there was no data directory, hence nothing of it */
    struct gb_error *error;
};

static bool clear_entry(const struct clearing *c, const char *name)
{
    char from[WIRE_PATH_MAX], to[WIRE_PATH_MAX];
    bool directory = !strcmp(name, "mysql");
    snprintf(from, sizeof from, "%s/%s", c->datadir, name);
    snprintf(to, sizeof to, "%s/%s", c->aside ? c->aside : "", name);
    if (c->aside && !c->aside[0])
        return !directory || !mkdir(from, 0700) || errno == EEXIST ||
               error_set_errno(c->error, GB_target_failed, errno, "%s can't be made", from);
    if (!c->aside && directory && (unlink(from), mkdir(from, 0700)) && errno != EEXIST)
        return error_set_errno(c->error, GB_target_failed, errno, "%s can't be made", from);
    if (!c->aside)
        return remove_tree(from, directory, c->error);
    return directory ? swap_directory(from, to, c->error) : move(from, to, c->error);
}

static bool stays(const char *name)
{
    return !strcmp(name, RESTORE_MARKER) || !strcmp(name, GUARD_LOG) || !strcmp(name, GUARD_ARIA) ||
           !strcmp(name, "mysql") || !clear_is_content(name);
}

/* Files of a restore are nobody's old content. */
static bool clear_other(const struct clearing *c, const char *name)
{
    const struct clearing ours = {c->datadir, NULL, c->error};
    return clear_entry(strncmp(name, RESTORE_FILES, sizeof RESTORE_FILES - 1) ? c : &ours, name);
}

static bool clear_entries(const struct clearing *c)
{
    struct dirent **list;
    int count = scandir(c->datadir, &list, NULL, alphasort);
    bool ok = count >= 0 ||
              error_set_errno(c->error, GB_target_failed, errno, "the directory %s", c->datadir);
    for (int i = 0; i < count; i++) {
        ok = ok && (stays(list[i]->d_name) || clear_other(c, list[i]->d_name));
        free(list[i]);
    }
    if (count >= 0)
        free(list);
    return ok && clear_entry(c, "mysql");
}

/* aside: where the old file goes; NULL: nowhere. */
static bool swap_file(const char *path, const char *aside, struct gb_error *error)
{
    return target_is_guarded(path) ||
           ((!aside || move(path, aside, error)) && target_guard(path, error));
}

static bool swap_inside(const struct clearing *c, const char *name)
{
    char path[WIRE_PATH_MAX], aside[WIRE_PATH_MAX];
    bool keep = c->aside && c->aside[0];
    snprintf(path, sizeof path, "%s/%s", c->datadir, name);
    snprintf(aside, sizeof aside, "%s/%s", keep ? c->aside : "", name);
    return swap_file(path, keep ? aside : NULL, c->error);
}

/* The old log goes, the guard's comes: a server does not start without one. The same for Aria's
   control file, without which Aria makes another: so it comes second. */
static bool swap_guards(const struct clearing *c)
{
    return swap_inside(c, GUARD_LOG) && swap_inside(c, GUARD_ARIA) &&
           target_sync_directory(c->datadir, c->error);
}

/* The same for logs outside the data directory: what they belong to is still there. */
static bool swap_outside(const struct clearing *c, const struct marker *m)
{
    char aside[WIRE_PATH_MAX + 64];
    for (size_t i = 0; i < m->outside_count; i++) {
        const char *path = m->outside[i], *name = strrchr(path, '/') + 1;
        snprintf(aside, sizeof aside, "%s.before-%s", path, m->stamp);
        if ((!strcmp(name, GUARD_LOG) || !strcmp(name, GUARD_ARIA)) && !access(path, F_OK) &&
            !swap_file(path, c->aside ? aside : NULL, c->error))
            return false;
    }
    return true;
}

/* What an interrupted recovery left beside a redo log outside. */
static bool clear_recovery(const char *path, struct gb_error *error)
{
    char directory[WIRE_PATH_MAX + 64];
    const char *name = strrchr(path, '/');
    snprintf(directory, sizeof directory, "%.*s/" RECOVERY_DIR, (int)(name - path), path);
    return strcmp(name, "/" GUARD_LOG) || access(directory, F_OK) ||
           remove_tree(directory, false, error);
}

static bool clear_outside(const struct clearing *c, const struct marker *m)
{
    char to[WIRE_PATH_MAX + 64];
    for (size_t i = 0; i < m->outside_count; i++) {
        if (!clear_recovery(m->outside[i], c->error))
            return false;
        static const char *const suffixes[] = {RESTORE_SUFFIX,
                                               SAVED_LINK_SUFFIX}; /* an unfinished restore's */
        for (size_t j = 0; j < 2; j++) {
            snprintf(to, sizeof to, "%s%s", m->outside[i], suffixes[j]);
            unlink(to);
        }
        snprintf(to, sizeof to, "%s.before-%s", m->outside[i], m->stamp);
        if (target_is_guarded(m->outside[i]))
            continue; /* it stays up */
        if (c->aside ? !move(m->outside[i], to, c->error)
                     : (unlink(m->outside[i]) && errno != ENOENT && errno != ENOTDIR))
            return error_set_errno(c->error, GB_target_failed, errno, "%s can't be removed",
                                   m->outside[i]);
    }
    return true;
}

bool clear_guards(const struct marker *old, const struct marker *new, struct gb_error *error)
{
    for (size_t i = 0; i < old->outside_count; i++)
        if (!marker_lists(new, old->outside[i]) && target_is_guarded(old->outside[i]) &&
            unlink(old->outside[i]))
            return error_set_errno(error, GB_target_failed, errno, "%s can't be removed",
                                   old->outside[i]);
    return true;
}

bool clear_target(const char *datadir, struct marker *m, struct gb_error *error)
{
    struct clearing c = {datadir, m->state == MARKER_CLEARING_KEEP ? m->aside : NULL, error};
    struct stat st;
    bool inside =
        c.aside &&
        c.aside[0]; /* else there was no data directory, and files outside are moved alone */
    if (inside && !stat(datadir, &st) && mkdir(c.aside, st.st_mode & 0777) && errno != EEXIST)
        return error_set_errno(error, GB_target_failed, errno, "%s can't be made", c.aside);
    if (inside && lchown(c.aside, st.st_uid, st.st_gid) && errno != EPERM)
        return error_set_errno(error, GB_target_failed, errno, "the owner of %s can't be set",
                               c.aside);
    if (!marker_write(datadir, m, error) || !swap_guards(&c) || !swap_outside(&c, m) ||
        !clear_entries(&c) || !clear_outside(&c, m) ||
        (inside && !target_sync_directory(c.aside, error)))
        return false;
    m->state = MARKER_WRITING;
    return marker_write(datadir, m, error);
}
