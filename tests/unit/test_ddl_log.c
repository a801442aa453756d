/* ddl_log.h: lines as the server writes them, and which files they name. */
#include "plugin/ddl_log.c"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

static struct ddl_names names;

static int tear_down(void **state)
{
    (void)state;
    ddl_names_free(&names);
    return 0;
}

static void lines_are_split_into_their_fields(void **state)
{
    (void)state;
    char text[] = "2026-11-21 18:05:00\tRENAME\tInnoDB\t0\ta\tone\tuuid\tInnoDB\t0\tb\ttwo\tuuid\n"
                  "2026-11-21 18:05:01\tDROP\tMyISAM";
    char *rest = text;
    struct ddl_entry e;
    assert_true(ddl_log_split(ddl_log_line(&rest), &e));
    assert_string_equal(e.field[DDL_QUERY], "RENAME");
    assert_string_equal(e.field[DDL_ORG_DB], "a");
    assert_string_equal(e.field[DDL_ORG_TABLE], "one");
    assert_string_equal(e.field[DDL_NEW_ENGINE], "InnoDB");
    assert_string_equal(e.field[DDL_NEW_DB], "b");
    assert_string_equal(e.field[DDL_NEW_TABLE], "two");
    assert_false(ddl_log_split(ddl_log_line(&rest), &e));
    assert_null(ddl_log_line(&rest));
}

static void files_of_named_tables_are_known(void **state)
{
    (void)state;
    const char *table[] = {"two", "one", "one", "one@002edot", "three"};
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        assert_true(ddl_names_add(&names, "a", table[i]));
    ddl_names_sort(&names);
    assert_int_equal(names.count, 4);
    assert_true(ddl_names_have(&names, "a/one.frm"));
    assert_true(ddl_names_have(&names, "a/two.MYD"));
    assert_true(ddl_names_have(&names, "a/three#P#p0.MAI"));
    assert_true(ddl_names_have(&names, "a/one@002edot.frm"));
    assert_false(ddl_names_have(&names, "a/on.frm"));
    assert_false(ddl_names_have(&names, "a/one2.frm"));
    assert_false(ddl_names_have(&names, "b/one.frm"));
    assert_false(ddl_names_have(&names, "a"));
    assert_false(ddl_names_have(&names, "one.frm"));
}

static void all_files_of_a_named_database_are_known(void **state)
{
    (void)state;
    assert_true(ddl_names_add(&names, "a", ""));
    assert_true(ddl_names_add(&names, "b", "t"));
    ddl_names_sort(&names);
    assert_true(ddl_names_have(&names, "a/db.opt"));
    assert_true(ddl_names_have(&names, "a/t#P#p0.ibd"));
    assert_false(ddl_names_have(&names, "ab/db.opt"));
    assert_false(ddl_names_have(&names, "b/db.opt"));
}

static void none_is_known_where_nothing_is_named(void **state)
{
    (void)state;
    ddl_names_sort(&names);
    assert_false(ddl_names_have(&names, "a/one.frm"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_are_split_into_their_fields),
        cmocka_unit_test_teardown(files_of_named_tables_are_known, tear_down),
        cmocka_unit_test_teardown(all_files_of_a_named_database_are_known, tear_down),
        cmocka_unit_test_teardown(none_is_known_where_nothing_is_named, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
