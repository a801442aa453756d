/* Who may change what is in a cluster's directory; see cmd.h. */
#include "agent/cmd/cmd.h"
#include "agent/repository/identity.h"

#include <string.h>

#define SQL_TIMEOUT_S 5u

bool cmd_admit(const struct options *options, struct repository *repository, const char *cluster,
               struct gb_error *error)
{
    struct config config;
    struct ist_facts facts = {.galera = false};
    struct gb_error unasked = {0};
    if (cmd_repository_is_path(options) && !options->config)
        return true;
    if (!cmd_config(options, &config, error))
        return false;
    struct connection *c = connection_open(&config, SQL_TIMEOUT_S, &unasked);
    if (!c || !ist_facts_read(c, &facts, &unasked))
        memset(&facts, 0, sizeof facts);
    connection_close(c);
    const char *ours = config.cluster[0] ? config.cluster : facts.galera ? facts.cluster : "";
    if (ours[0] && strcmp(ours, cluster))
        return true;
    const struct identity_writer asker = {.cluster = cluster,
                                          .wsrep_uuid = facts.galera ? facts.donor.uuid : "",
                                          .state_dir = config.state_dir,
                                          .remedy = options->repository};
    return identity_admit(repository, &asker, error);
}
