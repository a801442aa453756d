/*
  The ib_logfile0 of a restored directory (rule 10).

  Header with first_lsn = C and a creator that begins with "Backup " (recovery then tolerates
  #sql-*.ibd that are gone), checkpoint block 1 = {C, E}, block 2 zero; then the redo bytes from C
  to L, whose end bytes already carry 1; then at least 16 zero bytes, and a size that is never a
  multiple of 4096: one equal to innodb_log_file_size would keep the server from rebuilding the log.
  Sources: xtrabackup.cc log_hdr_init(), log0recv.cc recv_sys_t::find_checkpoint() and
  recv_recovery_from_checkpoint_start().
*/
#ifndef GB_COMMON_REDO_WRITER_H
#define GB_COMMON_REDO_WRITER_H

#include "common/redo.h"

/* Fills out (REDO_START_OFFSET bytes) for a log that starts at checkpoint_lsn, ends at end (L) and
   whose checkpoint mini-transaction is at checkpoint_end_lsn. source_header is the REDO_HEADER_SIZE
   bytes of the source's header: format and encryption parameters are taken from there.
   server_version is "10.11.19", cut at 25 bytes. Errors: GB_internal if checkpoint_lsn <=
   checkpoint_end_lsn < end does not hold. */
bool redo_writer_header(const uint8_t *source_header, uint64_t checkpoint_lsn,
                        uint64_t checkpoint_end_lsn, uint64_t end, const char *server_version,
                        uint8_t *out, struct gb_error *error);

/* Bytes of the whole file: REDO_START_OFFSET + redo_bytes + padding. */
uint64_t redo_writer_file_size(uint64_t redo_bytes);

/* Fills out (REDO_START_OFFSET bytes) with a header that every MariaDB refuses to start from, and
   that says in its creator field, which the server's error message quotes, that a restore has not
   finished. */
void redo_writer_unfinished(uint8_t *out);

#endif
