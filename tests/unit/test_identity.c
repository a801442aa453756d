/* identity.h: who may write into a cluster's directory, and what is asked of whom who may not. */
#include "agent/repository/identity.h"
#include "agent/repository/remembered.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define A     "11111111-c6d1-11f0-9f3a-0242ac110002"
#define B     "22222222-c6d1-11f0-9f3a-0242ac110002"
#define ZEROS "00000000-0000-0000-0000-000000000000"

static char root[64], state_dir[96], other_state[96], path[160];
static struct repository *r;

static int set_up(void **state)
{
    (void)state;
    struct gb_error error = {0};
    snprintf(root, sizeof root, "/tmp/gb-test-identity-XXXXXX");
    if (!mkdtemp(root))
        return -1;
    snprintf(state_dir, sizeof state_dir, "%s/state", root);
    snprintf(other_state, sizeof other_state, "%s/other", root);
    struct repository_spec spec = {.name = "near", .type = "directory", .make = true};
    snprintf(spec.path, sizeof spec.path, "%s/repository", root);
    snprintf(path, sizeof path, "%s/c/cluster.json", spec.path);
    return (r = repository_open(&spec, &error)) ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    char command[128];
    repository_close(r);
    snprintf(command, sizeof command, "rm -rf %s", root);
    return system(command);
}

static enum gb_code admit(const char *uuid, const char *state, bool writes, struct gb_error *error)
{
    struct identity_writer w = {
        .cluster = "c", .wsrep_uuid = uuid, .state_dir = state, .writes = writes};
    memset(error, 0, sizeof *error);
    bool ok = identity_admit(r, &w, error);
    assert_int_equal(ok, error->code == GB_OK);
    return error->code;
}

static struct identity now(void)
{
    struct identity i;
    struct gb_error error = {0};
    if (!identity_read(&i, r->storage, "c", &error))
        fail_msg("%s", error.what);
    return i;
}

static void put(const char *text)
{
    struct gb_error error = {0};
    char sealed[1024], seal[MANIFEST_SEAL_MAX] = "";
    size_t size = strlen(text);
    bool object = size > 2 && text[size - 1] == '}';
    if (object)
        manifest_seal(text, --size, seal);
    snprintf(sealed, sizeof sealed, "%.*s%s", (int)size, text, seal);
    assert_true(storage_replace(r->storage, "c/cluster.json", sealed, strlen(sealed), &error));
}

static void the_first_writer_makes_it(void **state)
{
    (void)state;
    struct gb_error error;
    struct identity i;
    assert_int_equal(admit(A, state_dir, false, &error), GB_OK);
    assert_false(identity_read(&i, r->storage, "c", &error));
    assert_int_equal(error.code, GB_not_found); /* to look makes nothing */
    assert_int_equal(admit(A, state_dir, true, &error), GB_OK);
    i = now();
    assert_true(identity_uuid_valid(i.uuid));
    assert_int_equal(i.wsrep_count, 1);
    assert_string_equal(i.wsrep[0].uuid, A);
    assert_true(i.wsrep[0].first_seen_at > time(NULL) - 60);
    assert_true(remembered_has(state_dir, i.uuid));
    assert_false(remembered_has(other_state, i.uuid));
    assert_int_equal(admit(A, other_state, true, &error), GB_OK); /* another node */
    struct identity again = now();
    assert_memory_equal(&again, &i, sizeof i);
}

static void another_cluster_is_refused(void **state)
{
    (void)state;
    struct gb_error error;
    admit(A, state_dir, true, &error);
    for (int writes = 0; writes < 2; writes++) {
        assert_int_equal(admit(B, other_state, writes, &error), GB_wrong_cluster);
        assert_non_null(strstr(error.what, A));
        assert_non_null(strstr(error.what, B));
        assert_non_null(strstr(error.what, now().uuid));
        assert_non_null(
            strstr(error.hint,
                   "galera-backup repo adopt --repository 'near' --cluster c --wsrep-uuid " B));
        assert_true(strlen(error.what) + strlen(error.hint) < 480); /* what SQL shows of it */
    }
    assert_int_equal(now().wsrep_count, 1);
    assert_false(remembered_has(other_state, now().uuid));
}

static void a_new_history_of_the_same_cluster_is_let_in(void **state)
{
    (void)state;
    struct gb_error error;
    admit(A, state_dir, true, &error);
    assert_int_equal(admit(B, state_dir, false, &error), GB_OK);
    assert_int_equal(now().wsrep_count, 1); /* to look adds nothing */
    assert_int_equal(admit(B, state_dir, true, &error), GB_OK);
    assert_int_equal(now().wsrep_count, 2);
    assert_int_equal(admit(B, other_state, true, &error), GB_OK); /* the other nodes follow */
    assert_int_equal(admit(A, other_state, true, &error), GB_OK);
    assert_int_equal(now().wsrep_count, 2);
}

static void adopted(void **state)
{
    (void)state;
    struct gb_error error;
    struct identity i;
    admit(A, state_dir, true, &error);
    memset(&error, 0, sizeof error);
    assert_false(identity_adopt(r, "c", "nonsense", &i, &error));
    assert_int_equal(error.code, GB_bad_value);
    error_clear(&error);
    assert_true(identity_adopt(r, "c", B, &i, &error));
    assert_true(identity_adopt(r, "c", B, &i, &error));
    assert_int_equal(i.wsrep_count, 2);
    assert_int_equal(admit(B, other_state, true, &error), GB_OK);
}

static void who_has_no_uuid_is_let_in(void **state)
{
    (void)state;
    struct gb_error error;
    assert_int_equal(admit("", state_dir, true, &error), GB_OK);
    assert_int_equal(now().wsrep_count, 0);
    assert_int_equal(admit(A, other_state, true, &error), GB_OK); /* the first history */
    assert_int_equal(now().wsrep_count, 1);
    assert_int_equal(admit(ZEROS, "", true, &error), GB_OK); /* a node that crashed */
    assert_int_equal(admit("", "", true, &error), GB_OK);
    assert_int_equal(now().wsrep_count, 1);
}

static void what_cannot_be_read(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum gb_code code;
        const char *what;
    } bad[] = {
        {"", GB_corrupt_backup, "cluster.json"},
        {"{", GB_corrupt_backup, "cluster.json"},
        {"[]", GB_corrupt_backup, "cluster.json"},
        {"{\"format\": 1, \"uuid\": \"x\", \"cluster\": \"c\", \"wsrep\": []}", GB_corrupt_backup,
         "cluster.json"},
        {"{\"format\": 1, \"uuid\": \"" A "\", \"cluster\": \"..\", \"wsrep\": []}",
         GB_corrupt_backup, "cluster.json"},
        {"{\"format\": 1, \"uuid\": \"" A "\", \"cluster\": \"c\"}", GB_corrupt_backup,
         "cluster.json"},
        {"{\"format\": 1, \"uuid\": \"" A "\", \"cluster\": \"c\", \"wsrep\": [{\"uuid\": \"" A
         "\"}]}",
         GB_corrupt_backup, "cluster.json"},
        {"{\"format\": 1, \"format\": 1, \"uuid\": \"" A "\", \"cluster\": \"c\", \"wsrep\": []}",
         GB_corrupt_backup, "cluster.json"},
        {"{\"format\": 1, \"uuid\": \"" A "\", \"cluster\": \"c\", \"wsrep\": []} ",
         GB_corrupt_backup, "cluster.json has been changed"},
        {"{\"format\": 2, \"anything\": 1}", GB_format_newer, "format 2"},
        {"{\"format\": 1, \"uuid\": \"" A "\", \"cluster\": \"d\", \"wsrep\": []}",
         GB_wrong_cluster, "cluster d"},
    };
    struct gb_error error;
    struct identity i;
    for (size_t k = 0; k < sizeof bad / sizeof bad[0]; k++) {
        put(bad[k].text);
        if (admit(A, state_dir, true, &error) != bad[k].code || !strstr(error.what, bad[k].what))
            fail_msg("%s: GB%d %s", bad[k].text, (int)error.code, error.what);
        if (bad[k].code == GB_corrupt_backup)
            assert_non_null(
                strstr(error.hint, "repo adopt --repository 'near' --cluster c --wsrep-uuid " A));
        error_clear(&error);
        bool made = identity_adopt(r, "c", A, &i, &error);
        assert_int_equal(made, bad[k].code != GB_format_newer);
        assert_int_equal(error.code, made ? GB_OK : GB_format_newer);
        assert_int_equal(admit(A, other_state, true, &error), made ? GB_OK : GB_format_newer);
    }
}

#define ROUNDS 100u

static pthread_barrier_t barrier;
struct racer {
    const char *uuid;
    enum gb_code code;
};

static void *race(void *argument)
{
    struct racer *racer = argument;
    struct gb_error error = {0};
    struct identity_writer w = {
        .cluster = "c", .wsrep_uuid = racer->uuid, .state_dir = "", .writes = true};
    pthread_barrier_wait(&barrier);
    racer->code = identity_admit(r, &w, &error) ? GB_OK : error.code;
    return NULL;
}

static void of_two_first_writers_one_is_refused(void **state)
{
    (void)state;
    assert_int_equal(pthread_barrier_init(&barrier, NULL, 2), 0);
    for (unsigned round = 0; round < ROUNDS; round++) {
        struct racer racer[2] = {{.uuid = A}, {.uuid = B}};
        struct gb_error error = {0};
        pthread_t thread[2];
        for (unsigned i = 0; i < 2; i++)
            assert_int_equal(pthread_create(&thread[i], NULL, race, &racer[i]), 0);
        for (unsigned i = 0; i < 2; i++)
            pthread_join(thread[i], NULL);
        struct identity i = now();
        assert_int_equal(i.wsrep_count, 1);
        for (unsigned k = 0; k < 2; k++)
            assert_int_equal(racer[k].code,
                             strcmp(i.wsrep[0].uuid, racer[k].uuid) ? GB_wrong_cluster : GB_OK);
        assert_true(storage_remove(r->storage, "c/cluster.json", &error));
    }
    pthread_barrier_destroy(&barrier);
}

static void what_is_collected_without_asking(void **state)
{
    (void)state;
    struct gb_error error;
    assert_true(identity_remembers(r, "c", other_state)); /* nobody's */
    admit("", state_dir, true, &error);
    assert_true(identity_remembers(r, "c", other_state)); /* of who has no uuid */
    admit(A, state_dir, true, &error);
    assert_true(identity_remembers(r, "c", state_dir));
    assert_false(identity_remembers(r, "c", other_state));
    put("{");
    assert_false(identity_remembers(r, "c", state_dir));
}

static void the_oldest_history_is_forgotten(void **state)
{
    (void)state;
    struct gb_error error;
    char uuid[IDENTITY_UUID_SIZE];
    for (unsigned n = 0; n <= IDENTITY_WSREP_MAX; n++) {
        snprintf(uuid, sizeof uuid, "%08x-c6d1-11f0-9f3a-0242ac110002", n + 1);
        assert_int_equal(admit(uuid, state_dir, true, &error), GB_OK);
    }
    struct identity i = now();
    assert_int_equal(i.wsrep_count, IDENTITY_WSREP_MAX);
    assert_string_equal(i.wsrep[0].uuid, "00000002-c6d1-11f0-9f3a-0242ac110002");
}

static struct repository *open_remembered(const char *state, const char *at, struct gb_error *error)
{
    struct repository_spec spec = {.name = "near", .type = "directory", .make = true};
    snprintf(spec.path, sizeof spec.path, "%s", at);
    snprintf(spec.state_dir, sizeof spec.state_dir, "%s", state);
    memset(error, 0, sizeof *error);
    return repository_open(&spec, error);
}

static enum gb_code opened(const char *state, const char *at, struct gb_error *error)
{
    repository_close(open_remembered(state, at, error));
    return error->code;
}

/* A link stands for a mount: to another file system, and in its place there is nothing, or a
 * directory of this one. */
static void a_directory_whose_mount_is_missing(void **state)
{
    (void)state;
    struct gb_error error;
    struct stat here, there;
    char mount[128], far[] = "/dev/shm/gb-test-identity-XXXXXX", command[200];
    if (!mkdtemp(far))
        skip();
    snprintf(mount, sizeof mount, "%s/mount", root);
    assert_false(stat(root, &here) || stat(far, &there) || symlink(far, mount));
    struct repository *first = open_remembered(state_dir, mount, &error);
    struct identity_writer w = {
        .cluster = "c", .wsrep_uuid = "", .state_dir = state_dir, .writes = true};
    assert_true(first && identity_admit(first, &w, &error)); /* a standalone server's, too */
    repository_close(first);
    assert_int_equal(opened(state_dir, mount, &error), GB_OK);

    assert_false(unlink(mount));
    assert_int_equal(opened(state_dir, mount, &error), GB_repository_unreachable);
    assert_int_equal(access(mount, F_OK), -1); /* nor is it made */
    assert_non_null(strstr(error.hint, "mounted"));
    assert_false(mkdir(mount, 0700));
    assert_int_equal(opened(state_dir, mount, &error),
                     here.st_dev == there.st_dev ? GB_OK : GB_repository_unreachable);
    assert_true(here.st_dev == there.st_dev || strstr(error.hint, "/repositories.json"));
    assert_int_equal(opened(other_state, mount, &error),
                     GB_OK); /* who was never there knows nothing */
    assert_int_equal(opened("", mount, &error), GB_OK);

    assert_false(rmdir(mount) || symlink(far, mount));
    assert_int_equal(opened(state_dir, mount, &error), GB_OK);
    snprintf(command, sizeof command, "rm -rf %s/c", far); /* who empties it may go on */
    assert_false(system(command));
    assert_int_equal(opened(state_dir, mount, &error), GB_OK);
    snprintf(command, sizeof command, "rm -rf %s", far);
    assert_false(system(command));
}

static void without_a_place_to_remember(void **state)
{
    (void)state;
    struct gb_error error;
    char nowhere[128];
    snprintf(nowhere, sizeof nowhere, "%s/no/such", root);
    assert_int_equal(admit(A, nowhere, true, &error), GB_OK);
    assert_int_equal(admit(B, nowhere, true, &error), GB_wrong_cluster);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
        TEST(the_first_writer_makes_it),
        TEST(another_cluster_is_refused),
        TEST(a_new_history_of_the_same_cluster_is_let_in),
        TEST(adopted),
        TEST(who_has_no_uuid_is_let_in),
        TEST(what_cannot_be_read),
        TEST(the_oldest_history_is_forgotten),
        TEST(without_a_place_to_remember),
        TEST(a_directory_whose_mount_is_missing),
        TEST(of_two_first_writers_one_is_refused),
        TEST(what_is_collected_without_asking),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
