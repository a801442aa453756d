/* Lines in the server's error log; see log.h. */
#include "plugin/server.h"
#include "plugin/log.h"

#include <mysqld_error.h>
#include <stdarg.h>
#include <stdio.h>

#define LINE_MAX_SIZE 2048

void log_line(enum log_level level, const char *format, ...)
{
  char text[LINE_MAX_SIZE];
  va_list args;
  va_start(args, format);
  vsnprintf(text, sizeof text, format, args);
  va_end(args);
  myf flags = level == LOG_LEVEL_NOTE ? ME_NOTE : level == LOG_LEVEL_WARNING ? ME_WARNING : 0;
  my_printf_error(ER_UNKNOWN_ERROR, "galera_backup: %s", MYF(ME_ERROR_LOG_ONLY | flags), text);
}
