/*
  backup.json (manifest.h). What is accepted has an id and a cluster that can be parts of a path,
  and objects whose names stay in the backup.

  Input: the text without its last key, "sha256", and the bracket that ends it; both are put there.
  What is read in the end is also read as it came.
*/
#include "agent/repository/repository.h"
#include "tests/fuzz/fuzz.h"

#include <string.h>

static int read_text(const char *data, size_t size)
{
    static struct manifest m;
    struct gb_error error = {0};
    if (!manifest_parse(&m, data, size, "backup.json", NULL, &error)) {
        REQUIRE(error.code && error.what[0] && !m.objects);
        return 0;
    }
    REQUIRE(label_valid(m.id) && cluster_name_valid(m.cluster) && m.format == MANIFEST_FORMAT);
    REQUIRE(m.object_count && !strcmp(m.objects[0].name, "index"));
    for (size_t i = 1; i < m.object_count; i++)
        REQUIRE(!strncmp(m.objects[i].name, "data/", 5) &&
                strlen(m.objects[i].name) == strlen("data/000001.seg"));
    REQUIRE(m.checkpoint_lsn + m.redo_bytes == m.end_lsn && m.facts.count <= WIRE_FACTS_MAX);
    REQUIRE(manifest_position(&m) && (manifest_is_save(&m) || !manifest_is_save(&m)));
    manifest_free(&m);
    return 0;
}

int fuzz_input(const uint8_t *data, size_t size)
{
    char *text = malloc(size + MANIFEST_SEAL_MAX);
    REQUIRE(text);
    read_text((const char *)data, size);
    if (size)
        memcpy(text, data, size);
    manifest_seal(text, size, text + size);
    read_text(text, strlen(text + size) + size);
    free(text);
    return 0;
}
