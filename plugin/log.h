/*
  Lines in the server's error log, prefix "galera_backup:".
*/
#ifndef GB_PLUGIN_LOG_H
#define GB_PLUGIN_LOG_H

enum log_level
{
  LOG_LEVEL_NOTE,
  LOG_LEVEL_WARNING,
  LOG_LEVEL_ERROR,
};

void log_line(enum log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
