/* galera-backup agent */
#include "agent/cmd/cmd.h"
#include "agent/daemon/daemon.h"

int cmd_agent(const struct options *options, struct gb_error *error)
{
    static struct config config;
    if (!cmd_config(options, &config, error))
        return error_exit_status(error->code);
    for (unsigned i = 0; i < config.repository_count; i++)
        config.repositories[i].make = true;
    return daemon_run(&config, error) ? 0 : error_exit_status(error->code);
}
