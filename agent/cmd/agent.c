/* galera-backup agent */
#include "agent/cmd/cmd.h"
#include "agent/daemon/daemon.h"

int cmd_agent(const struct options *options, struct gb_error *error)
{
    static struct config config;
    return cmd_config(options, &config, error) && daemon_run(&config, error) ? 0 : error_exit_status(error->code);
}
