/*
  keys.json (agent/crypto/envelope.h). What is read is written the same, and a secret key is tried
  on it.
*/
#include "agent/crypto/envelope.h"
#include "tests/fuzz/fuzz.h"

#include <stdlib.h>
#include <string.h>

int fuzz_input(const uint8_t *data, size_t size)
{
    static struct envelope e, again;
    struct gb_error error = {0};
    if (!envelope_parse(&e, (const char *)data, size, "keys.json", &error)) {
        REQUIRE(error.code == GB_corrupt_backup);
        return 0;
    }
    REQUIRE(e.count && e.count <= ENVELOPE_MAX);
    char *text = envelope_text(&e), ids[256], with[KEY_ID_MAX];
    REQUIRE(text && envelope_parse(&again, text, strlen(text), "keys.json", &error) &&
            again.count == e.count);
    free(text);
    envelope_ids(&e, ids, sizeof ids);
    struct crypto_keys keys = {.count = 1};
    keys.key[0].kind = KEY_SECRET;
    keys.key[0].secret = true;
    snprintf(keys.key[0].id, KEY_ID_MAX, "%s", e.wrapped[0].id);
    struct seal_key out;
    const uint8_t identity[SEAL_IDENTITY_SIZE] = {0}, check[SEAL_CHECK_SIZE] = {0};
    REQUIRE(!envelope_open(&e, &keys, identity, check, &out, with, &error));
    REQUIRE(envelope_remove(&e, e.wrapped[0].id));
    return 0;
}
