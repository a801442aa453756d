/* progress.h: what stands on standard error, of each kind. */
#include "agent/ui/progress.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define TEXT_MAX 65536

static char text[TEXT_MAX];

/* The clock stands still but for what a test lets pass. */
static double clock_s;

int clock_gettime(clockid_t id, struct timespec *t)
{
    (void)id;
    t->tv_sec = (time_t)clock_s;
    t->tv_nsec = (long)((clock_s - (double)(time_t)clock_s) * 1e9);
    return 0;
}

/* 1000 MB in 10 s, told 16 times a second (exact in binary); what was written is in text. */
static void run(const char *kind, bool json)
{
    struct progress p;
    FILE *file = tmpfile();
    int before = dup(STDERR_FILENO);
    assert_non_null(file);
    fflush(stderr);
    dup2(fileno(file), STDERR_FILENO);
    clock_s = 1000;
    progress_start(&p, kind, "testing", json);
    for (unsigned i = 0; i <= 160; i++) {
        progress_show(&p, i * 6250000ull, 1000000000ull, i < 80 ? "" : "a \"note\"");
        clock_s += 0.0625;
    }
    progress_end(&p);
    fflush(stderr);
    dup2(before, STDERR_FILENO);
    close(before);
    rewind(file);
    text[fread(text, 1, sizeof text - 1, file)] = '\0';
    fclose(file);
}

static unsigned lines(void)
{
    unsigned n = 0;
    for (const char *at = text; (at = strchr(at, '\n')); at++)
        n++;
    return n;
}

static void none_says_nothing(void **state)
{
    (void)state;
    run("none", false);
    assert_string_equal(text, "");
    run(NULL, true); /* the answer is JSON, nothing was asked for */
    assert_string_equal(text, "");
}

static void plain_is_a_line_every_five_seconds(void **state)
{
    (void)state;
    run("plain", false);
    assert_int_equal(lines(), 4); /* 0, 5, 10 s and the end */
    assert_memory_equal(text, "testing: 0 %, 0 B of 1.0 GB, 0 B/s, ETA ?\n", 42);
    assert_non_null(
        strstr(text, "testing: 50 %, 500 MB of 1.0 GB, 100 MB/s, ETA 5s, a \"note\"\n"));
    assert_non_null(strstr(text, "testing: 100 %, 1.0 GB of 1.0 GB"));
    assert_null(strchr(text, '\r'));
    run(NULL, false); /* auto, and standard error is no terminal */
    assert_int_equal(lines(), 4);
}

static void bar_is_one_line_that_goes(void **state)
{
    (void)state;
    run("bar", false);
    assert_int_equal(lines(), 0);
    assert_non_null(
        strstr(text, "[###############...............]  50 % 500 MB of 1.0 GB, 100 MB/s, ETA 5s"));
    size_t n = strlen(text);
    assert_string_equal(text + n - 4, "\r\033[K");
}

static void json_is_an_object_a_second(void **state)
{
    (void)state;
    run("json", true); /* asked for: with a JSON answer, too */
    unsigned n = 0;
    json_int_t last = -1;
    for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n"), n++) {
        const char *event, *doing, *note;
        json_int_t schema, done, total, rate;
        double percent, elapsed;
        json_t *o = json_loads(line, 0, NULL);
        assert_non_null(o);
        assert_int_equal(json_unpack(o, "{s:I, s:s, s:s, s:I, s:I, s:F, s:I, s:F, s:s}", "schema",
                                     &schema, "event", &event, "doing", &doing, "done_bytes", &done,
                                     "total_bytes", &total, "percent", &percent, "rate", &rate,
                                     "elapsed_s", &elapsed, "note", &note),
                         0);
        const json_t *eta = json_object_get(o, "eta_s");
        assert_int_equal(json_object_size(o), 10);
        assert_int_equal(schema, 1);
        assert_string_equal(event, "progress");
        assert_string_equal(doing, "testing");
        assert_int_equal(total, 1000000000);
        assert_true(done >= last && percent == (double)(done / 1000000) / 10);
        assert_true(done ? json_integer_value(eta) == (total - done) / rate : json_is_null(eta));
        assert_true(!done || (rate > 98000000 && rate < 102000000));
        last = done;
        json_decref(o);
    }
    assert_int_equal(n, 12);
    assert_int_equal(last, 1000000000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(none_says_nothing),
        cmocka_unit_test(plain_is_a_line_every_five_seconds),
        cmocka_unit_test(bar_is_one_line_that_goes),
        cmocka_unit_test(json_is_an_object_a_second),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
