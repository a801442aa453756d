/* galera-backup restore */
#include "agent/cmd/cmd.h"
#include "agent/restore/restore.h"
#include "agent/ui/progress.h"
#include "agent/ui/text.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define OUTSIDE_SHOWN 20u /* paths in the plan */

static void show(void *context, uint64_t done, uint64_t total)
{
    progress_show(context, done, total, "");
}

/* A path may hold anything; on a terminal it shall show as one line. */
static void print_path(const char *path)
{
    printf("          ");
    for (; *path; path++)
        putchar((unsigned char)*path < ' ' || *path == 0x7f ? '?' : *path);
    putchar('\n');
}

/* Absolute paths, which the backup chose and not --datadir. */
static void print_outside(const struct index *index, const struct restore_plan *plan)
{
    unsigned shown = 0;
    if (plan->outside)
        printf("outside   %u files go to their absolute paths outside the data directory:\n", plan->outside);
    for (size_t i = 0; i < index->file_count && shown < OUTSIDE_SHOWN; i++)
        if (index->files[i].path[0] == '/' && ++shown)
            print_path(index->files[i].path);
    if (plan->outside > shown)
        printf("          and %u more\n", plan->outside - shown);
}

static void print_plan(const struct manifest *m, const struct repository *r, const struct restore_request *request,
                       const struct index *index, const struct restore_plan *plan)
{
    char age[32], bytes[32], stored[32], available[32], redo[32];
    printf("backup    %s of %s (MariaDB %s), %s old\ncluster   %s\nfrom      %s, %s to read\nto        %s, %" PRIu64 " files, %s; %s free\n",
           m->id, m->node, m->server_version, text_duration((uint64_t)(time(NULL) - m->finished_at), age, sizeof age),
           m->cluster, storage_describe(r->storage), text_bytes(plan->stored, stored, sizeof stored), request->datadir, plan->files,
           text_bytes(plan->bytes, bytes, sizeof bytes), text_bytes(plan->available, available, sizeof available));
    if (manifest_is_save(m))
        printf("as        it was saved, byte for byte; nobody has checked whether it boots\n");
    else
        printf("position  %s\nredo      %s, replayed by the first start\nas        %s\n",
               manifest_position(m)[0] ? manifest_position(m) : "none", text_bytes(m->redo_bytes, redo, sizeof redo),
               request->galera ? (request->safe_to_bootstrap ? "galera, safe to bootstrap" : "galera") : "standalone");
    print_outside(index, plan);
}

static bool confirmed(const struct options *options, struct gb_error *error)
{
    char answer[16] = "";
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
    printf("restored  %s in %s, %s/s\n", text_bytes(plan->bytes, bytes, sizeof bytes),
           text_duration((uint64_t)seconds, took, sizeof took),
           text_bytes(plan->bytes / (uint64_t)(seconds ? seconds : 1), rate, sizeof rate));
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
    if (o->map_count || o->replace || o->restart || o->limit_rate || o->json)
        return error_set(error, GB_not_supported, "--map, --replace, --restart, --limit-rate and --json are not supported yet");
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

int cmd_restore(const struct options *options, struct gb_error *error)
{
    struct repository *r = check_options(options, error) ? cmd_repository(options, error) : NULL;
    struct manifest m = {0};
    struct index index;
    index_init(&index);
    if (r && cmd_find(options, r, &m, error)) {
        struct progress bar;
        struct restore_request request = {.datadir = options->datadir,
                                          .owner = options->owner,
                                          .galera = options->as ? !strcmp(options->as, "galera") : manifest_position(&m)[0],
                                          .safe_to_bootstrap = options->safe_to_bootstrap,
                                          .threads = options_threads(options),
                                          .progress = show,
                                          .context = &bar};
        struct restore_plan plan;
        if (fits_save(options, &m, error) && request.galera && !manifest_position(&m)[0])
            error_set(error, GB_bad_value, "%s has no Galera position: it is of a standalone server", m.id);
        if (request.safe_to_bootstrap && !request.galera)
            error_set(error, GB_bad_value, "--safe-to-bootstrap is for --as galera");
        if (!error->code && restore_plan(r, &m, &request, &index, &plan, error)) {
            print_plan(&m, r, &request, &index, &plan);
            if (!options->dry_run && confirmed(options, error)) {
                time_t began = time(NULL);
                progress_start(&bar, options->progress, "restoring", options->json);
                bool ok = restore_run(r, &m, &index, &request, &plan, error);
                progress_end(&bar);
                if (ok)
                    print_report(options, &m, &request, &plan, time(NULL) - began);
            }
        }
    }
    index_free(&index);
    manifest_free(&m);
    repository_close(r);
    return error->code ? error_exit_status(error->code) : 0;
}
