/*
  What an unfinished restore leaves for the next one: the marker file and the journal (marker.h,
  journal.h).

  Input: u8 0: a marker; 1: a journal; 2: a journal whose hash is made right. Then the file.
*/
#include "agent/restore/journal.h"
#include "agent/restore/marker.h"
#include "tests/fuzz/fuzz.h"

#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#define FRAMES 100u

static char directory[64];

static void leave(void)
{
    static const char *const names[] = {RESTORE_MARKER, RESTORE_JOURNAL};
    char path[128];
    for (size_t i = 0; i < 2; i++) {
        snprintf(path, sizeof path, "%s/%s", directory, names[i]);
        unlink(path);
    }
    rmdir(directory);
}

static void put(const char *name, const uint8_t *data, size_t size)
{
    char path[128];
    snprintf(path, sizeof path, "%s/%s", directory, name);
    FILE *f = fopen(path, "wb");
    REQUIRE(f && fwrite(data, 1, size, f) == size && !fclose(f));
}

static void read_marker(const uint8_t *data, size_t size)
{
    struct marker m;
    struct gb_error error = {0};
    bool there = false;
    put(RESTORE_MARKER, data, size);
    REQUIRE(marker_read(directory, &m, &there, &error) && there);
    REQUIRE(m.state >= MARKER_CLEARING_KEEP && m.state <= MARKER_CHANGING && marker_same(&m, &m));
    REQUIRE(strlen(m.backup) < sizeof m.backup && strlen(m.aside) < sizeof m.aside);
    for (size_t i = 0; i < m.outside_count; i++)
        REQUIRE(m.outside[i][0] == '/');
    REQUIRE(m.state != MARKER_CLEARING_KEEP || !m.aside[0] || m.aside[0] == '/');
    marker_free(&m);
}

static void read_journal(const uint8_t *data, size_t size)
{
    uint8_t written[FRAMES];
    put(RESTORE_JOURNAL, data, size);
    journal_read(directory, written, FRAMES);
    for (size_t i = 0; i < FRAMES; i++)
        REQUIRE(written[i] <= 1);
    journal_read(directory, written, 0);
}

int fuzz_input(const uint8_t *data, size_t size)
{
    if (!directory[0]) {
        snprintf(directory, sizeof directory, "/dev/shm/gb-fuzz-XXXXXX");
        REQUIRE(mkdtemp(directory) && !atexit(leave));
    }
    if (!size)
        return 0;
    if (data[0] % 3 == 0)
        read_marker(data + 1, size - 1);
    else if (data[0] % 3 == 1 || size < 9)
        read_journal(data + 1, size - 1);
    else {
        uint8_t *sealed = malloc(size - 1);
        REQUIRE(sealed);
        memcpy(sealed, data + 1, size - 1);
        XXH64_canonical_t hash;
        XXH64_canonicalFromHash(&hash, XXH3_64bits(sealed, size - 9));
        memcpy(sealed + size - 9, hash.digest, sizeof hash.digest);
        read_journal(sealed, size - 1);
        free(sealed);
    }
    return 0;
}
