/*
  Whose a cluster's directory in a repository is: <cluster>/cluster.json, made by the first backup.

  Two clusters of one name (a clone in a test environment, a forgotten old node, a copied
  configuration file) must not write into one directory: "latest" would be anyone's and retention
  would count both. What tells them apart is Galera's own name for a history, the cluster's state
  uuid. A writer whose uuid the file does not know is refused, unless this agent has written to this
  very directory before: then it is the same cluster with a new history (a restore of the whole
  cluster makes one), and the uuid is added. What an agent remembers is a file of its own on its
  host (state-dir), not a row in the database: a clone has the rows, too.

  A standalone server has nothing that outlives its reinstallation and would tell it from another
  one: it is always let in, and so is one whose state is not known. docs/repositories.md says why,
  and what to do.
*/
#ifndef GB_AGENT_REPOSITORY_IDENTITY_H
#define GB_AGENT_REPOSITORY_IDENTITY_H

#include "agent/repository/repository.h"

#define IDENTITY_FORMAT    1
#define IDENTITY_WSREP_MAX 64u
#define IDENTITY_UUID_SIZE 37u

struct identity {
    char uuid[IDENTITY_UUID_SIZE]; /* its own, random */
    char cluster[WIRE_NAME_MAX];
    struct {
        char uuid[IDENTITY_UUID_SIZE];
        time_t first_seen_at;
    } wsrep[IDENTITY_WSREP_MAX]; /* in the order in which they were seen */
    unsigned wsrep_count;
};

/* A text as cluster.json has it. name: for messages. Errors: GB_format_newer, GB_corrupt_backup. */
bool identity_parse(struct identity *identity, const char *text, size_t size, const char *name,
                    struct gb_error *error);
/* Errors: those, GB_not_found, and the store's. */
bool identity_read(struct identity *identity, struct storage *storage, const char *cluster,
                   struct gb_error *error);

/* Whether text is a uuid other than that of zeros, which Galera writes where it knows none. */
bool identity_uuid_valid(const char *text);

struct identity_writer {
    const char *cluster;    /* the directory */
    const char *wsrep_uuid; /* of what is going to be written, or of who asks; anything that is no
                               uuid: not known */
    const char *state_dir;  /* what this agent remembers; "": nothing */
    const char *remedy; /* what to put behind --repository in the command that mends a refusal */
    bool writes;        /* makes or extends cluster.json; else only looks */
};

/* Whether it may write there, or remove, hold and release what is there. Errors: GB_wrong_cluster
   (names both uuids and the command), GB_format_newer, GB_corrupt_backup (a cluster.json that can't
   be read), and the store's. */
bool identity_admit(struct repository *repository, const struct identity_writer *writer,
                    struct gb_error *error);

/* Whether it is this agent's, as far as that is known while no server can be asked: it has written
   there before, or nobody has who has a uuid. False also if it can't be read. */
bool identity_remembers(struct repository *repository, const char *cluster, const char *state_dir);

/* Makes the directory that of the cluster with this uuid from now on, whatever it was: the uuid is
   added, a damaged cluster.json is made anew. *identity: what it is now. Errors: GB_bad_value,
   GB_format_newer, the store's. */
bool identity_adopt(struct repository *repository, const char *cluster, const char *wsrep_uuid,
                    struct identity *identity, struct gb_error *error);

#endif
