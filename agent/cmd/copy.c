/* galera-backup copy: one backup or all of them, from one repository to another */
#include "agent/cmd/cmd.h"
#include "agent/location.h"
#include "agent/repository/copy.h"
#include "agent/repository/listing.h"
#include "agent/ui/progress.h"
#include "agent/ui/text.h"
#include "agent/warn.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>

static bool interrupted; /* atomic */

static void interrupt(int number)
{
    (void)number;
    __atomic_store_n(&interrupted, true, __ATOMIC_RELEASE);
}

struct copying {
    const struct options *options;
    struct repository *from, *to;
    struct config config; /* its state-dir: what this host remembers */
    struct progress bar;
    json_t *list;    /* an object for each backup */
    unsigned unread; /* backups that could not be listed */
};

static void show(void *context, uint64_t done, uint64_t total)
{
    progress_show(context, done, total, "");
}

static void warn(void *context, const char *text)
{
    progress_clear(context);
    warn_text(NULL, text);
}

static void warn_unread(void *context, const char *text)
{
    struct copying *c = context;
    c->unread++;
    fprintf(stderr, "galera-backup: not copied: %s\n", text);
}

static bool copy_one(struct copying *c, const struct manifest *m, struct gb_error *error)
{
    static const char *const words[] = {"copied", "sealed", "there"};
    const struct options *o = c->options;
    const struct copy_request request = {.from_name =
                                             o->repository ? o->repository : c->from->spec.name,
                                         .to_name = o->to,
                                         .state_dir = c->config.state_dir,
                                         .threads = options_threads(o),
                                         .stop = &interrupted,
                                         .progress = show,
                                         .warn = warn,
                                         .context = &c->bar};
    enum copy_outcome outcome;
    char doing[WIRE_ID_MAX + 16], bytes[32];
    snprintf(doing, sizeof doing, "copying %s", m->id);
    progress_start(&c->bar, o->progress, doing, o->json);
    bool ok = repository_copy(c->from, c->to, m, &request, &outcome, error);
    progress_end(&c->bar);
    json_t *row = json_pack("{s:s, s:s, s:s, s:I}", "id", m->id, "cluster", m->cluster, "result",
                            ok ? words[outcome] : "failed", "bytes",
                            (json_int_t)(ok && outcome != COPY_THERE ? m->stored_bytes : 0));
    if (!ok)
        json_object_set_new(row, "error", json_string(error->what));
    json_array_append_new(c->list, row);
    if (ok && !o->json)
        printf("%s: %s%s\n", m->id,
               outcome == COPY_THERE ? "is there already"
                                     : text_bytes(m->stored_bytes, bytes, sizeof bytes),
               outcome == COPY_MADE     ? " copied"
               : outcome == COPY_SEALED ? " copied, encrypted on the way"
                                        : "");
    return ok;
}

/* Whether there is no use in going on with others. */
static bool ends_all(const struct gb_error *e)
{
    return storage_is_away(e) || e->code == GB_no_space || e->code == GB_cancelled ||
           e->code == GB_wrong_cluster || e->code == GB_bad_key;
}

/* Oldest first: what another needs comes before it. One that fails does not keep the others from
 * it. */
static bool copy_all(struct copying *c, struct gb_error *error)
{
    struct manifest *list = NULL;
    size_t count = 0;
    const char *cluster = c->options->cluster    ? c->options->cluster
                          : c->config.cluster[0] ? c->config.cluster
                                                 : NULL;
    bool ok = repository_list(c->from, cluster, &list, &count, warn_unread, c, error);
    for (size_t i = count; ok && i-- > 0;) {
        struct gb_error problem = {0};
        if (!copy_one(c, &list[i], &problem)) {
            ok = !ends_all(&problem);
            if (count > 1)
                fprintf(stderr, "galera-backup: %s: %s\n", list[i].id, problem.what);
            error_copy(error, &problem);
        }
    }
    for (size_t i = 0; i < count; i++)
        manifest_free(&list[i]);
    free(list);
    if (c->unread && !error->code)
        error_set(error, GB_corrupt_backup, "%u backups in %s can't be read, and were not copied",
                  c->unread, storage_describe(c->from->storage));
    return !error->code;
}

static bool copy(struct copying *c, struct gb_error *error)
{
    struct manifest m;
    if (!strcmp(c->options->argument, "all"))
        return copy_all(c, error);
    if (!cmd_find(c->options, c->from, &m, error))
        return false;
    bool ok = copy_one(c, &m, error);
    manifest_free(&m);
    return ok;
}

static bool open_both(struct copying *c, struct gb_error *error)
{
    const struct options *o = c->options;
    if (!o->to || !*o->to)
        return error_set(error, GB_usage, "copy needs --to NAME, or where the other repository is");
    return (c->from = cmd_repository(o, error)) &&
           (c->to = cmd_other_repository(o, "--to", o->to, c->from, error));
}

int cmd_copy(const struct options *o, struct gb_error *error)
{
    struct copying *c = calloc(1, sizeof *c);
    const struct sigaction action = {.sa_handler = interrupt, .sa_flags = (int)SA_RESETHAND};
    bool without = cmd_repository_is_path(o) && o->to && location_is(o->to) &&
                   !o->config; /* no configuration is needed */
    if (!c)
        error_set(error, GB_internal, "no memory");
    if (c) {
        c->options = o;
        c->list = json_array();
        sigaction(SIGINT, &action, NULL);
        sigaction(SIGTERM, &action, NULL);
    }
    bool opened = c && (without || cmd_config(o, &c->config, error)) && open_both(c, error);
    if (opened)
        copy(c, error);
    if (opened && o->json && json_array_size(c->list)) {
        json_t *root = json_pack("{s:i, s:s, s:s, s:O}", "schema", 1, "from",
                                 storage_describe(c->from->storage), "to",
                                 storage_describe(c->to->storage), "backups", c->list);
        json_dumpf(root, stdout, JSON_INDENT(1));
        putchar('\n');
        json_decref(root);
    }
    if (c) {
        json_decref(c->list);
        repository_close(c->to);
        repository_close(c->from);
    }
    free(c);
    return error->code ? error_exit_status(error->code) : 0;
}
