/* Rows of the SQL catalog; see catalog.h. */
#include "agent/mariadb/catalog.h"
#include "agent/errand.h"
#include "agent/mariadb/connection.h"
#include "agent/mariadb/nodes.h"
#include "agent/mariadb/rows.h"
#include "common/monotonic.h"
#include "common/clock.h"

#include <errmsg.h>
#include <inttypes.h>
#include <jansson.h>
#include <mysqld_error.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RETRY_S        2
#define SETTLE_RETRY_S 60
#define LIVE_MAX       8u /* as many as there are sessions */
#define STOP_WAIT_S    5
#define QUEUE_MAX      10000u
#define SQL_TIMEOUT_S  10u

struct statement {
    struct statement *next;
    char key[WIRE_ID_MAX]; /* not "": a later statement with this key replaces it */
    char sql[];
};

/* What became of backups whose rows say running. A repository may hang, and rows must not wait for
   it: an errand looks, at its own copy of the configuration, and the thread takes the answer when
   it is there. */
struct look {
    struct errand *errand;
    struct config config;
    struct looked *one;
    size_t count;
    char unread[GB_ERROR_TEXT_MAX + WIRE_ID_MAX]; /* "": all could be read */
};

struct looked {
    char cluster[WIRE_NAME_MAX], id[WIRE_ID_MAX];
    char *sql; /* what the row becomes; NULL: that is not known yet */
    char found[GB_ERROR_TEXT_MAX];
};

struct catalog {
    const struct config *config;
    pthread_t thread;
    pthread_mutex_t mutex; /* queue, live, stop, settles, ended; nothing is held across SQL */
    pthread_cond_t changed;
    struct statement *head, **tail;
    unsigned queued;
    char live[LIVE_MAX][WIRE_ID_MAX]; /* backups whose last word is still to come; "": free */
    bool stop, settles, ended;        /* ended: a backup has, since the thread looked */
    /* the thread's own */
    struct nodes nodes;
    bool absent_told, unknown_told;
    time_t settle_at;  /* monotonic_s(); 0: nothing to settle */
    struct look *look; /* under way; NULL: none */
};

/* Under mutex. The statement at the head may be under way: only those behind it are looked at. */
static void drop_queued(struct catalog *c, const char *key)
{
    struct statement **at = c->head ? &c->head->next : NULL;
    while (at && *at && strcmp((*at)->key, key))
        at = &(*at)->next;
    if (!at || !*at)
        return;
    struct statement *q = *at;
    *at = q->next;
    if (c->tail == &q->next)
        c->tail = at;
    c->queued--;
    free(q);
}

/* Under mutex. */
static void set_live(struct catalog *c, const char *id, bool live)
{
    unsigned place = LIVE_MAX;
    for (unsigned i = 0; i < LIVE_MAX; i++)
        if (!strcmp(c->live[i], id))
            place = i;
        else if (live && !c->live[i][0] && place == LIVE_MAX)
            place = i;
    if (place < LIVE_MAX)
        snprintf(c->live[place], sizeof c->live[place], "%s", live ? id : "");
}

enum row_kind { OTHER, RUNNING, FINAL };

/* key: the backup's id, "" with OTHER. A row of a backup takes the place of an older one, at the
   end of the queue: what was logged before it is written before it. */
static void push(struct catalog *c, const char *key, enum row_kind row, const struct row *s)
{
    struct statement *q = malloc(sizeof *q + s->at + 1);
    if (!q)
        return;
    snprintf(q->key, sizeof q->key, "%s", key);
    memcpy(q->sql, s->text, s->at + 1);
    q->next = NULL;
    pthread_mutex_lock(&c->mutex);
    if (row != OTHER) {
        drop_queued(c, key);
        set_live(c, key, row == RUNNING);
    }
    if (row != OTHER || c->queued < QUEUE_MAX) {
        *c->tail = q;
        c->tail = &q->next;
        c->queued++;
        q = NULL;
    }
    pthread_cond_signal(&c->changed);
    pthread_mutex_unlock(&c->mutex);
    free(q);
}

static void add_common(struct row *s, const char *node, const struct wire_start *start,
                       time_t started_at)
{
    row_set(s, "type", start->type);
    row_set(s, "node", node);
    row_set(s, "user", start->user);
    row_set(s, "comment", start->comment);
    row_add(s, ", started_at = FROM_UNIXTIME(%lld)", (long long)started_at);
}

void catalog_running(struct catalog *c, const char *cluster, const char *node,
                     const struct wire_start *start, const struct wire_node_progress *progress,
                     uint64_t bytes_stored, time_t started_at)
{
    struct row *s = calloc(1, sizeof *s);
    if (!s)
        return;
    row_begin(s, cluster, start->id);
    add_common(s, node, start, started_at);
    row_add(s, ", state = 'running'");
    row_set(s, "stage", progress->stage);
    row_add(s,
            ", percent = %u, eta_s = %u, bytes_total = %" PRIu64 ", bytes_done = %" PRIu64
            ", stored_bytes = %" PRIu64,
            progress->percent, progress->eta_s, progress->bytes_total, progress->bytes_done,
            bytes_stored);
    row_end(s);
    push(c, start->id, RUNNING, s);
    free(s);
}

static void add_manifest(struct row *s, const struct manifest *m)
{
    row_set_manifest(s, m);
    row_add(s, ", recv_queue_max = %llu",
            strtoull(wire_fact(&m->facts, "recv_queue_max"), NULL, 10));
}

void catalog_final(struct catalog *c, const char *cluster, const char *node,
                   const struct wire_start *start, const char *state,
                   const struct manifest *manifest, const char *repositories, const char *warnings,
                   const struct gb_error *error, time_t started_at)
{
    struct row *s = calloc(1, sizeof *s);
    if (!s)
        return;
    row_begin(s, cluster, start->id);
    add_common(s, node, start, started_at);
    row_set(s, "state", state);
    time_t now = manifest ? manifest->finished_at : time(NULL);
    if (now < started_at)
        now = started_at; /* the clock was set back meanwhile */
    row_add(s, ", stage = 'DONE', eta_s = 0, finished_at = FROM_UNIXTIME(%lld), duration_s = %lld",
            (long long)now, (long long)(now - started_at));
    if (manifest)
        add_manifest(s, manifest);
    row_set(s, "repositories", repositories);
    const char *servers = manifest ? wire_fact(&manifest->facts, "warnings") : "";
    char all[8 * WIRE_TEXT_MAX]; /* and those of the repositories */
    snprintf(all, sizeof all, "%s%s%s", servers, servers[0] && warnings[0] ? "; " : "", warnings);
    row_set(s, "warnings", all);
    if (error && error->code)
        row_set_error(s, error);
    row_end(s);
    push(c, start->id, FINAL, s);
    free(s);
}

void catalog_resynced(struct catalog *c, const char *cluster, const char *id,
                      const struct wire_facts *facts)
{
    struct row *s = calloc(1, sizeof *s);
    char a[600], b[300];
    if (!s)
        return;
    row_text(a, sizeof a, cluster);
    row_text(b, sizeof b, id);
    row_add(s,
            "UPDATE galera_backup.backups SET as_of = UTC_TIMESTAMP(6), desync_s = %llu, "
            "recv_queue_max = %llu",
            strtoull(wire_fact(facts, "desync_s"), NULL, 10),
            strtoull(wire_fact(facts, "recv_queue_max"), NULL, 10));
    row_set(s, "resync", wire_fact(facts, "resync"));
    row_add(s, " WHERE cluster = %s AND id = %s", a, b);
    push(c, "", OTHER, s);
    free(s);
    pthread_mutex_lock(&c->mutex);
    c->ended = true;
    pthread_mutex_unlock(&c->mutex);
}

void catalog_log(struct catalog *c, const char *cluster, const char *id, const struct wire_log *log)
{
    static const char *const levels[] = {"note", "warning", "error"};
    struct row *s = calloc(1, sizeof *s);
    char a[600], b[300], stage[200], message[2200];
    if (!s)
        return;
    row_text(a, sizeof a, cluster);
    row_text(b, sizeof b, id);
    row_text(stage, sizeof stage, log->stage);
    row_text(message, sizeof message, log->message);
    row_add(s,
            "INSERT INTO galera_backup.backup_log (cluster, id, seq, at, stage, level, message) "
            "SELECT %s, %s, "
            "IFNULL(MAX(seq), 0) + 1, UTC_TIMESTAMP(6), %s, '%s', %s FROM galera_backup.backup_log "
            "WHERE cluster = %s AND id = %s",
            a, b, stage, levels[log->level < 3 ? log->level : 2], message, a, b);
    push(c, "", OTHER, s);
    free(s);
}

void catalog_statement(struct catalog *c, const char *sql)
{
    struct row *s = calloc(1, sizeof *s);
    if (!s)
        return;
    row_add(s, "%s", sql);
    push(c, "", OTHER, s);
    free(s);
}

void catalog_verified(struct catalog *c, const char *cluster, const char *id,
                      const struct verified *verified)
{
    struct row *s = calloc(1, sizeof *s);
    if (!s)
        return;
    row_verified(s, cluster, id, verified);
    push(c, "", OTHER, s);
    free(s);
}

static bool connection_broke(unsigned number)
{
    return (number >= CR_MIN_ERROR && number <= CR_MAX_ERROR) || number == ER_CONNECTION_KILLED ||
           number == ER_SERVER_SHUTDOWN;
}

/* Errors that a later try may not meet: deadlock, lock wait, not Primary, lost connection. */
static bool worth_retry(unsigned number)
{
    return number == ER_LOCK_DEADLOCK || number == ER_LOCK_WAIT_TIMEOUT ||
           number == ER_UNKNOWN_COM_ERROR || connection_broke(number);
}

/* ---- rows that say running and have no session: the agent died, or the server has been restored
 * since ---- */

/* A backup that has a session, or whose last word is queued. */
static bool is_live(struct catalog *c, const char *id)
{
    bool live = false;
    pthread_mutex_lock(&c->mutex);
    for (unsigned i = 0; i < LIVE_MAX; i++)
        live = live || !strcmp(c->live[i], id);
    for (const struct statement *q = c->head; q; q = q->next)
        live = live || !strcmp(q->key, id);
    pthread_mutex_unlock(&c->mutex);
    return live;
}

enum found { FOUND, NOT_FOUND, UNKNOWN };

static void add_place(json_t *places, const struct repository_spec *spec, const struct manifest *m)
{
    json_array_append_new(places,
                          json_pack("{s:s, s:s, s:s, s:I}", "name", spec->name, "type", spec->type,
                                    "state", "succeeded", "bytes", (json_int_t)m->stored_bytes));
}

/* FOUND: *m and *verified are those of the first repository that has it, places has all that have
   it. NOT_FOUND: *error says why it is none. UNKNOWN: a repository could not be read. */
static enum found find_backup(struct look *l, const char *cluster, const char *id,
                              struct manifest *m, struct verified *verified, json_t *places,
                              struct gb_error *error)
{
    enum found found = NOT_FOUND;
    char prefix[WIRE_NAME_MAX + WIRE_ID_MAX + 16];
    bool valid = cluster_name_valid(cluster) && label_valid(id);
    repository_prefix(prefix, sizeof prefix, cluster, id);
    for (unsigned i = 0; valid && i < l->config.repository_count; i++) {
        struct gb_error problem = {0}, unread = {0};
        struct manifest here = {0};
        const struct repository_spec *spec = &l->config.repositories[i];
        struct repository *r = repository_open(spec, &problem);
        bool ok = r && manifest_read(&here, r->storage, prefix, &r->trusted, &problem) &&
                  repository_recipients(r, &here, here.encryption.key_ids,
                                        sizeof here.encryption.key_ids, &problem);
        if (ok)
            add_place(places, spec, &here);
        if (ok && found != FOUND) {
            found = FOUND;
            *m = here;
            here = (struct manifest){0};
            if (!verified_read(verified, r, cluster, id, &unread)) {
                memset(verified, 0, sizeof *verified);
                fprintf(stderr, "catalog: what a verification of %s found can't be read: %s\n", id,
                        unread.what);
            }
        }
        manifest_free(&here);
        repository_close(r);
        if (ok || found == FOUND)
            continue;
        if (problem.code == GB_corrupt_backup || problem.code == GB_format_newer ||
            problem.code == GB_untrusted_backup)
            error_copy(error, &problem);
        else if (problem.code != GB_not_found) {
            found = UNKNOWN;
            snprintf(l->unread, sizeof l->unread, "%s is not known yet: %s", id, problem.what);
        }
    }
    if (found == NOT_FOUND && !error->code)
        error_set(error, GB_agent_lost, "the agent did not see its end, and no repository has it");
    return found;
}

static void add_found(struct row *s, const struct manifest *m, const struct verified *verified,
                      const json_t *places)
{
    char *text = json_dumps(places, JSON_COMPACT);
    row_add(s, ", state = 'succeeded', finished_at = FROM_UNIXTIME(%lld), duration_s = %lld",
            (long long)m->finished_at, (long long)(m->finished_at - m->started_at));
    add_manifest(s, m);
    row_set(s, "repositories", text);
    if (verified->verified_at)
        row_set_verified(s, verified);
    free(text);
}

static void look_at(struct look *l, struct looked *one)
{
    struct manifest manifest = {0};
    struct verified verified = {0};
    json_t *places = json_array();
    struct gb_error why = {0};
    char a[600], b[300];
    enum found found = find_backup(l, one->cluster, one->id, &manifest, &verified, places, &why);
    struct row *s = found == UNKNOWN ? NULL : calloc(1, sizeof *s);
    if (s) {
        row_text(a, sizeof a, one->cluster);
        row_text(b, sizeof b, one->id);
        row_add(
            s,
            "UPDATE galera_backup.backups SET as_of = UTC_TIMESTAMP(6), stage = 'DONE', eta_s = 0");
        if (found == FOUND)
            add_found(s, &manifest, &verified, places);
        else {
            row_add(s, ", state = 'failed', finished_at = UTC_TIMESTAMP(6)");
            row_set_error(s, &why);
        }
        row_add(s, " WHERE cluster = %s AND id = %s AND state = 'running'", a, b);
        one->sql = strdup(s->text);
        snprintf(one->found, sizeof one->found, "%s",
                 found == FOUND ? "it has succeeded" : why.what);
    }
    manifest_free(&manifest);
    json_decref(places);
    free(s);
}

static void look_main(void *context)
{
    struct look *l = context;
    for (size_t i = 0; i < l->count; i++)
        look_at(l, &l->one[i]);
}

static void look_free(void *context)
{
    struct look *l = context;
    for (size_t i = 0; i < l->count; i++)
        free(l->one[i].sql);
    free(l->one);
    free(l);
}

static bool look_add(struct look *l, const char *cluster, const char *id)
{
    struct looked *more = realloc(l->one, (l->count + 1) * sizeof *more);
    if (!more)
        return false;
    l->one = more;
    more += l->count++;
    memset(more, 0, sizeof *more);
    snprintf(more->cluster, sizeof more->cluster, "%s", cluster);
    snprintf(more->id, sizeof more->id, "%s", id);
    return true;
}

/* Sends out for all of them. *number: the server's error, 0 if it was none. */
static void look_begin(struct catalog *c, struct connection *connection, unsigned *number)
{
    static const char select[] =
        "SELECT cluster, id FROM galera_backup.backups WHERE state = 'running' AND node = "
        "IF(@@wsrep_on, @@wsrep_node_name, @@hostname)";
    MYSQL_RES *rows;
    struct gb_error error = {0};
    c->settle_at = 0;
    if (!connection_query(connection, select, &rows, number, &error)) {
        if (worth_retry(*number))
            c->settle_at = monotonic_s() + RETRY_S;
        else
            fprintf(stderr, "catalog: %s\n", error.what);
        return;
    }
    struct look *l = calloc(1, sizeof *l);
    bool ok = l != NULL;
    for (MYSQL_ROW row; ok && rows && (row = mysql_fetch_row(rows));)
        ok = is_live(c, row[1]) || look_add(l, row[0], row[1]);
    if (rows)
        mysql_free_result(rows);
    if (ok && l->count) {
        l->config = *c->config;
        ok = (l->errand = errand_start(look_main, l)) != NULL;
        if (ok)
            c->look = l;
    }
    if (!ok)
        c->settle_at = monotonic_s() + SETTLE_RETRY_S;
    if (l && !c->look)
        look_free(l);
}

/* Writes what it has brought. *number: the server's error, 0 if it was none. */
static void look_end(struct catalog *c, struct connection *connection, unsigned *number)
{
    struct look *l = c->look;
    bool again = false;
    errand_end(l->errand);
    c->look = NULL;
    if (l->unread[0] && !c->unknown_told)
        fprintf(stderr, "catalog: what became of %s\n", l->unread);
    c->unknown_told = c->unknown_told || l->unread[0];
    for (size_t i = 0; !connection_broke(*number) && i < l->count; i++) {
        const struct looked *one = &l->one[i];
        struct gb_error error = {0};
        unsigned failed = 0;
        if (is_live(c, one->id))
            continue;
        if (one->sql && connection_query(connection, one->sql, NULL, &failed, &error)) {
            fprintf(stderr, "catalog: %s was left as running: %s\n", one->id, one->found);
            continue;
        }
        if (one->sql)
            fprintf(stderr, "catalog: %s\n", error.what);
        *number = failed;
        again = again || !failed || worth_retry(failed);
    }
    if (again && !c->settle_at)
        c->settle_at = monotonic_s() + SETTLE_RETRY_S;
    look_free(l);
}

/* ---- the thread ---- */

static struct connection *connect_catalog(struct catalog *c)
{
    struct gb_error error = {0};
    struct connection *connection = rows_connect(c->config, SQL_TIMEOUT_S, &error);
    if (!connection && !c->absent_told)
        fprintf(stderr, "catalog: %s; rows are kept and written later\n", error.what);
    c->absent_told = !connection;
    /* The server may be another one than before: restored from a backup that its catalog calls
     * running. */
    c->settle_at = connection ? 1 : 0;
    nodes_soon(&c->nodes);
    c->unknown_told = false;
    return connection;
}

/* A server says nothing unasked, but for its end. */
static bool server_gone(struct connection *connection)
{
    struct pollfd p = {mysql_get_socket(connection_handle(connection)), POLLIN, 0};
    return poll(&p, 1, 0) > 0;
}

/* Connects where there is no connection, settles what is due (without waiting for a repository),
 * writes this node's row, notices a server that has gone. False: not connected. */
static bool keep_connection(struct catalog *c, struct connection **connection, bool settles)
{
    unsigned number = 0;
    if (!*connection && !(*connection = connect_catalog(c)))
        return false;
    struct gb_error error = {0};
    bool gone = server_gone(*connection) ||
                !rows_begin(*connection, &number, &error); /* why not, the next connection tells */
    if (!gone && c->look && errand_wait(c->look->errand, 0))
        look_end(c, *connection, &number);
    if (!gone && settles && !connection_broke(number) && !c->look && c->settle_at &&
        monotonic_s() >= c->settle_at)
        look_begin(c, *connection, &number);
    if (!gone && settles && !connection_broke(number))
        nodes_tick(&c->nodes, *connection, c->config->cluster, &number);
    if (!gone && !connection_broke(number))
        return true;
    connection_close(*connection);
    *connection = NULL;
    return false;
}

static void wait_changed(struct catalog *c, unsigned seconds)
{
    struct timespec until = deadline_in_ms(seconds * 1000);
    pthread_cond_timedwait(&c->changed, &c->mutex, &until);
}

static void *catalog_main(void *argument)
{
    struct catalog *c = argument;
    struct connection *connection = NULL;
    time_t stop_at = 0;
    pthread_mutex_lock(&c->mutex);
    for (;;) {
        if (c->stop && !stop_at)
            stop_at = monotonic_s() + STOP_WAIT_S;
        if (c->stop && (!c->head || monotonic_s() >= stop_at))
            break;
        struct statement *q = c->head;
        bool settles = c->settles, ended = c->ended;
        c->ended = false;
        pthread_mutex_unlock(&c->mutex);
        unsigned number = 0;
        struct gb_error error = {0};
        if (ended)
            nodes_soon(&c->nodes);
        bool connected = (q || settles) && keep_connection(c, &connection, settles);
        bool done = q && connected && connection_query(connection, q->sql, NULL, &number, &error);
        if (q && connected && !done && !worth_retry(number)) {
            fprintf(stderr, "catalog: %s\n", error.what);
            done = true;
        }
        if (!done && connection_broke(number)) {
            connection_close(connection);
            connection = NULL;
        }
        pthread_mutex_lock(&c->mutex);
        if (done) {
            c->head = q->next;
            if (!c->head)
                c->tail = &c->head;
            c->queued--;
            free(q);
        } else if (q)
            wait_changed(c, c->stop ? 1 : RETRY_S);
        else if (!c->head && !c->stop)
            wait_changed(c, RETRY_S);
    }
    pthread_mutex_unlock(&c->mutex);
    connection_close(connection);
    if (c->look)
        errand_leave(c->look->errand, look_free);
    return NULL;
}

void catalog_agent_started(struct catalog *c)
{
    pthread_mutex_lock(&c->mutex);
    c->settles = true;
    pthread_cond_signal(&c->changed);
    pthread_mutex_unlock(&c->mutex);
}

struct catalog *catalog_start(const struct config *config, struct gb_error *error)
{
    struct catalog *c = calloc(1, sizeof *c);
    if (c) {
        c->config = config;
        c->tail = &c->head;
        pthread_mutex_init(&c->mutex, NULL);
        cond_init_monotonic(&c->changed);
        if (!pthread_create(&c->thread, NULL, catalog_main, c))
            return c;
    }
    error_set(error, GB_internal, "no thread for the catalog");
    free(c);
    return NULL;
}

void catalog_stop(struct catalog *c)
{
    if (!c)
        return;
    pthread_mutex_lock(&c->mutex);
    c->stop = true;
    pthread_cond_signal(&c->changed);
    pthread_mutex_unlock(&c->mutex);
    pthread_join(c->thread, NULL);
    while (c->head) {
        struct statement *next = c->head->next;
        free(c->head);
        c->head = next;
    }
    pthread_mutex_destroy(&c->mutex);
    pthread_cond_destroy(&c->changed);
    free(c);
}
