/* What a restore says of what follows the files; see report.h. */
#include "agent/restore/report.h"
#include "agent/ui/text.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define ELSEWHERE_LINES 10u /* objects that are named in the closing report */

static uint64_t age_s(const struct manifest *m)
{
    time_t now = time(NULL);
    return now > m->finished_at ? (uint64_t)(now - m->finished_at) : 0;
}

static const char *seconds_text(double s, char *out, size_t size)
{
    return text_duration(s < 1 ? 1 : (uint64_t)(s + 0.5), out, size);
}

static const char *or_none(const char *text)
{
    return text[0] ? text : "none";
}

static json_t *history_json(const struct finish_plan *p)
{
    json_t *history = p->history.new ? json_pack("{s:s}", "token", p->history.token) : json_null();
    if (p->history.new)
        json_object_set_new(history, "uuid", json_stringn(p->history.position, 36));
    return history;
}

void report_plan(const struct report *r, FILE *out)
{
    char redo[32], time_text[32], pool[32], available[32];
    const struct finish_plan *p = r->finish;
    text_bytes(r->manifest->redo_bytes, redo, sizeof redo);
    if (p->in_place)
        fprintf(out,
                "redo      %s, replayed now: about %s with %s of memory (%s available) by %s\n",
                redo, seconds_text(p->recover_s, time_text, sizeof time_text),
                text_bytes(p->pool, pool, sizeof pool),
                text_bytes(p->available, available, sizeof available), p->program);
    else
        fprintf(out,
                "redo      %s, replayed by the first start: about %s with "
                "innodb_buffer_pool_size=%lluM%s\n",
                redo, seconds_text(p->boot_s, time_text, sizeof time_text),
                (unsigned long long)(p->boot_pool >> 20),
                p->boot_pool_known ? ", as configured here" : ", the server's default");
    if (p->workers)
        fprintf(out,
                "prepared  %u workers of parallel replication were at work: what they had prepared "
                "to commit and not committed is "
                "rolled back%s\n",
                p->workers,
                p->in_place ? ", which only a recovery now can do"
                            : " by a first start with --tc-heuristic-recover=ROLLBACK, for there "
                              "is no fitting mariadbd here to do it now");
    if (p->on_clone)
        fprintf(out,
                "trial     recovery and CHECK TABLE on a throw-away copy that shares its blocks\n");
    if (p->history.new)
        fprintf(out, "history   new: %.36s; on the other nodes --history new:%s\n",
                p->history.position, p->history.token);
    if (p->gtid[0])
        fprintf(out, "replica   gtid_slave_pos %s\n", p->gtid);
}

void report_plan_json(const struct report *r, json_t *plan)
{
    const struct finish_plan *p = r->finish;
    json_object_set_new(plan, "recover", json_boolean(p->in_place));
    json_object_set_new(plan, "recover_s", p->in_place ? json_real(p->recover_s) : json_null());
    json_object_set_new(plan, "recover_pool_bytes",
                        p->in_place ? json_integer((json_int_t)p->pool) : json_null());
    json_object_set_new(plan, "first_start_s", p->in_place ? json_null() : json_real(p->boot_s));
    json_object_set_new(plan, "first_start_pool_bytes", json_integer((json_int_t)p->boot_pool));
    json_object_set_new(plan, "history", history_json(p));
    json_object_set_new(plan, "gtid_slave_pos", p->gtid[0] ? json_string(p->gtid) : json_null());
}

/* The restore of another node of the same new cluster, as this one was given. */
static void command_for_others(const struct report *r, FILE *out)
{
    fprintf(out, "galera-backup restore %s --repository '%s' --datadir %s --history new:%s",
            r->manifest->id, r->repository, r->request->datadir, r->finish->history.token);
    if (r->key)
        fprintf(out, " --key '%s'", r->key);
    for (unsigned i = 0; i < r->request->map_count; i++)
        fprintf(out, " --map '%s=%s'", r->request->maps[i].from, r->request->maps[i].to);
}

/* What to type next. */
static void next_command(const struct report *r, FILE *out)
{
    const struct finish_plan *p = r->finish;
    char statement[REPLICA_STATEMENT_MAX];
    char age[32];
    if (manifest_is_save(r->manifest))
        fprintf(out, "the directory is as it was saved %s ago; a start of mariadbd changes it",
                text_duration(age_s(r->manifest), age, sizeof age));
    else if (p->gtid[0])
        fprintf(out, "start mariadbd with a server_id of its own, then: %s",
                replica_statement(r->manifest, statement));
    else if (!r->request->galera || !r->request->safe_to_bootstrap)
        fprintf(out, "start mariadbd");
    else if (p->history.new) {
        fprintf(out, "galera_new_cluster on this node; on each other node ");
        command_for_others(r, out);
        fprintf(out, ", then start it");
    } else
        fprintf(out, "galera_new_cluster on this node; then start the others, restored from the "
                     "same backup");
}

static void report_next(const struct report *r, FILE *out)
{
    fprintf(out, "next      ");
    next_command(r, out);
    fprintf(out, "\n");
}

static json_t *next_json(const struct report *r)
{
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);
    if (!out)
        return NULL;
    next_command(r, out);
    json_t *next = fclose(out) ? NULL : json_stringn(text, size);
    free(text);
    return next;
}

/* Bytes: without those that an interrupted restore had left on disk. */
static uint64_t written(const struct report *r)
{
    return r->plan->start == RESTORE_FINISH ? 0 : r->plan->bytes - r->plan->done;
}

static double rate_of(const struct report *r)
{
    return (double)written(r) / (r->seconds > 0.001 ? r->seconds : 0.001);
}

/* What could not be read in the repository that was restored from. */
static void report_elsewhere(const struct report *r, FILE *out)
{
    size_t count;
    const struct elsewhere_taken *t = elsewhere_account(r->request->elsewhere, &count);
    for (size_t i = 0; i < count && i < ELSEWHERE_LINES; i++) {
        if (t[i].frames)
            fprintf(out, "elsewhere %" PRIu64 " frames of %s were taken from repository %s\n",
                    t[i].frames, t[i].object, t[i].repository);
        else
            fprintf(out, "elsewhere %s was taken from repository %s\n", t[i].object,
                    t[i].repository);
    }
    if (count > ELSEWHERE_LINES)
        fprintf(out, "elsewhere and %zu objects more\n", count - ELSEWHERE_LINES);
    if (count)
        fprintf(out, "mend      galera-backup verify %s --repository '%s' --repair-from '%s'\n",
                r->manifest->id, r->repository, t[0].repository);
}

void report_text(const struct report *r, FILE *out)
{
    char bytes[32], rate[32], took[32], age[32], redo[32], boot[32];
    const struct finish_result *f = r->result;
    const char *position = f->position[0] ? f->position : manifest_position(r->manifest);
    fprintf(out, "restored  %s in %s, %s/s", text_bytes(written(r), bytes, sizeof bytes),
            seconds_text(r->seconds, took, sizeof took),
            text_bytes((uint64_t)rate_of(r), rate, sizeof rate));
    if (r->plan->start == RESTORE_GO_ON || r->plan->start == RESTORE_FINISH)
        fprintf(out, "; %s were on disk already",
                text_bytes(r->plan->bytes - written(r), bytes, sizeof bytes));
    fputc('\n', out);
    report_elsewhere(r, out);
    if (manifest_is_save(r->manifest)) {
        report_next(r, out);
        return;
    }
    text_bytes(r->manifest->redo_bytes, redo, sizeof redo);
    if (r->finish->done_before)
        fprintf(out,
                "recovered by the run that was interrupted; the directory is cleanly shut down\n");
    else if (f->recovered)
        fprintf(out, "recovered %s of redo in %s; the directory is cleanly shut down\n", redo,
                seconds_text(f->recover_s, took, sizeof took));
    fprintf(out, "position  %s, %s old", or_none(position),
            text_duration(age_s(r->manifest), age, sizeof age));
    if (f->recovered)
        fprintf(out, "\n");
    else
        fprintf(out, "; the first start replays %s of redo, which takes about %s\n", redo,
                seconds_text(r->finish->boot_s, boot, sizeof boot));
    if (f->verified) {
        fprintf(out, "checked   %u tables, all whole", f->tables.checked);
        if (f->tables.unopened)
            fprintf(out, "; %u not checked, their engine is a plugin (%s)", f->tables.unopened,
                    f->tables.unopened_first);
        fprintf(out, "\n");
    }
    if (r->finish->history.new)
        fprintf(out,
                "history   new: nodes with the old uuid can't join by IST; the other nodes are "
                "restored with --history new:%s\n",
                r->finish->history.token);
    if (r->finish->gtid[0])
        fprintf(out, "replica   gtid_slave_pos %s\n", r->finish->gtid);
    if (r->ist)
        fprintf(out, "IST       %s\n", r->ist);
    report_next(r, out);
}

static json_t *elsewhere_json(const struct report *r)
{
    size_t count;
    const struct elsewhere_taken *t = elsewhere_account(r->request->elsewhere, &count);
    json_t *list = json_array();
    for (size_t i = 0; i < count; i++)
        json_array_append_new(list,
                              json_pack("{s:s, s:s, s:I}", "object", t[i].object, "repository",
                                        t[i].repository, "frames", (json_int_t)t[i].frames));
    return list;
}

json_t *report_json(const struct report *r)
{
    char statement[REPLICA_STATEMENT_MAX];
    const struct finish_plan *p = r->finish;
    const struct finish_result *f = r->result;
    json_t *root = json_pack(
        "{s:i, s:s, s:s, s:I, s:f, s:f, s:I, s:s, s:I}", "schema", 1, "id", r->manifest->id,
        "datadir", r->request->datadir, "bytes", (json_int_t)written(r), "duration_s", r->seconds,
        "rate_bytes_s", rate_of(r), "redo_bytes", (json_int_t)r->manifest->redo_bytes, "position",
        f->position[0] ? f->position : manifest_position(r->manifest), "position_age_s",
        (json_int_t)age_s(r->manifest));
    json_object_set_new(root, "recovered", json_boolean(f->recovered));
    json_object_set_new(root, "recover_s", f->recovered ? json_real(f->recover_s) : json_null());
    json_object_set_new(root, "recover_pool_bytes",
                        f->recovered ? json_integer((json_int_t)p->pool) : json_null());
    json_object_set_new(root, "first_start_s",
                        f->recovered || manifest_is_save(r->manifest) ? json_null()
                                                                      : json_real(p->boot_s));
    json_object_set_new(root, "history", history_json(p));
    json_object_set_new(root, "tables_checked",
                        f->verified ? json_integer(f->tables.checked) : json_null());
    json_object_set_new(root, "tables_unopened",
                        f->verified ? json_integer(f->tables.unopened) : json_null());
    json_object_set_new(root, "gtid_slave_pos", p->gtid[0] ? json_string(p->gtid) : json_null());
    json_object_set_new(root, "change_master",
                        p->gtid[0] ? json_string(replica_statement(r->manifest, statement))
                                   : json_null());
    json_object_set_new(root, "elsewhere", elsewhere_json(r));
    json_object_set_new(root, "next", next_json(r));
    return root;
}
