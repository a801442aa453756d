/*
  A lock in an object store: an object that says whose it is, written anew by its owner every
  minute.

  A store has no flock(). Whoever wants the lock looks at the object first; one that was written
  less than BUCKET_LOCK_LEASE_S ago, by the store's own clock (Date and Last-Modified of one
  answer), is held. Else it is written, conditionally where the store can, and read back. Two who
  take the same lock at the same moment in a store without conditions may both believe that they
  have it. For what locks are used for this is harmless, because of two rules:

  - The lock of a backup is the first object of its label, and the label has a random part: only
  those who collect what is left of a label that nobody writes any more can want it at the same
  time, and removing twice is removing.
  - Who commits an object looks afterwards whether the lock is still his, and if not, removes it
  again (bucket_write.c). Who collects writes the lock first and looks then, once more, whether
  there is a backup.json. Whichever comes first, one of the two sees the other.

  A lock that a process could not remove because the store was gone is known to that process as its
  own and left over.
*/
#include "agent/storage/bucket_store.h"
#include "agent/hex.h"
#include "common/clock.h"

#include <inttypes.h>
#include <limits.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define RENEW_S   60
#define ID_MAX    33u
#define BODY_MAX  512u
#define BODY_HEAD "galera-backup lock\n"

struct bucket_lock {
    struct storage_lock base;
    struct bucket *store;
    struct bucket_lock *next;        /* of the store: under its mutex */
    struct bucket_lock *next_living; /* of the process: under living_mutex */
    char prefix[BUCKET_KEY_MAX];     /* the directory, a name; "" the root */
    char key[BUCKET_KEY_MAX];
    char id[ID_MAX], body[BODY_MAX];
    pthread_t keeper;
    pthread_mutex_t mutex; /* stop */
    pthread_cond_t changed;
    bool stop;
};

/* All locks that this process holds, in any store. */
static pthread_mutex_t living_mutex = PTHREAD_MUTEX_INITIALIZER;
static struct bucket_lock *living;
static char process_id[ID_MAX];

static void make_id(char out[ID_MAX])
{
    unsigned char bytes[(ID_MAX - 1) / 2];
    if (RAND_bytes(bytes, sizeof bytes) != 1)
        snprintf((char *)bytes, sizeof bytes, "%" PRIx64,
                 (uint64_t)time(NULL) ^ (uint64_t)getpid());
    hex_write(bytes, sizeof bytes, out);
}

static void enter_living(struct bucket_lock *l)
{
    char host[64] = "";
    gethostname(host, sizeof host - 1);
    pthread_mutex_lock(&living_mutex);
    if (!process_id[0])
        make_id(process_id);
    make_id(l->id);
    snprintf(l->body, sizeof l->body, BODY_HEAD "owner=%s, process %d\nprocess=%s\nlock=%s\n", host,
             (int)getpid(), process_id, l->id);
    l->next_living = living;
    living = l;
    pthread_mutex_unlock(&living_mutex);
}

static void leave_living(struct bucket_lock *l)
{
    pthread_mutex_lock(&living_mutex);
    for (struct bucket_lock **at = &living; *at; at = &(*at)->next_living)
        if (*at == l) {
            *at = l->next_living;
            break;
        }
    pthread_mutex_unlock(&living_mutex);
}

/* The value of a line of a lock's body; "" if it has none. */
static const char *body_value(const char *body, const char *name, char *out, size_t size)
{
    size_t n = strlen(name);
    *out = '\0';
    for (const char *line = body; line && *line;
         line = strchr(line, '\n'), line = line ? line + 1 : NULL)
        if (!strncmp(line, name, n) && line[n] == '=')
            snprintf(out, size, "%.*s", (int)strcspn(line + n + 1, "\n"), line + n + 1);
    return out;
}

/* A lock of this process that none of its threads holds: its removal has failed. */
static bool is_left_over(const char *body)
{
    char process[ID_MAX], id[ID_MAX];
    body_value(body, "process", process, sizeof process);
    body_value(body, "lock", id, sizeof id);
    pthread_mutex_lock(&living_mutex);
    bool mine = process_id[0] && !strcmp(process, process_id);
    for (struct bucket_lock *l = living; mine && l; l = l->next_living)
        mine = strcmp(l->id, id) != 0;
    pthread_mutex_unlock(&living_mutex);
    return mine;
}

enum seen { SEEN_NONE, SEEN_OURS, SEEN_OTHER, SEEN_ERROR };

/* What stands there now. body and age_s (-1: not known) may be NULL. */
static enum seen look(struct bucket_lock *l, char *body, size_t size, int64_t *age_s,
                      unsigned tries, struct gb_error *error)
{
    struct bucket_request q = {.method = "GET", .key = l->key, .attempts = tries};
    struct bucket_answer a;
    struct gb_error problem = {0};
    enum seen seen = SEEN_ERROR;
    if (bucket_perform(l->store, &q, &a, &problem)) {
        const char *text = a.http.text ? a.http.text : "";
        time_t written = bucket_header_time(&a.http, "Last-Modified"),
               now = bucket_header_time(&a.http, "Date");
        seen = strcmp(text, l->body) ? SEEN_OTHER : SEEN_OURS;
        if (body)
            snprintf(body, size, "%s", text);
        if (age_s)
            *age_s = written && now ? (int64_t)(now - written) : -1;
    } else if (problem.code == GB_not_found) {
        seen = SEEN_NONE;
    } else {
        error_copy(error, &problem);
    }
    bucket_answer_free(&a);
    return seen;
}

static void *keeper_main(void *argument)
{
    struct bucket_lock *l = argument;
    pthread_mutex_lock(&l->mutex);
    while (!l->stop) {
        struct timespec until = deadline_in_ms(RENEW_S * 1000);
        int failed = 0;
        while (!l->stop && !failed)
            failed = pthread_cond_timedwait(&l->changed, &l->mutex, &until);
        if (l->stop)
            break;
        pthread_mutex_unlock(&l->mutex);
        struct gb_error ignored = {0}; /* the next minute, or the next commit, sees it again */
        if (look(l, NULL, 0, NULL, 0, &ignored) == SEEN_OURS)
            bucket_put(l->store, l->key, l->body, strlen(l->body), 0, &ignored);
        pthread_mutex_lock(&l->mutex);
    }
    pthread_mutex_unlock(&l->mutex);
    return NULL;
}

static bool is_busy(const struct bucket_lock *l, const char *body, int64_t age_s,
                    struct gb_error *error)
{
    char owner[128], age[64] = "";
    body_value(body, "owner", owner, sizeof owner);
    if (age_s >= 0)
        snprintf(age, sizeof age, ", written %" PRId64 " s ago", age_s);
    return error_set(error, GB_repository_busy,
                     "%s://%s/%s is locked by another process (%s%s); it is nobody's %d s after it "
                     "was written last",
                     l->store->dialect->scheme, l->store->name, l->key,
                     owner[0] ? owner : "not known", age, BUCKET_LOCK_LEASE_S);
}

static bool acquire(struct bucket_lock *l, struct gb_error *error)
{
    char body[BODY_MAX] = "";
    int64_t age_s = -1;
    bool exists = false;
    enum seen seen = look(l, body, sizeof body, &age_s, 0, error);
    if (seen == SEEN_ERROR)
        return false;
    if (seen == SEEN_OTHER && age_s < BUCKET_LOCK_LEASE_S && !is_left_over(body))
        return is_busy(l, body, age_s, error);
    bool put = seen == SEEN_NONE ? bucket_put_new(l->store, l->key, l->body, strlen(l->body), false,
                                                  &exists, error)
                                 : bucket_put(l->store, l->key, l->body, strlen(l->body), 0, error);
    if (exists)
        error_clear(error);
    if (!put && !exists)
        return false;
    seen = look(l, body, sizeof body, &age_s, 0, error);
    if (seen == SEEN_OURS)
        return true;
    return seen == SEEN_ERROR ? false : is_busy(l, body, age_s, error);
}

static bool start_keeper(struct bucket_lock *l, struct gb_error *error)
{
    cond_init_monotonic(&l->changed);
    pthread_mutex_init(&l->mutex, NULL);
    return !pthread_create(&l->keeper, NULL, keeper_main, l) ||
           error_set(error, GB_internal, "no thread for a lock");
}

/* What has been written is ours to remove. */
static void give_back(struct bucket_lock *l)
{
    struct gb_error ignored = {0};
    if (look(l, NULL, 0, NULL, BUCKET_CLEANING_TRIES, &ignored) == SEEN_OURS)
        bucket_delete(l->store, l->key, BUCKET_CLEANING_TRIES, &ignored);
}

struct storage_lock *bucket_lock(struct storage *storage, const char *name, struct gb_error *error)
{
    struct bucket *s = (struct bucket *)storage;
    struct bucket_lock *l = calloc(1, sizeof *l);
    if (!l) {
        error_set(error, GB_internal, "no memory");
        return NULL;
    }
    const char *slash = strrchr(name, '/');
    l->base.driver = s->base.driver;
    l->store = s;
    snprintf(l->prefix, sizeof l->prefix, "%.*s", slash ? (int)(slash - name) : 0, name);
    if (!bucket_key(s, name, l->key, error)) {
        free(l);
        return NULL;
    }
    enter_living(l);
    bool ok = acquire(l, error);
    if (ok && !(ok = start_keeper(l, error)))
        give_back(l);
    if (ok) {
        pthread_mutex_lock(&s->mutex);
        l->next = s->locks;
        s->locks = l;
        pthread_mutex_unlock(&s->mutex);
        return &l->base;
    }
    leave_living(l);
    free(l);
    return NULL;
}

void bucket_unlock(struct storage_lock *lock)
{
    struct bucket_lock *l = (struct bucket_lock *)lock;
    pthread_mutex_lock(&l->mutex);
    l->stop = true;
    pthread_cond_broadcast(&l->changed);
    pthread_mutex_unlock(&l->mutex);
    pthread_join(l->keeper, NULL);
    pthread_mutex_lock(&l->store->mutex);
    for (struct bucket_lock **at = &l->store->locks; *at; at = &(*at)->next)
        if (*at == l) {
            *at = l->next;
            break;
        }
    pthread_mutex_unlock(&l->store->mutex);
    give_back(l);
    leave_living(l);
    pthread_cond_destroy(&l->changed);
    pthread_mutex_destroy(&l->mutex);
    free(l);
}

/* Locks of the root guard nothing. */
static struct bucket_lock *find(struct bucket *s, const char *name, char behind)
{
    pthread_mutex_lock(&s->mutex);
    struct bucket_lock *l = s->locks;
    for (; l; l = l->next) {
        size_t n = strlen(l->prefix);
        if (n && !strncmp(name, l->prefix, n) && name[n] == behind)
            break;
    }
    pthread_mutex_unlock(&s->mutex);
    return l;
}

struct bucket_lock *bucket_lock_above(struct bucket *s, const char *name)
{
    return find(s, name, '/');
}

struct bucket_lock *bucket_lock_on(struct bucket *s, const char *prefix)
{
    return find(s, prefix, '\0');
}

const char *bucket_lock_key(const struct bucket_lock *l)
{
    return l->key;
}

bool bucket_lock_check(struct bucket_lock *l, unsigned tries, bool *gone, struct gb_error *error)
{
    enum seen seen = look(l, NULL, 0, NULL, tries, error);
    if (gone)
        *gone = seen == SEEN_NONE;
    if (seen == SEEN_NONE || seen == SEEN_OTHER)
        error_set(error, GB_store_failed,
                  "%s://%s/%s is not the lock any more that this backup holds: another process "
                  "removed it",
                  l->store->dialect->scheme, l->store->name, l->key);
    return seen == SEEN_OURS;
}

bool bucket_lock_look(struct storage *storage, const char *name, struct storage_lock_state *state,
                      struct gb_error *error)
{
    struct bucket *s = (struct bucket *)storage;
    char key[BUCKET_KEY_MAX];
    struct bucket_request q = {.method = "GET", .key = key};
    struct bucket_answer a;
    struct gb_error problem = {0};
    if (!bucket_key(s, name, key, error))
        return false;
    if (bucket_perform(s, &q, &a, &problem)) {
        time_t now = bucket_header_time(&a.http, "Date");
        state->there = true;
        state->since = bucket_header_time(&a.http, "Last-Modified");
        state->held = !state->since || !now || now - state->since < BUCKET_LOCK_LEASE_S;
        body_value(a.http.text ? a.http.text : "", "owner", state->owner, sizeof state->owner);
    }
    bucket_answer_free(&a);
    if (problem.code && problem.code != GB_not_found)
        error_copy(error, &problem);
    return !problem.code || problem.code == GB_not_found;
}
