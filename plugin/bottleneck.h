/*
  What holds a backup up at this moment: the column `bottleneck` of BACKUP_STATUS. Decided from what
  the readers waited for since the last sample, not since the start, so that it is true when a limit
  is lifted or a store recovers.
*/
#ifndef GB_PLUGIN_BOTTLENECK_H
#define GB_PLUGIN_BOTTLENECK_H

#include "plugin/progress.h"

struct bottleneck_input
{
  const char *stage;       /* as in progress */
  const char *waiting_for; /* as in progress; "" */
  enum bottleneck
      agent; /* CPU, STORE: what its workers wait for while slots are queued; else NONE */
  uint64_t interval_us;          /* since the last sample */
  uint64_t slot_us, throttle_us; /* of all readers together, in the interval */
  uint64_t read_bytes;           /* in the interval */
};

enum bottleneck bottleneck_of(const struct bottleneck_input *in);

#endif
