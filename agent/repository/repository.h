/*
  A repository: a named store with a policy, and the backups in it.

  <root>/<cluster>/backups/<label>/{data/NNNNNN.seg, index, backup.json}. What has no backup.json is
  not a backup: either one is being written (its lock is held) or it is left over and collected by
  repository_collect().
*/
#ifndef GB_AGENT_REPOSITORY_REPOSITORY_H
#define GB_AGENT_REPOSITORY_REPOSITORY_H

#include "agent/repository/index.h"
#include "agent/repository/manifest.h"
#include "agent/repository/retention.h"
#include "agent/storage/s3.h"
#include "agent/storage/swift.h"

#define REPOSITORY_DIRECTORY "directory"
#define REPOSITORY_S3        "s3"
#define REPOSITORY_SWIFT     "swift"

/* Keys are loaded when they are needed: who writes wants recipients and perhaps a signer, who reads
 * what opens and who is trusted. */
struct repository_keys { /* settings as keys_load() takes them; "": none */
    char recipients[WIRE_PATH_MAX], openers[WIRE_PATH_MAX], signer[WIRE_PATH_MAX],
        trusted[WIRE_PATH_MAX];
};

struct repository_spec { /* one [repository:NAME] section; strings owned by the configuration */
    char name[64];
    char type[16];                 /* REPOSITORY_DIRECTORY, REPOSITORY_S3, REPOSITORY_SWIFT */
    char path[WIRE_PATH_MAX];      /* of a directory */
    bool make;                     /* it, if it is missing: for who writes there first */
    char state_dir[WIRE_PATH_MAX]; /* of the agent whose configuration names it: what it remembers
                                      of the path; "": nothing */
    struct bucket_options remote;  /* of an object store */
    struct s3_options s3;
    struct swift_options swift;
    struct codec_spec compression;
    struct repository_keys keys;
    unsigned min_free_percent;
    bool required;
    struct retention_policy keep;
    bool append_only;                   /* the agent never removes a backup from it */
    char expire_credentials_file[1024]; /* of an s3 repository: what expiring uses instead of
                                           credentials_file; "": the same */
};

struct repository {
    struct repository_spec spec;
    struct storage *storage;
    struct crypto_keys trusted; /* none: manifests need not be signed */
};

/* Whether it is behind a network by its nature, so that each look at it may take its time. */
bool repository_is_remote(const struct repository_spec *spec);
/* Of one that is: the name of its bucket or container. */
const char *repository_bucket(const struct repository_spec *spec);
/* Whether both are the same place, as far as that can be seen: one directory, or one prefix of one
 * bucket. */
bool repository_is_same(const struct repository_spec *a, const struct repository_spec *b);

/* With make a directory is made if it is missing, its parent is there and the agent does not
   remember that it was there (remembered.h). Errors: of the storage; GB_repository_unreachable;
   GB_bad_key of trusted signers. */
struct repository *repository_open(const struct repository_spec *spec, struct gb_error *error);
void repository_close(struct repository *repository);

/* Label: YYYYMMDDTHHMMSSZ-TYPE-8 hex digits[-suffix]; and cluster names: [A-Za-z0-9._-], not
   starting with a dot. Whether text is one: everything that becomes part of a path passes here
   first. */
bool label_valid(const char *text);
bool cluster_name_valid(const char *text);

/* "CLUSTER/backups/LABEL" */
void repository_prefix(char *out, size_t size, const char *cluster, const char *label);

struct repository_names {
    char (*name)[WIRE_NAME_MAX]; /* malloc'ed; to be freed in any case */
    size_t count;
};
/* Names of the directories or else of the objects immediately below prefix that valid() (NULL: all)
   says are meant, in order. Errors: the store's. */
bool repository_names(struct repository *repository, const char *prefix, bool directories,
                      bool (*valid)(const char *name), struct repository_names *names,
                      struct gb_error *error);
/* All clusters that have a directory. */
bool repository_clusters(struct repository *repository, struct repository_names *names,
                         struct gb_error *error);
/* All labels of a cluster, whatever stands under them: see listing.h for those that are backups. */
bool repository_labels(struct repository *repository, const char *cluster,
                       struct repository_names *names, struct gb_error *error);

/* Removes what failed backups left: prefixes without backup.json whose lock nobody holds. *removed
   counts. What can't be removed is named on stderr and stays. False only if the prefixes can't be
   listed. */
bool repository_collect(struct repository *repository, const char *cluster, unsigned *removed,
                        struct gb_error *error);

/* Whether what a manifest is about to name is there, at its sizes. That the lock is ours still, the
   store says of each object that it writes. Errors: GB_store_failed. */
bool repository_check_stored(struct repository *repository, const char *prefix,
                             const struct object_info *objects, size_t count,
                             struct gb_error *error);

#define REPOSITORY_LOCK_NAME ".lock"
/* The lock of one backup's directory: of who writes it, removes it, or changes what stands beside
   backup.json. Errors: GB_repository_busy, the store's. */
struct storage_lock *repository_lock(struct repository *repository, const char *prefix,
                                     struct gb_error *error);
/* What is known of it without taking it. Errors: the store's. */
bool repository_lock_look(struct repository *repository, const char *prefix,
                          struct storage_lock_state *state, struct gb_error *error);

/* Opens the manifest's data key with the repository's keys (openers); nothing to do if the backup
   is not encrypted. Before its index and its frames are read. Errors: GB_key_missing, naming the
   keys that open it; GB_bad_key; GB_corrupt_backup; those of reading. */
bool repository_unlock(struct repository *repository, struct manifest *manifest,
                       struct gb_error *error);

/* The ids of those who can open the backup, with ", " between; "" if it is not encrypted. Errors:
 * GB_corrupt_backup, those of reading. */
bool repository_recipients(struct repository *repository, const struct manifest *manifest,
                           char *out, size_t size, struct gb_error *error);
/* Changes who can open an encrypted backup: adds the recipients (may be NULL; the manifest must
   have been unlocked for them), then takes the id `without` away (may be NULL). Only keys.json is
   written. Errors: GB_repository_busy (someone else changes the backup); GB_bad_value: nobody would
   be left who can open it; GB_not_found: there is no such id; those of the storage. */
bool repository_rekey(struct repository *repository, const struct manifest *manifest,
                      const struct crypto_keys *recipients, const char *without,
                      struct gb_error *error);
/* Whether the keys that a writer needs (recipients, signer) can be loaded; ids of the recipients to
 * out. Errors: GB_bad_key. */
bool repository_check_keys(const struct repository_spec *spec, char *out, size_t size,
                           struct gb_error *error);

/* One backup being written. Holds the lock of its prefix. key: what it is sealed with if the
   repository has recipients, its identity is the backup's in any case (so it is the same in several
   repositories); NULL: one of its own. GB_store_failed if the label exists; GB_bad_key of its
   recipients and its signer. */
struct repository_backup;
struct repository_backup *repository_begin(struct repository *repository, const char *cluster,
                                           const char *label, const struct seal_key *key,
                                           struct gb_error *error);
const char *repository_backup_prefix(const struct repository_backup *backup);
/* What frames are sealed with; NULL: they are not. */
const struct seal_key *repository_backup_key(const struct repository_backup *backup);

/* The commit in its steps, for who has more than one to commit; each is followed by the next or by
   repository_abort(). prepare: writes the index (after index_finish()) and keys.json, fills the
   manifest's sums and objects from `segments` (by number), and looks whether all that it names is
   there (GB_store_failed). publish: backup.json; durable when it returns true. end: frees backup.
 */
bool repository_prepare(struct repository_backup *backup, const struct index *index,
                        struct manifest *manifest, const struct object_info *segments,
                        size_t segment_count, struct gb_error *error);
bool repository_publish(struct repository_backup *backup, const struct manifest *manifest,
                        struct gb_error *error);
void repository_end(struct repository_backup *backup);
/* Who is asked twice by repository_commit() whether the backup is still wanted: before backup.json
   is written and, for the last time, when it is there. The answer false removes all that was
   written. */
void repository_backup_ask(struct repository_backup *backup,
                           bool (*wanted)(void *context, bool last), void *context);
/* index_finish() and all steps. Frees backup. GB_store_failed if something is not there in its
   size, or if the lock is lost; GB_cancelled if it is not wanted any more. */
bool repository_commit(struct repository_backup *backup, struct index *index,
                       struct manifest *manifest, const struct object_info *segments,
                       size_t segment_count, struct gb_error *error);
/* Removes all that was written; what can't be removed is named on stderr. Frees backup. */
void repository_abort(struct repository_backup *backup);

struct verify_request {
    bool deep; /* false: presence, size and SHA-256 of each object; true: also every frame
                  decompressed, its hash, each page's checksum, and the redo parsed from C to L
                  without a gap */
    unsigned threads;
    unsigned turn, turns; /* turns 0: all of it; else of every `turns` objects and frames one, the
                             turn'th (from 0), and the redo as a whole in turn 0. The index, and
                             presence and size of all objects, are looked at each time */
    const bool *stop;     /* atomic, may be NULL: set, the check ends with GB_cancelled */
    bool *damaged; /* by place in the manifest's objects, set for each that is found bad; may be
                      NULL */
    /* Both may be NULL. report: from one thread at a time; a hint that is not the table's says
       which file it is; progress: now and then, from the thread that called, bytes read of those
       that are to be read. */
    void (*report)(void *context, const struct gb_error *problem);
    void (*progress)(void *context, uint64_t done, uint64_t total);
    void *context;
};

struct verify_report {
    uint64_t frames, bytes; /* checked, plain */
    unsigned damaged;       /* objects or frames found bad; each was named through report() */
    unsigned unverifiable;  /* files with pages that have no checksum: their frames are what was
                               read, nothing more is known */
};
/* Reads a backup back. The memory it needs does not grow with the redo. Pages of a save are not
   judged: it brings back what was there. False only if the check itself could not be done. */
bool repository_verify(struct repository *repository, const struct manifest *manifest,
                       const struct verify_request *request, struct verify_report *result,
                       struct gb_error *error);

#endif
