/* agent/daemon/place.c */
#include "agent/daemon/place.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/stat.h>

#include <cmocka.h>

static void the_device_of_a_path_is_known(void **state)
{
    struct stat here, proc;
    (void)state;
    assert_int_equal(stat(".", &here), 0);
    assert_int_equal(stat("/proc", &proc), 0);
    assert_true(place_on_device(".", (uint64_t)here.st_dev));
    assert_false(place_on_device("/proc", (uint64_t)here.st_dev));
    assert_false(place_on_device(".", 0));
    assert_false(place_on_device("/nowhere", (uint64_t)here.st_dev));
}

static void network_file_systems_are_told_from_disks(void **state)
{
    static const uint64_t network[] = {0x6969, 0xFF534D42, 0xFE534D42, 0x00C36400, 0x65735546},
                          local[] = {0xEF53, 0x58465342, 0x01021994, 0x9123683E, 0x794C7630};
    (void)state;
    for (size_t i = 0; i < sizeof network / sizeof network[0]; i++)
        assert_true(place_type_is_remote(network[i]));
    for (size_t i = 0; i < sizeof local / sizeof local[0];
         i++) /* ext4, XFS, tmpfs, btrfs, overlay */
        assert_false(place_type_is_remote(local[i]));
    assert_false(place_is_remote("/proc"));
    assert_false(place_is_remote("/nowhere"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_device_of_a_path_is_known),
        cmocka_unit_test(network_file_systems_are_told_from_disks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
