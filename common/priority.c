/* Courtesy of the threads that do a backup's bulk work; see priority.h. */
#include "common/priority.h"

#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#define IOPRIO_SELF 1, 0 /* IOPRIO_WHO_PROCESS, the calling thread (ioprio_set(2)) */
#define IOPRIO_LOWEST                                                                              \
    (2 << 13 | 7) /* IOPRIO_CLASS_BE: still served on a busy disk, unlike the idle class */

void priority_name(const char *name)
{
    prctl(PR_SET_NAME, name);
}

void priority_lower(int nice_value)
{
    setpriority(PRIO_PROCESS, (id_t)syscall(SYS_gettid), nice_value);
    syscall(SYS_ioprio_set, IOPRIO_SELF, IOPRIO_LOWEST);
}
