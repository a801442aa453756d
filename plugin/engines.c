/* Storage engines; see engines.h. */
#include "plugin/engines.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#define COUNT(a) (sizeof(a) / sizeof(a)[0])

static const char *const engines[] = {
    "InnoDB",     "Aria",     "MyISAM",    "CSV",      "ARCHIVE",
    "MRG_MyISAM", "MEMORY",   "BLACKHOLE", "SEQUENCE", "PERFORMANCE_SCHEMA",
    "FEDERATED",  "partition"};

/* The same as .frm files number them (legacy_db_type in sql/handler.h). MEMORY, MyISAM, MERGE,
   InnoDB, ARCHIVE, CSV, FEDERATED, BLACKHOLE, PERFORMANCE_SCHEMA, Aria, SEQUENCE. */
static const uint8_t engine_numbers[] = {6, 9, 10, 12, 16, 17, 18, 19, 28, 42, 44};

/* What stands in ddl.log in the place of an engine. */
static const char *const no_engines[] = {"", "DATABASE", "TRIGGER", "VIEW"};

bool engines_know(const char *name)
{
  for (size_t i = 0; i < COUNT(engines); i++)
    if (!strcasecmp(name, engines[i]))
      return true;
  return false;
}

struct unloaded
{
  unsigned count;
  char *first;
  size_t size;
};

static void find_unloaded(struct item *item, void *context)
{
  struct unloaded *u = context;
  if (item->state != ITEM_COPIED || !item->engine ||
      memchr(engine_numbers, item->engine, COUNT(engine_numbers)))
    return;
  if (!u->count++)
    snprintf(u->first, u->size, "%.*s", (int)(strlen(item->path) - strlen(".frm")), item->path);
}

unsigned engines_unloaded(struct inventory *inventory, char *first, size_t size)
{
  struct unloaded u = {0, first, size};
  inventory_each_file(inventory, find_unloaded, &u);
  return u.count;
}

static bool unknown_engine(const char *name)
{
  for (size_t i = 0; i < COUNT(no_engines); i++)
    if (!strcmp(name, no_engines[i]))
      return false;
  return !engines_know(name);
}

bool engines_unknown_in(const struct ddl_entry *e)
{
  if (!strcmp(e->field[DDL_QUERY], "DROP"))
    return false;
  return unknown_engine(e->field[DDL_ORG_ENGINE]) || unknown_engine(e->field[DDL_NEW_ENGINE]);
}
