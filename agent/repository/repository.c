/* A repository and the backups in it; see repository.h. */
#include "agent/repository/repository.h"

#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LOCK_NAME ".lock"

struct repository_backup {
    struct repository *repository;
    struct storage_lock *lock;
    char prefix[WIRE_NAME_MAX + WIRE_ID_MAX + 16];
};

static bool word_valid(const char *text, size_t most)
{
    size_t n = strlen(text);
    return n && n < most && text[0] != '.' &&
           strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-") == n;
}

bool cluster_name_valid(const char *text)
{
    return word_valid(text, 128);
}

/* YYYYMMDDTHHMMSSZ-TYPE-8 hex digits[-suffix] */
bool label_valid(const char *text)
{
    static const char digits[] = "0123456789", letters[] = "abcdefghijklmnopqrstuvwxyz", hex[] = "0123456789abcdef";
    const size_t date = 8, time = 6, id = 8;
    if (!word_valid(text, WIRE_ID_MAX) || strspn(text, digits) != date || text[date] != 'T')
        return false;
    text += date + 1;
    if (strspn(text, digits) != time || strncmp(text + time, "Z-", 2))
        return false;
    text += time + 2;
    size_t type = strspn(text, letters);
    if (!type || type > 15 || text[type] != '-')
        return false;
    text += type + 1;
    return strspn(text, hex) == id && (!text[id] || text[id] == '-');
}

void repository_prefix(char *out, size_t size, const char *cluster, const char *label)
{
    snprintf(out, size, "%s/backups%s%s", cluster, *label ? "/" : "", label);
}

struct repository *repository_open(const struct repository_spec *spec, struct gb_error *error)
{
    struct repository *r = calloc(1, sizeof *r);
    if (!r) {
        error_set(error, GB_internal, "no memory");
        return NULL;
    }
    r->spec = *spec;
    if (strcmp(spec->type, "directory"))
        error_set(error, GB_not_supported, "repositories of type \"%s\" are not supported by this release", spec->type);
    else
        r->storage = storage_open_directory(spec->path, spec->min_free_percent, error);
    if (r->storage)
        return r;
    free(r);
    return NULL;
}

void repository_close(struct repository *r)
{
    if (!r)
        return;
    storage_close(r->storage);
    free(r);
}

/* Names of the entries of a prefix. */
struct names {
    char (*name)[WIRE_NAME_MAX];
    size_t count;
    bool directories;
};

static bool take_name(void *context, const char *name, bool directory)
{
    struct names *n = context;
    if (directory != n->directories || strlen(name) >= WIRE_NAME_MAX)
        return true;
    void *more = realloc(n->name, (n->count + 1) * sizeof *n->name);
    if (!more)
        return false;
    n->name = more;
    snprintf(n->name[n->count++], WIRE_NAME_MAX, "%s", name);
    return true;
}

static int newest_first(const void *a, const void *b)
{
    return strcmp(((const struct manifest *)b)->id, ((const struct manifest *)a)->id);
}

static bool list_cluster(struct repository *r, const char *cluster, struct manifest **list, size_t *count,
                         void (*warn)(void *context, const char *text), void *context, struct gb_error *error)
{
    char prefix[1024];
    struct names labels = {.directories = true};
    repository_prefix(prefix, sizeof prefix, cluster, "");
    bool ok = storage_list(r->storage, prefix, take_name, &labels, error);
    for (size_t i = 0; ok && i < labels.count; i++) {
        if (!label_valid(labels.name[i]))
            continue;
        struct gb_error problem = {0};
        struct manifest *more = realloc(*list, (*count + 1) * sizeof **list);
        if (!more) {
            ok = error_set(error, GB_internal, "no memory for the list");
            break;
        }
        *list = more;
        repository_prefix(prefix, sizeof prefix, cluster, labels.name[i]);
        if (manifest_read(&more[*count], r->storage, prefix, &problem))
            (*count)++;
        else if (problem.code != GB_not_found && warn)
            warn(context, problem.what);
    }
    free(labels.name);
    return ok;
}

bool repository_list(struct repository *r, const char *cluster, struct manifest **list, size_t *count,
                     void (*warn)(void *context, const char *text), void *context, struct gb_error *error)
{
    *list = NULL;
    *count = 0;
    struct names clusters = {.directories = true};
    bool ok = true;
    if (cluster)
        ok = list_cluster(r, cluster, list, count, warn, context, error);
    else {
        ok = storage_list(r->storage, "", take_name, &clusters, error);
        for (size_t i = 0; ok && i < clusters.count; i++)
            if (cluster_name_valid(clusters.name[i]))
                ok = list_cluster(r, clusters.name[i], list, count, warn, context, error);
    }
    free(clusters.name);
    if (*count)
        qsort(*list, *count, sizeof **list, newest_first);
    return ok;
}

bool repository_find(struct repository *r, const char *cluster, const char *id, struct manifest *manifest,
                     struct gb_error *error)
{
    struct manifest *list;
    size_t count, found = 0, at = 0;
    if (!repository_list(r, cluster, &list, &count, NULL, NULL, error))
        return false;
    bool latest = !strcmp(id, "latest");
    for (size_t i = 0; i < count; i++)
        if (latest || !strncmp(list[i].id, id, strlen(id))) {
            if (!found++)
                at = i;
            if (latest || !strcmp(list[i].id, id)) {
                at = i;
                found = 1;
                break;
            }
        }
    if (!found && latest)
        error_set(error, GB_not_found, "there is no backup in %s", storage_describe(r->storage));
    else if (!found)
        error_set(error, GB_not_found, "there is no backup \"%s\" in %s", id, storage_describe(r->storage));
    else if (found > 1)
        error_set(error, GB_bad_value, "\"%s\" fits %zu backups, %s the newest", id, found, list[at].id);
    for (size_t i = 0; i < count; i++)
        if (found == 1 && i == at)
            *manifest = list[i];
        else
            manifest_free(&list[i]);
    free(list);
    return found == 1;
}

bool repository_collect(struct repository *r, const char *cluster, unsigned *removed, struct gb_error *error)
{
    *removed = 0;
    char prefix[1024], name[1200];
    struct names labels = {.directories = true};
    repository_prefix(prefix, sizeof prefix, cluster, "");
    bool ok = storage_list(r->storage, prefix, take_name, &labels, error);
    for (size_t i = 0; ok && i < labels.count; i++) {
        struct gb_error ignored = {0};
        uint64_t size;
        if (!label_valid(labels.name[i]))
            continue;
        repository_prefix(prefix, sizeof prefix, cluster, labels.name[i]);
        snprintf(name, sizeof name, "%s/backup.json", prefix);
        if (storage_size(r->storage, name, &size, &ignored) || ignored.code != GB_not_found)
            continue;
        error_clear(&ignored);
        snprintf(name, sizeof name, "%s/" LOCK_NAME, prefix);
        struct storage_lock *lock = storage_lock(r->storage, name, &ignored);
        if (!lock)
            continue;
        /* Looked at once more: whoever had the lock until now may have committed. */
        snprintf(name, sizeof name, "%s/backup.json", prefix);
        if (!storage_size(r->storage, name, &size, &ignored) && ignored.code == GB_not_found) {
            ok = storage_remove_all(r->storage, prefix, error);
            *removed += ok;
        }
        storage_unlock(lock);
    }
    free(labels.name);
    return ok;
}

struct repository_backup *repository_begin(struct repository *r, const char *cluster, const char *label,
                                           struct gb_error *error)
{
    if (!cluster_name_valid(cluster) || !label_valid(label)) {
        error_set(error, GB_bad_value, "\"%s\" and \"%s\" are not names of a cluster and a backup", cluster, label);
        return NULL;
    }
    struct repository_backup *b = calloc(1, sizeof *b);
    char name[1024];
    struct names there = {.directories = true};
    if (!b) {
        error_set(error, GB_internal, "no memory");
        return NULL;
    }
    b->repository = r;
    repository_prefix(b->prefix, sizeof b->prefix, cluster, label);
    bool ok = storage_list(r->storage, b->prefix, take_name, &there, error);
    if (ok && there.count)
        ok = error_set(error, GB_store_failed, "%s/%s exists already", storage_describe(r->storage), b->prefix);
    free(there.name);
    snprintf(name, sizeof name, "%s/" LOCK_NAME, b->prefix);
    if (ok && (b->lock = storage_lock(r->storage, name, error)))
        return b;
    free(b);
    return NULL;
}

const char *repository_backup_prefix(const struct repository_backup *b)
{
    return b->prefix;
}

static void make_nonce(char out[33])
{
    unsigned char bytes[16];
    if (RAND_bytes(bytes, sizeof bytes) != 1)
        memset(bytes, 0, sizeof bytes);
    for (size_t i = 0; i < sizeof bytes; i++)
        snprintf(out + 2 * i, 3, "%02x", bytes[i]);
}

bool repository_commit(struct repository_backup *b, struct index *index, struct manifest *m,
                       const struct object_info *segments, size_t segment_count, struct gb_error *error)
{
    struct storage *storage = b->repository->storage;
    bool ok = index_finish(index, m->redo_bytes, error);
    m->objects = ok ? calloc(segment_count + 1, sizeof *m->objects) : NULL;
    ok = ok && (m->objects || error_set(error, GB_internal, "no memory for the manifest"));
    ok = ok && index_write(index, storage, b->prefix, &m->objects[0], error);
    if (ok) {
        memcpy(m->objects + 1, segments, segment_count * sizeof *segments);
        m->object_count = segment_count + 1;
        m->format = MANIFEST_FORMAT;
        m->files = (uint32_t)index->file_count;
        m->data_bytes = m->read_bytes = m->stored_bytes = 0;
        for (size_t i = 0; i < index->file_count; i++)
            m->data_bytes += index->files[i].size;
        for (size_t i = 0; i < index->extent_count; i++)
            m->read_bytes += index->extents[i].file_no == WIRE_FILE_REDO ? 0 : index->extents[i].length;
        for (size_t i = 0; i < m->object_count; i++)
            m->stored_bytes += m->objects[i].size;
        make_nonce(m->nonce);
        ok = manifest_write(m, storage, b->prefix, error);
    }
    if (!ok) {
        repository_abort(b);
        return false;
    }
    storage_unlock(b->lock);
    free(b);
    return true;
}

void repository_abort(struct repository_backup *b)
{
    struct gb_error ignored = {0};
    storage_remove_all(b->repository->storage, b->prefix, &ignored);
    storage_unlock(b->lock);
    free(b);
}
