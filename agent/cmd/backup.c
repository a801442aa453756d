/* galera-backup backup: start by SQL, watch, report. */
#include "agent/cmd/cmd.h"
#include "agent/mariadb/calls.h"
#include "agent/ui/progress.h"
#include "agent/ui/text.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CALL_TIMEOUT_S 60u
#define POLL_US        250000u
#define FIRST_POLL_US  20000u /* grows from there: the end of a short backup is seen at once */
#define SYNCED_WAIT_US 60000000u

static volatile sig_atomic_t interrupts;

static void on_interrupt(int number)
{
    (void)number;
    interrupts++;
}

static char *start_options(const struct options *options)
{
    json_t *o = json_object();
    const struct {
        const char *key, *value;
    } texts[] = {{"type", options->type},
                 {"comment", options->comment},
                 {"repository", options->repository},
                 {"rate", options->rate},
                 {"busy_rate", options->busy_rate},
                 {"threads", options->threads},
                 {"lock_wait", options->lock_wait},
                 {"max_duration", options->max_duration},
                 {"verify", options->verify}};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        if (texts[i].value)
            json_object_set_new(o, texts[i].key, json_string(texts[i].value));
    if (options->dry_run)
        json_object_set_new(o, "dry_run", json_true());
    if (options->hold)
        json_object_set_new(o, "hold", json_true());
    char *text = json_dumps(o, JSON_COMPACT);
    json_decref(o);
    return text;
}

static void print_end(const json_t *row, bool json)
{
    char read[32], stored[32], took[32];
    if (json) {
        json_t *root = json_pack("{s:i, s:O}", "schema", 1, "status", row);
        json_dumpf(root, stdout, JSON_INDENT(1));
        putchar('\n');
        json_decref(root);
        return;
    }
    printf("%s %s: %s read, %s stored, %s, commits blocked %lld ms, position %s\n",
           calls_text(row, "id"), calls_text(row, "state"),
           text_bytes((uint64_t)calls_number(row, "bytes_done"), read, sizeof read),
           text_bytes((uint64_t)calls_number(row, "bytes_stored"), stored, sizeof stored),
           text_duration((uint64_t)calls_number(row, "elapsed_s"), took, sizeof took),
           calls_number(row, "commit_blocked_ms"),
           calls_text(row, "position")[0] ? calls_text(row, "position") : "none");
}

/* The backup has succeeded; has it everywhere? */
static void check_repositories(const char *id, const json_t *row, struct gb_error *error)
{
    size_t i;
    json_t *one;
    json_array_foreach(json_object_get(row, "repositories"), i, one)
    {
        const char *state = calls_text(one, "state");
        if (strcmp(state, "succeeded"))
            error_set(error, GB_not_everywhere,
                      "%s has succeeded, and in repository %s it has %s: %s", id,
                      calls_text(one, "name"), state, calls_text(one, "error"));
    }
}

/* Polls until the backup has ended. True: *last is its final row. */
static bool watch(struct connection *c, const char *id, const struct options *options,
                  json_t **last, struct gb_error *error)
{
    struct progress bar;
    bool cancelled = false;
    unsigned nap_us = FIRST_POLL_US;
    progress_start(&bar, options->progress, "backup", options->json);
    for (;;) {
        json_t *rows;
        if (!calls_run(c, "BACKUP_STATUS", id, &rows, error))
            return false;
        const json_t *row = json_array_get(rows, 0);
        char note[160];
        snprintf(note, sizeof note, "%.30s%s%.100s", calls_text(row, "stage"),
                 calls_text(row, "waiting_for")[0] ? ", waiting for " : "",
                 calls_text(row, "waiting_for"));
        progress_show(&bar, (uint64_t)calls_number(row, "bytes_done"),
                      (uint64_t)calls_number(row, "bytes_total"), note);
        bool running = !strcmp(calls_text(row, "state"), "running");
        if (!running) {
            progress_end(&bar);
            *last = rows;
            return true;
        }
        json_decref(rows);
        if (interrupts && !cancelled) {
            cancelled = true;
            fprintf(stderr, "\ncancelling %s; waiting until the node is as it was\n", id);
            if (!calls_cancel(c, id, &interrupts, error)) {
                progress_end(&bar);
                return false;
            }
        }
        if (interrupts > 1) {
            progress_end(&bar);
            return error_set(error, GB_connection_lost,
                             "left; the cancel of %s goes on in the server", id);
        }
        usleep(nap_us);
        nap_us = nap_us + nap_us / 7 < POLL_US ? nap_us + nap_us / 7 : POLL_US;
    }
}

/* After Ctrl-C: the node has been told to resync; says when it is Synced again, or what it is
 * instead. */
static void say_synced(struct connection *c)
{
    static const char state[] = "SHOW GLOBAL STATUS LIKE 'wsrep_local_state_comment'";
    char now[64] = "";
    for (unsigned us = 0; us < SYNCED_WAIT_US && strcmp(now, "Synced"); us += POLL_US) {
        MYSQL_RES *rows = NULL;
        struct gb_error ignored = {0};
        if (!connection_query(c, state, &rows, NULL, &ignored))
            return;
        MYSQL_ROW row = rows ? mysql_fetch_row(rows) : NULL;
        snprintf(now, sizeof now, "%s", row && row[1] ? row[1] : "");
        if (rows)
            mysql_free_result(rows);
        if (!now[0] || !strcmp(now, "Initialized"))
            return; /* no Galera */
        if (strcmp(now, "Synced"))
            usleep(POLL_US);
    }
    fprintf(stderr, "the node is %s\n", now);
}

int cmd_backup(const struct options *options, struct gb_error *error)
{
    struct config config;
    struct connection *c = NULL;
    json_t *rows = NULL, *last = NULL;
    char id[WIRE_ID_MAX] = "";
    char *argument = start_options(options);
    struct sigaction action = {.sa_handler = on_interrupt};
    sigaction(SIGINT, &action, NULL);
    bool ok = cmd_config(options, &config, error) &&
              (c = connection_open(&config, CALL_TIMEOUT_S, error)) &&
              calls_run(c, "BACKUP_START", argument, &rows, error);
    if (ok) {
        snprintf(id, sizeof id, "%s", calls_text(json_array_get(rows, 0), "id"));
        if ((options->no_wait || options->dry_run) && options->json)
            print_end(json_array_get(rows, 0), true);
        else if (options->no_wait || options->dry_run)
            printf("%s %s\n", id, calls_text(json_array_get(rows, 0), "state"));
        else if (watch(c, id, options, &last, error)) {
            const json_t *row = json_array_get(last, 0);
            if (interrupts)
                say_synced(c);
            if (calls_number(row, "error_code")) {
                error_set(error, error_from_number((unsigned)calls_number(row, "error_code")),
                          "%s: %s", id, calls_text(row, "error"));
                error_hint(error, "%s", calls_text(row, "hint"));
            } else {
                print_end(row, options->json);
                check_repositories(id, row, error);
            }
        } else if (error->code == GB_connection_lost)
            error_hint(error, "galera-backup status %s --watch", id);
    }
    json_decref(rows);
    json_decref(last);
    connection_close(c);
    free(argument);
    return error->code ? error_exit_status(error->code) : 0;
}
