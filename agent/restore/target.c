/* The directory that a restore writes; see target.h. */
#include "agent/restore/target.h"
#include "agent/restore/beneath.h"
#include "agent/restore/clear.h"
#include "agent/restore/journal.h"
#include "common/redo_writer.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <grp.h>
#include <inttypes.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define GUARD_SIZE                                                                                 \
    (REDO_START_OFFSET + 4096u) /* a shorter log is "too small", and its creator is not said */

static void path_of(char *out, size_t size, const char *datadir, const char *name)
{
    snprintf(out, size, "%s/%s", datadir, name);
}

bool target_lock(const char *datadir, int *fd, struct gb_error *error)
{
    *fd = open(datadir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (*fd < 0 || !flock(*fd, LOCK_EX | LOCK_NB) ||
        errno != EWOULDBLOCK) /* NFS has no such locks */
        return true;
    close(*fd);
    *fd = -1;
    error_set(error, GB_target_in_use, "another galera-backup restore is at work in %s", datadir);
    error_hint(error, "wait for its end, or end it; the same command then goes on where it was");
    return false;
}

/* A server that runs holds write locks on ibdata1, ib_logfile0 and Aria's control file, a save read
 * locks: F_UNLCK if nobody has one. */
static short locked_by(const char *path, pid_t *pid)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return F_UNLCK;
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    if (fcntl(fd, F_GETLK, &lock))
        lock.l_type = F_UNLCK;
    *pid = lock.l_pid;
    close(fd);
    return lock.l_type;
}

bool target_locked(const char *path)
{
    pid_t pid;
    return locked_by(path, &pid) != F_UNLCK;
}

bool target_check_idle(const char *datadir, struct gb_error *error)
{
    static const char *const names[] = {"ibdata1", "ib_logfile0", "aria_log_control"};
    char path[WIRE_PATH_MAX];
    pid_t pid = 0;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        path_of(path, sizeof path, datadir, names[i]);
        switch (locked_by(path, &pid)) {
        case F_UNLCK:
            continue;
        case F_WRLCK:
            return error_set(error, GB_target_in_use, "a server (pid %d) runs in %s", (int)pid,
                             datadir);
        }
        error_set(error, GB_target_in_use,
                  "%s is being read by a galera-backup save, or by another program that keeps "
                  "servers away",
                  path);
        error_hint(error, "wait for its end");
        return false;
    }
    return true;
}

static bool refuse_content(const char *datadir, const char *name, struct gb_error *error)
{
    char path[WIRE_PATH_MAX], date[32] = "", stamp[32], aside[WIRE_PATH_MAX];
    struct stat st;
    struct tm tm;
    struct gb_error ignored = {0};
    time_t now = time(NULL);
    static const char *const telling[] = {"ibdata1", "aria_log_control", "mysql"};
    for (size_t i = 0; i < sizeof telling / sizeof telling[0]; i++) {
        path_of(path, sizeof path, datadir, telling[i]);
        if (!stat(path, &st)) {
            name = telling[i];
            break;
        }
    }
    path_of(path, sizeof path, datadir, name);
    if (!stat(path, &st) && gmtime_r(&st.st_mtime, &tm))
        strftime(date, sizeof date, " of %Y-%m-%d", &tm);
    error_set(error, GB_target_not_empty,
              "%s holds %s%s (%" PRIu64 " MB in all) and no server runs there", datadir, name, date,
              clear_bytes(datadir) >> 20);
    strftime(stamp, sizeof stamp, "%Y%m%dT%H%M%SZ", gmtime_r(&now, &tm));
    if (clear_aside(datadir, stamp, aside, sizeof aside, &ignored))
        error_hint(error, "--replace=keep moves it to %s", aside);
    return false;
}

bool target_check(const char *datadir, struct gb_error *error)
{
    DIR *d = opendir(datadir);
    if (!d && errno == ENOENT)
        return true;
    if (!d)
        return error_set_errno(error, GB_target_failed, errno, "the directory %s", datadir);
    char first[256] = "", path[WIRE_PATH_MAX];
    for (struct dirent *e; (e = readdir(d));)
        if (clear_is_content(e->d_name) &&
            strcmp(e->d_name,
                   RESTORE_MARKER ".new")) /* of a restore that ended before its first marker */
            snprintf(first, sizeof first, "%s", e->d_name);
    closedir(d);
    if (!first[0])
        return true;
    if (!target_check_idle(datadir, error))
        return false;
    path_of(path, sizeof path, datadir, RESTORE_MARKER);
    if (!access(path, F_OK))
        return error_set(error, GB_target_unfinished, "%s holds a restore that has not ended",
                         datadir);
    return refuse_content(datadir, first, error);
}

bool target_write_file(const char *path, const void *data, size_t size, mode_t mode,
                       struct gb_error *error)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, mode);
    bool ok = fd >= 0 && beneath_write(fd, data, size, 0) && !fsync(fd);
    if (!ok)
        beneath_failed(error, path, "written");
    if (fd >= 0)
        close(fd);
    return ok;
}

bool target_sync_directory(const char *path, struct gb_error *error)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool ok = fd >= 0 && !fsync(fd);
    if (!ok)
        error_set_errno(error, GB_target_failed, errno, "%s can't be synced", path);
    if (fd >= 0)
        close(fd);
    return ok;
}

/* It comes to be with its owner: one that a killed restore had not given away yet would be taken
   for somebody's own by the next. */
static bool make_directory(const char *path, mode_t mode, uid_t uid, gid_t gid,
                           struct gb_error *error)
{
    char new[WIRE_PATH_MAX + sizeof RESTORE_SUFFIX];
    struct stat st;
    if (!stat(path, &st))
        return true;
    size_t length = strlen(path);
    while (length > 1 && path[length - 1] == '/')
        length--;
    snprintf(new, sizeof new, "%.*s" RESTORE_SUFFIX, (int)length, path);
    rmdir(new);
    bool made =
        !mkdir(new, mode) && (uid == (uid_t)-1 || !lchown(new, uid, gid)) && !rename(new, path);
    int failed = errno;
    return made || !stat(path, &st) || /* another restore's beside it */
           error_set_errno(error, GB_target_failed, failed, "the directory %s can't be made", path);
}

bool target_make_directories(const char *path, uid_t uid, gid_t gid, struct gb_error *error)
{
    char part[WIRE_PATH_MAX];
    for (const char *slash = strchr(path + 1, '/'); slash && slash[strspn(slash, "/")];
         slash = strchr(slash + 1, '/')) {
        snprintf(part, sizeof part, "%.*s", (int)(slash - path), path);
        if (!make_directory(part, 0755, uid, gid, error))
            return false;
    }
    return make_directory(path, 0700, uid, gid, error);
}

/* As a whole: half a guard would be taken for old content. */
static bool write_whole(const char *path, const void *data, size_t size, struct gb_error *error)
{
    char new[WIRE_PATH_MAX];
    const char *slash = strrchr(path, '/');
    snprintf(new, sizeof new, "%.*s" RESTORE_FILES "guard", slash ? (int)(slash - path) + 1 : 0,
             path);
    return target_write_file(new, data, size, 0660, error) &&
           (!rename(new, path) || error_set_errno(error, GB_target_failed, errno,
                                                  "%s can't be renamed to %s", new, path));
}

bool target_write_guard(const char *path, struct gb_error *error)
{
    uint8_t *log = calloc(1, GUARD_SIZE);
    if (!log)
        return error_set(error, GB_internal, "no memory");
    redo_writer_unfinished(log);
    bool ok = write_whole(path, log, GUARD_SIZE, error);
    free(log);
    return ok;
}

bool target_is_guard(const char *path)
{
    uint8_t *log = calloc(2, GUARD_SIZE);
    FILE *f = fopen(path, "re");
    bool same =
        log && f && fread(log + GUARD_SIZE, 1, GUARD_SIZE, f) == GUARD_SIZE && fgetc(f) == EOF;
    if (same) {
        redo_writer_unfinished(log);
        same = !memcmp(log, log + GUARD_SIZE, GUARD_SIZE);
    }
    if (f)
        fclose(f);
    free(log);
    return same;
}

/* ma_control_file_open() wants 0xFE 0xFE 0x0C in front, and says no. */
static const char aria_guard[] =
    "galera-backup: an unfinished restore; galera-backup-restore.incomplete says more\n";

bool target_guard_aria(const char *path, struct gb_error *error)
{
    return write_whole(path, aria_guard, sizeof aria_guard - 1, error);
}

bool target_is_aria_guard(const char *path)
{
    char text[sizeof aria_guard + 1];
    FILE *f = fopen(path, "re");
    size_t n = f ? fread(text, 1, sizeof text, f) : 0;
    if (f)
        fclose(f);
    return n == sizeof aria_guard - 1 && !memcmp(text, aria_guard, n);
}

static const char *base_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

bool target_guard(const char *path, struct gb_error *error)
{
    return !strcmp(base_of(path), "aria_log_control") ? target_guard_aria(path, error)
                                                      : target_write_guard(path, error);
}

bool target_is_guarded(const char *path)
{
    const char *name = base_of(path);
    return !strcmp(name, "ib_logfile0")
               ? target_is_guard(path)
               : !strcmp(name, "aria_log_control") && target_is_aria_guard(path);
}

bool target_begin(const char *datadir, const struct marker *marker, uid_t uid, gid_t gid,
                  struct gb_error *error)
{
    char path[WIRE_PATH_MAX];
    if (!target_make_directories(datadir, uid, gid, error) || !marker_write(datadir, marker, error))
        return false;
    path_of(path, sizeof path, datadir, "mysql");
    if (mkdir(path, 0700) && errno != EEXIST)
        return error_set_errno(error, GB_target_failed, errno, "%s can't be made", path);
    path_of(path, sizeof path, datadir, "ib_logfile0");
    if (!target_is_guard(path) && !target_write_guard(path, error))
        return false;
    static const char grastate[] = "# GALERA saved state\nversion: 2.1\nuuid:    "
                                   "00000000-0000-0000-0000-000000000000\nseqno:   -1\n"
                                   "safe_to_bootstrap: 0\n";
    path_of(path, sizeof path, datadir, "aria_log_control");
    if (!target_guard_aria(path, error))
        return false;
    path_of(path, sizeof path, datadir, "grastate.dat");
    return target_write_file(path, grastate, sizeof grastate - 1, 0660, error) &&
           target_sync_directory(datadir, error);
}

bool target_rename(const char *path, struct gb_error *error)
{
    char from[WIRE_PATH_MAX];
    struct stat st;
    snprintf(from, sizeof from, "%s" RESTORE_SUFFIX, path);
    return !rename(from, path) || (errno == ENOENT && !lstat(path, &st)) ||
           error_set_errno(error, GB_target_failed, errno, "%s can't be renamed to %s", from, path);
}

bool target_release(const char *path, struct gb_error *error)
{
    char directory[WIRE_PATH_MAX];
    if (!target_rename(path, error))
        return false;
    snprintf(directory, sizeof directory, "%.*s", (int)(strrchr(path, '/') - path), path);
    return target_sync_directory(directory, error);
}

bool target_no_grastate(const char *datadir, struct gb_error *error)
{
    char path[WIRE_PATH_MAX];
    path_of(path, sizeof path, datadir, "grastate.dat");
    if (!unlink(path) || errno == ENOENT)
        return true;
    return error_set_errno(error, GB_target_failed, errno, "%s can't be removed", path);
}

bool target_grastate(const char *datadir, const char *position, bool safe_to_bootstrap,
                     struct gb_error *error)
{
    char path[WIRE_PATH_MAX], text[512];
    const char *colon = strrchr(position, ':');
    if (!colon || colon - position != 36 || !colon[1] || colon[1 + strspn(colon + 1, "0123456789")])
        return error_set(error, GB_corrupt_backup, "\"%s\" is not a Galera position", position);
    int n = snprintf(
        text, sizeof text,
        "# GALERA saved state\nversion: 2.1\nuuid:    %.36s\nseqno:   %s\nsafe_to_bootstrap: %d\n",
        position, colon + 1, safe_to_bootstrap);
    path_of(path, sizeof path, datadir, "grastate.dat");
    return target_write_file(path, text, (size_t)n, 0660, error);
}

bool target_finish(const char *datadir, struct gb_error *error)
{
    char path[WIRE_PATH_MAX];
    path_of(path, sizeof path, datadir, "aria_log_control");
    if (target_is_aria_guard(path) && unlink(path)) /* Aria's real one is outside */
        return error_set_errno(error, GB_target_failed, errno, "%s can't be removed", path);
    path_of(path, sizeof path, datadir, RESTORE_MARKER);
    if (!journal_remove(datadir, error))
        return false;
    if (unlink(path) && errno != ENOENT)
        return error_set_errno(error, GB_target_failed, errno, "%s can't be removed", path);
    return target_sync_directory(datadir, error);
}

bool target_end(const char *datadir, const char *log, struct gb_error *error)
{
    char guard[WIRE_PATH_MAX], from[WIRE_PATH_MAX];
    path_of(guard, sizeof guard, datadir, "ib_logfile0");
    snprintf(from, sizeof from, "%s" RESTORE_SUFFIX, log ? log : "");
    if (log && target_is_guard(log) && access(from, F_OK))
        return error_set_errno(error, GB_target_failed, errno, "%s can't be renamed to %s", from,
                               log);
    if (log && !target_release(log, error))
        return false;
    if (target_is_guard(guard) && unlink(guard)) /* there is no log here */
        return error_set_errno(error, GB_target_failed, errno, "%s can't be removed", guard);
    return target_sync_directory(datadir, error) && target_finish(datadir, error);
}

bool target_owner(const struct restore_request *request, uid_t *uid, gid_t *gid,
                  struct gb_error *error)
{
    struct stat st;
    *uid = (uid_t)-1;
    *gid = (gid_t)-1;
    if (request->owner) {
        char name[128];
        snprintf(name, sizeof name, "%s", request->owner);
        char *group = strchr(name, ':');
        if (group)
            *group++ = '\0';
        struct passwd *p = getpwnam(name);
        struct group *g = group ? getgrnam(group) : NULL;
        if (!p || (group && !g))
            return error_set(error, GB_bad_value, "--owner %s: there is no such user or group",
                             request->owner);
        *uid = p->pw_uid;
        *gid = g ? g->gr_gid : p->pw_gid;
        return true;
    }
    if (geteuid() != 0)
        return true;
    if (!stat(request->datadir, &st)) {
        *uid = st.st_uid;
        *gid = st.st_gid;
        return true;
    }
    struct passwd *p = getpwnam("mysql");
    if (p) {
        *uid = p->pw_uid;
        *gid = p->pw_gid;
    }
    return true;
}

bool target_chown(const char *datadir, uid_t uid, gid_t gid, struct gb_error *error)
{
    if (uid == (uid_t)-1)
        return true;
    /* datadir may be a link to the directory; links in it are not followed, nor directories that
       become links meanwhile: fts_read() goes into each and looks whether it is the one that it
       was. */
    char *real = realpath(datadir, NULL), *paths[] = {real, NULL};
    FTS *fts = real ? fts_open(paths, FTS_PHYSICAL, NULL) : NULL;
    bool ok = fts != NULL;
    if (!ok)
        error_set_errno(error, GB_target_failed, errno, "the owner of %s can't be set", datadir);
    errno = 0;
    for (FTSENT *e; ok && (e = fts_read(fts)); errno = 0) {
        if (e->fts_level == 1 && !strncmp(e->fts_name, RESTORE_FILES, sizeof RESTORE_FILES - 1))
            continue; /* ours: marker_read() looks at its owner */
        if (e->fts_level == 1 && !clear_is_content(e->fts_name)) {
            fts_set(fts, e, FTS_SKIP);
            continue; /* what --replace keep has kept */
        }
        if (e->fts_info == FTS_DNR || e->fts_info == FTS_ERR || e->fts_info == FTS_NS)
            ok = error_set_errno(error, GB_target_failed, e->fts_errno,
                                 "the owner of what is in %s can't be set", e->fts_path);
        else if (e->fts_info != FTS_DP && lchown(e->fts_accpath, uid, gid))
            ok = error_set_errno(error, GB_target_failed, errno, "the owner of %s can't be set",
                                 e->fts_path);
    }
    if (ok && errno)
        ok =
            error_set_errno(error, GB_target_failed, errno, "%s can't be read to its end", datadir);
    if (fts)
        fts_close(fts);
    free(real);
    return ok;
}
