/* The data key and its recipients; see envelope.h. */
#include "agent/crypto/envelope.h"
#include "agent/hex.h"

#include <jansson.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/kdf.h>
#include <openssl/rand.h>
#include <openssl/rsa.h>
#include <stdlib.h>
#include <string.h>

#define SCHEMA      1
#define ID_DIGITS   16u
#define SALT_SIZE   16u
#define X25519_SIZE 32u
#define INFO        "galera-backup key wrap 1"
/* scrypt: 32 MiB and a tenth of a second for each try */
#define SCRYPT_N      (1u << 15)
#define SCRYPT_R      8u
#define SCRYPT_P      3u
#define SCRYPT_MEMORY (64u << 20)

/* ---- the key that wraps ---- */

static bool derive(const uint8_t *secret, size_t size, const uint8_t *salt, size_t salt_size,
                   uint8_t out[SEAL_KEY_SIZE])
{
    EVP_KDF *kdf = EVP_KDF_fetch(NULL, "HKDF", NULL);
    EVP_KDF_CTX *c = kdf ? EVP_KDF_CTX_new(kdf) : NULL;
    char digest[] = "SHA256", info[] = INFO;
    OSSL_PARAM parameters[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, digest, 0),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY, (void *)(uintptr_t)secret, size),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SALT, (void *)(uintptr_t)salt, salt_size),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_INFO, info, sizeof info - 1),
        OSSL_PARAM_construct_end()};
    bool ok = c && EVP_KDF_derive(c, out, SEAL_KEY_SIZE, parameters) == 1;
    EVP_KDF_CTX_free(c);
    EVP_KDF_free(kdf);
    return ok;
}

/* From what two X25519 keys share, and both public keys. */
static bool agree(EVP_PKEY *own, EVP_PKEY *peer, EVP_PKEY *made, EVP_PKEY *recipient,
                  uint8_t out[SEAL_KEY_SIZE])
{
    uint8_t shared[X25519_SIZE], salt[2 * X25519_SIZE];
    size_t size = sizeof shared, first = X25519_SIZE, second = X25519_SIZE;
    EVP_PKEY_CTX *c = EVP_PKEY_CTX_new(own, NULL);
    bool ok = c && EVP_PKEY_derive_init(c) == 1 && EVP_PKEY_derive_set_peer(c, peer) == 1 &&
              EVP_PKEY_derive(c, shared, &size) == 1 && size == sizeof shared &&
              EVP_PKEY_get_raw_public_key(made, salt, &first) == 1 &&
              EVP_PKEY_get_raw_public_key(recipient, salt + X25519_SIZE, &second) == 1 &&
              derive(shared, sizeof shared, salt, sizeof salt, out);
    EVP_PKEY_CTX_free(c);
    OPENSSL_cleanse(shared, sizeof shared);
    return ok;
}

static bool oaep(EVP_PKEY_CTX *c)
{
    return EVP_PKEY_CTX_set_rsa_padding(c, RSA_PKCS1_OAEP_PADDING) == 1 &&
           EVP_PKEY_CTX_set_rsa_oaep_md(c, EVP_sha256()) == 1;
}

/* A random secret of which the recipient gets the OAEP text. */
static bool make_rsa(const struct crypto_key *k, struct wrapped *w, uint8_t out[SEAL_KEY_SIZE])
{
    EVP_PKEY_CTX *c = EVP_PKEY_CTX_new(k->pkey, NULL);
    w->share_size = sizeof w->share;
    bool ok = c && RAND_priv_bytes(out, SEAL_KEY_SIZE) == 1 && EVP_PKEY_encrypt_init(c) == 1 &&
              oaep(c) && EVP_PKEY_encrypt(c, w->share, &w->share_size, out, SEAL_KEY_SIZE) == 1;
    EVP_PKEY_CTX_free(c);
    return ok;
}

static bool take_rsa(const struct crypto_key *k, const struct wrapped *w,
                     uint8_t out[SEAL_KEY_SIZE])
{
    uint8_t text[ENVELOPE_SHARE_MAX];
    size_t size = sizeof text;
    EVP_PKEY_CTX *c = EVP_PKEY_CTX_new(k->pkey, NULL);
    bool ok = c && EVP_PKEY_decrypt_init(c) == 1 && oaep(c) &&
              EVP_PKEY_decrypt(c, text, &size, w->share, w->share_size) == 1 &&
              size == SEAL_KEY_SIZE;
    if (ok)
        memcpy(out, text, SEAL_KEY_SIZE);
    EVP_PKEY_CTX_free(c);
    OPENSSL_cleanse(text, sizeof text);
    return ok;
}

/* From a secret key or a passphrase, and the salt in w->share. */
static bool salted_key(const struct crypto_key *k, const struct wrapped *w,
                       uint8_t out[SEAL_KEY_SIZE])
{
    if (w->share_size != SALT_SIZE)
        return false;
    if (k->kind == KEY_SECRET)
        return derive(k->bytes, sizeof k->bytes, w->share, w->share_size, out);
    return EVP_PBE_scrypt(k->passphrase, strlen(k->passphrase), w->share, w->share_size, SCRYPT_N,
                          SCRYPT_R, SCRYPT_P, SCRYPT_MEMORY, out, SEAL_KEY_SIZE) == 1;
}

static bool make_x25519(const struct crypto_key *k, struct wrapped *w, uint8_t out[SEAL_KEY_SIZE])
{
    EVP_PKEY *made = EVP_PKEY_Q_keygen(NULL, NULL, "X25519");
    w->share_size = X25519_SIZE;
    bool ok = made && EVP_PKEY_get_raw_public_key(made, w->share, &w->share_size) == 1 &&
              agree(made, k->pkey, made, k->pkey, out);
    EVP_PKEY_free(made);
    return ok;
}

static bool take_x25519(const struct crypto_key *k, const struct wrapped *w,
                        uint8_t out[SEAL_KEY_SIZE])
{
    EVP_PKEY *made = EVP_PKEY_new_raw_public_key(EVP_PKEY_X25519, NULL, w->share, w->share_size);
    bool ok = made && agree(k->pkey, made, made, k->pkey, out);
    EVP_PKEY_free(made);
    return ok;
}

static bool make_wrapping_key(const struct crypto_key *k, struct wrapped *w,
                              uint8_t out[SEAL_KEY_SIZE])
{
    if (k->kind == KEY_X25519)
        return make_x25519(k, w, out);
    if (k->kind == KEY_RSA)
        return make_rsa(k, w, out);
    w->share_size = SALT_SIZE;
    return RAND_bytes(w->share, SALT_SIZE) == 1 && salted_key(k, w, out);
}

static bool take_wrapping_key(const struct crypto_key *k, const struct wrapped *w,
                              uint8_t out[SEAL_KEY_SIZE])
{
    return k->kind == KEY_X25519 ? take_x25519(k, w, out)
           : k->kind == KEY_RSA  ? take_rsa(k, w, out)
                                 : salted_key(k, w, out);
}

/* ---- wrapping ---- */

/* AES-256-GCM of the data key under the wrapping key. close: data to w->key; else back. */
static bool cipher(const uint8_t wrapping[SEAL_KEY_SIZE], struct wrapped *w,
                   const uint8_t identity[SEAL_IDENTITY_SIZE], uint8_t data[SEAL_KEY_SIZE],
                   bool close)
{
    EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();
    int n, id = (int)strlen(w->id);
    uint8_t *tag = w->key + SEAL_KEY_SIZE;
    bool ok =
        c && EVP_CipherInit_ex(c, EVP_aes_256_gcm(), NULL, wrapping, w->nonce, close) == 1 &&
        EVP_CipherUpdate(c, NULL, &n, identity, SEAL_IDENTITY_SIZE) == 1 &&
        EVP_CipherUpdate(c, NULL, &n, (const uint8_t *)w->id, id) == 1 &&
        EVP_CipherUpdate(c, close ? w->key : data, &n, close ? data : w->key, SEAL_KEY_SIZE) == 1 &&
        (close || EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_GCM_SET_TAG, SEAL_TAG_SIZE, tag) == 1) &&
        EVP_CipherFinal_ex(c, tag, &n) == 1 &&
        (!close || EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_GCM_GET_TAG, SEAL_TAG_SIZE, tag) == 1);
    EVP_CIPHER_CTX_free(c);
    return ok;
}

bool envelope_add(struct envelope *e, const struct seal_key *data_key, const struct crypto_key *k,
                  struct gb_error *error)
{
    struct wrapped w = {.kind = k->kind};
    uint8_t wrapping[SEAL_KEY_SIZE], data[SEAL_KEY_SIZE];
    memcpy(data, data_key->key, sizeof data);
    bool ok = make_wrapping_key(k, &w, wrapping) && RAND_bytes(w.nonce, sizeof w.nonce) == 1;
    if (k->kind == KEY_PASSPHRASE) { /* told from others by its salt */
        char hex[17];
        hex_write(w.share, 8, hex);
        snprintf(w.id, sizeof w.id, "%s:%s", key_kind_name(k->kind), hex);
    } else
        snprintf(w.id, sizeof w.id, "%s", k->id);
    ok = ok && cipher(wrapping, &w, data_key->identity, data, true);
    OPENSSL_cleanse(wrapping, sizeof wrapping);
    OPENSSL_cleanse(data, sizeof data);
    if (!ok)
        return error_set(error, GB_internal, "the key of the backup can't be wrapped for %s", w.id);
    envelope_remove(e, w.id);
    if (e->count == ENVELOPE_MAX)
        return error_set(error, GB_bad_key,
                         "the backup has %u recipients; there is no room for another",
                         ENVELOPE_MAX);
    e->wrapped[e->count++] = w;
    return true;
}

bool envelope_remove(struct envelope *e, const char *id)
{
    for (unsigned i = 0; i < e->count; i++)
        if (!strcmp(e->wrapped[i].id, id)) {
            memmove(&e->wrapped[i], &e->wrapped[i + 1], (e->count - i - 1) * sizeof e->wrapped[0]);
            e->count--;
            return true;
        }
    return false;
}

/* Whether a key may fit: a passphrase has no id to tell by. */
static bool may_fit(const struct crypto_key *k, const struct wrapped *w)
{
    return k->kind == w->kind && (k->kind == KEY_PASSPHRASE || !strcmp(k->id, w->id));
}

bool envelope_open(const struct envelope *e, const struct crypto_keys *keys,
                   const uint8_t identity[SEAL_IDENTITY_SIZE], const uint8_t check[SEAL_CHECK_SIZE],
                   struct seal_key *data_key, char opened_with[KEY_ID_MAX], struct gb_error *error)
{
    uint8_t wrapping[SEAL_KEY_SIZE], is[SEAL_CHECK_SIZE];
    const char *unopened = NULL; /* a recipient whose key is here: it must have opened it */
    for (unsigned i = 0; i < keys->count; i++)
        for (unsigned j = 0; j < e->count; j++) {
            struct wrapped w = e->wrapped[j];
            const struct crypto_key *k = &keys->key[i];
            if (!may_fit(k, &w) || !k->secret)
                continue;
            if (k->kind != KEY_PASSPHRASE)
                unopened = e->wrapped[j].id;
            if (!take_wrapping_key(k, &w, wrapping) ||
                !cipher(wrapping, &w, identity, data_key->key, false))
                continue;
            OPENSSL_cleanse(wrapping, sizeof wrapping);
            memcpy(data_key->identity, identity, SEAL_IDENTITY_SIZE);
            seal_key_check(data_key, is);
            if (CRYPTO_memcmp(is, check, sizeof is))
                continue;
            snprintf(opened_with, KEY_ID_MAX, "%s", w.id);
            return true;
        }
    char ids[256];
    envelope_ids(e, ids, sizeof ids);
    OPENSSL_cleanse(data_key->key, sizeof data_key->key);
    OPENSSL_cleanse(wrapping, sizeof wrapping);
    if (!keys->count)
        return error_set(error, GB_key_missing,
                         "the backup is encrypted for %s, and no key was given", ids);
    if (unopened)
        return error_set(error, GB_corrupt_backup,
                         "what is encrypted for %s does not open with its key, and is damaged or "
                         "another backup's",
                         unopened);
    char given[256] = "";
    for (unsigned i = 0; i < keys->count; i++)
        snprintf(given + strlen(given), sizeof given - strlen(given), "%s%s", i ? ", " : "",
                 keys->key[i].id[0] ? keys->key[i].id : "a passphrase");
    return error_set(error, GB_key_missing, "the backup is encrypted for %s; %s does not open it",
                     ids, given);
}

void envelope_ids(const struct envelope *e, char *out, size_t size)
{
    size_t at = 0;
    out[0] = '\0';
    for (unsigned i = 0; i < e->count && at < size; i++)
        at += (size_t)snprintf(out + at, size - at, "%s%s", i ? ", " : "", e->wrapped[i].id);
}

/* ---- text ---- */

static json_t *hex_json(const uint8_t *data, size_t size)
{
    char text[2 * ENVELOPE_SHARE_MAX + 1];
    hex_write(data, size, text);
    return json_string(text);
}

char *envelope_text(const struct envelope *e)
{
    json_t *list = json_array();
    for (unsigned i = 0; i < e->count; i++) {
        const struct wrapped *w = &e->wrapped[i];
        json_array_append_new(list, json_pack("{s:s, s:o, s:o, s:o}", "id", w->id, "share",
                                              hex_json(w->share, w->share_size), "nonce",
                                              hex_json(w->nonce, sizeof w->nonce), "key",
                                              hex_json(w->key, sizeof w->key)));
    }
    json_t *root =
        json_pack("{s:i, s:s, s:o}", "schema", SCHEMA, "cipher", "AES-256-GCM", "keys", list);
    char *text = root ? json_dumps(root, JSON_INDENT(1)) : NULL;
    json_decref(root);
    return text;
}

static bool kind_of(const char *id, enum key_kind *kind)
{
    for (int k = KEY_X25519; k <= KEY_PASSPHRASE; k++) {
        const char *name = key_kind_name((enum key_kind)k);
        size_t n = strlen(name);
        if (!strncmp(id, name, n) && id[n] == ':' &&
            strspn(id + n + 1, "0123456789abcdef") == ID_DIGITS && !id[n + 1 + ID_DIGITS]) {
            *kind = (enum key_kind)k;
            return true;
        }
    }
    return false;
}

static bool parse_one(const json_t *o, struct wrapped *w)
{
    const char *id = json_string_value(json_object_get(o, "id")),
               *share = json_string_value(json_object_get(o, "share"));
    if (!id || !share || strlen(id) >= sizeof w->id || !kind_of(id, &w->kind) ||
        strlen(share) > 2 * sizeof w->share)
        return false;
    snprintf(w->id, sizeof w->id, "%s", id);
    w->share_size = strlen(share) / 2;
    return hex_read(share, w->share, w->share_size) &&
           hex_read(json_string_value(json_object_get(o, "nonce")), w->nonce, sizeof w->nonce) &&
           hex_read(json_string_value(json_object_get(o, "key")), w->key, sizeof w->key);
}

bool envelope_parse(struct envelope *e, const char *text, size_t size, const char *name,
                    struct gb_error *error)
{
    json_error_t why;
    json_t *root = json_loadb(text, size, JSON_REJECT_DUPLICATES, &why),
           *list = json_object_get(root, "keys");
    memset(e, 0, sizeof *e);
    bool ok = json_integer_value(json_object_get(root, "schema")) == SCHEMA &&
              json_array_size(list) && json_array_size(list) <= ENVELOPE_MAX;
    for (size_t i = 0; ok && i < json_array_size(list); i++) {
        ok = parse_one(json_array_get(list, i), &e->wrapped[e->count]);
        for (unsigned k = 0; ok && k < e->count; k++)
            ok = strcmp(e->wrapped[k].id, e->wrapped[e->count].id) != 0;
        e->count++;
    }
    json_decref(root);
    return ok || error_set(error, GB_corrupt_backup, "%s is not a list of wrapped keys", name);
}
