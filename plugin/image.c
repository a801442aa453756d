/* The crash image; see image.h. Reads top to bottom from image_take() at the end. */
#include "plugin/image.h"
#include "plugin/aria_log.h"
#include "plugin/blocker.h"
#include "plugin/desync.h"
#include "plugin/engines.h"
#include "plugin/files_window.h"
#include "plugin/log.h"
#include "plugin/open_tables.h"
#include "plugin/position.h"
#include "plugin/progress.h"
#include "plugin/spaces.h"
#include "plugin/unopened.h"
#include "plugin/watch.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define WAIT_MS      20u
#define COPY_WAIT_MS 100u /* while nobody waits for us: to look now and then is enough */
#define FLUSH_STALL_US                                                                             \
  1000000u /* no slot came back for so long while FLUSH is held: let go, try later */
#define RESERVE_SLOTS     24u
#define RESERVE_WAIT_MS   10000u
#define PENDING_MAX       (8u << 20) /* bytes of new tablespaces that may be left to the window */
#define PENDING_ROUNDS    50u
#define LAG_MAX           (16u << 20) /* redo follower: before the window */
#define QUEUED_MAX        (2u << 20)  /* of it parsed and not taken by the agent */
#define MISSING_TRIES     20u
#define NEW_SPACE_PAGES   4u
#define MISSING_WAIT_MS   1000u
#define MISSING_PAUSE_US  50000u
#define BACKOFF_MAX_S     8u
#define CATCH_UP_MS       10000u
#define JOB_MS            600000u
#define REDO_END_US       30000000u
#define FIT_WAIT_US       3000000u /* for a moment without DDL, before FLUSH */
#define FIT_WAIT_FLUSH_US 1000000u /* and once more while FLUSH is held */
#define FIT_TRIES         4u       /* it may not last until the redo has been read */

enum outcome
{
  TAKEN,
  BUSY,   /* let go of everything, wait, start a new round */
  FAILED, /* backup->error is set */
};

/* ---- waiting outside the window ---- */

/* Why a round ends; shown by status and log. */
static enum outcome again(const char *why)
{
  watch_waiting_for(why);
  return BUSY;
}

static bool redo_stuck(struct backup *b, uint64_t lsn)
{
  char place[160];
  follower_place(b->follower, place);
  return error_set(&b->error, GB_redo_corrupt,
                   "the redo log could not be read up to LSN %" PRIu64 " from %s", lsn, place);
}

/* Makes the server write its log, which it else does once a second where nobody commits; lsn is one
   that it has reached. With innodb_flush_log_at_trx_commit=0 it does not do so when asked, and lsn
   is final within a second. */
static bool write_redo(struct backup *b, uint64_t lsn)
{
  const char *mode = "innodb_flush_log_at_trx_commit";
  char before[16], after[16];
  if (!sql_variable(b->sql, mode, before, sizeof before, &b->error) ||
      !sql_run(b->sql, &b->error, "FLUSH NO_WRITE_TO_BINLOG ENGINE LOGS") ||
      !sql_variable(b->sql, mode, after, sizeof after, &b->error))
    return false;
  if (strcmp(before, "0") && strcmp(after, "0"))
    follower_set_final(b->follower, lsn);
  return true;
}

/* The follower gets all redo up to now: of what the server has made durable, which DDL's FILE_*
   records are when it ends, but not those of IMPORT TABLESPACE; or all. BUSY: not in time. */
static enum outcome catch_up(struct backup *b, bool all, unsigned timeout_ms)
{
  uint64_t before = follower_parsed(b->follower), until = now_us() + (uint64_t)timeout_ms * 1000;
  uint64_t lsn =
      sql_status_number(b->sql, all ? "Innodb_lsn_current" : "Innodb_lsn_flushed", &b->error);
  if (b->error.code || (all && !write_redo(b, lsn)))
    return FAILED;
  if (!all)
    follower_set_final(b->follower, lsn);
  while (!follower_catch_up(b->follower, lsn, WAIT_MS))
  {
    if (!backup_tick(b))
      return FAILED;
    if (now_us() > until)
    {
      if (timeout_ms < CATCH_UP_MS || follower_parsed(b->follower) > before ||
          follower_queued(b->follower) > QUEUED_MAX)
        return BUSY;
      redo_stuck(b, lsn);
      return FAILED;
    }
    if (all)
      follower_set_final(b->follower, sql_status_number(b->sql, "Innodb_lsn_flushed", &b->error));
  }
  return TAKEN;
}

/* Until all that is queued has been copied. holding: FLUSH is held, so the agent must keep taking,
   and what is large waits for the next round. */
static enum outcome wait_copies(struct backup *b, bool holding)
{
  for (;;)
  {
    if (!backup_tick(b))
      return FAILED;
    bool idle = readers_idle(b->readers, holding ? WAIT_MS : COPY_WAIT_MS);
    struct inventory_load load;
    inventory_load(b->inventory, &load);
    /* The record that explains a missing file is durable before the file goes: read up to it, then
     * look again. */
    enum outcome read = load.missing ? catch_up(b, false, MISSING_WAIT_MS) : BUSY;
    if (read == FAILED)
      return FAILED;
    if (read == TAKEN)
    {
      usleep(MISSING_PAUSE_US);
      if (!inventory_retry_missing(b->inventory, MISSING_TRIES, &b->error))
        return FAILED;
      char path[1024];
      unsigned left_out = inventory_left_out(b->inventory, path, sizeof path);
      if (left_out)
        backup_warn(b, GB_file_left_out,
                    "tablespaces that are not there and that the redo log does not call gone: %u, "
                    "the first is %s; they are left out",
                    left_out, path);
    }
    if (idle && !load.missing)
      return TAKEN;
    if (holding && channel_stall_us(b->channel) > FLUSH_STALL_US)
      return again("the agent to take pages");
    if (holding && inventory_space_bytes(b->inventory) > PENDING_MAX)
      return again("new tablespaces to be copied before FLUSH");
  }
}

/* Runs function(files) in a reader thread. holding: FLUSH is held; where no reader comes free
   because the agent takes nothing, the round ends. */
static enum outcome run_job(struct backup *b, void (*function)(void *), bool holding)
{
  readers_run(b->readers, function, &b->files);
  for (unsigned waited = 0; !readers_ran(b->readers, WAIT_MS); waited += WAIT_MS)
  {
    if (!backup_tick(b))
      return FAILED;
    if (holding && channel_stall_us(b->channel) > FLUSH_STALL_US)
      return again("the agent to take pages");
    if (waited > JOB_MS)
    {
      error_set(&b->error, GB_io_error, "the data directory could not be scanned in time");
      return FAILED;
    }
  }
  error_copy(&b->error, &b->files.error);
  return b->error.code ? FAILED : TAKEN;
}

static void drop_copy(uint32_t file_no, void *context)
{
  struct backup *b = context;
  struct wire_file_no m = {file_no};
  channel_send_file_drop(b->channel, &m);
}

static void rename_copy(uint32_t file_no, const char *path, void *context)
{
  struct backup *b = context;
  struct wire_file_name m = {.file_no = file_no};
  snprintf(m.path, sizeof m.path, "%s", path);
  channel_send_file_name(b->channel, &m);
}

/* As long as a new tablespace is, all of it a hole. */
static void create_copy(uint32_t file_no, uint32_t space_id, const char *path, void *context)
{
  struct backup *b = context;
  uint32_t page_size = (uint32_t)strtoul(b->facts.page_size, NULL, 10);
  struct wire_file file = {.file_no = file_no,
                           .kind = WIRE_KIND_TABLESPACE,
                           .space_id = space_id,
                           .page_size = page_size,
                           .mode = 0660};
  struct wire_file_done done = {.file_no = file_no, .size = NEW_SPACE_PAGES * (uint64_t)page_size};
  snprintf(file.path, sizeof file.path, "%s", path);
  channel_send_file(b->channel, &file);
  channel_send_file_done(b->channel, &done);
}

static enum outcome enter(struct backup *b, const char *stage)
{
  switch (stage_enter(b->sql, stage, &b->error))
  {
  case STAGE_OK:
    b->stage_held = true;
    return TAKEN;
  case STAGE_BUSY:
    b->stage_held =
        true; /* a failed BLOCK_DDL leaves the provider paused: END must follow (rule 1) */
    return BUSY;
  case STAGE_FAILED:
    break;
  }
  b->stage_held = true;
  return FAILED;
}

static bool let_go(struct backup *b)
{
  bool ok = stage_end(b->sql, &b->error);
  b->stage_held = !ok; /* leave() tries again */
  if (b->readers)
    readers_urgent(b->readers, false);
  return ok;
}

/* ---- COPY ---- */

static bool list_spaces(struct backup *b)
{
  return spaces_list(b) && run_job(b, unopened_find, false) == TAKEN;
}

/* Follower first, so that nothing happens between the list and the log; then the list; then readers
 * take from it. */
static bool begin_copy(struct backup *b)
{
  struct reader_setup setup = {.channel = b->channel, .direct = true};
  if (!(b->inventory = inventory_new()))
    return error_set(&b->error, GB_no_memory, "no memory for the inventory");
  b->follower = follower_open(b->facts.innodb_log, b->facts.log_direct, inventory_event,
                              b->inventory, &b->error);
  if (!b->follower)
    return false;
  follower_set_final(b->follower, sql_status_number(b->sql, "Innodb_lsn_flushed", &b->error));
  if (b->error.code || !follower_start(b->follower, b->channel, &b->error))
    return false;
  struct progress *p = progress_lock();
  p->lsn_start = follower_log(b->follower)->checkpoint_lsn;
  progress_unlock();
  setup.inventory = b->inventory;
  snprintf(setup.datadir, sizeof setup.datadir, "%s", b->facts.datadir);
  if (!spaces_add_system(b, setup.system_file, sizeof setup.system_file))
    return false;
  b->files.inventory = b->inventory;
  snprintf(b->files.datadir, sizeof b->files.datadir, "%s", b->facts.datadir);
  snprintf(b->files.aria_dir, sizeof b->files.aria_dir, "%s", b->facts.aria_dir);
  b->files.replicated = b->galera && strstr(b->facts.wsrep_mode, "REPLICATE_");
  if (!(b->readers = readers_start(&setup, b->options.threads, &b->error)))
    return false;
  backup_publish_readers(b->readers);
  if (!list_spaces(b))
    return false;
  inventory_list_complete(b->inventory);
  return true;
}

static bool take_count(void *context, char **column, unsigned count)
{
  struct ddl_counts *c = context;
  uint64_t n = count > 1 && column[1] ? strtoull(column[1], NULL, 10) : 0;
  if (!strcasecmp(column[0], "Com_alter_table"))
    c->alters = n;
  else
    c->reset += strcasecmp(column[0], "Uptime") ? -n : n; /* both of one moment */
  return true;
}

static bool count_ddl(struct backup *b, struct ddl_counts *c)
{
  *c = (struct ddl_counts){0};
  return sql_rows(b->sql, take_count, c, &b->error,
                  "SHOW GLOBAL STATUS WHERE Variable_name IN ('Com_alter_table', 'Uptime', "
                  "'Uptime_since_flush_status')") &&
         sql_sessions(b->sql, "INFO LIKE '%IMPORT%TABLESPACE%'", &c->imports, &b->error);
}

static bool altered_since(const struct ddl_counts *now, const struct ddl_counts *then)
{
  return now->alters != then->alters || now->reset != then->reset || then->imports;
}

/* From FLUSH on the agent takes redo as it comes: it begins with room for that. */
static enum outcome wait_redo_room(struct backup *b)
{
  bool waited = false;
  for (;; waited = true)
  {
    struct progress p;
    progress_get(&p);
    if (!p.redo_full)
      break;
    watch_waiting_for("the repository to take redo");
    if (!backup_tick(b))
      return FAILED;
    usleep(WAIT_MS * 1000);
  }
  if (waited)
    watch_waiting_for("");
  return TAKEN;
}

static enum outcome start(struct backup *b)
{
  backup_set_stage(b, "COPY");
  return count_ddl(b, &b->began) ? enter(b, "START") : FAILED;
}

static enum outcome copy(struct backup *b)
{
  enum outcome o;
  if (!b->follower && !begin_copy(b))
    return FAILED;
  /* Before any Aria file (rule 17). */
  if (!aria_read_control(b->facts.aria_dir, &b->files.control_first, &b->error))
    return FAILED;
  files_reset(&b->files);
  if ((o = run_job(b, files_scan, false)) != TAKEN)
    return o;
  /* Rounds for what was born meanwhile; bounded (rule 12). */
  struct inventory_load load;
  for (unsigned round = 0;; round++)
  {
    if ((o = wait_copies(b, false)) != TAKEN)
      return o;
    if ((o = catch_up(b, true, CATCH_UP_MS)) != TAKEN)
      return o;
    if (!list_spaces(b))
      return FAILED;
    inventory_load(b->inventory, &load);
    if (load.queued_bytes < PENDING_MAX)
      return wait_redo_room(b);
    if (round == PENDING_ROUNDS)
    {
      error_set(&b->error, GB_ddl_storm,
                "new tablespaces appear as fast as they are copied, %s the largest", load.largest);
      return FAILED;
    }
  }
}

/* ---- FLUSH ---- */

/* What must hold right before BLOCK_DDL, so that pause() ends soon (rule 2). reason: why not. mend:
 * desync_on()'s. */
static bool fit_for_pause(struct backup *b, bool mend, char reason[256])
{
  reason[0] = '\0';
  uint64_t lsn = sql_status_number(b->sql, "Innodb_lsn_current", &b->error);
  uint64_t parsed = follower_parsed(b->follower);
  if (lsn > parsed + LAG_MAX)
    snprintf(reason, 256, "the redo follower, %" PRIu64 " bytes behind", lsn - parsed);
  if (follower_queued(b->follower) > QUEUED_MAX)
    snprintf(reason, 256, "the agent to take the redo");
  if (b->galera && !reason[0] && desync_on(b, mend, reason) && !reason[0])
  {
    if (b->node.desync_count != b->base_desync + b->desync_ours)
    {
      /* Who pauses the provider (an RSU ALTER, FLUSH TABLES WITH READ LOCK, a backup tool) or gives
         a state transfer: pause() would wait for him. */
      char blocker[BLOCKER_MAX];
      blocker_probable(b->sql, blocker);
      snprintf(reason, 256, "another desync of this node to end%s%.200s", blocker[0] ? ": " : "",
               blocker);
    }
    else if (b->node.recv_queue > b->options.max_recv_queue)
      snprintf(reason, 256, "the receive queue (%" PRIu64 ")", b->node.recv_queue);
    else
      blocker_isolated(b->sql, reason, &b->error);
  }
  return !b->error.code && !reason[0];
}

/* Waits for a moment in which the node is fit. */
static bool wait_fit(struct backup *b, uint64_t most_us, bool mend, char reason[256])
{
  uint64_t until = now_us() + most_us;
  while (!fit_for_pause(b, mend, reason))
  {
    if (now_us() > until || !backup_tick(b))
      return false;
    usleep(WAIT_MS * 1000);
  }
  return true;
}

static enum outcome flush(struct backup *b)
{
  char reason[256];
  unsigned reserve = channel_page_slots(b->channel) / 2;
  watch_tell_agent(b, "FLUSH"); /* from here on it has to be quick */
  if (reserve > RESERVE_SLOTS)
    reserve = RESERVE_SLOTS;
  if (!channel_reserve(b->channel, reserve, RESERVE_WAIT_MS))
  {
    watch_waiting_for("the agent to take pages");
    return backup_tick(b) ? BUSY : FAILED;
  }
  if (!wait_fit(b, FIT_WAIT_US, true, reason))
  {
    watch_waiting_for(reason);
    return b->error.code ? FAILED : BUSY;
  }
  /* One may have been loaded since, and a table made of it. */
  if (!preflight_engines(b->sql, NULL, &b->error) || b->error.code)
    return FAILED;
  backup_set_stage(b, "FLUSH");
  enum outcome o = enter(b, "FLUSH");
  if (o != TAKEN)
    return o;
  readers_urgent(b->readers, true); /* until END */
  if (!open_tables_find(b))
    return FAILED;
  /* DISCARD and IMPORT TABLESPACE: a file is gone before the scan finds it again. What begins from
   * here on inside() looks for. */
  if (!count_ddl(b, &b->looked))
    return FAILED;
  b->files.altered = altered_since(&b->looked, &b->began);
  /* What the scan finds and the log has not named yet would be copied as a file of nobody. */
  if ((o = catch_up(b, b->files.altered, CATCH_UP_MS)) != TAKEN)
    return o;
  if ((o = run_job(b, files_scan, true)) != TAKEN ||
      (o = run_job(b, aria_log_queue_bulk, true)) != TAKEN)
    return o;
  if (b->files.unknown_engine)
    return again("tables of an engine that can't be backed up to go");
  files_queue_closed(&b->files);
  if ((o = wait_copies(b, true)) != TAKEN)
    return o;
  char largest[256] = "";
  uint64_t bytes = files_window_bytes(&b->files, largest, sizeof largest);
  if (bytes > (uint64_t)(reserve - READERS_WINDOW) * RING_SLOT_SIZE)
  {
    snprintf(reason, sizeof reason,
             "tables in use that only a pause can copy (%" PRIu64 " bytes, %.150s)", bytes,
             largest);
    watch_waiting_for(reason);
    return BUSY;
  }
  for (unsigned tries = 0; !tries || !fit_for_pause(b, false, reason); tries++)
  {
    if (tries == FIT_TRIES || !wait_fit(b, FIT_WAIT_FLUSH_US, false, reason))
    {
      watch_waiting_for(reason);
      return b->error.code ? FAILED : BUSY;
    }
    if ((o = catch_up(b, true, CATCH_UP_MS)) != TAKEN)
      return o;
  }
  struct inventory_load load;
  inventory_load(b->inventory, &load);
  if (load.queued_bytes > PENDING_MAX)
    return BUSY;
  return backup_tick(b) ? TAKEN : FAILED;
}

/* ---- the window: nothing here waits for agent, store or disk beyond the deadline (rule 3) ---- */

static unsigned left_ms(uint64_t until_us)
{
  uint64_t now = now_us();
  return until_us > now ? (unsigned)((until_us - now) / 1000) : 0;
}

/* BUSY: not done in time; image_take() waits for its end. */
static enum outcome window_job(struct backup *b, void (*function)(void *), uint64_t until,
                               const char *what)
{
  readers_run(b->readers, function, &b->files);
  if (!readers_ran(b->readers, left_ms(until)))
    return again(what);
  error_copy(&b->error, &b->files.error);
  return b->error.code ? FAILED : TAKEN;
}

static void write_control(void *argument)
{
  struct backup *b = argument;
  struct aria_control now, merged;
  if (!aria_read_control(b->facts.aria_dir, &now, &b->files.error))
    return;
  b->files.control_changed = now.last_log != b->files.control_last.last_log;
  aria_merge_control(&b->files.control_first, &now, &merged);
  char full[1100], path[1024];
  snprintf(full, sizeof full, "%saria_log_control", b->facts.aria_dir);
  inventory_clean_path(path, sizeof path, full, b->facts.datadir);
  struct item *item = inventory_file(b->inventory, ITEM_ARIA_LOG, WIRE_KIND_ARIA_CONTROL, path);
  uint32_t number, replaced;
  if (!item || !inventory_number(b->inventory, item, &number))
    return;
  b->control_written =
      readers_emit(b->readers, WIRE_KIND_ARIA_CONTROL, path, merged.bytes, merged.size, number);
  inventory_done(b->inventory, item, number, path, b->control_written ? ITEM_COPIED : ITEM_IDLE,
                 &replaced);
}

static void note_control(void *argument)
{
  struct files *f = argument;
  aria_read_control(f->aria_dir, &f->control_last, &f->error);
  files_window_commit(f);
  aria_log_queue_tails(f);
}

/* Proof of the pause (rule 4): our own desync counted once more, same uuid and seqno as before,
   Primary. One counted beside ours is of an RSU ALTER or FLUSH TABLES WITH READ LOCK that waits for
   the end of our pause. */
static enum outcome paused(struct backup *b, const struct node_state *before)
{
  struct node_state now;
  if (!b->galera)
    return TAKEN;
  if (!stage_node_state(b->sql, true, &now, &b->error))
    return FAILED;
  int64_t expected = b->base_desync + b->desync_ours + 1;
  if (strcmp(now.cluster_status, "Primary"))
    error_set(&b->error, GB_node_not_fit, "the node is in a %s component", now.cluster_status);
  else if (!before && now.desync_count > expected)
    return again("another desync of this node to end");
  else if (now.desync_count < expected)
    error_set(&b->error, GB_not_paused,
              "the provider was not paused: wsrep_desync_count is %" PRId64 ", not %" PRId64,
              now.desync_count, expected);
  else if (before &&
           (strcmp(before->uuid, now.uuid) || before->last_committed != now.last_committed))
    error_set(&b->error, GB_not_paused,
              "the position moved from %" PRId64 " to %" PRId64 " while paused",
              before->last_committed, now.last_committed);
  b->node = now;
  return b->error.code ? FAILED : TAKEN;
}

static enum outcome inside(struct backup *b, uint64_t *commit_us)
{
  /* Nothing bounds the provider's pause, and nothing can end it from here (rule 2): it must be seen
   * from outside. */
  watch_waiting_for(b->galera ? "the provider's pause (BACKUP STAGE BLOCK_DDL)"
                              : "BACKUP STAGE BLOCK_DDL");
  enum outcome o = enter(b, "BLOCK_DDL");
  watch_waiting_for("");
  if (o != TAKEN)
    return o;
  uint64_t until = now_us() + (uint64_t)b->options.block_timeout_ms * 1000;
  backup_set_stage(b, "BLOCK_DDL");
  if ((o = paused(b, NULL)) != TAKEN)
    return o;
  struct node_state first = b->node;
  /* FILE_* records of all DDL but IMPORT are durable before the DDL ends: what is durable now is
   * all of it. */
  if ((o = catch_up(b, false, left_ms(until))) != TAKEN)
    return o == BUSY ? again("the redo follower in the pause") : o;
  struct ddl_counts now;
  if (!count_ddl(b, &now))
    return FAILED;
  b->files.altered = altered_since(&now, &b->began);
  b->files.altered_since = altered_since(&now, &b->looked);
  if ((o = window_job(b, files_window_ddl, until, "ddl.log to be read in the pause")) != TAKEN)
    return o;
  if (b->files.complex)
    return again("DDL between FLUSH and the pause that needs a new scan");
  inventory_imports(
      b->inventory,
      false); /* DDL is blocked, and the job has looked at all that nobody has opened */
  enum stage_result closed = open_tables_close(b);
  if (closed != STAGE_OK)
    return closed == STAGE_BUSY ? again("a table that a statement keeps in the pause") : FAILED;
  files_window_tables(&b->files);
  *commit_us = now_us();
  if ((o = enter(b, "BLOCK_COMMIT")) != TAKEN)
    return o;
  if (!position_take(b))
    return FAILED;
  backup_set_stage(b, "BLOCK_COMMIT");
  if ((o = window_job(b, note_control, until, "Aria's log in the pause")) != TAKEN)
    return o;
  if (b->files.complex)
    return again("a log table that was emptied");
  if (!readers_idle(b->readers, left_ms(until)))
    return again(readers_overflowed(b->readers)
                     ? "fewer changed files in the pause (more than its reserved memory)"
                     : "the readers in the pause (block_timeout)");
  b->control_written = false;
  readers_run(b->readers, write_control, b);
  if (!readers_ran(b->readers, left_ms(until)) || !b->control_written)
    return again("Aria's control file in the pause");
  if (b->files.control_changed)
    return again("Aria's log, which started a new file in the pause");
  /* Nothing is taken any more: so no page is read after the LSN that comes next. */
  if (!inventory_close(b->inventory))
    return again("a file that changed in the pause");
#ifdef GB_TEST_HOOKS
  backup_test_hold(b, "PAUSED"); /* nothing can bring this window to be tried again */
#endif
  /* The last page has been read: no page lies above this LSN (rule 9). */
  b->lsn_end = sql_status_number(b->sql, "Innodb_lsn_current", &b->error);
  if (b->error.code || paused(b, &first) != TAKEN || server_stopping())
    return FAILED;
  b->at_pause = b->node;
  follower_set_end(b->follower, b->lsn_end);
#ifdef GB_TEST_HOOKS
  if (follower_parsed(b->follower) > b->lsn_end)
    log_line(LOG_LEVEL_NOTE, "%s had read %" PRIu64 " bytes beyond the end of its redo",
             b->options.id, follower_parsed(b->follower) - b->lsn_end);
#endif
  return TAKEN;
}

static enum outcome window(struct backup *b)
{
  uint64_t commit_us = 0, began_us = now_us();
  readers_window(b->readers, true);
  b->window = true;
  enum outcome o = inside(b, &commit_us);
  if (o != TAKEN)
    inventory_imports(b->inventory, true);
  bool ended = let_go(b);
  uint64_t now = now_us();
  b->window = false;
  readers_window(b->readers, false);
  channel_unreserve(b->channel);
  struct progress *p = progress_lock();
  p->blocked_us = now - began_us;
  p->ddl_blocked_us = now - began_us;
  p->commit_blocked_us = commit_us ? now - commit_us : 0;
  if (o == TAKEN)
  {
    snprintf(p->position, sizeof p->position, "%.63s", b->position);
    snprintf(p->gtid, sizeof p->gtid, "%.*s", position_cut(b->gtid, sizeof p->gtid - 1), b->gtid);
    p->lsn_end = b->lsn_end;
  }
  progress_unlock();
  if (!ended)
    return FAILED;
  if (o == FAILED && !b->error.code)
    backup_tick(b);
  if (o == FAILED && !b->error.code)
    error_set(&b->error, GB_internal, "the window failed without saying why");
  return o;
}

/* ---- after END ---- */

static bool copy_redo_to_end(struct backup *b)
{
  backup_set_stage(b, "REDO");
  if (!write_redo(b, b->lsn_end))
    return false;
  uint64_t until = 0, parsed = 0;
  while (follower_sent(b->follower) < b->lsn_end)
  {
    if (!backup_tick(b))
      return false;
    if (!follower_catch_up(b->follower, b->lsn_end, WAIT_MS))
      follower_set_final(b->follower, sql_status_number(b->sql, "Innodb_lsn_flushed", &b->error));
    if (b->error.code)
      return false;
    uint64_t at = follower_parsed(b->follower);
    if (at > parsed)
      until = now_us() + REDO_END_US;
    parsed = at;
    if (at < b->lsn_end && now_us() > until)
      return redo_stuck(b, b->lsn_end);
    usleep(WAIT_MS * 100);
  }
  watch_sample(b);
  const struct inventory_image image = {b, drop_copy, rename_copy, create_copy};
  return inventory_finish(b->inventory, b->lsn_end, &image, &b->error);
}

/* ---- rounds ---- */

static enum outcome round_once(struct backup *b)
{
  enum outcome o = start(b);
  uint64_t began_us = now_us();
  b->copying = true;
  if (o == TAKEN)
    o = copy(b);
  watch_end_pace(b);
  b->copy_us = now_us() - began_us;
  if (o == TAKEN)
    o = flush(b);
#ifdef GB_TEST_HOOKS
  if (o == TAKEN)
    backup_test_hold(b, "WINDOW");
#endif
  if (o == TAKEN)
    return window(b);
  if (b->stage_held && !let_go(b))
    o = FAILED;
  return o;
}

/* A job that was not done in time must not run into the next round. */
static bool settle_job(struct backup *b)
{
  if (!b->readers)
    return true;
  readers_forget_job(b->readers);
  while (!readers_ran(b->readers, WAIT_MS))
    if (!backup_tick(b))
      return false;
  return true;
}

static void warn_of_unloaded(struct backup *b)
{
  char first[1024];
  unsigned count = engines_unloaded(b->inventory, first, sizeof first);
  if (count)
    backup_warn(b, GB_engine_not_loaded,
                "tables of an engine that is not loaded: %u, the first is %s; the backup has their "
                "definitions and no data",
                count, first);
}

bool image_take(struct backup *b)
{
  uint64_t tried_us = 0, budget_us = (uint64_t)b->options.lock_wait_s * 1000000;
  char blocker[BLOCKER_MAX] = "";
  watch_first_look(b);
  for (unsigned pause_s = 1;; pause_s = pause_s < BACKOFF_MAX_S ? pause_s * 2 : BACKOFF_MAX_S)
  {
    uint64_t began = now_us();
    switch (round_once(b))
    {
    case TAKEN:
      warn_of_unloaded(b);
      return copy_redo_to_end(b);
    case FAILED:
      return false;
    case BUSY:
      break;
    }
    channel_unreserve(b->channel);
    if (!settle_job(b))
      return false;
    char found[BLOCKER_MAX];
    blocker_probable(b->sql, found);
    if (found[0])
      snprintf(blocker, sizeof blocker, "%s", found);
    struct progress p;
    progress_get(&p);
    if (p.waiting_for[0])
      snprintf(blocker, sizeof blocker, "%s", p.waiting_for);
    watch_waiting_for(blocker);
    log_line(LOG_LEVEL_NOTE, "%s stage %s had to wait for: %s; trying again in %u s", b->options.id,
             p.stage, blocker[0] ? blocker : "a lock", pause_s);
    if (b->inventory)
      inventory_discard_files(b->inventory, drop_copy, b);
    uint64_t until = now_us() + (uint64_t)pause_s * 1000000;
    while (now_us() < until)
    {
      if (b->follower
              ? !backup_tick(b)
              : server_stopping() || backup_cancelled() || channel_failed(b->channel, &b->error))
        return backup_tick(b);
      usleep(WAIT_MS * 1000);
    }
    tried_us += now_us() - began - b->copy_us;
    if (tried_us >= budget_us)
      return error_set(&b->error, GB_lock_wait, "%s kept %s from being granted for %u s",
                       blocker[0] ? blocker : "a lock that nobody shows", p.stage,
                       b->options.lock_wait_s);
  }
}
