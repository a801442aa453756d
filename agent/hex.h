/*
  Bytes as lower-case hexadecimal digits and back.
*/
#ifndef GB_AGENT_HEX_H
#define GB_AGENT_HEX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* out: 2 * size + 1 bytes. */
void hex_write(const uint8_t *data, size_t size, char *out);
/* Whether text is just 2 * size digits; out is then set. text may be NULL. */
bool hex_read(const char *text, uint8_t *out, size_t size);

#endif
