/* SPDX-License-Identifier: MIT
 *
 * test_if_events.c - events: what is told, in which order, and what is lost.
 *
 * Replaying what a subscription tells is compared with the table itself.
 */
#define _GNU_SOURCE
#include "check.h"
#include "interface_kit.h"

#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#define ROOM 256
#define UP NDISBRIDGE_NET_IF_OPER_STATUS_UP
#define DOWN NDISBRIDGE_NET_IF_OPER_STATUS_DOWN

static ndisbridge_session *make_session(void)
{
    ndisbridge_session *session = NULL;

    REQUIRE(ndisbridge_session_create(&session, NULL)
        == NDISBRIDGE_STATUS_SUCCESS);
    return session;
}

static ndisbridge_subscription subscribe(
    ndisbridge_session *session, uint32_t capacity, uint32_t flags)
{
    ndisbridge_subscription made = 0;

    CHECK_STATUS(
        ndisbridge_subscribe(session, &made, capacity, flags), SUCCESS);
    return made;
}

/* How many there are, without waiting. */
static uint32_t fetch(ndisbridge_session *session,
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

static void publish_oper(ndisbridge_session *session,
    ndisbridge_net_luid net_luid, uint32_t oper_status)
{
    ndisbridge_published values = { .fields = 1 };

    values.information.if_oper_status = oper_status;
    CHECK_STATUS(ndisbridge_publish(session, net_luid, &values), SUCCESS);
}

/* ---- one by one ------------------------------------------------------- */

static void test_arguments(void)
{
    ndisbridge_session *session = make_session();
    ndisbridge_subscription made = 7;
    ndisbridge_event event;
    uint32_t count = 1;

    CHECK_STATUS(ndisbridge_subscribe(session, NULL, 8, 0),
        INVALID_PARAMETER);
    CHECK_STATUS(ndisbridge_subscribe(session, &made, 0, 0),
        INVALID_PARAMETER);
    CHECK_STATUS(ndisbridge_subscribe(session, &made,
                     NDISBRIDGE_SUBSCRIPTION_CAPACITY_MAX + 1, 0),
        INVALID_PARAMETER);
    CHECK_STATUS(
        ndisbridge_subscribe(session, &made, 8, 4), INVALID_PARAMETER);
    CHECK_EQUAL(made, 7);
    made = subscribe(session, 8, 0);
    CHECK(made != 0);
    CHECK_STATUS(ndisbridge_next_events(session, &event, &count, made + 1, 0),
        INVALID_PARAMETER);
    CHECK_EQUAL(count, 0);
    CHECK_STATUS(ndisbridge_next_events(session, &event, &count, made, 0),
        INVALID_PARAMETER);
    count = 1;
    CHECK_STATUS(ndisbridge_next_events(session, NULL, &count, made, 0),
        INVALID_PARAMETER);
    CHECK_STATUS(ndisbridge_next_events(session, &event, NULL, made, 0),
        INVALID_PARAMETER);
    count = 1;
    CHECK_STATUS(ndisbridge_next_events(session, &event, &count, made, 5),
        TIMEOUT);
    CHECK_STATUS(ndisbridge_unsubscribe(session, made), SUCCESS);
    CHECK_STATUS(ndisbridge_unsubscribe(session, made), INVALID_PARAMETER);
    count = 1;
    CHECK_STATUS(ndisbridge_next_events(session, &event, &count, made, 0),
        INVALID_PARAMETER);
    CHECK_STATUS(ndisbridge_post_identity_event(session, 0, 0, 0, 0),
        INVALID_PARAMETER);
    CHECK_STATUS(ndisbridge_post_identity_event(session, 0, 0, 5, 0),
        INVALID_PARAMETER);
    CHECK_STATUS(ndisbridge_session_destroy(session), SUCCESS);
}

static void test_one_interface(void)
{
    ndisbridge_session *session = make_session();
    ndisbridge_provider provider =
        kit_provider(session, kit_no_answer, NULL);
    ndisbridge_subscription made = subscribe(session, ROOM, 0);
    ndisbridge_published values = { .fields = 0 };
    ndisbridge_event is[ROOM];
    uint64_t table = 1, stack = 1;
    uint32_t if_index;
    ndisbridge_net_luid net_luid;

    CHECK_STATUS(ndisbridge_get_if_table_last_change(session, &table),
        SUCCESS);
    CHECK_STATUS(ndisbridge_get_if_stack_last_change(session, &stack),
        SUCCESS);
    CHECK_EQUAL(table, 0);
    CHECK_EQUAL(stack, 0);
    net_luid = kit_interface(session, &if_index, provider, 0, NULL);
    CHECK_EQUAL(fetch(session, made, is, ROOM), 1);
    CHECK_EQUAL(is[0].kind, NDISBRIDGE_EVENT_ADD);
    CHECK_EQUAL(is[0].net_luid, net_luid);
    CHECK_EQUAL(is[0].if_index, if_index);
    CHECK_EQUAL(is[0].changed, 0);
    CHECK_EQUAL(is[0].oper_status, NDISBRIDGE_NET_IF_OPER_STATUS_UNKNOWN);
    CHECK_EQUAL(is[0].admin_status, NDISBRIDGE_NET_IF_ADMIN_STATUS_DOWN);
    CHECK_EQUAL(is[0].missed, 0);
    ndisbridge_get_if_table_last_change(session, &table);
    CHECK(table != 0 && table <= is[0].time);

    /* Its first publication, though both have this value anyway. */
    values.fields = NDISBRIDGE_PUBLISH_ADMIN_STATUS | 1;
    values.admin_status = NDISBRIDGE_NET_IF_ADMIN_STATUS_DOWN;
    values.information.if_oper_status =
        NDISBRIDGE_NET_IF_OPER_STATUS_UNKNOWN;
    ndisbridge_publish(session, net_luid, &values);
    CHECK_EQUAL(fetch(session, made, is, ROOM), 1);
    CHECK_EQUAL(is[0].kind, NDISBRIDGE_EVENT_PARAMETER);
    CHECK_EQUAL(is[0].changed, values.fields);
    CHECK_EQUAL(is[0].link, NDISBRIDGE_LINK_NONE);
    /* The same again changes nothing. */
    ndisbridge_publish(session, net_luid, &values);
    CHECK_EQUAL(fetch(session, made, is, ROOM), 0);
    /* Of two that are given one differs. */
    values.admin_status = NDISBRIDGE_NET_IF_ADMIN_STATUS_UP;
    ndisbridge_publish(session, net_luid, &values);
    CHECK_EQUAL(fetch(session, made, is, ROOM), 1);
    CHECK_EQUAL(is[0].changed, NDISBRIDGE_PUBLISH_ADMIN_STATUS);
    CHECK_EQUAL(is[0].admin_status, NDISBRIDGE_NET_IF_ADMIN_STATUS_UP);
    /* Counters alone are no event, not even the first time. */
    memset(&values, 0, sizeof values);
    values.fields = NDISBRIDGE_PUBLISH_STATISTICS;
    for (uint64_t i = 0; i < 3; i++) {
        values.information.if_in_unknown_protos = i;
        values.information.if_hc_in_octets = i;
        values.information.if_hc_out_broadcast_octets = i;
        ndisbridge_publish(session, net_luid, &values);
    }
    CHECK_EQUAL(fetch(session, made, is, ROOM), 0);
    /* An alias, and every field that is none of them. */
    memset(&values, 0, sizeof values);
    values.fields = NDISBRIDGE_PUBLISH_ALIAS;
    values.alias.length = 2;
    values.alias.string[0] = 'x';
    ndisbridge_publish(session, net_luid, &values);
    ndisbridge_publish(session, net_luid, &values);
    CHECK_EQUAL(fetch(session, made, is, ROOM), 1);
    CHECK_EQUAL(is[0].changed, NDISBRIDGE_PUBLISH_ALIAS);
    memset(&values, 0, sizeof values);
    values.fields = NDISBRIDGE_PUBLISH_INFORMATION;
    values.information.if_oper_status = UP;
    values.information.supported_statistics = 1;
    ndisbridge_publish(session, net_luid, &values);
    CHECK_EQUAL(fetch(session, made, is, ROOM), 1);
    CHECK_EQUAL(is[0].changed,
        NDISBRIDGE_PUBLISH_INFORMATION
            & ~(uint64_t)NDISBRIDGE_PUBLISH_STATISTICS);
    for (uint32_t i = 0; i < 32; i++) {
        const uint64_t bit = UINT64_C(1) << i;
        uint8_t *first = (uint8_t *)&values.information;
        /* Members of 4 bytes, two of 1, and of 8, to the last two. */
        size_t offset = i < 5 ? i * 4
            : i < 7           ? 20 + (i - 5)
            : i < 30          ? 24 + (i - 7) * 8
                              : 24 + 23 * 8 + (i - 30) * 4;

        values.fields = bit;
        first[offset] ^= i == 0 ? 3 : 1;
        ndisbridge_publish(session, net_luid, &values);
        if (bit & NDISBRIDGE_PUBLISH_STATISTICS) {
            CHECK_EQUAL(fetch(session, made, is, ROOM), 0);
            continue;
        }
        CHECK_EQUAL(fetch(session, made, is, ROOM), 1);
        CHECK_EQUAL(is[0].changed, bit);
    }
    CHECK_STATUS(
        ndisbridge_deregister_interface(session, if_index, 1000), SUCCESS);
    CHECK_EQUAL(fetch(session, made, is, ROOM), 1);
    CHECK_EQUAL(is[0].kind, NDISBRIDGE_EVENT_DELETE);
    CHECK_EQUAL(is[0].net_luid, net_luid);
    CHECK_EQUAL(is[0].if_index, if_index);
    CHECK_EQUAL(is[0].changed,
        NDISBRIDGE_PUBLISH_INFORMATION | NDISBRIDGE_PUBLISH_ADMIN_STATUS
            | NDISBRIDGE_PUBLISH_ALIAS);
    ndisbridge_get_if_stack_last_change(session, &stack);
    CHECK_EQUAL(stack, 0);
    CHECK_STATUS(ndisbridge_session_destroy(session), SUCCESS);
}

/* RFC 2863, as it is written there, for every pair of states. */
static uint32_t rfc_2863(uint32_t before, uint32_t after)
{
    enum { NOT_PRESENT = 6 };
    bool is_down = after == 2, was_down = before == 2;

    /* linkDown: about to enter the down state from some other state (but not
     * from the notPresent state). */
    if (is_down && !was_down)
        return before == NOT_PRESENT ? NDISBRIDGE_LINK_NONE
                                     : NDISBRIDGE_LINK_DOWN;
    /* linkUp: left the down state and transitioned into some other state
     * (but not into the notPresent state). */
    if (was_down && !is_down)
        return after == NOT_PRESENT ? NDISBRIDGE_LINK_NONE
                                    : NDISBRIDGE_LINK_UP;
    return NDISBRIDGE_LINK_NONE;
}

static void test_link_transitions(void)
{
    ndisbridge_session *session = make_session();
    ndisbridge_provider provider =
        kit_provider(session, kit_no_answer, NULL);
    ndisbridge_event is[ROOM];
    ndisbridge_subscription made;
    uint32_t if_index;
    ndisbridge_net_luid net_luid =
        kit_interface(session, &if_index, provider, 0, NULL);

    publish_oper(session, net_luid, UP);
    made = subscribe(session, ROOM, 0);
    for (uint32_t before = 1; before <= 7; before++)
        for (uint32_t after = 1; after <= 7; after++) {
            publish_oper(session, net_luid, before);
            fetch(session, made, is, ROOM);
            publish_oper(session, net_luid, after);
            CHECK_EQUAL(
                fetch(session, made, is, ROOM), before != after ? 1 : 0);
            if (before == after)
                continue;
            CHECK_EQUAL(is[0].link, rfc_2863(before, after));
            CHECK_EQUAL(is[0].oper_status, after);
            CHECK_EQUAL(is[0].changed, 1);
        }
    CHECK_STATUS(ndisbridge_session_destroy(session), SUCCESS);
}

static void test_stack(void)
{
    ndisbridge_session *session = make_session();
    ndisbridge_provider provider =
        kit_provider(session, kit_no_answer, NULL);
    ndisbridge_subscription made;
    ndisbridge_event is[ROOM];
    ndisbridge_net_luid luids[3];
    uint32_t ids[3];
    uint64_t changed = 0;

    for (int i = 0; i < 3; i++)
        luids[i] = kit_interface(session, &ids[i], provider, 0, NULL);
    ndisbridge_add_if_stack_entry(session, ids[1], ids[0]);
    ndisbridge_get_if_stack_last_change(session, &changed);
    CHECK(changed != 0);
    made = subscribe(session, 1, NDISBRIDGE_SUBSCRIBE_INITIAL);
    CHECK_EQUAL(fetch(session, made, is, ROOM), 4);
    for (int i = 0; i < 3; i++) {
        CHECK_EQUAL(is[i].kind, NDISBRIDGE_EVENT_INITIAL);
        CHECK_EQUAL(is[i].net_luid, luids[i]);
        CHECK_EQUAL(is[i].if_index, ids[i]);
    }
    CHECK_EQUAL(is[3].kind, NDISBRIDGE_EVENT_STACK_ADD);
    CHECK_EQUAL(is[3].net_luid, luids[1]);
    CHECK_EQUAL(is[3].if_index, ids[1]);
    CHECK_EQUAL(is[3].lower_if_index, ids[0]);
    ndisbridge_unsubscribe(session, made);

    made = subscribe(session, ROOM, 0);
    /* There already; a loop; added; deleted; not there. */
    ndisbridge_add_if_stack_entry(session, ids[1], ids[0]);
    ndisbridge_add_if_stack_entry(session, ids[0], ids[1]);
    ndisbridge_add_if_stack_entry(session, ids[2], ids[1]);
    ndisbridge_delete_if_stack_entry(session, ids[1], ids[0]);
    ndisbridge_delete_if_stack_entry(session, ids[1], ids[0]);
    CHECK_EQUAL(fetch(session, made, is, ROOM), 2);
    CHECK_EQUAL(is[0].kind, NDISBRIDGE_EVENT_STACK_ADD);
    CHECK_EQUAL(is[0].if_index, ids[2]);
    CHECK_EQUAL(is[1].kind, NDISBRIDGE_EVENT_STACK_DELETE);
    CHECK_EQUAL(is[1].lower_if_index, ids[0]);
    /* Its rows go before it does. */
    ndisbridge_add_if_stack_entry(session, ids[1], ids[0]);
    fetch(session, made, is, ROOM);
    ndisbridge_deregister_interface(session, ids[1], 1000);
    CHECK_EQUAL(fetch(session, made, is, ROOM), 3);
    CHECK_EQUAL(is[0].kind, NDISBRIDGE_EVENT_STACK_DELETE);
    CHECK_EQUAL(is[0].if_index, ids[1]);
    CHECK_EQUAL(is[0].lower_if_index, ids[0]);
    CHECK_EQUAL(is[1].kind, NDISBRIDGE_EVENT_STACK_DELETE);
    CHECK_EQUAL(is[1].net_luid, luids[2]);
    CHECK_EQUAL(is[1].lower_if_index, ids[1]);
    CHECK_EQUAL(is[2].kind, NDISBRIDGE_EVENT_DELETE);
    CHECK_STATUS(ndisbridge_session_destroy(session), SUCCESS);
}

static void test_identities(void)
{
    ndisbridge_session *session = make_session();
    ndisbridge_subscription made = subscribe(session, ROOM, 0);
    ndisbridge_subscription other =
        subscribe(session, 1, NDISBRIDGE_SUBSCRIBE_NO_IDENTITIES);
    ndisbridge_event is[ROOM];

    CHECK_STATUS(ndisbridge_post_identity_event(session, 1, 2,
                     NDISBRIDGE_IDENTITY_RELEASED, 3),
        SUCCESS);
    CHECK_EQUAL(fetch(session, made, is, ROOM), 1);
    CHECK_EQUAL(is[0].kind, NDISBRIDGE_EVENT_IDENTITY);
    CHECK_EQUAL(is[0].net_luid, 1);
    CHECK_EQUAL(is[0].if_index, 2);
    CHECK_EQUAL(is[0].changed, NDISBRIDGE_IDENTITY_RELEASED);
    CHECK_EQUAL(is[0].token, 3);
    CHECK_EQUAL(fetch(session, other, is, ROOM), 0);
    CHECK_STATUS(ndisbridge_session_destroy(session), SUCCESS);
}

/* ---- bounds ----------------------------------------------------------- */

static void test_missed(void)
{
    ndisbridge_session *session = make_session();
    ndisbridge_provider provider =
        kit_provider(session, kit_no_answer, NULL);
    uint32_t if_index;
    ndisbridge_net_luid net_luid =
        kit_interface(session, &if_index, provider, 0, NULL);
    ndisbridge_subscription small = subscribe(session, 4, 0);
    ndisbridge_subscription one =
        subscribe(session, 1, NDISBRIDGE_SUBSCRIBE_INITIAL);
    ndisbridge_subscription large = subscribe(session, ROOM, 0);
    ndisbridge_event is[ROOM];

    for (uint32_t i = 0; i < 10; i++)
        publish_oper(session, net_luid, i % 2 == 0 ? UP : DOWN);
    CHECK_EQUAL(fetch(session, large, is, ROOM), 10);
    for (uint32_t i = 0; i < 10; i++)
        CHECK_EQUAL(is[i].missed, 0);
    /* The latest are kept, and the first of them says what is not. */
    CHECK_EQUAL(fetch(session, small, is, 2), 2);
    CHECK_EQUAL(is[0].missed, 6);
    CHECK_EQUAL(is[1].missed, 0);
    publish_oper(session, net_luid, UP);
    CHECK_EQUAL(fetch(session, small, is, ROOM), 3);
    CHECK_EQUAL(is[0].missed, 0);
    CHECK_EQUAL(is[2].oper_status, UP);
    /* What it begins with takes no room, and is not lost. */
    CHECK_EQUAL(fetch(session, one, is, ROOM), 2);
    CHECK_EQUAL(is[0].kind, NDISBRIDGE_EVENT_INITIAL);
    CHECK_EQUAL(is[0].missed, 0);
    CHECK_EQUAL(is[1].missed, 10);
    CHECK_STATUS(ndisbridge_session_destroy(session), SUCCESS);
}

struct counting {
    atomic_uint taken, given;
    int left;  /* until it fails; negative: never */
};

static void *count_allocate(void *context, size_t size)
{
    struct counting *counting = context;
    void *memory;

    if (counting->left == 0)
        return NULL;
    if (counting->left > 0)
        counting->left--;
    memory = aligned_alloc(64, (size + 63) / 64 * 64);
    REQUIRE(memory != NULL);
    memset(memory, 0, size);
    atomic_fetch_add(&counting->taken, 1);
    return memory;
}

static void count_deallocate(void *context, void *memory, size_t size)
{
    struct counting *counting = context;

    (void)size;
    atomic_fetch_add(&counting->given, 1);
    free(memory);
}

static void test_memory(void)
{
    struct counting counting = { .left = -1 };
    ndisbridge_session_config config = {
        .header = { NDISBRIDGE_OBJECT_TYPE_DEFAULT,
            NDISBRIDGE_OBJECT_REVISION_1, sizeof config },
        .allocate = count_allocate,
        .deallocate = count_deallocate,
        .memory_context = &counting,
    };
    ndisbridge_session *session = NULL;
    ndisbridge_subscription made = 0;
    ndisbridge_net_luid net_luid;
    ndisbridge_provider provider;
    ndisbridge_event is[ROOM];
    uint32_t if_index, before, failures = 0;

    REQUIRE(ndisbridge_session_create(&session, &config)
        == NDISBRIDGE_STATUS_SUCCESS);
    provider = kit_provider(session, kit_no_answer, NULL);
    net_luid = kit_interface(session, &if_index, provider, 0, NULL);
    /* Every allocation of it fails once. */
    for (int n = 0; made == 0; n++) {
        before = counting.taken - counting.given;
        counting.left = n;
        if (ndisbridge_subscribe(
                session, &made, 2, NDISBRIDGE_SUBSCRIBE_INITIAL)
            == NDISBRIDGE_STATUS_RESOURCES) {
            failures++;
            CHECK_EQUAL(made, 0);
            CHECK_EQUAL(counting.taken - counting.given, before);
        }
    }
    CHECK_EQUAL(failures, 3);
    /* Nothing is allocated or freed by what posts, not even in a full
     * ring. */
    counting.left = 0;
    before = counting.taken + counting.given;
    for (int i = 0; i < 10; i++) {
        publish_oper(session, net_luid, i % 2 == 0 ? UP : DOWN);
        CHECK_STATUS(
            ndisbridge_deregister_interface(session, if_index, 1000),
            SUCCESS);
        CHECK_STATUS(kit_register(
                         session, &if_index, provider, net_luid, 0, NULL),
            SUCCESS);
    }
    CHECK_EQUAL(counting.taken + counting.given, before);
    /* With the last of them goes what it began with. */
    CHECK_EQUAL(fetch(session, made, is, 1), 1);
    CHECK_EQUAL(counting.taken + counting.given, before + 1);
    CHECK_EQUAL(fetch(session, made, is, ROOM), 2);
    CHECK_EQUAL(is[0].missed, 28);
    /* One with what it began with, and one without, are freed with it. */
    counting.left = -1;
    subscribe(session, 4, NDISBRIDGE_SUBSCRIBE_INITIAL);
    CHECK_STATUS(ndisbridge_session_destroy(session), SUCCESS);
    CHECK_EQUAL(counting.taken, counting.given);
}

/* ---- waiting ---------------------------------------------------------- */

struct waiter {
    pthread_t thread;
    ndisbridge_session *session;
    ndisbridge_subscription subscription;
    ndisbridge_status status;
    ndisbridge_event event;
    uint32_t count;
};

static void *wait_for_one(void *argument)
{
    struct waiter *waiter = argument;

    waiter->count = 1;
    waiter->status = ndisbridge_next_events(waiter->session, &waiter->event,
        &waiter->count, waiter->subscription, 60000);
    return NULL;
}

static void start(struct waiter *waiter, ndisbridge_session *session,
    ndisbridge_subscription subscription)
{
    waiter->session = session;
    waiter->subscription = subscription;
    REQUIRE(pthread_create(&waiter->thread, NULL, wait_for_one, waiter) == 0);
    /* Mostly it waits by then; what follows holds either way. */
    usleep(20000);
}

static void test_waking(void)
{
    ndisbridge_session *session = make_session();
    ndisbridge_provider provider =
        kit_provider(session, kit_no_answer, NULL);
    ndisbridge_subscription made = subscribe(session, ROOM, 0);
    struct waiter waiter, others[3];
    ndisbridge_event is[ROOM];
    uint32_t if_index, count = 1;

    start(&waiter, session, made);
    kit_interface(session, &if_index, provider, 0, NULL);
    pthread_join(waiter.thread, NULL);
    CHECK_STATUS(waiter.status, SUCCESS);
    CHECK_EQUAL(waiter.count, 1);
    CHECK_EQUAL(waiter.event.kind, NDISBRIDGE_EVENT_ADD);
    for (int i = 0; i < 3; i++)
        start(&others[i], session, made);
    CHECK_STATUS(ndisbridge_unsubscribe(session, made), SUCCESS);
    for (int i = 0; i < 3; i++) {
        pthread_join(others[i].thread, NULL);
        CHECK_STATUS(others[i].status, INVALID_PARAMETER);
        CHECK_EQUAL(others[i].count, 0);
    }
    made = subscribe(session, ROOM, 0);
    for (int i = 0; i < 3; i++)
        start(&others[i], session, made);
    CHECK_STATUS(ndisbridge_session_close(session, 60000), SUCCESS);
    /* One gets what closing has posted; the others that it is closed. */
    count = 0;
    for (int i = 0; i < 3; i++) {
        pthread_join(others[i].thread, NULL);
        count += others[i].status == NDISBRIDGE_STATUS_SUCCESS;
        if (others[i].status == NDISBRIDGE_STATUS_SUCCESS)
            CHECK_EQUAL(others[i].event.kind, NDISBRIDGE_EVENT_DELETE);
        else
            CHECK_STATUS(others[i].status, INVALID_STATE);
    }
    CHECK_EQUAL(count, 1);
    count = 1;
    CHECK_STATUS(ndisbridge_next_events(session, is, &count, made, 1000),
        INVALID_STATE);
    CHECK_STATUS(ndisbridge_subscribe(session, &made, 8, 0), INVALID_STATE);
    CHECK_STATUS(ndisbridge_unsubscribe(session, made), SUCCESS);
    CHECK_STATUS(ndisbridge_session_destroy(session), SUCCESS);
}

/* What closing has posted is there to be fetched. */
static void test_last_events(void)
{
    ndisbridge_session *session = make_session();
    ndisbridge_provider provider =
        kit_provider(session, kit_no_answer, NULL);
    ndisbridge_subscription made = subscribe(session, ROOM, 0);
    ndisbridge_event is[ROOM];
    uint32_t if_index, count = 5;

    for (int i = 0; i < 20; i++)
        kit_interface(session, &if_index, provider, 0, NULL);
    CHECK_STATUS(ndisbridge_session_close(session, 60000), SUCCESS);
    CHECK_STATUS(
        ndisbridge_next_events(session, is, &count, made, 0), SUCCESS);
    CHECK_EQUAL(count, 5);
    count = ROOM;
    CHECK_STATUS(
        ndisbridge_next_events(session, is, &count, made, 0), SUCCESS);
    CHECK_EQUAL(count, 35);
    CHECK_EQUAL(is[34].kind, NDISBRIDGE_EVENT_DELETE);
    CHECK_STATUS(
        ndisbridge_next_events(session, is, &count, made, 0), INVALID_STATE);
    CHECK_EQUAL(count, 0);
    CHECK_STATUS(ndisbridge_session_destroy(session), SUCCESS);
}

/* A handler that waits for events is no reason for closing to wait. */
static struct waiter in_handler;

static ndisbridge_status wait_in_handler(
    void *context, uint32_t oid, uint32_t *length, void *output)
{
    (void)oid, (void)length, (void)output;
    wait_for_one(context);
    return NDISBRIDGE_STATUS_NOT_SUPPORTED;
}

static void test_waiting_handler(void)
{
    ndisbridge_session *session = make_session();
    ndisbridge_provider provider =
        kit_provider(session, wait_in_handler, NULL);
    struct kit_asker asker;
    uint32_t if_index;
    ndisbridge_net_luid net_luid =
        kit_interface(session, &if_index, provider, 0, &in_handler);

    in_handler.session = session;
    in_handler.subscription = subscribe(session, ROOM, 0);
    kit_start_asker(&asker, session, net_luid);
    usleep(20000);
    CHECK_STATUS(ndisbridge_session_close(session, 60000), SUCCESS);
    pthread_join(asker.thread, NULL);
    CHECK_STATUS(in_handler.status, INVALID_STATE);
    CHECK_STATUS(ndisbridge_session_destroy(session), SUCCESS);
}

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

/* Ends subscriptions by handles that nobody has given it. */
struct guesser {
    pthread_t thread;
    ndisbridge_session *session;
    _Atomic(ndisbridge_subscription) next;
    atomic_bool over;
};

static void *guess(void *argument)
{
    struct guesser *guesser = argument;

    while (!atomic_load(&guesser->over)) {
        ndisbridge_unsubscribe(
            guesser->session, atomic_load(&guesser->next));
        ndisbridge_unsubscribe(guesser->session, 0);
    }
    return NULL;
}

static void test_guessed_handles(void)
{
    ndisbridge_session *session = make_session();
    ndisbridge_provider provider =
        kit_provider(session, kit_no_answer, NULL);
    struct guesser guesser = { .session = session, .next = 1 };
    uint32_t if_index;

    for (int i = 0; i < 4000; i++)
        kit_interface(session, &if_index, provider, 0, NULL);
    REQUIRE(pthread_create(&guesser.thread, NULL, guess, &guesser) == 0);
    for (int i = 0; i < 200; i++) {
        ndisbridge_subscription made =
            subscribe(session, 2, NDISBRIDGE_SUBSCRIBE_INITIAL);

        CHECK(made != 0);
        ndisbridge_unsubscribe(session, made);
        atomic_store(&guesser.next, made + 1);
    }
    atomic_store(&guesser.over, true);
    pthread_join(guesser.thread, NULL);
    CHECK_STATUS(ndisbridge_session_destroy(session), SUCCESS);
}

static void test_fork(void)
{
    ndisbridge_session *session = make_session();
    ndisbridge_subscription made = subscribe(session, 2, 0);
    struct waiter waiter;
    int how = 0;
    pid_t child;

    start(&waiter, session, made);
    child = fork();
    REQUIRE(child >= 0);
    if (child == 0) {
        ndisbridge_event event;
        uint32_t count = 1;
        int32_t descriptor;
        bool good = ndisbridge_next_events(
                        session, &event, &count, made, 1000)
                == NDISBRIDGE_STATUS_FORKED
            && count == 0
            && ndisbridge_subscribe(session, &made, 1, 0)
                == NDISBRIDGE_STATUS_FORKED
            && ndisbridge_get_subscription_descriptor(
                   session, &descriptor, made)
                == NDISBRIDGE_STATUS_FORKED
            && ndisbridge_unsubscribe(session, made)
                == NDISBRIDGE_STATUS_FORKED
            && ndisbridge_session_destroy(session)
                == NDISBRIDGE_STATUS_SUCCESS;

        check_leave(good ? 0 : 1);
    }
    REQUIRE(waitpid(child, &how, 0) == child);
    CHECK(WIFEXITED(how) && WEXITSTATUS(how) == 0);
    ndisbridge_unsubscribe(session, made);
    pthread_join(waiter.thread, NULL);
    CHECK_STATUS(ndisbridge_session_destroy(session), SUCCESS);
}

/* ---- replay, while all of it happens ---------------------------------- */

#define WORKERS 3
#define INTERFACES 24  /* of each worker */
#define SHARED 4  /* that two publish */
#define MOST 128  /* greatest ifIndex here */

/* What the events so far say; by ifIndex. */
struct known {
    bool there;
    ndisbridge_net_luid net_luid;
    uint32_t oper_status;
};

struct scene {
    ndisbridge_session *session;
    ndisbridge_provider provider;
    ndisbridge_net_luid luids[WORKERS][INTERFACES];
    ndisbridge_net_luid shared[SHARED];
    uint32_t rounds;
    uint64_t seed;
    atomic_bool over;
    atomic_uint begun;  /* replays */
};

static bool is_shared(const struct scene *scene, ndisbridge_net_luid net_luid)
{
    for (int i = 0; i < SHARED; i++)
        if (scene->shared[i] == net_luid)
            return true;
    return false;
}

/* Plays one event; false if it is not what may come next. */
static bool play(const struct scene *scene, struct known *known,
    const ndisbridge_event *event)
{
    struct known *is;

    if (event->if_index == 0 || event->if_index >= MOST
        || event->missed != 0)
        return false;
    is = &known[event->if_index];
    switch (event->kind) {
    case NDISBRIDGE_EVENT_INITIAL:
    case NDISBRIDGE_EVENT_ADD:
        if (is->there
            || (event->kind == NDISBRIDGE_EVENT_ADD
                && event->oper_status
                    != NDISBRIDGE_NET_IF_OPER_STATUS_UNKNOWN))
            return false;
        is->there = true;
        is->net_luid = event->net_luid;
        is->oper_status = event->oper_status;
        return true;
    case NDISBRIDGE_EVENT_PARAMETER:
        /* Nobody but one thread publishes most of them, and always the next
         * of seven states: none is left out, and none comes twice. */
        if (!is->there || is->net_luid != event->net_luid
            || event->changed != 1
            || (!is_shared(scene, event->net_luid)
                && event->oper_status != is->oper_status % 7 + 1)
            || event->link != rfc_2863(is->oper_status, event->oper_status))
            return false;
        is->oper_status = event->oper_status;
        return true;
    case NDISBRIDGE_EVENT_DELETE:
        if (!is->there || is->net_luid != event->net_luid
            || event->oper_status != is->oper_status)
            return false;
        is->there = false;
        return true;
    default:
        return false;
    }
}

static bool equals_table(const struct scene *scene, const struct known *known)
{
    static ndisbridge_mib_if_row2 rows[MOST];
    uint32_t count = MOST, n = 0;
    bool same = true;

    CHECK_STATUS(ndisbridge_get_if_table(scene->session, rows, &count,
                     NDISBRIDGE_IF_TABLE_PUBLISHED),
        SUCCESS);
    for (uint32_t i = 0; i < MOST; i++)
        n += known[i].there;
    CHECK_EQUAL(n, count);
    for (uint32_t i = 0; i < count; i++) {
        const struct known *is = &known[rows[i].interface_index];

        same = same && is->there && is->net_luid == rows[i].interface_luid
            && is->oper_status == rows[i].oper_status;
    }
    return same;
}

struct worker {
    pthread_t thread;
    struct scene *scene;
    uint32_t number;
};

/* Registers and deregisters its own interfaces, and publishes theirs and the
 * shared ones. */
static void *work(void *argument)
{
    struct worker *worker = argument;
    struct scene *scene = worker->scene;
    uint64_t random = scene->seed + worker->number;
    uint32_t ids[INTERFACES] = { 0 }, states[INTERFACES] = { 0 };
    bool good = true;

    for (uint32_t round = 0; round < scene->rounds; round++) {
        uint32_t i = check_below(&random, INTERFACES);
        ndisbridge_net_luid net_luid = scene->luids[worker->number][i];
        ndisbridge_published values = { .fields = 1 };

        if (ids[i] == 0) {
            states[i] = NDISBRIDGE_NET_IF_OPER_STATUS_UNKNOWN;
            good = good
                && kit_register(scene->session, &ids[i], scene->provider,
                       net_luid, 0, NULL)
                    == NDISBRIDGE_STATUS_SUCCESS;
        } else if (check_below(&random, 6) == 0) {
            good = good
                && ndisbridge_deregister_interface(
                       scene->session, ids[i], 60000)
                    == NDISBRIDGE_STATUS_SUCCESS;
            ids[i] = 0;
        } else {
            states[i] = states[i] % 7 + 1;
            values.information.if_oper_status = states[i];
            good = good
                && ndisbridge_publish(scene->session, net_luid, &values)
                    == NDISBRIDGE_STATUS_SUCCESS;
        }
        values.information.if_oper_status = 1 + check_below(&random, 7);
        good = good
            && ndisbridge_publish(scene->session,
                   scene->shared[check_below(&random, SHARED)], &values)
                == NDISBRIDGE_STATUS_SUCCESS;
    }
    CHECK(good);
    return NULL;
}

/* Subscribes at any moment, and plays what it is told for a while. */
static void *replay_often(void *argument)
{
    struct worker *worker = argument;
    struct scene *scene = worker->scene;
    uint64_t random = scene->seed * 31 + worker->number;
    struct known *known = malloc(MOST * sizeof *known);
    ndisbridge_event is[64];
    bool good = true;

    REQUIRE(known != NULL);
    while (good && !atomic_load(&scene->over)) {
        ndisbridge_subscription made = subscribe(
            scene->session, 1 << 18, NDISBRIDGE_SUBSCRIBE_INITIAL);
        uint32_t wanted = 50 + check_below(&random, 400), seen = 0;

        memset(known, 0, MOST * sizeof *known);
        atomic_fetch_add(&scene->begun, 1);
        while (good && seen < wanted && !atomic_load(&scene->over)) {
            uint32_t count = 1 + check_below(&random, 64);
            ndisbridge_status status = ndisbridge_next_events(
                scene->session, is, &count, made, 10);

            for (uint32_t i = 0; status == NDISBRIDGE_STATUS_SUCCESS
                 && i < count && good;
                 i++)
                good = play(scene, known, &is[i]);
            seen += count;
        }
        CHECK_STATUS(
            ndisbridge_unsubscribe(scene->session, made), SUCCESS);
    }
    CHECK(good);
    free(known);
    return NULL;
}

/* One that is too slow: what it gets and what it misses is all there was. */
struct slow {
    pthread_t thread;
    struct scene *scene;
    ndisbridge_subscription subscription;
    uint64_t fetched, missed;
};

static void fetch_slowly(struct slow *slow)
{
    ndisbridge_event event;

    while (fetch(slow->scene->session, slow->subscription, &event, 1) == 1) {
        slow->fetched++;
        slow->missed += event.missed;
    }
}

static void *be_slow(void *argument)
{
    struct slow *slow = argument;

    while (!atomic_load(&slow->scene->over)) {
        fetch_slowly(slow);
        usleep(500);
    }
    return NULL;
}

static void test_replay(uint64_t seed)
{
    static struct known from_begin[MOST], at_end[MOST];
    struct scene scene = { .rounds = 40000 / CHECK_SLOWNESS, .seed = seed };
    struct worker workers[WORKERS], readers[2];
    struct slow slow = { .scene = &scene };
    ndisbridge_session_config config = {
        .header = { NDISBRIDGE_OBJECT_TYPE_DEFAULT,
            NDISBRIDGE_OBJECT_REVISION_1, sizeof config },
        .if_index_policy = NDISBRIDGE_IF_INDEX_POLICY_LOWEST,
    };
    ndisbridge_subscription whole, last;
    ndisbridge_event is[64];
    uint64_t told = 0;
    bool good = true;
    uint32_t n, ids[SHARED];

    /* ifIndexes are used again at once, by other interfaces. */
    REQUIRE(ndisbridge_session_create(&scene.session, &config)
        == NDISBRIDGE_STATUS_SUCCESS);
    scene.provider = kit_provider(scene.session, kit_no_answer, NULL);
    for (uint32_t i = 0; i < WORKERS * INTERFACES; i++) {
        uint32_t index = 0;

        ndisbridge_allocate_net_luid_index(scene.session, &index, 6);
        scene.luids[i / INTERFACES][i % INTERFACES] = kit_luid(6, index);
    }
    for (uint32_t i = 0; i < SHARED; i++)
        scene.shared[i] = kit_interface(
            scene.session, &ids[i], scene.provider, 0, NULL);
    /* Their first publication is none of what follows. */
    for (uint32_t i = 0; i < SHARED; i++)
        publish_oper(scene.session, scene.shared[i], UP);
    whole = subscribe(scene.session, 1 << 20, NDISBRIDGE_SUBSCRIBE_INITIAL);
    slow.subscription = subscribe(scene.session, 8, 0);
    n = fetch(scene.session, whole, is, 64);
    CHECK_EQUAL(n, SHARED);
    for (uint32_t i = 0; i < n; i++)
        good = good && play(&scene, from_begin, &is[i]);
    for (uint32_t i = 0; i < WORKERS; i++) {
        workers[i].scene = &scene;
        workers[i].number = i;
        REQUIRE(pthread_create(
                    &workers[i].thread, NULL, work, &workers[i])
            == 0);
    }
    for (uint32_t i = 0; i < 2; i++) {
        readers[i].scene = &scene;
        readers[i].number = i;
        REQUIRE(pthread_create(
                    &readers[i].thread, NULL, replay_often, &readers[i])
            == 0);
    }
    REQUIRE(pthread_create(&slow.thread, NULL, be_slow, &slow) == 0);
    for (uint32_t i = 0; i < WORKERS; i++)
        pthread_join(workers[i].thread, NULL);
    atomic_store(&scene.over, true);
    for (uint32_t i = 0; i < 2; i++)
        pthread_join(readers[i].thread, NULL);
    pthread_join(slow.thread, NULL);
    fetch_slowly(&slow);

    while ((n = fetch(scene.session, whole, is, 64)) > 0) {
        told += n;
        for (uint32_t i = 0; i < n; i++)
            good = good && play(&scene, from_begin, &is[i]);
    }
    CHECK(good);
    CHECK(equals_table(&scene, from_begin));
    CHECK_EQUAL(slow.fetched + slow.missed, told);
    CHECK(slow.missed > 0);
    last = subscribe(scene.session, 8, NDISBRIDGE_SUBSCRIBE_INITIAL);
    while ((n = fetch(scene.session, last, is, 64)) > 0)
        for (uint32_t i = 0; i < n; i++)
            good = good && play(&scene, at_end, &is[i]);
    CHECK(good);
    CHECK(equals_table(&scene, at_end));
    printf("%llu events, %u replays, %llu missed by the slow one\n",
        (unsigned long long)told, atomic_load(&scene.begun),
        (unsigned long long)slow.missed);
    CHECK_STATUS(ndisbridge_session_destroy(scene.session), SUCCESS);
}

int main(void)
{
    uint64_t seed = check_begin("test_if_events");

    test_arguments();
    test_one_interface();
    test_link_transitions();
    test_stack();
    test_identities();
    test_missed();
    test_memory();
    test_waking();
    test_last_events();
    test_waiting_handler();
    test_descriptor();
    test_descriptor_at_the_end();
    test_guessed_handles();
    test_fork();
    test_replay(seed);
    return check_end();
}
