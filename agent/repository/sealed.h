/*
  Small JSON objects of a repository that are replaced whole: their last key is the SHA-256 of all
  before its comma, as that of backup.json, so that no byte of them changes unseen. Not a signature.
*/
#ifndef GB_AGENT_REPOSITORY_SEALED_H
#define GB_AGENT_REPOSITORY_SEALED_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

/* The text of a JSON object with that key; malloc'ed. NULL: no memory, or not an object with
 * something in it. */
char *sealed_text(const json_t *object, size_t *size);
/* Whether a text ends with the right one. */
bool sealed_intact(const char *text, size_t size);
/* The object of such a text; NULL if it was changed. */
json_t *sealed_parse(const char *text, size_t size);

#endif
