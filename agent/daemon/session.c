/* One connection from a plugin; see session.h. */
#include "agent/daemon/session.h"
#include "agent/daemon/check.h"
#include "agent/daemon/chosen.h"
#include "agent/daemon/committer.h"
#include "agent/daemon/daemon.h"
#include "agent/errand.h"
#include "agent/daemon/expiry.h"
#include "agent/daemon/holding.h"
#include "agent/daemon/mirrors.h"
#include "agent/daemon/peer.h"
#include "agent/daemon/pipeline.h"
#include "agent/daemon/proof.h"
#include "agent/daemon/trial.h"
#include "agent/mariadb/rows.h"
#include "agent/mariadb/kept.h"
#include "agent/repository/hold.h"
#include "agent/repository/runs.h"
#include "common/processors.h"
#include "common/clock.h"

#include <fcntl.h>
#include <inttypes.h>
#include <openssl/crypto.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define POLL_MS        100
#define COMMIT_POLL_MS 10  /* its end is waited for in this */
#define ALIVE_MS       500 /* sign of life: the protocol promises one a second */
#define ROW_EVERY_US   2000000
#define HELLO_WAIT_MS  5000

struct session {
    struct peer *peer;
    const struct config *config;
    struct catalog *catalog;
    struct catchup *catchup;
    const bool *stop;      /* atomic: the agent ends */
    pthread_mutex_t mutex; /* progress */
    /* of a backup */
    char cluster[WIRE_NAME_MAX];
    struct wire_hello hello;
    struct wire_start start;
    struct wire_redo redo;
    bool have_redo, finished; /* REDO, FINISH have come */
    struct chosen chosen;
    struct seal_key key;           /* of the backup, whichever repository seals with it */
    struct begin_request request;  /* in the first repository */
    struct repository *repository; /* the first */
    struct repository_backup *backup;
    struct mirrors mirrors; /* of the chosen ones */
    struct pipeline *pipeline;
    struct committer *committer; /* has taken over backup */
    uint8_t *ring;
    size_t ring_size;
    time_t started_at;
    struct wire_node_progress progress; /* under the mutex */
    pthread_t alive;
    bool alive_started;
    bool given_up;   /* the commit, while the repository may hang in it */
    bool over;       /* it failed, as the plugin and the catalog know already */
    bool alive_stop; /* atomic */
    struct wire_slot *slot;
};

static void free_slot(void *context, uint32_t slot)
{
    struct session *s = context;
    struct wire_free m = {.count = 1};
    m.slot[0] = slot;
    peer_send_free(s->peer, &m);
}

/* ---- start of a backup ---- */

static bool prepare_begin(struct session *s, struct gb_error *error)
{
    if (strcmp(s->start.type, "full"))
        return error_set(error, GB_not_supported,
                         "backups of type \"%s\" are not supported by this release", s->start.type);
    s->request = (struct begin_request){.writer = {.cluster = s->cluster,
                                                   .wsrep_uuid = s->start.cluster_uuid,
                                                   .state_dir = s->config->state_dir,
                                                   .writes = true},
                                        .id = s->start.id,
                                        .hold_until = hold_parse(s->start.hold),
                                        .key = &s->key};
    return hold_valid(s->start.hold, error) &&
           chosen_cluster(s->cluster, s->config, &s->hello, error) &&
           chosen_parse(&s->chosen, s->config, s->start.repositories, error) &&
           seal_key_make(&s->key, error);
}

static bool map_ring(struct session *s, const struct wire_ring *m, struct gb_error *error)
{
    int fd = peer_descriptor(s->peer);
    uint64_t size = (uint64_t)m->slot_size * ((uint64_t)m->page_slots + m->redo_slots);
    int seals = fd < 0 ? -1 : fcntl(fd, F_GET_SEALS);
    off_t real = fd < 0 ? -1 : lseek(fd, 0, SEEK_END);
    bool ok = seals >= 0 && (seals & F_SEAL_SHRINK) && (seals & F_SEAL_GROW) &&
              m->slot_size == RING_SLOT_SIZE && m->page_slots && m->redo_slots &&
              m->page_slots <= RING_SLOTS_MAX && m->redo_slots <= RING_SLOTS_MAX &&
              real == (off_t)size && !s->ring;
    if (ok) {
        void *map = mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0);
        ok = map != MAP_FAILED;
        if (ok) {
            s->ring = map;
            s->ring_size = size;
        }
    }
    if (fd >= 0)
        close(fd);
    if (!ok)
        return error_set(error, GB_protocol,
                         "the ring is not a sealed memory file of %u + %u slots", m->page_slots,
                         m->redo_slots);
    unsigned threads = s->config->threads ? s->config->threads : processors();
    struct pipeline_setup setup = {.repository = s->repository,
                                   .prefix = repository_backup_prefix(s->backup),
                                   .key = repository_backup_key(s->backup),
                                   .ring = s->ring,
                                   .mirrors = s->mirrors.mirror,
                                   .mirror_count = s->mirrors.count,
                                   .shape = *m,
                                   .redo_memory = s->config->redo_memory,
                                   .redo_spool = s->config->redo_spool,
                                   .redo_spool_size = s->config->redo_spool_size,
                                   .threads = threads,
                                   .free_slot = free_slot,
                                   .context = s};
    return (s->pipeline = pipeline_start(&setup, error)) != NULL;
}

/* ---- a repository that takes its time ---- */

struct beginning {
    struct session *session;
    struct gb_error error;
    const struct storage *first; /* atomic: of the first repository, open until begin_main() ends */
    bool first_has_begun;        /* atomic: further ones are waited for, each by its own patience */
    uint64_t operations, moved_us;
};

/* Those that must have the backup have begun; the others are waited for by nobody. */
static void begin_main(void *context)
{
    struct beginning *b = context;
    struct session *s = b->session;
    s->request.spec = s->chosen.spec[0];
    if (!mirrors_start(&s->mirrors, &s->request, s->config->stall_timeout_s * 1000, &b->error) ||
        !(s->repository = repository_open(s->request.spec, &b->error)))
        return;
    __atomic_store_n(&b->first, s->repository->storage, __ATOMIC_RELEASE);
    if (!begin_in(&s->request, s->repository, &s->backup, &b->error))
        return;
    __atomic_store_n(&b->first_has_begun, true, __ATOMIC_RELEASE);
    mirrors_await_begun(&s->mirrors, s->stop, &b->error);
}

static bool first_moves(struct beginning *b)
{
    const struct storage *first = __atomic_load_n(&b->first, __ATOMIC_ACQUIRE);
    uint64_t operations = first ? storage_operations(first) : 0, now = now_us();
    if (operations != b->operations || __atomic_load_n(&b->first_has_begun, __ATOMIC_ACQUIRE))
        b->moved_us = now;
    b->operations = operations;
    return now - b->moved_us < (uint64_t)b->session->config->stall_timeout_s * 1000000;
}

/* It may be long until the errand comes back: the plugin and the catalog don't wait for that. */
static void give_up_beginning(struct session *s, struct gb_error *error)
{
    error_set(error, GB_store_failed, "repository %s has not let a backup begin for %u s",
              s->chosen.spec[0]->name, s->config->stall_timeout_s);
    peer_send_failure(s->peer, error);
    peer_end(s->peer);
    daemon_log(s->start.id, "failed: %s", error->what);
    catalog_final(s->catalog, s->cluster, s->hello.node, &s->start, "failed", NULL, "[]", "", error,
                  s->started_at);
    s->over = true;
}

/* Where the repositories take longer than the plugin waits for an answer, READY is sent first
   (*told) and signs of life follow it. What the plugin sends meanwhile waits in the socket. When
   the first has done nothing for stall-timeout the backup is given up; nothing ends the wait for a
   disk that hangs. */
static bool begin(struct session *s, const struct wire_ready *ready, bool *told,
                  struct gb_error *error)
{
    struct beginning b = {.session = s, .moved_us = now_us()};
    struct wire_progress alive = {.repositories = "[]"};
    if (!prepare_begin(s, error))
        return false;
    struct errand *errand = errand_start(begin_main, &b);
    if (!errand)
        begin_main(&b);
    else if (!errand_wait(errand, ERRAND_ANSWER_MS))
        *told = peer_send_ready(s->peer, ready);
    while (errand && !errand_wait(errand, ALIVE_MS))
        if (first_moves(&b) && !s->over)
            peer_send_progress(s->peer, &alive);
        else if (!s->over)
            give_up_beginning(s, error);
    errand_end(errand);
    error_copy(error, &b.error);
    return !error->code;
}

/* ---- sign of life ---- */

/* What holds the workers up while slots wait for them: the store if they spend most of their time
 * in it, else the CPU. */
static uint8_t waits_for(const struct pipeline_figures *f, uint64_t store_us, uint64_t passed_us)
{
    return !f->queued ? 0 : store_us > passed_us * f->workers / 2 ? 2 : 1;
}

static void *alive_main(void *argument)
{
    struct session *s = argument;
    uint64_t last = 0, store_us = 0, at = now_us(), row_at = 0;
    struct pipeline_figures f;
    do {
        struct wire_progress m = {0};
        pipeline_figures(s->pipeline, &f);
        m.bytes_stored = f.stored;
        m.store_rate = (f.stored - last) * 1000 / ALIVE_MS;
        uint64_t now = now_us(), passed = now - at;
        m.bottleneck = waits_for(&f, f.store_us - store_us, passed);
        store_us = f.store_us;
        at = now;
        m.redo_full = f.redo_full;
        last = f.stored;
        mirrors_describe(&s->mirrors, "running", f.stored, NULL, m.repositories,
                         sizeof m.repositories);
        peer_send_progress(s->peer, &m);
        if (now - row_at >= ROW_EVERY_US) {
            row_at = now;
            pthread_mutex_lock(&s->mutex);
            struct wire_node_progress progress = s->progress;
            pthread_mutex_unlock(&s->mutex);
            catalog_running(s->catalog, s->cluster, s->hello.node, &s->start, &progress, f.stored,
                            s->started_at);
        }
        for (unsigned i = 0;
             i < ALIVE_MS / 50 && !__atomic_load_n(&s->alive_stop, __ATOMIC_ACQUIRE); i++)
            usleep(50000);
    } while (!__atomic_load_n(&s->alive_stop, __ATOMIC_ACQUIRE));
    if (s->repository->spec.compression.level == CODEC_LEVEL_ADAPTS)
        daemon_log(s->start.id, "compression zstd:auto: level %d at the end, %d at most", f.level,
                   f.level_highest);
    return NULL;
}

static void stop_alive(struct session *s)
{
    __atomic_store_n(&s->alive_stop, true, __ATOMIC_RELEASE);
    if (s->alive_started)
        pthread_join(s->alive, NULL);
    s->alive_started = false;
}

/* ---- the conversation of a backup ---- */

enum step { GO_ON, ENDED, BROKEN };

/* Whether the server's writers may be waiting for the copies of that stage. */
static bool writers_wait(const char *stage)
{
    return !strcmp(stage, "FLUSH") || !strcmp(stage, "BLOCK_DDL") || !strcmp(stage, "BLOCK_COMMIT");
}

/* Handles one message. ENDED: ABORT came (error holds it). BROKEN: error is to be told to the
 * plugin. */
static enum step handle(struct session *s, uint16_t type, uint32_t size, struct wire_facts *facts,
                        struct gb_error *error)
{
    const uint8_t *in = peer_payload(s->peer);
    union {
        struct wire_ring ring;
        struct wire_file file;
        struct wire_file_done done;
        struct wire_file_no number;
        struct wire_file_name name;
        struct wire_log log;
        struct wire_node_progress progress;
        struct wire_abort abort;
    } m;
    bool ok = false;
    bool needs_pipeline = type == WIRE_FILE || type == WIRE_SLOT || type == WIRE_FILE_DONE ||
                          type == WIRE_FILE_DROP || type == WIRE_FILE_NAME;
    if (needs_pipeline && !s->pipeline) {
        error_set(error, GB_protocol, "message %u before RING", type);
        return BROKEN;
    }
    bool changes = needs_pipeline || type == WIRE_RING || type == WIRE_REDO || type == WIRE_FINISH;
    if ((changes && s->finished) || (type == WIRE_REDO && s->have_redo)) {
        error_set(error, GB_protocol, "message %u after %s", type, s->finished ? "FINISH" : "REDO");
        return BROKEN;
    }
    switch (type) {
    case WIRE_RING:
        ok = wire_get_ring(in, size, &m.ring, error) && map_ring(s, &m.ring, error);
        if (ok && !(s->alive_started = !pthread_create(&s->alive, NULL, alive_main, s)))
            ok = error_set(error, GB_internal, "no thread for the backup");
        break;
    case WIRE_REDO:
        ok = s->have_redo = wire_get_redo(in, size, &s->redo, error);
        break;
    case WIRE_FILE:
        if (wire_get_file(in, size, &m.file, error)) {
            ok = index_add_file(pipeline_index_lock(s->pipeline), &m.file, error);
            pipeline_index_unlock(s->pipeline);
        }
        break;
    case WIRE_FILE_DONE:
        if (wire_get_file_done(in, size, &m.done, error)) {
            ok = index_file_done(pipeline_index_lock(s->pipeline), &m.done, error);
            pipeline_index_unlock(s->pipeline);
        }
        break;
    case WIRE_FILE_DROP:
        if (wire_get_file_drop(in, size, &m.number, error)) {
            ok = index_file_drop(pipeline_index_lock(s->pipeline), m.number.file_no, error);
            pipeline_index_unlock(s->pipeline);
        }
        break;
    case WIRE_FILE_NAME:
        if (wire_get_file_name(in, size, &m.name, error)) {
            ok = index_file_name(pipeline_index_lock(s->pipeline), m.name.file_no, m.name.path,
                                 error);
            pipeline_index_unlock(s->pipeline);
        }
        break;
    case WIRE_SLOT:
        ok = wire_get_slot(in, size, s->slot, error) && pipeline_slot(s->pipeline, s->slot, error);
        break;
    case WIRE_LOG:
        if ((ok = wire_get_log(in, size, &m.log, error))) {
            daemon_log(s->start.id, "%s", m.log.message);
            catalog_log(s->catalog, s->cluster, s->start.id, &m.log);
        }
        break;
    case WIRE_NODE_PROGRESS:
        if ((ok = wire_get_node_progress(in, size, &m.progress, error))) {
            if (s->pipeline)
                pipeline_hurry(s->pipeline, writers_wait(m.progress.stage));
            mirrors_hurry(&s->mirrors, writers_wait(m.progress.stage));
            pthread_mutex_lock(&s->mutex);
            s->progress = m.progress;
            pthread_mutex_unlock(&s->mutex);
        }
        break;
    case WIRE_FINISH:
        ok = s->finished = wire_get_finish(in, size, facts, error);
        break;
    case WIRE_RESYNCED:
        if ((ok = wire_get_resynced(in, size, facts, error)))
            catalog_resynced(s->catalog, s->cluster, s->start.id, facts);
        break;
    case WIRE_ABORT:
        if (!wire_get_abort(in, size, &m.abort, error))
            break;
        error_set(error, m.abort.cancelled ? GB_cancelled : error_from_number(m.abort.code), "%s",
                  m.abort.what);
        error_hint(error, "%s", m.abort.hint);
        return ENDED;
    default:
        error_set(error, GB_protocol, "message %u is not known", type);
    }
    return ok ? GO_ON : BROKEN;
}

/* ---- commit ---- */

static bool fill_manifest(struct session *s, const struct wire_facts *facts, struct manifest *m,
                          struct gb_error *error)
{
    if (!s->have_redo || !s->pipeline)
        return error_set(error, GB_protocol, "FINISH before RING and REDO");
    m->facts = *facts;
    m->checkpoint_lsn = s->redo.checkpoint_lsn;
    m->checkpoint_end_lsn = s->redo.end_lsn;
    m->end_lsn = strtoull(wire_fact(facts, "lsn_end"), NULL, 10);
    if (m->end_lsn <= m->checkpoint_end_lsn)
        return error_set(error, GB_protocol,
                         "the end of the redo, %" PRIu64 ", is before its checkpoint", m->end_lsn);
    m->redo_bytes = m->end_lsn - m->checkpoint_lsn;
    memcpy(m->redo_header, s->redo.header, sizeof m->redo_header);
    snprintf(m->id, sizeof m->id, "%s", s->start.id);
    snprintf(m->cluster, sizeof m->cluster, "%s", s->cluster);
    snprintf(m->type, sizeof m->type, "%s", s->start.type);
    snprintf(m->node, sizeof m->node, "%s", s->hello.node);
    snprintf(m->server_version, sizeof m->server_version, "%s", wire_fact(facts, "server_version"));
    snprintf(m->agent_version, sizeof m->agent_version, "%s", GB_VERSION);
    snprintf(m->comment, sizeof m->comment, "%s", s->start.comment);
    snprintf(m->user, sizeof m->user, "%s", s->start.user);
    m->started_at = s->started_at;
    return true;
}

static bool stalled(const struct session *s, struct gb_error *error)
{
    return error_set(error, GB_store_failed, "repository %s (%s) has taken nothing for %u s",
                     s->repository->spec.name, storage_describe(s->repository->storage),
                     s->config->stall_timeout_s);
}

/* One that need not have the backup is given up, and the plugin is told. */
static bool mirrors_well(struct session *s, struct gb_error *error)
{
    struct wire_warning warning;
    bool well;
    while ((well = mirrors_look(&s->mirrors, warning.text, error)) && warning.text[0]) {
        daemon_log(s->start.id, "%s", warning.text);
        peer_send_warning(s->peer, &warning);
    }
    return well;
}

/* Reads one message while the commit is under way. False: it ends the backup; *tell as in
 * converse(). */
static bool late_message(struct session *s, bool *tell, struct gb_error *error)
{
    uint16_t type;
    uint32_t size;
    struct wire_facts *late = calloc(1, sizeof *late);
    enum step step = BROKEN;
    if (!late)
        error_set(error, GB_internal, "no memory for a message");
    else if (!peer_read(s->peer, &type, &size, error))
        *tell = error->code == GB_protocol;
    else {
        step = handle(s, type, size, late, error);
        *tell = step != ENDED;
    }
    free(late);
    return step == GO_ON;
}

/* The repository commits in a thread of its own while this one looks after the plugin and the
   clock. An ABORT, the plugin's death and a repository that hangs end the backup as long as it is
   not committed. */
static bool commit(struct session *s, const struct wire_facts *facts, struct manifest *m,
                   bool *tell, struct gb_error *error)
{
    struct committer_setup setup = {
        .repository = s->repository, .pipeline = s->pipeline, .backup = s->backup, .manifest = m};
    setup.mirror_count = mirrors_required(&s->mirrors, setup.mirrors);
    if (!fill_manifest(s, facts, m, error))
        return false;
    mirrors_expect(&s->mirrors, s->catchup, s->cluster, s->start.id);
    if (!(s->committer = committer_start(&setup, error)))
        return false;
    s->backup = NULL;
    while (!committer_ended(s->committer)) {
        bool well = !peer_readable(s->peer, COMMIT_POLL_MS) || late_message(s, tell, error);
        well = well && mirrors_well(s, error);
        if (well && __atomic_load_n(s->stop, __ATOMIC_ACQUIRE))
            well = error_set(error, GB_agent_lost, "the agent was stopped");
        if (well && committer_idle_ms(s->committer) >= (uint64_t)s->config->stall_timeout_s * 1000)
            well = stalled(s, error);
        if (well)
            continue;
        s->given_up = committer_give_up(s->committer);
        if (!s->given_up)
            error_clear(error); /* too late: it is committed */
        return !s->given_up;
    }
    bool committed = committer_end(s->committer, error);
    s->committer = NULL;
    return committed;
}

/* The backup is committed: the repositories that need not have it get it as well, or are given up.
 */
static void finish_mirrors(struct session *s, const struct manifest *m, bool *tell)
{
    const struct object_info *segments;
    size_t count;
    struct index *index = pipeline_finished(s->pipeline, &segments, &count);
    struct gb_error ignored = {0}, ended = {0};
    bool talks = true;
    error_set(&ended, GB_agent_lost, "the backup was not waited for any longer");
    for (unsigned i = 0; i < s->mirrors.count; i++)
        if (!chosen_required(&s->chosen, i + 1))
            mirror_commit(s->mirrors.mirror[i], index, m, MIRROR_KEPT);
    for (unsigned i = 0; i < s->mirrors.count; i++)
        while (!mirror_look(s->mirrors.mirror[i], MIRROR_PUBLISHED, &ignored)) {
            if (peer_readable(s->peer, COMMIT_POLL_MS))
                talks = talks && late_message(s, tell, &ignored);
            if (!talks || __atomic_load_n(s->stop, __ATOMIC_ACQUIRE))
                mirror_give_up(s->mirrors.mirror[i], &ended);
        }
    mirrors_well(s, &ignored);
    mirrors_settle(&s->mirrors, s->catchup, s->cluster, s->start.id, true);
}

/* Reads the backup back from one repository, while this thread looks after the plugin: its ABORT,
   its end and the agent's end the reading, not the backup, which is there. *tell: as in converse().
   False: *error says what is wrong with it. */
static bool prove_one(struct session *s, struct repository *r, const struct manifest *m, bool *tell,
                      struct verified *record, struct gb_error *error)
{
    struct gb_error ignored = {0};
    struct proof *proof = proof_start(r, m, !strcmp(s->start.verify, "deep"),
                                      s->config->threads ? s->config->threads : processors());
    if (!proof)
        return error_set(error, GB_internal, "it is stored, and could not be read back: no memory");
    for (bool talks = true; !proof_wait(proof, COMMIT_POLL_MS);) {
        if (talks && peer_readable(s->peer, 0) && !late_message(s, tell, &ignored))
            talks = false;
        if (!talks || __atomic_load_n(s->stop, __ATOMIC_ACQUIRE))
            proof_stop(proof);
    }
    bool good = proof_end(proof, record, error);
    if (record->verified_at)
        daemon_log(s->start.id, "verified in repository %s: %s", r->spec.name,
                   verified_word(record));
    else if (good)
        daemon_log(s->start.id, "the verification was stopped");
    return good;
}

/* Reads the backup back if that was asked for, from all repositories that have it. *record: of the
 * first. */
static bool prove(struct session *s, const struct manifest *m, bool *tell, struct verified *record,
                  struct gb_error *error)
{
    memset(record, 0, sizeof *record);
    if (strcmp(s->start.verify, "deep") && strcmp(s->start.verify, "quick"))
        return true;
    for (unsigned i = 0; i <= s->mirrors.count; i++) {
        struct gb_error damage = {0};
        struct verified other = {0};
        struct mirror *mirror = i ? s->mirrors.mirror[i - 1] : NULL;
        if (mirror && mirror_look(mirror, MIRROR_PUBLISHED, &damage) <= 0)
            continue;
        if (mirror ? prove_one(s, mirror_repository(mirror), mirror_manifest(mirror), tell, &other,
                               &damage)
                   : prove_one(s, s->repository, m, tell, record, &damage))
            continue;
        mirrors_note_damage(&s->mirrors, i, &damage);
        if (!mirror)
            error_copy(error, &damage);
        else if (chosen_required(&s->chosen, i) && !error->code)
            error_set(error, damage.code, "repository %s: %s", mirror_spec(mirror)->name,
                      damage.what);
    }
    return !error->code;
}

/* Looks after what no message tells: a failure inside, a store that takes nothing, the agent's own
 * end. */
static bool still_well(struct session *s, struct gb_error *error)
{
    if (__atomic_load_n(s->stop, __ATOMIC_ACQUIRE))
        return error_set(error, GB_agent_lost, "the agent was stopped");
    if (!mirrors_well(s, error))
        return false;
    if (!s->pipeline)
        return true;
    struct pipeline_figures f;
    pipeline_figures(s->pipeline, &f);
    if (f.idle_us > (uint64_t)s->config->stall_timeout_s * 1000000)
        return stalled(s, error);
    return !pipeline_failed(s->pipeline, error);
}

/* Reads messages until FINISH (true) or the end of the backup (false, error set; *tell: the plugin
 * doesn't know). */
static bool converse(struct session *s, struct wire_facts *facts, bool *tell,
                     struct gb_error *error)
{
    *tell = true;
    while (!s->finished) {
        if (!still_well(s, error))
            return false;
        if (!peer_readable(s->peer, POLL_MS))
            continue;
        uint16_t type;
        uint32_t size;
        if (!peer_read(s->peer, &type, &size, error)) {
            *tell = error->code == GB_protocol;
            return false;
        }
        enum step step = handle(s, type, size, facts, error);
        if (step != GO_ON) {
            *tell = step == BROKEN;
            return false;
        }
    }
    return true;
}

/* After COMMITTED: the plugin may still tell how the resync went. */
static void read_resynced(struct session *s, struct wire_facts *facts)
{
    struct gb_error ignored = {0};
    uint16_t type;
    uint32_t size;
    while (!__atomic_load_n(s->stop, __ATOMIC_ACQUIRE)) {
        if (!peer_readable(s->peer, POLL_MS))
            continue;
        if (!peer_read(s->peer, &type, &size, &ignored) ||
            handle(s, type, size, facts, &ignored) != GO_ON)
            return;
    }
}

/* Where a mirror has the backup, what has expired there goes; a repository that hangs is waited
 * for. */
static void end_mirrors(struct session *s, bool committed)
{
    for (unsigned i = 0; i < s->mirrors.count; i++) {
        struct gb_error why = {0};
        bool kept = mirror_look(s->mirrors.mirror[i], MIRROR_PUBLISHED, &why) > 0;
        const struct repository_spec *spec = mirror_spec(s->mirrors.mirror[i]);
        if (why.code)
            peer_end(s->peer); /* the end, for the plugin: what follows may take as long as the
                                  repository hangs */
        mirror_free(s->mirrors.mirror[i]);
        if (committed && kept)
            expiry_run(spec, s->cluster, s->start.id, s->catalog, s->stop);
    }
}

/* How a backup went. */
struct course {
    struct gb_error error;
    struct manifest manifest;
    struct verified verified; /* of the first repository */
    struct wire_facts *facts;
    bool tell;      /* the plugin does not know of the error */
    bool told;      /* READY has been sent */
    bool stored;    /* it is in the first repository */
    bool committed; /* and right there, as far as that was asked for */
    bool failed_begun;
};

/* From START to the commit and the proof. */
static void take(struct session *s, struct course *c)
{
    struct wire_ready ready = {.repositories = "[]"};
    if (!begin(s, &ready, &c->told, &c->error))
        return;
    mirrors_describe(&s->mirrors, "running", 0, NULL, ready.repositories,
                     sizeof ready.repositories);
    daemon_log(s->start.id, "started on %s by %s, repository %s%s", s->hello.node, s->start.user,
               s->repository->spec.name, s->mirrors.count ? " and others" : "");
    if (!c->told && !peer_send_ready(s->peer, &ready))
        error_set(&c->error, GB_agent_lost,
                  "the plugin did not wait for the answer of the repository");
    else if (converse(s, c->facts, &c->tell, &c->error))
        c->stored = commit(s, c->facts, &c->manifest, &c->tell, &c->error);
    if (!c->stored)
        return;
    finish_mirrors(s, &c->manifest, &c->tell);
    c->committed = prove(s, &c->manifest, &c->tell, &c->verified, &c->error);
}

static void tell_success(struct session *s, struct course *c)
{
    const struct manifest *m = &c->manifest;
    struct wire_committed message = {.bytes_stored = m->stored_bytes};
    mirrors_describe(&s->mirrors, "succeeded", m->stored_bytes, NULL, message.repositories,
                     sizeof message.repositories);
    daemon_log(s->start.id, "succeeded: %" PRIu64 " bytes of data, %" PRIu64 " stored",
               m->data_bytes, m->stored_bytes);
    catalog_final(s->catalog, s->cluster, s->hello.node, &s->start, "succeeded", m,
                  message.repositories, s->mirrors.warnings, NULL, s->started_at);
    if (s->start.hold[0]) {
        char sql[KEPT_SQL_MAX];
        catalog_statement(s->catalog,
                          kept_hold_sql(sql, s->cluster, s->start.id, hold_parse(s->start.hold)));
    }
    if (c->verified.verified_at)
        catalog_verified(s->catalog, s->cluster, s->start.id, &c->verified);
    if (peer_send_committed(s->peer, &message))
        read_resynced(s, c->facts);
}

static void tell_failure(struct session *s, struct course *c)
{
    char repositories[WIRE_JSON_MAX] = "[]";
    bool begun = s->backup || s->pipeline || c->told;
    const char *state = c->error.code == GB_cancelled ? "cancelled" : "failed";
    if (c->tell && !s->over)
        peer_send_failure(s->peer, &c->error);
    if (s->given_up)
        peer_end(s->peer); /* the end, for the plugin: what follows may take as long as the
                              repository hangs */
    c->failed_begun = begun && !c->stored && s->repository && c->error.code != GB_cancelled;
    if (s->over)
        return;
    daemon_log(s->start.id, "%s: %s", state, c->error.what);
    if (!begun)
        return;
    /* Of a commit that was given up the manifest is its thread's still. */
    mirrors_describe(&s->mirrors, c->stored ? "succeeded" : state,
                     c->stored ? c->manifest.stored_bytes : 0, c->error.what, repositories,
                     sizeof repositories);
    catalog_final(s->catalog, s->cluster, s->hello.node, &s->start, state, NULL, repositories,
                  s->mirrors.warnings, &c->error, s->started_at);
    if (c->verified.verified_at)
        catalog_verified(s->catalog, s->cluster, s->start.id, &c->verified);
}

/* Ends what still runs, notes how it went where later runs ask, removes what has expired. */
static void settle(struct session *s, struct course *c)
{
    struct gb_error ignored = {0}, never = {0};
    error_set(&never, GB_cancelled, "the backup was not begun");
    if (!c->stored)
        mirrors_give_up(&s->mirrors, c->failed_begun ? &c->error : &never);
    committer_end(s->committer, &ignored);
    pipeline_stop(s->pipeline);
    if (s->backup)
        repository_abort(s->backup);
    if (c->failed_begun)
        runs_note_failed(s->repository, s->cluster, s->start.id, &c->error);
    if (c->committed) {
        runs_note_good(s->repository, s->cluster);
        expiry_run(&s->repository->spec, s->cluster, s->start.id, s->catalog, s->stop);
    }
    end_mirrors(s, c->committed);
    if (!c->stored)
        mirrors_settle(&s->mirrors, s->catchup, s->cluster, s->start.id, false);
    pipeline_abort(s->pipeline);
    repository_close(s->repository);
}

static void run_backup(struct session *s)
{
    struct course c = {.facts = calloc(1, sizeof *c.facts), .tell = true};
    s->slot = malloc(sizeof *s->slot);
    s->started_at = time(NULL);
    if (c.facts && s->slot)
        take(s, &c);
    else
        error_set(&c.error, GB_internal, "no memory for a backup");
    stop_alive(s);
    if (c.committed)
        tell_success(s, &c);
    else
        tell_failure(s, &c);
    settle(s, &c);
    manifest_free(&c.manifest);
    OPENSSL_cleanse(&s->key, sizeof s->key);
    if (s->ring)
        munmap(s->ring, s->ring_size);
    free(s->slot);
    free(c.facts);
}

static void converse_first(struct session *s)
{
    const uint8_t *in = peer_payload(s->peer);
    struct gb_error error = {0};
    uint16_t type;
    uint32_t size;
    if (!peer_readable(s->peer, HELLO_WAIT_MS) || !peer_read(s->peer, &type, &size, &error))
        return;
    if (type != WIRE_HELLO || !wire_get_hello(in, size, &s->hello, &error)) {
        error_set(&error, GB_protocol, "the first message was not HELLO");
        peer_send_failure(s->peer, &error);
        return;
    }
    if (s->hello.version_max < WIRE_VERSION_MIN || s->hello.version_min > WIRE_VERSION_MAX) {
        error_set(&error, GB_protocol, "the plugin speaks protocol %u to %u, this agent %u to %u",
                  s->hello.version_min, s->hello.version_max, WIRE_VERSION_MIN, WIRE_VERSION_MAX);
        peer_send_failure(s->peer, &error);
        return;
    }
    struct wire_welcome welcome = {.version = WIRE_VERSION_MAX};
    snprintf(welcome.agent_version, sizeof welcome.agent_version, "%s", GB_VERSION);
    struct wire_check check;
    struct wire_hold hold;
    if (!peer_send_welcome(s->peer, &welcome) || !peer_readable(s->peer, HELLO_WAIT_MS) ||
        !peer_read(s->peer, &type, &size, &error))
        return;
    if (type == WIRE_CHECK && wire_get_check(in, size, &check, &error))
        check_answer(s->peer, s->config, s->catchup, &s->hello, &check);
    else if (type == WIRE_HOLD && wire_get_hold(in, size, &hold, &error))
        holding_answer(s->peer, s->config, s->catalog, &s->hello, &hold);
    else if (type == WIRE_START && wire_get_start(in, size, &s->start, &error)) {
        if (!strcmp(s->start.type, "dry-run"))
            trial_answer(s->peer, s->config, &s->hello, &s->start);
        else
            run_backup(s);
    } else {
        error_set(&error, GB_protocol, "message %u where START, CHECK or HOLD was expected", type);
        peer_send_failure(s->peer, &error);
    }
}

void session_run(int fd, const struct config *config, struct catalog *catalog,
                 struct catchup *catchup, const bool *stop)
{
    struct peer *peer = peer_new(fd);
    struct session *s = calloc(1, sizeof *s);
    if (peer && s) {
        s->peer = peer;
        s->config = config;
        s->catalog = catalog;
        s->catchup = catchup;
        s->stop = stop;
        pthread_mutex_init(&s->mutex, NULL);
        mirrors_init(&s->mirrors, &s->chosen);
        converse_first(s);
        mirrors_destroy(&s->mirrors);
        pthread_mutex_destroy(&s->mutex);
    }
    peer_free(peer);
    free(s);
}
