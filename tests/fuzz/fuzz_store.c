/*
  What object stores answer (s3_xml.h; a catalog, swift_auth.h) and how repositories are named by
  where they are (location.h).

  Input: the answer; its first line as a URL, too.
*/
#include "agent/location.h"
#include "agent/storage/s3_xml.h"
#include "agent/storage/swift_auth.h"
#include "tests/fuzz/fuzz.h"

#include <string.h>

static bool visit(void *context, const char *path, const char *text)
{
    size_t *elements = context;
    size_t n = strlen(text);
    REQUIRE(path[0] && path[0] != '/' && path[strlen(path) - 1] != '/');
    REQUIRE(n < S3_XML_TEXT_MAX &&
            (!n || (!strchr(" \t\r\n", text[0]) && !strchr(" \t\r\n", text[n - 1]))));
    return ++*elements < 100000;
}

static void read_location(const uint8_t *data, size_t size)
{
    static struct repository_spec spec;
    struct gb_error error = {0};
    char text[2048];
    snprintf(text, sizeof text, "%.*s", (int)(size < sizeof text ? size : sizeof text - 1),
             (const char *)data);
    text[strcspn(text, "\n")] = '\0';
    if (!location_is(text))
        return;
    if (!location_parse(text, &spec, &error)) {
        REQUIRE(error.code == GB_bad_value || error.code == GB_bad_config ||
                error.code == GB_not_supported);
        return;
    }
    REQUIRE(spec.remote.prefix[0] != '/' && !spec.s3.secret_access_key[0]);
    if (!strcmp(spec.type, REPOSITORY_S3))
        REQUIRE(strlen(spec.s3.bucket) >= 3);
    else if (!strcmp(spec.type, REPOSITORY_SWIFT))
        REQUIRE(spec.swift.container[0]);
    else
        REQUIRE(spec.path[0] == '/');
}

static void read_catalog(const uint8_t *data, size_t size)
{
    static const struct swift_identity identity = {.auth_url = "https://a/v3",
                                                   .interface = "public"};
    struct gb_error error = {0};
    char url[SWIFT_URL_MAX] = "";
    if (swift_auth_endpoint((const char *)data, size, &identity, url, &error))
        REQUIRE(!error.code && strlen(url) < sizeof url);
    else
        REQUIRE(error.code == GB_bad_config || error.code == GB_store_failed);
}

int fuzz_input(const uint8_t *data, size_t size)
{
    size_t elements = 0;
    char code[64], message[200];
    s3_xml_read((const char *)data, size, visit, &elements);
    s3_xml_error((const char *)data, size, code, sizeof code, message, sizeof message);
    REQUIRE(strlen(code) < sizeof code && strlen(message) < sizeof message);
    read_location(data, size);
    read_catalog(data, size);
    return 0;
}
