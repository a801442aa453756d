/*
  What the manifest says of the image: positions, LSNs, settings of the server that a restore needs,
  how long what was blocked.
*/
#ifndef GB_PLUGIN_FACTS_H
#define GB_PLUGIN_FACTS_H

#include "plugin/image.h"

/* Of an image that has been taken. */
void facts_fill(struct backup *backup, struct wire_facts *facts);

#endif
