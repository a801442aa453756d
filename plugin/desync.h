/*
  The desync of the node: set for the backup, mended where it is lost, undone once the receive queue
  is empty.
*/
#ifndef GB_PLUGIN_DESYNC_H
#define GB_PLUGIN_DESYNC_H

#include "plugin/image.h"

/* Desyncs the node unless it is, by us or somebody else; again (mend; not while FLUSH is held, as
   it may wait) where that has ended since: SET GLOBAL wsrep_desync=OFF, an RSU ALTER, FLUSH TABLES
   WITH READ LOCK, a state transfer; or where the node has left the cluster and joined again. Sets
   node, desync_ours, base_desync. reason: what is to be waited for first, "" if nothing. False:
   backup->error is set. */
bool desync_on(struct backup *backup, bool mend, char reason[256]);
/* One step towards Synced: true when nothing more is to be done. until_us: the deadline for the
 * receive queue. */
bool desync_step_off(struct backup *backup, uint64_t until_us);

/* The plugin is being uninstalled: the receive queue is waited for no more. */
void desync_leaving(bool yes);

#endif
