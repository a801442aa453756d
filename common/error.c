/* The error object and its table; see error.h. */
#include "common/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

struct entry {
    enum gb_code code;
    const char *name;
    enum gb_class class;
    const char *class_name;
    int exit_status;
    const char *hint;
};

static const struct entry table[] = {
#define GB_ERROR(number, name_, class_, exit_status_, cause, hint_)                                \
    {GB_##name_, #name_, GB_CLASS_##class_, #class_, exit_status_, hint_},
#include "common/errors.def"
#undef GB_ERROR
};

#define ENTRIES (sizeof table / sizeof table[0])

static const struct entry *find(enum gb_code code)
{
    for (size_t i = 0; i < ENTRIES; i++)
        if (table[i].code == code)
            return &table[i];
    return &table[ENTRIES - 1];
}

static void __attribute__((format(printf, 4, 0)))
set(struct gb_error *error, enum gb_code code, int errnum, const char *format, va_list args)
{
    if (!error || error->code)
        return;
    error->code = code;
    int length = vsnprintf(error->what, sizeof error->what, format, args);
    if (errnum && length >= 0 && (size_t)length + 4 < sizeof error->what) {
        char reason[128];
        snprintf(error->what + length, sizeof error->what - (size_t)length, ": %s",
                 strerror_r(errnum, reason, sizeof reason));
    }
    snprintf(error->hint, sizeof error->hint, "%s", find(code)->hint);
}

bool error_set(struct gb_error *error, enum gb_code code, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    set(error, code, 0, format, args);
    va_end(args);
    return false;
}

bool error_set_errno(struct gb_error *error, enum gb_code code, int errnum, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    set(error, code, errnum, format, args);
    va_end(args);
    return false;
}

void error_hint(struct gb_error *error, const char *format, ...)
{
    if (!error || !error->code)
        return;
    va_list args;
    va_start(args, format);
    vsnprintf(error->hint, sizeof error->hint, format, args);
    va_end(args);
}

void error_copy(struct gb_error *to, const struct gb_error *from)
{
    if (!to->code)
        *to = *from;
}

void error_clear(struct gb_error *error)
{
    error->code = GB_OK;
    error->what[0] = error->hint[0] = '\0';
}

const char *error_format(const struct gb_error *error, char *buffer, size_t size)
{
    snprintf(buffer, size, "GB%04d %s: %s; %s", (int)error->code, error_name(error->code),
             error->what, error->hint);
    return buffer;
}

const char *error_name(enum gb_code code)
{
    return find(code)->name;
}

const char *error_class_name(enum gb_code code)
{
    return find(code)->class_name;
}

enum gb_class error_class(enum gb_code code)
{
    return code ? find(code)->class : GB_CLASS_NONE;
}

int error_exit_status(enum gb_code code)
{
    return code ? find(code)->exit_status : 0;
}

const char *error_default_hint(enum gb_code code)
{
    return find(code)->hint;
}

enum gb_code error_from_number(unsigned number)
{
    for (size_t i = 0; i < ENTRIES; i++)
        if ((unsigned)table[i].code == number)
            return table[i].code;
    return number ? GB_internal : GB_OK;
}
