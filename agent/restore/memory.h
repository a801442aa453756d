/*
  Memory for a recovery: how large a buffer pool replays a redo log in one pass.

  InnoDB collects the log records of all pages in the buffer pool before it applies them. When they
  fill it (log0recv.cc recv_sys_t::add_block()) it applies them, writes everything, empties the pool
  and goes on: each such pass reads and writes its pages again.
*/
#ifndef GB_AGENT_RESTORE_MEMORY_H
#define GB_AGENT_RESTORE_MEMORY_H

#include <stdint.h>

#define MEMORY_POOL_MIN (128ull << 20) /* the server's default innodb_buffer_pool_size */

/* innodb_buffer_pool_size, bytes, with which redo_bytes need one pass: three times as much. */
uint64_t memory_pool_for(uint64_t redo_bytes);

/* The same within three quarters of what is available (common/memory.h); at least MEMORY_POOL_MIN.
 */
uint64_t memory_pool_within(uint64_t redo_bytes, uint64_t available);

/* Bytes of redo whose records a pool of that size holds. */
uint64_t memory_redo_in_one_pass(uint64_t pool);

#endif
