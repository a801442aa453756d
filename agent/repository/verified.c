/* What is known of a backup from reading it back; see verified.h. */
#include "agent/repository/verified.h"
#include "agent/repository/sealed.h"
#include "agent/utc.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SCHEMA     1
#define RECORD_MAX (256u << 10)
#define WHOLE      100u /* percent */

const char *verified_word(const struct verified *v)
{
    return !v->verified_at ? "none" : v->damaged ? "damaged" : v->deep ? "deep" : "quick";
}

struct verified_round verified_next(const struct verified *last, bool deep, unsigned percent)
{
    struct verified_round round = last->round[deep];
    unsigned turns = (WHOLE + percent - 1) / percent;
    if (round.turns != turns)
        return (struct verified_round){.turns = turns};
    round.turn = (round.turn + 1) % turns;
    return round;
}

void verified_merge(struct verified *now, const struct verified *last)
{
    struct verified_round *round = &now->round[now->deep];
    now->round[!now->deep] = last->round[!now->deep];
    if (!now->percent)
        *round = last->round[now->deep];
    round->clean = now->damaged                                  ? 0
                   : now->percent && round->clean < round->turns ? round->clean + 1
                                                                 : round->clean;
    bool all =
        !now->percent ||
        round->clean >= round->turns; /* it itself, or those before it and it, have seen all */
    now->deep_at = now->damaged ? 0 : now->deep && all ? now->verified_at : last->deep_at;
    if (now->damaged || !last->damaged || (all && (now->deep || !last->deep)))
        return;
    now->damaged = true;
    now->deep = last->deep;
    now->deep_at = 0;
    now->problem_count = last->problem_count;
    memcpy(now->problem, last->problem, sizeof now->problem);
}

static json_t *time_json(time_t t)
{
    char text[UTC_MAX];
    return t ? json_string(utc_text(t, text)) : json_null();
}

static time_t json_time(const json_t *j)
{
    const char *text = json_string_value(j);
    time_t t = text ? utc_parse(text) : 0;
    return t > 0 ? t : 0;
}

static json_t *round_json(const struct verified_round *r)
{
    return r->turns ? json_pack("{s:i, s:i, s:i}", "turn", (int)r->turn, "turns", (int)r->turns,
                                "clean", (int)r->clean)
                    : json_null();
}

struct json_t *verified_json(const struct verified *v)
{
    json_t *root = json_object(), *problems = json_array();
    json_object_set_new(root, "schema", json_integer(SCHEMA));
    json_object_set_new(root, "level", json_string(v->deep ? "deep" : "quick"));
    json_object_set_new(root, "result", json_string(v->damaged ? "damaged" : "ok"));
    json_object_set_new(root, "verified_at", time_json(v->verified_at));
    json_object_set_new(root, "deep_at", time_json(v->deep_at));
    json_object_set_new(root, "sampled", v->percent ? json_integer(v->percent) : json_null());
    json_object_set_new(root, "rounds",
                        json_pack("{s:o, s:o}", "quick", round_json(&v->round[0]), "deep",
                                  round_json(&v->round[1])));
    for (unsigned i = 0; i < v->problem_count; i++)
        json_array_append_new(problems, json_string(v->problem[i]));
    json_object_set_new(root, "problems", problems);
    return root;
}

static void name_of(char *out, size_t size, const char *cluster, const char *id)
{
    char prefix[1024];
    repository_prefix(prefix, sizeof prefix, cluster, id);
    snprintf(out, size, "%s/" VERIFIED_NAME, prefix);
}

bool verified_write(const struct verified *v, struct repository *r, const char *cluster,
                    const char *id, struct gb_error *error)
{
    char name[1100];
    size_t size = 0;
    json_t *root = verified_json(v);
    json_object_set_new(root, "cluster", json_string(cluster));
    json_object_set_new(root, "id", json_string(id));
    char *text = sealed_text(root, &size);
    name_of(name, sizeof name, cluster, id);
    bool ok = (text || error_set(error, GB_internal, "no memory")) &&
              storage_replace(r->storage, name, text, size, error);
    json_decref(root);
    free(text);
    return ok;
}

static unsigned number(const json_t *of, const char *key)
{
    json_int_t n = json_integer_value(json_object_get(of, key));
    return n > 0 && n <= (json_int_t)WHOLE ? (unsigned)n : 0;
}

static bool take_round(struct verified_round *r, const json_t *from)
{
    *r =
        (struct verified_round){number(from, "turn"), number(from, "turns"), number(from, "clean")};
    return !r->turns || (r->turn < r->turns && r->clean <= r->turns);
}

/* Level and result are words that we write, its time is there, and a turn is one of the turns. */
static bool take(struct verified *v, const json_t *root)
{
    const char *level = json_string_value(json_object_get(root, "level")),
               *result = json_string_value(json_object_get(root, "result"));
    const json_t *rounds = json_object_get(root, "rounds"), *problem;
    size_t i;
    v->verified_at = json_time(json_object_get(root, "verified_at"));
    v->deep_at = json_time(json_object_get(root, "deep_at"));
    v->deep = level && !strcmp(level, "deep");
    v->damaged = result && !strcmp(result, "damaged");
    v->percent = number(root, "sampled");
    bool ok = take_round(&v->round[0], json_object_get(rounds, "quick")) &&
              take_round(&v->round[1], json_object_get(rounds, "deep"));
    json_array_foreach(json_object_get(root, "problems"), i,
                       problem) if (i < VERIFIED_PROBLEMS_MAX && json_is_string(problem))
        snprintf(v->problem[v->problem_count++], sizeof v->problem[0], "%s",
                 json_string_value(problem));
    return ok && level && result && (v->deep || !strcmp(level, "quick")) &&
           (v->damaged || !strcmp(result, "ok")) && v->verified_at;
}

bool verified_read(struct verified *v, struct repository *r, const char *cluster, const char *id,
                   struct gb_error *error)
{
    char name[1100];
    size_t size;
    struct gb_error problem = {0};
    memset(v, 0, sizeof *v);
    name_of(name, sizeof name, cluster, id);
    char *text = storage_read_all(r->storage, name, RECORD_MAX, &size, &problem);
    if (!text) {
        if (problem.code != GB_not_found)
            error_copy(error, &problem);
        return problem.code == GB_not_found;
    }
    json_t *root = sealed_parse(text, size);
    const char *of_cluster = json_string_value(json_object_get(root, "cluster")),
               *of = json_string_value(json_object_get(root, "id"));
    json_int_t schema = json_integer_value(json_object_get(root, "schema"));
    bool ok = true;
    if (!root)
        ok = error_set(error, GB_corrupt_backup,
                       "%s has been changed or cut: its own SHA-256 is wrong", name);
    else if (schema > SCHEMA)
        ok = error_set(error, GB_format_newer, "%s has schema %d, this release reads up to %d",
                       name, (int)schema, SCHEMA);
    else if (!of || !of_cluster || strcmp(of, id) || strcmp(of_cluster, cluster))
        ok = error_set(error, GB_corrupt_backup, "%s is that of another backup", name);
    else if (!take(v, root))
        ok = error_set(error, GB_corrupt_backup, "%s is no record of a verification", name);
    if (!ok)
        memset(v, 0, sizeof *v);
    json_decref(root);
    free(text);
    return ok;
}
