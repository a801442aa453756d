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
    return !strcmp(option, "threads")      ? "7"
           : !strcmp(option, "as")         ? "galera"
           : !strcmp(option, "progress")   ? "plain"
           : !strcmp(option, "as-of")      ? "2026-01-02T03:04:05Z"
           : !strcmp(option, "map")        ? "/old=/new"
           : !strcmp(option, "replace")    ? "keep"
           : !strcmp(option, "format")     ? "csv"
           : !strcmp(option, "sample")     ? "5%"
           : !strcmp(option, "limit-rate") ? "10M"
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
        TEXT_OPTION("busy-rate", busy_rate),
        TEXT_OPTION("threads", threads),
        TEXT_OPTION("lock-wait", lock_wait),
        TEXT_OPTION("max-duration", max_duration),
        TEXT_OPTION("progress", progress),
        TEXT_OPTION("datadir", datadir),
        TEXT_OPTION("owner", owner),
        TEXT_OPTION("as", as),
        TEXT_OPTION("as-of", as_of),
        TEXT_OPTION("map", maps[0]),
        TEXT_OPTION("replace", replace),
        TEXT_OPTION("limit-rate", limit_rate),
        TEXT_OPTION("donor", donor),
        TEXT_OPTION("history", history),
        TEXT_OPTION("wsrep-uuid", wsrep_uuid),
        TEXT_OPTION("key", key),
        TEXT_OPTION("trusted-signer", trusted_signer),
        TEXT_OPTION("recipient", recipient),
        TEXT_OPTION("kind", kind),
        TEXT_OPTION("sample", sample),
        TEXT_OPTION("verify", verify),
        TEXT_OPTION("format", format),
        TEXT_OPTION("until", until),
        TEXT_OPTION("lock", lock),
        TEXT_OPTION("to", to),
        TEXT_OPTION("repair-from", repair_from),
        SWITCH("hold", hold),
        SWITCH("confirm-mass-expire", confirm_mass_expire),
        SWITCH("help", help),
        SWITCH("json", json),
        SWITCH("no-wait", no_wait),
        SWITCH("dry-run", dry_run),
        SWITCH("watch", watch),
        SWITCH("safe-to-bootstrap", safe_to_bootstrap),
        SWITCH("yes", yes),
        SWITCH("quick", quick),
        SWITCH("restart", restart),
        SWITCH("recover", recover),
        SWITCH("verify-boot", verify_boot),
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
                 !strcmp(command, "restore") || !strcmp(command, "verify") ||
                         !strcmp(command, "repo") || !strcmp(command, "hold") ||
                         !strcmp(command, "catalog") || !strcmp(command, "key") ||
                         !strcmp(command, "copy")
                     ? " word"
                     : "",
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
        o.map_count = 0;
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
        bool two = strchr(table[i].arguments, ' ') != NULL;
        assert_int_equal(parse(line, &o, &error), two);
        if (two) {
            assert_true(!strcmp(o.argument, "20260102") && !strcmp(o.second, "20260103"));
            strcat(line, " 1");
            assert_false(parse(line, &o, &error));
        }
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
        {"info", GB_usage, "ID", ""},
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
        {"restore latest --as primary", GB_bad_value, "galera, standalone and replica", ""},
        {"restore latest --as=", GB_bad_value, "galera, standalone and replica", ""},
        {"restore --as-of now", GB_bad_value, "now", "UTC"},
        {"restore --as-of 2026-01-02", GB_bad_value, "2026-01-02", "UTC"},
        {"restore --as-of 2026-02-29T03:04:05Z", GB_bad_value, "2026-02-29", "UTC"},
        {"restore --as-of 2026-01-02T24:04:05Z", GB_bad_value, "24:04", "UTC"},
        {"restore --as-of 2026-01-02T03:04:05+01:00", GB_bad_value, "+01:00", "UTC"},
        {"restore --as-of 2026-01-02T03:04:05ZZ", GB_bad_value, "ZZ", "UTC"},
        {"restore --as-of 02.01.2026T03:04", GB_bad_value, "02.01", "UTC"},
        {"restore --as-of 2026-01-02T3:4", GB_bad_value, "T3:4", "UTC"},
        {"restore --as-of 2126-01-02T03:04:05Z", GB_bad_value, "future", "latest"},
        {"restore latest --map a=b", GB_bad_value, "a=b", ""},
        {"restore latest --map /a", GB_bad_value, "/a", ""},
        {"restore latest --map /a=b", GB_bad_value, "/a=b", ""},
        {"restore latest --map /a=/b=/c", GB_bad_value, "/a=/b=/c", ""},
        {"restore latest --replace", GB_bad_value, "--replace", ""},
        {"restore latest --replace move", GB_bad_value, "keep nor delete", ""},
        {"restore latest --limit-rate 0", GB_bad_value, "--limit-rate 0", ""},
        {"restore latest --limit-rate fast", GB_bad_value, "fast", ""},
        {"restore latest --limit-rate -1M", GB_bad_value, "-1M", ""},
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

static void times_and_rates(void **state)
{
    (void)state;
    static const struct {
        const char *line;
        time_t when;
        uint64_t rate;
    } good[] = {
        {"restore --as-of 2026-01-02T03:04:05Z", 1767323045, 0},
        {"restore --as-of 2026-01-02T03:04:05", 1767323045, 0},
        {"restore --as-of=2026-01-02T03:04", 1767323040, 0},
        {"restore --as-of 2024-02-29T00:00Z", 1709164800, 0},
        {"restore latest --limit-rate 10M", 0, 10 << 20},
        {"restore latest --limit-rate 4096", 0, 4096},
    };
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        struct options o;
        accepted(good[i].line, &o);
        assert_int_equal(options_as_of(&o), good[i].when);
        assert_int_equal(options_limit_rate(&o), good[i].rate);
    }
    struct options o;
    accepted("restore latest --map /a=/b --map=/c=/d", &o);
    assert_int_equal(o.map_count, 2);
    assert_string_equal(o.maps[0], "/a=/b");
    assert_string_equal(o.maps[1], "/c=/d");
}

/* Refused as such, and not taken for misspellings of others. */
static void names_of_later_releases(void **state)
{
    (void)state;
    static const char *const lines[] = {
        "schedule",
        "backup --node n2",
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
        cmocka_unit_test(times_and_rates),
        cmocka_unit_test(names_of_later_releases),
        cmocka_unit_test(help_needs_nothing_else),
        cmocka_unit_test(help_lists_the_table),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
