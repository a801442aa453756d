/*
  The error object: what was being done, to what, and why it failed.

  A function that can fail takes a struct gb_error and returns false (or NULL, or -1) after filling
  it. Whoever fails fills it; nobody else cleans up after anybody. The first error wins: later ones,
  usually consequences, do not overwrite it until error_clear().

  Not thread-safe: one object has one writer at a time.
*/
#ifndef GB_COMMON_ERROR_H
#define GB_COMMON_ERROR_H

#include <stdbool.h>
#include <stddef.h>

enum gb_code {
    GB_OK = 0,
#define GB_ERROR(number, name, class_, exit_status, cause, hint) GB_##name = number,
#include "common/errors.def"
#undef GB_ERROR
};

enum gb_class {
    GB_CLASS_NONE,
    GB_CLASS_RETRY,
    GB_CLASS_CONFIG,
    GB_CLASS_CORRUPTION,
    GB_CLASS_CLUSTER,
    GB_CLASS_USAGE,
    GB_CLASS_INTERNAL,
};

#define GB_ERROR_TEXT_MAX 512
#define GB_ERROR_HINT_MAX 256
#define GB_ERROR_LINE_MAX (GB_ERROR_TEXT_MAX + GB_ERROR_HINT_MAX + 64) /* of error_format() */

struct gb_error {
    enum gb_code code;
    char what[GB_ERROR_TEXT_MAX]; /* what happened, to what: one line, no final stop */
    char
        hint[GB_ERROR_HINT_MAX]; /* what to do; the table's unless error_hint() gave a better one */
};

/* Sets code and text if the object holds no error yet. Always returns false, so that a function can
   `return error_set(...)`. */
bool error_set(struct gb_error *error, enum gb_code code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* As error_set(), with ": strerror(errnum)" appended. */
bool error_set_errno(struct gb_error *error, enum gb_code code, int errnum, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* Replaces the hint of an error that is set; does nothing on an empty object. */
void error_hint(struct gb_error *error, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Copies from to to if to holds no error yet. */
void error_copy(struct gb_error *to, const struct gb_error *from);

void error_clear(struct gb_error *error);

/* Writes "GBnnnn name: what; hint" (NUL-terminated, cut at size). Returns buffer. */
const char *error_format(const struct gb_error *error, char *buffer, size_t size);

/* Facts of the table. An unknown code is answered as GB_internal. */
const char *error_name(enum gb_code code);
const char *error_class_name(enum gb_code code);
enum gb_class error_class(enum gb_code code);
int error_exit_status(enum gb_code code);
const char *error_default_hint(enum gb_code code);
/* GB_internal for a number that the table does not have. */
enum gb_code error_from_number(unsigned number);

#endif
