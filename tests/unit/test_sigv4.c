/* sigv4.h against the examples that AWS has published: "Signature Calculations for the
   Authorization Header" (S3's own) and get-vanilla of the signature test suite. */
#include "agent/storage/sigv4.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#define EMPTY "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
#define HOST  "examplebucket.s3.amazonaws.com"
#define DATE  "20130524T000000Z"

static const struct sigv4_credentials example = {.access_key_id = "AKIAIOSFODNN7EXAMPLE",
                                                 .secret_access_key =
                                                     "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"};

static void signs(const struct sigv4_credentials *credentials, const struct sigv4_request *request,
                  const char *expected)
{
    char text[SIGV4_TEXT_MAX];
    assert_true(sigv4_sign(credentials, request, text, sizeof text));
    assert_string_equal(text, expected);
}

static struct sigv4_request s3_request(const char *method, const char *path, const char *query,
                                       const char *sha256, const struct sigv4_header *headers,
                                       size_t count)
{
    return (struct sigv4_request){.method = method,
                                  .path = path,
                                  .query = query,
                                  .headers = headers,
                                  .header_count = count,
                                  .payload_sha256 = sha256,
                                  .region = "us-east-1",
                                  .service = "s3",
                                  .date = DATE};
}

static void a_range_of_an_object(void **state)
{
    (void)state;
    const struct sigv4_header headers[] = {{"host", HOST},
                                           {"range", "bytes=0-9"},
                                           {"x-amz-content-sha256", EMPTY},
                                           {"x-amz-date", DATE}};
    struct sigv4_request q = s3_request("GET", "/test.txt", "", EMPTY, headers, 4);
    signs(&example, &q,
          "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request, "
          "SignedHeaders=host;range;x-amz-content-sha256;x-amz-date, "
          "Signature=f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41");
}

static void an_object_that_is_put(void **state)
{
    (void)state;
    const char body[] = "Welcome to Amazon S3.";
    char sha256[SIGV4_SHA256_MAX], path[64];
    size_t used = 0;
    assert_true(sigv4_sha256(body, strlen(body), sha256));
    assert_string_equal(sha256, "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072");
    assert_true(sigv4_encode("/test$file.text", true, path, sizeof path, &used));
    const struct sigv4_header headers[] = {{"date", "Fri, 24 May 2013 00:00:00 GMT"},
                                           {"host", HOST},
                                           {"x-amz-content-sha256", sha256},
                                           {"x-amz-date", DATE},
                                           {"x-amz-storage-class", "REDUCED_REDUNDANCY"}};
    struct sigv4_request q = s3_request("PUT", path, "", sha256, headers, 5);
    signs(&example, &q,
          "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request, "
          "SignedHeaders=date;host;x-amz-content-sha256;x-amz-date;x-amz-storage-class, "
          "Signature=98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd");
}

static void a_question_without_a_value(void **state)
{
    (void)state;
    const struct sigv4_header headers[] = {
        {"host", HOST}, {"x-amz-content-sha256", EMPTY}, {"x-amz-date", DATE}};
    struct sigv4_request q = s3_request("GET", "/", "lifecycle=", EMPTY, headers, 3);
    signs(&example, &q,
          "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request, "
          "SignedHeaders=host;x-amz-content-sha256;x-amz-date, "
          "Signature=fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543");
}

static void a_list(void **state)
{
    (void)state;
    const struct sigv4_header headers[] = {
        {"host", HOST}, {"x-amz-content-sha256", EMPTY}, {"x-amz-date", DATE}};
    struct sigv4_request q = s3_request("GET", "/", "max-keys=2&prefix=J", EMPTY, headers, 3);
    signs(&example, &q,
          "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request, "
          "SignedHeaders=host;x-amz-content-sha256;x-amz-date, "
          "Signature=34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7");
}

static void the_test_suite_of_all_services(void **state)
{
    (void)state;
    static const struct sigv4_credentials suite = {.access_key_id = "AKIDEXAMPLE",
                                                   .secret_access_key =
                                                       "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"};
    const struct sigv4_header headers[] = {{"host", "example.amazonaws.com"},
                                           {"x-amz-date", "20150830T123600Z"}};
    const struct sigv4_request q = {.method = "GET",
                                    .path = "/",
                                    .query = "",
                                    .headers = headers,
                                    .header_count = 2,
                                    .payload_sha256 = EMPTY,
                                    .region = "us-east-1",
                                    .service = "service",
                                    .date = "20150830T123600Z"};
    signs(&suite, &q,
          "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, "
          "SignedHeaders=host;x-amz-date, "
          "Signature=5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31");
}

static void a_date(void **state)
{
    (void)state;
    char text[SIGV4_DATE_MAX];
    sigv4_date(1369353600, text);
    assert_string_equal(text, DATE);
}

static void what_is_encoded(void **state)
{
    (void)state;
    char text[64];
    size_t used = 0;
    assert_true(sigv4_encode("aZ0-._~/ +%\xc3\xa4&=", true, text, sizeof text, &used));
    assert_string_equal(text, "aZ0-._~/%20%2B%25%C3%A4%26%3D");
    assert_int_equal(used, strlen(text));
    used = 0;
    assert_true(sigv4_encode("a/b", false, text, sizeof text, &used));
    assert_string_equal(text, "a%2Fb");
    used = 0;
    assert_false(sigv4_encode("0123456789", false, text, 8, &used));
}

static void no_room(void **state)
{
    (void)state;
    char text[100];
    const struct sigv4_header headers[] = {{"host", HOST}, {"x-amz-date", DATE}};
    struct sigv4_request q = s3_request("GET", "/", "", EMPTY, headers, 2);
    assert_false(sigv4_sign(&example, &q, text, sizeof text));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_range_of_an_object),
        cmocka_unit_test(an_object_that_is_put),
        cmocka_unit_test(a_question_without_a_value),
        cmocka_unit_test(a_list),
        cmocka_unit_test(the_test_suite_of_all_services),
        cmocka_unit_test(a_date),
        cmocka_unit_test(what_is_encoded),
        cmocka_unit_test(no_room),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
