/*
  backup.json: the manifest. Written last; its presence is what makes a backup exist. docs/format.md
  lists every key. It names no schema and no table, so that it stays readable where the index is
  encrypted.
*/
#ifndef GB_AGENT_REPOSITORY_MANIFEST_H
#define GB_AGENT_REPOSITORY_MANIFEST_H

#include "agent/crypto/key.h"
#include "agent/repository/segment.h"
#include "common/wire.h"

#include <time.h>

#define MANIFEST_FORMAT   1
#define MANIFEST_SEAL_MAX 96u
#define MANIFEST_SAVE                                                                              \
    "save" /* the type of an offline copy: no LSNs, no redo, no position; whether it boots nobody  \
              knows */

struct manifest_encryption {
    bool on;
    bool unlocked;     /* key is set: see repository_unlock() */
    char key_ids[512]; /* who could open it when it was written or unlocked; "": not known */
    char opened_with[KEY_ID_MAX];   /* the recipient whose key it was */
    uint8_t check[SEAL_CHECK_SIZE]; /* of the data key: seal_key_check() */
    struct seal_key key;            /* its identity is the manifest's nonce */
};

struct manifest {
    unsigned format;
    char id[WIRE_ID_MAX];
    char cluster[WIRE_NAME_MAX];
    char type[16];
    char node[WIRE_NAME_MAX];
    char server_version[WIRE_NAME_MAX];
    char agent_version[WIRE_NAME_MAX];
    char comment[WIRE_TEXT_MAX];
    char user[WIRE_NAME_MAX];
    char nonce[33];                 /* random, hex: what a later incremental names its parent by */
    time_t started_at, finished_at; /* UTC */
    uint64_t checkpoint_lsn, checkpoint_end_lsn, end_lsn; /* C, E, L */
    uint8_t redo_header[WIRE_REDO_HEADER];
    uint64_t data_bytes;   /* sum of the sizes of all files */
    uint64_t read_bytes;   /* plain bytes stored in frames, without redo */
    uint64_t redo_bytes;   /* L - C */
    uint64_t stored_bytes; /* sum of the sizes of all objects */
    uint32_t files;
    struct wire_facts
        facts; /* as the plugin sent them: position, gtid, pause times, server settings */
    struct manifest_encryption encryption;
    char signer[KEY_ID_MAX]; /* the id of the key that signed it, as the manifest says; "": nobody
                                did */
    struct object_info *objects; /* owned; index first, then the segments by number */
    size_t object_count;
};

/* Wipes the key, too. */
void manifest_free(struct manifest *manifest);
/* What its frames and its index are sealed with, NULL if they are not. Of an encrypted one
 * repository_unlock() comes first. */
const struct seal_key *manifest_key(const struct manifest *manifest);
bool manifest_is_save(const struct manifest *manifest);
/* "uuid:seqno", or "" of a standalone server and of a save. */
const char *manifest_position(const struct manifest *manifest);
/* The GTID position, without the facts (KEY, KEY+2, ...) that would make it longer than max bytes;
   "" where there was none. free() it; NULL: no memory. */
char *manifest_gtid(const struct manifest *manifest, size_t max);

/* signer: an Ed25519 key; NULL: it is not signed. */
bool manifest_write(const struct manifest *manifest, struct storage *storage, const char *prefix,
                    const struct crypto_key *signer, struct gb_error *error);
/* Whether there is one, and so a backup. Errors: GB_not_found, those of storage_size(). */
bool manifest_exists(struct storage *storage, const char *prefix, struct gb_error *error);
/* trusted: who must have signed it; NULL or empty: nobody need have.
   Errors: GB_not_found, GB_format_newer (names both), GB_untrusted_backup, GB_corrupt_backup: also
   of a text that has been changed, and of a manifest that belongs under another prefix. */
bool manifest_read(struct manifest *manifest, struct storage *storage, const char *prefix,
                   const struct crypto_keys *trusted, struct gb_error *error);
/* The end of a manifest's text (the key "sha256" and the bracket) for the size bytes before it,
 * NUL-terminated. */
void manifest_seal(const char *text, size_t size, char seal[MANIFEST_SEAL_MAX]);
/* The same of its text, wherever it belongs; name: for messages. */
bool manifest_parse(struct manifest *manifest, const char *text, size_t size, const char *name,
                    const struct crypto_keys *trusted, struct gb_error *error);

#endif
