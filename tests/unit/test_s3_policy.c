/* s3_policy.h: the headers of what the store is asked to do with objects; what does not go
 * together. s3_role.h: times. */
#include "agent/storage/s3_policy.h"
#include "agent/storage/s3_role.h"

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

static struct s3_policy policy;
static struct s3_policy_state state;
static struct s3_policy_headers headers;

static int clear(void **unused)
{
    (void)unused;
    memset(&policy, 0, sizeof policy);
    return 0;
}

static void refused(bool plain, const char *why)
{
    struct gb_error error = {0};
    assert_false(s3_policy_check(&policy, "[repository:a]", plain, &error));
    assert_int_equal(error.code, GB_bad_config);
    if (!strstr(error.what, why))
        fail_msg("\"%s\" does not say \"%s\"", error.what, why);
    clear(NULL);
}

#define SET(member, value) snprintf(policy.member, sizeof policy.member, "%s", value)

static void what_does_not_go_together(void **unused)
{
    (void)unused;
    SET(encryption, "AES128");
    refused(false, "AES128 is none of");
    SET(kms_key_id, "key");
    refused(false, "kms-key-id");
    SET(encryption, "customer");
    refused(false, "go together");
    SET(customer_key_file, "/key");
    refused(false, "go together");
    SET(encryption, "customer");
    SET(customer_key_file, "/key");
    refused(true, "in clear");
    SET(encryption, "customer");
    SET(customer_key_file, "key");
    refused(false, "absolute path");
    SET(storage_class, "DEEP_ARCHIVE");
    refused(false, "thawed");
    SET(storage_class, "a b");
    refused(false, "storage-class = a b");
    SET(tags, "team");
    refused(false, "NAME=VALUE");
    SET(tags, "a=1,b=2,c=3,d=4,e=5,f=6,g=7,h=8,i=9,j=10,k=11");
    refused(false, "ten at most");
    SET(lock_mode, "legal");
    policy.lock_time_s = 1;
    refused(false, "neither governance nor compliance");
    SET(lock_mode, "governance");
    refused(false, "go together");
    policy.lock_time_s = 1;
    refused(false, "go together");
}

/* The value of a header; NULL: it is not sent. */
static const char *sent(const char *name)
{
    for (size_t i = 0; i < headers.count; i++)
        if (!strcmp(headers.list[i].name, name))
            return headers.list[i].value;
    return NULL;
}

static void asked(const struct bucket_request *q)
{
    s3_policy_headers(&state, q, 1795233600, &headers); /* 2026-11-21T04:00:00Z */
}

static void headers_of_what_is_kept(void **unused)
{
    (void)unused;
    struct gb_error error = {0};
    SET(encryption, "aws:kms");
    SET(kms_key_id, "key/1");
    SET(storage_class, "GLACIER_IR");
    SET(tags, " team=db , use = a&b,empty=");
    SET(lock_mode, "compliance");
    policy.lock_time_s = 86400;
    assert_true(s3_policy_check(&policy, "", true, &error) &&
                s3_policy_open(&state, &policy, &error));
    asked(&(struct bucket_request){.method = "PUT", .key = "a", .kept = true});
    assert_string_equal(sent("x-amz-server-side-encryption"), "aws:kms");
    assert_string_equal(sent("x-amz-server-side-encryption-aws-kms-key-id"), "key/1");
    assert_string_equal(sent("x-amz-storage-class"), "GLACIER_IR");
    assert_string_equal(sent("x-amz-tagging"), "team=db&use%20=%20a%26b&empty=");
    assert_string_equal(sent("x-amz-object-lock-mode"), "COMPLIANCE");
    assert_string_equal(sent("x-amz-object-lock-retain-until-date"), "2026-11-22T04:00:00Z");
    asked(&(struct bucket_request){
        .method = "POST", .key = "a", .kept = true, .query = {{"uploads", ""}}});
    assert_int_equal(headers.count, 6);
    asked(&(struct bucket_request){.method = "PUT", .key = "a"}); /* a lock */
    assert_int_equal(headers.count, 2);
    asked(&(struct bucket_request){
        .method = "PUT", .key = "a", .query = {{"partNumber", "1"}, {"uploadId", "x"}}});
    assert_int_equal(headers.count, 0);
    asked(&(struct bucket_request){.method = "GET", .key = "a"});
    assert_int_equal(headers.count, 0);
    s3_policy_close(&state);
}

static void write_key(const char *path, const void *text, size_t size)
{
    FILE *f = fopen(path, "we");
    assert_true(f && fwrite(text, 1, size, f) == size && !fclose(f) && !chmod(path, 0600));
}

static void a_key_of_the_customer(void **unused)
{
    (void)unused;
    static const char encoded[] = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=",
                      plain[] = "0123456789abcdef0123456789abcdef";
    struct gb_error error = {0};
    char path[] = "/tmp/gb-test-sse-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0 && !close(fd));
    SET(encryption, "customer");
    SET(customer_key_file, path);
    for (int form = 0; form < 3; form++) {
        char line[64];
        snprintf(line, sizeof line, "%s%s", form ? encoded : plain, form == 2 ? "\n" : "");
        write_key(path, line, strlen(line));
        assert_true(s3_policy_open(&state, &policy, &error));
        assert_string_equal(state.customer_key, encoded);
    }
    static const struct bucket_request all[] = {
        {.method = "PUT", .key = "a"},
        {.method = "POST", .key = "a", .query = {{"uploads", ""}}},
        {.method = "PUT", .key = "a", .query = {{"partNumber", "1"}, {"uploadId", "x"}}},
        {.method = "GET", .key = "a"},
        {.method = "HEAD", .key = "a"},
    };
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        asked(&all[i]);
        assert_int_equal(headers.count, 3);
        assert_string_equal(sent("x-amz-server-side-encryption-customer-algorithm"), "AES256");
        assert_string_equal(sent("x-amz-server-side-encryption-customer-key"), encoded);
        assert_string_equal(sent("x-amz-server-side-encryption-customer-key-md5"),
                            "hRasmdxgYDKV3nvbahU1MA==");
    }
    asked(&(struct bucket_request){.method = "GET", .query = {{"list-type", "2"}}});
    assert_int_equal(headers.count, 0);
    asked(&(struct bucket_request){.method = "POST", .key = "a", .query = {{"uploadId", "x"}}});
    assert_int_equal(headers.count, 0);
    asked(&(struct bucket_request){.method = "DELETE", .key = "a"});
    assert_int_equal(headers.count, 0);
    s3_policy_close(&state);
    write_key(path, plain, 31);
    assert_false(s3_policy_open(&state, &policy, &error));
    assert_int_equal(error.code, GB_bad_config);
    assert_non_null(strstr(error.what, "32 bytes"));
    assert_null(strstr(error.what, "0123"));
    unlink(path);
}

static void times_of_keys(void **unused)
{
    (void)unused;
    assert_true(s3_role_time("2026-11-21T04:00:00Z") == 1795233600);
    assert_true(s3_role_time("2026-11-21T04:00:00.000Z") == 1795233600);
    assert_true(s3_role_time("") == 0 && s3_role_time("tomorrow") == 0 &&
                s3_role_time("2026-11-21") == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(what_does_not_go_together, clear),
        cmocka_unit_test_setup(headers_of_what_is_kept, clear),
        cmocka_unit_test_setup(a_key_of_the_customer, clear),
        cmocka_unit_test(times_of_keys),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
