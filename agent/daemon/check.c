/* What the agent answers to CHECK; see check.h. */
#include "agent/daemon/check.h"
#include "agent/daemon/chosen.h"
#include "agent/daemon/place.h"
#include "agent/daemon/trial.h"
#include "common/clock.h"
#include "common/memory.h"
#include "common/processors.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define KEY_TEST_DAYS   90
#define SEGMENTS_BESIDE 3u /* open ones beside two for each thread: daemon/pipeline */
#define BACKUP_NEED                                                                                \
    (128ull << 20) /* bytes beside redo-memory: workers, messages, the index of a large backup */

/* Whether any repository is on a network file system. An errand: that of a hung one can't be asked.
 */
struct places {
    const struct config *config;
    bool remote;
    struct errand *errand;
};

static void look_at_places(void *context)
{
    struct places *p = context;
    for (unsigned i = 0; i < p->config->repository_count && !p->remote; i++)
        p->remote = repository_is_remote(&p->config->repositories[i]) ||
                    place_is_remote(p->config->repositories[i].path);
}

/* What is on the server's disk or on its host is lost with them. */
static void check_off_host(const struct places *p, uint64_t until_us, struct wire_checked *m)
{
    if (p->errand && errand_wait(p->errand, ms_until(until_us)) && !p->remote)
        wire_add_check(
            m, "off_host", "WARN",
            "no repository is in a bucket or on a network file system: what destroys "
            "this host may destroy all backups",
            "add a repository in a bucket or on another host; no matter if its path is a "
            "network volume");
}

/* A key that nobody has tried is found missing on the day of the restore. */
static void check_key(const struct trial *t, const char *name, struct wire_checked *m)
{
    char check[64 + 24], detail[400];
    int64_t days = ((int64_t)time(NULL) - t->key.tested_at) / 86400;
    snprintf(check, sizeof check, "key of %s", name);
    if (!t->key.tested_at)
        snprintf(detail, sizeof detail,
                 "backups are encrypted for %s, and nobody has tried whether a key opens them",
                 t->recipients);
    else
        snprintf(detail, sizeof detail, "backups are encrypted for %s; %s was tried %d days ago",
                 t->recipients, t->key.key, (int)days);
    bool ours = strstr(t->recipients, t->key.key) ||
                (!strncmp(t->key.key, "passphrase:", 11) && strstr(t->recipients, "a passphrase"));
    bool good = t->key.tested_at && ours && days >= 0 && days <= KEY_TEST_DAYS;
    wire_add_check(
        m, check, good ? "OK" : "WARN", detail,
        good ? "" : "where the key is kept: galera-backup key test --key FILE --repository ...");
}

/* What compression makes of the data is not known. */
static void check_room(const struct trial *t, const char *repository, uint64_t bytes,
                       struct wire_checked *m)
{
    char check[96], detail[256];
    snprintf(check, sizeof check, "room in %s", repository);
    snprintf(detail, sizeof detail,
             "%" PRIu64 " MB are free, and the server has %" PRIu64
             " MB of data: it fits only if compression makes it smaller",
             t->available >> 20, bytes >> 20);
    wire_add_check(
        m, check, "WARN", detail,
        "what the last one took: galera-backup list; make room, or let backups expire sooner");
}

/* asked: the server's data directory and its size. t: has begun; to be ended when the rows have
 * been sent. */
static void check_repository(const struct repository_spec *spec, const struct wire_check *asked,
                             uint64_t until_us, struct trial *t, struct wire_checked *m)
{
    struct gb_error late = {0};
    char check[64 + 16], detail[256];
    snprintf(check, sizeof check, "repository %.48s", spec->name);
    bool in_time = trial_wait(t, until_us, &late);
    if (in_time && t->available == STORAGE_FREE_UNKNOWN)
        snprintf(detail, sizeof detail, "%s://%.150s is writable", spec->type,
                 repository_bucket(spec));
    else if (in_time)
        snprintf(detail, sizeof detail, "%.150s is writable, %" PRIu64 " MB free", spec->path,
                 t->available >> 20);
    if (!in_time)
        wire_add_check(m, check, "WARN", late.what, late.hint);
    else if (t->error.code)
        wire_add_check(m, check, "FAIL", t->error.what, t->error.hint);
    else
        wire_add_check(m, check, "OK", detail, "");
    if (in_time && !t->error.code && t->available < asked->bytes_estimate)
        check_room(t, check, asked->bytes_estimate, m);
    if (in_time && !t->error.code && t->recipients[0])
        check_key(t, check, m);
    if (in_time && t->on_device) {
        snprintf(
            detail, sizeof detail,
            "%.150s is on the data directory's file system: what destroys the one destroys both",
            spec->path);
        wire_add_check(m, check, "WARN", detail,
                       "put the repository on another disk, or better on another host");
    }
}

static void check_retention(const struct repository_spec *spec, struct wire_checked *m)
{
    char detail[256];
    if (retention_any(&spec->keep) || spec->append_only)
        return;
    snprintf(
        detail, sizeof detail,
        "repository %.64s has no retention: nothing ever expires, and it grows until it is full",
        spec->name);
    wire_add_check(m, "retention", "WARN", detail,
                   "set keep-last, keep-within, keep-daily, ... (docs/repositories.md), or "
                   "append-only = yes where something else removes");
}

static void check_owed(const struct config *config, struct catchup *catchup, struct wire_checked *m)
{
    for (unsigned i = 0; i < config->repository_count; i++) {
        const char *name = config->repositories[i].name;
        char oldest[WIRE_ID_MAX], detail[256], remedy[256];
        unsigned count = catchup_owed(catchup, name, oldest);
        if (!count)
            continue;
        snprintf(detail, sizeof detail,
                 "repository %.48s lacks %u %s that another has, the oldest is %s", name, count,
                 count == 1 ? "backup" : "backups", oldest);
        snprintf(
            remedy, sizeof remedy,
            "copied by itself once it can be reached; at once: galera-backup copy %s --repository "
            "ONE-THAT-HAS-IT --to %.48s",
            oldest, name);
        wire_add_check(m, "catch_up", "WARN", detail, remedy);
    }
}

/* Of a backup to all repositories: in a bucket a part for each segment that is open and for each
   that is being sent; and what waits for those beside the first. */
static uint64_t repositories_need(const struct config *config)
{
    unsigned threads = config->threads ? config->threads : processors();
    uint64_t parts = 2 * (uint64_t)threads + SEGMENTS_BESIDE + BUCKET_UPLOAD_THREADS, need = 0;
    for (unsigned i = 0; i < config->repository_count; i++) {
        const struct repository_spec *r = &config->repositories[i];
        uint64_t size = r->remote.part_size ? r->remote.part_size : BUCKET_PART_SIZE;
        need += (repository_is_remote(r) ? parts * size : 0) + (i ? MIRROR_QUEUE_MAX : 0);
    }
    return need;
}

/* available: bytes that the agent may still take, 0: not known. */
static void check_memory(const struct config *config, uint64_t available, struct wire_checked *m)
{
    uint64_t need = config->redo_memory + BACKUP_NEED + repositories_need(config);
    char detail[256];
    snprintf(detail, sizeof detail,
             "the agent can take %" PRIu64
             " MB more before it reaches a memory limit; a backup may need %" PRIu64 " MB",
             available >> 20, need >> 20);
    if (available && available < need)
        wire_add_check(m, "agent_memory", "WARN", detail,
                       "raise the limit of the agent's control group, or lower redo-memory in its "
                       "configuration");
    else if (available)
        wire_add_check(m, "agent_memory", "OK", detail, "");
}

void check_answer(struct peer *peer, const struct config *config, struct catchup *catchup,
                  const struct wire_hello *hello, const struct wire_check *check)
{
    struct wire_checked *m = calloc(1, sizeof *m);
    struct gb_error error = {0};
    struct chosen chosen;
    char cluster[WIRE_NAME_MAX];
    struct trial trial[CHOSEN_MAX] = {{.errand = NULL}};
    struct places places = {.config = config};
    if (!m)
        return;
    wire_add_check(m, "agent", "OK", "galera-backup " GB_VERSION, "");
    if (!chosen_parse(&chosen, config, check->repositories, &error) ||
        !chosen_cluster(cluster, config, hello, &error)) {
        wire_add_check(m, "configuration", "FAIL", error.what, error.hint);
        chosen.count = 0;
    }
    struct identity_writer writer = {
        .cluster = cluster, .wsrep_uuid = check->cluster_uuid, .state_dir = config->state_dir};
    uint64_t until = now_us() + ERRAND_ANSWER_MS * 1000;
    for (unsigned i = 0; i < chosen.count; i++)
        trial_begin(&trial[i], chosen.spec[i], &writer, check->datadir_device);
    if (chosen.count)
        places.errand = errand_start(look_at_places, &places);
    for (unsigned i = 0; i < chosen.count; i++)
        check_repository(chosen.spec[i], check, until, &trial[i], m);
    check_off_host(&places, until, m);
    for (unsigned i = 0; i < chosen.count; i++)
        check_retention(chosen.spec[i], m);
    check_owed(config, catchup, m);
    check_memory(config, memory_available(""), m);
    peer_send_checked(peer, m);
    for (unsigned i = 0; i < CHOSEN_MAX; i++)
        trial_end(&trial[i]);
    errand_end(places.errand);
    free(m);
}
