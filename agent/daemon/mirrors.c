/* The repositories of one backup as a whole; see mirrors.h. */
#include "agent/daemon/mirrors.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define OPTIONAL_STALL_MS 60000u /* one that need not have the backup holds it up no longer */
#define PROBLEM_MAX       300    /* bytes of a repository's error in the JSON of all */

void mirrors_init(struct mirrors *m, const struct chosen *chosen)
{
    memset(m, 0, sizeof *m);
    m->chosen = chosen;
    pthread_mutex_init(&m->mutex, NULL);
}

void mirrors_destroy(struct mirrors *m)
{
    pthread_mutex_destroy(&m->mutex);
}

bool mirrors_start(struct mirrors *m, const struct begin_request *request, unsigned stall_ms,
                   struct gb_error *error)
{
    while (m->count + 1 < m->chosen->count) {
        struct begin_request own = *request;
        own.spec = m->chosen->spec[m->count + 1];
        bool required = chosen_required(m->chosen, m->count + 1);
        unsigned patience_ms =
            required || stall_ms < OPTIONAL_STALL_MS ? stall_ms : OPTIONAL_STALL_MS;
        if (!(m->mirror[m->count] = mirror_start(&own, required, patience_ms, error)))
            return false;
        m->count++;
    }
    return true;
}

bool mirrors_await_begun(struct mirrors *m, const bool *stop, struct gb_error *error)
{
    struct mirror *list[MIRRORS_MAX];
    unsigned count = mirrors_required(m, list);
    for (unsigned i = 0; i < count; i++)
        if (!mirror_await(list[i], MIRROR_BEGUN, stop, error))
            return false;
    return true;
}

void mirrors_hurry(struct mirrors *m, bool hurry)
{
    for (unsigned i = 0; i < m->count; i++)
        mirror_hurry(m->mirror[i], hurry);
}

bool mirrors_look(struct mirrors *m, char told[WIRE_TEXT_MAX], struct gb_error *error)
{
    told[0] = '\0';
    for (unsigned i = 0; i < m->count && !told[0]; i++) {
        struct gb_error why = {0};
        if (m->told_of[i] || mirror_look(m->mirror[i], MIRROR_NONE, &why) >= 0)
            continue;
        m->told_of[i] = true;
        if (chosen_required(m->chosen, i + 1)) {
            error_copy(error, &why);
            return false;
        }
        snprintf(told, WIRE_TEXT_MAX, "repository %s does not get this backup: GB%u %.300s",
                 mirror_spec(m->mirror[i])->name, (unsigned)why.code, why.what);
        size_t used = strlen(m->warnings);
        snprintf(m->warnings + used, sizeof m->warnings - used, "%s%s", used ? "; " : "", told);
    }
    return true;
}

unsigned mirrors_required(const struct mirrors *m, struct mirror *list[MIRRORS_MAX])
{
    unsigned count = 0;
    for (unsigned i = 0; i < m->count; i++)
        if (chosen_required(m->chosen, i + 1))
            list[count++] = m->mirror[i];
    return count;
}

void mirrors_give_up(struct mirrors *m, const struct gb_error *why)
{
    for (unsigned i = 0; i < m->count; i++)
        mirror_give_up(m->mirror[i], why);
}

void mirrors_note_damage(struct mirrors *m, unsigned number, const struct gb_error *damage)
{
    pthread_mutex_lock(&m->mutex);
    m->damage[number] = *damage;
    pthread_mutex_unlock(&m->mutex);
}

/* ---- what is told of them ---- */

static struct gb_error damage_of(struct mirrors *m, unsigned number)
{
    pthread_mutex_lock(&m->mutex);
    struct gb_error damage = m->damage[number];
    pthread_mutex_unlock(&m->mutex);
    return damage;
}

static json_t *describe_one(const struct repository_spec *spec, const char *state, uint64_t bytes,
                            const char *problem)
{
    json_t *one = json_pack("{s:s, s:s, s:s, s:I}", "name", spec->name, "type", spec->type, "state",
                            state, "bytes", (json_int_t)bytes);
    if (problem && one)
        json_object_set_new(one, "error", json_sprintf("%.*s", PROBLEM_MAX, problem));
    return one;
}

static json_t *describe_mirror(struct mirrors *m, unsigned i, const char *state)
{
    struct gb_error why = damage_of(m, i + 1);
    if (why.code)
        state = "damaged";
    else if (mirror_look(m->mirror[i], MIRROR_NONE, &why) < 0 && why.code != GB_cancelled)
        state = "failed";
    return describe_one(mirror_spec(m->mirror[i]), state, mirror_stored(m->mirror[i]),
                        why.code ? why.what : NULL);
}

void mirrors_describe(struct mirrors *m, const char *state, uint64_t bytes, const char *problem,
                      char *out, size_t size)
{
    json_t *list = json_array();
    json_array_append_new(
        list,
        describe_one(m->chosen->spec[0], damage_of(m, 0).code ? "damaged" : state, bytes, problem));
    for (unsigned i = 0; i < m->count; i++)
        json_array_append_new(list, describe_mirror(m, i, state));
    char *text = json_dumps(list, JSON_COMPACT);
    for (size_t i = 0; text && strlen(text) >= size && i < json_array_size(list); i++) {
        free(text);
        json_object_del(json_array_get(list, i), "error");
        text = json_dumps(list, JSON_COMPACT);
    }
    snprintf(out, size, "%s", text && strlen(text) < size ? text : "[]");
    free(text);
    json_decref(list);
}

/* ---- what each is owed ---- */

static void name_repositories(const struct mirrors *m, const char *names[CHOSEN_MAX])
{
    for (unsigned i = 0; i <= m->count; i++)
        names[i] = m->chosen->spec[i]->name;
}

void mirrors_expect(const struct mirrors *m, struct catchup *catchup, const char *cluster,
                    const char *id)
{
    const char *names[CHOSEN_MAX];
    name_repositories(m, names);
    catchup_expect(catchup, cluster, id, names, m->count + 1);
}

void mirrors_settle(const struct mirrors *m, struct catchup *catchup, const char *cluster,
                    const char *id, bool stored)
{
    const char *names[CHOSEN_MAX];
    bool has[CHOSEN_MAX] = {stored};
    struct gb_error ignored = {0};
    if (!m->chosen->spec[0])
        return; /* refused before any was chosen */
    name_repositories(m, names);
    for (unsigned i = 0; i < m->count; i++)
        has[i + 1] = stored && mirror_look(m->mirror[i], MIRROR_PUBLISHED, &ignored) > 0;
    catchup_settle(catchup, cluster, id, names, has, m->count + 1);
}
