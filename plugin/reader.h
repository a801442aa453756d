/*
  Reader threads: take a file from the inventory, read it into ring slots, verify what can be
  verified, hand the slots over. Small files share a slot.

  COPY is done by bulk readers, which get what CPU time the server's own threads leave
  (common/priority.h). While writers may be waiting (readers_urgent, readers_window) others of
  normal priority do the work, READERS_WINDOW at most; one kind stands still while the other runs.

  In the paused window readers take slots only from the reserve, which never waits (rule 3).
*/
#ifndef GB_PLUGIN_READER_H
#define GB_PLUGIN_READER_H

#include "common/space.h"
#include "plugin/channel.h"
#include "plugin/inventory.h"

/* No more copy from FLUSH on; in the window each holds a part-filled slot of the reserve. */
#define READERS_WINDOW 4u

struct readers;

struct reader_setup
{
  struct channel *channel;
  struct inventory *inventory;
  char datadir[1024];     /* with a trailing slash */
  char system_file[1024]; /* first file of the system tablespace */
  bool direct;            /* O_DIRECT where the file system can */
};

/* Reads the format of the system tablespace and the place of the doublewrite area, then starts the
   threads. Errors: GB_io_error, GB_corrupt_page, GB_no_memory. */
struct readers *readers_start(const struct reader_setup *setup, unsigned threads,
                              struct gb_error *error);
/* More or fewer bulk threads; fewer takes effect when they finish their file. */
void readers_set_threads(struct readers *readers, unsigned threads);
/* Asks them to stop; does not wait. NULL is allowed. */
void readers_quit(struct readers *readers);
/* Stops and joins. NULL is allowed. */
void readers_stop(struct readers *readers);

/* True: from now on only reserved slots. */
void readers_window(struct readers *readers, bool on);
/* True: no rate limit, and normal priority, from now on. */
void readers_urgent(struct readers *readers, bool on);
/* A part-filled slot is handed over when its reader finds no more work; this waits for that, at
 * most timeout_ms. */
bool readers_idle(struct readers *readers, unsigned timeout_ms);
/* Runs function(argument) in a reader thread as soon as one is free; one at a time: the one before
 * must have ended. */
void readers_run(struct readers *readers, void (*function)(void *argument), void *argument);
/* Whether that has ended; waits at most timeout_ms. */
bool readers_ran(struct readers *readers, unsigned timeout_ms);
/* One that has not begun will not; one that has goes on: wait for readers_ran(). */
void readers_forget_job(struct readers *readers);

/* A file whose whole content is at hand (the Aria control file); takes a slot of the pool in force.
   From a reader thread, through readers_run(). False if there was no slot. */
bool readers_emit(struct readers *readers, uint8_t kind, const char *path, const void *data,
                  uint32_t size, uint32_t number);

uint64_t readers_bytes(struct readers *readers);
/* Microseconds that readers have waited for slots, and for the rate limit, since the start. */
void readers_waits(struct readers *readers, uint64_t *slot_us, uint64_t *throttle_us);
/* True if one failed; copies the error. */
bool readers_failed(struct readers *readers, struct gb_error *error);
/* True if the window asked for more than the reserve; cleared by readers_window(). */
bool readers_overflowed(struct readers *readers);

#endif
