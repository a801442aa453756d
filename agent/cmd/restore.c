/* galera-backup restore */
#include "agent/cmd/cmd.h"
#include "agent/cmd/restore_plan.h"
#include "agent/ui/progress.h"
#include "agent/ui/text.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void show(void *context, uint64_t done, uint64_t total)
{
    progress_show(context, done, total, "");
}

/* Old content goes only when somebody has said so. */
static bool confirmed(const struct options *options, const struct restore_plan *plan, struct gb_error *error)
{
    char answer[16] = "";
    if (!options->yes && !isatty(STDIN_FILENO) && (plan->replaces || (options->restart && plan->start == RESTORE_ANEW)))
        return error_set(error, GB_usage, "%s would be replaced, and nobody is there to be asked: give --yes", options->datadir);
    if (options->yes || !isatty(STDIN_FILENO))
        return true;
    printf("Restore? [y/N] ");
    fflush(stdout);
    if (fgets(answer, sizeof answer, stdin) && (answer[0] == 'y' || answer[0] == 'Y'))
        return true;
    return error_set(error, GB_cancelled, "not restored");
}

/* Asked now, not before the restore: write-sets that came meanwhile have pushed others out. */
static void print_ist(const struct options *options, const struct manifest *m)
{
    struct ist_donors *donors = calloc(1, sizeof *donors);
    struct gb_error problem = {0};
    char text[512];
    bool asked = donors && cmd_donors(options, donors, &problem);
    cmd_ist_text(asked ? donors : NULL, manifest_position(m), text, sizeof text);
    printf("IST       %s\n", text);
    if (!asked && options->donor)
        printf("          %s could not be asked: %s\n", options->donor, problem.what);
    free(donors);
}

static void print_report(const struct options *options, const struct manifest *m, const struct restore_request *request,
                         const struct restore_plan *plan, time_t seconds)
{
    char bytes[32], rate[32], took[32], age[32], redo[32];
    const uint64_t written = plan->start == RESTORE_FINISH ? 0 : plan->bytes - plan->done;
    printf("restored  %s in %s, %s/s", text_bytes(written, bytes, sizeof bytes),
           text_duration((uint64_t)seconds, took, sizeof took),
           text_bytes(written / (uint64_t)(seconds ? seconds : 1), rate, sizeof rate));
    if (plan->start == RESTORE_GO_ON || plan->start == RESTORE_FINISH)
        printf("; %s were on disk already", text_bytes(plan->bytes - written, bytes, sizeof bytes));
    putchar('\n');
    if (manifest_is_save(m)) {
        printf("next      the directory is as it was saved %s ago; a start of mariadbd changes it\n",
               text_duration((uint64_t)(time(NULL) - m->finished_at), age, sizeof age));
        return;
    }
    printf("position  %s, %s old; the first start replays %s of redo\n",
           manifest_position(m)[0] ? manifest_position(m) : "none",
           text_duration((uint64_t)(time(NULL) - m->finished_at), age, sizeof age),
           text_bytes(m->redo_bytes, redo, sizeof redo));
    if (!request->galera)
        printf("next      start mariadbd\n");
    else if (request->safe_to_bootstrap)
        printf("next      galera_new_cluster on this node; then start the others, restored from the same backup\n");
    else {
        print_ist(options, m);
        printf("next      start mariadbd\n");
    }
}

/* Options that must be there, or don't fit together. */
static bool check_options(const struct options *o, struct gb_error *error)
{
    if (o->argument && o->as_of)
        return error_set(error, GB_usage, "restore takes %s or --as-of, not both", o->argument);
    if (!o->argument && !o->as_of)
        return error_set(error, GB_usage, "restore needs ID, latest or --as-of TIME");
    if (!o->datadir || !*o->datadir)
        return error_set(error, GB_usage, "restore needs --datadir DIR");
    if (o->json && !o->dry_run)
        return error_set(error, GB_usage, "--json shows the plan of a restore: give --dry-run with it");
    return true;
}

/* A save comes back as it was: what would change it is refused. */
static bool fits_save(const struct options *options, const struct manifest *m, struct gb_error *error)
{
    const char *option = options->as ? "--as" : options->safe_to_bootstrap ? "--safe-to-bootstrap" : options->map_count ? "--map" : NULL;
    if (!option || !manifest_is_save(m))
        return true;
    error_set(error, GB_bad_value, "%s is a save, which comes back byte for byte: %s would change it", m->id, option);
    error_hint(error, "restore it without %s; what it is to be started as, its own files say", option);
    return false;
}

/* --map OLD=NEW, each checked by options_parse(). Malloc'ed. */
static struct restore_map *take_maps(const struct options *o, struct gb_error *error)
{
    struct restore_map *maps = calloc(o->map_count + 1, sizeof *maps);
    if (!maps)
        error_set(error, GB_internal, "no memory");
    for (unsigned i = 0; maps && i < o->map_count; i++) {
        const char *equals = strchr(o->maps[i], '=');
        if (strlen(o->maps[i]) >= WIRE_PATH_MAX) {
            error_set(error, GB_bad_value, "--map %.64s... is too long", o->maps[i]);
            break;
        }
        snprintf(maps[i].from, sizeof maps[i].from, "%.*s", (int)(equals - o->maps[i]), o->maps[i]);
        snprintf(maps[i].to, sizeof maps[i].to, "%s", equals + 1);
    }
    return maps;
}

static bool make_request(const struct options *o, const struct manifest *m, struct restore_map *maps, struct restore_request *request,
                         struct gb_error *error)
{
    *request = (struct restore_request){.datadir = o->datadir,
                                        .owner = o->owner,
                                        .galera = o->as ? !strcmp(o->as, "galera") : manifest_position(m)[0],
                                        .safe_to_bootstrap = o->safe_to_bootstrap,
                                        .threads = options_threads(o),
                                        .limit_rate = options_limit_rate(o),
                                        .replace = !o->replace                 ? RESTORE_REFUSE
                                                   : !strcmp(o->replace, "keep") ? RESTORE_KEEP
                                                                                 : RESTORE_DELETE,
                                        .restart = o->restart,
                                        .maps = maps,
                                        .map_count = o->map_count,
                                        .progress = show};
    if (!fits_save(o, m, error))
        return false;
    if (request->galera && !manifest_position(m)[0])
        return error_set(error, GB_bad_value, "%s has no Galera position: it is of a standalone server", m->id);
    if (request->safe_to_bootstrap && !request->galera)
        return error_set(error, GB_bad_value, "--safe-to-bootstrap is for --as galera");
    return true;
}

/* Plans, asks, restores, reports. */
static void restore(const struct options *options, struct repository *r, const struct manifest *m, struct restore_request *request,
                    struct index *index, struct restore_plan *plan, struct gb_error *error)
{
    struct progress bar;
    request->context = &bar;
    if (!restore_plan(r, m, request, index, plan, error))
        return;
    (options->json ? restore_plan_print_json : restore_plan_print)(m, r, request, index, plan);
    if (options->dry_run || !confirmed(options, plan, error))
        return;
    time_t began = time(NULL);
    progress_start(&bar, options->progress, "restoring", options->json);
    bool ok = restore_run(r, m, index, request, plan, error);
    progress_end(&bar);
    if (ok)
        print_report(options, m, request, plan, time(NULL) - began);
}

int cmd_restore(const struct options *options, struct gb_error *error)
{
    struct repository *r = check_options(options, error) ? cmd_repository(options, error) : NULL;
    struct manifest m = {0};
    struct index index;
    struct restore_plan plan = {0};
    struct restore_request request;
    struct restore_map *maps = r ? take_maps(options, error) : NULL;
    index_init(&index);
    if (r && !error->code && cmd_find(options, r, &m, error) && make_request(options, &m, maps, &request, error))
        restore(options, r, &m, &request, &index, &plan, error);
    restore_plan_free(&plan);
    index_free(&index);
    manifest_free(&m);
    free(maps);
    repository_close(r);
    return error->code ? error_exit_status(error->code) : 0;
}
