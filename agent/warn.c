/* Warnings on stderr; see warn.h. */
#include "agent/warn.h"

#include <stdarg.h>
#include <stdio.h>

void warn_of(const struct gb_error *why, const char *context, ...)
{
    struct gb_error told = {0};
    char line[GB_ERROR_LINE_MAX], text[GB_ERROR_TEXT_MAX] = "";
    if (context) {
        va_list args;
        va_start(args, context);
        vsnprintf(text, sizeof text, context, args);
        va_end(args);
    }
    error_set(&told, why->code, "%s%s%s", text, text[0] ? ": " : "", why->what);
    error_hint(&told, "%s", why->hint);
    warn_text(NULL, error_format(&told, line, sizeof line));
}

void warn_text(void *unused, const char *text)
{
    (void)unused;
    fprintf(stderr, "galera-backup: warning: %s\n", text);
}
