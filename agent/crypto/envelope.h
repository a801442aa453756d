/*
  The envelope: the data key of one backup, wrapped for each of its recipients; the text of the
  object keys.json.

  For each recipient a key of its own is agreed (X25519 with a pair made for the purpose, RSA-OAEP,
  HKDF of a secret key, scrypt of a passphrase) and wraps the data key with AES-256-GCM; the
  backup's identity and the recipient's id are associated data. Recipients come and go without a
  byte of the data changing. docs/format.md has the keys of the text.
*/
#ifndef GB_AGENT_CRYPTO_ENVELOPE_H
#define GB_AGENT_CRYPTO_ENVELOPE_H

#include "agent/crypto/key.h"
#include "agent/crypto/seal.h"

#define ENVELOPE_MAX        32u /* recipients */
#define ENVELOPE_SIZE_MAX   131072u
#define ENVELOPE_SHARE_MAX  1024u /* bytes: RSA of 8192 bits */
#define ENVELOPE_NONCE_SIZE 12u

struct wrapped { /* for one recipient */
    enum key_kind kind;
    char id[KEY_ID_MAX];
    uint8_t share[ENVELOPE_SHARE_MAX]; /* the public key made for it, the OAEP text, or the salt */
    size_t share_size;
    uint8_t nonce[ENVELOPE_NONCE_SIZE];
    uint8_t key[SEAL_KEY_SIZE + SEAL_TAG_SIZE];
};

struct envelope {
    struct wrapped wrapped[ENVELOPE_MAX];
    unsigned count;
};

/* Adds a recipient. One of the same id is replaced. Errors: GB_bad_key (no room), GB_internal. */
bool envelope_add(struct envelope *envelope, const struct seal_key *data_key,
                  const struct crypto_key *recipient, struct gb_error *error);
/* False if there is no such. */
bool envelope_remove(struct envelope *envelope, const char *id);
/* Tries the keys. check: what the manifest says of the data key. opened_with gets the recipient's
   id. Errors: GB_key_missing, naming the ids that open it; GB_corrupt_backup where a recipient's
   own key does not. */
bool envelope_open(const struct envelope *envelope, const struct crypto_keys *keys,
                   const uint8_t identity[SEAL_IDENTITY_SIZE], const uint8_t check[SEAL_CHECK_SIZE],
                   struct seal_key *data_key, char opened_with[KEY_ID_MAX], struct gb_error *error);
/* The ids, with ", " between. */
void envelope_ids(const struct envelope *envelope, char *out, size_t size);

/* The text of keys.json, malloc'ed; NULL: no memory. */
char *envelope_text(const struct envelope *envelope);
/* name: for messages. Errors: GB_corrupt_backup. */
bool envelope_parse(struct envelope *envelope, const char *text, size_t size, const char *name,
                    struct gb_error *error);

#endif
