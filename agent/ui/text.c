/* What people read; see text.h. */
#include "agent/ui/text.h"
#include "agent/utc.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

const char *text_bytes(uint64_t bytes, char *out, size_t size)
{
    static const char *const units[] = {"B", "kB", "MB", "GB", "TB", "PB"};
    double value = (double)bytes;
    unsigned unit = 0;
    while (value >= 999.5 && unit < 5) {
        value /= 1000;
        unit++;
    }
    snprintf(out, size, unit && value < 99.5 ? "%.1f %s" : "%.0f %s", value, units[unit]);
    return out;
}

const char *text_duration(uint64_t s, char *out, size_t size)
{
    if (s < 60)
        snprintf(out, size, "%" PRIu64 "s", s);
    else if (s < 3600)
        snprintf(out, size, "%" PRIu64 "m%02" PRIu64 "s", s / 60, s % 60);
    else if (s < 86400)
        snprintf(out, size, "%" PRIu64 "h%02" PRIu64 "m", s / 3600, s / 60 % 60);
    else
        snprintf(out, size, "%" PRIu64 "d%02" PRIu64 "h", s / 86400, s / 3600 % 24);
    return out;
}

const char *text_time(time_t t, char *out, size_t size)
{
    char text[UTC_MAX];
    snprintf(out, size, "%s", t ? utc_text(t, text) : "");
    return out;
}

void text_error(const struct gb_error *error, bool json)
{
    if (!json) {
        fprintf(stderr, "galera-backup: GB%04d %s: %s\n  do: %s\n", (int)error->code,
                error_name(error->code), error->what, error->hint);
        return;
    }
    json_t *o =
        json_pack("{s:i, s:{s:i, s:s, s:s, s:s, s:s}}", "schema", 1, "error", "code",
                  (int)error->code, "name", error_name(error->code), "class",
                  error_class_name(error->code), "message", error->what, "hint", error->hint);
    char *text = o ? json_dumps(o, JSON_COMPACT) : NULL;
    fprintf(stderr, "%s\n", text ? text : "{}");
    free(text);
    json_decref(o);
}
