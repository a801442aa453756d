/* inventory.h: what is to be copied follows the redo log, whatever a reader has at that moment. */
/* The sources themselves: the plugin is no library. */
#include "plugin/inventory.c"
#include "plugin/progress.c"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#define END 100u /* LSN: of the image */

static struct inventory *inv;

static int set_up(void **state)
{
    (void)state;
    inv = inventory_new();
    return inv ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    inventory_free(inv);
    return 0;
}

static void space(uint32_t id, const char *path, uint64_t size)
{
    inventory_add_space(inv, WIRE_KIND_TABLESPACE, id, 0, path, size);
}

static void event_at(uint64_t lsn, enum redo_op op, uint32_t id, const char *path)
{
    struct follower_event e = {.op = op, .space_id = id, .lsn = lsn};
    snprintf(e.path, sizeof e.path, "%s", path);
    inventory_event(inv, &e);
}

static void event(enum redo_op op, uint32_t id, const char *path)
{
    event_at(0, op, id, path);
}

/* An undo tablespace was truncated. */
static void truncation(uint32_t id)
{
    struct follower_event e = {.space_id = id};
    inventory_event(inv, &e);
}

struct taken {
    struct item *item;
    uint32_t number;
    char path[256];
};

/* What is next, which must be `path` (NULL: nothing). */
static struct taken take(const char *path)
{
    struct taken t = {0};
    t.item = inventory_take(inv, 0, &t.number);
    if (!t.item != !path)
        fail_msg("%s where %s was expected", t.item ? t.item->path : "nothing",
                 path ? path : "nothing");
    if (t.item) {
        inventory_path(inv, t.item, t.path, sizeof t.path);
        assert_string_equal(t.path, path);
    }
    return t;
}

/* The copy is done under the path that was announced when it began; whether it counts. */
static bool done(struct taken t, enum item_state state, uint32_t *replaced)
{
    return inventory_done(inv, t.item, t.number, t.path, state, replaced);
}

static uint32_t copy(const char *path)
{
    uint32_t replaced;
    struct taken t = take(path);
    assert_true(done(t, ITEM_COPIED, &replaced));
    assert_int_equal(replaced, 0);
    return t.number;
}

/* What the end of a backup told the agent. */
static char told[1024];

static void tell_drop(uint32_t file_no, void *context)
{
    size_t at = strlen(told);
    assert_ptr_equal(context, told);
    snprintf(told + at, sizeof told - at, "drop %u ", file_no);
}

static void tell_name(uint32_t file_no, const char *path, void *context)
{
    size_t at = strlen(told);
    assert_ptr_equal(context, told);
    snprintf(told + at, sizeof told - at, "%u=%s ", file_no, path);
}

static void tell_create(uint32_t file_no, uint32_t space_id, const char *path, void *context)
{
    size_t at = strlen(told);
    assert_ptr_equal(context, told);
    assert_true(file_no > 0);
    snprintf(told + at, sizeof told - at, "new space %u=%s ", space_id, path);
}

static const struct inventory_image image = {told, tell_drop, tell_name, tell_create};

static void finishes(const char *expected)
{
    struct gb_error error = {0};
    told[0] = '\0';
    if (!inventory_finish(inv, END, &image, &error))
        fail_msg("%s", error.what);
    assert_string_equal(told, expected);
}

static void does_not_finish(enum gb_code code, const char *word)
{
    struct gb_error error = {0};
    told[0] = '\0';
    assert_false(inventory_finish(inv, END, &image, &error));
    if (error.code != code || !strstr(error.what, word))
        fail_msg("GB%d %s", (int)error.code, error.what);
}

/* ---- tests ---- */

static void the_largest_first(void **state)
{
    (void)state;
    enum { ITEMS = 3000 };
    char path[32];
    uint32_t x = 7, number, last_number = 0;
    uint64_t last = UINT64_MAX;
    unsigned taken = 0;
    for (uint32_t i = 1; i <= ITEMS; i++) {
        x = x * 1664525u + 1013904223u;
        snprintf(path, sizeof path, "db/t%u.ibd", i);
        space(i, path, x >> 12);
    }
    assert_null(inventory_take(inv, 0, &number)); /* the list is not complete */
    inventory_list_complete(inv);
    /* some of them leave the queue from anywhere in it */
    for (uint32_t i = 1; i <= ITEMS; i += 3)
        event(REDO_FILE_DELETE, i, "");
    struct inventory_load load;
    inventory_load(inv, &load);
    assert_int_equal(load.queued, ITEMS / 3 * 2);
    for (struct item *i; (i = inventory_take(inv, 0, &number)); taken++) {
        assert_true(i->size <= last);
        assert_true(number > last_number);
        assert_true(i->space_id % 3 != 1);
        last = i->size;
        last_number = number;
    }
    assert_int_equal(taken, ITEMS / 3 * 2);
}

static void figures(void **state)
{
    (void)state;
    struct inventory_load load;
    uint32_t replaced;
    space(1, "db/a.ibd", 100);
    space(2, "db/b.ibd", 300);
    space(3, "db/c.ibd", 200);
    space(3, "db/c.ibd", 200); /* the same once more */
    inventory_list_complete(inv);
    inventory_load(inv, &load);
    assert_true(load.queued == 3 && load.queued_bytes == 600 && !load.busy && !load.missing);
    assert_string_equal(load.largest, "db/b.ibd");
    struct taken b = take("db/b.ibd"), c = take("db/c.ibd");
    inventory_load(inv, &load);
    assert_true(load.queued == 1 && load.queued_bytes == 100 && load.busy == 2);
    assert_string_equal(load.largest, "db/a.ibd");
    assert_true(done(b, ITEM_COPIED, &replaced));
    done(c, ITEM_MISSING, &replaced);
    inventory_load(inv, &load);
    assert_true(load.queued == 1 && !load.busy && load.missing == 1);
}

/* Records of before the list are applied in their order when it is complete. */
static void the_log_is_applied_to_the_list(void **state)
{
    (void)state;
    event(REDO_FILE_RENAME, 1, "db/one.ibd");
    event(REDO_FILE_DELETE, 2, "db/two.ibd");
    event(REDO_FILE_CREATE, 4, "db/four.ibd");
    event(REDO_FILE_RENAME, 1, "db/first.ibd");
    space(1, "db/a.ibd", 300);
    space(2, "db/b.ibd", 200);
    space(3, "db/c.ibd", 100);
    inventory_list_complete(inv);
    uint32_t one = copy("db/first.ibd"), three = copy("db/c.ibd"), four = copy("db/four.ibd");
    assert_true(one && three && four);
    take(NULL);
    finishes("");
}

static void a_rename_is_told_at_the_end(void **state)
{
    (void)state;
    char expected[64];
    space(1, "db/a.ibd", 100);
    space(2, "db/b.ibd", 50);
    inventory_list_complete(inv);
    uint32_t replaced, a = copy("db/a.ibd");
    struct taken b = take("db/b.ibd");
    event(REDO_FILE_RENAME, 1, "db/tmp.ibd");
    event(REDO_FILE_RENAME, 2, "db/a.ibd");
    event(REDO_FILE_RENAME, 1, "db/b.ibd");
    assert_true(
        done(b, ITEM_COPIED, &replaced)); /* the copy of a reader that has the file open is good */
    assert_true(inventory_is_space_path(inv, "db/a.ibd") &&
                inventory_is_space_path(inv, "db/b.ibd"));
    assert_false(inventory_is_space_path(inv, "db/tmp.ibd"));
    snprintf(expected, sizeof expected, "%u=db/b.ibd %u=db/a.ibd ", a, b.number);
    finishes(expected);
}

static void what_is_dropped_is_not_in_the_image(void **state)
{
    (void)state;
    char expected[64];
    uint32_t replaced;
    space(1, "db/copied.ibd", 300);
    space(2, "db/busy.ibd", 200);
    space(3, "db/queued.ibd", 100);
    inventory_list_complete(inv);
    uint32_t copied = copy("db/copied.ibd");
    struct taken busy = take("db/busy.ibd");
    for (uint32_t id = 1; id <= 3; id++)
        event(REDO_FILE_DELETE, id, "");
    assert_false(done(busy, ITEM_COPIED, &replaced));
    take(NULL);
    assert_false(inventory_is_space_path(inv, "db/queued.ibd"));
    snprintf(expected, sizeof expected, "drop %u ", copied);
    finishes(expected);
}

/* Rule 11: ALTER TABLE ... IMPORT TABLESPACE brings an id back whose file was deleted. */
static void what_comes_back_is_copied_again(void **state)
{
    (void)state;
    uint32_t replaced;
    space(1, "db/a.ibd", 100);
    inventory_list_complete(inv);
    uint32_t first = copy("db/a.ibd");
    event(REDO_FILE_DELETE, 1, "");
    event(REDO_FILE_CREATE, 1, "db/a.ibd");
    does_not_finish(GB_ddl_storm, "db/a.ibd");
    struct taken again = take("db/a.ibd");
    assert_true(done(again, ITEM_COPIED, &replaced));
    assert_int_equal(replaced, first);
    finishes("");
}

static void a_change_while_it_is_copied_is_copied_again(void **state)
{
    (void)state;
    uint32_t replaced;
    inventory_list_complete(inv);
    struct item *i = inventory_file(inv, ITEM_CLOSED, WIRE_KIND_OTHER, "db/t.MYD");
    assert_non_null(i);
    assert_ptr_equal(inventory_file(inv, ITEM_CLOSED, WIRE_KIND_OTHER, "db/t.MYD"), i);
    inventory_queue(inv, i);
    struct taken first = take("db/t.MYD");
    inventory_queue(inv, i);
    take(NULL); /* one reader a file */
    assert_false(done(first, ITEM_COPIED, &replaced));
    struct taken second = take("db/t.MYD");
    assert_true(second.number > first.number);
    assert_true(done(second, ITEM_COPIED, &replaced));
    assert_int_equal(replaced, 0);
    inventory_queue(inv, i);
    struct taken third = take("db/t.MYD");
    assert_true(done(third, ITEM_COPIED, &replaced));
    assert_int_equal(replaced, second.number);
    finishes("");
}

static void what_was_put_back_is_taken_again(void **state)
{
    (void)state;
    space(1, "db/a.ibd", 100);
    space(2, "db/b.ibd", 50);
    inventory_list_complete(inv);
    struct taken a = take("db/a.ibd"), b = take("db/b.ibd");
    event(REDO_FILE_DELETE, 2, "");
    inventory_put_back(inv, a.item);
    inventory_put_back(inv, b.item);
    copy("db/a.ibd");
    take(NULL);
    finishes("");
}

static void a_missing_file_must_be_explained(void **state)
{
    (void)state;
    struct gb_error error = {0};
    uint32_t replaced;
    space(1, "db/a.ibd", 100);
    inventory_list_complete(inv);
    for (int tries = 0; tries < 3; tries++) {
        assert_false(done(take("db/a.ibd"), ITEM_MISSING, &replaced));
        assert_int_equal(inventory_retry_missing(inv, 2, &error), tries < 2);
    }
    assert_int_equal(error.code, GB_file_vanished);
    assert_non_null(strstr(error.what, "db/a.ibd"));
    /* the log says where it is */
    assert_false(done(take("db/a.ibd"), ITEM_MISSING, &replaced));
    event(REDO_FILE_RENAME, 1, "db/b.ibd");
    copy("db/b.ibd");
    finishes("");
}

/* Its FILE_CREATE was durable before the file could not be made. */
static void a_statement_that_failed_is_told(void **state)
{
    (void)state;
    struct gb_error error = {0};
    uint32_t replaced;
    inventory_list_complete(inv);
    event(REDO_FILE_CREATE, 1, "db/a.ibd");
    for (int tries = 0; tries < 3; tries++) {
        assert_false(done(take("db/a.ibd"), ITEM_MISSING, &replaced));
        assert_int_equal(inventory_retry_missing(inv, 2, &error), tries < 2);
    }
    assert_int_equal(error.code, GB_file_vanished);
    assert_non_null(strstr(error.what, "db/a.ibd (space 1) is in the redo log and not there"));
}

/* Each checkpoint names the tablespaces that were written to since the one before. */
static void what_the_log_names_on_and_on_is_missing_nevertheless(void **state)
{
    (void)state;
    struct gb_error error = {0};
    uint32_t replaced;
    space(1, "db/a.ibd", 100);
    inventory_list_complete(inv);
    for (int tries = 0; tries < 3; tries++) {
        assert_false(done(take("db/a.ibd"), ITEM_MISSING, &replaced));
        event(REDO_FILE_MODIFY, 1, "db/a.ibd");
        assert_int_equal(inventory_retry_missing(inv, 2, &error), tries < 2);
    }
    assert_int_equal(error.code, GB_file_vanished);
    /* under another name it is looked for at once */
    event(REDO_FILE_RENAME, 1, "db/b.ibd");
    copy("db/b.ibd");
    finishes("");
}

/* A mini-transaction that has begun before a DROP TABLE may name the tablespace after it. */
static void a_late_record_of_a_dropped_tablespace_brings_nothing_back(void **state)
{
    (void)state;
    struct gb_error error = {0};
    uint32_t replaced;
    char path[64];
    space(1, "db/a.ibd", 100);
    inventory_list_complete(inv);
    uint32_t number = copy("db/a.ibd");
    event(REDO_FILE_DELETE, 1, "db/a.ibd");
    event(REDO_FILE_MODIFY, 1, "db/a.ibd");
    for (int tries = 0; tries < 3; tries++) {
        assert_false(done(take("db/a.ibd"), ITEM_MISSING, &replaced));
        assert_true(inventory_retry_missing(inv, 2, &error));
    }
    take(NULL);
    assert_int_equal(inventory_left_out(inv, path, sizeof path), 1);
    assert_string_equal(path, "db/a.ibd");
    char expected[64];
    snprintf(expected, sizeof expected, "drop %u ", number);
    finishes(expected);
    /* an IMPORT: it is there, and must stay there */
    event(REDO_FILE_MODIFY, 1, "db/a.ibd");
    struct taken back = take("db/a.ibd");
    assert_true(done(back, ITEM_COPIED, &replaced));
    inventory_queue(inv, back.item);
    for (int tries = 0; tries < 3; tries++) {
        assert_false(done(take("db/a.ibd"), ITEM_MISSING, &replaced));
        assert_int_equal(inventory_retry_missing(inv, 2, &error), tries < 2);
    }
}

/* A scan that is ahead of the log sees a file that no record has named yet. */
static void a_file_of_nobody_that_the_log_then_names_is_not_copied(void **state)
{
    (void)state;
    uint32_t replaced;
    inventory_list_complete(inv);
    struct item *queued = inventory_file(inv, ITEM_DEFINITION, WIRE_KIND_OTHER, "db/a.ibd");
    struct item *busy = inventory_file(inv, ITEM_DEFINITION, WIRE_KIND_OTHER, "db/b.ibd");
    queued->size = 100;
    busy->size = 200;
    inventory_queue(inv, queued);
    inventory_queue(inv, busy);
    assert_int_equal(inventory_space_bytes(inv), 300);
    struct taken t = take("db/b.ibd");
    event(REDO_FILE_RENAME, 2, "db/b.ibd");
    event(REDO_FILE_CREATE, 1, "db/a.ibd");
    assert_false(done(t, ITEM_MISSING, &replaced)); /* it changes all the time */
    assert_int_equal(queued->state, ITEM_GONE);
    assert_int_equal(busy->state, ITEM_GONE);
    for (int n = 0; n < 2; n++) {
        uint32_t number;
        struct item *i = inventory_take(inv, 0, &number);
        assert_non_null(i);
        assert_int_equal(i->class, ITEM_SPACE);
        assert_true(inventory_done(inv, i, number, i->path, ITEM_COPIED, &replaced));
    }
    take(NULL);
    finishes("");
    /* discarded: it waits for an import, and is a file of nobody again */
    event(REDO_FILE_DELETE, 1, "db/a.ibd");
    inventory_queue(inv, queued);
    copy("db/a.ibd");
}

static void what_nobody_had_opened_may_be_gone_and_is_counted(void **state)
{
    (void)state;
    struct gb_error error = {0};
    uint32_t replaced;
    char path[64];
    inventory_add_unopened(inv, 1, "db/a.ibd", 200);
    inventory_add_unopened(inv, 2, "db/b.ibd", 100);
    inventory_list_complete(inv);
    assert_false(done(take("db/a.ibd"), ITEM_MISSING, &replaced));
    assert_false(done(take("db/b.ibd"), ITEM_MISSING, &replaced));
    assert_int_equal(inventory_left_out(inv, path, sizeof path), 0);
    assert_true(inventory_retry_missing(inv, 0, &error));
    assert_int_equal(inventory_left_out(inv, path, sizeof path), 2);
    assert_string_equal(path, "db/a.ibd");
    assert_int_equal(inventory_left_out(inv, path, sizeof path), 0);
    take(NULL);
    finishes("");
}

static void a_file_that_is_renamed_while_it_is_looked_for_is_looked_for_again(void **state)
{
    (void)state;
    uint32_t replaced;
    space(1, "db/a.ibd", 100);
    inventory_list_complete(inv);
    struct taken t = take("db/a.ibd");
    event(REDO_FILE_RENAME, 1, "db/b.ibd");
    assert_false(done(t, ITEM_MISSING, &replaced));
    copy("db/b.ibd");
    finishes("");
}

static void what_was_not_copied_is_named(void **state)
{
    (void)state;
    space(1, "db/a.ibd", 100);
    inventory_list_complete(inv);
    copy("db/a.ibd");
    event(REDO_FILE_MODIFY, 2, "db/late.ibd");
    does_not_finish(GB_ddl_storm, "db/late.ibd");
    copy("db/late.ibd");
    finishes("");
}

/* All of it is in the redo, but not what an IMPORT has brought. */
static void what_the_redo_makes_need_not_be_copied(void **state)
{
    (void)state;
    space(1, "db/a.ibd", 100);
    inventory_list_complete(inv);
    copy("db/a.ibd");
    event(REDO_FILE_CREATE, 2, "db/late.ibd");
    finishes("new space 2=db/late.ibd ");
    event(REDO_FILE_RENAME, 2, "db/later.ibd");
    copy("db/later.ibd");
    finishes("");
    event(REDO_FILE_CREATE, 3, "db/imported.ibd");
    event(REDO_FILE_DELETE, 3, "db/imported.ibd");
    finishes("");
    event(REDO_FILE_MODIFY, 3, "db/imported.ibd");
    does_not_finish(GB_ddl_storm, "db/imported.ibd");
    event(REDO_FILE_DELETE, 3, "db/imported.ibd");
    /* CREATE TABLE where a file waits for its IMPORT: the record is there, the tablespace is not */
    struct item *orphan = inventory_file(inv, ITEM_DEFINITION, WIRE_KIND_OTHER, "db/orphan.ibd");
    assert_non_null(orphan);
    inventory_queue(inv, orphan);
    copy("db/orphan.ibd");
    event(REDO_FILE_CREATE, 4, "db/orphan.ibd");
    does_not_finish(GB_ddl_storm, "db/orphan.ibd");
}

static void a_shorter_undo_tablespace_must_be_explained(void **state)
{
    (void)state;
    inventory_add_space(inv, WIRE_KIND_UNDO, 9, 0, "undo001", 100);
    inventory_list_complete(inv);
    struct taken t = take("undo001");
    uint32_t replaced;
    inventory_note_shrunk(inv, t.item);
    assert_true(done(t, ITEM_COPIED, &replaced));
    does_not_finish(GB_file_vanished, "undo001");
    truncation(8);
    does_not_finish(GB_file_vanished, "undo001");
    truncation(9);
    finishes("");
}

static void take_unwritten(const char *path, bool kept)
{
    uint32_t replaced;
    struct taken t = take(path);
    inventory_note_unwritten(inv, t.item);
    assert_int_equal(done(t, ITEM_COPIED, &replaced), kept);
}

/* The follower reads on until it is told where the image ends. */
static void what_comes_beyond_the_end_is_not_of_the_image(void **state)
{
    (void)state;
    space(1, "db/a.ibd", 100);
    space(2, "db/b.ibd", 90);
    space(3, "db/c.ibd", 80);
    inventory_list_complete(inv);
    copy("db/a.ibd");
    copy("db/b.ibd");
    uint32_t deleted = copy("db/c.ibd");
    assert_true(inventory_close(inv));
    event_at(END - 1, REDO_FILE_RENAME, 1, "db/renamed.ibd");
    event_at(END - 1, REDO_FILE_DELETE, 3, "db/c.ibd");
    event_at(END, REDO_FILE_RENAME, 1, "db/later.ibd");
    event_at(END, REDO_FILE_DELETE, 2, "db/b.ibd");
    event_at(END + 1, REDO_FILE_CREATE, 4, "db/new.ibd");
    char expected[64];
    snprintf(expected, sizeof expected, "1=db/renamed.ibd drop %u ", deleted);
    finishes(expected);
}

/* It may be another tablespace's that has its name since. */
static void an_unwritten_file_must_be_explained(void **state)
{
    (void)state;
    struct gb_error error = {0};
    space(1, "db/a.ibd", 100);
    inventory_list_complete(inv);
    take_unwritten("db/a.ibd", false);
    assert_true(inventory_retry_missing(inv, 1, &error));
    take_unwritten("db/a.ibd", false);
    assert_false(inventory_retry_missing(inv, 1, &error));
    assert_int_equal(error.code, GB_corrupt_page);
    assert_non_null(strstr(error.what, "page 0 of db/a.ibd (space 1) is all zero"));
    event(REDO_FILE_CREATE, 1, "db/a.ibd");
    take_unwritten("db/a.ibd", true);
    finishes("");
}

static void one_with_the_name_of_another_is_not_taken_for_it(void **state)
{
    (void)state;
    space(1, "db/a.ibd", 100);
    space(2, "db/b.ibd", 100);
    inventory_list_complete(inv);
    take_unwritten("db/a.ibd", false); /* the new 3: its record has not been read yet */
    copy("db/b.ibd");
    event(REDO_FILE_RENAME, 1, "db/c.ibd");
    event(REDO_FILE_CREATE, 3, "db/a.ibd");
    copy("db/c.ibd");
    take_unwritten("db/a.ibd", true);
    finishes("");
}

/* The checkpoint may lie between its FILE_CREATE and this. */
static void an_unwritten_file_is_explained_by_its_first_page(void **state)
{
    (void)state;
    space(1, "db/a.ibd", 100);
    inventory_list_complete(inv);
    take_unwritten("db/a.ibd", false);
    event(FOLLOWER_PAGE_0, 1, "");
    take_unwritten("db/a.ibd", true);
    finishes("");
}

/* Its FILE_CREATE was before the checkpoint, and the list was read before the server had made the
 * file. */
static void one_that_no_list_had_when_it_was_made(void **state)
{
    (void)state;
    inventory_list_begin(inv);
    inventory_list_complete(inv);
    event(FOLLOWER_PAGE_0, 1, "");
    event(FOLLOWER_PAGE_0, 2, "");
    event(REDO_FILE_DELETE, 2, "db/b.ibd");
    inventory_list_begin(inv);
    space(1, "db/a.ibd", 100);
    space(2, "db/b.ibd", 100);
    take_unwritten("db/a.ibd", true);
    take_unwritten("db/b.ibd", false); /* it came back by an IMPORT */
}

/* The system tablespace and undo tablespaces are known from the list alone. */
static void records_of_other_tablespaces_rename_nothing(void **state)
{
    (void)state;
    inventory_add_space(inv, WIRE_KIND_SYSTEM, 0, 0, "ibdata1", 300);
    inventory_add_space(inv, WIRE_KIND_SYSTEM, 0, 768, "ibdata2", 200);
    inventory_add_space(inv, WIRE_KIND_UNDO, 9, 0, "undo001", 100);
    inventory_list_complete(inv);
    event(REDO_FILE_MODIFY, 0, "other.ibd");
    event(REDO_FILE_RENAME, 9, "other.ibd");
    copy("ibdata1");
    copy("ibdata2");
    copy("undo001");
    finishes("");
}

static void an_orphan_gives_way_to_its_tablespace(void **state)
{
    (void)state;
    char expected[64];
    inventory_list_complete(inv);
    struct item *orphan = inventory_file(inv, ITEM_DEFINITION, WIRE_KIND_OTHER, "db/a.ibd");
    struct item *other = inventory_file(inv, ITEM_DEFINITION, WIRE_KIND_OTHER, "db/b.ibd");
    inventory_queue(inv, orphan);
    uint32_t number = copy("db/a.ibd");
    inventory_queue(inv, other);
    copy("db/b.ibd");
    event(REDO_FILE_CREATE, 5, "db/a.ibd");
    copy("db/a.ibd");
    snprintf(expected, sizeof expected, "drop %u ", number);
    finishes(expected);
}

static void files_are_forgotten_tablespaces_are_not(void **state)
{
    (void)state;
    char expected[64];
    uint32_t replaced;
    space(1, "db/a.ibd", 100);
    inventory_list_complete(inv);
    copy("db/a.ibd");
    struct item *one = inventory_file(inv, ITEM_CLOSED, WIRE_KIND_OTHER, "db/t.MYD");
    struct item *two = inventory_file(inv, ITEM_CLOSED, WIRE_KIND_OTHER, "db/t.MYI");
    inventory_queue(inv, one);
    uint32_t number = copy("db/t.MYD");
    inventory_queue(inv, two);
    struct taken busy = take("db/t.MYI");
    told[0] = '\0';
    inventory_discard_files(inv, tell_drop, told);
    snprintf(expected, sizeof expected, "drop %u ", number);
    assert_string_equal(told, expected);
    assert_false(done(busy, ITEM_COPIED, &replaced)); /* what was being read is of before, too */
    inventory_gone(inv, two);
    does_not_finish(GB_internal, "db/t.MYD");
    inventory_queue(inv, one);
    copy("db/t.MYD");
    finishes("");
}

static void count_one(struct item *item, void *context)
{
    assert_true(item->class != ITEM_SPACE);
    ++*(unsigned *)context;
}

static void walks(void **state)
{
    (void)state;
    unsigned files = 0, tables = 0;
    space(1, "db/a.ibd", 100);
    inventory_file(inv, ITEM_DEFINITION, WIRE_KIND_OTHER, "db/a.frm");
    inventory_file(inv, ITEM_CLOSED, WIRE_KIND_OTHER, "db/t.MYD");
    inventory_file(inv, ITEM_LOG_TABLE, WIRE_KIND_OTHER, "mysql/general_log.CSV");
    inventory_file(inv, ITEM_CLOSED, WIRE_KIND_OTHER, "db/t.MYD");
    inventory_each_file(inv, count_one, &files);
    inventory_each_table(inv, count_one, &tables);
    assert_int_equal(files, 3);
    assert_int_equal(tables, 2);
}

static void paths_as_the_agent_wants_them(void **state)
{
    (void)state;
    static const struct {
        const char *path, *clean;
    } cases[] = {
        {"./db/t.ibd", "db/t.ibd"},
        {".//db/t.ibd", "db/t.ibd"},
        {"././db/t.ibd", "db/t.ibd"},
        {"db//t.ibd", "db/t.ibd"},
        {"db/t.ibd", "db/t.ibd"},
        {"/data/db/t.ibd", "db/t.ibd"},
        {"/database/t.ibd", "/database/t.ibd"},
        {"/elsewhere//db/t.ibd", "/elsewhere/db/t.ibd"},
        {".hidden/t.ibd", ".hidden/t.ibd"},
        {"ibdata1", "ibdata1"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char out[64];
        inventory_clean_path(out, sizeof out, cases[i].path, "/data/");
        assert_string_equal(out, cases[i].clean);
    }
    char small[5];
    inventory_clean_path(small, sizeof small, "db/t.ibd", "/data/");
    assert_string_equal(small, "db/t");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
        TEST(the_largest_first),
        TEST(figures),
        TEST(the_log_is_applied_to_the_list),
        TEST(a_rename_is_told_at_the_end),
        TEST(what_is_dropped_is_not_in_the_image),
        TEST(what_comes_back_is_copied_again),
        TEST(a_change_while_it_is_copied_is_copied_again),
        TEST(what_was_put_back_is_taken_again),
        TEST(a_missing_file_must_be_explained),
        TEST(a_statement_that_failed_is_told),
        TEST(what_the_log_names_on_and_on_is_missing_nevertheless),
        TEST(a_late_record_of_a_dropped_tablespace_brings_nothing_back),
        TEST(a_file_of_nobody_that_the_log_then_names_is_not_copied),
        TEST(what_nobody_had_opened_may_be_gone_and_is_counted),
        TEST(a_file_that_is_renamed_while_it_is_looked_for_is_looked_for_again),
        TEST(what_was_not_copied_is_named),
        TEST(what_the_redo_makes_need_not_be_copied),
        TEST(a_shorter_undo_tablespace_must_be_explained),
        TEST(what_comes_beyond_the_end_is_not_of_the_image),
        TEST(an_unwritten_file_must_be_explained),
        TEST(one_with_the_name_of_another_is_not_taken_for_it),
        TEST(an_unwritten_file_is_explained_by_its_first_page),
        TEST(one_that_no_list_had_when_it_was_made),
        TEST(records_of_other_tablespaces_rename_nothing),
        TEST(an_orphan_gives_way_to_its_tablespace),
        TEST(files_are_forgotten_tablespaces_are_not),
        TEST(walks),
        TEST(paths_as_the_agent_wants_them),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
