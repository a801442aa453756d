/*
  What every fuzz target is made of: one function that reads any bytes, and REQUIRE() for what must
  hold.

  A target is linked with libFuzzer (clang, GB_FUZZER=ON) or with run.c, which replays a corpus and
  changes of it. Both call fuzz_input() with bytes that end where their memory ends, so that the
  sanitizers see each read beyond them. What it returns means nothing; what is wrong aborts.
*/
#ifndef GB_TESTS_FUZZ_H
#define GB_TESTS_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#define fuzz_input LLVMFuzzerTestOneInput

int fuzz_input(const uint8_t *data, size_t size);

/* Holds in every build, also where assert() does not. */
#define REQUIRE(what)                                                                              \
    do {                                                                                           \
        if (!(what)) {                                                                             \
            fprintf(stderr, "%s:%d: %s does not hold\n", __FILE__, __LINE__, #what);               \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

#endif
