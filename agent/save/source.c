/* What a save takes; see source.h. */
#include "agent/save/source.h"
#include "agent/repository/index.h"
#include "agent/restore/restore.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DEPTH_MAX    32u /* of directories in one another, those behind links included */
#define DISK_BLOCK   512u
#define ISL_SIZE_MAX 4096u

static const char *const locked_names[] = {"ibdata1", "aria_log_control"};

struct walk {
    struct source *source;
    const char *repository;
    struct stat repository_stat;
    struct gb_error *error;
    unsigned depth;
};

static void note(struct source_notes *n, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void note(struct source_notes *n, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    if (n->count < SOURCE_NOTES_MAX && vasprintf(&n->text[n->count], format, arguments) < 0)
        n->text[n->count] = NULL;
    n->count++;
    va_end(arguments);
}

static bool failed(struct gb_error *error, const char *path)
{
    return error_set_errno(error, GB_source_failed, errno, "%s can't be read", path);
}

static bool ends_with(const char *text, const char *end)
{
    size_t n = strlen(text), m = strlen(end);
    return n > m && !strcmp(text + n - m, end);
}

/* ---- the list ---- */

static bool add(struct walk *w, uint8_t kind, const char *name, const char *path,
                const struct stat *st)
{
    struct source *s = w->source;
    if (s->count == s->capacity) {
        size_t capacity = s->capacity ? s->capacity * 2 : 256;
        struct source_file *more = realloc(s->files, capacity * sizeof *more);
        if (!more)
            return error_set(w->error, GB_internal, "no memory for the list of files");
        s->files = more;
        s->capacity = capacity;
    }
    struct source_file f = {.kind = kind, .mode = st->st_mode & INDEX_MODE_MASK};
    f.name = strdup(name);
    f.path = strdup(path);
    f.device = st->st_dev;
    f.inode = st->st_ino;
    if (kind == INDEX_KIND_LINK) {
        f.size = f.allocated = strlen(path);
    } else if (kind != WIRE_KIND_DIRECTORY) {
        f.size = (uint64_t)st->st_size;
        f.allocated = (uint64_t)st->st_blocks * DISK_BLOCK;
        f.allocated = f.allocated < f.size ? f.allocated : f.size;
    }
    if (!f.name || !f.path || strlen(name) >= WIRE_PATH_MAX) {
        free(f.name);
        free(f.path);
        return error_set(w->error, GB_source_failed, "the path %.200s... is too long", name);
    }
    s->bytes += f.size;
    s->allocated += f.allocated;
    s->outside += kind == INDEX_KIND_OUTSIDE;
    s->files[s->count++] = f;
    return true;
}

/* Whether it is in the list already. Asked for what is outside only, where several ways may lead to
 * one place. */
static bool is_listed(const struct source *s, const struct stat *st)
{
    for (size_t i = 0; i < s->count; i++)
        if (s->files[i].device == st->st_dev && s->files[i].inode == st->st_ino)
            return true;
    return false;
}

/* Whether path is directory or below it; both are real paths. */
static bool is_below(const char *path, const char *directory)
{
    size_t n = strlen(directory);
    return !strncmp(path, directory, n) && (path[n] == '/' || !path[n] || directory[n - 1] == '/');
}

/* ---- outside the data directory ---- */

static bool walk_directory(struct walk *w, const char *path, const char *name);

/* What `from` (a link or an .isl file) leads to. said: the path that it names, which is the one to
 * bring it back to. */
static bool take_outside(struct walk *w, const char *from, const char *said)
{
    struct source *s = w->source;
    struct stat st;
    char *real = realpath(said, NULL);
    if (!real || stat(real, &st)) {
        note(&s->warnings, "%s leads to %s, which can't be found (%s)", from, said,
             strerror(errno));
        free(real);
        return true;
    }
    /* As it is said, a link on the way keeps its place; a path that can't be kept so is the real
     * one. */
    const char *name = said[0] == '/' && index_path_clean(said) ? said : real;
    bool ok = true;
    if (is_below(real, s->datadir)) {
        ; /* comes by itself */
    } else if (S_ISDIR(st.st_mode) && is_below(s->datadir, real)) {
        note(&s->warnings, "%s leads to %s, above the data directory, and is not followed", from,
             said);
    } else if (!S_ISDIR(st.st_mode) && !S_ISREG(st.st_mode)) {
        note(&s->left_out, "%s (behind %s: neither file nor directory)", said, from);
    } else if (is_listed(s, &st)) {
        ; /* another way led there */
    } else if (S_ISREG(st.st_mode)) {
        ok = add(w, INDEX_KIND_OUTSIDE, name, real, &st);
    } else {
        ok = walk_directory(w, real, name);
    }
    free(real);
    return ok;
}

static bool take_link(struct walk *w, const char *path, const char *name, const struct stat *st)
{
    char target[WIRE_PATH_MAX], said[2 * WIRE_PATH_MAX];
    ssize_t n = readlink(path, target, sizeof target);
    if (n < 0)
        return failed(w->error, path);
    if (n == 0 || (size_t)n > INDEX_LINK_MAX)
        return error_set(w->error, GB_source_failed, "%s leads to a path that is too long", path);
    target[n] = '\0';
    if (!add(w, INDEX_KIND_LINK, name, target, st))
        return false;
    if (target[0] == '/')
        return take_outside(w, name, target);
    snprintf(said, sizeof said, "%.*s/%s", (int)(strrchr(path, '/') - path), path, target);
    return take_outside(w, name, said);
}

/* The first line is the path of the tablespace (fil0fil: RemoteDatafile). */
static bool take_isl(struct walk *w, const char *path, const char *name)
{
    char text[ISL_SIZE_MAX + 1];
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, text, ISL_SIZE_MAX);
    bool ok = n >= 0 || failed(w->error, path);
    if (fd >= 0)
        close(fd);
    if (!ok)
        return false;
    text[n] = '\0';
    text[strcspn(text, "\r\n")] = '\0';
    if (text[0] != '/') {
        note(&w->source->warnings, "%s names no absolute path", name);
        return true;
    }
    return take_outside(w, name, text);
}

/* ---- the directory ---- */

static bool take_entry(struct walk *w, const char *path, const char *name)
{
    struct source *s = w->source;
    struct stat st;
    if (lstat(path, &st))
        return failed(w->error, path);
    if (name[0] == '/' && is_listed(s, &st))
        return true;
    if (S_ISDIR(st.st_mode))
        return walk_directory(w, path, name);
    if (S_ISLNK(st.st_mode))
        return take_link(w, path, name, &st);
    if (!S_ISREG(st.st_mode)) {
        note(&s->left_out, "%s (%s)", name,
             S_ISSOCK(st.st_mode)   ? "socket"
             : S_ISFIFO(st.st_mode) ? "pipe"
                                    : "device");
        return true;
    }
    if (!strchr(name, '/') && ends_with(name, ".pid")) {
        note(&s->left_out, "%s (pid file)", name);
        return true;
    }
    return add(w, name[0] == '/' ? INDEX_KIND_OUTSIDE : WIRE_KIND_OTHER, name, path, &st) &&
           (!ends_with(name, ".isl") || take_isl(w, path, name));
}

static int is_entry(const struct dirent *e)
{
    return strcmp(e->d_name, ".") && strcmp(e->d_name, "..");
}

/* name: "" the data directory itself, a relative path in it, or the absolute path of one outside.
 */
static bool walk_directory(struct walk *w, const char *path, const char *name)
{
    struct stat st;
    struct dirent **list;
    if (stat(path, &st))
        return failed(w->error, path);
    if (w->repository && st.st_dev == w->repository_stat.st_dev &&
        st.st_ino == w->repository_stat.st_ino)
        return error_set(w->error, GB_bad_value,
                         "the repository %s is inside what is to be saved (%s)", w->repository,
                         path);
    if (++w->depth > DEPTH_MAX)
        return error_set(w->error, GB_source_failed, "%s: directories are too deep", path);
    int count = scandir(path, &list, is_entry, alphasort);
    if (count < 0 && errno == EACCES && !strcmp(name, "lost+found")) {
        note(&w->source->left_out, "lost+found (no permission)");
        w->depth--;
        return true;
    }
    if (count < 0)
        return failed(w->error, path);
    bool ok = !*name || add(w, WIRE_KIND_DIRECTORY, name, path, &st);
    for (int i = 0; i < count; i++) {
        char below[2 * WIRE_PATH_MAX], below_name[2 * WIRE_PATH_MAX];
        snprintf(below, sizeof below, "%s/%s", path, list[i]->d_name);
        snprintf(below_name, sizeof below_name, "%s%s%s", name, *name ? "/" : "", list[i]->d_name);
        ok = ok && take_entry(w, below, below_name);
        free(list[i]);
    }
    free(list);
    w->depth--;
    return ok;
}

/* ---- is it one, and is it free ---- */

static bool is_there(const char *datadir, const char *name)
{
    char path[2 * WIRE_PATH_MAX];
    struct stat st;
    snprintf(path, sizeof path, "%s/%s", datadir, name);
    return !lstat(path, &st);
}

static bool check_datadir(struct source *s, struct gb_error *error)
{
    static const char *const telling[] = {"ibdata1", "ib_logfile0", "aria_log_control", "undo001",
                                          "mysql"};
    bool any = false;
    for (size_t i = 0; i < sizeof telling / sizeof telling[0]; i++)
        any = any || is_there(s->datadir, telling[i]);
    if (!any)
        return error_set(error, GB_source_not_datadir,
                         "%s holds none of ibdata1, ib_logfile0, aria_log_control, undo001 and "
                         "mysql: it is no data directory",
                         s->datadir);
    if (is_there(s->datadir, RESTORE_MARKER)) {
        error_set(error, GB_target_unfinished,
                  "%s holds a restore that has not ended: there is nothing to save", s->datadir);
        error_hint(error, "the backup that was being restored is where it was");
        return false;
    }
    for (size_t i = 0; i < 2; i++) {
        const char *name = i ? "ib_logfile0" : "ibdata1";
        if (!is_there(s->datadir, name))
            note(&s->warnings,
                 "there is no %s: if a setting keeps it in another directory, save that one too",
                 name);
    }
    return true;
}

static bool lock_files(struct source *s, struct gb_error *error)
{
    for (size_t i = 0; i < sizeof locked_names / sizeof locked_names[0]; i++) {
        char path[2 * WIRE_PATH_MAX];
        snprintf(path, sizeof path, "%s/%s", s->datadir, locked_names[i]);
        struct flock lock = {.l_type = F_RDLCK, .l_whence = SEEK_SET};
        s->lock[i] = open(path, O_RDONLY | O_CLOEXEC);
        if (s->lock[i] < 0 && errno == ENOENT)
            continue;
        if (s->lock[i] < 0)
            return failed(error, path);
        if (!fcntl(s->lock[i], F_OFD_SETLK, &lock))
            continue;
        if (errno == EAGAIN || errno == EACCES) {
            struct flock holder = {.l_type = F_RDLCK, .l_whence = SEEK_SET};
            int pid = !fcntl(s->lock[i], F_GETLK, &holder) && holder.l_type != F_UNLCK
                          ? (int)holder.l_pid
                          : 0;
            return error_set(error, GB_source_in_use, "a server (pid %d) runs in %s", pid,
                             s->datadir);
        }
        note(&s->warnings, "%s can't be locked (%s): see to it that no server is started meanwhile",
             locked_names[i], strerror(errno));
    }
    return true;
}

/* ---- what the files say of the server ---- */

static size_t read_text(const struct source *s, const char *name, char *out, size_t size)
{
    char path[2 * WIRE_PATH_MAX];
    snprintf(path, sizeof path, "%s/%s", s->datadir, name);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, out, size - 1);
    if (fd >= 0)
        close(fd);
    out[n > 0 ? n : 0] = '\0';
    return n > 0 ? (size_t)n : 0;
}

static void read_facts(struct source *s)
{
    char text[1024], uuid[64] = "", seqno[32] = "";
    static const char *const versions[] = {"mariadb_upgrade_info", "mysql_upgrade_info"};
    static const char plain[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.-+~:_";
    for (size_t i = 0; i < 2 && !s->server_version[0]; i++)
        if (read_text(s, versions[i], text, sizeof text))
            snprintf(s->server_version, sizeof s->server_version, "%.*s", (int)strspn(text, plain),
                     text);
    if (!read_text(s, "grastate.dat", text, sizeof text))
        return;
    const char *at = strstr(text, "\nuuid:");
    if (at)
        sscanf(at, " uuid: %40[-0-9a-f]", uuid);
    at = strstr(text, "\nseqno:");
    if (at)
        sscanf(at, " seqno: %24[-0-9]", seqno);
    if (uuid[0] && seqno[0])
        snprintf(s->galera_state, sizeof s->galera_state, "%s:%s", uuid, seqno);
}

bool source_open(struct source *s, const char *datadir, const char *repository,
                 struct gb_error *error)
{
    memset(s, 0, sizeof *s);
    s->lock[0] = s->lock[1] = -1;
    struct walk w = {.source = s, .error = error};
    if (repository && !stat(repository, &w.repository_stat))
        w.repository = repository;
    if (!(s->datadir = realpath(datadir, NULL)))
        return failed(error, datadir);
    if (!check_datadir(s, error) || !lock_files(s, error) || !walk_directory(&w, s->datadir, ""))
        return false;
    read_facts(s);
    return true;
}

static void free_notes(struct source_notes *n)
{
    for (unsigned i = 0; i < n->count && i < SOURCE_NOTES_MAX; i++)
        free(n->text[i]);
}

void source_close(struct source *s)
{
    for (size_t i = 0; i < s->count; i++) {
        free(s->files[i].name);
        free(s->files[i].path);
    }
    free(s->files);
    free(s->datadir);
    free_notes(&s->left_out);
    free_notes(&s->warnings);
    for (size_t i = 0; i < 2; i++)
        if (s->lock[i] >= 0)
            close(s->lock[i]);
    memset(s, 0, sizeof *s);
    s->lock[0] = s->lock[1] = -1;
}
