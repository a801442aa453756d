/*
  The object "index" (index.h), as the reader finds it once its SHA-256 is right.

  What is accepted keeps the promises that restore and verify build on: paths that stay where they
  belong, extents inside their files, frames as long as their extents; and building the same index
  from messages gives the same body.

  Input: u8 0: the object as it is; else the object's body, which gets a right header.
*/
#include "agent/repository/index.h"
#include "common/bytes.h"
#include "tests/fuzz/fuzz.h"

#include <string.h>

#define HEADER 16u
#define MAGIC  0x47424958u

static void require_sound(const struct index *x)
{
    for (size_t i = 0; i < x->file_count; i++) {
        const struct index_file *f = &x->files[i];
        REQUIRE(index_path_clean(f->path) && !strstr(f->path, "//"));
        REQUIRE(strcmp(f->path, "..") && strncmp(f->path, "../", 3) && !strstr(f->path, "/../"));
        REQUIRE(index_find(x, f->file_no) == f && f->done && !f->dropped && f->size <= INT64_MAX);
        REQUIRE(!(f->mode & ~INDEX_MODE_MASK));
    }
    size_t extents = 0;
    for (size_t i = 0; i < x->frame_count; i++) {
        const struct index_frame *f = &x->frames[i];
        uint64_t sum = 0;
        REQUIRE(f->frame.plain_size <= FRAME_PLAIN_MAX && f->first_extent == extents);
        REQUIRE(f->frame.offset <= (uint64_t)INT64_MAX - FRAME_HEADER_SIZE - f->frame.stored_size);
        for (uint32_t j = 0; j < f->extents; j++) {
            const struct index_extent *e = &x->extents[extents++];
            const struct index_file *file = index_find(x, e->file_no);
            sum += e->length;
            REQUIRE(!file || (e->offset <= file->size && e->length <= file->size - e->offset));
        }
        REQUIRE(sum == f->frame.plain_size);
    }
    REQUIRE(extents == x->extent_count);
}

/* The same files and frames, as the session of an agent adds them. */
static void build_again(const struct index *x)
{
    static struct wire_file file;
    static struct wire_extent extents[WIRE_EXTENTS_MAX];
    struct index other;
    struct gb_error error = {0};
    index_init(&other);
    for (size_t i = 0; i < x->file_count; i++) {
        const struct index_file *f = &x->files[i];
        file = (struct wire_file){
            .file_no = f->file_no, .kind = f->kind, .space_id = f->space_id, .mode = f->mode};
        snprintf(file.path, sizeof file.path, "%s", f->path);
        struct wire_file_done done = {.file_no = f->file_no, .size = f->size};
        REQUIRE(index_add_file(&other, &file, &error) && index_file_done(&other, &done, &error));
        REQUIRE(!index_file_done(&other, &done, &error));
        error_clear(&error);
    }
    for (size_t i = 0; i < x->frame_count; i++) {
        const struct index_frame *f = &x->frames[i];
        for (uint32_t j = 0; j < f->extents; j++)
            extents[j] = (struct wire_extent){.file_no = x->extents[f->first_extent + j].file_no,
                                              .offset = x->extents[f->first_extent + j].offset,
                                              .length = x->extents[f->first_extent + j].length};
        REQUIRE(index_add_frame(&other, &f->frame, extents, f->extents, &error));
    }
    REQUIRE(index_finish(&other, 0, &error));
    require_sound(&other);
    index_check_sent(&other, &error);
    if (other.file_count) {
        REQUIRE(index_file_name(&other, other.files[0].file_no, "db/renamed.ibd", &error) ||
                error.code);
        REQUIRE(index_file_drop(&other, other.files[0].file_no, &error));
    }
    index_free(&other);
}

static void read_object(const uint8_t *data, size_t size)
{
    struct index x;
    struct gb_error error = {0}, kinds = {0};
    if (!index_parse(&x, data, size, "index", NULL, &error)) {
        REQUIRE(error.code && !x.files && !x.frames);
        return;
    }
    require_sound(&x);
    index_check_kinds(&x, size & 1, &kinds);
    build_again(&x);
    index_free(&x);
}

int fuzz_input(const uint8_t *data, size_t size)
{
    if (!size)
        return 0;
    if (!data[0]) {
        uint8_t *object = malloc(size);
        REQUIRE(object);
        memcpy(object, data + 1, size - 1);
        read_object(object, size - 1);
        free(object);
        return 0;
    }
    uint8_t *object = malloc(HEADER + size - 1);
    REQUIRE(object);
    struct bytes_writer w = bytes_writer(object, HEADER + size - 1);
    bytes_put_u32(&w, MAGIC);
    bytes_put_u16(&w, 1);
    bytes_put_u16(&w, 0); /* codec none */
    bytes_put_u64(&w, size - 1);
    bytes_put(&w, data + 1, size - 1);
    read_object(object, w.at);
    free(object);
    return 0;
}
