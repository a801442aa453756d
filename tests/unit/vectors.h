/*
  Reads the golden vectors of tests/unit/data, which make_vectors.sh took from real servers.

  A .vec file is "GBV1", u64 size of the file it was taken from, then blocks: u64 offset in that
  file, u32 size, u32 version (the same page may be there before and after a change), u32 size of
  what follows; then pieces until the block is full: u16 count of literal bytes, these, u16 count of
  repetitions, u8 the byte repeated.
*/
#ifndef GB_TESTS_VECTORS_H
#define GB_TESTS_VECTORS_H

#include "common/bytes.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#define VECTOR_BLOCKS_MAX 16u
#define VECTOR_BYTES_MAX  (1u << 20)

struct vector_block {
    uint64_t offset; /* bytes, in the file it was taken from */
    uint32_t size;   /* bytes */
    uint32_t version;
    uint8_t *data; /* owned */
};

struct vector {
    uint64_t file_size;
    unsigned count;
    struct vector_block block[VECTOR_BLOCKS_MAX];
};

static uint8_t *vector_read_file(const char *name, size_t *size)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", GB_TEST_DATA, name);
    FILE *file = fopen(path, "rb");
    if (!file)
        fail_msg("%s is missing", path);
    uint8_t *data = test_malloc(VECTOR_BYTES_MAX);
    *size = fread(data, 1, VECTOR_BYTES_MAX, file);
    fclose(file);
    return data;
}

static void vector_unpack(struct bytes_reader *r, struct vector_block *block)
{
    block->offset = bytes_get_u64(r);
    block->size = bytes_get_u32(r);
    block->version = bytes_get_u32(r);
    size_t size = bytes_get_u32(r);
    struct bytes_reader packed = bytes_reader(bytes_take(r, size), size);
    assert_false(r->failed);
    block->data = test_malloc(block->size);
    struct bytes_writer w = bytes_writer(block->data, block->size);
    while (bytes_left(&packed)) {
        size_t literals = bytes_get_u16(&packed);
        bytes_put(&w, bytes_take(&packed, literals), literals);
        size_t repeats = bytes_get_u16(&packed);
        uint8_t byte = bytes_get_u8(&packed);
        uint8_t *run = bytes_reserve(&w, repeats);
        if (run)
            memset(run, byte, repeats);
    }
    assert_false(packed.failed || w.failed);
    assert_int_equal(w.at, block->size);
}

static void vector_open(struct vector *v, const char *name)
{
    size_t size;
    uint8_t *data = vector_read_file(name, &size);
    struct bytes_reader r = bytes_reader(data, size);
    memset(v, 0, sizeof *v);
    assert_memory_equal(bytes_take(&r, 4), "GBV1", 4);
    v->file_size = bytes_get_u64(&r);
    while (bytes_left(&r)) {
        assert_true(v->count < VECTOR_BLOCKS_MAX);
        vector_unpack(&r, &v->block[v->count++]);
    }
    test_free(data);
}

static void vector_close(struct vector *v)
{
    for (unsigned i = 0; i < v->count; i++)
        test_free(v->block[i].data);
}

#endif
