/*
  What files are now, for items that may be looked at only while nobody changes them: the disk,
  which may hang, is asked between.
*/
#ifndef GB_PLUGIN_LOOK_H
#define GB_PLUGIN_LOOK_H

#include "plugin/files.h"

struct look
{
  struct files *files;
  bool there, anew; /* anew: stamp_aria_anew(), where `aria` was asked for */
  struct stat st;
};

typedef void look_each(struct inventory *inventory, void (*visit)(struct item *item, void *context),
                       void *context);
typedef bool look_wanted(const struct files *files, const struct item *item);

/* Visits, with a struct look, those of `each` that are wanted. aria: whether their tables were made
   anew is to be found out, too. Errors in files->error. */
void look_at(struct files *files, look_each *each, look_wanted *wanted, bool aria,
             void (*visit)(struct item *item, void *context));

#endif
