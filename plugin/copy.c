/* How one file gets into slots; see copy.h. */
#include "plugin/copy.h"
#include "plugin/copy_file.h"
#include "plugin/copy_space.h"
#include "plugin/disk.h"

#include <string.h>

enum copy_result copy_item(struct copier *c, struct item *item, uint32_t number, const char *path,
                           struct gb_error *error)
{
  c->sent = 0;
  if (item->class == ITEM_SPACE)
    return copy_space(c, item, number, path, error);
  if (item->class != ITEM_DIRECTORY)
    return copy_file(c, item, number, path, error);
  char full[WIRE_PATH_MAX];
  copier_path(c, path, full, sizeof full);
  struct stat st;
  if (stat(full, &st) || !S_ISDIR(st.st_mode))
    return COPY_GONE;
  copier_announce(c, item, number, path, 0, st.st_mode);
  copier_done(c, number, 0, false);
  return COPY_DONE;
}

bool copy_bytes(struct copier *c, uint8_t kind, const char *path, uint32_t mode, const void *data,
                uint32_t size, uint32_t number)
{
  uint32_t space_left;
  uint8_t *to = copier_room(c, &space_left);
  if (!to || size > space_left)
    return false;
  struct item item = {.kind = kind, .space_id = SPACE_ID_NONE};
  c->sent = 0;
  copier_announce(c, &item, number, path, 0, mode);
  memcpy(to, data, size);
  copier_extent(c, number, 0, size, c->at);
  c->at += disk_align(size);
  copier_done(c, number, size, false);
  return true;
}
