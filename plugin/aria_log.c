/* Aria's logs; see aria_log.h. */
#include "plugin/aria_log.h"
#include "plugin/disk.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Visits the files aria_log.NNNNNNNN. */
static void each_aria_log(struct files *f,
                          void (*visit)(struct files *f, struct item *item, uint64_t size))
{
  DIR *directory = opendir(f->aria_dir);
  if (!directory)
  {
    error_set_errno(&f->error, GB_io_error, errno, "Aria's log directory %s can't be read",
                    f->aria_dir);
    return;
  }
  for (struct dirent *e; (e = disk_next_entry(directory, f->aria_dir, &f->error));)
  {
    if (strncmp(e->d_name, "aria_log.", 9) ||
        strspn(e->d_name + 9, "0123456789") != strlen(e->d_name + 9))
      continue;
    char full[WIRE_PATH_MAX], path[WIRE_PATH_MAX];
    struct stat st;
    snprintf(full, sizeof full, "%s%s", f->aria_dir, e->d_name);
    inventory_clean_path(path, sizeof path, full, f->datadir);
    if (!disk_is_there(full, &st, &f->error))
      continue;
    struct item *item = inventory_file(f->inventory, ITEM_ARIA_LOG, WIRE_KIND_ARIA_LOG, path);
    if (item)
      visit(f, item, (uint64_t)st.st_size);
  }
  closedir(directory);
}

/* Of which file: the number at the end of its name. */
static uint32_t log_number(const struct item *item)
{
  const char *dot = strrchr(item->path, '.');
  return dot ? (uint32_t)strtoul(dot + 1, NULL, 10) : 0;
}

static void find_newest(struct files *f, struct item *item, uint64_t size)
{
  if (log_number(item) < f->newest_log)
    return;
  f->newest_log = log_number(item);
  f->newest_log_size = size;
}

static void queue_bulk(struct files *f, struct item *item, uint64_t size)
{
  /* The first page is rewritten when the next file starts; the tail of the log, which the newest
     file has all or a part of, is still being written. */
  uint64_t tail = ARIA_LOG_TAIL, number = log_number(item);
  if (number != f->newest_log)
    tail = number + 1 == f->newest_log && f->newest_log_size < tail ? tail - f->newest_log_size : 0;
  uint64_t stable = size > tail ? (size - tail) & ~(uint64_t)(ARIA_LOG_PAGE - 1) : 0;
  f->log_tail += size - stable;
  if (stable <= ARIA_LOG_PAGE || item->file_no)
    return;
  item->from = ARIA_LOG_PAGE;
  item->upto = stable;
  item->more = true;
  item->size = stable;
  inventory_queue(f->inventory, item);
}

void aria_log_queue_bulk(void *argument)
{
  struct files *f = argument;
  f->newest_log = 0;
  f->newest_log_size = f->log_tail = 0;
  each_aria_log(f, find_newest);
  each_aria_log(f, queue_bulk);
}

static void queue_tail(struct files *f, struct item *item, uint64_t size)
{
  if (item->more)
  {
    item->from = item->upto;
    item->more = false;
  }
  else
    item->from = 0;
  item->upto = size;
  item->size = size;
  inventory_queue(f->inventory, item);
}

void aria_log_queue_tails(struct files *f)
{
  each_aria_log(f, queue_tail);
}
