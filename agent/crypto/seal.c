/* AES-256-GCM over what is stored; see seal.h. */
#include "agent/crypto/seal.h"
#include "common/bytes.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <stdlib.h>
#include <string.h>

#define NONCE_SIZE 12u
#define PIECE      (1 << 30)
#define CHECK_TEXT "galera-backup key check"

struct seal {
    EVP_CIPHER_CTX *close, *open; /* each has the expanded key; only the nonce changes */
    uint8_t identity[SEAL_IDENTITY_SIZE];
};

bool seal_key_make(struct seal_key *key, struct gb_error *error)
{
    return (RAND_priv_bytes(key->key, sizeof key->key) == 1 &&
            RAND_bytes(key->identity, sizeof key->identity) == 1) ||
           error_set(error, GB_internal, "no random numbers for a key");
}

void seal_key_check(const struct seal_key *key, uint8_t check[SEAL_CHECK_SIZE])
{
    uint8_t text[sizeof CHECK_TEXT - 1 + SEAL_IDENTITY_SIZE];
    unsigned size = SEAL_CHECK_SIZE;
    memcpy(text, CHECK_TEXT, sizeof CHECK_TEXT - 1);
    memcpy(text + sizeof CHECK_TEXT - 1, key->identity, SEAL_IDENTITY_SIZE);
    memset(check, 0, SEAL_CHECK_SIZE);
    HMAC(EVP_sha256(), key->key, sizeof key->key, text, sizeof text, check, &size);
}

struct seal *seal_new(const struct seal_key *key)
{
    struct seal *s = calloc(1, sizeof *s);
    if (s && (s->close = EVP_CIPHER_CTX_new()) && (s->open = EVP_CIPHER_CTX_new()) &&
        EVP_EncryptInit_ex(s->close, EVP_aes_256_gcm(), NULL, key->key, NULL) == 1 &&
        EVP_DecryptInit_ex(s->open, EVP_aes_256_gcm(), NULL, key->key, NULL) == 1) {
        memcpy(s->identity, key->identity, sizeof s->identity);
        return s;
    }
    seal_free(s);
    return NULL;
}

void seal_free(struct seal *s)
{
    if (!s)
        return;
    EVP_CIPHER_CTX_free(s->close); /* wipes the expanded key */
    EVP_CIPHER_CTX_free(s->open);
    free(s);
}

static void make_nonce(struct seal_place place, uint8_t nonce[NONCE_SIZE])
{
    struct bytes_writer w = bytes_writer(nonce, NONCE_SIZE);
    bytes_put_u32(&w, (uint32_t)place.what);
    bytes_put_u32(&w, place.segment);
    bytes_put_u32(&w, place.number);
}

/* EVP's lengths are int; an index may be longer. */
static bool update(EVP_CIPHER_CTX *c, const uint8_t *data, size_t size, uint8_t *out)
{
    while (size) {
        int n, piece = size < PIECE ? (int)size : PIECE;
        if (EVP_CipherUpdate(c, out, &n, data, piece) != 1)
            return false;
        data += piece;
        out += piece;
        size -= (size_t)piece;
    }
    return true;
}

bool seal_close(struct seal *s, struct seal_place place, const void *header, size_t header_size,
                uint8_t *data, size_t size, uint8_t tag[SEAL_TAG_SIZE], struct gb_error *error)
{
    uint8_t nonce[NONCE_SIZE], rest[EVP_MAX_BLOCK_LENGTH];
    int n;
    make_nonce(place, nonce);
    return (EVP_EncryptInit_ex(s->close, NULL, NULL, NULL, nonce) == 1 &&
            EVP_EncryptUpdate(s->close, NULL, &n, s->identity, (int)sizeof s->identity) == 1 &&
            EVP_EncryptUpdate(s->close, NULL, &n, header, (int)header_size) == 1 &&
            update(s->close, data, size, data) && EVP_EncryptFinal_ex(s->close, rest, &n) == 1 &&
            EVP_CIPHER_CTX_ctrl(s->close, EVP_CTRL_GCM_GET_TAG, SEAL_TAG_SIZE, tag) == 1) ||
           error_set(error, GB_internal, "%zu bytes can't be encrypted", size);
}

bool seal_open(struct seal *s, struct seal_place place, const void *header, size_t header_size,
               const uint8_t *data, size_t size, const uint8_t tag[SEAL_TAG_SIZE], uint8_t *out,
               struct gb_error *error)
{
    uint8_t nonce[NONCE_SIZE], expected[SEAL_TAG_SIZE], rest[EVP_MAX_BLOCK_LENGTH];
    int n;
    make_nonce(place, nonce);
    memcpy(expected, tag, sizeof expected);
    return (EVP_DecryptInit_ex(s->open, NULL, NULL, NULL, nonce) == 1 &&
            EVP_DecryptUpdate(s->open, NULL, &n, s->identity, (int)sizeof s->identity) == 1 &&
            EVP_DecryptUpdate(s->open, NULL, &n, header, (int)header_size) == 1 &&
            update(s->open, data, size, out) &&
            EVP_CIPHER_CTX_ctrl(s->open, EVP_CTRL_GCM_SET_TAG, SEAL_TAG_SIZE, expected) == 1 &&
            EVP_DecryptFinal_ex(s->open, rest, &n) == 1) ||
           error_set(error, GB_corrupt_backup,
                     "it has been changed, or belongs elsewhere: its seal does not fit");
}
