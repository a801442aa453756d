/* What is done with a restored directory once its files are complete; see finish.h. */
#include "agent/restore/finish.h"
#include "agent/restore/clone.h"
#include "agent/restore/memory.h"
#include "common/memory.h"
#include "agent/restore/server_program.h"
#include "agent/restore/target.h"
#include "common/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define RECOVERY_STARTS 3u
#define TRIAL_SUFFIX    ".galera-backup-trial"

static void path_in(char *out, size_t size, const char *datadir, const char *name)
{
    snprintf(out, size, "%s/%s", datadir, name);
}

/* ---- plan ---- */

/* An interrupted run had only its guard left. What it did is done; what it was not asked for can't
   be added. */
static bool plan_rest(struct finish_plan *p, const struct index *index,
                      const struct restore_request *request, const struct marker *previous,
                      struct gb_error *error)
{
    char log[WIRE_PATH_MAX], held[sizeof log + sizeof RESTORE_SUFFIX];
    restore_log_path(request, index, log, sizeof log);
    snprintf(held, sizeof held, "%s" RESTORE_SUFFIX, log);
    p->done_before = previous->recovered;
    if ((p->in_place && !p->done_before) || (p->on_clone && access(held, F_OK)) ||
        strcmp(p->history.token, previous->token) || !p->gtid[0] != !previous->replica) {
        error_set(error, GB_target_unfinished,
                  "an interrupted restore into %s had all but ended, with other options for what "
                  "follows the files",
                  request->datadir);
        error_hint(error, "bring it to its end with the same options, or give --restart");
        return false;
    }
    p->in_place = false;
    return true;
}

/* Before hours are spent on a restore whose tables the private server could not open. */
static bool check_keys(const struct finish_plan *p, const struct manifest *m,
                       struct gb_error *error)
{
    const char *count = wire_fact(&m->facts, "encrypted_tablespaces");
    if (!strtoull(count, NULL, 10) || strstr(p->settings, "key_management") ||
        strstr(p->settings, "key-management"))
        return true;
    error_set(error, GB_no_server,
              "%s has %s encrypted tablespaces, and no configuration file of this host gives %s a "
              "key plugin (%s --print-defaults)",
              m->id, count, p->program, p->program);
    error_hint(error,
               "configure the plugin and its keys here as on %s; without --recover, --as replica "
               "and a new history the restore needs none",
               m->node);
    return false;
}

bool finish_plan(struct finish_plan *p, const struct finish_request *finish,
                 struct repository *repository, const struct manifest *m, const struct index *index,
                 const struct restore_request *request, struct restore_plan *restore,
                 struct gb_error *error)
{
    struct estimate estimate;
    const struct marker *previous = &restore->previous;
    bool same = !strcmp(previous->backup, m->id) && !strcmp(previous->nonce, m->nonce);
    memset(p, 0, sizeof *p);
    if (manifest_is_save(m))
        return true;
    if (finish->history && !request->galera)
        return error_set(error, GB_bad_value, "--history is for --as galera");
    if (request->galera && !history_choose(&p->history, finish->history, request->safe_to_bootstrap,
                                           same ? previous->token : "", m, error))
        return false;
    if (finish->replica && !replica_position(m, p->gtid, error))
        return false;
    p->workers = (unsigned)strtoul(wire_fact(&m->facts, "parallel_workers"), NULL, 10);
    p->in_place = finish->recover || finish->replica || p->history.new;
    p->on_clone = finish->verify_boot && !p->in_place;
    if (restore->start == RESTORE_FINISH && !plan_rest(p, index, request, previous, error))
        return false;
    snprintf(restore->marker.token, sizeof restore->marker.token, "%s", p->history.token);
    restore->marker.replica = p->gtid[0];
    bool found =
        server_program_find(p->program, sizeof p->program, p->version, sizeof p->version, error);
    bool fits = found && (p->in_place || p->on_clone || p->workers) &&
                server_program_fits(p->program, p->version, m->server_version, error) &&
                server_program_key_settings(p->program, p->settings, sizeof p->settings, error) &&
                check_keys(p, m, error);
    if (!fits && (p->in_place || p->on_clone))
        return false;
    error_clear(error);
    if (fits && p->workers && restore->start != RESTORE_FINISH) {
        p->in_place = true;
        p->on_clone = false;
    }
    for (size_t i = 0; p->on_clone && i < index->file_count; i++)
        if (index->files[i].path[0] == '/')
            return error_set(error, GB_no_clone,
                             "%s, outside the data directory, can't be tried on a throw-away copy",
                             index->files[i].path);
    if (p->on_clone && !clone_possible(request->datadir, error))
        return false;
    if (!estimate_make(&estimate, repository, m, index, request->elsewhere, request->datadir,
                       error))
        return false;
    p->available = memory_available("");
    p->pool = memory_pool_within(m->redo_bytes, p->available);
    p->recover_s = estimate_seconds(&estimate, p->pool);
    p->boot_pool = found ? server_program_configured_pool(p->program) : 0;
    p->boot_pool_known = p->boot_pool != 0;
    if (!p->boot_pool_known)
        p->boot_pool = MEMORY_POOL_MIN;
    p->boot_s = estimate_seconds(&estimate, p->boot_pool);
    return true;
}

/* ---- run ---- */

/* The log goes to where only the private server looks for it, or back. */
static bool move_log(const char *from, const char *to, struct gb_error *error)
{
    return !rename(from, to) ||
           error_set_errno(error, GB_target_failed, errno, "%s can't be moved to %s", from, to);
}

/* Where recovery found the end of the redo must be where the backup ends. It says nothing where
 * there is no redo to replay. */
static bool check_end(struct private_server *server, const struct manifest *m,
                      struct gb_error *error)
{
    static const char words[] = "End of log at LSN=";
    char said[512];
    private_server_said(server, words, said, sizeof said);
    if (!said[0] || strtoull(said + strlen(words), NULL, 10) == m->end_lsn)
        return true;
    return error_set(error, GB_position_differs,
                     "recovery ended at LSN %s, the backup ends at %" PRIu64, said + strlen(words),
                     m->end_lsn);
}

static bool said(struct private_server *server, const char *words)
{
    char line[512];
    return private_server_said(server, words, line, sizeof line)[0];
}

/* Transactions of a parallel replica that were prepared keep the server from starting until it has
   been told to roll them back; 11.8 ends when it has, and starts the next time. NULL: an error. */
static struct private_server *recover(struct private_server_spec *spec, bool rolls_back,
                                      const struct manifest *m, struct gb_error *error)
{
    for (unsigned starts = 1;; starts++) {
        struct private_server *server = private_server_start(spec, error);
        bool ok = server && private_server_wait_ready(server, error);
        bool again = server && !ok && rolls_back && starts < RECOVERY_STARTS &&
                     error->code != GB_cancelled &&
                     (spec->roll_back ? said(server, "restart without --tc-heuristic-recover")
                                      : said(server, "prepared transactions! "));
        if (again)
            error_clear(error);
        if ((ok || again) && starts == 1) /* the next find what the first has written */
            ok = check_end(server, m, error) && ok;
        if (ok)
            return server;
        private_server_free(server);
        if (!again || error->code)
            return NULL;
        spec->roll_back = !spec->roll_back;
    }
}

/* A server in layout's directory: recovery, then what is asked for. */
static bool serve(struct private_server_spec *spec, const struct finish_plan *p,
                  const struct finish_request *finish, struct finish_result *r,
                  const struct manifest *m, struct gb_error *error)
{
    double began = now_s();
    struct private_server *server =
        recover(spec, p->in_place, m, error); /* of a copy it would say nothing of the directory */
    r->recover_s = now_s() - began;
    bool ok = server && (!p->gtid[0] || replica_seed(server, p->gtid, error)) &&
              (!p->history.new || history_forget_view(server, error)) &&
              (!finish->verify_boot || tables_check(server, &r->tables, error)) &&
              private_server_stop(server, error);
    private_server_free(server);
    return ok;
}

/* The position that a server itself finds in the directory must be the one that grastate.dat says.
 */
static bool ask_server(const struct private_server_spec *spec, const char *position,
                       struct gb_error *error)
{
    static const char words[] = "WSREP: Recovered position: ";
    struct private_server_spec recover = *spec;
    char said[512];
    recover.wsrep_recover = true;
    recover.line = NULL;
    recover.buffer_pool = MEMORY_POOL_MIN;
    struct private_server *server = private_server_start(&recover, error);
    bool ok = server && private_server_wait_end(server, error);
    if (ok) {
        private_server_said(server, words, said, sizeof said);
        const char *found = said[0] ? said + strlen(words) : "none";
        size_t length = strlen(position);
        if (strncmp(found, position, length) || (found[length] && found[length] != ','))
            ok = error_set(error, GB_position_differs, "mariadbd --wsrep-recover finds %s, not %s",
                           found, position);
    }
    private_server_free(server);
    return ok;
}

/* Position and history of a recovered directory. resumed: an earlier run may have begun to write
 * the new uuid. */
static bool settle_position(const struct private_server_spec *spec, const struct finish_plan *p,
                            struct finish_result *r, const struct manifest *m,
                            const struct restore_request *request, struct gb_error *error)
{
    if (!manifest_position(m)[0])
        return true;
    if (!history_read(spec->layout, r->position, error))
        return false;
    if (strcmp(r->position, manifest_position(m)))
        return error_set(error, GB_position_differs,
                         "after recovery the data stand at %s, the manifest says %s",
                         r->position[0] ? r->position : "no position", manifest_position(m));
    if (!request->galera || !p->history.new)
        return true;
    snprintf(r->position, sizeof r->position, "%s", p->history.position);
    return history_write(spec->layout, r->position, error) &&
           target_grastate(request->datadir, r->position, request->safe_to_bootstrap, error) &&
           ask_server(spec, r->position, error);
}

static bool sync_tree(const char *datadir, struct gb_error *error)
{
    int fd = open(datadir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool ok = fd >= 0 && !syncfs(fd);
    if (!ok)
        error_set_errno(error, GB_target_failed, errno, "%s can't be synced to disk", datadir);
    if (fd >= 0)
        close(fd);
    return ok;
}

/* The redo log's path in a directory of that layout. */
static void find_log(const struct layout *layout, const struct index *index, char *out, size_t size)
{
    restore_log_path(&(struct restore_request){.datadir = layout->datadir}, index, out, size);
}

static bool in_place(struct private_server_spec *spec, const struct finish_plan *p,
                     const struct finish_request *finish, struct finish_result *r,
                     const struct manifest *m, const struct index *index,
                     const struct restore_request *request, struct restore_plan *restore,
                     struct gb_error *error)
{
    const char *datadir = request->datadir;
    char log[WIRE_PATH_MAX], log_home[WIRE_PATH_MAX + sizeof RECOVERY_DIR],
        held[sizeof log + sizeof RESTORE_SUFFIX], used[sizeof log_home + 16];
    find_log(spec->layout, index, log, sizeof log);
    snprintf(held, sizeof held, "%s" RESTORE_SUFFIX, log);
    snprintf(log_home, sizeof log_home, "%.*s" RECOVERY_DIR, (int)(strrchr(log, '/') + 1 - log),
             log);
    path_in(used, sizeof used, log_home, "ib_logfile0");
    spec->log_home = log_home;
    if (mkdir(log_home, 0700) || (spec->uid != (uid_t)-1 && chown(log_home, spec->uid, spec->gid)))
        return error_set_errno(error, GB_target_failed, errno, "the directory %s can't be made",
                               log_home);
    if (!move_log(held, used, error) || !serve(spec, p, finish, r, m, error) ||
        !settle_position(spec, p, r, m, request, error) ||
        !target_chown(datadir, spec->uid, spec->gid, error) || !sync_tree(datadir, error) ||
        !move_log(used, held, error))
        return false;
    if (rmdir(log_home))
        return error_set_errno(error, GB_target_failed, errno, "%s can't be removed", log_home);
    r->recovered = true;
    restore->marker.state = MARKER_ENDING;
    restore->marker.recovered = true;
    return target_sync_directory(datadir, error) &&
           marker_write(datadir, &restore->marker, error) && target_end(datadir, log, error);
}

/* The same in a copy that shares the blocks of the directory; the directory stays as it is. */
static bool on_clone(struct private_server_spec *spec, const struct finish_plan *p,
                     const struct finish_request *finish, struct finish_result *r,
                     const struct manifest *m, const struct index *index,
                     const struct restore_request *request, struct gb_error *error)
{
    char trial[WIRE_PATH_MAX], log[WIRE_PATH_MAX], from[sizeof log + sizeof RESTORE_SUFFIX],
        to[WIRE_PATH_MAX];
    struct layout layout = {.files = NULL};
    struct restore_request of_trial = *request;
    struct gb_error removal = {0};
    snprintf(trial, sizeof trial, "%s" TRIAL_SUFFIX, spec->layout->datadir);
    if (!access(trial, F_OK) && !clone_remove(trial, error))
        return false;
    of_trial.datadir = trial;
    bool ok = clone_make(spec->layout->datadir, trial, error) &&
              layout_make(&layout, m, index, &of_trial, error);
    if (ok) {
        find_log(&layout, index, log, sizeof log);
        snprintf(from, sizeof from, "%s" RESTORE_SUFFIX, log);
        path_in(to, sizeof to, trial, "ib_logfile0");
        spec->layout = &layout;
        ok = (!rename(from, to) ||
              error_set_errno(error, GB_target_failed, errno, "%s can't be renamed", from)) &&
             serve(spec, p, finish, r, m, error) && settle_position(spec, p, r, m, request, error);
    }
    layout_free(&layout);
    if (!clone_remove(trial, &removal))
        error_copy(error, &removal);
    restore_log_path(request, index, log, sizeof log);
    return ok && !error->code && target_end(request->datadir, log, error);
}

bool finish_run(const struct finish_plan *p, const struct finish_request *finish,
                struct finish_result *r, const struct manifest *m, const struct index *index,
                const struct restore_request *request, struct restore_plan *restore,
                struct gb_error *error)
{
    struct layout layout;
    char log[WIRE_PATH_MAX];
    memset(r, 0, sizeof *r);
    snprintf(r->position, sizeof r->position, "%s",
             p->history.new ? p->history.position : manifest_position(m));
    r->recovered = p->done_before;
    if (!p->in_place && !p->on_clone)
        return true;
    if (!layout_make(&layout, m, index, request, error))
        return false;
    path_in(log, sizeof log, layout.datadir, RECOVERY_LOG);
    struct private_server_spec spec = {.program = p->program,
                                       .layout = &layout,
                                       .log_path = log,
                                       .settings = p->settings,
                                       .buffer_pool = p->pool,
                                       .uid = restore->uid,
                                       .gid = restore->gid,
                                       .roll_back = p->workers,
                                       .line = finish->line,
                                       .context = finish->context};
    bool ok = p->in_place ? in_place(&spec, p, finish, r, m, index, request, restore, error)
                          : on_clone(&spec, p, finish, r, m, index, request, error);
    r->verified = ok && finish->verify_boot;
    layout_free(&layout);
    return ok;
}
