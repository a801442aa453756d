/*
  Slots filled with pieces of files. A copier belongs to one reader thread.
*/
#ifndef GB_PLUGIN_COPIER_H
#define GB_PLUGIN_COPIER_H

#include "common/space.h"
#include "plugin/channel.h"
#include "plugin/inventory.h"

#include <sys/stat.h>

/* A page that does not verify is read again so often: a floor. */
#define COPY_PAGE_TRIES    10
#define COPY_PAGE_RETRY_US 100000u

/* What all readers share. The figures are atomics; the rest does not change while threads run. */
struct copy_shared
{
  struct channel *channel;
  struct inventory *inventory;
  char datadir[1024];
  bool direct;
  struct space_info system;             /* of the first file of the system tablespace */
  uint32_t dblwr_first[2], dblwr_pages; /* doublewrite area: not copied */
  volatile bool stop;
  volatile bool window;
  volatile bool urgent; /* no rate limit: writers wait */
  bool overflow;        /* atomic: the window wanted more than the reserve */
  uint64_t bytes, slot_wait_us, throttle_wait_us; /* atomic */
};

struct copier
{
  struct copy_shared *shared;
  int slot;    /* -1: none */
  uint32_t at; /* bytes used */
  struct wire_slot *message;
  uint64_t sent; /* bytes of the extents of the file that is being copied */
  struct item_range range;
  uint8_t *scratch; /* SPACE_PAGE_SIZE_MAX, aligned */
  uint8_t *second;  /* a slot's size, aligned; made when first needed */
};

bool copier_init(struct copier *copier, struct copy_shared *shared);
void copier_free(struct copier *copier);
/* Hands the slot over, if it holds anything. */
void copier_flush(struct copier *copier);

enum copy_result
{
  COPY_DONE,
  COPY_MISSING, /* not there under that name and id */
  COPY_GONE,    /* not there, and may be */
  COPY_AGAIN,   /* stopped, no slot left in the reserve, or encrypted meanwhile: nothing was decided
                 */
  COPY_FAILED,  /* error is set: the backup fails */
};

/* Room for some 64 KiB at least in the current slot, or a new one. NULL: none to be had (stop,
 * death, reserve used up). */
uint8_t *copier_room(struct copier *copier, uint32_t *size);
/* Bytes [offset, offset+length) of the file stand at `at` in the slot. */
void copier_extent(struct copier *copier, uint32_t number, uint64_t offset, uint32_t length,
                   uint32_t at);
/* The file begins, and has ended. */
void copier_announce(struct copier *copier, const struct item *item, uint32_t number,
                     const char *path, uint32_t page_size, mode_t mode);
void copier_done(struct copier *copier, uint32_t number, uint64_t size, bool unverifiable);

void copier_path(const struct copier *copier, const char *path, char *out, size_t size);
/* Waits as the rate demands, not while writers wait. */
void copier_throttle(struct copier *copier, size_t bytes);
/* Pages without a checksum, or with one that only their key tells, and all behind the first such
   (at `first`; what lies before has been verified): of each two equal reads at least
   COPY_PAGE_RETRY_US apart (rule 14). */
bool copier_settle(struct copier *copier, int fd, uint8_t *data, uint32_t size, uint32_t first,
                   uint64_t offset, uint32_t page_size);

#endif
