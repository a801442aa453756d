/* Files in the window; see files_window.h. */
#include "plugin/files_window.h"
#include "plugin/ddl_entry.h"
#include "plugin/disk.h"
#include "plugin/engines.h"
#include "plugin/look.h"
#include "plugin/spoil.h"
#include "plugin/stamp.h"
#include "plugin/unopened.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define WINDOW_SCAN_US                                                                             \
  100000u /* a scan that took longer is not made again there: commits may be blocked */

/* In the pause the first record of what was imported is perhaps not read yet, and comes too late
 * then. */
static void note_if_imported(struct item *item, void *context)
{
  const struct look *l = context;
  if (item->state == ITEM_COPIED && l->there &&
      !stamp_same(&item->stamp, &l->st, STAMP_WINDOW_SLACK_NS))
    l->files->complex = true;
}

/* The same for one whose FILE_DELETE has been read. */
static bool deleted_is_there(const struct files *f)
{
  char path[WIRE_PATH_MAX], full[2 * WIRE_PATH_MAX];
  for (const struct item *last = NULL; inventory_deleted(f->inventory, &last, path, sizeof path);)
  {
    snprintf(full, sizeof full, "%s%s", path[0] == '/' ? "" : f->datadir, path);
    if (!access(full, F_OK))
      return true;
  }
  return false;
}

/* The directory, and db.opt; if it is gone, all in it is spoiled. */
static void probe_database(struct files *f, const char *database, struct spoiled *s)
{
  char full[WIRE_PATH_MAX], path[WIRE_PATH_MAX];
  struct stat st;
  snprintf(full, sizeof full, "%s%s", f->datadir, database);
  struct item *item = inventory_file(f->inventory, ITEM_DIRECTORY, WIRE_KIND_DIRECTORY, database);
  if (!disk_is_there(full, &st, &f->error) || !S_ISDIR(st.st_mode))
  {
    spoil_add(s, database, "");
    if (item)
      inventory_gone(f->inventory, item);
    return;
  }
  if (item)
    inventory_queue(f->inventory, item);
  snprintf(path, sizeof path, "%s/db.opt", database);
  snprintf(full, sizeof full, "%s%s", f->datadir, path);
  if (disk_is_there(full, &st, &f->error) && (item = files_classify(f, path, &st)))
    inventory_queue(f->inventory, item);
}

/* Of a CREATE TABLE ... SELECT that fails ddl.log says nothing; it has begun after BACKUP STAGE
   START. Nor does it of a DROP DATABASE that finds a file of somebody else in the directory. */
static bool may_vanish(const struct files *f, const struct item *item)
{
  return item->class == ITEM_ARIA_ONLINE || item->class == ITEM_CLOSED || item->view ||
         disk_ends_with(item->path, "/db.opt") ||
         (item->class == ITEM_DEFINITION && item->stamp.ctime.tv_sec >= f->began);
}

static bool may_be_anew(const struct files *f, const struct item *item)
{
  return item->state == ITEM_COPIED ? may_vanish(f, item)
                                    : item->state == ITEM_GONE && (item->class == ITEM_CLOSED ||
                                                                   item->class == ITEM_ARIA_ONLINE);
}

/* A TRUNCATE that makes a table anew is not in ddl.log, and FLUSH does not hold it up. */
static void copy_if_made_anew(struct item *item, void *context)
{
  const struct look *l = context;
  struct files *f = l->files;
  /* Other files come into the place of a table's one after the other: who came in the midst of it
   * found none. */
  bool anew = l->anew || (item->state == ITEM_GONE && l->there);
  if (item->class == ITEM_CLOSED && !item->in_use && !f->replicated)
    anew = anew || (l->there && !stamp_same(&item->stamp, &l->st, STAMP_WINDOW_SLACK_NS));
  if (item->state != ITEM_COPIED && item->state != ITEM_GONE)
    return;
  f->rescan =
      f->rescan ||
      (item->view && (!l->there || !stamp_same(&item->stamp, &l->st, STAMP_WINDOW_SLACK_NS)));
  if (!l->there)
    inventory_set_state(f->inventory, item, ITEM_GONE);
  else if (anew)
    inventory_requeue(f->inventory, item);
}

static void idle_is_gone(struct item *item, void *context)
{
  struct files *f = context;
  /* Spoiled by ddl.log and not found again: dropped or renamed away. */
  if (item->state == ITEM_IDLE &&
      (item->class == ITEM_DEFINITION || item->class == ITEM_ARIA_ONLINE ||
       (item->class == ITEM_CLOSED && !item->in_use)))
    inventory_set_state(f->inventory, item, ITEM_GONE);
}

static void add_to_close(struct files *f, const char *table)
{
  if (f->to_close_count && !strcmp(f->to_close[f->to_close_count - 1], table))
    return;
  char **more = realloc(f->to_close, (f->to_close_count + 1) * sizeof *more);
  if (!more)
  {
    f->complex = true;
    return;
  }
  f->to_close = more;
  if (!(f->to_close[f->to_close_count] = strdup(table)))
    f->complex = true;
  else
    f->to_close_count++;
}

/* Each statement of an applier ends with its blocks written, so a table without a change since its
 * copy is unchanged. */
static void find_changed(struct item *item, void *context)
{
  const struct look *l = context;
  char table[WIRE_PATH_MAX];
  if (item->state == ITEM_COPIED && !item->in_use && l->there &&
      stamp_same(&item->stamp, &l->st, STAMP_SLACK_NS))
    return;
  files_table_of(item->path, table, sizeof table);
  add_to_close(l->files, table);
}

static bool is_closed(const struct files *f, const struct item *item)
{
  (void)f;
  return item->class == ITEM_CLOSED && item->state != ITEM_GONE;
}

static void queue_in_use(struct item *item, void *context)
{
  struct files *f = context;
  if (item->class != ITEM_CLOSED || item->state == ITEM_GONE)
    return;
  if (files_have_table(f->to_close, f->to_close_count, item->path))
    item->in_use = true;
  if (item->in_use)
    inventory_requeue(f->inventory, item);
}

void files_window_tables(struct files *f)
{
  files_sort_tables(f->to_close, f->to_close_count);
  inventory_each_table(f->inventory, queue_in_use, f);
}

static void queue_found(struct item *item, void *context)
{
  if (item->class == ITEM_CLOSED && item->state == ITEM_IDLE && !item->in_use)
    inventory_requeue(((struct files *)context)->inventory, item);
}

/* DDL is blocked: what is found now stays. Where appliers write closed tables, what is new among
 * them is closed and queued later. */
static void scan_in_window(struct files *f)
{
  f->complex = f->complex || f->scan_us > WINDOW_SCAN_US;
  if (!f->complex)
    files_scan(f);
  if (!f->complex && !f->replicated)
    inventory_each_table(f->inventory, queue_found, f);
  f->rescan = f->unsettled = false; /* nothing can have been renamed beside this scan */
}

void files_window_ddl(void *argument)
{
  struct files *f = argument;
  struct spoiled s = {.files = f};
  bool news = false;
  char *log = ddl_log_read(f->datadir, &f->ddl_log_at, &f->error);
  f->rescan = f->rescan || f->unsettled; /* it has ended now */
  if (f->altered)
    look_at(f, inventory_each_cold, files_is_copied, false, note_if_imported);
  f->complex = f->complex || (f->altered_since && (deleted_is_there(f) || unopened_appeared(f)));
  for (char *rest = log, *line; (line = ddl_log_line(&rest));)
  {
    struct ddl_entry e;
    news = true;
    if (!ddl_log_split(line, &e))
    {
      f->complex = true;
      break;
    }
    f->complex = f->complex || engines_unknown_in(&e); /* to be refused */
    f->rescan = f->rescan || ddl_entry_needs_scan(f->inventory, f->datadir, &e);
    if (!strcmp(e.field[DDL_ORG_ENGINE], "DATABASE"))
    {
      probe_database(f, e.field[DDL_ORG_DB], &s);
      continue;
    }
    spoil_add(&s, e.field[DDL_ORG_DB], e.field[DDL_ORG_TABLE]);
    if (e.field[DDL_NEW_TABLE][0])
      spoil_add(&s, e.field[DDL_NEW_DB], e.field[DDL_NEW_TABLE]);
  }
  look_at(f, inventory_each_file, may_be_anew, true,
          copy_if_made_anew); /* not before: has_triggers() asks for files that may be gone */
  spoil_named(&s);
  for (size_t i = 0; i < s.names.count; i++)
    if (s.names.name[i].table[0])
      files_queue_table(f, s.names.name[i].database, s.names.name[i].table);
  ddl_names_free(&s.names);
  if (news)
    inventory_each_file(f->inventory, idle_is_gone, f);
  free(log);
  if (f->rescan)
    scan_in_window(f);
  if (f->replicated)
    look_at(f, inventory_each_table, is_closed, false, find_changed);
}

static bool is_there_log(const struct files *f, const struct item *item)
{
  (void)f;
  return item->class == ITEM_LOG_TABLE && item->state != ITEM_GONE;
}

static void queue_log_table(struct item *item, void *context)
{
  const struct look *l = context;
  struct files *f = l->files;
  uint64_t size = l->there ? (uint64_t)l->st.st_size : 0;
  if (item->more &&
      (item->state != ITEM_COPIED || item->stamp.inode != l->st.st_ino || size < item->upto))
  {
    f->complex = true; /* emptied, or another file */
    return;
  }
  if (item->state == ITEM_COPIED && l->there &&
      stamp_same(&item->stamp, &l->st, STAMP_WINDOW_SLACK_NS) && !item->more)
    return;
  if (item->more)
  {
    item->from = item->upto;
    item->upto = size;
    item->more = false;
  }
  item->size = size;
  inventory_requeue(f->inventory, item);
}

void files_window_commit(struct files *f)
{
  look_at(f, inventory_each_table, is_there_log, false, queue_log_table);
}

struct sum
{
  uint64_t bytes, largest;
  char *name;
  size_t size;
};

static void add_window_bytes(struct item *item, void *context)
{
  struct sum *s = context;
  if ((item->class != ITEM_CLOSED || !item->in_use) && item->class != ITEM_LOG_TABLE)
    return;
  if (item->state == ITEM_GONE || (item->class == ITEM_LOG_TABLE && item->state == ITEM_COPIED))
    return;
  s->bytes += item->size;
  if (item->size >= s->largest)
  {
    s->largest = item->size;
    snprintf(s->name, s->size, "%s", item->path);
  }
}

uint64_t files_window_bytes(struct files *f, char *largest, size_t size)
{
  struct sum s = {.bytes = f->log_tail, .name = largest, .size = size};
  inventory_each_table(f->inventory, add_window_bytes, &s);
  return s.bytes;
}
