/* Who keeps the backup from its locks; see blocker.h. */
#include "plugin/blocker.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define OLD_S 1 /* younger ones are not told as the probable cause */

/* Columns of SHOW FULL PROCESSLIST. */
enum
{
  ID,
  USER,
  COMMAND = 4,
  TIME,
  STATE,
  INFO,
  COLUMNS
};

#define CUT_AT 100 /* characters of a statement that SHOW PROCESSLIST gives without FULL */

struct search
{
  unsigned (*rank)(char **column); /* 0: not wanted; else the higher the more likely */
  unsigned best;
  long long age;
  char *out;
  bool cut; /* of some statement nothing but a comment was seen */
};

static bool any_of(const char *text, const char *const *words)
{
  for (; *words; words++)
    if (!strcasecmp(text, *words))
      return true;
  return false;
}

/* Where the statement begins, behind comments; those that the server executes are part of it. */
static const char *first_word(const char *statement)
{
  for (;;)
  {
    const char *end = NULL;
    statement += strspn(statement, " \t\r\n\f\v(");
    if (!strncmp(statement, "/*!", 3) || !strncasecmp(statement, "/*M!", 4))
      end = strchr(statement, '!') + strspn(strchr(statement, '!'), "!0123456789");
    else if (!strncmp(statement, "/*", 2))
      end = (end = strstr(statement + 2, "*/")) ? end + 2 : NULL;
    else if (!strncmp(statement, "--", 2) || *statement == '#')
      end = strchr(statement, '\n');
    if (!end)
      return statement;
    statement = end;
  }
}

/* Statements that hold what BACKUP STAGE waits for, by how they begin. */
static bool is_ddl(const char *statement)
{
  static const char *const words[] = {"ALTER",  "CREATE",  "DROP", "RENAME", "TRUNCATE", "OPTIMIZE",
                                      "REPAIR", "ANALYZE", "LOCK", "FLUSH",  "BACKUP",   NULL};
  statement = first_word(statement);
  for (const char *const *word = words; *word; word++)
    if (!strncasecmp(statement, *word, strlen(*word)))
      return true;
  return false;
}

/* None of the server's own threads, nor what runs our events. */
static bool is_other(char **column)
{
  static const char *const users[] = {"galera_backup_definer", "event_scheduler", NULL};
  static const char *const commands[] = {"Daemon", "Binlog Dump", NULL};
  return !any_of(column[USER], users) && !any_of(column[COMMAND], commands);
}

static bool is_applier(char **column)
{
  return !strcmp(column[USER], "system user");
}

static bool sleeps(char **column)
{
  return !strcasecmp(column[COMMAND], "Sleep");
}

static unsigned rank_isolated(char **column)
{
  if (!column[INFO] || sleeps(column))
    return 0;
  const char *state = column[STATE] ? column[STATE] : "";
  bool applies = is_applier(column) && column[STATE] && !strstr(state, "committed") &&
                 !(strstr(state, "wsrep") && strstr(state, "idle"));
  return applies || is_ddl(column[INFO]);
}

static unsigned rank_probable(char **column)
{
  if (is_applier(column) || !column[TIME] || strtoll(column[TIME], NULL, 10) < OLD_S ||
      (column[STATE] && !strcmp(column[STATE], "Waiting for backup lock")))
    return 0;
  return column[INFO] && is_ddl(column[INFO]) ? 3 : sleeps(column) ? 1 : 2;
}

static bool consider(void *context, char **column, unsigned count)
{
  struct search *s = context;
  if (count < COLUMNS || !column[ID] || !column[USER] || !column[COMMAND] || !is_other(column))
    return true;
  s->cut |=
      column[INFO] && strlen(column[INFO]) >= CUT_AT && strchr("/-#", first_word(column[INFO])[0]);
  unsigned rank = s->rank(column);
  long long age = column[TIME] ? strtoll(column[TIME], NULL, 10) : 0;
  if (!rank || rank < s->best || (rank == s->best && age <= s->age))
    return true;
  s->best = rank;
  s->age = age;
  const char *what =
      column[INFO] && column[INFO][0] ? column[INFO]
      : sleeps(column) ? "an idle session, perhaps with LOCK TABLES, FLUSH TABLES or BACKUP STAGE,"
      : column[STATE] && column[STATE][0] ? column[STATE]
                                          : "a session";
  snprintf(s->out, BLOCKER_MAX, "%.120s (thread %s, user %.80s, %lld s)", what, column[ID],
           column[USER], age);
  return true;
}

static void search(struct sql *sql, unsigned (*rank)(char **column), char out[BLOCKER_MAX],
                   struct gb_error *error)
{
  struct search s = {.rank = rank, .age = -1, .out = out};
  out[0] = '\0';
  if (!sql_rows(sql, consider, &s, error, "SHOW PROCESSLIST") || !s.cut)
    return;
  s = (struct search){.rank = rank, .age = -1, .out = out};
  out[0] = '\0';
  sql_rows(sql, consider, &s, error, "SHOW FULL PROCESSLIST");
}

void blocker_isolated(struct sql *sql, char out[BLOCKER_MAX], struct gb_error *error)
{
  search(sql, rank_isolated, out, error);
}

void blocker_probable(struct sql *sql, char out[BLOCKER_MAX])
{
  struct gb_error ignored = {0};
  search(sql, rank_probable, out, &ignored);
}
