/* rseg.h: the Galera position in rollback segment headers, in pages of every size. */
#include "common/rseg.h"
#include "common/page.h"
#include "tests/unit/vectors.h"

static const uint8_t one[RSEG_UUID_SIZE] = {0x5c, 0x3f, 1, 2,  3,  4,  5,  6,
                                            7,    8,    9, 10, 11, 12, 13, 14};
static const uint8_t two[RSEG_UUID_SIZE] = {0xaa, 0xbb, 0xcc, 0xdd, 1, 1, 1, 1,
                                            1,    1,    1,    1,    1, 1, 1, 1};

/* A header page as trx_rseg_write_wsrep_checkpoint() leaves it. */
static void put_xid(uint8_t *page, size_t size, size_t at, char version, const uint8_t *uuid,
                    uint64_t seqno)
{
    struct bytes_writer w = bytes_writer(page, size);
    bytes_writer_seek(&w, at);
    bytes_put_u32(&w, 1);
    bytes_put_u32(&w, version == 'f' ? 48 : 32);
    bytes_put_u32(&w, 0);
    bytes_put(&w, "WSREPXi", 7);
    bytes_put_u8(&w, (uint8_t)version);
    bytes_put(&w, uuid, RSEG_UUID_SIZE);
    for (unsigned i = 0; i < 8; i++)
        bytes_put_u8(&w, (uint8_t)(seqno >> 8 * i));
    assert_false(w.failed);
}

static void position_of_every_page_size(void **state)
{
    (void)state;
    static const struct {
        size_t page_size, at;
    } sizes[] = {{4096, 1624}, {8192, 2648}, {16384, 4696}, {32768, 8792}, {65536, 16984}};
    static uint8_t page[65536];
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
        for (const char *version = "def"; *version; version++) {
            uint8_t uuid[RSEG_UUID_SIZE];
            int64_t seqno = -7;
            char text[RSEG_POSITION_MAX];
            memset(page, 0, sizeof page);
            assert_false(rseg_position(page, sizes[i].page_size, uuid, &seqno));
            assert_false(rseg_set_uuid(page, sizes[i].page_size, two));
            assert_int_equal(seqno, -7);
            put_xid(page, sizes[i].page_size, sizes[i].at, *version, one, 18499231);
            assert_true(rseg_position(page, sizes[i].page_size, uuid, &seqno));
            assert_string_equal(rseg_position_text(uuid, seqno, text),
                                "5c3f0102-0304-0506-0708-090a0b0c0d0e:18499231");
            assert_true(rseg_set_uuid(page, sizes[i].page_size, two));
            assert_true(rseg_position(page, sizes[i].page_size, uuid, &seqno));
            assert_string_equal(rseg_position_text(uuid, seqno, text),
                                "aabbccdd-0101-0101-0101-010101010101:18499231");
        }
}

static void what_is_no_position_is_refused(void **state)
{
    (void)state;
    static uint8_t page[16384];
    uint8_t uuid[RSEG_UUID_SIZE];
    int64_t seqno;
    put_xid(page, sizeof page, 4696, 'f', one, 5);
    static const size_t damaged[] = {
        38 /* format of the header */, 4696 + 3, 4696 + 7, 4696 + 11, 4696 + 12, 4696 + 19};
    for (size_t i = 0; i < sizeof damaged / sizeof damaged[0]; i++) {
        page[damaged[i]] ^= 0x40;
        assert_false(rseg_position(page, sizeof page, uuid, &seqno));
        page[damaged[i]] ^= 0x40;
    }
    assert_true(rseg_position(page, sizeof page, uuid, &seqno));
    assert_false(rseg_position(page, 4700, uuid, &seqno));
}

/* Of real servers: 128 slots, the first in the system tablespace at page 6. */
static void slots_of_real_system_tablespaces(void **state)
{
    (void)state;
    static const char *const names[] = {"ibdata1.4k.vec", "ibdata1.16k.vec", "ibdata1.64k.vec"};
    unsigned found = 0;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        struct vector v;
        struct rseg_slot slots[RSEG_SLOTS];
        vector_open(&v, names[i]);
        for (unsigned b = 0; b < v.count; b++) {
            uint32_t size = v.block[b].size;
            if (v.block[b].offset != (uint64_t)RSEG_TRX_SYS_PAGE * size)
                continue;
            found++;
            assert_in_range(rseg_slots(v.block[b].data, size, slots), 1, RSEG_SLOTS);
            assert_int_equal(slots[0].space_id, 0);
            assert_int_equal(slots[0].page_no, 6);
        }
        vector_close(&v);
    }
    assert_true(found > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(position_of_every_page_size),
                                       cmocka_unit_test(what_is_no_position_is_refused),
                                       cmocka_unit_test(slots_of_real_system_tablespaces)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
