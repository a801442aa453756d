/* galera-backup restore */
#include "agent/cmd/cmd.h"
#include "agent/cmd/restore_plan.h"
#include "agent/restore/report.h"
#include "agent/ui/progress.h"
#include "agent/ui/text.h"
#include "agent/warn.h"
#include "common/clock.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* From any thread, one at a time. */
static void say(void *context, const char *text)
{
    progress_clear(context);
    warn_text(NULL, text);
}

static void show(void *context, uint64_t done, uint64_t total)
{
    progress_show(context, done, total, "");
}

/* Old content goes only when somebody has said so. */
static bool confirmed(const struct options *options, const struct restore_plan *plan,
                      struct gb_error *error)
{
    char answer[16] = "";
    if (!options->yes && !isatty(STDIN_FILENO) &&
        (plan->replaces || (options->restart && plan->start == RESTORE_ANEW)))
        return error_set(error, GB_usage,
                         "%s would be replaced, and nobody is there to be asked: give --yes",
                         options->datadir);
    if (options->yes || !isatty(STDIN_FILENO))
        return true;
    printf("Restore? [y/N] ");
    fflush(stdout);
    if (fgets(answer, sizeof answer, stdin) && (answer[0] == 'y' || answer[0] == 'Y'))
        return true;
    return error_set(error, GB_cancelled, "not restored");
}

#define IST_MAX 1024u

/* The position that a node of a cluster takes up there; "": the first node of a new group, and a
 * new history, have nobody to join. */
static const char *joins_at(const struct report *report)
{
    bool joins = report->request->galera && !report->request->safe_to_bootstrap &&
                 !report->finish->history.new;
    return joins ? manifest_position(report->manifest) : "";
}

/* Whether the restored node can be joined by IST; report->ist gets text, IST_MAX bytes. For the
   plan, and once more for the report: write-sets that came meanwhile have pushed others out. */
static void find_ist(const struct options *options, struct report *report,
                     struct ist_prediction *prediction, char *text)
{
    const char *position = joins_at(report);
    *prediction = (struct ist_prediction){.answer = IST_UNKNOWN, .behind = -1, .lowest = -1};
    report->ist = NULL;
    if (!position[0])
        return;
    struct ist_donors *donors = calloc(1, sizeof *donors);
    struct gb_error problem = {0};
    bool asked = donors && cmd_donors(options, donors, &problem);
    cmd_ist_text(asked ? donors : NULL, position, text, IST_MAX);
    if (donors)
        ist_predict(donors, position, prediction);
    if (!asked && options->donor) {
        size_t n = strlen(text);
        snprintf(text + n, IST_MAX - n, " (%s could not be asked: %s)", options->donor,
                 problem.what);
    }
    free(donors);
    report->ist = text;
}

static void print_json(json_t *root, const struct report *report,
                       const struct ist_prediction *prediction)
{
    cmd_ist_json(root, joins_at(report), prediction);
    json_dumpf(root, stdout, JSON_INDENT(1));
    putchar('\n');
    json_decref(root);
}

static void print_plan(const struct options *options, struct repository *r,
                       const struct index *index, struct report *report)
{
    struct ist_prediction prediction;
    char text[IST_MAX];
    find_ist(options, report, &prediction, text);
    if (options->json)
        print_json(restore_plan_json(r, index, report), report, &prediction);
    else
        restore_plan_print(r, index, report);
}

static void print_report(const struct options *options, struct report *report)
{
    struct ist_prediction prediction;
    char text[IST_MAX];
    find_ist(options, report, &prediction, text);
    if (options->json)
        print_json(report_json(report), report, &prediction);
    else
        report_text(report, stdout);
}

/* What the private server says while it recovers. */
static void show_line(void *context, const char *text)
{
    const struct progress *bar = context;
    if (bar->kind == PROGRESS_PLAIN || bar->kind == PROGRESS_BAR)
        fprintf(stderr, "recovery: %s\n", text);
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
    return true;
}

/* A save comes back as it was: what would change it is refused. */
static bool fits_save(const struct options *options, const struct manifest *m,
                      struct gb_error *error)
{
    const char *option = options->as                  ? "--as"
                         : options->safe_to_bootstrap ? "--safe-to-bootstrap"
                         : options->map_count         ? "--map"
                         : options->recover           ? "--recover"
                         : options->verify_boot       ? "--verify-boot"
                         : options->history           ? "--history"
                                                      : NULL;
    if (!option || !manifest_is_save(m))
        return true;
    error_set(error, GB_bad_value,
              "%s is a save, which comes back byte for byte: %s would change it", m->id, option);
    error_hint(error, "restore it without %s; what it is to be started as, its own files say",
               option);
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

static bool make_request(const struct options *o, const struct manifest *m,
                         struct restore_map *maps, struct restore_request *request,
                         struct gb_error *error)
{
    *request = (struct restore_request){.datadir = o->datadir,
                                        .owner = o->owner,
                                        .galera = o->as ? !strcmp(o->as, "galera")
                                                        : manifest_position(m)[0],
                                        .safe_to_bootstrap = o->safe_to_bootstrap,
                                        .threads = options_threads(o),
                                        .limit_rate = options_limit_rate(o),
                                        .replace = !o->replace                   ? RESTORE_REFUSE
                                                   : !strcmp(o->replace, "keep") ? RESTORE_KEEP
                                                                                 : RESTORE_DELETE,
                                        .restart = o->restart,
                                        .maps = maps,
                                        .map_count = o->map_count,
                                        .progress = show};
    if (!fits_save(o, m, error))
        return false;
    if (request->galera && !manifest_position(m)[0])
        return error_set(error, GB_bad_value,
                         "%s has no Galera position: it is of a standalone server", m->id);
    if (request->safe_to_bootstrap && !request->galera)
        return error_set(error, GB_bad_value, "--safe-to-bootstrap is for --as galera");
    return true;
}

/* Plans, asks, restores, does what follows, reports. */
static void restore(const struct options *options, struct repository *r, const struct manifest *m,
                    struct restore_request *request, struct index *index, struct restore_plan *plan,
                    struct progress *bar, struct gb_error *error)
{
    struct finish_request finish = {.recover = options->recover,
                                    .verify_boot = options->verify_boot,
                                    .replica = options->as && !strcmp(options->as, "replica"),
                                    .history = options->history,
                                    .line = show_line,
                                    .context = bar};
    struct finish_plan after;
    struct finish_result result;
    struct report report = {.manifest = m,
                            .request = request,
                            .plan = plan,
                            .finish = &after,
                            .result = &result,
                            .repository = options->repository ? options->repository : r->spec.name,
                            .key = options->key};
    request->context = bar;
    if (!restore_plan(r, m, request, index, plan, error) ||
        !finish_plan(&after, &finish, r, m, index, request, plan, error))
        return;
    request->stay_guarded = after.in_place || after.on_clone;
    request->changes = after.in_place;
    if (options->dry_run || !options->json)
        print_plan(options, r, index, &report);
    if (options->dry_run || !confirmed(options, plan, error))
        return;
    double began = now_s();
    progress_start(bar, options->progress, "restoring", options->json);
    bool ok = restore_run(r, m, index, request, plan, error);
    progress_end(bar);
    report.seconds = now_s() - began;
    if (ok && finish_run(&after, &finish, &result, m, index, request, plan, error))
        print_report(options, &report);
}

/* Who expects a sealed backup may be given one that anyone has made. */
static void warn_of_key(const struct options *options, const struct manifest *m)
{
    struct gb_error doubt = {0};
    if (!options->key || m->encryption.on)
        return;
    error_set(&doubt, GB_untrusted_backup,
              "%s is not encrypted, and --key not needed; who can write to the repository can have "
              "made it%s",
              m->id, options->trusted_signer ? ", if he has the signing key" : "");
    if (!options->trusted_signer)
        error_hint(&doubt, "--trusted-signer tells");
    warn_of(&doubt, NULL);
}

/* keys.json may be had elsewhere, as the rest of it. */
static bool unlock(struct repository *r, struct elsewhere *elsewhere, struct manifest *m,
                   struct gb_error *error)
{
    struct gb_error why = {0};
    elsewhere_of(elsewhere, m);
    return repository_unlock(r, m, &why) || elsewhere_unlock(elsewhere, m, &why, error);
}

int cmd_restore(const struct options *options, struct gb_error *error)
{
    struct progress bar = {.kind = PROGRESS_NONE}; /* until it is started */
    struct elsewhere *elsewhere = NULL;
    struct repository *r = check_options(options, error) ? cmd_repository(options, error) : NULL;
    struct manifest m = {0};
    struct index index;
    struct restore_plan plan = {.lock = -1};
    struct restore_request request;
    struct restore_map *maps = r ? take_maps(options, error) : NULL;
    index_init(&index);
    bool found = r && !error->code && cmd_find(options, r, &m, error);
    if (found)
        warn_of_key(options, &m);
    if (found && (elsewhere = cmd_elsewhere(options, r, say, &bar, error)) &&
        unlock(r, elsewhere, &m, error) && make_request(options, &m, maps, &request, error)) {
        request.elsewhere = elsewhere;
        restore(options, r, &m, &request, &index, &plan, &bar, error);
    }
    elsewhere_free(elsewhere);
    restore_plan_free(&plan);
    index_free(&index);
    manifest_free(&m);
    free(maps);
    repository_close(r);
    return error->code ? error_exit_status(error->code) : 0;
}
