/* SPDX-License-Identifier: MIT
 *
 * test_descriptors.c - the descriptor of a subscription, for poll(): it is
 * readable while there is something to fetch, and once there is no more.
 */
#define _GNU_SOURCE
#include "events_kit.h"

#ifdef _WIN32

static void test_no_descriptor(void)
{
    ndisbridge_session *session = make_session();
    int32_t descriptor = 7;

    CHECK_STATUS(ndisbridge_get_subscription_descriptor(
                     session, &descriptor, subscribe(session, 2, 0)),
        NOT_SUPPORTED);
    CHECK_EQUAL(descriptor, 7);
    CHECK_STATUS(ndisbridge_session_destroy(session), SUCCESS);
}

int main(void)
{
    check_begin("test_descriptors");
    test_no_descriptor();
    return check_end();
}

#else

#include <poll.h>
#include <unistd.h>

static bool is_readable(int descriptor)
{
    struct pollfd polled = { .fd = descriptor, .events = POLLIN };

    return poll(&polled, 1, 0) == 1 && (polled.revents & POLLIN);
}

static void test_descriptor(void)
{
    ndisbridge_session *session = make_session();
    ndisbridge_provider provider =
        kit_provider(session, kit_no_answer, NULL);
    ndisbridge_subscription made = subscribe(session, 2, 0), other;
    ndisbridge_event is[ROOM];
    int32_t descriptor = -1, same = -1;
    uint32_t if_index;
    int copy;
    ndisbridge_net_luid net_luid =
        kit_interface(session, &if_index, provider, 0, NULL);

    CHECK_STATUS(ndisbridge_get_subscription_descriptor(
                     session, &descriptor, made),
        SUCCESS);
    CHECK_STATUS(
        ndisbridge_get_subscription_descriptor(session, &same, made),
        SUCCESS);
    CHECK_EQUAL(descriptor, same);
    CHECK(is_readable(descriptor));  /* there was something by then */
    CHECK_EQUAL(fetch(session, made, is, ROOM), 1);
    CHECK(!is_readable(descriptor));
    for (uint32_t i = 0; i < 5; i++) {
        publish_oper(session, net_luid, i % 2 == 0 ? UP : DOWN);
        CHECK(is_readable(descriptor));
    }
    CHECK_EQUAL(fetch(session, made, is, 1), 1);
    CHECK(is_readable(descriptor));
    CHECK_EQUAL(fetch(session, made, is, 1), 1);
    CHECK(!is_readable(descriptor));
    copy = dup(descriptor);
    REQUIRE(copy >= 0);
    ndisbridge_unsubscribe(session, made);
    CHECK(is_readable(copy));
    close(copy);
    CHECK_STATUS(ndisbridge_get_subscription_descriptor(
                     session, &descriptor, made),
        INVALID_PARAMETER);
    other = subscribe(session, 2, 0);
    CHECK_STATUS(ndisbridge_get_subscription_descriptor(
                     session, &descriptor, other),
        SUCCESS);
    CHECK(!is_readable(descriptor));
    CHECK_STATUS(ndisbridge_session_close(session, 60000), SUCCESS);
    CHECK(is_readable(descriptor));
    fetch(session, other, is, ROOM);
    CHECK(is_readable(descriptor));
    CHECK_STATUS(ndisbridge_session_destroy(session), SUCCESS);
}

/* Who waits elsewhere must still see the end once one has noticed it. */
static void test_descriptor_at_the_end(void)
{
    ndisbridge_session *session = make_session();
    ndisbridge_subscription made = subscribe(session, 2, 0);
    struct waiter waiter;
    int32_t descriptor = -1;
    int copy;

    CHECK_STATUS(ndisbridge_get_subscription_descriptor(
                     session, &descriptor, made),
        SUCCESS);
    copy = dup(descriptor);
    REQUIRE(copy >= 0);
    start(&waiter, session, made);
    CHECK_STATUS(ndisbridge_unsubscribe(session, made), SUCCESS);
    pthread_join(waiter.thread, NULL);
    CHECK_STATUS(waiter.status, INVALID_PARAMETER);
    CHECK(is_readable(copy));
    close(copy);
    CHECK_STATUS(ndisbridge_session_destroy(session), SUCCESS);
}

int main(void)
{
    check_begin("test_descriptors");
    test_descriptor();
    test_descriptor_at_the_end();
    return check_end();
}

#endif
