/* A backup that is read back before the plugin is told of it; see proof.h. */
#include "agent/daemon/proof.h"
#include "agent/errand.h"

#include <stdlib.h>

struct proof {
    struct errand *errand;
    struct repository *repository;
    const struct manifest *manifest;
    bool deep;
    unsigned threads;
    bool stop; /* atomic */
    bool done; /* what follows is set */
    struct verification result;
    struct gb_error error;
};

static void proof_main(void *context)
{
    struct proof *p = context;
    struct verify_request request = {.deep = p->deep, .threads = p->threads, .stop = &p->stop};
    p->done = verification_run(p->repository, p->manifest, &request, 0, &p->result, &p->error);
}

struct proof *proof_start(struct repository *repository, const struct manifest *manifest, bool deep,
                          unsigned threads)
{
    struct proof *p = calloc(1, sizeof *p);
    if (!p)
        return NULL;
    p->repository = repository;
    p->manifest = manifest;
    p->deep = deep;
    p->threads = threads;
    if ((p->errand = errand_start(proof_main, p)))
        return p;
    free(p);
    return NULL;
}

bool proof_wait(struct proof *p, unsigned ms)
{
    return errand_wait(p->errand, ms);
}

void proof_stop(struct proof *p)
{
    __atomic_store_n(&p->stop, true, __ATOMIC_RELEASE);
}

bool proof_end(struct proof *p, struct verified *record, struct gb_error *error)
{
    static const struct verified none;
    errand_end(p->errand);
    const struct verification *r = &p->result;
    *record = p->done ? r->record : none;
    bool ok = p->done ? !r->report.damaged : p->error.code == GB_cancelled;
    if (!ok && p->done)
        error_set(error, GB_corrupt_backup,
                  "it is stored, and what was read back is damaged: %u places, %s",
                  r->report.damaged, r->record.problem_count ? r->record.problem[0] : "");
    else if (!ok)
        error_set(error, p->error.code, "it is stored, and could not be read back: %s",
                  p->error.what);
    free(p);
    return ok;
}
