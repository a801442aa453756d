/* How a backup is begun in one repository; see begin.h. */
#include "agent/daemon/begin.h"
#include "agent/daemon/daemon.h"
#include "agent/repository/hold.h"

bool begin_in(const struct begin_request *q, struct repository *r,
              struct repository_backup **backup, struct gb_error *error)
{
    unsigned removed;
    if (!storage_check_space(r->storage, 0, NULL, error) || !identity_admit(r, &q->writer, error) ||
        !repository_collect(r, q->writer.cluster, &removed, error))
        return false;
    if (removed)
        daemon_log(q->id, "removed %u unfinished backups of earlier runs from repository %s",
                   removed, q->spec->name);
    *backup = repository_begin(r, q->writer.cluster, q->id, q->key, error);
    /* Held from its first moment on. */
    return *backup && (!q->hold_until || hold_write(r->storage, repository_backup_prefix(*backup),
                                                    q->hold_until, error));
}
