/* SPDX-License-Identifier: MIT
 *
 * transit.h - blocks on their way between a session and its store, and who
 * waits for them.
 *
 * While the hook runs that leases a block it is not here yet, and while the
 * hook runs that gives one back it is not there yet.  What can be said of an
 * index in it depends on how that ends.  So each such call is a trip; trips
 * are numbered as they begin, and three kinds of call wait for those that
 * began before:
 *   - who would answer that nothing is left, or that an index is taken;
 *   - a release of indexes in a block that is not leased here: a lease that
 *     read the store before the release must be told of it, and one that
 *     read it after must not, so that the two exclude each other;
 *   - a lease, for the releases that exclude it.
 * Nobody waits for what began later: nobody waits for long, nor two for each
 * other.  Every wait has a deadline.
 */
#ifndef NB_TRANSIT_H
#define NB_TRANSIT_H

#include "host.h"

enum nb_trip_kind { NB_TRIP_LEASE, NB_TRIP_RETURN, NB_TRIP_RELEASE };

/* One trip; lives on the stack of the thread that makes it. */
struct nb_trip {
    enum nb_trip_kind kind;
    uint64_t number;
    struct nb_trip *previous, *next;
};

struct nb_transit {
    pthread_mutex_t lock;
    pthread_cond_t ended;  /* a trip; with `lock` */
    struct nb_trip *first, *last;  /* under way, oldest first */
    uint64_t begun;  /* number of the last one */
    nb_atomic_u64 returns_begun, returns_ended;
};

bool nb_transit_init(struct nb_transit *transit);
void nb_transit_destroy(struct nb_transit *transit);

/* Begins a trip, after those that exclude it and began before; TIMEOUT if
 * they take too long: then it has not begun. */
ndisbridge_status nb_transit_begin(struct nb_transit *transit,
    struct nb_trip *trip, enum nb_trip_kind kind, uint64_t deadline_ms);
void nb_transit_end(struct nb_transit *transit, struct nb_trip *trip);

/* Waits for the leases and returns that began before; false if they take
 * too long. */
bool nb_transit_wait(struct nb_transit *transit, uint64_t deadline_ms);

/* A moment, for nb_transit_returned_since(). */
static inline uint64_t nb_transit_moment(struct nb_transit *transit)
{
    return nb_load(&transit->returns_ended);
}

/* Whether a return was under way at a moment or has begun since: what was
 * seen of indexes meanwhile may not be so. */
static inline bool nb_transit_returned_since(
    struct nb_transit *transit, uint64_t moment)
{
    return nb_load(&transit->returns_begun) != moment;
}

#endif
