/* The server's ddl.log; see ddl_log.h. */
#include "plugin/ddl_log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PATH_ROOM 2048u

char *ddl_log_read(const char *datadir, off_t *at, struct gb_error *error)
{
  char path[PATH_ROOM];
  snprintf(path, sizeof path, "%sddl.log", datadir);
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  struct stat st;
  char *text = NULL;
  if (fd < 0 || fstat(fd, &st))
    error_set_errno(error, GB_io_error, errno, "%s can't be read", path); /* BACKUP STAGE START made it */
  else if (st.st_size > *at)
  {
    size_t size = (size_t)(st.st_size - *at);
    text = malloc(size + 1);
    ssize_t n = text ? pread(fd, text, size, *at) : -1;
    if (n < 0)
    {
      error_set_errno(error, text ? GB_io_error : GB_no_memory, errno, "%s can't be read", path);
      free(text);
      text = NULL;
    }
    else
    {
      text[n] = '\0';
      *at += n;
    }
  }
  if (fd >= 0)
    close(fd);
  return text;
}

char *ddl_log_line(char **rest)
{
  char *line = *rest;
  if (!line || !*line)
    return NULL;
  char *end = strchr(line, '\n');
  *rest = end ? end + 1 : NULL;
  if (end)
    *end = '\0';
  return line;
}

bool ddl_log_split(char *line, struct ddl_entry *entry)
{
  unsigned n = 0;
  for (char *at = line; at && n < DDL_FIELDS; n++)
  {
    entry->field[n] = at;
    at = strchr(at, '\t');
    if (at)
      *at++ = '\0';
  }
  return n == DDL_FIELDS;
}
