/* keys.json; see keys.h. */
#include "agent/repository/keys.h"
#include "agent/hex.h"
#include "agent/repository/sealed.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NAME_SIZE 1024

static void name_of(const char *prefix, char name[NAME_SIZE])
{
    snprintf(name, NAME_SIZE, "%s/keys.json", prefix);
}

/* So that no key is needed to see that it is another backup's. */
static bool is_of(const char *text, size_t size, const uint8_t identity[SEAL_IDENTITY_SIZE])
{
    char nonce[2 * SEAL_IDENTITY_SIZE + 1];
    json_t *root = json_loadb(text, size, JSON_REJECT_DUPLICATES, NULL);
    const char *is = json_string_value(json_object_get(root, "nonce"));
    hex_write(identity, SEAL_IDENTITY_SIZE, nonce);
    bool same = is && !strcmp(is, nonce);
    json_decref(root);
    return same;
}

bool backup_keys_read(struct storage *storage, const char *prefix,
                      const uint8_t identity[SEAL_IDENTITY_SIZE], struct envelope *envelope,
                      struct gb_error *error)
{
    char name[NAME_SIZE];
    struct gb_error why = {0};
    size_t size;
    name_of(prefix, name);
    char *text = storage_read_all(storage, name, ENVELOPE_SIZE_MAX, &size, &why);
    bool ok = text &&
              (sealed_intact(text, size) ||
               error_set(error, GB_corrupt_backup,
                         "%s has been changed or cut: its own SHA-256 is wrong", name)) &&
              envelope_parse(envelope, text, size, name, error) &&
              (is_of(text, size, identity) ||
               error_set(error, GB_corrupt_backup, "%s is that of another backup", name));
    free(text);
    if (!text && why.code == GB_not_found)
        error_set(error, GB_corrupt_backup,
                  "%s is not there: without it nobody can read the backup", name);
    else if (!text)
        error_copy(error, &why);
    return ok;
}

static bool write_keys(struct storage *storage, const char *prefix,
                       const uint8_t identity[SEAL_IDENTITY_SIZE], const struct envelope *envelope,
                       bool first, struct gb_error *error)
{
    char name[NAME_SIZE], nonce[2 * SEAL_IDENTITY_SIZE + 1], *plain = envelope_text(envelope);
    json_t *root = plain ? json_loads(plain, 0, NULL) : NULL;
    size_t size = 0;
    hex_write(identity, SEAL_IDENTITY_SIZE, nonce);
    if (root)
        json_object_set_new(root, "nonce", json_string(nonce));
    char *text = root ? sealed_text(root, &size) : NULL;
    name_of(prefix, name);
    bool ok =
        (text || error_set(error, GB_internal, "no memory for %s", name)) &&
        (size <= ENVELOPE_SIZE_MAX || error_set(error, GB_bad_key, "%s would be too long", name)) &&
        (first ? storage_put : storage_replace)(storage, name, text, size, error);
    free(text);
    json_decref(root);
    free(plain);
    return ok;
}

bool backup_keys_make(struct storage *storage, const char *prefix, const struct seal_key *key,
                      const struct crypto_keys *recipients, char *ids, size_t ids_size,
                      struct gb_error *error)
{
    struct envelope envelope = {.count = 0};
    bool ok = true;
    for (unsigned i = 0; ok && i < recipients->count; i++)
        ok = envelope_add(&envelope, key, &recipients->key[i], error);
    envelope_ids(&envelope, ids, ids_size);
    return ok && write_keys(storage, prefix, key->identity, &envelope, true, error);
}

bool backup_keys_replace(struct storage *storage, const char *prefix,
                         const uint8_t identity[SEAL_IDENTITY_SIZE],
                         const struct envelope *envelope, struct gb_error *error)
{
    return write_keys(storage, prefix, identity, envelope, false, error);
}

/* ---- who reads ---- */

bool repository_unlock(struct repository *r, struct manifest *m, struct gb_error *error)
{
    struct crypto_keys openers = {0};
    struct envelope envelope;
    struct gb_error why = {0};
    char prefix[1024], name[NAME_SIZE];
    if (!m->encryption.on || m->encryption.unlocked)
        return true;
    repository_prefix(prefix, sizeof prefix, m->cluster, m->id);
    bool ok = (!r->spec.keys.openers[0] ||
               (keys_load(&openers, "decryption-key", r->spec.keys.openers, error) &&
                keys_check(&openers, "decryption-key", KEY_TO_OPEN, error))) &&
              backup_keys_read(r->storage, prefix, m->encryption.key.identity, &envelope, error);
    if (ok && !envelope_open(&envelope, &openers, m->encryption.key.identity, m->encryption.check,
                             &m->encryption.key, m->encryption.opened_with, &why)) {
        name_of(prefix, name);
        if (why.code == GB_corrupt_backup)
            error_set(error, GB_corrupt_backup, "%s: %s", name, why.what);
        else
            error_copy(error, &why);
        ok = false;
    }
    m->encryption.unlocked = ok;
    if (ok)
        envelope_ids(&envelope, m->encryption.key_ids, sizeof m->encryption.key_ids);
    keys_free(&openers);
    return ok;
}

bool repository_recipients(struct repository *r, const struct manifest *m, char *out, size_t size,
                           struct gb_error *error)
{
    struct envelope envelope;
    char prefix[1024];
    repository_prefix(prefix, sizeof prefix, m->cluster, m->id);
    out[0] = '\0';
    if (!m->encryption.on)
        return true;
    if (!backup_keys_read(r->storage, prefix, m->encryption.key.identity, &envelope, error))
        return false;
    envelope_ids(&envelope, out, size);
    return true;
}

static bool change_envelope(struct envelope *e, const struct manifest *m,
                            const struct crypto_keys *recipients, const char *without,
                            struct gb_error *error)
{
    for (unsigned i = 0; recipients && i < recipients->count; i++)
        if (!envelope_add(e, &m->encryption.key, &recipients->key[i], error))
            return false;
    if (without && !envelope_remove(e, without))
        return error_set(error, GB_not_found, "%s is not encrypted for %s", m->id, without);
    return e->count ||
           error_set(error, GB_bad_value,
                     "%s is encrypted for %s alone: nobody could open it any more", m->id, without);
}

bool repository_rekey(struct repository *r, const struct manifest *m,
                      const struct crypto_keys *recipients, const char *without,
                      struct gb_error *error)
{
    struct envelope envelope;
    char prefix[1024];
    repository_prefix(prefix, sizeof prefix, m->cluster, m->id);
    struct storage_lock *lock = repository_lock(r, prefix, error);
    bool ok = lock && manifest_exists(r->storage, prefix, error) &&
              backup_keys_read(r->storage, prefix, m->encryption.key.identity, &envelope, error) &&
              change_envelope(&envelope, m, recipients, without, error) &&
              backup_keys_replace(r->storage, prefix, m->encryption.key.identity, &envelope, error);
    storage_unlock(lock);
    return ok;
}

/* ---- who writes ---- */

/* What this host writes and does not trust would be there and never be used. */
static bool is_trusted(const char *setting, const struct crypto_keys *signer,
                       struct gb_error *error)
{
    struct crypto_keys trusted = {0};
    bool ok = keys_load(&trusted, "trusted-signer", setting, error), is = false;
    for (unsigned i = 0; ok && signer->count && i < trusted.count; i++)
        is = is || !strcmp(trusted.key[i].id, signer->key[0].id);
    keys_free(&trusted);
    if (!ok || is)
        return ok;
    error_set(error, GB_bad_key, "the repository has trusted-signer, and what this host writes %s",
              signer->count ? "is signed by another key" : "is not signed");
    error_hint(error, "set signing-key to the private half of a trusted signer, or take "
                      "trusted-signer out of this host's configuration");
    return false;
}

bool writer_keys_load(const struct repository_keys *settings, struct crypto_keys *recipients,
                      struct crypto_keys *signer, struct gb_error *error)
{
    if (settings->recipients[0] &&
        (!keys_load(recipients, "encryption-recipient", settings->recipients, error) ||
         !keys_check(recipients, "encryption-recipient", KEY_FOR_RECIPIENT, error)))
        return false;
    if (settings->signer[0] &&
        (!keys_load(signer, "signing-key", settings->signer, error) ||
         !keys_check(signer, "signing-key", KEY_TO_SIGN, error) ||
         (signer->count != 1 &&
          !error_set(error, GB_bad_key, "signing-key names %u keys; one signs", signer->count))))
        return false;
    return !settings->trusted[0] || is_trusted(settings->trusted, signer, error);
}

bool repository_check_keys(const struct repository_spec *spec, char *out, size_t size,
                           struct gb_error *error)
{
    struct crypto_keys recipients = {0}, signer = {0};
    bool ok = writer_keys_load(&spec->keys, &recipients, &signer, error);
    size_t at = 0;
    out[0] = '\0';
    for (unsigned i = 0; i < recipients.count && at < size; i++)
        at += (size_t)snprintf(out + at, size - at, "%s%s", i ? ", " : "",
                               recipients.key[i].id[0] ? recipients.key[i].id : "a passphrase");
    keys_free(&recipients);
    keys_free(&signer);
    return ok;
}
