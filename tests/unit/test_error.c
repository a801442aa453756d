/* error.h: the first error wins, texts are cut but never run over, the table is consistent. */
#include "common/error.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

static const enum gb_code codes[] = {
#define GB_ERROR(number, name, class_, exit_status, cause, hint) GB_##name,
#include "common/errors.def"
#undef GB_ERROR
};

#define CODES (sizeof codes / sizeof codes[0])

static void the_first_error_wins(void **state)
{
    (void)state;
    struct gb_error e = {0};
    assert_false(error_set(&e, GB_no_space, "%s is full", "/repo"));
    assert_false(error_set(&e, GB_internal, "a consequence"));
    assert_int_equal(e.code, GB_no_space);
    assert_string_equal(e.what, "/repo is full");
    assert_string_equal(e.hint, error_default_hint(GB_no_space));
    error_clear(&e);
    assert_int_equal(e.code, GB_OK);
    error_set(&e, GB_internal, "another");
    assert_string_equal(e.what, "another");
    assert_false(error_set(NULL, GB_internal, "nobody listens"));
}

static void errno_is_appended(void **state)
{
    (void)state;
    struct gb_error e = {0};
    assert_false(error_set_errno(&e, GB_io_error, ENOENT, "t1.ibd can't be read"));
    assert_string_equal(e.what, "t1.ibd can't be read: No such file or directory");
    error_clear(&e);
    error_set_errno(&e, GB_io_error, 0, "t1.ibd is too short");
    assert_string_equal(e.what, "t1.ibd is too short");
}

static void long_texts_are_cut(void **state)
{
    (void)state;
    char text[2 * GB_ERROR_TEXT_MAX];
    memset(text, 'a', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    struct gb_error e = {0};
    error_set_errno(&e, GB_io_error, ENOENT, "%s", text);
    assert_int_equal(strlen(e.what), GB_ERROR_TEXT_MAX - 1);
    error_hint(&e, "%s", text);
    assert_int_equal(strlen(e.hint), GB_ERROR_HINT_MAX - 1);
    /* the reason is cut where it only fits in part */
    text[GB_ERROR_TEXT_MAX - 10] = '\0';
    error_clear(&e);
    error_set_errno(&e, GB_io_error, ENOENT, "%s", text);
    assert_int_equal(strlen(e.what), GB_ERROR_TEXT_MAX - 1);
    char small[16];
    assert_string_equal(error_format(&e, small, sizeof small), "GB2108 io_error");
}

static void hints(void **state)
{
    (void)state;
    struct gb_error e = {0};
    error_hint(&e, "for nothing");
    assert_string_equal(e.hint, "");
    error_set(&e, GB_no_space, "full");
    error_hint(&e, "free %d GiB", 7);
    assert_string_equal(e.hint, "free 7 GiB");
    char line[1024];
    assert_string_equal(error_format(&e, line, sizeof line), "GB3002 no_space: full; free 7 GiB");
}

static void copying_keeps_the_first(void **state)
{
    (void)state;
    struct gb_error from = {0}, to = {0};
    error_set(&from, GB_cancelled, "by root");
    error_copy(&to, &from);
    assert_int_equal(to.code, GB_cancelled);
    assert_string_equal(to.what, "by root");
    error_clear(&from);
    error_set(&from, GB_internal, "later");
    error_copy(&to, &from);
    assert_int_equal(to.code, GB_cancelled);
}

static void the_table_is_consistent(void **state)
{
    (void)state;
    for (size_t i = 0; i < CODES; i++) {
        enum gb_code c = codes[i];
        for (size_t j = 0; j < i; j++) {
            assert_int_not_equal(codes[j], c);
            assert_string_not_equal(error_name(codes[j]), error_name(c));
        }
        assert_int_equal(error_from_number((unsigned)c), c);
        assert_true(error_class(c) > GB_CLASS_NONE && error_class(c) <= GB_CLASS_INTERNAL);
        assert_true((error_exit_status(c) == 0) == (c >= 2400 && c < 2500)); /* warnings */
        assert_true(error_exit_status(c) >= 0 && error_exit_status(c) < 126);
        assert_true(strlen(error_default_hint(c)) > 0);
        assert_true(strlen(error_default_hint(c)) < GB_ERROR_HINT_MAX);
        assert_true(strlen(error_name(c)) > 0 && strlen(error_class_name(c)) > 0);
    }
}

static void codes_outside_the_table(void **state)
{
    (void)state;
    assert_int_equal(error_from_number(0), GB_OK);
    assert_int_equal(error_from_number(65535), GB_internal);
    assert_string_equal(error_name((enum gb_code)65535), "internal");
    assert_int_equal(error_class(GB_OK), GB_CLASS_NONE);
    assert_int_equal(error_exit_status(GB_OK), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_error_wins),    cmocka_unit_test(errno_is_appended),
        cmocka_unit_test(long_texts_are_cut),      cmocka_unit_test(hints),
        cmocka_unit_test(copying_keeps_the_first), cmocka_unit_test(the_table_is_consistent),
        cmocka_unit_test(codes_outside_the_table),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
