/*
  Sealing: what is stored of one backup, encrypted and authenticated with that backup's own key.

  AES-256-GCM. Each backup has a random data key and a random identity (the manifest's nonce), so a
  nonce only has to be unique within a backup: it is made of what is sealed (a frame by segment and
  number, the index once). The identity and the caller's header are the associated data, so nothing
  opens in another place or in another backup. OpenSSL does all of it.
*/
#ifndef GB_AGENT_CRYPTO_SEAL_H
#define GB_AGENT_CRYPTO_SEAL_H

#include "common/error.h"

#include <stdint.h>

#define SEAL_KEY_SIZE      32u
#define SEAL_IDENTITY_SIZE 16u
#define SEAL_TAG_SIZE      16u
#define SEAL_CHECK_SIZE    32u

struct seal_key { /* of one backup */
    uint8_t key[SEAL_KEY_SIZE];
    uint8_t identity[SEAL_IDENTITY_SIZE];
};

enum seal_what { SEAL_FRAME = 0, SEAL_INDEX = 1 };

struct seal_place { /* what the nonce is made of: never the same twice with one key */
    enum seal_what what;
    uint32_t segment, number; /* of a frame; else 0 */
};

/* A new random key and identity. Errors: GB_internal (no random numbers). */
bool seal_key_make(struct seal_key *key, struct gb_error *error);
/* What a manifest says of the key, so that another one is told from it: HMAC-SHA-256. It betrays
 * nothing of the key. */
void seal_key_check(const struct seal_key *key, uint8_t check[SEAL_CHECK_SIZE]);

/* One thread's means to seal and open. Copies the key. */
struct seal;
struct seal *seal_new(const struct seal_key *key); /* NULL: no memory */
void seal_free(struct seal *seal);                 /* NULL is allowed */

/* Encrypts size bytes where they stand; tag is set. Errors: GB_internal. */
bool seal_close(struct seal *seal, struct seal_place place, const void *header, size_t header_size,
                uint8_t *data, size_t size, uint8_t tag[SEAL_TAG_SIZE], struct gb_error *error);
/* Decrypts size bytes from data to out. What is in out is worth nothing unless it answers true.
 * Errors: GB_corrupt_backup. */
bool seal_open(struct seal *seal, struct seal_place place, const void *header, size_t header_size,
               const uint8_t *data, size_t size, const uint8_t tag[SEAL_TAG_SIZE], uint8_t *out,
               struct gb_error *error);

#endif
