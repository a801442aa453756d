/* An offline copy of a data directory; see save.h. */
#include "agent/save/save.h"
#include "agent/codec/adapt.h"
#include "common/clock.h"
#include "common/processors.h"
#include "agent/repository/segments.h"
#include "agent/save/pages.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <openssl/rand.h>
#include <pthread.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PIECE_SIZE   FRAME_PLAIN_MAX
#define PIECES_MAX   1024u  /* small files in one frame */
#define ZERO_BLOCK   16384u /* runs of zeros are left out in these */
#define SALVAGE_SIZE 4096u  /* what is read at once where the disk fails */
#define THREADS_MAX  64u
#define POLL_US      20000
#define NO_SPACE_ID  0xFFFFFFFFu

struct piece {
    size_t file; /* place in source->files; the number in the index is one more */
    uint64_t offset;
    size_t size;
};

struct save {
    struct repository *repository;
    const struct source *source;
    const struct save_request *request;
    struct segments segments;
    uint64_t done;         /* atomic, bytes read */
    unsigned running;      /* atomic, threads */
    bool stop;             /* atomic */
    pthread_mutex_t mutex; /* what follows; held for no I/O */
    size_t next_file;
    uint64_t next_offset;
    struct index index;
    struct save_report *report;
    uint64_t store_us; /* time that threads have spent in the store, all together */
    struct adapt adapt;
    struct gb_error error;
};

/* What one thread has of its own. */
struct copier {
    struct save *save;
    uint8_t *plain;
    struct piece piece[PIECES_MAX];
    size_t pieces;
    struct wire_extent *extents; /* WIRE_EXTENTS_MAX */
    struct iovec *parts;         /* as many */
    uint32_t count;
    int fd; /* of `file`, or -1 */
    size_t file;
    struct pages pages; /* of `file` */
    struct segment_writer *segment;
    struct frame_buffer frame;
    struct codec *codec;
    struct gb_error error;
};

static void note(struct save *s, const struct source_file *f, uint64_t offset, const char *what)
{
    struct save_report *r = s->report;
    if (r->notes < SAVE_NOTES_MAX)
        snprintf(r->note[r->notes], sizeof r->note[0], "%.180s at offset %" PRIu64 ": %s", f->name,
                 offset, what);
    r->notes++;
}

/* ---- what a thread does ---- */

/* The next pieces of the list: one of PIECE_SIZE, or what several files have that fit whole. */
static bool take(struct copier *c)
{
    struct save *s = c->save;
    size_t room = PIECE_SIZE;
    c->pieces = 0;
    pthread_mutex_lock(&s->mutex);
    while (!s->error.code && s->next_file < s->source->count && c->pieces < PIECES_MAX) {
        const struct source_file *f = &s->source->files[s->next_file];
        uint64_t left = f->size - s->next_offset;
        if (c->pieces && left > room)
            break;
        size_t size = left < room ? (size_t)left : room;
        if (size)
            c->piece[c->pieces++] = (struct piece){s->next_file, s->next_offset, size};
        room -= size;
        s->next_offset += size;
        if (s->next_offset == f->size) {
            s->next_file++;
            s->next_offset = 0;
        }
        if (!room)
            break;
    }
    pthread_mutex_unlock(&s->mutex);
    return c->pieces && !__atomic_load_n(&s->stop, __ATOMIC_RELAXED);
}

static bool open_file(struct copier *c, size_t file)
{
    const struct source_file *f = &c->save->source->files[file];
    struct stat st;
    if (c->fd >= 0 && c->file == file)
        return true;
    if (c->fd >= 0)
        close(c->fd);
    c->file = file;
    c->fd = open(f->path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (c->fd < 0 || fstat(c->fd, &st))
        return error_set_errno(&c->error, GB_source_failed, errno, "%s can't be read", f->path);
    if (st.st_dev != f->device || st.st_ino != f->inode || (uint64_t)st.st_size != f->size) {
        error_set(&c->error, GB_source_failed, "%s has changed since the save began", f->path);
        error_hint(&c->error, "something writes into the directory: stop it and save again");
        return false;
    }
    pages_begin(&c->pages, f->name, c->fd);
    return true;
}

/* Where the disk fails: what it gives in small parts, zeros for the rest. */
static void salvage(struct copier *c, const struct source_file *f, uint8_t *data, size_t size,
                    uint64_t offset)
{
    uint64_t lost = 0, first = 0;
    for (size_t at = 0; at < size;) {
        size_t n = SALVAGE_SIZE - (size_t)((offset + at) % SALVAGE_SIZE);
        n = n < size - at ? n : size - at;
        if (pread(c->fd, data + at, n, (off_t)(offset + at)) != (ssize_t)n) {
            memset(data + at, 0, n);
            first = lost ? first : offset + at;
            lost += n;
        }
        at += n;
    }
    if (!lost)
        return;
    char text[96];
    snprintf(text, sizeof text, "%" PRIu64 " bytes can't be read from the disk", lost);
    pthread_mutex_lock(&c->save->mutex);
    c->save->report->unreadable_bytes += lost;
    note(c->save, f, first, text);
    pthread_mutex_unlock(&c->save->mutex);
}

static bool read_piece(struct copier *c, const struct piece *p, uint8_t *data)
{
    const struct source_file *f = &c->save->source->files[p->file];
    if (f->kind == INDEX_KIND_LINK) {
        memcpy(data, f->path + p->offset, p->size);
        return true;
    }
    if (!open_file(c, p->file))
        return false;
    for (size_t have = 0; have < p->size;) {
        ssize_t n = pread(c->fd, data + have, p->size - have, (off_t)(p->offset + have));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EIO) {
            salvage(c, f, data + have, p->size - have, p->offset + have);
            break;
        }
        if (n < 0)
            return error_set_errno(&c->error, GB_source_failed, errno,
                                   "%s can't be read at offset %" PRIu64, f->path,
                                   p->offset + have);
        if (n == 0)
            return error_set(&c->error, GB_source_failed, "%s has become shorter meanwhile",
                             f->path);
        have += (size_t)n;
    }
    return true;
}

static void damaged_page(void *context, uint64_t offset, const char *what)
{
    struct copier *c = context;
    pthread_mutex_lock(&c->save->mutex);
    c->save->report->damaged++;
    note(c->save, &c->save->source->files[c->file], offset, what);
    pthread_mutex_unlock(&c->save->mutex);
}

static bool all_zero(const uint8_t *data, size_t size)
{
    size_t whole = size / 64 * 64;
    if (whole && !page_is_zero(data, whole))
        return false;
    for (size_t i = whole; i < size; i++)
        if (data[i])
            return false;
    return true;
}

/* The extents of a piece that is read: all of it but blocks of zeros. */
static void add_extents(struct copier *c, const struct piece *p, uint8_t *data)
{
    for (size_t at = 0; at < p->size;) {
        size_t end = at;
        while (end < p->size) {
            size_t n = p->size - end < ZERO_BLOCK ? p->size - end : ZERO_BLOCK;
            if (all_zero(data + end, n))
                break;
            end += n;
        }
        if (end > at) {
            c->extents[c->count] = (struct wire_extent){.file_no = (uint32_t)p->file + 1,
                                                        .offset = p->offset + at,
                                                        .length = (uint32_t)(end - at)};
            c->parts[c->count++] = (struct iovec){data + at, end - at};
        }
        at = end + ZERO_BLOCK; /* over the block of zeros, if one ended the run */
    }
}

static bool copy_pieces(struct copier *c)
{
    struct save *s = c->save;
    uint64_t looked = 0, bytes = 0;
    uint8_t *data = c->plain;
    c->count = 0;
    for (size_t i = 0; i < c->pieces; i++) {
        const struct piece *p = &c->piece[i];
        if (!read_piece(c, p, data))
            return false;
        if (s->source->files[p->file].kind != INDEX_KIND_LINK)
            pages_check(&c->pages, p->offset, data, p->size, s->source->files[p->file].size,
                        damaged_page, c, &looked);
        add_extents(c, p, data);
        data += p->size;
        bytes += p->size;
    }
    uint64_t store_us = 0;
    if (c->count) {
        if (s->repository->spec.compression.level == CODEC_LEVEL_ADAPTS)
            codec_set_level(c->codec, __atomic_load_n(&s->adapt.level, __ATOMIC_RELAXED));
        if (!frame_build(c->codec, c->parts, (int)c->count, &c->frame, &c->error))
            return false;
        uint64_t began = now_us();
        if (!segments_append(&s->segments, &c->segment, &c->frame, &c->error))
            return false;
        store_us = now_us() - began;
    }
    pthread_mutex_lock(&s->mutex);
    s->report->pages += looked;
    s->store_us += store_us;
    adapt_look(&s->adapt, now_us(), s->store_us, __atomic_load_n(&s->running, __ATOMIC_RELAXED));
    bool ok =
        !c->count || index_add_frame(&s->index, &c->frame.frame, c->extents, c->count, &c->error);
    pthread_mutex_unlock(&s->mutex);
    __atomic_fetch_add(&s->done, bytes, __ATOMIC_RELAXED);
    return ok;
}

static void *copier_main(void *argument)
{
    struct save *s = argument;
    struct copier *c = calloc(1, sizeof *c);
    if (c) {
        c->save = s;
        c->fd = -1;
        c->plain = malloc(PIECE_SIZE);
        c->extents = malloc(WIRE_EXTENTS_MAX * sizeof *c->extents);
        c->parts = malloc(WIRE_EXTENTS_MAX * sizeof *c->parts);
        c->codec = codec_new(s->repository->spec.compression);
    }
    struct gb_error no_memory = {0}, *error = c ? &c->error : &no_memory;
    if (!c || !c->plain || !c->extents || !c->parts || !c->codec)
        error_set(error, GB_internal, "no memory for a thread of the save");
    while (!error->code && take(c) && copy_pieces(c))
        ;
    if (c && !error->code && !__atomic_load_n(&s->stop, __ATOMIC_RELAXED))
        segments_close(&s->segments, &c->segment, error);
    pthread_mutex_lock(&s->mutex);
    error_copy(&s->error, error);
    pthread_mutex_unlock(&s->mutex);
    if (c) {
        segment_abort(c->segment);
        if (c->fd >= 0)
            close(c->fd);
        frame_buffer_free(&c->frame);
        codec_free(c->codec);
        free(c->plain);
        free(c->extents);
        free(c->parts);
    }
    free(c);
    __atomic_fetch_sub(&s->running, 1, __ATOMIC_RELEASE);
    return NULL;
}

/* ---- the whole ---- */

static bool copy_all(struct save *s, struct gb_error *error)
{
    const struct save_request *r = s->request;
    pthread_t thread[THREADS_MAX];
    unsigned threads = r->threads ? r->threads : processors(), started = 0;
    for (; started < threads && started < THREADS_MAX; started++) {
        __atomic_fetch_add(&s->running, 1, __ATOMIC_RELAXED);
        if (pthread_create(&thread[started], NULL, copier_main, s)) {
            __atomic_fetch_sub(&s->running, 1, __ATOMIC_RELAXED);
            break;
        }
    }
    while (__atomic_load_n(&s->running, __ATOMIC_ACQUIRE)) {
        if (*r->stop)
            __atomic_store_n(&s->stop, true, __ATOMIC_RELAXED);
        if (r->progress)
            r->progress(r->context, __atomic_load_n(&s->done, __ATOMIC_RELAXED), s->source->bytes);
        usleep(POLL_US);
    }
    for (unsigned i = 0; i < started; i++)
        pthread_join(thread[i], NULL);
    if (!started)
        return error_set(error, GB_internal, "no thread for the save");
    error_copy(error, &s->error);
    if (*r->stop)
        return error_set(error, GB_cancelled, "the save was interrupted");
    if (r->progress && !error->code)
        r->progress(r->context, s->source->bytes, s->source->bytes);
    return !error->code;
}

static bool fill_index(struct save *s, struct gb_error *error)
{
    for (size_t i = 0; i < s->source->count; i++) {
        const struct source_file *f = &s->source->files[i];
        if (f->kind == WIRE_KIND_DIRECTORY && f->name[0] == '/')
            continue;
        struct wire_file file = {
            .file_no = (uint32_t)i + 1, .kind = f->kind, .space_id = NO_SPACE_ID, .mode = f->mode};
        struct wire_file_done done = {.file_no = (uint32_t)i + 1, .size = f->size};
        snprintf(file.path, sizeof file.path, "%s", f->name);
        if (!index_add_file(&s->index, &file, error) || !index_file_done(&s->index, &done, error))
            return false;
    }
    return true;
}

static bool make_label(time_t now, char *out, size_t size, struct gb_error *error)
{
    unsigned char id[4];
    char stamp[32];
    struct tm tm;
    if (RAND_bytes(id, sizeof id) != 1)
        return error_set(error, GB_internal, "no random numbers");
    gmtime_r(&now, &tm);
    strftime(stamp, sizeof stamp, "%Y%m%dT%H%M%SZ", &tm);
    snprintf(out, size, "%s-" MANIFEST_SAVE "-%02x%02x%02x%02x", stamp, id[0], id[1], id[2], id[3]);
    return true;
}

static void fill_manifest(struct manifest *m, const struct save *s)
{
    const struct source *source = s->source;
    const struct save_report *r = s->report;
    const struct passwd *user = getpwuid(geteuid());
    m->finished_at = time(NULL);
    snprintf(m->cluster, sizeof m->cluster, "%s", s->request->cluster);
    snprintf(m->type, sizeof m->type, MANIFEST_SAVE);
    gethostname(m->node, sizeof m->node - 1);
    snprintf(m->server_version, sizeof m->server_version, "%s", source->server_version);
    snprintf(m->agent_version, sizeof m->agent_version, "%s", GB_VERSION);
    snprintf(m->comment, sizeof m->comment, "%s", s->request->comment ? s->request->comment : "");
    snprintf(m->user, sizeof m->user, "%s", user ? user->pw_name : "");
    wire_add_fact(&m->facts, "datadir", "%s", source->datadir);
    wire_add_fact(&m->facts, "grastate", "%s", source->galera_state);
    wire_add_fact(&m->facts, "outside_files", "%u", source->outside);
    wire_add_fact(&m->facts, "left_out", "%u", source->left_out.count);
    wire_add_fact(&m->facts, "pages", "%" PRIu64, r->pages);
    wire_add_fact(&m->facts, "damaged_pages", "%" PRIu64, r->damaged);
    wire_add_fact(&m->facts, "unreadable_bytes", "%" PRIu64, r->unreadable_bytes);
}

static bool not_interrupted(void *context, bool last)
{
    const struct save_request *r = context;
    (void)last;
    return !*r->stop;
}

bool save_run(struct repository *repository, const struct source *source,
              const struct save_request *request, struct save_report *report,
              struct gb_error *error)
{
    struct save s = {
        .repository = repository, .source = source, .request = request, .report = report};
    struct save_request asked = *request; /* repository_backup_ask() wants what is not const */
    struct manifest *m = &report->manifest;
    unsigned removed;
    memset(report, 0, sizeof *report);
    m->started_at = time(NULL);
    if (!make_label(m->started_at, m->id, sizeof m->id, error) ||
        !storage_check_space(repository->storage, source->allocated, NULL, error) ||
        !repository_collect(repository, request->cluster, &removed, error))
        return false;
    struct repository_backup *backup =
        repository_begin(repository, request->cluster, m->id, NULL, error);
    if (!backup)
        return false;
    repository_backup_ask(backup, not_interrupted, &asked);
    segments_init(&s.segments, repository->storage, repository_backup_prefix(backup),
                  repository_backup_key(backup));
    index_init(&s.index);
    pthread_mutex_init(&s.mutex, NULL);
    adapt_begin(&s.adapt, now_us());
    bool ok = fill_index(&s, error) && copy_all(&s, error);
    if (ok) {
        fill_manifest(m, &s);
        segments_sort(&s.segments);
        ok = repository_commit(backup, &s.index, m, s.segments.closed, s.segments.count, error);
    } else {
        repository_abort(backup);
    }
    pthread_mutex_destroy(&s.mutex);
    index_free(&s.index);
    segments_free(&s.segments);
    return ok;
}
