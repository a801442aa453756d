/* The same backup in other repositories; see elsewhere.h. */
#include "agent/repository/elsewhere.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum state { UNTRIED, READY, USELESS };

struct place {
    struct repository_spec spec;
    struct repository *repository;
    struct manifest manifest; /* unlocked */
    enum state state;
    struct gb_error why; /* of a useless one */
};

struct elsewhere {
    struct repository *home;
    const struct manifest *manifest;
    char prefix[WIRE_NAME_MAX + WIRE_ID_MAX + 16];
    struct place *places;
    unsigned count;
    void (*say)(void *context, const char *text);
    void *context;
    bool instead;          /* atomic */
    pthread_mutex_t mutex; /* what follows, and all of places until they are READY or USELESS; held
                              while one is opened */
    struct gb_error gone;  /* why home is not asked any more */
    struct elsewhere_taken *taken;
    size_t taken_count;
};

struct elsewhere *elsewhere_new(struct repository *home, const struct repository_spec *specs,
                                unsigned count, void (*say)(void *context, const char *text),
                                void *context)
{
    struct elsewhere *e = calloc(1, sizeof *e);
    if (!e || !(e->places = calloc(count + 1, sizeof *e->places))) {
        free(e);
        return NULL;
    }
    e->home = home;
    e->say = say;
    e->context = context;
    for (unsigned i = 0; i < count; i++)
        if (!repository_is_same(&specs[i], &home->spec))
            e->places[e->count++].spec = specs[i];
    pthread_mutex_init(&e->mutex, NULL);
    return e;
}

void elsewhere_free(struct elsewhere *e)
{
    if (!e)
        return;
    for (unsigned i = 0; i < e->count; i++) {
        manifest_free(&e->places[i].manifest);
        repository_close(e->places[i].repository);
    }
    pthread_mutex_destroy(&e->mutex);
    free(e->places);
    free(e->taken);
    free(e);
}

void elsewhere_of(struct elsewhere *e, const struct manifest *m)
{
    e->manifest = m;
    repository_prefix(e->prefix, sizeof e->prefix, m->cluster, m->id);
}

bool elsewhere_manifest(struct repository *home, struct repository *other, const char *prefix,
                        const char *nonce, struct manifest *m, struct gb_error *error)
{
    struct manifest again;
    struct gb_error why = {0};
    if (!manifest_read(m, other->storage, prefix, &other->trusted, &why) ||
        (home->trusted.count &&
         !manifest_read(&again, other->storage, prefix, &home->trusted, &why))) {
        manifest_free(m);
        if (why.code == GB_not_found)
            return error_set(error, GB_not_found, "%s is not in %s", prefix,
                             storage_describe(other->storage));
        error_copy(error, &why);
        return false;
    }
    if (home->trusted.count)
        manifest_free(&again);
    if (!nonce || !strcmp(m->nonce, nonce))
        return true;
    manifest_free(m);
    return error_set(error, GB_not_found,
                     "%s in %s is another backup: its nonce is not that of the one here", prefix,
                     storage_describe(other->storage));
}

static bool open_place(const struct elsewhere *e, struct place *p, struct gb_error *error)
{
    struct stat st;
    if (!repository_is_remote(&p->spec) && stat(p->spec.path, &st)) /* to open it would make it */
        return error_set_errno(error, GB_repository_unreachable, errno, "%s", p->spec.path);
    return (p->repository = repository_open(&p->spec, error)) &&
           elsewhere_manifest(e->home, p->repository, e->prefix, e->manifest->nonce, &p->manifest,
                              error) &&
           repository_unlock(p->repository, &p->manifest, error);
}

/* NULL: it is of no use. */
static struct place *ready(struct elsewhere *e, unsigned number)
{
    struct place *p = &e->places[number];
    pthread_mutex_lock(&e->mutex);
    if (p->state == UNTRIED)
        p->state = open_place(e, p, &p->why) ? READY : USELESS;
    pthread_mutex_unlock(&e->mutex);
    return p->state == READY ? p : NULL;
}

/* Whether another repository may have what is wrong here. */
static bool may_help(const struct elsewhere *e, const struct gb_error *why)
{
    return e && e->manifest && e->count && why->code != GB_internal && why->code != GB_cancelled;
}

static struct elsewhere_taken *entry_of(struct elsewhere *e, const struct place *p,
                                        const char *object, bool *first)
{
    size_t at = 0;
    while (at < e->taken_count &&
           (e->taken[at].repository != p->spec.name || strcmp(e->taken[at].object, object)))
        at++;
    *first = at == e->taken_count;
    if (!*first)
        return &e->taken[at];
    struct elsewhere_taken *more = realloc(e->taken, (at + 1) * sizeof *more);
    if (!more)
        return NULL;
    e->taken = more;
    e->taken_count++;
    more[at] = (struct elsewhere_taken){.repository = p->spec.name};
    snprintf(more[at].object, sizeof more[at].object, "%s", object);
    return &more[at];
}

static void note(struct elsewhere *e, const struct place *p, const char *object, uint64_t frames,
                 const struct gb_error *why)
{
    char text[GB_ERROR_TEXT_MAX + 256];
    bool first;
    pthread_mutex_lock(&e->mutex);
    struct elsewhere_taken *t = entry_of(e, p, object, &first);
    if (t)
        t->frames += frames;
    if (first && e->say) {
        snprintf(text, sizeof text, "%s; %s is taken from repository %s", why->what, object,
                 p->spec.name);
        e->say(e->context, text);
    }
    if (frames && storage_is_away(why) && !e->gone.code) {
        e->gone = *why;
        __atomic_store_n(&e->instead, true, __ATOMIC_RELEASE);
    }
    pthread_mutex_unlock(&e->mutex);
}

/* One way to help, tried with each place in the order of the configuration. */
typedef bool attempt(struct elsewhere *e, struct place *p, void *what, struct gb_error *error);

static bool try_all(struct elsewhere *e, attempt *one, void *what, const char *object,
                    uint64_t frames, const struct gb_error *why, struct gb_error *error)
{
    char found[GB_ERROR_TEXT_MAX / 2] = "";
    size_t at = 0;
    if (!may_help(e, why)) {
        error_copy(error, why);
        return false;
    }
    for (unsigned i = 0; i < e->count; i++) {
        struct place *p = ready(e, i);
        struct gb_error problem = p ? (struct gb_error){0} : e->places[i].why;
        if (p && one(e, p, what, &problem)) {
            note(e, p, object, frames, why);
            return true;
        }
        if (at < sizeof found)
            at += (size_t)snprintf(found + at, sizeof found - at, "%s%s: %s", i ? "; " : "",
                                   e->places[i].spec.name,
                                   problem.code == GB_not_found ? "not there" : problem.what);
    }
    struct gb_error all = *why;
    snprintf(all.what, sizeof all.what, "%.*s; no other repository has it right (%s)",
             (int)(GB_ERROR_TEXT_MAX / 2), why->what, found);
    error_copy(error, &all);
    return false;
}

/* Another data key is of no use: what is here is sealed with its own. */
static bool take_key(struct elsewhere *e, struct place *p, void *what, struct gb_error *error)
{
    struct manifest *m = what;
    if (!p->manifest.encryption.on ||
        memcmp(p->manifest.encryption.check, m->encryption.check, SEAL_CHECK_SIZE))
        return error_set(error, GB_key_missing,
                         "it has another data key: restore it with --repository %s", p->spec.name);
    m->encryption.key = p->manifest.encryption.key;
    m->encryption.unlocked = true;
    return true;
}

bool elsewhere_unlock(struct elsewhere *e, struct manifest *m, const struct gb_error *why,
                      struct gb_error *error)
{
    if (why->code == GB_corrupt_backup) /* not: the keys that were given don't open it */
        return try_all(e, take_key, m, "keys.json", 0, why, error);
    error_copy(error, why);
    return false;
}

static bool take_index(struct elsewhere *e, struct place *p, void *what, struct gb_error *error)
{
    return index_read(what, p->repository->storage, e->prefix, manifest_key(&p->manifest),
                      &p->manifest.objects[0], error);
}

bool elsewhere_index(struct elsewhere *e, struct index *index, const struct gb_error *why,
                     struct gb_error *error)
{
    return try_all(e, take_index, index, "index", 0, why, error);
}

static bool take_size(struct elsewhere *e, struct place *p, void *what, struct gb_error *error)
{
    size_t number = *(size_t *)what;
    char name[1200];
    uint64_t size;
    if (number >= p->manifest.object_count ||
        strcmp(p->manifest.objects[number].name, e->manifest->objects[number].name))
        return error_set(error, GB_not_found, "it has no such object");
    snprintf(name, sizeof name, "%s/%s", e->prefix, p->manifest.objects[number].name);
    return storage_size(p->repository->storage, name, &size, error) &&
           (size == p->manifest.objects[number].size ||
            error_set(error, GB_corrupt_backup, "%s has another size", name));
}

bool elsewhere_object(struct elsewhere *e, size_t number, const struct gb_error *why,
                      struct gb_error *error)
{
    return try_all(e, take_size, &number, e && e->manifest ? e->manifest->objects[number].name : "",
                   0, why, error);
}

struct wanted {
    const struct frame *frame;
    uint8_t *stored, *plain;
};

static bool take_frame(struct elsewhere *e, struct place *p, void *what, struct gb_error *error)
{
    const struct wanted *w = what;
    struct frame_reader *reader = frame_reader_new(manifest_key(&p->manifest));
    bool ok = reader ? frame_read(reader, p->repository->storage, e->prefix, w->frame, w->stored,
                                  w->plain, error)
                     : error_set(error, GB_internal, "no memory for a frame");
    frame_reader_free(reader);
    return ok;
}

bool elsewhere_frame(struct elsewhere *e, const struct frame *f, uint8_t *stored, uint8_t *plain,
                     const struct gb_error *why, struct gb_error *error)
{
    struct wanted wanted = {f, stored, plain};
    char object[64];
    snprintf(object, sizeof object, "data/%06u.seg", f->segment);
    return try_all(e, take_frame, &wanted, object, 1, elsewhere_instead(e) ? &e->gone : why, error);
}

bool elsewhere_instead(const struct elsewhere *e)
{
    return e && __atomic_load_n(&e->instead, __ATOMIC_ACQUIRE);
}

const struct elsewhere_taken *elsewhere_account(const struct elsewhere *e, size_t *count)
{
    *count = e ? e->taken_count : 0;
    return e ? e->taken : NULL;
}
