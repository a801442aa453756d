/* The desync of the node; see desync.h. */
#include "plugin/desync.h"
#include "plugin/progress.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define RESYNC_QUEUE 10u /* write-sets: the receive queue counts as empty below this */

/* A node that still gets what it has missed takes wsrep_desync=OFF for the end of that, and ON
 * waits for it. */
static bool settled(const struct node_state *s)
{
  return s->ready && !strcmp(s->cluster_status, "Primary") &&
         (!strcmp(s->comment, "Synced") || !strcmp(s->comment, "Donor/Desynced"));
}

bool desync_on(struct backup *b, bool mend, char reason[256])
{
  bool is_on;
  struct gb_error why = {0};
  reason[0] = '\0';
  if (!stage_node_state(b->sql, true, &b->node, &b->error) ||
      !stage_desynced(b->sql, &is_on, &b->error))
    return false;
  if (!settled(&b->node))
  {
    snprintf(reason, 256, "the node to be Synced or desynced in a Primary component (%.64s, %.64s)",
             b->node.comment, b->node.cluster_status);
    return true;
  }
  /* Set, and none counted: the node has left the cluster and joined again. Ours is set anew;
   * another's is void in the pause. */
  bool lost = b->desync_ours && is_on && !b->node.desync_count;
  if (lost && mend && stage_desync(b->sql, false, &why))
    lost = is_on = false;
  struct progress *p = progress_lock();
  p->desynced = b->desync_ours = b->desync_ours && is_on;
  progress_unlock();
  b->base_desync = is_on && !b->desync_ours && b->node.desync_count > 0;
  /* Who pauses the provider desyncs the node too, and the statement would wait for his end. */
  if (!lost && (is_on || b->node.desync_count > 0))
    return true;
  if (!lost && mend && stage_desync(b->sql, true, &why))
  {
    b->desync_ours = true;
    p = progress_lock();
    p->desynced = true;
    p->desynced_us = now_us();
    p->resynced_us = 0;
    snprintf(p->resync, sizeof p->resync, "waiting");
    progress_unlock();
    return stage_node_state(b->sql, true, &b->node, &b->error);
  }
  if (why.code == GB_server_shutdown)
    error_copy(&b->error, &why);
  snprintf(reason, 256, "the node to be desynced again%s%.200s", why.code ? ": " : "",
           why.code ? why.what : "");
  return !b->error.code;
}

static void note_resync(const char *how)
{
  struct progress *p = progress_lock();
  p->desynced = false;
  p->resynced_us = now_us();
  snprintf(p->resync, sizeof p->resync, "%s", how);
  progress_unlock();
}

/* The plugin is being uninstalled: in a cluster by a statement in total order isolation, so nothing
   is applied before we have left and the receive queue can't become shorter. Atomic. */
static bool leaving;

void desync_leaving(bool yes)
{
  __atomic_store_n(&leaving, yes, __ATOMIC_RELAXED);
}

bool desync_step_off(struct backup *b, uint64_t until_us)
{
  if (!b->desync_ours)
    return true;
  if (server_stopping())
  {
    b->desync_ours = false;
    note_resync("shutdown");
    return true;
  }
  struct gb_error ignored = {0};
  struct node_state s;
  bool late = now_us() > until_us || __atomic_load_n(&leaving, __ATOMIC_RELAXED);
  if (!stage_node_state(b->sql, b->galera, &s, &ignored))
    return false;
  struct progress *p = progress_lock();
  p->recv_queue = s.recv_queue;
  if (s.recv_queue > p->recv_queue_max)
    p->recv_queue_max = s.recv_queue;
  progress_unlock();
  if (s.recv_queue > RESYNC_QUEUE && !late)
    return false;
  if (!settled(&s) || !stage_desync(b->sql, false, &ignored))
    return false; /* not Primary, or still joining: again until it is accepted or the server stops
                   */
  b->desync_ours = false;
  if (late)
    backup_warn(b, GB_queue_not_empty, "resync_timeout passed with %" PRIu64 " write-sets queued",
                s.recv_queue);
  note_resync(late ? "timeout" : "done");
  return true;
}
