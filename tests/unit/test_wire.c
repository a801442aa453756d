/* wire.h: each message comes back as it was sent; one that is cut, too long or out of range is
 * refused. */
#include "common/wire.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#define TEXT(field, ...) snprintf(m->field, sizeof m->field, __VA_ARGS__)

/* An example of each message: no field is zero, no two numbers of a message are equal. */
static void fill_hello(struct wire_hello *m)
{
    m->version_min = 1;
    m->version_max = 0x203;
    TEXT(server_version, "10.11.19-MariaDB");
    TEXT(node, "node1");
    TEXT(cluster, "region one");
}

static void fill_start(struct wire_start *m)
{
    TEXT(id, "20260102T030405Z-full-01234567");
    TEXT(type, "full");
    TEXT(repositories, "near,far");
    TEXT(comment, "before the upgrade");
    TEXT(user, "root@localhost");
    TEXT(cluster_uuid, "5c3f1a2b-c6d1-11f0-9f3a-0242ac110002");
    TEXT(hold, "2027-01-31T00:00:00Z");
    TEXT(verify, "deep");
}

static void fill_ring(struct wire_ring *m)
{
    m->slot_size = 1u << 20;
    m->page_slots = 56;
    m->redo_slots = 8;
}

static void fill_redo(struct wire_redo *m)
{
    m->checkpoint_lsn = 0x1122334455667788u;
    m->end_lsn = 0x1122334455667799u;
    for (size_t i = 0; i < sizeof m->header; i++)
        m->header[i] = (uint8_t)(i * 7 + 1);
}

static void fill_file(struct wire_file *m)
{
    m->file_no = 0x01020304;
    m->kind = WIRE_KIND_TABLESPACE;
    m->space_id = 0x05060708;
    m->page_size = 0x4000;
    m->mode = 0660;
    TEXT(path, "db/t.ibd");
}

static void fill_slot(struct wire_slot *m)
{
    m->slot = 5;
    m->count = 2;
    m->extents[0] = (struct wire_extent){1, 0x100000000u, 16384, 32768};
    m->extents[1] = (struct wire_extent){2, 7, 8, 9};
}

static void fill_file_done(struct wire_file_done *m)
{
    m->file_no = 3;
    m->size = 0x1000000002u;
    m->unverifiable = 1;
    m->sent = 0x100000005u;
}

static void fill_file_drop(struct wire_file_no *m)
{
    m->file_no = 0x0a0b0c0d;
}

static void fill_file_name(struct wire_file_name *m)
{
    m->file_no = 12;
    TEXT(path, "db/renamed.ibd");
}

static void fill_log(struct wire_log *m)
{
    m->level = 2;
    TEXT(stage, "COPY");
    TEXT(message, "page 7 of db/t.ibd is read again");
}

static void fill_node_progress(struct wire_node_progress *m)
{
    TEXT(stage, "WINDOW");
    m->bytes_total = 0x1000000001u;
    m->bytes_done = 0x1000000002u;
    m->redo_bytes = 0x1000000003u;
    m->percent = 42;
    m->eta_s = 43;
}

static void fill_finish(struct wire_facts *m)
{
    assert_true(wire_add_fact(m, "lsn_end", "%d", 4711));
    assert_true(wire_add_fact(m, "position", "%s", "uuid:7"));
    assert_true(wire_add_fact(m, "empty", "%s", ""));
}

static void fill_resynced(struct wire_facts *m)
{
    assert_true(wire_add_fact(m, "resync", "%s", "ok"));
}

static void fill_abort(struct wire_abort *m)
{
    m->cancelled = 1;
    m->code = GB_cancelled;
    TEXT(what, "cancelled by root");
    TEXT(hint, "start again");
}

static void fill_check(struct wire_check *m)
{
    TEXT(repositories, "near");
    m->bytes_estimate = 0xf000000000000001u;
    m->datadir_device = 0xfd00000000000002u;
    TEXT(cluster_uuid, "5c3f1a2b-c6d1-11f0-9f3a-0242ac110002");
}

static void fill_hold(struct wire_hold *m)
{
    TEXT(id, "20260102T030405Z-full-01234567");
    TEXT(until, "forever");
    TEXT(cluster_uuid, "5c3f1a2b-c6d1-11f0-9f3a-0242ac110002");
}

static void fill_held(struct wire_held *m)
{
    TEXT(until, "2027-01-31T00:00:00Z");
}

static void fill_welcome(struct wire_welcome *m)
{
    m->version = 1;
    TEXT(agent_version, "0.1.0");
}

static void fill_ready(struct wire_ready *m)
{
    TEXT(repositories, "[{\"name\":\"near\"}]");
}

static void fill_error(struct wire_error *m)
{
    m->code = GB_no_space;
    TEXT(what, "/repository is full");
    TEXT(hint, "free 7 GiB");
}

static void fill_free(struct wire_free *m)
{
    m->count = 3;
    for (uint32_t i = 0; i < m->count; i++)
        m->slot[i] = 0x01010101 * (i + 1);
}

static void fill_progress(struct wire_progress *m)
{
    m->bytes_stored = 0x2000000001u;
    m->store_rate = 0x2000000002u;
    m->bottleneck = 2;
    m->redo_full = 1;
    TEXT(repositories, "[{\"state\":\"running\"}]");
}

static void fill_committed(struct wire_committed *m)
{
    m->bytes_stored = 0x3000000001u;
    TEXT(repositories, "[{\"state\":\"succeeded\"}]");
}

static void fill_checked(struct wire_checked *m)
{
    m->count = 2;
    for (uint32_t i = 0; i < m->count; i++) {
        TEXT(row[i].check, "check %u", i);
        TEXT(row[i].result, i ? "FAIL" : "OK");
        TEXT(row[i].detail, "detail %u", i);
        TEXT(row[i].remedy, "remedy %u", i);
    }
}

static void fill_warning(struct wire_warning *m)
{
    TEXT(text, "the repository is slow");
}

#define WRAP(name, type, shape)                                                                    \
    static void any_fill_##name(void *m)                                                           \
    {                                                                                              \
        fill_##name(m);                                                                            \
    }                                                                                              \
    static bool any_put_##name(struct bytes_writer *w, const void *m)                              \
    {                                                                                              \
        return wire_put_##name(w, m);                                                              \
    }                                                                                              \
    static bool any_get_##name(const uint8_t *data, size_t size, void *m, struct gb_error *error)  \
    {                                                                                              \
        return wire_get_##name(data, size, m, error);                                              \
    }
WIRE_MESSAGES(WRAP)
#undef WRAP

static const struct message {
    const char *name;
    enum wire_type type;
    size_t size;
    void (*fill)(void *m);
    bool (*put)(struct bytes_writer *w, const void *m);
    bool (*get)(const uint8_t *data, size_t size, void *m, struct gb_error *error);
} messages[] = {
#define ENTRY(name, type, shape)                                                                   \
    {#name, type, sizeof(shape), any_fill_##name, any_put_##name, any_get_##name},
    WIRE_MESSAGES(ENTRY)
#undef ENTRY
};

#define MESSAGES (sizeof messages / sizeof messages[0])

static uint8_t payload[WIRE_PAYLOAD_MAX];

/* The example of a message as bytes of payload; answers how many. */
static size_t encode_example(const struct message *t)
{
    void *m = test_calloc(1, t->size);
    t->fill(m);
    struct bytes_writer w = bytes_writer(payload, sizeof payload);
    if (!t->put(&w, m))
        fail_msg("%s can't be written", t->name);
    test_free(m);
    return w.at;
}

/* Reads from a copy that ends where the payload ends, so that a sanitizer sees a read beyond it. */
static bool decode(const struct message *t, const uint8_t *data, size_t size, void *m)
{
    struct gb_error error = {0};
    uint8_t *copy = malloc(size + !size);
    assert_non_null(copy);
    memcpy(copy, data, size);
    bool ok = t->get(copy, size, m, &error);
    free(copy);
    if (error.code != (ok ? GB_OK : GB_protocol))
        fail_msg("%s of %zu bytes: answer %d, error %d", t->name, size, ok, (int)error.code);
    return ok;
}

static void every_message_comes_back(void **state)
{
    (void)state;
    for (size_t i = 0; i < MESSAGES; i++) {
        const struct message *t = &messages[i];
        void *sent = test_calloc(1, t->size), *received = test_calloc(1, t->size);
        t->fill(sent);
        size_t size = encode_example(t);
        if (!decode(t, payload, size, received) || memcmp(sent, received, t->size))
            fail_msg("%s does not come back as it was", t->name);
        test_free(sent);
        test_free(received);
    }
}

static void cut_and_prolonged_messages_are_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < MESSAGES; i++) {
        const struct message *t = &messages[i];
        void *m = test_calloc(1, t->size);
        size_t size = encode_example(t);
        for (size_t n = 0; n < size; n++)
            if (decode(t, payload, n, m))
                fail_msg("%s is accepted with %zu of %zu bytes", t->name, n, size);
        payload[size] = 0;
        if (decode(t, payload, size + 1, m))
            fail_msg("%s is accepted with a byte too many", t->name);
        test_free(m);
    }
}

static void messages_are_written_whole_or_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < MESSAGES; i++) {
        const struct message *t = &messages[i];
        void *m = test_calloc(1, t->size);
        t->fill(m);
        size_t size = encode_example(t);
        for (size_t room = 0; room <= size; room++) {
            uint8_t *small = malloc(room + 1);
            assert_non_null(small);
            small[room] = 0xa5;
            struct bytes_writer w = bytes_writer(small, room);
            bool ok = t->put(&w, m);
            if (ok != (room == size) || w.failed == ok || small[room] != 0xa5)
                fail_msg("%s of %zu bytes in room for %zu", t->name, size, room);
            free(small);
        }
        test_free(m);
    }
}

/* No damage takes a reader beyond its input, and what is refused is refused as GB_protocol. */
static void damaged_messages_stay_within_bounds(void **state)
{
    (void)state;
    for (size_t i = 0; i < MESSAGES; i++) {
        const struct message *t = &messages[i];
        void *m = test_calloc(1, t->size);
        size_t size = encode_example(t);
        for (size_t at = 0; at < size; at++)
            for (unsigned bit = 0; bit < 8; bit++) {
                payload[at] ^= (uint8_t)(1u << bit);
                decode(t, payload, size, m);
                payload[at] ^= (uint8_t)(1u << bit);
            }
        test_free(m);
    }
}

/* Bytes as docs/protocol.md and wire.h describe them, written here by hand. */
static void bytes_of_messages(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        size_t size;
        const char *bytes;
    } golden[] = {
        {"hello", 41,
         "\0\1\2\3\0\20"
         "10.11.19-MariaDB"
         "\0\5"
         "node1"
         "\0\12"
         "region one"},
        {"ring", 12, "\0\20\0\0\0\0\0\70\0\0\0\10"},
        {"file", 27,
         "\1\2\3\4\3\5\6\7\10\0\0\100\0\0\0\1\260\0\10"
         "db/t.ibd"},
        {"slot", 48,
         "\0\0\0\5\0\0\0\2"
         "\0\0\0\1\0\0\0\1\0\0\0\0\0\0\100\0\0\0\200\0"
         "\0\0\0\2\0\0\0\0\0\0\0\7\0\0\0\10\0\0\0\11"},
        {"file_done", 21, "\0\0\0\3\0\0\0\20\0\0\0\2\1\0\0\0\1\0\0\0\5"},
        {"file_drop", 4, "\12\13\14\15"},
        {"file_name", 20,
         "\0\0\0\14\0\16"
         "db/renamed.ibd"},
        {"finish", 46,
         "\0\0\0\3"
         "\0\7"
         "lsn_end"
         "\0\4"
         "4711"
         "\0\10"
         "position"
         "\0\6"
         "uuid:7"
         "\0\5"
         "empty"
         "\0\0"},
        {"welcome", 9,
         "\0\1\0\5"
         "0.1.0"},
        {"free", 16, "\0\0\0\3\1\1\1\1\2\2\2\2\3\3\3\3"},
        {"warning", 24,
         "\0\26"
         "the repository is slow"},
    };
    for (size_t i = 0; i < sizeof golden / sizeof golden[0]; i++) {
        const struct message *t = messages;
        while (strcmp(t->name, golden[i].name))
            assert_true(++t < messages + MESSAGES);
        size_t size = encode_example(t);
        if (size != golden[i].size || memcmp(payload, golden[i].bytes, size))
            fail_msg("%s has other bytes (%zu)", t->name, size);
    }
}

static void headers(void **state)
{
    (void)state;
    static const uint8_t good[] = {0, 4, 0, 0, 0, 66, 0, 0}; /* 256 KiB of ERROR */
    uint8_t out[WIRE_HEADER_SIZE];
    uint16_t type;
    uint32_t size;
    struct gb_error error = {0};
    wire_put_header(out, WIRE_ERROR, WIRE_PAYLOAD_MAX);
    assert_memory_equal(out, good, sizeof good);
    assert_true(wire_get_header(good, &type, &size, &error));
    assert_int_equal(type, WIRE_ERROR);
    assert_int_equal(size, WIRE_PAYLOAD_MAX);
    static const uint8_t bad[][WIRE_HEADER_SIZE] = {
        {0, 4, 0, 1, 0, 66, 0, 0},             /* a byte too long */
        {0xff, 0xff, 0xff, 0xff, 0, 66, 0, 0}, /* no length that an int holds */
        {0, 0, 0, 8, 0, 66, 0, 1},             /* the reserved field */
        {0, 0, 0, 8, 0, 66, 1, 0},
        {'G', 'E', 'T', ' ', '/', ' ', 'H', 'T'},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        error_clear(&error);
        assert_false(wire_get_header(bad[i], &type, &size, &error));
        assert_int_equal(error.code, GB_protocol);
    }
}

static const struct message *find(const char *name)
{
    for (size_t i = 0; i < MESSAGES; i++)
        if (!strcmp(messages[i].name, name))
            return &messages[i];
    fail_msg("no message %s", name);
    return NULL;
}

static void values_out_of_range_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        size_t at; /* of the byte that is changed in the example */
        uint8_t value;
    } bad[] = {
        {"file", 4, 0}, /* kinds that do not exist */
        {"file", 4, WIRE_KIND_DIRECTORY + 1},
        {"file", 4, 255},
        {"slot", 4, 0x80}, /* counts above what is allowed */
        {"slot", 6, (WIRE_EXTENTS_MAX >> 8) + 1},
        {"finish", 3, WIRE_FACTS_MAX + 1},
        {"resynced", 0, 0xff},
        {"free", 2, (WIRE_FREE_MAX >> 8) + 1},
        {"checked", 3, 33},
        {"hello", 4, 0xff}, /* lengths beyond the field, and beyond the end */
        {"hello", 5, 17},
        {"warning", 2, 0}, /* NUL inside a text */
        {"error", 10, 0},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        const struct message *t = find(bad[i].name);
        void *m = test_calloc(1, t->size);
        size_t size = encode_example(t);
        payload[bad[i].at] = bad[i].value;
        if (decode(t, payload, size, m))
            fail_msg("%s with byte %zu = %u is accepted", t->name, bad[i].at, bad[i].value);
        test_free(m);
    }
}

static void a_file_without_a_path_is_refused(void **state)
{
    (void)state;
    struct wire_file *m = test_calloc(1, sizeof *m);
    fill_file(m);
    m->path[0] = '\0';
    struct bytes_writer w = bytes_writer(payload, sizeof payload);
    assert_true(wire_put_file(&w, m));
    assert_false(decode(find("file"), payload, w.at, m));
    test_free(m);
}

/* A count that is too large is refused though all the elements are there. */
static void the_most_elements(void **state)
{
    (void)state;
    struct bytes_writer w = bytes_writer(payload, sizeof payload);
    struct wire_slot *slot = test_calloc(1, sizeof *slot);
    struct wire_free *free_slots = test_calloc(1, sizeof *free_slots);
    struct wire_facts *facts = test_calloc(1, sizeof *facts);
    struct wire_checked *checked = test_calloc(1, sizeof *checked);
    slot->count = WIRE_EXTENTS_MAX;
    for (uint32_t i = 0; i < slot->count; i++)
        slot->extents[i] = (struct wire_extent){i + 1, i, 1, i};
    assert_true(wire_put_slot(&w, slot));
    memset(slot, 0, sizeof *slot);
    assert_true(decode(find("slot"), payload, w.at, slot));
    assert_int_equal(slot->extents[WIRE_EXTENTS_MAX - 1].file_no, WIRE_EXTENTS_MAX);

    free_slots->count = WIRE_FREE_MAX;
    w = bytes_writer(payload, sizeof payload);
    assert_true(wire_put_free(&w, free_slots));
    assert_true(decode(find("free"), payload, w.at, free_slots));

    while (wire_add_fact(facts, "key", "%0*d", WIRE_TEXT_MAX - 1, 7))
        continue;
    assert_int_equal(facts->count, WIRE_FACTS_MAX);
    w = bytes_writer(payload, sizeof payload);
    assert_true(wire_put_finish(&w, facts));
    assert_true(decode(find("finish"), payload, w.at, facts));

    checked->count = sizeof checked->row / sizeof checked->row[0];
    w = bytes_writer(payload, sizeof payload);
    assert_true(wire_put_checked(&w, checked));
    assert_true(decode(find("checked"), payload, w.at, checked));

    slot->count++;
    free_slots->count++;
    facts->count++;
    checked->count++;
    w = bytes_writer(payload, sizeof payload);
    assert_false(wire_put_slot(&w, slot));
    w = bytes_writer(payload, sizeof payload);
    assert_false(wire_put_free(&w, free_slots));
    w = bytes_writer(payload, sizeof payload);
    assert_false(wire_put_finish(&w, facts));
    w = bytes_writer(payload, sizeof payload);
    assert_false(wire_put_checked(&w, checked));

    memset(payload, 0, sizeof payload);
    w = bytes_writer(payload, sizeof payload);
    bytes_put_u32(&w, 0);
    bytes_put_u32(&w, WIRE_EXTENTS_MAX + 1);
    assert_false(decode(find("slot"), payload, 8 + 20 * (WIRE_EXTENTS_MAX + 1), slot));
    w = bytes_writer(payload, sizeof payload);
    bytes_put_u32(&w, WIRE_FREE_MAX + 1);
    bytes_put_u32(&w, 0);
    assert_false(decode(find("free"), payload, 4 + 4 * (WIRE_FREE_MAX + 1), free_slots));
    w = bytes_writer(payload, sizeof payload);
    bytes_put_u32(&w, WIRE_FACTS_MAX + 1);
    assert_false(decode(find("finish"), payload, 4 + 4 * (WIRE_FACTS_MAX + 1), facts));
    w = bytes_writer(payload, sizeof payload);
    bytes_put_u32(&w, checked->count);
    assert_false(decode(find("checked"), payload, 4 + 8 * checked->count, checked));
    test_free(slot);
    test_free(free_slots);
    test_free(facts);
    test_free(checked);
}

static void texts_up_to_the_limit(void **state)
{
    (void)state;
    static const size_t lengths[] = {WIRE_PATH_MAX - 1, WIRE_PATH_MAX};
    struct wire_file_name *m = test_calloc(1, sizeof *m);
    for (size_t i = 0; i < 2; i++) {
        struct bytes_writer w = bytes_writer(payload, sizeof payload);
        bytes_put_u32(&w, 1);
        bytes_put_u16(&w, (uint16_t)lengths[i]);
        memset(bytes_reserve(&w, lengths[i]), 'p', lengths[i]);
        assert_int_equal(decode(find("file_name"), payload, w.at, m), lengths[i] < WIRE_PATH_MAX);
    }
    test_free(m);
}

static void facts(void **state)
{
    (void)state;
    struct wire_facts *m = test_calloc(1, sizeof *m);
    char longest[WIRE_TEXT_MAX + 1], key[WIRE_NAME_MAX + 1];
    memset(longest, 'a', sizeof longest);
    memset(key, 'k', sizeof key);
    fill_finish(m);
    assert_string_equal(wire_fact(m, "position"), "uuid:7");
    assert_string_equal(wire_fact(m, "empty"), "");
    assert_string_equal(wire_fact(m, "gtid"), "");
    longest[WIRE_TEXT_MAX] = '\0';
    assert_false(wire_add_fact(m, "long", "%s", longest));
    assert_string_equal(wire_fact(m, "long"), "");
    assert_int_equal(m->count, 3);
    assert_true(wire_add_fact(m, "long", "%s", longest + 1));
    assert_string_equal(wire_fact(m, "long"), longest + 1);
    key[WIRE_NAME_MAX] = '\0';
    assert_false(wire_add_fact(m, key, "%s", "a key that would be cut"));
    assert_true(wire_add_fact(m, key + 1, "%s", "fits"));
    assert_string_equal(wire_fact(m, key + 1), "fits");
    test_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_message_comes_back),
        cmocka_unit_test(cut_and_prolonged_messages_are_refused),
        cmocka_unit_test(messages_are_written_whole_or_refused),
        cmocka_unit_test(damaged_messages_stay_within_bounds),
        cmocka_unit_test(bytes_of_messages),
        cmocka_unit_test(headers),
        cmocka_unit_test(values_out_of_range_are_refused),
        cmocka_unit_test(a_file_without_a_path_is_refused),
        cmocka_unit_test(the_most_elements),
        cmocka_unit_test(texts_up_to_the_limit),
        cmocka_unit_test(facts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
