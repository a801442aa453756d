/* What recovery could not make of what was restored; see settle.h. */
#include "agent/restore/settle.h"
#include "agent/restore/beneath.h"
#include "agent/warn.h"
#include "common/bytes.h"
#include "common/page.h"
#include "common/redo.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define BLOCK            (8u << 20) /* of the log, read at once; a mini-transaction is smaller */
#define FILE_PAGES_LEAST 4u         /* InnoDB makes no shorter file, and opens none */
#define LSN_AT           16u        /* FIL_PAGE_LSN */

struct space {
    const struct index_file *file;
    bool first_page; /* it is in the backup, or has been made here */
    bool deleted;
    uint64_t deleted_lsn; /* of the last mini-transaction that deletes it */
};

/* A file that waits for its IMPORT. */
struct foreign {
    const char *path;
    char byte; /* its name with this one for the first is no file's of the backup */
};

struct work {
    const struct restore_request *request;
    const struct manifest *manifest;
    const struct index *index;
    char *const *original;    /* settle()'s */
    char path[WIRE_PATH_MAX]; /* the log */
    int fd;
    struct space *spaces; /* of the backup, by id */
    size_t space_count;
    struct foreign *foreign;
    size_t foreign_count;
    uint64_t upto; /* the last mini-transaction to be written back: a deletion, or one that has a
                      foreign file's name */
    struct space *made; /* its first page is made by the mini-transaction that is read */
    uint8_t *page;
    struct gb_error *error;
};

static int by_id(const void *a, const void *b)
{
    uint32_t x = ((const struct space *)a)->file->space_id,
             y = ((const struct space *)b)->file->space_id;
    return x < y ? -1 : x > y;
}

static struct space *find(const struct work *w, uint32_t id)
{
    const struct index_file file = {.space_id = id};
    const struct space key = {.file = &file};
    return bsearch(&key, w->spaces, w->space_count, sizeof key, by_id);
}

/* ---- the first page ---- */

static void see_init(void *context, uint32_t space_id, uint32_t page_no, uint64_t lsn)
{
    (void)lsn;
    struct work *w = context;
    struct space *s = page_no ? NULL : find(w, space_id);
    if (s && !s->first_page)
        w->made = s;
}

static bool stamp(uint8_t *page, const struct space_format *format, uint64_t lsn)
{
    struct bytes_writer w = bytes_writer(page, format->page_size);
    bytes_writer_seek(&w, LSN_AT);
    bytes_put_u64(&w, lsn);
    if (!format->zip) {
        bytes_writer_seek(&w, format->page_size - (format->full_crc32 ? 8 : 4));
        bytes_put_u32(&w, (uint32_t)lsn);
    }
    return page_seal(format, page);
}

static bool write_page(const struct work *w, const struct space *s,
                       const struct space_format *format)
{
    char path[WIRE_PATH_MAX];
    struct stat st;
    off_t least = (off_t)FILE_PAGES_LEAST * format->logical_size;
    restore_writing_path(w->request, s->file, path, sizeof path);
    int fd = beneath_open(w->request->datadir, path, O_WRONLY, 0);
    bool ok = fd >= 0 && !fstat(fd, &st) && (st.st_size >= least || !ftruncate(fd, least)) &&
              beneath_write(fd, w->page, format->page_size, 0);
    if (!ok)
        beneath_failed(w->error, path, "written");
    if (fd >= 0)
        close(fd);
    return ok;
}

/* For recovery to make it, which it does at the path that the log names. */
static bool stays_without(const struct work *w, const struct space *s)
{
    struct gb_error why = {0};
    error_set(&why, GB_not_supported, "the redo makes no first page of %s that is understood",
              s->file->path);
    if (w->original[s->file - w->index->files]) {
        error_hint(&why, "restore without --map for it");
        error_copy(w->error, &why);
        return false;
    }
    error_hint(
        &why,
        "if the first start ends with \"Tablespace ... was not found\", restore another backup");
    warn_of(&why, NULL);
    return true;
}

/* Of the tablespace that the mini-transaction at lsn makes. */
static bool make_page(struct work *w, const uint8_t *mtr, size_t size, uint64_t lsn)
{
    struct space *s = w->made;
    struct space_info info;
    struct gb_error ignored = {0};
    bool zero;
    w->made = NULL;
    if (!redo_make_page_0(mtr, size, s->file->space_id, w->page, SPACE_PAGE_SIZE_MAX) ||
        !space_parse(w->page, SPACE_PAGE_SIZE_MAX, &info, &zero, &ignored) ||
        !stamp(w->page, &info.format, lsn + size) ||
        page_verify(&info.format, 0, w->page) != PAGE_WHOLE)
        return stays_without(w, s);
    s->first_page = true;
    return write_page(w, s, &info.format);
}

/* ---- waiting for an import ---- */

static char other_name(const void *context, const char *path, size_t size)
{
    const struct work *w = context;
    size_t dot = size > 2 && path[0] == '.' && path[1] == '/' ? 2 : 0;
    for (size_t i = 0; i < w->foreign_count; i++)
        if (strlen(w->foreign[i].path) == size - dot &&
            !memcmp(w->foreign[i].path, path + dot, size - dot))
            return w->foreign[i].byte;
    return 0;
}

static bool is_taken(const struct index *index, const char *path)
{
    for (size_t i = 0; i < index->file_count; i++)
        if (!strcmp(index->files[i].path, path))
            return true;
    return false;
}

static char free_byte(const struct index *index, const char *path)
{
    static const char bytes[] = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
    char name[WIRE_PATH_MAX];
    struct gb_error why = {0};
    snprintf(name, sizeof name, "%s", path);
    char *first = strrchr(name, '/') ? strrchr(name, '/') + 1 : name;
    for (const char *byte = bytes; *byte; byte++) {
        *first = *byte;
        if (!is_taken(index, name))
            return *byte;
    }
    error_set(&why, GB_not_supported,
              "the redo names %s, which waits for its IMPORT, and no name like it is free", path);
    error_hint(&why, "if the first start ends with \"Attempted to open a previously opened "
                     "tablespace\", restore another backup");
    warn_of(&why, NULL);
    return 0;
}

static bool list_foreign(struct work *w)
{
    if (!(w->foreign = calloc(w->index->file_count + 1, sizeof *w->foreign)))
        return false;
    for (size_t i = 0; i < w->index->file_count; i++) {
        const struct index_file *f = &w->index->files[i];
        const char *dot = strrchr(f->path, '.');
        if (f->kind == WIRE_KIND_OTHER && dot && !strcmp(dot, ".ibd") && !w->original[i])
            w->foreign[w->foreign_count++] =
                (struct foreign){f->path, free_byte(w->index, f->path)};
    }
    return true;
}

/* ---- imported ---- */

static void see_file(void *context, enum redo_op op, uint32_t id, const char *path,
                     size_t path_size, const char *new_path, size_t new_path_size, uint64_t lsn)
{
    struct work *w = context;
    struct space *s = op == REDO_FILE_DELETE ? find(w, id) : NULL;
    if (s) {
        s->deleted = true;
        s->deleted_lsn = w->upto = lsn;
    }
    if (other_name(w, path, path_size) || (new_path && other_name(w, new_path, new_path_size)))
        w->upto = lsn;
}

/* No others are looked for in the second pass. */
static void keep_deleted(struct work *w)
{
    size_t kept = 0;
    for (size_t i = 0; i < w->space_count; i++)
        if (w->spaces[i].deleted)
            w->spaces[kept++] = w->spaces[i];
    w->space_count = kept;
}

struct at {
    const struct work *work;
    uint64_t lsn;
};

static bool is_deleted_later(const void *context, uint32_t space_id)
{
    const struct at *at = context;
    const struct space *s = find(at->work, space_id);
    return s && at->lsn <= s->deleted_lsn;
}

/* Writes the mini-transaction at lsn back without what it says of tablespaces before their last
   deletion, and with other names for those that had a foreign file's. */
static bool mend(const struct work *w, uint8_t *data, size_t size, uint64_t lsn)
{
    const struct at at_lsn = {w, lsn};
    size_t after;
    bool any = w->space_count && redo_forget(data, size, is_deleted_later, &at_lsn);
    if (w->foreign_count)
        any |= redo_rename_files(data, size, other_name, w);
    if (any &&
        (redo_parse_flat_mtr(REDO_FORMAT_10_8, false, lsn, data, size, NULL, &after) != REDO_MTR ||
         after != size))
        return error_set(w->error, GB_internal,
                         "the redo at LSN %" PRIu64 " makes no sense without imported tablespaces",
                         lsn);
    uint64_t at = REDO_START_OFFSET + lsn - w->manifest->checkpoint_lsn;
    return !any || beneath_write(w->fd, data, size, at) ||
           beneath_failed(w->error, w->path, "written");
}

/* ---- the log ---- */

/* Goes over the mini-transactions from C to upto, its end or later: visits them, or mends. */
static bool go_over(struct work *w, uint64_t upto, const struct redo_visitor *visitor)
{
    const struct manifest *m = w->manifest;
    uint8_t *block = malloc(BLOCK);
    uint64_t lsn = m->checkpoint_lsn;
    bool ok = block || error_set(w->error, GB_internal, "no memory");
    while (ok && lsn < m->end_lsn && lsn <= upto) {
        size_t wanted = m->end_lsn - lsn < BLOCK ? (size_t)(m->end_lsn - lsn) : BLOCK, at = 0, size;
        ssize_t n =
            pread(w->fd, block, wanted, (off_t)(REDO_START_OFFSET + lsn - m->checkpoint_lsn));
        if (n != (ssize_t)wanted) {
            ok = error_set_errno(w->error, GB_target_failed, n < 0 ? errno : EIO,
                                 "%s can't be read", w->path);
            break;
        }
        while (ok && at < wanted &&
               redo_parse_flat_mtr(REDO_FORMAT_10_8, false, lsn, block + at, wanted - at, visitor,
                                   &size) == REDO_MTR) {
            ok = !visitor ? mend(w, block + at, size, lsn)
                          : !w->made || make_page(w, block + at, size, lsn);
            at += size;
            lsn += size;
        }
        ok = ok && (at || error_set(w->error, GB_corrupt_backup,
                                    "the redo can't be read beyond LSN %" PRIu64
                                    " (it ends at %" PRIu64 ")",
                                    lsn, m->end_lsn));
    }
    free(block);
    return ok;
}

/* A file that was only just made when the backup ended has no first page anywhere: recovery makes
 * one, at the path that the log names. */
static bool none_is_moved_without(const struct work *w)
{
    for (size_t i = 0; i < w->space_count; i++) {
        const struct space *s = &w->spaces[i];
        if (!s->first_page && !s->deleted && w->original[s->file - w->index->files])
            return stays_without(w, s);
    }
    return true;
}

/* The tablespaces that have a file of their own. */
static bool list_spaces(struct work *w, const struct index *index)
{
    bool *first = calloc(index->file_count + 1, sizeof *first);
    w->spaces = calloc(index->file_count + 1, sizeof *w->spaces);
    bool ok = first && w->spaces;
    for (size_t i = 0; ok && i < index->extent_count; i++) {
        const struct index_extent *e = &index->extents[i];
        const struct index_file *file = e->offset ? NULL : index_find(index, e->file_no);
        if (file)
            first[file - index->files] = true;
    }
    for (size_t i = 0; ok && i < index->file_count; i++)
        if (index->files[i].kind == WIRE_KIND_TABLESPACE)
            w->spaces[w->space_count++] =
                (struct space){.file = &index->files[i], .first_page = first[i]};
    if (ok)
        qsort(w->spaces, w->space_count, sizeof *w->spaces, by_id);
    free(first);
    return ok;
}

bool settle(const struct restore_request *request, const struct manifest *m,
            const struct index *index, char *const *original, struct gb_error *error)
{
    struct work w = {.request = request,
                     .manifest = m,
                     .index = index,
                     .original = original,
                     .fd = -1,
                     .error = error};
    const struct redo_visitor visitor = {.context = &w, .file = see_file, .init = see_init};
    restore_writing_path(request, index_find(index, WIRE_FILE_REDO), w.path, sizeof w.path);
    w.page = malloc(SPACE_PAGE_SIZE_MAX);
    bool ok = (w.page && list_spaces(&w, index) && list_foreign(&w)) ||
              error_set(error, GB_internal, "no memory");
    if (ok && (w.fd = beneath_open(request->datadir, w.path, O_RDWR, 0)) < 0)
        ok = error_set_errno(error, GB_target_failed, errno, "%s can't be opened", w.path);
    ok = ok && go_over(&w, UINT64_MAX, &visitor) && none_is_moved_without(&w);
    keep_deleted(&w);
    ok = ok && (!w.upto || go_over(&w, w.upto, NULL));
    if (w.fd >= 0)
        close(w.fd);
    free(w.spaces);
    free(w.foreign);
    free(w.page);
    return ok;
}
