/* BACKUP_HOLD and BACKUP_RELEASE at the agent; see holding.h. */
#include "agent/daemon/holding.h"
#include "agent/daemon/chosen.h"
#include "agent/errand.h"
#include "agent/mariadb/kept.h"
#include "agent/repository/hold.h"
#include "agent/repository/identity.h"

struct holding {
    struct identity_writer asker; /* whose backup it must be */
    const char *id;
    time_t until; /* 0: released */
    const struct repository_spec *spec;
    struct gb_error error;
};

static void hold_main(void *context)
{
    struct holding *h = context;
    struct manifest m = {0};
    time_t now_held;
    char prefix[WIRE_NAME_MAX + WIRE_ID_MAX + 16];
    struct repository *r = repository_open(h->spec, &h->error);
    repository_prefix(prefix, sizeof prefix, h->asker.cluster, h->id);
    /* Asked again for what the last time took too long: it is done already. */
    if (r && manifest_read(&m, r->storage, prefix, &r->trusted, &h->error) &&
        identity_admit(r, &h->asker, &h->error) &&
        hold_read(r->storage, prefix, &now_held, &h->error) && now_held != h->until)
        hold_set(r, &m, h->until, &h->error);
    manifest_free(&m);
    repository_close(r);
}

/* A repository may take longer than the plugin waits: it is told so once and asks again; the work
   goes on. */
static void hold_in(struct holding *h, struct peer *peer, bool *told)
{
    struct errand *errand = errand_start(hold_main, h);
    if (!errand)
        hold_main(h);
    else if (!errand_wait(errand, ERRAND_ANSWER_MS) && !*told) {
        struct gb_error slow = {0};
        error_set(&slow, GB_repository_busy, "repository %s has not answered within %u ms",
                  h->spec->name, ERRAND_ANSWER_MS);
        peer_send_failure(peer, &slow);
        *told = true;
    }
    errand_end(errand);
}

void holding_answer(struct peer *peer, const struct config *config, struct catalog *catalog,
                    const struct wire_hello *hello, const struct wire_hold *m)
{
    struct gb_error error = {0};
    struct wire_held held = {.until = ""};
    char cluster[WIRE_NAME_MAX], sql[KEPT_SQL_MAX];
    struct identity_writer asker = {
        .cluster = cluster, .wsrep_uuid = m->cluster_uuid, .state_dir = config->state_dir};
    time_t until = hold_parse(m->until);
    bool done = false, told = false;
    if (chosen_cluster(cluster, config, hello, &error) && hold_valid(m->until, &error) &&
        !label_valid(m->id))
        error_set(&error, GB_not_found, "there is no backup \"%s\"", m->id);
    unsigned count = error.code ? 0 : config->repository_count;
    for (unsigned i = 0; i < count; i++) {
        struct holding h = {asker, m->id, until, &config->repositories[i], {0}};
        hold_in(&h, peer, &told);
        done = done || !h.error.code;
        if (h.error.code && h.error.code != GB_not_found)
            error_copy(&error, &h.error);
    }
    if (!done && !error.code)
        error_set(&error, GB_not_found,
                  "there is no backup %s of %s in any repository of this agent", m->id, cluster);
    if (done)
        catalog_statement(catalog, kept_hold_sql(sql, cluster, m->id, until));
    hold_text(until, held.until);
    if (told)
        return; /* an answer has been sent */
    if (error.code)
        peer_send_failure(peer, &error);
    else
        peer_send_held(peer, &held);
}
