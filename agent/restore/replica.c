/* A restored directory as an asynchronous replica; see replica.h. */
#include "agent/restore/replica.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DOMAINS_MAX    1024u
#define SEED_TIMEOUT_S 60u
#define HOST_SIGNS     "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ._-"

struct gtid {
    uint32_t domain, server;
    uint64_t seqno;
};

/* Takes "0-1-100,1-2-5" into the list; in each domain the highest seqno stays. */
static bool merge(struct gtid *list, size_t *count, const char *text)
{
    while (*text) {
        struct gtid g;
        int length = 0;
        if (sscanf(text, " %" SCNu32 "-%" SCNu32 "-%" SCNu64 "%n", &g.domain, &g.server, &g.seqno,
                   &length) != 3 ||
            !length)
            return false;
        size_t i = 0;
        while (i < *count && list[i].domain != g.domain)
            i++;
        if (i == DOMAINS_MAX)
            return false;
        if (i == *count)
            list[(*count)++] = g;
        else if (g.seqno > list[i].seqno)
            list[i] = g;
        text += length;
        text += *text == ',';
    }
    return true;
}

bool replica_position(const struct manifest *m, char *gtid, struct gb_error *error)
{
    struct gtid list[DOMAINS_MAX];
    size_t count = 0, at = 0;
    static const char *const facts[] = {"gtid_binlog_pos", "gtid_slave_pos", "gtid"};
    gtid[0] = '\0';
    for (size_t i = 0; i < sizeof facts / sizeof facts[0]; i++) {
        const char *some;
        for (unsigned part = 1; *(some = wire_fact_part(&m->facts, facts[i], part)); part++)
            if (!merge(list, &count, some))
                return error_set(error, GB_corrupt_backup, "%s: %s \"%s\" is not a GTID position",
                                 m->id, facts[i], some);
    }
    for (size_t i = 0; i < count && at < REPLICA_GTID_MAX; i++)
        at +=
            (size_t)snprintf(gtid + at, REPLICA_GTID_MAX - at, "%s%" PRIu32 "-%" PRIu32 "-%" PRIu64,
                             at ? "," : "", list[i].domain, list[i].server, list[i].seqno);
    if (!count) {
        error_set(error, GB_bad_value,
                  "%s has no GTID position: %s had no binary log when it was backed up", m->id,
                  m->node);
        error_hint(
            error,
            "set log_bin on %s (on a Galera node log_slave_updates too) and take another backup",
            m->node);
        return false;
    }
    return true;
}

bool replica_seed(struct private_server *server, const char *gtid, struct gb_error *error)
{
    char sql[REPLICA_GTID_MAX + 64];
    struct connection *c = private_server_connect(server, SEED_TIMEOUT_S, error);
    snprintf(sql, sizeof sql, "SET GLOBAL gtid_slave_pos='%s'",
             gtid); /* digits, "-" and ",": merge() */
    bool ok = c && private_server_query(server, c, sql, NULL, error);
    connection_close(c);
    return ok;
}

const char *replica_statement(const struct manifest *m, char *out)
{
    snprintf(out, REPLICA_STATEMENT_MAX,
             "CHANGE MASTER TO MASTER_HOST='%s', MASTER_PORT=3306, MASTER_USER='USER', "
             "MASTER_PASSWORD='PASSWORD', "
             "MASTER_USE_GTID=slave_pos; START SLAVE;",
             m->node[strspn(m->node, HOST_SIGNS)] ? "HOST" : m->node);
    return out;
}
