/*
  What is asked of the data directory, where names come and go: what is not there any more is no
  error; all else is (GB_io_error), so that nothing unread passes for gone. For reader threads: it
  asks the disk.
*/
#ifndef GB_PLUGIN_DISK_H
#define GB_PLUGIN_DISK_H

#include "common/error.h"

#include <dirent.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

#define DISK_HEAD_SIZE 4096u
#define DISK_ALIGNMENT 4096u /* of O_DIRECT: offsets, sizes, memory */

/* stat(). False: not there, or an error. */
bool disk_is_there(const char *path, struct stat *st, struct gb_error *error);
/* readdir(). path: of the directory. NULL: no more, or an error. */
struct dirent *disk_next_entry(DIR *directory, const char *path, struct gb_error *error);
/* After a call that failed: sets the error unless errno says that path is gone. */
void disk_unless_gone(const char *path, struct gb_error *error);
/* The first bytes of a file, and (st, unless NULL) what it is; how many, -1: errno says why not. */
ssize_t disk_head(const char *path, uint8_t head[DISK_HEAD_SIZE], struct stat *st);

/* For reading. direct: with O_DIRECT, where the file system can. */
int disk_open(const char *path, bool direct);
/* pread() until size or end of file; -1 on error. */
ssize_t disk_read(int fd, void *data, size_t size, uint64_t offset);
/* The same out of the page cache if all of it is there, else past it. A small file costs less so,
 * and none is brought in. */
ssize_t disk_read_cached(int fd, void *data, size_t size, uint64_t offset);
uint32_t disk_align(uint32_t size);

bool disk_ends_with(const char *path, const char *suffix);
/* Whether a directory of this name is no database. */
bool disk_skips(const char *name);

#endif
