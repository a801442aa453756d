/*
  The ring: a sealed memory file of slots, allocated all at once, and who has which. No lock of its
  own: the channel's mutex is held.
*/
#ifndef GB_PLUGIN_SLOTS_H
#define GB_PLUGIN_SLOTS_H

#include "common/error.h"

#include <stddef.h>
#include <stdint.h>

enum slot_pool
{
  SLOT_PAGE,    /* channel_slot_take() waits */
  SLOT_RESERVE, /* never waits */
  SLOT_REDO,    /* never waits */
};

struct slots
{
  int memfd; /* -1 before slots_make() */
  uint8_t *map;
  size_t map_size;
  unsigned page_slots; /* redo slots come behind them */
  int *free_page, *free_redo, *reserve;
  unsigned free_pages, free_redos, reserved;
  bool *with_agent; /* by slot */
  unsigned with_agent_count;
};

/* bytes: of the ring, brought within what RING_*_SLOTS allow. Errors: GB_no_memory, GB_internal;
 * slots_free() is needed nonetheless. */
bool slots_make(struct slots *slots, uint64_t bytes, struct gb_error *error);
void slots_free(struct slots *slots);

/* A free one, or -1. */
int slots_take(struct slots *slots, enum slot_pool pool);
/* One that was not handed over. */
void slots_return(struct slots *slots, int slot);
/* The agent has it. */
void slots_hand_over(struct slots *slots, int slot);
/* From the agent. False: it does not have it. */
bool slots_take_back(struct slots *slots, uint32_t slot);

/* Moves free page slots to the reserve until it holds count. False: there are not that many yet. */
bool slots_reserve(struct slots *slots, unsigned count);
void slots_unreserve(struct slots *slots);

#endif
