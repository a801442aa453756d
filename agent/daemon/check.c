/* What the agent answers to CHECK; see check.h. */
#include "agent/daemon/check.h"
#include "agent/daemon/place.h"

#include <inttypes.h>
#include <stdio.h>

#define PROBE_NAME  ".galera-backup-probe"
#define BACKUP_NEED (128ull << 20) /* bytes beside redo-memory: workers, messages, the index of a large backup */

/* Another one's probe, there at this moment, shows the same as ours would. */
bool check_writable(const struct repository *r, struct gb_error *error)
{
    struct gb_error problem = {0};
    struct storage_lock *probe = storage_lock(r->storage, PROBE_NAME, &problem);
    storage_unlock(probe);
    if (!probe && problem.code != GB_repository_busy)
        error_copy(error, &problem);
    return !error->code;
}

void check_row(struct wire_checked *m, const char *check, const char *result, const char *detail, const char *remedy)
{
    if (m->count >= sizeof m->row / sizeof m->row[0])
        return;
    snprintf(m->row[m->count].check, sizeof m->row[0].check, "%s", check);
    snprintf(m->row[m->count].result, sizeof m->row[0].result, "%s", result);
    snprintf(m->row[m->count].detail, sizeof m->row[0].detail, "%s", detail);
    snprintf(m->row[m->count].remedy, sizeof m->row[0].remedy, "%s", remedy);
    m->count++;
}

/* What is on the server's disk or on its host is lost with them. */
static void check_place(const struct config *config, const struct repository_spec *spec, const char *name, uint64_t device,
                        struct wire_checked *m)
{
    char detail[256];
    bool remote = false;
    for (unsigned i = 0; i < config->repository_count; i++)
        remote = remote || place_is_remote(config->repositories[i].path);
    if (place_on_device(spec->path, device)) {
        snprintf(detail, sizeof detail, "%.150s is on the data directory's file system: what destroys the one destroys both", spec->path);
        check_row(m, name, "WARN", detail, "put the repository on another disk, or better on another host");
    }
    if (!remote)
        check_row(m, "off_host", "WARN", "no repository is on a network file system: what destroys this host may destroy all backups",
                  "add a repository on another host (NFS), or copy it there; no matter if its path is a network volume");
}

void check_repository(const struct config *config, const struct repository_spec *spec, const struct wire_check *asked,
                      struct wire_checked *m)
{
    struct gb_error error = {0};
    char check[64 + 16], detail[256];
    uint64_t available = 0;
    snprintf(check, sizeof check, "repository %.48s", spec->name);
    struct repository *r = repository_open(spec, &error);
    if (r && check_writable(r, &error))
        storage_check_space(r->storage, asked->bytes_estimate, &available, &error);
    snprintf(detail, sizeof detail, "%.150s is writable, %" PRIu64 " MB free", spec->path, available >> 20);
    if (error.code)
        check_row(m, check, "FAIL", error.what, error.hint);
    else
        check_row(m, check, "OK", detail, "");
    if (r)
        check_place(config, spec, check, asked->datadir_device, m);
    repository_close(r);
}

void check_memory(const struct config *config, uint64_t available, struct wire_checked *m)
{
    uint64_t need = config->redo_memory + BACKUP_NEED;
    char detail[256];
    snprintf(detail, sizeof detail, "the agent can take %" PRIu64 " MB more before it reaches a memory limit; a backup may need %" PRIu64 " MB",
             available >> 20, need >> 20);
    if (available && available < need)
        check_row(m, "agent_memory", "WARN", detail, "raise the limit of the agent's control group, or lower redo-memory in its configuration");
    else if (available)
        check_row(m, "agent_memory", "OK", detail, "");
}
