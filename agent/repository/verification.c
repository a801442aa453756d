/* One verification of a backup, and its record; see verification.h. */
#include "agent/repository/verification.h"
#include "agent/repository/hold.h"
#include "agent/repository/identity.h"

#include <stdio.h>
#include <string.h>

#define WHOLE 100u /* percent */

struct running {
    const struct verify_request *asked;
    struct verified *found;
};

static void keep(void *context, const struct gb_error *problem)
{
    struct running *r = context;
    struct verified *v = r->found;
    if (v->problem_count < VERIFIED_PROBLEMS_MAX)
        snprintf(v->problem[v->problem_count++], sizeof v->problem[0], "%s", problem->what);
    if (r->asked->report)
        r->asked->report(r->asked->context, problem);
}

static void show(void *context, uint64_t done, uint64_t total)
{
    const struct running *r = context;
    r->asked->progress(r->asked->context, done, total);
}

/* What was removed while it was read is not damaged. */
static bool is_gone(struct repository *repository, const struct manifest *m)
{
    char prefix[1024];
    struct gb_error why = {0};
    repository_prefix(prefix, sizeof prefix, m->cluster, m->id);
    return !manifest_exists(repository->storage, prefix, &why) && why.code == GB_not_found;
}

/* A record that can't be used is as none; one of a later release is left alone. */
static bool read_last(struct repository *repository, const struct manifest *m,
                      struct verified *last, struct verification *result, struct gb_error *error)
{
    struct gb_error why = {0};
    if (verified_read(last, repository, m->cluster, m->id, &why))
        return true;
    if (storage_is_away(&why)) {
        error_copy(error, &why);
        return false;
    }
    error_copy(why.code == GB_corrupt_backup ? &result->record_damaged : &result->not_recorded,
               &why);
    return true;
}

/* What is no part of the backup and stands beside it. */
static bool look_beside(struct repository *repository, const struct manifest *m,
                        struct verification *result, struct gb_error *error)
{
    char prefix[1024];
    struct identity identity;
    repository_prefix(prefix, sizeof prefix, m->cluster, m->id);
    hold_check(repository->storage, prefix, &result->hold_damaged);
    identity_read(&identity, repository->storage, m->cluster, &result->identity_damaged);
    if (result->identity_damaged.code ==
        GB_not_found) /* a save into a directory that no agent has written to */
        error_clear(&result->identity_damaged);
    struct gb_error *found[] = {&result->hold_damaged, &result->identity_damaged};
    for (size_t i = 0; i < 2; i++)
        if (storage_is_away(found[i]))
            error_copy(error, found[i]);
    return !error->code;
}

bool verification_run(struct repository *repository, const struct manifest *m,
                      const struct verify_request *asked, unsigned percent,
                      struct verification *result, struct gb_error *error)
{
    static const struct verified none;
    struct verify_request request = *asked;
    struct verified last, *now = &result->record;
    struct running running = {.asked = asked, .found = now};
    memset(result, 0, sizeof *result);
    if (!read_last(repository, m, &last, result, error) ||
        !look_beside(repository, m, result, error))
        return false;
    now->percent = percent < WHOLE ? percent : 0;
    now->deep = asked->deep;
    request.turn = request.turns = 0;
    if (now->percent) {
        now->round[now->deep] = verified_next(&last, now->deep, now->percent);
        request.turn = now->round[now->deep].turn;
        request.turns = now->round[now->deep].turns;
    }
    request.report = keep;
    request.progress = asked->progress ? show : NULL;
    request.context = &running;
    if (!repository_verify(repository, m, &request, &result->report, error))
        return false;
    if (is_gone(repository, m)) {
        *now = none;
        result->report.damaged = 0;
        return true;
    }
    now->damaged = result->report.damaged > 0;
    now->verified_at = time(NULL);
    verified_merge(now, &last);
    if (!result->not_recorded.code)
        verified_write(now, repository, m->cluster, m->id, &result->not_recorded);
    return true;
}
