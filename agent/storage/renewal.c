/* Something that has to be asked for and is good for a time; see renewal.h. */
#include "agent/storage/renewal.h"
#include "common/clock.h"

#include <string.h>

#define USED_ON_US                                                                                 \
    60000000ull /* how long what could not be renewed is used before the next try                  \
                 */

void renewal_open(struct renewal *r)
{
    memset(r, 0, sizeof *r);
    pthread_mutex_init(&r->mutex, NULL);
    pthread_cond_init(&r->changed, NULL);
}

void renewal_close(struct renewal *r)
{
    pthread_cond_destroy(&r->changed);
    pthread_mutex_destroy(&r->mutex);
}

/* Under the mutex, which it gives away for the time. */
static bool ask(struct renewal *r, bool (*fetch)(void *context, struct gb_error *error),
                void *context)
{
    struct gb_error problem = {0};
    r->busy = true;
    pthread_mutex_unlock(&r->mutex);
    bool ok = fetch(context, &problem);
    pthread_mutex_lock(&r->mutex);
    r->busy = false;
    if (ok) {
        r->generation++;
    } else {
        r->failures++;
        r->error = problem;
    }
    pthread_cond_broadcast(&r->changed);
    return ok;
}

bool renewal_enter(struct renewal *r, unsigned stale,
                   bool (*fetch)(void *context, struct gb_error *error), void *context,
                   struct gb_error *error)
{
    pthread_mutex_lock(&r->mutex);
    const unsigned failures = r->failures;
    bool failed = false;
    for (;;) {
        bool there = r->generation > stale, fresh = there && now_us() < r->renew_at_us;
        if (fresh)
            return true;
        if (failed && there) {
            r->renew_at_us = now_us() + USED_ON_US;
            return true;
        }
        if (failed)
            break;
        if (r->busy) {
            while (r->busy)
                pthread_cond_wait(&r->changed, &r->mutex);
            failed = r->failures != failures;
        } else {
            failed = !ask(r, fetch, context);
        }
    }
    error_copy(error, &r->error);
    pthread_mutex_unlock(&r->mutex);
    return false;
}

void renewal_leave(struct renewal *r)
{
    pthread_mutex_unlock(&r->mutex);
}
