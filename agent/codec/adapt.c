/* A level of compression that follows the store; see adapt.h. */
#include "agent/codec/adapt.h"

/* Of the threads' time in the store: above the first the level rises, below the second it falls. A
   step up takes up to 1.6 times the time of the level below, so a third of idle time is never
   turned into a want of it at once. */
#define WAITS_FOR_STORE (2.0 / 3)
#define STORE_WAITS     (1.0 / 3)

int adapt_level(int level, double store_share)
{
    int next = store_share > WAITS_FOR_STORE ? level + 1
               : store_share < STORE_WAITS   ? level - (level + 2) / 3
                                             : level;
    return next < ADAPT_LEVEL_MIN   ? ADAPT_LEVEL_MIN
           : next > ADAPT_LEVEL_MAX ? ADAPT_LEVEL_MAX
                                    : next;
}

void adapt_begin(struct adapt *a, uint64_t now_us)
{
    *a = (struct adapt){.level = ADAPT_LEVEL_MIN, .highest = ADAPT_LEVEL_MIN, .at_us = now_us};
}

bool adapt_look(struct adapt *a, uint64_t now_us, uint64_t store_us, unsigned threads)
{
    if (now_us < a->at_us + ADAPT_EVERY_US || !threads)
        return false;
    int before = a->level, level = adapt_level(before, (double)(store_us - a->store_us) /
                                                           ((double)(now_us - a->at_us) * threads));
    __atomic_store_n(&a->level, level, __ATOMIC_RELAXED);
    a->highest = level > a->highest ? level : a->highest;
    a->at_us = now_us;
    a->store_us = store_us;
    return level != before;
}
