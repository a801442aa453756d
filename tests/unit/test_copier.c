/* copier.h: what is read twice until it holds still. */
/* The sources themselves: the plugin is no library. Each has a static `mutex`. */
#define mutex progress_mutex
#include "plugin/progress.c"
#undef mutex
#define mutex throttle_mutex
#include "plugin/throttle.c"
#undef mutex
#include "plugin/channel.c"
#include "plugin/copier.c"
#include "plugin/disk.c"
#include "plugin/slots.c"
#include "plugin/socket.c"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#define PAGE  4096u
#define PAGES 4u

static struct copy_shared shared;
static struct copier copier;
static uint8_t *data;
static int fd;

static int set_up(void **state)
{
    (void)state;
    uint8_t page[PAGE];
    fd = memfd_create("pages", MFD_CLOEXEC);
    for (unsigned i = 0; i < PAGES; i++) {
        memset(page, 'a' + (int)i, PAGE);
        if (pwrite(fd, page, PAGE, (off_t)i * PAGE) != PAGE)
            return -1;
    }
    return copier_init(&copier, &shared) && !posix_memalign((void **)&data, PAGE, PAGES * PAGE)
               ? 0
               : -1;
}

static int tear_down(void **state)
{
    (void)state;
    copier_free(&copier);
    free(data);
    close(fd);
    return 0;
}

static bool is_all(const uint8_t *page, int byte)
{
    for (unsigned i = 0; i < PAGE; i++)
        if (page[i] != byte)
            return false;
    return true;
}

/* It was changed on disk since it was read and verified: the new one is not. */
static void what_has_been_verified_is_not_replaced(void **state)
{
    (void)state;
    memset(data, 'v', PAGE);
    memset(data + PAGE, 'o', (PAGES - 1) * PAGE);
    assert_true(copier_settle(&copier, fd, data, PAGES * PAGE, PAGE, 0, PAGE));
    assert_true(is_all(data, 'v'));
    for (unsigned i = 1; i < PAGES; i++)
        assert_true(is_all(data + i * PAGE, 'a' + (int)i));
}

static void a_file_that_ends_before_does_not_hold_still(void **state)
{
    (void)state;
    assert_int_equal(ftruncate(fd, PAGE), 0);
    assert_false(copier_settle(&copier, fd, data, PAGES * PAGE, 0, 0, PAGE));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_has_been_verified_is_not_replaced, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_file_that_ends_before_does_not_hold_still, set_up,
                                        tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
