/* config.h: the file as docs/configuration.md describes it; what it does not know, it names with
 * file and line. */
#include "agent/config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char root[64], path[96];

static int set_up(void **state)
{
    (void)state;
    snprintf(root, sizeof root, "/tmp/gb-test-config-XXXXXX");
    if (!mkdtemp(root))
        return -1;
    snprintf(path, sizeof path, "%s/galera-backup.cnf", root);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    unlink(path);
    return rmdir(root);
}

static bool load(const char *text, struct config *config, struct gb_error *error)
{
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    assert_true(fputs(text, f) >= 0 && !fclose(f));
    memset(error, 0, sizeof *error);
    bool ok = config_load(config, path, error);
    assert_true(ok == !error->code);
    return ok;
}

static void accepted(const char *text, struct config *config)
{
    struct gb_error error;
    if (!load(text, config, &error))
        fail_msg("%s\n%s", text, error.what);
}

static void defaults(void **state)
{
    (void)state;
    struct config c;
    accepted("", &c);
    assert_string_equal(c.cluster, "");
    assert_string_equal(c.socket, "/run/galera-backup/agent.sock");
    assert_string_equal(c.server_user, "mysql");
    assert_true(c.redo_memory == 128u << 20);
    assert_int_equal(c.threads, 0);
    assert_int_equal(c.stall_timeout_s, 15 * 60);
    assert_string_equal(c.server_socket, "/run/mysqld/mysqld.sock");
    assert_string_equal(c.server_sql_user, "galera-backup");
    assert_string_equal(c.server_password_file, "");
    assert_int_equal(c.repository_count, 1);
    assert_string_equal(c.repositories[0].name, "default");
    assert_string_equal(c.repositories[0].path, "/var/lib/galera-backup");
    accepted("[repository:near]\npath = /near\n", &c);
    assert_int_equal(c.repository_count, 1);
    assert_string_equal(c.repositories[0].name, "near");
    assert_string_equal(c.repositories[0].type, "directory");
    assert_int_equal(c.repositories[0].compression.kind, CODEC_ZSTD);
    assert_int_equal(c.repositories[0].compression.level, 1);
    assert_int_equal(c.repositories[0].min_free_percent, 10);
    assert_true(c.repositories[0].required);
}

static void every_key(void **state)
{
    (void)state;
    struct config c;
    accepted("[agent]\n"
             "cluster = region-one\n"
             "socket = /s/agent\n"
             "server-user = maria\n"
             "redo-memory = 2G\n"
             "threads = 3\n"
             "stall-timeout = 2m\n"
             "[server]\n"
             "socket = /s/server\n"
             "user = keeper\n"
             "password-file = /p\n"
             "[repository:near]\n"
             "type = directory\n"
             "path = /near\n"
             "compression = zstd:7\n"
             "min-free = 25%\n"
             "required = no\n"
             "[repository:far]\n"
             "path = /far\n"
             "compression = none\n",
             &c);
    assert_string_equal(c.cluster, "region-one");
    assert_string_equal(c.socket, "/s/agent");
    assert_string_equal(c.server_user, "maria");
    assert_true(c.redo_memory == 2ull << 30);
    assert_int_equal(c.threads, 3);
    assert_int_equal(c.stall_timeout_s, 120);
    assert_string_equal(c.server_socket, "/s/server");
    assert_string_equal(c.server_sql_user, "keeper");
    assert_string_equal(c.server_password_file, "/p");
    assert_int_equal(c.repository_count, 2);
    assert_string_equal(c.repositories[0].name, "near");
    assert_int_equal(c.repositories[0].compression.level, 7);
    assert_int_equal(c.repositories[0].min_free_percent, 25);
    assert_false(c.repositories[0].required);
    assert_string_equal(c.repositories[1].name, "far");
    assert_int_equal(c.repositories[1].compression.kind, CODEC_NONE);
    assert_true(c.repositories[1].required);
}

static void comments_and_spaces(void **state)
{
    (void)state;
    struct config c;
    accepted("; a comment\n"
             "\n"
             "[agent] ; and one here\n"
             "  threads=4\n"
             "  cluster   =   c1   ; the first\r\n"
             "\tserver-user = maria\n",
             &c);
    assert_int_equal(c.threads, 4);
    assert_string_equal(c.cluster, "c1");
    assert_string_equal(c.server_user, "maria");
}

static void sections_may_come_twice(void **state)
{
    (void)state;
    struct config c;
    accepted("[repository:a]\npath = /a\n[agent]\nthreads = 2\n[repository:a]\nmin-free = 0%\n",
             &c);
    assert_int_equal(c.repository_count, 1);
    assert_string_equal(c.repositories[0].path, "/a");
    assert_int_equal(c.repositories[0].min_free_percent, 0);
}

static void sizes_times_and_numbers(void **state)
{
    (void)state;
    static const struct {
        const char *line;
        size_t at;
        uint64_t value;
    } good[] = {
        {"redo-memory = 1M", offsetof(struct config, redo_memory), 1u << 20},
        {"redo-memory = 1048576", offsetof(struct config, redo_memory), 1u << 20},
        {"redo-memory = 1024K", offsetof(struct config, redo_memory), 1u << 20},
        {"redo-memory = 3G", offsetof(struct config, redo_memory), 3ull << 30},
        {"redo-memory = 2T", offsetof(struct config, redo_memory), 2ull << 40},
    };
    static const struct {
        const char *line;
        size_t at;
        unsigned value;
    } small[] = {
        {"stall-timeout = 90", offsetof(struct config, stall_timeout_s), 90},
        {"stall-timeout = 90s", offsetof(struct config, stall_timeout_s), 90},
        {"stall-timeout = 3m", offsetof(struct config, stall_timeout_s), 180},
        {"stall-timeout = 2h", offsetof(struct config, stall_timeout_s), 7200},
        {"stall-timeout = 1d", offsetof(struct config, stall_timeout_s), 86400},
        {"threads = 1", offsetof(struct config, threads), 1},
        {"threads = 256", offsetof(struct config, threads), 256},
        {"threads = auto", offsetof(struct config, threads), 0},
    };
    struct config c;
    char text[128];
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        snprintf(text, sizeof text, "[agent]\n%s\n", good[i].line);
        accepted(text, &c);
        if (*(const uint64_t *)(const void *)((char *)&c + good[i].at) != good[i].value)
            fail_msg("%s", good[i].line);
    }
    for (size_t i = 0; i < sizeof small / sizeof small[0]; i++) {
        snprintf(text, sizeof text, "[agent]\n%s\n", small[i].line);
        accepted(text, &c);
        if (*(const unsigned *)(const void *)((char *)&c + small[i].at) != small[i].value)
            fail_msg("%s", small[i].line);
    }
}

/* Each with the line that the message must name. */
static void refused_files(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum gb_code code;
        int line; /* 0: none is named */
        const char *what, *hint;
    } bad[] = {
        {"[agent]\nthreads = 2\nsokcet = /s\n", GB_bad_config, 3, "sokcet", "\"socket\""},
        {"[agent]\nmin-free = 10%\n", GB_bad_config, 2, "min-free", ""},
        {"[server]\nthreads = 2\n", GB_bad_config, 2, "threads", ""},
        {"[agnet]\nthreads = 2\n", GB_bad_config, 2, "[agnet]", ""},
        {"threads = 2\n", GB_bad_config, 1, "section", ""},
        {"[agent]\nthreads\n", GB_bad_config, 2, "", ""},
        {"[agent\nthreads = 2\n", GB_bad_config, 1, "", ""},
        /* names of later releases */
        {"[repository:a]\npath = /a\nencryption-recipient = b\n", GB_bad_config, 0, "absolute path",
         ""},
        {"[repository:a]\npath = /a\ntrusted-signer = file:/b, c\n", GB_bad_config, 0, "\"c\"", ""},
        {"[repository:a]\npath = /a\nkeep-daly = 7\n", GB_bad_config, 3, "keep-daly", "keep-daily"},
        {"[repository:a]\npath = /a\nkeep-daily = 0\n", GB_bad_config, 3, "keep-daily = 0", ""},
        {"[repository:a]\npath = /a\nkeep-last = 10000\n", GB_bad_config, 3, "1 to 9999", ""},
        {"[repository:a]\npath = /a\nkeep-within = soon\n", GB_bad_config, 3, "keep-within", ""},
        {"[repository:a]\npath = /a\nkeep-min = 3\n", GB_bad_config, 0, "keep-min", "keep-last"},
        {"[repository:a]\npath = /a\nappend-only = perhaps\n", GB_bad_config, 3, "append-only", ""},
        {"[repository:a]\npath = /a\nexpire-credentials-file = /f\n", GB_bad_config, 0,
         "expire-credentials-file", ""},
        {"[agent]\nredo-spol = /s\n", GB_bad_config, 2, "redo-spol", "redo-spool"},
        {"[schedule:nightly]\nat = 02:00\n", GB_not_supported, 2, "schedule", ""},
        /* sizes */
        {"[agent]\nredo-memory = 1023K\n", GB_bad_config, 2, "redo-memory", ""},
        {"[agent]\nredo-memory = -1G\n", GB_bad_config, 2, "redo-memory", ""},
        {"[agent]\nredo-memory = 1X\n", GB_bad_config, 2, "redo-memory", ""},
        {"[agent]\nredo-memory = 10m\n", GB_bad_config, 2, "redo-memory", ""},
        {"[agent]\nredo-memory = much\n", GB_bad_config, 2, "redo-memory", ""},
        {"[agent]\nredo-memory =\n", GB_bad_config, 2, "redo-memory", ""},
        {"[agent]\nredo-memory = inf\n", GB_bad_config, 2, "redo-memory", ""},
        {"[agent]\nredo-memory = nan\n", GB_bad_config, 2, "redo-memory", ""},
        {"[agent]\nredo-memory = 99999999T\n", GB_bad_config, 2, "redo-memory", ""},
        /* times */
        {"[agent]\nstall-timeout = 0\n", GB_bad_config, 2, "stall-timeout", ""},
        {"[agent]\nstall-timeout = -5m\n", GB_bad_config, 2, "stall-timeout", ""},
        {"[agent]\nstall-timeout = 5w\n", GB_bad_config, 2, "stall-timeout", ""},
        {"[agent]\nstall-timeout = nan\n", GB_bad_config, 2, "stall-timeout", ""},
        {"[agent]\nstall-timeout = 50000d\n", GB_bad_config, 2, "stall-timeout", ""},
        /* numbers */
        {"[agent]\nthreads = 0\n", GB_bad_config, 2, "threads", ""},
        {"[agent]\nthreads = 257\n", GB_bad_config, 2, "threads", ""},
        {"[agent]\nthreads = 2.5\n", GB_bad_config, 2, "threads", ""},
        {"[agent]\nthreads = nan\n", GB_bad_config, 2, "threads", ""},
        {"[agent]\nthreads = many\n", GB_bad_config, 2, "threads", ""},
        {"[agent]\nthreads =\n", GB_bad_config, 2, "threads", ""},
        /* percentages */
        {"[repository:a]\nmin-free = 100%\n", GB_bad_config, 2, "min-free", ""},
        {"[repository:a]\nmin-free = -1%\n", GB_bad_config, 2, "min-free", ""},
        {"[repository:a]\nmin-free = 10\n", GB_bad_config, 2, "min-free", ""},
        {"[repository:a]\nmin-free = %\n", GB_bad_config, 2, "min-free", ""},
        {"[repository:a]\nmin-free = 0.5%\n", GB_bad_config, 2, "min-free", ""},
        {"[repository:a]\nmin-free = nan%\n", GB_bad_config, 2, "min-free", ""},
        /* words */
        {"[repository:a]\nrequired = maybe\n", GB_bad_config, 2, "required", ""},
        {"[repository:a]\ncompression = lzma\n", GB_bad_config, 2, "lzma", ""},
        {"[repository:a]\ncompression = zstd:20\n", GB_bad_config, 2, "zstd:20", ""},
        {"[repository:a]\ncompression = zstd:-8\n", GB_bad_config, 2, "zstd:-8", ""},
        {"[repository:a]\ncompression = zstd:\n", GB_bad_config, 2, "zstd:", ""},
        {"[repository:]\npath = /a\n", GB_bad_config, 2, "[repository:]", ""},
        {"[repository:a,b]\npath = /a\n", GB_bad_config, 2, "[repository:a,b]", ""},
        /* what is only known at the end */
        {"[repository:a]\nmin-free = 5%\n", GB_bad_config, 0, "[repository:a]", ""},
        {"[repository:a]\npath = a/b\n", GB_bad_config, 0, "absolute", ""},
        {"[agent]\ncluster = a/b\n", GB_bad_config, 0, "a/b", ""},
        {"[agent]\ncluster = ..\n", GB_bad_config, 0, "..", ""},
        {"[agent]\ncluster = \"a\"\n", GB_bad_config, 0, "\"a\"", ""},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct config c;
        struct gb_error error;
        char line[32] = "";
        if (load(bad[i].text, &c, &error))
            fail_msg("accepted:\n%s", bad[i].text);
        if (bad[i].line)
            snprintf(line, sizeof line, ", line %d:", bad[i].line);
        if (error.code != bad[i].code || !strstr(error.what, path) || !strstr(error.what, line) ||
            !strstr(error.what, bad[i].what) || !strstr(error.hint, bad[i].hint))
            fail_msg("%sGB%d %s; %s", bad[i].text, (int)error.code, error.what, error.hint);
        assert_int_equal(error_exit_status(error.code), bad[i].code == GB_bad_config ? 3 : 2);
    }
}

/* The first error of a file is told, not the last. */
static void the_first_error_counts(void **state)
{
    (void)state;
    struct config c;
    struct gb_error error;
    assert_false(load("[agent]\nfirst = 1\nsecond = 2\n[third]\nkey = 3\n", &c, &error));
    assert_non_null(strstr(error.what, "line 2"));
    assert_non_null(strstr(error.what, "first"));
}

static void long_lines_and_names(void **state)
{
    (void)state;
    struct config c;
    struct gb_error error;
    char text[8192], name[128];
    memset(name, 'n', sizeof name);
    /* a path that is longer than a usual line */
    snprintf(text, sizeof text, "[repository:a]\npath = /%0*d\n[agent]\nthreads = 2\n", 1000, 7);
    if (load(text, &c, &error)) {
        assert_int_equal(strlen(c.repositories[0].path), 1001);
        assert_int_equal(c.threads, 2);
    } else
        assert_non_null(strstr(error.what, "line 2"));
    /* a comment that looks like a key where it is cut */
    snprintf(text, sizeof text, "[agent]\nthreads = 2\n; %*s threads = 3\n", 197, "");
    if (load(text, &c, &error))
        assert_int_equal(c.threads, 2);
    /* values longer than their place */
    snprintf(text, sizeof text, "[agent]\nsocket = /%0*d\n", 107, 7);
    assert_false(load(text, &c, &error));
    assert_int_equal(error.code, GB_bad_config);
    snprintf(text, sizeof text, "[agent]\nsocket = /%0*d\n", 106, 7);
    accepted(text, &c);
    assert_int_equal(strlen(c.socket), 107);
    /* names that differ at their ends are two, or none */
    for (int length = 1; length < 100; length++) {
        snprintf(text, sizeof text,
                 "[repository:%.*sa]\npath = /a\n[repository:%.*sb]\npath = /b\n", length, name,
                 length, name);
        if (!load(text, &c, &error)) {
            assert_int_equal(error.code, GB_bad_config);
            assert_true(length > 30);
            continue;
        }
        if (c.repository_count != 2 || strlen(c.repositories[0].name) != (size_t)length + 1)
            fail_msg("a name of %d bytes becomes %s", length + 1, c.repositories[0].name);
    }
}

static void indented_keys_are_keys(void **state)
{
    (void)state;
    struct config c;
    accepted("[server]\n  user = keeper\n  socket = /s\n  password-file = /p\n", &c);
    assert_string_equal(c.server_sql_user, "keeper");
    assert_string_equal(c.server_socket, "/s");
    assert_string_equal(c.server_password_file, "/p");
}

static void the_most_repositories(void **state)
{
    (void)state;
    struct config c;
    struct gb_error error;
    char text[4096] = "";
    for (unsigned i = 0; i < CONFIG_REPOSITORIES_MAX; i++)
        snprintf(text + strlen(text), sizeof text - strlen(text), "[repository:r%u]\npath = /r%u\n",
                 i, i);
    accepted(text, &c);
    assert_int_equal(c.repository_count, CONFIG_REPOSITORIES_MAX);
    snprintf(text + strlen(text), sizeof text - strlen(text), "[repository:more]\npath = /more\n");
    assert_false(load(text, &c, &error));
    assert_int_equal(error.code, GB_bad_config);
    assert_non_null(strstr(error.what, "more"));
}

static void a_repository_is_found_by_name(void **state)
{
    (void)state;
    struct config c;
    struct gb_error error = {0};
    accepted("[repository:a]\npath = /a\n[repository:default]\npath = /d\n", &c);
    assert_string_equal(config_repository(&c, "a", &error)->path, "/a");
    assert_string_equal(config_repository(&c, "", &error)->path, "/d");
    assert_string_equal(config_repository(&c, NULL, &error)->path, "/d");
    assert_null(config_repository(&c, "b", &error));
    assert_int_equal(error.code, GB_repository_unknown);
    assert_non_null(strstr(error.what, "\"b\""));
    accepted("[repository:first]\npath = /1\n[repository:second]\npath = /2\n", &c);
    assert_string_equal(config_repository(&c, NULL, &error)->path, "/1");
}

static void types_of_later_releases(void **state)
{
    (void)state;
    static const char *const types[] = {"gs", "nfs"};
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        struct config c;
        struct gb_error error;
        char text[128];
        snprintf(text, sizeof text, "[repository:a]\ntype = %s\npath = %s/a\n", types[i], root);
        struct repository *r =
            load(text, &c, &error) ? repository_open(&c.repositories[0], &error) : NULL;
        assert_null(r);
        assert_int_equal(error.code, GB_not_supported);
        assert_non_null(strstr(error.what, types[i]));
    }
}

static void a_bucket(void **state)
{
    (void)state;
    struct config c;
    accepted("[repository:far]\n"
             "type = s3\n"
             "endpoint = https://store.example:8443\n"
             "bucket = backups\n"
             "region = eu-1\n"
             "prefix = control-plane/db\n"
             "addressing = virtual-host\n"
             "ca-file = /ca.pem\n"
             "credentials-file = /keys\n"
             "request-timeout = 2m\n"
             "request-attempts = 20\n"
             "compression = none\n",
             &c);
    const struct s3_options *o = &c.repositories[0].s3;
    assert_string_equal(c.repositories[0].type, "s3");
    assert_string_equal(o->endpoint, "https://store.example:8443");
    assert_string_equal(o->bucket, "backups");
    assert_string_equal(c.repositories[0].remote.region, "eu-1");
    assert_string_equal(c.repositories[0].remote.prefix, "control-plane/db");
    assert_int_equal(o->addressing, S3_VIRTUAL_HOST);
    assert_string_equal(c.repositories[0].remote.ca_file, "/ca.pem");
    assert_string_equal(o->credentials_file, "/keys");
    assert_int_equal(c.repositories[0].remote.timeout_s, 120);
    assert_int_equal(c.repositories[0].remote.attempts, 20);
    accepted("[repository:far]\ntype = s3\nbucket = backups\n", &c);
    assert_int_equal(c.repositories[0].s3.addressing, S3_PATH);
}

static void what_a_bucket_is_asked_to_do(void **state)
{
    (void)state;
    struct config c;
    accepted("[repository:far]\n"
             "type = s3\n"
             "bucket = backups\n"
             "credentials = web-identity\n"
             "role-arn = arn:role\n"
             "web-identity-token-file = /token\n"
             "sts-endpoint = https://sts.example\n"
             "server-side-encryption = aws:kms\n"
             "kms-key-id = key\n"
             "storage-class = STANDARD_IA\n"
             "tags = team=db\n"
             "object-lock = compliance\n"
             "object-lock-time = 30d\n",
             &c);
    const struct s3_options *o = &c.repositories[0].s3;
    assert_string_equal(o->credentials, "web-identity");
    assert_string_equal(o->role_arn, "arn:role");
    assert_string_equal(o->web_identity_token_file, "/token");
    assert_string_equal(o->sts_endpoint, "https://sts.example");
    assert_string_equal(o->policy.encryption, "aws:kms");
    assert_string_equal(o->policy.kms_key_id, "key");
    assert_string_equal(o->policy.storage_class, "STANDARD_IA");
    assert_string_equal(o->policy.tags, "team=db");
    assert_string_equal(o->policy.lock_mode, "compliance");
    assert_int_equal(o->policy.lock_time_s, 30 * 86400);
    accepted("[repository:far]\ntype = s3\nbucket = b.b\nserver-side-encryption = "
             "customer\ncustomer-key-file = /key\n",
             &c);
    assert_string_equal(c.repositories[0].s3.policy.customer_key_file, "/key");
}

static void a_container(void **state)
{
    (void)state;
    struct config c;
    accepted("[repository:far]\n"
             "type = swift\n"
             "auth-url = https://keystone.example:5000/v3\n"
             "user = backup\n"
             "key-file = /key\n"
             "project = databases\n"
             "domain = Users\n"
             "project-domain = Projects\n"
             "region = RegionOne\n"
             "interface = internal\n"
             "container = backups\n"
             "prefix = control-plane\n"
             "part-size = 32M\n"
             "rate-limit = 50M\n"
             "client-certificate = /client.pem\n"
             "client-key = /client.key\n"
             "delete-after = 30d\n",
             &c);
    const struct repository_spec *r = &c.repositories[0];
    assert_string_equal(r->type, "swift");
    assert_string_equal(repository_bucket(r), "backups");
    assert_string_equal(r->swift.auth_url, "https://keystone.example:5000/v3");
    assert_string_equal(r->swift.user, "backup");
    assert_string_equal(r->swift.key_file, "/key");
    assert_string_equal(r->swift.project, "databases");
    assert_string_equal(r->swift.domain, "Users");
    assert_string_equal(r->swift.project_domain, "Projects");
    assert_string_equal(r->swift.interface, "internal");
    assert_int_equal(r->swift.delete_after_s, 30 * 86400);
    assert_string_equal(r->remote.region, "RegionOne");
    assert_string_equal(r->remote.prefix, "control-plane");
    assert_string_equal(r->remote.client_certificate, "/client.pem");
    assert_string_equal(r->remote.client_key, "/client.key");
    assert_true(r->remote.part_size == 32u << 20 && r->remote.rate_limit == 50u << 20);
    accepted("[repository:far]\ntype = swift\ncontainer = backups\napplication-credential = 0123\n",
             &c);
    assert_string_equal(c.repositories[0].swift.application_credential, "0123");
}

static void keys_of_another_type(void **state)
{
    (void)state;
    static const struct {
        const char *text, *says;
    } wrong[] = {
        {"type = s3\nbucket = backups\npath = /a\n", "path does not go with type = s3"},
        {"type = s3\nbucket = backups\nmin-free = 1%\n", "min-free does not go with type = s3"},
        {"path = /a\nbucket = backups\n", "bucket does not go with type = directory"},
        {"path = /a\nca-file = /ca.pem\n", "ca-file does not go with type = directory"},
        {"type = s3\n", "no bucket"},
        {"type = s3\nbucket = backups\nendpoint = store.example\n", "http[s]://HOST[:PORT]"},
        {"type = s3\nbucket = backups\nprefix = /a\n", "prefix = /a"},
        {"type = s3\nbucket = backups\naddressing = dns\n", "neither path nor virtual-host"},
        {"type = s3\nbucket = backups\naccess-key-id = AKIA\n", "without the other"},
        {"type = s3\nbucket = backups\ncontainer = backups\n",
         "container does not go with type = s3"},
        {"type = swift\ncontainer = backups\nbucket = backups\n",
         "bucket does not go with type = swift"},
        {"type = swift\n", "no container"},
        {"type = swift\ncontainer = a/b\n", "a/b is not the name of a container"},
        {"type = swift\ncontainer = backups\nauth-url = keystone\n", "http[s]://HOST"},
        {"type = swift\ncontainer = backups\nkey-file = key\n", "absolute path"},
        {"type = swift\ncontainer = backups\ninterface = private\n", "public, internal and admin"},
        {"type = swift\ncontainer = backups\nuser = a\napplication-credential = b\n",
         "which is meant"},
        {"type = swift\ncontainer = backups\nregion = a/b\n", "region"},
        {"type = swift\ncontainer = backups\npart-size = 4M\n", "from 5M to 256M"},
        {"type = swift\ncontainer = backups\nclient-key = /k\n", "without client-certificate"},
        {"type = s3\nbucket = backups\nendpoint = http://a\nclient-certificate = /c\n",
         "asks for none"},
        {"type = s3\nbucket = backups\ncredentials = pod\n", "neither instance nor web-identity"},
        {"type = s3\nbucket = backups\ncredentials = instance\ncredentials-file = /k\n",
         "keys of its own"},
        {"type = s3\nbucket = backups\nrole-arn = arn\n", "want credentials = web-identity"},
        {"type = s3\nbucket = backups\ncredentials = web-identity\nweb-identity-token-file = "
         "token\n",
         "absolute path"},
        {"type = s3\nbucket = backups\ncredentials = web-identity\nsts-endpoint = sts\n",
         "http[s]://HOST"},
        {"type = s3\nbucket = backups\nobject-lock = governance\n", "go together"},
        {"type = swift\ncontainer = backups\nstorage-class = STANDARD_IA\n",
         "storage-class does not go with type = swift"},
        {"type = s3\nbucket = backups\nstorage-class = GLACIER\n", "storage-class"},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        struct config c;
        struct gb_error error;
        char text[256];
        snprintf(text, sizeof text, "[repository:a]\n%s", wrong[i].text);
        assert_false(load(text, &c, &error));
        assert_int_equal(error.code, GB_bad_config);
        if (!strstr(error.what, wrong[i].says))
            fail_msg("%s\n\"%s\" does not say \"%s\"", text, error.what, wrong[i].says);
    }
}

static void a_secret_that_others_may_read(void **state)
{
    (void)state;
    const char text[] = "[repository:a]\ntype = s3\nbucket = backups\naccess-key-id = "
                        "AKIA\nsecret-access-key = geheim\n";
    struct config c;
    struct gb_error error;
    assert_false(load("", &c, &error) && (chmod(path, 0644) || load(text, &c, &error)));
    assert_int_equal(error.code, GB_bad_config);
    assert_non_null(strstr(error.what, "secret-access-key"));
    assert_null(strstr(error.what, "geheim"));
    assert_true(load("", &c, &error) && !chmod(path, 0640) && load(text, &c, &error));
    assert_string_equal(c.repositories[0].s3.secret_access_key, "geheim");
}

static void a_file_that_is_named_must_be_there(void **state)
{
    (void)state;
    struct config c;
    struct gb_error error = {0};
    unlink(path);
    assert_false(config_load(&c, path, &error));
    assert_int_equal(error.code, GB_bad_config);
    assert_non_null(strstr(error.what, path));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
        TEST(defaults),
        TEST(every_key),
        TEST(comments_and_spaces),
        TEST(sections_may_come_twice),
        TEST(sizes_times_and_numbers),
        TEST(refused_files),
        TEST(the_first_error_counts),
        TEST(long_lines_and_names),
        TEST(indented_keys_are_keys),
        TEST(the_most_repositories),
        TEST(a_repository_is_found_by_name),
        TEST(types_of_later_releases),
        TEST(a_bucket),
        TEST(what_a_bucket_is_asked_to_do),
        TEST(a_container),
        TEST(keys_of_another_type),
        TEST(a_secret_that_others_may_read),
        TEST(a_file_that_is_named_must_be_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
