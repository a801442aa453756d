/* Rollback segment headers; see rseg.h. */
#include "common/rseg.h"
#include "common/bytes.h"

#include <inttypes.h>
#include <stdio.h>

#define FIL_PAGE_DATA 38u /* fil0fil.h: both TRX_SYS and TRX_RSEG begin here */

#define SYS_RSEGS_AT                                                                               \
    (FIL_PAGE_DATA + 8u + 10u) /* TRX_SYS_RSEGS: after id store and segment header */
#define SYS_SLOT_SIZE 8u
#define FIL_NULL      0xFFFFFFFFu

#define RSEG_FORMAT_AT FIL_PAGE_DATA
#define RSEG_UNDO_AT                                                                               \
    (FIL_PAGE_DATA + 8u + 16u + 10u) /* TRX_RSEG_UNDO_SLOTS: sizes, history list, segment header   \
                                      */
#define SLOTS_PER_PAGE 16u           /* page size / 16 undo slots of 4 bytes each */
#define UNDO_SLOT_SIZE 4u
#define BINLOG_SIZE    (8u + 8u + 512u) /* TRX_RSEG_MAX_TRX_ID, binary log offset and name */

#define XID_FORMAT_AT                                                                              \
    0u /* within the XID: u32 format, u32 gtrid length, u32 bqual length, 128 bytes of data */
#define XID_GTRID_AT    4u
#define XID_BQUAL_AT    8u
#define XID_DATA_AT     12u
#define XID_DATA_SIZE   128u
#define XID_PREFIX      "WSREPXi"
#define XID_PREFIX_SIZE 7u
#define XID_VERSION_AT  (XID_DATA_AT + 7u)
#define XID_UUID_AT     (XID_DATA_AT + 8u)
#define XID_SEQNO_AT    (XID_DATA_AT + 24u) /* little-endian */
#define XID_GTRID_OLD   32u                 /* versions d and e: uuid and seqno */
#define XID_GTRID       48u                 /* version f: with the server's GTID */

static size_t xid_at(size_t page_size)
{
    return RSEG_UNDO_AT + page_size / SLOTS_PER_PAGE * UNDO_SLOT_SIZE + BINLOG_SIZE;
}

unsigned rseg_slots(const uint8_t *trx_sys, size_t page_size, struct rseg_slot *slots)
{
    unsigned count = 0;
    for (unsigned i = 0; i < RSEG_SLOTS; i++) {
        size_t at = SYS_RSEGS_AT + i * SYS_SLOT_SIZE;
        struct rseg_slot slot = {bytes_u32_at(trx_sys, page_size, at),
                                 bytes_u32_at(trx_sys, page_size, at + 4)};
        if (slot.page_no != FIL_NULL)
            slots[count++] = slot;
    }
    return count;
}

/* wsrep_is_wsrep_xid() */
static bool is_wsrep_xid(const uint8_t *page, size_t size)
{
    size_t at = xid_at(size);
    if (at + XID_DATA_AT + XID_DATA_SIZE > size || bytes_u32_at(page, size, RSEG_FORMAT_AT) ||
        bytes_u32_at(page, size, at + XID_FORMAT_AT) != 1 ||
        bytes_u32_at(page, size, at + XID_BQUAL_AT) ||
        memcmp(page + at + XID_DATA_AT, XID_PREFIX, XID_PREFIX_SIZE))
        return false;
    uint32_t length = bytes_u32_at(page, size, at + XID_GTRID_AT);
    uint8_t version = page[at + XID_VERSION_AT];
    return version == 'f' ? length == XID_GTRID
                          : (version == 'd' || version == 'e') && length == XID_GTRID_OLD;
}

bool rseg_position(const uint8_t *page, size_t page_size, uint8_t uuid[RSEG_UUID_SIZE],
                   int64_t *seqno)
{
    if (!is_wsrep_xid(page, page_size))
        return false;
    struct bytes_reader r = bytes_reader(page, page_size);
    bytes_seek(&r, xid_at(page_size) + XID_SEQNO_AT);
    *seqno = (int64_t)bytes_get_u64_le(&r);
    memcpy(uuid, page + xid_at(page_size) + XID_UUID_AT, RSEG_UUID_SIZE);
    return true;
}

bool rseg_set_uuid(uint8_t *page, size_t page_size, const uint8_t uuid[RSEG_UUID_SIZE])
{
    if (!is_wsrep_xid(page, page_size))
        return false;
    struct bytes_writer w = bytes_writer(page, page_size);
    bytes_writer_seek(&w, xid_at(page_size) + XID_UUID_AT);
    bytes_put(&w, uuid, RSEG_UUID_SIZE);
    return !w.failed;
}

const char *rseg_position_text(const uint8_t uuid[RSEG_UUID_SIZE], int64_t seqno, char *out)
{
    char *at = out;
    for (unsigned i = 0; i < RSEG_UUID_SIZE; i++)
        at += snprintf(at, 4, i == 4 || i == 6 || i == 8 || i == 10 ? "-%02x" : "%02x", uuid[i]);
    snprintf(at, RSEG_POSITION_MAX - (size_t)(at - out), ":%" PRId64, seqno);
    return out;
}
