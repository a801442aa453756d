/* Tablespaces that nobody has opened; see unopened.h. */
#include "plugin/unopened.h"
#include "plugin/disk.h"
#include "common/space.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void unopened_forget(struct files *f)
{
  for (size_t i = 0; i < f->unopened_count; i++)
    free(f->unopened[i].name);
  free(f->unopened);
  f->unopened = NULL;
  f->unopened_count = 0;
}

bool unopened_add(struct files *f, const char *name, uint32_t space_id)
{
  if (!(f->unopened_count & (f->unopened_count - 1)))
  {
    struct unopened *more =
        realloc(f->unopened, (f->unopened_count ? 2 * f->unopened_count : 1) * sizeof *more);
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
  uint8_t head[DISK_HEAD_SIZE];
  struct stat st;
  ssize_t n = disk_head(full, head, &st);
  if (n < 0)
    disk_unless_gone(full, &f->error);
  struct space_info info;
  struct gb_error ignored = {0};
  bool zero;
  if (n < (ssize_t)sizeof head || !space_parse(head, sizeof head, &info, &zero, &ignored) ||
      info.id != space_id)
    return false;
  char path[WIRE_PATH_MAX];
  inventory_clean_path(path, sizeof path, full, f->datadir);
  inventory_add_unopened(f->inventory, space_id, path, (uint64_t)st.st_size);
  return true;
}

/* NAME.ibd, or what NAME.isl points to. False: there is no such file. */
static bool find_one(struct files *f, const struct unopened *u)
{
  char full[WIRE_PATH_MAX], link[WIRE_PATH_MAX];
  snprintf(full, sizeof full, "%s%s.ibd", f->datadir, u->name);
  bool there = !access(full, F_OK);
  if (there && add_if_space(f, full, u->space_id))
    return true;
  snprintf(full, sizeof full, "%s%s.isl", f->datadir, u->name);
  int fd = open(full, O_RDONLY | O_CLOEXEC);
  ssize_t n = fd < 0 ? -1 : pread(fd, link, sizeof link - 1, 0);
  if (n < 0)
    disk_unless_gone(full, &f->error);
  if (fd >= 0)
    close(fd);
  if (n <= 0)
    return there;
  link[n] = '\0';
  link[strcspn(link, "\r\n")] = '\0';
  if (access(link, F_OK))
    return there;
  add_if_space(f, link, u->space_id);
  return true;
}

void unopened_find(void *argument)
{
  struct files *f = argument;
  size_t absent = 0;
  for (size_t i = 0; i < f->unopened_count; i++)
    if (!f->error.code && find_one(f, &f->unopened[i]))
      free(f->unopened[i].name);
    else
      f->unopened[absent++] = f->unopened[i];
  f->unopened_count = absent;
}

bool unopened_appeared(struct files *f)
{
  for (size_t i = 0; i < f->unopened_count; i++)
    if (find_one(f, &f->unopened[i]))
      return true;
  return false;
}
