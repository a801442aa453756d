/* Memory for a recovery; see memory.h. */
#include "agent/restore/memory.h"

#define MIB (1ull << 20)

/* A record in memory has a header of 26 bytes and is aligned: 1.4 times its bytes in the log were
   measured with rows of 200 bytes; the smaller the changes, the more. */
#define RECORDS_PERCENT 145u
#define POOL_PERCENT    300u /* for smaller changes, and room for the pages themselves */

static uint64_t whole_mib(uint64_t bytes)
{
    return (bytes + MIB - 1) / MIB * MIB;
}

uint64_t memory_pool_for(uint64_t redo_bytes)
{
    return whole_mib(redo_bytes / 100 * POOL_PERCENT + MEMORY_POOL_MIN);
}

uint64_t memory_pool_within(uint64_t redo_bytes, uint64_t available)
{
    uint64_t pool = memory_pool_for(redo_bytes), most = available / 4 * 3 / MIB * MIB;
    if (pool > most)
        pool = most;
    return pool < MEMORY_POOL_MIN ? MEMORY_POOL_MIN : pool;
}

uint64_t memory_redo_in_one_pass(uint64_t pool)
{
    return pool / RECORDS_PERCENT * 100;
}
