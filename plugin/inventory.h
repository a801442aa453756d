/*
  What there is to copy: InnoDB's own list of tablespaces, kept true by the FILE_* records that the
  follower reads, and the files of everything else.

  A tablespace is known by its space id, never by its path (rule 13): records applied in the order
  of the log leave the path that it has at L, whatever the scan saw in between. A file of another
  kind is known by its path.

  Readers take items and say how it went; the coordinator waits for the queue to run empty and asks
  what is left. One mutex guards all of it and is never held across I/O or messages.
*/
#ifndef GB_PLUGIN_INVENTORY_H
#define GB_PLUGIN_INVENTORY_H

#include "common/error.h"
#include "plugin/follower.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

enum item_class
{
  ITEM_SPACE,       /* a tablespace file: from COPY on, pages verified */
  ITEM_DEFINITION,  /* .frm and friends, written by DDL alone: COPY, checked again in FLUSH and by
                       ddl.log */
  ITEM_ARIA_ONLINE, /* transactional Aria: COPY, pages verified, made right by Aria's log */
  ITEM_CLOSED,      /* MyISAM, CSV, Archive, MERGE, other Aria: after FLUSH, when not in use */
  ITEM_LOG_TABLE,   /* mysql.general_log and the like: under BLOCK_COMMIT */
  ITEM_ARIA_LOG,    /* aria_log.NNNNNNNN: under BLOCK_COMMIT */
  ITEM_DIRECTORY,   /* a database's directory: no bytes */
  ITEM_CLASSES
};

enum item_state
{
  ITEM_IDLE, /* known, not to be copied now */
  ITEM_QUEUED,
  ITEM_BUSY,    /* a reader has it */
  ITEM_COPIED,  /* the copy numbered file_no is good so far */
  ITEM_MISSING, /* could not be opened under this name and id; right only if the log says why (rule
                   13) */
  ITEM_GONE,    /* dropped, renamed away, or never was */
  ITEM_STATES
};

struct item_stamp /* of a file, taken before its copy began; ITEM_ARIA_ONLINE: of the table's .MAI
                   */
{
  ino_t inode;
  off_t size;
  struct timespec mtime, ctime, read_at;
  uint64_t created,
      skip_redo; /* ITEM_ARIA_ONLINE: struct aria_table's; 0: the table was being made */
};

struct item
{
  enum item_class class;
  uint8_t kind; /* enum wire_file_kind */
  enum item_state state;
  bool again;     /* changed while a reader had it: copy once more */
  bool discarded; /* BUSY when the copies of its kind were discarded: the one under way counts for
                     nothing */
  bool dropped;   /* its FILE_DELETE has been read, or a scan or ddl.log said so */
  bool seen;      /* by the scan under way */
  bool in_use;    /* ITEM_CLOSED: open in some session */
  bool shrunk;    /* undo: shorter than it was; right only with `trimmed` */
  bool trimmed;   /* undo: the log holds its truncation */
  bool created;   /* the log holds its FILE_CREATE, or the making of its first page */
  bool unwritten; /* nothing of it was on disk: right only with `created` */
  bool view;      /* a .frm that defines a view, as far as it has been copied */
  uint8_t engine; /* one that defines a table: the number that its engine has there; 0: none */
  bool back;      /* named again after its FILE_DELETE, and not found since */
  bool unopened;  /* known from the dictionary and the file's first page alone: perhaps it waits for
                     an IMPORT */
  uint32_t space_id;
  uint32_t first_page; /* of this file, in a system tablespace of several */
  uint32_t file_no;    /* of the copy announced to the agent, 0: none */
  uint64_t size;       /* bytes, when last looked at: for the order and the estimate */
  uint64_t left;       /* of it still to be read while it is copied; 0: not known */
  uint64_t from,
      upto;      /* ITEM_ARIA_LOG, and ITEM_LOG_TABLE unless upto is 0: byte range to read next */
  bool more;     /* of these: another range follows, the file is not done */
  uint64_t sent; /* bytes of the ranges that were copied; the reader's that has it */
  unsigned tries;
  uint64_t dropped_at; /* number of the event */
  struct item_stamp stamp;
  char *path;      /* relative to the data directory, or absolute */
  char *announced; /* path under which file_no was announced */
  size_t heap_at;  /* the inventory's own, as the rest */
  uint64_t queued_bytes;
  struct item *next_hash, *next_path, *next, *next_table;
  bool is_table; /* in the list of tables */
};

struct inventory;

struct inventory *inventory_new(void);
void inventory_free(struct inventory *inventory);

/* A relative path without "./" and "//", as the agent wants it: absolute only if outside datadir
 * (which ends in /). */
void inventory_clean_path(char *out, size_t size, const char *path, const char *datadir);

/* Adds a tablespace from InnoDB's list (or the configuration: system tablespace) and queues it. */
void inventory_add_space(struct inventory *inventory, uint8_t kind, uint32_t space_id,
                         uint32_t first_page, const char *path, uint64_t size);
/* Before each query of that list: a row of it brings back a tablespace only if its FILE_DELETE was
 * read before. */
void inventory_list_begin(struct inventory *inventory);
/* From here on records are applied; those that came before are applied now. */
void inventory_list_complete(struct inventory *inventory);
/* A follower_sink. */
void inventory_event(void *inventory, const struct follower_event *event);

/* The item of that path that is not a tablespace, made if it is new. */
struct item *inventory_file(struct inventory *inventory, enum item_class class, uint8_t kind,
                            const char *path);
/* For the estimate: how much of an item that is being copied is still to be read. */
void inventory_note_left(struct inventory *inventory, struct item *item, uint64_t bytes);
bool inventory_is_space_path(struct inventory *inventory, const char *path);
/* The tablespaces that the log has deleted, and of whose path nothing here is: if there is such a
   file, an IMPORT without a record has brought it back. *last: NULL at first. False: no more; else
   path is the next one's. */
bool inventory_deleted(struct inventory *inventory, const struct item **last, char *path,
                       size_t size);
/* Whether there is an item of that id, dropped or not. */
bool inventory_has_space(struct inventory *inventory, uint32_t space_id);
/* Adds a tablespace that is in the dictionary and not open, unless its id is known; the first
   record that names it has it copied again, for an IMPORT writes none of its pages to the log. */
void inventory_add_unopened(struct inventory *inventory, uint32_t space_id, const char *path,
                            uint64_t size);
/* How many tablespaces were left out since the last call, not there any more, that nobody had
   opened or that the log had deleted; path: the first one's. */
unsigned inventory_left_out(struct inventory *inventory, char *path, size_t size);
/* The item of that path, not a tablespace and not gone; NULL if there is none. */
struct item *inventory_find_file(struct inventory *inventory, const char *path);
/* A scan has seen the file: one that was gone is back, to be copied when the time of its class
 * comes. */
void inventory_found(struct inventory *inventory, struct item *item);
/* Locks for a walk over all items that are not tablespaces; visit may change state. Newly found
   items are appended and are not visited. */
void inventory_each_file(struct inventory *inventory,
                         void (*visit)(struct item *item, void *context), void *context);

/* The same for all that have ever been ITEM_CLOSED or ITEM_LOG_TABLE. */
void inventory_each_table(struct inventory *inventory,
                          void (*visit)(struct item *item, void *context), void *context);
/* The same for tablespaces that nobody has opened and .ibd files that are none yet: what an IMPORT
 * may write. */
void inventory_each_cold(struct inventory *inventory,
                         void (*visit)(struct item *item, void *context), void *context);
/* The same for one item, if it still has that path. */
void inventory_visit(struct inventory *inventory, struct item *item, const char *path,
                     void (*visit)(struct item *item, void *context), void *context);
/* In a visit alone: the state of an item. */
void inventory_set_state(struct inventory *inventory, struct item *item, enum item_state state);
/* In a visit alone: marks for copying. An item that is busy is copied again after. */
void inventory_requeue(struct inventory *inventory, struct item *item);

/* Marks for copying. An item that is busy is copied again after. */
void inventory_queue(struct inventory *inventory, struct item *item);
void inventory_gone(struct inventory *inventory, struct item *item);

/* The largest queued item, BUSY from now on; NULL if there is none within wait_ms. *number is a
 * fresh file number. */
struct item *inventory_take(struct inventory *inventory, unsigned wait_ms, uint32_t *number);
/* How it went. state: ITEM_COPIED, ITEM_MISSING or ITEM_GONE; announced: the path that the agent
   was told. Returns false if this copy must be dropped (changed meanwhile, or gone); *replaced is
   the number of an older copy that this one takes the place of, or 0. */
bool inventory_done(struct inventory *inventory, struct item *item, uint32_t number,
                    const char *announced, enum item_state state, uint32_t *replaced);
/* Takes an item out of turn: BUSY, with a fresh number. False if a reader has it. */
bool inventory_number(struct inventory *inventory, struct item *item, uint32_t *number);
/* Gives an item back as it was taken (window with no room, stop). */
void inventory_put_back(struct inventory *inventory, struct item *item);
/* Path of an item, now. */
void inventory_path(struct inventory *inventory, const struct item *item, char *out, size_t size);
/* Of an item that is read in ranges: what is to be read of it, as of now; else all zero. further: a
 * copy of it has begun and goes on. */
struct item_range
{
  uint64_t from, upto;
  bool more, further;
};
struct item_range inventory_range(struct inventory *inventory, const struct item *item,
                                  uint32_t *number);
void inventory_note_shrunk(struct inventory *inventory, struct item *item);
void inventory_note_unwritten(struct inventory *inventory, struct item *item);
void inventory_note_size(struct inventory *inventory, struct item *item, uint64_t bytes);

struct inventory_load
{
  unsigned queued, busy, missing;
  uint64_t queued_bytes;
  char largest[256]; /* path of the largest queued */
};
void inventory_load(struct inventory *inventory, struct inventory_load *load);
/* Bytes of the .ibd files that are queued or being copied. */
uint64_t inventory_space_bytes(struct inventory *inventory);
/* Whether tablespaces may be imported (true at first). Where not, and no IMPORT has come since the
   copy, the first record of one that nobody had opened says no more than that somebody writes to
   it: it is not copied again. */
void inventory_imports(struct inventory *inventory, bool possible);
/* Right before L is read: nothing is taken from here on, and events wait, for the follower may read
   beyond L before it is told where that is. False, and nothing changed, if something is still to be
   copied. */
bool inventory_close(struct inventory *inventory);
/* Queues MISSING items once more; false, naming it, if one has been tried max_tries times. */
bool inventory_retry_missing(struct inventory *inventory, unsigned max_tries,
                             struct gb_error *error);
/* Forgets all copies that are not tablespaces (rule 1), those under way too; calls drop for each
 * number. */
void inventory_discard_files(struct inventory *inventory,
                             void (*drop)(uint32_t file_no, void *context), void *context);

/* What is told of the image when it is final; file_no as announced. */
struct inventory_image
{
  void *context;
  void (*drop)(uint32_t file_no, void *context); /* a copy that is not part of it */
  void (*rename)(uint32_t file_no, const char *path, void *context); /* the name has changed */
  /* A tablespace that was made after inventory_close(): nothing of it is copied, recovery fills it
     out of the redo. A file of zeros at its place makes sure of that: without one, not every
     release makes the file. */
  void (*create)(uint32_t file_no, uint32_t space_id, const char *path, void *context);
};

/* After all below L, `end`, has been read: applies what events have come since inventory_close()
   from there. False, naming it, if a tablespace of the image has no good copy or a truncation is
   not explained; or if at some time there was no memory for what had to be noted (GB_no_memory). */
bool inventory_finish(struct inventory *inventory, uint64_t end,
                      const struct inventory_image *image, struct gb_error *error);

#endif
