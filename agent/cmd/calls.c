/* galera-backup check, status, cancel, set, log: one CALL each, printed. */
#include "agent/cmd/cmd.h"
#include "agent/mariadb/calls.h"
#include "agent/ui/text.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CALL_TIMEOUT_S 60u

/* Opens, calls, closes. */
static json_t *call(const struct options *options, const char *procedure, const char *argument,
                    struct gb_error *error)
{
    struct config config;
    struct connection *c = NULL;
    json_t *rows = NULL;
    if (cmd_config(options, &config, error) &&
        (c = connection_open(&config, CALL_TIMEOUT_S, error)))
        calls_run(c, procedure, argument, &rows, error);
    connection_close(c);
    return rows;
}

static void print_json(const char *name, json_t *rows)
{
    json_t *root = json_pack("{s:i, s:O}", "schema", 1, name, rows);
    json_dumpf(root, stdout, JSON_INDENT(1));
    putchar('\n');
    json_decref(root);
}

int cmd_check(const struct options *options, struct gb_error *error)
{
    char *argument = NULL;
    if (options->repository) {
        json_t *o = json_pack("{s:s}", "repository", options->repository);
        argument = json_dumps(o, JSON_COMPACT);
        json_decref(o);
    }
    json_t *rows = call(options, "BACKUP_CHECK", argument, error), *row;
    size_t i;
    bool fail = false;
    if (rows && options->json)
        print_json("checks", rows);
    json_array_foreach(rows, i, row)
    {
        const char *result = calls_text(row, "result");
        fail = fail || !strcmp(result, "FAIL");
        if (!options->json)
            printf("%-4s  %-22s %s%s%s\n", result, calls_text(row, "check"),
                   calls_text(row, "detail"), strcmp(result, "OK") ? "\n      do: " : "",
                   strcmp(result, "OK") ? calls_text(row, "remedy") : "");
    }
    json_decref(rows);
    free(argument);
    return error->code ? error_exit_status(error->code)
           : fail      ? error_exit_status(GB_node_not_fit)
                       : 0;
}

static void print_status(const json_t *row)
{
    char done[32], total[32], stored[32], rate[32], elapsed[32];
    printf("%s %s on %s, stage %s, %lld %%\n", calls_text(row, "id"), calls_text(row, "state"),
           calls_text(row, "node"), calls_text(row, "stage"), calls_number(row, "percent"));
    printf("  %s of %s read at %s/s, %s stored, %s elapsed\n",
           text_bytes((uint64_t)calls_number(row, "bytes_done"), done, sizeof done),
           text_bytes((uint64_t)calls_number(row, "bytes_total"), total, sizeof total),
           text_bytes((uint64_t)calls_number(row, "read_rate"), rate, sizeof rate),
           text_bytes((uint64_t)calls_number(row, "bytes_stored"), stored, sizeof stored),
           text_duration((uint64_t)calls_number(row, "elapsed_s"), elapsed, sizeof elapsed));
    if (calls_text(row, "waiting_for")[0])
        printf("  waiting for %s\n", calls_text(row, "waiting_for"));
    if (calls_text(row, "position")[0])
        printf("  position %s, blocked %lld ms\n", calls_text(row, "position"),
               calls_number(row, "blocked_ms"));
    if (calls_number(row, "error_code"))
        printf("  GB%04lld %s\n  do: %s\n", calls_number(row, "error_code"),
               calls_text(row, "error"), calls_text(row, "hint"));
}

int cmd_status(const struct options *options, struct gb_error *error)
{
    for (;;) {
        json_t *rows = call(options, "BACKUP_STATUS", options->argument, error);
        const json_t *row = json_array_get(rows, 0);
        bool running = row && !strcmp(calls_text(row, "state"), "running");
        if (row && options->json)
            print_json("status", rows);
        else if (row)
            print_status(row);
        json_decref(rows);
        if (!options->watch || !running)
            break;
        fflush(stdout);
        sleep(1);
    }
    return error->code ? error_exit_status(error->code) : 0;
}

int cmd_cancel(const struct options *options, struct gb_error *error)
{
    json_t *rows = call(options, "BACKUP_CANCEL", options->argument, error);
    const json_t *row = json_array_get(rows, 0);
    if (row && options->json)
        print_json("cancelled", rows);
    else if (row)
        printf("%s %s\n", calls_text(row, "id"), calls_text(row, "state"));
    json_decref(rows);
    return error->code ? error_exit_status(error->code) : 0;
}

int cmd_set(const struct options *options, struct gb_error *error)
{
    json_t *o = json_object();
    if (options->rate)
        json_object_set_new(o, "rate", json_string(options->rate));
    if (options->busy_rate)
        json_object_set_new(o, "busy_rate", json_string(options->busy_rate));
    if (options->threads)
        json_object_set_new(o, "threads", json_string(options->threads));
    char *argument = json_dumps(o, JSON_COMPACT);
    json_t *rows = call(options, "BACKUP_SET", argument, error);
    const json_t *row = json_array_get(rows, 0);
    if (row && options->json)
        print_json("set", rows);
    else if (row)
        printf("rate %lld bytes a second%s, busy-rate %lld for each processor%s, %lld threads\n",
               calls_number(row, "rate"), calls_number(row, "rate") ? "" : " (no limit)",
               calls_number(row, "busy_rate"),
               calls_number(row, "busy_rate") ? "" : " (as fast as it can)",
               calls_number(row, "threads"));
    json_decref(rows);
    json_decref(o);
    free(argument);
    return error->code ? error_exit_status(error->code) : 0;
}

int cmd_log(const struct options *options, struct gb_error *error)
{
    json_t *rows = call(options, "BACKUP_LOG", options->argument, error), *row;
    size_t i;
    if (rows && options->json)
        print_json("log", rows);
    else
        json_array_foreach(rows, i, row)
            printf("%s %-12s %-7s %s\n", calls_text(row, "at"), calls_text(row, "stage"),
                   calls_text(row, "level"), calls_text(row, "message"));
    json_decref(rows);
    return error->code ? error_exit_status(error->code) : 0;
}
