/*
  The messages between plugin and agent over the Unix stream socket: reader and writer of each in
  one place. docs/protocol.md describes them for people.

  Frame: u32 length of the payload, u16 type, u16 zero; then the payload. Integers big-endian,
  strings u16 length and bytes (bytes.h). A payload longer than WIRE_PAYLOAD_MAX, a type that is not
  known, a payload that is too short or has bytes left over is a protocol error and ends the backup.

  Order. plugin: HELLO; agent: WELCOME or ERROR. Then one conversation:
    check:  CHECK -> CHECKED
    hold:   HOLD -> HELD or ERROR
    backup: START -> READY or ERROR; RING (with the memfd), REDO; then FILE, SLOT, FILE_DONE,
  FILE_DROP, FILE_NAME, LOG, PROGRESS in any order in which a FILE comes before what names it; at
  last either FINISH -> COMMITTED or ERROR, or ABORT. RESYNCED may come before or after COMMITTED.
            The agent sends FREE, PROGRESS (at least once a second, its sign of life) and WARNING at
  any time and may send ERROR at any time: it then discards the backup. End of file on either side
  before COMMITTED ends the backup as failed.
*/
#ifndef GB_COMMON_WIRE_H
#define GB_COMMON_WIRE_H

#include "common/bytes.h"
#include "common/error.h"

#define WIRE_VERSION_MIN 1u
#define WIRE_VERSION_MAX 1u
#define WIRE_HEADER_SIZE 8u
#define WIRE_PAYLOAD_MAX (256u << 10)
#define WIRE_EXTENTS_MAX 4096u
#define WIRE_FACTS_MAX   128u
#define WIRE_FREE_MAX    256u

#define WIRE_NAME_MAX    256u /* node, cluster, version, key of a fact: bytes with NUL */
#define WIRE_ID_MAX      64u
#define WIRE_UUID_MAX    64u
#define WIRE_HOLD_MAX    32u
#define WIRE_PATH_MAX    4096u
#define WIRE_TEXT_MAX    1024u
#define WIRE_JSON_MAX    8192u
#define WIRE_REDO_HEADER 512u

enum wire_type {
    /* plugin to agent */
    WIRE_HELLO = 1,
    WIRE_START = 2,
    WIRE_RING = 3,
    WIRE_REDO = 4,
    WIRE_FILE = 5,
    WIRE_SLOT = 6,
    WIRE_FILE_DONE = 7,
    WIRE_FILE_DROP = 8,
    WIRE_FILE_NAME = 9,
    WIRE_LOG = 10,
    WIRE_NODE_PROGRESS = 11,
    WIRE_FINISH = 12,
    WIRE_ABORT = 13,
    WIRE_RESYNCED = 14,
    WIRE_CHECK = 15,
    WIRE_HOLD = 16,
    /* agent to plugin */
    WIRE_WELCOME = 64,
    WIRE_READY = 65,
    WIRE_ERROR = 66,
    WIRE_FREE = 67,
    WIRE_PROGRESS = 68,
    WIRE_COMMITTED = 69,
    WIRE_CHECKED = 70,
    WIRE_WARNING = 71,
    WIRE_HELD = 72,
};

struct wire_hello {
    uint16_t version_min, version_max;
    char server_version[WIRE_NAME_MAX]; /* "10.11.19-MariaDB" */
    char node[WIRE_NAME_MAX];           /* wsrep_node_name, else hostname */
    char cluster[WIRE_NAME_MAX];        /* wsrep_cluster_name, "" on a standalone server */
};

struct wire_welcome {
    uint16_t version;
    char agent_version[WIRE_NAME_MAX];
};

struct wire_start {
    char id[WIRE_ID_MAX];             /* the label */
    char type[16];                    /* "full" */
    char repositories[WIRE_TEXT_MAX]; /* names separated by commas; "" = the agent's default */
    char comment[WIRE_TEXT_MAX];
    char user[WIRE_NAME_MAX];         /* USER() of the caller */
    char cluster_uuid[WIRE_UUID_MAX]; /* wsrep_cluster_state_uuid; "" of a standalone server */
    char hold[WIRE_HOLD_MAX];         /* "": none; "forever", or until when: YYYY-MM-DDTHH:MM:SSZ */
    char verify[8]; /* "", "none", "quick" or "deep": how it is read back before COMMITTED */
};

struct wire_ready {
    char repositories[WIRE_JSON_MAX]; /* JSON array: name, type, free_bytes */
};

struct wire_error {
    uint16_t code; /* enum gb_code */
    char what[GB_ERROR_TEXT_MAX];
    char hint[GB_ERROR_HINT_MAX];
};

struct wire_ring {
    uint32_t slot_size; /* bytes */
    uint32_t page_slots;
    uint32_t redo_slots;
};

struct wire_redo {
    uint64_t checkpoint_lsn; /* C: redo byte at lsn stands at offset lsn - C of file 0 */
    uint64_t end_lsn;        /* E */
    uint8_t header[WIRE_REDO_HEADER];
};

enum wire_file_kind {
    WIRE_KIND_SYSTEM = 1, /* a file of the system tablespace */
    WIRE_KIND_UNDO = 2,
    WIRE_KIND_TABLESPACE = 3,
    WIRE_KIND_ARIA_CONTROL = 4,
    WIRE_KIND_ARIA_LOG = 5,
    WIRE_KIND_ARIA = 6,      /* .MAI, .MAD */
    WIRE_KIND_OTHER = 7,     /* .frm, MyISAM, CSV, ... */
    WIRE_KIND_DIRECTORY = 8, /* a database's directory: path only */
};

#define WIRE_FILE_REDO 0u /* file_no of the redo bytes; never announced with WIRE_FILE */

struct wire_file {
    uint32_t file_no; /* > 0, never reused within a backup: a file read again gets a new number */
    uint8_t kind;
    uint32_t space_id;        /* InnoDB only, else 0xFFFFFFFF */
    uint32_t page_size;       /* bytes; 0 if not InnoDB */
    uint32_t mode;            /* permission bits */
    char path[WIRE_PATH_MAX]; /* relative to the data directory, without "./"; absolute if elsewhere
                               */
};

struct wire_extent {
    uint32_t file_no;
    uint64_t offset; /* bytes from the start of the file (redo: LSN - C) */
    uint32_t length; /* bytes, > 0 */
    uint32_t at;     /* bytes from the start of the slot */
};

struct wire_slot {
    uint32_t slot;
    uint32_t count;
    struct wire_extent extents[WIRE_EXTENTS_MAX];
};

struct wire_file_done {
    uint32_t file_no;
    uint64_t size;        /* bytes of the file: what no extent covers is a hole of zeros */
    uint8_t unverifiable; /* 1: holds pages without a checksum */
    uint64_t sent;        /* bytes of all its extents, in whatever order they come */
};

struct wire_file_no { /* FILE_DROP */
    uint32_t file_no;
};

struct wire_file_name {
    uint32_t file_no;
    char path[WIRE_PATH_MAX];
};

struct wire_log {
    uint8_t level; /* 0 note, 1 warning, 2 error */
    char stage[32];
    char message[WIRE_TEXT_MAX];
};

struct wire_node_progress { /* for the catalog row of a running backup */
    char stage[32];
    uint64_t bytes_total, bytes_done, redo_bytes;
    uint32_t percent, eta_s;
};

struct wire_fact {
    char key[WIRE_NAME_MAX];
    char value[WIRE_TEXT_MAX];
};

/* FINISH, RESYNCED: what goes into manifest and catalog. Keys: docs/protocol.md. Numbers as decimal
 * text. */
struct wire_facts {
    uint32_t count;
    struct wire_fact fact[WIRE_FACTS_MAX];
};

struct wire_abort {
    uint8_t cancelled; /* 1: asked for; 0: failed */
    uint16_t code;
    char what[GB_ERROR_TEXT_MAX];
    char hint[GB_ERROR_HINT_MAX];
};

struct wire_check {
    char repositories[WIRE_TEXT_MAX];
    uint64_t bytes_estimate;          /* of the server's data, about */
    uint64_t datadir_device;          /* st_dev of the data directory; 0: not known */
    char cluster_uuid[WIRE_UUID_MAX]; /* as in START */
};

struct wire_hold {
    char id[WIRE_ID_MAX];             /* of a backup */
    char until[WIRE_HOLD_MAX];        /* as in START; "": it is released */
    char cluster_uuid[WIRE_UUID_MAX]; /* as in START */
};

struct wire_held {
    char until[WIRE_HOLD_MAX]; /* as it is now */
};

struct wire_checked {
    uint32_t count;
    struct {
        char check[64];
        char result[8]; /* OK, WARN, FAIL */
        char detail[WIRE_TEXT_MAX];
        char remedy[WIRE_TEXT_MAX];
    } row[32];
};

struct wire_free {
    uint32_t count;
    uint32_t slot[WIRE_FREE_MAX];
};

struct wire_progress {
    uint64_t bytes_stored;
    uint64_t store_rate; /* bytes a second, lately */
    uint8_t bottleneck;  /* 0 unknown, 1 cpu, 2 store: what the agent's workers wait for */
    uint8_t redo_full; /* bool: sealed redo has half of the memory that it may have, and no spool */
    char repositories[WIRE_JSON_MAX]; /* JSON array: name, state, bytes, error */
};

struct wire_committed {
    uint64_t bytes_stored;
    char repositories[WIRE_JSON_MAX];
};

struct wire_warning {
    char text[WIRE_TEXT_MAX];
};

/* A payload writer and reader for each message. put: false if it does not fit (w->failed). get:
   false, and GB_protocol in error, if the payload is not exactly one such message. */
#define WIRE_MESSAGES(X)                                                                           \
    X(hello, WIRE_HELLO, struct wire_hello)                                                        \
    X(start, WIRE_START, struct wire_start)                                                        \
    X(ring, WIRE_RING, struct wire_ring)                                                           \
    X(redo, WIRE_REDO, struct wire_redo)                                                           \
    X(file, WIRE_FILE, struct wire_file)                                                           \
    X(slot, WIRE_SLOT, struct wire_slot)                                                           \
    X(file_done, WIRE_FILE_DONE, struct wire_file_done)                                            \
    X(file_drop, WIRE_FILE_DROP, struct wire_file_no)                                              \
    X(file_name, WIRE_FILE_NAME, struct wire_file_name)                                            \
    X(log, WIRE_LOG, struct wire_log)                                                              \
    X(node_progress, WIRE_NODE_PROGRESS, struct wire_node_progress)                                \
    X(finish, WIRE_FINISH, struct wire_facts)                                                      \
    X(abort, WIRE_ABORT, struct wire_abort)                                                        \
    X(resynced, WIRE_RESYNCED, struct wire_facts)                                                  \
    X(check, WIRE_CHECK, struct wire_check)                                                        \
    X(hold, WIRE_HOLD, struct wire_hold)                                                           \
    X(held, WIRE_HELD, struct wire_held)                                                           \
    X(welcome, WIRE_WELCOME, struct wire_welcome)                                                  \
    X(ready, WIRE_READY, struct wire_ready)                                                        \
    X(error, WIRE_ERROR, struct wire_error)                                                        \
    X(free, WIRE_FREE, struct wire_free)                                                           \
    X(progress, WIRE_PROGRESS, struct wire_progress)                                               \
    X(committed, WIRE_COMMITTED, struct wire_committed)                                            \
    X(checked, WIRE_CHECKED, struct wire_checked)                                                  \
    X(warning, WIRE_WARNING, struct wire_warning)

#define WIRE_DECLARE(name, type, shape)                                                            \
    bool wire_put_##name(struct bytes_writer *w, const shape *message);                            \
    bool wire_get_##name(const uint8_t *payload, size_t size, shape *message,                      \
                         struct gb_error *error);
WIRE_MESSAGES(WIRE_DECLARE)
#undef WIRE_DECLARE

/* The frame's header. get: GB_protocol if the length is above WIRE_PAYLOAD_MAX or the reserved
 * field not 0. */
void wire_put_header(uint8_t out[WIRE_HEADER_SIZE], enum wire_type type, size_t payload_size);
bool wire_get_header(const uint8_t in[WIRE_HEADER_SIZE], uint16_t *type, uint32_t *payload_size,
                     struct gb_error *error);

/* Adds a row; one that is too many is left out, texts are cut. result: OK, WARN or FAIL. */
void wire_add_check(struct wire_checked *rows, const char *check, const char *result,
                    const char *detail, const char *remedy);

/* Value of a fact, or "" if it is not there. */
const char *wire_fact(const struct wire_facts *facts, const char *key);
/* What is too long for one fact stands in several: KEY, KEY+2, KEY+3, ... Part 1 is KEY's. */
const char *wire_fact_part(const struct wire_facts *facts, const char *key, unsigned part);
/* Adds a fact; false if the table is full, or the key or the value too long. */
bool wire_add_fact(struct wire_facts *facts, const char *key, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
