/* galera-backup version */
#include "agent/cmd/cmd.h"

int cmd_version(const struct options *options, struct gb_error *error)
{
    (void)error;
    if (options->json)
        printf("{\"schema\": 1, \"version\": \"%s\", \"format\": %d, \"protocol\": %u}\n",
               GB_VERSION, MANIFEST_FORMAT, WIRE_VERSION_MAX);
    else
        printf("galera-backup %s, repository format %d, protocol %u\n", GB_VERSION, MANIFEST_FORMAT,
               WIRE_VERSION_MAX);
    return 0;
}
