/* What may be believed of a redo log that is being written; see tail.h. */
#include "plugin/tail.h"

/* The first LSN of the block that holds the byte before lsn. */
static uint64_t block_of(const struct redo_log *log, uint64_t lsn)
{
  return lsn - 1 - redo_offset(log, lsn - 1) % TAIL_BLOCK;
}

struct tail_read tail_take(struct tail *tail, const struct redo_log *log, uint64_t lsn,
                           uint8_t *data, size_t available, uint64_t end,
                           const struct redo_visitor *visitor)
{
  uint64_t believed = tail->final > tail->passed ? tail->final : tail->passed;
  struct tail_read r = {.after = REDO_PARTIAL};
  size_t size, end_byte;
  if (believed > end)
    believed = end;
  while (r.taken < available && lsn + r.taken < believed)
  {
    r.after = redo_parse_mtr(log, lsn + r.taken, data + r.taken, available - r.taken, visitor,
                             &size, &end_byte);
    if (r.after != REDO_MTR)
      break;
    data[r.taken + end_byte] =
        1; /* a restored log is on its first lap; the CRC does not cover this byte */
    r.taken += size;
  }
  r.seen = r.taken;
  while (lsn + r.seen >= believed && r.seen < available)
  {
    r.after = redo_parse_mtr(log, lsn + r.seen, data + r.seen, available - r.seen, NULL, &size,
                             &end_byte);
    if (r.after != REDO_MTR)
      break;
    r.seen += size;
  }
  if (r.seen > r.taken && block_of(log, lsn + r.seen) > tail->passed)
    tail->passed = block_of(log, lsn + r.seen);
  return r;
}
