/* Small JSON objects with a SHA-256 of their own; see sealed.h. */
#include "agent/repository/sealed.h"
#include "agent/repository/manifest.h"

#include <stdlib.h>
#include <string.h>

#define OBJECT_END 2u /* a line feed and the bracket: the seal has them */

char *sealed_text(const json_t *object, size_t *size)
{
    char seal[MANIFEST_SEAL_MAX],
        *text = json_object_size(object) ? json_dumps(object, JSON_INDENT(1)) : NULL;
    size_t body = text ? strlen(text) - OBJECT_END : 0;
    char *whole = text ? realloc(text, body + sizeof seal) : NULL;
    if (!whole) {
        free(text);
        return NULL;
    }
    manifest_seal(whole, body, seal);
    *size = body + strlen(seal);
    memcpy(whole + body, seal, strlen(seal) + 1);
    return whole;
}

bool sealed_intact(const char *text, size_t size)
{
    char seal[MANIFEST_SEAL_MAX];
    manifest_seal("", 0, seal);
    size_t length = strlen(seal);
    if (size <= length)
        return false;
    manifest_seal(text, size - length, seal);
    return !memcmp(text + size - length, seal, length);
}

json_t *sealed_parse(const char *text, size_t size)
{
    return sealed_intact(text, size) ? json_loadb(text, size, JSON_REJECT_DUPLICATES, NULL) : NULL;
}
