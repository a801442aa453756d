/* This node's row of galera_backup.nodes; see nodes.h. */
#include "agent/mariadb/nodes.h"
#include "common/monotonic.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LOOK_S      5
#define WRITE_S     600 /* a row is renewed at least so often */
#define LEAST_S     10  /* and at most so often because the window has moved */
#define AVERAGE_S   3600.0
#define MOVED_LEAST 100
#define MOVED_PART  8 /* of the window */

void nodes_soon(struct nodes *n)
{
    n->look_at = 0;
    n->written_at = 0;
}

bool nodes_changed(const struct ist_facts *a, const struct ist_facts *b)
{
    int64_t window = b->donor.last_committed - b->donor.cached_downto, least = window / MOVED_PART;
    if (least < MOVED_LEAST)
        least = MOVED_LEAST;
    return b->donor.last_committed - a->donor.last_committed >= least ||
           llabs(b->donor.cached_downto - a->donor.cached_downto) >= least;
}

/* The rate since the last look goes into the average; the first is that since the server's start.
 */
static void measure(struct nodes *n, struct ist_facts *now, time_t at)
{
    double seconds = (double)(at - n->seen_at);
    if (!n->seen_at || now->bytes < n->seen.bytes || now->sets < n->seen.sets)
        n->bytes_s = (double)now->donor.written_bytes_s;
    else if (seconds > 0) {
        double bytes = (double)(now->bytes - n->seen.bytes) +
                       (double)(now->sets - n->seen.sets) * IST_WRITESET_EXTRA;
        n->bytes_s += (bytes / seconds - n->bytes_s) * seconds / (seconds + AVERAGE_S);
    }
    now->donor.written_bytes_s = (uint64_t)n->bytes_s;
    n->seen = *now;
    n->seen_at = at;
}

static bool is_due(const struct nodes *n, const struct ist_facts *now, time_t at)
{
    if (!n->written_at || at - n->written_at >= WRITE_S ||
        strcmp(n->written.conf_id, now->conf_id) ||
        strcmp(n->written.donor.uuid, now->donor.uuid) ||
        n->written.donor.gcache_bytes != now->donor.gcache_bytes)
        return true;
    return at - n->written_at >= LEAST_S && nodes_changed(&n->written, now);
}

static bool write_row(struct connection *c, const char *cluster, const struct ist_facts *f,
                      unsigned *number, struct gb_error *error)
{
    char sql[4096];
    const struct ist_donor *d = &f->donor;
    char *quoted[] = {connection_quote(c, cluster), connection_quote(c, d->node),
                      connection_quote(c, d->address), connection_quote(c, d->uuid)};
    bool ok = quoted[0] && quoted[1] && quoted[2] && quoted[3];
    if (ok) {
        snprintf(sql, sizeof sql,
                 "REPLACE INTO galera_backup.nodes (cluster, node, address, state_uuid, conf_id, "
                 "cached_downto, last_committed, "
                 "gcache_bytes, written_bytes_s, writeset_bytes, seen_at) VALUES (%s, %s, %s, %s, "
                 "%llu, %" PRId64 ", %" PRId64 ", %" PRIu64 ", %" PRIu64 ", %" PRIu64
                 ", UTC_TIMESTAMP(6))",
                 quoted[0], quoted[1], quoted[2], quoted[3], strtoull(f->conf_id, NULL, 10),
                 d->cached_downto, d->last_committed, d->gcache_bytes, d->written_bytes_s,
                 d->writeset_bytes);
        ok = connection_query(c, sql, NULL, number, error);
    } else
        error_set(error, GB_internal, "no memory");
    for (size_t i = 0; i < sizeof quoted / sizeof quoted[0]; i++)
        free(quoted[i]);
    return ok;
}

void nodes_tick(struct nodes *n, struct connection *c, const char *cluster, unsigned *number)
{
    struct ist_facts now;
    struct gb_error error = {0};
    time_t at = monotonic_s();
    *number = 0;
    if (at < n->look_at)
        return;
    n->look_at = at + LOOK_S;
    if (!ist_facts_read(c, &now, &error)) {
        *number = mysql_errno(connection_handle(c));
        return;
    }
    if (!now.galera || !now.primary || !now.synced || !now.cached)
        return;
    measure(n, &now, at);
    if (!is_due(n, &now, at))
        return;
    if (write_row(c, *cluster ? cluster : now.cluster, &now, number, &error)) {
        n->written = now;
        n->written_at = at;
        n->refused_told = false;
    } else if (!n->refused_told) {
        fprintf(stderr, "catalog: this node's row of galera_backup.nodes: %s\n", error.what);
        n->refused_told = true;
    }
}
