/*
  The watch over a running backup: reasons to stop, figures for status and agent, the pace of the
  readers. All of it is done by backup_tick() (image.h), which whoever waits calls; what else is
  here is for the moments in between. The coordinator's thread alone uses this.
*/
#ifndef GB_PLUGIN_WATCH_H
#define GB_PLUGIN_WATCH_H

#include "plugin/image.h"

/* What status shows as waited for; "": nothing. */
void watch_waiting_for(const char *what);
/* stage NULL: the one that is shown. */
void watch_tell_agent(struct backup *backup, const char *stage);
/* Figures now, not when a second has passed. May set backup->error. */
void watch_sample(struct backup *backup);
/* Before the first COPY, so that its first steps know what the server does without us. */
void watch_first_look(struct backup *backup);
/* COPY has ended: what is copied from now on is waited for. */
void watch_end_pace(struct backup *backup);

#endif
