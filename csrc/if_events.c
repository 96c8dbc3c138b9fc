/* SPDX-License-Identifier: MIT
 *
 * if_events.c - see if_events.h.
 */
#include "if_events.h"

#include <string.h>

/* Events that are copied out in one turn of the lock, so that who posts
 * waits for no more. */
#define FETCH_AT_ONCE 64

struct nb_subscription {
    ndisbridge_subscription handle;
    struct nb_subscription *next;
    uint32_t flags;
    pthread_cond_t arrived;  /* with `lock`; also closing and the end */
    uint32_t inside;  /* threads in nb_events_next(): they free it */
    bool ended;
    struct nb_initial initial;
    uint32_t initial_at;
    struct nb_event_slot *ring;
    uint32_t capacity, oldest, count;
    uint64_t missed;  /* lost since the last one that was fetched */
    int descriptor;  /* -1: nobody has asked for it */
    bool readable;  /* what is known of it */
};

bool nb_events_init(struct nb_events *events, struct nb_host *host)
{
    if (!nb_mutex_init(&events->lock))
        return false;
    events->host = host;
    return true;
}

static void set_readable(struct nb_subscription *subscription, bool readable)
{
    if (subscription->descriptor < 0 || subscription->readable == readable)
        return;
    nb_descriptor_set(subscription->descriptor, readable);
    subscription->readable = readable;
}

/* ---- making and freeing ----------------------------------------------- */

static void free_initial(
    const struct nb_memory *memory, struct nb_initial *initial)
{
    nb_deallocate(
        memory, initial->slots, initial->room * sizeof *initial->slots);
    memset(initial, 0, sizeof *initial);
}

static void free_subscription(
    struct nb_events *events, struct nb_subscription *subscription)
{
    const struct nb_memory *memory = &events->host->memory;

    if (subscription->descriptor >= 0)
        nb_descriptor_close(subscription->descriptor);
    free_initial(memory, &subscription->initial);
    nb_deallocate(memory, subscription->ring,
        subscription->capacity * sizeof *subscription->ring);
    if (!nb_host_forked(events->host))
        pthread_cond_destroy(&subscription->arrived);
    nb_deallocate(memory, subscription, sizeof *subscription);
}

void nb_events_destroy(struct nb_events *events)
{
    if (events->host == NULL)
        return;
    while (events->first != NULL) {
        struct nb_subscription *subscription = events->first;

        events->first = subscription->next;
        free_subscription(events, subscription);
    }
    if (!nb_host_forked(events->host))
        pthread_mutex_destroy(&events->lock);
}

struct nb_subscription *nb_events_make(
    struct nb_events *events, uint32_t capacity, uint32_t flags)
{
    const struct nb_memory *memory = &events->host->memory;
    struct nb_subscription *made = nb_allocate(memory, sizeof *made);

    if (made == NULL)
        return NULL;
    made->descriptor = -1;
    made->capacity = capacity;
    made->flags = flags;
    made->ring = nb_allocate(memory, capacity * sizeof *made->ring);
    if (made->ring == NULL || !nb_condition_init(&made->arrived)) {
        nb_deallocate(memory, made->ring, capacity * sizeof *made->ring);
        nb_deallocate(memory, made, sizeof *made);
        return NULL;
    }
    return made;
}

void nb_events_unmake(
    struct nb_events *events, struct nb_subscription *subscription)
{
    free_subscription(events, subscription);
}

/* ---- posting ---------------------------------------------------------- */

static void put(struct nb_subscription *subscription,
    const ndisbridge_event *event, uint64_t sequence)
{
    struct nb_event_slot *slot;

    if (subscription->count == subscription->capacity) {
        subscription->oldest =
            (subscription->oldest + 1) % subscription->capacity;
        subscription->count--;
        subscription->missed++;
    }
    slot = &subscription->ring[(subscription->oldest + subscription->count)
        % subscription->capacity];
    slot->event = *event;
    slot->sequence = sequence;
    subscription->count++;
    set_readable(subscription, true);
    pthread_cond_signal(&subscription->arrived);
}

void nb_events_hold(struct nb_events *events)
{
    pthread_mutex_lock(&events->lock);
}

void nb_events_let_go(struct nb_events *events)
{
    pthread_mutex_unlock(&events->lock);
}

void nb_events_post_held(struct nb_events *events,
    const ndisbridge_event *event, uint64_t sequence)
{
    ndisbridge_event timed = *event;

    timed.time = nb_now_ms();
    for (struct nb_subscription *each = events->first; each != NULL;
         each = each->next)
        if (event->kind != NDISBRIDGE_EVENT_IDENTITY
            || !(each->flags & NDISBRIDGE_SUBSCRIBE_NO_IDENTITIES))
            put(each, &timed, sequence);
}

void nb_events_post(struct nb_events *events, const ndisbridge_event *event,
    uint64_t sequence)
{
    if (!nb_events_wanted(events))
        return;
    nb_events_hold(events);
    nb_events_post_held(events, event, sequence);
    nb_events_let_go(events);
}

enum ndisbridge_link_transition nb_link_transition(
    uint32_t before, uint32_t after)
{
    const uint32_t down = NDISBRIDGE_NET_IF_OPER_STATUS_DOWN;
    const uint32_t absent = NDISBRIDGE_NET_IF_OPER_STATUS_NOT_PRESENT;

    if (before != down && before != absent && after == down)
        return NDISBRIDGE_LINK_DOWN;
    if (before == down && after != down && after != absent)
        return NDISBRIDGE_LINK_UP;
    return NDISBRIDGE_LINK_NONE;
}

/* ---- beginning -------------------------------------------------------- */

void nb_events_link(
    struct nb_events *events, struct nb_subscription *subscription)
{
    pthread_mutex_lock(&events->lock);
    subscription->next = events->first;
    events->first = subscription;
    nb_fetch_add(&events->subscribers, 1);
    pthread_mutex_unlock(&events->lock);
}

/* Whether the walk has seen what an event tells. */
static bool has_seen(
    const struct nb_initial *initial, const struct nb_event_slot *slot)
{
    uint32_t low = 0, high = initial->interfaces;

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;

        if (initial->slots[middle].event.if_index < slot->event.if_index)
            low = middle + 1;
        else
            high = middle;
    }
    /* by chance: one that is closing, so that it was not walked, tells what
     * somebody has published who was inside of it before */
    return slot->sequence != 0 && low < initial->interfaces
        /* by chance: the same, with a lower ifIndex than another */
        && initial->slots[low].event.net_luid == slot->event.net_luid
        /* by chance: it was published after it was walked */
        && slot->sequence <= initial->slots[low].sequence;
}

ndisbridge_subscription nb_events_begin_with(struct nb_events *events,
    struct nb_subscription *subscription, const struct nb_initial *initial)
{
    ndisbridge_subscription handle;
    uint32_t kept = 0;

    pthread_mutex_lock(&events->lock);
    for (uint32_t i = 0; i < subscription->count; i++) {
        struct nb_event_slot *ring = subscription->ring;
        uint32_t from = (subscription->oldest + i) % subscription->capacity;

        if (has_seen(initial, &ring[from]))
            continue;
        ring[(subscription->oldest + kept++) % subscription->capacity] =
            ring[from];
    }
    subscription->count = kept;
    subscription->initial = *initial;
    handle = subscription->handle = ++events->last_handle;
    pthread_mutex_unlock(&events->lock);
    return handle;
}

/* ---- fetching --------------------------------------------------------- */

/* Under `lock`: the place in the list, which holds NULL if there is none. */
static struct nb_subscription **place_of(
    struct nb_events *events, ndisbridge_subscription handle)
{
    struct nb_subscription **at = &events->first;

    /* One without a handle has yet to begin. */
    while (*at != NULL && ((*at)->handle != handle || handle == 0))
        at = &(*at)->next;
    return at;
}

/* Under `lock`.  *used_up is what the caller frees after it. */
static uint32_t take(struct nb_subscription *subscription,
    ndisbridge_event *to, uint32_t room, struct nb_initial *used_up)
{
    struct nb_initial *initial = &subscription->initial;
    uint32_t n = 0;

    while (n < room && subscription->initial_at < initial->count)
        to[n++] = initial->slots[subscription->initial_at++].event;
    if (initial->slots != NULL && subscription->initial_at == initial->count) {
        *used_up = *initial;
        memset(initial, 0, sizeof *initial);
        subscription->initial_at = 0;
    }
    while (n < room && subscription->count > 0) {
        to[n] = subscription->ring[subscription->oldest].event;
        to[n++].missed = subscription->missed;
        subscription->missed = 0;
        subscription->oldest =
            (subscription->oldest + 1) % subscription->capacity;
        subscription->count--;
    }
    return n;
}

static bool has_events(const struct nb_subscription *subscription)
{
    return subscription->count > 0 || subscription->initial.count > 0;
}

/* Under `lock`: waits for the first event; why there is none. */
static ndisbridge_status wait_for_one(struct nb_events *events,
    struct nb_subscription *subscription, uint64_t deadline_ms)
{
    bool in_time = true;

    for (;;) {
        if (subscription->ended)
            return NDISBRIDGE_STATUS_INVALID_PARAMETER;
        if (has_events(subscription))
            return NDISBRIDGE_STATUS_SUCCESS;
        /* Closing waits for handlers: they must not wait for it. */
        if (events->closed
            || (nb_host_life(events->host) != NB_LIFE_OPEN
                && nb_thread_in_session(events->host->session)))
            return NDISBRIDGE_STATUS_INVALID_STATE;
        if (!in_time)
            return NDISBRIDGE_STATUS_TIMEOUT;
        in_time = nb_condition_wait(
            &subscription->arrived, &events->lock, deadline_ms);
    }
}

ndisbridge_status nb_events_next(struct nb_events *events,
    ndisbridge_subscription handle, ndisbridge_event *to, uint32_t *count,
    uint32_t timeout_ms)
{
    uint32_t room = *count, n = 0;
    uint64_t deadline_ms = nb_now_ms() + timeout_ms;
    struct nb_subscription *subscription;
    struct nb_initial used_up = { 0 };
    ndisbridge_status status;
    bool last;

    *count = 0;
    pthread_mutex_lock(&events->lock);
    subscription = *place_of(events, handle);
    if (subscription == NULL) {
        pthread_mutex_unlock(&events->lock);
        return NDISBRIDGE_STATUS_INVALID_PARAMETER;
    }
    subscription->inside++;
    status = wait_for_one(events, subscription, deadline_ms);
    while (status == NDISBRIDGE_STATUS_SUCCESS && !subscription->ended
        && n < room && has_events(subscription)) {
        uint32_t most =
            room - n < FETCH_AT_ONCE ? room - n : FETCH_AT_ONCE;

        n += take(subscription, to + n, most, &used_up);
        if (n < room && has_events(subscription)) {
            pthread_mutex_unlock(&events->lock);
            pthread_mutex_lock(&events->lock);
        }
    }
    if (!has_events(subscription) && !events->closed && !subscription->ended)
        set_readable(subscription, false);
    last = --subscription->inside == 0 && subscription->ended;
    pthread_mutex_unlock(&events->lock);
    free_initial(&events->host->memory, &used_up);
    if (last)
        free_subscription(events, subscription);
    *count = n;
    return status;
}

ndisbridge_status nb_events_descriptor(struct nb_events *events,
    ndisbridge_subscription handle, int32_t *descriptor)
{
    struct nb_subscription *subscription;
    ndisbridge_status status = NDISBRIDGE_STATUS_SUCCESS;

    pthread_mutex_lock(&events->lock);
    subscription = *place_of(events, handle);
    if (subscription == NULL) {
        status = NDISBRIDGE_STATUS_INVALID_PARAMETER;
    } else if (subscription->descriptor < 0) {
        status = nb_descriptor_open(&subscription->descriptor);
        if (has_events(subscription) || events->closed)
            set_readable(subscription, true);
    }
    if (status == NDISBRIDGE_STATUS_SUCCESS)
        *descriptor = subscription->descriptor;
    pthread_mutex_unlock(&events->lock);
    return status;
}

ndisbridge_status nb_events_end(
    struct nb_events *events, ndisbridge_subscription handle)
{
    struct nb_subscription **at, *subscription;
    bool last = false;

    pthread_mutex_lock(&events->lock);
    at = place_of(events, handle);
    subscription = *at;
    if (subscription != NULL) {
        *at = subscription->next;
        nb_fetch_sub(&events->subscribers, 1);
        subscription->ended = true;
        set_readable(subscription, true);
        pthread_cond_broadcast(&subscription->arrived);
        last = subscription->inside == 0;
    }
    pthread_mutex_unlock(&events->lock);
    if (last)
        free_subscription(events, subscription);
    return subscription == NULL ? NDISBRIDGE_STATUS_INVALID_PARAMETER
                                : NDISBRIDGE_STATUS_SUCCESS;
}

/* ---- the end ---------------------------------------------------------- */

void nb_events_closing(struct nb_events *events)
{
    pthread_mutex_lock(&events->lock);
    for (struct nb_subscription *each = events->first; each != NULL;
         each = each->next) {
        /* Until somebody fetches and finds nothing. */
        set_readable(each, true);
        pthread_cond_broadcast(&each->arrived);
    }
    pthread_mutex_unlock(&events->lock);
}

void nb_events_close(struct nb_events *events)
{
    pthread_mutex_lock(&events->lock);
    events->closed = true;
    for (struct nb_subscription *each = events->first; each != NULL;
         each = each->next) {
        set_readable(each, true);
        pthread_cond_broadcast(&each->arrived);
    }
    pthread_mutex_unlock(&events->lock);
}
