/* Copies that DDL has made worthless; see spoil.h. */
#include "plugin/spoil.h"

static void spoil_one(struct item *item, void *context)
{
  const struct spoiled *s = context;
  if ((item->state != ITEM_COPIED && item->state != ITEM_BUSY) ||
      !ddl_names_have(&s->names, item->path))
    return;
  if (item->state == ITEM_COPIED)
    inventory_set_state(s->files->inventory, item, ITEM_IDLE);
  else
    item->again = true;
}

void spoil_add(struct spoiled *s, const char *database, const char *table)
{
  if (!ddl_names_add(&s->names, database, table))
    error_set(&s->files->error, GB_no_memory, "no memory for what ddl.log names");
}

void spoil_named(struct spoiled *s)
{
  ddl_names_sort(&s->names);
  if (s->names.count)
    inventory_each_file(s->files->inventory, spoil_one, s);
}
