/*
  The thread that follows the redo log.

  From checkpoint C it reads ib_logfile0, parses it mini-transaction by mini-transaction, hands
  FILE_* records to the inventory and the bytes to the agent through the redo slots. It never waits
  for a slot: what can't be handed over stays in its own bounded queue, so that it can always say,
  also inside the paused window with the agent stopped, which FILE_* records there are (rules 3,
  12). Only when that queue is full it stops reading; the lag then grows until the coordinator ends
  the backup (rule 18).

  What lies between the checkpoint and the end of the log when the backup begins may be most of the
  log, and is bulk work: a thread of low priority reads it, until it has nearly caught up, has to
  hurry, or somebody waits for it. Then one of normal priority goes on. follower_*() may be called
  from the coordinator.
*/
#ifndef GB_PLUGIN_FOLLOWER_H
#define GB_PLUGIN_FOLLOWER_H

#include "common/redo.h"
#include "plugin/channel.h"

struct follower;

#define FOLLOWER_PAGE_0 ((enum redo_op)1)

/* A FILE_* record an undo truncation or the making of a first page, in LSN order. Called from the
 * follower's thread. */
struct follower_event
{
  enum redo_op op; /* REDO_FILE_CREATE, _DELETE, _RENAME, _MODIFY; 0: undo tablespace truncated;
                      FOLLOWER_PAGE_0: that was made */
  uint32_t space_id;
  char path[1024]; /* RENAME: the new one; as logged, with "./" removed */
  uint64_t lsn;
};
typedef void follower_sink(void *context, const struct follower_event *event);

/* Opens the log in directory, reads header and checkpoint. direct: the server writes it with
   O_DIRECT. Errors: GB_redo_corrupt, GB_unsupported_server, GB_unsupported_config (encrypted),
   GB_io_error. */
struct follower *follower_open(const char *directory, bool direct, follower_sink *sink,
                               void *context, struct gb_error *error);
const struct redo_log *follower_log(const struct follower *follower);
/* Starts to follow from C, sending REDO and slots over channel; follower_set_final() has been
   called, so that it knows how far it is behind. */
bool follower_start(struct follower *follower, struct channel *channel, struct gb_error *error);
/* Stops and frees. NULL is allowed. */
void follower_close(struct follower *follower);

/* LSN up to which everything has been parsed; and handed to the agent. */
uint64_t follower_parsed(struct follower *follower);
uint64_t follower_sent(struct follower *follower);
/* Bytes parsed but not handed over. */
uint64_t follower_queued(struct follower *follower);

/* The server has written its log up to lsn, a mini-transaction's end: what is below may be
   believed. What is at the end of the file beyond is taken later, when more has been written behind
   it (tail.h). */
void follower_set_final(struct follower *follower, uint64_t lsn);
/* Whether the part of low priority has ended. */
bool follower_caught_up(struct follower *follower);
/* From now on at normal priority: the server will soon write over what has not been read. */
void follower_hurry(struct follower *follower);
/* Waits until all below lsn has been parsed, and hurries; at most timeout_ms. False on timeout or
 * failure. */
bool follower_catch_up(struct follower *follower, uint64_t lsn, unsigned timeout_ms);
/* From now on nothing beyond lsn is read; follower_sent() reaches it. */
void follower_set_end(struct follower *follower, uint64_t lsn);
/* Where it stands and what it finds there, for an error message: LSN, offset in the file, the
 * bytes. */
void follower_place(struct follower *follower, char text[160]);
/* True if it has failed; copies the error. */
bool follower_failed(struct follower *follower, struct gb_error *error);

#endif
