/* What holds a backup up; see bottleneck.h. */
#include "plugin/bottleneck.h"

#include <string.h>

#define NOTICED 5 /* a fifth of one thread's time is noticed */

enum bottleneck bottleneck_of(const struct bottleneck_input *in)
{
  uint64_t noticed = in->interval_us / NOTICED;
  bool copying = !strcmp(in->stage, "COPY"), agent_slow = !strncmp(in->waiting_for, "the agent", 9);
  /* Outside COPY a backup waits for statements that hold locks, or for the agent to take what is
   * left. */
  if (in->waiting_for[0] && !copying && !agent_slow)
    return BOTTLENECK_LOCK;
  if (in->throttle_us > noticed && in->throttle_us >= in->slot_us)
    return BOTTLENECK_THROTTLE;
  if (in->slot_us > noticed || agent_slow || !copying)
    return in->agent;
  return in->read_bytes ? BOTTLENECK_SOURCE : in->agent;
}
