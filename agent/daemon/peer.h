/*
  The plugin at the other end of a connection: messages of the protocol (common/wire.h) to and from
  it.

  Sending is for any thread, reading for one.
*/
#ifndef GB_AGENT_DAEMON_PEER_H
#define GB_AGENT_DAEMON_PEER_H

#include "common/error.h"
#include "common/wire.h"

#include <stdbool.h>
#include <stdint.h>

struct peer;

/* fd, a connected socket, is the peer's from here on; it is closed where there is no memory, too:
 * NULL then. */
struct peer *peer_new(int fd);
void peer_free(struct peer *peer);

/* Whether something can be read, or comes within so many milliseconds. */
bool peer_readable(struct peer *peer, int ms);
/* Reads one message, *size bytes of payload. Errors: GB_agent_lost, which here stands for a plugin
 * that is gone; GB_protocol. */
bool peer_read(struct peer *peer, uint16_t *type, uint32_t *size, struct gb_error *error);
/* Of the message read last, valid until the next. */
const uint8_t *peer_payload(const struct peer *peer);
/* The descriptor that came with what has been read, the caller's from now on; -1: none. */
int peer_descriptor(struct peer *peer);

/* False if the plugin is gone, or has not taken it for half a minute. */
#define PEER_SEND(name) bool peer_send_##name(struct peer *peer, const struct wire_##name *message);
PEER_SEND(welcome)
PEER_SEND(ready)
PEER_SEND(error)
PEER_SEND(free)
PEER_SEND(progress)
PEER_SEND(committed)
PEER_SEND(checked)
PEER_SEND(held)
PEER_SEND(warning)
#undef PEER_SEND
void peer_send_failure(struct peer *peer, const struct gb_error *error);
/* Nothing more comes: the conversation has ended for the plugin, whatever is still done here. */
void peer_end(struct peer *peer);

#endif
