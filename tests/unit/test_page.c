/* page.h against pages that real servers wrote, whole, torn and with flipped bits. */
#include "common/page.h"
#include "tests/unit/vectors.h"

#define TYPE_AT           24u
#define KEY_VERSION_AT    26u
#define TYPE_COMPRESSED   34354u
#define TYPE_COMP_CRYPT   37401u
#define FCRC32_COMPRESSED 0x8000u
#define SECTOR            512u

static const struct {
    const char *name;
    enum page_state state; /* of its page 3 and later; page 0 has a checksum in all but the old_* */
} vectors[] = {
    {"plain_full.16k.vec", PAGE_WHOLE},
    {"plain_full.64k.vec", PAGE_WHOLE},
    {"rtree_full.16k.vec", PAGE_WHOLE},
    {"crypt_full.16k.vec", PAGE_WHOLE},
    {"crypt_full.64k.vec", PAGE_WHOLE},
    {"comp_full.16k.vec", PAGE_WHOLE},
    {"comp_full.64k.vec", PAGE_WHOLE},
    {"compcrypt_full.16k.vec", PAGE_WHOLE},
    {"plain_crc.4k.vec", PAGE_WHOLE},
    {"plain_crc.16k.vec", PAGE_WHOLE},
    {"rtree_crc.4k.vec", PAGE_WHOLE},
    {"rtree_crc.16k.vec", PAGE_WHOLE},
    {"crypt_crc.4k.vec", PAGE_WHOLE},
    {"crypt_crc.16k.vec", PAGE_WHOLE},
    {"comp_crc.4k.vec", PAGE_UNVERIFIABLE},
    {"comp_crc.16k.vec", PAGE_UNVERIFIABLE},
    {"compcrypt_crc.4k.vec", PAGE_UNVERIFIABLE},
    {"compcrypt_crc.16k.vec", PAGE_UNVERIFIABLE},
    {"zip1_crc.4k.vec", PAGE_WHOLE},
    {"zip2_crc.4k.vec", PAGE_WHOLE},
    {"zip4_crc.4k.vec", PAGE_WHOLE},
    {"zip1_crc.16k.vec", PAGE_WHOLE},
    {"zip2_crc.16k.vec", PAGE_WHOLE},
    {"zip4_crc.16k.vec", PAGE_WHOLE},
    {"zip8_crc.16k.vec", PAGE_WHOLE},
    {"zip16_crc.16k.vec", PAGE_WHOLE},
    {"zipcrypt1_crc.4k.vec", PAGE_WHOLE},
    {"zipcrypt2_crc.4k.vec", PAGE_WHOLE},
    {"zipcrypt4_crc.4k.vec", PAGE_WHOLE},
    {"zipcrypt1_crc.16k.vec", PAGE_WHOLE},
    {"zipcrypt2_crc.16k.vec", PAGE_WHOLE},
    {"zipcrypt4_crc.16k.vec", PAGE_WHOLE},
    {"zipcrypt8_crc.16k.vec", PAGE_WHOLE},
    {"zipcrypt16_crc.16k.vec", PAGE_WHOLE},
    {"old_innodb.16k.vec", PAGE_WHOLE},
    {"oldzip_adler.16k.vec", PAGE_WHOLE},
    {"old_none.16k.vec", PAGE_UNVERIFIABLE},
    {"old_blank.16k.vec", PAGE_UNVERIFIABLE},
    {"oldzip_none.16k.vec", PAGE_UNVERIFIABLE},
    {"ibdata1.4k.vec", PAGE_WHOLE},
    {"ibdata1.16k.vec", PAGE_WHOLE},
    {"ibdata1.64k.vec", PAGE_WHOLE},
    {"undo001.64k.vec", PAGE_WHOLE},
    {"freed_full.16k.vec", PAGE_WHOLE},
    {"freed_full.64k.vec", PAGE_WHOLE},
    {"freed_crc.4k.vec", PAGE_WHOLE},
    {"freed_crc.16k.vec", PAGE_WHOLE},
    {"freed_zip1.16k.vec", PAGE_WHOLE},
};

#define VECTORS (sizeof vectors / sizeof vectors[0])

static void open_vector(struct vector *v, struct space_format *format, const char *name)
{
    vector_open(v, name);
    struct space_info info;
    struct gb_error error = {0};
    bool zero;
    assert_int_equal(v->block[0].offset, 0);
    if (!space_parse(v->block[0].data, v->block[0].size, &info, &zero, &error))
        fail_msg("%s: %s", name, error.what);
    *format = info.format;
}

static uint32_t page_no(const struct vector_block *b, const struct space_format *f)
{
    assert_int_equal(b->size, f->page_size);
    return (uint32_t)(b->offset / f->page_size);
}

static bool is_unchecked(const char *name)
{
    return strstr(name, "_none") || strstr(name, "_blank");
}

static void whole_pages_of_real_servers(void **state)
{
    (void)state;
    for (size_t i = 0; i < VECTORS; i++) {
        struct vector v;
        struct space_format f;
        open_vector(&v, &f, vectors[i].name);
        for (unsigned b = 0; b < v.count; b++) {
            uint32_t n = page_no(&v.block[b], &f);
            enum page_state expected =
                n || is_unchecked(vectors[i].name) ? vectors[i].state : PAGE_WHOLE;
            if (page_verify(&f, n, v.block[b].data) != expected)
                fail_msg("%s page %u version %u is %d", vectors[i].name, n, v.block[b].version,
                         page_verify(&f, n, v.block[b].data));
        }
        vector_close(&v);
    }
}

/* A byte of the payload is changed and the checksum made right; encrypted and compressed pages are
 * left alone. */
static void changed_pages_are_sealed(void **state)
{
    (void)state;
    unsigned sealed = 0, refused = 0;
    for (size_t i = 0; i < VECTORS; i++) {
        struct vector v;
        struct space_format f;
        open_vector(&v, &f, vectors[i].name);
        for (unsigned b = 0; b < v.count && !is_unchecked(vectors[i].name); b++) {
            uint8_t *page = v.block[b].data;
            uint32_t n = page_no(&v.block[b], &f);
            enum page_state before = page_verify(&f, n, page);
            if (page_seal(&f, page)) {
                page[200] ^= 0xff;
                assert_int_equal(page_verify(&f, n, page), PAGE_CORRUPT);
                assert_true(page_seal(&f, page));
                assert_int_equal(page_verify(&f, n, page), PAGE_WHOLE);
                sealed++;
            } else {
                assert_int_equal(page_verify(&f, n, page), before);
                refused++;
            }
        }
        vector_close(&v);
    }
    assert_true(sealed > 10 && refused > 10);
}

static void another_page_number_is_corrupt(void **state)
{
    (void)state;
    for (size_t i = 0; i < VECTORS; i++) {
        struct vector v;
        struct space_format f;
        open_vector(&v, &f, vectors[i].name);
        for (unsigned b = 0; b < v.count; b++)
            assert_int_equal(page_verify(&f, page_no(&v.block[b], &f) + 1, v.block[b].data),
                             PAGE_CORRUPT);
        vector_close(&v);
    }
}

static bool between(uint32_t at, uint32_t first, uint32_t end)
{
    return at >= first && at < end;
}

/* Whether a changed byte must be noticed, as page.h promises it. */
static bool covered(const struct space_format *f, const uint8_t *page, uint32_t at)
{
    uint32_t size = f->page_size, type = bytes_u16_at(page, size, TYPE_AT);
    if (f->full_crc32)
        return !(type & FCRC32_COMPRESSED) || at < (type & ~FCRC32_COMPRESSED) << 8;
    if (f->page_compressed && (type == TYPE_COMPRESSED || type == TYPE_COMP_CRYPT))
        return at < 8 || between(at, TYPE_AT, KEY_VERSION_AT);
    bool encrypted = f->crypt && bytes_u32_at(page, size, KEY_VERSION_AT);
    if (f->zip && between(at, 16, 24))
        return false;
    if (encrypted && at < 4)
        return false;
    if (between(at, 26, 30))
        return false;
    if (between(at, 30, 34))
        return encrypted;
    if (between(at, 34, 38))
        return f->zip;
    return f->zip || !encrypted || !between(at, size - 8, size - 4);
}

static void flipped_bits_are_noticed(void **state)
{
    (void)state;
    for (size_t i = 0; i < VECTORS; i++) {
        struct vector v;
        struct space_format f;
        open_vector(&v, &f, vectors[i].name);
        for (unsigned b = 0; b < v.count && !is_unchecked(vectors[i].name); b++) {
            uint8_t *page = v.block[b].data;
            uint32_t n = page_no(&v.block[b], &f);
            enum page_state whole = page_verify(&f, n, page);
            for (uint32_t at = 0; at < f.page_size;
                 at += between(at, 80, f.page_size - 80) ? 61 : 1) {
                uint8_t bit = (uint8_t)(1u << (at + b) % 8);
                bool must = covered(&f, page, at);
                page[at] ^= bit;
                enum page_state now = page_verify(&f, n, page);
                page[at] ^= bit;
                if (must && now != PAGE_CORRUPT)
                    fail_msg("%s page %u: a flip at byte %u is not noticed", vectors[i].name, n,
                             at);
                if (!must && now != whole && whole == PAGE_WHOLE)
                    fail_msg("%s page %u: byte %u is covered after all", vectors[i].name, n, at);
            }
        }
        vector_close(&v);
    }
}

/* Each way in which the first sectors of one version and the rest of the other can come together.
 */
static unsigned tear(const char *name, const struct space_format *f, uint32_t n, const uint8_t *a,
                     const uint8_t *b)
{
    unsigned torn = 0;
    uint8_t *page = test_malloc(f->page_size);
    for (uint32_t cut = SECTOR; cut < f->page_size; cut += SECTOR) {
        memcpy(page, a, cut);
        memcpy(page + cut, b + cut, f->page_size - cut);
        if (!memcmp(page, a, f->page_size) || !memcmp(page, b, f->page_size))
            continue;
        torn++;
        if (page_verify(f, n, page) != PAGE_CORRUPT)
            fail_msg("%s page %u torn at byte %u is not noticed", name, n, cut);
    }
    test_free(page);
    return torn;
}

static void torn_pages_are_noticed(void **state)
{
    (void)state;
    unsigned torn = 0;
    for (size_t i = 0; i < VECTORS; i++) {
        struct vector v;
        struct space_format f;
        open_vector(&v, &f, vectors[i].name);
        for (unsigned a = 0; a < v.count && vectors[i].state == PAGE_WHOLE; a++)
            for (unsigned b = 0; b < v.count; b++) {
                if (v.block[a].offset != v.block[b].offset ||
                    v.block[a].version >= v.block[b].version)
                    continue;
                assert_true(page_lsn(v.block[a].data) < page_lsn(v.block[b].data));
                torn += tear(vectors[i].name, &f, page_no(&v.block[a], &f), v.block[a].data,
                             v.block[b].data);
                torn += tear(vectors[i].name, &f, page_no(&v.block[a], &f), v.block[b].data,
                             v.block[a].data);
            }
        vector_close(&v);
    }
    assert_true(torn > 100);
}

/* Older servers left an R-tree page's split number where encrypted pages hold their key version. */
static void rtree_split_numbers_are_no_key_versions(void **state)
{
    (void)state;
    struct vector v;
    struct space_format f;
    open_vector(&v, &f, "rtree_crc.16k.vec");
    uint8_t *page = v.block[1].data;
    for (unsigned number = 0; number < 256; number++) {
        memset(page + KEY_VERSION_AT, (int)number, 8);
        assert_int_equal(page_verify(&f, 4, page), PAGE_WHOLE);
    }
    page[100] ^= 1;
    assert_int_equal(page_verify(&f, 4, page), PAGE_CORRUPT);
    vector_close(&v);
}

static void zero_pages(void **state)
{
    (void)state;
    static uint8_t page[SPACE_PAGE_SIZE_MAX];
    struct space_format f = {.page_size = 16384, .logical_size = 16384, .full_crc32 = true};
    assert_int_equal(page_verify(&f, 7, page), PAGE_ZERO);
    f.full_crc32 = false;
    assert_int_equal(page_verify(&f, 7, page), PAGE_ZERO);
    for (uint32_t size = 1024; size <= SPACE_PAGE_SIZE_MAX; size *= 2) {
        assert_true(page_is_zero(page, size));
        for (uint32_t at = 0; at < size; at += at < size - 130 ? 127 : 1) {
            page[at] = 1;
            assert_false(page_is_zero(page, size));
            page[at] = 0;
        }
    }
    assert_true(page_is_zero(page, 64));
}

/* Servers before 10.1 stamped an LSN on the first page of each system file, even on an unused one.
 */
static void stamp_on_an_unused_page(void **state)
{
    (void)state;
    static uint8_t page[16384];
    struct space_format f = {.page_size = 16384, .logical_size = 16384};
    memset(page + KEY_VERSION_AT, 0x11, 8);
    assert_int_equal(page_verify(&f, 4096, page), PAGE_WHOLE);
    page[34] = 1;
    assert_int_equal(page_verify(&f, 4096, page), PAGE_CORRUPT);
    page[34] = 0;
    f.full_crc32 = true;
    assert_int_equal(page_verify(&f, 4096, page), PAGE_CORRUPT);
}

/* Found by fuzz_page: sealed as a page that is not encrypted, then damaged in its content. */
static void zeros_with_a_key_version_are_no_encrypted_page(void **state)
{
    (void)state;
    static uint8_t page[16384];
    struct space_format f = {.page_size = 16384, .logical_size = 16384, .zip = true};
    page[KEY_VERSION_AT + 1] = 0x80;
    page[38] = 0x10;
    assert_true(page_seal(&f, page));
    assert_int_equal(page_verify(&f, 0, page), PAGE_WHOLE);
    page[38] = 0;
    assert_int_equal(page_verify(&f, 0, page), PAGE_CORRUPT);
}

static void impossible_sizes_of_compressed_pages(void **state)
{
    (void)state;
    struct vector v;
    struct space_format f;
    open_vector(&v, &f, "comp_full.16k.vec");
    uint8_t *page = v.block[1].data;
    for (uint32_t size = 0; size < 256; size++) {
        uint8_t was = page[TYPE_AT + 1];
        page[TYPE_AT + 1] = (uint8_t)size;
        if (size != was)
            assert_int_equal(page_verify(&f, 3, page), PAGE_CORRUPT);
        page[TYPE_AT + 1] = was;
    }
    vector_close(&v);
}

/* Where there is no checksum, the header must at least make sense. */
static void implausible_old_compressed_pages(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        uint32_t at, size, value;
    } damage[] = {
        {"comp_crc.16k.vec", 38, 2, 0},      {"comp_crc.16k.vec", 38, 2, 16384 - 39},
        {"comp_crc.16k.vec", 32, 2, 0},      {"comp_crc.16k.vec", 32, 2, 7},
        {"comp_crc.16k.vec", 26, 4, 1},      {"comp_crc.16k.vec", 0, 4, 0},
        {"compcrypt_crc.16k.vec", 38, 2, 0}, {"compcrypt_crc.16k.vec", 38, 2, 16384 - 41},
        {"compcrypt_crc.16k.vec", 40, 2, 0}, {"compcrypt_crc.16k.vec", 40, 2, 7},
        {"compcrypt_crc.16k.vec", 26, 4, 0},
    };
    for (size_t i = 0; i < sizeof damage / sizeof damage[0]; i++) {
        struct vector v;
        struct space_format f;
        open_vector(&v, &f, damage[i].name);
        struct bytes_writer w = bytes_writer(v.block[1].data, v.block[1].size);
        bytes_writer_seek(&w, damage[i].at);
        bytes_put_be(&w, damage[i].value, damage[i].size);
        assert_int_equal(page_verify(&f, 3, v.block[1].data), PAGE_CORRUPT);
        vector_close(&v);
    }
}

/* Without a checksum, the low half of the LSN at both ends still shows a tear. */
static void unchecked_pages_need_equal_lsns(void **state)
{
    (void)state;
    static const char *const names[] = {"old_none.16k.vec", "old_blank.16k.vec",
                                        "old_innodb.16k.vec"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        struct vector v;
        struct space_format f;
        open_vector(&v, &f, names[i]);
        v.block[1].data[f.page_size - 1] ^= 1;
        assert_int_equal(page_verify(&f, 3, v.block[1].data), PAGE_CORRUPT);
        vector_close(&v);
    }
}

/* A checksum over a page whose two LSNs differ: nothing that a server writes, but it must not pass.
 */
static void a_right_checksum_does_not_make_up_for_the_lsn(void **state)
{
    (void)state;
    struct vector v;
    struct space_format f;
    open_vector(&v, &f, "plain_full.16k.vec");
    uint8_t *page = v.block[1].data;
    page[f.page_size - 8] ^= 1;
    struct bytes_writer w = bytes_writer(page, f.page_size);
    bytes_writer_seek(&w, f.page_size - 4);
    bytes_put_u32(&w, page_crc32c(0, page, f.page_size - 4));
    assert_int_equal(page_verify(&f, 3, page), PAGE_CORRUPT);
    vector_close(&v);
}

static void encrypted_pages_without_a_checksum(void **state)
{
    (void)state;
    static const char *const names[] = {"crypt_crc.16k.vec", "zipcrypt8_crc.16k.vec"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        struct vector v;
        struct space_format f;
        open_vector(&v, &f, names[i]);
        struct bytes_writer w = bytes_writer(v.block[1].data, f.page_size);
        bytes_writer_seek(&w, KEY_VERSION_AT + 4);
        bytes_put_u32(&w, 0xDEADBEEF);
        assert_int_equal(page_verify(&f, 3, v.block[1].data), PAGE_UNVERIFIABLE);
        vector_close(&v);
    }
}

static void damage_under_older_checksums(void **state)
{
    (void)state;
    static const char *const names[] = {"old_innodb.16k.vec", "oldzip_adler.16k.vec"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        struct vector v;
        struct space_format f;
        open_vector(&v, &f, names[i]);
        for (uint32_t at = 38; at < f.page_size; at += 7) {
            v.block[1].data[at] ^= 4;
            assert_int_equal(page_verify(&f, 3, v.block[1].data), PAGE_CORRUPT);
            v.block[1].data[at] ^= 4;
        }
        vector_close(&v);
    }
}

static void header_fields(void **state)
{
    (void)state;
    uint8_t page[38];
    for (unsigned i = 0; i < sizeof page; i++)
        page[i] = (uint8_t)i;
    assert_true(page_lsn(page) == 0x1011121314151617u);
    assert_int_equal(page_space_id(page), 0x22232425);
    struct space_format f = {.page_size = 16384, .full_crc32 = true};
    assert_int_equal(page_key_version(&f, page), 0x00010203);
    f.full_crc32 = false;
    assert_int_equal(page_key_version(&f, page), 0x1a1b1c1d);
}

static void crc32c_known_values(void **state)
{
    (void)state;
    static const uint8_t zeros[32];
    uint8_t ones[32];
    memset(ones, 0xff, sizeof ones);
    /* RFC 3720 B.4, and the check value of the catalogues */
    assert_int_equal(page_crc32c(0, "123456789", 9), 0xe3069283);
    assert_int_equal(page_crc32c(0, zeros, sizeof zeros), 0x8a9136aa);
    assert_int_equal(page_crc32c(0, ones, sizeof ones), 0x62a8ab43);
    assert_int_equal(page_crc32c_portable(0, ones, sizeof ones), 0x62a8ab43);
    assert_int_equal(page_crc32c(0, zeros, 0), 0);
    assert_int_equal(page_crc32c(0x12345678, zeros, 0), 0x12345678);
}

static void crc32c_hardware_equals_portable(void **state)
{
    (void)state;
    static uint8_t data[70000];
    uint32_t seed = 1;
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (uint8_t)((seed = seed * 1103515245u + 12345u) >> 16);
    for (size_t size = 0; size < 3200; size++)
        for (size_t from = 0; from < 9; from += 4)
            assert_int_equal(page_crc32c(7, data + from, size),
                             page_crc32c_portable(7, data + from, size));
    for (size_t size = 4092; size < 65536; size += 4096 + 3)
        assert_int_equal(page_crc32c(0, data, size), page_crc32c_portable(0, data, size));
    for (size_t cut = 0; cut < 5000; cut += 111)
        assert_int_equal(page_crc32c(page_crc32c(0, data, cut), data + cut, 5000 - cut),
                         page_crc32c(0, data, 5000));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(crc32c_known_values),
        cmocka_unit_test(crc32c_hardware_equals_portable),
        cmocka_unit_test(header_fields),
        cmocka_unit_test(zero_pages),
        cmocka_unit_test(stamp_on_an_unused_page),
        cmocka_unit_test(whole_pages_of_real_servers),
        cmocka_unit_test(changed_pages_are_sealed),
        cmocka_unit_test(another_page_number_is_corrupt),
        cmocka_unit_test(flipped_bits_are_noticed),
        cmocka_unit_test(torn_pages_are_noticed),
        cmocka_unit_test(rtree_split_numbers_are_no_key_versions),
        cmocka_unit_test(zeros_with_a_key_version_are_no_encrypted_page),
        cmocka_unit_test(impossible_sizes_of_compressed_pages),
        cmocka_unit_test(implausible_old_compressed_pages),
        cmocka_unit_test(unchecked_pages_need_equal_lsns),
        cmocka_unit_test(a_right_checksum_does_not_make_up_for_the_lsn),
        cmocka_unit_test(encrypted_pages_without_a_checksum),
        cmocka_unit_test(damage_under_older_checksums),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
