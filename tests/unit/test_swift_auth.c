/* swift_auth.h, swift_identity.h: what is sent to Keystone, and the endpoint of a catalog as
 * Keystone 22 (Debian 12) answered it (data/keystone_token.json); what comes from the environment.
 * renewal.h: who asks for a token. */
#include "agent/storage/swift_auth.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char body[16384];
static size_t body_size;
static struct swift_identity identity;

static int read_document(void **state)
{
    (void)state;
    FILE *f = fopen(GB_TEST_DATA "/keystone_token.json", "re");
    body_size = f ? fread(body, 1, sizeof body - 1, f) : 0;
    if (f)
        fclose(f);
    return body_size ? 0 : -1;
}

static int clear_environment(void **state)
{
    (void)state;
    static const char *const names[] = {"OS_AUTH_URL",
                                        "OS_USERNAME",
                                        "OS_PASSWORD",
                                        "OS_PROJECT_NAME",
                                        "OS_USER_DOMAIN_NAME",
                                        "OS_PROJECT_DOMAIN_NAME",
                                        "OS_REGION_NAME",
                                        "OS_INTERFACE",
                                        "OS_APPLICATION_CREDENTIAL_ID",
                                        "OS_APPLICATION_CREDENTIAL_SECRET",
                                        "ST_AUTH",
                                        "ST_USER",
                                        "ST_KEY"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        unsetenv(names[i]);
    return 0;
}

static void asked(const char *interface, const char *region)
{
    memset(&identity, 0, sizeof identity);
    snprintf(identity.auth_url, sizeof identity.auth_url, "https://keystone.example/v3");
    snprintf(identity.interface, sizeof identity.interface, "%s", interface);
    snprintf(identity.region, sizeof identity.region, "%s", region);
}

static void the_endpoint_of_interface_and_region(void **state)
{
    (void)state;
    char url[SWIFT_URL_MAX];
    struct gb_error error = {0};
    asked("public", "");
    assert_true(swift_auth_endpoint(body, body_size, &identity, url, &error));
    assert_string_equal(url, "http://127.0.0.1:24396/v1/AUTH_4495f79b58444702bb65480d3e5083b3");
    asked("internal", "RegionOne");
    assert_true(swift_auth_endpoint(body, body_size, &identity, url, &error));
    assert_string_equal(url, "http://127.0.0.1:24391/v1/AUTH_4495f79b58444702bb65480d3e5083b3");
}

static void an_endpoint_that_is_not_there(void **state)
{
    (void)state;
    char url[SWIFT_URL_MAX];
    struct gb_error error = {0};
    asked("internal", "RegionTwo");
    assert_false(swift_auth_endpoint(body, body_size, &identity, url, &error));
    assert_int_equal(error.code, GB_bad_config);
    assert_non_null(strstr(error.what, "internal in region RegionTwo"));
    assert_non_null(strstr(error.hint, "public of RegionOne, internal of RegionOne"));
    memset(&error, 0, sizeof error);
    static const char bare[] = "{\"token\": {\"catalog\": []}}";
    assert_false(swift_auth_endpoint(bare, strlen(bare), &identity, url, &error));
    assert_int_equal(error.code, GB_bad_config);
}

static void an_answer_that_is_none(void **state)
{
    (void)state;
    static const char *const answers[] = {
        "", "{}", "[]", "{\"token\": 1}", "{\"token\": {\"catalog\": {}}}", "<html>"};
    for (size_t i = 0; i < sizeof answers / sizeof answers[0]; i++) {
        char url[SWIFT_URL_MAX];
        struct gb_error error = {0};
        asked("public", "");
        assert_false(swift_auth_endpoint(answers[i], strlen(answers[i]), &identity, url, &error));
        assert_int_equal(error.code, GB_store_failed);
    }
}

/* The value at a path of names, "/" between them. */
static const char *at(const json_t *root, const char *path)
{
    char name[64];
    for (; root && *path; path += *path == '/') {
        size_t n = strcspn(path, "/");
        snprintf(name, sizeof name, "%.*s", (int)n, path);
        root = json_object_get(root, name);
        path += n;
    }
    return json_string_value(root);
}

static void what_is_sent(void **state)
{
    (void)state;
    asked("public", "");
    snprintf(identity.user, sizeof identity.user, "backup");
    snprintf(identity.secret, sizeof identity.secret, "a\"b");
    snprintf(identity.user_domain, sizeof identity.user_domain, "Users");
    snprintf(identity.project, sizeof identity.project, "databases");
    snprintf(identity.project_domain, sizeof identity.project_domain, "Projects");
    char *text = swift_auth_request(&identity);
    json_t *root = json_loads(text, 0, NULL);
    assert_string_equal(at(root, "auth/identity/password/user/name"), "backup");
    assert_string_equal(at(root, "auth/identity/password/user/password"), "a\"b");
    assert_string_equal(at(root, "auth/identity/password/user/domain/name"), "Users");
    assert_string_equal(at(root, "auth/scope/project/name"), "databases");
    assert_string_equal(at(root, "auth/scope/project/domain/name"), "Projects");
    json_decref(root);
    free(text);
    snprintf(identity.application_credential, sizeof identity.application_credential, "0123");
    text = swift_auth_request(&identity);
    root = json_loads(text, 0, NULL);
    assert_string_equal(at(root, "auth/identity/application_credential/id"), "0123");
    assert_string_equal(at(root, "auth/identity/application_credential/secret"), "a\"b");
    assert_null(strstr(text, "\"password\""));
    assert_null(json_object_get(json_object_get(root, "auth"), "scope"));
    json_decref(root);
    free(text);
}

/* ---- who asks ---- */

static struct swift_options options;
static struct bucket_options common;

static bool identified(struct gb_error *error)
{
    memset(error, 0, sizeof *error);
    return swift_identity(&options, &common, &identity, error);
}

static void who_asks_of_the_environment(void **state)
{
    (void)state;
    struct gb_error error;
    memset(&options, 0, sizeof options);
    memset(&common, 0, sizeof common);
    snprintf(options.container, sizeof options.container, "backups");
    assert_false(identified(&error));
    assert_int_equal(error.code, GB_store_denied);
    assert_non_null(strstr(error.hint, "OS_AUTH_URL"));
    setenv("OS_AUTH_URL", "https://keystone.example:5000/", 1);
    assert_false(identified(&error));
    assert_non_null(strstr(error.hint, "OS_USERNAME"));
    setenv("OS_USERNAME", "backup", 1);
    assert_false(identified(&error));
    assert_non_null(strstr(error.hint, "OS_PROJECT_NAME"));
    setenv("OS_PROJECT_NAME", "databases", 1);
    assert_false(identified(&error));
    assert_non_null(strstr(error.hint, "OS_PASSWORD"));
    setenv("OS_PASSWORD", "geheim", 1);
    setenv("OS_USER_DOMAIN_NAME", "Users", 1);
    setenv("OS_REGION_NAME", "one", 1);
    setenv("OS_INTERFACE", "internal", 1);
    assert_true(identified(&error));
    assert_true(identity.v3);
    assert_string_equal(identity.auth_url, "https://keystone.example:5000/v3");
    assert_string_equal(identity.secret, "geheim");
    assert_string_equal(identity.project_domain, "Users");
    assert_string_equal(identity.region, "one");
    assert_string_equal(identity.interface, "internal");
    /* an application credential needs no project; a user that is configured goes before it */
    setenv("OS_APPLICATION_CREDENTIAL_ID", "0123", 1);
    setenv("OS_APPLICATION_CREDENTIAL_SECRET", "of it", 1);
    assert_true(identified(&error));
    assert_string_equal(identity.application_credential, "0123");
    assert_string_equal(identity.secret, "of it");
    snprintf(options.user, sizeof options.user, "other");
    assert_true(identified(&error));
    assert_string_equal(identity.application_credential, "");
    assert_string_equal(identity.user, "other");
    assert_string_equal(identity.secret, "geheim");
}

static void a_key_file(void **state)
{
    (void)state;
    struct gb_error error;
    char path[] = "/tmp/gb-test-key-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0 && write(fd, "geheim\nmore", 11) == 11 && !fchmod(fd, 0600));
    memset(&options, 0, sizeof options);
    snprintf(options.container, sizeof options.container, "backups");
    snprintf(options.auth_url, sizeof options.auth_url, "http://store.example/auth/v1.0");
    snprintf(options.user, sizeof options.user, "account:user");
    snprintf(options.key_file, sizeof options.key_file, "%s", path);
    assert_true(identified(&error));
    assert_false(identity.v3);
    assert_string_equal(identity.secret, "geheim");
    assert_false(fchmod(fd, 0644));
    assert_false(identified(&error));
    assert_int_equal(error.code, GB_bad_config);
    assert_non_null(strstr(error.what, "key-file"));
    assert_true(!fchmod(fd, 0600) && !ftruncate(fd, 0));
    assert_false(identified(&error));
    assert_non_null(strstr(error.what, "empty"));
    close(fd);
    unlink(path);
}

/* ---- renewal ---- */

static unsigned fetched;
static bool fetch_fails;
static struct renewal renewal;

static bool fetch(void *context, struct gb_error *error)
{
    (void)context;
    fetched++;
    if (fetch_fails)
        return error_set(error, GB_store_unreachable, "nobody is there");
    pthread_mutex_lock(&renewal.mutex);
    renewal.renew_at_us = UINT64_MAX;
    pthread_mutex_unlock(&renewal.mutex);
    return true;
}

static bool enter(unsigned stale)
{
    struct gb_error error = {0};
    if (!renewal_enter(&renewal, stale, fetch, NULL, &error)) {
        assert_int_equal(error.code, GB_store_unreachable);
        return false;
    }
    renewal_leave(&renewal);
    return true;
}

static void it_is_asked_for_when_it_is_needed(void **state)
{
    (void)state;
    renewal_open(&renewal);
    fetch_fails = true;
    assert_false(enter(0));
    fetch_fails = false;
    assert_true(enter(0) && enter(0));
    assert_int_equal(fetched, 2);
    assert_true(enter(1) && enter(1)); /* the first was refused, and has been renewed */
    assert_int_equal(fetched, 3);
    fetch_fails = true;
    assert_false(enter(2));
    renewal.renew_at_us = 0; /* about to expire: what can't be renewed is used on */
    assert_true(enter(0) && enter(0));
    assert_int_equal(fetched, 5);
    renewal_close(&renewal);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_endpoint_of_interface_and_region),
        cmocka_unit_test(an_endpoint_that_is_not_there),
        cmocka_unit_test(an_answer_that_is_none),
        cmocka_unit_test(what_is_sent),
        cmocka_unit_test(who_asks_of_the_environment),
        cmocka_unit_test_setup(a_key_file, clear_environment),
        cmocka_unit_test(it_is_asked_for_when_it_is_needed),
    };
    clear_environment(NULL);
    return cmocka_run_group_tests(tests, read_document, NULL);
}
