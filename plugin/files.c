/* Everything that is not InnoDB; see files.h. */
#include "plugin/files.h"
#include "plugin/ddl_entry.h"
#include "plugin/disk.h"
#include "plugin/engines.h"
#include "plugin/look.h"
#include "plugin/spoil.h"
#include "plugin/stamp.h"
#include "plugin/unopened.h"
#include "common/clock.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SMALL_INDEX                                                                                \
  (1 << 20)                  /* bytes of a .MAI that may be copied once more for its header alone */
#define LARGE_LOG (1u << 20) /* of a log table: smaller files are left to the window */

struct extension
{
  const char *suffix;
  enum item_class class;
};

static const struct extension extensions[] = {
    {".frm", ITEM_DEFINITION}, {".par", ITEM_DEFINITION}, {".opt", ITEM_DEFINITION},
    {".TRG", ITEM_DEFINITION}, {".TRN", ITEM_DEFINITION}, {".isl", ITEM_DEFINITION},
    {".MYD", ITEM_CLOSED},     {".MYI", ITEM_CLOSED},     {".MRG", ITEM_CLOSED},
    {".ARM", ITEM_CLOSED},     {".ARZ", ITEM_CLOSED},     {".CSM", ITEM_CLOSED},
    {".CSV", ITEM_CLOSED},     {".MAI", ITEM_CLOSED},     {".MAD", ITEM_CLOSED},
};

/* Files of the data directory itself that belong to the data; all else there is the server's own.
 */
static const char *const root_files[] = {"ib_buffer_pool", "mysql_upgrade_info",
                                         "mariadb_upgrade_info"};
#define ROOT_FLAG_PREFIX "debian-"
#define ROOT_FLAG_SUFFIX ".flag"

/* Tables written under every lock but BLOCK_COMMIT's. */
static const char *const log_tables[] = {"general_log", "slow_log", "table_stats", "column_stats",
                                         "index_stats"};

#define COUNT(a) (sizeof(a) / sizeof(a)[0])

static void free_names(char ***names, size_t *count)
{
  for (size_t i = 0; i < *count; i++)
    free((*names)[i]);
  free(*names);
  *names = NULL;
  *count = 0;
}

void files_reset(struct files *f)
{
  free_names(&f->in_use, &f->in_use_count);
  free_names(&f->to_close, &f->to_close_count);
  unopened_forget(f);
  f->ddl_log_at = 0;
  f->complex = f->rescan = false;
  f->began = time(NULL) - STAMP_SLACK_NS / 1000000000;
}

static bool is_log_table(const char *path)
{
  if (strncmp(path, "mysql/", 6))
    return false;
  const char *name = path + 6, *dot = strrchr(name, '.');
  for (size_t i = 0; dot && i < COUNT(log_tables); i++)
    if (strlen(log_tables[i]) == (size_t)(dot - name) &&
        !strncmp(name, log_tables[i], (size_t)(dot - name)))
      return true;
  return false;
}

/* Whether the Aria table of this .MAI or .MAD may be copied while it changes. */
static bool aria_online(const struct files *f, const char *path)
{
  char index[WIRE_PATH_MAX];
  struct aria_table table;
  aria_index_path(f->datadir, path, index);
  return aria_read_table(index, &table) && table.online;
}

struct item *files_classify(struct files *f, const char *path, const struct stat *st)
{
  const char *dot = strrchr(path, '.');
  for (size_t i = 0; dot && i < COUNT(extensions); i++)
  {
    if (strcmp(dot, extensions[i].suffix))
      continue;
    enum item_class class = extensions[i].class;
    uint8_t kind = WIRE_KIND_OTHER;
    bool aria = !strcmp(dot, ".MAI") || !strcmp(dot, ".MAD");
    if (aria)
      kind = WIRE_KIND_ARIA;
    if (class == ITEM_CLOSED && is_log_table(path))
      class = ITEM_LOG_TABLE;
    else if (aria && aria_online(f, path) && (!f->replicated || !strncmp(path, "mysql/", 6)))
      class = ITEM_ARIA_ONLINE; /* where appliers write such tables they are copied closed, as all
                                   others that they write */
    struct item *item = inventory_file(f->inventory, class, kind, path);
    if (item)
      item->size = (uint64_t)st->st_size;
    return item;
  }
  return NULL;
}

/* The header of a .MAI says that the table is open; FLUSH closes it. Aria checks and repairs a
   table that was open unless its log names it after the checkpoint. */
static bool open_when_copied(const struct item *item, const struct stat *st)
{
  return disk_ends_with(item->path, ".MAI") && st->st_size <= SMALL_INDEX &&
         !stamp_same(&item->stamp, st, STAMP_WINDOW_SLACK_NS);
}

static void see(struct files *f, struct item *item, const struct stat *st)
{
  if (!item)
    return;
  item->seen = true;
  bool copied = item->state == ITEM_COPIED;
  if (item->class == ITEM_CLOSED || item->class == ITEM_LOG_TABLE)
    inventory_found(f->inventory, item);
  if ((item->state == ITEM_BUSY && !item->discarded) || item->state == ITEM_QUEUED)
    return;
  bool needed = !copied && item->class != ITEM_CLOSED && item->class != ITEM_LOG_TABLE;
  if (copied && item->class == ITEM_DEFINITION)
    needed = !stamp_same(&item->stamp, st, STAMP_SLACK_NS);
  if (copied && item->class == ITEM_ARIA_ONLINE)
    needed = stamp_aria_anew(f->datadir, item->path, &item->stamp) || open_when_copied(item, st);
  if (needed)
    inventory_queue(f->inventory, item);
}

static void scan_database(struct files *f, const char *database)
{
  char full[WIRE_PATH_MAX], path[WIRE_PATH_MAX];
  snprintf(full, sizeof full, "%s%s", f->datadir, database);
  DIR *directory = opendir(full);
  if (!directory)
  {
    disk_unless_gone(full, &f->error);
    return;
  }
  for (struct dirent *e; (e = disk_next_entry(directory, full, &f->error));)
  {
    if (e->d_name[0] == '.' || !strncmp(e->d_name, "#sql", 4))
      continue;
    struct stat st;
    snprintf(path, sizeof path, "%s/%s", database, e->d_name);
    snprintf(full, sizeof full, "%s%s", f->datadir, path);
    if (disk_ends_with(path, ".ibd") ? inventory_is_space_path(f->inventory, path)
                                     : !strrchr(path, '.'))
      continue;
    if (!disk_is_there(full, &st, &f->error) || !S_ISREG(st.st_mode))
      continue;
    /* A tablespace file that InnoDB does not know: waiting for IMPORT; copied by name (rule 11). */
    if (disk_ends_with(path, ".ibd"))
      see(f, inventory_file(f->inventory, ITEM_DEFINITION, WIRE_KIND_OTHER, path), &st);
    else
      see(f, files_classify(f, path, &st), &st);
  }
  closedir(directory);
}

static bool is_root_file(const char *name)
{
  for (size_t i = 0; i < COUNT(root_files); i++)
    if (!strcmp(name, root_files[i]))
      return true;
  return !strncmp(name, ROOT_FLAG_PREFIX, strlen(ROOT_FLAG_PREFIX)) &&
         disk_ends_with(name, ROOT_FLAG_SUFFIX);
}

static void unsee(struct item *item, void *context)
{
  (void)context;
  item->seen = false;
}

static void forget_unseen(struct item *item, void *context)
{
  struct files *f = context;
  if (item->seen || item->kind == WIRE_KIND_ARIA_LOG || item->kind == WIRE_KIND_ARIA_CONTROL ||
      item->state == ITEM_BUSY)
    return;
  f->unsettled =
      f->unsettled ||
      (item->view &&
       item->state != ITEM_GONE); /* perhaps renamed while this scan read its directory */
  inventory_set_state(f->inventory, item, ITEM_GONE);
}

bool files_is_copied(const struct files *f, const struct item *item)
{
  (void)f;
  return item->state == ITEM_COPIED;
}

/* IMPORT TABLESPACE writes pages that are not in the log, and often no record at all: its trace is
   in the file's times. Nobody else writes a tablespace that is not open. */
static void copy_if_imported(struct item *item, void *context)
{
  const struct look *l = context;
  if (item->state == ITEM_COPIED && l->there && !stamp_same(&item->stamp, &l->st, STAMP_SLACK_NS))
    inventory_requeue(l->files->inventory, item);
}

void files_scan(void *argument)
{
  struct files *f = argument;
  uint64_t began = now_us();
  /* What ddl.log names was perhaps copied before; the scan queues it again. An unknown verb is no
   * exception. */
  char *log = ddl_log_read(f->datadir, &f->ddl_log_at, &f->error);
  struct spoiled s = {.files = f};
  f->unknown_engine = false;
  for (char *rest = log, *line; (line = ddl_log_line(&rest));)
  {
    struct ddl_entry e;
    if (!ddl_log_split(line, &e))
      continue;
    f->unsettled = f->unsettled || ddl_entry_may_go_on(f->inventory, f->datadir, &e);
    f->unknown_engine = f->unknown_engine || engines_unknown_in(&e);
    spoil_add(&s, e.field[DDL_ORG_DB],
              strcmp(e.field[DDL_ORG_ENGINE], "DATABASE") ? e.field[DDL_ORG_TABLE] : "");
    if (e.field[DDL_NEW_TABLE][0])
      spoil_add(&s, e.field[DDL_NEW_DB], e.field[DDL_NEW_TABLE]);
  }
  spoil_named(&s);
  ddl_names_free(&s.names);
  free(log);

  inventory_each_file(f->inventory, unsee, NULL);
  DIR *directory = opendir(f->datadir);
  if (!directory)
  {
    error_set_errno(&f->error, GB_io_error, errno, "the data directory %s can't be read",
                    f->datadir);
    return;
  }
  for (struct dirent *e; (e = disk_next_entry(directory, f->datadir, &f->error));)
  {
    char full[WIRE_PATH_MAX];
    struct stat st;
    if (e->d_name[0] == '.')
      continue;
    snprintf(full, sizeof full, "%s%s", f->datadir, e->d_name);
    if (!disk_is_there(full, &st, &f->error))
      continue;
    if (S_ISREG(st.st_mode) && is_root_file(e->d_name))
      see(f, inventory_file(f->inventory, ITEM_DEFINITION, WIRE_KIND_OTHER, e->d_name), &st);
    else if (S_ISDIR(st.st_mode) && !disk_skips(e->d_name))
    {
      see(f, inventory_file(f->inventory, ITEM_DIRECTORY, WIRE_KIND_DIRECTORY, e->d_name), &st);
      scan_database(f, e->d_name);
    }
  }
  closedir(directory);
  inventory_each_file(f->inventory, forget_unseen, f);
  if (f->altered)
    look_at(f, inventory_each_cold, files_is_copied, false, copy_if_imported);
  f->scan_us = now_us() - began;
}

static int compare(const void *a, const void *b)
{
  return strcmp(*(char *const *)a, *(char *const *)b);
}

void files_table_of(const char *path, char *out, size_t size)
{
  snprintf(out, size, "%s", path);
  char *slash = strchr(out, '/');
  if (slash)
    slash[1 + ddl_table_length(slash + 1)] = '\0';
}

void files_sort_tables(char **list, size_t count)
{
  if (count)
    qsort(list, count, sizeof *list, compare);
}

bool files_have_table(char **list, size_t count, const char *path)
{
  char table[WIRE_PATH_MAX];
  const char *key = table;
  files_table_of(path, table, sizeof table);
  return count && bsearch(&key, list, count, sizeof *list, compare);
}

static void queue_closed(struct item *item, void *context)
{
  struct files *f = context;
  if (item->class != ITEM_CLOSED || item->state == ITEM_GONE)
    return;
  item->in_use = files_have_table(f->in_use, f->in_use_count, item->path);
  if (!item->in_use && (item->state == ITEM_IDLE || (item->state == ITEM_BUSY && item->discarded)))
    inventory_requeue(f->inventory, item);
}

/* Log tables grow for years. What is large is copied before the window; what has changed since is
   copied again there, of a CSV file, to which rows are appended and nothing else is done, what
   came. */
static void queue_large_log(struct item *item, void *context)
{
  struct files *f = context;
  if (item->class != ITEM_LOG_TABLE || item->state != ITEM_IDLE || item->size < LARGE_LOG)
    return;
  if (disk_ends_with(item->path, ".CSV"))
  {
    item->from = 0;
    item->upto = item->size;
    item->more = true;
  }
  inventory_requeue(f->inventory, item);
}

void files_queue_closed(struct files *f)
{
  files_sort_tables(f->in_use, f->in_use_count);
  inventory_each_table(f->inventory, queue_closed, f);
  inventory_each_table(f->inventory, queue_large_log, f);
}

void files_queue_table(struct files *f, const char *database, const char *table)
{
  for (size_t i = 0; i < COUNT(extensions); i++)
  {
    char path[WIRE_PATH_MAX], full[WIRE_PATH_MAX];
    struct stat st;
    snprintf(path, sizeof path, "%s/%s%s", database, table, extensions[i].suffix);
    snprintf(full, sizeof full, "%s%s", f->datadir, path);
    if (disk_is_there(full, &st, &f->error) && S_ISREG(st.st_mode))
    {
      struct item *item = files_classify(f, path, &st);
      if (item)
        inventory_queue(f->inventory, item);
    }
  }
  char path[WIRE_PATH_MAX];
  snprintf(path, sizeof path, "%s/%s.ibd", database, table);
  struct item *waiting =
      inventory_is_space_path(f->inventory, path) ? NULL : inventory_find_file(f->inventory, path);
  if (waiting)
    inventory_queue(f->inventory, waiting);
}
