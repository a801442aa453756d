/* plugin/bottleneck.h: what is shown follows what the readers waited for in the last interval. */
#include "plugin/bottleneck.c"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#define SECOND 1000000u

static void follows_the_waits(void **state)
{
    static const struct {
        struct bottleneck_input in;
        enum bottleneck is;
    } cases[] = {
        {{"COPY", "", BOTTLENECK_NONE, SECOND, 0, 0, 1 << 20}, BOTTLENECK_SOURCE},
        {{"COPY", "", BOTTLENECK_NONE, SECOND, 0, 0, 0}, BOTTLENECK_NONE},
        {{"COPY", "", BOTTLENECK_CPU, SECOND, 0, 0, 1 << 20},
         BOTTLENECK_SOURCE}, /* nobody waits for it */
        {{"COPY", "", BOTTLENECK_CPU, SECOND, SECOND, 0, 1 << 20}, BOTTLENECK_CPU},
        {{"COPY", "", BOTTLENECK_STORE, SECOND, SECOND, 0, 0}, BOTTLENECK_STORE},
        {{"COPY", "", BOTTLENECK_STORE, SECOND, SECOND / 2, SECOND, 1 << 20}, BOTTLENECK_THROTTLE},
        {{"COPY", "", BOTTLENECK_STORE, SECOND, SECOND, SECOND / 2, 1 << 20}, BOTTLENECK_STORE},
        {{"COPY", "commits to be as fast as without it", BOTTLENECK_NONE, SECOND, 0, SECOND,
          1 << 20},
         BOTTLENECK_THROTTLE},
        {{"FLUSH", "ALTER TABLE d.t (thread 7, 3 s)", BOTTLENECK_NONE, SECOND, 0, 0, 0},
         BOTTLENECK_LOCK},
        {{"BLOCK_DDL", "CREATE TABLE d.t (thread 7, 3 s)", BOTTLENECK_CPU, SECOND, 0, 0, 0},
         BOTTLENECK_LOCK},
        {{"FLUSH", "the agent to take pages", BOTTLENECK_STORE, SECOND, 0, 0, 0}, BOTTLENECK_STORE},
        {{"COMMIT", "", BOTTLENECK_STORE, SECOND, 0, 0, 0}, BOTTLENECK_STORE},
        {{"COMMIT", "", BOTTLENECK_NONE, SECOND, 0, 0, 0}, BOTTLENECK_NONE},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        if (bottleneck_of(&cases[i].in) != cases[i].is)
            fail_msg("case %zu: %d, not %d", i, bottleneck_of(&cases[i].in), cases[i].is);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(follows_the_waits)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
