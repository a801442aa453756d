/* Times as texts; see utc.h. */
#include "agent/utc.h"

#include <stdio.h>
#include <string.h>

const char *utc_text(time_t t, char out[UTC_MAX])
{
    struct tm tm;
    strftime(out, UTC_MAX, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&t, &tm));
    return out;
}

time_t utc_parse(const char *text)
{
    int end = 0, minutes = 0;
    struct tm tm = {0}, again;
    char separator = 0;
    if (strspn(text, "0123456789-") != 10 ||
        sscanf(text, "%4d-%2d-%2d%c%2d:%2d%n", &tm.tm_year, &tm.tm_mon, &tm.tm_mday, &separator,
               &tm.tm_hour, &tm.tm_min, &minutes) != 6 ||
        minutes != 16 || (separator != 'T' && separator != ' '))
        return -1;
    const char *rest = text + minutes;
    if (*rest == ':' && sscanf(rest, ":%2d%n", &tm.tm_sec, &end) == 1 && end == 3)
        rest += end;
    if (*rest && strcmp(rest, "Z"))
        return -1;
    tm.tm_year -= 1900;
    tm.tm_mon--;
    again = tm;
    time_t t = timegm(&again); /* makes 1 March of 29 February where there is none */
    return again.tm_mday == tm.tm_mday && again.tm_mon == tm.tm_mon &&
                   again.tm_hour == tm.tm_hour && again.tm_min == tm.tm_min &&
                   again.tm_sec == tm.tm_sec
               ? t
               : -1;
}
