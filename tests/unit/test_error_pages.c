/* docs/errors.md and docs/troubleshooting.md are what common/errors.def says. GB_WRITE_PAGES=1
 * writes them anew. */
#include "common/error.h"

#include <ctype.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct row {
    enum gb_code code;
    const char *cause;
};

static const struct row rows[] = {
#define GB_ERROR(number, name, class_, exit_status, cause, hint) {GB_##name, cause},
#include "common/errors.def"
#undef GB_ERROR
};

#define ROWS (sizeof rows / sizeof rows[0])

static const struct {
    unsigned from, to;
    const char *title;
} chapters[] = {
    {1000, 1999, "What was asked for"},
    {2000, 2099, "Before a backup begins"},
    {2100, 2199, "While a backup runs"},
    {2200, 2299, "What the backup read"},
    {2400, 2499, "Warnings of a backup that succeeded"},
    {3000, 3999, "Agent and repository"},
    {4000, 4199, "Restore"},
    {4200, 4999, "Save"},
    {5000, 5999, "Command line and connection"},
    {9000, 9999, "Defects"},
};

/* By class: GB_CLASS_RETRY is the first. */
static const struct {
    enum gb_class class;
    const char *meaning;
} classes[] = {
    {GB_CLASS_RETRY,
     "nothing is wrong for good: start again, now or when what the message names has ended"},
    {GB_CLASS_CONFIG, "a setting or the machine has to be changed first"},
    {GB_CLASS_CORRUPTION, "data are damaged: find out how far before anything else"},
    {GB_CLASS_CLUSTER, "the node or the cluster is not in the state that a backup needs"},
    {GB_CLASS_USAGE, "the call was not meant so, or not possible"},
    {GB_CLASS_INTERNAL, "a defect, here or in what is installed"},
};

/* As the pages have it. */
static const char *class_of(enum gb_code code)
{
    static char name[32];
    snprintf(name, sizeof name, "%s", error_class_name(code));
    for (char *c = name; *c; c++)
        *c = (char)tolower(*c);
    return name;
}

static void write_table(FILE *f)
{
    fputs("# Errors\n\nMade from common/errors.def. SQL error number = 20000 + the number; "
          "SQLSTATE 45000. Class says what to do.\n"
          "What brings each about is in [troubleshooting.md](troubleshooting.md).\n\n"
          "| | name | class | exit status | usual remedy |\n|---|---|---|---|---|\n",
          f);
    for (size_t i = 0; i < ROWS; i++)
        fprintf(f, "| GB%04d | %s | %s | %d | %s |\n", (int)rows[i].code, error_name(rows[i].code),
                class_of(rows[i].code), error_exit_status(rows[i].code),
                error_default_hint(rows[i].code));
}

static void write_chapter(FILE *f, size_t chapter)
{
    fprintf(f, "\n## %s\n", chapters[chapter].title);
    for (size_t i = 0; i < ROWS; i++) {
        enum gb_code c = rows[i].code;
        if (c < chapters[chapter].from || c > chapters[chapter].to)
            continue;
        fprintf(f,
                "\n### GB%04d %s\n\nCause: %s.\n\nRemedy: %s.\n\nClass %s, SQL error %d, exit "
                "status %d.\n",
                (int)c, error_name(c), rows[i].cause, error_default_hint(c), class_of(c),
                20000 + (int)c, error_exit_status(c));
    }
}

static void write_causes(FILE *f)
{
    fputs("# Troubleshooting\n\nMade from common/errors.def: every error, what brings it about, "
          "what to do. A message is\n"
          "`GBnnnn name: what; do: remedy`: it names the file, session, path or node, and its "
          "remedy may "
          "be more exact than the one here.\n\n"
          "Whatever an error says of a backup: the node is unlocked, desync is off if the backup "
          "had set it, and nothing\n"
          "is listed as a backup that is not one. One that failed while it was committed may be "
          "there: `galera-backup list`. `galera-backup log ID` (or `CALL "
          "galera_backup.BACKUP_LOG(ID)`) tells what happened stage\n"
          "by stage; the server's error log has the same under the prefix `galera_backup:` and the "
          "agent's log its own side.\n\n"
          "| class | means |\n|---|---|\n",
          f);
    for (size_t i = 0; i < sizeof classes / sizeof classes[0]; i++)
        for (size_t j = 0; j < ROWS; j++)
            if (error_class(rows[j].code) == classes[i].class) {
                fprintf(f, "| %s | %s |\n", class_of(rows[j].code), classes[i].meaning);
                break;
            }
    for (size_t i = 0; i < sizeof chapters / sizeof chapters[0]; i++)
        write_chapter(f, i);
}

/* The page as it must be, malloc'ed. */
static char *page_of(void (*write)(FILE *))
{
    char *text = NULL;
    size_t size;
    FILE *f = open_memstream(&text, &size);
    assert_non_null(f);
    write(f);
    assert_int_equal(fclose(f), 0);
    return text;
}

static char *read_page(const char *path)
{
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    char *text = NULL;
    size_t size = 0;
    ssize_t n = getdelim(&text, &size, '\0', f);
    fclose(f);
    assert_true(n > 0);
    return text;
}

static void check_page(const char *name, void (*write)(FILE *))
{
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", GB_TEST_DOCS, name);
    char *wanted = page_of(write);
    if (getenv("GB_WRITE_PAGES")) {
        FILE *f = fopen(path, "w");
        assert_non_null(f);
        fputs(wanted, f);
        assert_int_equal(fclose(f), 0);
    }
    char *found = read_page(path);
    if (strcmp(wanted, found))
        fail_msg("docs/%s is not what common/errors.def says: run this test with GB_WRITE_PAGES=1 "
                 "and read the page",
                 name);
    free(found);
    free(wanted);
}

static void errors_is_the_table(void **state)
{
    (void)state;
    check_page("errors.md", write_table);
}

static void troubleshooting_has_each_cause(void **state)
{
    (void)state;
    check_page("troubleshooting.md", write_causes);
}

static void each_has_a_cause_and_a_chapter(void **state)
{
    (void)state;
    for (size_t i = 0; i < ROWS; i++) {
        size_t n = strlen(rows[i].cause), in = 0;
        assert_true(n > 20 && rows[i].cause[n - 1] != '.');
        for (size_t j = 0; j < sizeof chapters / sizeof chapters[0]; j++)
            in += rows[i].code >= chapters[j].from && rows[i].code <= chapters[j].to;
        assert_int_equal(in, 1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(errors_is_the_table),
        cmocka_unit_test(troubleshooting_has_each_cause),
        cmocka_unit_test(each_has_a_cause_and_a_chapter),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
