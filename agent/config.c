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
#include <sys/stat.h>

#define KEEP_MOST       9999u
#define INI_SECTION_MAX 49u /* inih cuts names of sections here */

enum value_type {
    TEXT,
    BYTES,
    SECONDS,
    COUNT,
    COUNT_OR_AUTO,
    KEEP,
    PERCENT,
    YES_NO,
    CODEC,
    ADDRESSING
};

struct key {
    const char *name;
    enum value_type type;
    size_t offset, size;
};

#define KEY(name, type, shape, member)                                                             \
    {                                                                                              \
        name, type, offsetof(shape, member), sizeof(((shape *)0)->member)                          \
    }

static const struct key agent_keys[] = {
    KEY("cluster", TEXT, struct config, cluster),
    KEY("socket", TEXT, struct config, socket),
    KEY("server-user", TEXT, struct config, server_user),
    KEY("redo-memory", BYTES, struct config, redo_memory),
    KEY("redo-spool", TEXT, struct config, redo_spool),
    KEY("redo-spool-size", BYTES, struct config, redo_spool_size),
    KEY("threads", COUNT_OR_AUTO, struct config, threads),
    KEY("state-dir", TEXT, struct config, state_dir),
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
    KEY("compression", CODEC, struct repository_spec, compression),
    KEY("required", YES_NO, struct repository_spec, required),
    KEY("keep-last", KEEP, struct repository_spec, keep.last),
    KEY("keep-within", SECONDS, struct repository_spec, keep.within_s),
    KEY("keep-hourly", KEEP, struct repository_spec, keep.hourly),
    KEY("keep-daily", KEEP, struct repository_spec, keep.daily),
    KEY("keep-weekly", KEEP, struct repository_spec, keep.weekly),
    KEY("keep-monthly", KEEP, struct repository_spec, keep.monthly),
    KEY("keep-yearly", KEEP, struct repository_spec, keep.yearly),
    KEY("keep-min", KEEP, struct repository_spec, keep.min),
    KEY("append-only", YES_NO, struct repository_spec, append_only),
    KEY("encryption-recipient", TEXT, struct repository_spec, keys.recipients),
    KEY("decryption-key", TEXT, struct repository_spec, keys.openers),
    KEY("signing-key", TEXT, struct repository_spec, keys.signer),
    KEY("trusted-signer", TEXT, struct repository_spec, keys.trusted),
    {0},
};

static const struct key directory_keys[] = {
    KEY("path", TEXT, struct repository_spec, path),
    KEY("min-free", PERCENT, struct repository_spec, min_free_percent),
    {0},
};

/* Of any object store. */
static const struct key remote_keys[] = {
    KEY("region", TEXT, struct repository_spec, remote.region),
    KEY("prefix", TEXT, struct repository_spec, remote.prefix),
    KEY("ca-file", TEXT, struct repository_spec, remote.ca_file),
    KEY("client-certificate", TEXT, struct repository_spec, remote.client_certificate),
    KEY("client-key", TEXT, struct repository_spec, remote.client_key),
    KEY("request-timeout", SECONDS, struct repository_spec, remote.timeout_s),
    KEY("request-attempts", COUNT, struct repository_spec, remote.attempts),
    KEY("part-size", BYTES, struct repository_spec, remote.part_size),
    KEY("rate-limit", BYTES, struct repository_spec, remote.rate_limit),
    {0},
};

static const struct key s3_keys[] = {
    KEY("endpoint", TEXT, struct repository_spec, s3.endpoint),
    KEY("bucket", TEXT, struct repository_spec, s3.bucket),
    KEY("addressing", ADDRESSING, struct repository_spec, s3.addressing),
    KEY("credentials-file", TEXT, struct repository_spec, s3.credentials_file),
    KEY("expire-credentials-file", TEXT, struct repository_spec, expire_credentials_file),
    KEY("access-key-id", TEXT, struct repository_spec, s3.access_key_id),
    KEY("secret-access-key", TEXT, struct repository_spec, s3.secret_access_key),
    KEY("credentials", TEXT, struct repository_spec, s3.credentials),
    KEY("role-arn", TEXT, struct repository_spec, s3.role_arn),
    KEY("web-identity-token-file", TEXT, struct repository_spec, s3.web_identity_token_file),
    KEY("sts-endpoint", TEXT, struct repository_spec, s3.sts_endpoint),
    KEY("server-side-encryption", TEXT, struct repository_spec, s3.policy.encryption),
    KEY("kms-key-id", TEXT, struct repository_spec, s3.policy.kms_key_id),
    KEY("customer-key-file", TEXT, struct repository_spec, s3.policy.customer_key_file),
    KEY("storage-class", TEXT, struct repository_spec, s3.policy.storage_class),
    KEY("tags", TEXT, struct repository_spec, s3.policy.tags),
    KEY("object-lock", TEXT, struct repository_spec, s3.policy.lock_mode),
    KEY("object-lock-time", SECONDS, struct repository_spec, s3.policy.lock_time_s),
    {0},
};

static const struct key swift_keys[] = {
    KEY("auth-url", TEXT, struct repository_spec, swift.auth_url),
    KEY("user", TEXT, struct repository_spec, swift.user),
    KEY("key-file", TEXT, struct repository_spec, swift.key_file),
    KEY("project", TEXT, struct repository_spec, swift.project),
    KEY("domain", TEXT, struct repository_spec, swift.domain),
    KEY("project-domain", TEXT, struct repository_spec, swift.project_domain),
    KEY("application-credential", TEXT, struct repository_spec, swift.application_credential),
    KEY("interface", TEXT, struct repository_spec, swift.interface),
    KEY("container", TEXT, struct repository_spec, swift.container),
    KEY("delete-after", SECONDS, struct repository_spec, swift.delete_after_s),
    {0},
};

/* The tables that hold the keys of a repository's section, the common ones first. */
enum { ANY_TYPE, DIRECTORY, REMOTE, S3, SWIFT, REPOSITORY_TABLES };
static const struct key *const repository_tables[] = {repository_keys, directory_keys, remote_keys,
                                                      s3_keys,         swift_keys,     NULL};
static const struct key *const agent_tables[] = {agent_keys, NULL};
static const struct key *const server_tables[] = {server_keys, NULL};
static const struct key *const s3_tables[] = {remote_keys, s3_keys, NULL};
static const struct key *const swift_tables[] = {remote_keys, swift_keys, NULL};

struct parse {
    struct config *config;
    struct gb_error *error;
    const char *path;
    const char *given[CONFIG_REPOSITORIES_MAX]
                     [REPOSITORY_TABLES]; /* the last key of each table; NULL: none */
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
        factor = !strcmp(unit, "s")   ? 1
                 : !strcmp(unit, "m") ? 60
                 : !strcmp(unit, "h") ? 3600
                 : !strcmp(unit, "d") ? 86400
                                      : -1;
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
static bool whole_number(const char *text, const char *unit, unsigned least, unsigned most,
                         unsigned *out)
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
            return error_set(error, GB_bad_config, "%s is longer than %zu bytes", key->name,
                             key->size - 1);
        snprintf(to, key->size, "%s", value);
        return true;
    case BYTES:
        if (!number_with_unit(value, false, &number) ||
            !(number >= 1048576 && number < (double)INT64_MAX))
            return error_set(error, GB_bad_config,
                             "%s = %s is not a size of at least 1M (units K, M, G, T)", key->name,
                             value);
        *(uint64_t *)to = (uint64_t)number;
        return true;
    case SECONDS:
        if (!number_with_unit(value, true, &number) || !(number >= 1 && number <= UINT_MAX))
            return error_set(error, GB_bad_config, "%s = %s is not a time (units s, m, h, d)",
                             key->name, value);
        *(unsigned *)to = (unsigned)number;
        return true;
    case COUNT:
    case COUNT_OR_AUTO:
        if (key->type == COUNT_OR_AUTO && !strcmp(value, "auto")) {
            *(unsigned *)to = 0;
            return true;
        }
        if (!whole_number(value, "", 1, 256, to))
            return error_set(error, GB_bad_config, "%s = %s is not a number from 1 to 256%s",
                             key->name, value, key->type == COUNT_OR_AUTO ? " or auto" : "");
        return true;
    case KEEP:
        if (!whole_number(value, "", 1, KEEP_MOST, to))
            return error_set(error, GB_bad_config, "%s = %s is not a number from 1 to %u",
                             key->name, value, KEEP_MOST);
        return true;
    case PERCENT:
        if (!whole_number(value, "%", 0, 99, to))
            return error_set(error, GB_bad_config, "%s = %s is not a percentage from 0%% to 99%%",
                             key->name, value);
        return true;
    case YES_NO:
        if (strcmp(value, "yes") && strcmp(value, "no"))
            return error_set(error, GB_bad_config, "%s = %s is neither yes nor no", key->name,
                             value);
        *(bool *)to = !strcmp(value, "yes");
        return true;
    case ADDRESSING:
        if (strcmp(value, "path") && strcmp(value, "virtual-host"))
            return error_set(error, GB_bad_config, "%s = %s is neither path nor virtual-host",
                             key->name, value);
        *(enum s3_addressing *)to = strcmp(value, "path") ? S3_VIRTUAL_HOST : S3_PATH;
        return true;
    case CODEC:
        if (codec_parse(value, to, error))
            return true;
        error->code = GB_bad_config;
        return false;
    }
    return false;
}

/* The key of that name; *table: which one it is in. NULL: error set. */
static const struct key *find_key(const struct key *const *tables, const char *section,
                                  const char *name, unsigned *table, struct gb_error *error)
{
    const char *nearest = NULL;
    unsigned least = NEAREST_MAX + 1;
    for (unsigned i = 0; tables[i]; i++)
        for (const struct key *k = tables[i]; k->name; k++) {
            unsigned d = nearest_distance(name, k->name);
            if (d == 0) {
                *table = i;
                return k;
            }
            if (d < least) {
                least = d;
                nearest = k->name;
            }
        }
    error_set(error, GB_bad_config, "[%s] has no key \"%s\"", section, name);
    if (nearest)
        error_hint(error, "perhaps \"%s\" was meant", nearest);
    return NULL;
}

static bool take(struct parse *p, const struct key *const *tables, void *base, const char *section,
                 const char *name, const char *value)
{
    unsigned table;
    const struct key *k = find_key(tables, section, name, &table, p->error);
    return k && set_value(k, base, value, p->error);
}

static bool take_repository(struct parse *p, struct repository_spec *r, const char *section,
                            const char *name, const char *value)
{
    unsigned table;
    const struct key *k = find_key(repository_tables, section, name, &table, p->error);
    if (!k || !set_value(k, r, value, p->error))
        return false;
    p->given[r - p->config->repositories][table] = k->name;
    return true;
}

bool config_set_remote(struct repository_spec *spec, const char *place, const char *name,
                       const char *value, struct gb_error *error)
{
    struct parse p = {.error = error};
    return take(&p, strcmp(spec->type, REPOSITORY_SWIFT) ? s3_tables : swift_tables, spec, place,
                name, value);
}

static struct repository_spec *section_repository(struct parse *p, const char *name)
{
    struct config *c = p->config;
    for (unsigned i = 0; i < c->repository_count; i++)
        if (!strcmp(c->repositories[i].name, name))
            return &c->repositories[i];
    if (c->repository_count == CONFIG_REPOSITORIES_MAX ||
        strlen(name) >= sizeof c->repositories[0].name || !*name || strchr(name, ',')) {
        error_set(p->error, GB_bad_config, "[repository:%s]: too many repositories, or not a name",
                  name);
        return NULL;
    }
    struct repository_spec *r = &c->repositories[c->repository_count++];
    memset(r, 0, sizeof *r);
    snprintf(r->name, sizeof r->name, "%s", name);
    snprintf(r->type, sizeof r->type, REPOSITORY_DIRECTORY);
    r->compression = (struct codec_spec){CODEC_ZSTD, 1};
    r->min_free_percent = CONFIG_MIN_FREE_PERCENT;
    r->required = true;
    r->keep.min = 1;
    return r;
}

static int handler(void *context, const char *section, const char *name, const char *value)
{
    struct parse *p = context;
    if (p->error->code)
        return 0;
    if (strlen(section) >= INI_SECTION_MAX)
        return error_set(p->error, GB_bad_config, "the name of the section [%s...] is too long",
                         section);
    if (!strcmp(section, "agent"))
        return take(p, agent_tables, p->config, section, name, value);
    if (!strcmp(section, "server"))
        return take(p, server_tables, p->config, section, name, value);
    if (!strncmp(section, "repository:", 11)) {
        struct repository_spec *r = section_repository(p, section + 11);
        return r && take_repository(p, r, section, name, value);
    }
    if (!strncmp(section, "schedule:", 9))
        return error_set(p->error, GB_not_supported,
                         "[%s]: schedules are not supported by this release", section);
    return error_set(p->error, GB_bad_config,
                     "there is no section [%s]; sections are agent, server and repository:NAME",
                     section);
}

struct lines {
    FILE *file;
    char *text; /* getline()'s */
    size_t room;
    int number, too_long; /* of the last line, and of the one that inih has no room for */
};

/* The next line for inih, which would take an indented one for more of the value before, and a long
 * one for two. */
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

/* The last key of a table that does not go with the type; NULL: they all do. */
static const char *key_of_another_type(const struct parse *p, unsigned number, bool s3, bool swift)
{
    const bool goes[REPOSITORY_TABLES] = {[ANY_TYPE] = true,
                                          [DIRECTORY] = !s3 && !swift,
                                          [REMOTE] = s3 || swift,
                                          [S3] = s3,
                                          [SWIFT] = swift};
    for (unsigned i = 0; i < REPOSITORY_TABLES; i++)
        if (!goes[i] && p->given[number][i])
            return p->given[number][i];
    return NULL;
}

/* The files of keys, which the agent does not look for in the directory that it was started in. */
static bool check_key_files(const struct repository_keys *keys, const char *section,
                            struct gb_error *error)
{
    const struct {
        const char *name, *value;
    } settings[] = {{"encryption-recipient", keys->recipients},
                    {"decryption-key", keys->openers},
                    {"signing-key", keys->signer},
                    {"trusted-signer", keys->trusted}};
    for (size_t i = 0; i < sizeof settings / sizeof settings[0]; i++)
        for (const char *at = settings[i].value[0] ? settings[i].value : NULL; at;
             at = strchr(at, ',') ? strchr(at, ',') + 1 : NULL) {
            at += strspn(at, " \t");
            const char *path = !strncmp(at, "file:", 5)          ? at + 5
                               : !strncmp(at, "passphrase:", 11) ? at + 11
                                                                 : at;
            if (*path != '/')
                return error_set(error, GB_bad_config,
                                 "%s: %s = %s: \"%.*s\" is not an absolute path, or file: or "
                                 "passphrase: before one",
                                 section, settings[i].name, settings[i].value,
                                 (int)strcspn(at, ","), at);
        }
    return true;
}

/* Whether the keys of a repository's section go together. */
static bool check_repository(const struct parse *p, unsigned number, struct gb_error *error)
{
    const struct repository_spec *r = &p->config->repositories[number];
    bool s3 = !strcmp(r->type, REPOSITORY_S3), swift = !strcmp(r->type, REPOSITORY_SWIFT);
    const char *other = key_of_another_type(p, number, s3, swift);
    char section[sizeof r->name + 16], what[GB_ERROR_TEXT_MAX];
    struct gb_error problem = {0};
    snprintf(section, sizeof section, "[repository:%s]", r->name);
    if (other)
        error_set(&problem, GB_bad_config, "%s: %s does not go with type = %s", section, other,
                  r->type);
    else if (s3)
        s3_check_options(&r->s3, &r->remote, section, &problem);
    else if (swift)
        swift_check_options(&r->swift, &r->remote, section, &problem);
    else if (r->path[0] != '/')
        error_set(&problem, GB_bad_config, "%s needs an absolute path", section);
    if (!problem.code && r->keep.min > 1 && !retention_any(&r->keep)) {
        error_set(&problem, GB_bad_config,
                  "%s has keep-min and no other keep-*: nothing would ever expire", section);
        error_hint(&problem, "keep-min is the floor of the other rules: add keep-last, "
                             "keep-within, keep-daily, ...");
    } else if (!problem.code && r->expire_credentials_file[0] &&
               r->expire_credentials_file[0] != '/')
        error_set(&problem, GB_bad_config,
                  "%s: expire-credentials-file = %s is not an absolute path", section,
                  r->expire_credentials_file);
    if (!problem.code && check_key_files(&r->keys, section, &problem))
        return true;
    snprintf(what, sizeof what, "%.200s: %.300s", p->path, problem.what);
    snprintf(problem.what, sizeof problem.what, "%s", what);
    error_copy(error, &problem);
    return false;
}

/* A secret that others may read is none. */
static bool check_secrets(const struct parse *p, mode_t mode, struct gb_error *error)
{
    for (unsigned i = 0; i < p->config->repository_count; i++)
        if (p->config->repositories[i].s3.secret_access_key[0] && (mode & (S_IRWXO | S_IWGRP))) {
            error_set(
                error, GB_bad_config,
                "%s holds a secret-access-key and may be read by everyone, or written by its group",
                p->path);
            error_hint(error, "chmod 0640 %s, or keep the keys in a credentials-file", p->path);
            return false;
        }
    return true;
}

bool config_load(struct config *config, const char *path, struct gb_error *error)
{
    memset(config, 0, sizeof *config);
    snprintf(config->socket, sizeof config->socket, "/run/galera-backup/agent.sock");
    snprintf(config->server_user, sizeof config->server_user, "mysql");
    snprintf(config->server_socket, sizeof config->server_socket, "/run/mysqld/mysqld.sock");
    snprintf(config->server_sql_user, sizeof config->server_sql_user, "galera-backup");
    snprintf(config->state_dir, sizeof config->state_dir, CONFIG_STATE_DIR);
    config->redo_memory = 128u << 20;
    config->redo_spool_size = 4ull << 30;
    config->stall_timeout_s = 900;
    struct parse p = {.config = config, .error = error, .path = path ? path : CONFIG_DEFAULT_FILE};
    struct stat st = {0};
    FILE *f = fopen(p.path, "re");
    if (f) {
        int line = parse_file(&p, f);
        if (fstat(fileno(f), &st))
            st.st_mode = S_IRWXO;
        fclose(f);
        if (line || error->code) {
            error_set(error, GB_bad_config, "malformed line");
            char what[GB_ERROR_TEXT_MAX];
            snprintf(what, sizeof what, "%s", error->what);
            snprintf(error->what, sizeof error->what, "%.200s, line %d: %.250s", p.path, line,
                     what);
            return false;
        }
    } else if (path || errno != ENOENT) {
        return error_set_errno(error, GB_bad_config, errno, "%s can't be read", p.path);
    }
    if (!config->repository_count) {
        struct repository_spec *r = section_repository(&p, "default");
        snprintf(r->path, sizeof r->path, "/var/lib/galera-backup");
    }
    for (unsigned i = 0; i < config->repository_count; i++) {
        memcpy(config->repositories[i].state_dir, config->state_dir, sizeof config->state_dir);
        if (!check_repository(&p, i, error))
            return false;
    }
    if (!check_secrets(&p, st.st_mode, error))
        return false;
    if (config->cluster[0] && !cluster_name_valid(config->cluster))
        return error_set(error, GB_bad_config,
                         "%s: cluster = %s must be of letters, digits, dot, dash and underscore",
                         p.path, config->cluster);
    return true;
}

const struct repository_spec *config_repository(const struct config *config, const char *name,
                                                struct gb_error *error)
{
    bool any = !name || !*name;
    for (unsigned i = 0; i < config->repository_count; i++)
        if (!strcmp(config->repositories[i].name, any ? "default" : name))
            return &config->repositories[i];
    if (any)
        return &config->repositories[0];
    error_set(error, GB_repository_unknown,
              "there is no repository \"%s\" in the agent's configuration", name);
    return NULL;
}
