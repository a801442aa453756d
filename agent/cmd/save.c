/* galera-backup save */
#include "agent/cmd/cmd.h"
#include "agent/repository/identity.h"
#include "agent/save/save.h"
#include "agent/ui/progress.h"
#include "agent/ui/text.h"

#include <inttypes.h>
#include <jansson.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

static volatile sig_atomic_t interrupted;

static void on_interrupt(int number)
{
    (void)number;
    interrupted = 1;
}

static void show(void *context, uint64_t done, uint64_t total)
{
    progress_show(context, done, total, "");
}

/* Whose it is: --cluster, the configured one, else this host's name. state_dir: what the agent of
 * this host remembers is there. */
static bool choose_cluster(const struct options *options, char *out, size_t size,
                           char state_dir[WIRE_PATH_MAX], struct gb_error *error)
{
    struct config config;
    struct gb_error ignored = {0};
    char host[HOST_NAME_MAX + 1] = "";
    gethostname(host, sizeof host - 1);
    bool configured = cmd_config(options, &config, &ignored);
    snprintf(state_dir, WIRE_PATH_MAX, "%s", configured ? config.state_dir : "");
    snprintf(out, size, "%s",
             options->cluster                  ? options->cluster
             : configured && config.cluster[0] ? config.cluster
                                               : host);
    if (cluster_name_valid(out))
        return true;
    error_set(error, GB_bad_value, "\"%s\" can't name a directory of the repository", out);
    error_hint(error, "give --cluster NAME, of letters, digits, dot, dash and underscore");
    return false;
}

static void print_notes(const char *title, const struct source_notes *n)
{
    for (unsigned i = 0; i < n->count && i < SOURCE_NOTES_MAX; i++)
        printf("%-9s %s\n", i ? "" : title, n->text[i] ? n->text[i] : "?");
    if (n->count > SOURCE_NOTES_MAX)
        printf("          and %u more\n", n->count - SOURCE_NOTES_MAX);
}

static void print_report(const struct source *source, const struct save_report *r,
                         const struct options *options, const struct repository *repository)
{
    const struct manifest *m = &r->manifest;
    char bytes[32], stored[32], rate[32], took[32], lost[32];
    uint64_t seconds = (uint64_t)(m->finished_at - m->started_at);
    printf(
        "saved     %s\ncluster   %s\nfrom      %s, %u files, %s in %s, %s/s\nto        %s, %s "
        "stored\n",
        m->id, m->cluster, source->datadir, m->files,
        text_bytes(source->bytes, bytes, sizeof bytes), text_duration(seconds, took, sizeof took),
        text_bytes(source->bytes / (seconds ? seconds : 1), rate, sizeof rate),
        storage_describe(repository->storage), text_bytes(m->stored_bytes, stored, sizeof stored));
    if (source->outside)
        printf("outside   %u files from outside the data directory, under their absolute paths\n",
               source->outside);
    print_notes("left out", &source->left_out);
    print_notes("warning", &source->warnings);
    if (r->damaged)
        printf("pages     %" PRIu64 " damaged places in %" PRIu64
               " pages; they are saved as they are\n",
               r->damaged, r->pages);
    else
        printf("pages     %" PRIu64 " looked at, none has a wrong checksum\n", r->pages);
    if (r->unreadable_bytes)
        printf("UNREAD    %s can't be read from the disk and are zeros in the save\n",
               text_bytes(r->unreadable_bytes, lost, sizeof lost));
    for (unsigned i = 0; i < r->notes && i < SAVE_NOTES_MAX; i++)
        printf("          %s\n", r->note[i]);
    if (r->notes > SAVE_NOTES_MAX)
        printf("          and %u more\n", r->notes - SAVE_NOTES_MAX);
    bool remote = repository_is_remote(&repository->spec);
    const char *where = remote ? options->repository : storage_describe(repository->storage);
    printf("next      galera-backup restore %s %s%s%s--datadir DIR brings it back as it was\n",
           m->id, where ? "--repository '" : "", where ? where : "", where ? "' " : "");
}

static json_t *notes_json(const struct source_notes *n)
{
    json_t *list = json_array();
    for (unsigned i = 0; i < n->count && i < SOURCE_NOTES_MAX; i++)
        json_array_append_new(list, json_string(n->text[i] ? n->text[i] : ""));
    return list;
}

static void print_json(const struct source *source, const struct save_report *r)
{
    const struct manifest *m = &r->manifest;
    json_t *places = json_array();
    for (unsigned i = 0; i < r->notes && i < SAVE_NOTES_MAX; i++)
        json_array_append_new(places, json_string(r->note[i]));
    json_t *root = json_pack(
        "{s:i, s:s, s:s, s:s, s:i, s:I, s:I, s:I, s:i, s:I, s:I, s:I, s:o, s:o, s:o}", "schema", 1,
        "id", m->id, "cluster", m->cluster, "datadir", source->datadir, "files", (int)m->files,
        "data_bytes", (json_int_t)source->bytes, "stored_bytes", (json_int_t)m->stored_bytes,
        "duration_s", (json_int_t)(m->finished_at - m->started_at), "outside_files",
        (int)source->outside, "pages", (json_int_t)r->pages, "damaged_pages",
        (json_int_t)r->damaged, "unreadable_bytes", (json_int_t)r->unreadable_bytes, "damage",
        places, "left_out", notes_json(&source->left_out), "warnings",
        notes_json(&source->warnings));
    json_dumpf(root, stdout, JSON_INDENT(1));
    putchar('\n');
    json_decref(root);
}

/* A node that crashed may not know its uuid any more: then it is let in. */
static bool admit(const struct options *options, struct repository *r, const struct source *source,
                  const char *cluster, const char *state_dir, struct gb_error *error)
{
    char uuid[WIRE_UUID_MAX];
    snprintf(uuid, sizeof uuid, "%.*s", (int)strcspn(source->galera_state, ":"),
             source->galera_state);
    struct identity_writer writer = {.cluster = cluster,
                                     .wsrep_uuid = uuid,
                                     .state_dir = state_dir,
                                     .remedy = options->repository,
                                     .writes = true};
    return identity_admit(r, &writer, error);
}

static void save(const struct options *options, struct repository *r, const char *cluster,
                 const char *state_dir, struct gb_error *error)
{
    struct source source;
    static struct save_report report;
    struct progress bar;
    struct save_request request = {.cluster = cluster,
                                   .comment = options->comment,
                                   .threads = options_threads(options),
                                   .stop = &interrupted,
                                   .progress = show,
                                   .context = &bar};
    bool opened = source_open(&source, options->datadir, storage_describe(r->storage), error);
    bool ok = opened && admit(options, r, &source, cluster, state_dir, error);
    if (ok) {
        progress_start(&bar, options->progress, "saving", options->json);
        ok = save_run(r, &source, &request, &report, error);
        progress_end(&bar);
    }
    if (ok && options->json)
        print_json(&source, &report);
    else if (ok)
        print_report(&source, &report, options, r);
    if (ok && report.unreadable_bytes)
        error_set(error, GB_source_unreadable,
                  "%s: %" PRIu64 " bytes of %s could not be read from the disk", report.manifest.id,
                  report.unreadable_bytes, source.datadir);
    manifest_free(&report.manifest);
    source_close(&source);
}

int cmd_save(const struct options *options, struct gb_error *error)
{
    char cluster[WIRE_NAME_MAX], state_dir[WIRE_PATH_MAX];
    /* The second interrupt ends the process at once; what it leaves is no backup. */
    struct sigaction action = {.sa_handler = on_interrupt, .sa_flags = (int)SA_RESETHAND};
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    if (!options->datadir) {
        error_set(error, GB_usage, "save needs --datadir DIR");
        return error_exit_status(error->code);
    }
    if (!choose_cluster(options, cluster, sizeof cluster, state_dir, error))
        return error_exit_status(error->code);
    struct repository *r = cmd_repository(options, error);
    if (r)
        save(options, r, cluster, state_dir, error);
    repository_close(r);
    return error->code ? error_exit_status(error->code) : 0;
}
