/* galera-backup key: keys that backups are encrypted for and signed with, and who can open the
 * backups that are there */
#include "agent/cmd/cmd.h"
#include "agent/repository/keytest.h"
#include "agent/repository/listing.h"
#include "agent/warn.h"

#include <string.h>

static bool need(const char *value, const char *what, const struct options *o,
                 struct gb_error *error)
{
    return (value && *value) || error_set(error, GB_usage, "key %s needs %s", o->argument, what);
}

static bool generate(const struct options *o, struct gb_error *error)
{
    static const enum key_kind kinds[] = {KEY_X25519, KEY_RSA, KEY_SECRET, KEY_ED25519};
    char id[KEY_ID_MAX];
    if (!need(o->second, "the name of a file", o, error))
        return false;
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        bool pair = kinds[i] != KEY_SECRET;
        if (strcmp(o->kind ? o->kind : "x25519", key_kind_name(kinds[i])))
            continue;
        if (!key_generate(kinds[i], o->second, id, error))
            return false;
        printf("%s\n%s: the %s key, for %s only\n", id, o->second, pair ? "private" : "secret",
               kinds[i] == KEY_ED25519 ? "the host that writes backups" : "those who restore");
        if (pair)
            printf("%s.pub: the public key, for %s\n", o->second,
                   kinds[i] == KEY_ED25519 ? "trusted-signer, wherever backups are restored"
                                           : "encryption-recipient, wherever backups are written");
        if (kinds[i] != KEY_ED25519)
            printf("Without this key nobody reads the backups. Keep a copy where the backups are "
                   "not, and try it: galera-backup key test\n");
        return true;
    }
    return error_set(error, GB_bad_value, "--kind %s is none of x25519, rsa, secret and ed25519",
                     o->kind);
}

static bool show_id(const struct options *o, struct gb_error *error)
{
    struct crypto_keys keys = {0};
    if (!need(o->second, "the file of a key", o, error) ||
        !keys_load(&keys, "key id", o->second, error))
        return false;
    for (unsigned i = 0; i < keys.count; i++)
        printf("%s%s\n", keys.key[i].id[0] ? keys.key[i].id : "a passphrase",
               keys.key[i].secret ? "" : " (public)");
    keys_free(&keys);
    return true;
}

/* What is done to each encrypted backup; recipients: of --recipient. */
typedef bool change(const struct options *o, struct repository *r, struct manifest *m,
                    const struct crypto_keys *recipients, struct gb_error *error);

static bool add(const struct options *o, struct repository *r, struct manifest *m,
                const struct crypto_keys *recipients, struct gb_error *error)
{
    (void)o;
    return repository_unlock(r, m, error) && repository_rekey(r, m, recipients, NULL, error);
}

static bool take_away(const struct options *o, struct repository *r, struct manifest *m,
                      const struct crypto_keys *recipients, struct gb_error *error)
{
    (void)recipients;
    return repository_rekey(r, m, NULL, o->second, error);
}

/* Whether the backup is encrypted for all of them already: an earlier run has been here. */
static bool is_done(struct repository *r, const struct manifest *m,
                    const struct crypto_keys *recipients)
{
    struct gb_error ignored = {0};
    char ids[512];
    bool done = recipients->count && repository_recipients(r, m, ids, sizeof ids, &ignored);
    for (unsigned i = 0; done && i < recipients->count; i++)
        done = recipients->key[i].id[0] && strstr(ids, recipients->key[i].id);
    return done;
}

static bool rotate(const struct options *o, struct repository *r, struct manifest *m,
                   const struct crypto_keys *recipients, struct gb_error *error)
{
    struct gb_error problem = {0};
    (void)o;
    if (!repository_unlock(r, m, &problem)) {
        if (problem.code == GB_key_missing && is_done(r, m, recipients))
            return true;
        error_copy(error, &problem);
        return false;
    }
    for (unsigned i = 0; i < recipients->count; i++)
        if (!strcmp(recipients->key[i].id, m->encryption.opened_with))
            return error_set(error, GB_bad_value,
                             "--recipient is the key that is to be taken away, %s",
                             m->encryption.opened_with);
    return repository_rekey(r, m, recipients, m->encryption.opened_with, error);
}

/* Every encrypted backup; one that fails does not keep the others from it. */
static bool change_all(const struct options *o, struct repository *r, change *one,
                       struct gb_error *error)
{
    struct crypto_keys recipients = {0};
    struct manifest *list = NULL;
    size_t count = 0, changed = 0, failed = 0, absent = 0;
    bool ok =
        (!o->recipient || (keys_load(&recipients, "--recipient", o->recipient, error) &&
                           keys_check(&recipients, "--recipient", KEY_FOR_RECIPIENT, error))) &&
        repository_list(r, o->cluster, &list, &count, warn_text, NULL, error);
    for (size_t i = 0; i < count; i++) {
        struct gb_error problem = {0};
        char ids[512] = "";
        if (ok && list[i].encryption.on) {
            bool done = one(o, r, &list[i], &recipients, &problem) &&
                        repository_recipients(r, &list[i], ids, sizeof ids, &problem);
            bool none = problem.code ==
                        GB_not_found; /* it does not have that key, or has been removed meanwhile */
            printf("%s: %s\n", list[i].id, done ? ids : problem.what);
            changed += done;
            failed += !done && !none;
            absent += none;
            if (!done && !none)
                error_copy(error, &problem);
        }
        manifest_free(&list[i]);
    }
    free(list);
    keys_free(&recipients);
    if (!ok || failed)
        return false;
    if (!changed && absent)
        return error_set(error, GB_not_found, "no backup in %s is encrypted for %s",
                         storage_describe(r->storage), o->second ? o->second : "that key");
    printf("%zu encrypted backups, data untouched. For backups to come change encryption-recipient "
           "in the configuration.\n",
           changed);
    return true;
}

/* The newest encrypted backup, as a restore would begin. */
static bool test(const struct options *o, struct repository *r, struct gb_error *error)
{
    struct manifest *list = NULL;
    size_t count = 0, at = 0;
    if (!repository_list(r, o->cluster, &list, &count, warn_text, NULL, error))
        return false;
    while (at < count && !list[at].encryption.on)
        at++;
    bool ok = at < count ? keytest_run(r, &list[at], error)
                         : error_set(error, GB_not_found, "there is no encrypted backup in %s",
                                     storage_describe(r->storage));
    if (ok)
        printf("%s opens %s: its index and a frame of its data were read\n",
               list[at].encryption.opened_with, list[at].id);
    for (size_t i = 0; i < count; i++)
        manifest_free(&list[i]);
    free(list);
    return ok;
}

int cmd_key(const struct options *o, struct gb_error *error)
{
    static const struct {
        const char *name;
        bool (*alone)(const struct options *o, struct gb_error *error);
        change *one;
        bool recipient, second;
    } parts[] = {{"generate", generate, NULL, false, true}, {"id", show_id, NULL, false, true},
                 {"test", NULL, NULL, false, false},        {"add", NULL, add, true, false},
                 {"remove", NULL, take_away, false, true},  {"rotate", NULL, rotate, true, false}};
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        if (strcmp(o->argument, parts[i].name))
            continue;
        if (!parts[i].second && o->second)
            error_set(error, GB_usage, "\"%s\" is one argument too many for key %s", o->second,
                      o->argument);
        else if (!parts[i].recipient && o->recipient)
            error_set(error, GB_usage, "key %s takes no --recipient", o->argument);
        else if (o->kind && parts[i].alone != generate)
            error_set(error, GB_usage, "key %s takes no --kind", o->argument);
        else if (parts[i].alone)
            parts[i].alone(o, error);
        else if ((!parts[i].recipient || need(o->recipient, "--recipient FILE", o, error)) &&
                 (!parts[i].second ||
                  need(o->second, "the id of a key (galera-backup info shows them)", o, error))) {
            struct repository *r = cmd_repository(o, error);
            if (r)
                (void)(parts[i].one ? change_all(o, r, parts[i].one, error) : test(o, r, error));
            repository_close(r);
        }
        return error->code ? error_exit_status(error->code) : 0;
    }
    error_set(error, GB_usage,
              "key has no \"%s\"; there are generate, id, test, add, remove and rotate",
              o->argument);
    return error_exit_status(error->code);
}
