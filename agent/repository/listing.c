/* Which backups there are, and which of them is meant; see listing.h. */
#include "agent/repository/listing.h"
#include "agent/repository/verified.h"
#include "agent/utc.h"
#include "agent/warn.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A label, and what a backup is found by that stands under it. */
struct listed {
    char cluster[WIRE_NAME_MAX], id[WIRE_ID_MAX];
    bool save;
    time_t finished_at;
    struct gb_error why; /* backup.json is there and can't be used; code 0: it can */
};

struct listing {
    struct listed *list; /* newest first */
    size_t count;
};

static int newest_first(const void *a, const void *b)
{
    return strcmp(((const struct listed *)b)->id, ((const struct listed *)a)->id);
}

static bool add_labels(struct repository *r, const char *cluster, struct listing *l,
                       struct gb_error *error)
{
    struct repository_names labels;
    bool ok = repository_labels(r, cluster, &labels, error);
    struct listed *more =
        ok ? realloc(l->list, (l->count + labels.count + 1) * sizeof *more) : NULL;
    if (ok && !more)
        ok = error_set(error, GB_internal, "no memory for the list");
    if (more)
        l->list = more;
    for (size_t i = 0; ok && i < labels.count; i++) {
        struct listed *one = &more[l->count++];
        *one = (struct listed){0};
        snprintf(one->cluster, sizeof one->cluster, "%s", cluster);
        snprintf(one->id, sizeof one->id, "%s", labels.name[i]);
    }
    free(labels.name);
    return ok;
}

/* All labels of a cluster or (NULL) of all clusters, newest first, whatever stands under them.
 * l->list is to be freed in any case. */
static bool list_labels(struct repository *r, const char *cluster, struct listing *l,
                        struct gb_error *error)
{
    struct repository_names clusters = {0};
    *l = (struct listing){0};
    bool ok = cluster ? add_labels(r, cluster, l, error) : repository_clusters(r, &clusters, error);
    for (size_t i = 0; ok && i < clusters.count; i++)
        ok = add_labels(r, clusters.name[i], l, error);
    free(clusters.name);
    if (l->count)
        qsort(l->list, l->count, sizeof *l->list, newest_first);
    return ok;
}

/* The manifest of one, unless one->why says why not. False: the store is away. */
static bool read_one(struct repository *r, struct listed *one, struct manifest *m,
                     void (*warn)(void *context, const char *text), void *context,
                     struct gb_error *error)
{
    char prefix[1024];
    repository_prefix(prefix, sizeof prefix, one->cluster, one->id);
    if (manifest_read(m, r->storage, prefix, &r->trusted, &one->why))
        return true;
    if (storage_is_away(&one->why)) {
        error_copy(error, &one->why);
        return false;
    }
    char line[GB_ERROR_LINE_MAX];
    if (warn && one->why.code != GB_not_found)
        warn(context, error_format(&one->why, line, sizeof line));
    return true;
}

bool repository_each(struct repository *r, const char *cluster,
                     bool (*visit)(void *context, const struct manifest *m, struct gb_error *error),
                     void (*warn)(void *context, const char *text), void *context,
                     struct gb_error *error)
{
    struct listing l;
    struct manifest *m = malloc(sizeof *m);
    bool ok = list_labels(r, cluster, &l, error) &&
              (m || error_set(error, GB_internal, "no memory for the list"));
    for (size_t i = 0; ok && i < l.count; i++) {
        ok = read_one(r, &l.list[i], m, warn, context, error);
        if (!l.list[i].why.code) {
            ok = visit(context, m, error);
            manifest_free(m);
        }
    }
    free(l.list);
    free(m);
    return ok;
}

bool repository_list(struct repository *r, const char *cluster, struct manifest **list,
                     size_t *count, void (*warn)(void *context, const char *text), void *context,
                     struct gb_error *error)
{
    struct listing l;
    bool ok = list_labels(r, cluster, &l, error);
    *list = ok ? malloc((l.count + 1) * sizeof **list) : NULL;
    *count = 0;
    ok = ok && (*list || error_set(error, GB_internal, "no memory for the list"));
    for (size_t i = 0; ok && i < l.count; i++) {
        ok = read_one(r, &l.list[i], &(*list)[*count], warn, context, error);
        *count += !l.list[i].why.code;
    }
    free(l.list);
    return ok;
}

/* ---- the one that is meant ---- */

/* What is there, whether it can be used or not. *m: room to read it. l->list is to be freed in any
 * case. */
static bool list_all(struct repository *r, const char *cluster, struct listing *l,
                     struct manifest *m, struct gb_error *error)
{
    bool ok = list_labels(r, cluster, l, error);
    size_t there = 0;
    for (size_t i = 0; ok && i < l->count; i++) {
        struct listed *one = &l->list[i];
        ok = read_one(r, one, m, NULL, NULL, error);
        if (!one->why.code) {
            one->save = manifest_is_save(m);
            one->finished_at = m->finished_at;
            manifest_free(m);
        }
        if (one->why.code != GB_not_found)
            l->list[there++] = *one;
    }
    l->count = there;
    return ok;
}

/* "latest" of several clusters would be anyone's. Those with a backup that can be used are named
 * first. */
static bool check_one_cluster(const struct repository *r, const struct listing *l,
                              struct gb_error *error)
{
    char text[300] = "", quoted[WIRE_NAME_MAX + 4];
    size_t clusters = 0;
    for (int unread = 0; unread < 2; unread++)
        for (size_t i = 0; i < l->count; i++) {
            size_t n = strlen(text);
            snprintf(quoted, sizeof quoted, " %s,", l->list[i].cluster);
            if (unread != (l->list[i].why.code != 0) || strstr(text, quoted))
                continue;
            clusters++;
            if (n + strlen(quoted) + 4 < sizeof text)
                snprintf(text + n, sizeof text - n, "%s", quoted);
        }
    if (clusters <= 1)
        return true;
    error_set(error, GB_bad_value, "%s holds backups of several clusters:%.*s",
              storage_describe(r->storage), (int)strlen(text) - 1, text);
    error_hint(error, "say which one: --cluster NAME");
    return false;
}

/* Damage is a property of the backup; anything else may be gone the next time, and is no reason to
 * take another backup. */
static bool is_damage(const struct gb_error *why)
{
    return why->code == GB_corrupt_backup || why->code == GB_format_newer ||
           why->code == GB_untrusted_backup;
}

/* Of a backup whose manifest can't be read, too. */
static bool label_is_save(const char *label)
{
    const char *type = strchr(label, '-');
    return type && !strncmp(type + 1, MANIFEST_SAVE "-", sizeof MANIFEST_SAVE);
}

static void leave_out_saves(struct listing *l)
{
    size_t kept = 0;
    for (size_t i = 0; i < l->count; i++)
        if (!l->list[i].save && !label_is_save(l->list[i].id))
            l->list[kept++] = l->list[i];
    l->count = kept;
}

static bool none_found(const struct repository *r, const char *cluster, const struct listing *l,
                       time_t when, struct gb_error *error)
{
    char in[WIRE_NAME_MAX + 16] = "", then[UTC_MAX];
    size_t n = l->count;
    while (n && l->list[n - 1].why.code)
        n--;
    if (cluster)
        snprintf(in, sizeof in, " of cluster %s", cluster);
    if (!n)
        return error_set(error, GB_not_found, "there is no backup%s in %s", in,
                         storage_describe(r->storage));
    const struct listed *oldest = &l->list[n - 1];
    error_set(error, GB_not_found, "no backup%s in %s had finished at %s", in,
              storage_describe(r->storage), utc_text(when, then));
    error_hint(error, "the oldest, %s, finished at %s", oldest->id,
               utc_text(oldest->finished_at, then));
    return false;
}

/* The first of the list that had finished at `when` (0: any) or, of an earlier time, the last to
 * finish. NULL: none. */
static struct listed *newest_of(const struct listing *l, time_t when)
{
    struct listed *newest = NULL;
    for (size_t i = 0; i < l->count; i++) {
        struct listed *m = &l->list[i];
        if (!m->why.code && (!when || m->finished_at <= when) &&
            (!newest || (when && m->finished_at > newest->finished_at)))
            newest = m;
    }
    return newest;
}

/* Whether a verification has found damage in it, and nothing has been found right since. What can't
 * be read is no such word. */
static bool was_found_damaged(struct repository *r, const struct listed *m, bool latest,
                              struct gb_error *error)
{
    struct verified v;
    struct gb_error why = {0};
    char at[UTC_MAX];
    if (!verified_read(&v, r, m->cluster, m->id, &why)) {
        if (storage_is_away(&why))
            error_copy(error, &why);
        else
            warn_of(&why, NULL);
        return false;
    }
    if (!v.damaged)
        return false;
    error_set(&why, GB_corrupt_backup, "it was found damaged at %s: %s",
              utc_text(v.verified_at, at), v.problem_count ? v.problem[0] : "");
    warn_of(&why, "%s is not %s", m->id, latest ? "the latest" : "taken");
    return true;
}

/* The newest of those that had finished at `when` (0: of all), saves and, of sound ones, what was
 * found damaged left out. */
static bool find_newest(struct repository *r, const char *cluster, struct listing *l, time_t when,
                        bool sound, const struct listed **found, struct gb_error *error)
{
    leave_out_saves(l);
    if (!cluster && !check_one_cluster(r, l, error))
        return false;
    struct listed *newest;
    size_t damaged = 0;
    while ((newest = newest_of(l, when)) && sound && was_found_damaged(r, newest, !when, error)) {
        memmove(newest, newest + 1, (size_t)(l->list + l->count - (newest + 1)) * sizeof *newest);
        l->count--;
        damaged++;
    }
    if (error->code)
        return false;
    if (!newest && damaged) {
        error_set(error, GB_corrupt_backup,
                  "all %zu backups in %s that could be taken were found damaged", damaged,
                  storage_describe(r->storage));
        error_hint(error,
                   "name one by its ID to restore what can be; galera-backup verify looks again");
        return false;
    }
    char began[32];
    struct tm tm;
    strftime(began, sizeof began, "%Y%m%dT%H%M%SZ~",
             gmtime_r(&when, &tm)); /* behind all labels of that second */
    for (size_t i = 0; i < l->count; i++) {
        const struct listed *u = &l->list[i];
        if (!u->why.code || (newest && strcmp(u->id, newest->id) < 0) ||
            (when && strcmp(u->id, began) > 0))
            continue;
        if (!is_damage(&u->why)) {
            error_copy(error, &u->why);
            return false;
        }
        warn_of(&u->why, "%s can't be used and is not %s", u->id, when ? "taken" : "the latest");
    }
    *found = newest;
    return newest || none_found(r, cluster, l, when, error);
}

/* A label of which id is all or, if there is no such, the beginning. */
static bool find_label(const struct repository *r, const struct listing *l, const char *id,
                       const struct listed **found, struct gb_error *error)
{
    const struct listed *newest = NULL;
    size_t fits = 0, same = 0;
    for (size_t i = 0; i < l->count; i++) {
        const struct listed *one = &l->list[i];
        if (strncmp(one->id, id, strlen(id)))
            continue;
        if (!fits++)
            newest = one;
        same += !strcmp(one->id, id);
        *found = one; /* the last: that is the one that id is all of */
    }
    if (!fits)
        return error_set(error, GB_not_found, "there is no backup \"%s\" in %s", id,
                         storage_describe(r->storage));
    if (same > 1)
        return error_set(error, GB_bad_value,
                         "\"%s\" is there in %zu clusters; --cluster says which", id, same);
    if (!same && fits > 1)
        return error_set(error, GB_bad_value, "\"%s\" fits %zu backups, %s the newest", id, fits,
                         newest->id);
    error_copy(error, &(*found)->why);
    return !(*found)->why.code;
}

static bool take_manifest(struct repository *r, struct listing *l, const struct listed *found,
                          struct manifest *manifest, struct gb_error *error)
{
    char prefix[1024];
    if (found)
        repository_prefix(prefix, sizeof prefix, found->cluster, found->id);
    free(l->list);
    return found && manifest_read(manifest, r->storage, prefix, &r->trusted, error);
}

static bool take_newest(struct repository *r, const char *cluster, time_t when, bool sound,
                        struct manifest *manifest, struct gb_error *error)
{
    struct listing l;
    const struct listed *found = NULL;
    bool ok = list_all(r, cluster, &l, manifest, error) &&
              find_newest(r, cluster, &l, when, sound, &found, error);
    return take_manifest(r, &l, ok ? found : NULL, manifest, error);
}

bool repository_find(struct repository *r, const char *cluster, const char *id,
                     struct manifest *manifest, struct gb_error *error)
{
    struct listing l;
    const struct listed *found = NULL;
    if (!strcmp(id, "latest"))
        return take_newest(r, cluster, 0, true, manifest, error);
    bool ok = list_all(r, cluster, &l, manifest, error) && find_label(r, &l, id, &found, error);
    return take_manifest(r, &l, ok ? found : NULL, manifest, error);
}

bool repository_find_newest(struct repository *r, const char *cluster, struct manifest *manifest,
                            struct gb_error *error)
{
    return take_newest(r, cluster, 0, false, manifest, error);
}

bool repository_find_as_of(struct repository *r, const char *cluster, time_t when,
                           struct manifest *manifest, struct gb_error *error)
{
    return take_newest(r, cluster, when, true, manifest, error);
}
