/*
  Files of the data directory, opened so that no link in it is followed.

  The directory belongs to the server's user, and a restore that goes on finds in it what that user
  could put there meanwhile: a link in the place of a database's directory would take what root
  writes to wherever it leads. The way to the data directory itself may have links, and so may the
  ways to files outside: those are the caller's to choose.
*/
#ifndef GB_AGENT_RESTORE_BENEATH_H
#define GB_AGENT_RESTORE_BENEATH_H

#include "common/error.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* open() of path, which begins with "top/"; of any other path only the last part must not be a
   link. Returns -1 with errno set: ELOOP or ENOTDIR if there is a link. */
int beneath_open(const char *top, const char *path, int flags, mode_t mode);

/* Makes a directory, if it is not there already, and sets its mode. False: errno. */
bool beneath_make_directory(const char *top, const char *path, mode_t mode);

/* All of it, at that offset. False: errno. */
bool beneath_write(int fd, const void *data, size_t size, uint64_t offset);
/* What errno says of it: GB_target_no_space or GB_target_failed, "PATH can't be WHAT". Returns
 * false. */
bool beneath_failed(struct gb_error *error, const char *path, const char *what);

#endif
