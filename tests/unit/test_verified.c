/* verified.h: what a verification found is kept; damage stands until all of it has been read again;
 * a changed record is none. */
#include "agent/repository/verified.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/unit/temporary_storage.h"

#define ID "20260102T030405Z-full-00000001"

static struct verified found(bool deep, bool damaged, unsigned percent, time_t at,
                             const struct verified *last)
{
    struct verified now = {.verified_at = at, .deep = deep, .damaged = damaged, .percent = percent};
    if (percent)
        now.round[deep] = verified_next(last, deep, percent);
    if (damaged)
        snprintf(now.problem[now.problem_count++], sizeof now.problem[0], "found at %lld",
                 (long long)at);
    verified_merge(&now, last);
    return now;
}

static void words(void **state)
{
    (void)state;
    struct verified v = {0};
    assert_string_equal(verified_word(&v), "none");
    v.verified_at = 1;
    assert_string_equal(verified_word(&v), "quick");
    v.deep = true;
    assert_string_equal(verified_word(&v), "deep");
    v.damaged = true;
    assert_string_equal(verified_word(&v), "damaged");
}

/* Each part has its turn before any has a second one, whatever the percentage; the other level has
 * a round of its own. */
static void every_part_has_its_turn(void **state)
{
    (void)state;
    for (unsigned percent = 1; percent < 100; percent++) {
        struct verified v = {0};
        unsigned turns = (99 + percent) / percent, seen[100] = {0};
        for (unsigned i = 0; i < 2 * turns; i++) {
            v = found(true, false, percent, 1 + i, &v);
            assert_int_equal(v.round[1].turns, turns);
            assert_true(v.round[1].turn < turns && v.percent == percent);
            seen[v.round[1].turn]++;
            if (i % 3 == 0)
                v = found(false, false, 50, 1 + i, &v);
            assert_int_equal(v.deep_at != 0, i + 1 >= turns);
        }
        for (unsigned i = 0; i < turns; i++)
            assert_int_equal(seen[i], 2);
    }
    struct verified v = {0};
    v = found(true, false, 10, 5, &v);
    v = found(true, false, 10, 6, &v);
    assert_int_equal(v.round[1].turn, 1);
    v = found(true, false, 20, 7, &v); /* another percentage: another round */
    assert_true(v.round[1].turn == 0 && v.round[1].turns == 5 && v.round[1].clean == 1);
}

static void damage_stands(void **state)
{
    (void)state;
    struct verified none = {0}, damaged = found(true, true, 0, 10, &none), v;
    assert_true(damaged.damaged && damaged.problem_count == 1);
    /* a quick look does not clear what a deep one has found, nor does a part */
    v = found(false, false, 0, 20, &damaged);
    assert_true(v.damaged && v.deep && v.verified_at == 20 && v.deep_at == 0);
    assert_string_equal(v.problem[0], "found at 10");
    v = found(true, false, 50, 30, &v);
    assert_true(v.damaged);
    /* all parts together do, one after another */
    assert_false(found(true, false, 50, 40, &v).damaged);
    assert_int_equal(found(true, false, 50, 40, &v).deep_at, 40);
    /* damage in between begins it anew */
    struct verified again = found(true, true, 50, 40, &v);
    assert_true(again.damaged && again.round[1].clean == 0);
    assert_string_equal(again.problem[0], "found at 40");
    again = found(true, false, 50, 50, &again);
    assert_true(again.damaged);
    assert_false(found(true, false, 50, 60, &again).damaged);
    /* all of it at once does */
    v = found(true, false, 0, 70, &damaged);
    assert_true(!v.damaged && v.deep_at == 70 && v.problem_count == 0);
    /* what a quick look has found a quick one clears, and a deep one */
    struct verified quick = found(false, true, 0, 10, &none);
    assert_false(found(false, false, 0, 20, &quick).damaged);
    assert_false(found(true, false, 0, 20, &quick).damaged);
    /* a quick one keeps when it was last read deep; damage does not */
    v = found(true, false, 0, 80, &none);
    v = found(false, false, 0, 90, &v);
    assert_true(v.deep_at == 80 && !v.deep && v.verified_at == 90);
    v = found(false, true, 0, 95, &v);
    assert_int_equal(v.deep_at, 0);
}

static void what_is_written_is_read(void **state)
{
    (void)state;
    struct gb_error error = {0};
    struct repository r = {.storage = storage};
    struct verified none = {0}, v = found(false, false, 30, 1700000000, &none), read;
    assert_true(verified_read(&read, &r, "c", ID, &error));
    assert_int_equal(read.verified_at, 0);
    v = found(true, true, 7, 1700000100, &v);
    for (unsigned i = v.problem_count; i < VERIFIED_PROBLEMS_MAX; i++, v.problem_count++)
        snprintf(v.problem[i], sizeof v.problem[0], "caf\xc3\xa9 \"%u\"\n", i);
    assert_true(verified_write(&v, &r, "c", ID, &error));
    assert_true(verified_read(&read, &r, "c", ID, &error));
    assert_memory_equal(&read, &v, sizeof v);
    v = found(true, false, 0, 1700000200, &v);
    assert_true(verified_write(&v, &r, "c", ID, &error)); /* over the one that is there */
    assert_true(verified_read(&read, &r, "c", ID, &error));
    assert_memory_equal(&read, &v, sizeof v);
}

static void a_changed_record_is_none(void **state)
{
    (void)state;
    static const char name[] = "c/backups/" ID "/" VERIFIED_NAME;
    struct gb_error error = {0};
    struct repository r = {.storage = storage};
    struct verified v = {.verified_at = 1700000000}, read;
    size_t size;
    assert_true(verified_write(&v, &r, "c", ID, &error));
    char *text = storage_read_all(storage, name, 1 << 20, &size, &error);
    assert_non_null(text);
    for (size_t at = 0; at < size; at++)
        for (unsigned bit = 0; bit < 8; bit++) {
            struct gb_error why = {0};
            text[at] ^= (char)(1u << bit);
            assert_true(storage_replace(storage, name, text, size, &error));
            assert_false(verified_read(&read, &r, "c", ID, &why));
            assert_true(why.code == GB_corrupt_backup && strstr(why.what, name) &&
                        read.verified_at == 0);
            text[at] ^= (char)(1u << bit);
            bit += at % 8; /* of some bytes all bits, of the others some */
        }
    for (size_t cut = 0; cut < size; cut += 7) {
        struct gb_error why = {0};
        assert_true(storage_replace(storage, name, text, cut, &error));
        assert_false(verified_read(&read, &r, "c", ID, &why));
        assert_int_equal(why.code, GB_corrupt_backup);
    }
    /* another backup's */
    assert_true(storage_replace(storage, "c/backups/20260102T030405Z-full-00000002/" VERIFIED_NAME,
                                text, size, &error));
    assert_false(verified_read(&read, &r, "c", "20260102T030405Z-full-00000002", &error));
    assert_true(error.code == GB_corrupt_backup && strstr(error.what, "another backup"));
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words),
        cmocka_unit_test(every_part_has_its_turn),
        cmocka_unit_test(damage_stands),
        cmocka_unit_test_setup_teardown(what_is_written_is_read, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_changed_record_is_none, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
