/* A repository and the backups in it; see repository.h. */
#include "agent/repository/repository.h"
#include "agent/hex.h"
#include "agent/repository/keys.h"
#include "agent/repository/remembered.h"
#include "agent/repository/runs.h"
#include "agent/repository/verified.h"
#include "agent/utc.h"

#include <inttypes.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

struct repository_backup {
    struct repository *repository;
    struct storage_lock *lock;
    bool encrypted;
    struct seal_key key;
    struct crypto_keys recipients, signer; /* the signer is one key, or none */
    bool (*wanted)(void *context, bool last); /* NULL: it is */
    void *context;
    char prefix[WIRE_NAME_MAX + WIRE_ID_MAX + 16];
};

static bool word_valid(const char *text, size_t most)
{
    size_t n = strlen(text);
    return n && n < most && text[0] != '.' &&
           strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-") == n;
}

bool cluster_name_valid(const char *text)
{
    return word_valid(text, 128);
}

/* YYYYMMDDTHHMMSSZ-TYPE-8 hex digits[-suffix] */
bool label_valid(const char *text)
{
    static const char digits[] = "0123456789", letters[] = "abcdefghijklmnopqrstuvwxyz", hex[] = "0123456789abcdef";
    const size_t date = 8, time = 6, id = 8;
    if (!word_valid(text, WIRE_ID_MAX) || strspn(text, digits) != date || text[date] != 'T')
        return false;
    text += date + 1;
    if (strspn(text, digits) != time || strncmp(text + time, "Z-", 2))
        return false;
    text += time + 2;
    size_t type = strspn(text, letters);
    if (!type || type > 15 || text[type] != '-')
        return false;
    text += type + 1;
    return strspn(text, hex) == id && (!text[id] || text[id] == '-');
}

void repository_prefix(char *out, size_t size, const char *cluster, const char *label)
{
    snprintf(out, size, "%s/backups%s%s", cluster, *label ? "/" : "", label);
}

bool repository_is_remote(const struct repository_spec *spec)
{
    return !strcmp(spec->type, REPOSITORY_S3) || !strcmp(spec->type, REPOSITORY_SWIFT);
}

const char *repository_bucket(const struct repository_spec *spec)
{
    return strcmp(spec->type, REPOSITORY_SWIFT) ? spec->s3.bucket : spec->swift.container;
}

bool repository_is_same(const struct repository_spec *a, const struct repository_spec *b)
{
    struct stat one, other;
    if (strcmp(a->type, b->type))
        return false;
    if (!repository_is_remote(a))
        return !stat(a->path, &one) && !stat(b->path, &other) && one.st_dev == other.st_dev && one.st_ino == other.st_ino;
    return !strcmp(repository_bucket(a), repository_bucket(b)) && !strcmp(a->remote.prefix, b->remote.prefix) &&
           !strcmp(a->s3.endpoint, b->s3.endpoint) && !strcmp(a->swift.auth_url, b->swift.auth_url);
}

struct repository *repository_open(const struct repository_spec *spec, struct gb_error *error)
{
    struct repository *r = calloc(1, sizeof *r);
    if (!r) {
        error_set(error, GB_internal, "no memory");
        return NULL;
    }
    r->spec = *spec;
    if (!strcmp(spec->type, REPOSITORY_DIRECTORY))
        r->storage = remembered_check_place(spec->state_dir, spec->path, error) ? storage_open_directory(spec->path, spec->min_free_percent, error)
                                                                                  : NULL;
    else if (!strcmp(spec->type, REPOSITORY_S3))
        r->storage = storage_open_s3(&spec->s3, &spec->remote, error);
    else if (!strcmp(spec->type, REPOSITORY_SWIFT))
        r->storage = storage_open_swift(&spec->swift, &spec->remote, error);
    else
        error_set(error, GB_not_supported, "repositories of type \"%s\" are not supported by this release", spec->type);
    if (r->storage && (!spec->keys.trusted[0] || (keys_load(&r->trusted, "trusted-signer", spec->keys.trusted, error) &&
                                                  keys_check(&r->trusted, "trusted-signer", KEY_TO_TRUST, error))))
        return r;
    if (r->storage)
        storage_close(r->storage);
    keys_free(&r->trusted);
    free(r);
    return NULL;
}

void repository_close(struct repository *r)
{
    if (!r)
        return;
    storage_close(r->storage);
    keys_free(&r->trusted);
    free(r);
}

/* Names of the entries of a prefix. */
struct names {
    char (*name)[WIRE_NAME_MAX];
    size_t count;
    bool directories;
    bool no_memory;
};

static bool take_name(void *context, const char *name, bool directory)
{
    struct names *n = context;
    if (directory != n->directories || strlen(name) >= WIRE_NAME_MAX)
        return true;
    void *more = realloc(n->name, (n->count + 1) * sizeof *n->name);
    if (!more) {
        n->no_memory = true;
        return false;
    }
    n->name = more;
    snprintf(n->name[n->count++], WIRE_NAME_MAX, "%s", name);
    return true;
}

static bool list_names(struct repository *r, const char *prefix, struct names *n, struct gb_error *error)
{
    return storage_list(r->storage, prefix, take_name, n, error) &&
           (!n->no_memory || error_set(error, GB_internal, "no memory for the list"));
}

struct label {
    char cluster[WIRE_NAME_MAX], id[WIRE_ID_MAX];
};

static int newest_first(const void *a, const void *b)
{
    return strcmp(((const struct label *)b)->id, ((const struct label *)a)->id);
}

static bool add_labels(struct repository *r, const char *cluster, struct label **all, size_t *count, struct gb_error *error)
{
    char prefix[1024];
    struct names labels = {.directories = true};
    repository_prefix(prefix, sizeof prefix, cluster, "");
    bool ok = list_names(r, prefix, &labels, error);
    struct label *more = ok ? realloc(*all, (*count + labels.count + 1) * sizeof *more) : NULL;
    if (ok && !more)
        ok = error_set(error, GB_internal, "no memory for the list");
    if (more)
        *all = more;
    for (size_t i = 0; ok && i < labels.count; i++)
        if (label_valid(labels.name[i])) {
            snprintf(more[*count].cluster, sizeof more->cluster, "%s", cluster);
            snprintf(more[(*count)++].id, sizeof more->id, "%s", labels.name[i]);
        }
    free(labels.name);
    return ok;
}

/* All labels of a cluster or (NULL) of all clusters, newest first, whatever stands under them. *all is to be freed in any case. */
static bool list_labels(struct repository *r, const char *cluster, struct label **all, size_t *count, struct gb_error *error)
{
    struct names clusters = {.directories = true};
    bool ok = true;
    if (cluster)
        ok = add_labels(r, cluster, all, count, error);
    else {
        ok = list_names(r, "", &clusters, error);
        for (size_t i = 0; ok && i < clusters.count; i++)
            if (cluster_name_valid(clusters.name[i]))
                ok = add_labels(r, clusters.name[i], all, count, error);
    }
    free(clusters.name);
    if (*count)
        qsort(*all, *count, sizeof **all, newest_first);
    return ok;
}

struct visitor {
    bool (*visit)(void *context, struct manifest *m, struct gb_error *error);
    bool (*unread)(void *context, const struct label *label, const struct gb_error *why, struct gb_error *error); /* there, and can't be used */
    void *context;
};

/* Newest first, one in memory at a time: a manifest is large. */
static bool each(struct repository *r, const char *cluster, const struct visitor *v, struct gb_error *error)
{
    char prefix[1024];
    struct label *label = NULL;
    size_t count = 0;
    struct manifest *m = malloc(sizeof *m);
    bool ok = (m || error_set(error, GB_internal, "no memory for the list")) && list_labels(r, cluster, &label, &count, error);
    for (size_t i = 0; ok && i < count; i++) {
        struct gb_error problem = {0};
        repository_prefix(prefix, sizeof prefix, label[i].cluster, label[i].id);
        if (manifest_read(m, r->storage, prefix, &r->trusted, &problem)) {
            ok = v->visit(v->context, m, error);
            manifest_free(m);
        } else if (storage_is_away(&problem)) {
            error_copy(error, &problem);
            ok = false;
        } else if (problem.code != GB_not_found)
            ok = v->unread(v->context, &label[i], &problem, error);
    }
    free(label);
    free(m);
    return ok;
}

/* A visit of who is told of the unread by their message. */
struct told {
    bool (*visit)(void *context, const struct manifest *m, struct gb_error *error);
    void (*warn)(void *context, const char *text);
    void *context;
};

static bool visit_told(void *context, struct manifest *m, struct gb_error *error)
{
    const struct told *t = context;
    return t->visit(t->context, m, error);
}

static bool warn_told(void *context, const struct label *label, const struct gb_error *why, struct gb_error *error)
{
    const struct told *t = context;
    (void)label;
    (void)error;
    if (t->warn)
        t->warn(t->context, why->what);
    return true;
}

bool repository_each(struct repository *r, const char *cluster, bool (*visit)(void *context, const struct manifest *m, struct gb_error *error),
                     void (*warn)(void *context, const char *text), void *context, struct gb_error *error)
{
    struct told t = {visit, warn, context};
    struct visitor v = {visit_told, warn_told, &t};
    return each(r, cluster, &v, error);
}

struct collected {
    struct told told; /* first: warn_told() */
    struct manifest *list;
    size_t count;
};

static bool collect(void *context, struct manifest *m, struct gb_error *error)
{
    struct collected *c = context;
    struct manifest *more = realloc(c->list, (c->count + 1) * sizeof *more);
    if (!more)
        return error_set(error, GB_internal, "no memory for the list");
    c->list = more;
    more[c->count++] = *m;
    m->objects = NULL;
    return true;
}

bool repository_list(struct repository *r, const char *cluster, struct manifest **list, size_t *count,
                     void (*warn)(void *context, const char *text), void *context, struct gb_error *error)
{
    struct collected c = {.told = {.warn = warn, .context = context}};
    struct visitor v = {collect, warn_told, &c};
    bool ok = each(r, cluster, &v, error);
    *list = c.list;
    *count = c.count;
    return ok;
}

/* What one is found by. */
struct listed {
    char cluster[WIRE_NAME_MAX], id[WIRE_ID_MAX];
    bool save;
    time_t finished_at;
};

/* A backup.json that is there and can't be used. */
struct unread {
    char cluster[WIRE_NAME_MAX], id[WIRE_ID_MAX];
    struct gb_error why;
};

struct listing {
    struct listed *list;
    size_t count;
    struct unread *unread;
    size_t unread_count;
};

static bool add_listed(void *context, struct manifest *m, struct gb_error *error)
{
    struct listing *l = context;
    struct listed *more = realloc(l->list, (l->count + 1) * sizeof *more);
    if (!more)
        return error_set(error, GB_internal, "no memory for the list");
    l->list = more;
    more += l->count++;
    *more = (struct listed){.save = manifest_is_save(m), .finished_at = m->finished_at};
    snprintf(more->cluster, sizeof more->cluster, "%s", m->cluster);
    snprintf(more->id, sizeof more->id, "%s", m->id);
    return true;
}

static bool add_unread(void *context, const struct label *label, const struct gb_error *why, struct gb_error *error)
{
    struct listing *l = context;
    struct unread *more = realloc(l->unread, (l->unread_count + 1) * sizeof *more);
    if (!more)
        return error_set(error, GB_internal, "no memory for the list");
    l->unread = more;
    more += l->unread_count++;
    snprintf(more->cluster, sizeof more->cluster, "%s", label->cluster);
    snprintf(more->id, sizeof more->id, "%s", label->id);
    more->why = *why;
    return true;
}

/* All backups of a cluster or (NULL) of all clusters, newest first. To be freed in any case. */
static bool list_all(struct repository *r, const char *cluster, struct listing *l, struct gb_error *error)
{
    struct visitor v = {add_listed, add_unread, l};
    memset(l, 0, sizeof *l);
    return each(r, cluster, &v, error);
}

static bool add_cluster(char *text, size_t size, const char *first, const char *name)
{
    char quoted[WIRE_NAME_MAX + 4];
    snprintf(quoted, sizeof quoted, " %s,", name);
    if (!strcmp(first, name) || strstr(text, quoted))
        return !strcmp(first, name);
    size_t n = strlen(text);
    if (n + strlen(quoted) + 4 < size)
        snprintf(text + n, size - n, "%s", quoted);
    return false;
}

/* "latest" of several clusters would be anyone's. */
static bool check_one_cluster(const struct repository *r, const struct listing *l, struct gb_error *error)
{
    const char *first = l->count ? l->list[0].cluster : l->unread_count ? l->unread[0].cluster : "";
    char text[300];
    bool one = true;
    snprintf(text, sizeof text, " %s,", first);
    for (size_t i = 0; i < l->count; i++)
        one = add_cluster(text, sizeof text, first, l->list[i].cluster) && one;
    for (size_t i = 0; i < l->unread_count; i++)
        one = add_cluster(text, sizeof text, first, l->unread[i].cluster) && one;
    if (one)
        return true;
    error_set(error, GB_bad_value, "%s holds backups of several clusters:%.*s", storage_describe(r->storage),
              (int)strlen(text) - 1, text);
    error_hint(error, "say which one: --cluster NAME");
    return false;
}

static void warn_stderr(void *context, const char *text)
{
    (void)context;
    fprintf(stderr, "galera-backup: warning: %s\n", text);
}

/* Damage is a property of the backup; anything else may be gone the next time, and is no reason to take another backup. */
static bool is_damage(const struct gb_error *why)
{
    return why->code == GB_corrupt_backup || why->code == GB_format_newer || why->code == GB_untrusted_backup;
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
    kept = 0;
    for (size_t i = 0; i < l->unread_count; i++)
        if (!label_is_save(l->unread[i].id))
            l->unread[kept++] = l->unread[i];
    l->unread_count = kept;
}

static bool none_found(const struct repository *r, const char *cluster, const struct listing *l, time_t when,
                       struct gb_error *error)
{
    char in[WIRE_NAME_MAX + 16] = "", then[UTC_MAX];
    if (cluster)
        snprintf(in, sizeof in, " of cluster %s", cluster);
    if (!l->count)
        return error_set(error, GB_not_found, "there is no backup%s in %s", in, storage_describe(r->storage));
    const struct listed *oldest = &l->list[l->count - 1];
    error_set(error, GB_not_found, "no backup%s in %s had finished at %s", in, storage_describe(r->storage), utc_text(when, then));
    error_hint(error, "the oldest, %s, finished at %s", oldest->id, utc_text(oldest->finished_at, then));
    return false;
}

/* The first of the list that had finished at `when` (0: any) or, of an earlier time, the last to finish. NULL: none. */
static struct listed *newest_of(const struct listing *l, time_t when)
{
    struct listed *newest = NULL;
    for (size_t i = 0; i < l->count; i++) {
        struct listed *m = &l->list[i];
        if ((!when || m->finished_at <= when) && (!newest || (when && m->finished_at > newest->finished_at)))
            newest = m;
    }
    return newest;
}

/* Whether a verification has found damage in it, and nothing has been found right since. What can't be read is no such word. */
static bool was_found_damaged(struct repository *r, const struct listed *m, bool latest, struct gb_error *error)
{
    struct verified *v = malloc(sizeof *v);
    struct gb_error why = {0};
    char text[GB_ERROR_TEXT_MAX + 256], at[UTC_MAX];
    bool damaged = false;
    if (!v)
        error_set(error, GB_internal, "no memory");
    else if (!verified_read(v, r, m->cluster, m->id, &why)) {
        if (storage_is_away(&why))
            error_copy(error, &why);
        else
            warn_stderr(NULL, why.what);
    } else if (v->damaged) {
        damaged = true;
        snprintf(text, sizeof text, "%s is not %s: it was found damaged at %s: %s", m->id, latest ? "the latest" : "taken",
                 utc_text(v->verified_at, at), v->problem_count ? v->problem[0] : "");
        warn_stderr(NULL, text);
    }
    free(v);
    return damaged;
}

/* The newest of those that had finished at `when` (0: of all), saves and, of sound ones, what was found damaged left out. */
static bool find_newest(struct repository *r, const char *cluster, struct listing *l, time_t when, bool sound, size_t *at,
                        struct gb_error *error)
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
        error_set(error, GB_corrupt_backup, "all %zu backups in %s that could be taken were found damaged", damaged,
                  storage_describe(r->storage));
        error_hint(error, "name one by its ID to restore what can be; galera-backup verify looks again");
        return false;
    }
    char began[32];
    struct tm tm;
    strftime(began, sizeof began, "%Y%m%dT%H%M%SZ~", gmtime_r(&when, &tm)); /* behind all labels of that second */
    for (size_t i = 0; i < l->unread_count; i++) {
        const struct unread *u = &l->unread[i];
        char text[GB_ERROR_TEXT_MAX + 256];
        if ((newest && strcmp(u->id, newest->id) < 0) || (when && strcmp(u->id, began) > 0))
            continue;
        if (!is_damage(&u->why)) {
            error_copy(error, &u->why);
            return false;
        }
        snprintf(text, sizeof text, "%s can't be used and is not %s: %s", u->id, when ? "taken" : "the latest", u->why.what);
        warn_stderr(NULL, text);
    }
    if (!newest)
        return none_found(r, cluster, l, when, error);
    *at = (size_t)(newest - l->list);
    return true;
}

/* A label of which id is all or, if there is no such, the beginning. */
static bool find_label(const struct repository *r, const struct listing *l, const char *id, size_t *at, struct gb_error *error)
{
    const struct unread *unread = NULL;
    const char *newest = NULL;
    size_t fits = 0, same = 0;
    for (size_t i = 0; i < l->count + l->unread_count; i++) {
        const struct unread *u = i < l->count ? NULL : &l->unread[i - l->count];
        const char *label = u ? u->id : l->list[i].id;
        bool is = !strcmp(label, id);
        if (strncmp(label, id, strlen(id)))
            continue;
        fits++;
        same += is;
        if (!newest || strcmp(newest, label) < 0)
            newest = label;
        if (same > is)
            continue;
        if (is || fits == 1) {
            unread = u;
            *at = u ? 0 : i;
        }
    }
    if (!fits)
        return error_set(error, GB_not_found, "there is no backup \"%s\" in %s", id, storage_describe(r->storage));
    if (same > 1)
        return error_set(error, GB_bad_value, "\"%s\" is there in %zu clusters; --cluster says which", id, same);
    if (!same && fits > 1)
        return error_set(error, GB_bad_value, "\"%s\" fits %zu backups, %s the newest", id, fits, newest);
    if (unread)
        error_copy(error, &unread->why);
    return !unread;
}

static bool take_manifest(struct repository *r, struct listing *l, bool found, size_t at, struct manifest *manifest, struct gb_error *error)
{
    char prefix[1024];
    if (found) {
        repository_prefix(prefix, sizeof prefix, l->list[at].cluster, l->list[at].id);
        found = manifest_read(manifest, r->storage, prefix, &r->trusted, error);
    }
    free(l->list);
    free(l->unread);
    return found;
}

bool repository_find(struct repository *r, const char *cluster, const char *id,
                     struct manifest *manifest, struct gb_error *error)
{
    struct listing l;
    size_t at = 0;
    bool ok = list_all(r, cluster, &l, error) &&
              (strcmp(id, "latest") ? find_label(r, &l, id, &at, error) : find_newest(r, cluster, &l, 0, true, &at, error));
    return take_manifest(r, &l, ok, at, manifest, error);
}

bool repository_find_newest(struct repository *r, const char *cluster, struct manifest *manifest, struct gb_error *error)
{
    struct listing l;
    size_t at = 0;
    bool ok = list_all(r, cluster, &l, error) && find_newest(r, cluster, &l, 0, false, &at, error);
    return take_manifest(r, &l, ok, at, manifest, error);
}

bool repository_find_as_of(struct repository *r, const char *cluster, time_t when, struct manifest *manifest,
                           struct gb_error *error)
{
    struct listing l;
    size_t at = 0;
    bool ok = list_all(r, cluster, &l, error) && find_newest(r, cluster, &l, when, true, &at, error);
    return take_manifest(r, &l, ok, at, manifest, error);
}

bool repository_collect(struct repository *r, const char *cluster, unsigned *removed, struct gb_error *error)
{
    *removed = 0;
    char prefix[1024], name[1200];
    struct names labels = {.directories = true};
    repository_prefix(prefix, sizeof prefix, cluster, "");
    bool ok = list_names(r, prefix, &labels, error);
    for (size_t i = 0; ok && i < labels.count; i++) {
        struct gb_error ignored = {0};
        if (!label_valid(labels.name[i]))
            continue;
        repository_prefix(prefix, sizeof prefix, cluster, labels.name[i]);
        if (manifest_exists(r->storage, prefix, &ignored))
            continue;
        if (storage_is_away(&ignored)) {
            error_copy(error, &ignored);
            ok = false;
        }
        if (ignored.code != GB_not_found)
            continue;
        error_clear(&ignored);
        snprintf(name, sizeof name, "%s/" REPOSITORY_LOCK_NAME, prefix);
        struct storage_lock *lock = storage_lock(r->storage, name, &ignored);
        if (!lock) {
            if (ignored.code != GB_repository_busy)
                warn_stderr(NULL, ignored.what);
            continue;
        }
        /* Looked at once more: whoever had the lock until now may have committed. */
        if (!manifest_exists(r->storage, prefix, &ignored) && ignored.code == GB_not_found) {
            error_clear(&ignored);
            runs_note_left_over(r, cluster, labels.name[i]);
            if (storage_remove_all(r->storage, prefix, &ignored))
                ++*removed;
            else
                warn_stderr(NULL, ignored.what); /* it is in nobody's way */
        }
        storage_unlock(lock);
    }
    free(labels.name);
    return ok;
}

struct storage_lock *repository_lock(struct repository *r, const char *prefix, struct gb_error *error)
{
    char name[1200];
    snprintf(name, sizeof name, "%s/" REPOSITORY_LOCK_NAME, prefix);
    return storage_lock(r->storage, name, error);
}

bool repository_lock_look(struct repository *r, const char *prefix, struct storage_lock_state *state, struct gb_error *error)
{
    char name[1200];
    snprintf(name, sizeof name, "%s/" REPOSITORY_LOCK_NAME, prefix);
    return storage_lock_look(r->storage, name, state, error);
}

static void backup_free(struct repository_backup *b)
{
    keys_free(&b->recipients);
    keys_free(&b->signer);
    OPENSSL_cleanse(&b->key, sizeof b->key);
    free(b);
}

/* The data key, whom it will be wrapped for, and who signs. */
static bool take_keys(struct repository_backup *b, const struct repository_keys *settings, const struct seal_key *key, struct gb_error *error)
{
    bool ok = writer_keys_load(settings, &b->recipients, &b->signer, error);
    b->encrypted = b->recipients.count;
    if (key)
        b->key = *key;
    return ok && (key || seal_key_make(&b->key, error));
}

/* At the end, for a passphrase takes its time. */
static bool write_envelope(const struct repository_backup *b, struct manifest *m, struct gb_error *error)
{
    return backup_keys_make(b->repository->storage, b->prefix, &b->key, &b->recipients, m->encryption.key_ids, sizeof m->encryption.key_ids, error);
}

struct repository_backup *repository_begin(struct repository *r, const char *cluster, const char *label, const struct seal_key *key,
                                           struct gb_error *error)
{
    if (!cluster_name_valid(cluster) || !label_valid(label)) {
        error_set(error, GB_bad_value, "\"%s\" and \"%s\" are not names of a cluster and a backup", cluster, label);
        return NULL;
    }
    struct repository_backup *b = calloc(1, sizeof *b);
    char name[1024];
    struct names there = {.directories = true};
    if (!b) {
        error_set(error, GB_internal, "no memory");
        return NULL;
    }
    b->repository = r;
    repository_prefix(b->prefix, sizeof b->prefix, cluster, label);
    bool ok = take_keys(b, &r->spec.keys, key, error) && list_names(r, b->prefix, &there, error);
    if (ok && there.count)
        ok = error_set(error, GB_store_failed, "%s/%s exists already", storage_describe(r->storage), b->prefix);
    free(there.name);
    snprintf(name, sizeof name, "%s/" REPOSITORY_LOCK_NAME, b->prefix);
    if (ok && (b->lock = storage_lock(r->storage, name, error)))
        return b;
    backup_free(b);
    return NULL;
}

const struct seal_key *repository_backup_key(const struct repository_backup *b)
{
    return b->encrypted ? &b->key : NULL;
}

const char *repository_backup_prefix(const struct repository_backup *b)
{
    return b->prefix;
}

void repository_backup_ask(struct repository_backup *b, bool (*wanted)(void *context, bool last), void *context)
{
    b->wanted = wanted;
    b->context = context;
}

static bool still_wanted(const struct repository_backup *b, bool last, struct gb_error *error)
{
    return !b->wanted || b->wanted(b->context, last) || error_set(error, GB_cancelled, "%s is not wanted any more", b->prefix);
}

static void name_key(const struct repository_backup *b, struct manifest *m)
{
    hex_write(b->key.identity, sizeof b->key.identity, m->nonce);
    m->encryption.on = b->encrypted;
    if (b->encrypted) {
        m->encryption.key = b->key;
        m->encryption.unlocked = true;
        seal_key_check(&b->key, m->encryption.check);
    }
}

bool repository_check_stored(struct repository *r, const char *prefix, const struct object_info *objects, size_t count, struct gb_error *error)
{
    char name[1200];
    for (size_t i = 0; i < count; i++) {
        struct gb_error why = {0};
        uint64_t size = 0;
        snprintf(name, sizeof name, "%s/%s", prefix, objects[i].name);
        if (!storage_size(r->storage, name, &size, &why))
            return error_set(error, GB_store_failed, "what was written is not there: %s", why.what);
        if (size != objects[i].size)
            return error_set(error, GB_store_failed, "%s has %" PRIu64 " bytes, %" PRIu64 " were written", name, size, objects[i].size);
    }
    return true;
}

bool repository_prepare(struct repository_backup *b, const struct index *index, struct manifest *m, const struct object_info *segments,
                        size_t segment_count, struct gb_error *error)
{
    struct storage *storage = b->repository->storage;
    m->objects = calloc(segment_count + 1, sizeof *m->objects);
    if (!m->objects)
        return error_set(error, GB_internal, "no memory for the manifest");
    if (!index_write(index, storage, b->prefix, repository_backup_key(b), &m->objects[0], error) || (b->encrypted && !write_envelope(b, m, error)))
        return false;
    if (segment_count)
        memcpy(m->objects + 1, segments, segment_count * sizeof *segments);
    m->object_count = segment_count + 1;
    m->format = MANIFEST_FORMAT;
    m->files = (uint32_t)index->file_count;
    m->data_bytes = m->read_bytes = m->stored_bytes = 0;
    for (size_t i = 0; i < index->file_count; i++)
        m->data_bytes += index->files[i].size;
    for (size_t i = 0; i < index->extent_count; i++)
        m->read_bytes += index->extents[i].file_no == WIRE_FILE_REDO ? 0 : index->extents[i].length;
    for (size_t i = 0; i < m->object_count; i++)
        m->stored_bytes += m->objects[i].size;
    name_key(b, m);
    return repository_check_stored(b->repository, b->prefix, m->objects, m->object_count, error);
}

bool repository_publish(struct repository_backup *b, const struct manifest *m, struct gb_error *error)
{
    return manifest_write(m, b->repository->storage, b->prefix, b->signer.count ? &b->signer.key[0] : NULL, error);
}

void repository_end(struct repository_backup *b)
{
    storage_unlock(b->lock);
    backup_free(b);
}

bool repository_commit(struct repository_backup *b, struct index *index, struct manifest *m,
                       const struct object_info *segments, size_t segment_count, struct gb_error *error)
{
    bool ok = index_finish(index, m->redo_bytes, error) && repository_prepare(b, index, m, segments, segment_count, error) &&
              still_wanted(b, false, error) && repository_publish(b, m, error) && still_wanted(b, true, error);
    if (ok)
        repository_end(b);
    else
        repository_abort(b);
    return ok;
}

void repository_abort(struct repository_backup *b)
{
    struct gb_error ignored = {0};
    if (!storage_remove_all(b->repository->storage, b->prefix, &ignored))
        warn_stderr(NULL, ignored.what);
    repository_end(b);
}
