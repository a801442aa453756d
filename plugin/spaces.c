/* InnoDB's tablespaces; see spaces.h. */
#include "plugin/spaces.h"
#include "plugin/unopened.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool add_listed(void *context, char **column, unsigned count)
{
  struct backup *b = context;
  if (count < 3 || !column[0] || !column[1])
    return true;
  uint32_t id = (uint32_t)strtoul(column[0], NULL, 10);
  if (id == 0 || id >= 0xFFFFFFFEu)
    return true;
  char path[1024];
  inventory_clean_path(path, sizeof path, column[1], b->facts.datadir);
  bool undo = column[2] && !strncmp(column[2], "innodb_undo", 11) &&
              !strchr(column[2], '/'); /* of no schema */
  inventory_add_space(b->inventory, undo ? WIRE_KIND_UNDO : WIRE_KIND_TABLESPACE, id, 0, path,
                      count > 3 && column[3] ? strtoull(column[3], NULL, 10) : 0);
  return true;
}

/* InnoDB's own list; undo tablespaces have ids that are given once and names of their own. */
static bool add_unlisted(void *context, char **column, unsigned count)
{
  struct backup *b = context;
  if (count < 2 || !column[0] || !column[1])
    return true;
  uint32_t id = (uint32_t)strtoul(column[0], NULL, 10);
  if (id == 0 || id >= 0xFFFFFFFEu || inventory_has_space(b->inventory, id) ||
      unopened_add(&b->files, column[1], id))
    return true;
  return error_set(&b->error, GB_no_memory, "no memory for the list of tables");
}

bool spaces_list(struct backup *b)
{
  inventory_list_begin(b->inventory);
  unopened_forget(&b->files);
  return sql_rows(b->sql, add_listed, b, &b->error,
                  "SELECT SPACE, FILENAME, NAME, FILE_SIZE FROM "
                  "information_schema.INNODB_SYS_TABLESPACES") &&
         sql_rows(b->sql, add_unlisted, b, &b->error,
                  "SELECT SPACE, NAME FROM information_schema.INNODB_SYS_TABLES WHERE SPACE > 0") &&
         !b->error.code;
}

bool spaces_add_system(struct backup *b, char *first, size_t first_size)
{
  char list[1024], *save = NULL;
  snprintf(list, sizeof list, "%s", b->facts.innodb_files);
  uint32_t page = 0, page_size = (uint32_t)strtoul(b->facts.page_size, NULL, 10);
  bool any = false;
  for (char *part = strtok_r(list, ";", &save); part; part = strtok_r(NULL, ";", &save))
  {
    char *colon = strchr(part, ':');
    if (!colon || !page_size)
      return error_set(&b->error, GB_unsupported_config,
                       "innodb_data_file_path \"%s\" is not understood", b->facts.innodb_files);
    *colon = '\0';
    char *unit, full[2200], path[1024];
    uint64_t size = strtoull(colon + 1, &unit, 10);
    size <<= *unit == 'G' || *unit == 'g'   ? 30
             : *unit == 'M' || *unit == 'm' ? 20
             : *unit == 'K' || *unit == 'k' ? 10
                                            : 0;
    snprintf(full, sizeof full, "%s%s", part[0] == '/' ? "" : b->facts.innodb_home, part);
    inventory_clean_path(path, sizeof path, full, b->facts.datadir);
    inventory_add_space(b->inventory, WIRE_KIND_SYSTEM, 0, page, path, size);
    if (!any)
      snprintf(first, first_size, "%s", path);
    any = true;
    page += (uint32_t)(size / page_size);
  }
  return any;
}
