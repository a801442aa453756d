/*
  A tablespace file, page by page. Every page is read after checkpoint C was chosen; one that does
  not verify is read again COPY_PAGE_TRIES times; then it is a hole if the extent descriptors call
  it free, else the backup fails.
*/
#ifndef GB_PLUGIN_COPY_SPACE_H
#define GB_PLUGIN_COPY_SPACE_H

#include "plugin/copier.h"

/* Reads page 0 and the TRX_SYS page of the system tablespace into shared. */
bool copy_read_system(struct copy_shared *shared, const char *path, struct gb_error *error);

/* As copy_item(). */
enum copy_result copy_space(struct copier *copier, struct item *item, uint32_t number,
                            const char *path, struct gb_error *error);

#endif
