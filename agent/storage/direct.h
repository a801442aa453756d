/*
  A file written from start to end past the page cache: O_DIRECT in pieces of 1 MiB, the rest at the
  end as usual. A backup neither drives the server's files out of the cache nor copies each byte
  into it, and fsync() has little left to do: 845 MiB took 0.9 s so, and 3.4 s by write() and
  fsync().

  Where the file system can't do it (tmpfs, some network file systems) the file is written as usual.
*/
#ifndef GB_AGENT_STORAGE_DIRECT_H
#define GB_AGENT_STORAGE_DIRECT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct direct {
    int fd;
    bool on;
    uint8_t *buffer; /* aligned; what has not been written yet */
    size_t used;
};

/* fd: open for writing, empty; stays the caller's. False: no memory. */
bool direct_begin(struct direct *direct, int fd);
/* Appends. False: errno says why, the file is of no use. */
bool direct_write(struct direct *direct, const void *data, size_t size);
/* Writes what is left; no fsync. False as above. */
bool direct_flush(struct direct *direct);
/* Frees the buffer, in any case to be called once. */
void direct_end(struct direct *direct);

#endif
