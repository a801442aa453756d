/* What list, info and restore say about IST; see cmd.h. */
#include "agent/cmd/cmd.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define DONOR_TIMEOUT_S 5u

bool cmd_donors(const struct options *options, struct ist_donors *donors, struct gb_error *error)
{
    struct config config;
    struct connection *c = NULL;
    donors->count = 0;
    if (options->donor)
        c = connection_open_host(options->donor, DONOR_TIMEOUT_S, error);
    else if (cmd_repository_is_path(options) && !options->config)
        error_set(error, GB_server_unreachable,
                  "a repository that is named by its path names no server to ask");
    else if (cmd_config(options, &config, error))
        c = connection_open(&config, DONOR_TIMEOUT_S, error);
    bool ok = c && ist_donors_read(c, donors, error);
    connection_close(c);
    return ok;
}

void cmd_ist_text(const struct ist_donors *donors, const char *position, char *out, size_t size)
{
    struct ist_prediction p;
    const char *colon = strrchr(position, ':');
    if (donors && donors->count) {
        ist_predict(donors, position, &p);
        ist_text(&p, out, size);
    } else
        snprintf(out, size,
                 "not known here (--donor HOST asks a node). On a node of the cluster run SHOW "
                 "GLOBAL STATUS LIKE "
                 "'wsrep_local_cached_downto': possible where it is %" PRId64
                 " or less; else the node is filled by SST",
                 colon ? (int64_t)strtoll(colon + 1, NULL, 10) : 0);
}

static json_t *seqno_json(int64_t seqno)
{
    return seqno < 0 ? json_null() : json_integer((json_int_t)seqno);
}

void cmd_ist_json(json_t *backup, const char *position, const struct ist_prediction *p)
{
    json_object_set_new(backup, "ist", *position ? json_string(ist_word(p->answer)) : json_null());
    json_object_set_new(backup, "ist_writesets", seqno_json(p->behind));
    json_object_set_new(backup, "ist_lowest", seqno_json(p->lowest));
    json_object_set_new(backup, "ist_donors", json_string(p->nodes));
}
