/* The ring's slots; see slots.h. */
#include "plugin/slots.h"
#include "common/ring.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_FUTURE_WRITE | F_SEAL_SEAL)

bool slots_make(struct slots *s, uint64_t bytes, struct gb_error *error)
{
  uint64_t slots = bytes / RING_SLOT_SIZE;
  if (slots > RING_SLOTS_MAX)
    slots = RING_SLOTS_MAX;
  if (slots < RING_REDO_SLOTS + RING_PAGE_SLOTS_MIN)
    slots = RING_REDO_SLOTS + RING_PAGE_SLOTS_MIN;
  s->page_slots = (unsigned)slots - RING_REDO_SLOTS;
  s->map_size = slots * RING_SLOT_SIZE;
  s->free_page = calloc(slots, sizeof(int));
  s->free_redo = calloc(slots, sizeof(int));
  s->reserve = calloc(slots, sizeof(int));
  s->with_agent = calloc(slots, sizeof(bool));
  if (!s->free_page || !s->free_redo || !s->reserve || !s->with_agent)
    return error_set(error, GB_no_memory, "no memory for the ring's tables");
  s->memfd = memfd_create("galera_backup ring", MFD_CLOEXEC | MFD_ALLOW_SEALING);
  if (s->memfd < 0)
    return error_set_errno(error, GB_no_memory, errno, "no memory file for the ring");
  int failed = posix_fallocate(s->memfd, 0, (off_t)s->map_size);
  if (failed)
    return error_set_errno(error, GB_no_memory, failed,
                           "no %zu bytes of shared memory for the ring", s->map_size);
  s->map = mmap(NULL, s->map_size, PROT_READ | PROT_WRITE, MAP_SHARED, s->memfd, 0);
  if (s->map == MAP_FAILED)
  {
    s->map = NULL;
    return error_set_errno(error, GB_no_memory, errno, "the ring of %zu bytes can't be mapped",
                           s->map_size);
  }
  madvise(s->map, s->map_size, MADV_DONTDUMP);
  if (fcntl(s->memfd, F_ADD_SEALS, SEALS))
    return error_set_errno(error, GB_internal, errno, "the ring can't be sealed");
  for (unsigned i = s->page_slots; i-- > 0;)
    s->free_page[s->free_pages++] = (int)i;
  for (unsigned i = 0; i < RING_REDO_SLOTS; i++)
    s->free_redo[s->free_redos++] = (int)(s->page_slots + i);
  return true;
}

void slots_free(struct slots *s)
{
  if (s->map)
    munmap(s->map, s->map_size);
  if (s->memfd >= 0)
    close(s->memfd);
  free(s->free_page);
  free(s->free_redo);
  free(s->reserve);
  free(s->with_agent);
}

int slots_take(struct slots *s, enum slot_pool pool)
{
  switch (pool)
  {
  case SLOT_REDO:
    return s->free_redos ? s->free_redo[--s->free_redos] : -1;
  case SLOT_RESERVE:
    return s->reserved ? s->reserve[--s->reserved] : -1;
  case SLOT_PAGE:
    break;
  }
  return s->free_pages ? s->free_page[--s->free_pages] : -1;
}

void slots_return(struct slots *s, int slot)
{
  if ((unsigned)slot < s->page_slots)
    s->free_page[s->free_pages++] = slot;
  else
    s->free_redo[s->free_redos++] = slot;
}

void slots_hand_over(struct slots *s, int slot)
{
  s->with_agent[slot] = true;
  s->with_agent_count++;
}

bool slots_take_back(struct slots *s, uint32_t slot)
{
  if (slot >= s->page_slots + RING_REDO_SLOTS || !s->with_agent[slot])
    return false;
  s->with_agent[slot] = false;
  s->with_agent_count--;
  slots_return(s, (int)slot);
  return true;
}

bool slots_reserve(struct slots *s, unsigned count)
{
  while (s->reserved < count && s->free_pages)
    s->reserve[s->reserved++] = s->free_page[--s->free_pages];
  return s->reserved >= count;
}

void slots_unreserve(struct slots *s)
{
  while (s->reserved)
    s->free_page[s->free_pages++] = s->reserve[--s->reserved];
}
