/* s3_xml.h: what stores answer, and what nobody should. */
#include "agent/storage/s3_xml.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char seen[4096];

static bool note(void *context, const char *path, const char *text)
{
    (void)context;
    size_t n = strlen(seen);
    snprintf(seen + n, sizeof seen - n, "%s=%s\n", path, text);
    return true;
}

static bool refuse(void *context, const char *path, const char *text)
{
    (void)context;
    (void)text;
    return strcmp(path, "a/b") != 0;
}

static bool reads(const char *text)
{
    seen[0] = '\0';
    return s3_xml_read(text, strlen(text), note, NULL);
}

static void a_list(void **state)
{
    (void)state;
    assert_true(
        reads("<?xml version='1.0' encoding='UTF-8'?>\n"
              "<ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Name>b</Name>"
              "<Contents><Key>a&amp;b/\xc3\xa4</Key><Size>7</Size></Contents>"
              "<CommonPrefixes><Prefix>c/</Prefix></CommonPrefixes><IsTruncated>true</IsTruncated>"
              "<NextContinuationToken>x+/=</NextContinuationToken></ListBucketResult>"));
    assert_string_equal(seen,
                        "ListBucketResult/Name=b\nListBucketResult/Contents/Key=a&b/"
                        "\xc3\xa4\nListBucketResult/Contents/Size=7\n"
                        "ListBucketResult/Contents=\nListBucketResult/CommonPrefixes/Prefix=c/\n"
                        "ListBucketResult/CommonPrefixes=\nListBucketResult/IsTruncated=true\n"
                        "ListBucketResult/NextContinuationToken=x+/=\nListBucketResult=\n");
}

static void prefixes_of_namespaces_and_space(void **state)
{
    (void)state;
    assert_true(reads("<s:R xmlns:s='u'>\n  <s:Id a='1'>\n  x y\r\n</s:Id><s:Empty/></s:R>"));
    assert_string_equal(seen, "R/Id=x y\nR/Empty=\nR=\n");
}

static void an_error(void **state)
{
    (void)state;
    const char text[] = "<?xml version='1.0'?><Error><Code>SlowDown</Code><Message>Reduce your "
                        "\"rate\"</Message></Error>";
    const char other[] = "<R><Error><Code>no</Code></Error></R>";
    char code[64], message[16];
    s3_xml_error(text, strlen(text), code, sizeof code, message, sizeof message);
    assert_string_equal(code, "SlowDown");
    assert_string_equal(message, "Reduce your \"ra");
    s3_xml_error(other, strlen(other), code, sizeof code, message, sizeof message);
    assert_string_equal(code, "");
    s3_xml_error(NULL, 0, code, sizeof code, message, sizeof message);
    assert_string_equal(message, "");
    s3_xml_error("<Error>", 7, code, sizeof code, message, sizeof message);
    assert_string_equal(code, "");
}

static void what_is_none(void **state)
{
    (void)state;
    assert_false(reads(""));
    assert_false(reads("<a>"));
    assert_false(reads("<a></b>"));
    assert_false(reads("<html>not & this</html>"));
    assert_false(reads("<a><a><a><a><a><a><a><a><a></a></a></a></a></a></a></a></a></a>"));
    assert_true(reads("<a><a><a><a><a><a><a><a></a></a></a></a></a></a></a></a>"));
}

static void a_document_type(void **state)
{
    (void)state;
    assert_false(reads("<!DOCTYPE a [<!ENTITY b \"bbbb\"><!ENTITY c \"&b;&b;\">]><a>&c;</a>"));
    assert_false(reads("<!DOCTYPE a SYSTEM \"file:///etc/passwd\"><a/>"));
    assert_null(strstr(seen, "a="));
}

static void too_long(void **state)
{
    (void)state;
    for (unsigned size = S3_XML_TEXT_MAX - 1; size <= S3_XML_TEXT_MAX; size++) {
        char *text = malloc(size + 16);
        assert_non_null(text);
        memcpy(text, "<a>", 3);
        memset(text + 3, 'x', size);
        memcpy(text + 3 + size, "</a>", 5);
        assert_int_equal(s3_xml_read(text, size + 7, refuse, NULL), size < S3_XML_TEXT_MAX);
        free(text);
    }
    char name[200];
    snprintf(name, sizeof name, "<%0*d/>", 100, 1);
    name[1] = 'x';
    assert_false(reads(name));
}

static void a_reader_that_stops(void **state)
{
    (void)state;
    assert_true(s3_xml_read("<a><c/></a>", 11, refuse, NULL));
    assert_false(s3_xml_read("<a><b/></a>", 11, refuse, NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_list),
        cmocka_unit_test(prefixes_of_namespaces_and_space),
        cmocka_unit_test(an_error),
        cmocka_unit_test(what_is_none),
        cmocka_unit_test(a_document_type),
        cmocka_unit_test(too_long),
        cmocka_unit_test(a_reader_that_stops),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
