/* galera-backup verify: one backup or all, recorded in the repository and, where a server answers, in its catalog. */
#include "agent/cmd/cmd.h"
#include "agent/mariadb/rows.h"
#include "agent/repository/verification.h"
#include "agent/ui/progress.h"
#include "agent/ui/text.h"
#include "common/processors.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define SQL_TIMEOUT_S 5u

struct verifying {
    const struct options *options;
    struct repository *repository;
    struct connection *connection; /* NULL: no server, or none that answers */
    struct progress bar;
    json_t *all;      /* an object for each backup */
    json_t *problems; /* of the backup that is being read */
    char what[WIRE_ID_MAX]; /* the backup's id, or "all" */
    unsigned damaged;       /* places, of all backups */
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
    snprintf(text, sizeof text, "%s%s%s", problem->what, place ? ": " : "", place ? problem->hint : "");
    progress_clear(&v->bar);
    fprintf(stderr, "damaged: %s\n", text);
    json_array_append_new(v->problems, json_string(text));
}

static void report_unread(void *context, const char *text)
{
    struct verifying *v = context;
    fprintf(stderr, "damaged: %s\n", text);
    v->damaged++;
    json_array_append_new(v->all, json_pack("{s:s, s:i, s:[s]}", "result", "damaged", "damaged", 1, "problems", text));
}

static void print_line(const struct manifest *m, const struct verification *r)
{
    char bytes[32], part[64] = "";
    const struct verified_round *round = &r->record.round[r->record.deep];
    if (r->record.percent)
        snprintf(part, sizeof part, ", part %u of %u", round->turn + 1, round->turns);
    printf("%s: %s, %" PRIu64 " frames, %s read%s\n", m->id, r->report.damaged ? "DAMAGED" : "good", r->report.frames,
           text_bytes(r->report.bytes, bytes, sizeof bytes), part);
    if (!r->report.damaged && r->record.damaged)
        printf("damage that was found before stands until all of it has been read again: %s\n",
               r->record.problem_count ? r->record.problem[0] : "");
    if (r->report.unverifiable)
        printf("%u files hold pages without a checksum (ALTER TABLE ... FORCE writes them anew, with one)\n",
               r->report.unverifiable);
}

static json_t *describe(const struct verifying *v, const struct manifest *m, const struct verification *r)
{
    char at[32];
    json_t *o = json_pack("{s:s, s:s, s:s, s:s, s:I, s:I, s:i, s:i, s:b, s:O}", "id", m->id, "cluster", m->cluster, "level",
                          v->options->quick ? "quick" : "deep", "result", r->report.damaged ? "damaged" : "ok", "frames",
                          (json_int_t)r->report.frames, "bytes", (json_int_t)r->report.bytes, "damaged", (int)r->report.damaged,
                          "unverifiable", (int)r->report.unverifiable, "recorded", !r->not_recorded.code, "problems", v->problems);
    json_object_set_new(o, "verified", json_string(verified_word(&r->record)));
    json_object_set_new(o, "verified_at", json_string(text_time(r->record.verified_at, at, sizeof at)));
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
        fprintf(stderr, "galera-backup: warning: what was found is not recorded: %s\n", r->not_recorded.what);
    struct gb_error ignored = {0};
    if (v->connection && !rows_verified(v->connection, m->cluster, m->id, &r->record, &ignored))
        fprintf(stderr, "galera-backup: warning: the server's catalog does not have it: %s\n", ignored.what);
}

static bool verify_one(struct verifying *v, const struct manifest *m, struct gb_error *error)
{
    const struct options *o = v->options;
    struct verification *r = malloc(sizeof *r);
    struct verify_request request = {.deep = !o->quick, .threads = options_threads(o) ? options_threads(o) : processors(),
                                     .report = report, .progress = show, .context = v};
    char doing[WIRE_ID_MAX + 16];
    bool many = !strcmp(o->argument, "all");
    v->problems = json_array();
    snprintf(doing, sizeof doing, many ? "verifying %s" : "verifying", m->id);
    progress_start(&v->bar, o->progress, doing, o->json);
    bool ok = (r && v->problems) || error_set(error, GB_internal, "no memory");
    ok = ok && verification_run(v->repository, m, &request, options_sample(o), r, error);
    progress_end(&v->bar);
    if (ok && !r->record.verified_at) {
        fprintf(stderr, "%s was removed while it was read\n", m->id);
        ok = many || error_set(error, GB_not_found, "%s was removed while it was read", m->id);
    } else if (ok) {
        v->damaged += r->report.damaged;
        note_record(v, m, r);
        json_array_append_new(v->all, describe(v, m, r));
        if (!o->json)
            print_line(m, r);
    }
    json_decref(v->problems);
    free(r);
    return ok;
}

static bool verify_all(struct verifying *v, struct gb_error *error)
{
    struct manifest *list = NULL;
    size_t count = 0, at = 0;
    bool ok = repository_list(v->repository, v->options->cluster, &list, &count, report_unread, v, error);
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

static bool verify(struct verifying *v, struct gb_error *error)
{
    struct manifest m;
    if (!strcmp(v->options->argument, "all"))
        return verify_all(v, error);
    if (!cmd_find(v->options, v->repository, &m, error))
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
    json_t *root = many ? json_pack("{s:O}", "backups", v->all) : json_incref(json_array_get(v->all, 0));
    json_object_set_new(root, "schema", json_integer(1));
    json_dumpf(root, stdout, JSON_INDENT(1));
    putchar('\n');
    json_decref(root);
}

int cmd_verify(const struct options *options, struct gb_error *error)
{
    struct gb_error absent = {0};
    struct config config;
    struct verifying v = {.options = options, .repository = cmd_repository(options, error), .all = json_array(), .what = "all"};
    bool by_path = cmd_repository_is_path(options) && !options->config;
    if (v.repository && !by_path && cmd_config(options, &config, &absent))
        v.connection = rows_connect(&config, SQL_TIMEOUT_S, &absent);
    bool ok = v.repository && verify(&v, error);
    if (ok && options->json)
        print_json(&v);
    if (ok && v.unopened.code && !v.damaged)
        error_copy(error, &v.unopened);
    if (ok && v.damaged)
        error_set(error, GB_corrupt_backup, "%s: %u damaged places", v.what, v.damaged);
    json_decref(v.all);
    connection_close(v.connection);
    repository_close(v.repository);
    return error->code ? error_exit_status(error->code) : 0;
}
