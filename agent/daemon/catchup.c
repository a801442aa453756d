/* Backups that a repository did not get; see catchup.h. */
#include "agent/daemon/catchup.h"
#include "agent/daemon/daemon.h"
#include "agent/mariadb/kept.h"
#include "agent/repository/copy.h"
#include "agent/repository/identity.h"
#include "agent/repository/runs.h"
#include "agent/state_file.h"
#include "common/clock.h"
#include "common/priority.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FILE_NAME  "catch-up.json"
#define FIRST_MS   10000u        /* after the backup, and after the start */
#define LONGEST_MS (30 * 60000u) /* between tries that fail: they double up to this */
#define NICE       15

struct catchup {
    const struct config *config;
    struct catalog *catalog;
    pthread_t thread;
    pthread_mutex_t mutex; /* what follows */
    pthread_cond_t changed;
    json_t *owed;     /* array of {cluster, id, from, to} */
    json_t *expected; /* the same, of backups that are being committed */
    unsigned wait_ms;
    bool stop; /* atomic */
};

static const char *text_of(const json_t *entry, const char *key)
{
    const char *text = json_string_value(json_object_get(entry, key));
    return text ? text : "";
}

/* ---- under the mutex ---- */

static void write_down(struct catchup *c)
{
    json_t *all = json_copy(c->owed);
    if (all)
        json_array_extend(all, c->expected);
    json_t *root = json_pack("{s:i, s:o}", "schema", 1, "owed", all);
    if (root && c->config->state_dir[0] && !state_file_write(c->config->state_dir, FILE_NAME, root))
        daemon_log("",
                   "%s/" FILE_NAME
                   " can't be written: what repositories are owed is known until the agent ends",
                   c->config->state_dir);
    json_decref(root);
}

static size_t find(const struct catchup *c, const json_t *entry)
{
    size_t i = 0;
    while (i < json_array_size(c->owed) && !json_equal(json_array_get(c->owed, i), entry))
        i++;
    return i;
}

/* ---- one of them ---- */

/* The repository is there, and has the backup no longer. */
static bool is_gone(struct repository *r, const char *cluster, const char *id)
{
    char prefix[WIRE_NAME_MAX + WIRE_ID_MAX + 16];
    struct gb_error why = {0}, ignored = {0};
    struct identity identity;
    repository_prefix(prefix, sizeof prefix, cluster, id);
    return r && !manifest_exists(r->storage, prefix, &why) && why.code == GB_not_found &&
           identity_read(&identity, r->storage, cluster, &ignored);
}

/* Whether nothing more can or need be done. */
static bool copy_one(struct catchup *c, const json_t *entry)
{
    const char *cluster = text_of(entry, "cluster"), *id = text_of(entry, "id");
    struct gb_error error = {0};
    const struct repository_spec *from_spec =
                                     config_repository(c->config, text_of(entry, "from"), &error),
                                 *to_spec = from_spec ? config_repository(
                                                            c->config, text_of(entry, "to"), &error)
                                                      : NULL;
    struct repository *from = to_spec ? repository_open(from_spec, &error) : NULL,
                      *to = from ? repository_open(to_spec, &error) : NULL;
    struct manifest m = {0};
    char prefix[WIRE_NAME_MAX + WIRE_ID_MAX + 16], sql[KEPT_SQL_MAX];
    struct copy_request request = {
        .state_dir = c->config->state_dir, .threads = 1, .stop = &c->stop};
    enum copy_outcome outcome;
    bool copied = false;
    if (to && cluster_name_valid(cluster) && label_valid(id)) {
        repository_prefix(prefix, sizeof prefix, cluster, id);
        copied = manifest_read(&m, from->storage, prefix, &from->trusted, &error) &&
                 repository_copy(from, to, &m, &request, &outcome, &error);
    }
    if (copied) {
        runs_note_copied(to, cluster, id);
        if (outcome != COPY_THERE)
            daemon_log(id, "repository %s has got it from %s", to_spec->name, from_spec->name);
        catalog_statement(c->catalog,
                          kept_copied_sql(sql, cluster, to_spec->name, id, m.stored_bytes));
    }
    /* The source has it no longer or has it damaged, another one has the label, or the
       configuration has lost a repository: to try again changes nothing. */
    bool hopeless =
        !copied && (is_gone(from, cluster, id) || error.code == GB_bad_value ||
                    error.code == GB_repository_unknown || error.code == GB_corrupt_backup ||
                    error.code == GB_untrusted_backup || !error.code);
    if (!copied)
        daemon_log(id, "repository %s still lacks it%s: %s", text_of(entry, "to"),
                   hopeless ? " and will not get it" : "", error.what);
    manifest_free(&m);
    repository_close(to);
    repository_close(from);
    return copied || hopeless;
}

static void *catchup_main(void *argument)
{
    struct catchup *c = argument;
    priority_name("gb-catch-up");
    priority_lower(NICE);
    pthread_mutex_lock(&c->mutex);
    while (!c->stop) {
        if (!json_array_size(c->owed)) {
            pthread_cond_wait(&c->changed, &c->mutex);
            continue;
        }
        struct timespec until = deadline_in_ms(c->wait_ms);
        if (!pthread_cond_timedwait(&c->changed, &c->mutex, &until))
            continue; /* something more is owed: what is away now has a moment */
        json_t *list = json_deep_copy(c->owed);
        c->wait_ms = c->wait_ms > LONGEST_MS / 2 ? LONGEST_MS : 2 * c->wait_ms;
        for (size_t i = 0; i < json_array_size(list) && !c->stop; i++) {
            const json_t *entry = json_array_get(list, i);
            pthread_mutex_unlock(&c->mutex);
            bool done = copy_one(c, entry);
            pthread_mutex_lock(&c->mutex);
            if (!done)
                continue;
            json_array_remove(c->owed, find(c, entry));
            write_down(c);
            c->wait_ms = FIRST_MS;
        }
        json_decref(list);
    }
    pthread_mutex_unlock(&c->mutex);
    return NULL;
}

/* ---- its owner ---- */

struct catchup *catchup_start(const struct config *config, struct catalog *catalog,
                              struct gb_error *error)
{
    struct catchup *c = calloc(1, sizeof *c);
    json_t *root = NULL;
    if (c) {
        c->config = config;
        c->catalog = catalog;
        c->wait_ms = FIRST_MS;
        root = state_file_read(config->state_dir, FILE_NAME);
        c->owed = json_is_array(json_object_get(root, "owed"))
                      ? json_incref(json_object_get(root, "owed"))
                      : json_array();
        c->expected = json_array();
        json_decref(root);
        pthread_mutex_init(&c->mutex, NULL);
        cond_init_monotonic(&c->changed);
        if (c->owed && c->expected && !pthread_create(&c->thread, NULL, catchup_main, c))
            return c;
        pthread_cond_destroy(&c->changed);
        pthread_mutex_destroy(&c->mutex);
        json_decref(c->owed);
        json_decref(c->expected);
        free(c);
    }
    error_set(error, GB_internal, "no thread for catching up");
    return NULL;
}

void catchup_stop(struct catchup *c)
{
    if (!c)
        return;
    pthread_mutex_lock(&c->mutex);
    __atomic_store_n(&c->stop, true, __ATOMIC_RELEASE);
    pthread_cond_broadcast(&c->changed);
    pthread_mutex_unlock(&c->mutex);
    pthread_join(c->thread, NULL);
    pthread_cond_destroy(&c->changed);
    pthread_mutex_destroy(&c->mutex);
    json_decref(c->owed);
    json_decref(c->expected);
    free(c);
}

/* Under the mutex: `to` is to get it from each that `has` it (NULL: all), the first first. */
static void add(json_t *list, const char *cluster, const char *id, const char *const *names,
                const bool *has, unsigned count, unsigned to)
{
    for (unsigned from = 0; from < count; from++)
        if (from != to && (!has || has[from]))
            json_array_append_new(list, json_pack("{s:s, s:s, s:s, s:s}", "cluster", cluster, "id",
                                                  id, "from", names[from], "to", names[to]));
}

void catchup_expect(struct catchup *c, const char *cluster, const char *id,
                    const char *const *names, unsigned count)
{
    if (count < 2)
        return;
    pthread_mutex_lock(&c->mutex);
    for (unsigned to = 0; to < count; to++)
        add(c->expected, cluster, id, names, NULL, count, to);
    write_down(c);
    pthread_mutex_unlock(&c->mutex);
}

void catchup_settle(struct catchup *c, const char *cluster, const char *id,
                    const char *const *names, const bool *has, unsigned count)
{
    bool found = false;
    pthread_mutex_lock(&c->mutex);
    for (size_t i = json_array_size(c->expected); i-- > 0;) {
        const json_t *entry = json_array_get(c->expected, i);
        if (!strcmp(text_of(entry, "cluster"), cluster) && !strcmp(text_of(entry, "id"), id))
            found = !json_array_remove(c->expected, i);
    }
    for (unsigned to = 0; found && to < count; to++)
        if (!has[to])
            add(c->owed, cluster, id, names, has, count, to);
    if (found) {
        write_down(c);
        c->wait_ms = FIRST_MS;
        pthread_cond_broadcast(&c->changed);
    }
    pthread_mutex_unlock(&c->mutex);
}

unsigned catchup_owed(struct catchup *c, const char *repository, char oldest[WIRE_ID_MAX])
{
    json_t *ids = json_object(); /* a backup that several have is owed once */
    oldest[0] = '\0';
    pthread_mutex_lock(&c->mutex);
    for (size_t i = 0; i < json_array_size(c->owed); i++) {
        const json_t *entry = json_array_get(c->owed, i);
        const char *id = text_of(entry, "id");
        if (strcmp(text_of(entry, "to"), repository))
            continue;
        json_object_set_new(ids, id, json_true());
        if (!oldest[0] || strcmp(id, oldest) < 0)
            snprintf(oldest, WIRE_ID_MAX, "%s", id);
    }
    pthread_mutex_unlock(&c->mutex);
    unsigned count = (unsigned)json_object_size(ids);
    json_decref(ids);
    return count;
}
