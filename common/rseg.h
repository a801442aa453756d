/*
  Rollback segment headers: where they are, and the Galera position that the server keeps in them.

  Each commit of a write-set leaves its XID ("WSREPXi", uuid, seqno) in the header page of the
  rollback segment that the transaction used; the highest seqno is the position of the data.
  Sources: trx0sys.h (TRX_SYS page), trx0rseg.h and trx0rseg.cc (TRX_RSEG_WSREP_XID_*), wsrep_xid.cc
  (the XID's bytes). Pages are whole, decrypted and in full; only after recovery does what they say
  hold. No I/O here.
*/
#ifndef GB_COMMON_RSEG_H
#define GB_COMMON_RSEG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RSEG_SLOTS        128u
#define RSEG_TRX_SYS_PAGE 5u /* of space 0 */
#define RSEG_UUID_SIZE    16u
#define RSEG_SEQNO_NONE   (-1)
#define RSEG_POSITION_MAX 64u

struct rseg_slot {
    uint32_t space_id, page_no; /* of the header page */
};

/* The slots in use of the TRX_SYS page, at most RSEG_SLOTS. Returns how many. */
unsigned rseg_slots(const uint8_t *trx_sys, size_t page_size, struct rseg_slot *slots);

/* The XID in a header page. False if there is none; uuid and *seqno are then untouched. */
bool rseg_position(const uint8_t *page, size_t page_size, uint8_t uuid[RSEG_UUID_SIZE],
                   int64_t *seqno);

/* Gives the XID in a header page another uuid. False (and nothing changed) if the page has no XID.
   The page's checksum is wrong afterwards: page_seal(). */
bool rseg_set_uuid(uint8_t *page, size_t page_size, const uint8_t uuid[RSEG_UUID_SIZE]);

/* "5c3f...:18499231" of a uuid and a seqno, at most RSEG_POSITION_MAX bytes with the NUL. Returns
 * out. */
const char *rseg_position_text(const uint8_t uuid[RSEG_UUID_SIZE], int64_t seqno, char *out);

#endif
