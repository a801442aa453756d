/* Looking after a repository; see upkeep.h. */
#include "agent/repository/upkeep.h"
#include "agent/repository/expire.h"
#include "agent/repository/identity.h"
#include "agent/repository/runs.h"
#include "agent/utc.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uuid/uuid.h>

#define PREFIX_SIZE (WIRE_NAME_MAX + WIRE_ID_MAX + 16)

/* ---- locks ---- */

struct locks {
    struct upkeep_lock *list;
    size_t count;
};

static bool look(struct repository *r, const char *name, struct locks *l, struct gb_error *error)
{
    struct storage_lock_state state;
    if (!storage_lock_look(r->storage, name, &state, error))
        return false;
    if (!state.there)
        return true;
    struct upkeep_lock *more = realloc(l->list, (l->count + 1) * sizeof *more);
    if (!more)
        return error_set(error, GB_internal, "no memory for the list");
    l->list = more;
    more += l->count++;
    more->state = state;
    snprintf(more->name, sizeof more->name, "%s", name);
    return true;
}

bool upkeep_locks(struct repository *r, const char *cluster, struct upkeep_lock **list,
                  size_t *count, struct gb_error *error)
{
    struct repository_names labels = {0}, own;
    struct locks l = {NULL, 0};
    char prefix[PREFIX_SIZE], name[PREFIX_SIZE + WIRE_NAME_MAX];
    snprintf(prefix, sizeof prefix, "%s/locks", cluster);
    bool ok = repository_names(r, prefix, false, NULL, &own, error) &&
              repository_labels(r, cluster, &labels, error);
    for (size_t i = 0; ok && i < own.count; i++) {
        snprintf(name, sizeof name, "%s/%s", prefix, own.name[i]);
        ok = look(r, name, &l, error);
    }
    for (size_t i = 0; ok && i < labels.count; i++) {
        repository_prefix(prefix, sizeof prefix, cluster, labels.name[i]);
        snprintf(name, sizeof name, "%s/" REPOSITORY_LOCK_NAME, prefix);
        ok = look(r, name, &l, error);
    }
    free(labels.name);
    free(own.name);
    *list = l.list;
    *count = l.count;
    return ok;
}

bool upkeep_unlock(struct repository *r, const char *cluster, const char *name,
                   struct gb_error *error)
{
    struct upkeep_lock *list = NULL;
    size_t count = 0, at = 0;
    char since[UTC_MAX];
    bool ok = upkeep_locks(r, cluster, &list, &count, error);
    while (ok && at < count && strcmp(list[at].name, name))
        at++;
    const struct storage_lock_state *state = ok && at < count ? &list[at].state : NULL;
    if (ok && !state) {
        ok = error_set(error, GB_not_found, "there is no lock %s in %s", name,
                       storage_describe(r->storage));
        error_hint(error, "galera-backup repo unlock without --lock shows the locks there are");
    } else if (ok && state->held) {
        ok = error_set(error, GB_repository_busy, "%s is held by %s since %s", name,
                       state->owner[0] ? state->owner : "a process that is not known",
                       utc_text(state->since, since));
        error_hint(error,
                   "end that process; in a bucket a lock is nobody's %u s after its owner has died",
                   BUCKET_LOCK_LEASE_S);
    }
    ok = ok && storage_remove(r->storage, name, error);
    free(list);
    return ok;
}

/* ---- left-overs ---- */

/* Which uploads are nobody's: those of labels that are not being written. */
struct uploads {
    struct repository *repository;
    const char *cluster;
    struct gb_error error;
};

static bool is_abandoned(void *context, const char *name)
{
    struct uploads *u = context;
    char prefix[PREFIX_SIZE], label[WIRE_ID_MAX];
    struct storage_lock_state state;
    size_t n = (size_t)snprintf(prefix, sizeof prefix, "%s/backups/", u->cluster);
    if (strncmp(name, prefix, n))
        return false;
    snprintf(label, sizeof label, "%.*s", (int)strcspn(name + n, "/"), name + n);
    repository_prefix(prefix, sizeof prefix, u->cluster, label);
    return label_valid(label) && repository_lock_look(u->repository, prefix, &state, &u->error) &&
           !state.held;
}

bool upkeep_gc(struct repository *r, const char *cluster, struct upkeep_gc *result,
               struct gb_error *error)
{
    char prefix[PREFIX_SIZE];
    struct uploads u = {.repository = r, .cluster = cluster};
    memset(result, 0, sizeof *result);
    repository_prefix(prefix, sizeof prefix, cluster, "");
    bool ok = repository_collect(r, cluster, &result->labels, error) &&
              storage_drop_uploads(r->storage, prefix, is_abandoned, &u, &result->uploads, error);
    if (ok && u.error.code)
        error_copy(error, &u.error);
    return ok && !error->code;
}

/* ---- check ---- */

struct report {
    struct repository *repository;
    void (*take)(void *context, const struct upkeep_row *row);
    void *context;
    bool failed;
};

static void __attribute__((format(printf, 5, 6)))
row(struct report *p, const char *check, enum upkeep_result result, const char *remedy,
    const char *format, ...)
{
    struct upkeep_row r = {.result = result};
    va_list args;
    va_start(args, format);
    vsnprintf(r.detail, sizeof r.detail, format, args);
    va_end(args);
    snprintf(r.check, sizeof r.check, "%s", check);
    snprintf(r.remedy, sizeof r.remedy, "%s", remedy);
    p->failed = p->failed || result == UPKEEP_FAIL;
    p->take(p->context, &r);
}

static void failed(struct report *p, const char *check, const struct gb_error *why)
{
    row(p, check, UPKEEP_FAIL, why->hint, "%s", why->what);
}

/* An object is made, made again (refused), replaced, read, removed. */
static void check_writing(struct report *p)
{
    struct storage *s = p->repository->storage;
    struct gb_error error = {0}, refused = {0};
    char name[80], id[37], *text = NULL;
    size_t size;
    uuid_t uuid;
    uuid_generate_random(uuid);
    uuid_unparse_lower(uuid, id);
    snprintf(name, sizeof name, ".galera-backup-check-%s", id);
    bool ok = storage_put(s, name, "first", 5, &error),
         twice = ok && storage_put(s, name, "again", 5, &refused);
    ok = ok && !storage_is_away(&refused) && storage_replace(s, name, id, strlen(id), &error) &&
         (text = storage_read_all(s, name, sizeof id, &size, &error));
    bool same = ok && !strcmp(text, id);
    free(text);
    struct gb_error removal = {0};
    storage_remove(s, name, &removal);
    if (storage_is_away(&refused))
        error = refused;
    if (!ok)
        failed(p, "writable", &error);
    else if (!same)
        row(p, "writable", UPKEEP_FAIL, "look at the repository's storage",
            "what was written does not come back as it was");
    else if (removal.code)
        row(p, "writable", UPKEEP_WARN, removal.hint,
            "written and read back, but not removed: %.300s", removal.what);
    else
        row(p, "writable", UPKEEP_OK, "", "an object was written, read back and removed");
    if (ok && twice)
        row(p, "conditional_put", UPKEEP_FAIL,
            "the store writes over what is there: it can't hold a repository",
            "an object was written over");
    else if (ok && !storage_is_conditional(s))
        row(p, "conditional_put", UPKEEP_OK, "",
            "the store does not know conditions (If-None-Match): what is there is looked for "
            "before writing");
    else if (ok)
        row(p, "conditional_put", UPKEEP_OK, "", "the store refuses to write over what is there");
}

static void check_clock(struct report *p)
{
    struct gb_error error = {0};
    time_t there, now = time(NULL);
    char theirs[UTC_MAX];
    if (!storage_time(p->repository->storage, &there, &error)) {
        failed(p, "clock", &error);
        return;
    }
    long long apart = llabs((long long)(there - now));
    row(p, "clock", apart > EXPIRE_CLOCK_S ? UPKEEP_WARN : UPKEEP_OK,
        apart > EXPIRE_CLOCK_S ? "set the clock that is wrong (NTP): nothing expires meanwhile"
                               : "",
        "the store's clock says %s, %lld s from this host's", utc_text(there, theirs), apart);
}

static void check_space(struct report *p)
{
    struct gb_error error = {0};
    uint64_t available = 0;
    bool ok = storage_check_space(p->repository->storage, 0, &available, &error);
    if (!ok)
        failed(p, "space", &error);
    else if (available == STORAGE_FREE_UNKNOWN)
        row(p, "space", UPKEEP_OK, "", "a bucket does not tell how much still fits");
    else
        row(p, "space", UPKEEP_OK, "", "%" PRIu64 " MB free", available >> 20);
}

static void check_identity(struct report *p, const char *cluster)
{
    struct identity i;
    struct gb_error error = {0};
    if (identity_read(&i, p->repository->storage, cluster, &error))
        row(p, "identity", UPKEEP_OK, "", "%s is %s, with %u histories", cluster, i.uuid,
            i.wsrep_count);
    else if (error.code == GB_not_found)
        row(p, "identity", UPKEEP_OK, "", "%s has no cluster.json yet: the next backup makes it",
            cluster);
    else
        row(p, "identity", UPKEEP_FAIL,
            error.code == GB_corrupt_backup ? "galera-backup repo adopt makes it anew" : error.hint,
            "%s", error.what);
}

static void check_left_overs(struct report *p, const char *cluster)
{
    struct repository_names labels;
    struct gb_error error = {0};
    size_t count = 0;
    bool ok = repository_labels(p->repository, cluster, &labels, &error);
    for (size_t i = 0; ok && i < labels.count; i++) {
        bool left;
        ok = runs_left_over(p->repository, cluster, labels.name[i], &left, &error);
        count += ok && left;
    }
    free(labels.name);
    if (!ok)
        failed(p, "left_overs", &error);
    else if (count)
        row(p, "left_overs", UPKEEP_WARN,
            "galera-backup repo gc removes them, and so does the next backup",
            "%s: %zu of failed runs", cluster, count);
    else
        row(p, "left_overs", UPKEEP_OK, "", "%s: none", cluster);
}

static void check_locks(struct report *p, const char *cluster)
{
    struct upkeep_lock *list = NULL;
    size_t count = 0, held = 0;
    struct gb_error error = {0};
    if (!upkeep_locks(p->repository, cluster, &list, &count, &error)) {
        failed(p, "locks", &error);
        free(list);
        return;
    }
    for (size_t i = 0; i < count; i++)
        held += list[i].state.held;
    row(p, "locks", count > held ? UPKEEP_WARN : UPKEEP_OK,
        count > held ? "they are in nobody's way; galera-backup repo unlock shows them" : "",
        "%s: %zu held, %zu stale", cluster, held, count - held);
    free(list);
}

bool upkeep_check(struct repository *r, const char *cluster,
                  void (*take)(void *context, const struct upkeep_row *row), void *context)
{
    struct report p = {.repository = r, .take = take, .context = context};
    struct repository_names clusters;
    struct gb_error error = {0};
    if (!repository_clusters(r, &clusters, &error)) {
        failed(&p, "reachable", &error);
        free(clusters.name);
        return false;
    }
    row(&p, "reachable", UPKEEP_OK, "", "%.300s, directories of %zu clusters",
        storage_describe(r->storage), clusters.count);
    check_writing(&p);
    check_space(&p);
    check_clock(&p);
    for (size_t i = 0; i < clusters.count; i++)
        if (!cluster || !strcmp(cluster, clusters.name[i])) {
            check_identity(&p, clusters.name[i]);
            check_left_overs(&p, clusters.name[i]);
            check_locks(&p, clusters.name[i]);
        }
    free(clusters.name);
    return !p.failed;
}
