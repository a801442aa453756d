/* galera-backup verify: one backup or all, recorded in the repository and, where a server answers,
 * in its catalog; what is damaged mended from another repository. */
#include "agent/cmd/cmd.h"
#include "agent/mariadb/rows.h"
#include "agent/repository/listing.h"
#include "agent/repository/repair.h"
#include "agent/repository/verification.h"
#include "agent/ui/progress.h"
#include "agent/ui/text.h"
#include "agent/warn.h"
#include "common/processors.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define SQL_TIMEOUT_S 5u

struct verifying {
    const struct options *options;
    struct repository *repository;
    struct repository *other;      /* --repair-from; NULL */
    struct connection *connection; /* NULL: no server, or none that answers */
    struct progress bar;
    json_t *all;              /* an object for each backup */
    json_t *problems;         /* of the backup that is being read */
    json_t *mended;           /* names of its objects */
    char what[WIRE_ID_MAX];   /* the backup's id, or "all" */
    unsigned damaged;         /* places, of all backups */
    struct gb_error unopened; /* of all: the first that no key opens */
};

static void show(void *context, uint64_t done, uint64_t total)
{
    struct verifying *v = context;
    progress_show(&v->bar, done, total, "");
}

static void report(void *context, const struct gb_error *problem)
{
    struct verifying *v = context;
    char text[GB_ERROR_TEXT_MAX + GB_ERROR_HINT_MAX];
    bool place = strcmp(problem->hint, error_default_hint(problem->code)) != 0;
    snprintf(text, sizeof text, "%s%s%s", problem->what, place ? ": " : "",
             place ? problem->hint : "");
    progress_clear(&v->bar);
    fprintf(stderr, "damaged: %s\n", text);
    json_array_append_new(v->problems, json_string(text));
}

static void report_unread(void *context, const char *text)
{
    struct verifying *v = context;
    fprintf(stderr, "damaged: %s\n", text);
    v->damaged++;
    json_array_append_new(v->all, json_pack("{s:s, s:i, s:[s]}", "result", "damaged", "damaged", 1,
                                            "problems", text));
}

static void print_line(const struct manifest *m, const struct verification *r)
{
    char bytes[32], part[64] = "";
    const struct verified_round *round = &r->record.round[r->record.deep];
    if (r->record.percent)
        snprintf(part, sizeof part, ", part %u of %u", round->turn + 1, round->turns);
    printf("%s: %s, %" PRIu64 " frames, %s read%s\n", m->id, r->report.damaged ? "DAMAGED" : "good",
           r->report.frames, text_bytes(r->report.bytes, bytes, sizeof bytes), part);
    if (!r->report.damaged && r->record.damaged)
        printf("damage that was found before stands until all of it has been read again: %s\n",
               r->record.problem_count ? r->record.problem[0] : "");
    if (r->report.unverifiable)
        printf("%u files hold pages without a checksum (ALTER TABLE ... FORCE writes them anew, "
               "with one)\n",
               r->report.unverifiable);
}

static json_t *describe(const struct verifying *v, const struct manifest *m,
                        const struct verification *r)
{
    char at[32];
    json_t *o = json_pack(
        "{s:s, s:s, s:s, s:s, s:I, s:I, s:i, s:i, s:b, s:O}", "id", m->id, "cluster", m->cluster,
        "level", v->options->quick ? "quick" : "deep", "result",
        r->report.damaged ? "damaged" : "ok", "frames", (json_int_t)r->report.frames, "bytes",
        (json_int_t)r->report.bytes, "damaged", (int)r->report.damaged, "unverifiable",
        (int)r->report.unverifiable, "recorded", !r->not_recorded.code, "problems", v->problems);
    if (v->other)
        json_object_set(o, "mended", v->mended);
    json_object_set_new(o, "verified", json_string(verified_word(&r->record)));
    json_object_set_new(o, "verified_at",
                        json_string(text_time(r->record.verified_at, at, sizeof at)));
    json_object_set_new(o, "record", verified_json(&r->record));
    return o;
}

static void note_record(struct verifying *v, const struct manifest *m, const struct verification *r)
{
    if (r->record_damaged.code) {
        fprintf(stderr, "damaged: %s; it has been made anew\n", r->record_damaged.what);
        v->damaged++;
    }
    const struct gb_error *beside[] = {&r->hold_damaged, &r->identity_damaged};
    for (size_t i = 0; i < 2; i++)
        if (beside[i]->code) {
            fprintf(stderr, "damaged: %s\n", beside[i]->what);
            v->damaged++;
        }
    if (r->not_recorded.code)
        warn_of(&r->not_recorded, "what was found is not recorded");
    struct gb_error ignored = {0};
    if (v->connection && !rows_verified(v->connection, m->cluster, m->id, &r->record, &ignored))
        warn_of(&ignored, "the server's catalog does not have it");
}

/* ---- repair ---- */

static void note_mended(struct verifying *v, const char *object)
{
    fprintf(stderr, "mended: %s, from %s\n", object, v->options->repair_from);
    json_array_append_new(v->mended, json_string(object));
}

static void report_repair(void *context, const char *object, const struct gb_error *problem)
{
    struct verifying *v = context;
    if (problem)
        fprintf(stderr, "not mended: %s: %s\n", object, problem->what);
    else
        note_mended(v, object);
}

/* Whether it can go on: what can't be mended stays as it was found. */
static bool goes_on(const struct manifest *m, const struct gb_error *problem,
                    struct gb_error *error)
{
    if (storage_is_away(problem) || problem->code == GB_cancelled || problem->code == GB_no_space ||
        problem->code == GB_internal)
        error_copy(error, problem);
    else if (problem->code)
        fprintf(stderr, "not mended: %s: %s\n", m->id, problem->what);
    return !error->code;
}

/* Without the data key nothing else can be read. */
static bool repair_keys(struct verifying *v, const struct manifest *m, struct gb_error *error)
{
    bool mended;
    char ids[512];
    struct gb_error problem = {0};
    repository_repair_keys(v->repository, v->other, m, &mended, &problem);
    if (mended) {
        note_mended(v, "keys.json");
        if (repository_recipients(v->repository, m, ids, sizeof ids, &problem))
            fprintf(stderr, "%s can be opened by %s, as in %s\n", m->id, ids,
                    v->options->repair_from);
    }
    return goes_on(m, &problem, error);
}

static bool repair_objects(struct verifying *v, const struct manifest *m, const bool *damaged,
                           struct gb_error *error)
{
    const struct repair_request request = {
        .damaged = damaged, .report = report_repair, .context = v};
    struct gb_error problem = {0};
    repository_repair(v->repository, v->other, m, &request, &problem);
    return goes_on(m, &problem, error);
}

/* ---- */

static bool look(struct verifying *v, const struct manifest *m, bool *damaged,
                 struct verification *r, struct gb_error *error)
{
    const struct options *o = v->options;
    struct verify_request request = {.deep = !o->quick,
                                     .threads =
                                         options_threads(o) ? options_threads(o) : processors(),
                                     .damaged = damaged,
                                     .report = report,
                                     .progress = show,
                                     .context = v};
    char doing[WIRE_ID_MAX + 16];
    snprintf(doing, sizeof doing, strcmp(o->argument, "all") ? "verifying" : "verifying %s", m->id);
    json_array_clear(v->problems);
    progress_start(&v->bar, o->progress, doing, o->json);
    bool ok = verification_run(v->repository, m, &request, options_sample(o), r, error);
    progress_end(&v->bar);
    return ok;
}

/* Looks, mends, and looks again if there was something to mend: the record says what is true then.
 */
static bool look_and_mend(struct verifying *v, const struct manifest *m, struct verification *r,
                          struct gb_error *error)
{
    bool *damaged = calloc(m->object_count, sizeof *damaged);
    bool ok = (damaged || error_set(error, GB_internal, "no memory")) &&
              (!v->other || repair_keys(v, m, error)) && look(v, m, damaged, r, error);
    size_t before = json_array_size(v->mended);
    if (ok && v->other && r->record.verified_at &&
        memchr(damaged, true, m->object_count * sizeof *damaged))
        ok = repair_objects(v, m, damaged, error) &&
             (json_array_size(v->mended) == before || look(v, m, NULL, r, error));
    free(damaged);
    return ok;
}

static bool verify_one(struct verifying *v, const struct manifest *m, struct gb_error *error)
{
    struct verification *r = malloc(sizeof *r);
    bool many = !strcmp(v->options->argument, "all");
    v->problems = json_array();
    v->mended = json_array();
    bool ok = (r && v->problems && v->mended) || error_set(error, GB_internal, "no memory");
    ok = ok && look_and_mend(v, m, r, error);
    if (ok && !r->record.verified_at) {
        fprintf(stderr, "%s was removed while it was read\n", m->id);
        ok = many || error_set(error, GB_not_found, "%s was removed while it was read", m->id);
    } else if (ok) {
        v->damaged += r->report.damaged;
        note_record(v, m, r);
        json_array_append_new(v->all, describe(v, m, r));
        if (!v->options->json)
            print_line(m, r);
    }
    json_decref(v->problems);
    json_decref(v->mended);
    free(r);
    return ok;
}

static bool verify_all(struct verifying *v, struct gb_error *error)
{
    struct manifest *list = NULL;
    size_t count = 0, at = 0;
    bool ok =
        repository_list(v->repository, v->options->cluster, &list, &count, report_unread, v, error);
    /* Of one that no key opens the others are read nevertheless. */
    for (struct gb_error problem = {0}; ok && at < count; error_clear(&problem))
        if (!verify_one(v, &list[at++], &problem)) {
            ok = problem.code == GB_key_missing;
            if (ok)
                fprintf(stderr, "%s: %s\n", list[at - 1].id, problem.what);
            error_copy(ok ? &v->unopened : error, &problem);
        }
    for (size_t i = 0; i < count; i++)
        manifest_free(&list[i]);
    free(list);
    return ok;
}

/* A backup.json that is there and can't be read, of the label that was given in full. */
static bool find_again(struct verifying *v, struct manifest *m, struct gb_error *error)
{
    const struct options *o = v->options;
    char cluster[WIRE_NAME_MAX];
    struct gb_error why = {0};
    if (!v->other || error->code != GB_corrupt_backup || !label_valid(o->argument))
        return false;
    fprintf(stderr, "damaged: %s\n", error->what);
    if (!cmd_cluster(o, v->repository, cluster, &why) ||
        !repository_repair_manifest(v->repository, v->other, cluster, o->argument, &why)) {
        error_clear(error);
        error_copy(error, &why);
        return false;
    }
    error_clear(error);
    fprintf(stderr, "mended: backup.json, from %s\n", o->repair_from);
    return cmd_find(o, v->repository, m, error);
}

static bool verify(struct verifying *v, struct gb_error *error)
{
    struct manifest m;
    if (!strcmp(v->options->argument, "all"))
        return verify_all(v, error);
    if (!cmd_find(v->options, v->repository, &m, error) && !find_again(v, &m, error))
        return false;
    snprintf(v->what, sizeof v->what, "%s", m.id);
    bool ok = verify_one(v, &m, error);
    manifest_free(&m);
    return ok;
}

/* One backup is an object, all of them are an array in one. */
static void print_json(const struct verifying *v)
{
    bool many = !strcmp(v->options->argument, "all");
    json_t *root =
        many ? json_pack("{s:O}", "backups", v->all) : json_incref(json_array_get(v->all, 0));
    json_object_set_new(root, "schema", json_integer(1));
    json_dumpf(root, stdout, JSON_INDENT(1));
    putchar('\n');
    json_decref(root);
}

static bool open_both(struct verifying *v, struct gb_error *error)
{
    const struct options *o = v->options;
    if (o->repair_from && options_sample(o))
        return error_set(
            error, GB_usage,
            "--repair-from goes by a verification of all of the backup: leave out --sample");
    if (!(v->repository = cmd_repository(o, error)))
        return false;
    return !o->repair_from || (v->other = cmd_other_repository(o, "--repair-from", o->repair_from,
                                                               v->repository, error));
}

int cmd_verify(const struct options *options, struct gb_error *error)
{
    struct gb_error absent = {0};
    struct config config;
    struct verifying v = {.options = options, .all = json_array(), .what = "all"};
    bool by_path = cmd_repository_is_path(options) && !options->config;
    bool opened = open_both(&v, error);
    if (opened && !by_path && cmd_config(options, &config, &absent))
        v.connection = rows_connect(&config, SQL_TIMEOUT_S, &absent);
    bool ok = opened && verify(&v, error);
    if (ok && options->json)
        print_json(&v);
    if (ok && v.unopened.code && !v.damaged)
        error_copy(error, &v.unopened);
    if (ok && v.damaged)
        error_set(error, GB_corrupt_backup, "%s: %u damaged places", v.what, v.damaged);
    json_decref(v.all);
    connection_close(v.connection);
    repository_close(v.other);
    repository_close(v.repository);
    return error->code ? error_exit_status(error->code) : 0;
}
