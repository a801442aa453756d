/* The command line: parse, dispatch, exit status. */
#include "agent/cmd/cmd.h"
#include "agent/ui/text.h"

#include <string.h>

static const struct {
    const char *name;
    int (*run)(const struct options *options, struct gb_error *error);
} commands[] = {
#define CMD_ENTRY(name) {#name, cmd_##name},
    CMD_LIST(CMD_ENTRY)
#undef CMD_ENTRY
};

int main(int argc, char **argv)
{
    struct options options;
    struct gb_error error = {0};
    int status = 0;
    if (options_parse(&options, argc, argv, &error)) {
        if (options.help) {
            options_help(stdout, options.command);
            return 0;
        }
        for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++)
            if (!strcmp(commands[i].name, options.command))
                status = commands[i].run(&options, &error);
    }
    if (!error.code)
        return status;
    /* Where a word before --json was refused, it has not been read. */
    for (int i = 1; i < argc; i++)
        options.json = options.json || !strcmp(argv[i], "--json");
    text_error(&error, options.json);
    return status ? status : error_exit_status(error.code);
}
