/* Looking at files on disk; see look.h. */
#include "plugin/look.h"
#include "plugin/disk.h"
#include "plugin/stamp.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct looked_at
{
  struct item *item;
  size_t path; /* where in the text */
  struct item_stamp stamp;
  bool aria;
};

struct looking
{
  struct files *files;
  look_wanted *wanted;
  struct looked_at *list;
  size_t count, room, used, size;
  char *text;
};

static void collect(struct item *item, void *context)
{
  struct looking *l = context;
  size_t n = strlen(item->path) + 1;
  if (!l->wanted(l->files, item))
    return;
  if (l->count == l->room)
  {
    size_t room = l->room ? 2 * l->room : 64;
    struct looked_at *more = realloc(l->list, room * sizeof *more);
    if (more)
    {
      l->list = more;
      l->room = room;
    }
  }
  if (l->used + n > l->size)
  {
    size_t size = 2 * (l->used + n);
    char *more = realloc(l->text, size);
    if (more)
    {
      l->text = more;
      l->size = size;
    }
  }
  if (l->count == l->room || l->used + n > l->size)
  {
    error_set(&l->files->error, GB_no_memory, "no memory for the list of files");
    return;
  }
  l->list[l->count++] =
      (struct looked_at){item, l->used, item->stamp, item->class == ITEM_ARIA_ONLINE};
  memcpy(l->text + l->used, item->path, n);
  l->used += n;
}

void look_at(struct files *f, look_each *each, look_wanted *wanted, bool aria,
             void (*visit)(struct item *item, void *context))
{
  struct looking l = {.files = f, .wanted = wanted};
  each(f->inventory, collect, &l);
  for (size_t i = 0; i < l.count && !f->error.code; i++)
  {
    const struct looked_at *at = &l.list[i];
    const char *path = l.text + at->path;
    char full[2 * WIRE_PATH_MAX];
    struct look look = {.files = f};
    snprintf(full, sizeof full, "%s%s", path[0] == '/' ? "" : f->datadir, path);
    look.there = disk_is_there(full, &look.st, &f->error);
    look.anew = aria && at->aria && look.there && stamp_aria_anew(f->datadir, path, &at->stamp);
    inventory_visit(f->inventory, at->item, path, visit, &look);
  }
  free(l.list);
  free(l.text);
}
