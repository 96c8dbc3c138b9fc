/* SPDX-License-Identifier: MIT
 *
 * if_events.h - what has happened, for those who subscribe: one bounded ring
 * for each, with a count of what did not fit.
 *
 * Posting copies an event into each ring under `lock`, which is held for
 * copies of events only: never while anything is allocated, called or waited
 * for, but by a condition that gives it back.  A full ring loses its oldest
 * event.  Who posts without a subscriber pays for one load of `subscribers`.
 *
 * Order.  An event of the table or the stack is posted under the table's
 * `writer`; one of an interface's values while its sequence is odd (if_values
 * .c).  So for each interface they are posted one after another, in the order
 * in which they happen.  Locks are taken in this order: `writer`, the turn of
 * a sequence, `lock`; nothing waits for one of them while it has a later one.
 *
 * Beginning.  A new ring is linked under `writer` before the table is walked:
 * whoever publishes after its interface was read, and so was not seen by the
 * walk, sees the ring (both sides write, then read the other's word, with
 * sequentially consistent operations).  Who publishes between may be seen by
 * the walk *and* post; the sequence in each slot says so, and
 * nb_events_begin_with() drops what the walk has seen.  That is done in the
 * same turn of `writer`: sequences of a NET_LUID that is registered anew may
 * be those of another record.
 */
#ifndef NB_IF_EVENTS_H
#define NB_IF_EVENTS_H

#include "host.h"

/* An event, and the sequence of its interface once it has happened; 0 where
 * it is not one of values. */
struct nb_event_slot {
    ndisbridge_event event;
    uint64_t sequence;
};

/* Events that a subscription begins with; ascending by ifIndex, then the
 * rows of the stack. */
struct nb_initial {
    struct nb_event_slot *slots;
    uint32_t interfaces;  /* of them are of interfaces */
    uint32_t count, room;
};

struct nb_subscription;

struct nb_events {
    struct nb_host *host;
    nb_atomic_u32 subscribers;
    nb_atomic_u64 table_last_change;  /* nb_recent_ms(), or 0 */
    nb_atomic_u64 stack_last_change;
    pthread_mutex_t lock;
    /* Under `lock`. */
    struct nb_subscription *first;
    ndisbridge_subscription last_handle;
    bool closed;
};

/* False without a mutex. */
bool nb_events_init(struct nb_events *events, struct nb_host *host);
void nb_events_destroy(struct nb_events *events);

/* Whether anybody would be told.  Sequentially consistent: see above. */
static inline bool nb_events_wanted(struct nb_events *events)
{
    return NB_UNLIKELY(nb_load(&events->subscribers) != 0);
}

/* Between these two nothing that is posted can be fetched: what happens
 * between has happened when its event arrives. */
void nb_events_hold(struct nb_events *events);
void nb_events_let_go(struct nb_events *events);
/* Between the two; sets the event's time. */
void nb_events_post_held(struct nb_events *events,
    const ndisbridge_event *event, uint64_t sequence);

/* Posts one. */
void nb_events_post(struct nb_events *events, const ndisbridge_event *event,
    uint64_t sequence);

/* linkUp and linkDown of RFC 2863, by two states of NET_IF_OPER_STATUS. */
enum ndisbridge_link_transition nb_link_transition(
    uint32_t before, uint32_t after);

/* Makes a subscription, of NDISBRIDGE_SUBSCRIBE_* flags; links it, so that events come into it; gives it the
 * first ones, whose memory it takes over, and its handle to the caller.  The
 * latter two in one turn of the table's `writer`. */
struct nb_subscription *nb_events_make(
    struct nb_events *events, uint32_t capacity, uint32_t flags);
void nb_events_link(
    struct nb_events *events, struct nb_subscription *subscription);
ndisbridge_subscription nb_events_begin_with(struct nb_events *events,
    struct nb_subscription *subscription, const struct nb_initial *initial);
/* Frees one that was not linked. */
void nb_events_unmake(
    struct nb_events *events, struct nb_subscription *subscription);

ndisbridge_status nb_events_next(struct nb_events *events,
    ndisbridge_subscription handle, ndisbridge_event *to, uint32_t *count,
    uint32_t timeout_ms);
ndisbridge_status nb_events_descriptor(struct nb_events *events,
    ndisbridge_subscription handle, int32_t *descriptor);
ndisbridge_status nb_events_end(
    struct nb_events *events, ndisbridge_subscription handle);

/* The session is closing: wakes handlers that wait for events, which closing
 * would wait for.  Then it is closed: wakes everybody. */
void nb_events_closing(struct nb_events *events);
void nb_events_close(struct nb_events *events);

#endif
