/* Hexadecimal digits; see hex.h. */
#include "agent/hex.h"

#include <string.h>

static const char digits[] = "0123456789abcdef";

void hex_write(const uint8_t *data, size_t size, char *out)
{
    for (size_t i = 0; i < size; i++) {
        *out++ = digits[data[i] >> 4];
        *out++ = digits[data[i] & 15];
    }
    *out = '\0';
}

bool hex_read(const char *text, uint8_t *out, size_t size)
{
    if (!text || strlen(text) != 2 * size || strspn(text, digits) != 2 * size)
        return false;
    for (size_t i = 0; i < size; i++)
        out[i] = (uint8_t)((strchr(digits, text[2 * i]) - digits) << 4 |
                           (strchr(digits, text[2 * i + 1]) - digits));
    return true;
}
