/* The command line; see options.h. */
#include "agent/options.h"
#include "agent/utc.h"
#include "common/nearest.h"

#include <stdlib.h>
#include <string.h>

#define THREADS_MAX 256

struct command {
    const char *name, *arguments, *description;
};

static const struct command commands[] = {
#define COMMAND(name, arguments, description) {#name, arguments, description},
#include "agent/options.def"
#undef COMMAND
};

struct option {
    const char *commands, *name, *argument, *description;
};

static const struct option table[] = {
#define OPTION(commands, name, argument, description) {commands, #name, argument, description},
#include "agent/options.def"
#undef OPTION
};

#define COUNT(a) (sizeof(a) / sizeof(a)[0])

/* Names that later releases bring. */
static const char *const later_commands[] = {"schedule", "nodes",  "consolidate", "extract",
                                             "drill",    "binlog", "rejoin",      "diagnose"};
static const char *const later_options[] = {"node"};

static bool belongs(const struct option *o, const char *command)
{
    if (!strcmp(o->commands, "*"))
        return true;
    size_t n = strlen(command);
    for (const char *at = o->commands; (at = strstr(at, command)); at += n)
        if ((at == o->commands || at[-1] == ' ') && (at[n] == ' ' || !at[n]))
            return true;
    return false;
}

static bool is_among(const char *const *list, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (!strcmp(list[i], name))
            return true;
    return false;
}

static const struct command *find_command(const char *name, struct gb_error *error)
{
    const char *nearest = NULL;
    unsigned least = NEAREST_MAX + 1;
    for (size_t i = 0; i < COUNT(commands); i++) {
        unsigned d = nearest_distance(name, commands[i].name);
        if (!d)
            return &commands[i];
        if (d < least) {
            least = d;
            nearest = commands[i].name;
        }
    }
    bool later = is_among(later_commands, COUNT(later_commands), name);
    if (later)
        error_set(error, GB_not_supported, "the command %s is not supported by this release", name);
    else
        error_set(error, GB_usage, "there is no command \"%s\"", name);
    if (nearest && !later)
        error_hint(error, "perhaps \"%s\" was meant; see galera-backup --help", nearest);
    return NULL;
}

static const struct option *find_option(const char *name, size_t length, const char *command,
                                        struct gb_error *error)
{
    char text[64];
    snprintf(text, sizeof text, "%.*s", (int)length, name);
    const char *nearest = NULL;
    unsigned least = NEAREST_MAX + 1;
    for (size_t i = 0; i < COUNT(table); i++) {
        unsigned d = nearest_distance(text, table[i].name);
        bool mine = !command || belongs(&table[i], command);
        if (!d && mine)
            return &table[i];
        if (mine && d < least) {
            least = d;
            nearest = table[i].name;
        }
    }
    bool later = is_among(later_options, COUNT(later_options), text);
    if (later)
        error_set(error, GB_not_supported, "the option --%s is not supported by this release",
                  text);
    else
        error_set(error, GB_unknown_option, "%s has no option --%s",
                  command ? command : "galera-backup", text);
    if (nearest && !later)
        error_hint(error, "perhaps --%s was meant; see galera-backup %s --help", nearest,
                   command ? command : "");
    return NULL;
}

/* False if there is no room for one more. */
static bool store(struct options *o, const char *name, const char *value)
{
    if (!strcmp(name, "map")) {
        if (o->map_count == OPTIONS_MAPS_MAX)
            return false;
        o->maps[o->map_count++] = value;
        return true;
    }
    const struct {
        const char *name;
        const char **text;
        bool *flag;
    } places[] = {
        {"config", &o->config, NULL},
        {"repository", &o->repository, NULL},
        {"cluster", &o->cluster, NULL},
        {"type", &o->type, NULL},
        {"comment", &o->comment, NULL},
        {"rate", &o->rate, NULL},
        {"busy-rate", &o->busy_rate, NULL},
        {"threads", &o->threads, NULL},
        {"lock-wait", &o->lock_wait, NULL},
        {"max-duration", &o->max_duration, NULL},
        {"progress", &o->progress, NULL},
        {"datadir", &o->datadir, NULL},
        {"owner", &o->owner, NULL},
        {"as", &o->as, NULL},
        {"help", NULL, &o->help},
        {"json", NULL, &o->json},
        {"no-wait", NULL, &o->no_wait},
        {"dry-run", NULL, &o->dry_run},
        {"watch", NULL, &o->watch},
        {"safe-to-bootstrap", NULL, &o->safe_to_bootstrap},
        {"yes", NULL, &o->yes},
        {"quick", NULL, &o->quick},
        {"as-of", &o->as_of, NULL},
        {"replace", &o->replace, NULL},
        {"limit-rate", &o->limit_rate, NULL},
        {"restart", NULL, &o->restart},
        {"donor", &o->donor, NULL},
        {"recover", NULL, &o->recover},
        {"verify-boot", NULL, &o->verify_boot},
        {"history", &o->history, NULL},
        {"wsrep-uuid", &o->wsrep_uuid, NULL},
        {"sample", &o->sample, NULL},
        {"verify", &o->verify, NULL},
        {"format", &o->format, NULL},
        {"to", &o->to, NULL},
        {"repair-from", &o->repair_from, NULL},
        {"until", &o->until, NULL},
        {"lock", &o->lock, NULL},
        {"hold", NULL, &o->hold},
        {"confirm-mass-expire", NULL, &o->confirm_mass_expire},
        {"key", &o->key, NULL},
        {"trusted-signer", &o->trusted_signer, NULL},
        {"recipient", &o->recipient, NULL},
        {"kind", &o->kind, NULL},
    };
    for (size_t i = 0; i < COUNT(places); i++)
        if (!strcmp(places[i].name, name)) {
            if (places[i].text)
                *places[i].text = value;
            else
                *places[i].flag = true;
        }
    return true;
}

static bool check_as_of(const struct options *o, struct gb_error *error)
{
    time_t t = utc_parse(o->as_of);
    if (t < 0) {
        error_set(error, GB_bad_value, "--as-of %s is not a time", o->as_of);
        error_hint(error, "give it in UTC, with date and time: 2026-11-21T03:00:00Z");
        return false;
    }
    if (t > time(NULL)) {
        error_set(error, GB_bad_value, "--as-of %s is in the future (times are UTC)", o->as_of);
        error_hint(error, "\"latest\" is the newest backup");
        return false;
    }
    return true;
}

static bool check_map(const char *map, struct gb_error *error)
{
    const char *equals = strchr(map, '=');
    if (!equals || map[0] != '/' || equals[1] != '/' || strpbrk(map, "\r\n"))
        return error_set(error, GB_bad_value, "--map %s is not OLD=NEW with two absolute paths",
                         map);
    if (strchr(equals + 1, '='))
        return error_set(error, GB_bad_value, "--map %s has more than one \"=\"", map);
    return true;
}

static bool check_restore(const struct options *o, struct gb_error *error)
{
    uint64_t rate;
    if (o->as_of && !check_as_of(o, error))
        return false;
    for (unsigned i = 0; i < o->map_count; i++)
        if (!check_map(o->maps[i], error))
            return false;
    if (o->replace && strcmp(o->replace, "keep") && strcmp(o->replace, "delete"))
        return error_set(error, GB_bad_value, "--replace %s is neither keep nor delete",
                         o->replace);
    if (o->limit_rate && (!config_bytes(o->limit_rate, &rate) || !rate))
        return error_set(error, GB_bad_value,
                         "--limit-rate %s is not a number of bytes (units K, M, G)", o->limit_rate);
    return true;
}

/* "5" or "5%"; 0: not such a number. */
static unsigned parse_percent(const char *text)
{
    char *end;
    if (text[0] < '0' || text[0] > '9')
        return 0;
    unsigned long n = strtoul(text, &end, 10);
    return (!*end || !strcmp(end, "%")) && n <= 100 ? (unsigned)n : 0;
}

static bool check_values(const struct options *o, struct gb_error *error)
{
    char *end = NULL;
    if (o->threads &&
        (strtol(o->threads, &end, 10) < 1 || *end || strtol(o->threads, NULL, 10) > THREADS_MAX))
        return error_set(error, GB_bad_value, "--threads %s is not a number from 1 to %d",
                         o->threads, THREADS_MAX);
    if (o->sample && !parse_percent(o->sample))
        return error_set(error, GB_bad_value, "--sample %s is not a percentage from 1 to 100",
                         o->sample);
    if (o->format && strcmp(o->format, "csv") && strcmp(o->format, "json"))
        return error_set(error, GB_bad_value, "--format %s is neither csv nor json", o->format);
    static const char *const ways[] = {"galera", "standalone", "replica"};
    if (o->as && !is_among(ways, COUNT(ways), o->as))
        return error_set(error, GB_bad_value, "--as %s is none of galera, standalone and replica",
                         o->as);
    static const char *const kinds[] = {"auto", "bar", "plain", "json", "none"};
    if (o->progress && !is_among(kinds, COUNT(kinds), o->progress))
        return error_set(error, GB_bad_value,
                         "--progress %s is none of auto, bar, plain, json and none", o->progress);
    return strcmp(o->command, "restore") || check_restore(o, error);
}

/* "WHAT [FILE]" */
static bool takes_two(const char *command)
{
    for (size_t i = 0; i < COUNT(commands); i++)
        if (!strcmp(commands[i].name, command))
            return strchr(commands[i].arguments, ' ') != NULL;
    return false;
}

bool options_parse(struct options *o, int argc, char **argv, struct gb_error *error)
{
    memset(o, 0, sizeof *o);
    for (int i = 1; i < argc; i++) {
        if (strncmp(argv[i], "--", 2)) {
            const struct command *c;
            if (argv[i][0] == '-' && argv[i][1])
                return error_set(error, GB_unknown_option, "there are no short options (%s)",
                                 argv[i]);
            if (o->command && (o->second || (o->argument && !takes_two(o->command))))
                return error_set(error, GB_usage, "\"%s\" is one argument too many for %s", argv[i],
                                 o->command);
            if (o->command) {
                *(o->argument ? &o->second : &o->argument) = argv[i];
                continue;
            }
            if (!(c = find_command(argv[i], error)))
                return false;
            o->command = c->name;
            continue;
        }
        const char *name = argv[i] + 2, *equals = strchr(name, '=');
        const struct option *option =
            find_option(name, equals ? (size_t)(equals - name) : strlen(name), o->command, error);
        if (!option)
            return false;
        if (!option->argument && equals)
            return error_set(error, GB_bad_value, "--%s takes no value", option->name);
        if (option->argument && !equals && i + 1 == argc)
            return error_set(error, GB_bad_value, "--%s needs a value (%s)", option->name,
                             option->argument);
        if (!store(o, option->name, !option->argument ? "" : equals ? equals + 1 : argv[++i]))
            return error_set(error, GB_usage, "--%s can be given %d times", option->name,
                             OPTIONS_MAPS_MAX);
    }
    if (o->help)
        return true;
    if (!o->command)
        return error_set(error, GB_usage, "no command was given");
    const struct command *c = find_command(o->command, error);
    bool wants = c->arguments[0] != '\0', must = wants && c->arguments[0] != '[';
    if (must && !o->argument)
        return error_set(error, GB_usage, "%s needs %s", o->command, c->arguments);
    if (!wants && o->argument)
        return error_set(error, GB_usage, "%s takes no argument (%s)", o->command, o->argument);
    for (int i = 1; i < argc && o->command; i++)
        if (!strncmp(argv[i], "--", 2)) {
            const char *equals = strchr(argv[i], '=');
            const struct option *option = find_option(
                argv[i] + 2, equals ? (size_t)(equals - argv[i] - 2) : strlen(argv[i] + 2),
                o->command, error);
            if (!option)
                return false;
            if (option->argument && !equals)
                i++;
        }
    return check_values(o, error);
}

void options_help(FILE *to, const char *command)
{
    if (!command) {
        fprintf(to, "galera-backup: physical backups of MariaDB and Galera\n\nusage: galera-backup "
                    "[--config FILE] COMMAND "
                    "[OPTIONS]\n\n");
        for (size_t i = 0; i < COUNT(commands); i++)
            fprintf(to, "  %-8s %-10s %s\n", commands[i].name, commands[i].arguments,
                    commands[i].description);
        fprintf(to, "\ngalera-backup COMMAND --help shows the options of a command. Exit statuses: "
                    "docs/cli.md.\n");
        return;
    }
    for (size_t i = 0; i < COUNT(commands); i++)
        if (!strcmp(commands[i].name, command))
            fprintf(to, "galera-backup %s %s: %s\n\n", command, commands[i].arguments,
                    commands[i].description);
    for (size_t i = 0; i < COUNT(table); i++)
        if (belongs(&table[i], command)) {
            char left[64];
            snprintf(left, sizeof left, "--%s%s%s", table[i].name, table[i].argument ? " " : "",
                     table[i].argument ? table[i].argument : "");
            fprintf(to, "  %-26s %s\n", left, table[i].description);
        }
}

unsigned options_threads(const struct options *o)
{
    return o->threads ? (unsigned)strtoul(o->threads, NULL, 10) : 0;
}

unsigned options_sample(const struct options *o)
{
    return o->sample ? parse_percent(o->sample) : 0;
}

time_t options_as_of(const struct options *o)
{
    return o->as_of ? utc_parse(o->as_of) : 0;
}

uint64_t options_limit_rate(const struct options *o)
{
    uint64_t rate = 0;
    return o->limit_rate && config_bytes(o->limit_rate, &rate) ? rate : 0;
}
