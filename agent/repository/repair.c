/* What is damaged of a backup, made anew from another repository; see repair.h. */
#include "agent/repository/repair.h"
#include "agent/repository/elsewhere.h"
#include "agent/repository/keys.h"
#include "agent/repository/transfer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PREFIX_SIZE (WIRE_NAME_MAX + WIRE_ID_MAX + 16)
#define NAME_SIZE   (PREFIX_SIZE + 64)

struct repair {
    struct repository *home, *other;
    char prefix[PREFIX_SIZE];
    struct manifest mine, theirs; /* objects of mine are the caller's */
    struct index index;
    struct transfer same, anew; /* byte by byte; sealed as it is here */
    bool ready;                 /* anew can be used */
    struct gb_error unready;    /* else why not */
};

/* ---- objects ---- */

/* What it takes to seal anew: both keys, and the index, of the other copy, for the one here may be
 * what is damaged. */
static bool prepare_anew(struct repair *r, struct gb_error *error)
{
    return repository_unlock(r->other, &r->theirs, error) &&
           repository_unlock(r->home, &r->mine, error) &&
           index_read(&r->index, r->other->storage, r->prefix, manifest_key(&r->theirs),
                      &r->theirs.objects[0], error) &&
           transfer_begin(&r->anew, &r->index, error);
}

static void begin(struct repair *r, const struct repair_request *request)
{
    r->same = (struct transfer){
        .from = r->other, .to = r->home, .prefix = r->prefix, .stop = request->stop};
    r->anew = r->same;
    r->anew.reseal = true;
    r->ready = prepare_anew(r, &r->unready);
    r->anew.from_key = manifest_key(&r->theirs);
    r->anew.to_key = manifest_key(&r->mine);
}

static const struct object_info *find_object(const struct manifest *m, const char *name)
{
    for (size_t i = 0; i < m->object_count; i++)
        if (!strcmp(m->objects[i].name, name))
            return &m->objects[i];
    return NULL;
}

static bool is_equal(const struct object_info *a, const struct object_info *b)
{
    return a->size == b->size && !memcmp(a->sha256, b->sha256, sizeof a->sha256);
}

/* What is sealed anew is first looked at: with one key and one nonce nothing but what was there
 * before must ever leave this process. */
static bool mend(struct repair *r, const struct object_info *mine, struct gb_error *error)
{
    const struct object_info *theirs = find_object(&r->theirs, mine->name);
    if (!theirs)
        return error_set(error, GB_corrupt_backup, "%s has no %s",
                         storage_describe(r->other->storage), mine->name);
    if (is_equal(mine, theirs))
        return transfer_object(&r->same, theirs, TRANSFER_REPLACE, mine, NULL, error);
    if (!r->ready) {
        error_copy(error, &r->unready);
        return false;
    }
    return transfer_object(&r->anew, theirs, TRANSFER_LOOK, mine, NULL, error) &&
           transfer_object(&r->anew, theirs, TRANSFER_REPLACE, mine, NULL, error);
}

bool repository_repair(struct repository *home, struct repository *other, const struct manifest *m,
                       const struct repair_request *request, struct gb_error *error)
{
    struct repair r = {.home = home, .other = other, .mine = *m};
    struct storage_lock *lock = NULL;
    repository_prefix(r.prefix, sizeof r.prefix, m->cluster, m->id);
    index_init(&r.index);
    bool ok = elsewhere_manifest(home, other, r.prefix, m->nonce, &r.theirs, error) &&
              (lock = repository_lock(home, r.prefix, error)) &&
              manifest_exists(home->storage, r.prefix, error); /* else it has just been removed */
    if (ok)
        begin(&r, request);
    for (size_t i = 0; ok && i < m->object_count; i++) {
        struct gb_error problem = {0};
        if (!request->damaged[i])
            continue;
        bool mended = mend(&r, &m->objects[i], &problem);
        request->report(request->context, m->objects[i].name, mended ? NULL : &problem);
        if (problem.code == GB_cancelled || storage_is_away(&problem) ||
            problem.code == GB_no_space) {
            error_copy(error, &problem);
            ok = false;
        }
    }
    storage_unlock(lock);
    transfer_end(&r.anew);
    index_free(&r.index);
    manifest_free(&r.theirs);
    r.mine.objects = NULL; /* the caller's */
    manifest_free(&r.mine);
    return ok;
}

/* ---- keys.json ---- */

/* It has its own SHA-256, and what it has for a key that is here must open with it. That no key is
 * here is no damage. */
static bool is_damaged(const struct repair *r, struct gb_error *error)
{
    struct manifest m = r->mine;
    struct gb_error why = {0};
    char ids[512];
    m.encryption.unlocked = false;
    if (repository_recipients(r->home, &m, ids, sizeof ids, &why))
        repository_unlock(r->home, &m, &why);
    m.objects = NULL; /* the caller's */
    manifest_free(&m);
    if (storage_is_away(&why))
        error_copy(error, &why);
    return why.code == GB_corrupt_backup;
}

static bool replace_keys(const struct repair *r, struct gb_error *error)
{
    struct envelope envelope;
    if (!r->theirs.encryption.on ||
        memcmp(r->theirs.encryption.check, r->mine.encryption.check, SEAL_CHECK_SIZE))
        return error_set(
            error, GB_corrupt_backup,
            "%s/keys.json can't be mended from %s: the data key of that copy is another one",
            r->prefix, storage_describe(r->other->storage));
    const uint8_t *identity = r->mine.encryption.key.identity;
    return backup_keys_read(r->other->storage, r->prefix, identity, &envelope, error) &&
           backup_keys_replace(r->home->storage, r->prefix, identity, &envelope, error);
}

bool repository_repair_keys(struct repository *home, struct repository *other,
                            const struct manifest *m, bool *mended, struct gb_error *error)
{
    struct repair r = {.home = home, .other = other, .mine = *m};
    struct storage_lock *lock = NULL;
    *mended = false;
    if (!m->encryption.on)
        return true;
    repository_prefix(r.prefix, sizeof r.prefix, m->cluster, m->id);
    if (is_damaged(&r, error))
        *mended = elsewhere_manifest(home, other, r.prefix, m->nonce, &r.theirs, error) &&
                  (lock = repository_lock(home, r.prefix, error)) && replace_keys(&r, error);
    storage_unlock(lock);
    manifest_free(&r.theirs);
    return !error->code;
}

/* ---- backup.json ---- */

/* Whether an object here is the one that the other's manifest names: then all were made of the same
 * bytes with the same key. */
static bool is_copy(struct repair *r, struct gb_error *error)
{
    struct transfer here = {.from = r->home, .to = r->home, .prefix = r->prefix};
    for (size_t i = 0; i < r->theirs.object_count; i++) {
        struct gb_error why = {0};
        if (transfer_object(&here, &r->theirs.objects[i], TRANSFER_LOOK, NULL, NULL, &why))
            return true;
        if (why.code != GB_corrupt_backup) {
            error_copy(error, &why);
            return false;
        }
    }
    error_set(error, GB_corrupt_backup,
              "no object of %s in %s is what backup.json in %s names: it is not mended from there",
              r->prefix, storage_describe(r->home->storage), storage_describe(r->other->storage));
    error_hint(error, "if that copy is encrypted in another way: restore from there, and copy it "
                      "anew when what is left here has been removed");
    return false;
}

static bool replace_manifest(const struct repair *r, struct gb_error *error)
{
    char name[NAME_SIZE];
    size_t size;
    snprintf(name, sizeof name, "%s/backup.json", r->prefix);
    char *text = storage_read_all(r->other->storage, name, STORAGE_REPLACE_MAX, &size, error);
    struct manifest m;
    bool ok = text && manifest_parse(&m, text, size, name, &r->home->trusted, error);
    if (ok)
        manifest_free(&m);
    ok = ok && storage_replace(r->home->storage, name, text, size, error);
    free(text);
    return ok;
}

bool repository_repair_manifest(struct repository *home, struct repository *other,
                                const char *cluster, const char *label, struct gb_error *error)
{
    struct repair r = {.home = home, .other = other};
    struct storage_lock *lock = NULL;
    repository_prefix(r.prefix, sizeof r.prefix, cluster, label);
    bool ok = elsewhere_manifest(home, other, r.prefix, NULL, &r.theirs, error) &&
              (lock = repository_lock(home, r.prefix, error)) && is_copy(&r, error) &&
              replace_manifest(&r, error);
    storage_unlock(lock);
    manifest_free(&r.theirs);
    return ok;
}
