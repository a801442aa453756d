/* manifest.h: backup.json comes back as it was written; one that is cut, changed or newer is
 * refused by name. */
#include "agent/repository/manifest.h"
#include "temporary_storage.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define LABEL  "20260102T030405Z-full-01234567"
#define PREFIX "c/backups/" LABEL
#define NAME   PREFIX "/backup.json"

static void object(struct object_info *info, const char *name, uint64_t size, uint8_t hash)
{
    memset(info, 0, sizeof *info);
    snprintf(info->name, sizeof info->name, "%s", name);
    info->size = size;
    memset(info->sha256, hash, sizeof info->sha256);
}

static void fill(struct manifest *m)
{
    memset(m, 0, sizeof *m);
#define TEXT(member, text) snprintf(m->member, sizeof m->member, "%s", text)
    TEXT(id, LABEL);
    TEXT(cluster, "c");
    TEXT(type, "full");
    TEXT(node, "node 1");
    TEXT(server_version, "10.11.19-MariaDB");
    TEXT(agent_version, "0.1.0");
    TEXT(comment, "before \"the\" upgrade\n\xc3\xbc\\");
    TEXT(user, "root@localhost");
    TEXT(nonce, "0123456789abcdef0123456789abcdef");
    m->started_at = 1767323045; /* 2026-01-02T03:04:05Z */
    m->finished_at = m->started_at + 86400;
    m->checkpoint_lsn = 0x100000000000u;
    m->checkpoint_end_lsn = 0x100000000100u;
    m->redo_bytes = 5000;
    m->end_lsn = m->checkpoint_lsn + m->redo_bytes;
    for (size_t i = 0; i < sizeof m->redo_header; i++)
        m->redo_header[i] = (uint8_t)(255 - i);
    m->data_bytes = 1ull << 50;
    m->read_bytes = 1ull << 49;
    m->stored_bytes = 1ull << 48;
    m->files = 4000000000u;
    assert_true(wire_add_fact(&m->facts, "position", "%s:%d", "uuid", 7));
    assert_true(wire_add_fact(&m->facts, "gtid", "%s", ""));
    m->objects = calloc(3, sizeof *m->objects);
    assert_non_null(m->objects);
    m->object_count = 3;
    object(&m->objects[0], "index", 4711, 0xa0);
    object(&m->objects[1], "data/000001.seg", 256u << 20, 0x0b);
    object(&m->objects[2], "data/100000.seg", 5ull << 32, 0xff);
}

static void write_it(const struct manifest *m)
{
    struct gb_error error = {0};
    if (!manifest_write(m, storage, PREFIX, NULL, &error))
        fail_msg("%s", error.what);
}

static bool read_it(struct manifest *m, struct gb_error *error)
{
    memset(error, 0, sizeof *error);
    bool ok = manifest_read(m, storage, PREFIX, NULL, error);
    assert_true(ok == !error->code);
    return ok;
}

static void what_is_written_comes_back(void **state)
{
    (void)state;
    struct gb_error error;
    struct manifest m, n;
    fill(&m);
    write_it(&m);
    if (!read_it(&n, &error))
        fail_msg("%s", error.what);
    assert_int_equal(n.format, MANIFEST_FORMAT);
    const struct {
        const char *a, *b;
    } texts[] = {{m.id, n.id},
                 {m.cluster, n.cluster},
                 {m.type, n.type},
                 {m.node, n.node},
                 {m.server_version, n.server_version},
                 {m.agent_version, n.agent_version},
                 {m.comment, n.comment},
                 {m.user, n.user},
                 {m.nonce, n.nonce}};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        assert_string_equal(texts[i].a, texts[i].b);
    assert_true(m.started_at == n.started_at && m.finished_at == n.finished_at);
    assert_true(m.checkpoint_lsn == n.checkpoint_lsn && m.end_lsn == n.end_lsn &&
                m.checkpoint_end_lsn == n.checkpoint_end_lsn);
    assert_memory_equal(m.redo_header, n.redo_header, sizeof m.redo_header);
    assert_true(m.data_bytes == n.data_bytes && m.read_bytes == n.read_bytes &&
                m.redo_bytes == n.redo_bytes && m.stored_bytes == n.stored_bytes &&
                m.files == n.files);
    assert_string_equal(manifest_position(&n), "uuid:7");
    assert_int_equal(n.facts.count, 2);
    assert_int_equal(n.object_count, 3);
    assert_memory_equal(m.objects, n.objects, 3 * sizeof *m.objects);
    manifest_free(&m);
    manifest_free(&n);
}

static void the_most_of_everything_comes_back(void **state)
{
    (void)state;
    struct gb_error error;
    struct manifest m, n;
    enum { OBJECTS = 20000 };
    fill(&m);
    memset(m.comment, 'c', sizeof m.comment - 1);
    memset(m.node, 'n', sizeof m.node - 1);
    while (m.facts.count < WIRE_FACTS_MAX) {
        char key[32];
        snprintf(key, sizeof key, "fact %u", m.facts.count);
        assert_true(wire_add_fact(&m.facts, key, "%0*d", WIRE_TEXT_MAX - 1, 1));
    }
    free(m.objects);
    m.objects = calloc(OBJECTS, sizeof *m.objects);
    assert_non_null(m.objects);
    m.object_count = OBJECTS;
    object(&m.objects[0], "index", 1, 1);
    for (size_t i = 1; i < OBJECTS; i++) {
        char name[32];
        snprintf(name, sizeof name, "data/%06zu.seg", i);
        object(&m.objects[i], name, i, (uint8_t)i);
    }
    write_it(&m);
    if (!read_it(&n, &error))
        fail_msg("%s", error.what);
    assert_string_equal(m.comment, n.comment);
    assert_string_equal(m.node, n.node);
    assert_int_equal(n.facts.count, WIRE_FACTS_MAX);
    assert_memory_equal(m.objects, n.objects, OBJECTS * sizeof *m.objects);
    manifest_free(&m);
    manifest_free(&n);
}

/* Not through the storage: thousands of them need not be on disk. */
static void a_long_position_is_joined(void **state)
{
    (void)state;
    static const struct {
        size_t max;
        const char *joined;
    } cases[] = {{SIZE_MAX, "1-1-1,2-2-2,3-3-3"},
                 {17, "1-1-1,2-2-2,3-3-3"},
                 {16, "1-1-1,2-2-2"},
                 {5, "1-1-1"},
                 {4, ""}};
    struct manifest *m = calloc(1, sizeof *m);
    assert_non_null(m);
    assert_true(wire_add_fact(&m->facts, "gtid", "1-1-1") &&
                wire_add_fact(&m->facts, "gtid+2", "2-2-2") &&
                wire_add_fact(&m->facts, "gtid+3", "3-3-3"));
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char *joined = manifest_gtid(m, cases[i].max);
        assert_string_equal(joined, cases[i].joined);
        free(joined);
    }
    free(m);
}

static void put_text(const char *text, size_t size)
{
    char path[256];
    for (const char *slash = strchr(NAME, '/'); slash; slash = strchr(slash + 1, '/')) {
        snprintf(path, sizeof path, "%s/%.*s", root, (int)(slash - NAME), NAME);
        assert_true(!mkdir(path, 0700) || errno == EEXIST);
    }
    snprintf(path, sizeof path, "%s/" NAME, root);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    assert_true(fwrite(text, 1, size, f) == size && !fclose(f));
}

static char *written(size_t *size)
{
    struct gb_error error = {0};
    struct manifest m;
    fill(&m);
    write_it(&m);
    manifest_free(&m);
    char *text = storage_read_all(storage, NAME, 1 << 20, size, &error);
    assert_non_null(text);
    return text;
}

static void a_cut_manifest_is_refused(void **state)
{
    (void)state;
    struct gb_error error;
    struct manifest m;
    size_t size;
    char *text = written(&size), path[256];
    snprintf(path, sizeof path, "%s/" NAME, root);
    for (size_t n = size; n-- > 0;) {
        assert_int_equal(truncate(path, (off_t)n), 0);
        if (read_it(&m, &error))
            fail_msg("%zu of %zu bytes are accepted", n, size);
        assert_int_equal(error.code, GB_corrupt_backup);
        assert_non_null(strstr(error.what, NAME));
    }
    put_text(text, size);
    assert_true(read_it(&m, &error));
    manifest_free(&m);
    free(text);
}

/* Whichever it is: its own SHA-256 is wrong then. */
static void a_changed_byte_is_refused(void **state)
{
    (void)state;
    struct gb_error error;
    struct manifest m;
    size_t size;
    char *text = written(&size);
    for (size_t at = 0; at < size; at++) {
        text[at] ^= (char)(1 << at % 7);
        put_text(text, size);
        text[at] ^= (char)(1 << at % 7);
        if (read_it(&m, &error))
            fail_msg("byte %zu is changed and the manifest accepted", at);
        assert_true(error.code == GB_corrupt_backup || error.code == GB_format_newer);
        assert_non_null(strstr(error.what, NAME));
    }
    put_text(text, size);
    assert_true(read_it(&m, &error));
    manifest_free(&m);
    free(text);
}

static void the_manifest_of_another_backup_is_refused(void **state)
{
    (void)state;
    struct gb_error error;
    struct manifest m;
    fill(&m);
    m.id[strlen(m.id) - 1] = '8';
    write_it(&m);
    manifest_free(&m);
    assert_false(read_it(&m, &error));
    assert_int_equal(error.code, GB_corrupt_backup);
    assert_non_null(strstr(error.what, "another backup"));
    assert_null(m.objects);
}

/* The text with the first `from` replaced, and sealed anew: what is left is refused for what it
 * says. */
static void put_changed(const char *text, const char *from, const char *to)
{
    const char *at = strstr(text, from);
    if (!at)
        fail_msg("there is no %s in %s", from, text);
    size_t size = strlen(text) + strlen(to) + MANIFEST_SEAL_MAX;
    char *changed = malloc(size);
    assert_non_null(changed);
    snprintf(changed, size, "%.*s%s%s", (int)(at - text), text, to, at + strlen(from));
    char *seal = strstr(changed, ",\n \"sha256\": ");
    assert_non_null(seal);
    manifest_seal(changed, (size_t)(seal - changed), seal);
    put_text(changed, strlen(changed));
    free(changed);
}

static void changes_that_matter_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *from, *to;
        enum gb_code code;
    } cases[] = {
        {"\"format\": 1", "\"format\": 2", GB_format_newer},
        {"\"format\": 1", "\"format\": 0", GB_corrupt_backup},
        {"\"format\": 1", "\"format\": \"1\"", GB_corrupt_backup},
        {"\"format\": 1,", "", GB_corrupt_backup},
        {"{", "[{", GB_corrupt_backup},
        {"\"format\": 1", "\"format\": 1, \"format\": 1", GB_corrupt_backup},
        {"\"id\": \"" LABEL, "\"id\": \"", GB_corrupt_backup},
        {"\"id\": \"" LABEL, "\"id\": \"latest", GB_corrupt_backup},
        {"\"id\": \"" LABEL, "\"id\": \"../../x", GB_corrupt_backup},
        {"\"cluster\": \"c\"", "\"cluster\": \"\"", GB_corrupt_backup},
        {"\"cluster\": \"c\"", "\"cluster\": \"../c\"", GB_corrupt_backup},
        {"\"cluster\": \"c\"", "\"cluster\": \"c/d\"", GB_corrupt_backup},
        {"\"redo_header\": \"ff", "\"redo_header\": \"", GB_corrupt_backup},
        {"\"redo_header\": \"ff", "\"redo_header\": \"fff", GB_corrupt_backup},
        {"\"redo_header\": \"ff", "\"redo_header\": \"fg", GB_corrupt_backup},
        {"\"redo_header\": \"ff", "\"redo_header\": \" f", GB_corrupt_backup},
        {"\"redo_header\": \"ff", "\"redo_header\": \"-f", GB_corrupt_backup},
        {"\"redo_header\": \"ff", "\"redo_header\": \"0x", GB_corrupt_backup},
        {"\"redo_bytes\": 5000", "\"redo_bytes\": 5001", GB_corrupt_backup},
        {"\"redo_bytes\": 5000", "\"redo_bytes\": -5000", GB_corrupt_backup},
        {"\"lsn_start\": 1", "\"lsn_start\": 2", GB_corrupt_backup},
        {"\"name\": \"index\"", "\"name\": \"indey\"", GB_corrupt_backup},
        {"\"name\": \"index\"", "\"name\": \"data/000009.seg\"", GB_corrupt_backup},
        {"\"name\": \"data/000001.seg\"", "\"name\": \"data/1.seg\"", GB_corrupt_backup},
        {"\"name\": \"data/000001.seg\"", "\"name\": \"data/000001.seg/../x\"", GB_corrupt_backup},
        {"\"name\": \"data/000001.seg\"", "\"name\": \"../data/000001.seg\"", GB_corrupt_backup},
        {"\"name\": \"data/000001.seg\"", "\"name\": \"index\"", GB_corrupt_backup},
        {"\"sha256\": \"a0", "\"sha256\": \"a", GB_corrupt_backup},
        {"\"sha256\": \"a0", "\"sha256\": \"ax", GB_corrupt_backup},
        {"\"position\": \"uuid:7\"", "\"position\": 7", GB_corrupt_backup},
    };
    size_t size;
    char *text = written(&size);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct gb_error error;
        struct manifest m;
        put_changed(text, cases[i].from, cases[i].to);
        if (read_it(&m, &error))
            fail_msg("%s instead of %s is accepted", cases[i].to, cases[i].from);
        if (error.code != cases[i].code || !strstr(error.what, NAME))
            fail_msg("%s: GB%d %s", cases[i].to, (int)error.code, error.what);
    }
    free(text);
}

static void a_newer_format_is_named(void **state)
{
    (void)state;
    struct gb_error error;
    struct manifest m;
    static const char text[] = "{\"format\": 7, \"objects\": {\"unlike\": \"those of format 1\"}}";
    put_text(text, strlen(text));
    assert_false(read_it(&m, &error));
    assert_int_equal(error.code, GB_format_newer);
    assert_non_null(strstr(error.what, "format 7"));
    assert_non_null(strstr(error.what, "up to 1"));
}

/* Keys that a later release of the same format may add. */
static void unknown_keys_are_no_error(void **state)
{
    (void)state;
    struct gb_error error;
    struct manifest m;
    size_t size;
    char *text = written(&size);
    put_changed(text, "\"format\": 1", "\"format\": 1, \"more\": {\"a\": [1, 2]}");
    if (!read_it(&m, &error))
        fail_msg("%s", error.what);
    assert_string_equal(m.id, LABEL);
    manifest_free(&m);
    free(text);
}

static void one_that_is_not_there(void **state)
{
    (void)state;
    struct gb_error error;
    struct manifest m;
    assert_false(read_it(&m, &error));
    assert_int_equal(error.code, GB_not_found);
}

static void it_is_written_once(void **state)
{
    (void)state;
    struct gb_error error = {0};
    struct manifest m, n;
    fill(&m);
    write_it(&m);
    m.files = 1;
    assert_false(manifest_write(&m, storage, PREFIX, NULL, &error));
    assert_int_equal(error.code, GB_store_failed);
    assert_true(read_it(&n, &error));
    assert_int_equal(n.files, 4000000000u);
    manifest_free(&m);
    manifest_free(&n);
}

static void the_keys_of_the_format(void **state)
{
    (void)state;
    static const char *const keys[] = {
        "format",        "id",          "cluster",     "type",       "parent",
        "node",          "comment",     "user",        "nonce",      "server_version",
        "agent_version", "started_at",  "finished_at", "lsn_start",  "lsn_checkpoint_end",
        "lsn_end",       "redo_header", "data_bytes",  "read_bytes", "redo_bytes",
        "stored_bytes",  "files",       "encryption",  "facts",      "objects",
        "sha256"};
    size_t size, lines = 0;
    char *text = written(&size);
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        char key[40];
        snprintf(key, sizeof key, "\n \"%s\": ", keys[i]);
        if (!strstr(text, key))
            fail_msg("no key %s", keys[i]);
    }
    for (const char *at = text; (at = strstr(at, "\n \"")); at++)
        lines++;
    assert_int_equal(lines, sizeof keys / sizeof keys[0]);
    assert_non_null(strstr(text, "\"parent\": null"));
    assert_non_null(strstr(text, "\"encryption\": null"));
    assert_non_null(strstr(text, "\"started_at\": \"2026-01-02T03:04:05Z\""));
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
        TEST(what_is_written_comes_back),
        TEST(the_most_of_everything_comes_back),
        TEST(a_long_position_is_joined),
        TEST(a_cut_manifest_is_refused),
        TEST(a_changed_byte_is_refused),
        TEST(the_manifest_of_another_backup_is_refused),
        TEST(changes_that_matter_are_refused),
        TEST(a_newer_format_is_named),
        TEST(unknown_keys_are_no_error),
        TEST(one_that_is_not_there),
        TEST(it_is_written_once),
        TEST(the_keys_of_the_format),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
