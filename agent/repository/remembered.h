/*
  What an agent remembers across restarts: the uuids of the clusters' directories that it has
  written to (identity.h), and on which file system the directory of each repository was: where a
  mount is missing there is an empty directory, or none, that must not be taken for a new
  repository. A small JSON file in state-dir on the agent's own host; losing it loses nothing but a
  convenience.

  The file system is told by its device number. That of a network's may be another one after each
  mount, so it counts only where nothing of the cluster is found. A directory that was emptied, or
  made anew where it was, is as good as new.
*/
#ifndef GB_AGENT_REPOSITORY_REMEMBERED_H
#define GB_AGENT_REPOSITORY_REMEMBERED_H

#include "common/error.h"

/* False also if there is no such directory, or a file in it that can't be read. */
bool remembered_has(const char *state_dir, const char *uuid);
/* Makes the directory if its parent is there. What fails is named on stderr; "" and what is known
 * already do nothing. */
void remembered_add(const char *state_dir, const char *uuid, const char *cluster);

/* After this agent has written there for that cluster. What can't be remembered is named on stderr.
 */
void remembered_add_place(const char *state_dir, const char *path, const char *cluster);
/* Whether path may be the directory that this agent has written to. False: it has, and now there is
   none, or one on another file system without that cluster's cluster.json. Errors:
   GB_repository_unreachable. */
bool remembered_check_place(const char *state_dir, const char *path, struct gb_error *error);

#endif
