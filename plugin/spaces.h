/*
  Which tablespaces there are, as InnoDB tells: it lists those that are open, and at a start of the
  server most are not; the others are in its dictionary.
*/
#ifndef GB_PLUGIN_SPACES_H
#define GB_PLUGIN_SPACES_H

#include "plugin/image.h"

/* Adds the files of the system tablespace to the inventory: innodb_data_file_path,
   "name:size[;name:size...][:autoextend]". first: path of the first. False: backup->error is set.
 */
bool spaces_add_system(struct backup *backup, char *first, size_t first_size);

/* Adds those that are open to the inventory, the others to files->unopened, for unopened_find().
 * False: backup->error is set. */
bool spaces_list(struct backup *backup);

#endif
