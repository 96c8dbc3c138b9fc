/* SPDX-License-Identifier: MIT
 *
 * host.h - what every layer of a session shares: its memory, its persistence
 * hooks, whether it is open, closed or left behind by fork(), and how long
 * anything in it may wait.
 */
#ifndef NB_HOST_H
#define NB_HOST_H

#include "thread.h"

/* The life word lies alone on a page that the kernel wipes in a child of
 * fork(): there it reads NB_LIFE_FORKED, for the price of one load. */
enum nb_life {
    NB_LIFE_FORKED = 0,
    NB_LIFE_OPEN = 1,
    NB_LIFE_CLOSING = 2,
    NB_LIFE_CLOSED = 3
};

struct nb_host {
    nb_atomic_u32 *life;
    struct nb_memory memory;
    ndisbridge_persistence_hooks hooks;  /* members may be NULL */
    const void *session;  /* identity only */
    nb_atomic_u32 calls;  /* running now: hooks, registrations, trims */
    uint32_t wait_timeout_ms;  /* of a wait that nobody has timed */
};

static inline uint64_t nb_host_deadline(const struct nb_host *host)
{
    return nb_now_ms() + host->wait_timeout_ms;
}

static inline uint32_t nb_host_life(const struct nb_host *host)
{
    return nb_load_relaxed(host->life);
}

/* Whether this is a child of fork(): locks and conditions may be in use by
 * threads that are not here, and cannot be destroyed. */
static inline bool nb_host_forked(const struct nb_host *host)
{
    return nb_host_life(host) == NB_LIFE_FORKED;
}

/* Begins a call that closing must wait for; pair every SUCCESS with
 * nb_host_leave().  The count goes up before the life is looked at, and
 * closing looks at the count after it has changed the life: none slips
 * through between. */
static inline ndisbridge_status nb_host_enter(
    struct nb_host *host, bool while_closing)
{
    uint32_t life;

    nb_fetch_add(&host->calls, 1);
    life = nb_load(host->life);
    if (life == NB_LIFE_OPEN || (while_closing && life == NB_LIFE_CLOSING))
        return NDISBRIDGE_STATUS_SUCCESS;
    nb_fetch_sub(&host->calls, 1);
    return life == NB_LIFE_FORKED ? NDISBRIDGE_STATUS_FORKED
                                  : NDISBRIDGE_STATUS_INVALID_STATE;
}

static inline void nb_host_leave(struct nb_host *host)
{
    nb_fetch_sub(&host->calls, 1);
}

/* The same for a hook call; hook lives on the caller's stack until
 * nb_host_leave_hook(). */
static inline ndisbridge_status nb_host_enter_hook(
    struct nb_host *host, struct nb_hook *hook, bool while_closing)
{
    ndisbridge_status status = nb_host_enter(host, while_closing);

    if (status == NDISBRIDGE_STATUS_SUCCESS) {
        hook->session = host->session;
        hook->outer = nb_this_thread.hooks;
        nb_this_thread.hooks = hook;
    }
    return status;
}

static inline void nb_host_leave_hook(
    struct nb_host *host, const struct nb_hook *hook)
{
    nb_this_thread.hooks = hook->outer;
    nb_host_leave(host);
}

#endif
