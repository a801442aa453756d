/* agent/crypto: seals, keys and envelopes. */
#include "agent/crypto/envelope.h"
#include "agent/hex.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char directory[64];

static int set_up(void **state)
{
    (void)state;
    snprintf(directory, sizeof directory, "/tmp/gb-test-crypto-XXXXXX");
    return mkdtemp(directory) ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    char command[128];
    snprintf(command, sizeof command, "rm -rf %s", directory);
    return system(command);
}

static const char *path_of(const char *name)
{
    static char path[8][128];
    static unsigned at;
    char *p = path[at++ % 8];
    snprintf(p, sizeof path[0], "%s/%s", directory, name);
    return p;
}

static void write_file(const char *path, const char *text, mode_t mode)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    fchmod(fd, mode);
    close(fd);
}

/* In format.md's words: nonce = u32 what, u32 segment, u32 number; associated data = identity,
 * header. */
static void a_seal_is_aes_256_gcm_as_documented(void **state)
{
    (void)state;
    struct gb_error error = {0};
    struct seal_key key;
    for (unsigned i = 0; i < sizeof key.key; i++)
        key.key[i] = (uint8_t)i;
    for (unsigned i = 0; i < sizeof key.identity; i++)
        key.identity[i] = (uint8_t)(0xa0 + i);
    uint8_t data[5] = "hello", header[3] = {1, 2, 3}, tag[SEAL_TAG_SIZE], expected[5],
            expected_tag[SEAL_TAG_SIZE];
    const uint8_t nonce[12] = {0, 0, 0, 0, 0, 0, 0, 7, 0, 0, 1, 0};
    EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();
    int n;
    assert_int_equal(EVP_EncryptInit_ex(c, EVP_aes_256_gcm(), NULL, key.key, nonce), 1);
    assert_int_equal(EVP_EncryptUpdate(c, NULL, &n, key.identity, sizeof key.identity), 1);
    assert_int_equal(EVP_EncryptUpdate(c, NULL, &n, header, sizeof header), 1);
    assert_int_equal(EVP_EncryptUpdate(c, expected, &n, data, sizeof data), 1);
    assert_int_equal(EVP_EncryptFinal_ex(c, expected + n, &n), 1);
    assert_int_equal(
        EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_GCM_GET_TAG, sizeof expected_tag, expected_tag), 1);
    EVP_CIPHER_CTX_free(c);
    struct seal *seal = seal_new(&key);
    assert_true(seal_close(seal, (struct seal_place){SEAL_FRAME, 7, 256}, header, sizeof header,
                           data, sizeof data, tag, &error));
    assert_memory_equal(data, expected, sizeof data);
    assert_memory_equal(tag, expected_tag, sizeof tag);
    seal_free(seal);
}

static void what_is_sealed_opens_in_its_place_only(void **state)
{
    (void)state;
    struct gb_error error = {0};
    struct seal_key key, other;
    assert_true(seal_key_make(&key, &error) && seal_key_make(&other, &error));
    assert_memory_not_equal(key.key, other.key, sizeof key.key);
    struct seal *seal = seal_new(&key), *stranger = seal_new(&other);
    uint8_t data[1000], out[1000], tag[SEAL_TAG_SIZE], header[8] = "header";
    memset(data, 'x', sizeof data);
    struct seal_place place = {SEAL_FRAME, 3, 4};
    assert_true(seal_close(seal, place, header, sizeof header, data, sizeof data, tag, &error));
    assert_true(seal_open(seal, place, header, sizeof header, data, sizeof data, tag, out, &error));
    for (size_t i = 0; i < sizeof out; i++)
        assert_int_equal(out[i], 'x');
    const struct seal_place wrong[] = {{SEAL_INDEX, 3, 4}, {SEAL_FRAME, 4, 4}, {SEAL_FRAME, 3, 5}};
    for (size_t i = 0; i < 3; i++)
        assert_false(
            seal_open(seal, wrong[i], header, sizeof header, data, sizeof data, tag, out, &error));
    assert_int_equal(error.code, GB_corrupt_backup);
    assert_false(
        seal_open(stranger, place, header, sizeof header, data, sizeof data, tag, out, &error));
    assert_false(
        seal_open(seal, place, header, sizeof header - 1, data, sizeof data, tag, out, &error));
    struct seal_key renamed = key; /* the same key, another backup */
    renamed.identity[0] ^= 1;
    struct seal *moved = seal_new(&renamed);
    assert_false(
        seal_open(moved, place, header, sizeof header, data, sizeof data, tag, out, &error));
    for (size_t i = 0; i < sizeof data; i += 37) {
        data[i] ^= 1;
        assert_false(
            seal_open(seal, place, header, sizeof header, data, sizeof data, tag, out, &error));
        data[i] ^= 1;
    }
    assert_true(seal_open(seal, place, header, sizeof header, data, sizeof data, tag, out, &error));
    seal_free(seal);
    seal_free(stranger);
    seal_free(moved);
}

static void load(struct crypto_keys *keys, const char *spec, enum key_use use)
{
    struct gb_error error = {0};
    if (!keys_load(keys, "test", spec, &error) || !keys_check(keys, "test", use, &error))
        fail_msg("%s", error.what);
}

static void refused(const char *spec, enum key_use use, const char *words)
{
    struct gb_error error = {0};
    struct crypto_keys keys = {0};
    assert_false(keys_load(&keys, "test", spec, &error) && keys_check(&keys, "test", use, &error));
    assert_int_equal(error.code, GB_bad_key);
    if (!strstr(error.what, words))
        fail_msg("\"%s\" is not in: %s", words, error.what);
    keys_free(&keys);
}

static struct seal_key data_key;

static bool opens(const struct envelope *e, const char *spec, char id[KEY_ID_MAX],
                  struct gb_error *error)
{
    struct crypto_keys keys = {0};
    struct seal_key out;
    uint8_t check[SEAL_CHECK_SIZE];
    load(&keys, spec, KEY_TO_OPEN);
    seal_key_check(&data_key, check);
    error_clear(error);
    bool ok = envelope_open(e, &keys, data_key.identity, check, &out, id, error);
    if (ok)
        assert_memory_equal(&out, &data_key, sizeof out);
    keys_free(&keys);
    return ok;
}

/* Through its text, too. */
static struct envelope envelope_for(const char *specs)
{
    struct gb_error error = {0};
    struct crypto_keys recipients = {0};
    struct envelope made = {0}, read;
    load(&recipients, specs, KEY_FOR_RECIPIENT);
    for (unsigned i = 0; i < recipients.count; i++)
        assert_true(envelope_add(&made, &data_key, &recipients.key[i], &error));
    keys_free(&recipients);
    char *text = envelope_text(&made);
    assert_true(envelope_parse(&read, text, strlen(text), "keys.json", &error));
    free(text);
    assert_memory_equal(&made, &read, sizeof made);
    return read;
}

static void each_kind_of_recipient_opens_its_own(void **state)
{
    (void)state;
    struct gb_error error = {0};
    char id[KEY_ID_MAX], opened[KEY_ID_MAX], specs[1024], spec[256];
    static const enum key_kind kinds[] = {KEY_X25519, KEY_RSA, KEY_SECRET};
    assert_true(seal_key_make(&data_key, &error));
    write_file(path_of("phrase"), "correct horse battery\n", 0600);
    write_file(path_of("other-phrase"), "correct horse batterx\n", 0600);
    specs[0] = '\0';
    for (size_t i = 0; i < 3; i++) {
        const char *name = key_kind_name(kinds[i]);
        assert_true(key_generate(kinds[i], path_of(name), id, &error));
        snprintf(spec, sizeof spec, "other-%s", name);
        assert_true(key_generate(kinds[i], path_of(spec), opened, &error));
        assert_string_not_equal(id, opened);
        snprintf(spec, sizeof spec, "%s%s,", path_of(name), kinds[i] == KEY_SECRET ? "" : ".pub");
        strcat(specs, spec);
    }
    snprintf(spec, sizeof spec, "passphrase:%s", path_of("phrase"));
    strcat(specs, spec);
    struct envelope e = envelope_for(specs);
    assert_int_equal(e.count, 4);
    for (size_t i = 0; i < 3; i++) {
        const char *name = key_kind_name(kinds[i]);
        assert_true(opens(&e, path_of(name), opened, &error));
        assert_true(!strncmp(opened, name, strlen(name)));
        snprintf(spec, sizeof spec, "other-%s", name);
        assert_false(opens(&e, path_of(spec), opened, &error));
        assert_int_equal(error.code, GB_key_missing);
        assert_non_null(strstr(error.what, e.wrapped[i].id));
    }
    snprintf(spec, sizeof spec, "passphrase:%s", path_of("phrase"));
    assert_true(opens(&e, spec, opened, &error));
    snprintf(spec, sizeof spec, "passphrase:%s", path_of("other-phrase"));
    assert_false(opens(&e, spec, opened, &error));
    /* taken away, it opens nothing any more */
    assert_true(envelope_remove(&e, e.wrapped[0].id));
    assert_false(opens(&e, path_of("x25519"), opened, &error));
    assert_true(opens(&e, path_of("rsa"), opened, &error));
}

static void a_changed_envelope_does_not_open(void **state)
{
    (void)state;
    struct gb_error error = {0};
    char id[KEY_ID_MAX], opened[KEY_ID_MAX], spec[256];
    static const enum key_kind kinds[] = {KEY_X25519, KEY_SECRET};
    assert_true(seal_key_make(&data_key, &error));
    for (size_t k = 0; k < 2; k++) {
        const char *path = path_of(key_kind_name(kinds[k]));
        assert_true(key_generate(kinds[k], path, id, &error));
        snprintf(spec, sizeof spec, "%s%s", path, kinds[k] == KEY_SECRET ? "" : ".pub");
        struct envelope good = envelope_for(spec);
        uint8_t *parts[] = {good.wrapped[0].share, good.wrapped[0].nonce, good.wrapped[0].key};
        const size_t sizes[] = {good.wrapped[0].share_size, ENVELOPE_NONCE_SIZE,
                                sizeof good.wrapped[0].key};
        for (size_t i = 0; i < 3; i++)
            for (size_t at = 0; at < sizes[i]; at++) {
                parts[i][at] ^= 1;
                assert_false(opens(&good, path, opened, &error));
                parts[i][at] ^= 1;
            }
        parts[0][sizes[0] - 1] ^=
            0x80; /* X25519 does not look at this bit; what the key is derived from has it */
        assert_false(opens(&good, path, opened, &error));
        parts[0][sizes[0] - 1] ^= 0x80;
        assert_true(opens(&good, path, opened, &error));
    }
    /* the key of another backup in its place */
    struct seal_key mine = data_key;
    assert_true(seal_key_make(&data_key, &error));
    struct envelope other = envelope_for(path_of("secret"));
    data_key = mine;
    assert_false(opens(&other, path_of("secret"), opened, &error));
    assert_int_equal(error.code,
                     GB_corrupt_backup); /* the right key, and what was made for it does not open */
}

#define HEX16 "00000000000000000000000000000000"
#define HEX48 HEX16 HEX16 HEX16
#define ONE                                                                                        \
    "{\"id\": \"secret:0f0f0f0f0f0f0f0f\", \"share\": \"00\", \"nonce\": "                         \
    "\"000000000000000000000000\", \"key\": \"" HEX48 "\"}"

static void texts_that_are_no_envelope(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "{}",
        "[]",
        "{\"schema\": 2, \"keys\": [{}]}",
        "{\"schema\": 1, \"keys\": []}",
        "{\"schema\": 1, \"keys\": [{}]}",
        "{\"schema\": 1, \"keys\": [{\"id\": \"secret:0f0f0f0f0f0f0f0\\n\", \"share\": \"00\", "
        "\"nonce\": \"000000000000000000000000\", \"key\": \"" HEX48 "\"}]}",
        "{\"schema\": 1, \"keys\": [" ONE ", " ONE "]}",
        "{\"schema\": 1, \"keys\": [{\"id\": \"none:1\", \"share\": \"\", \"nonce\": \"\", "
        "\"key\": \"\"}]}",
        "{\"schema\": 1, \"keys\": [{\"id\": \"secret:1\", \"share\": \"0\", \"nonce\": "
        "\"000000000000000000000000\", \"key\": \"00\"}]}",
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct gb_error error = {0};
        struct envelope e;
        const char *one = "{\"schema\": 1, \"keys\": [" ONE "]}"; /* which is one */
        assert_true(envelope_parse(&e, one, strlen(one), "keys.json", &error));
        assert_false(envelope_parse(&e, bad[i], strlen(bad[i]), "keys.json", &error));
        assert_int_equal(error.code, GB_corrupt_backup);
    }
}

static void files_that_are_no_keys(void **state)
{
    (void)state;
    struct gb_error error = {0};
    char id[KEY_ID_MAX];
    struct stat st;
    assert_true(key_generate(KEY_X25519, path_of("x"), id, &error));
    assert_true(!stat(path_of("x"), &st) && (st.st_mode & 07777) == 0600);
    assert_true(!stat(path_of("x.pub"), &st) && (st.st_mode & 07777) == 0644);
    assert_false(key_generate(KEY_X25519, path_of("x"), id, &error)); /* never over another */
    error_clear(&error);
    unlink(path_of("x"));
    assert_false(
        key_generate(KEY_X25519, path_of("x"), id, &error)); /* nor beside the other half of one */
    assert_int_equal(access(path_of("x"), F_OK), -1);
    error_clear(&error);
    assert_true(key_generate(KEY_ED25519, path_of("sign"), id, &error) &&
                key_generate(KEY_RSA, path_of("rsa"), id, &error));
    write_file(path_of("empty"), "", 0600);
    write_file(path_of("short"), "short\n", 0600);
    char spec[200];
    refused("/nowhere/key", KEY_TO_OPEN, "can't be read");
    refused(directory, KEY_TO_OPEN, "is no file");
    refused(path_of("empty"), KEY_TO_OPEN, "no key in PEM form");
    snprintf(spec, sizeof spec, "passphrase:%s", path_of("short"));
    refused(spec, KEY_TO_OPEN, "at least 8");
    refused(path_of("x.pub"), KEY_TO_OPEN, "only the public key");
    refused(path_of("rsa"), KEY_FOR_RECIPIENT, "holds the private key");
    refused(path_of("sign.pub"), KEY_FOR_RECIPIENT, "to sign with");
    refused(path_of("x.pub"), KEY_TO_TRUST, "an Ed25519 key is wanted");
    refused(path_of("sign.pub"), KEY_TO_SIGN, "only the public key");
    chmod(path_of("rsa"), 0604);
    refused(path_of("rsa"), KEY_TO_OPEN, "may be read by everyone");
    chmod(path_of("rsa"), 0640); /* a group may: Kubernetes' secrets */
    struct crypto_keys keys = {0};
    load(&keys, path_of("rsa"), KEY_TO_OPEN);
    keys_free(&keys);
    write_file(path_of("small"), "", 0600);
    snprintf(spec, sizeof spec, "openssl genrsa -out %s 1024 2>/dev/null", path_of("small"));
    assert_int_equal(system(spec), 0);
    chmod(path_of("small"), 0600);
    refused(path_of("small"), KEY_TO_OPEN, "1024 bits");
    snprintf(spec, sizeof spec,
             "openssl genpkey -algorithm X25519 -aes256 -pass pass:secret -out %s",
             path_of("locked"));
    assert_int_equal(system(spec), 0);
    refused(path_of("locked"), KEY_TO_OPEN, "ENCRYPTED PRIVATE KEY");
}

/* Keys that openssl makes are taken as they are. */
static void openssls_own_keys(void **state)
{
    (void)state;
    struct gb_error error = {0};
    char command[400], opened[KEY_ID_MAX];
    snprintf(command, sizeof command,
             "openssl genpkey -algorithm X25519 -out %s && openssl pkey -in %s -pubout -out %s",
             path_of("o"), path_of("o"), path_of("o.pub"));
    assert_int_equal(system(command), 0);
    chmod(path_of("o"), 0600);
    assert_true(seal_key_make(&data_key, &error));
    struct envelope e = envelope_for(path_of("o.pub"));
    assert_true(opens(&e, path_of("o"), opened, &error));
}

static void a_signature_is_of_one_text_and_one_key(void **state)
{
    (void)state;
    struct gb_error error = {0};
    char id[KEY_ID_MAX];
    uint8_t signature[KEY_SIGNATURE_SIZE];
    struct crypto_keys signer = {0}, trusted = {0}, stranger = {0};
    assert_true(key_generate(KEY_ED25519, path_of("a"), id, &error) &&
                key_generate(KEY_ED25519, path_of("b"), id, &error));
    load(&signer, path_of("a"), KEY_TO_SIGN);
    load(&trusted, path_of("a.pub"), KEY_TO_TRUST);
    load(&stranger, path_of("b.pub"), KEY_TO_TRUST);
    assert_string_equal(signer.key[0].id, trusted.key[0].id);
    assert_true(key_sign(&signer.key[0], "text", 4, signature, &error));
    assert_true(key_signed(&trusted.key[0], "text", 4, signature));
    assert_false(key_signed(&trusted.key[0], "texT", 4, signature));
    assert_false(key_signed(&stranger.key[0], "text", 4, signature));
    signature[10] ^= 1;
    assert_false(key_signed(&trusted.key[0], "text", 4, signature));
    keys_free(&signer);
    keys_free(&trusted);
    keys_free(&stranger);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_seal_is_aes_256_gcm_as_documented),
        TEST(what_is_sealed_opens_in_its_place_only),
        TEST(each_kind_of_recipient_opens_its_own),
        TEST(a_changed_envelope_does_not_open),
        TEST(texts_that_are_no_envelope),
        TEST(files_that_are_no_keys),
        TEST(openssls_own_keys),
        TEST(a_signature_is_of_one_text_and_one_key),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
