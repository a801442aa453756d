/* Expiring after a backup; see expiry.h. */
#include "agent/daemon/expiry.h"
#include "agent/daemon/daemon.h"
#include "agent/mariadb/kept.h"

static void push(void *context, const char *sql)
{
    catalog_statement(context, sql);
}

void expiry_run(const struct repository_spec *spec, const char *cluster, const char *id,
                struct catalog *catalog, const bool *stop)
{
    struct gb_error error = {0};
    struct expire_request request = {.cluster = cluster, .stop = stop};
    struct expire_result result = {0};
    if (spec->append_only || !retention_any(&spec->keep))
        return;
    struct repository *r = expire_open(spec, &error);
    bool ran = r && expire_run(r, &request, &result, &error);
    for (size_t i = 0; i < result.count; i++)
        if (result.gone && result.gone[i])
            daemon_log(id, "expired %s: %s", result.list[i].id, result.list[i].reason);
    if (error.code)
        daemon_log(id, "expiring in repository %s: %s", spec->name, error.what);
    else if (result.refused.code && result.expire)
        daemon_log(id, "nothing expires in repository %s: %s; do: %s", spec->name,
                   result.refused.what, result.refused.hint);
    if (ran || result.removed)
        kept_each(&result, cluster, spec->name, push, catalog);
    expire_result_free(&result);
    repository_close(r);
}
