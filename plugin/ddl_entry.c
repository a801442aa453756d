/* What an entry of ddl.log leaves unsaid; see ddl_entry.h. */
#include "plugin/ddl_entry.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#define INDEXES_MAX 64u /* of a table */

static bool not_innodb(const char *engine)
{
  return engine[0] && strcasecmp(engine, "InnoDB");
}

/* The files of partitions are not named: of InnoDB their .isl, of others all; and of a partition
   that is made a table, or a table made a partition, the partitioned table alone is. */
static bool partitioned(const struct ddl_entry *e)
{
  return e->field[DDL_ORG_PARTITIONED][0] == '1' || e->field[DDL_NEW_PARTITIONED][0] == '1';
}

static bool other_engine(const struct ddl_entry *e)
{
  return not_innodb(e->field[DDL_ORG_ENGINE]) || not_innodb(e->field[DDL_NEW_ENGINE]);
}

/* A file of a table: known, or there. A scan that a RENAME runs beside may see neither the old file
 * nor the new one. */
static bool known_or_there(struct inventory *inventory, const char *datadir, const char *database,
                           const char *table, const char *extension)
{
  char path[WIRE_PATH_MAX], full[WIRE_PATH_MAX];
  snprintf(path, sizeof path, "%s/%s%s", database, table, extension);
  int n = snprintf(full, sizeof full, "%s%s", datadir, path);
  return inventory_find_file(inventory, path) || n >= (int)sizeof full || !access(full, F_OK);
}

static bool has_triggers(struct inventory *inventory, const char *datadir, const char *database,
                         const char *table)
{
  return table[0] && known_or_there(inventory, datadir, database, table, ".TRG");
}

/* A tablespace outside the data directory, which TRUNCATE makes anew with its .isl. */
static bool has_link(struct inventory *inventory, const char *datadir, const char *database,
                     const char *table)
{
  char full[WIRE_PATH_MAX];
  snprintf(full, sizeof full, "%s%s/%s.ibd", datadir, database, table);
  return known_or_there(inventory, datadir, database, table, ".isl") || access(full, F_OK);
}

/* Of an engine that keeps it in files of the table's own kind. */
static bool has_vector_index(const char *datadir, const char *database, const char *table)
{
  char full[WIRE_PATH_MAX];
  for (unsigned i = 0; i < INDEXES_MAX; i++)
  {
    int n = snprintf(full, sizeof full, "%s%s/%s#i#%02u.MYI", datadir, database, table, i);
    if (n >= (int)sizeof full || !access(full, F_OK))
      return true;
    memcpy(full + n - 3, "MAI", 3);
    if (!access(full, F_OK))
      return true;
  }
  return false;
}

static bool has_triggers_of(struct inventory *inventory, const char *datadir,
                            const struct ddl_entry *e)
{
  return has_triggers(inventory, datadir, e->field[DDL_ORG_DB], e->field[DDL_ORG_TABLE]) ||
         has_triggers(inventory, datadir, e->field[DDL_NEW_DB], e->field[DDL_NEW_TABLE]);
}

/* It may have another name by now: RENAME TABLE of a view leaves no line. */
static bool is_view(const struct ddl_entry *e)
{
  return !strcmp(e->field[DDL_ORG_ENGINE], "VIEW");
}

static bool renames(const struct ddl_entry *e)
{
  return e->field[DDL_NEW_TABLE][0] && (strcmp(e->field[DDL_ORG_DB], e->field[DDL_NEW_DB]) ||
                                        strcmp(e->field[DDL_ORG_TABLE], e->field[DDL_NEW_TABLE]));
}

bool ddl_entry_may_go_on(struct inventory *inventory, const char *datadir,
                         const struct ddl_entry *e)
{
  return partitioned(e) || is_view(e) || (renames(e) && has_triggers_of(inventory, datadir, e)) ||
         (!strncmp(e->field[DDL_QUERY], "TRUNCATE", 8) && !not_innodb(e->field[DDL_ORG_ENGINE]) &&
          has_link(inventory, datadir, e->field[DDL_ORG_DB], e->field[DDL_ORG_TABLE]));
}

bool ddl_entry_needs_scan(struct inventory *inventory, const char *datadir,
                          const struct ddl_entry *e)
{
  char *const *field = e->field;
  return partitioned(e) || is_view(e) || !strcmp(field[DDL_ORG_ENGINE], "TRIGGER") ||
         has_triggers_of(inventory, datadir, e) ||
         (other_engine(e) && (has_vector_index(datadir, field[DDL_ORG_DB], field[DDL_ORG_TABLE]) ||
                              has_vector_index(datadir, field[DDL_NEW_DB], field[DDL_NEW_TABLE])));
}
