/* Everything that is not InnoDB; see files.h. */
#include "plugin/files.h"
#include "plugin/ddl_entry.h"
#include "plugin/ddl_log.h"
#include "common/clock.h"
#include "common/space.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

/* Rule 16: a file changed so shortly before its read counts as changed. Under DDL; and in the window, where what changes needs a
   lock that the copy excludes, the tick of the kernel's clock. */
#define SLACK_NS       2000000000
#define WINDOW_SLACK_NS  20000000
#define WINDOW_SCAN_US 100000u   /* a scan that took longer is not made again there: commits may be blocked */
#define SMALL_INDEX    (1 << 20) /* bytes of a .MAI that may be copied once more for its header alone */
#define HEAD_SIZE      4096u
#define LOOKS_MAX      100u
#define UNUSED_MIN     (1u << 20) /* smaller files are counted as they are */
#define UNUSED_MAX     (8u << 20) /* an extension is of four extents, undo tablespaces begin with ten MiB */
#define LARGE_LOG      (1u << 20) /* of a log table: smaller files are left to the window */

struct extension
{
  const char *suffix;
  enum item_class class;
};

static const struct extension extensions[] = {
    {".frm", ITEM_DEFINITION}, {".par", ITEM_DEFINITION}, {".opt", ITEM_DEFINITION}, {".TRG", ITEM_DEFINITION},
    {".TRN", ITEM_DEFINITION}, {".isl", ITEM_DEFINITION}, {".MYD", ITEM_CLOSED},     {".MYI", ITEM_CLOSED},
    {".MRG", ITEM_CLOSED},     {".ARM", ITEM_CLOSED},     {".ARZ", ITEM_CLOSED},     {".CSM", ITEM_CLOSED},
    {".CSV", ITEM_CLOSED},     {".MAI", ITEM_CLOSED},     {".MAD", ITEM_CLOSED},
};

/* Files of the data directory itself that belong to the data; all else there is the server's own. */
static const char *const root_files[] = {"ib_buffer_pool", "mysql_upgrade_info", "mariadb_upgrade_info"};
#define ROOT_FLAG_PREFIX "debian-"
#define ROOT_FLAG_SUFFIX ".flag"

/* Tables written under every lock but BLOCK_COMMIT's. */
static const char *const log_tables[] = {"general_log", "slow_log", "table_stats", "column_stats", "index_stats"};

#define COUNT(a) (sizeof(a) / sizeof(a)[0])

static const char *const engines[] = {"InnoDB",     "Aria",   "MyISAM",    "CSV",      "ARCHIVE",
                                      "MRG_MyISAM", "MEMORY", "BLACKHOLE", "SEQUENCE", "PERFORMANCE_SCHEMA",
                                      "FEDERATED",  "partition"};

/* The same as .frm files number them (legacy_db_type in sql/handler.h). MEMORY, MyISAM, MERGE, InnoDB, ARCHIVE, CSV, FEDERATED, BLACKHOLE,
   PERFORMANCE_SCHEMA, Aria, SEQUENCE. */
static const uint8_t engine_numbers[] = {6, 9, 10, 12, 16, 17, 18, 19, 28, 42, 44};

/* What stands in ddl.log in the place of an engine. */
static const char *const no_engines[] = {"", "DATABASE", "TRIGGER", "VIEW"};

bool files_knows_engine(const char *name)
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
  if (item->state != ITEM_COPIED || !item->engine || memchr(engine_numbers, item->engine, COUNT(engine_numbers)))
    return;
  if (!u->count++)
    snprintf(u->first, u->size, "%.*s", (int)(strlen(item->path) - strlen(".frm")), item->path);
}

unsigned files_unloaded(struct inventory *inventory, char *first, size_t size)
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
  return !files_knows_engine(name);
}

/* What is dropped need not be backed up; of a database with a view in it the server says UNKNOWN. */
static bool names_unknown_engine(const struct ddl_entry *e)
{
  if (!strcmp(e->field[DDL_QUERY], "DROP"))
    return false;
  return unknown_engine(e->field[DDL_ORG_ENGINE]) || unknown_engine(e->field[DDL_NEW_ENGINE]);
}

static void free_names(char ***names, size_t *count)
{
  for (size_t i = 0; i < *count; i++)
    free((*names)[i]);
  free(*names);
  *names = NULL;
  *count = 0;
}

static void free_unopened(struct files *f)
{
  for (size_t i = 0; i < f->unopened_count; i++)
    free(f->unopened[i].name);
  free(f->unopened);
  f->unopened = NULL;
  f->unopened_count = 0;
}

void files_reset(struct files *f)
{
  free_names(&f->in_use, &f->in_use_count);
  free_names(&f->to_close, &f->to_close_count);
  free_unopened(f);
  f->ddl_log_at = 0;
  f->complex = f->rescan = false;
  f->began = time(NULL) - SLACK_NS / 1000000000;
}

static bool ends_with(const char *text, const char *suffix)
{
  size_t n = strlen(text), m = strlen(suffix);
  return n >= m && !strcmp(text + n - m, suffix);
}

static bool is_log_table(const char *path)
{
  if (strncmp(path, "mysql/", 6))
    return false;
  const char *name = path + 6, *dot = strrchr(name, '.');
  for (size_t i = 0; dot && i < COUNT(log_tables); i++)
    if (strlen(log_tables[i]) == (size_t)(dot - name) && !strncmp(name, log_tables[i], (size_t)(dot - name)))
      return true;
  return false;
}

/* The first bytes of a file, and (st, unless NULL) what it is; how many, -1: errno says why not. */
static ssize_t read_head(const char *full, uint8_t head[HEAD_SIZE], struct stat *st)
{
  int fd = open(full, O_RDONLY | O_CLOEXEC);
  ssize_t n = fd < 0 || (st && fstat(fd, st)) ? -1 : pread(fd, head, HEAD_SIZE, 0);
  int failed = errno;
  if (fd >= 0)
    close(fd);
  errno = failed;
  return n;
}

/* Whether the Aria table of this .MAI or .MAD may be copied while it changes. */
static bool aria_online(const struct files *f, const char *path)
{
  char full[WIRE_PATH_MAX];
  snprintf(full, sizeof full, "%s%s", f->datadir, path);
  memcpy(full + strlen(full) - 3, "MAI", 3);
  uint8_t head[HEAD_SIZE];
  ssize_t n = read_head(full, head, NULL);
  struct aria_table table;
  return n > 0 && aria_parse_header(head, (size_t)n, &table) && table.online;
}

/* The item of a file in a database's directory, or NULL if it is none of ours. */
static struct item *classify(struct files *f, const char *path, const struct stat *st)
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
      class = ITEM_ARIA_ONLINE; /* where appliers write such tables they are copied closed, as all others that they write */
    struct item *item = inventory_file(f->inventory, class, kind, path);
    if (item)
      item->size = (uint64_t)st->st_size;
    return item;
  }
  return NULL;
}

static bool same_stamp(const struct item_stamp *s, const struct stat *st, int64_t slack_ns)
{
  int64_t age_ns = (s->read_at.tv_sec - st->st_ctim.tv_sec) * (int64_t)1000000000 + s->read_at.tv_nsec - st->st_ctim.tv_nsec;
  return s->inode == st->st_ino && s->size == st->st_size && s->mtime.tv_sec == st->st_mtim.tv_sec &&
         s->mtime.tv_nsec == st->st_mtim.tv_nsec && s->ctime.tv_sec == st->st_ctim.tv_sec &&
         s->ctime.tv_nsec == st->st_ctim.tv_nsec && age_ns > slack_ns;
}

/* Whether a table was made anew since this file of it was copied. Aria's recovery replays no TRUNCATE, ddl.log names none, and it
   names a bulk insert, repair or optimize before it is done; the LSNs in the header of the .MAI tell of all of them. */
static bool aria_made_anew(const struct files *f, const char *path, const struct item_stamp *stamp)
{
  char full[WIRE_PATH_MAX];
  uint8_t head[HEAD_SIZE];
  struct stat st;
  struct aria_table table;
  snprintf(full, sizeof full, "%s%s", f->datadir, path);
  memcpy(full + strlen(full) - 3, "MAI", 3);
  if (stat(full, &st))
    return errno != ENOENT; /* dropped */
  if (stamp->created && same_stamp(stamp, &st, WINDOW_SLACK_NS))
    return false;
  ssize_t n = read_head(full, head, NULL);
  return n <= 0 || !aria_parse_header(head, (size_t)n, &table) || table.created != stamp->created ||
         table.skip_redo != stamp->skip_redo;
}

/* The header of a .MAI says that the table is open; FLUSH closes it. Aria checks and repairs a table that was open unless its log
   names it after the checkpoint. */
static bool open_when_copied(const struct item *item, const struct stat *st)
{
  return ends_with(item->path, ".MAI") && st->st_size <= SMALL_INDEX && !same_stamp(&item->stamp, st, WINDOW_SLACK_NS);
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
    needed = !same_stamp(&item->stamp, st, SLACK_NS);
  if (copied && item->class == ITEM_ARIA_ONLINE)
    needed = aria_made_anew(f, item->path, &item->stamp) || open_when_copied(item, st);
  if (needed)
    inventory_queue(f->inventory, item);
}

static bool skip_directory(const char *name)
{
  return name[0] == '.' || name[0] == '#' || !strcmp(name, "lost+found");
}

/* After an error. */
static void unless_gone(struct files *f, const char *path)
{
  if (errno != ENOENT && errno != ENOTDIR)
    error_set_errno(&f->error, GB_io_error, errno, "%s can't be read", path);
}

bool files_is_there(struct files *f, const char *path, struct stat *st)
{
  if (!stat(path, st))
    return true;
  unless_gone(f, path);
  return false;
}

struct dirent *files_next_entry(struct files *f, DIR *directory, const char *path)
{
  errno = 0;
  struct dirent *e = readdir(directory);
  if (!e && errno)
    unless_gone(f, path);
  return e;
}

bool files_add_unopened(struct files *f, const char *name, uint32_t space_id)
{
  if (!(f->unopened_count & (f->unopened_count - 1)))
  {
    struct unopened *more = realloc(f->unopened, (f->unopened_count ? 2 * f->unopened_count : 1) * sizeof *more);
    if (!more)
      return false;
    f->unopened = more;
  }
  char *copy = strdup(name);
  if (!copy)
    return false;
  f->unopened[f->unopened_count++] = (struct unopened){copy, space_id};
  return true;
}

/* Adds the file to the inventory if its first page says that it is that tablespace. */
static bool add_if_space(struct files *f, const char *full, uint32_t space_id)
{
  uint8_t head[HEAD_SIZE];
  struct stat st;
  ssize_t n = read_head(full, head, &st);
  if (n < 0)
    unless_gone(f, full);
  struct space_info info;
  struct gb_error ignored = {0};
  bool zero;
  if (n < (ssize_t)sizeof head || !space_parse(head, sizeof head, &info, &zero, &ignored) || info.id != space_id)
    return false;
  char path[WIRE_PATH_MAX];
  inventory_clean_path(path, sizeof path, full, f->datadir);
  inventory_add_unopened(f->inventory, space_id, path, (uint64_t)st.st_size);
  return true;
}

void files_find_unopened(void *argument)
{
  struct files *f = argument;
  for (size_t i = 0; i < f->unopened_count && !f->error.code; i++)
  {
    const struct unopened *u = &f->unopened[i];
    char full[WIRE_PATH_MAX], link[WIRE_PATH_MAX];
    snprintf(full, sizeof full, "%s%s.ibd", f->datadir, u->name);
    if (add_if_space(f, full, u->space_id))
      continue;
    snprintf(full, sizeof full, "%s%s.isl", f->datadir, u->name);
    int fd = open(full, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : pread(fd, link, sizeof link - 1, 0);
    if (n < 0)
      unless_gone(f, full);
    if (fd >= 0)
      close(fd);
    if (n <= 0)
      continue;
    link[n] = '\0';
    link[strcspn(link, "\r\n")] = '\0';
    add_if_space(f, link, u->space_id);
  }
  free_unopened(f);
}

static void scan_database(struct files *f, const char *database)
{
  char full[WIRE_PATH_MAX], path[WIRE_PATH_MAX];
  snprintf(full, sizeof full, "%s%s", f->datadir, database);
  DIR *directory = opendir(full);
  if (!directory)
  {
    unless_gone(f, full);
    return;
  }
  for (struct dirent *e; (e = files_next_entry(f, directory, full));)
  {
    if (e->d_name[0] == '.' || !strncmp(e->d_name, "#sql", 4))
      continue;
    struct stat st;
    snprintf(path, sizeof path, "%s/%s", database, e->d_name);
    snprintf(full, sizeof full, "%s%s", f->datadir, path);
    if (ends_with(path, ".ibd") ? inventory_is_space_path(f->inventory, path) : !strrchr(path, '.'))
      continue;
    if (!files_is_there(f, full, &st) || !S_ISREG(st.st_mode))
      continue;
    /* A tablespace file that InnoDB does not know: waiting for IMPORT; copied by name (rule 11). */
    if (ends_with(path, ".ibd"))
      see(f, inventory_file(f->inventory, ITEM_DEFINITION, WIRE_KIND_OTHER, path), &st);
    else
      see(f, classify(f, path, &st), &st);
  }
  closedir(directory);
}

static bool is_root_file(const char *name)
{
  for (size_t i = 0; i < COUNT(root_files); i++)
    if (!strcmp(name, root_files[i]))
      return true;
  return !strncmp(name, ROOT_FLAG_PREFIX, strlen(ROOT_FLAG_PREFIX)) && ends_with(name, ROOT_FLAG_SUFFIX);
}

static void unsee(struct item *item, void *context)
{
  (void)context;
  item->seen = false;
}

static void forget_unseen(struct item *item, void *context)
{
  struct files *f = context;
  if (item->seen || item->kind == WIRE_KIND_ARIA_LOG || item->kind == WIRE_KIND_ARIA_CONTROL || item->state == ITEM_BUSY)
    return;
  f->unsettled = f->unsettled || (item->view && item->state != ITEM_GONE); /* perhaps renamed while this scan read its directory */
  inventory_set_state(f->inventory, item, ITEM_GONE);
}

struct spoiled
{
  struct files *files;
  struct ddl_names names;
};

static void spoil(struct item *item, void *context)
{
  const struct spoiled *s = context;
  if ((item->state != ITEM_COPIED && item->state != ITEM_BUSY) || !ddl_names_have(&s->names, item->path))
    return;
  if (item->state == ITEM_COPIED)
    inventory_set_state(s->files->inventory, item, ITEM_IDLE);
  else
    item->again = true;
}

static void add_name(struct spoiled *s, const char *database, const char *table)
{
  if (!ddl_names_add(&s->names, database, table))
    error_set(&s->files->error, GB_no_memory, "no memory for what ddl.log names");
}

/* Copies of what is named count for nothing; all in one walk, however much that is. */
static void spoil_named(struct spoiled *s)
{
  ddl_names_sort(&s->names);
  if (s->names.count)
    inventory_each_file(s->files->inventory, spoil, s);
}

static void queue_in_visit(struct files *f, struct item *item)
{
  if (item->state == ITEM_BUSY)
    item->again = true;
  else
    inventory_set_state(f->inventory, item, ITEM_QUEUED);
}

/* What a file is now, for an item that may be looked at only while nobody changes it: the disk, which may hang, is asked between. */
struct look
{
  struct files *files;
  bool there, anew; /* anew: aria_made_anew(), where `aria` was asked for */
  struct stat st;
};

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
  bool (*wanted)(const struct files *files, const struct item *item);
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
  l->list[l->count++] = (struct looked_at){item, l->used, item->stamp, item->class == ITEM_ARIA_ONLINE};
  memcpy(l->text + l->used, item->path, n);
  l->used += n;
}

typedef void each_item(struct inventory *inventory, void (*visit)(struct item *item, void *context), void *context);

/* Visits, with a struct look, those of `each` that are wanted. aria: whether their tables were made anew is to be found out, too. */
static void look_at(struct files *f, each_item *each, bool (*wanted)(const struct files *files, const struct item *item), bool aria,
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
    look.there = files_is_there(f, full, &look.st);
    look.anew = aria && at->aria && look.there && aria_made_anew(f, path, &at->stamp);
    inventory_visit(f->inventory, at->item, path, visit, &look);
  }
  free(l.list);
  free(l.text);
}

static bool is_copied(const struct files *f, const struct item *item)
{
  (void)f;
  return item->state == ITEM_COPIED;
}

/* IMPORT TABLESPACE writes pages that are not in the log, and often no record at all: its trace is in the file's times. Nobody
   else writes a tablespace that is not open. */
static void copy_if_imported(struct item *item, void *context)
{
  const struct look *l = context;
  if (item->state == ITEM_COPIED && l->there && !same_stamp(&item->stamp, &l->st, SLACK_NS))
    queue_in_visit(l->files, item);
}

/* In the pause the first record of what was imported is perhaps not read yet, and comes too late then. */
static void note_if_imported(struct item *item, void *context)
{
  const struct look *l = context;
  if (item->state == ITEM_COPIED && l->there && !same_stamp(&item->stamp, &l->st, WINDOW_SLACK_NS))
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

void files_scan(void *argument)
{
  struct files *f = argument;
  uint64_t began = now_us();
  /* What ddl.log names was perhaps copied before; the scan queues it again. An unknown verb is no exception. */
  char *log = ddl_log_read(f->datadir, &f->ddl_log_at, &f->error);
  struct spoiled s = {.files = f};
  f->unknown_engine = false;
  for (char *rest = log, *line; (line = ddl_log_line(&rest));)
  {
    struct ddl_entry e;
    if (!ddl_log_split(line, &e))
      continue;
    f->unsettled = f->unsettled || ddl_entry_may_go_on(f->inventory, f->datadir, &e);
    f->unknown_engine = f->unknown_engine || names_unknown_engine(&e);
    add_name(&s, e.field[DDL_ORG_DB], strcmp(e.field[DDL_ORG_ENGINE], "DATABASE") ? e.field[DDL_ORG_TABLE] : "");
    if (e.field[DDL_NEW_TABLE][0])
      add_name(&s, e.field[DDL_NEW_DB], e.field[DDL_NEW_TABLE]);
  }
  spoil_named(&s);
  ddl_names_free(&s.names);
  free(log);

  inventory_each_file(f->inventory, unsee, NULL);
  DIR *directory = opendir(f->datadir);
  if (!directory)
  {
    error_set_errno(&f->error, GB_io_error, errno, "the data directory %s can't be read", f->datadir);
    return;
  }
  for (struct dirent *e; (e = files_next_entry(f, directory, f->datadir));)
  {
    char full[WIRE_PATH_MAX];
    struct stat st;
    if (e->d_name[0] == '.')
      continue;
    snprintf(full, sizeof full, "%s%s", f->datadir, e->d_name);
    if (!files_is_there(f, full, &st))
      continue;
    if (S_ISREG(st.st_mode) && is_root_file(e->d_name))
      see(f, inventory_file(f->inventory, ITEM_DEFINITION, WIRE_KIND_OTHER, e->d_name), &st);
    else if (S_ISDIR(st.st_mode) && !skip_directory(e->d_name))
    {
      see(f, inventory_file(f->inventory, ITEM_DIRECTORY, WIRE_KIND_DIRECTORY, e->d_name), &st);
      scan_database(f, e->d_name);
    }
  }
  closedir(directory);
  inventory_each_file(f->inventory, forget_unseen, f);
  if (f->altered)
    look_at(f, inventory_each_cold, is_copied, false, copy_if_imported);
  f->scan_us = now_us() - began;
}

static int compare(const void *a, const void *b)
{
  return strcmp(*(char *const *)a, *(char *const *)b);
}

/* "db/table" of a path. */
static void table_of(const char *path, char *out, size_t size)
{
  snprintf(out, size, "%s", path);
  char *slash = strchr(out, '/');
  if (slash)
    slash[1 + ddl_table_length(slash + 1)] = '\0';
}

static void queue_closed(struct item *item, void *context)
{
  struct files *f = context;
  if (item->class != ITEM_CLOSED || item->state == ITEM_GONE)
    return;
  char table[WIRE_PATH_MAX];
  const char *key = table;
  table_of(item->path, table, sizeof table);
  item->in_use = f->in_use_count && bsearch(&key, f->in_use, f->in_use_count, sizeof *f->in_use, compare);
  if (!item->in_use && (item->state == ITEM_IDLE || (item->state == ITEM_BUSY && item->discarded)))
    queue_in_visit(f, item);
}

/* Log tables grow for years. What is large is copied before the window; what has changed since is copied again there, of a CSV file, to
   which rows are appended and nothing else is done, what came. */
static void queue_large_log(struct item *item, void *context)
{
  struct files *f = context;
  if (item->class != ITEM_LOG_TABLE || item->state != ITEM_IDLE || item->size < LARGE_LOG)
    return;
  if (ends_with(item->path, ".CSV"))
  {
    item->from = 0;
    item->upto = item->size;
    item->more = true;
  }
  queue_in_visit(f, item);
}

void files_queue_closed(struct files *f)
{
  if (f->in_use_count)
    qsort(f->in_use, f->in_use_count, sizeof *f->in_use, compare);
  inventory_each_table(f->inventory, queue_closed, f);
  inventory_each_table(f->inventory, queue_large_log, f);
}

/* The files of one table, now; in the window, so no directory is read. */
static void probe_table(struct files *f, const char *database, const char *table)
{
  for (size_t i = 0; i < COUNT(extensions); i++)
  {
    char path[WIRE_PATH_MAX], full[WIRE_PATH_MAX];
    struct stat st;
    snprintf(path, sizeof path, "%s/%s%s", database, table, extensions[i].suffix);
    snprintf(full, sizeof full, "%s%s", f->datadir, path);
    if (files_is_there(f, full, &st) && S_ISREG(st.st_mode))
    {
      struct item *item = classify(f, path, &st);
      if (item)
        inventory_queue(f->inventory, item);
    }
  }
  char path[WIRE_PATH_MAX];
  snprintf(path, sizeof path, "%s/%s.ibd", database, table);
  struct item *waiting = inventory_is_space_path(f->inventory, path) ? NULL : inventory_find_file(f->inventory, path);
  if (waiting)
    inventory_queue(f->inventory, waiting);
}

/* The directory, and db.opt; if it is gone, all in it is spoiled. */
static void probe_database(struct files *f, const char *database, struct spoiled *s)
{
  char full[WIRE_PATH_MAX], path[WIRE_PATH_MAX];
  struct stat st;
  snprintf(full, sizeof full, "%s%s", f->datadir, database);
  struct item *item = inventory_file(f->inventory, ITEM_DIRECTORY, WIRE_KIND_DIRECTORY, database);
  if (!files_is_there(f, full, &st) || !S_ISDIR(st.st_mode))
  {
    add_name(s, database, "");
    if (item)
      inventory_gone(f->inventory, item);
    return;
  }
  if (item)
    inventory_queue(f->inventory, item);
  snprintf(path, sizeof path, "%s/db.opt", database);
  snprintf(full, sizeof full, "%s%s", f->datadir, path);
  if (files_is_there(f, full, &st) && (item = classify(f, path, &st)))
    inventory_queue(f->inventory, item);
}

/* Of a CREATE TABLE ... SELECT that fails ddl.log says nothing; it has begun after BACKUP STAGE START. Nor does it of a DROP DATABASE that finds a
   file of somebody else in the directory. */
static bool may_vanish(const struct files *f, const struct item *item)
{
  return item->class == ITEM_ARIA_ONLINE || item->class == ITEM_CLOSED || item->view || ends_with(item->path, "/db.opt") ||
         (item->class == ITEM_DEFINITION && item->stamp.ctime.tv_sec >= f->began);
}

static bool may_be_anew(const struct files *f, const struct item *item)
{
  return item->state == ITEM_COPIED ? may_vanish(f, item)
                                    : item->state == ITEM_GONE && (item->class == ITEM_CLOSED || item->class == ITEM_ARIA_ONLINE);
}

/* A TRUNCATE that makes a table anew is not in ddl.log, and FLUSH does not hold it up. */
static void copy_if_made_anew(struct item *item, void *context)
{
  const struct look *l = context;
  struct files *f = l->files;
  /* Other files come into the place of a table's one after the other: who came in the midst of it found none. */
  bool anew = l->anew || (item->state == ITEM_GONE && l->there);
  if (item->class == ITEM_CLOSED && !item->in_use && !f->replicated)
    anew = anew || (l->there && !same_stamp(&item->stamp, &l->st, WINDOW_SLACK_NS));
  if (item->state != ITEM_COPIED && item->state != ITEM_GONE)
    return;
  f->rescan = f->rescan || (item->view && (!l->there || !same_stamp(&item->stamp, &l->st, WINDOW_SLACK_NS)));
  if (!l->there)
    inventory_set_state(f->inventory, item, ITEM_GONE);
  else if (anew)
    queue_in_visit(f, item);
}

static void idle_is_gone(struct item *item, void *context)
{
  struct files *f = context;
  /* Spoiled by ddl.log and not found again: dropped or renamed away. */
  if (item->state == ITEM_IDLE && (item->class == ITEM_DEFINITION || item->class == ITEM_ARIA_ONLINE ||
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

/* Each statement of an applier ends with its blocks written, so a table without a change since its copy is unchanged. */
static void find_changed(struct item *item, void *context)
{
  const struct look *l = context;
  char table[WIRE_PATH_MAX];
  if (item->state == ITEM_COPIED && !item->in_use && l->there && same_stamp(&item->stamp, &l->st, SLACK_NS))
    return;
  table_of(item->path, table, sizeof table);
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
  char table[WIRE_PATH_MAX];
  const char *key = table;
  if (item->class != ITEM_CLOSED || item->state == ITEM_GONE)
    return;
  table_of(item->path, table, sizeof table);
  if (f->to_close_count && bsearch(&key, f->to_close, f->to_close_count, sizeof *f->to_close, compare))
    item->in_use = true;
  if (item->in_use)
    queue_in_visit(f, item);
}

void files_window_tables(struct files *f)
{
  if (f->to_close_count)
    qsort(f->to_close, f->to_close_count, sizeof *f->to_close, compare);
  inventory_each_table(f->inventory, queue_in_use, f);
}

static void queue_found(struct item *item, void *context)
{
  if (item->class == ITEM_CLOSED && item->state == ITEM_IDLE && !item->in_use)
    queue_in_visit(context, item);
}

/* DDL is blocked: what is found now stays. Where appliers write closed tables, what is new among them is closed and queued later. */
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
    look_at(f, inventory_each_cold, is_copied, false, note_if_imported);
  f->complex = f->complex || (f->altered_since && deleted_is_there(f));
  for (char *rest = log, *line; (line = ddl_log_line(&rest));)
  {
    struct ddl_entry e;
    news = true;
    if (!ddl_log_split(line, &e))
    {
      f->complex = true;
      break;
    }
    f->complex = f->complex || names_unknown_engine(&e); /* to be refused */
    f->rescan = f->rescan || ddl_entry_needs_scan(f->inventory, f->datadir, &e);
    if (!strcmp(e.field[DDL_ORG_ENGINE], "DATABASE"))
    {
      probe_database(f, e.field[DDL_ORG_DB], &s);
      continue;
    }
    add_name(&s, e.field[DDL_ORG_DB], e.field[DDL_ORG_TABLE]);
    if (e.field[DDL_NEW_TABLE][0])
      add_name(&s, e.field[DDL_NEW_DB], e.field[DDL_NEW_TABLE]);
  }
  look_at(f, inventory_each_file, may_be_anew, true, copy_if_made_anew); /* not before: has_triggers() asks for files that may be gone */
  spoil_named(&s);
  for (size_t i = 0; i < s.names.count; i++)
    if (s.names.name[i].table[0])
      probe_table(f, s.names.name[i].database, s.names.name[i].table);
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
  if (item->more && (item->state != ITEM_COPIED || item->stamp.inode != l->st.st_ino || size < item->upto))
  {
    f->complex = true; /* emptied, or another file */
    return;
  }
  if (item->state == ITEM_COPIED && l->there && same_stamp(&item->stamp, &l->st, WINDOW_SLACK_NS) && !item->more)
    return;
  if (item->more)
  {
    item->from = item->upto;
    item->upto = size;
    item->more = false;
  }
  item->size = size;
  queue_in_visit(f, item);
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

/* Of a tablespace: what is behind its free limit is not copied. The first page on disk may be an older one, so no more is left out than
   what the server makes a file larger by at once; and no more than LOOKS_MAX files are looked at: a backup does not begin with a read for
   each table. */
static uint64_t used_bytes(const char *full, uint64_t size, unsigned *looks)
{
  uint8_t head[HEAD_SIZE];
  struct space_info info;
  struct gb_error ignored = {0};
  bool zero;
  if (size < UNUSED_MIN || (*looks)++ >= LOOKS_MAX || read_head(full, head, NULL) < (ssize_t)sizeof head ||
      !space_parse(head, sizeof head, &info, &zero, &ignored))
    return size;
  uint64_t used = (uint64_t)info.free_limit * info.format.page_size;
  if (used + UNUSED_MAX < size)
    used = size - UNUSED_MAX;
  return used < size ? used : size;
}

static void note_name(struct files_survey *survey, const char *database, const char *file)
{
  size_t table = ddl_table_length(file), n = strlen(database) + table;
  if (file[0] == '#' || skip_directory(database) || !ends_with(file, ".frm") || n <= survey->longest)
    return;
  survey->longest = n;
  snprintf(survey->longest_name, sizeof survey->longest_name, "%s/%.*s", database, (int)table, file);
}

void files_survey(const char *datadir, struct files_survey *survey)
{
  unsigned looks = 0;
  *survey = (struct files_survey){0};
  DIR *root = opendir(datadir);
  for (struct dirent *e; root && (e = readdir(root));)
  {
    char full[WIRE_PATH_MAX];
    struct stat st;
    if (e->d_name[0] == '.')
      continue;
    snprintf(full, sizeof full, "%s%s", datadir, e->d_name);
    if (stat(full, &st))
      continue;
    if (S_ISREG(st.st_mode) && !strncmp(e->d_name, "ibdata", 6))
      survey->bytes += (uint64_t)st.st_size;
    if (S_ISREG(st.st_mode) && !strncmp(e->d_name, "undo", 4))
      survey->bytes += used_bytes(full, (uint64_t)st.st_size, &looks);
    DIR *database = S_ISDIR(st.st_mode) ? opendir(full) : NULL;
    for (struct dirent *file; database && (file = readdir(database));)
    {
      char name[WIRE_PATH_MAX];
      snprintf(name, sizeof name, "%s/%s", full, file->d_name);
      note_name(survey, e->d_name, file->d_name);
      if (file->d_name[0] != '.' && !stat(name, &st) && S_ISREG(st.st_mode))
        survey->bytes += ends_with(name, ".ibd") ? used_bytes(name, (uint64_t)st.st_size, &looks) : (uint64_t)st.st_size;
    }
    if (database)
      closedir(database);
  }
  if (root)
    closedir(root);
}
