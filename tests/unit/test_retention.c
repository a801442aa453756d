/* retention.h: every rule over simulated years of backups, with chains and holds; and what must be
 * true of any policy and any history. */
#include "agent/repository/retention.h"
#include "agent/utc.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HOUR 3600
#define DAY  86400
#define MOST 6000u

static struct retention_backup list[MOST];
static size_t count;
static time_t now;

static time_t at(const char *text)
{
    time_t t = utc_parse(text);
    assert_true(t >= 0);
    return t;
}

static struct retention_backup *add_type(time_t started, const char *type, const char *parent)
{
    struct tm tm;
    char stamp[32];
    assert_true(count < MOST);
    struct retention_backup *b = &list[count];
    memset(b, 0, sizeof *b);
    strftime(stamp, sizeof stamp, "%Y%m%dT%H%M%SZ", gmtime_r(&started, &tm));
    snprintf(b->id, sizeof b->id, "%s-%s-%08zx", stamp, type, count);
    snprintf(b->parent, sizeof b->parent, "%s", parent);
    b->save = !strcmp(type, "save");
    b->started_at = started;
    b->finished_at = started + 10 * 60;
    count++;
    return b;
}

static struct retention_backup *add(time_t started)
{
    return add_type(started, "full", "");
}

static void clear(const char *when)
{
    count = 0;
    now = at(when);
}

static void decide(const struct retention_policy *p)
{
    assert_true(retention_decide(p, list, count, now));
}

static size_t kept(void)
{
    size_t n = 0;
    for (size_t i = 0; i < count; i++)
        n += list[i].keep;
    return n;
}

/* What is kept, newest first, as the starts of the backups. */
static int newer(const void *a, const void *b)
{
    return strcmp(((const struct retention_backup *)b)->id,
                  ((const struct retention_backup *)a)->id);
}

static void expect(const char *what, const char *const *days, size_t n)
{
    char text[UTC_MAX], got[4000] = "", want[4000] = "";
    qsort(list, count, sizeof *list, newer);
    for (size_t i = 0; i < count; i++)
        if (list[i].keep)
            snprintf(got + strlen(got), sizeof got - strlen(got), "%.16s\n",
                     utc_text(list[i].started_at, text));
    for (size_t i = 0; i < n; i++)
        snprintf(want + strlen(want), sizeof want - strlen(want), "%s\n", days[i]);
    if (strcmp(got, want))
        fail_msg("%s keeps\n%sand not\n%s", what, got, want);
}

#define EXPECT(what, ...)                                                                          \
    do {                                                                                           \
        static const char *const days_[] = {__VA_ARGS__};                                          \
        expect(what, days_, sizeof days_ / sizeof days_[0]);                                       \
    } while (0)

/* A backup every six hours of three years, the last one at 18:00 of Wednesday, 2026-11-18. */
static void three_years(void)
{
    clear("2026-11-18T19:00:00Z");
    for (time_t t = at("2023-11-19T00:00:00Z"); t < now; t += 6 * HOUR)
        add(t);
}

static void each_rule_over_three_years(void **state)
{
    (void)state;
    static const struct {
        struct retention_policy policy;
        const char *kept[16];
    } cases[] = {
        {{.last = 3}, {"2026-11-18T18:00", "2026-11-18T12:00", "2026-11-18T06:00"}},
        {{.last = 1}, {"2026-11-18T18:00"}},
        /* finished at ten past: that of 12:00 of the day before is 30 h 50 m old */
        {{.within_s = 31 * HOUR},
         {"2026-11-18T18:00", "2026-11-18T12:00", "2026-11-18T06:00", "2026-11-18T00:00",
          "2026-11-17T18:00", "2026-11-17T12:00"}},
        {{.within_s = 60}, {"2026-11-18T18:00"}},                  /* none is so young: the floor */
        {{.hourly = 2}, {"2026-11-18T18:00", "2026-11-18T12:00"}}, /* hours that have a backup */
        {{.daily = 3}, {"2026-11-18T18:00", "2026-11-17T18:00", "2026-11-16T18:00"}},
        /* weeks end with Sunday */
        {{.weekly = 4},
         {"2026-11-18T18:00", "2026-11-15T18:00", "2026-11-08T18:00", "2026-11-01T18:00"}},
        {{.monthly = 5},
         {"2026-11-18T18:00", "2026-10-31T18:00", "2026-09-30T18:00", "2026-08-31T18:00",
          "2026-07-31T18:00"}},
        {{.monthly = 10},
         {"2026-11-18T18:00", "2026-10-31T18:00", "2026-09-30T18:00", "2026-08-31T18:00",
          "2026-07-31T18:00", "2026-06-30T18:00", "2026-05-31T18:00", "2026-04-30T18:00",
          "2026-03-31T18:00", "2026-02-28T18:00"}},
        {{.yearly = 3}, {"2026-11-18T18:00", "2025-12-31T18:00", "2024-12-31T18:00"}},
        {{.yearly = 9},
         {"2026-11-18T18:00", "2025-12-31T18:00", "2024-12-31T18:00", "2023-12-31T18:00"}},
        {{.last = 2, .daily = 2, .weekly = 2, .monthly = 2, .yearly = 2},
         {"2026-11-18T18:00", "2026-11-18T12:00", "2026-11-17T18:00", "2026-11-15T18:00",
          "2026-10-31T18:00", "2025-12-31T18:00"}},
        {{.daily = 1, .min = 3},
         {"2026-11-18T18:00", "2026-11-18T12:00",
          "2026-11-18T06:00"}}, /* the floor takes the newest */
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char what[32];
        size_t n = 0;
        three_years();
        decide(&cases[i].policy);
        while (n < 16 && cases[i].kept[n])
            n++;
        snprintf(what, sizeof what, "case %zu", i);
        expect(what, cases[i].kept, n);
    }
}

static const char *reason(const char *start)
{
    char text[UTC_MAX];
    for (size_t i = 0; i < count; i++)
        if (!strncmp(utc_text(list[i].started_at, text), start, strlen(start)))
            return list[i].reason;
    fail_msg("no backup of %s", start);
    return "";
}

static void reasons_name_every_rule(void **state)
{
    (void)state;
    three_years();
    decide(&(struct retention_policy){.last = 2, .daily = 2, .weekly = 2, .yearly = 2});
    assert_string_equal(reason("2026-11-18T18:00"),
                        "last 1 of 2, daily 1 of 2, weekly 1 of 2, yearly 1 of 2");
    assert_string_equal(reason("2026-11-18T12:00"), "last 2 of 2");
    assert_string_equal(reason("2026-11-17T18:00"), "daily 2 of 2");
    assert_string_equal(reason("2026-11-15T18:00"), "weekly 2 of 2");
    assert_string_equal(reason("2025-12-31T18:00"), "yearly 2 of 2");
    assert_string_equal(reason("2026-11-17T12:00"), "no rule keeps it");
    clear("2026-11-18T19:00:00Z");
    add(at("2026-11-18T18:00:00Z"));
    decide(&(struct retention_policy){.within_s = DAY});
    assert_string_equal(list[0].reason, "within until 2026-11-19T18:10:00Z");
    assert_int_equal(list[0].expires_at, at("2026-11-19T18:10:00Z"));
    decide(&(struct retention_policy){.within_s = DAY, .last = 1});
    assert_int_equal(list[0].expires_at, 0); /* who knows when the next one comes */
}

static void nothing_goes_without_a_rule(void **state)
{
    (void)state;
    static const struct retention_policy none[] = {{0}, {.min = 3}};
    for (size_t i = 0; i < 2; i++) {
        three_years();
        decide(&none[i]);
        assert_int_equal(kept(), count);
        assert_string_equal(list[0].reason, "no retention is configured");
    }
}

/* As a night each comes and what has expired goes, the tiers are filled and stay so: four years,
 * one decision a day. */
static void what_a_longer_period_wants_is_never_gone_before(void **state)
{
    (void)state;
    static const struct retention_policy p = {.daily = 7, .weekly = 5, .monthly = 12, .yearly = 3};
    clear("2023-01-01T03:00:00Z");
    for (unsigned day = 0; day < 4 * 365; day++, now += DAY) {
        add(now - HOUR);
        decide(&p);
        size_t left = 0;
        for (size_t i = 0; i < count; i++)
            if (list[i].keep)
                list[left++] = list[i];
        count = left;
        assert_true(count <= 7 + 5 + 12 + 3);
    }
    /* the last day is 2026-12-30, a Wednesday */
    EXPECT("four years", "2026-12-30T02:00", "2026-12-29T02:00", "2026-12-28T02:00",
           "2026-12-27T02:00", "2026-12-26T02:00", "2026-12-25T02:00", "2026-12-24T02:00",
           "2026-12-20T02:00", "2026-12-13T02:00", "2026-12-06T02:00", "2026-11-30T02:00",
           "2026-10-31T02:00", "2026-09-30T02:00", "2026-08-31T02:00", "2026-07-31T02:00",
           "2026-06-30T02:00", "2026-05-31T02:00", "2026-04-30T02:00", "2026-03-31T02:00",
           "2026-02-28T02:00", "2026-01-31T02:00", "2025-12-31T02:00", "2024-12-31T02:00");
}

/* A full each Sunday, an incremental of the day before on each other day. */
static void weeks_of_chains(unsigned weeks)
{
    clear("2026-11-18T19:00:00Z");
    time_t first = at("2026-11-15T02:00:00Z") - (time_t)weeks * 7 * DAY;
    char parent[WIRE_ID_MAX] = "";
    for (unsigned day = 0; first + (time_t)day * DAY < now; day++) {
        bool full = day % 7 == 0;
        struct retention_backup *b =
            add_type(first + (time_t)day * DAY, full ? "full" : "incremental", full ? "" : parent);
        snprintf(parent, sizeof parent, "%s", b->id);
    }
}

static void parents_of_what_stays_stay(void **state)
{
    (void)state;
    weeks_of_chains(8);
    decide(&(struct retention_policy){.weekly = 2});
    /* Wednesday with its chain back to Sunday 15th; Sunday 15th's week ends with it: its full is
     * Saturday 14th's no parent */
    EXPECT("chains", "2026-11-18T02:00", "2026-11-17T02:00", "2026-11-16T02:00",
           "2026-11-15T02:00");
    assert_true(strstr(reason("2026-11-16T02:00"), "parent of 20261117T020000Z-incremental"));
    weeks_of_chains(8);
    decide(&(struct retention_policy){.last = 5});
    EXPECT("a chain cut in the middle", "2026-11-18T02:00", "2026-11-17T02:00", "2026-11-16T02:00",
           "2026-11-15T02:00", "2026-11-14T02:00", "2026-11-13T02:00", "2026-11-12T02:00",
           "2026-11-11T02:00", "2026-11-10T02:00", "2026-11-09T02:00", "2026-11-08T02:00");
    assert_string_equal(reason("2026-11-08T02:00"),
                        "parent of 20261109T020000Z-incremental-00000032");
    for (size_t i = 0; i < count; i++)
        if (list[i].keep)
            assert_int_equal(list[i].depth,
                             !strncmp(list[i].id, "20261114", 8) ? 6 : list[i].depth);
}

static struct retention_backup *find(const char *start)
{
    char text[UTC_MAX];
    for (size_t i = 0; i < count; i++)
        if (!strncmp(utc_text(list[i].started_at, text), start, strlen(start)))
            return &list[i];
    fail_msg("no backup of %s", start);
    return NULL;
}

static void holds(void **state)
{
    (void)state;
    three_years();
    find("2024-02-29T06:00")->hold_until = RETENTION_FOREVER;
    find("2024-03-01T06:00")->hold_until = now + 1;
    find("2024-03-02T06:00")->hold_until = now; /* has run out */
    decide(&(struct retention_policy){.last = 1});
    EXPECT("holds", "2026-11-18T18:00", "2024-03-01T06:00", "2024-02-29T06:00");
    assert_string_equal(reason("2024-02-29T06:00"), "held");
    assert_string_equal(reason("2024-03-01T06:00"), "held until 2026-11-18T19:00:01Z");
    assert_int_equal(find("2024-02-29T06:00")->expires_at, 0);
    assert_int_equal(find("2024-03-01T06:00")->expires_at, now + 1);
    weeks_of_chains(8);
    find("2026-10-07T02:00")->hold_until = now + 5;
    decide(&(struct retention_policy){.last = 1, .weekly = 1});
    assert_true(find("2026-10-04T02:00")->keep && find("2026-10-05T02:00")->keep &&
                find("2026-10-06T02:00")->keep);
    assert_false(find("2026-10-08T02:00")->keep);
    assert_int_equal(find("2026-10-04T02:00")->expires_at, now + 5); /* with what needs it */
}

static void the_newest_verified_one_stays(void **state)
{
    (void)state;
    three_years();
    find("2026-05-01T06:00")->verified = RETENTION_QUICK;
    find("2026-04-30T06:00")->verified = RETENTION_QUICK;
    find("2025-05-01T06:00")->verified = RETENTION_DEEP;
    find("2025-04-30T06:00")->verified = RETENTION_DEEP;
    decide(&(struct retention_policy){.last = 2});
    EXPECT("verified", "2026-11-18T18:00", "2026-11-18T12:00", "2026-05-01T06:00",
           "2025-05-01T06:00");
    assert_string_equal(reason("2026-05-01T06:00"), "newest verified");
    assert_string_equal(reason("2025-05-01T06:00"), "newest verified deep");
    find("2026-11-18T12:00")->verified = RETENTION_DEEP;
    decide(&(struct retention_policy){.last = 2});
    assert_int_equal(kept(), 2);
}

static void a_damaged_backup_takes_nobodys_place(void **state)
{
    (void)state;
    three_years();
    find("2026-11-18T18:00")->verified = RETENTION_DAMAGED;
    find("2026-11-17T18:00")->verified = RETENTION_DAMAGED;
    decide(&(struct retention_policy){.last = 1, .daily = 2});
    EXPECT("damage", "2026-11-18T18:00", "2026-11-18T12:00", "2026-11-17T18:00",
           "2026-11-17T12:00");
    /* Damage in a parent is damage in all that need it. */
    weeks_of_chains(8);
    find("2026-11-16T02:00")->verified = RETENTION_DAMAGED;
    decide(&(struct retention_policy){.last = 1, .min = 2});
    EXPECT("a damaged parent", "2026-11-18T02:00", "2026-11-17T02:00", "2026-11-16T02:00",
           "2026-11-15T02:00", "2026-11-14T02:00", "2026-11-13T02:00", "2026-11-12T02:00",
           "2026-11-11T02:00", "2026-11-10T02:00", "2026-11-09T02:00", "2026-11-08T02:00");
    assert_non_null(strstr(reason("2026-11-15T02:00"), "last 1 of 1"));
    assert_string_equal(reason("2026-11-14T02:00"),
                        "floor"); /* Sunday and Saturday are what can be restored */
    /* A parent that is not there: what needs it is no floor. */
    clear("2026-11-18T19:00:00Z");
    add(at("2026-11-10T02:00:00Z"));
    add_type(at("2026-11-11T02:00:00Z"), "incremental", "20261101T020000Z-full-00000000");
    decide(&(struct retention_policy){.last = 1});
    assert_int_equal(kept(), 2);
}

static void saves_are_counted_apart(void **state)
{
    (void)state;
    clear("2026-11-18T19:00:00Z");
    for (unsigned i = 0; i < 5; i++)
        add(at("2026-11-01T02:00:00Z") + (time_t)i * DAY);
    for (unsigned i = 0; i < 4; i++)
        add_type(at("2026-11-10T02:00:00Z") + (time_t)i * DAY, "save", "");
    list[7].verified = RETENTION_QUICK; /* a save is no verified backup */
    decide(&(struct retention_policy){.last = 2, .min = 3});
    EXPECT("saves", "2026-11-13T02:00", "2026-11-12T02:00", "2026-11-05T02:00", "2026-11-04T02:00",
           "2026-11-03T02:00");
    assert_string_equal(reason("2026-11-10T02:00"), "a save that no rule keeps");
}

/* What is held or was verified long ago is no recent backup. */
static void the_newest_is_never_gone(void **state)
{
    (void)state;
    static const struct retention_policy week = {.within_s = 7 * DAY};
    clear("2026-11-18T19:00:00Z");
    add(at("2024-11-01T02:00:00Z"));
    add(at("2026-10-01T02:00:00Z"));
    add(at("2026-10-02T02:00:00Z"));
    list[0].hold_until = RETENTION_FOREVER;
    decide(&week);
    EXPECT("held", "2026-10-02T02:00", "2024-11-01T02:00");
    /* all of them damaged: it may be the store that can't be read */
    for (unsigned i = 0; i < 3; i++) {
        list[i].hold_until = 0;
        list[i].verified = RETENTION_DAMAGED;
    }
    decide(&week);
    EXPECT("damaged", "2026-10-02T02:00");
}

/* Neither counted on nor removed. */
static void what_is_not_known_stays_and_takes_nobodys_place(void **state)
{
    (void)state;
    clear("2026-11-18T19:00:00Z");
    for (unsigned i = 0; i < 4; i++)
        add(at("2026-11-01T02:00:00Z") + (time_t)i * DAY);
    list[3].verified = RETENTION_UNKNOWN;
    list[2].in_use = true;
    decide(&(struct retention_policy){.last = 1});
    EXPECT("not known", "2026-11-04T02:00", "2026-11-03T02:00", "2026-11-02T02:00");
    assert_string_equal(reason("2026-11-03T02:00"), "someone holds its lock");
}

static void a_backup_of_a_wrong_clock_takes_nobodys_place(void **state)
{
    (void)state;
    three_years();
    add(at("2031-01-01T00:00:00Z"));
    decide(&(struct retention_policy){.last = 1});
    EXPECT("the future", "2031-01-01T00:00", "2026-11-18T18:00");
    assert_string_equal(reason("2031-01-01T00:00"), "newer than now");
}

static void no_backups_at_all(void **state)
{
    (void)state;
    clear("2026-11-18T19:00:00Z");
    decide(&(struct retention_policy){.last = 1});
    assert_int_equal(kept(), 0);
}

/* A chain that leads back into itself, as no writer makes one: it ends. */
static void a_circle(void **state)
{
    (void)state;
    clear("2026-11-18T19:00:00Z");
    add_type(at("2026-11-10T02:00:00Z"), "incremental", "");
    add_type(at("2026-11-11T02:00:00Z"), "incremental", list[0].id);
    snprintf(list[0].parent, sizeof list[0].parent, "%s", list[1].id);
    add(at("2026-11-09T02:00:00Z"));
    decide(&(struct retention_policy){.last = 1});
    assert_false(list[0].usable || list[1].usable);
    assert_true(list[0].keep && list[1].keep &&
                list[2].keep); /* what can't be used does not push out what can */
}

/* ---- any policy, any history ---- */

static unsigned long long seed;

static unsigned below(unsigned n)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return n ? (unsigned)(seed >> 33) % n : 0;
}

static void random_history(void)
{
    size_t n = below(60);
    clear("2026-11-18T19:00:00Z");
    time_t t = now - (time_t)below(900) * DAY;
    unsigned step = 1 + below(40 * HOUR);
    for (size_t i = 0; i < n; i++, t += below(step)) {
        unsigned kind = below(10);
        bool child = kind < 5 && i;
        struct retention_backup *b = add_type(t,
                                              kind == 9 ? "save"
                                              : child   ? "incremental"
                                                        : "full",
                                              "");
        if (child && below(20)) {
            const struct retention_backup *parent = &list[i - 1 - below(i < 3 ? (unsigned)i : 3)];
            if (!parent->save)
                snprintf(b->parent, sizeof b->parent, "%s", parent->id);
        } else if (child)
            snprintf(b->parent, sizeof b->parent, "20200101T000000Z-full-00000000");
        b->finished_at = t + below(5 * HOUR);
        b->hold_until = below(10) ? 0 : below(2) ? RETENTION_FOREVER : now - 1000 + below(2000);
        b->verified = below(4) ? RETENTION_UNVERIFIED : (enum retention_check)below(4);
    }
}

static struct retention_policy random_policy(void)
{
    struct retention_policy p = {.min = below(6)};
    p.last = below(3) ? 0 : below(8);
    p.within_s = below(3) ? 0 : below(100 * DAY);
    p.hourly = below(3) ? 0 : below(30);
    p.daily = below(2) ? 0 : below(10);
    p.weekly = below(2) ? 0 : below(6);
    p.monthly = below(2) ? 0 : below(13);
    p.yearly = below(3) ? 0 : below(4);
    return p;
}

static const struct retention_backup *by_id(const char *id)
{
    for (size_t i = 0; i < count; i++)
        if (!strcmp(list[i].id, id))
            return &list[i];
    return NULL;
}

static bool usable(const struct retention_backup *b)
{
    for (unsigned steps = 0; steps < MOST; steps++) {
        if (b->verified == RETENTION_DAMAGED)
            return false;
        if (!b->parent[0])
            return true;
        if (!(b = by_id(b->parent)))
            return false;
    }
    return false;
}

#define REQUIRE(condition, what)                                                                   \
    do {                                                                                           \
        if (!(condition))                                                                          \
            fail_msg("seed %llu: %s", began, what);                                                \
    } while (0)

static void nothing_needed_is_ever_chosen(void **state)
{
    (void)state;
    static struct retention_backup before[MOST];
    unsigned rounds = getenv("GB_TEST_LONG") ? 400000 : 20000;
    size_t gone = 0;
    for (unsigned round = 0; round < rounds; round++) {
        unsigned long long began = seed = round * 2654435761u + 1;
        random_history();
        struct retention_policy p = random_policy();
        decide(&p);
        size_t usable_kept = 0, usable_all = 0;
        const struct retention_backup *verified = NULL, *newest = NULL;
        for (size_t i = 0; i < count; i++) {
            const struct retention_backup *b = &list[i];
            const struct retention_backup *parent = b->parent[0] ? by_id(b->parent) : NULL;
            REQUIRE(b->reason[0], "no reason");
            REQUIRE(!b->keep || !parent || parent->keep, "the parent of a kept one goes");
            REQUIRE(b->keep || b->hold_until <= now, "a held one goes");
            REQUIRE(b->keep || retention_any(&p), "one goes without a rule");
            REQUIRE(b->keep || !p.within_s || b->finished_at + (time_t)p.within_s <= now,
                    "one goes within keep-within");
            REQUIRE(b->keep || b->started_at <= now, "one of the future goes");
            REQUIRE(b->usable == usable(b), "usable is something else");
            if (b->save)
                continue;
            usable_all += usable(b);
            usable_kept += usable(b) && b->keep;
            if (usable(b) && b->started_at <= now) {
                if (!newest || strcmp(newest->id, b->id) < 0)
                    newest = b;
                if ((b->verified == RETENTION_QUICK || b->verified == RETENTION_DEEP) &&
                    (!verified || strcmp(verified->id, b->id) < 0))
                    verified = b;
            }
        }
        unsigned min = p.min ? p.min : 1;
        REQUIRE(usable_kept >= (usable_all < min ? usable_all : min),
                "fewer than the floor are left");
        REQUIRE(!verified || verified->keep, "the newest verified one goes");
        REQUIRE(!newest || newest->keep, "the newest one goes");
        /* The order of the input makes no difference. */
        memcpy(before, list, count * sizeof *list);
        for (size_t i = count; i > 1; i--) {
            size_t k = below((unsigned)i);
            struct retention_backup other = list[i - 1];
            list[i - 1] = list[k];
            list[k] = other;
        }
        decide(&p);
        for (size_t i = 0; i < count; i++) {
            const struct retention_backup *again = by_id(before[i].id);
            REQUIRE(!memcmp(again, &before[i], sizeof *again), "another order, another answer");
        }
        /* Once it is carried out nothing more goes. */
        size_t left = 0;
        for (size_t i = 0; i < count; i++)
            if (list[i].keep)
                list[left++] = list[i];
        gone += count - left;
        count = left;
        decide(&p);
        REQUIRE(kept() == count, "a second run removes more");
    }
    print_message("%u histories, %zu backups went\n", rounds, gone);
    assert_true(gone > rounds);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_rule_over_three_years),
        cmocka_unit_test(reasons_name_every_rule),
        cmocka_unit_test(nothing_goes_without_a_rule),
        cmocka_unit_test(what_a_longer_period_wants_is_never_gone_before),
        cmocka_unit_test(parents_of_what_stays_stay),
        cmocka_unit_test(holds),
        cmocka_unit_test(the_newest_verified_one_stays),
        cmocka_unit_test(a_damaged_backup_takes_nobodys_place),
        cmocka_unit_test(saves_are_counted_apart),
        cmocka_unit_test(the_newest_is_never_gone),
        cmocka_unit_test(what_is_not_known_stays_and_takes_nobodys_place),
        cmocka_unit_test(a_backup_of_a_wrong_clock_takes_nobodys_place),
        cmocka_unit_test(no_backups_at_all),
        cmocka_unit_test(a_circle),
        cmocka_unit_test(nothing_needed_is_ever_chosen),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
