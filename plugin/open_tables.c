/* Tables that are open; see open_tables.h. */
#include "plugin/open_tables.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Names that are the same in SQL and on disk; the server converts the others. */
static bool plain_name(const char *name)
{
  for (const char *c = name; *c; c++)
    if (!((*c >= '0' && *c <= '9') || (*c >= 'A' && *c <= 'Z') || (*c >= 'a' && *c <= 'z') ||
          *c == '_'))
      return false;
  return true;
}

static void to_hex(const char *text, char *hex, size_t size)
{
  size_t n = 0;
  hex[0] = '\0';
  for (const char *c = text; *c && n + 3 < size; c++)
    n += (size_t)snprintf(hex + n, size - n, "%02x", (unsigned char)*c);
}

/* The other way; for use between backquotes. */
static bool sql_name_of(struct backup *b, const char *file_name, char *out, size_t size)
{
  char hex[1024];
  snprintf(out, size, "%s", file_name);
  if (plain_name(file_name))
    return true;
  to_hex(file_name, hex, sizeof hex);
  return sql_value(b->sql, 0, out, size, &b->error,
                   "SELECT REPLACE(CONVERT(CONVERT(CAST(0x%s AS BINARY) USING filename) USING "
                   "utf8mb3), '`', '``')",
                   hex);
}

/* A name as it stands in file names. */
static bool file_name_of(struct backup *b, const char *name, char *out, size_t size)
{
  snprintf(out, size, "%s", name);
  if (plain_name(name))
    return true;
  char hex[1024];
  to_hex(name, hex, sizeof hex);
  return sql_value(b->sql, 0, out, size, &b->error,
                   "SELECT CAST(CONVERT(_utf8mb3 0x%s USING filename) AS BINARY)", hex);
}

struct name_list
{
  char **name;
  size_t count;
  bool no_memory;
};

static bool take_open_table(void *context, char **column, unsigned count)
{
  struct name_list *l = context;
  if (count < 3 || !column[0] || !column[1] || !column[2] || !strcmp(column[2], "0"))
    return true;
  char **more = realloc(l->name, (l->count + 2) * sizeof *more);
  if ((l->no_memory = !more))
    return false;
  l->name = more;
  l->name[l->count] = strdup(column[0]);
  l->name[l->count + 1] = strdup(column[1]);
  l->count += 2;
  return true;
}

bool open_tables_find(struct backup *b)
{
  struct name_list l = {0};
  bool ok = sql_rows(b->sql, take_open_table, &l, &b->error, "SHOW OPEN TABLES WHERE In_use > 0");
  struct files *f = &b->files;
  for (size_t i = 0; i < f->in_use_count; i++)
    free(f->in_use[i]);
  free(f->in_use);
  f->in_use_count = 0;
  f->in_use = calloc(l.count / 2 + 1, sizeof *f->in_use);
  bool memory = f->in_use && !l.no_memory;
  for (size_t i = 0; i < l.count; i += 2)
  {
    char database[1024], table[1024], both[2100];
    ok = ok && memory && l.name[i] && l.name[i + 1] &&
         file_name_of(b, l.name[i], database, sizeof database) &&
         file_name_of(b, l.name[i + 1], table, sizeof table);
    if (ok)
    {
      snprintf(both, sizeof both, "%s/%s", database, table);
      if ((f->in_use[f->in_use_count] = strdup(both)))
        f->in_use_count++;
      else
        ok = false;
    }
    free(l.name[i]);
    free(l.name[i + 1]);
  }
  free(l.name);
  if ((!ok || !memory) && !b->error.code)
    error_set(&b->error, GB_no_memory, "no memory for the list of open tables");
  return !b->error.code;
}

enum stage_result open_tables_close(struct backup *b)
{
  for (size_t i = 0; i < b->files.to_close_count; i++)
  {
    char database[1024], *table = strchr(b->files.to_close[i], '/'), names[2][1024];
    if (!table)
      continue;
    snprintf(database, sizeof database, "%.*s", (int)(table - b->files.to_close[i]),
             b->files.to_close[i]);
    if (!sql_name_of(b, database, names[0], sizeof names[0]) ||
        !sql_name_of(b, table + 1, names[1], sizeof names[1]))
      return STAGE_FAILED;
    enum stage_result result = stage_close_table(b->sql, names[0], names[1], &b->error);
    if (result != STAGE_OK)
      return result;
  }
  return STAGE_OK;
}
