/* session.h and pipeline.h: a plugin's side by script. What is committed is what was sent; what was
   not sent to its end, or out of order, or is not true, leaves nothing. */
#include "agent/daemon/session.h"
#include "agent/repository/listing.h"
#include "agent/restore/restore.h"
#include "common/ring.h"
#include "tests/unit/backup_bytes.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

#define LABEL      "20260102T030405Z-full-01234567"
#define PAGE_SLOTS 4u
#define SLOTS      (PAGE_SLOTS + RING_REDO_SLOTS)
#define C          100000u
#define REDO_BYTES 3000u
#define FILE_SIZE  (1u << 20)
#define PIECE      300000u /* bytes of the file that are sent, from offset 4096 on */
#define ANSWER_S   20      /* a session that is silent for so long hangs */

static char root[64];
static struct config config;
static struct catalog *catalog;
static struct catchup *catchup;
static bool stop; /* atomic */

static int group_set_up(void **state)
{
    (void)state;
    struct gb_error error = {0};
    /* No server answers here: rows wait, and the backups do without them. */
    snprintf(config.server_socket, sizeof config.server_socket, "/nonexistent/gb-test.sock");
    snprintf(config.cluster, sizeof config.cluster, "c");
    config.redo_memory = 16u << 20;
    config.threads = 2;
    config.stall_timeout_s = 900;
    config.repository_count = 1;
    catalog = catalog_start(&config, &error);
    catchup = catalog ? catchup_start(&config, catalog, &error) : NULL;
    return catchup ? 0 : -1;
}

static int group_tear_down(void **state)
{
    (void)state;
    catchup_stop(catchup);
    catalog_stop(catalog);
    return 0;
}

static int set_up(void **state)
{
    (void)state;
    snprintf(root, sizeof root, "/tmp/gb-test-session-XXXXXX");
    if (!mkdtemp(root))
        return -1;
    struct repository_spec *spec = &config.repositories[0];
    *spec = (struct repository_spec){
        .name = "default", .type = "directory", .make = true, .compression = {CODEC_ZSTD, 1}};
    snprintf(spec->path, sizeof spec->path, "%s/repository", root);
    stop = false;
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    char command[128];
    snprintf(command, sizeof command, "rm -rf %s", root);
    return system(command);
}

/* ---- the plugin's side ---- */

static uint8_t message[WIRE_HEADER_SIZE + WIRE_PAYLOAD_MAX + 1];
static size_t message_size;      /* of the last one built */
static int passed[2] = {-1, -1}; /* descriptors that go with the next one */

static void send_bytes(int fd, size_t size)
{
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(sizeof passed)];
    } control;
    struct iovec iov = {message, size};
    struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};
    size_t descriptors = passed[1] >= 0 ? 2 : passed[0] >= 0;
    if (descriptors) {
        memset(&control, 0, sizeof control);
        m.msg_control = &control;
        m.msg_controllen = CMSG_SPACE(descriptors * sizeof(int));
        struct cmsghdr *c = CMSG_FIRSTHDR(&m);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(descriptors * sizeof(int));
        memcpy(CMSG_DATA(c), passed, descriptors * sizeof(int));
    }
    assert_int_equal(sendmsg(fd, &m, MSG_NOSIGNAL), size);
    for (size_t i = 0; i < 2; i++) {
        if (passed[i] >= 0)
            close(passed[i]);
        passed[i] = -1;
    }
}

#define BUILD(name, m)                                                                             \
    do {                                                                                           \
        struct bytes_writer w_ = bytes_writer(message + WIRE_HEADER_SIZE, WIRE_PAYLOAD_MAX);       \
        assert_true(wire_put_##name(&w_, m));                                                      \
        wire_put_header(message, (enum wire_type)type_of_##name, w_.at);                           \
        message_size = WIRE_HEADER_SIZE + w_.at;                                                   \
    } while (0)

enum {
#define TYPE_OF(name, type, shape) type_of_##name = type,
    WIRE_MESSAGES(TYPE_OF)
#undef TYPE_OF
};

static void build_hello(void)
{
    struct wire_hello m = {
        .version_min = 1, .version_max = 1, .node = "node1", .cluster = "galera"};
    BUILD(hello, &m);
}

static struct wire_start start_of(const char *id)
{
    struct wire_start m = {.type = "full", .user = "root@localhost", .comment = "by script"};
    snprintf(m.id, sizeof m.id, "%s", id);
    return m;
}

static void build_start(void)
{
    struct wire_start m = start_of(LABEL);
    BUILD(start, &m);
}

/* A ring as the plugin makes it: page slot 1 holds the piece of the file, redo slot 5 the redo. */
static int make_ring(size_t size, int seals)
{
    int fd = memfd_create("ring", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    assert_true(fd >= 0 && !ftruncate(fd, (off_t)size));
    for (size_t slot = 1; slot < SLOTS && (slot + 1) * RING_SLOT_SIZE <= size; slot += 4) {
        uint8_t *at = mmap(NULL, RING_SLOT_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd,
                           (off_t)(slot * RING_SLOT_SIZE));
        assert_true(at != MAP_FAILED);
        for (uint32_t i = 0; i < PIECE; i++)
            at[i] = slot == 1 ? byte_of(1, 4096 + i) : byte_of(WIRE_FILE_REDO, i);
        munmap(at, RING_SLOT_SIZE);
    }
    assert_true(!seals || !fcntl(fd, F_ADD_SEALS, seals));
    return fd;
}

static void build_ring(void)
{
    struct wire_ring m = {RING_SLOT_SIZE, PAGE_SLOTS, RING_REDO_SLOTS};
    BUILD(ring, &m);
    passed[0] = make_ring(SLOTS * RING_SLOT_SIZE, F_SEAL_SHRINK | F_SEAL_GROW);
}

static void build_redo(void)
{
    struct wire_redo m = {.checkpoint_lsn = C, .end_lsn = C + 100};
    BUILD(redo, &m);
}

static void build_file(void)
{
    struct wire_file m = {.file_no = 1,
                          .kind = WIRE_KIND_OTHER,
                          .space_id = 0xFFFFFFFF,
                          .mode = 0640,
                          .path = "db/t.MYD"};
    BUILD(file, &m);
}

static void build_one_slot(uint32_t slot, struct wire_extent extent)
{
    struct wire_slot *m = calloc(1, sizeof *m);
    assert_non_null(m);
    m->slot = slot;
    m->count = 1;
    m->extents[0] = extent;
    BUILD(slot, m);
    free(m);
}

static void build_slot(void)
{
    build_one_slot(1, (struct wire_extent){1, 4096, PIECE, 0});
}

static void build_file_done(void)
{
    struct wire_file_done m = {1, FILE_SIZE, 0, PIECE};
    BUILD(file_done, &m);
}

static void build_redo_slot(void)
{
    build_one_slot(5, (struct wire_extent){WIRE_FILE_REDO, 0, REDO_BYTES, 0});
}

static void build_finish_at(uint64_t lsn)
{
    struct wire_facts *m = calloc(1, sizeof *m);
    assert_non_null(m);
    wire_add_fact(m, "lsn_end", "%llu", (unsigned long long)lsn);
    wire_add_fact(m, "server_version", "%s", "10.11.19-MariaDB");
    wire_add_fact(m, "position", "%s", "6f1d2c3b-0000-11ee-8000-0123456789ab:7");
    BUILD(finish, m);
    free(m);
}

static void build_finish(void)
{
    build_finish_at(C + REDO_BYTES);
}

static void build_abort(void)
{
    struct wire_abort m = {.cancelled = 1, .code = GB_cancelled, .what = "cancelled by root"};
    BUILD(abort, &m);
}

static void build_resynced(void)
{
    struct wire_facts *m = calloc(1, sizeof *m);
    assert_non_null(m);
    wire_add_fact(m, "resync", "%s", "done");
    BUILD(resynced, m);
    free(m);
}

/* The messages of a backup, in order. */
static void (*const backup[])(void) = {build_hello,     build_start,     build_ring,
                                       build_redo,      build_file,      build_slot,
                                       build_file_done, build_redo_slot, build_finish};

enum { HELLO, START, RING, REDO, FILE_, SLOT, FILE_DONE, REDO_SLOT, FINISH, ALL };

struct talk {
    int fd; /* the plugin's end */
    int other;
    pthread_t session;
    /* what was answered */
    unsigned welcomes, readies, committed, frees, checked;
    struct wire_error error; /* code 0: none */
    struct wire_committed last_committed;
};

static void talk_begin(struct talk *t)
{
    int pair[2];
    struct timeval timeout = {.tv_sec = ANSWER_S};
    memset(t, 0, sizeof *t);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    t->fd = pair[0];
    t->other = pair[1];
    assert_int_equal(setsockopt(t->fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout), 0);
}

static void say(struct talk *t, void (*build)(void))
{
    build();
    send_bytes(t->fd, message_size);
}

/* The messages before `upto`, but for `without`. */
static void say_all(struct talk *t, int upto, int without)
{
    for (int i = 0; i < upto; i++)
        if (i != without)
            say(t, backup[i]);
}

static void *session_main(void *context)
{
    session_run((int)(intptr_t)context, &config, catalog, catchup, &stop);
    return NULL;
}

static bool receive(int fd, uint8_t *data, size_t size)
{
    while (size) {
        ssize_t n = recv(fd, data, size, 0);
        if (!n || (n < 0 && errno == ECONNRESET)) /* closed, with or without a message unread */
            return false;
        if (n < 0)
            fail_msg("no answer for %d s", ANSWER_S);
        data += n;
        size -= (size_t)n;
    }
    return true;
}

/* Runs the session on what was said, and reads what it answers up to COMMITTED, or to its end. */
static void hear(struct talk *t)
{
    static uint8_t payload[WIRE_PAYLOAD_MAX];
    uint8_t header[WIRE_HEADER_SIZE];
    uint16_t type;
    uint32_t size;
    struct gb_error error = {0};
    assert_int_equal(pthread_create(&t->session, NULL, session_main, (void *)(intptr_t)t->other),
                     0);
    while (!t->committed && receive(t->fd, header, sizeof header)) {
        assert_true(wire_get_header(header, &type, &size, &error));
        assert_true(receive(t->fd, payload, size));
        t->welcomes += type == WIRE_WELCOME;
        t->readies += type == WIRE_READY;
        t->frees += type == WIRE_FREE;
        if (type == WIRE_ERROR)
            assert_true(wire_get_error(payload, size, &t->error, &error));
        if (type == WIRE_COMMITTED)
            t->committed = wire_get_committed(payload, size, &t->last_committed, &error);
        if (type == WIRE_CHECKED) {
            struct wire_checked *m = calloc(1, sizeof *m);
            assert_true(m && wire_get_checked(payload, size, m, &error));
            t->checked = m->count;
            for (uint32_t i = 0; i < m->count; i++)
                if (strcmp(m->row[i].result, strcmp(m->row[i].check, "off_host") &&
                                                     strcmp(m->row[i].check, "retention")
                                                 ? "OK"
                                                 : "WARN"))
                    fail_msg("%s: %s", m->row[i].check, m->row[i].detail);
            free(m);
        }
    }
}

static void talk_end(struct talk *t)
{
    shutdown(t->fd, SHUT_WR);
    pthread_join(t->session, NULL);
    close(t->fd);
}

/* ---- what is in the repository ---- */

static struct repository *open_repository(void)
{
    struct gb_error error = {0};
    struct repository *r = repository_open(&config.repositories[0], &error);
    assert_non_null(r);
    return r;
}

/* No backup is listed and nothing of one is left. */
static void nothing_is_left(const char *when)
{
    struct gb_error error = {0};
    struct manifest *list;
    size_t count;
    char path[256];
    struct repository *r = open_repository();
    assert_true(repository_list(r, NULL, &list, &count, NULL, NULL, &error));
    if (count)
        fail_msg("%s: a backup is listed", when);
    free(list);
    repository_close(r);
    snprintf(path, sizeof path, "%s/repository/c/backups/" LABEL, root);
    if (!access(path, F_OK))
        fail_msg("%s: %s is left", when, path);
}

/* Restores the backup and compares its file. */
static void the_backup_holds_what_was_sent(void)
{
    struct gb_error error = {0};
    struct manifest m;
    struct index index;
    struct restore_plan plan;
    char data[96], path[128];
    struct repository *r = open_repository();
    snprintf(data, sizeof data, "%s/data", root);
    struct restore_request request = {.datadir = data, .galera = true, .threads = 1};
    index_init(&index);
    if (!repository_find(r, "c", LABEL, &m, &error) ||
        !restore_plan(r, &m, &request, &index, &plan, &error) ||
        !restore_run(r, &m, &index, &request, &plan, &error))
        fail_msg("%s", error.what);
    assert_string_equal(m.node, "node1");
    assert_string_equal(m.comment, "by script");
    assert_int_equal(m.end_lsn, C + REDO_BYTES);
    assert_int_equal(m.read_bytes, PIECE);
    assert_int_equal(m.data_bytes, FILE_SIZE);
    snprintf(path, sizeof path, "%s/db/t.MYD", data);
    uint8_t *found = malloc(FILE_SIZE + 1);
    int fd = open(path, O_RDONLY);
    assert_true(fd >= 0 && found);
    assert_int_equal(read(fd, found, FILE_SIZE + 1), FILE_SIZE);
    close(fd);
    for (uint32_t i = 0; i < FILE_SIZE; i++)
        if (found[i] != (i < 4096 || i >= 4096 + PIECE ? 0 : byte_of(1, i)))
            fail_msg("byte %u is %u", i, found[i]);
    snprintf(path, sizeof path, "%s/ib_logfile0", data);
    fd = open(path, O_RDONLY);
    assert_int_equal(pread(fd, found, REDO_BYTES, 0x3000), REDO_BYTES);
    close(fd);
    for (uint32_t i = 0; i < REDO_BYTES; i++)
        assert_int_equal(found[i], byte_of(WIRE_FILE_REDO, i));
    free(found);
    restore_plan_free(&plan);
    index_free(&index);
    manifest_free(&m);
    repository_close(r);
}

/* ---- tests ---- */

static void a_backup(void **state)
{
    (void)state;
    struct talk t;
    talk_begin(&t);
    say_all(&t, ALL, -1);
    hear(&t);
    if (!t.committed)
        fail_msg("%s", t.error.what);
    assert_int_equal(t.welcomes, 1);
    assert_int_equal(t.readies, 1);
    assert_int_equal(t.frees, 2); /* both slots came back */
    assert_true(t.last_committed.bytes_stored > 0);
    say(&t, build_resynced);
    talk_end(&t);
    the_backup_holds_what_was_sent();
}

static void the_plugin_goes_away_at_each_stage(void **state)
{
    (void)state;
    for (int stage = 0; stage <= ALL; stage++) {
        struct talk t;
        char when[64];
        snprintf(when, sizeof when, "gone after %d messages", stage);
        talk_begin(&t);
        say_all(&t, stage, -1);
        shutdown(t.fd, SHUT_WR);
        hear(&t);
        assert_false(t.committed);
        talk_end(&t);
        nothing_is_left(when);
    }
}

static void the_plugin_goes_away_within_a_message(void **state)
{
    (void)state;
    for (int stage = HELLO; stage < ALL; stage++)
        for (int part = 0; part < 3; part++) {
            struct talk t;
            char when[64];
            snprintf(when, sizeof when, "gone within message %d", stage);
            talk_begin(&t);
            say_all(&t, stage, -1);
            backup[stage]();
            send_bytes(t.fd, part == 0 ? 1 : part == 1 ? WIRE_HEADER_SIZE : message_size - 1);
            shutdown(t.fd, SHUT_WR);
            hear(&t);
            assert_false(t.committed);
            talk_end(&t);
            nothing_is_left(when);
        }
}

static void cancelled_at_each_stage(void **state)
{
    (void)state;
    for (int stage = RING; stage <= ALL; stage++) {
        struct talk t;
        char when[64];
        snprintf(when, sizeof when, "cancelled after %d messages", stage);
        talk_begin(&t);
        say_all(&t, stage, -1);
        say(&t, build_abort);
        hear(&t);
        assert_false(t.committed);
        talk_end(&t);
        nothing_is_left(when);
    }
    /* and the next one succeeds under the same name */
    a_backup(state);
}

static void the_agent_is_stopped(void **state)
{
    (void)state;
    struct talk t;
    talk_begin(&t);
    say_all(&t, FINISH, -1);
    __atomic_store_n(&stop, true, __ATOMIC_RELEASE);
    hear(&t);
    assert_int_equal(t.error.code, GB_agent_lost);
    talk_end(&t);
    nothing_is_left("stopped");
}

/* Says the messages before `upto` and one more, and expects an error. */
static void refused(const char *what, int upto, int without, void (*then)(void), enum gb_code code)
{
    struct talk t;
    talk_begin(&t);
    say_all(&t, upto, without);
    if (then)
        say(&t, then);
    if (upto < ALL)
        shutdown(t.fd, SHUT_WR); /* a session that would wait for more ends */
    hear(&t);
    if (t.committed || t.error.code != code)
        fail_msg("%s: committed %u, GB%u %s", what, t.committed, t.error.code, t.error.what);
    assert_true(t.error.what[0] && t.error.hint[0]);
    talk_end(&t);
    nothing_is_left(what);
}

static void build_future_hello(void)
{
    struct wire_hello m = {.version_min = 2, .version_max = 3, .node = "node1"};
    BUILD(hello, &m);
}

static void build_old_hello(void)
{
    struct wire_hello m = {.version_min = 0, .version_max = 0, .node = "node1"};
    BUILD(hello, &m);
}

static void build_unknown(void)
{
    wire_put_header(message, (enum wire_type)99, 0);
    message_size = WIRE_HEADER_SIZE;
}

static void build_long_file_done(void)
{
    build_file_done();
    message[message_size] = 0;
    wire_put_header(message, WIRE_FILE_DONE, message_size + 1 - WIRE_HEADER_SIZE);
    message_size++;
}

static void build_endless(void)
{
    wire_put_header(message, WIRE_LOG, WIRE_PAYLOAD_MAX + 1);
    message_size = WIRE_HEADER_SIZE;
}

static void build_unknown_done(void)
{
    struct wire_file_done m = {2, 1, 0, 0};
    BUILD(file_done, &m);
}

static void build_unknown_name(void)
{
    struct wire_file_name m = {2, "db/u.MYD"};
    BUILD(file_name, &m);
}

static void build_own_message(void)
{
    struct wire_ready m = {"[]"};
    BUILD(ready, &m);
}

static void messages_out_of_order(void **state)
{
    (void)state;
    static const struct {
        const char *what;
        int upto, without;
        void (*then)(void);
        enum gb_code code;
    } cases[] = {
        {"START first", 0, -1, build_start, GB_protocol},
        {"a plugin of tomorrow", 0, -1, build_future_hello, GB_protocol},
        {"a plugin of yesterday", 0, -1, build_old_hello, GB_protocol},
        {"HELLO twice", START, -1, build_hello, GB_protocol},
        {"FILE before START", START, -1, build_file, GB_protocol},
        {"START twice", RING, -1, build_start, GB_protocol},
        {"HELLO in a backup", RING, -1, build_hello, GB_protocol},
        {"FILE before RING", RING, -1, build_file, GB_protocol},
        {"SLOT before RING", RING, -1, build_slot, GB_protocol},
        {"FILE_DONE before RING", RING, -1, build_file_done, GB_protocol},
        {"FINISH before RING", RING, -1, build_finish, GB_protocol},
        {"FINISH before REDO", ALL, REDO, NULL, GB_protocol},
        {"RING twice", REDO, -1, build_ring, GB_protocol},
        {"REDO twice", FILE_, -1, build_redo, GB_protocol},
        {"FILE twice", SLOT, -1, build_file, GB_protocol},
        {"FILE_DONE twice", REDO_SLOT, -1, build_file_done, GB_protocol},
        {"FILE_DONE before FILE", FILE_, -1, build_file_done, GB_protocol},
        {"FILE_DONE of another", SLOT, -1, build_unknown_done, GB_protocol},
        {"FILE_NAME of another", SLOT, -1, build_unknown_name, GB_protocol},
        {"SLOT before FILE", FILE_, -1, build_slot, GB_protocol},
        {"a message of the agent's", RING, -1, build_own_message, GB_protocol},
        {"an unknown message", REDO, -1, build_unknown, GB_protocol},
        {"a byte too many", FILE_DONE, -1, build_long_file_done, GB_protocol},
        {"a message too long", REDO, -1, build_endless, GB_protocol},
        {"a file not done", ALL, FILE_DONE, NULL, GB_internal},
        {"no redo", ALL, REDO_SLOT, NULL, GB_internal},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        refused(cases[i].what, cases[i].upto, cases[i].without, cases[i].then, cases[i].code);
}

static void build_late_drop(void)
{
    struct wire_file_no m = {1};
    BUILD(file_drop, &m);
}

/* FINISH is the last word on what the backup holds. */
static void nothing_changes_a_finished_backup(void **state)
{
    (void)state;
    refused("FILE after FINISH", ALL, -1, build_file, GB_protocol);
    refused("SLOT after FINISH", ALL, -1, build_slot, GB_protocol);
    refused("FILE_DROP after FINISH", ALL, -1, build_late_drop, GB_protocol);
    refused("FILE_NAME after FINISH", ALL, -1, build_unknown_name, GB_protocol);
    refused("FINISH twice", ALL, -1, build_finish, GB_protocol);
    refused("REDO after FINISH", ALL, -1, build_redo, GB_protocol);
    refused("RING after FINISH", ALL, -1, build_ring, GB_protocol);
}

static void resynced_may_come_before_committed(void **state)
{
    (void)state;
    struct talk t;
    talk_begin(&t);
    say_all(&t, ALL, -1);
    say(&t, build_resynced);
    hear(&t);
    if (!t.committed)
        fail_msg("%s", t.error.what);
    talk_end(&t);
    the_backup_holds_what_was_sent();
}

static void the_end_of_the_redo_must_be_true(void **state)
{
    (void)state;
    static const struct {
        uint64_t lsn;
        enum gb_code code;
    } bad[] = {
        {0, GB_protocol},
        {C, GB_protocol},
        {C + 100, GB_protocol}, /* the end of the checkpoint */
        {C + REDO_BYTES + 1, GB_internal},
        {UINT64_MAX, GB_internal},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct talk t;
        talk_begin(&t);
        say_all(&t, FINISH, -1);
        build_finish_at(bad[i].lsn);
        send_bytes(t.fd, message_size);
        hear(&t);
        if (t.committed || t.error.code != bad[i].code)
            fail_msg("%llu: GB%u %s", (unsigned long long)bad[i].lsn, t.error.code, t.error.what);
        talk_end(&t);
        nothing_is_left("a wrong end");
    }
}

static void rings_that_lie(void **state)
{
    (void)state;
    enum { MEMFD, PLAIN_FILE, NOTHING };
    const int sealed = F_SEAL_SHRINK | F_SEAL_GROW;
    const size_t right = SLOTS * RING_SLOT_SIZE;
    const struct {
        const char *what;
        struct wire_ring m;
        size_t size;
        int seals, kind;
    } cases[] = {
        {"no descriptor", {RING_SLOT_SIZE, PAGE_SLOTS, RING_REDO_SLOTS}, right, sealed, NOTHING},
        {"a file", {RING_SLOT_SIZE, PAGE_SLOTS, RING_REDO_SLOTS}, right, sealed, PLAIN_FILE},
        {"no seals", {RING_SLOT_SIZE, PAGE_SLOTS, RING_REDO_SLOTS}, right, 0, MEMFD},
        {"may shrink", {RING_SLOT_SIZE, PAGE_SLOTS, RING_REDO_SLOTS}, right, F_SEAL_GROW, MEMFD},
        {"may grow", {RING_SLOT_SIZE, PAGE_SLOTS, RING_REDO_SLOTS}, right, F_SEAL_SHRINK, MEMFD},
        {"a byte short", {RING_SLOT_SIZE, PAGE_SLOTS, RING_REDO_SLOTS}, right - 1, sealed, MEMFD},
        {"empty", {RING_SLOT_SIZE, PAGE_SLOTS, RING_REDO_SLOTS}, 0, sealed, MEMFD},
        {"too long", {RING_SLOT_SIZE, PAGE_SLOTS, RING_REDO_SLOTS}, right + 4096, sealed, MEMFD},
        {"more slots", {RING_SLOT_SIZE, PAGE_SLOTS + 1, RING_REDO_SLOTS}, right, sealed, MEMFD},
        {"no page slots", {RING_SLOT_SIZE, 0, SLOTS}, right, sealed, MEMFD},
        {"no redo slots", {RING_SLOT_SIZE, SLOTS, 0}, right, sealed, MEMFD},
        {"small slots",
         {RING_SLOT_SIZE / 2, 2 * PAGE_SLOTS, 2 * RING_REDO_SLOTS},
         right,
         sealed,
         MEMFD},
        {"no slots", {RING_SLOT_SIZE, 0, 0}, 0, sealed, MEMFD},
        {"slots without a size", {0, PAGE_SLOTS, RING_REDO_SLOTS}, 0, sealed, MEMFD},
        {"too many slots", {RING_SLOT_SIZE, UINT32_MAX, 1}, 0, sealed, MEMFD},
        {"slots that wrap around", {RING_SLOT_SIZE, 1u << 31, 1u << 31}, 0, sealed, MEMFD},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct talk t;
        char path[128];
        talk_begin(&t);
        say_all(&t, RING, -1);
        BUILD(ring, &cases[i].m);
        if (cases[i].kind == MEMFD)
            passed[0] = make_ring(cases[i].size, cases[i].seals);
        if (cases[i].kind == PLAIN_FILE) {
            snprintf(path, sizeof path, "%s/ring", root);
            passed[0] = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
            assert_true(passed[0] >= 0 && !ftruncate(passed[0], (off_t)cases[i].size));
        }
        send_bytes(t.fd, message_size);
        shutdown(t.fd, SHUT_WR);
        hear(&t);
        if (t.error.code != GB_protocol)
            fail_msg("%s: GB%u %s", cases[i].what, t.error.code, t.error.what);
        talk_end(&t);
        nothing_is_left(cases[i].what);
    }
}

/* Every descriptor that comes is closed, also those that nobody asked for. */
static void descriptors_are_closed(void **state)
{
    (void)state;
    for (int count = 1; count <= 2; count++) {
        struct talk t;
        int ends[2];
        char byte;
        assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
        talk_begin(&t);
        passed[0] = ends[1];
        if (count == 2)
            passed[1] = fcntl(ends[1], F_DUPFD_CLOEXEC, 0);
        say(&t, build_hello);
        shutdown(t.fd, SHUT_WR);
        hear(&t);
        talk_end(&t);
        assert_int_equal(fcntl(ends[0], F_SETFL, O_NONBLOCK), 0);
        if (read(ends[0], &byte, 1) != 0) /* no writer is left */
            fail_msg("one of %d descriptors is open", count);
        close(ends[0]);
    }
}

static void slots_that_lie(void **state)
{
    (void)state;
    static const struct {
        const char *what;
        uint32_t slot;
        struct wire_extent extent;
    } cases[] = {
        {"beyond the ring", SLOTS, {WIRE_FILE_REDO, 0, 1, 0}},
        {"far beyond it", UINT32_MAX, {WIRE_FILE_REDO, 0, 1, 0}},
        {"no length", 1, {1, 0, 0, 0}},
        {"longer than a slot", 1, {1, 0, RING_SLOT_SIZE + 1, 0}},
        {"the longest", 1, {1, 0, UINT32_MAX, 0}},
        {"over the end of the slot", 1, {1, 0, 2, RING_SLOT_SIZE - 1}},
        {"behind the end of the slot", 1, {1, 0, 1, RING_SLOT_SIZE}},
        {"a place that wraps around", 1, {1, 0, 2, UINT32_MAX}},
        {"an offset that no file has", 1, {1, INT64_MAX, 1, 0}},
        {"an offset that wraps around", 1, {1, UINT64_MAX, 1, 0}},
        {"redo among pages", 1, {WIRE_FILE_REDO, 0, 1, 0}},
        {"pages among redo", 5, {1, 0, 1, 0}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct talk t;
        talk_begin(&t);
        say_all(&t, SLOT, -1);
        build_one_slot(cases[i].slot, cases[i].extent);
        send_bytes(t.fd, message_size);
        shutdown(t.fd, SHUT_WR);
        hear(&t);
        if (t.error.code != GB_protocol)
            fail_msg("%s: GB%u %s", cases[i].what, t.error.code, t.error.what);
        talk_end(&t);
        nothing_is_left(cases[i].what);
    }
}

static void build_slot_without_extents(void)
{
    build_slot();
    struct bytes_writer w = bytes_writer(message, sizeof message);
    wire_put_header(message, WIRE_SLOT, 8);
    bytes_writer_seek(&w, WIRE_HEADER_SIZE + 4);
    bytes_put_u32(&w, 0);
    message_size = WIRE_HEADER_SIZE + 8;
}

static void build_overlapping_slot(void)
{
    struct wire_slot *m = calloc(1, sizeof *m);
    assert_non_null(m);
    m->slot = 1;
    m->count = WIRE_EXTENTS_MAX;
    for (uint32_t i = 0; i < m->count; i++)
        m->extents[i] = (struct wire_extent){1, 0, RING_SLOT_SIZE, 0};
    BUILD(slot, m);
    free(m);
}

static void build_slot_beyond_file(void)
{
    build_one_slot(1, (struct wire_extent){1, FILE_SIZE - 10, PIECE, 0});
}

static void slots_of_several_extents_that_lie(void **state)
{
    (void)state;
    refused("no extents", SLOT, -1, build_slot_without_extents, GB_protocol);
    refused("overlapping extents", SLOT, -1, build_overlapping_slot, GB_protocol);
    struct talk t;
    talk_begin(&t);
    say_all(&t, SLOT, -1);
    say(&t, build_slot_beyond_file);
    for (int i = FILE_DONE; i < ALL; i++)
        say(&t, backup[i]);
    hear(&t);
    assert_int_equal(t.error.code, GB_internal);
    assert_non_null(strstr(t.error.what, "db/t.MYD"));
    talk_end(&t);
    nothing_is_left("bytes beyond the file");
}

static void starts_that_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *id, *type, *repositories;
        enum gb_code code;
    } cases[] = {
        {LABEL, "incremental", "", GB_not_supported},
        {LABEL, "full", "default,other", GB_repository_unknown},
        {LABEL, "full", "default, default", GB_bad_value},
        {LABEL, "full", "other", GB_repository_unknown},
        {"latest", "full", "", GB_bad_value},
        {"../" LABEL, "full", "", GB_bad_value},
        {"", "full", "", GB_bad_value},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct talk t;
        struct wire_start m = start_of(cases[i].id);
        snprintf(m.type, sizeof m.type, "%s", cases[i].type);
        snprintf(m.repositories, sizeof m.repositories, "%s", cases[i].repositories);
        talk_begin(&t);
        say(&t, build_hello);
        BUILD(start, &m);
        send_bytes(t.fd, message_size);
        hear(&t);
        if (t.readies || t.error.code != cases[i].code)
            fail_msg("\"%s\" %s: GB%u %s", m.id, m.type, t.error.code, t.error.what);
        talk_end(&t);
        nothing_is_left("refused");
    }
}

/* A backup that is refused because its name is taken leaves the one that has it alone. */
static void a_name_is_used_once(void **state)
{
    (void)state;
    a_backup(state);
    struct talk t;
    talk_begin(&t);
    say_all(&t, ALL, -1);
    hear(&t);
    assert_int_equal(t.error.code, GB_store_failed);
    talk_end(&t);
    char command[128];
    snprintf(command, sizeof command, "rm -rf %s/data", root);
    assert_int_equal(system(command), 0);
    the_backup_holds_what_was_sent();
}

static void build_check(void)
{
    struct wire_check m = {.bytes_estimate = 1000};
    BUILD(check, &m);
}

static void a_check(void **state)
{
    (void)state;
    struct talk t;
    talk_begin(&t);
    say(&t, build_hello);
    say(&t, build_check);
    hear(&t);
    assert_int_equal(t.welcomes, 1);
    assert_true(t.checked >= 2); /* agent, repository */
    talk_end(&t);
    nothing_is_left("a check");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
        TEST(a_backup),
        TEST(the_plugin_goes_away_at_each_stage),
        TEST(the_plugin_goes_away_within_a_message),
        TEST(cancelled_at_each_stage),
        TEST(the_agent_is_stopped),
        TEST(messages_out_of_order),
        TEST(nothing_changes_a_finished_backup),
        TEST(resynced_may_come_before_committed),
        TEST(the_end_of_the_redo_must_be_true),
        TEST(rings_that_lie),
        TEST(descriptors_are_closed),
        TEST(slots_that_lie),
        TEST(slots_of_several_extents_that_lie),
        TEST(starts_that_are_refused),
        TEST(a_name_is_used_once),
        TEST(a_check),
    };
    return cmocka_run_group_tests(tests, group_set_up, group_tear_down);
}
