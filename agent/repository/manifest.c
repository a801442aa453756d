/* backup.json; see manifest.h. */
#include "agent/repository/manifest.h"
#include "agent/hex.h"
#include "agent/repository/repository.h"
#include "agent/utc.h"

#include <inttypes.h>
#include <jansson.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MANIFEST_SIZE_MAX (64u << 20)

/* How the text ends: the last key is the SHA-256 of all before its comma, so that no byte of it
 * changes unseen. */
#define SEAL_BEGIN ",\n \"sha256\": \""
#define SEAL_END   "\"\n}"
#define SHA256_HEX 64u
#define SEAL_SIZE  (sizeof SEAL_BEGIN - 1 + SHA256_HEX + sizeof SEAL_END - 1)
/* Before it, of one that is signed: who signed all before this comma. */
#define SIGN_FORMAT ",\n \"signer\": \"%s\",\n \"signature\": \"%s\""
#define SIGN_MAX    (sizeof SIGN_FORMAT + KEY_ID_MAX + 2 * KEY_SIGNATURE_SIZE)
#define CIPHER      "AES-256-GCM"

void manifest_free(struct manifest *m)
{
    free(m->objects);
    m->objects = NULL;
    m->object_count = 0;
    OPENSSL_cleanse(&m->encryption, sizeof m->encryption);
}

const struct seal_key *manifest_key(const struct manifest *m)
{
    return m->encryption.on ? &m->encryption.key : NULL;
}

bool manifest_is_save(const struct manifest *m)
{
    return !strcmp(m->type, MANIFEST_SAVE);
}

const char *manifest_position(const struct manifest *m)
{
    return wire_fact(&m->facts, "position");
}

char *manifest_gtid(const struct manifest *m, size_t max)
{
    const char *part;
    char *all = strdup("");
    size_t size = 0;
    for (unsigned n = 1; all && *(part = wire_fact_part(&m->facts, "gtid", n)); n++) {
        size_t length = strlen(part) + (size > 0);
        if (size + length > max)
            break;
        char *longer = realloc(all, size + length + 1);
        if (!longer) {
            free(all);
            return NULL;
        }
        all = longer;
        snprintf(all + size, length + 1, "%s%s", size ? "," : "", part);
        size += length;
    }
    return all;
}

static json_t *time_json(time_t t)
{
    char text[UTC_MAX];
    return json_string(utc_text(t, text));
}

static time_t json_time(const json_t *j)
{
    struct tm tm = {0};
    const char *text = json_string_value(j);
    return text && strptime(text, "%Y-%m-%dT%H:%M:%SZ", &tm) ? timegm(&tm) : 0;
}

static json_t *to_json(const struct manifest *m)
{
    char hex[2 * WIRE_REDO_HEADER + 1];
    json_t *root = json_object(), *facts = json_object(), *objects = json_array();
    json_object_set_new(root, "format", json_integer(MANIFEST_FORMAT));
    json_object_set_new(root, "id", json_string(m->id));
    json_object_set_new(root, "cluster", json_string(m->cluster));
    json_object_set_new(root, "type", json_string(m->type));
    json_object_set_new(root, "parent", json_null());
    json_object_set_new(root, "nonce", json_string(m->nonce));
    json_object_set_new(root, "node", json_string(m->node));
    json_object_set_new(root, "server_version", json_string(m->server_version));
    json_object_set_new(root, "agent_version", json_string(m->agent_version));
    json_object_set_new(root, "comment", json_string(m->comment));
    json_object_set_new(root, "user", json_string(m->user));
    json_object_set_new(root, "started_at", time_json(m->started_at));
    json_object_set_new(root, "finished_at", time_json(m->finished_at));
    json_object_set_new(root, "lsn_start", json_integer((json_int_t)m->checkpoint_lsn));
    json_object_set_new(root, "lsn_checkpoint_end",
                        json_integer((json_int_t)m->checkpoint_end_lsn));
    json_object_set_new(root, "lsn_end", json_integer((json_int_t)m->end_lsn));
    hex_write(m->redo_header, WIRE_REDO_HEADER, hex);
    json_object_set_new(root, "redo_header", json_string(hex));
    json_object_set_new(root, "data_bytes", json_integer((json_int_t)m->data_bytes));
    json_object_set_new(root, "read_bytes", json_integer((json_int_t)m->read_bytes));
    json_object_set_new(root, "redo_bytes", json_integer((json_int_t)m->redo_bytes));
    json_object_set_new(root, "stored_bytes", json_integer((json_int_t)m->stored_bytes));
    json_object_set_new(root, "files", json_integer(m->files));
    hex_write(m->encryption.check, sizeof m->encryption.check, hex);
    json_object_set_new(root, "encryption",
                        m->encryption.on ? json_pack("{s:s, s:s}", "cipher", CIPHER, "check", hex)
                                         : json_null());
    for (uint32_t i = 0; i < m->facts.count; i++)
        json_object_set_new(facts, m->facts.fact[i].key, json_string(m->facts.fact[i].value));
    json_object_set_new(root, "facts", facts);
    for (size_t i = 0; i < m->object_count; i++) {
        char sha[65];
        hex_write(m->objects[i].sha256, 32, sha);
        json_array_append_new(objects,
                              json_pack("{s:s, s:I, s:s}", "name", m->objects[i].name, "bytes",
                                        (json_int_t)m->objects[i].size, "sha256", sha));
    }
    json_object_set_new(root, "objects", objects);
    return root;
}

void manifest_seal(const char *text, size_t size, char seal[MANIFEST_SEAL_MAX])
{
    uint8_t sha256[32];
    char hex[SHA256_HEX + 1];
    unsigned length;
    EVP_Digest(text, size, sha256, &length, EVP_sha256(), NULL);
    hex_write(sha256, sizeof sha256, hex);
    snprintf(seal, MANIFEST_SEAL_MAX, SEAL_BEGIN "%s" SEAL_END, hex);
}

static bool is_sealed(const char *text, size_t size)
{
    char seal[MANIFEST_SEAL_MAX];
    if (size <= SEAL_SIZE)
        return false;
    manifest_seal(text, size - SEAL_SIZE, seal);
    return !memcmp(text + size - SEAL_SIZE, seal, SEAL_SIZE);
}

/* The whole text, signed if there is a signer; malloc'ed. */
static char *make_text(const struct manifest *m, const struct crypto_key *signer,
                       struct gb_error *error)
{
    json_t *root = to_json(m);
    char *json = json_dumps(root, JSON_INDENT(1)),
         *text = json ? malloc(strlen(json) + SIGN_MAX + MANIFEST_SEAL_MAX) : NULL;
    uint8_t signature[KEY_SIGNATURE_SIZE];
    char hex[2 * KEY_SIGNATURE_SIZE + 1];
    size_t size = json ? strlen(json) - 2 : 0; /* without the end of the object */
    json_decref(root);
    bool ok = text || error_set(error, GB_internal, "no memory for the manifest");
    if (ok) {
        snprintf(text, size + 1, "%s", json);
        ok = !signer || key_sign(signer, text, size, signature, error);
    }
    if (ok && signer) {
        hex_write(signature, sizeof signature, hex);
        snprintf(text + size, SIGN_MAX, SIGN_FORMAT, signer->id, hex);
    }
    free(json);
    if (!ok) {
        free(text);
        return NULL;
    }
    size = strlen(text);
    manifest_seal(text, size, text + size);
    return text;
}

bool manifest_write(const struct manifest *m, struct storage *storage, const char *prefix,
                    const struct crypto_key *signer, struct gb_error *error)
{
    char name[1024], *text = make_text(m, signer, error);
    snprintf(name, sizeof name, "%s/backup.json", prefix);
    bool ok = text && storage_put(storage, name, text, strlen(text), error);
    free(text);
    return ok;
}

/* Of a text that ends as it should. The signature is the last thing before the seal: nothing can
 * stand between. */
static bool check_signature(const struct manifest *m, const char *text, size_t size,
                            const char *given, const char *name, const struct crypto_keys *trusted,
                            struct gb_error *error)
{
    uint8_t signature[KEY_SIGNATURE_SIZE];
    char block[SIGN_MAX];
    if (!trusted || !trusted->count)
        return true;
    if (!m->signer[0])
        return error_set(error, GB_untrusted_backup, "%s is not signed", name);
    int length = snprintf(block, sizeof block, SIGN_FORMAT, m->signer, given ? given : "");
    size_t end = size - SEAL_SIZE;
    for (unsigned i = 0; i < trusted->count; i++)
        if (!strcmp(trusted->key[i].id, m->signer))
            return (hex_read(given, signature, sizeof signature) && length > 0 &&
                    (size_t)length < end && !memcmp(text + end - length, block, (size_t)length) &&
                    key_signed(&trusted->key[i], text, end - (size_t)length, signature)) ||
                   error_set(error, GB_untrusted_backup, "%s was changed after %s had signed it",
                             name, m->signer);
    return error_set(error, GB_untrusted_backup, "%s is signed by %s, which is no trusted signer",
                     name, m->signer);
}

static bool get_encryption(struct manifest *m, const json_t *o)
{
    if (!o || json_is_null(o))
        return true;
    const char *cipher = json_string_value(json_object_get(o, "cipher"));
    m->encryption.on = true;
    return cipher && !strcmp(cipher, CIPHER) &&
           hex_read(m->nonce, m->encryption.key.identity, SEAL_IDENTITY_SIZE) &&
           hex_read(json_string_value(json_object_get(o, "check")), m->encryption.check,
                    SEAL_CHECK_SIZE);
}

static void get_text(const json_t *root, const char *key, char *out, size_t size)
{
    const char *text = json_string_value(json_object_get(root, key));
    snprintf(out, size, "%s", text ? text : "");
}

static uint64_t get_number(const json_t *root, const char *key)
{
    json_int_t n = json_integer_value(json_object_get(root, key));
    return n > 0 ? (uint64_t)n : 0;
}

static bool get_objects(struct manifest *m, const json_t *list)
{
    size_t count = json_array_size(list);
    if (!count || !(m->objects = calloc(count, sizeof *m->objects)))
        return false;
    for (size_t i = 0; i < count; i++) {
        const json_t *o = json_array_get(list, i);
        struct object_info *info = &m->objects[i];
        get_text(o, "name", info->name, sizeof info->name);
        info->size = get_number(o, "bytes");
        unsigned number;
        char expected[64];
        bool segment = sscanf(info->name, "data/%6u.seg", &number) == 1;
        snprintf(expected, sizeof expected, "data/%06u.seg", segment ? number : 0);
        if (!hex_read(json_string_value(json_object_get(o, "sha256")), info->sha256, 32) ||
            (i == 0 ? strcmp(info->name, "index") : !segment || strcmp(info->name, expected)))
            return false;
        m->object_count++;
    }
    return true;
}

bool manifest_parse(struct manifest *m, const char *text, size_t size, const char *name,
                    const struct crypto_keys *trusted, struct gb_error *error)
{
    memset(m, 0, sizeof *m);
    json_error_t why;
    json_t *root = json_loadb(text, size, JSON_REJECT_DUPLICATES, &why);
    if (!json_is_object(root)) {
        json_decref(root);
        return error_set(error, GB_corrupt_backup, "%s, line %d: %s", name, why.line, why.text);
    }
    m->format = (unsigned)get_number(root, "format");
    get_text(root, "id", m->id, sizeof m->id);
    get_text(root, "cluster", m->cluster, sizeof m->cluster);
    get_text(root, "type", m->type, sizeof m->type);
    get_text(root, "nonce", m->nonce, sizeof m->nonce);
    get_text(root, "node", m->node, sizeof m->node);
    get_text(root, "server_version", m->server_version, sizeof m->server_version);
    get_text(root, "agent_version", m->agent_version, sizeof m->agent_version);
    get_text(root, "comment", m->comment, sizeof m->comment);
    get_text(root, "user", m->user, sizeof m->user);
    get_text(root, "signer", m->signer, sizeof m->signer);
    m->started_at = json_time(json_object_get(root, "started_at"));
    m->finished_at = json_time(json_object_get(root, "finished_at"));
    m->checkpoint_lsn = get_number(root, "lsn_start");
    m->checkpoint_end_lsn = get_number(root, "lsn_checkpoint_end");
    m->end_lsn = get_number(root, "lsn_end");
    m->data_bytes = get_number(root, "data_bytes");
    m->read_bytes = get_number(root, "read_bytes");
    m->redo_bytes = get_number(root, "redo_bytes");
    m->stored_bytes = get_number(root, "stored_bytes");
    m->files = (uint32_t)get_number(root, "files");
    bool ok = true;
    const char *key;
    json_t *value;
    json_object_foreach(json_object_get(root, "facts"), key, value) ok =
        json_is_string(value) && wire_add_fact(&m->facts, key, "%s", json_string_value(value)) &&
        ok;
    if (m->format > MANIFEST_FORMAT)
        ok = error_set(error, GB_format_newer, "%s has format %u, this release reads up to %d",
                       name, m->format, MANIFEST_FORMAT);
    else if (!is_sealed(text, size))
        ok = error_set(error, GB_corrupt_backup,
                       "%s has been changed or cut: its own SHA-256 is wrong", name);
    else if (!check_signature(m, text, size, json_string_value(json_object_get(root, "signature")),
                              name, trusted, error))
        ok = false;
    else if (!ok || m->format != MANIFEST_FORMAT || !label_valid(m->id) ||
             !cluster_name_valid(m->cluster) ||
             !get_encryption(m, json_object_get(root, "encryption")) ||
             !get_objects(m, json_object_get(root, "objects")) ||
             !hex_read(json_string_value(json_object_get(root, "redo_header")), m->redo_header,
                       WIRE_REDO_HEADER) ||
             m->checkpoint_lsn + m->redo_bytes != m->end_lsn)
        ok = error_set(error, GB_corrupt_backup, "%s is not a manifest of format %d", name,
                       MANIFEST_FORMAT);
    json_decref(root);
    if (!ok)
        manifest_free(m);
    return ok;
}

bool manifest_exists(struct storage *storage, const char *prefix, struct gb_error *error)
{
    char name[1100];
    uint64_t size;
    snprintf(name, sizeof name, "%s/backup.json", prefix);
    return storage_size(storage, name, &size, error);
}

bool manifest_read(struct manifest *m, struct storage *storage, const char *prefix,
                   const struct crypto_keys *trusted, struct gb_error *error)
{
    char name[1024];
    size_t size;
    memset(m, 0, sizeof *m);
    snprintf(name, sizeof name, "%s/backup.json", prefix);
    char *text = storage_read_all(storage, name, MANIFEST_SIZE_MAX, &size, error);
    bool ok = text && manifest_parse(m, text, size, name, trusted, error);
    char of[1024];
    free(text);
    repository_prefix(of, sizeof of, m->cluster, m->id);
    if (ok && strcmp(of, prefix)) {
        ok = error_set(error, GB_corrupt_backup, "%s is that of another backup, %s", name, of);
        manifest_free(m);
    }
    return ok;
}
