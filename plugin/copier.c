/* Slots filled with pieces of files; see copier.h. */
#include "plugin/copier.h"
#include "plugin/disk.h"
#include "plugin/progress.h"
#include "plugin/throttle.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PAGE_SIZE_LEAST 1024u /* of InnoDB and of Aria */
#define EXTENTS_FULL    (WIRE_EXTENTS_MAX - 256u)
#define ROOM_MIN        (64u << 10) /* a slot with less room left is handed over */

bool copier_init(struct copier *c, struct copy_shared *shared)
{
  memset(c, 0, sizeof *c);
  c->shared = shared;
  c->slot = -1;
  c->message = malloc(sizeof *c->message);
  return c->message && !posix_memalign((void **)&c->scratch, DISK_ALIGNMENT, SPACE_PAGE_SIZE_MAX);
}

void copier_free(struct copier *c)
{
  if (c->slot >= 0)
    channel_slot_return(c->shared->channel, c->slot);
  free(c->message);
  free(c->scratch);
  free(c->second);
}

void copier_flush(struct copier *c)
{
  if (c->slot < 0)
    return;
  if (c->message->count)
  {
    c->message->slot = (uint32_t)c->slot;
    channel_send_slot(c->shared->channel, c->message);
  }
  else
    channel_slot_return(c->shared->channel, c->slot);
  c->slot = -1;
}

uint8_t *copier_room(struct copier *c, uint32_t *size)
{
  struct copy_shared *s = c->shared;
  if (c->slot >= 0 && (RING_SLOT_SIZE - c->at < ROOM_MIN || c->message->count >= EXTENTS_FULL))
    copier_flush(c);
  if (c->slot < 0)
  {
    uint64_t before = now_us();
    c->slot = channel_slot_take(s->channel, s->window ? SLOT_RESERVE : SLOT_PAGE, &s->stop);
    __atomic_fetch_add(&s->slot_wait_us, now_us() - before, __ATOMIC_RELAXED);
    if (c->slot < 0)
    {
      if (s->window)
        __atomic_store_n(&s->overflow, true, __ATOMIC_RELAXED);
      return NULL;
    }
    c->at = 0;
    c->message->count = 0;
  }
  *size = RING_SLOT_SIZE - c->at;
  return channel_slot_data(s->channel, c->slot) + c->at;
}

void copier_extent(struct copier *c, uint32_t number, uint64_t offset, uint32_t length, uint32_t at)
{
  struct wire_slot *m = c->message;
  c->sent += length;
  struct wire_extent *last = m->count ? &m->extents[m->count - 1] : NULL;
  if (last && last->file_no == number && last->offset + last->length == offset &&
      last->at + last->length == at)
    last->length += length;
  else if (m->count < WIRE_EXTENTS_MAX)
    m->extents[m->count++] = (struct wire_extent){number, offset, length, at};
}

void copier_announce(struct copier *c, const struct item *item, uint32_t number, const char *path,
                     uint32_t page_size, mode_t mode)
{
  struct wire_file m = {.file_no = number,
                        .kind = item->kind,
                        .space_id = item->space_id,
                        .page_size = page_size,
                        .mode = mode & 0777};
  snprintf(m.path, sizeof m.path, "%s", path);
  channel_send_file(c->shared->channel, &m);
}

void copier_done(struct copier *c, uint32_t number, uint64_t size, bool unverifiable)
{
  struct wire_file_done m = {
      .file_no = number, .size = size, .unverifiable = unverifiable, .sent = c->sent};
  channel_send_file_done(c->shared->channel, &m);
}

void copier_path(const struct copier *c, const char *path, char *out, size_t size)
{
  snprintf(out, size, "%s%s", path[0] == '/' ? "" : c->shared->datadir, path);
}

void copier_throttle(struct copier *c, size_t bytes)
{
  struct copy_shared *s = c->shared;
  if (s->window || s->urgent)
    return;
  uint64_t before = now_us();
  if (throttle_take(bytes, &s->stop))
    __atomic_fetch_add(&s->throttle_wait_us, now_us() - before, __ATOMIC_RELAXED);
}

bool copier_settle(struct copier *c, int fd, uint8_t *data, uint32_t size, uint32_t first,
                   uint64_t offset, uint32_t page_size)
{
  bool settled[RING_SLOT_SIZE / PAGE_SIZE_LEAST] = {false};
  if (!c->second && posix_memalign((void **)&c->second, DISK_ALIGNMENT, RING_SLOT_SIZE))
  {
    c->second = NULL;
    return false;
  }
  for (int i = 0; i < COPY_PAGE_TRIES && !c->shared->stop; i++)
  {
    usleep(COPY_PAGE_RETRY_US);
    if (disk_read(fd, c->second, size, offset) != (ssize_t)size)
      return false;
    bool all = true;
    for (uint32_t at = first, number = 0; at < size; at += page_size, number++)
    {
      uint32_t n = size - at < page_size ? size - at : page_size;
      if (settled[number])
        continue;
      settled[number] = !memcmp(c->second + at, data + at, n);
      if (!settled[number])
        memcpy(data + at, c->second + at, n);
      all = all && settled[number];
    }
    if (all)
      return true;
  }
  return false;
}
