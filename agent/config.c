/* The configuration file; see config.h. */
#include "agent/config.h"
#include "common/nearest.h"

#include <ini.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define INI_SECTION_MAX 49u /* inih cuts names of sections here */

enum value_type { TEXT, BYTES, SECONDS, COUNT, COUNT_OR_AUTO, PERCENT, YES_NO, CODEC };

struct key {
    const char *name;
    enum value_type type;
    size_t offset, size;
};

#define KEY(name, type, shape, member) {name, type, offsetof(shape, member), sizeof(((shape *)0)->member)}

static const struct key agent_keys[] = {
    KEY("cluster", TEXT, struct config, cluster),
    KEY("socket", TEXT, struct config, socket),
    KEY("server-user", TEXT, struct config, server_user),
    KEY("redo-memory", BYTES, struct config, redo_memory),
    KEY("redo-spool", TEXT, struct config, redo_spool),
    KEY("redo-spool-size", BYTES, struct config, redo_spool_size),
    KEY("threads", COUNT_OR_AUTO, struct config, threads),
    KEY("stall-timeout", SECONDS, struct config, stall_timeout_s),
    {0},
};

static const struct key server_keys[] = {
    KEY("socket", TEXT, struct config, server_socket),
    KEY("user", TEXT, struct config, server_sql_user),
    KEY("password-file", TEXT, struct config, server_password_file),
    {0},
};

static const struct key repository_keys[] = {
    KEY("type", TEXT, struct repository_spec, type),
    KEY("path", TEXT, struct repository_spec, path),
    KEY("compression", CODEC, struct repository_spec, compression),
    KEY("min-free", PERCENT, struct repository_spec, min_free_percent),
    KEY("required", YES_NO, struct repository_spec, required),
    {0},
};

/* Names of the surface that later releases bring: refused by name, not taken for misspellings. */
static const char *const later_keys[] = {"endpoint",   "bucket",       "region",  "prefix",    "credentials-file",
                                         "ca-file",    "encryption-recipient", "keep-daily", "keep-weekly",
                                         "keep-monthly", "keep-yearly", "keep-hourly", "keep-min", NULL};

struct parse {
    struct config *config;
    struct gb_error *error;
    const char *path;
};

static bool number_with_unit(const char *text, bool time, double *out)
{
    char *unit;
    *out = strtod(text, &unit);
    if (unit == text || *out < 0)
        return false;
    double factor = -1;
    if (!*unit)
        factor = 1;
    else if (time)
        factor = !strcmp(unit, "s") ? 1 : !strcmp(unit, "m") ? 60 : !strcmp(unit, "h") ? 3600 : !strcmp(unit, "d") ? 86400 : -1;
    else
        factor = !strcmp(unit, "K")   ? 1024.0
                 : !strcmp(unit, "M") ? 1048576.0
                 : !strcmp(unit, "G") ? 1073741824.0
                 : !strcmp(unit, "T") ? 1099511627776.0
                                      : -1;
    *out *= factor;
    return factor > 0;
}

bool config_bytes(const char *text, uint64_t *bytes)
{
    double number;
    if (!number_with_unit(text, false, &number) || !(number < (double)INT64_MAX))
        return false;
    *bytes = (uint64_t)number;
    return true;
}

/* Digits and the unit, nothing else. */
static bool whole_number(const char *text, const char *unit, unsigned least, unsigned most, unsigned *out)
{
    size_t digits = strspn(text, "0123456789");
    if (!digits || digits > 9 || strcmp(text + digits, unit))
        return false;
    *out = (unsigned)strtoul(text, NULL, 10);
    return *out >= least && *out <= most;
}

static bool set_value(const struct key *key, void *base, const char *value, struct gb_error *error)
{
    void *to = (char *)base + key->offset;
    double number; /* compared so that what is not a number passes no test */
    switch (key->type) {
    case TEXT:
        if (strlen(value) >= key->size)
            return error_set(error, GB_bad_config, "%s is longer than %zu bytes", key->name, key->size - 1);
        snprintf(to, key->size, "%s", value);
        return true;
    case BYTES:
        if (!number_with_unit(value, false, &number) || !(number >= 1048576 && number < (double)INT64_MAX))
            return error_set(error, GB_bad_config, "%s = %s is not a size of at least 1M (units K, M, G, T)", key->name, value);
        *(uint64_t *)to = (uint64_t)number;
        return true;
    case SECONDS:
        if (!number_with_unit(value, true, &number) || !(number >= 1 && number <= UINT_MAX))
            return error_set(error, GB_bad_config, "%s = %s is not a time (units s, m, h, d)", key->name, value);
        *(unsigned *)to = (unsigned)number;
        return true;
    case COUNT:
    case COUNT_OR_AUTO:
        if (key->type == COUNT_OR_AUTO && !strcmp(value, "auto")) {
            *(unsigned *)to = 0;
            return true;
        }
        if (!whole_number(value, "", 1, 256, to))
            return error_set(error, GB_bad_config, "%s = %s is not a number from 1 to 256%s", key->name, value,
                             key->type == COUNT_OR_AUTO ? " or auto" : "");
        return true;
    case PERCENT:
        if (!whole_number(value, "%", 0, 99, to))
            return error_set(error, GB_bad_config, "%s = %s is not a percentage from 0%% to 99%%", key->name, value);
        return true;
    case YES_NO:
        if (strcmp(value, "yes") && strcmp(value, "no"))
            return error_set(error, GB_bad_config, "%s = %s is neither yes nor no", key->name, value);
        *(bool *)to = !strcmp(value, "yes");
        return true;
    case CODEC:
        if (codec_parse(value, to, error))
            return true;
        error->code = GB_bad_config;
        return false;
    }
    return false;
}

static bool take(struct parse *p, const struct key *keys, void *base, const char *section, const char *name, const char *value)
{
    const char *nearest = NULL;
    unsigned least = NEAREST_MAX + 1;
    for (const struct key *k = keys; k->name; k++) {
        unsigned d = nearest_distance(name, k->name);
        if (d == 0)
            return set_value(k, base, value, p->error);
        if (d < least) {
            least = d;
            nearest = k->name;
        }
    }
    for (const char *const *k = later_keys; *k; k++)
        if (!strcmp(name, *k))
            return error_set(p->error, GB_not_supported, "[%s] %s is not supported by this release", section, name);
    error_set(p->error, GB_bad_config, "[%s] has no key \"%s\"", section, name);
    if (nearest)
        error_hint(p->error, "perhaps \"%s\" was meant", nearest);
    return false;
}

static struct repository_spec *section_repository(struct parse *p, const char *name)
{
    struct config *c = p->config;
    for (unsigned i = 0; i < c->repository_count; i++)
        if (!strcmp(c->repositories[i].name, name))
            return &c->repositories[i];
    if (c->repository_count == CONFIG_REPOSITORIES_MAX || strlen(name) >= sizeof c->repositories[0].name || !*name ||
        strchr(name, ',')) {
        error_set(p->error, GB_bad_config, "[repository:%s]: too many repositories, or not a name", name);
        return NULL;
    }
    struct repository_spec *r = &c->repositories[c->repository_count++];
    memset(r, 0, sizeof *r);
    snprintf(r->name, sizeof r->name, "%s", name);
    snprintf(r->type, sizeof r->type, "directory");
    r->compression = (struct codec_spec){CODEC_ZSTD, 1};
    r->min_free_percent = CONFIG_MIN_FREE_PERCENT;
    r->required = true;
    return r;
}

static int handler(void *context, const char *section, const char *name, const char *value)
{
    struct parse *p = context;
    if (p->error->code)
        return 0;
    if (strlen(section) >= INI_SECTION_MAX)
        return error_set(p->error, GB_bad_config, "the name of the section [%s...] is too long", section);
    if (!strcmp(section, "agent"))
        return take(p, agent_keys, p->config, section, name, value);
    if (!strcmp(section, "server"))
        return take(p, server_keys, p->config, section, name, value);
    if (!strncmp(section, "repository:", 11)) {
        struct repository_spec *r = section_repository(p, section + 11);
        return r && take(p, repository_keys, r, section, name, value);
    }
    if (!strncmp(section, "schedule:", 9))
        return error_set(p->error, GB_not_supported, "[%s]: schedules are not supported by this release", section);
    return error_set(p->error, GB_bad_config, "there is no section [%s]; sections are agent, server and repository:NAME",
                     section);
}

struct lines {
    FILE *file;
    char *text; /* getline()'s */
    size_t room;
    int number, too_long; /* of the last line, and of the one that inih has no room for */
};

/* The next line for inih, which would take an indented one for more of the value before, and a long one for two. */
static char *next_line(char *out, int size, void *context)
{
    struct lines *l = context;
    if (getline(&l->text, &l->room, l->file) < 0)
        return NULL;
    l->number++;
    const char *at = l->text + strspn(l->text, " \t");
    if (snprintf(out, (size_t)size, "%s", at) >= size && *at != ';' && *at != '#') {
        l->too_long = l->number;
        return NULL;
    }
    return out;
}

static int parse_file(struct parse *p, FILE *f)
{
    struct lines lines = {.file = f};
    int line = ini_parse_stream(next_line, &lines, handler, p);
    free(lines.text);
    if (!line && lines.too_long)
        error_set(p->error, GB_bad_config, "the line is too long");
    return line ? line : lines.too_long;
}

bool config_load(struct config *config, const char *path, struct gb_error *error)
{
    memset(config, 0, sizeof *config);
    snprintf(config->socket, sizeof config->socket, "/run/galera-backup/agent.sock");
    snprintf(config->server_user, sizeof config->server_user, "mysql");
    snprintf(config->server_socket, sizeof config->server_socket, "/run/mysqld/mysqld.sock");
    snprintf(config->server_sql_user, sizeof config->server_sql_user, "galera-backup");
    config->redo_memory = 128u << 20;
    config->redo_spool_size = 4ull << 30;
    config->stall_timeout_s = 900;
    struct parse p = {config, error, path ? path : CONFIG_DEFAULT_FILE};
    FILE *f = fopen(p.path, "re");
    if (f) {
        int line = parse_file(&p, f);
        fclose(f);
        if (line || error->code) {
            error_set(error, GB_bad_config, "malformed line");
            char what[GB_ERROR_TEXT_MAX];
            snprintf(what, sizeof what, "%s", error->what);
            snprintf(error->what, sizeof error->what, "%.200s, line %d: %.250s", p.path, line, what);
            return false;
        }
    } else if (path || errno != ENOENT) {
        return error_set_errno(error, GB_bad_config, errno, "%s can't be read", p.path);
    }
    if (!config->repository_count) {
        struct repository_spec *r = section_repository(&p, "default");
        snprintf(r->path, sizeof r->path, "/var/lib/galera-backup");
    }
    for (unsigned i = 0; i < config->repository_count; i++)
        if (config->repositories[i].path[0] != '/')
            return error_set(error, GB_bad_config, "%s: [repository:%s] needs an absolute path", p.path,
                             config->repositories[i].name);
    if (config->cluster[0] && !cluster_name_valid(config->cluster))
        return error_set(error, GB_bad_config, "%s: cluster = %s must be of letters, digits, dot, dash and underscore", p.path,
                         config->cluster);
    return true;
}

const struct repository_spec *config_repository(const struct config *config, const char *name, struct gb_error *error)
{
    bool any = !name || !*name;
    for (unsigned i = 0; i < config->repository_count; i++)
        if (!strcmp(config->repositories[i].name, any ? "default" : name))
            return &config->repositories[i];
    if (any)
        return &config->repositories[0];
    error_set(error, GB_repository_unknown, "there is no repository \"%s\" in the agent's configuration", name);
    return NULL;
}
