/*
  The mariadbd of this host: where it is, of which version, and what its configuration files give
  it.
*/
#ifndef GB_AGENT_RESTORE_SERVER_PROGRAM_H
#define GB_AGENT_RESTORE_SERVER_PROGRAM_H

#include "common/error.h"

#include <stdint.h>

/* The mariadbd that PATH names, else that of the usual directories, and its version
   ("10.11.19-MariaDB-..."). Errors: GB_no_server. */
bool server_program_find(char *program, size_t program_size, char *version, size_t version_size,
                         struct gb_error *error);
/* Whether that version may open the directory of a server of version source: same series, not
 * older. Errors: GB_no_server. */
bool server_program_fits(const char *program, const char *version, const char *source,
                         struct gb_error *error);

/* innodb_buffer_pool_size, bytes, that the configuration files of this host give that program; 0:
 * none says. */
uint64_t server_program_configured_pool(const char *program);

/* What the configuration files of this host give that program for tables that a plugin opens: of
   its plugins those that hold keys and those that compress pages (providers), and their options, as
   the text of a configuration file. "": none. Errors: GB_internal: it does not fit into size bytes.
 */
bool server_program_key_settings(const char *program, char *out, size_t size,
                                 struct gb_error *error);

#endif
