/* Where files outside the data directory go; see relocate.h. */
#include "agent/restore/relocate.h"
#include "agent/restore/frames.h"
#include "agent/restore/target.h"
#include "common/redo.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The part of path below directory, or NULL. */
static const char *below(const char *path, const char *directory)
{
    size_t n = strlen(directory);
    while (n > 1 && directory[n - 1] == '/')
        n--;
    if (strncmp(path, directory, n) || path[n] != '/')
        return NULL;
    return path + n + strspn(path + n, "/");
}

/* "db/table.ibd" of a tablespace's path. */
static const char *table_part(const char *path)
{
    const char *slash = strrchr(path, '/');
    while (slash && slash > path && slash[-1] != '/')
        slash--;
    return slash ? slash : path;
}

static bool clean(const char *path)
{
    for (const char *at = path; *at;) {
        size_t slashes = strspn(at, "/"), n = strcspn(at + slashes, "/");
        if (slashes > 1 || (n == 1 && at[slashes] == '.') ||
            (n == 2 && !strncmp(at + slashes, "..", 2)))
            return false;
        at += slashes + n;
    }
    return true;
}

/* Names what is outside, so that a map that matches nothing can be corrected. */
static bool matches_nothing(const struct index *index, char *const *original,
                            const struct restore_map *map, struct gb_error *error)
{
    char directories[200] = "", one[WIRE_PATH_MAX];
    for (size_t i = 0; i < index->file_count; i++) {
        const struct index_file *f = &index->files[i];
        const char *path = original[i] ? original[i] : f->path;
        size_t n = strlen(directories);
        if (path[0] != '/')
            continue;
        const char *end =
            f->kind == WIRE_KIND_TABLESPACE ? table_part(path) - 1 : strrchr(path, '/');
        snprintf(one, sizeof one, "%.*s", (int)(end - path), path);
        if (!strstr(directories, one) && n + strlen(one) + 2 < sizeof directories)
            snprintf(directories + n, sizeof directories - n, "%s%s", n ? ", " : "", one);
    }
    error_set(error, GB_bad_value, "--map %s=%s: the backup has nothing below %s", map->from,
              map->to, map->from);
    if (directories[0])
        error_hint(error, "outside the data directory it has files in %s", directories);
    else
        error_hint(error, "all of it is in the data directory: leave --map away");
    return false;
}

/* The data directory as it is named, and as it really is. */
struct directory {
    const char *named;
    char real[PATH_MAX];
};

/* New path of a file, malloc'ed: absolute, or relative if it comes to lie in the data directory. */
static char *new_path(const struct index_file *f, const struct restore_map *map,
                      const struct directory *datadir, struct gb_error *error)
{
    char path[2 * WIRE_PATH_MAX];
    snprintf(path, sizeof path, "%s/%s", map->to, below(f->path, map->from));
    const char *home = below(path, datadir->named);
    if (!home && datadir->real[0])
        home = below(path, datadir->real);
    if (home && f->kind == WIRE_KIND_TABLESPACE && strcmp(home, table_part(f->path))) {
        error_set(error, GB_bad_value,
                  "--map %s=%s: %s would be %s in the data directory, where InnoDB looks for %s",
                  map->from, map->to, f->path, home, table_part(f->path));
        return NULL;
    }
    if (strlen(path) >= WIRE_PATH_MAX) {
        error_set(error, GB_bad_value, "--map %s=%s: %s gets a path that is too long", map->from,
                  map->to, f->path);
        return NULL;
    }
    char *copy = strdup(home ? home : path);
    if (!copy)
        error_set(error, GB_internal, "no memory");
    return copy;
}

static bool move_files(struct index *index, const struct restore_request *request, char **original,
                       struct gb_error *error)
{
    bool used[RESTORE_MAPS_MAX] = {false};
    struct directory datadir = {.named = request->datadir};
    if (!realpath(request->datadir, datadir.real))
        datadir.real[0] = '\0';
    for (unsigned i = 0; i < request->map_count; i++)
        if (!clean(request->maps[i].from) || !clean(request->maps[i].to))
            return error_set(error, GB_bad_value, "--map %s=%s: give paths without //, . and ..",
                             request->maps[i].from, request->maps[i].to);
    for (size_t i = 0; i < index->file_count; i++) {
        struct index_file *f = &index->files[i];
        unsigned best = request->map_count;
        for (unsigned j = 0; f->path[0] == '/' && j < request->map_count; j++)
            if (below(f->path, request->maps[j].from) &&
                (best == request->map_count ||
                 strlen(request->maps[j].from) > strlen(request->maps[best].from)))
                best = j;
        if (best == request->map_count)
            continue;
        char *path = new_path(f, &request->maps[best], &datadir, error);
        if (!path)
            return false;
        used[best] = true;
        original[i] = f->path;
        f->path = path;
    }
    for (unsigned i = 0; i < request->map_count; i++)
        if (!used[i])
            return matches_nothing(index, original, &request->maps[i], error);
    return true;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static bool check_twins(const struct index *index, struct gb_error *error)
{
    bool ok = true;
    char **paths = malloc((index->file_count + 1) * sizeof *paths);
    if (!paths)
        return error_set(error, GB_internal, "no memory");
    for (size_t i = 0; i < index->file_count; i++)
        paths[i] = index->files[i].path;
    qsort(paths, index->file_count, sizeof *paths, by_name);
    for (size_t i = 1; ok && i < index->file_count; i++)
        if (!strcmp(paths[i], paths[i - 1]))
            ok = error_set(error, GB_bad_value, "--map would give two files the path %s", paths[i]);
    free(paths);
    return ok;
}

/* What InnoDB's recovery must not meet. */
struct check {
    const struct index *index;
    char *const *original;
    struct gb_error *error;
};

static const char *moved_from(const struct check *c, size_t i)
{
    return c->index->files[i].kind == WIRE_KIND_TABLESPACE ? c->original[i] : NULL;
}

static bool check_old_paths(const struct check *c)
{
    for (size_t i = 0; i < c->index->file_count; i++)
        if (moved_from(c, i) && !access(c->original[i], F_OK)) {
            error_set(c->error, GB_target_not_empty,
                      "%s is still there: the redo names it, and the first start would write to it "
                      "instead of %s",
                      c->original[i], c->index->files[i].path);
            error_hint(c->error,
                       "restore where the old files are not to be seen, or move them away");
            return false;
        }
    return true;
}

/* "db/table.isl" of a tablespace's path. */
static void link_of(const char *path, char *link, size_t size)
{
    const char *part = table_part(path), *dot = strrchr(part, '.');
    snprintf(link, size, "%.*s.isl", dot ? (int)(dot - part) : 0, part);
}

static bool came_from_elsewhere(const struct check *c, const char *path)
{
    error_set(c->error, GB_not_supported,
              "%s is of a table that was renamed into another database: the first start would not "
              "find it in another place",
              path);
    error_hint(c->error, "restore without --map for this path, or let its directory be a link");
    return false;
}

static int by_table(const void *a, const void *b)
{
    return strcmp(table_part(*(char *const *)a), table_part(*(char *const *)b));
}

/* RENAME TABLE into another database leaves the file's directory as it is, so that recovery, which
   goes by the path, and the dictionary look for links of different names. */
static bool check_links(const struct check *c)
{
    const struct index *index = c->index;
    size_t links = 0, outside = 0;
    const char **link = malloc((index->file_count + 1) * sizeof *link), *key;
    const char **path = malloc((index->file_count + 1) * sizeof *path);
    char name[WIRE_PATH_MAX];
    bool ok = (link && path) || error_set(c->error, GB_internal, "no memory");
    for (size_t i = 0; ok && i < index->file_count; i++) {
        const struct index_file *f = &index->files[i];
        const char *old = c->original[i] ? c->original[i] : f->path, *dot = strrchr(old, '.');
        if (old[0] == '/' && f->kind == WIRE_KIND_TABLESPACE)
            path[outside++] = old;
        else if (old[0] != '/' && dot && !strcmp(dot, ".isl"))
            link[links++] = old;
    }
    if (ok) {
        qsort(link, links, sizeof *link, by_name);
        qsort(path, outside, sizeof *path, by_table);
    }
    for (size_t i = 1; ok && i < outside; i++)
        ok = by_table(&path[i - 1], &path[i]) || came_from_elsewhere(c, path[i]);
    for (size_t i = 0; ok && i < index->file_count; i++) {
        if (!moved_from(c, i))
            continue;
        link_of(c->original[i], name, sizeof name);
        key = name;
        ok = bsearch(&key, link, links, sizeof *link, by_name) ||
             came_from_elsewhere(c, c->original[i]);
    }
    free(link);
    free(path);
    return ok;
}

static void see_file(void *context, enum redo_op op, uint32_t space_id, const char *path,
                     size_t path_size, const char *new_path_, size_t new_path_size, uint64_t lsn)
{
    struct check *c = context;
    (void)path, (void)path_size, (void)lsn;
    for (size_t i = 0; op == REDO_FILE_RENAME && i < c->index->file_count; i++)
        if (c->index->files[i].space_id == space_id && moved_from(c, i)) {
            error_set(c->error, GB_not_supported,
                      "%s was renamed while the backup ran: the first start would rename it to "
                      "%.*s",
                      c->original[i], (int)new_path_size, new_path_);
            error_hint(c->error, "restore another backup, or without --map for this path");
        }
}

/* Of the tablespaces alone: the others are opened by name, from the server's configuration. */
static bool check_recovery(struct repository *repository, const struct manifest *m,
                           struct elsewhere *elsewhere, struct check *c)
{
    bool any = false;
    for (size_t i = 0; i < c->index->file_count; i++)
        any = any || moved_from(c, i);
    if (!any || !check_old_paths(c) || !check_links(c))
        return !any;
    const struct redo_visitor visitor = {.context = c, .file = see_file};
    struct frames *frames = frames_open(repository, m, c->index, elsewhere, c->error);
    bool ok = frames && frames_visit_redo(frames, &visitor, c->error) && !c->error->code;
    frames_close(frames);
    return ok;
}

bool relocate_files(struct repository *repository, const struct manifest *m,
                    const struct restore_request *request, struct index *index, char **original,
                    struct gb_error *error)
{
    struct check c = {index, original, error};
    return !request->map_count ||
           (move_files(index, request, original, error) && check_twins(index, error) &&
            check_recovery(repository, m, request->elsewhere, &c));
}

static bool write_link(const char *link, const char *path, struct gb_error *error)
{
    if (path[0] == '/')
        return target_write_file(link, path, strlen(path), 0660, error);
    if (unlink(link) && errno != ENOENT) /* at home InnoDB needs no link */
        return error_set_errno(error, GB_target_failed, errno, "%s can't be removed", link);
    return true;
}

bool relocate_links(const struct restore_request *request, const struct index *index,
                    char *const *original, struct gb_error *error)
{
    char link[WIRE_PATH_MAX], name[WIRE_PATH_MAX];
    for (size_t i = 0; i < index->file_count; i++) {
        const struct index_file *f = &index->files[i];
        if (!original[i] || f->kind != WIRE_KIND_TABLESPACE)
            continue;
        link_of(original[i], name, sizeof name);
        restore_target_path(request, name, link, sizeof link);
        if (!write_link(link, f->path, error))
            return false;
    }
    return true;
}
