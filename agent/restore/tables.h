/*
  CHECK TABLE of all tables of a restored directory, in its private server.
*/
#ifndef GB_AGENT_RESTORE_TABLES_H
#define GB_AGENT_RESTORE_TABLES_H

#include "agent/restore/private_server.h"

struct tables_result {
    unsigned checked;
    unsigned unopened; /* their engine is a plugin that the private server does not load */
    char unopened_first[256];
};

/* Errors: GB_table_damaged, naming the first and how many; those of private_server_query(). */
bool tables_check(struct private_server *server, struct tables_result *result,
                  struct gb_error *error);

#endif
