/* SPDX-License-Identifier: MIT
 *
 * events_kit.h - short ways for the C tests to subscriptions, and to threads
 * that wait for an event.  Link with the core.
 */
#ifndef NB_TEST_EVENTS_KIT_H
#define NB_TEST_EVENTS_KIT_H

#include <pthread.h>
#include <time.h>

#include "check.h"
#include "interface_kit.h"

#define ROOM 256
#define UP NDISBRIDGE_NET_IF_OPER_STATUS_UP
#define DOWN NDISBRIDGE_NET_IF_OPER_STATUS_DOWN

static inline ndisbridge_session *make_session(void)
{
    ndisbridge_session *session = NULL;

    REQUIRE(ndisbridge_session_create(&session, NULL)
        == NDISBRIDGE_STATUS_SUCCESS);
    return session;
}

static inline ndisbridge_subscription subscribe(
    ndisbridge_session *session, uint32_t capacity, uint32_t flags)
{
    ndisbridge_subscription made = 0;

    CHECK_STATUS(
        ndisbridge_subscribe(session, &made, capacity, flags), SUCCESS);
    return made;
}

/* How many there are, without waiting. */
static inline uint32_t fetch(ndisbridge_session *session,
    ndisbridge_subscription subscription, ndisbridge_event *events,
    uint32_t room)
{
    uint32_t count = room;
    ndisbridge_status status =
        ndisbridge_next_events(session, events, &count, subscription, 0);

    CHECK_EQUAL(status,
        count > 0 ? NDISBRIDGE_STATUS_SUCCESS : NDISBRIDGE_STATUS_TIMEOUT);
    return count;
}

static inline void publish_oper(ndisbridge_session *session,
    ndisbridge_net_luid net_luid, uint32_t oper_status)
{
    ndisbridge_published values = { .fields = 1 };

    values.information.if_oper_status = oper_status;
    CHECK_STATUS(ndisbridge_publish(session, net_luid, &values), SUCCESS);
}

static inline void pause_us(long microseconds)
{
    nanosleep(&(struct timespec){ 0, microseconds * 1000 }, NULL);
}

struct waiter {
    pthread_t thread;
    ndisbridge_session *session;
    ndisbridge_subscription subscription;
    ndisbridge_status status;
    ndisbridge_event event;
    uint32_t count;
};

static inline void *wait_for_one(void *argument)
{
    struct waiter *waiter = argument;

    waiter->count = 1;
    waiter->status = ndisbridge_next_events(waiter->session, &waiter->event,
        &waiter->count, waiter->subscription, 60000);
    return NULL;
}

static inline void start(struct waiter *waiter, ndisbridge_session *session,
    ndisbridge_subscription subscription)
{
    waiter->session = session;
    waiter->subscription = subscription;
    REQUIRE(pthread_create(&waiter->thread, NULL, wait_for_one, waiter) == 0);
    /* Mostly it waits by then; what follows holds either way. */
    pause_us(20000);
}

#endif
