/* Where the parts of a restored data directory stand; see layout.h. */
#include "agent/restore/layout.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The directory of a path: absolute, or relative to the data directory; "" for that one. */
static void directory_of(const struct index_file *f, char *out, size_t size)
{
    const char *slash = strrchr(f->path, '/');
    snprintf(out, size, "%.*s", slash ? (int)(slash - f->path) : 0, f->path);
}

static bool add_file(struct layout *l, const struct index_file *f,
                     const struct restore_request *request)
{
    char path[WIRE_PATH_MAX];
    struct layout_file *file = &l->files[l->file_count];
    if (f->path[0] == '/')
        restore_target_path(request, f->path, path, sizeof path);
    else
        snprintf(path, sizeof path, "%s/%s", l->datadir, f->path);
    *file =
        (struct layout_file){strdup(path), f->kind == WIRE_KIND_SYSTEM ? 0 : f->space_id, f->size};
    return file->path && ++l->file_count;
}

/* "ibdata1:12M:autoextend" of the source: sizes and order hold, names are where the files are now.
 */
static bool data_file_path(struct layout *l, const struct manifest *m)
{
    const char *spec = wire_fact(&m->facts, "innodb_data_file_path");
    size_t at = 0, datadir = strlen(l->datadir);
    for (size_t i = 0; i < l->file_count; i++) {
        if (l->files[i].space_id)
            continue;
        const char *end = spec + strcspn(spec, ";"),
                   *size = memchr(spec, ':', (size_t)(end - spec));
        const char *path = l->files[i].path;
        if (!size)
            return false;
        if (!strncmp(path, l->datadir, datadir) && path[datadir] == '/')
            path += datadir + 1;
        at += (size_t)snprintf(l->data_file_path + at, sizeof l->data_file_path - at, "%s%s%.*s",
                               at ? ";" : "", path, (int)(end - size), size);
        if (at >= sizeof l->data_file_path)
            return false;
        spec = *end ? end + 1 : end;
    }
    return at && !*spec;
}

bool layout_make(struct layout *l, const struct manifest *m, const struct index *index,
                 const struct restore_request *request, struct gb_error *error)
{
    memset(l, 0, sizeof *l);
    char *real = realpath(request->datadir, NULL);
    if (!real)
        return error_set_errno(error, GB_target_failed, errno, "the directory %s",
                               request->datadir);
    snprintf(l->datadir, sizeof l->datadir, "%s", real);
    free(real);
    l->files = calloc(index->file_count + 1, sizeof *l->files);
    bool ok = l->files != NULL;
    for (size_t i = 0; ok && i < index->file_count; i++) {
        const struct index_file *f = &index->files[i];
        if (f->kind == WIRE_KIND_SYSTEM || f->kind == WIRE_KIND_UNDO)
            ok = add_file(l, f, request);
        if (f->kind == WIRE_KIND_SYSTEM)
            l->page_size = f->page_size;
        if (f->kind == WIRE_KIND_UNDO) {
            l->undo_tablespaces++;
            directory_of(f, l->undo_dir, sizeof l->undo_dir);
        }
        if (f->kind == WIRE_KIND_ARIA_CONTROL)
            directory_of(f, l->aria_dir, sizeof l->aria_dir);
        if (f->kind == WIRE_KIND_TABLESPACE && f->path[0] == '/')
            l->outside++;
    }
    if (!ok)
        error_set(error, GB_internal, "no memory");
    else if (!l->page_size || !data_file_path(l, m))
        ok = error_set(error, GB_corrupt_backup,
                       "%s: innodb_data_file_path=%s does not fit its files", m->id,
                       wire_fact(&m->facts, "innodb_data_file_path"));
    if (!ok)
        layout_free(l);
    return ok;
}

void layout_free(struct layout *l)
{
    for (size_t i = 0; i < l->file_count; i++)
        free(l->files[i].path);
    free(l->files);
    l->files = NULL;
    l->file_count = 0;
}

const char *layout_find(const struct layout *l, uint32_t space_id, uint32_t page_no,
                        uint64_t *offset)
{
    uint64_t at = (uint64_t)page_no * l->page_size;
    for (size_t i = 0; i < l->file_count; i++) {
        const struct layout_file *f = &l->files[i];
        if (f->space_id != space_id)
            continue;
        bool last = true; /* the last file of a space may have grown */
        for (size_t k = i + 1; k < l->file_count; k++)
            last = last && l->files[k].space_id != space_id;
        if (at < f->size || last) {
            *offset = at;
            return f->path;
        }
        at -= f->size;
    }
    return NULL;
}
