/*
  The driver of a fuzz target where libFuzzer is not: every file of the corpus, then changes of
  them.

    fuzz_NAME DIRECTORY...

  GB_FUZZ_MUTATIONS: how many changed inputs (10000; GB_TEST_LONG=1: 300,000); GB_TEST_SEED: of
  their choice (1). An input that ends the program is named by its number, and the same seed finds
  it again; it is in fuzz_NAME.input in the working directory, to be put into the corpus when the
  defect is mended. Output is TAP: one test for the corpus, one for the changes.
*/
#include "tests/fuzz/fuzz.h"

#include <dirent.h>
#include <inttypes.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>
#include <fcntl.h>

#define INPUT_MAX   (256u << 10) /* bytes */
#define CORPUS_MAX  4096u
#define CHANGES_MAX 6u
#define INPUT_S     20 /* one input takes no longer */

struct input {
    uint8_t *data;
    size_t size;
};

static struct input corpus[CORPUS_MAX];
static size_t corpus_count;
static uint64_t state;
static struct input current; /* what the target is reading */
static char current_name[512];

/* What the sanitizers find ends in abort(). A length that a few bytes claim may be more than there
   is: malloc() then fails, as it does elsewhere. */
const char *__asan_default_options(void);
const char *__ubsan_default_options(void);

__attribute__((visibility("default"))) const char *__asan_default_options(void)
{
    return "abort_on_error=1:allocator_may_return_null=1";
}

__attribute__((visibility("default"))) const char *__ubsan_default_options(void)
{
    return "abort_on_error=1:print_stacktrace=1";
}

static uint64_t draw(uint64_t below)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return below ? (state * 0x2545F4914F6CDD1Dull >> 16) % below : 0;
}

static void read_file(const char *path)
{
    FILE *f = fopen(path, "rb");
    uint8_t *data = malloc(INPUT_MAX);
    REQUIRE(f && data && corpus_count < CORPUS_MAX);
    corpus[corpus_count].size = fread(data, 1, INPUT_MAX, f);
    corpus[corpus_count++].data = data;
    fclose(f);
}

static void read_corpus(const char *directory)
{
    struct dirent **list;
    char path[4096];
    int count = scandir(directory, &list, NULL, alphasort);
    REQUIRE(count > 2);
    for (int i = 0; i < count; i++) {
        if (list[i]->d_name[0] != '.') {
            snprintf(path, sizeof path, "%s/%s", directory, list[i]->d_name);
            read_file(path);
        }
        free(list[i]);
    }
    free(list);
}

/* Async-signal-safe: abort() and alarm() come here, and the sanitizers' own reports end in abort().
 */
static void keep_input(int signal_number)
{
    int fd = open(current_name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd >= 0 && write(fd, current.data, current.size) == (ssize_t)current.size)
        (void)!write(STDOUT_FILENO, "# the input was kept\n", 21);
    signal(signal_number, SIG_DFL);
    raise(signal_number);
}

/* In memory of its own size. */
static void give(const uint8_t *data, size_t size)
{
    current.data = malloc(size ? size : 1);
    current.size = size;
    REQUIRE(current.data);
    memcpy(current.data, data, size);
    alarm(INPUT_S);
    fuzz_input(current.data, size);
    alarm(0);
    free(current.data);
    current.data = NULL;
}

static void change(uint8_t *data, size_t *size)
{
    static const uint8_t telling[] = {0x00, 0x01, 0x7f, 0x80, 0xff, 0xfe, '"', '\\', '\n', '='};
    size_t at = draw(*size + 1), n = 1 + draw(draw(2) ? 8 : 256), from;
    const struct input *other = &corpus[draw(corpus_count)];
    switch (draw(7)) {
    case 0: /* a bit */
        if (at < *size)
            data[at] ^= (uint8_t)(1u << draw(8));
        return;
    case 1: /* a byte */
        if (at < *size)
            data[at] = draw(2) ? telling[draw(sizeof telling)] : (uint8_t)draw(256);
        return;
    case 2: /* a number of 4 bytes near a bound */
        for (size_t i = 0; i < 4 && at + i < *size; i++)
            data[at + i] = (uint8_t)(i < 3 ? (draw(2) ? 0xff : 0) : draw(256));
        return;
    case 3: /* cut */
        if (draw(4) == 0)
            *size = at;
        return;
    case 4: /* taken out */
        if (at + n <= *size) {
            memmove(data + at, data + at + n, *size - at - n);
            *size -= n;
        }
        return;
    case 5: /* put in */
        if (*size + n <= INPUT_MAX) {
            memmove(data + at + n, data + at, *size - at);
            for (size_t i = 0; i < n; i++)
                data[at + i] = (uint8_t)(draw(4) ? draw(256) : 0);
            *size += n;
        }
        return;
    default: /* a piece of another one */
        from = draw(other->size + 1);
        for (size_t i = 0; i < n && at + i < *size && from + i < other->size; i++)
            data[at + i] = other->data[from + i];
    }
}

static uint64_t number_of(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);
    return text && *text ? strtoull(text, NULL, 10) : otherwise;
}

int main(int argc, char **argv)
{
    const char *name = strrchr(argv[0], '/');
    name = name ? name + 1 : argv[0];
    snprintf(current_name, sizeof current_name, "%s.input", name);
    uint64_t seed = number_of("GB_TEST_SEED", 1);
    uint64_t changes =
        number_of("GB_FUZZ_MUTATIONS", number_of("GB_TEST_LONG", 0) ? 300000 : 10000);
    uint8_t *data = malloc(INPUT_MAX);
    REQUIRE(data);
    for (int i = 1; i < argc; i++)
        read_corpus(argv[i]);
    REQUIRE(corpus_count);
    signal(SIGABRT, keep_input);
    signal(SIGALRM, keep_input);
    setvbuf(stdout, NULL, _IOLBF, 0);
    printf("1..2\n");
    for (size_t i = 0; i < corpus_count; i++)
        give(corpus[i].data, corpus[i].size);
    printf("ok 1 - the corpus, %zu inputs\n# seed %" PRIu64 "\n", corpus_count, seed);
    state = seed * 0x9E3779B97F4A7C15ull + 1;
    for (uint64_t i = 0; i < changes; i++) {
        const struct input *from = &corpus[draw(corpus_count)];
        size_t size = from->size;
        memcpy(data, from->data, size);
        for (uint64_t n = 1 + draw(CHANGES_MAX); n; n--)
            change(data, &size);
        give(data, size);
    }
    printf("ok 2 - %" PRIu64 " changes of them\n", changes);
    for (size_t i = 0; i < corpus_count; i++)
        free(corpus[i].data);
    free(data);
    return 0;
}
