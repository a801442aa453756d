/* options.h: every command and option of the table, and what is refused, with the exit status of
 * docs/cli.md. */
#include "agent/options.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#define EXIT_USAGE 2
#define WORDS_MAX  16u

/* Parses a command line given as words separated by one space. */
static bool parse(const char *line, struct options *o, struct gb_error *error)
{
    static char copy[512], program[] = "galera-backup";
    char *argv[WORDS_MAX] = {program}, *rest = copy;
    int argc = 1;
    snprintf(copy, sizeof copy, "%s", line);
    for (char *word; *line && (word = strsep(&rest, " "));)
        argv[argc++] = word;
    memset(error, 0, sizeof *error);
    bool ok = options_parse(o, argc, argv, error);
    assert_true(ok == !error->code);
    return ok;
}

static void accepted(const char *line, struct options *o)
{
    struct gb_error error;
    if (!parse(line, o, &error))
        fail_msg("%s: %s", line, error.what);
}

static const char *value_for(const char *option)
{
    return !strcmp(option, "threads")    ? "7"
           : !strcmp(option, "as")       ? "galera"
           : !strcmp(option, "progress") ? "plain"
                                         : "word";
}

static void every_option_has_its_place(void **state)
{
    (void)state;
#define TEXT_OPTION(name, member)                                                                  \
    {                                                                                              \
        name, offsetof(struct options, member), true                                               \
    }
#define SWITCH(name, member)                                                                       \
    {                                                                                              \
        name, offsetof(struct options, member), false                                              \
    }
    static const struct {
        const char *name;
        size_t at;
        bool text;
    } places[] = {
        TEXT_OPTION("config", config),
        TEXT_OPTION("repository", repository),
        TEXT_OPTION("cluster", cluster),
        TEXT_OPTION("type", type),
        TEXT_OPTION("comment", comment),
        TEXT_OPTION("rate", rate),
        TEXT_OPTION("threads", threads),
        TEXT_OPTION("lock-wait", lock_wait),
        TEXT_OPTION("max-duration", max_duration),
        TEXT_OPTION("progress", progress),
        TEXT_OPTION("datadir", datadir),
        TEXT_OPTION("owner", owner),
        TEXT_OPTION("as", as),
        SWITCH("help", help),
        SWITCH("json", json),
        SWITCH("no-wait", no_wait),
        SWITCH("dry-run", dry_run),
        SWITCH("watch", watch),
        SWITCH("safe-to-bootstrap", safe_to_bootstrap),
        SWITCH("yes", yes),
        SWITCH("quick", quick),
    };
    static const struct {
        const char *commands, *name, *argument;
    } table[] = {
#define OPTION(commands, name, argument, description) {commands, #name, argument},
#include "agent/options.def"
#undef OPTION
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        struct options o, empty = {0};
        char line[256], command[16];
        const char *value = value_for(table[i].name);
        size_t at = 0;
        while (at < sizeof places / sizeof places[0] && strcmp(places[at].name, table[i].name))
            at++;
        if (at == sizeof places / sizeof places[0])
            fail_msg("--%s is not in this test", table[i].name);
        assert_int_equal(places[at].text, table[i].argument != NULL);
        /* the first of the option's commands */
        snprintf(command, sizeof command, "%.*s", (int)strcspn(table[i].commands, " "),
                 table[i].commands);
        snprintf(line, sizeof line, "%s%s --%s%s%s", command[0] == '*' ? "list" : command,
                 !strcmp(command, "restore") || !strcmp(command, "verify") ? " latest" : "",
                 table[i].name, places[at].text ? " " : "", places[at].text ? value : "");
        accepted(line, &o);
        const char *field = (const char *)&o + places[at].at;
        if (places[at].text) {
            assert_string_equal(*(const char *const *)field, value);
            *(const char **)(uintptr_t)field = NULL;
        } else {
            assert_true(*(const bool *)field);
            *(bool *)(uintptr_t)field = false;
        }
        /* and nothing else was set */
        o.command = o.argument = NULL;
        if (memcmp(&o, &empty, sizeof o))
            fail_msg("%s sets more than one field", line);
    }
}

static void every_command_of_the_table(void **state)
{
    (void)state;
    static const struct {
        const char *name, *arguments;
    } table[] = {
#define COMMAND(name, arguments, description) {#name, arguments},
#include "agent/options.def"
#undef COMMAND
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        struct options o;
        struct gb_error error;
        char line[64];
        bool wants = table[i].arguments[0], must = wants && table[i].arguments[0] != '[';
        bool ok = parse(table[i].name, &o, &error);
        assert_int_equal(ok, !must);
        if (ok)
            assert_true(!strcmp(o.command, table[i].name) && !o.argument);
        snprintf(line, sizeof line, "%s 20260102", table[i].name);
        ok = parse(line, &o, &error);
        assert_int_equal(ok, wants);
        if (ok)
            assert_true(!strcmp(o.command, table[i].name) && !strcmp(o.argument, "20260102"));
        snprintf(line, sizeof line, "%s 20260102 20260103", table[i].name);
        assert_false(parse(line, &o, &error));
        assert_int_equal(error_exit_status(error.code), EXIT_USAGE);
    }
}

static void words_in_any_order(void **state)
{
    (void)state;
    static const char *const lines[] = {
        "restore latest --datadir /d --dry-run", "--datadir /d restore --dry-run latest",
        "--dry-run --datadir=/d restore latest", "restore --datadir=/d latest --dry-run"};
    struct options o;
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        accepted(lines[i], &o);
        assert_string_equal(o.command, "restore");
        assert_string_equal(o.argument, "latest");
        assert_string_equal(o.datadir, "/d");
        assert_true(o.dry_run);
        assert_false(o.yes);
    }
    accepted("backup --comment a=b", &o);
    assert_string_equal(o.comment, "a=b");
    accepted("backup --comment=--no-wait", &o);
    assert_string_equal(o.comment, "--no-wait");
    assert_false(o.no_wait);
    accepted("backup --comment=", &o);
    assert_string_equal(o.comment, "");
}

static void the_last_of_a_repeated_option_counts(void **state)
{
    (void)state;
    struct options o;
    accepted("backup --rate 5M --rate=7M", &o);
    assert_string_equal(o.rate, "7M");
}

static void threads(void **state)
{
    (void)state;
    struct options o;
    accepted("verify latest", &o);
    assert_int_equal(options_threads(&o), 0);
    accepted("verify latest --threads 1", &o);
    assert_int_equal(options_threads(&o), 1);
    accepted("verify latest --threads=256", &o);
    assert_int_equal(options_threads(&o), 256);
}

static void refused_command_lines(void **state)
{
    (void)state;
    static const struct {
        const char *line;
        enum gb_code code;
        const char *what, *hint; /* words of the message */
    } bad[] = {
        {"", GB_usage, "no command", "--help"},
        {"--json", GB_usage, "no command", ""},
        {"bakcup", GB_usage, "\"bakcup\"", "\"backup\""},
        {"gibberish", GB_usage, "\"gibberish\"", "--help"},
        {"restore", GB_usage, "ID|latest", ""},
        {"list x", GB_usage, "x", ""},
        {"-v", GB_unknown_option, "-v", ""},
        {"list -h", GB_unknown_option, "-h", ""},
        {"list --jsn", GB_unknown_option, "--jsn", "--json"},
        {"list --datadir /d", GB_unknown_option, "--datadir", ""},
        {"--datadir /d list", GB_unknown_option, "list has no option --datadir", ""},
        {"--datdir=/d restore latest", GB_unknown_option, "--datdir", "--datadir"},
        {"restore latest --datadirs=/d", GB_unknown_option, "--datadirs", "--datadir"},
        {"list --", GB_unknown_option, "--", ""},
        {"backup --comment", GB_bad_value, "--comment", ""},
        {"list --repository", GB_bad_value, "--repository", ""},
        {"list --json=yes", GB_bad_value, "--json", ""},
        {"restore latest --yes=", GB_bad_value, "--yes", ""},
        {"backup --threads 0", GB_bad_value, "--threads 0", ""},
        {"backup --threads 257", GB_bad_value, "--threads 257", ""},
        {"backup --threads -1", GB_bad_value, "--threads -1", ""},
        {"backup --threads 2x", GB_bad_value, "--threads 2x", ""},
        {"backup --threads 2.5", GB_bad_value, "--threads 2.5", ""},
        {"backup --threads=", GB_bad_value, "--threads", ""},
        {"backup --threads 99999999999999999999", GB_bad_value, "--threads", ""},
        {"backup --threads 18446744073709551617", GB_bad_value, "--threads", ""},
        {"restore latest --as primary", GB_bad_value, "galera nor standalone", ""},
        {"restore latest --as=", GB_bad_value, "galera nor standalone", ""},
        {"backup --progress loud", GB_bad_value, "--progress loud", ""},
        {"backup --progress=", GB_bad_value, "--progress", ""},
        {"backup --progress ba", GB_bad_value, "--progress ba", ""},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct options o;
        struct gb_error error;
        if (parse(bad[i].line, &o, &error))
            fail_msg("\"%s\" is accepted", bad[i].line);
        if (error.code != bad[i].code || !strstr(error.what, bad[i].what) ||
            !strstr(error.hint, bad[i].hint))
            fail_msg("\"%s\": GB%d %s; %s", bad[i].line, (int)error.code, error.what, error.hint);
        assert_int_equal(error_exit_status(error.code), EXIT_USAGE);
    }
}

/* Refused as such, and not taken for misspellings of others. */
static void names_of_later_releases(void **state)
{
    (void)state;
    static const char *const lines[] = {
        "expire",
        "key",
        "copy",
        "schedule",
        "restore latest --map a=b",
        "restore latest --replace",
        "restore latest --recover",
        "restore latest --history new",
        "restore latest --key file",
        "list --as-of now",
        "backup --node n2",
        "restore latest --as replica",
    };
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        struct options o;
        struct gb_error error;
        assert_false(parse(lines[i], &o, &error));
        if (error.code != GB_not_supported || strstr(error.hint, "perhaps"))
            fail_msg("\"%s\": GB%d %s; %s", lines[i], (int)error.code, error.what, error.hint);
        assert_int_equal(error_exit_status(error.code), EXIT_USAGE);
    }
}

static void help_needs_nothing_else(void **state)
{
    (void)state;
    static const char *const lines[] = {"--help", "restore --help", "--help restore"};
    struct options o;
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        accepted(lines[i], &o);
        assert_true(o.help);
    }
    struct gb_error error;
    assert_false(parse("restore --nonsense --help", &o, &error));
}

/* What options_help() prints. */
static char *help_of(const char *command)
{
    char *text = NULL;
    size_t size;
    FILE *f = open_memstream(&text, &size);
    assert_non_null(f);
    options_help(f, command);
    fclose(f);
    return text;
}

static void help_lists_the_table(void **state)
{
    (void)state;
    char *text = help_of(NULL);
#define COMMAND(name, arguments, description)                                                      \
    assert_non_null(strstr(text, #name));                                                          \
    assert_non_null(strstr(text, description));
#include "agent/options.def"
#undef COMMAND
    free(text);
    text = help_of("set");
    assert_non_null(strstr(text, "--rate BYTES"));
    assert_non_null(strstr(text, "--threads N"));
    assert_non_null(strstr(text, "--config FILE"));
    assert_null(strstr(text, "--datadir"));
    assert_null(strstr(text, "--comment"));
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_option_has_its_place),
        cmocka_unit_test(every_command_of_the_table),
        cmocka_unit_test(words_in_any_order),
        cmocka_unit_test(the_last_of_a_repeated_option_counts),
        cmocka_unit_test(threads),
        cmocka_unit_test(refused_command_lines),
        cmocka_unit_test(names_of_later_releases),
        cmocka_unit_test(help_needs_nothing_else),
        cmocka_unit_test(help_lists_the_table),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
