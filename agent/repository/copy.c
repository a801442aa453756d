/* One backup copied from one repository to another; see copy.h. */
#include "agent/repository/copy.h"
#include "agent/hex.h"
#include "agent/repository/identity.h"
#include "agent/repository/keys.h"
#include "agent/repository/transfer.h"

#include <openssl/crypto.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define THREADS     4u
#define THREADS_MAX 64u
#define POLL_US     20000
#define PREFIX_SIZE (WIRE_NAME_MAX + WIRE_ID_MAX + 16)
#define NAME_SIZE   (PREFIX_SIZE + 64)
#define TEXT_MAX    (64u << 20) /* of backup.json */
#define BESIDE_MAX  (1u << 20)

struct copy {
    struct repository *from, *to;
    const struct manifest *manifest;
    const struct copy_request *request;
    bool seal;              /* on the way */
    struct manifest sealed; /* what it becomes then */
    struct crypto_keys recipients, signer;
    struct index index;
    struct transfer transfer;
    struct object_info *made; /* by place in the manifest's objects */
    char *text;               /* backup.json of the source */
    size_t text_size;
    char prefix[PREFIX_SIZE];
    pthread_mutex_t mutex; /* what follows */
    size_t next;
    struct gb_error failure;
    unsigned running; /* atomic */
};

static void warn(const struct copy *c, const struct gb_error *why)
{
    char line[GB_ERROR_LINE_MAX];
    if (c->request->warn)
        c->request->warn(c->request->context, error_format(why, line, sizeof line));
}

static const char *from_name(const struct copy *c)
{
    return c->request->from_name ? c->request->from_name : c->from->spec.name;
}

static const char *to_name(const struct copy *c)
{
    return c->request->to_name ? c->request->to_name : c->to->spec.name;
}

static void name_of(const struct copy *c, const char *object, char name[NAME_SIZE])
{
    snprintf(name, NAME_SIZE, "%s/%s", c->prefix, object);
}

/* ---- whether it is to be copied ---- */

/* *there: the same backup is in the target. */
static bool look_there(const struct copy *c, bool *there, struct gb_error *error)
{
    struct manifest m;
    struct gb_error why = {0};
    *there = false;
    if (!manifest_read(&m, c->to->storage, c->prefix, &c->to->trusted, &why)) {
        if (why.code == GB_not_found)
            return true;
        error_copy(error, &why);
        if (why.code == GB_corrupt_backup)
            error_hint(error,
                       "galera-backup verify %s --repository '%s' --repair-from '%s' mends it, or "
                       "remove it there",
                       c->manifest->id, to_name(c), from_name(c));
        return false;
    }
    *there = !strcmp(m.nonce, c->manifest->nonce);
    if (!*there) {
        error_set(error, GB_bad_value,
                  "%s in %s is another backup than that in %s: their nonces are %s and %s", m.id,
                  storage_describe(c->to->storage), storage_describe(c->from->storage), m.nonce,
                  c->manifest->nonce);
        error_hint(error, "one of them was not made by galera-backup, or a label was given twice: "
                          "look at both with galera-backup info");
    }
    manifest_free(&m);
    return !error->code;
}

static bool knows(const struct identity *i, const char *uuid)
{
    unsigned at = 0;
    while (at < i->wsrep_count && strcasecmp(i->wsrep[at].uuid, uuid))
        at++;
    return at < i->wsrep_count;
}

/* Whether the source's cluster.json says that a history is of the same cluster as one that the
 * target knows. */
static bool is_same_cluster(const struct copy *c, const char *uuid)
{
    struct identity from, to;
    struct gb_error ignored = {0};
    bool same = false;
    if (!identity_read(&from, c->from->storage, c->manifest->cluster, &ignored) ||
        !knows(&from, uuid) ||
        !identity_read(&to, c->to->storage, c->manifest->cluster, &ignored) || knows(&to, uuid))
        return false;
    for (unsigned i = 0; i < from.wsrep_count; i++)
        same = same || knows(&to, from.wsrep[i].uuid);
    return same;
}

/* As the node that took the backup would be. */
static bool admit(const struct copy *c, struct gb_error *error)
{
    const struct manifest *m = c->manifest;
    const char *state =
        manifest_is_save(m) ? wire_fact(&m->facts, "grastate") : manifest_position(m);
    char uuid[IDENTITY_UUID_SIZE];
    struct identity now;
    snprintf(uuid, sizeof uuid, "%.*s", (int)strcspn(state, ":"), state);
    if (identity_uuid_valid(uuid) && is_same_cluster(c, uuid))
        return identity_adopt(c->to, m->cluster, uuid, &now, error);
    struct identity_writer writer = {.cluster = m->cluster,
                                     .wsrep_uuid = uuid,
                                     .state_dir = c->request->state_dir,
                                     .remedy = to_name(c),
                                     .writes = true};
    return identity_admit(c->to, &writer, error);
}

/* backup.json as it is, and whether both repositories take it: the one listed it perhaps a while
 * ago. */
static bool read_text(struct copy *c, struct gb_error *error)
{
    struct manifest m;
    char name[NAME_SIZE];
    name_of(c, "backup.json", name);
    c->text = storage_read_all(c->from->storage, name, TEXT_MAX, &c->text_size, error);
    if (!c->text || !manifest_parse(&m, c->text, c->text_size, name, &c->from->trusted, error))
        return false;
    bool same = !strcmp(m.id, c->manifest->id) && !strcmp(m.cluster, c->manifest->cluster) &&
                !strcmp(m.nonce, c->manifest->nonce);
    manifest_free(&m);
    if (!same)
        return error_set(error, GB_corrupt_backup, "%s/%s is not the one that was read before",
                         storage_describe(c->from->storage), name);
    if (c->seal)
        return true;
    bool taken = manifest_parse(&m, c->text, c->text_size, name, &c->to->trusted, error);
    if (taken)
        manifest_free(&m);
    else
        error_hint(error, "%s has trusted-signer, and takes no copy of what it would not trust",
                   to_name(c));
    return taken;
}

/* The recipients of a copy that is sealed, and who signs it; else they are only looked for among
 * those that it has. */
static bool load_keys(struct copy *c, struct gb_error *error)
{
    const struct repository_keys *k = &c->to->spec.keys;
    if (c->seal)
        return writer_keys_load(k, &c->recipients, &c->signer, error);
    return !k->recipients[0] ||
           keys_load(&c->recipients, "encryption-recipient", k->recipients, error);
}

/* Of an encrypted one: whoever its recipients are, it stays theirs. */
static bool check_recipients(const struct copy *c, struct gb_error *error)
{
    char ids[512];
    bool any = !c->recipients.count;
    if (!repository_recipients(c->from, c->manifest, ids, sizeof ids, error))
        return false;
    for (unsigned i = 0; i < c->recipients.count; i++)
        any = any || strstr(ids, c->recipients.key[i].id[0] ? c->recipients.key[i].id
                                                            : key_kind_name(KEY_PASSPHRASE));
    struct gb_error missing = {0};
    if (any)
        return true;
    error_set(&missing, GB_key_missing, "%s is encrypted for %s, and for no recipient of %s",
              c->manifest->id, ids, to_name(c));
    error_hint(&missing,
               "galera-backup key add --repository '%s' --recipient FILE --key FILE adds one",
               to_name(c));
    warn(c, &missing);
    return true;
}

/* ---- what it becomes ---- */

static bool prepare_sealed(struct copy *c, struct gb_error *error)
{
    struct manifest_encryption *e = &c->sealed.encryption;
    c->sealed = *c->manifest;
    c->sealed.objects = NULL;
    e->on = e->unlocked = true;
    return index_read(&c->index, c->from->storage, c->prefix, NULL, &c->manifest->objects[0],
                      error) &&
           seal_key_make(&e->key, error) &&
           (hex_read(c->manifest->nonce, e->key.identity, SEAL_IDENTITY_SIZE) ||
            error_set(error, GB_corrupt_backup, "%s has a nonce that is none: \"%s\"", c->prefix,
                      c->manifest->nonce));
}

static bool prepare(struct copy *c, struct gb_error *error)
{
    const struct manifest *m = c->manifest;
    struct transfer *t = &c->transfer;
    c->made = calloc(m->object_count, sizeof *c->made);
    if (!c->made)
        return error_set(error, GB_internal, "no memory");
    if (c->seal && !prepare_sealed(c, error))
        return false;
    t->from = c->from;
    t->to = c->to;
    t->prefix = c->prefix;
    t->stop = c->request->stop;
    t->reseal = c->seal;
    t->to_key = c->seal ? &c->sealed.encryption.key : NULL;
    return transfer_begin(t, &c->index, error);
}

/* ---- the way ---- */

static bool take_object(struct copy *c, size_t *which)
{
    pthread_mutex_lock(&c->mutex);
    *which = c->next;
    bool any = !c->failure.code && c->next < c->manifest->object_count;
    c->next += any;
    pthread_mutex_unlock(&c->mutex);
    return any;
}

static void *copy_main(void *argument)
{
    struct copy *c = argument;
    size_t which;
    while (take_object(c, &which)) {
        struct gb_error error = {0};
        if (transfer_object(&c->transfer, &c->manifest->objects[which], TRANSFER_WRITE, NULL,
                            &c->made[which], &error))
            continue;
        pthread_mutex_lock(&c->mutex);
        error_copy(&c->failure, &error);
        pthread_mutex_unlock(&c->mutex);
        transfer_halt(&c->transfer);
    }
    __atomic_fetch_sub(&c->running, 1, __ATOMIC_RELEASE);
    return NULL;
}

static bool copy_objects(struct copy *c, struct gb_error *error)
{
    const struct copy_request *r = c->request;
    pthread_t thread[THREADS_MAX];
    uint64_t total = 0;
    size_t wanted = r->threads ? r->threads : THREADS;
    unsigned started = 0;
    for (size_t i = 0; i < c->manifest->object_count; i++)
        total += c->manifest->objects[i].size;
    for (; started < wanted && started < THREADS_MAX && started < c->manifest->object_count;
         started++) {
        __atomic_fetch_add(&c->running, 1, __ATOMIC_RELAXED);
        if (pthread_create(&thread[started], NULL, copy_main, c)) {
            __atomic_fetch_sub(&c->running, 1, __ATOMIC_RELAXED);
            break;
        }
    }
    if (!started)
        return error_set(error, GB_internal, "no thread to copy with");
    while (__atomic_load_n(&c->running, __ATOMIC_ACQUIRE)) {
        if (r->progress)
            r->progress(r->context, transfer_done(&c->transfer), total);
        usleep(POLL_US);
    }
    for (unsigned i = 0; i < started; i++)
        pthread_join(thread[i], NULL);
    if (r->progress)
        r->progress(r->context, transfer_done(&c->transfer), total);
    error_copy(error, &c->failure);
    return !error->code;
}

/* An object that the manifest does not name; may: it need not be there. */
static bool copy_beside(const struct copy *c, const char *object, bool may, struct gb_error *error)
{
    char name[NAME_SIZE];
    size_t size;
    struct gb_error why = {0};
    name_of(c, object, name);
    char *text = storage_read_all(c->from->storage, name, BESIDE_MAX, &size, &why);
    bool ok = text ? storage_put(c->to->storage, name, text, size, error)
                   : may && why.code == GB_not_found;
    if (!ok)
        error_copy(error, &why);
    free(text);
    return ok;
}

static bool write_keys(struct copy *c, struct gb_error *error)
{
    struct manifest_encryption *e = &c->sealed.encryption;
    if (c->seal)
        return backup_keys_make(c->to->storage, c->prefix, &e->key, &c->recipients, e->key_ids,
                                sizeof e->key_ids, error);
    return !c->manifest->encryption.on || copy_beside(c, "keys.json", false, error);
}

/* From then on it is there. */
static bool commit(struct copy *c, struct gb_error *error)
{
    char name[NAME_SIZE];
    struct manifest *m = &c->sealed;
    uint64_t size;
    if (c->request->stop && __atomic_load_n(c->request->stop, __ATOMIC_ACQUIRE))
        return error_set(error, GB_cancelled, "%s was stopped", c->prefix);
    name_of(c, "backup.json", name);
    if (!storage_size(c->from->storage, name, &size, error) || /* removed meanwhile */
        !repository_check_stored(c->to, c->prefix, c->made, c->manifest->object_count, error))
        return false;
    if (!c->seal)
        return storage_put(c->to->storage, name, c->text, c->text_size, error);
    m->objects = c->made;
    m->stored_bytes = 0;
    for (size_t i = 0; i < m->object_count; i++)
        m->stored_bytes += m->objects[i].size;
    seal_key_check(&m->encryption.key, m->encryption.check);
    return manifest_write(m, c->to->storage, c->prefix, c->signer.count ? &c->signer.key[0] : NULL,
                          error);
}

static bool write_all(struct copy *c, struct gb_error *error)
{
    return copy_objects(c, error) && write_keys(c, error) &&
           copy_beside(c, "hold.json", true, error) && commit(c, error);
}

/* ---- all of it ---- */

static bool is_something(void *context, const char *name, bool directory)
{
    (void)name, (void)directory;
    return !(*(bool *)context = true);
}

/* Whether anything stands under the label in the target. */
static bool look_below(const struct copy *c, bool *any, struct gb_error *error)
{
    *any = false;
    return storage_list(c->to->storage, c->prefix, is_something, any, error);
}

/* What a killed copy or backup has left goes first. */
static bool clear_place(const struct copy *c, struct gb_error *error)
{
    bool any;
    unsigned removed;
    return look_below(c, &any, error) &&
           (!any || repository_collect(c->to, c->manifest->cluster, &removed, error));
}

/* What can't be read of a backup that is no more is not damaged. */
static void find_removed(const struct copy *c, struct gb_error *error)
{
    char name[NAME_SIZE];
    uint64_t size;
    struct gb_error why = {0};
    name_of(c, "backup.json", name);
    if ((error->code != GB_corrupt_backup && error->code != GB_not_found) ||
        storage_size(c->from->storage, name, &size, &why) || why.code != GB_not_found)
        return;
    error_clear(error);
    error_set(error, GB_not_found, "%s was removed from %s while it was copied", c->manifest->id,
              storage_describe(c->from->storage));
}

/* Of both where it can be; of the target in any case. */
static bool copy_locked(struct copy *c, bool *there, struct gb_error *error)
{
    struct gb_error why = {0};
    bool any;
    if (!look_there(c, there, error) || *there)
        return *there;
    if (!look_below(c, &any, error))
        return false;
    if (any)
        return error_set(error, GB_store_failed, "%s/%s exists already, and is no backup",
                         storage_describe(c->to->storage), c->prefix);
    bool ok = read_text(c, error) && (!c->manifest->encryption.on || check_recipients(c, error)) &&
              storage_check_space(c->to->storage, c->manifest->stored_bytes, NULL, error) &&
              prepare(c, error) && write_all(c, error);
    if (!ok && !storage_remove_all(c->to->storage, c->prefix, &why))
        warn(c, &why);
    return ok;
}

bool repository_copy(struct repository *from, struct repository *to, const struct manifest *m,
                     const struct copy_request *request, enum copy_outcome *outcome,
                     struct gb_error *error)
{
    struct copy c = {.from = from, .to = to, .manifest = m, .request = request};
    struct storage_lock *source = NULL, *target = NULL;
    struct gb_error why = {0}, unlocked = {0};
    bool there = false;
    repository_prefix(c.prefix, sizeof c.prefix, m->cluster, m->id);
    index_init(&c.index);
    pthread_mutex_init(&c.mutex, NULL);
    bool ok = look_there(&c, &there, &why);
    if (ok && !there) {
        c.seal = to->spec.keys.recipients[0] && !m->encryption.on;
        /* Nothing expires it meanwhile. Where the lock can't be had (another reads it, or nothing
         * can be written there) it may be removed, and is missed. */
        source = repository_lock(from, c.prefix, &unlocked);
        ok = load_keys(&c, &why) && admit(&c, &why) && clear_place(&c, &why) &&
             (target = repository_lock(to, c.prefix, &why)) && copy_locked(&c, &there, &why);
    }
    if (!ok)
        find_removed(&c, &why);
    storage_unlock(target);
    storage_unlock(source);
    *outcome = there ? COPY_THERE : c.seal ? COPY_SEALED : COPY_MADE;
    error_copy(error, &why);
    transfer_end(&c.transfer);
    index_free(&c.index);
    keys_free(&c.recipients);
    keys_free(&c.signer);
    OPENSSL_cleanse(&c.sealed.encryption, sizeof c.sealed.encryption);
    pthread_mutex_destroy(&c.mutex);
    free(c.made);
    free(c.text);
    return ok;
}
