/*
  A file that is no tablespace, as it is; of an Aria table that changes meanwhile, page by page
  until each is whole.
*/
#ifndef GB_PLUGIN_COPY_FILE_H
#define GB_PLUGIN_COPY_FILE_H

#include "plugin/copier.h"

/* As copy_item(). */
enum copy_result copy_file(struct copier *copier, struct item *item, uint32_t number,
                           const char *path, struct gb_error *error);

#endif
