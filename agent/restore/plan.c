/* What a restore would do; see restore.h. */
#include "agent/restore/clear.h"
#include "agent/restore/frames.h"
#include "agent/restore/journal.h"
#include "agent/restore/relocate.h"
#include "agent/restore/target.h"
#include "common/processors.h"
#include "common/redo_writer.h"
#include "common/clock.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#define DEVICES_MAX   64u
#define SPACE_SLACK   (16u << 20)
#define THREADS_MAX   64u
#define SAMPLE_FRAMES 24u
#define WRITE_RATE                                                                                 \
    300e6 /* bytes a second: what a restore is assumed to write where it is not measured */

/* ---- the place ---- */

static bool is_below(const char *path, const char *directory)
{
    size_t n = strlen(directory);
    return !strncmp(path, directory, n) && (!path[n] || path[n] == '/' || !strcmp(directory, "/"));
}

/* Nobody clears the repository that he restores from. */
static bool check_repository(const struct repository *repository, const char *datadir,
                             struct gb_error *error)
{
    char data[PATH_MAX], store[PATH_MAX];
    if (!realpath(datadir, data) || !realpath(storage_describe(repository->storage), store))
        return true;
    if (is_below(store, data) || is_below(data, store))
        return error_set(error, GB_bad_value,
                         "the repository %s and the data directory %s lie in one another", store,
                         data);
    return true;
}

static bool refuse_unfinished(const char *datadir, const struct restore_plan *plan,
                              struct gb_error *error)
{
    bool same = !strcmp(plan->previous.backup, plan->marker.backup);
    error_set(
        error, GB_target_unfinished, "%s holds an unfinished restore of %s, begun at %s%s", datadir,
        plan->previous.backup[0] ? plan->previous.backup : "a backup that its marker does not name",
        plan->previous.stamp[0] ? plan->previous.stamp : "some time",
        same ? ", with other places of files" : "");
    error_hint(error, "%s, or --restart to remove what it left and begin anew",
               same ? "give the same --map options to go on" : "restore that backup to go on");
    return false;
}

/* An earlier restore was interrupted here. */
static bool look_at_unfinished(const struct restore_request *request, const struct index *index,
                               struct restore_plan *plan, struct gb_error *error)
{
    bool same = marker_same(&plan->marker, &plan->previous);
    if (!target_check_idle(request->datadir, error))
        return false;
    if (!same && !request->restart)
        return refuse_unfinished(request->datadir, plan, error);
    if (plan->previous.state == MARKER_CLEARING_KEEP ||
        plan->previous.state == MARKER_CLEARING_DELETE)
        plan->start = RESTORE_ANEW; /* its clearing is brought to an end */
    else if (request->restart || plan->previous.state == MARKER_CHANGING)
        plan->start = RESTORE_ANEW;
    else if (plan->previous.state == MARKER_ENDING)
        plan->start = RESTORE_FINISH;
    else
        plan->start = RESTORE_GO_ON;
    if (plan->start == RESTORE_GO_ON)
        journal_read(request->datadir, plan->written, index->frame_count);
    else if (plan->start == RESTORE_ANEW)
        plan->old_bytes = clear_bytes(request->datadir);
    return true;
}

/* A server would read any further file of an old redo log beside the restored one. */
static bool no_other_log(const char *log, struct gb_error *error)
{
    char directory[WIRE_PATH_MAX];
    snprintf(directory, sizeof directory, "%s", log);
    DIR *d = opendir(dirname(directory));
    bool ok = true;
    for (struct dirent *e; ok && d && (e = readdir(d));)
        if (!strncmp(e->d_name, "ib_logfile", 10) && strcmp(e->d_name, "ib_logfile0") &&
            !strstr(e->d_name, ".before-") && !strstr(e->d_name, RESTORE_SUFFIX)) {
            ok = error_set(error, GB_target_not_empty,
                           "%s/%s is of another redo log, and a server would read it", directory,
                           e->d_name);
            error_hint(error, "move it away");
        }
    if (d)
        closedir(d);
    return ok;
}

/* A file outside the data directory that is there and is not an unfinished restore's. *in_the_way:
 * it may go, as --replace says. */
static bool look_at_outside(const struct restore_request *request, const struct index_file *f,
                            const struct restore_plan *plan, bool *in_the_way,
                            struct gb_error *error)
{
    const char *path = f->path;
    if (f->kind == INDEX_KIND_LOG && !no_other_log(path, error))
        return false;
    if (access(path, F_OK))
        return true;
    if (plan->start != RESTORE_FRESH && marker_lists(&plan->previous, path)) {
        if (plan->previous.state != MARKER_WRITING || f->kind == INDEX_KIND_LINK ||
            target_is_guarded(path))
            return true;
        error_set(error, GB_target_not_empty,
                  "%s is there, and the interrupted restore has not made it", path);
        error_hint(error, "has a file system been mounted since? Move that file away");
        return false;
    }
    if (target_locked(path))
        return error_set(error, GB_target_in_use,
                         "a server has %s open, which is part of the backup", path);
    *in_the_way = true;
    return request->replace != RESTORE_REFUSE ||
           error_set(error, GB_target_not_empty,
                     "%s, which is part of the backup, is outside the data directory and exists",
                     path);
}

static bool look_outside(const struct restore_request *request, const struct index *index,
                         struct restore_plan *plan, struct gb_error *error)
{
    for (size_t i = 0; i < index->file_count; i++) {
        if (index->files[i].path[0] != '/')
            continue;
        plan->outside++;
        if (!look_at_outside(request, &index->files[i], plan, &plan->replaces, error))
            return false;
    }
    return true;
}

bool restore_look_outside(const struct restore_request *request, const struct index *index,
                          const struct restore_plan *plan, struct gb_error *error)
{
    for (size_t i = 0; i < index->file_count; i++) {
        const char *path = index->files[i].path;
        bool in_the_way = false;
        if (path[0] == '/' && !look_at_outside(request, &index->files[i], plan, &in_the_way, error))
            return false;
        if (in_the_way && !plan->replaces)
            return error_set(error, GB_target_not_empty, "%s has come since the plan was made",
                             path);
    }
    return true;
}

static bool look_at_target(const struct restore_request *request, const struct index *index,
                           struct restore_plan *plan, struct gb_error *error)
{
    bool unfinished;
    struct gb_error content = {0};
    if (!marker_read(request->datadir, &plan->previous, &unfinished, error))
        return false;
    if (unfinished) {
        if (!look_at_unfinished(request, index, plan, error))
            return false;
    } else if (!target_check(request->datadir, &content)) {
        if (content.code != GB_target_not_empty || !request->replace) {
            error_copy(error, &content);
            return false;
        }
        plan->replaces = true;
        plan->old_bytes = clear_bytes(request->datadir);
    } else
        plan->empty = true;
    if (!look_outside(request, index, plan, error) ||
        ((plan->replaces || plan->start == RESTORE_ANEW) &&
         !clear_possible(request->datadir, error)))
        return false;
    if (plan->replaces) {
        struct stat st;
        plan->marker.state =
            request->replace == RESTORE_KEEP ? MARKER_CLEARING_KEEP : MARKER_CLEARING_DELETE;
        if (request->replace == RESTORE_KEEP && !stat(request->datadir, &st))
            return clear_aside(request->datadir, plan->marker.stamp, plan->marker.aside,
                               sizeof plan->marker.aside, error);
    }
    return true;
}

/* ---- space ---- */

struct device {
    dev_t number;
    char path[WIRE_PATH_MAX]; /* a file there, for the message */
    uint64_t needed, available;
};

struct devices {
    struct device list[DEVICES_MAX];
    unsigned count;
};

/* The device of a path that need not be there; NULL on error. */
static struct device *device_of(struct devices *d, const char *path, struct gb_error *error)
{
    char parent[WIRE_PATH_MAX];
    struct stat st;
    struct statvfs v;
    snprintf(parent, sizeof parent, "%s", path);
    const char *at = parent;
    while (stat(at, &st) || statvfs(at, &v)) {
        if ((errno != ENOENT && errno != ENOTDIR) || !strcmp(at, "/") || !strcmp(at, ".")) {
            error_set_errno(error, GB_target_failed, errno, "the directory %s", at);
            return NULL;
        }
        at = dirname(parent);
    }
    for (unsigned i = 0; i < d->count; i++)
        if (d->list[i].number == st.st_dev)
            return &d->list[i];
    if (d->count == DEVICES_MAX) {
        error_set(error, GB_not_supported, "files on more than %u file systems", DEVICES_MAX);
        return NULL;
    }
    struct device *new = &d->list[d->count++];
    new->number = st.st_dev;
    new->available = (uint64_t)v.f_bavail *v.f_frsize;
    snprintf(new->path, sizeof new->path, "%s", path);
    return new;
}

/* What the frames hold, not the sizes: holes stay holes. */
static bool measure(const struct restore_request *request, const struct index *index,
                    const struct manifest *m, struct restore_plan *plan, struct gb_error *error)
{
    struct devices *d = calloc(1, sizeof *d);
    struct device **of = calloc(index->file_count + 1, sizeof *of), *home = NULL;
    bool ok = (d && of) || error_set(error, GB_internal, "no memory");
    ok = ok && (home = device_of(d, request->datadir, error));
    for (size_t i = 0; ok && i < index->file_count; i++)
        ok = (of[i] = index->files[i].path[0] == '/' ? device_of(d, index->files[i].path, error)
                                                     : home) != NULL;
    for (size_t i = 0; ok && i < index->file_count; i++)
        if (index->files[i].kind == INDEX_KIND_LOG)
            of[i]->needed += index->files[i].size;
    uint64_t redo = 0;
    plan->bytes = manifest_is_save(m) ? 0 : redo_writer_file_size(m->redo_bytes);
    for (size_t i = 0; ok && i < index->frame_count; i++) {
        const struct index_frame *f = &index->frames[i];
        plan->stored += plan->written[i] ? 0 : f->frame.stored_size + FRAME_HEADER_SIZE;
        for (uint32_t j = 0; j < f->extents; j++) {
            const struct index_extent *e = &index->extents[f->first_extent + j];
            const struct index_file *file = index_find(index, e->file_no);
            redo +=
                e->file_no == WIRE_FILE_REDO ? e->length : 0; /* without a gap, says index_read() */
            plan->bytes += e->file_no == WIRE_FILE_REDO ? 0 : e->length;
            plan->done += plan->written[i] ? e->length : 0;
            if (file && file->kind != INDEX_KIND_LOG && !plan->written[i])
                of[file - index->files]->needed += e->length;
        }
    }
    if (ok && (plan->start == RESTORE_ANEW ? plan->previous.state != MARKER_CLEARING_KEEP
                                           : plan->replaces && request->replace == RESTORE_DELETE))
        home->available += plan->old_bytes;
    plan->available = ok ? home->available : 0;
    for (unsigned i = 0; ok && plan->start != RESTORE_FINISH && i < d->count; i++)
        if (d->list[i].available < d->list[i].needed + SPACE_SLACK)
            ok = error_set(error, GB_target_no_space,
                           "%s needs %" PRIu64 " MB and its file system has %" PRIu64 " MB free",
                           d->list[i].path, (d->list[i].needed + SPACE_SLACK) >> 20,
                           d->list[i].available >> 20);
    if (ok && redo < m->redo_bytes)
        ok =
            error_set(error, GB_corrupt_backup, "%s: the redo ends at byte %" PRIu64 " of %" PRIu64,
                      m->id, redo, m->redo_bytes);
    free(of);
    free(d);
    return ok;
}

/* ---- time ---- */

/* Reads some frames from all over the backup: their time is that of the rest, and a repository that
 * can't be read is seen early. */
static bool estimate(struct repository *repository, const struct manifest *m,
                     const struct restore_request *request, const struct index *index,
                     struct restore_plan *plan, struct gb_error *error)
{
    struct frames *frames = frames_open(repository, m, index, request->elsewhere, error);
    double began = now_s(), bytes = 0,
           left = plan->bytes > plan->done ? (double)(plan->bytes - plan->done) : 0;
    bool ok = frames != NULL;
    for (size_t i = 0; ok && i < SAMPLE_FRAMES && i < index->frame_count; i++) {
        size_t at =
            index->frame_count <= SAMPLE_FRAMES ? i : i * index->frame_count / SAMPLE_FRAMES;
        ok = frames_read(frames, at, error) != NULL;
        bytes += index->frames[at].frame.plain_size;
    }
    frames_close(frames);
    unsigned cores = plan->threads < processors() ? plan->threads : processors();
    double reading = bytes > 0 ? (now_s() - began) / bytes * left / cores : 0;
    double writing = left / WRITE_RATE,
           limited = request->limit_rate ? (double)plan->stored / (double)request->limit_rate : 0;
    double longest = reading > writing ? reading : writing;
    plan->seconds = (uint64_t)(longest > limited ? longest : limited) + 1;
    return ok;
}

/* An object that is lost, cut or lengthened is known before anything is written. */
static bool check_objects(struct repository *repository, const struct manifest *m,
                          const char *prefix, struct elsewhere *elsewhere, struct gb_error *error)
{
    char name[1200];
    for (size_t i = 0; i < m->object_count; i++) {
        struct gb_error why = {0};
        uint64_t size = 0;
        snprintf(name, sizeof name, "%s/%s", prefix, m->objects[i].name);
        if (storage_size(repository->storage, name, &size, &why) && size != m->objects[i].size)
            error_set(&why, GB_corrupt_backup, "%s has %" PRIu64 " bytes instead of %" PRIu64, name,
                      size, m->objects[i].size);
        if (why.code && !elsewhere_object(elsewhere, i, &why, error))
            return false;
    }
    return true;
}

static bool read_index(struct repository *repository, const struct manifest *m, const char *prefix,
                       struct elsewhere *elsewhere, struct index *index, struct gb_error *error)
{
    struct gb_error why = {0};
    return index_read(index, repository->storage, prefix, manifest_key(m), &m->objects[0], &why) ||
           elsewhere_index(elsewhere, index, &why, error);
}

/* From here on the redo log is a file like the others. */
static bool add_log(struct index *index, const struct manifest *m, struct gb_error *error)
{
    char path[WIRE_PATH_MAX];
    const char *directory = wire_fact(&m->facts, "innodb_log_group_home_dir");
    snprintf(path, sizeof path, "%s%sib_logfile0", directory, directory[0] ? "/" : "");
    if (manifest_is_save(m))
        return true;
    return index_path_clean(path)
               ? index_add_log(index, path, redo_writer_file_size(m->redo_bytes), error)
               : error_set(error, GB_corrupt_backup, "%s: innodb_log_group_home_dir=%s is no path",
                           m->id, directory);
}

bool restore_plan(struct repository *repository, const struct manifest *m,
                  const struct restore_request *request, struct index *index,
                  struct restore_plan *plan, struct gb_error *error)
{
    *plan = (struct restore_plan){.lock = -1};
    char prefix[1024];
    repository_prefix(prefix, sizeof prefix, m->cluster, m->id);
    if (!target_owner(request, &plan->uid, &plan->gid, error) ||
        !target_lock(request->datadir, &plan->lock, error) ||
        !target_check_idle(request->datadir, error) ||
        !check_repository(repository, request->datadir, error) ||
        !check_objects(repository, m, prefix, request->elsewhere, error) ||
        !read_index(repository, m, prefix, request->elsewhere, index, error) ||
        !index_check_kinds(index, manifest_is_save(m), error))
        return false;
    plan->files = index->file_count;
    if (!add_log(index, m, error))
        return false;
    plan->file_count = index->file_count;
    plan->threads = request->threads ? request->threads : processors();
    if (plan->threads > THREADS_MAX)
        plan->threads = THREADS_MAX;
    plan->original = calloc(index->file_count + 1, sizeof *plan->original);
    plan->written = calloc(index->frame_count + 1, 1);
    if (!plan->original || !plan->written)
        return error_set(error, GB_internal, "no memory");
    return relocate_files(repository, m, request, index, plan->original, error) &&
           marker_make(&plan->marker, m, index, error) &&
           look_at_target(request, index, plan, error) && measure(request, index, m, plan, error) &&
           estimate(repository, m, request, index, plan, error);
}

void restore_plan_free(struct restore_plan *plan)
{
    for (size_t i = 0; plan->original && i < plan->file_count; i++)
        free(plan->original[i]);
    free(plan->original);
    free(plan->written);
    if (plan->lock >= 0)
        close(plan->lock);
    marker_free(&plan->marker);
    marker_free(&plan->previous);
}
