/*
  Small JSON files that an agent keeps on its own host, in state-dir.
*/
#ifndef GB_AGENT_STATE_FILE_H
#define GB_AGENT_STATE_FILE_H

#include <jansson.h>
#include <stdbool.h>

/* The object in it, the caller's; NULL: there is no such file, state_dir is "", or it is no JSON
 * object. */
json_t *state_file_read(const char *state_dir, const char *name);
/* Over the old file, durably, or not at all; makes the directory (mode 0700) if its parent is
 * there. False: errno says why. */
bool state_file_write(const char *state_dir, const char *name, const json_t *root);

#endif
