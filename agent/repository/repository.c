/* A repository and the backups in it; see repository.h. */
#include "agent/repository/repository.h"
#include "agent/hex.h"
#include "agent/repository/keys.h"
#include "agent/repository/remembered.h"
#include "agent/repository/runs.h"
#include "agent/warn.h"

#include <inttypes.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

struct repository_backup {
    struct repository *repository;
    struct storage_lock *lock;
    bool encrypted;
    struct seal_key key;
    struct crypto_keys recipients, signer;    /* the signer is one key, or none */
    bool (*wanted)(void *context, bool last); /* NULL: it is */
    void *context;
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
    static const char digits[] = "0123456789", letters[] = "abcdefghijklmnopqrstuvwxyz",
                      hex[] = "0123456789abcdef";
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

bool repository_is_remote(const struct repository_spec *spec)
{
    return !strcmp(spec->type, REPOSITORY_S3) || !strcmp(spec->type, REPOSITORY_SWIFT);
}

const char *repository_bucket(const struct repository_spec *spec)
{
    return strcmp(spec->type, REPOSITORY_SWIFT) ? spec->s3.bucket : spec->swift.container;
}

bool repository_is_same(const struct repository_spec *a, const struct repository_spec *b)
{
    struct stat one, other;
    if (strcmp(a->type, b->type))
        return false;
    if (!repository_is_remote(a))
        return !stat(a->path, &one) && !stat(b->path, &other) && one.st_dev == other.st_dev &&
               one.st_ino == other.st_ino;
    return !strcmp(repository_bucket(a), repository_bucket(b)) &&
           !strcmp(a->remote.prefix, b->remote.prefix) && !strcmp(a->s3.endpoint, b->s3.endpoint) &&
           !strcmp(a->swift.auth_url, b->swift.auth_url);
}

struct repository *repository_open(const struct repository_spec *spec, struct gb_error *error)
{
    struct repository *r = calloc(1, sizeof *r);
    if (!r) {
        error_set(error, GB_internal, "no memory");
        return NULL;
    }
    r->spec = *spec;
    if (!strcmp(spec->type, REPOSITORY_DIRECTORY)) {
        bool ok = remembered_check_place(spec->state_dir, spec->path, error);
        if (ok && spec->make)
            mkdir(spec->path, 0700); /* what is wrong, opening it tells */
        r->storage = ok ? storage_open_directory(spec->path, spec->min_free_percent, error) : NULL;
    } else if (!strcmp(spec->type, REPOSITORY_S3))
        r->storage = storage_open_s3(&spec->s3, &spec->remote, error);
    else if (!strcmp(spec->type, REPOSITORY_SWIFT))
        r->storage = storage_open_swift(&spec->swift, &spec->remote, error);
    else
        error_set(error, GB_not_supported,
                  "repositories of type \"%s\" are not supported by this release", spec->type);
    if (r->storage && (!spec->keys.trusted[0] ||
                       (keys_load(&r->trusted, "trusted-signer", spec->keys.trusted, error) &&
                        keys_check(&r->trusted, "trusted-signer", KEY_TO_TRUST, error))))
        return r;
    if (r->storage)
        storage_close(r->storage);
    keys_free(&r->trusted);
    free(r);
    return NULL;
}

void repository_close(struct repository *r)
{
    if (!r)
        return;
    storage_close(r->storage);
    keys_free(&r->trusted);
    free(r);
}

struct taking {
    struct repository_names *names;
    bool directories, no_memory;
    bool (*valid)(const char *name);
};

static bool take_name(void *context, const char *name, bool directory)
{
    struct taking *t = context;
    struct repository_names *n = t->names;
    if (directory != t->directories || strlen(name) >= WIRE_NAME_MAX ||
        (t->valid && !t->valid(name)))
        return true;
    void *more = realloc(n->name, (n->count + 1) * sizeof *n->name);
    if (!more)
        return !(t->no_memory = true);
    n->name = more;
    snprintf(n->name[n->count++], WIRE_NAME_MAX, "%s", name);
    return true;
}

bool repository_names(struct repository *r, const char *prefix, bool directories,
                      bool (*valid)(const char *name), struct repository_names *names,
                      struct gb_error *error)
{
    struct taking t = {.names = names, .directories = directories, .valid = valid};
    *names = (struct repository_names){0};
    return storage_list(r->storage, prefix, take_name, &t, error) &&
           (!t.no_memory || error_set(error, GB_internal, "no memory for the list"));
}

bool repository_clusters(struct repository *r, struct repository_names *names,
                         struct gb_error *error)
{
    return repository_names(r, "", true, cluster_name_valid, names, error);
}

bool repository_labels(struct repository *r, const char *cluster, struct repository_names *names,
                       struct gb_error *error)
{
    char prefix[1024];
    repository_prefix(prefix, sizeof prefix, cluster, "");
    return repository_names(r, prefix, true, label_valid, names, error);
}

bool repository_collect(struct repository *r, const char *cluster, unsigned *removed,
                        struct gb_error *error)
{
    *removed = 0;
    char prefix[1024];
    struct repository_names labels;
    bool ok = repository_labels(r, cluster, &labels, error);
    for (size_t i = 0; ok && i < labels.count; i++) {
        struct gb_error ignored = {0};
        repository_prefix(prefix, sizeof prefix, cluster, labels.name[i]);
        if (manifest_exists(r->storage, prefix, &ignored))
            continue;
        if (storage_is_away(&ignored)) {
            error_copy(error, &ignored);
            ok = false;
        }
        if (ignored.code != GB_not_found)
            continue;
        error_clear(&ignored);
        struct storage_lock *lock = repository_lock(r, prefix, &ignored);
        if (!lock) {
            if (ignored.code != GB_repository_busy)
                warn_of(&ignored, NULL);
            continue;
        }
        /* Looked at once more: whoever had the lock until now may have committed. */
        if (!manifest_exists(r->storage, prefix, &ignored) && ignored.code == GB_not_found) {
            error_clear(&ignored);
            runs_note_left_over(r, cluster, labels.name[i]);
            if (storage_remove_all(r->storage, prefix, &ignored))
                ++*removed;
            else
                warn_of(&ignored, NULL); /* it is in nobody's way */
        }
        storage_unlock(lock);
    }
    free(labels.name);
    return ok;
}

struct storage_lock *repository_lock(struct repository *r, const char *prefix,
                                     struct gb_error *error)
{
    char name[1200];
    snprintf(name, sizeof name, "%s/" REPOSITORY_LOCK_NAME, prefix);
    return storage_lock(r->storage, name, error);
}

bool repository_lock_look(struct repository *r, const char *prefix,
                          struct storage_lock_state *state, struct gb_error *error)
{
    char name[1200];
    snprintf(name, sizeof name, "%s/" REPOSITORY_LOCK_NAME, prefix);
    return storage_lock_look(r->storage, name, state, error);
}

static void backup_free(struct repository_backup *b)
{
    keys_free(&b->recipients);
    keys_free(&b->signer);
    OPENSSL_cleanse(&b->key, sizeof b->key);
    free(b);
}

/* The data key, whom it will be wrapped for, and who signs. */
static bool take_keys(struct repository_backup *b, const struct repository_keys *settings,
                      const struct seal_key *key, struct gb_error *error)
{
    bool ok = writer_keys_load(settings, &b->recipients, &b->signer, error);
    b->encrypted = b->recipients.count;
    if (key)
        b->key = *key;
    return ok && (key || seal_key_make(&b->key, error));
}

/* At the end, for a passphrase takes its time. */
static bool write_envelope(const struct repository_backup *b, struct manifest *m,
                           struct gb_error *error)
{
    return backup_keys_make(b->repository->storage, b->prefix, &b->key, &b->recipients,
                            m->encryption.key_ids, sizeof m->encryption.key_ids, error);
}

struct repository_backup *repository_begin(struct repository *r, const char *cluster,
                                           const char *label, const struct seal_key *key,
                                           struct gb_error *error)
{
    if (!cluster_name_valid(cluster) || !label_valid(label)) {
        error_set(error, GB_bad_value, "\"%s\" and \"%s\" are not names of a cluster and a backup",
                  cluster, label);
        return NULL;
    }
    struct repository_backup *b = calloc(1, sizeof *b);
    struct repository_names there = {0};
    if (!b) {
        error_set(error, GB_internal, "no memory");
        return NULL;
    }
    b->repository = r;
    repository_prefix(b->prefix, sizeof b->prefix, cluster, label);
    bool ok = take_keys(b, &r->spec.keys, key, error) &&
              repository_names(r, b->prefix, true, NULL, &there, error);
    if (ok && there.count)
        ok = error_set(error, GB_store_failed, "%s/%s exists already", storage_describe(r->storage),
                       b->prefix);
    free(there.name);
    if (ok && (b->lock = repository_lock(r, b->prefix, error)))
        return b;
    backup_free(b);
    return NULL;
}

const struct seal_key *repository_backup_key(const struct repository_backup *b)
{
    return b->encrypted ? &b->key : NULL;
}

const char *repository_backup_prefix(const struct repository_backup *b)
{
    return b->prefix;
}

void repository_backup_ask(struct repository_backup *b, bool (*wanted)(void *context, bool last),
                           void *context)
{
    b->wanted = wanted;
    b->context = context;
}

static bool still_wanted(const struct repository_backup *b, bool last, struct gb_error *error)
{
    return !b->wanted || b->wanted(b->context, last) ||
           error_set(error, GB_cancelled, "%s is not wanted any more", b->prefix);
}

static void name_key(const struct repository_backup *b, struct manifest *m)
{
    hex_write(b->key.identity, sizeof b->key.identity, m->nonce);
    m->encryption.on = b->encrypted;
    if (b->encrypted) {
        m->encryption.key = b->key;
        m->encryption.unlocked = true;
        seal_key_check(&b->key, m->encryption.check);
    }
}

bool repository_check_stored(struct repository *r, const char *prefix,
                             const struct object_info *objects, size_t count,
                             struct gb_error *error)
{
    char name[1200];
    for (size_t i = 0; i < count; i++) {
        struct gb_error why = {0};
        uint64_t size = 0;
        snprintf(name, sizeof name, "%s/%s", prefix, objects[i].name);
        if (!storage_size(r->storage, name, &size, &why))
            return error_set(error, GB_store_failed, "what was written is not there: %s", why.what);
        if (size != objects[i].size)
            return error_set(error, GB_store_failed,
                             "%s has %" PRIu64 " bytes, %" PRIu64 " were written", name, size,
                             objects[i].size);
    }
    return true;
}

bool repository_prepare(struct repository_backup *b, const struct index *index, struct manifest *m,
                        const struct object_info *segments, size_t segment_count,
                        struct gb_error *error)
{
    struct storage *storage = b->repository->storage;
    m->objects = calloc(segment_count + 1, sizeof *m->objects);
    if (!m->objects)
        return error_set(error, GB_internal, "no memory for the manifest");
    if (!index_write(index, storage, b->prefix, repository_backup_key(b), &m->objects[0], error) ||
        (b->encrypted && !write_envelope(b, m, error)))
        return false;
    if (segment_count)
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
    name_key(b, m);
    return repository_check_stored(b->repository, b->prefix, m->objects, m->object_count, error);
}

bool repository_publish(struct repository_backup *b, const struct manifest *m,
                        struct gb_error *error)
{
    return manifest_write(m, b->repository->storage, b->prefix,
                          b->signer.count ? &b->signer.key[0] : NULL, error);
}

void repository_end(struct repository_backup *b)
{
    storage_unlock(b->lock);
    backup_free(b);
}

bool repository_commit(struct repository_backup *b, struct index *index, struct manifest *m,
                       const struct object_info *segments, size_t segment_count,
                       struct gb_error *error)
{
    bool ok = index_finish(index, m->redo_bytes, error) &&
              repository_prepare(b, index, m, segments, segment_count, error) &&
              still_wanted(b, false, error) && repository_publish(b, m, error) &&
              still_wanted(b, true, error);
    if (ok)
        repository_end(b);
    else
        repository_abort(b);
    return ok;
}

void repository_abort(struct repository_backup *b)
{
    struct gb_error ignored = {0};
    if (!storage_remove_all(b->repository->storage, b->prefix, &ignored))
        warn_of(&ignored, NULL);
    repository_end(b);
}
