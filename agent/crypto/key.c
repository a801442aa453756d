/* Keys from files; see key.h. */
#include "agent/crypto/key.h"
#include "agent/hex.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <openssl/hmac.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_SIZE_MAX    65536
#define RSA_BITS_LEAST   2048
#define RSA_BITS_MOST    8192 /* what an envelope has room for */
#define RSA_BITS         3072
#define SECRET_NAME      "GALERA-BACKUP SECRET KEY"
#define SECRET_ID_TEXT   "galera-backup key id"
#define ID_BYTES         8u
#define PASSPHRASE_LEAST 8u

const char *key_kind_name(enum key_kind kind)
{
    static const char *const names[] = {[KEY_X25519] = "x25519",
                                        [KEY_RSA] = "rsa",
                                        [KEY_SECRET] = "secret",
                                        [KEY_PASSPHRASE] = "passphrase",
                                        [KEY_ED25519] = "ed25519"};
    return names[kind];
}

static void key_free(struct crypto_key *k)
{
    EVP_PKEY_free(k->pkey);
    if (k->passphrase)
        OPENSSL_clear_free(k->passphrase, strlen(k->passphrase));
    OPENSSL_cleanse(k, sizeof *k);
}

void keys_free(struct crypto_keys *keys)
{
    for (unsigned i = 0; i < keys->count; i++)
        key_free(&keys->key[i]);
    keys->count = 0;
}

static void set_id(struct crypto_key *k, const uint8_t *digest)
{
    char hex[2 * ID_BYTES + 1];
    hex_write(digest, ID_BYTES, hex);
    snprintf(k->id, sizeof k->id, "%s:%s", key_kind_name(k->kind), hex);
}

static bool identify(struct crypto_key *k)
{
    uint8_t digest[EVP_MAX_MD_SIZE], *der = NULL;
    unsigned length = 0;
    if (k->kind == KEY_SECRET) {
        if (!HMAC(EVP_sha256(), k->bytes, (int)sizeof k->bytes, (const uint8_t *)SECRET_ID_TEXT,
                  sizeof SECRET_ID_TEXT - 1, digest, &length))
            return false;
    } else {
        int size = i2d_PUBKEY(k->pkey, &der);
        bool ok =
            size > 0 && EVP_Digest(der, (size_t)size, digest, &length, EVP_sha256(), NULL) == 1;
        OPENSSL_free(der);
        if (!ok)
            return false;
    }
    set_id(k, digest);
    return true;
}

/* ---- reading ---- */

/* The whole file; *mode is set. NULL: error set. Freed with OPENSSL_clear_free(, FILE_SIZE_MAX +
 * 1). */
static char *read_file(const char *path, size_t *size, mode_t *mode, struct gb_error *error)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    struct stat st;
    char *text = fd < 0 ? NULL : OPENSSL_zalloc(FILE_SIZE_MAX + 1);
    ssize_t n = -1;
    errno = fd < 0 ? errno : 0;
    if (text && !fstat(fd, &st) && S_ISREG(st.st_mode))
        n = read(fd, text, FILE_SIZE_MAX + 1);
    int failed = errno;
    if (fd >= 0)
        close(fd);
    if (n >= 0 && n <= FILE_SIZE_MAX) {
        *size = (size_t)n;
        *mode = st.st_mode;
        return text;
    }
    if (failed)
        error_set_errno(error, GB_bad_key, failed, "the key file %s can't be read", path);
    else
        error_set(error, GB_bad_key, "the key file %s is no file of at most %d bytes", path,
                  FILE_SIZE_MAX);
    if (text)
        OPENSSL_clear_free(text, FILE_SIZE_MAX + 1);
    return NULL;
}

static bool take_pkey(struct crypto_key *k, EVP_PKEY *pkey, bool secret, const char *path,
                      struct gb_error *error)
{
    k->pkey = pkey;
    k->secret = secret;
    switch (pkey ? EVP_PKEY_get_base_id(pkey) : EVP_PKEY_NONE) {
    case EVP_PKEY_X25519:
        k->kind = KEY_X25519;
        return true;
    case EVP_PKEY_ED25519:
        k->kind = KEY_ED25519;
        return true;
    case EVP_PKEY_RSA:
        k->kind = KEY_RSA;
        return (EVP_PKEY_get_bits(pkey) >= RSA_BITS_LEAST &&
                EVP_PKEY_get_bits(pkey) <= RSA_BITS_MOST) ||
               error_set(error, GB_bad_key, "the key of %s has %d bits; from %d to %d are taken",
                         path, EVP_PKEY_get_bits(pkey), RSA_BITS_LEAST, RSA_BITS_MOST);
    default:
        return error_set(error, GB_bad_key, "the key of %s is neither X25519 nor RSA nor Ed25519",
                         path);
    }
}

/* The first PEM block of the text. */
static bool parse_pem(struct crypto_key *k, const char *text, size_t size, const char *path,
                      struct gb_error *error)
{
    BIO *bio = BIO_new_mem_buf(text, (int)size);
    char *name = NULL, *header = NULL;
    uint8_t *data = NULL;
    long length = 0;
    bool ok = false;
    if (!bio || PEM_read_bio(bio, &name, &header, &data, &length) != 1) {
        error_set(error, GB_bad_key, "the key file %s has no key in PEM form", path);
        error_hint(error,
                   "galera-backup key generate makes one; a passphrase is named as passphrase:%s",
                   path);
    } else if (!strcmp(name, SECRET_NAME)) {
        k->kind = KEY_SECRET;
        k->secret = true;
        ok = length == KEY_SECRET_SIZE ||
             error_set(error, GB_bad_key, "the secret key of %s has not %u bytes", path,
                       KEY_SECRET_SIZE);
        if (ok)
            memcpy(k->bytes, data, KEY_SECRET_SIZE);
    } else {
        const uint8_t *at = data;
        if (!strcmp(name, PEM_STRING_PUBLIC))
            ok = take_pkey(k, d2i_PUBKEY(NULL, &at, length), false, path, error);
        else if ((!strcmp(name, PEM_STRING_PKCS8INF) || !strcmp(name, PEM_STRING_RSA)) &&
                 !header[0])
            ok = take_pkey(k, d2i_AutoPrivateKey(NULL, &at, length), true, path, error);
        else
            error_set(error, GB_bad_key,
                      "the key file %s holds \"%s\"%s: not a public or private key as PEM, "
                      "unprotected by a password",
                      path, name, header[0] ? ", protected by a password" : "");
    }
    BIO_free(bio);
    OPENSSL_free(name);
    OPENSSL_free(header);
    if (data)
        OPENSSL_clear_free(data, (size_t)length);
    return ok && (identify(k) || error_set(error, GB_internal, "no id for the key of %s", path));
}

static bool parse_passphrase(struct crypto_key *k, const char *text, const char *path,
                             struct gb_error *error)
{
    size_t n = strcspn(text, "\r\n");
    k->kind = KEY_PASSPHRASE;
    k->secret = true;
    if (n < PASSPHRASE_LEAST)
        return error_set(error, GB_bad_key,
                         "the first line of %s has %zu bytes: a passphrase has at least %u", path,
                         n, PASSPHRASE_LEAST);
    k->passphrase = OPENSSL_zalloc(n + 1);
    if (!k->passphrase)
        return error_set(error, GB_internal, "no memory for a key");
    memcpy(k->passphrase, text, n);
    return true;
}

static bool load_one(struct crypto_key *k, const char *path, bool passphrase,
                     struct gb_error *error)
{
    size_t size;
    mode_t mode;
    memset(k, 0, sizeof *k);
    prctl(PR_SET_DUMPABLE, 0); /* what is in memory from here on stands in no core file */
    char *text = read_file(path, &size, &mode, error);
    if (!text)
        return false;
    bool ok =
        passphrase ? parse_passphrase(k, text, path, error) : parse_pem(k, text, size, path, error);
    OPENSSL_clear_free(text, FILE_SIZE_MAX + 1);
    if (ok && k->secret && (mode & (S_IRWXO | S_IWGRP))) {
        ok = error_set(error, GB_bad_key,
                       "the key file %s may be read by everyone, or written by its group", path);
        error_hint(error, "chmod 0600 %s", path);
    }
    if (!ok)
        key_free(k);
    return ok;
}

bool keys_load(struct crypto_keys *keys, const char *setting, const char *specs,
               struct gb_error *error)
{
    char *words = strdup(specs), *rest = words;
    bool ok = words || error_set(error, GB_internal, "no memory");
    for (char *word; ok && (word = strsep(&rest, ","));) {
        word += strspn(word, " \t");
        word[strcspn(word, " \t")] = '\0';
        bool passphrase = !strncmp(word, "passphrase:", 11);
        const char *path = passphrase ? word + 11 : !strncmp(word, "file:", 5) ? word + 5 : word;
        if (keys->count == KEY_SPECS_MAX)
            ok = error_set(error, GB_bad_key, "%s names more than %u keys", setting, KEY_SPECS_MAX);
        else if ((ok = load_one(&keys->key[keys->count], path, passphrase, error)))
            keys->count++;
    }
    free(words);
    if (!ok)
        keys_free(keys);
    return ok;
}

bool keys_check(const struct crypto_keys *keys, const char *setting, enum key_use use,
                struct gb_error *error)
{
    for (unsigned i = 0; i < keys->count; i++) {
        const struct crypto_key *k = &keys->key[i];
        bool signs = k->kind == KEY_ED25519, pair = k->pkey != NULL;
        const char *name = k->id[0] ? k->id : "passphrase";
        if (signs != (use == KEY_TO_SIGN || use == KEY_TO_TRUST))
            return error_set(error, GB_bad_key, "%s: %s is a key %s", setting, name,
                             signs ? "to sign with (Ed25519), not to encrypt"
                                   : "to encrypt with; to sign an Ed25519 key is wanted");
        if (use == KEY_FOR_RECIPIENT && pair && k->secret) {
            error_set(
                error, GB_bad_key,
                "%s: the file of %s holds the private key: whoever writes backups could read them",
                setting, name);
            error_hint(
                error,
                "keep the private key elsewhere and name the file of the public one (FILE.pub)");
            return false;
        }
        if ((use == KEY_TO_OPEN || use == KEY_TO_SIGN) && !k->secret)
            return error_set(error, GB_bad_key, "%s: the file of %s holds only the public key",
                             setting, name);
    }
    return true;
}

/* ---- making ---- */

static bool write_new(const char *path, mode_t mode, const char *text, size_t size,
                      struct gb_error *error)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);
    bool ok = fd >= 0 && !fchmod(fd, mode) && write(fd, text, size) == (ssize_t)size && !fsync(fd);
    if (!ok)
        error_set_errno(error, GB_bad_key, errno, "the key file %s can't be made", path);
    if (!ok && fd >= 0)
        unlink(path);
    if (fd >= 0)
        close(fd);
    return ok;
}

static bool write_bio(BIO *bio, const char *path, mode_t mode, struct gb_error *error)
{
    char *text;
    long size = BIO_get_mem_data(bio, &text);
    return size > 0 ? write_new(path, mode, text, (size_t)size, error)
                    : error_set(error, GB_internal, "no memory for a key");
}

static EVP_PKEY *make_pair(enum key_kind kind)
{
    return kind == KEY_RSA       ? EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)RSA_BITS)
           : kind == KEY_ED25519 ? EVP_PKEY_Q_keygen(NULL, NULL, "ED25519")
                                 : EVP_PKEY_Q_keygen(NULL, NULL, "X25519");
}

bool key_generate(enum key_kind kind, const char *path, char id[KEY_ID_MAX], struct gb_error *error)
{
    struct crypto_key k = {.kind = kind, .secret = true};
    char public_path[4096];
    BIO *own = BIO_new(BIO_s_secmem()), *public = BIO_new(BIO_s_mem());
    bool pair = kind != KEY_SECRET, made;
    prctl(PR_SET_DUMPABLE, 0);
    if (pair)
        made = own && public && (k.pkey = make_pair(kind)) &&
               PEM_write_bio_PKCS8PrivateKey(own, k.pkey, NULL, NULL, 0, NULL, NULL) == 1 &&
               PEM_write_bio_PUBKEY(public, k.pkey) == 1;
    else
        made = own && RAND_priv_bytes(k.bytes, sizeof k.bytes) == 1 &&
               PEM_write_bio(own, SECRET_NAME, "", k.bytes, sizeof k.bytes) > 0;
    bool ok =
        (made && identify(&k)) || error_set(error, GB_internal, "no random numbers for a key");
    ok = ok &&
         ((size_t)snprintf(public_path, sizeof public_path, "%s.pub", path) < sizeof public_path ||
          error_set(error, GB_bad_key, "the name of the key file is too long"));
    if (ok && pair && !access(public_path, F_OK))
        ok = error_set_errno(error, GB_bad_key, EEXIST, "the key file %s can't be made",
                             public_path);
    ok = ok && write_bio(own, path, 0600, error);
    if (ok && pair && !write_bio(public, public_path, 0644, error)) {
        unlink(path);
        ok = false;
    }
    snprintf(id, KEY_ID_MAX, "%s", k.id);
    BIO_free(own);
    BIO_free(public);
    key_free(&k);
    return ok;
}

/* ---- signatures ---- */

bool key_sign(const struct crypto_key *k, const void *text, size_t size,
              uint8_t signature[KEY_SIGNATURE_SIZE], struct gb_error *error)
{
    EVP_MD_CTX *c = EVP_MD_CTX_new();
    size_t length = KEY_SIGNATURE_SIZE;
    bool ok = c && EVP_DigestSignInit(c, NULL, NULL, NULL, k->pkey) == 1 &&
              EVP_DigestSign(c, signature, &length, text, size) == 1 &&
              length == KEY_SIGNATURE_SIZE;
    EVP_MD_CTX_free(c);
    return ok || error_set(error, GB_internal, "%s does not sign", k->id);
}

bool key_signed(const struct crypto_key *k, const void *text, size_t size,
                const uint8_t signature[KEY_SIGNATURE_SIZE])
{
    EVP_MD_CTX *c = EVP_MD_CTX_new();
    bool ok = c && EVP_DigestVerifyInit(c, NULL, NULL, NULL, k->pkey) == 1 &&
              EVP_DigestVerify(c, signature, KEY_SIGNATURE_SIZE, text, size) == 1;
    EVP_MD_CTX_free(c);
    return ok;
}
