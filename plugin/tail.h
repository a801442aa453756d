/*
  What may be believed of a redo log that is being written.

  The block in which the log ends is not to be believed, whatever its checksums say.
  log_t::write_buf() (log0log.cc) puts a zero byte behind the last mini-transaction, but writes the
  block from a buffer into which others go on copying: the zero may be gone before it reaches the
  disk, and behind the last mini-transaction then stands what the buffer held before, whole
  mini-transactions of another place, whose CRC-32C does not cover their LSN. Of 29,000 reads of the
  end of a busy server's log 6,200 found no zero byte there, and one found such an old
  mini-transaction.

  So only what begins below `final`, up to where the server says that its log is written, is taken,
  or below `passed`: a block beyond which an earlier read found more, for a block is written anew
  only while the log ends in it.
*/
#ifndef GB_PLUGIN_TAIL_H
#define GB_PLUGIN_TAIL_H

#include "common/redo.h"

#include <stddef.h>

#define TAIL_BLOCK 4096u /* the server writes blocks of at most this size */

struct tail
{
  uint64_t final, passed; /* LSNs */
};

struct tail_read
{
  size_t taken; /* bytes to be believed: whole mini-transactions, all visited, their end bytes set
                   to 1 */
  size_t seen;  /* bytes of whole mini-transactions, those taken among them */
  enum redo_result after; /* what follows them */
};

/* Parses data, the log's bytes from lsn on, and takes no mini-transaction that begins at end or
   later. What is seen and not taken is taken by a later read; tail->passed is for that one. */
struct tail_read tail_take(struct tail *tail, const struct redo_log *log, uint64_t lsn,
                           uint8_t *data, size_t available, uint64_t end,
                           const struct redo_visitor *visitor);

#endif
