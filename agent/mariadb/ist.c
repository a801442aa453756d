/* Can a position still be joined by IST; see ist.h. */
#include "agent/mariadb/ist.h"
#include "agent/ui/text.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define GAP_SHIFT 7 /* safety gap: 1/128 of the cached range */
#define GAP_MAX   (1 << 20)
#define DAY_S     86400u

static uint64_t with_spare(uint64_t bytes)
{
    return bytes + bytes / 4;
}

uint64_t ist_gcache_bytes(const char *options)
{
    static const char key[] = "gcache.size";
    for (const char *at = options; (at = strstr(at, key)); at += sizeof key - 1) {
        if (at != options && at[-1] != ' ' && at[-1] != ';')
            continue;
        const char *value = at + sizeof key - 1;
        value += strspn(value, " ");
        if (*value != '=')
            continue;
        char *unit;
        uint64_t number = strtoull(value + 1, &unit, 10);
        unsigned shift = *unit == 'K' || *unit == 'k'   ? 10
                         : *unit == 'M' || *unit == 'm' ? 20
                         : *unit == 'G' || *unit == 'g' ? 30
                         : *unit == 'T' || *unit == 't' ? 40
                                                        : 0;
        return number << shift;
    }
    return 0;
}

/* ---- what a server says of itself ---- */

static bool take_rows(struct connection *c, const char *sql,
                      void (*take)(struct ist_facts *, const char *, const char *),
                      struct ist_facts *facts, struct gb_error *error)
{
    MYSQL_RES *rows;
    if (!connection_query(c, sql, &rows, NULL, error))
        return false;
    for (MYSQL_ROW row; rows && (row = mysql_fetch_row(rows));)
        if (row[0] && row[1])
            take(facts, row[0], row[1]);
    if (rows)
        mysql_free_result(rows);
    return true;
}

static void take_status(struct ist_facts *f, const char *name, const char *value)
{
    if (!strcasecmp(name, "wsrep_cluster_state_uuid"))
        snprintf(f->donor.uuid, sizeof f->donor.uuid, "%s", value);
    else if (!strcasecmp(name, "wsrep_cluster_conf_id"))
        snprintf(f->conf_id, sizeof f->conf_id, "%s", value);
    else if (!strcasecmp(name, "wsrep_cluster_status"))
        f->primary = !strcmp(value, "Primary");
    else if (!strcasecmp(name, "wsrep_local_state_comment"))
        f->synced = !strcmp(value, "Synced");
    else if (!strcasecmp(name, "wsrep_last_committed"))
        f->donor.last_committed = strtoll(value, NULL, 10);
    else if (!strcasecmp(name, "wsrep_local_cached_downto")) {
        uint64_t seqno = strtoull(value, NULL, 10); /* nothing cached: the greatest number */
        f->cached = seqno > 0 && seqno <= INT64_MAX;
        f->donor.cached_downto = f->cached ? (int64_t)seqno : -1;
    } else if (!strcasecmp(name, "wsrep_replicated_bytes") ||
               !strcasecmp(name, "wsrep_received_bytes"))
        f->bytes += strtoull(value, NULL, 10);
    else if (!strcasecmp(name, "wsrep_replicated") || !strcasecmp(name, "wsrep_received"))
        f->sets += strtoull(value, NULL, 10);
    else if (!strcasecmp(name, "Uptime"))
        f->uptime_s = strtoull(value, NULL, 10);
}

static void take_variable(struct ist_facts *f, const char *name, const char *value)
{
    struct ist_donor *d = &f->donor;
    if (!strcasecmp(name, "wsrep_on"))
        f->galera = !strcmp(value, "ON");
    else if (!strcasecmp(name, "wsrep_cluster_name"))
        snprintf(f->cluster, sizeof f->cluster, "%s", value);
    else if (!strcasecmp(name, "wsrep_provider_options"))
        d->gcache_bytes = ist_gcache_bytes(value);
    else if (!strcasecmp(name, "wsrep_node_name") && *value)
        snprintf(d->node, sizeof d->node, "%s", value);
    else if (!strcasecmp(name, "hostname") && !d->node[0])
        snprintf(d->node, sizeof d->node, "%s", value);
    else if (!strcasecmp(name, "port"))
        snprintf(f->port, sizeof f->port, "%s", value);
    if ((!strcasecmp(name, "wsrep_node_address") && *value) ||
        (!strcasecmp(name, "hostname") && !d->address[0]))
        snprintf(d->address, sizeof d->address, "%s", value);
}

/* wsrep_node_address may carry the port of the group; ours is that of SQL. */
static void add_port(struct ist_facts *f)
{
    char *address = f->donor.address, *colon = strrchr(address, ':');
    bool bare_ipv6 = colon && strchr(address, ':') != colon && address[0] != '[';
    if (colon && !bare_ipv6 && !strchr(colon, ']'))
        *colon = '\0';
    char host[WIRE_NAME_MAX];
    snprintf(host, sizeof host, bare_ipv6 ? "[%.200s]" : "%.200s", address);
    snprintf(address, sizeof f->donor.address, "%.210s:%s", host, f->port);
}

bool ist_facts_read(struct connection *c, struct ist_facts *f, struct gb_error *error)
{
    memset(f, 0, sizeof *f);
    f->donor.cached_downto = -1;
    if (!take_rows(
            c,
            "SHOW GLOBAL VARIABLES WHERE Variable_name IN ('wsrep_on', 'wsrep_cluster_name', "
            "'wsrep_provider_options', 'wsrep_node_name', 'wsrep_node_address', 'hostname', "
            "'port')",
            take_variable, f, error) ||
        !take_rows(c,
                   "SHOW GLOBAL STATUS WHERE Variable_name IN ('wsrep_cluster_state_uuid', "
                   "'wsrep_cluster_conf_id', "
                   "'wsrep_cluster_status', 'wsrep_local_state_comment', 'wsrep_last_committed', "
                   "'wsrep_local_cached_downto', 'wsrep_replicated_bytes', 'wsrep_received_bytes', "
                   "'wsrep_replicated', "
                   "'wsrep_received', 'Uptime')",
                   take_status, f, error))
        return false;
    add_port(f);
    uint64_t stored = f->bytes + f->sets * IST_WRITESET_EXTRA;
    f->donor.writeset_bytes = f->sets ? stored / f->sets : 0;
    f->donor.written_bytes_s = f->uptime_s ? stored / f->uptime_s : 0;
    return true;
}

/* ---- what it knows of the others ---- */

static void take_donor(struct ist_donors *donors, MYSQL_ROW row)
{
    if (donors->count == IST_DONORS_MAX)
        return;
    struct ist_donor *d = &donors->list[donors->count++];
    uint64_t number[5];
    for (unsigned i = 0; i < 5; i++)
        number[i] = row[3 + i] ? strtoull(row[3 + i], NULL, 10) : 0;
    snprintf(d->node, sizeof d->node, "%s", row[0] ? row[0] : "");
    snprintf(d->address, sizeof d->address, "%s", row[1] ? row[1] : "");
    snprintf(d->uuid, sizeof d->uuid, "%s", row[2] ? row[2] : "");
    d->cached_downto = (int64_t)number[0];
    d->last_committed = (int64_t)number[1];
    d->gcache_bytes = number[2];
    d->written_bytes_s = number[3];
    d->writeset_bytes = number[4];
}

bool ist_donors_read(struct connection *c, struct ist_donors *donors, struct gb_error *error)
{
    static const char select[] =
        "SELECT node, address, state_uuid, cached_downto, last_committed, gcache_bytes, "
        "written_bytes_s, writeset_bytes FROM galera_backup.donors ORDER BY node";
    MYSQL_RES *rows;
    struct gb_error ignored = {0};
    struct ist_facts facts;
    donors->count = 0;
    if (!ist_facts_read(c, &facts, error))
        return false;
    if (!facts.galera || !facts.primary)
        return error_set(error, GB_node_not_fit, "%s is not in the Primary component of a cluster",
                         facts.donor.node);
    /* Without the schema, or without a right to read it, the server still answers for itself. */
    if (connection_query(c, select, &rows, NULL, &ignored)) {
        for (MYSQL_ROW row; rows && (row = mysql_fetch_row(rows));)
            take_donor(donors, row);
        if (rows)
            mysql_free_result(rows);
    }
    if (!donors->count && facts.cached)
        donors->list[donors->count++] = facts.donor;
    return true;
}

/* ---- the prediction ---- */

/* The greatest of all, 0 if there is none. */
static int64_t newest(const struct ist_donors *donors)
{
    int64_t seqno = 0;
    for (unsigned i = 0; i < donors->count; i++)
        if (donors->list[i].last_committed > seqno)
            seqno = donors->list[i].last_committed;
    return seqno;
}

static int64_t lowest_joinable(const struct ist_donors *donors, int64_t last)
{
    int64_t lowest = INT64_MAX;
    for (unsigned i = 0; i < donors->count; i++)
        if (donors->list[i].cached_downto < lowest)
            lowest = donors->list[i].cached_downto;
    int64_t gap = last > lowest ? (last - lowest) >> GAP_SHIFT : 0;
    return lowest + (gap < GAP_MAX ? gap : GAP_MAX);
}

void ist_predict(const struct ist_donors *donors, const char *position, struct ist_prediction *p)
{
    memset(p, 0, sizeof *p);
    p->behind = p->lowest = -1;
    const char *colon = strrchr(position, ':');
    if (!colon || !donors->count)
        return;
    int64_t seqno = strtoll(colon + 1, NULL, 10), last = newest(donors);
    uint64_t rate = 0, writeset = 0;
    for (unsigned i = 0; i < donors->count; i++) {
        rate = donors->list[i].written_bytes_s > rate ? donors->list[i].written_bytes_s : rate;
        writeset =
            donors->list[i].writeset_bytes > writeset ? donors->list[i].writeset_bytes : writeset;
    }
    p->lowest = lowest_joinable(donors, last);
    p->day_bytes = with_spare(rate * DAY_S);
    p->answer = IST_NO;
    if (strlen(donors->list[0].uuid) != (size_t)(colon - position) ||
        strncmp(position, donors->list[0].uuid, (size_t)(colon - position)))
        return; /* of another history */
    p->behind = last > seqno ? last - seqno : 0;
    p->needs_bytes = with_spare((uint64_t)p->behind * writeset);
    if (seqno < p->lowest)
        return;
    p->answer = IST_YES;
    size_t n = 0;
    for (unsigned i = 0; i < donors->count; i++) {
        const struct ist_donor *d = &donors->list[i];
        if (d->cached_downto > seqno || n + strlen(d->node) + 3 > sizeof p->nodes)
            continue;
        n += (size_t)snprintf(p->nodes + n, sizeof p->nodes - n, "%s%s", n ? ", " : "", d->node);
        uint64_t used = (uint64_t)p->behind * d->writeset_bytes;
        uint64_t left = rate && d->gcache_bytes > used ? (d->gcache_bytes - used) / rate : 0;
        p->left_s = left > p->left_s ? left : p->left_s;
    }
}

const char *ist_word(enum ist_answer answer)
{
    return answer == IST_YES ? "yes" : answer == IST_NO ? "no" : "unknown";
}

void ist_text(const struct ist_prediction *p, char *out, size_t size)
{
    char left[32], needs[32];
    if (p->answer == IST_UNKNOWN)
        snprintf(out, size, "not known");
    else if (p->behind < 0)
        snprintf(out, size, "not possible: the cluster has another history (uuid)");
    else if (p->answer == IST_NO)
        snprintf(out, size,
                 "not possible: %" PRId64
                 " write-sets are missing, and the gcaches go back to seqno %" PRId64
                 " only; gcache.size = %" PRIu64 "M would have held them",
                 p->behind, p->lowest, (p->needs_bytes >> 20) + 1);
    else
        snprintf(out, size, "possible: %" PRId64 " write-sets (%s) from %s%s%s%s", p->behind,
                 text_bytes(p->needs_bytes / 5 * 4, needs, sizeof needs), p->nodes,
                 p->left_s ? ", for about " : "",
                 p->left_s ? text_duration(p->left_s, left, sizeof left) : "",
                 p->left_s ? " more at the present rate of writes" : "");
}
