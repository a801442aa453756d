/* Which backups stay and which may go; see retention.h. */
#include "agent/repository/retention.h"
#include "agent/utc.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DAY_S      86400
#define WEEK_SHIFT 3 /* days from a Monday to 1 January 1970, a Thursday */
#define NO_EXPIRY  0

/* What is known of a backup while the decision is made. */
struct entry {
    struct retention_backup *b;
    struct entry *parent; /* NULL: none, or it is not there */
    bool future;
    bool open;    /* kept by a rule whose end depends on later backups */
    time_t until; /* else kept until then */
};

bool retention_any(const struct retention_policy *p)
{
    return p->last || p->within_s || p->hourly || p->daily || p->weekly || p->monthly || p->yearly;
}

/* Newest first; of two that started together the greater id is the newer one. */
static int newest_first(const void *a, const void *b)
{
    const struct retention_backup *x = ((const struct entry *)a)->b,
                                  *y = ((const struct entry *)b)->b;
    if (x->started_at != y->started_at)
        return x->started_at < y->started_at ? 1 : -1;
    return strcmp(y->id, x->id);
}

/* until: NO_EXPIRY where it depends on later backups. */
static void keep(struct entry *e, time_t until, const char *reason)
{
    struct retention_backup *b = e->b;
    size_t used = strlen(b->reason), n = strlen(reason);
    e->open = e->open || until == NO_EXPIRY;
    if (until > e->until)
        e->until = until;
    b->keep = true;
    /* Of one kind once: rules are applied twice, and a parent may have many children. */
    char kind[RETENTION_REASON_MAX];
    snprintf(kind, sizeof kind, "%.*s", (int)strcspn(reason, "0123456789"), reason);
    if (strstr(b->reason, kind))
        return;
    if (used + n + 3 < sizeof b->reason)
        snprintf(b->reason + used, sizeof b->reason - used, "%s%s", used ? ", " : "", reason);
}

/* ---- periods: two moments are in the same one if their numbers are equal ---- */

static long long day_of(time_t t)
{
    return t / DAY_S - (t % DAY_S < 0);
}

static long long hour_number(time_t t)
{
    return t / 3600 - (t % 3600 < 0);
}

static long long week_number(time_t t)
{
    long long days = day_of(t) + WEEK_SHIFT;
    return days / 7 - (days % 7 < 0);
}

static long long month_number(time_t t)
{
    struct tm tm;
    gmtime_r(&t, &tm);
    return (long long)tm.tm_year * 12 + tm.tm_mon;
}

static long long year_number(time_t t)
{
    struct tm tm;
    gmtime_r(&t, &tm);
    return tm.tm_year;
}

struct tier {
    const char *name;
    unsigned count;
    long long (*number)(time_t t);
};

static void apply_tier(const struct tier *tier, struct entry *const *list, size_t count)
{
    char reason[64];
    long long last = 0;
    unsigned periods = 0;
    for (size_t i = 0; i < count; i++) {
        long long number = tier->number(list[i]->b->started_at);
        if (periods && number == last)
            continue;
        if (periods == tier->count)
            return;
        last = number;
        snprintf(reason, sizeof reason, "%s %u of %u", tier->name, ++periods, tier->count);
        keep(list[i], NO_EXPIRY, reason);
    }
}

/* All rules, over a list that is sorted newest first. */
static void apply_rules(const struct retention_policy *p, struct entry *const *list, size_t count,
                        time_t now)
{
    const struct tier tiers[] = {{"hourly", p->hourly, hour_number},
                                 {"daily", p->daily, day_of},
                                 {"weekly", p->weekly, week_number},
                                 {"monthly", p->monthly, month_number},
                                 {"yearly", p->yearly, year_number}};
    char reason[64], text[UTC_MAX];
    for (size_t i = 0; i < count && i < p->last; i++) {
        snprintf(reason, sizeof reason, "last %zu of %u", i + 1, p->last);
        keep(list[i], NO_EXPIRY, reason);
    }
    for (size_t i = 0; p->within_s && i < count; i++) {
        time_t until = list[i]->b->finished_at + (time_t)p->within_s;
        snprintf(reason, sizeof reason, "within until %s", utc_text(until, text));
        if (until > now)
            keep(list[i], until, reason);
    }
    for (size_t i = 0; i < sizeof tiers / sizeof tiers[0]; i++)
        if (tiers[i].count)
            apply_tier(&tiers[i], list, count);
}

/* The rules for those of them that wanted() says. */
static void apply_to(const struct retention_policy *p, struct entry *all, size_t count, time_t now,
                     struct entry **room, bool (*wanted)(const struct entry *e))
{
    size_t n = 0;
    for (size_t i = 0; i < count; i++)
        if (!all[i].future && wanted(&all[i]))
            room[n++] = &all[i];
    apply_rules(p, room, n, now);
}

static bool is_backup(const struct entry *e)
{
    return !e->b->save;
}

static bool is_usable_backup(const struct entry *e)
{
    return !e->b->save && e->b->usable;
}

static bool is_save(const struct entry *e)
{
    return e->b->save;
}

static bool is_usable_save(const struct entry *e)
{
    return e->b->save && e->b->usable;
}

/* ---- chains ---- */

static void find_parents(struct entry *all, size_t count)
{
    for (size_t i = 0; i < count; i++)
        for (size_t k = 0; all[i].b->parent[0] && k < count; k++)
            if (k != i && !strcmp(all[i].b->parent, all[k].b->id))
                all[i].parent = &all[k];
    for (size_t i = 0; i < count; i++) {
        struct retention_backup *b = all[i].b;
        const struct entry *e = &all[i];
        b->usable = true;
        b->depth = 0;
        /* A chain that leads back into itself ends with the number of backups: nobody can restore
         * it. */
        for (; e; e = e->parent) {
            if (e->b->verified == RETENTION_DAMAGED || e->b->verified == RETENTION_UNKNOWN ||
                e->b->in_use || (e->b->parent[0] && !e->parent) || b->depth > count) {
                b->usable = false;
                if (b->depth > count)
                    break;
            }
            b->depth += e->parent != NULL;
        }
    }
}

static void keep_parents(struct entry *e, size_t count)
{
    char reason[WIRE_ID_MAX + 16];
    for (size_t steps = 0; e->parent && steps < count; e = e->parent, steps++) {
        snprintf(reason, sizeof reason, "parent of %s", e->b->id);
        keep(e->parent, e->open ? NO_EXPIRY : e->until, reason);
    }
}

/* ---- what stays whatever the rules say ---- */

static void keep_verified(struct entry *all, size_t count)
{
    bool any = false, deep = false;
    for (size_t i = 0; i < count; i++) {
        enum retention_check found = all[i].b->verified;
        if (all[i].b->save || all[i].future || !all[i].b->usable ||
            (found != RETENTION_QUICK && found != RETENTION_DEEP))
            continue;
        if (!any)
            keep(&all[i], NO_EXPIRY, "newest verified");
        if (!deep && found == RETENTION_DEEP)
            keep(&all[i], NO_EXPIRY, "newest verified deep");
        any = true;
        deep = deep || found == RETENTION_DEEP;
        if (deep)
            return;
    }
}

static void keep_held(struct entry *all, size_t count, time_t now)
{
    char reason[64], text[UTC_MAX];
    for (size_t i = 0; i < count; i++) {
        time_t until = all[i].b->hold_until;
        if (until <= now)
            continue;
        snprintf(reason, sizeof reason, "held until %s", utc_text(until, text));
        keep(&all[i], until < RETENTION_FOREVER ? until : NO_EXPIRY,
             until < RETENTION_FOREVER ? reason : "held");
    }
}

/* The newest `min` usable ones stay, whatever else does: what is held or was verified long ago is
   no recent backup. Where there are not so many, others take their place: what seems damaged now
   may be the store's trouble. */
static void keep_floor(struct entry *all, size_t count, unsigned min)
{
    size_t kept = 0;
    for (int usable = 1; usable >= 0; usable--)
        for (size_t i = 0; i < count && kept < min; i++) {
            if (!is_backup(&all[i]) || all[i].future || is_usable_backup(&all[i]) != usable)
                continue;
            if (!all[i].b->keep)
                keep(&all[i], NO_EXPIRY, "floor");
            kept++;
        }
}

static void explain(struct entry *e)
{
    struct retention_backup *b = e->b;
    b->expires_at = b->keep && !e->open ? e->until : NO_EXPIRY;
    if (!b->keep)
        snprintf(b->reason, sizeof b->reason, "%s",
                 b->save ? "a save that no rule keeps" : "no rule keeps it");
}

bool retention_decide(const struct retention_policy *p, struct retention_backup *list, size_t count,
                      time_t now)
{
    struct entry *all = calloc(count + 1, sizeof *all),
                 **room = calloc(count + 1, sizeof(struct entry *));
    bool ok = all && room;
    for (size_t i = 0; ok && i < count; i++) {
        list[i].keep = false;
        list[i].reason[0] = '\0';
        all[i].b = &list[i];
        all[i].future = list[i].started_at > now;
    }
    if (ok) {
        if (count)
            qsort(all, count, sizeof *all, newest_first);
        find_parents(all, count);
        bool rules = retention_any(p);
        for (size_t i = 0; i < count; i++) {
            if (!rules)
                keep(&all[i], NO_EXPIRY, "no retention is configured");
            else if (all[i].future)
                keep(&all[i], NO_EXPIRY, "newer than now");
            else if (all[i].b->in_use)
                keep(&all[i], NO_EXPIRY, "someone holds its lock");
            else if (all[i].b->verified == RETENTION_UNKNOWN)
                keep(&all[i], NO_EXPIRY, "what a verification found can't be read");
        }
        apply_to(p, all, count, now, room, is_backup);
        apply_to(p, all, count, now, room, is_usable_backup);
        apply_to(p, all, count, now, room, is_save);
        apply_to(p, all, count, now, room, is_usable_save);
        keep_held(all, count, now);
        keep_verified(all, count);
        keep_floor(all, count, p->min ? p->min : 1);
        for (size_t i = 0; i < count; i++)
            if (all[i].b->keep)
                keep_parents(&all[i], count);
        for (size_t i = 0; i < count; i++)
            explain(&all[i]);
    }
    free(all);
    free(room);
    return ok;
}
