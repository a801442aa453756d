/* Whether a repository can take a backup now; see trial.h. */
#include "agent/daemon/trial.h"
#include "agent/daemon/chosen.h"
#include "agent/daemon/place.h"
#include "common/clock.h"

#include <stdio.h>
#include <unistd.h>

#define PROBE_NAME    ".galera-backup-probe"
#define PROBE_WAIT_US 2000000u
#define PROBE_POLL_US 50000u

/* Another one's probe in a bucket, there at this moment or left by one who has died, shows the same
   as ours would. In a directory it is that of a living one: if it stays, it hangs. */
static void probe(const struct repository *r, struct gb_error *error)
{
    bool left = repository_is_remote(&r->spec), busy;
    uint64_t until = left ? 0 : now_us() + PROBE_WAIT_US;
    struct gb_error problem;
    struct storage_lock *lock;
    do {
        error_clear(&problem);
        lock = storage_lock(r->storage, PROBE_NAME, &problem);
        busy = !lock && problem.code == GB_repository_busy;
    } while (busy && now_us() < until && !usleep(PROBE_POLL_US));
    storage_unlock(lock);
    if (!lock && !(busy && left))
        error_copy(error, &problem);
}

static void trial_main(void *context)
{
    struct trial *t = context;
    struct repository *r = repository_open(&t->spec, &t->error);
    t->on_device = r && place_on_device(t->spec.path, t->device);
    struct identity_writer writer = {
        .cluster = t->cluster, .wsrep_uuid = t->cluster_uuid, .state_dir = t->state_dir};
    if (r && identity_admit(r, &writer, &t->error) &&
        repository_check_keys(&t->spec, t->recipients, sizeof t->recipients, &t->error) &&
        storage_check_space(r->storage, 0, &t->available, &t->error))
        probe(r, &t->error);
    if (r && t->recipients[0] && !t->error.code)
        keytest_read(r, t->cluster, &t->key);
    repository_close(r);
}

void trial_begin(struct trial *t, const struct repository_spec *spec,
                 const struct identity_writer *writer, uint64_t device)
{
    *t = (struct trial){.spec = *spec, .state_dir = writer->state_dir, .device = device};
    snprintf(t->cluster, sizeof t->cluster, "%s", writer->cluster);
    snprintf(t->cluster_uuid, sizeof t->cluster_uuid, "%s", writer->wsrep_uuid);
    t->spec.remote.attempts = 1; /* who asks wants to know how it is now */
    if (!(t->errand = errand_start(trial_main, t)))
        trial_main(t);
}

bool trial_wait(struct trial *t, uint64_t until_us, struct gb_error *late)
{
    if (!t->errand || errand_wait(t->errand, ms_until(until_us)))
        return true;
    return error_set(late, GB_store_unreachable,
                     "repository %s has not answered within %u ms; a backup waits longer",
                     t->spec.name, ERRAND_ANSWER_MS);
}

void trial_end(struct trial *t)
{
    errand_end(t->errand);
    t->errand = NULL;
}

void trial_answer(struct peer *peer, const struct config *config, const struct wire_hello *hello,
                  const struct wire_start *start)
{
    struct gb_error error = {0};
    struct wire_ready ready = {.repositories = "[]"};
    struct chosen chosen;
    char cluster[WIRE_NAME_MAX];
    struct trial trial[CHOSEN_MAX] = {{.errand = NULL}};
    struct identity_writer writer = {
        .cluster = cluster, .wsrep_uuid = start->cluster_uuid, .state_dir = config->state_dir};
    if (!chosen_cluster(cluster, config, hello, &error) ||
        !chosen_parse(&chosen, config, start->repositories, &error))
        chosen.count = 0;
    uint64_t until = now_us() + ERRAND_ANSWER_MS * 1000;
    for (unsigned i = 0; i < chosen.count; i++)
        if (chosen_required(&chosen, i))
            trial_begin(&trial[i], chosen.spec[i], &writer, 0);
    for (unsigned i = 0; i < chosen.count && !error.code; i++)
        if (chosen_required(&chosen, i) && trial_wait(&trial[i], until, &error))
            error_copy(&error, &trial[i].error);
    if (error.code)
        peer_send_failure(peer, &error);
    else
        peer_send_ready(peer, &ready);
    for (unsigned i = 0; i < CHOSEN_MAX; i++)
        trial_end(&trial[i]);
}
