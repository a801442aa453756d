/*
  A file that holds a secret: a password, a key. One that others may read, or write, is refused.
*/
#ifndef GB_AGENT_STORAGE_SECRET_FILE_H
#define GB_AGENT_STORAGE_SECRET_FILE_H

#include "common/error.h"

#include <stdio.h>

/* Opens it for reading. key: of the configuration, for messages. NULL: GB_bad_config. */
FILE *secret_file_open(const char *key, const char *path, struct gb_error *error);
/* Its first line, without what ends it. Errors: GB_bad_config (also: empty, or longer than size -
 * 1). */
bool secret_file_line(const char *key, const char *path, char *out, size_t size,
                      struct gb_error *error);

#endif
