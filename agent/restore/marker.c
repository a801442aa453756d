/* The mark of an unfinished restore; see marker.h. */
#include "agent/restore/marker.h"
#include "agent/restore/target.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static const char *const states[] = {"moving old content aside", "removing old content", "writing",
                                     "ending", "changing"};

bool marker_make(struct marker *m, const struct manifest *manifest, const struct index *index,
                 struct gb_error *error)
{
    memset(m, 0, sizeof *m);
    snprintf(m->backup, sizeof m->backup, "%s", manifest->id);
    snprintf(m->nonce, sizeof m->nonce, "%s", manifest->nonce);
    m->state = MARKER_WRITING;
    time_t now = time(NULL);
    struct tm tm;
    strftime(m->stamp, sizeof m->stamp, "%Y%m%dT%H%M%SZ", gmtime_r(&now, &tm));
    m->outside = calloc(index->file_count + 1, sizeof *m->outside);
    bool ok = m->outside != NULL;
    for (size_t i = 0; ok && i < index->file_count; i++)
        if (index->files[i].path[0] == '/')
            ok = (m->outside[m->outside_count++] = strdup(index->files[i].path)) != NULL;
    return ok || error_set(error, GB_internal, "no memory");
}

void marker_free(struct marker *m)
{
    for (size_t i = 0; m->outside && i < m->outside_count; i++)
        free(m->outside[i]);
    free(m->outside);
    memset(m, 0, sizeof *m);
}

bool marker_write(const char *datadir, const struct marker *m, struct gb_error *error)
{
    char path[WIRE_PATH_MAX], new[WIRE_PATH_MAX + 8], *text = NULL;
    size_t size;
    FILE *f = open_memstream(&text, &size);
    if (!f)
        return error_set(error, GB_internal, "no memory");
    fprintf(
        f,
        "This directory is being written by galera-backup restore %s, which began at %s.\n"
        "While this file is here the directory is not a database: do not start a server in it.\n"
        "If no restore is running, the same command goes on where it ended; --restart begins "
        "anew.\n\n"
        "backup: %s\nnonce: %s\nbegan: %s\nstate: %s\n",
        m->backup, m->stamp, m->backup, m->nonce, m->stamp, states[m->state]);
    if (m->state == MARKER_CLEARING_KEEP)
        fprintf(f, "aside: %s\n", m->aside);
    if (m->token[0])
        fprintf(f, "history: %s\n", m->token);
    if (m->replica)
        fprintf(f, "as: replica\n");
    if (m->recovered)
        fprintf(f, "recovered: yes\n");
    for (size_t i = 0; i < m->outside_count; i++)
        fprintf(f, "outside: %s\n", m->outside[i]);
    bool ok = !fclose(f) || error_set(error, GB_internal, "no memory");
    snprintf(path, sizeof path, "%s/%s", datadir, RESTORE_MARKER);
    snprintf(new, sizeof new, "%s.new", path);
    ok = ok && target_write_file(new, text, size, 0640, error) &&
         (!rename(new, path) ||
          error_set_errno(error, GB_target_failed, errno, "%s can't be renamed", new)) &&
         target_sync_directory(datadir, error);
    free(text);
    return ok;
}

static bool take_line(struct marker *m, const char *line)
{
    const char *value = strstr(line, ": ");
    size_t name = value ? (size_t)(value - line) : 0;
    value = value ? value + 2 : "";
#define IS(text) (name == strlen(text) && !strncmp(line, text, name))
    if (IS("backup"))
        snprintf(m->backup, sizeof m->backup, "%s", value);
    else if (IS("nonce"))
        snprintf(m->nonce, sizeof m->nonce, "%s", value);
    else if (IS("began"))
        snprintf(m->stamp, sizeof m->stamp, "%s", value);
    else if (IS("aside") && value[0] == '/')
        snprintf(m->aside, sizeof m->aside, "%s", value);
    else if (IS("history"))
        snprintf(m->token, sizeof m->token, "%s", value);
    else if (IS("as"))
        m->replica = !strcmp(value, "replica");
    else if (IS("recovered"))
        m->recovered = !strcmp(value, "yes");
    else if (IS("state")) {
        for (size_t i = 0; i < sizeof states / sizeof states[0]; i++)
            if (!strcmp(value, states[i]))
                m->state = (enum marker_state)i;
    } else if (IS("outside") && value[0] == '/') {
        char **more = realloc(m->outside, (m->outside_count + 1) * sizeof *more);
        if (!more)
            return false;
        m->outside = more;
        return (more[m->outside_count++] = strdup(value)) != NULL;
    }
#undef IS
    return true;
}

/* Opens a marker that can be believed. It names files to be removed, and the directory is the
   server's user's: one that neither root nor we have written counts as one that can't be
   understood. */
static FILE *open_own(const char *path, bool *there)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    *there = fd >= 0 || errno == ELOOP;
    bool own = fd >= 0 && !fstat(fd, &st) && S_ISREG(st.st_mode) &&
               (st.st_uid == 0 || st.st_uid == geteuid());
    FILE *f = own ? fdopen(fd, "r") : NULL;
    if (fd >= 0 && !f)
        close(fd);
    return f;
}

bool marker_read(const char *datadir, struct marker *m, bool *there, struct gb_error *error)
{
    char path[WIRE_PATH_MAX], *line = NULL;
    size_t room = 0;
    ssize_t n;
    memset(m, 0, sizeof *m);
    m->state = MARKER_CHANGING; /* unless it says what can be gone on with */
    snprintf(path, sizeof path, "%s/%s", datadir, RESTORE_MARKER);
    FILE *f = open_own(path, there);
    if (!f)
        return *there || errno == ENOENT || errno == ENOTDIR ||
               error_set_errno(error, GB_target_failed, errno, "%s can't be read", path);
    bool ok = true, facts = false; /* behind the empty line */
    while (ok && (n = getline(&line, &room, f)) > 0) {
        if (line[n - 1] == '\n')
            line[n - 1] = '\0';
        ok = !facts || take_line(m, line);
        facts = facts || !line[0];
    }
    if (!ok)
        error_set(error, GB_internal, "no memory");
    free(line);
    fclose(f);
    return ok;
}

bool marker_same(const struct marker *a, const struct marker *b)
{
    bool same = !strcmp(a->backup, b->backup) && !strcmp(a->nonce, b->nonce) &&
                a->outside_count == b->outside_count;
    for (size_t i = 0; same && i < a->outside_count; i++)
        same = !strcmp(a->outside[i], b->outside[i]);
    return same;
}

bool marker_lists(const struct marker *m, const char *path)
{
    for (size_t i = 0; i < m->outside_count; i++)
        if (!strcmp(m->outside[i], path))
            return true;
    return false;
}
