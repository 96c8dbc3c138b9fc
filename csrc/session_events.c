/* SPDX-License-Identifier: MIT
 *
 * session_events.c - the public functions that subscribe to events and fetch
 * them.
 */
#include "session.h"

/* ---- subscribe -------------------------------------------------------- */

/* Under the table's `writer`. */
static uint32_t events_of_all(const ndisbridge_session *session)
{
    return nb_load(&session->table.count) + session->stack.down.count;
}

/* Under the table's `writer`, with room: every interface, and every row of
 * the stack. */
static void walk(ndisbridge_session *session, struct nb_initial *initial)
{
    const struct nb_rows *rows = &session->stack.down;
    uint32_t if_index = 0;

    while ((if_index = nb_table_next(&session->table, if_index)) != 0) {
        struct nb_event_slot *slot = &initial->slots[initial->count++];

        nb_interface_read(nb_table_find_if_index(&session->table, if_index),
            &slot->event, &slot->sequence);
        slot->event.kind = NDISBRIDGE_EVENT_INITIAL;
        slot->event.time = nb_now_ms();
    }
    initial->interfaces = initial->count;
    for (uint32_t i = 0; i < rows->count; i++) {
        ndisbridge_event *event = &initial->slots[initial->count++].event;

        event->kind = NDISBRIDGE_EVENT_STACK_ADD;
        event->if_index = (uint32_t)(rows->rows[i] >> 32);
        event->lower_if_index = (uint32_t)rows->rows[i];
        event->net_luid = nb_load_relaxed(
            &nb_table_find_if_index(&session->table, event->if_index)
                 ->net_luid);
        event->time = nb_now_ms();
    }
}

static void free_slots(
    ndisbridge_session *session, struct nb_initial *initial)
{
    nb_deallocate(&session->host.memory, initial->slots,
        initial->room * sizeof *initial->slots);
    *initial = (struct nb_initial){ 0 };
}

/* Room for what is there now, and some. */
static bool make_room(ndisbridge_session *session, struct nb_initial *initial)
{
    uint32_t needed;

    free_slots(session, initial);
    pthread_mutex_lock(&session->table.writer);
    needed = events_of_all(session);
    pthread_mutex_unlock(&session->table.writer);
    initial->room = needed + needed / 8 + 16;
    initial->slots = nb_allocate(
        &session->host.memory, initial->room * sizeof *initial->slots);
    return initial->slots != NULL;
}

/* Begins a subscription in one turn of the table's `writer`: nothing is
 * registered or deregistered between its linking, the walk, and the dropping
 * of what the walk has seen. */
static ndisbridge_status begin(ndisbridge_session *session,
    struct nb_subscription *made, uint32_t flags,
    ndisbridge_subscription *handle)
{
    struct nb_table *table = &session->table;
    struct nb_initial initial = { 0 };
    bool all = flags & NDISBRIDGE_SUBSCRIBE_INITIAL, begun = false;

    while (!begun) {
        if (all && !make_room(session, &initial)) {
            free_slots(session, &initial);
            return NDISBRIDGE_STATUS_RESOURCES;
        }
        pthread_mutex_lock(&table->writer);
        begun = !all || events_of_all(session) <= initial.room;
        if (begun) {
            nb_events_link(&session->events, made);
            if (all)
                walk(session, &initial);
            *handle = nb_events_begin_with(&session->events, made, &initial);
        }
        pthread_mutex_unlock(&table->writer);
    }
    return NDISBRIDGE_STATUS_SUCCESS;
}

ndisbridge_status ndisbridge_subscribe(ndisbridge_session *session,
    ndisbridge_subscription *subscription, uint32_t capacity, uint32_t flags)
{
    struct nb_subscription *made;
    ndisbridge_subscription handle;
    ndisbridge_status status;

    NB_SESSION_ENTER(session);
    NB_REQUIRE(subscription != NULL && capacity > 0
        && capacity <= NDISBRIDGE_SUBSCRIPTION_CAPACITY_MAX
        && !(flags
            & ~(uint32_t)(NDISBRIDGE_SUBSCRIBE_INITIAL
                | NDISBRIDGE_SUBSCRIBE_NO_IDENTITIES)));
    made = nb_events_make(&session->events, capacity, flags);
    if (made == NULL)
        return NDISBRIDGE_STATUS_RESOURCES;
    status = begin(session, made, flags, &handle);
    if (status == NDISBRIDGE_STATUS_SUCCESS)
        *subscription = handle;
    else
        nb_events_unmake(&session->events, made);
    return status;
}

/* ---- fetch, end ------------------------------------------------------- */

/* Also on a session that is closing or closed: what it has told last can be
 * fetched, and a subscription ended. */
static ndisbridge_status check(const ndisbridge_session *session)
{
    NB_REQUIRE(session != NULL);
    if (nb_host_life(&session->host) == NB_LIFE_FORKED)
        return NDISBRIDGE_STATUS_FORKED;
    return nb_thread_in_hook_of(session) ? NDISBRIDGE_STATUS_INVALID_STATE
                                         : NDISBRIDGE_STATUS_SUCCESS;
}

ndisbridge_status ndisbridge_next_events(ndisbridge_session *session,
    ndisbridge_event *events, uint32_t *count,
    ndisbridge_subscription subscription, uint32_t timeout_ms)
{
    ndisbridge_status status = check(session);

    if (status == NDISBRIDGE_STATUS_SUCCESS
        && (events == NULL || count == NULL || *count == 0))
        status = NDISBRIDGE_STATUS_INVALID_PARAMETER;
    if (status == NDISBRIDGE_STATUS_SUCCESS)
        return nb_events_next(&session->events, subscription, events, count,
            nb_session_timeout(session, timeout_ms));
    if (count != NULL)
        *count = 0;
    return status;
}

ndisbridge_status ndisbridge_get_subscription_descriptor(
    ndisbridge_session *session, int32_t *descriptor,
    ndisbridge_subscription subscription)
{
    ndisbridge_status status = check(session);

    if (status != NDISBRIDGE_STATUS_SUCCESS)
        return status;
    NB_REQUIRE(descriptor != NULL);
    return nb_events_descriptor(&session->events, subscription, descriptor);
}

ndisbridge_status ndisbridge_unsubscribe(
    ndisbridge_session *session, ndisbridge_subscription subscription)
{
    ndisbridge_status status = check(session);

    return status != NDISBRIDGE_STATUS_SUCCESS
        ? status
        : nb_events_end(&session->events, subscription);
}

/* ---- what else ------------------------------------------------------- */

ndisbridge_status ndisbridge_post_identity_event(ndisbridge_session *session,
    ndisbridge_net_luid net_luid, uint32_t if_index, uint32_t change,
    uint64_t token)
{
    ndisbridge_event event = { .net_luid = net_luid,
        .if_index = if_index,
        .kind = NDISBRIDGE_EVENT_IDENTITY,
        .changed = change,
        .token = token };

    NB_SESSION_ENTER(session);
    NB_REQUIRE(change >= NDISBRIDGE_IDENTITY_CREATED
        && change <= NDISBRIDGE_IDENTITY_LOST);
    nb_events_post(&session->events, &event, 0);
    return NDISBRIDGE_STATUS_SUCCESS;
}

ndisbridge_status ndisbridge_get_if_table_last_change(
    ndisbridge_session *session, uint64_t *last_change)
{
    NB_SESSION_ENTER(session);
    NB_REQUIRE(last_change != NULL);
    *last_change = nb_load_acquire(&session->events.table_last_change);
    return NDISBRIDGE_STATUS_SUCCESS;
}

ndisbridge_status ndisbridge_get_if_stack_last_change(
    ndisbridge_session *session, uint64_t *last_change)
{
    NB_SESSION_ENTER(session);
    NB_REQUIRE(last_change != NULL);
    *last_change = nb_load_acquire(&session->events.stack_last_change);
    return NDISBRIDGE_STATUS_SUCCESS;
}
