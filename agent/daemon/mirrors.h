/*
  The repositories of one backup as a whole: the first one and the mirrors that follow it. What is
  said of them, which of them has failed, and what each is owed.

  The session's thread drives them. mirrors_describe() may be called by another thread; the mutex
  guards the damage alone, and is never held across I/O.
*/
#ifndef GB_AGENT_DAEMON_MIRRORS_H
#define GB_AGENT_DAEMON_MIRRORS_H

#include "agent/daemon/catchup.h"
#include "agent/daemon/chosen.h"
#include "common/wire.h"

struct mirrors {
    const struct chosen *chosen; /* number i + 1 of them is mirror i */
    struct mirror *mirror[MIRRORS_MAX];
    unsigned count;
    bool told_of[MIRRORS_MAX];                  /* that it has failed */
    char warnings[MIRRORS_MAX * WIRE_TEXT_MAX]; /* what has been told */
    pthread_mutex_t mutex;
    struct gb_error damage[CHOSEN_MAX]; /* under the mutex: what reading it back has found */
};

/* chosen is borrowed. The mirrors themselves end with mirror_free(). */
void mirrors_init(struct mirrors *mirrors, const struct chosen *chosen);
void mirrors_destroy(struct mirrors *mirrors);

/* Starts the mirrors. request: as for the first repository, its spec set by the callee; borrowed.
   stall_ms: of the configuration. Errors: mirror_start()'s; those started so far stay. */
bool mirrors_start(struct mirrors *mirrors, const struct begin_request *request, unsigned stall_ms,
                   struct gb_error *error);
/* Waits until those that must have the backup have begun; the others are waited for by nobody. */
bool mirrors_await_begun(struct mirrors *mirrors, const bool *stop, struct gb_error *error);
/* Whether the server's writers may be waiting for what is written now. */
void mirrors_hurry(struct mirrors *mirrors, bool hurry);
/* Looks for one that has failed since the last call: of one that must have the backup the error;
   else true, and *told says it of one that need not, "" if there is none: call again. */
bool mirrors_look(struct mirrors *mirrors, char told[WIRE_TEXT_MAX], struct gb_error *error);
/* Those that must have the backup: into list, their number is returned. */
unsigned mirrors_required(const struct mirrors *mirrors, struct mirror *list[MIRRORS_MAX]);
/* All that have not failed and are not kept; why: as mirror_give_up(). */
void mirrors_give_up(struct mirrors *mirrors, const struct gb_error *why);

/* number: of the chosen ones. */
void mirrors_note_damage(struct mirrors *mirrors, unsigned number, const struct gb_error *damage);
/* JSON of all repositories. state, bytes, problem (may be NULL): of the first one. A mirror that
   has not failed is in the state that the backup is in. Where it does not fit errors are left out.
 */
void mirrors_describe(struct mirrors *mirrors, const char *state, uint64_t bytes,
                      const char *problem, char *out, size_t size);

/* What each is owed; see catchup.h. stored: the first repository has the backup, and each mirror
   has it or has not; else none is to have it. */
void mirrors_expect(const struct mirrors *mirrors, struct catchup *catchup, const char *cluster,
                    const char *id);
void mirrors_settle(const struct mirrors *mirrors, struct catchup *catchup, const char *cluster,
                    const char *id, bool stored);

#endif
