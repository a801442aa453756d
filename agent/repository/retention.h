/*
  Which backups of a cluster stay and which may go: a pure decision over what there is, nothing is
  read or removed here (expire.h does).

  A backup stays if one of these says so; all that do are named in its reason:
  - a rule: among the newest keep-last; younger than keep-within; the newest of its hour, day, week
  (Monday to Sunday), month or year (UTC), of the newest so many hours, days, ... that have a
  backup. What was the newest of its day stays it, so a backup that a longer period will want is
  never gone before its turn.
  - a hold that has not run out;
  - it is the newest that a verification has found good, or the newest found good by a deep one;
  - the floor: the newest keep-min usable backups stay, and unusable ones where there are not so
  many;
  - it is newer than now: a clock was wrong once;
  - a backup that stays needs it as its parent, or as the parent of its parent.

  Usable is what a restore could begin with: neither it nor one of its parents was found damaged,
  and none of them is missing. A damaged backup never takes the place of a usable one: the rules are
  applied to all backups and once more to those that are usable, and what either keeps stays. Saves
  are counted apart by the same rules: one is never the newest backup, and no backup goes for it.

  Without any rule everything stays. The decision depends neither on the order of the input nor on
  what went before: once carried out, it finds nothing more to remove.
*/
#ifndef GB_AGENT_REPOSITORY_RETENTION_H
#define GB_AGENT_REPOSITORY_RETENTION_H

#include "common/wire.h"

#include <time.h>

#define RETENTION_REASON_MAX 160u
#define RETENTION_FOREVER    ((time_t)253402300799) /* 9999-12-31T23:59:59Z: a hold without an end */

struct retention_policy {                            /* 0: no such rule */
    unsigned last;                                   /* backups */
    unsigned within_s;                               /* seconds since it finished */
    unsigned hourly, daily, weekly, monthly, yearly; /* periods */
    unsigned min;                                    /* the floor, at least 1 */
};

enum retention_check {
    RETENTION_UNVERIFIED,
    RETENTION_QUICK,
    RETENTION_DEEP,
    RETENTION_DAMAGED,
    RETENTION_UNKNOWN /* there is a record, and it can't be read: it stays, and is not counted on */
};

struct retention_backup {
    /* given */
    char id[WIRE_ID_MAX];
    char parent[WIRE_ID_MAX]; /* ""; else the id of the backup that this one needs */
    time_t started_at, finished_at;
    bool save;
    time_t hold_until; /* 0: not held */
    enum retention_check verified;
    bool in_use; /* someone holds its lock: its commit may yet be taken back */
    /* decided */
    bool keep;
    char reason[RETENTION_REASON_MAX]; /* why it stays: "daily 3 of 7, parent of ID"; why it goes */
    time_t expires_at; /* when it may go if nothing else changes; 0: that depends on later backups,
                          or it goes now */
    unsigned depth;    /* how many parents it has here: who removes begins with the deepest */
    bool usable;
};

/* Whether there is any rule. */
bool retention_any(const struct retention_policy *policy);

/* Fills the decided part of each. Ids are unique. False: no memory. */
bool retention_decide(const struct retention_policy *policy, struct retention_backup *list,
                      size_t count, time_t now);

#endif
