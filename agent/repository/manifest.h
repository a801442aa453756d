/*
  backup.json: the manifest. Written last; its presence is what makes a backup exist. docs/format.md lists every
  key. It names no schema and no table, so that later it can stay readable where the index is encrypted.
*/
#ifndef GB_AGENT_REPOSITORY_MANIFEST_H
#define GB_AGENT_REPOSITORY_MANIFEST_H

#include "agent/repository/segment.h"
#include "common/wire.h"

#include <time.h>

#define MANIFEST_FORMAT   1
#define MANIFEST_SEAL_MAX 96u
#define MANIFEST_SAVE   "save" /* the type of an offline copy: no LSNs, no redo, no position; whether it boots nobody knows */

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
    char nonce[33];             /* random, hex: what a later incremental names its parent by */
    time_t started_at, finished_at; /* UTC */
    uint64_t checkpoint_lsn, checkpoint_end_lsn, end_lsn; /* C, E, L */
    uint8_t redo_header[WIRE_REDO_HEADER];
    uint64_t data_bytes;        /* sum of the sizes of all files */
    uint64_t read_bytes;        /* plain bytes stored in frames, without redo */
    uint64_t redo_bytes;        /* L - C */
    uint64_t stored_bytes;      /* sum of the sizes of all objects */
    uint32_t files;
    struct wire_facts facts;    /* as the plugin sent them: position, gtid, pause times, server settings */
    struct object_info *objects; /* owned; index first, then the segments by number */
    size_t object_count;
};

void manifest_free(struct manifest *manifest);
bool manifest_is_save(const struct manifest *manifest);
/* "uuid:seqno", or "" of a standalone server and of a save. */
const char *manifest_position(const struct manifest *manifest);

bool manifest_write(const struct manifest *manifest, struct storage *storage, const char *prefix,
                    struct gb_error *error);
/* Errors: GB_not_found, GB_format_newer (names both), GB_corrupt_backup: also of a text that has been changed, and of a
   manifest that belongs under another prefix. */
bool manifest_read(struct manifest *manifest, struct storage *storage, const char *prefix,
                   struct gb_error *error);
/* The end of a manifest's text (the key "sha256" and the bracket) for the size bytes before it, NUL-terminated. */
void manifest_seal(const char *text, size_t size, char seal[MANIFEST_SEAL_MAX]);
/* The same of its text, wherever it belongs; name: for messages. */
bool manifest_parse(struct manifest *manifest, const char *text, size_t size, const char *name, struct gb_error *error);

#endif
