/* redo_stream.h: the log of a real server in pieces that are cut anywhere. */
#include "common/redo_stream.h"
#include "tests/unit/vectors.h"

#define DIGEST_START 14695981039346656037ull
#define DIGEST_PRIME 1099511628211ull

/* All that a visitor was told, in its order, as one number. */
static void mix(uint64_t *digest, uint64_t value)
{
    *digest = (*digest ^ value) * DIGEST_PRIME;
}

static void see_file(void *context, enum redo_op op, uint32_t space_id, const char *path,
                     size_t path_size, const char *new_path, size_t new_path_size, uint64_t lsn)
{
    (void)new_path;
    mix(context, (uint64_t)op);
    mix(context, space_id);
    for (size_t i = 0; i < path_size; i++)
        mix(context, (uint8_t)path[i]);
    mix(context, new_path_size);
    mix(context, lsn);
}

static void see_checkpoint(void *context, uint64_t checkpoint, uint64_t lsn)
{
    mix(context, checkpoint);
    mix(context, lsn);
}

static void see_page(void *context, uint32_t space_id, uint32_t page_no, uint64_t lsn)
{
    mix(context, space_id);
    mix(context, page_no);
    mix(context, lsn);
}

struct flat {
    struct vector v;
    uint64_t lsn;
    uint8_t *data;
    size_t size; /* up to the end of the log */
};

/* The vector's log is on its first lap, where all sequence bits are 1. */
static void open_flat(struct flat *f)
{
    struct gb_error error = {0};
    struct redo_log log;
    vector_open(&f->v, "redo.vec");
    assert_true(redo_parse_header(f->v.block[0].data, f->v.file_size, &log, &error));
    f->lsn = log.checkpoint_lsn;
    f->data = f->v.block[1].data;
    f->size = 0;
    size_t size;
    while (redo_parse_flat_mtr(REDO_FORMAT_10_8, false, f->lsn + f->size, f->data + f->size,
                               f->v.block[1].size - f->size, NULL, &size) == REDO_MTR)
        f->size += size;
    assert_true(f->size > 4000);
}

/* Where the stream ends when the log comes in pieces of these sizes, in turn; what the visitor saw
 * in *digest. */
static uint64_t feed(const struct flat *f, size_t end, const size_t *pieces, size_t count,
                     uint64_t *digest)
{
    struct redo_visitor v = {digest, see_file, see_checkpoint, see_page, NULL, NULL};
    struct redo_stream *s = test_malloc(sizeof *s);
    redo_stream_begin(s, REDO_FORMAT_10_8, false, f->lsn, digest ? &v : NULL);
    if (digest)
        *digest = DIGEST_START;
    for (size_t at = 0, i = 0; at < end; i++) {
        size_t n = pieces[i % count] < end - at ? pieces[i % count] : end - at;
        uint8_t *piece = test_malloc(n + 1); /* so that a look beyond it is noticed */
        memcpy(piece + 1, f->data + at, n);
        bool ok = redo_stream_feed(s, piece + 1, n);
        test_free(piece);
        at += n;
        if (!ok)
            break;
    }
    uint64_t lsn = redo_stream_lsn(s);
    test_free(s);
    return lsn;
}

static void pieces_of_any_size_are_the_whole(void **state)
{
    (void)state;
    struct flat f;
    open_flat(&f);
    static const size_t sizes[][3] = {{1, 1, 1},       {7, 7, 7},        {1, 13, 4096},
                                      {511, 512, 513}, {3, 65536, 11},   {4099, 2, 1},
                                      {1000, 1, 2},    {16384, 5, 16384}};
    uint64_t whole, digest;
    assert_true(feed(&f, f.size, &f.size, 1, &whole) == f.lsn + f.size);
    assert_true(whole != DIGEST_START);
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        assert_true(feed(&f, f.size, sizes[i], 3, &digest) == f.lsn + f.size);
        assert_true(digest == whole);
    }
    vector_close(&f.v);
}

static void more_than_its_memory_at_once(void **state)
{
    (void)state;
    struct flat f;
    open_flat(&f);
    size_t times = (8u << 20) / f.size + 1;
    /* The same mini-transactions again and again: their LSN is in no checksum. */
    uint8_t *data = test_malloc(times * f.size);
    for (size_t i = 0; i < times; i++)
        memcpy(data + i * f.size, f.data, f.size);
    struct redo_stream *s = test_malloc(sizeof *s);
    redo_stream_begin(s, REDO_FORMAT_10_8, false, f.lsn, NULL);
    assert_true(redo_stream_feed(s, data, times * f.size));
    assert_true(redo_stream_lsn(s) == f.lsn + times * f.size);
    test_free(s);
    test_free(data);
    vector_close(&f.v);
}

static void an_end_within_a_mini_transaction_is_seen(void **state)
{
    (void)state;
    struct flat f;
    static const size_t pieces[] = {100, 1, 5000};
    open_flat(&f);
    for (size_t cut = 1; cut < 200; cut++) {
        uint64_t lsn = feed(&f, f.size - cut, pieces, 3, NULL);
        assert_true(lsn < f.lsn + f.size && lsn <= f.lsn + f.size - cut);
    }
    vector_close(&f.v);
}

/* It ends at the mini-transaction that holds the damage, whatever comes behind it. */
static void damage_is_seen_where_it_is(void **state)
{
    (void)state;
    struct flat f;
    static const size_t pieces[] = {700, 3, 9000};
    open_flat(&f);
    for (size_t at = 0; at < f.size; at += f.size / 150) {
        size_t begin = 0, size;
        while (redo_parse_flat_mtr(REDO_FORMAT_10_8, false, f.lsn + begin, f.data + begin,
                                   f.size - begin, NULL, &size) == REDO_MTR &&
               begin + size <= at)
            begin += size;
        f.data[at] ^= 0x40;
        uint64_t lsn = feed(&f, f.size, pieces, 3, NULL);
        f.data[at] ^= 0x40;
        assert_true(lsn == f.lsn + begin);
    }
    vector_close(&f.v);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pieces_of_any_size_are_the_whole),
        cmocka_unit_test(more_than_its_memory_at_once),
        cmocka_unit_test(an_end_within_a_mini_transaction_is_seen),
        cmocka_unit_test(damage_is_seen_where_it_is),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
