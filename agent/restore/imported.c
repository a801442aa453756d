/* Tablespaces that were imported while they were backed up; see imported.h. */
#include "agent/restore/imported.h"
#include "common/redo.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BLOCK (8u << 20) /* of the log, read at once; a mini-transaction is smaller */

struct deleted {
    uint32_t id;
    uint64_t lsn; /* of the last mini-transaction that deletes it */
};

struct work {
    const struct manifest *manifest;
    const char *path;
    int fd;
    uint32_t *spaces; /* of the backup, sorted */
    size_t space_count;
    struct deleted *deleted;
    size_t deleted_count;
    uint64_t upto; /* the last of their LSNs */
    struct gb_error *error;
};

static int by_number(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

static bool in_backup(const struct work *w, uint32_t id)
{
    return bsearch(&id, w->spaces, w->space_count, sizeof id, by_number) != NULL;
}

static void see_file(void *context, enum redo_op op, uint32_t id, const char *path,
                     size_t path_size, const char *new_path, size_t new_path_size, uint64_t lsn)
{
    (void)path, (void)path_size, (void)new_path, (void)new_path_size;
    struct work *w = context;
    if (op != REDO_FILE_DELETE || !in_backup(w, id))
        return;
    size_t i = 0;
    while (i < w->deleted_count && w->deleted[i].id != id)
        i++;
    if (i == w->deleted_count)
        w->deleted[w->deleted_count++].id = id;
    w->deleted[i].lsn = w->upto = lsn;
}

/* Writes the mini-transaction at lsn back without what it says of tablespaces before their last
   deletion. */
static bool forget(const struct work *w, uint8_t *data, size_t size, uint64_t lsn)
{
    bool any = false;
    for (size_t i = 0; i < w->deleted_count; i++)
        if (lsn <= w->deleted[i].lsn)
            any |= redo_forget(data, size, w->deleted[i].id);
    off_t at = (off_t)(REDO_START_OFFSET + lsn - w->manifest->checkpoint_lsn);
    return !any || pwrite(w->fd, data, size, at) == (ssize_t)size ||
           error_set_errno(w->error, GB_target_failed, errno, "%s can't be written", w->path);
}

/* Goes over the mini-transactions from C to upto, its end or later: visits them, or forgets. */
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
            ok = visitor || forget(w, block + at, size, lsn);
            at += size;
            lsn += size;
        }
        if (!at)
            break; /* no redo: recovery ends here, too, and verify says so */
        ok = ok && !w->error->code;
    }
    free(block);
    return ok;
}

bool imported_settle(const struct manifest *m, const struct index *index, int fd, const char *path,
                     struct gb_error *error)
{
    struct work w = {.manifest = m, .path = path, .fd = fd, .error = error};
    w.spaces = malloc((index->file_count + 1) * sizeof *w.spaces);
    w.deleted = calloc(index->file_count + 1, sizeof *w.deleted);
    bool ok = (w.spaces && w.deleted) || error_set(error, GB_internal, "no memory");
    for (size_t i = 0; ok && i < index->file_count; i++)
        if (index->files[i].kind == WIRE_KIND_TABLESPACE)
            w.spaces[w.space_count++] = index->files[i].space_id;
    if (ok)
        qsort(w.spaces, w.space_count, sizeof *w.spaces, by_number);
    struct redo_visitor deletions = {.context = &w, .file = see_file};
    ok = ok && go_over(&w, UINT64_MAX, &deletions);
    if (ok && w.deleted_count)
        ok = go_over(&w, w.upto, NULL);
    free(w.deleted);
    free(w.spaces);
    return ok;
}
