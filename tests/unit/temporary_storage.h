/* A directory storage below /tmp for each test of a program: give set_up and tear_down to cmocka.
 */
#ifndef GB_TESTS_TEMPORARY_STORAGE_H
#define GB_TESTS_TEMPORARY_STORAGE_H

#include "agent/storage/storage.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static char root[64];
static struct storage *storage;

static int set_up(void **state)
{
    (void)state;
    struct gb_error error = {0};
    snprintf(root, sizeof root, "/tmp/gb-test-storage-XXXXXX");
    if (!mkdtemp(root))
        return -1;
    storage = storage_open_directory(root, 0, &error);
    return storage ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    struct gb_error error = {0};
    bool ok = storage_remove_all(storage, "c", &error);
    storage_close(storage);
    return ok ? rmdir(root) : -1;
}

#endif
