/* The index of a backup; see index.h. */
#include "agent/repository/index.h"
#include "common/bytes.h"

#include <inttypes.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define INDEX_MAGIC      0x47424958u /* "GBIX" */
#define INDEX_VERSION    1u
#define INDEX_HEADER     16u
#define INDEX_SEALED_AT  7u /* of the header */
#define INDEX_SEALED     1u /* a tag of SEAL_TAG_SIZE follows the header */
#define INDEX_LEVEL      3
#define INDEX_STORED_MAX (1ull << 32)
#define INDEX_PLAIN_MAX  (1ull << 33)
#define MAP_SIZE_MIN     256u
#define HASH_FACTOR      0x9E3779B1u

/* bytes of fixed-size parts in the body */
#define FILE_FIXED  29u
#define FRAME_FIXED 45u
#define EXTENT_SIZE 16u

void index_init(struct index *x)
{
    memset(x, 0, sizeof *x);
}

void index_free(struct index *x)
{
    for (size_t i = 0; i < x->file_count; i++)
        free(x->files[i].path);
    free(x->files);
    free(x->frames);
    free(x->extents);
    free(x->by_number);
    memset(x, 0, sizeof *x);
}

/* Makes room for one more element. */
static bool grow(void **array, size_t *capacity, size_t count, size_t more, size_t size,
                 struct gb_error *error)
{
    if (count + more <= *capacity)
        return true;
    size_t wanted = *capacity ? *capacity * 2 : 256;
    while (wanted < count + more)
        wanted *= 2;
    void *bigger = realloc(*array, wanted * size);
    if (!bigger)
        return error_set(error, GB_internal, "no memory for the index");
    *array = bigger;
    *capacity = wanted;
    return true;
}

/* Where the place of file_no is in the map, or would be: an open-addressing hash, at most half
   full, so that its memory goes with the number of files and not with what numbers they claim. */
static uint32_t *map_slot(const struct index *x, uint32_t file_no)
{
    size_t mask = x->by_number_size - 1, at = (file_no * HASH_FACTOR >> 7) & mask;
    while (x->by_number[at] && x->files[x->by_number[at] - 1].file_no != file_no)
        at = (at + 1) & mask;
    return &x->by_number[at];
}

static void map_fill(struct index *x)
{
    memset(x->by_number, 0, x->by_number_size * sizeof *x->by_number);
    for (size_t i = 0; i < x->file_count; i++)
        *map_slot(x, x->files[i].file_no) = (uint32_t)i + 1;
}

static bool map_grow(struct index *x, struct gb_error *error)
{
    size_t size = x->by_number_size ? x->by_number_size * 2 : MAP_SIZE_MIN;
    if (x->by_number_size > 2 * x->file_count)
        return true;
    uint32_t *bigger = realloc(x->by_number, size * sizeof *bigger);
    if (!bigger)
        return error_set(error, GB_internal, "no memory for the index");
    x->by_number = bigger;
    x->by_number_size = size;
    map_fill(x);
    return true;
}

struct index_file *index_find(const struct index *x, uint32_t file_no)
{
    uint32_t place = x->by_number_size ? *map_slot(x, file_no) : 0;
    return place ? &x->files[place - 1] : NULL;
}

static bool put_file(struct index *x, const struct index_file *file, struct gb_error *error)
{
    if (!grow((void **)&x->files, &x->file_capacity, x->file_count, 1, sizeof *x->files, error) ||
        !map_grow(x, error))
        return false;
    *map_slot(x, file->file_no) = (uint32_t)x->file_count + 1;
    x->files[x->file_count++] = *file;
    return true;
}

static bool add_file(struct index *x, const struct index_file *file, struct gb_error *error)
{
    if (!file->file_no || index_find(x, file->file_no))
        return error_set(error, GB_protocol, "file number %u is used already or not one",
                         file->file_no);
    return put_file(x, file, error);
}

bool index_add_log(struct index *x, const char *path, uint64_t size, struct gb_error *error)
{
    struct index_file f = {
        .file_no = WIRE_FILE_REDO, .kind = INDEX_KIND_LOG, .size = size, .path = strdup(path)};
    if (f.path && put_file(x, &f, error))
        return true;
    free(f.path);
    return error_set(error, GB_internal, "no memory for the index");
}

bool index_add_file(struct index *x, const struct wire_file *m, struct gb_error *error)
{
    struct index_file f = {.file_no = m->file_no,
                           .kind = m->kind,
                           .space_id = m->space_id,
                           .page_size = m->page_size,
                           .mode = m->mode,
                           .path = strdup(m->path)};
    if (!f.path)
        return error_set(error, GB_internal, "no memory for the index");
    if (add_file(x, &f, error))
        return true;
    free(f.path);
    return false;
}

bool index_file_done(struct index *x, const struct wire_file_done *m, struct gb_error *error)
{
    struct index_file *f = index_find(x, m->file_no);
    if (!f || f->done)
        return error_set(error, GB_protocol, "file %u is done twice or unknown", m->file_no);
    f->done = true;
    f->size = m->size;
    f->unverifiable = m->unverifiable;
    f->sent = m->sent;
    return true;
}

bool index_check_sent(const struct index *x, struct gb_error *error)
{
    uint64_t *come = calloc(x->file_count + 1, sizeof *come);
    bool ok = come || error_set(error, GB_internal, "no memory for the index");
    for (size_t i = 0; ok && i < x->extent_count; i++) {
        const struct index_file *f =
            x->extents[i].file_no == WIRE_FILE_REDO ? NULL : index_find(x, x->extents[i].file_no);
        if (f)
            come[f - x->files] += x->extents[i].length;
    }
    for (size_t i = 0; ok && i < x->file_count; i++)
        if (x->files[i].done && !x->files[i].dropped && come[i] != x->files[i].sent)
            ok = error_set(error, GB_protocol,
                           "of %s %" PRIu64 " bytes were sent and %" PRIu64 " have come",
                           x->files[i].path, x->files[i].sent, come[i]);
    free(come);
    return ok;
}

bool index_file_drop(struct index *x, uint32_t file_no, struct gb_error *error)
{
    struct index_file *f = index_find(x, file_no);
    (void)error;
    if (f)
        f->dropped = true; /* one that never was announced may be dropped, too */
    return true;
}

bool index_file_name(struct index *x, uint32_t file_no, const char *path, struct gb_error *error)
{
    struct index_file *f = index_find(x, file_no);
    char *copy = f ? strdup(path) : NULL;
    if (!copy)
        return error_set(error, GB_protocol, "file %u is renamed but unknown", file_no);
    free(f->path);
    f->path = copy;
    return true;
}

bool index_add_frame(struct index *x, const struct frame *frame, const struct wire_extent *extents,
                     uint32_t count, struct gb_error *error)
{
    if (!grow((void **)&x->frames, &x->frame_capacity, x->frame_count, 1, sizeof *x->frames,
              error) ||
        !grow((void **)&x->extents, &x->extent_capacity, x->extent_count, count, sizeof *x->extents,
              error))
        return false;
    x->frames[x->frame_count++] = (struct index_frame){*frame, (uint32_t)x->extent_count, count};
    for (uint32_t i = 0; i < count; i++)
        x->extents[x->extent_count++] =
            (struct index_extent){extents[i].file_no, extents[i].length, extents[i].offset};
    return true;
}

bool index_path_clean(const char *path)
{
    if (!*path)
        return false;
    for (const char *part = path[0] == '/' ? path + 1 : path; part;) {
        const char *slash = strchr(part, '/');
        size_t n = slash ? (size_t)(slash - part) : strlen(part);
        if (!n || (n == 1 && part[0] == '.') || (n == 2 && part[0] == '.' && part[1] == '.'))
            return false;
        part = slash ? slash + 1 : NULL;
    }
    return true;
}

static int by_path(const void *a, const void *b)
{
    return strcmp((*(struct index_file *const *)a)->path, (*(struct index_file *const *)b)->path);
}

static int by_space(const void *a, const void *b)
{
    uint32_t x = (*(struct index_file *const *)a)->space_id,
             y = (*(struct index_file *const *)b)->space_id;
    return x < y ? -1 : x > y;
}

static bool is_space(const struct index_file *f)
{
    return f->kind == WIRE_KIND_TABLESPACE || f->kind == WIRE_KIND_UNDO;
}

/* Kinds that the server keeps where a variable or DATA DIRECTORY says. Nothing else has a place
 * outside the data directory. */
static bool may_be_outside(const struct index_file *f)
{
    return is_space(f) || f->kind == WIRE_KIND_SYSTEM || f->kind == WIRE_KIND_ARIA_LOG ||
           f->kind == WIRE_KIND_ARIA_CONTROL || f->kind == INDEX_KIND_LINK ||
           f->kind == INDEX_KIND_OUTSIDE;
}

bool index_check_kinds(const struct index *x, bool save, struct gb_error *error)
{
    for (size_t i = 0; i < x->file_count; i++) {
        const struct index_file *f = &x->files[i];
        bool ours = f->kind == INDEX_KIND_LINK || f->kind == INDEX_KIND_OUTSIDE;
        if (save ? !ours && f->kind != WIRE_KIND_OTHER && f->kind != WIRE_KIND_DIRECTORY : ours)
            return error_set(error, GB_corrupt_backup, "%s is of kind %u, which %s has", f->path,
                             f->kind, save ? "no save" : "only a save");
    }
    return true;
}

/* What writing and reading both check of the files. */
static bool check_files(const struct index *x, enum gb_code code, struct gb_error *error)
{
    struct index_file **sorted = malloc((x->file_count + 1) * sizeof *sorted);
    if (!sorted)
        return error_set(error, GB_internal, "no memory for the index");
    bool ok = true;
    size_t spaces = 0;
    for (size_t i = 0; i < x->file_count; i++) {
        sorted[i] = &x->files[i];
        if (!index_path_clean(x->files[i].path))
            ok = error_set(error, code, "the path \"%s\" is not one that can be restored",
                           x->files[i].path);
        else if (x->files[i].path[0] == '/' && !may_be_outside(&x->files[i]))
            ok = error_set(error, code,
                           "%s is outside the data directory and of a kind that never is",
                           x->files[i].path);
        else if (x->files[i].path[0] != '/' && x->files[i].kind == INDEX_KIND_OUTSIDE)
            ok = error_set(error, code,
                           "%s is said to be outside the data directory and has no absolute path",
                           x->files[i].path);
        else if (x->files[i].kind == INDEX_KIND_LINK && x->files[i].size > INDEX_LINK_MAX)
            ok = error_set(error, code, "%s is a link of %" PRIu64 " bytes", x->files[i].path,
                           x->files[i].size);
    }
    qsort(sorted, x->file_count, sizeof *sorted, by_path);
    for (size_t i = 1; i < x->file_count; i++)
        if (!strcmp(sorted[i]->path, sorted[i - 1]->path))
            ok = error_set(error, code, "%s is there twice", sorted[i]->path);
    for (size_t i = 0; i < x->file_count; i++)
        if (is_space(&x->files[i]))
            sorted[spaces++] = &x->files[i];
    qsort(sorted, spaces, sizeof *sorted, by_space);
    for (size_t i = 1; i < spaces; i++)
        if (sorted[i]->space_id == sorted[i - 1]->space_id)
            ok = error_set(error, code, "%s and %s have the same space id %u", sorted[i]->path,
                           sorted[i - 1]->path, sorted[i]->space_id);
    free(sorted);
    return ok;
}

struct redo_run {
    uint64_t offset;
    uint32_t length;
};

static int by_offset(const void *a, const void *b)
{
    const struct redo_run *x = a, *y = b;
    return x->offset < y->offset ? -1 : x->offset > y->offset;
}

/* Extents: known files, inside them; as long as their frame; redo without gap from 0 to redo_bytes.
 */
static bool check_extents(const struct index *x, uint64_t redo_bytes, enum gb_code code,
                          struct gb_error *error)
{
    struct redo_run *redo = malloc((x->extent_count + 1) * sizeof *redo);
    if (!redo)
        return error_set(error, GB_internal, "no memory for the index");
    size_t runs = 0;
    bool ok = true;
    for (size_t i = 0; i < x->frame_count && ok; i++) {
        const struct index_frame *f = &x->frames[i];
        uint64_t sum = 0;
        for (uint32_t j = 0; j < f->extents && ok; j++) {
            const struct index_extent *e = &x->extents[f->first_extent + j];
            const struct index_file *file = index_find(x, e->file_no);
            sum += e->length;
            if (e->file_no == WIRE_FILE_REDO)
                redo[runs++] = (struct redo_run){e->offset, e->length};
            else if (file && (e->offset > file->size || e->length > file->size - e->offset))
                ok = error_set(error, code, "bytes beyond the end of %s", file->path);
        }
        if (ok && sum != f->frame.plain_size)
            ok = error_set(error, code,
                           "frame %u of segment %u holds %u bytes, its extents %" PRIu64,
                           f->frame.number, f->frame.segment, f->frame.plain_size, sum);
    }
    qsort(redo, runs, sizeof *redo, by_offset);
    uint64_t upto = 0;
    for (size_t i = 0; i < runs && ok; i++) {
        if (redo[i].offset != upto)
            ok = error_set(error, code, "the redo has a gap at byte %" PRIu64, upto);
        upto += redo[i].length;
    }
    if (ok && upto < redo_bytes)
        ok = error_set(error, code, "the redo ends at byte %" PRIu64 " of %" PRIu64, upto,
                       redo_bytes);
    free(redo);
    return ok;
}

bool index_finish(struct index *x, uint64_t redo_bytes, struct gb_error *error)
{
    size_t kept = 0;
    for (size_t i = 0; i < x->file_count; i++)
        if (!x->files[i].dropped && !x->files[i].done)
            return error_set(error, GB_internal, "%s was not copied to its end", x->files[i].path);
    for (size_t i = 0; i < x->file_count; i++) {
        struct index_file *f = &x->files[i];
        if (f->dropped) {
            free(f->path);
            continue;
        }
        x->files[kept++] = *f;
    }
    x->file_count = kept;
    if (x->by_number_size)
        map_fill(x);
    return check_files(x, GB_internal, error) && check_extents(x, redo_bytes, GB_internal, error);
}

static void put_body(const struct index *x, struct bytes_writer *w)
{
    bytes_put_u32(w, (uint32_t)x->file_count);
    for (size_t i = 0; i < x->file_count; i++) {
        const struct index_file *f = &x->files[i];
        bytes_put_u32(w, f->file_no);
        bytes_put_u8(w, f->kind);
        bytes_put_u8(w, f->unverifiable);
        bytes_put_u32(w, f->space_id);
        bytes_put_u32(w, f->page_size);
        bytes_put_u32(w, f->mode);
        bytes_put_u64(w, f->size);
        bytes_put_string(w, f->path);
    }
    bytes_put_u32(w, (uint32_t)x->frame_count);
    for (size_t i = 0; i < x->frame_count; i++) {
        const struct index_frame *f = &x->frames[i];
        bytes_put_u32(w, f->frame.segment);
        bytes_put_u32(w, f->frame.number);
        bytes_put_u64(w, f->frame.offset);
        bytes_put_u32(w, f->frame.stored_size);
        bytes_put_u32(w, f->frame.plain_size);
        bytes_put_u8(w, (uint8_t)f->frame.codec);
        bytes_put(w, f->frame.hash, FRAME_HASH_SIZE);
        bytes_put_u32(w, f->extents);
        for (uint32_t j = 0; j < f->extents; j++) {
            bytes_put_u32(w, x->extents[f->first_extent + j].file_no);
            bytes_put_u64(w, x->extents[f->first_extent + j].offset);
            bytes_put_u32(w, x->extents[f->first_extent + j].length);
        }
    }
}

static size_t body_size(const struct index *x)
{
    size_t size = 8 + x->frame_count * FRAME_FIXED + x->extent_count * EXTENT_SIZE;
    for (size_t i = 0; i < x->file_count; i++)
        size += FILE_FIXED + 2 + strlen(x->files[i].path);
    return size;
}

static bool store(struct storage *storage, const char *prefix, const uint8_t *data, size_t size,
                  struct object_info *info, struct gb_error *error)
{
    char name[1024];
    unsigned length;
    snprintf(name, sizeof name, "%s/index", prefix);
    memset(info, 0, sizeof *info);
    snprintf(info->name, sizeof info->name, "index");
    info->size = size;
    EVP_Digest(data, size, info->sha256, &length, EVP_sha256(), NULL);
    return storage_put(storage, name, data, size, error);
}

/* The body of `stored` bytes encrypted behind the header and the tag. */
static bool seal_body(const struct seal_key *key, uint8_t *out, size_t stored,
                      struct gb_error *error)
{
    struct seal *seal = seal_new(key);
    bool ok =
        seal ? seal_close(seal, (struct seal_place){.what = SEAL_INDEX}, out, INDEX_HEADER,
                          out + INDEX_HEADER + SEAL_TAG_SIZE, stored, out + INDEX_HEADER, error)
             : error_set(error, GB_internal, "no memory for the index");
    seal_free(seal);
    return ok;
}

bool index_write(const struct index *x, struct storage *storage, const char *prefix,
                 const struct seal_key *key, struct object_info *info, struct gb_error *error)
{
    size_t head = INDEX_HEADER + (key ? SEAL_TAG_SIZE : 0), plain = body_size(x),
           room = head + codec_bound(plain), stored = 0;
    uint8_t *body = malloc(plain), *out = malloc(room);
    struct codec *codec = codec_new((struct codec_spec){CODEC_ZSTD, INDEX_LEVEL});
    bool ok = body && out && codec;
    if (!ok)
        error_set(error, GB_internal, "no memory for the index");
    if (ok) {
        struct bytes_writer w = bytes_writer(body, plain);
        put_body(x, &w);
        enum codec_kind kind;
        struct iovec piece = {body, w.at};
        ok = !w.failed || error_set(error, GB_internal, "the index does not fit");
        ok = ok && codec_compress(codec, &piece, 1, out + head, room - head, &stored, &kind, error);
        if (ok) {
            struct bytes_writer h = bytes_writer(out, INDEX_HEADER);
            bytes_put_u32(&h, INDEX_MAGIC);
            bytes_put_u16(&h, INDEX_VERSION);
            bytes_put_u8(&h, (uint8_t)kind);
            bytes_put_u8(&h, key ? INDEX_SEALED : 0);
            bytes_put_u64(&h, w.at);
        }
    }
    ok = ok && (!key || seal_body(key, out, stored, error)) &&
         store(storage, prefix, out, head + stored, info, error);
    codec_free(codec);
    free(body);
    free(out);
    return ok;
}

static bool get_body(struct index *x, struct bytes_reader *r, struct gb_error *error)
{
    uint32_t files = bytes_get_u32(r);
    for (uint32_t i = 0; i < files && !r->failed; i++) {
        char path[WIRE_PATH_MAX];
        struct index_file f = {.done = true};
        f.file_no = bytes_get_u32(r);
        f.kind = bytes_get_u8(r);
        f.unverifiable = bytes_get_u8(r);
        f.space_id = bytes_get_u32(r);
        f.page_size = bytes_get_u32(r);
        f.mode = bytes_get_u32(r) & INDEX_MODE_MASK;
        f.size = bytes_get_u64(r);
        bytes_get_string(r, path, sizeof path);
        if (r->failed || f.kind < WIRE_KIND_SYSTEM || f.kind > INDEX_KIND_OUTSIDE ||
            f.size > INT64_MAX)
            return error_set(error, GB_corrupt_backup, "index: file %u is malformed", i);
        struct gb_error why = {0};
        if (!(f.path = strdup(path)) || !add_file(x, &f, &why)) {
            free(f.path);
            return error_set(error, GB_corrupt_backup, "index: file %u: %s", i,
                             why.code ? why.what : "no memory");
        }
    }
    uint32_t frames = bytes_get_u32(r);
    for (uint32_t i = 0; i < frames && !r->failed; i++) {
        struct frame f = {0};
        f.segment = bytes_get_u32(r);
        f.number = bytes_get_u32(r);
        f.offset = bytes_get_u64(r);
        f.stored_size = bytes_get_u32(r);
        f.plain_size = bytes_get_u32(r);
        f.codec = (enum codec_kind)bytes_get_u8(r);
        const uint8_t *hash = bytes_take(r, FRAME_HASH_SIZE);
        uint32_t extents = bytes_get_u32(r);
        if (!hash || extents > WIRE_EXTENTS_MAX || f.plain_size > FRAME_PLAIN_MAX ||
            f.stored_size > codec_bound(FRAME_PLAIN_MAX) ||
            f.offset > INT64_MAX - FRAME_HEADER_SIZE - codec_bound(FRAME_PLAIN_MAX))
            return error_set(error, GB_corrupt_backup, "index: frame %u is malformed", i);
        memcpy(f.hash, hash, FRAME_HASH_SIZE);
        if (!index_add_frame(x, &f, NULL, 0, error) ||
            !grow((void **)&x->extents, &x->extent_capacity, x->extent_count, extents,
                  sizeof *x->extents, error))
            return false;
        x->frames[x->frame_count - 1].extents = extents;
        for (uint32_t j = 0; j < extents; j++) {
            struct index_extent *e = &x->extents[x->extent_count++];
            e->file_no = bytes_get_u32(r);
            e->offset = bytes_get_u64(r);
            e->length = bytes_get_u32(r);
        }
    }
    return (!r->failed && !bytes_left(r)) ||
           error_set(error, GB_corrupt_backup, "index: malformed");
}

/* The body decrypted, malloc'ed. */
static uint8_t *open_body(const struct seal_key *key, const uint8_t *stored, size_t size,
                          const char *name, struct gb_error *error)
{
    struct seal *seal = seal_new(key);
    uint8_t *out = seal ? malloc(size + 1) : NULL;
    struct gb_error why = {0};
    if (!out)
        error_set(error, GB_internal, "no memory for the index");
    else if (!seal_open(seal, (struct seal_place){.what = SEAL_INDEX}, stored, INDEX_HEADER,
                        stored + INDEX_HEADER + SEAL_TAG_SIZE, size, stored + INDEX_HEADER, out,
                        &why)) {
        error_set(error, GB_corrupt_backup, "%s: %s", name, why.what);
        free(out);
        out = NULL;
    }
    seal_free(seal);
    return out;
}

bool index_parse(struct index *x, const uint8_t *stored, size_t size, const char *name,
                 const struct seal_key *key, struct gb_error *error)
{
    index_init(x);
    struct bytes_reader r = bytes_reader(stored, size);
    uint32_t magic = bytes_get_u32(&r), version = bytes_get_u16(&r);
    enum codec_kind kind = (enum codec_kind)bytes_get_u8(&r);
    uint8_t sealed = bytes_get_u8(&r);
    uint64_t plain = bytes_get_u64(&r);
    size_t head = INDEX_HEADER + (key ? SEAL_TAG_SIZE : 0);
    if (r.failed || size < head || magic != INDEX_MAGIC || version != INDEX_VERSION ||
        sealed != (key ? INDEX_SEALED : 0) || plain > INDEX_PLAIN_MAX)
        return error_set(error, GB_corrupt_backup, "%s has no valid header", name);
    uint8_t *opened = key ? open_body(key, stored, size - head, name, error) : NULL;
    const uint8_t *text = key ? opened : stored + head;
    if (!text)
        return false;
    if (!codec_plausible(kind, text, size - head, (size_t)plain)) {
        free(opened);
        return error_set(error, GB_corrupt_backup, "%s has no valid header", name);
    }
    uint8_t *body = malloc((size_t)plain + 1);
    struct codec *codec = codec_new((struct codec_spec){CODEC_ZSTD, INDEX_LEVEL});
    bool ok = (body && codec) || error_set(error, GB_internal, "no memory for the index");
    ok = ok && codec_decompress(codec, kind, text, size - head, body, (size_t)plain, error);
    if (ok) {
        struct bytes_reader b = bytes_reader(body, (size_t)plain);
        ok = get_body(x, &b, error) && check_files(x, GB_corrupt_backup, error) &&
             check_extents(x, 0, GB_corrupt_backup, error);
    }
    free(body);
    free(opened);
    codec_free(codec);
    if (!ok)
        index_free(x);
    return ok;
}

uint8_t *index_reseal(const uint8_t *stored, size_t size, const char *name,
                      const struct seal_key *from, const struct seal_key *to, size_t *out_size,
                      struct gb_error *error)
{
    size_t head = INDEX_HEADER + (from ? SEAL_TAG_SIZE : 0),
           out_head = INDEX_HEADER + (to ? SEAL_TAG_SIZE : 0);
    struct bytes_reader r = bytes_reader(stored, size);
    uint32_t magic = bytes_get_u32(&r);
    if (size < head || magic != INDEX_MAGIC ||
        stored[INDEX_SEALED_AT] != (from ? INDEX_SEALED : 0)) {
        error_set(error, GB_corrupt_backup, "%s has no valid header", name);
        return NULL;
    }
    uint8_t *opened = from ? open_body(from, stored, size - head, name, error) : NULL;
    uint8_t *out = from && !opened ? NULL : malloc(out_head + size - head);
    bool ok =
        out || (error->code ? false : error_set(error, GB_internal, "no memory for the index"));
    if (ok) {
        memcpy(out, stored, INDEX_HEADER);
        out[INDEX_SEALED_AT] = to ? INDEX_SEALED : 0;
        memcpy(out + out_head, from ? opened : stored + head, size - head);
        *out_size = out_head + size - head;
        ok = !to || seal_body(to, out, size - head, error);
    }
    free(opened);
    if (ok)
        return out;
    free(out);
    return NULL;
}

uint8_t *index_read_stored(struct storage *storage, const char *prefix, size_t *size,
                           struct gb_error *error)
{
    char name[1024];
    snprintf(name, sizeof name, "%s/index", prefix);
    return (uint8_t *)storage_read_all(storage, name, INDEX_STORED_MAX, size, error);
}

bool index_read(struct index *x, struct storage *storage, const char *prefix,
                const struct seal_key *key, const struct object_info *expected,
                struct gb_error *error)
{
    char name[1024];
    size_t size;
    uint8_t sha256[32];
    unsigned length;
    index_init(x);
    snprintf(name, sizeof name, "%s/index", prefix);
    uint8_t *stored = index_read_stored(storage, prefix, &size, error);
    if (!stored)
        return false;
    EVP_Digest(stored, size, sha256, &length, EVP_sha256(), NULL);
    bool ok = (size == expected->size && !memcmp(sha256, expected->sha256, sizeof sha256)) ||
              error_set(error, GB_corrupt_backup,
                        "%s is not the object that backup.json names (SHA-256)", name);
    ok = ok && index_parse(x, stored, size, name, key, error);
    free(stored);
    return ok;
}
