/*
  A key from a file: who a backup is encrypted for, who opens it, and who signs it.

  Files are PEM: X25519 and RSA (of 2048 bits or more) public keys for recipients, their private
  keys to open, Ed25519 keys to sign and to check a signature, all as openssl writes them; and a
  secret key of 32 bytes of our own ("GALERA-BACKUP SECRET KEY"), which both encrypts and opens. A
  passphrase is the first line of a file. Files with a secret in them must not be readable by
  everyone.

  A key's id ("x25519:9c0f2e57d1a4b386") is its kind and the first 8 bytes of the SHA-256 of the
  public key (DER) or of an HMAC with the secret one; a passphrase has none before it is used. Once
  a secret is loaded the process writes no core file.
*/
#ifndef GB_AGENT_CRYPTO_KEY_H
#define GB_AGENT_CRYPTO_KEY_H

#include "common/error.h"

#include <openssl/evp.h>
#include <stdint.h>
#include <stdio.h>

#define KEY_ID_MAX      32u
#define KEY_SECRET_SIZE 32u
#define KEY_SPECS_MAX   8u /* words in a setting that names several */

enum key_kind { KEY_X25519, KEY_RSA, KEY_SECRET, KEY_PASSPHRASE, KEY_ED25519 };

struct crypto_key {
    enum key_kind kind;
    bool secret;         /* it opens or signs; else it is only a public key */
    char id[KEY_ID_MAX]; /* "" of a passphrase */
    EVP_PKEY *pkey;      /* of X25519, RSA and Ed25519 */
    char *passphrase;
    uint8_t bytes[KEY_SECRET_SIZE]; /* of KEY_SECRET */
};

struct crypto_keys { /* what one setting names; all zero: none */
    struct crypto_key key[KEY_SPECS_MAX];
    unsigned count;
};

/* The word that an id and a file begins with: "x25519". */
const char *key_kind_name(enum key_kind kind);

/* Adds the keys of a setting: "/PATH", "file:/PATH" or "passphrase:/PATH", several with commas
   between. setting: for messages. Errors: GB_bad_key, naming the file. */
bool keys_load(struct crypto_keys *keys, const char *setting, const char *specs,
               struct gb_error *error);
/* Wipes and frees. */
void keys_free(struct crypto_keys *keys);

/* Whether all of them are such as a recipient, an opener, a signer or a trusted signer can be.
   Errors: GB_bad_key: says which and what is wanted; a private key among recipients too, for then
   the host that writes could read. */
enum key_use { KEY_FOR_RECIPIENT, KEY_TO_OPEN, KEY_TO_SIGN, KEY_TO_TRUST };
bool keys_check(const struct crypto_keys *keys, const char *setting, enum key_use use,
                struct gb_error *error);

/* Makes a key of that kind (X25519, RSA, SECRET, ED25519) and its files: path, mode 0600, and
   path.pub, mode 0644, with the public key of a pair. Neither may exist. id is set. Errors:
   GB_bad_key, GB_internal. */
bool key_generate(enum key_kind kind, const char *path, char id[KEY_ID_MAX],
                  struct gb_error *error);

/* Ed25519 over a text. The key is KEY_TO_SIGN. Errors: GB_internal. */
#define KEY_SIGNATURE_SIZE 64u
bool key_sign(const struct crypto_key *key, const void *text, size_t size,
              uint8_t signature[KEY_SIGNATURE_SIZE], struct gb_error *error);
bool key_signed(const struct crypto_key *key, const void *text, size_t size,
                const uint8_t signature[KEY_SIGNATURE_SIZE]);

#endif
