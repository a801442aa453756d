/*
  How one file gets into slots: by pages of a tablespace, by pages of an Aria table, or as it is.

  What happens to a page with a wrong checksum is in copy_space.c.
*/
#ifndef GB_PLUGIN_COPY_H
#define GB_PLUGIN_COPY_H

#include "plugin/copier.h"

/* Copies item (path: its path when it was taken) under that number. */
enum copy_result copy_item(struct copier *copier, struct item *item, uint32_t number,
                           const char *path, struct gb_error *error);
/* A file from memory. */
bool copy_bytes(struct copier *copier, uint8_t kind, const char *path, uint32_t mode,
                const void *data, uint32_t size, uint32_t number);

#endif
