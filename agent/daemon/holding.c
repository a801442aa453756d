/* BACKUP_HOLD and BACKUP_RELEASE at the agent; see holding.h. */
#include "agent/daemon/holding.h"
#include "agent/errand.h"
#include "agent/repository/hold.h"

struct holding {
    const struct holding_request *request;
    const struct repository_spec *spec;
    struct gb_error error;
};

static void hold_main(void *context)
{
    struct holding *h = context;
    const struct holding_request *q = h->request;
    struct manifest m = {0};
    time_t now_held;
    char prefix[WIRE_NAME_MAX + WIRE_ID_MAX + 16];
    struct repository *r = repository_open(h->spec, &h->error);
    repository_prefix(prefix, sizeof prefix, q->asker.cluster, q->id);
    /* Asked again for what the last time took too long: it is done already. */
    if (r && manifest_read(&m, r->storage, prefix, &r->trusted, &h->error) &&
        identity_admit(r, &q->asker, &h->error) &&
        hold_read(r->storage, prefix, &now_held, &h->error) && now_held != q->until)
        hold_set(r, &m, q->until, &h->error);
    manifest_free(&m);
    repository_close(r);
}

bool holding_run(const struct holding_request *q, bool *done, struct gb_error *error)
{
    bool told = false;
    *done = false;
    for (unsigned i = 0; i < q->config->repository_count; i++) {
        struct holding h = {.request = q, .spec = &q->config->repositories[i]};
        struct errand *errand = repository_is_remote(h.spec) ? errand_start(hold_main, &h) : NULL;
        if (!errand)
            hold_main(&h);
        else if (!errand_wait(errand, ERRAND_ANSWER_MS) && !told) {
            struct gb_error slow = {0};
            error_set(&slow, GB_repository_busy, "repository %s has not answered within %u ms",
                      h.spec->name, ERRAND_ANSWER_MS);
            q->slow(q->context, &slow);
            told = true;
        }
        errand_end(errand);
        *done = *done || !h.error.code;
        if (h.error.code && h.error.code != GB_not_found)
            error_copy(error, &h.error);
    }
    if (!*done && !error->code)
        error_set(error, GB_not_found,
                  "there is no backup %s of %s in any repository of this agent", q->id,
                  q->asker.cluster);
    if (told)
        error_clear(error);
    return !error->code && !told;
}
