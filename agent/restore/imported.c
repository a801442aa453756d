/* Tablespaces that were imported while they were backed up; see imported.h. */
#include "agent/restore/imported.h"
#include "common/redo.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BLOCK       (8u << 20) /* of the log, read at once; a mini-transaction is smaller */
#define CHOICES     65536u     /* ids of the same size that are looked at for one that is free */
#define SIZES       5u         /* of ids, bytes */
#define DELETED_MAX 4096u

static const uint32_t first_of_size[SIZES] = {1, 0x80, 0x4080, 0x204080, 0x10204080};

struct deleted {
    uint32_t id, instead;
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
    uint64_t upto;         /* the last of their LSNs */
    uint8_t *taken[SIZES]; /* by size and distance from its first: the id is in the log */
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
    if (i == DELETED_MAX) {
        error_set(w->error, GB_not_supported,
                  "more than %u tablespaces were imported during the backup", DELETED_MAX);
        return;
    }
    if (i == w->deleted_count)
        w->deleted[w->deleted_count++].id = id;
    w->deleted[i].lsn = w->upto = lsn;
}

static void take_id(struct work *w, uint32_t id)
{
    unsigned size = redo_id_size(id) - 1;
    if (id && id - first_of_size[size] < CHOICES)
        w->taken[size][id - first_of_size[size]] = 1;
}

static void take_file(void *context, enum redo_op op, uint32_t id, const char *path,
                      size_t path_size, const char *new_path, size_t new_path_size, uint64_t lsn)
{
    (void)op, (void)path, (void)path_size, (void)new_path, (void)new_path_size, (void)lsn;
    take_id(context, id);
}

static void take_page(void *context, uint32_t id, uint32_t page_no, uint64_t lsn)
{
    (void)page_no, (void)lsn;
    take_id(context, id);
}

/* Writes the mini-transaction at lsn back with other ids, if it is of a tablespace before its last
 * deletion. */
static bool renumber(const struct work *w, uint8_t *data, size_t size, uint64_t lsn)
{
    bool any = false;
    for (size_t i = 0; i < w->deleted_count; i++)
        if (lsn <= w->deleted[i].lsn)
            any |= redo_renumber(data, size, w->deleted[i].id, w->deleted[i].instead);
    off_t at = (off_t)(REDO_START_OFFSET + lsn - w->manifest->checkpoint_lsn);
    return !any || pwrite(w->fd, data, size, at) == (ssize_t)size ||
           error_set_errno(w->error, GB_target_failed, errno, "%s can't be written", w->path);
}

/* Goes over the mini-transactions from C to upto, its end or later: visits them, or renumbers. */
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
            ok = visitor || renumber(w, block + at, size, lsn);
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

/* An id for each, of its size, that neither the log nor the backup has. */
static bool choose(struct work *w)
{
    bool ok = true;
    for (unsigned size = 0; size < SIZES; size++)
        ok = (w->taken[size] = calloc(CHOICES, 1)) && ok;
    if (!ok)
        return error_set(w->error, GB_internal, "no memory");
    struct redo_visitor all = {.context = w, .file = take_file, .page = take_page};
    if (!go_over(w, UINT64_MAX, &all))
        return false;
    for (size_t i = 0; i < w->deleted_count; i++) {
        unsigned size = redo_id_size(w->deleted[i].id);
        uint32_t k = 0;
        while (k < CHOICES && redo_id_size(first_of_size[size - 1] + k) == size &&
               (w->taken[size - 1][k] || in_backup(w, first_of_size[size - 1] + k)))
            k++;
        if (k == CHOICES || redo_id_size(first_of_size[size - 1] + k) != size)
            return error_set(w->error, GB_not_supported,
                             "tablespace %u was imported during the backup, and no id is free for "
                             "what it was before",
                             w->deleted[i].id);
        w->deleted[i].instead = first_of_size[size - 1] + k;
        w->taken[size - 1][k] = 1;
    }
    return true;
}

bool imported_settle(const struct manifest *m, const struct index *index, int fd, const char *path,
                     struct gb_error *error)
{
    struct work w = {.manifest = m, .path = path, .fd = fd, .error = error};
    w.spaces = malloc((index->file_count + 1) * sizeof *w.spaces);
    w.deleted = calloc(DELETED_MAX, sizeof *w.deleted);
    bool ok = (w.spaces && w.deleted) || error_set(error, GB_internal, "no memory");
    for (size_t i = 0; ok && i < index->file_count; i++)
        if (index->files[i].kind == WIRE_KIND_TABLESPACE)
            w.spaces[w.space_count++] = index->files[i].space_id;
    if (ok)
        qsort(w.spaces, w.space_count, sizeof *w.spaces, by_number);
    struct redo_visitor deletions = {.context = &w, .file = see_file};
    ok = ok && go_over(&w, UINT64_MAX, &deletions);
    if (ok && w.deleted_count)
        ok = choose(&w) && go_over(&w, w.upto, NULL);
    for (unsigned size = 0; size < SIZES; size++)
        free(w.taken[size]);
    free(w.deleted);
    free(w.spaces);
    return ok;
}
