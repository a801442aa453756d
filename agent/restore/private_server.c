/* A mariadbd of our own in a restored directory; see private_server.h. */
#include "agent/restore/private_server.h"
#include "common/monotonic.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define POLL_US       20000
#define ARGUMENTS_MAX 48u
#define ARGUMENT_MAX  (WIRE_PATH_MAX + 64)
#define LOG_TAIL      4096u /* of its log, to find why it failed */
#define LOG_LINE_MAX  512u
#define SETTINGS      "settings.cnf"
#define LOG_FILE_SIZE                                                                              \
    "96M" /* of the redo log that it leaves; a server with another innodb_log_file_size rebuilds   \
             it */

struct private_server {
    const struct private_server_spec *spec;
    pid_t pid; /* 0: it has ended */
    int status;
    char run_dir[64]; /* socket, pid file, temporary files */
    int log;          /* read from here on */
    off_t log_start, log_at;
    char line[LOG_LINE_MAX];
    size_t line_size;
    char activity[256]; /* what it has read and written, as text; when that changed last */
    time_t active_at;
    struct sigaction before[3];
};

static volatile sig_atomic_t interrupted, server_pid;
static const int signals[] = {SIGINT, SIGTERM, SIGHUP};

/* Whoever waits for the server, for its end or for an answer, sees it go. */
static void on_signal(int number)
{
    interrupted = number;
    if (server_pid)
        kill((pid_t)server_pid, SIGKILL);
}

/* ---- start ---- */

struct arguments {
    char *argv[ARGUMENTS_MAX];
    size_t count;
    bool failed;
};

__attribute__((format(printf, 2, 3))) static void add(struct arguments *a, const char *format, ...)
{
    char text[ARGUMENT_MAX];
    va_list list;
    va_start(list, format);
    int n = vsnprintf(text, sizeof text, format, list);
    va_end(list);
    if (n < 0 || (size_t)n >= sizeof text || a->count + 1 >= ARGUMENTS_MAX ||
        !(a->argv[a->count] = strdup(text)))
        a->failed = true;
    else
        a->count++;
}

static void fill_arguments(const struct private_server *s, struct arguments *a)
{
    const struct layout *l = s->spec->layout;
    add(a, "%s", s->spec->program);
    if (s->spec->settings[0])
        add(a, "--defaults-file=%s/" SETTINGS, s->run_dir);
    else
        add(a, "--no-defaults");
    if ((s->spec->uid == (uid_t)-1 ? geteuid() : s->spec->uid) == 0)
        add(a, "--user=root");
    add(a, "--datadir=%s", l->datadir);
    add(a, "--socket=%s/socket", s->run_dir);
    add(a, "--pid-file=%s/pid", s->run_dir);
    add(a, "--tmpdir=%s", s->run_dir);
    add(a, "--skip-networking");
    add(a, "--skip-grant-tables"); /* the plugins of mysql.plugin and the events stay away, too */
    add(a, "--skip-slave-start");
    add(a, "--skip-log-bin");
    add(a, "--performance-schema=OFF");
    add(a, "--innodb-page-size=%u", l->page_size);
    add(a, "--innodb-data-home-dir=");
    add(a, "--innodb-data-file-path=%s", l->data_file_path);
    if (l->undo_dir[0])
        add(a, "--innodb-undo-directory=%s", l->undo_dir);
    if (l->aria_dir[0])
        add(a, "--aria-log-dir-path=%s", l->aria_dir);
    add(a, "--innodb-undo-tablespaces=%u", l->undo_tablespaces);
    if (s->spec->log_home)
        add(a, "--innodb-log-group-home-dir=%s", s->spec->log_home);
    add(a, "--innodb-log-file-size=%s", LOG_FILE_SIZE);
    add(a, "--innodb-buffer-pool-size=%" PRIu64, s->spec->buffer_pool);
    add(a, "--innodb-buffer-pool-load-at-startup=OFF");
    add(a, "--innodb-buffer-pool-dump-at-shutdown=OFF");
    add(a, "--innodb-stats-auto-recalc=OFF");
    add(a, "--innodb-io-capacity=20000");
    /* What restore has just written is in the page cache; torn pages: docs/restore.md. */
    add(a, "--innodb-flush-method=fsync");
    add(a, "--innodb-doublewrite=OFF");
    add(a, "--innodb-fast-shutdown=1");
    if (s->spec->roll_back)
        add(a, "--tc-heuristic-recover=ROLLBACK");
    if (s->spec->wsrep_recover) { /* no provider is loaded: it only has to be named */
        add(a, "--wsrep-recover");
        add(a, "--innodb-read-only"); /* it only looks: neither purge nor full-text indexes are at
                                         work */
        add(a, "--wsrep-on=ON");
        add(a, "--wsrep-provider=not-loaded");
        add(a, "--wsrep-cluster-address=gcomm://");
        add(a, "--binlog-format=ROW");
        add(a, "--innodb-autoinc-lock-mode=2");
    } else
        add(a, "--loose-wsrep-on=OFF");
    a->argv[a->count] = NULL;
}

/* In the child: nothing but calls that are allowed between fork() and exec(). */
static void become(const struct private_server *s, char **argv, pid_t parent)
{
    const struct private_server_spec *spec = s->spec;
    setsid();
    if (spec->uid != (uid_t)-1 && geteuid() == 0 &&
        (setgroups(0, NULL) || setgid(spec->gid) || setuid(spec->uid)))
        _exit(126);
    /* after setuid(), which takes it back */
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) || getppid() != parent)
        _exit(126);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    int null = open("/dev/null", O_RDONLY);
    int log = open(spec->log_path, O_WRONLY | O_APPEND);
    if (null < 0 || log < 0 || dup2(null, 0) < 0 || dup2(log, 1) < 0 || dup2(log, 2) < 0 ||
        chdir(spec->layout->datadir))
        _exit(126);
    execv(argv[0], argv);
    _exit(127);
}

/* In a file that its user alone may read: there may be a password in it. */
static bool write_settings(const struct private_server *s, struct gb_error *error)
{
    char path[sizeof s->run_dir + sizeof SETTINGS];
    const struct private_server_spec *spec = s->spec;
    size_t size = strlen(spec->settings);
    snprintf(path, sizeof path, "%s/" SETTINGS, s->run_dir);
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    bool ok = fd >= 0 && write(fd, spec->settings, size) == (ssize_t)size &&
              (spec->uid == (uid_t)-1 || !fchown(fd, spec->uid, spec->gid));
    if (!ok)
        error_set_errno(error, GB_recovery_failed, errno, "%s can't be written", path);
    if (fd >= 0)
        close(fd);
    return ok;
}

static bool make_run_dir(struct private_server *s, struct gb_error *error)
{
    const struct private_server_spec *spec = s->spec;
    snprintf(s->run_dir, sizeof s->run_dir, "/tmp/galera-backup-XXXXXX");
    if (!mkdtemp(s->run_dir)) {
        s->run_dir[0] = '\0';
        return error_set_errno(error, GB_recovery_failed, errno,
                               "a directory in /tmp can't be made");
    }
    if (spec->uid != (uid_t)-1 && chown(s->run_dir, spec->uid, spec->gid))
        return error_set_errno(error, GB_recovery_failed, errno, "the owner of %s can't be set",
                               s->run_dir);
    return !spec->settings[0] || write_settings(s, error);
}

static bool open_log(struct private_server *s, struct gb_error *error)
{
    const struct private_server_spec *spec = s->spec;
    s->log = open(spec->log_path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0640);
    if (s->log < 0 || (spec->uid != (uid_t)-1 && fchown(s->log, spec->uid, spec->gid)))
        return error_set_errno(error, GB_recovery_failed, errno, "%s can't be written",
                               spec->log_path);
    s->log_start = s->log_at = lseek(s->log, 0, SEEK_END);
    return true;
}

struct private_server *private_server_start(const struct private_server_spec *spec,
                                            struct gb_error *error)
{
    struct private_server *s = calloc(1, sizeof *s);
    struct arguments a = {.count = 0};
    if (!s) {
        error_set(error, GB_internal, "no memory");
        return NULL;
    }
    s->spec = spec;
    s->log = -1;
    s->active_at = monotonic_s();
    struct sigaction action = {.sa_handler = on_signal};
    interrupted = 0;
    for (size_t i = 0; i < sizeof signals / sizeof signals[0]; i++)
        sigaction(signals[i], &action, &s->before[i]);
    bool ok = make_run_dir(s, error) && open_log(s, error);
    if (ok) {
        fill_arguments(s, &a);
        if (a.failed)
            ok = error_set(error, GB_internal, "the arguments of %s do not fit", spec->program);
    }
    if (ok) {
        pid_t parent = getpid();
        s->pid = fork();
        if (!s->pid)
            become(s, a.argv, parent);
        server_pid = s->pid > 0 ? s->pid : 0;
        if (s->pid < 0) {
            s->pid = 0;
            ok = error_set_errno(error, GB_recovery_failed, errno, "%s can't be started",
                                 spec->program);
        }
    }
    for (size_t i = 0; i < a.count; i++)
        free(a.argv[i]);
    if (!ok) {
        private_server_free(s);
        return NULL;
    }
    return s;
}

/* ---- watch ---- */

/* "2026-11-21 11:42:30 0 [Note] InnoDB: To recover: 87367 pages" -> what is behind "InnoDB: " where
 * it tells of recovery. */
static void tell(const struct private_server *s)
{
    static const char *const telling[] = {"Starting crash recovery",
                                          "End of log at",
                                          "To recover:",
                                          "Read redo log up to",
                                          "Parsed redo log up to",
                                          "Multi-batch recovery needed",
                                          "Rolled back recovered",
                                          "transaction(s) which must be rolled back"};
    const char *text = strstr(s->line, "InnoDB: ");
    for (size_t i = 0; text && s->spec->line && i < sizeof telling / sizeof telling[0]; i++)
        if (strstr(text, telling[i])) {
            s->spec->line(s->spec->context, text + strlen("InnoDB: "));
            return;
        }
}

/* Reads what it has said since; true if there was anything. */
static bool listen_to(struct private_server *s)
{
    char block[4096];
    bool heard = false;
    for (ssize_t n; (n = pread(s->log, block, sizeof block, s->log_at)) > 0; s->log_at += n) {
        heard = true;
        for (ssize_t i = 0; i < n; i++) {
            if (block[i] != '\n') {
                if (s->line_size + 1 < sizeof s->line)
                    s->line[s->line_size++] = block[i];
                continue;
            }
            s->line[s->line_size] = '\0';
            s->line_size = 0;
            tell(s);
        }
    }
    return heard;
}

/* Whether it has read, written or said anything within PRIVATE_SERVER_STALL_S. */
static bool is_active(struct private_server *s, bool heard)
{
    char path[64], now[sizeof s->activity] = "";
    snprintf(path, sizeof path, "/proc/%d/io", (int)s->pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd >= 0) {
        ssize_t n = read(fd, now, sizeof now - 1);
        now[n > 0 ? n : 0] = '\0';
        close(fd);
    }
    if (heard || strcmp(now, s->activity)) {
        memcpy(s->activity, now, sizeof now);
        s->active_at = monotonic_s();
    }
    return monotonic_s() - s->active_at < (time_t)PRIVATE_SERVER_STALL_S;
}

/* Reaps it if it has ended. */
static bool has_ended(struct private_server *s)
{
    if (s->pid && waitpid(s->pid, &s->status, WNOHANG) == s->pid)
        s->pid = server_pid = 0;
    return !s->pid;
}

const char *private_server_said(struct private_server *s, const char *text, char *out, size_t size)
{
    out[0] = '\0';
    FILE *f = fopen(s->spec->log_path, "re");
    char line[LOG_LINE_MAX];
    if (f && !fseeko(f, s->log_start, SEEK_SET))
        while (fgets(line, sizeof line, f)) {
            const char *at = strstr(line, text);
            if (at)
                snprintf(out, size, "%.*s", (int)strcspn(at, "\n"), at);
        }
    if (f)
        fclose(f);
    return out;
}

static bool failed(struct private_server *s, const char *what, struct gb_error *error)
{
    char why[LOG_LINE_MAX];
    error_clear(error); /* of a statement that found it gone */
    if (interrupted)
        return error_set(error, GB_cancelled, "interrupted while the private mariadbd was at work");
    private_server_said(s, "[ERROR] ", why, sizeof why);
    error_set(error, GB_recovery_failed, "the private mariadbd %s%s%s", what, why[0] ? ": " : "",
              why[0] ? why + 8 : "");
    error_hint(error, "its log is %s", s->spec->log_path);
    return false;
}

/* One look at a server that is waited for: false, with an error, if there is nothing to wait for
 * any more. */
static bool goes_on(struct private_server *s, struct gb_error *error)
{
    bool heard = listen_to(s);
    if (!is_active(s, heard))
        return failed(s, "has done nothing for 10 minutes", error);
    usleep(POLL_US);
    return true;
}

bool private_server_wait_ready(struct private_server *s, struct gb_error *error)
{
    char said[LOG_LINE_MAX];
    while (!private_server_said(s, "ready for connections", said, sizeof said)[0]) {
        if (has_ended(s))
            return failed(s, "did not start", error);
        if (!goes_on(s, error))
            return false;
    }
    listen_to(s);
    return true;
}

struct connection *private_server_connect(struct private_server *s, unsigned timeout_s,
                                          struct gb_error *error)
{
    struct config *config = calloc(1, sizeof *config);
    if (!config) {
        error_set(error, GB_internal, "no memory");
        return NULL;
    }
    snprintf(config->server_socket, sizeof config->server_socket, "%s/socket", s->run_dir);
    snprintf(config->server_sql_user, sizeof config->server_sql_user, "root");
    struct connection *c = connection_open(config, timeout_s, error);
    free(config);
    return c;
}

bool private_server_query(struct private_server *s, struct connection *c, const char *sql,
                          MYSQL_RES **result, struct gb_error *error)
{
    if (connection_query(c, sql, result, NULL, error))
        return true;
    return error->code == GB_connection_lost ? failed(s, "has gone", error) : false;
}

bool private_server_wait_end(struct private_server *s, struct gb_error *error)
{
    while (!has_ended(s))
        if (!goes_on(s, error))
            return false;
    listen_to(s);
    if (!WIFEXITED(s->status) || WEXITSTATUS(s->status))
        return failed(s, "did not end cleanly", error);
    return true;
}

bool private_server_stop(struct private_server *s, struct gb_error *error)
{
    char said[LOG_LINE_MAX];
    if (!s->pid || kill(s->pid, SIGTERM))
        return failed(s, "has gone", error);
    if (!private_server_wait_end(s, error))
        return false;
    return private_server_said(s, "Shutdown completed; log sequence number", said,
                               sizeof said)[0] ||
           failed(s, "did not shut down cleanly", error);
}

/* A server that was killed leaves its socket and temporary tables. */
static void remove_run_dir(const char *path)
{
    DIR *d = path[0] ? opendir(path) : NULL;
    if (!d)
        return;
    for (struct dirent *e; (e = readdir(d));)
        if (e->d_name[0] != '.')
            unlinkat(dirfd(d), e->d_name, 0);
    closedir(d);
    rmdir(path);
}

void private_server_free(struct private_server *s)
{
    if (!s)
        return;
    if (s->pid) {
        kill(s->pid, SIGKILL);
        while (waitpid(s->pid, &s->status, 0) < 0 && errno == EINTR)
            ;
        server_pid = 0;
    }
    for (size_t i = 0; i < sizeof signals / sizeof signals[0]; i++)
        sigaction(signals[i], &s->before[i], NULL);
    if (s->log >= 0)
        close(s->log);
    remove_run_dir(s->run_dir);
    free(s);
}
