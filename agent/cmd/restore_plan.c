/* The plan of a restore, shown; see restore_plan.h. */
#include "agent/cmd/restore_plan.h"
#include "agent/ui/text.h"

#include <grp.h>
#include <inttypes.h>
#include <jansson.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define OUTSIDE_SHOWN 20u /* paths */
#define SETTINGS_MAX  10u

/* "10.11" of "10.11.19-MariaDB-deb12". */
static const char *series(const struct manifest *m, char *out, size_t size)
{
    const char *dot = strchr(m->server_version, '.'), *second = dot ? strchr(dot + 1, '.') : NULL;
    snprintf(out, size, "%.*s",
             second ? (int)(second - m->server_version) : (int)strlen(m->server_version),
             m->server_version);
    return out;
}

static const char *fact(const struct manifest *m, const char *key)
{
    for (uint32_t i = 0; i < m->facts.count; i++)
        if (!strcmp(m->facts.fact[i].key, key))
            return m->facts.fact[i].value;
    return "";
}

/* What the server must be told, for it to find the files. */
struct settings {
    struct {
        const char *name;
        char value[WIRE_TEXT_MAX > WIRE_PATH_MAX ? WIRE_TEXT_MAX : WIRE_PATH_MAX];
    } list[SETTINGS_MAX];
    size_t count;
};

static void add_setting(struct settings *s, const char *name, const char *value, size_t length)
{
    for (size_t i = 0; i < s->count; i++)
        if (!strcmp(s->list[i].name, name))
            return;
    if (s->count == SETTINGS_MAX)
        return;
    s->list[s->count].name = name;
    snprintf(s->list[s->count++].value, sizeof s->list[0].value, "%.*s", (int)length, value);
}

static struct settings *find_settings(const struct manifest *m, const struct index *index,
                                      const struct restore_request *request)
{
    char path[WIRE_PATH_MAX];
    struct settings *s = calloc(1, sizeof *s);
    const char *files = fact(m, "innodb_data_file_path"), *page = fact(m, "innodb_page_size");
    for (size_t i = 0; s && i < index->file_count; i++) {
        const struct index_file *f = &index->files[i];
        const char *name = f->kind == WIRE_KIND_UNDO ? "innodb_undo_directory"
                           : f->kind == WIRE_KIND_SYSTEM && !strchr(files, '/')
                               ? "innodb_data_home_dir"
                           : f->kind == WIRE_KIND_ARIA_LOG || f->kind == WIRE_KIND_ARIA_CONTROL
                               ? "aria_log_dir_path"
                           : f->kind == INDEX_KIND_LOG ? "innodb_log_group_home_dir"
                                                       : NULL;
        restore_target_path(request, f->path, path, sizeof path);
        if (strchr(f->path, '/') && name)
            add_setting(s, name, path, (size_t)(strrchr(path, '/') - path));
    }
    if (s && files[0] && strcmp(files, "ibdata1:12M:autoextend"))
        add_setting(s, "innodb_data_file_path", files, strlen(files));
    if (s && page[0] && strcmp(page, "16384"))
        add_setting(s, "innodb_page_size", page, strlen(page));
    return s;
}

static const char *owner(const struct restore_plan *plan, char *out, size_t size)
{
    struct passwd *p = plan->uid == (uid_t)-1 ? NULL : getpwuid(plan->uid);
    struct group *g = plan->uid == (uid_t)-1 ? NULL : getgrgid(plan->gid);
    if (plan->uid == (uid_t)-1)
        snprintf(out, size, "whoever runs this");
    else if (p && g)
        snprintf(out, size, "%s:%s", p->pw_name, g->gr_name);
    else
        snprintf(out, size, "%u:%u", (unsigned)plan->uid, (unsigned)plan->gid);
    return out;
}

/* A path may hold anything; on a terminal it shall show as one line. */
static void print_path(const char *path)
{
    for (; *path; path++)
        putchar((unsigned char)*path < ' ' || *path == 0x7f ? '?' : *path);
}

/* Absolute paths, which the backup or --map chose and not --datadir. */
static void print_outside(const struct index *index, const struct restore_plan *plan)
{
    unsigned shown = 0, moved = 0;
    for (size_t i = 0; i < index->file_count; i++)
        moved += plan->original[i] && index->files[i].path[0] != '/';
    if (plan->outside + moved)
        printf("outside   %u files go to their absolute paths outside the data directory%s\n",
               plan->outside, moved ? ", others that were outside go into it:" : ":");
    for (size_t i = 0; i < index->file_count && shown < OUTSIDE_SHOWN; i++) {
        if (index->files[i].path[0] != '/' && !plan->original[i])
            continue;
        printf("          ");
        if (plan->original[i]) {
            print_path(plan->original[i]);
            printf(" -> ");
        }
        print_path(index->files[i].path);
        putchar('\n');
        shown++;
    }
    if (plan->outside + moved > shown)
        printf("          and %u more\n", plan->outside + moved - shown);
}

static void print_old(const struct restore_request *request, const struct restore_plan *plan)
{
    char bytes[32], done[32];
    text_bytes(plan->old_bytes, bytes, sizeof bytes);
    if (plan->start == RESTORE_GO_ON)
        printf("goes on   an interrupted restore of %s: %s are on disk\n", plan->previous.stamp,
               text_bytes(plan->done, done, sizeof done));
    else if (plan->start == RESTORE_FINISH)
        printf("goes on   an interrupted restore of %s: all is written, its mark is taken away\n",
               plan->previous.stamp);
    else if (plan->start == RESTORE_ANEW && plan->previous.state == MARKER_CLEARING_KEEP)
        printf("old       content is on its way to %s, which is brought to an end\n",
               plan->previous.aside);
    else if (plan->start == RESTORE_ANEW)
        printf("old       what an unfinished restore left (%s) is removed\n", bytes);
    if (!plan->replaces)
        return;
    if (request->replace == RESTORE_KEEP)
        printf("old       content (%s) is moved to %s\n", bytes,
               plan->marker.aside[0] ? plan->marker.aside
                                     : "names that end in .before and the time");
    else
        printf("old       content (%s) is removed\n", bytes);
}

static const char *as(const struct report *r)
{
    return r->request->galera ? "galera" : r->finish->gtid[0] ? "replica" : "standalone";
}

void restore_plan_print(const struct repository *r, const struct index *index,
                        const struct report *report)
{
    const struct manifest *m = report->manifest;
    const struct manifest_encryption *keys = &m->encryption;
    const struct restore_request *request = report->request;
    const struct restore_plan *plan = report->plan;
    char age[32], bytes[32], stored[32], available[32], finished[32], version[32], who[128],
        time_[32], rate[32];
    printf("backup    %s of %s, finished %s, %s old\ncluster   %s\nfrom      %s, %s to read\nto    "
           "    %s, %" PRIu64 " files, %s; %s free\nowner     %s\n",
           m->id, m->node, text_time(m->finished_at, finished, sizeof finished),
           text_duration((uint64_t)(time(NULL) - m->finished_at), age, sizeof age), m->cluster,
           storage_describe(r->storage), text_bytes(plan->stored, stored, sizeof stored),
           request->datadir, plan->files, text_bytes(plan->bytes, bytes, sizeof bytes),
           text_bytes(plan->available, available, sizeof available), owner(plan, who, sizeof who));
    if (keys->on)
        printf("keys      %s is here; one of %s is needed\n", keys->opened_with, keys->key_ids);
    else
        printf("keys      none needed\n");
    if (manifest_is_save(m))
        printf("as        it was saved, byte for byte; nobody has checked whether it boots\n");
    else
        printf("position  %s\nas        %s\nserver    MariaDB %s (the backup is of %s)\n",
               manifest_position(m)[0] ? manifest_position(m) : "none",
               request->safe_to_bootstrap ? "galera, safe to bootstrap" : as(report),
               series(m, version, sizeof version), m->server_version);
    printf("time      about %s with %u threads%s%s%s\n",
           text_duration(plan->seconds, time_, sizeof time_), plan->threads,
           request->limit_rate ? ", reading at most " : "",
           request->limit_rate ? text_bytes(request->limit_rate, rate, sizeof rate) : "",
           request->limit_rate ? "/s" : "");
    if (!manifest_is_save(m))
        report_plan(report, stdout);
    if (report->ist)
        printf("IST       %s\n", report->ist);
    print_outside(index, plan);
    print_old(request, plan);
    struct settings *s = find_settings(m, index, request);
    for (size_t i = 0; s && i < s->count; i++)
        printf("%s %s=%s\n", i ? "         " : "settings ", s->list[i].name, s->list[i].value);
    free(s);
}

static json_t *outside_json(const struct index *index, const struct restore_plan *plan)
{
    json_t *list = json_array();
    for (size_t i = 0; i < index->file_count; i++)
        if (index->files[i].path[0] == '/' || plan->original[i])
            json_array_append_new(
                list,
                json_pack("{s:s%, s:s%}", "from",
                          plan->original[i] ? plan->original[i] : index->files[i].path,
                          strlen(plan->original[i] ? plan->original[i] : index->files[i].path),
                          "to", index->files[i].path, strlen(index->files[i].path)));
    return list;
}

static json_t *keys_json(const char *keys)
{
    json_t *list = json_array();
    for (const char *at = keys; *at; at += strcspn(at, ", "), at += strspn(at, ", "))
        json_array_append_new(list, json_stringn(at, strcspn(at, ", ")));
    return list;
}

json_t *restore_plan_json(const struct repository *r, const struct index *index,
                          const struct report *report)
{
    const struct manifest *m = report->manifest;
    const struct restore_request *request = report->request;
    const struct restore_plan *plan = report->plan;
    static const char *const starts[] = {"fresh", "go_on", "anew", "finish"};
    char finished[32], version[32], who[128];
    json_t *root = json_pack(
        "{s:i, s:{s:s, s:s, s:s, s:s, s:s, s:I, s:s}, s:{s:s, s:I}, s:{s:s, s:I, s:I, s:I, s:s}, "
        "s:I, s:s, s:b, s:s, s:o, s:i, s:I, "
        "s:I, s:s, s:I}",
        "schema", 1, "backup", "id", m->id, "cluster", m->cluster, "node", m->node, "type", m->type,
        "finished_at", text_time(m->finished_at, finished, sizeof finished), "age_s",
        (json_int_t)(time(NULL) - m->finished_at), "position", manifest_position(m), "from",
        "repository", storage_describe(r->storage), "read_bytes", (json_int_t)plan->stored, "to",
        "datadir", request->datadir, "files", (json_int_t)plan->files, "bytes",
        (json_int_t)plan->bytes, "available_bytes", (json_int_t)plan->available, "owner",
        owner(plan, who, sizeof who), "redo_bytes", (json_int_t)m->redo_bytes, "as",
        manifest_is_save(m) ? "saved" : as(report), "safe_to_bootstrap", request->safe_to_bootstrap,
        "server_version", series(m, version, sizeof version), "keys",
        keys_json(m->encryption.key_ids), "threads", (int)plan->threads, "limit_rate",
        (json_int_t)request->limit_rate, "estimate_s", (json_int_t)plan->seconds, "start",
        starts[plan->start], "done_bytes", (json_int_t)plan->done);
    json_object_set_new(root, "outside", outside_json(index, plan));
    json_object_set_new(root, "replace",
                        plan->replaces
                            ? json_pack("{s:s, s:I, s:s?}", "how",
                                        request->replace == RESTORE_KEEP ? "keep" : "delete",
                                        "bytes", (json_int_t)plan->old_bytes, "aside",
                                        plan->marker.aside[0] ? plan->marker.aside : NULL)
                            : json_null());
    json_t *list = json_object();
    struct settings *s = find_settings(m, index, request);
    for (size_t i = 0; s && i < s->count; i++)
        json_object_set_new(list, s->list[i].name, json_string(s->list[i].value));
    free(s);
    json_object_set_new(root, "settings", list);
    if (!manifest_is_save(m))
        report_plan_json(report, root);
    return root;
}
