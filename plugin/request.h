/*
  What a command asks for, read from its JSON text: the operation, and the options of BACKUP_START,
  BACKUP_CHECK, BACKUP_SET and BACKUP_HOLD. Units, ranges and names are checked here and nowhere
  else. No server state, no agent.
*/
#ifndef GB_PLUGIN_REQUEST_H
#define GB_PLUGIN_REQUEST_H

#include "plugin/coordinator.h"

enum request_op
{
  REQUEST_START,
  REQUEST_CHECK,
  REQUEST_CHECK_ROWS,
  REQUEST_CANCEL,
  REQUEST_SET,
  REQUEST_HOLD,
};

struct request
{
  enum request_op op;
  struct backup_options
      options; /* set to the defaults by the caller; what the text gives replaces them */
  int64_t set_rate, set_busy_rate; /* REQUEST_SET: bytes a second, -1: not given */
  int set_threads;                 /* REQUEST_SET: 0: not given */
};

/* text: {"op", "id", "user", "node", "cluster", "cluster_uuid", "options", "keys"}, length bytes.
   Errors: GB_bad_value, GB_unknown_option, GB_not_supported. */
bool request_parse(const char *text, int length, struct request *request, struct gb_error *error);

#endif
