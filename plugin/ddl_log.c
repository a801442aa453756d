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
    error_set_errno(error, GB_io_error, errno, "%s can't be read",
                    path); /* BACKUP STAGE START made it */
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

bool ddl_names_add(struct ddl_names *names, const char *database, const char *table)
{
  if (!(names->count & (names->count - 1)))
  {
    struct ddl_name *more =
        realloc(names->name, (names->count ? 2 * names->count : 1) * sizeof *more);
    if (!more)
      return false;
    names->name = more;
  }
  names->name[names->count++] = (struct ddl_name){database, table};
  return true;
}

static int compare(const void *a, const void *b)
{
  const struct ddl_name *x = a, *y = b;
  int order = strcmp(x->database, y->database);
  return order ? order : strcmp(x->table, y->table);
}

void ddl_names_sort(struct ddl_names *names)
{
  size_t kept = 0;
  if (names->count)
    qsort(names->name, names->count, sizeof *names->name, compare);
  for (size_t i = 0; i < names->count; i++)
    if (!kept || compare(&names->name[i], &names->name[kept - 1]))
      names->name[kept++] = names->name[i];
  names->count = kept;
}

size_t ddl_table_length(const char *file)
{
  size_t n = 0;
  while (file[n] && file[n] != '.' && strncmp(file + n, "#P#", 3) && strncmp(file + n, "#i#", 3))
    n++;
  return n;
}

bool ddl_names_have(const struct ddl_names *names, const char *path)
{
  char text[PATH_ROOM];
  snprintf(text, sizeof text, "%s", path);
  char *slash = strchr(text, '/');
  if (!slash || !names->count)
    return false;
  *slash = '\0';
  struct ddl_name key = {text, ""};
  if (bsearch(&key, names->name, names->count, sizeof key, compare))
    return true;
  key.table = slash + 1;
  slash[1 + ddl_table_length(slash + 1)] = '\0';
  return bsearch(&key, names->name, names->count, sizeof key, compare);
}

void ddl_names_free(struct ddl_names *names)
{
  free(names->name);
  *names = (struct ddl_names){0};
}
