/* The agent's daemon; see daemon.h. */
#include "agent/daemon/daemon.h"
#include "agent/daemon/session.h"
#include "agent/repository/identity.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <poll.h>
#include <pthread.h>
#include <pwd.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#define BACKLOG      16
#define POLL_MS      200
#define SESSIONS_MAX 8u

static bool stop; /* atomic: set by a signal, read by all sessions */

static void on_signal(int number)
{
    (void)number;
    __atomic_store_n(&stop, true, __ATOMIC_RELEASE);
}

void daemon_log(const char *id, const char *format, ...)
{
    char text[2048];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    fprintf(stderr, "%s%s%s\n", id, *id ? " " : "", text);
}

struct guest {
    pthread_t thread;
    int fd;
    const struct config *config;
    struct catalog *catalog;
    struct catchup *catchup;
    bool used, ended; /* ended: written by the guest's thread last (atomic) */
};

static void *guest_main(void *argument)
{
    struct guest *g = argument;
    session_run(g->fd, g->config, g->catalog, g->catchup, &stop);
    __atomic_store_n(&g->ended, true, __ATOMIC_RELEASE);
    return NULL;
}

static bool peer_allowed(int fd, const struct config *config)
{
    struct ucred peer;
    socklen_t size = sizeof peer;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size))
        return false;
    struct passwd *user = getpwnam(config->server_user);
    if (peer.uid == 0 || peer.uid == geteuid() || (user && user->pw_uid == peer.uid))
        return true;
    daemon_log("",
               "refused a connection of pid %d, uid %u: only root, this user and %s may connect",
               (int)peer.pid, (unsigned)peer.uid, config->server_user);
    return false;
}

static int listen_at(const struct config *config, struct gb_error *error)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "%s", config->socket);
    char directory[sizeof config->socket];
    snprintf(directory, sizeof directory, "%s", config->socket);
    struct stat st;
    if (stat(dirname(directory), &st)) {
        error_set_errno(error, GB_bad_config, errno, "the directory of the socket %s",
                        config->socket);
        return -1;
    }
    if ((st.st_mode & S_IWOTH) && !(st.st_mode & S_ISVTX)) {
        error_set(error, GB_bad_config, "the directory of the socket %s can be written by everyone",
                  config->socket);
        return -1;
    }
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && !connect(fd, (struct sockaddr *)&address, sizeof address)) {
        error_set(error, GB_bad_config, "another agent answers at %s", config->socket);
        close(fd);
        return -1;
    }
    if (fd >= 0)
        close(fd);
    unlink(config->socket);
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    mode_t old = umask(0117);
    bool ok =
        fd >= 0 && !bind(fd, (struct sockaddr *)&address, sizeof address) && !listen(fd, BACKLOG);
    int failed = errno;
    umask(old);
    struct passwd *user = getpwnam(config->server_user);
    if (ok && geteuid() == 0 && user && chown(config->socket, (uid_t)-1, user->pw_gid))
        ok = false;
    if (ok)
        return fd;
    error_set_errno(error, GB_bad_config, failed, "the socket %s", config->socket);
    if (fd >= 0)
        close(fd);
    return -1;
}

static void reap(struct guest *guests, bool all)
{
    for (unsigned i = 0; i < SESSIONS_MAX; i++)
        if (guests[i].used && (all || __atomic_load_n(&guests[i].ended, __ATOMIC_ACQUIRE))) {
            pthread_join(guests[i].thread, NULL);
            guests[i].used = false;
        }
}

static void accept_one(int listener, struct guest *guests, const struct config *config,
                       struct catalog *catalog, struct catchup *catchup)
{
    int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    if (fd < 0)
        return;
    unsigned i = 0;
    while (i < SESSIONS_MAX && guests[i].used)
        i++;
    if (i == SESSIONS_MAX || !peer_allowed(fd, config)) {
        close(fd);
        return;
    }
    guests[i] = (struct guest){
        .fd = fd, .config = config, .catalog = catalog, .catchup = catchup, .used = true};
    if (pthread_create(&guests[i].thread, NULL, guest_main, &guests[i])) {
        close(fd);
        guests[i].used = false;
    }
}

/* The start does not wait for a network: what a repository behind one has left over, the next
   backup collects. So it does what may be another cluster's. */
static void collect_leftovers(const struct config *config)
{
    for (unsigned i = 0; i < config->repository_count; i++) {
        if (repository_is_remote(&config->repositories[i]))
            continue;
        struct gb_error error = {0};
        struct repository *r = repository_open(&config->repositories[i], &error);
        unsigned removed = 0;
        if (r && config->cluster[0] && identity_remembers(r, config->cluster, config->state_dir) &&
            repository_collect(r, config->cluster, &removed, &error) && removed)
            daemon_log("", "repository %s: removed %u unfinished backups",
                       config->repositories[i].name, removed);
        if (error.code)
            daemon_log("", "repository %s: %s", config->repositories[i].name, error.what);
        repository_close(r);
    }
}

bool daemon_run(const struct config *config, struct gb_error *error)
{
    struct guest guests[SESSIONS_MAX] = {0};
    struct sigaction action = {.sa_handler = on_signal};
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
    signal(SIGPIPE, SIG_IGN);
    int listener = listen_at(config, error);
    if (listener < 0)
        return false;
    struct catalog *catalog = catalog_start(config, error);
    if (!catalog) {
        close(listener);
        return false;
    }
    collect_leftovers(config);
    catalog_agent_started(catalog);
    struct catchup *catchup = catchup_start(config, catalog, error);
    if (!catchup) {
        catalog_stop(catalog);
        close(listener);
        return false;
    }
    daemon_log("", "galera-backup %s listens at %s", GB_VERSION, config->socket);
    sd_notify(0, "READY=1");
    while (!__atomic_load_n(&stop, __ATOMIC_ACQUIRE)) {
        struct pollfd p = {listener, POLLIN, 0};
        if (poll(&p, 1, POLL_MS) > 0)
            accept_one(listener, guests, config, catalog, catchup);
        reap(guests, false);
    }
    sd_notify(0, "STOPPING=1");
    reap(guests, true);
    catchup_stop(catchup);
    catalog_stop(catalog);
    close(listener);
    unlink(config->socket);
    return true;
}
