/*
  What an agent remembers across restarts: the uuids of the clusters' directories that it has written to (identity.h). A small JSON
  file in state-dir on the agent's own host; losing it loses nothing but a convenience.
*/
#ifndef GB_AGENT_REPOSITORY_REMEMBERED_H
#define GB_AGENT_REPOSITORY_REMEMBERED_H

#include <stdbool.h>

/* False also if there is no such directory, or a file in it that can't be read. */
bool remembered_has(const char *state_dir, const char *uuid);
/* Makes the directory if its parent is there. What fails is named on stderr; "" and what is known already do nothing. */
void remembered_add(const char *state_dir, const char *uuid, const char *cluster);

#endif
