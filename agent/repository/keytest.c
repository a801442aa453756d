/* The test of a key; see keytest.h. */
#include "agent/repository/keytest.h"
#include "agent/utc.h"
#include "agent/warn.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#define NAME     "key-test.json"
#define TEXT_MAX 4096u

static bool read_frame(struct repository *r, const struct manifest *m, const char *prefix,
                       const struct frame *f, struct gb_error *error)
{
    struct frame_reader *reader = frame_reader_new(manifest_key(m));
    uint8_t *stored = malloc(FRAME_HEADER_SIZE + codec_bound(FRAME_PLAIN_MAX)),
            *plain = malloc(FRAME_PLAIN_MAX);
    bool ok = reader && stored && plain
                  ? frame_read(reader, r->storage, prefix, f, stored, plain, error)
                  : error_set(error, GB_internal, "no memory");
    frame_reader_free(reader);
    free(stored);
    free(plain);
    return ok;
}

static void write_down(struct repository *r, const struct manifest *m)
{
    struct gb_error problem = {0};
    char name[1024], when[UTC_MAX];
    snprintf(name, sizeof name, "%s/" NAME, m->cluster);
    json_t *root = json_pack("{s:i, s:s, s:s, s:s}", "schema", 1, "key", m->encryption.opened_with,
                             "tested_at", utc_text(time(NULL), when), "backup", m->id);
    char *text = root ? json_dumps(root, JSON_INDENT(1)) : NULL;
    if (!text)
        error_set(&problem, GB_internal, "no memory");
    if (!text || !storage_replace(r->storage, name, text, strlen(text), &problem))
        warn_of(&problem, "that the key was tested is not written down");
    json_decref(root);
    free(text);
}

bool keytest_run(struct repository *r, struct manifest *m, struct gb_error *error)
{
    struct index index;
    char prefix[1024];
    index_init(&index);
    repository_prefix(prefix, sizeof prefix, m->cluster, m->id);
    bool ok = repository_unlock(r, m, error) &&
              index_read(&index, r->storage, prefix, manifest_key(m), &m->objects[0], error) &&
              (!index.frame_count ||
               read_frame(r, m, prefix, &index.frames[index.frame_count / 2].frame, error));
    index_free(&index);
    if (ok)
        write_down(r, m);
    return ok;
}

void keytest_read(struct repository *r, const char *cluster, struct keytest *test)
{
    struct gb_error ignored = {0};
    char name[1024];
    size_t size;
    memset(test, 0, sizeof *test);
    snprintf(name, sizeof name, "%s/" NAME, cluster);
    char *text = storage_read_all(r->storage, name, TEXT_MAX, &size, &ignored);
    json_t *root = text ? json_loadb(text, size, JSON_REJECT_DUPLICATES, NULL) : NULL;
    const char *key = json_string_value(json_object_get(root, "key")),
               *when = json_string_value(json_object_get(root, "tested_at"));
    time_t tested_at = when ? utc_parse(when) : -1;
    if (key && tested_at > 0) {
        test->tested_at = tested_at;
        snprintf(test->key, sizeof test->key, "%s", key);
    }
    json_decref(root);
    free(text);
}
