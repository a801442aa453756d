/*
  The channel to the agent: socket and ring. Connect, send, receive, hand out slots, notice death.

  After channel_begin() two threads own the socket: a sender that drains a queue and a receiver.
  Nobody else ever waits for the socket: channel_send_*() only appends to the queue, so the
  coordinator can send at any time. What waits, outside the paused window only, is
  channel_slot_take().

  Slots come from three pools: pages, redo, and the reserve that the window takes from without
  waiting (rule 3).
*/
#ifndef GB_PLUGIN_CHANNEL_H
#define GB_PLUGIN_CHANNEL_H

#include "plugin/slots.h"
#include "common/ring.h"
#include "common/wire.h"

#include <sys/types.h>

struct channel;

/* Connects, checks the peer's credentials, says HELLO. path: of the socket. Takes timeout_ms at
   most. Errors: GB_agent_absent, GB_agent_refused, GB_protocol. */
struct channel *channel_open(const char *path, const struct wire_hello *hello, unsigned timeout_ms,
                             struct gb_error *error);
/* One question and its answer, before channel_begin(). Errors: what the agent answered;
 * GB_agent_lost. */
bool channel_start(struct channel *channel, const struct wire_start *start,
                   struct wire_ready *ready, unsigned timeout_ms, struct gb_error *error);
bool channel_check(struct channel *channel, const struct wire_check *check,
                   struct wire_checked *checked, unsigned timeout_ms, struct gb_error *error);
bool channel_hold(struct channel *channel, const struct wire_hold *hold, struct wire_held *held,
                  unsigned timeout_ms, struct gb_error *error);
/* Before channel_begin(): whether the agent has closed the connection. */
bool channel_closed(const struct channel *channel);
/* Stops the threads, closes, releases the ring. NULL is allowed. */
void channel_close(struct channel *channel);

/* Allocates the ring (bytes, all of it at once), passes it to the agent, starts the threads.
   Errors: GB_no_memory, GB_agent_lost, GB_internal. */
bool channel_begin(struct channel *channel, uint64_t bytes, struct gb_error *error);

/* A slot, or -1: none free (SLOT_RESERVE, SLOT_REDO), or *stop was set or the channel died while
 * waiting. */
int channel_slot_take(struct channel *channel, enum slot_pool pool, const volatile bool *stop);
uint8_t *channel_slot_data(const struct channel *channel, int slot);
/* Gives a slot back that was not sent. */
void channel_slot_return(struct channel *channel, int slot);
/* Moves free page slots to the reserve until it holds `count`; waits for them. False on death or
   after timeout_ms. channel_unreserve() moves what is left back. */
bool channel_reserve(struct channel *channel, unsigned count, unsigned timeout_ms);
void channel_unreserve(struct channel *channel);

/* ABORT before channel_begin(): written at once, or not at all. */
void channel_refuse(struct channel *channel, const struct wire_abort *message);
unsigned channel_page_slots(const struct channel *channel);

/* Queue a message. They never wait and never fail: a channel that is dead drops them. */
#define CHANNEL_MESSAGES(X)                                                                        \
  X(redo, struct wire_redo)                                                                        \
  X(file, struct wire_file)                                                                        \
  X(slot, struct wire_slot)                                                                        \
  X(file_done, struct wire_file_done)                                                              \
  X(file_drop, struct wire_file_no)                                                                \
  X(file_name, struct wire_file_name)                                                              \
  X(log, struct wire_log)                                                                          \
  X(node_progress, struct wire_node_progress)                                                      \
  X(finish, struct wire_facts)                                                                     \
  X(abort, struct wire_abort)                                                                      \
  X(resynced, struct wire_facts)
#define CHANNEL_DECLARE(name, shape)                                                               \
  void channel_send_##name(struct channel *channel, const shape *message);
CHANNEL_MESSAGES(CHANNEL_DECLARE)
#undef CHANNEL_DECLARE

/* Waits until what is queued has been written, at most timeout_ms. */
bool channel_flush(struct channel *channel, unsigned timeout_ms);

/* True if the agent reported an error or is gone; copies the error (GB_agent_lost or the agent's
 * own). */
bool channel_failed(struct channel *channel, struct gb_error *error);
/* The agent's process, as the socket tells it; 0: not known, or not seen from here (a container
 * with process numbers of its own). */
pid_t channel_agent(const struct channel *channel);
/* Microseconds since the agent last said anything, and since it last gave a slot back (0 if all are
 * back). */
uint64_t channel_silence_us(struct channel *channel);
uint64_t channel_stall_us(struct channel *channel);
/* Declares the agent lost: everything that waits on the channel returns. */
void channel_give_up(struct channel *channel, const char *why);
/* True once COMMITTED has come. */
bool channel_committed(struct channel *channel, struct wire_committed *committed);

#endif
