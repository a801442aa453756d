/*
  The configuration file (config.h), sizes with units, compressions.

  Input: the file.
*/
#include "agent/config.h"
#include "tests/fuzz/fuzz.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static void read_numbers(const uint8_t *data, size_t size)
{
    char text[40];
    uint64_t bytes;
    struct codec_spec spec;
    struct gb_error error = {0};
    snprintf(text, sizeof text, "%.*s", (int)(size < sizeof text ? size : sizeof text - 1),
             (const char *)data);
    if (config_bytes(text, &bytes))
        REQUIRE(bytes <= INT64_MAX);
    REQUIRE(codec_parse(text, &spec, &error) == !error.code);
}

int fuzz_input(const uint8_t *data, size_t size)
{
    static int fd = -1;
    static char path[64];
    static struct config config;
    struct gb_error error = {0}, unknown = {0};
    if (fd < 0) {
        fd = memfd_create("config", MFD_CLOEXEC);
        snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    }
    REQUIRE(fd >= 0 && !ftruncate(fd, 0) && pwrite(fd, data, size, 0) == (ssize_t)size);
    read_numbers(data, size);
    if (!config_load(&config, path, &error)) {
        REQUIRE(error.code == GB_bad_config || error.code == GB_not_supported);
        REQUIRE(error.what[0] && error.hint[0]);
        return 0;
    }
    REQUIRE(config.repository_count && config.repository_count <= CONFIG_REPOSITORIES_MAX);
    REQUIRE(config.redo_memory >= 1u << 20 && config.threads <= 256 && config.stall_timeout_s);
    for (unsigned i = 0; i < config.repository_count; i++) {
        const struct repository_spec *r = &config.repositories[i];
        REQUIRE(r->name[0] && r->min_free_percent < 100);
        REQUIRE(!strcmp(r->type, REPOSITORY_S3)      ? r->s3.bucket[0] != '\0'
                : !strcmp(r->type, REPOSITORY_SWIFT) ? r->swift.container[0] != '\0'
                                                     : r->path[0] == '/');
        REQUIRE(config_repository(&config, r->name, &error) == r);
    }
    REQUIRE(config_repository(&config, NULL, &error));
    REQUIRE(!config_repository(&config, "a,b", &unknown));
    return 0;
}
