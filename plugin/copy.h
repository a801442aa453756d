/*
  How one file gets into slots: by pages of a tablespace, by pages of an Aria table, or as it is.

  A copier belongs to one reader thread. The rules of verification are here: what happens to a page with a wrong
  checksum is in copy_space().
*/
#ifndef GB_PLUGIN_COPY_H
#define GB_PLUGIN_COPY_H

#include "common/space.h"
#include "plugin/channel.h"
#include "plugin/inventory.h"

/* What all readers share. The figures are atomics; the rest does not change while threads run. */
struct copy_shared
{
  struct channel *channel;
  struct inventory *inventory;
  char datadir[1024];
  bool direct;
  struct space_info system;               /* of the first file of the system tablespace */
  uint32_t dblwr_first[2], dblwr_pages;   /* doublewrite area: not copied */
  volatile bool stop;
  volatile bool window;
  volatile bool urgent; /* no rate limit: writers wait */
  bool overflow; /* atomic: the window wanted more than the reserve */
  uint64_t bytes, slot_wait_us, throttle_wait_us; /* atomic */
};

struct copier
{
  struct copy_shared *shared;
  int slot;            /* -1: none */
  uint32_t at;         /* bytes used */
  struct wire_slot *message;
  uint64_t sent;       /* bytes of the extents of the file that is being copied */
  struct item_range range;
  uint8_t *scratch;    /* SPACE_PAGE_SIZE_MAX, aligned */
  uint8_t *second;     /* a slot's size, aligned; made when first needed */
};

bool copier_init(struct copier *copier, struct copy_shared *shared);
void copier_free(struct copier *copier);
/* Hands the slot over, if it holds anything. */
void copier_flush(struct copier *copier);

/* Reads page 0 and the TRX_SYS page of the system tablespace into shared. */
bool copy_read_system(struct copy_shared *shared, const char *path, struct gb_error *error);

enum copy_result
{
  COPY_DONE,
  COPY_MISSING, /* not there under that name and id */
  COPY_GONE,    /* not there, and may be */
  COPY_AGAIN,   /* stopped, no slot left in the reserve, or encrypted meanwhile: nothing was decided */
  COPY_FAILED,  /* error is set: the backup fails */
};

/* Copies item (path: its path when it was taken) under that number. */
enum copy_result copy_item(struct copier *copier, struct item *item, uint32_t number, const char *path,
                           struct gb_error *error);
/* A file from memory. */
bool copy_bytes(struct copier *copier, uint8_t kind, const char *path, uint32_t mode, const void *data, uint32_t size,
                uint32_t number);

#endif
