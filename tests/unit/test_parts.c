/* parts.h: no more at a time than the bound says, each part once, the first failure is the
 * object's. */
#include "agent/storage/parts.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#define THREADS   3u
#define PART_SIZE 4096u
#define PARTS     50u

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static unsigned sending, most, sent[PARTS + 1];
static bool held, right;
static unsigned fails_at; /* a number; 0: none */

static bool send_one(void *context, unsigned number, const void *data, size_t size,
                     struct gb_error *error)
{
    (void)context;
    const unsigned char *bytes = data;
    pthread_mutex_lock(&mutex);
    most = ++sending > most ? sending : most;
    pthread_cond_broadcast(&changed);
    while (held)
        pthread_cond_wait(&changed, &mutex);
    sent[number]++;
    right = right && size == number && bytes[0] == (unsigned char)number &&
            bytes[size - 1] == (unsigned char)number;
    sending--;
    pthread_mutex_unlock(&mutex);
    return number != fails_at || error_set(error, GB_store_failed, "part %u", number);
}

static void begin(void)
{
    sending = most = fails_at = 0;
    memset(sent, 0, sizeof sent);
    right = true;
    held = false;
}

static bool give(struct parts *p, struct parts_object *o, unsigned number, struct gb_error *error)
{
    void *buffer = parts_buffer(p);
    assert_non_null(buffer);
    memset(buffer, (int)number, PART_SIZE);
    return parts_give(p, o, number, buffer, number, error);
}

static void hold(bool on)
{
    pthread_mutex_lock(&mutex);
    held = on;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&mutex);
}

static void wait_sending(unsigned count)
{
    pthread_mutex_lock(&mutex);
    while (sending < count)
        pthread_cond_wait(&changed, &mutex);
    pthread_mutex_unlock(&mutex);
}

static void each_once_and_no_more_at_a_time(void **state)
{
    (void)state;
    begin();
    struct gb_error error = {0};
    struct parts *p = parts_open(THREADS, PART_SIZE);
    struct parts_object o = {.send = send_one};
    hold(true);
    for (unsigned i = 1; i <= THREADS; i++)
        assert_true(give(p, &o, i, &error));
    wait_sending(THREADS);
    hold(false);
    for (unsigned i = THREADS + 1; i <= PARTS; i++)
        assert_true(give(p, &o, i, &error));
    assert_true(parts_wait(p, &o, &error));
    for (unsigned i = 1; i <= PARTS; i++)
        assert_int_equal(sent[i], 1);
    assert_true(right);
    assert_int_equal(most, THREADS);
    parts_close(p);
}

static void a_failure_is_that_of_its_object(void **state)
{
    (void)state;
    begin();
    fails_at = 7;
    struct gb_error error = {0}, other_error = {0};
    struct parts *p = parts_open(THREADS, PART_SIZE);
    struct parts_object o = {.send = send_one}, other = {.send = send_one};
    bool ok = true;
    for (unsigned i = 1; i <= PARTS && ok; i++)
        ok = give(p, &o, i, &error);
    assert_true(give(p, &other, 8, &other_error));
    assert_true(parts_wait(p, &other, &other_error));
    assert_false(parts_wait(p, &o, &error));
    assert_int_equal(error.code, GB_store_failed);
    assert_string_equal(error.what, "part 7");
    parts_close(p);
}

static void what_is_dropped_is_not_sent(void **state)
{
    (void)state;
    begin();
    struct gb_error error = {0};
    struct parts *p = parts_open(1, PART_SIZE);
    struct parts_object o = {.send = send_one};
    hold(true);
    assert_true(give(p, &o, 1, &error));
    wait_sending(1);
    hold(false);
    parts_drop(p, &o);
    assert_int_equal(o.pending, 0);
    assert_int_equal(sent[1], 1);
    assert_true(give(p, &o, 2, &error));
    parts_drop(p, &o);
    assert_int_equal(sent[2], 0);
    parts_close(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_once_and_no_more_at_a_time),
        cmocka_unit_test(a_failure_is_that_of_its_object),
        cmocka_unit_test(what_is_dropped_is_not_sent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
