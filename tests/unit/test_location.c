/* location.h: repositories that are named by where they are; and the keys of a store, wherever they
 * come from. */
#include "agent/location.h"
#include "agent/storage/s3_credentials.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static struct repository_spec spec;

static void accepted(const char *text)
{
    struct gb_error error = {0};
    assert_true(location_is(text));
    if (!location_parse(text, &spec, &error))
        fail_msg("%s: %s", text, error.what);
}

static void refused(const char *text, enum gb_code code, const char *why)
{
    struct gb_error error = {0};
    assert_false(location_parse(text, &spec, &error));
    assert_int_equal(error.code, code);
    if (!strstr(error.what, why))
        fail_msg("%s: \"%s\" does not say \"%s\"", text, error.what, why);
}

static void directories(void **state)
{
    (void)state;
    accepted("/srv/backups");
    assert_string_equal(spec.type, "directory");
    assert_string_equal(spec.path, "/srv/backups");
    accepted("file:///srv/a%20b%2fc");
    assert_string_equal(spec.path, "/srv/a b/c");
    refused("file://relative", GB_bad_value, "file:///PATH");
    refused("file:///a%2", GB_bad_value, "hexadecimal");
    refused("file:///a%00b", GB_bad_value, "hexadecimal");
    refused("gs://a", GB_not_supported, "gs");
    assert_false(location_is("default"));
}

static void buckets(void **state)
{
    (void)state;
    accepted("s3://bucket");
    assert_string_equal(spec.type, "s3");
    assert_string_equal(spec.s3.bucket, "bucket");
    assert_string_equal(spec.remote.prefix, "");
    assert_string_equal(spec.s3.endpoint, "");
    accepted("s3://bucket/a/b%20c/"
             "?endpoint=https%3A%2F%2Fstore.example:8443&region=eu-1&addressing=virtual-host"
             "&ca-file=/ca.pem&credentials-file=/keys&request-timeout=2m");
    assert_string_equal(spec.remote.prefix, "a/b c");
    assert_string_equal(spec.s3.endpoint, "https://store.example:8443");
    assert_string_equal(spec.remote.region, "eu-1");
    assert_int_equal(spec.s3.addressing, S3_VIRTUAL_HOST);
    assert_string_equal(spec.remote.ca_file, "/ca.pem");
    assert_string_equal(spec.s3.credentials_file, "/keys");
    assert_int_equal(spec.remote.timeout_s, 120);
    accepted("s3://bucket?endpoint=http://127.0.0.1:1");
    assert_string_equal(spec.s3.endpoint, "http://127.0.0.1:1");
}

static void buckets_that_are_none(void **state)
{
    (void)state;
    refused("s3://", GB_bad_config, "no bucket");
    refused("s3://b", GB_bad_config, "not the name of a bucket");
    refused("s3://buc ket", GB_bad_config, "not the name of a bucket");
    refused("s3://bucket/a//b", GB_bad_config, "prefix");
    refused("s3://bucket/../b", GB_bad_config, "prefix");
    refused("s3://bucket?", GB_bad_value, "KEY=VALUE");
    refused("s3://bucket?endpoint", GB_bad_value, "KEY=VALUE");
    refused("s3://bucket?endpoint=store.example", GB_bad_config, "http[s]://HOST[:PORT]");
    refused("s3://bucket?endpoint=https://store.example/path", GB_bad_config,
            "http[s]://HOST[:PORT]");
    refused("s3://bucket?endpoint=https://", GB_bad_config, "http[s]://HOST[:PORT]");
    refused("s3://bucket?endpoint=http://a&ca-file=/ca.pem", GB_bad_config, "no certificate");
    refused("s3://bucket?adressing=path", GB_bad_config, "adressing");
    refused("s3://bucket?addressing=host", GB_bad_config, "neither path nor virtual-host");
    refused("s3://bucket?storage-class=GLACIER", GB_bad_config, "storage-class");
    refused("s3://bucket?bucket=other", GB_bad_value, "before the \"?\"");
    refused("s3://bucket?credentials-file=keys", GB_bad_config, "absolute path");
}

static void containers(void **state)
{
    (void)state;
    accepted("swift://backups/a/b?auth-url=https://store.example/auth/"
             "v1.0&user=account:user&key-file=/key&region=one");
    assert_string_equal(spec.type, "swift");
    assert_string_equal(spec.swift.container, "backups");
    assert_string_equal(spec.remote.prefix, "a/b");
    assert_string_equal(spec.swift.auth_url, "https://store.example/auth/v1.0");
    assert_string_equal(spec.swift.user, "account:user");
    assert_string_equal(spec.swift.key_file, "/key");
    assert_string_equal(spec.remote.region, "one");
    refused("swift://", GB_bad_config, "no container");
    refused("swift://backups?container=other", GB_bad_value, "before the \"?\"");
    refused("swift://backups?bucket=other", GB_bad_config, "bucket");
    refused("swift://backups?auth-url=store.example", GB_bad_config, "http[s]://HOST");
}

static void secrets_in_a_url(void **state)
{
    (void)state;
    struct gb_error error = {0};
    refused("s3://bucket?secret-access-key=geheim", GB_bad_value, "secret-access-key");
    assert_false(
        location_parse("s3://bucket?access-key-id=AKIA&secret-access-key=geheim", &spec, &error));
    assert_null(strstr(error.what, "geheim"));
    assert_null(strstr(error.what, "AKIA"));
}

/* ---- keys ---- */

static char file[64];

static void write_file(const char *text, mode_t mode)
{
    snprintf(file, sizeof file, "/tmp/gb-test-keys-XXXXXX");
    int fd = mkstemp(file);
    assert_true(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text) &&
                !fchmod(fd, mode) && !close(fd));
}

static bool keys(const char *credentials_file, struct sigv4_credentials *c, struct gb_error *error)
{
    struct s3_options o = {.bucket = "bucket"};
    memset(error, 0, sizeof *error);
    snprintf(o.credentials_file, sizeof o.credentials_file, "%s", credentials_file);
    return s3_credentials(&o, c, error);
}

static void keys_of_a_file(void **state)
{
    (void)state;
    struct sigv4_credentials c;
    struct gb_error error;
    char text[2600], token[2001];
    memset(token, 't', sizeof token - 1);
    token[sizeof token - 1] = '\0';
    snprintf(text, sizeof text,
             "# AWS's own\n[other]\naws_access_key_id = no\n[default]\n  aws_access_key_id=AKIA \n"
             "aws_secret_access_key = a/b+c=\nregion = eu-1\naws_session_token = "
             "%s\n[last]\naws_access_key_id = no\n",
             token);
    write_file(text, 0600);
    assert_true(keys(file, &c, &error));
    assert_string_equal(c.access_key_id, "AKIA");
    assert_string_equal(c.secret_access_key, "a/b+c=");
    assert_string_equal(c.session_token, token);
    unlink(file);
}

static void keys_that_are_none(void **state)
{
    (void)state;
    struct sigv4_credentials c;
    struct gb_error error;
    write_file("[default]\naws_access_key_id = AKIA\naws_secret_access_key = geheim\n", 0644);
    assert_false(keys(file, &c, &error));
    assert_int_equal(error.code, GB_bad_config);
    assert_non_null(strstr(error.hint, "chmod"));
    unlink(file);
    write_file("[default]\naws_access_key_id = AKIA\n[x]\naws_secret_access_key = geheim\n", 0600);
    assert_false(keys(file, &c, &error));
    assert_non_null(strstr(error.what, "aws_secret_access_key"));
    unlink(file);
    assert_false(keys(file, &c, &error));
    assert_non_null(strstr(error.what, file));
    unsetenv("AWS_ACCESS_KEY_ID");
    assert_false(keys("", &c, &error));
    assert_int_equal(error.code, GB_store_denied);
    assert_non_null(strstr(error.hint, "AWS_ACCESS_KEY_ID"));
}

static void keys_of_the_environment(void **state)
{
    (void)state;
    struct sigv4_credentials c;
    struct gb_error error;
    setenv("AWS_ACCESS_KEY_ID", "AKIA", 1);
    setenv("AWS_SECRET_ACCESS_KEY", "geheim", 1);
    setenv("AWS_SESSION_TOKEN", "token", 1);
    assert_true(keys("", &c, &error));
    assert_string_equal(c.access_key_id, "AKIA");
    assert_string_equal(c.secret_access_key, "geheim");
    assert_string_equal(c.session_token, "token");
    struct s3_options o = {
        .bucket = "bucket", .access_key_id = "OTHER", .secret_access_key = "configured"};
    assert_true(s3_credentials(&o, &c, &error));
    assert_string_equal(c.access_key_id, "OTHER");
    assert_string_equal(c.session_token, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(directories),           cmocka_unit_test(buckets),
        cmocka_unit_test(buckets_that_are_none), cmocka_unit_test(containers),
        cmocka_unit_test(secrets_in_a_url),      cmocka_unit_test(keys_of_a_file),
        cmocka_unit_test(keys_that_are_none),    cmocka_unit_test(keys_of_the_environment),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
