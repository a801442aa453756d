/*
  The ring: slots of shared memory that carry pages and redo from plugin to agent.

  A memfd made and filled by the plugin, sealed (F_SEAL_SHRINK, F_SEAL_GROW, F_SEAL_FUTURE_WRITE
  after the plugin's own mapping) and passed over the socket with the WIRE_RING message. The agent
  maps it read-only. Nothing in it but slots: all control travels over the socket, so neither side
  trusts a byte of it beyond what a page or redo checksum says.

  Slot numbers 0 .. page_slots-1 carry pages and files; page_slots .. page_slots+redo_slots-1 carry
  redo only, so that pages can never starve the redo follower (rule 19). A slot belongs to the
  plugin until WIRE_SLOT names it, and to the agent until WIRE_FREE gives it back. Slots are the
  backpressure.
*/
#ifndef GB_COMMON_RING_H
#define GB_COMMON_RING_H

#include <stdint.h>

#define RING_SLOT_SIZE      (1u << 20) /* bytes */
#define RING_REDO_SLOTS     8u
#define RING_PAGE_SLOTS_MIN 4u
#define RING_SLOTS_MAX      4096u

#endif
