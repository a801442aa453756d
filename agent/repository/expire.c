/* Expiring; see expire.h. */
#include "agent/repository/expire.h"
#include "agent/repository/hold.h"
#include "agent/repository/listing.h"
#include "agent/repository/runs.h"
#include "agent/repository/verified.h"
#include "agent/utc.h"
#include "agent/warn.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NAME_SIZE 1200
#define COMMIT_S  86400 /* no commit takes longer */

struct repository *expire_open(const struct repository_spec *spec, struct gb_error *error)
{
    struct repository_spec s = *spec;
    if (s.expire_credentials_file[0]) {
        snprintf(s.s3.credentials_file, sizeof s.s3.credentials_file, "%s",
                 s.expire_credentials_file);
        s.s3.credentials[0] = s.s3.access_key_id[0] = s.s3.secret_access_key[0] = '\0';
    }
    return repository_open(&s, error);
}

static void warn(void *context, const char *text)
{
    (void)context;
    fprintf(stderr, "galera-backup: warning: not counted: %s\n", text);
}

/* What verifications have found of all of it. A record that can't be read may have been that of
   damage; a sample says nothing of the rest but damage. */
static bool read_check(struct repository *r, const char *cluster, const char *id,
                       enum retention_check *found, struct gb_error *error)
{
    struct verified v;
    struct gb_error problem = {0};
    *found = RETENTION_UNVERIFIED;
    if (!verified_read(&v, r, cluster, id, &problem)) {
        *found = RETENTION_UNKNOWN;
        if (problem.code == GB_corrupt_backup || problem.code == GB_format_newer)
            return true;
        error_copy(error, &problem);
        return false;
    }
    if (v.damaged)
        *found = RETENTION_DAMAGED;
    else if (v.deep_at)
        *found = RETENTION_DEEP;
    else if (v.verified_at && !v.percent)
        *found = RETENTION_QUICK;
    return true;
}

/* Between backup.json and the end of a commit the lock is held; whoever comes after it does not
 * know how it ends. */
static bool find_used(struct repository *r, const char *prefix, time_t now,
                      struct retention_backup *b, struct gb_error *error)
{
    struct storage_lock_state lock;
    if (b->finished_at < now - COMMIT_S)
        return true;
    if (!repository_lock_look(r, prefix, &lock, error))
        return false;
    b->in_use = lock.held;
    return true;
}

struct deciding {
    struct repository *repository;
    const char *cluster;
    time_t now;
    bool look_at_locks;
    struct retention_backup *list;
    size_t count;
};

static bool add_one(void *context, const struct manifest *m, struct gb_error *error)
{
    struct deciding *d = context;
    struct repository *r = d->repository;
    char prefix[NAME_SIZE - 32];
    if (strcmp(m->cluster, d->cluster))
        return true;
    struct retention_backup *b = realloc(d->list, (d->count + 1) * sizeof *b);
    if (!b)
        return error_set(error, GB_internal, "no memory for the list");
    d->list = b;
    b += d->count++;
    *b = (struct retention_backup){
        .started_at = m->started_at, .finished_at = m->finished_at, .save = manifest_is_save(m)};
    snprintf(b->id, sizeof b->id, "%s", m->id);
    repository_prefix(prefix, sizeof prefix, d->cluster, m->id);
    return hold_read(r->storage, prefix, &b->hold_until, error) &&
           read_check(r, d->cluster, m->id, &b->verified, error) &&
           (!d->look_at_locks || find_used(r, prefix, d->now, b, error));
}

/* What it has added becomes the caller's. */
static bool decide(struct deciding *d, bool ok, struct retention_backup **list, size_t *count,
                   struct gb_error *error)
{
    *list = d->list;
    *count = d->count;
    return ok && (retention_decide(&d->repository->spec.keep, d->list, d->count, d->now) ||
                  error_set(error, GB_internal, "no memory for the decision"));
}

bool expire_decide(struct repository *r, const char *cluster, const struct manifest *manifests,
                   size_t manifest_count, time_t now, struct retention_backup **list, size_t *count,
                   struct gb_error *error)
{
    struct deciding d = {.repository = r, .cluster = cluster, .now = now};
    bool ok = true;
    for (size_t i = 0; ok && i < manifest_count; i++)
        ok = add_one(&d, &manifests[i], error);
    return decide(&d, ok, list, count, error);
}

/* ---- what keeps it from going on ---- */

static bool check_clock(struct repository *r, struct gb_error *refused, struct gb_error *error)
{
    char ours[UTC_MAX], theirs[UTC_MAX];
    time_t there, now;
    if (!storage_time(r->storage, &there, error))
        return false;
    time(&now);
    if (llabs((long long)(there - now)) <= EXPIRE_CLOCK_S)
        return true;
    error_set(refused, GB_expire_refused,
              "the clock of this host, %s, and that of %s, %s, differ by %lld s",
              utc_text(now, ours), storage_describe(r->storage), utc_text(there, theirs),
              llabs((long long)(there - now)));
    error_hint(refused, "set the clock that is wrong (NTP); ages and periods are counted by it");
    return true;
}

static bool check_runs(struct repository *r, const struct expire_request *q,
                       const struct expire_result *result, struct gb_error *refused,
                       struct gb_error *error)
{
    struct failed_run failed;
    if (!runs_newest_failed(r, q->cluster, result->list, result->count, &failed, error))
        return false;
    if (!failed.id[0] || failed.code == GB_no_space) /* to make room is the remedy */
        return true;
    error_set(refused, GB_expire_refused, "the newest run, %s, failed: %.300s", failed.id,
              failed.why);
    error_hint(refused, "nothing expires before a backup succeeds again");
    return true;
}

/* Of backups. Saves are made by hand and in numbers that say nothing: those that stay make up for
   no backup that goes, and that all of them are old is no accident. */
static void check_mass(const struct expire_request *q, const struct expire_result *result,
                       struct gb_error *refused)
{
    size_t there = 0, go = 0;
    for (size_t i = 0; i < result->count; i++) {
        there += !result->list[i].save;
        go += !result->list[i].save && !result->list[i].keep;
    }
    if (q->confirm_mass || refused->code || go * 2 <= there)
        return;
    error_set(refused, GB_expire_refused,
              "%zu of %zu backups of %s would go at once, more than half", go, there, q->cluster);
    error_hint(refused, "look at galera-backup expire --dry-run; if that is what is wanted: "
                        "galera-backup expire --confirm-mass-expire");
}

/* ---- removal ---- */

/* False: it stays. It may have been held, or have become another's, since the decision. */
static bool remove_one(struct repository *r, const char *cluster, struct retention_backup *b,
                       struct gb_error *error)
{
    char prefix[NAME_SIZE - 32];
    repository_prefix(prefix, sizeof prefix, cluster, b->id);
    struct storage_lock *lock = repository_lock(r, prefix, error);
    if (!lock)
        return false;
    bool ok = hold_read(r->storage, prefix, &b->hold_until, error);
    if (ok && b->hold_until > time(NULL)) {
        b->keep = true;
        snprintf(b->reason, sizeof b->reason, "held meanwhile");
    } else
        ok = ok && storage_remove_all(r->storage, prefix, error);
    storage_unlock(lock);
    return ok && !b->keep;
}

/* Whether a backup that is still there needs it. */
static bool is_needed(const struct expire_result *result, const struct retention_backup *b)
{
    for (size_t i = 0; i < result->count; i++)
        if (!result->gone[i] && !strcmp(result->list[i].parent, b->id))
            return true;
    return false;
}

static void remove_all(struct repository *r, const struct expire_request *q,
                       struct expire_result *result, struct gb_error *error)
{
    unsigned deepest = 0;
    for (size_t i = 0; i < result->count; i++)
        deepest = result->list[i].depth > deepest ? result->list[i].depth : deepest;
    for (unsigned depth = deepest + 1; depth-- > 0;)
        for (size_t i = result->count; i-- > 0;) {
            struct retention_backup *b = &result->list[i];
            struct gb_error problem = {0};
            if (b->keep || b->depth != depth ||
                (q->stop && __atomic_load_n(q->stop, __ATOMIC_ACQUIRE)))
                continue;
            if (is_needed(result, b)) {
                b->keep = true;
                snprintf(b->reason, sizeof b->reason, "what needs it could not be removed");
                continue;
            }
            result->gone[i] = remove_one(r, q->cluster, b, &problem);
            result->removed += result->gone[i];
            if (problem.code) {
                warn_of(&problem, "%s stays", b->id);
                error_copy(error, &problem);
            }
        }
}

bool expire_run(struct repository *r, const struct expire_request *q, struct expire_result *result,
                struct gb_error *error)
{
    char name[NAME_SIZE];
    struct deciding d = {
        .repository = r, .cluster = q->cluster, .now = time(NULL), .look_at_locks = true};
    struct storage_lock *lock = NULL;
    unsigned collected;
    memset(result, 0, sizeof *result);
    if (!cluster_name_valid(q->cluster))
        return error_set(error, GB_bad_value, "\"%s\" is not the name of a cluster", q->cluster);
    snprintf(name, sizeof name, "%s/locks/expire", q->cluster);
    if (!q->dry_run && !(lock = storage_lock(r->storage, name, error)))
        return false;
    bool ok = repository_each(r, q->cluster, add_one, warn, &d, error);
    ok = decide(&d, ok, &result->list, &result->count, error);
    result->gone = calloc(result->count + 1, sizeof *result->gone);
    ok = ok && (result->gone || error_set(error, GB_internal, "no memory for the list"));
    for (size_t i = 0; ok && i < result->count; i++)
        result->expire += !result->list[i].keep;
    ok = ok && check_clock(r, &result->refused, error) &&
         (result->refused.code || check_runs(r, q, result, &result->refused, error));
    if (ok)
        check_mass(q, result, &result->refused);
    if (ok && !q->dry_run && !result->refused.code) {
        ok = runs_expire_begin(r, q->cluster, result->list, result->count, error);
        if (ok)
            remove_all(r, q, result, error);
        ok = ok && !error->code && repository_collect(r, q->cluster, &collected, error) &&
             runs_expire_end(r, q->cluster, error);
    }
    storage_unlock(lock);
    return ok;
}

void expire_result_free(struct expire_result *result)
{
    free(result->list);
    free(result->gone);
    memset(result, 0, sizeof *result);
}
