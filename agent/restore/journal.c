/* The frames that are on disk; see journal.h. */
#include "agent/restore/journal.h"
#include "agent/restore/target.h"
#include "common/bytes.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <xxhash.h>

#define HEAD_SIZE 12u /* magic and number */
#define HASH_SIZE 8u
#define NEW       ".new" /* until it is whole */

static size_t file_size(size_t count)
{
    return HEAD_SIZE + (count + 7) / 8 + HASH_SIZE;
}

static void path_of(char *out, size_t size, const char *datadir, const char *suffix)
{
    snprintf(out, size, "%s/%s%s", datadir, RESTORE_JOURNAL, suffix);
}

void journal_read(const char *datadir, uint8_t *written, size_t count)
{
    char path[WIRE_PATH_MAX];
    size_t size = file_size(count);
    path_of(path, sizeof path, datadir, "");
    memset(written, 0, count);
    FILE *f = fopen(path, "re");
    uint8_t *data = malloc(size + 1);
    bool whole = f && data && fread(data, 1, size + 1, f) == size;
    if (whole) {
        struct bytes_reader r = bytes_reader(data, size);
        const uint8_t *magic = bytes_take(&r, 4);
        uint64_t frames = bytes_get_u64(&r);
        const uint8_t *bits = bytes_take(&r, (count + 7) / 8);
        if (!memcmp(magic, "GBJ1", 4) && frames == count &&
            bytes_get_u64(&r) == XXH3_64bits(data, size - HASH_SIZE))
            for (size_t i = 0; i < count; i++)
                written[i] = bits[i / 8] >> i % 8 & 1;
    }
    free(data);
    if (f)
        fclose(f);
}

bool journal_write(const char *datadir, const uint8_t *written, size_t count,
                   struct gb_error *error)
{
    char path[WIRE_PATH_MAX], new[WIRE_PATH_MAX];
    size_t size = file_size(count);
    uint8_t *data = calloc(1, size);
    if (!data)
        return error_set(error, GB_internal, "no memory");
    struct bytes_writer w = bytes_writer(data, size);
    bytes_put(&w, "GBJ1", 4);
    bytes_put_u64(&w, count);
    for (size_t i = 0; i < count; i++)
        data[HEAD_SIZE + i / 8] |= (uint8_t)(written[i] << i % 8);
    bytes_writer_seek(&w, size - HASH_SIZE);
    bytes_put_u64(&w, XXH3_64bits(data, size - HASH_SIZE));
    path_of(path, sizeof path, datadir, "");
    path_of(new, sizeof new, datadir, NEW);
    bool ok = target_write_file(new, data, size, 0640, error) &&
              (!rename(new, path) ||
               error_set_errno(error, GB_target_failed, errno, "%s can't be renamed", new)) &&
              target_sync_directory(datadir, error);
    free(data);
    return ok;
}

bool journal_remove(const char *datadir, struct gb_error *error)
{
    static const char *const suffixes[] = {NEW, ""};
    char path[WIRE_PATH_MAX];
    for (size_t i = 0; i < sizeof suffixes / sizeof suffixes[0]; i++) {
        path_of(path, sizeof path, datadir, suffixes[i]);
        if (unlink(path) && errno != ENOENT)
            return error_set_errno(error, GB_target_failed, errno, "%s can't be removed", path);
    }
    return true;
}
