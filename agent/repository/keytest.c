/* The test of a key; see keytest.h. */
#include "agent/repository/keytest.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#define NAME      "key-test.json"
#define TEXT_MAX 4096u

static bool read_frame(struct repository *r, const struct manifest *m, const char *prefix, const struct frame *f, struct gb_error *error)
{
    char name[1200];
    size_t size = FRAME_HEADER_SIZE + f->stored_size;
    struct frame_reader *reader = frame_reader_new(manifest_key(m));
    uint8_t *stored = malloc(size), *plain = malloc(FRAME_PLAIN_MAX);
    snprintf(name, sizeof name, "%s/data/%06u.seg", prefix, f->segment);
    bool ok = reader && stored && plain
                  ? storage_read(r->storage, name, f->offset, stored, size, error) && frame_open(reader, f, stored, plain, error)
                  : error_set(error, GB_internal, "no memory");
    frame_reader_free(reader);
    free(stored);
    free(plain);
    return ok;
}

static void write_down(struct repository *r, const struct manifest *m)
{
    struct gb_error problem = {0};
    char name[1024], when[32];
    time_t now = time(NULL);
    struct tm tm;
    strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&now, &tm));
    snprintf(name, sizeof name, "%s/" NAME, m->cluster);
    json_t *root = json_pack("{s:i, s:s, s:s, s:s}", "schema", 1, "key", m->encryption.opened_with, "tested_at", when, "backup", m->id);
    char *text = root ? json_dumps(root, JSON_INDENT(1)) : NULL;
    if (!text || !storage_replace(r->storage, name, text, strlen(text), &problem))
        fprintf(stderr, "galera-backup: warning: that the key was tested is not written down: %s\n", text ? problem.what : "no memory");
    json_decref(root);
    free(text);
}

bool keytest_run(struct repository *r, struct manifest *m, struct gb_error *error)
{
    struct index index;
    char prefix[1024];
    index_init(&index);
    repository_prefix(prefix, sizeof prefix, m->cluster, m->id);
    bool ok = repository_unlock(r, m, error) && index_read(&index, r->storage, prefix, manifest_key(m), &m->objects[0], error) &&
              (!index.frame_count || read_frame(r, m, prefix, &index.frames[index.frame_count / 2].frame, error));
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
    struct tm tm = {0};
    memset(test, 0, sizeof *test);
    snprintf(name, sizeof name, "%s/" NAME, cluster);
    char *text = storage_read_all(r->storage, name, TEXT_MAX, &size, &ignored);
    json_t *root = text ? json_loadb(text, size, JSON_REJECT_DUPLICATES, NULL) : NULL;
    const char *key = json_string_value(json_object_get(root, "key")), *when = json_string_value(json_object_get(root, "tested_at"));
    if (key && when && strptime(when, "%Y-%m-%dT%H:%M:%SZ", &tm)) {
        test->tested_at = timegm(&tm);
        snprintf(test->key, sizeof test->key, "%s", key);
    }
    json_decref(root);
    free(text);
}
