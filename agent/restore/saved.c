/* The end of the restore of a save; see saved.h. */
#include "agent/restore/saved.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Turns the file that holds where a link leads to into the link. */
static bool make_link(const struct index_file *f, const struct restore_request *request,
                      struct gb_error *error)
{
    char path[WIRE_PATH_MAX], file[WIRE_PATH_MAX], target[INDEX_LINK_MAX + 1],
        is[INDEX_LINK_MAX + 1];
    restore_writing_path(request, f, file, sizeof file);
    snprintf(path, sizeof path, "%.*s", (int)(strlen(file) - strlen(SAVED_LINK_SUFFIX)), file);
    int fd = open(file, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT)
        return true; /* it has been made */
    ssize_t n = fd < 0 ? -1 : read(fd, target, sizeof target - 1);
    if (fd >= 0)
        close(fd);
    if (n < 0)
        return error_set_errno(error, GB_target_failed, errno, "%s can't be read", file);
    target[n] = '\0';
    if (n == 0 || strlen(target) != (size_t)n)
        return error_set(error, GB_corrupt_backup, "%s is a link to nowhere", f->path);
    bool made = !symlink(target, path) || (errno == EEXIST && readlink(path, is, sizeof is) == n &&
                                           !memcmp(is, target, (size_t)n));
    if (!made || unlink(file))
        return error_set_errno(error, GB_target_failed, errno, "the link %s can't be made", path);
    return true;
}

bool saved_finish(const struct index *index, const struct restore_request *request,
                  struct gb_error *error)
{
    char path[WIRE_PATH_MAX];
    bool has_mysql = false;
    for (size_t i = 0; i < index->file_count; i++) {
        const struct index_file *f = &index->files[i];
        has_mysql = has_mysql || (f->kind == WIRE_KIND_DIRECTORY && !strcmp(f->path, "mysql"));
    }
    restore_target_path(request, "mysql", path, sizeof path);
    if (!has_mysql && rmdir(path) && errno != ENOENT && errno != ENOTDIR)
        return error_set_errno(error, GB_target_failed, errno, "%s can't be removed", path);
    for (size_t i = 0; i < index->file_count; i++)
        if (index->files[i].kind == INDEX_KIND_LINK && !make_link(&index->files[i], request, error))
            return false;
    return true;
}
