/* space.h against page 0, extent descriptors and TRX_SYS pages that real servers wrote. */
#include "common/space.h"
#include "tests/unit/vectors.h"

#define FLAGS_AT 54u

static const struct {
    const char *name;
    uint32_t page_size, logical_size;
    bool full_crc32, zip, page_compressed, crypt;
} files[] = {
    {"plain_full.16k.vec", 16384, 16384, true, false, false, false},
    {"plain_full.64k.vec", 65536, 65536, true, false, false, false},
    {"rtree_full.16k.vec", 16384, 16384, true, false, false, false},
    {"crypt_full.16k.vec", 16384, 16384, true, false, false, true},
    {"crypt_full.64k.vec", 65536, 65536, true, false, false, true},
    {"comp_full.16k.vec", 16384, 16384, true, false, true, false},
    {"comp_full.64k.vec", 65536, 65536, true, false, true, false},
    {"compcrypt_full.16k.vec", 16384, 16384, true, false, true, true},
    {"plain_crc.4k.vec", 4096, 4096, false, false, false, false},
    {"plain_crc.16k.vec", 16384, 16384, false, false, false, false},
    {"crypt_crc.4k.vec", 4096, 4096, false, false, false, true},
    {"crypt_crc.16k.vec", 16384, 16384, false, false, false, true},
    {"comp_crc.4k.vec", 4096, 4096, false, false, true, false},
    {"comp_crc.16k.vec", 16384, 16384, false, false, true, false},
    {"compcrypt_crc.4k.vec", 4096, 4096, false, false, true, true},
    {"compcrypt_crc.16k.vec", 16384, 16384, false, false, true, true},
    {"zip1_crc.4k.vec", 1024, 4096, false, true, false, false},
    {"zip2_crc.4k.vec", 2048, 4096, false, true, false, false},
    {"zip4_crc.4k.vec", 4096, 4096, false, true, false, false},
    {"zip1_crc.16k.vec", 1024, 16384, false, true, false, false},
    {"zip2_crc.16k.vec", 2048, 16384, false, true, false, false},
    {"zip4_crc.16k.vec", 4096, 16384, false, true, false, false},
    {"zip8_crc.16k.vec", 8192, 16384, false, true, false, false},
    {"zip16_crc.16k.vec", 16384, 16384, false, true, false, false},
    {"zipcrypt1_crc.4k.vec", 1024, 4096, false, true, false, true},
    {"zipcrypt1_crc.16k.vec", 1024, 16384, false, true, false, true},
    {"zipcrypt16_crc.16k.vec", 16384, 16384, false, true, false, true},
    {"ibdata1.4k.vec", 4096, 4096, false, false, false, false},
    {"ibdata1.16k.vec", 16384, 16384, true, false, false, false},
    {"ibdata1.64k.vec", 65536, 65536, true, false, false, false},
    {"undo001.64k.vec", 65536, 65536, true, false, false, false},
};

static bool parse(const uint8_t *data, size_t size, struct space_info *info, struct gb_error *error)
{
    bool zero = true;
    bool ok = space_parse(data, size, info, &zero, error);
    assert_false(zero);
    return ok;
}

static void formats_of_real_files(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        struct vector v;
        struct space_info info;
        struct gb_error error = {0};
        vector_open(&v, files[i].name);
        if (!parse(v.block[0].data, v.block[0].size, &info, &error))
            fail_msg("%s: %s", files[i].name, error.what);
        assert_int_equal(info.format.page_size, files[i].page_size);
        assert_int_equal(info.format.logical_size, files[i].logical_size);
        assert_int_equal(info.format.full_crc32, files[i].full_crc32);
        assert_int_equal(info.format.zip, files[i].zip);
        assert_int_equal(info.format.page_compressed, files[i].page_compressed);
        assert_int_equal(info.format.compression, files[i].full_crc32 && files[i].page_compressed);
        if (info.format.crypt != files[i].crypt)
            fail_msg("%s: crypt is %d", files[i].name, info.format.crypt);
        /* Files of compressed pages are rounded up. */
        assert_true(files[i].zip || (uint64_t)info.size * info.format.page_size == v.file_size);
        assert_true((uint64_t)info.size * info.format.page_size <= v.file_size);
        assert_int_equal(info.id == 0, strncmp(files[i].name, "ibdata1", 7) == 0);
        assert_true(info.free_limit > 0);
        vector_close(&v);
    }
}

static void the_smallest_input_is_enough(void **state)
{
    (void)state;
    struct vector v;
    struct space_info info;
    struct gb_error error = {0};
    vector_open(&v, "crypt_full.16k.vec");
    uint8_t *start = test_malloc(1024);
    memcpy(start, v.block[0].data, 1024);
    assert_true(parse(start, 1024, &info, &error));
    assert_int_equal(info.format.page_size, 16384);
    assert_false(info.format.crypt); /* it stands further on */
    assert_false(parse(start, 1023, &info, &error));
    assert_int_equal(error.code, GB_corrupt_page);
    test_free(start);
    vector_close(&v);
}

static void a_zero_start_is_no_error(void **state)
{
    (void)state;
    static uint8_t zeros[65536];
    struct space_info info;
    struct gb_error error = {0};
    bool zero = false;
    assert_false(space_parse(zeros, sizeof zeros, &info, &zero, &error));
    assert_true(zero);
    assert_int_equal(error.code, GB_OK);
    zeros[1023] = 1;
    assert_false(space_parse(zeros, sizeof zeros, &info, &zero, &error) && zero);
    zeros[1023] = 0;
}

static void refused(size_t at, uint32_t value, const char *word)
{
    struct vector v;
    struct space_info info;
    struct gb_error error = {0};
    vector_open(&v, "plain_full.16k.vec");
    struct bytes_writer w = bytes_writer(v.block[0].data, v.block[0].size);
    bytes_writer_seek(&w, at);
    bytes_put_u32(&w, value);
    if (parse(v.block[0].data, v.block[0].size, &info, &error))
        fail_msg("0x%x at byte %zu is accepted", value, at);
    assert_int_equal(error.code, GB_corrupt_page);
    assert_non_null(strstr(error.what, word));
    vector_close(&v);
}

static void implausible_page_0(void **state)
{
    (void)state;
    refused(4, 1, "calls itself");
    refused(34, 12345, "two space ids");
    refused(38, 12345, "two space ids");
    static const uint32_t flags[] = {
        0x12,           /* full_crc32: pages of 2 KiB */
        0x18,           /* 128 KiB */
        0x15 | 7u << 5, /* a compression algorithm that does not exist */
        0x15 | 1u << 8, /* bits above it */
        0x20,           /* atomic blobs without POST_ANTELOPE */
        0x21 | 1u << 6, /* page sizes that are not 4, 8, 32 or 64 KiB */
        0x21 | 2u << 6,
        0x21 | 5u << 6,
        0x21 | 8u << 6,
        0x21 | 1u << 11,          /* reserved */
        0x21 | 1u << 17,          /* unknown */
        0x21 | 6u << 1,           /* ROW_FORMAT=COMPRESSED of 32 KiB */
        0x21 | 4u << 1 | 3u << 6, /* of pages larger than the uncompressed ones */
        0x00 | 4u << 1,           /* without the row format it needs */
    };
    for (size_t i = 0; i < sizeof flags / sizeof flags[0]; i++)
        refused(FLAGS_AT, flags[i], "impossible flags");
}

static void flags_of_older_servers(void **state)
{
    (void)state;
    static const struct {
        uint32_t flags, page_size, logical_size;
    } good[] = {
        {0, 16384, 16384}, /* ROW_FORMAT=REDUNDANT or COMPACT, system tablespace */
        {0x1, 16384, 16384},
        {0x21, 16384, 16384},
        {0x21 | 1u << 10, 16384, 16384}, /* DATA DIRECTORY of MySQL 5.6 */
        {0x21 | 3u << 6, 4096, 4096},
        {0x21 | 7u << 6, 65536, 65536},
        {0x21 | 4u << 1, 8192, 16384},
    };
    struct vector v;
    vector_open(&v, "plain_full.16k.vec");
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        struct space_info info;
        struct gb_error error = {0};
        struct bytes_writer w = bytes_writer(v.block[0].data, v.block[0].size);
        bytes_writer_seek(&w, FLAGS_AT);
        bytes_put_u32(&w, good[i].flags);
        assert_true(parse(v.block[0].data, v.block[0].size, &info, &error));
        assert_int_equal(info.format.page_size, good[i].page_size);
        assert_int_equal(info.format.logical_size, good[i].logical_size);
        assert_false(info.format.full_crc32);
    }
    vector_close(&v);
}

static const struct vector_block *xdes_block(const struct vector *v, const struct space_format *f,
                                             uint32_t page)
{
    uint64_t offset = (uint64_t)space_xdes_page(f, page) * f->page_size;
    for (unsigned i = 0; i < v->count; i++)
        if (v->block[i].offset == offset)
            return &v->block[i];
    fail_msg("no vector of the descriptor page of page %u", page);
    return NULL;
}

/* What innochecksum says of each page: see make_vectors.sh. */
static void check_free_map(const char *name, const struct vector *v, const struct space_format *f)
{
    char path[64], word[8];
    size_t size;
    unsigned first, last, free_pages = 0, used_pages = 0;
    int n;
    snprintf(path, sizeof path, "%s.free", name);
    uint8_t *text = vector_read_file(path, &size);
    text[size] = '\0';
    for (const char *p = (const char *)text;
         sscanf(p, "%7s %u %u\n%n", word, &first, &last, &n) == 3; p += n)
        for (uint32_t page = first; page <= last; page++) {
            const struct vector_block *b = xdes_block(v, f, page);
            bool is_free = !strcmp(word, "free");
            if (space_page_free(f, b->data, page) != is_free)
                fail_msg("%s: page %u is %s", name, page, word);
            *(is_free ? &free_pages : &used_pages) += 1;
        }
    assert_true(free_pages > 10 && used_pages > 5);
    test_free(text);
}

static void free_pages_as_innochecksum_sees_them(void **state)
{
    (void)state;
    static const char *const names[] = {"freed_full.16k", "freed_full.64k", "freed_crc.4k",
                                        "freed_crc.16k", "freed_zip1.16k"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char path[64];
        struct vector v;
        struct space_info info;
        struct gb_error error = {0};
        snprintf(path, sizeof path, "%s.vec", names[i]);
        vector_open(&v, path);
        assert_true(parse(v.block[0].data, v.block[0].size, &info, &error));
        check_free_map(names[i], &v, &info.format);
        for (uint32_t page = 0; page < 4; page++) /* descriptors, bitmap, inodes, root */
            assert_false(space_page_free(&info.format, v.block[0].data, page));
        vector_close(&v);
    }
}

static void uninitialised_descriptors_free_nothing(void **state)
{
    (void)state;
    static uint8_t zeros[65536], ones[65536];
    memset(ones, 0xff, sizeof ones);
    static const struct space_format formats[] = {{.page_size = 1024, .logical_size = 4096},
                                                  {.page_size = 1024, .logical_size = 16384},
                                                  {.page_size = 16384, .logical_size = 16384},
                                                  {.page_size = 65536, .logical_size = 65536}};
    for (size_t i = 0; i < sizeof formats / sizeof formats[0]; i++)
        for (uint32_t page = 0; page < formats[i].page_size; page++) {
            assert_false(space_page_free(&formats[i], zeros, page));
            assert_false(space_page_free(&formats[i], ones, page));
        }
}

static void descriptor_pages_are_never_free(void **state)
{
    (void)state;
    struct vector v;
    struct space_info info;
    struct gb_error error = {0};
    vector_open(&v, "freed_full.16k.vec");
    assert_true(parse(v.block[0].data, v.block[0].size, &info, &error));
    assert_int_equal(space_xdes_page(&info.format, 0), 0);
    assert_int_equal(space_xdes_page(&info.format, 16383), 0);
    assert_int_equal(space_xdes_page(&info.format, 16384), 16384);
    assert_int_equal(space_xdes_page(&info.format, 0xffffffff), 0xffffffff - 16383);
    /* the first extent all free: states and bits as a server would never write them */
    memset(v.block[0].data + 150 + 20, 0, 4);
    v.block[0].data[150 + 23] = 1;
    memset(v.block[0].data + 150 + 24, 0xff, 16);
    assert_false(space_page_free(&info.format, v.block[0].data, 16384));
    assert_false(space_page_free(&info.format, v.block[0].data, 16385));
    assert_true(space_page_free(&info.format, v.block[0].data, 16386));
    vector_close(&v);
}

static void doublewrite_of_real_servers(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        uint32_t pages;
    } systems[] = {{"ibdata1.4k.vec", 256}, {"ibdata1.16k.vec", 64}, {"ibdata1.64k.vec", 64}};
    for (size_t i = 0; i < sizeof systems / sizeof systems[0]; i++) {
        struct vector v;
        struct space_info info;
        struct gb_error error = {0};
        uint32_t first, second, pages;
        vector_open(&v, systems[i].name);
        assert_true(parse(v.block[0].data, v.block[0].size, &info, &error));
        assert_true(space_doublewrite(&info.format, v.block[1].data, &first, &second, &pages));
        /* A new system tablespace has the two blocks in its second and third extent. */
        assert_int_equal(pages, systems[i].pages);
        assert_int_equal(first, pages);
        assert_int_equal(second, 2 * pages);
        v.block[1].data[info.format.page_size - 200 + 10] ^= 1;
        assert_false(space_doublewrite(&info.format, v.block[1].data, &first, &second, &pages));
        vector_close(&v);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(formats_of_real_files),
        cmocka_unit_test(the_smallest_input_is_enough),
        cmocka_unit_test(a_zero_start_is_no_error),
        cmocka_unit_test(implausible_page_0),
        cmocka_unit_test(flags_of_older_servers),
        cmocka_unit_test(free_pages_as_innochecksum_sees_them),
        cmocka_unit_test(uninitialised_descriptors_free_nothing),
        cmocka_unit_test(descriptor_pages_are_never_free),
        cmocka_unit_test(doublewrite_of_real_servers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
