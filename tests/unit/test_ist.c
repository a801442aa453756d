/* Which positions can be joined by IST: Galera's rule, and what is told. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "agent/mariadb/nodes.h"

#include <stdio.h>
#include <string.h>

#define UUID  "3c8b6a42-e5a1-11f1-a2a5-3ec48c85df0a"
#define OTHER "00000000-e5a1-11f1-a2a5-3ec48c85df0a"

static void add(struct ist_donors *d, const char *node, int64_t downto, int64_t last)
{
    struct ist_donor *one = &d->list[d->count++];
    *one = (struct ist_donor){.cached_downto = downto,
                              .last_committed = last,
                              .gcache_bytes = 1 << 20,
                              .written_bytes_s = 1000,
                              .writeset_bytes = 500};
    snprintf(one->node, sizeof one->node, "%s", node);
    snprintf(one->uuid, sizeof one->uuid, UUID);
}

static enum ist_answer predict(const struct ist_donors *d, const char *uuid, int64_t seqno,
                               struct ist_prediction *p)
{
    char position[80];
    snprintf(position, sizeof position, "%s:%lld", uuid, (long long)seqno);
    ist_predict(d, position, p);
    return p->answer;
}

static void nothing_known_is_unknown(void **state)
{
    struct ist_donors d = {.count = 0};
    struct ist_prediction p;
    assert_int_equal(predict(&d, UUID, 7, &p), IST_UNKNOWN);
    assert_int_equal(p.behind, -1);
    add(&d, "db1", 1, 100);
    ist_predict(&d, "", &p);
    assert_int_equal(p.answer, IST_UNKNOWN);
}

static void the_lowest_of_the_group_and_the_gap_decide(void **state)
{
    struct ist_donors d = {.count = 0};
    struct ist_prediction p;
    add(&d, "db1", 5000, 13800);
    add(&d, "db2", 1000, 13800);
    /* 12,800 write-sets are cached: the gap is 100 */
    assert_int_equal(predict(&d, UUID, 1100, &p), IST_YES);
    assert_int_equal(p.lowest, 1100);
    assert_int_equal(p.behind, 12700);
    assert_string_equal(p.nodes, "db2");
    assert_int_equal(predict(&d, UUID, 1099, &p), IST_NO);
    assert_string_equal(p.nodes, "");
    assert_int_equal(predict(&d, UUID, 5000, &p), IST_YES);
    assert_string_equal(p.nodes, "db1, db2");
}

static void the_gap_has_a_limit(void **state)
{
    struct ist_donors d = {.count = 0};
    struct ist_prediction p;
    add(&d, "db1", 1, INT64_C(1) << 40);
    assert_int_equal(predict(&d, UUID, (1 << 20) + 1, &p), IST_YES);
    assert_int_equal(predict(&d, UUID, 1 << 20, &p), IST_NO);
}

static void a_position_of_the_future_is_not_behind(void **state)
{
    struct ist_donors d = {.count = 0};
    struct ist_prediction p;
    add(&d, "db1", 1, 100);
    assert_int_equal(predict(&d, UUID, 101, &p), IST_YES);
    assert_int_equal(p.behind, 0);
}

static void another_history_is_not_joined(void **state)
{
    struct ist_donors d = {.count = 0};
    struct ist_prediction p;
    char text[256];
    add(&d, "db1", 1, 100);
    assert_int_equal(predict(&d, OTHER, 50, &p), IST_NO);
    assert_int_equal(p.behind, -1);
    ist_text(&p, text, sizeof text);
    assert_non_null(strstr(text, "another history"));
    assert_int_equal(predict(&d, "3c8b6a42", 50, &p), IST_NO);
}

static void sizes_and_times_come_from_the_rate(void **state)
{
    struct ist_donors d = {.count = 0};
    struct ist_prediction p;
    add(&d, "db1", 1, 2000);
    assert_int_equal(predict(&d, UUID, 1000, &p), IST_YES);
    assert_int_equal(p.needs_bytes, 1000 * 500 * 5 / 4);
    assert_int_equal(p.day_bytes, UINT64_C(1000) * 86400 * 5 / 4);
    assert_int_equal(p.left_s, ((1 << 20) - 1000 * 500) / 1000);
}

static void gcache_size_is_read_with_its_unit(void **state)
{
    assert_int_equal(ist_gcache_bytes("gcache.recover = yes; gcache.size = 2M; gcomm.x = 1"),
                     2 << 20);
    assert_int_equal(ist_gcache_bytes("gcache.size=128K"), 128 << 10);
    assert_true(ist_gcache_bytes("a = b;gcache.size = 3G;") == UINT64_C(3) << 30);
    assert_true(ist_gcache_bytes("gcache.size = 1T") == UINT64_C(1) << 40);
    assert_int_equal(ist_gcache_bytes("gcache.size = 134217728; x = 1"), 134217728);
    assert_int_equal(ist_gcache_bytes("gcache.keep_pages_size = 5; gcache.page_size = 128M"), 0);
    assert_int_equal(ist_gcache_bytes(""), 0);
}

static struct ist_facts facts(int64_t downto, int64_t last)
{
    return (struct ist_facts){.donor = {.cached_downto = downto, .last_committed = last}};
}

static void a_row_is_renewed_when_the_window_has_moved(void **state)
{
    struct ist_facts was = facts(1000, 9000), little = facts(1050, 9090),
                     grown = facts(1000, 10200), moved = facts(2100, 9090), idle = facts(1, 3),
                     idle_later = facts(1, 90);
    assert_false(nodes_changed(&was, &was));
    assert_false(nodes_changed(&was, &little));
    assert_true(nodes_changed(&was, &grown));
    assert_true(nodes_changed(&was, &moved));
    assert_false(nodes_changed(&idle, &idle_later));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_known_is_unknown),
        cmocka_unit_test(the_lowest_of_the_group_and_the_gap_decide),
        cmocka_unit_test(the_gap_has_a_limit),
        cmocka_unit_test(a_position_of_the_future_is_not_behind),
        cmocka_unit_test(another_history_is_not_joined),
        cmocka_unit_test(sizes_and_times_come_from_the_rate),
        cmocka_unit_test(gcache_size_is_read_with_its_unit),
        cmocka_unit_test(a_row_is_renewed_when_the_window_has_moved),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
