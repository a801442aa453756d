/* What follows the files of a restore, as far as it needs no server: memory.h, history.h, replica.h
   and the versions that server_program.h takes. */
#include "agent/restore/history.h"
#include "agent/restore/memory.h"
#include "agent/restore/replica.h"
#include "agent/restore/report.h"
#include "agent/restore/server_program.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define GIB (1ull << 30)

static struct manifest *new_manifest(void)
{
    struct manifest *m = calloc(1, sizeof *m);
    assert_non_null(m);
    snprintf(m->id, sizeof m->id, "20261121T020000Z-full-1f3a9c2e");
    snprintf(m->nonce, sizeof m->nonce, "00112233445566778899aabbccddeeff");
    snprintf(m->node, sizeof m->node, "db1");
    return m;
}

static void fact(struct manifest *m, const char *key, const char *value)
{
    assert_true(wire_add_fact(&m->facts, key, "%s", value));
}

static void a_pool_for_one_pass_within_the_memory(void **state)
{
    (void)state;
    assert_int_equal(memory_pool_for(0), MEMORY_POOL_MIN);
    assert_true(memory_pool_for(2 * GIB) > 6 * GIB && memory_pool_for(2 * GIB) < 7 * GIB);
    assert_int_equal(memory_pool_within(2 * GIB, 64 * GIB), memory_pool_for(2 * GIB));
    assert_int_equal(memory_pool_within(2 * GIB, 4 * GIB), 3 * GIB);
    assert_int_equal(memory_pool_within(2 * GIB, 0), MEMORY_POOL_MIN);
    assert_true(memory_redo_in_one_pass(memory_pool_for(2 * GIB)) > 2 * GIB);
    assert_in_range(memory_redo_in_one_pass(MEMORY_POOL_MIN), 80u << 20,
                    100u << 20); /* seen: 93 MB */
}

static void a_history_is_the_same_for_the_same_token(void **state)
{
    (void)state;
    struct manifest *m = new_manifest();
    struct gb_error error = {0};
    struct history keep, first, again, other, made, made_again;
    const char *position = "5c3f0102-0304-0506-0708-090a0b0c0d0e:77";
    fact(m, "position", position);
    assert_true(history_choose(&keep, NULL, false, "", m, &error));
    assert_false(keep.new);
    assert_string_equal(keep.position, position);
    assert_true(history_choose(&keep, "keep", true, "", m, &error));
    assert_false(keep.new);
    assert_true(history_choose(&first, "new:2026-11", false, "", m, &error));
    assert_true(history_choose(&again, "new:2026-11", true, "", m, &error));
    assert_true(history_choose(&other, "new:2026-12", true, "", m, &error));
    assert_true(first.new && !first.token_made);
    assert_string_equal(first.position, again.position);
    assert_string_not_equal(first.position, other.position);
    assert_string_equal(first.position + 36, ":77");
    assert_int_equal(first.position[14], '8'); /* the uuid's version */
    /* docs/restore.md: a golden one, for whoever has to derive it by other means */
    assert_string_equal(first.position, "8825964b-f1d4-88cc-a69d-f475d0825eba:77");
    assert_true(history_choose(&made, NULL, true, "", m, &error));
    assert_true(history_choose(&made_again, "new", false, "", m, &error));
    assert_true(made.new &&made.token_made &&strlen(made.token) == 12);
    assert_string_not_equal(made.position, made_again.position);
    assert_true(
        history_choose(&again, NULL, true, made.token, m, &error)); /* after an interruption */
    assert_string_equal(again.position, made.position);
    assert_true(history_choose(&again, "new:2026-11", true, made.token, m, &error));
    assert_string_equal(again.position, first.position);
    assert_true(history_choose(&again, "keep", true, made.token, m, &error));
    assert_false(again.new || again.token[0]);
    free(m);
}

static void a_history_that_can_not_be_is_refused(void **state)
{
    (void)state;
    struct manifest *m = new_manifest();
    static const char *const bad[] = {
        "",        "old",
        "new:",    "new:a b",
        "new:a'b", "newer",
        "keep:1",  "new:0123456789012345678901234567890123456789012345678901234567890123456789"};
    struct history h;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct gb_error error = {0};
        assert_false(history_choose(&h, bad[i], false, "", m, &error));
        assert_int_equal(error.code, GB_bad_value);
    }
    struct gb_error error = {0};
    assert_false(history_choose(&h, "new:x", false, "", m, &error)); /* of a standalone server */
    assert_int_equal(error.code, GB_bad_value);
    free(m);
}

static void the_position_of_a_replica_is_the_latest_of_each_domain(void **state)
{
    (void)state;
    static const struct {
        const char *binlog, *slave, *current, *expected; /* NULL: refused */
    } cases[] = {
        {"0-11-97", "", "0-11-97", "0-11-97"},
        {"0-22-99", "", "0-11-12", "0-22-99"}, /* a Galera node: the last event is another node's */
        {"", "0-1-500", "0-1-500", "0-1-500"}, /* a replica that logs nothing */
        {"0-2-7,1-1-3", "0-1-500", "", "0-1-500,1-1-3"},
        {"4294967295-4294967295-18446744073709551615", "", "",
         "4294967295-4294967295-18446744073709551615"},
        {"", "", "", NULL},
        {"0-1", "", "", NULL},
        {"0-1-2'; DROP", "", "", NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct manifest *m = new_manifest();
        struct gb_error error = {0};
        char gtid[REPLICA_GTID_MAX];
        fact(m, "gtid_binlog_pos", cases[i].binlog);
        fact(m, "gtid_slave_pos", cases[i].slave);
        fact(m, "gtid", cases[i].current);
        assert_int_equal(replica_position(m, gtid, &error), cases[i].expected != NULL);
        if (cases[i].expected)
            assert_string_equal(gtid, cases[i].expected);
        free(m);
    }
}

static void the_statement_names_the_node_unless_it_would_break_it(void **state)
{
    (void)state;
    struct manifest *m = new_manifest();
    char text[REPLICA_STATEMENT_MAX];
    assert_non_null(strstr(replica_statement(m, text), "MASTER_HOST='db1'"));
    snprintf(m->node, sizeof m->node, "db'1");
    assert_non_null(strstr(replica_statement(m, text), "MASTER_HOST='HOST'"));
    free(m);
}

static void servers_that_may_open_a_directory(void **state)
{
    (void)state;
    static const struct {
        const char *here, *source;
        bool fits;
    } cases[] = {
        {"10.11.19-MariaDB-0+deb12u1", "10.11.19-MariaDB-log", true},
        {"10.11.20-MariaDB", "10.11.19-MariaDB", true},
        {"10.11.9-MariaDB", "10.11.19-MariaDB", false},
        {"11.8.6-MariaDB", "10.11.19-MariaDB", false},
        {"10.6.30-MariaDB", "10.11.19-MariaDB", false},
        {"", "10.11.19-MariaDB", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct gb_error error = {0};
        assert_int_equal(
            server_program_fits("/usr/sbin/mariadbd", cases[i].here, cases[i].source, &error),
            cases[i].fits);
        assert_int_equal(error.code, cases[i].fits ? 0 : GB_no_server);
    }
}

static void other_nodes_are_restored_with_the_same_key_and_maps(void **state)
{
    (void)state;
    static const struct restore_map maps[] = {{"/old", "/new"}, {"/a b", "/c"}};
    const struct restore_request request = {
        .datadir = "/d", .galera = true, .safe_to_bootstrap = true, .maps = maps, .map_count = 2};
    const struct restore_plan plan = {.start = RESTORE_FRESH};
    const struct finish_plan finish = {.history = {.new = true, .token = "t"}};
    const struct finish_result result = {0};
    struct manifest *m = new_manifest();
    struct report report = {m, &request, &plan, &finish, &result, NULL, 1, "/repo", NULL};
    for (unsigned i = 0; i < 2; i++) {
        report.key = i ? "/k" : NULL;
        json_t *answer = report_json(&report);
        assert_non_null(answer);
        assert_string_equal(
            json_string_value(json_object_get(answer, "next")),
            i ? "galera_new_cluster on this node; on each other node galera-backup restore "
                "20261121T020000Z-full-1f3a9c2e --repository '/repo' --datadir /d --history new:t "
                "--key '/k' --map '/old=/new' --map '/a b=/c', then start it"
              : "galera_new_cluster on this node; on each other node galera-backup restore "
                "20261121T020000Z-full-1f3a9c2e --repository '/repo' --datadir /d --history new:t "
                "--map '/old=/new' --map '/a b=/c', then start it");
        json_decref(answer);
    }
    free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_pool_for_one_pass_within_the_memory),
        cmocka_unit_test(a_history_is_the_same_for_the_same_token),
        cmocka_unit_test(a_history_that_can_not_be_is_refused),
        cmocka_unit_test(the_position_of_a_replica_is_the_latest_of_each_domain),
        cmocka_unit_test(the_statement_names_the_node_unless_it_would_break_it),
        cmocka_unit_test(other_nodes_are_restored_with_the_same_key_and_maps),
        cmocka_unit_test(servers_that_may_open_a_directory)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
