/* SPDX-License-Identifier: MIT
 *
 * test_preempted.c - one thread is stopped before its first step, its
 * second, and so on, and another does something whole there: what both are
 * told is true, and nothing is left behind.
 */
#include "session.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "block_store.h"
#include "interface_kit.h"

static ndisbridge_session *session;
static struct block_store *store;
static struct store_member member, other;
static ndisbridge_provider provider;
static ndisbridge_net_luid net_luid, second;
static uint32_t if_index, spare[2];

/* One of what a call may say. */
#define ONE_OF(status, ...) \
    do { \
        const ndisbridge_status is_ = (status); \
        const ndisbridge_status may_[] = { __VA_ARGS__ }; \
        bool found_ = false; \
        for (size_t i_ = 0; i_ < sizeof may_ / sizeof *may_; i_++) \
            found_ |= is_ == may_[i_]; \
        if (!CHECK(found_)) \
            fprintf(stderr, "    is 0x%X\n", (unsigned)is_); \
    } while (0)
#define OK NDISBRIDGE_STATUS_SUCCESS
#define GONE NDISBRIDGE_STATUS_INTERFACE_NOT_FOUND
#define CLOSED NDISBRIDGE_STATUS_INVALID_STATE

static void no_setup(void)
{
}

static void publish(uint32_t oper_status)
{
    static ndisbridge_published values;

    values.fields = (uint64_t)1 << 0;
    values.information.if_oper_status = oper_status;
    ONE_OF(ndisbridge_publish(session, net_luid, &values), OK, GONE, CLOSED);
}

/* A session on a store with an interface and two spare NET_LUIDs. */
static void open_session(void)
{
    struct kit_information information = kit_information(0);
    ndisbridge_session_config config;

    (void)information;
    store = store_make(4);
    store_join(&member, store, 1);
    store_join(&other, store, 2);
    config = check_config(&member.hooks);
    config.wait_timeout_ms = 2000;
    REQUIRE(ndisbridge_session_create(&session, &config) == 0);
    provider = kit_provider(session, kit_no_answer, NULL);
    net_luid = kit_interface(session, &if_index, provider, 0, NULL);
    CHECK_STATUS(
        ndisbridge_allocate_net_luid_indexes(session, spare, 2, 6), SUCCESS);
    second = kit_luid(6, spare[0]);
}

static void close_session(void)
{
    ndisbridge_status status = ndisbridge_session_destroy(session);

    if (status != OK)
        CHECK_STATUS(ndisbridge_session_destroy(session), SUCCESS);
    store_free(store);
}

/* Runs `doing` with `act` before its n-th step, for every n up to `most`. */
static void at_every_step(void (*setup)(void), void (*doing)(void),
    void (*act)(void *), uint32_t locked, uint32_t most)
{
    for (uint32_t n = 1; n <= most; n++) {
        bool done;

        open_session();
        setup();
        staged_begin(act, NULL, n, locked);
        doing();
        done = staged_end();
        close_session();
        if (!done)
            return;
    }
}

/* ---- an interface that goes, or becomes another, meanwhile ------------- */

static void deregister(void *context)
{
    (void)context;
    ONE_OF(ndisbridge_deregister_interface(session, if_index, 0), OK,
        NDISBRIDGE_STATUS_TIMEOUT, NDISBRIDGE_STATUS_IN_OWN_HANDLER, CLOSED);
}

static void replace(void *context)
{
    uint32_t wanted = if_index;

    deregister(context);
    ONE_OF(kit_register(session, &wanted, provider, second, 0, NULL), OK,
        NDISBRIDGE_STATUS_IN_USE, CLOSED);
}

static void replace_elsewhere(void *context)
{
    uint32_t any = 0;

    deregister(context);
    ONE_OF(kit_register(session, &any, provider, second, 0, NULL), OK,
        CLOSED);
}

static void publish_up(void *context)
{
    (void)context;
    publish(NDISBRIDGE_NET_IF_OPER_STATUS_UP);
}

static void query(void)
{
    ndisbridge_interface_information information;
    uint32_t number, length = 4;

    ONE_OF(ndisbridge_query(session, &number, &length, net_luid,
               NDISBRIDGE_OID_GEN_CURRENT_PACKET_FILTER),
        GONE, NDISBRIDGE_STATUS_NOT_SUPPORTED);
    length = sizeof information;
    ONE_OF(ndisbridge_query(session, &information, &length, net_luid,
               NDISBRIDGE_OID_GEN_INTERFACE_INFO),
        OK, GONE);
}

/* A member that is published, with room for it and without, and one that is
 * not; alone and in a batch. */
static void query_members(void)
{
    const ndisbridge_net_luid both[2] = { net_luid, net_luid };
    uint64_t counter, counters[2];
    uint32_t number, length = 4;
    ndisbridge_status status, statuses[2];

    status = ndisbridge_query(session, &number, &length, net_luid,
        NDISBRIDGE_OID_GEN_OPERATIONAL_STATUS);
    ONE_OF(status, OK, GONE);
    CHECK(status != OK
        || number == NDISBRIDGE_NET_IF_OPER_STATUS_DOWN
        || number == NDISBRIDGE_NET_IF_OPER_STATUS_UP);
    length = 0;
    ONE_OF(ndisbridge_query(session, NULL, &length, net_luid,
               NDISBRIDGE_OID_GEN_OPERATIONAL_STATUS),
        NDISBRIDGE_STATUS_BUFFER_TOO_SHORT, GONE);
    length = 8;
    ONE_OF(ndisbridge_query(session, &counter, &length, net_luid,
               NDISBRIDGE_OID_GEN_BYTES_RCV),
        NDISBRIDGE_STATUS_NOT_SUPPORTED, GONE);
    (void)ndisbridge_query_many(session, counters, 8, NULL, statuses, both, 2,
        NDISBRIDGE_OID_GEN_OPERATIONAL_STATUS);
    for (uint32_t i = 0; i < 2; i++) {
        ONE_OF(statuses[i], OK, GONE);
        memcpy(&number, &counters[i], 4);
        CHECK(statuses[i] == OK
                ? number == NDISBRIDGE_NET_IF_OPER_STATUS_DOWN
                    || number == NDISBRIDGE_NET_IF_OPER_STATUS_UP
                : counters[i] == 0);
    }
    (void)ndisbridge_query_many(session, counters, 8, NULL, statuses, both, 2,
        NDISBRIDGE_OID_GEN_BYTES_RCV);
    for (uint32_t i = 0; i < 2; i++)
        ONE_OF(statuses[i], NDISBRIDGE_STATUS_NOT_SUPPORTED, GONE);
}

static void set(void)
{
    uint32_t number = 0;

    ONE_OF(ndisbridge_set(session, net_luid,
               NDISBRIDGE_OID_GEN_CURRENT_PACKET_FILTER, &number, 4),
        GONE, NDISBRIDGE_STATUS_NOT_SUPPORTED,
        NDISBRIDGE_STATUS_INVALID_OID);
}

static void replace_facts(void)
{
    struct kit_information information = kit_information(0);

    ONE_OF(ndisbridge_replace_interface_information(
               session, net_luid, &information.fixed, sizeof information),
        OK, GONE);
}

static void publish_down(void)
{
    publish(NDISBRIDGE_NET_IF_OPER_STATUS_DOWN);
}

static void read_rows(void)
{
    static ndisbridge_mib_if_row2 rows[4];
    uint32_t count = 4;

    ONE_OF(ndisbridge_get_if_entry(session, rows, net_luid, 0), OK, GONE);
    CHECK_STATUS(ndisbridge_get_if_table(session, rows, &count, 0), SUCCESS);
}

static void look_up(void)
{
    ndisbridge_net_luid found;
    uint32_t index;
    ndisbridge_status status =
        ndisbridge_get_interface_index_from_net_luid(
            session, &index, net_luid);

    ONE_OF(status, OK, GONE);
    CHECK(status != OK || index == if_index);
    status = ndisbridge_get_net_luid_from_interface_index(
        session, &found, if_index);
    ONE_OF(status, OK, GONE);
    CHECK(status != OK || found == net_luid || found == second);
}

static void test_interfaces(void)
{
    static void (*const doing[])(void) = { query, query_members, set,
        read_rows, look_up, replace_facts, publish_down };
    static void (*const acts[])(void *) = { deregister, replace,
        replace_elsewhere, publish_up };

    for (size_t i = 0; i < 7; i++)
        for (size_t j = 0; j < 4; j++)
            /* Who publishes waits for who writes, who is stopped here. */
            if (i < 5 || acts[j] != publish_up)
                at_every_step(publish_down, doing[i], acts[j], 0, 100);
}

/* As many inside as can be counted: the next is refused. */
static void test_full_flight(void)
{
    struct nb_interface *interface;
    uint32_t number, length = 4;

    open_session();
    interface = nb_table_find(&session->table, net_luid);
    nb_fetch_or(&interface->rundown, NB_RUNDOWN_FLIGHT);
    CHECK_STATUS(ndisbridge_query(session, &number, &length, net_luid,
                     NDISBRIDGE_OID_GEN_CURRENT_PACKET_FILTER),
        INTERFACE_NOT_FOUND);
    nb_fetch_and(&interface->rundown, ~NB_RUNDOWN_FLIGHT);
    close_session();
}

/* Who waits for the end of a registration does not wait for the next one,
 * of the same record under the same ifIndex. */
static void leave_and_register(void *context)
{
    uint32_t wanted = if_index;

    nb_interface_leave(&session->table, context);
    CHECK_STATUS(
        kit_register(session, &wanted, provider, second, 0, NULL), SUCCESS);
    CHECK(nb_table_find(&session->table, second) == context);
}

static void test_next_registration(void)
{
    struct nb_interface *interface;

    open_session();
    interface = nb_table_find(&session->table, net_luid);
    REQUIRE(nb_interface_enter(interface, net_luid));
    staged_begin(leave_and_register, interface, UINT32_MAX, 0);
    CHECK_STATUS(
        ndisbridge_deregister_interface(session, if_index, 20000), SUCCESS);
    CHECK(staged_end());
    close_session();
}

/* ---- a session that is closed meanwhile -------------------------------- */

static void close_now(void *context)
{
    (void)context;
    ONE_OF(ndisbridge_session_close(session, 0), OK, CLOSED,
        NDISBRIDGE_STATUS_TIMEOUT);
}

static void trim(void)
{
    ONE_OF(ndisbridge_trim(session, NULL), OK, CLOSED);
}

static void allocate(void)
{
    uint32_t index;

    ONE_OF(
        ndisbridge_allocate_net_luid_index(session, &index, 3), OK, CLOSED);
}

static void register_second(void)
{
    uint32_t any = 0;

    ONE_OF(kit_register(session, &any, provider, second, 0, NULL), OK,
        CLOSED);
}

static void retain(void)
{
    ONE_OF(ndisbridge_retain(session, 6, spare, 2, 0, 0, NULL), OK, CLOSED);
}

static void close_it(void)
{
    ONE_OF(ndisbridge_session_close(session, 0), OK, CLOSED,
        NDISBRIDGE_STATUS_TIMEOUT);
}

static void destroy(void)
{
    ndisbridge_status status = ndisbridge_session_destroy(session);

    ONE_OF(status, OK, CLOSED);
    if (status == OK)
        session = NULL;
}

static void test_closing(void)
{
    static void (*const doing[])(void) = { trim, allocate, register_second,
        retain, close_it, destroy };

    for (size_t i = 0; i < sizeof doing / sizeof *doing; i++)
        at_every_step(no_setup, doing[i], close_now, 0, 60);
}

static void become_free(void *context)
{
    (void)context;
    nb_store(&session->closer, 0);
}

/* One closes at a time; calls that have begun are waited for. */
static void test_waits_of_closing(void)
{
    struct nb_interface *interface;

    struct nb_frame frame = { .session = &frame };
    ndisbridge_subscription wait;
    ndisbridge_event event;
    uint32_t one = 1;

    open_session();
    CHECK_STATUS(ndisbridge_subscribe(session, &wait, 4, 0), SUCCESS);
    /* A handler of another session may close this one. */
    nb_this_thread.frames = &frame;
    nb_store(&session->closer, 1);
    CHECK_STATUS(ndisbridge_session_close(session, 0), TIMEOUT);
    staged_begin(become_free, NULL, 8, 0);
    REQUIRE(nb_host_enter(&session->host, false) == OK);
    CHECK_STATUS(ndisbridge_session_close(session, 300), TIMEOUT);
    CHECK(staged_end());
    nb_this_thread.frames = NULL;
    nb_host_leave(&session->host);
    interface = nb_table_find(&session->table, net_luid);
    REQUIRE(nb_interface_enter(interface, net_luid));
    CHECK_STATUS(ndisbridge_session_close(session, 0), TIMEOUT);
    /* Who is in no handler may wait for events while it closes. */
    while (ndisbridge_next_events(session, &event, &one, wait, 0)
        == NDISBRIDGE_STATUS_SUCCESS)
        one = 1;
    one = 1;
    CHECK_STATUS(
        ndisbridge_next_events(session, &event, &one, wait, 0), TIMEOUT);
    nb_interface_leave(&session->table, interface);
    CHECK_STATUS(ndisbridge_session_close(session, 0), SUCCESS);
    CHECK_STATUS(ndisbridge_session_close(session, 0), INVALID_STATE);
    close_session();
}

/* ---- events ------------------------------------------------------------ */

static ndisbridge_subscription subscription;
static ndisbridge_event events[200];

static void register_many(void *context)
{
    uint32_t index, any;

    (void)context;
    for (uint32_t i = 0; i < 40; i++) {
        any = 0;
        REQUIRE(ndisbridge_allocate_net_luid_index(session, &index, 6) == OK);
        CHECK_STATUS(kit_register(session, &any, provider,
                         kit_luid(6, index), 0, NULL),
            SUCCESS);
    }
}

/* What it is told first is the table, and what follows what came since. */
static void subscribe(void)
{
    uint32_t count = 200, seen = 0;

    CHECK_STATUS(ndisbridge_subscribe(session, &subscription, 100,
                     NDISBRIDGE_SUBSCRIBE_INITIAL),
        SUCCESS);
    (void)staged_end();
    CHECK_STATUS(ndisbridge_next_events(
                     session, events, &count, subscription, 0),
        SUCCESS);
    for (uint32_t i = 0; i < count; i++)
        seen += events[i].kind == NDISBRIDGE_EVENT_INITIAL
            || events[i].kind == NDISBRIDGE_EVENT_ADD;
    CHECK(seen >= ndisbridge_interface_count(session));
}

static uint32_t after_link;

static void publish_after_link(void *context)
{
    if (nb_load(&session->events.subscribers) == 0 || after_link-- > 0)
        staged_begin(publish_after_link, context, 1, 1);
    else
        publish_up(context);
}

/* What is published while the table is walked is told once. */
static void test_publish_in_walk(void)
{
    for (uint32_t n = 0; n < 60; n++) {
        open_session();
        after_link = n;
        staged_begin(publish_after_link, NULL, 1, 1);
        subscribe();
        close_session();
    }
}

static void subscribe_and_fill(void)
{
    CHECK_STATUS(
        ndisbridge_subscribe(session, &subscription, 200, 0), SUCCESS);
    for (uint32_t i = 0; i < 150; i++)
        CHECK_STATUS(ndisbridge_post_identity_event(session, net_luid, 0,
                         NDISBRIDGE_IDENTITY_CREATED, i),
            SUCCESS);
}

static void fetch(void)
{
    uint32_t count = 200;
    ndisbridge_status status = ndisbridge_next_events(
        session, events, &count, subscription, 0);

    ONE_OF(status, OK, NDISBRIDGE_STATUS_INVALID_PARAMETER);
    for (uint32_t i = 0; i < count; i++)
        CHECK_EQUAL(events[i].token, i);
}

static void fetch_a_part(void)
{
    uint32_t count = 64;

    CHECK_STATUS(ndisbridge_next_events(
                     session, events, &count, subscription, 0),
        SUCCESS);
    CHECK_EQUAL(count, 64);
}

static void unsubscribe(void *context)
{
    (void)context;
    CHECK_STATUS(ndisbridge_unsubscribe(session, subscription), SUCCESS);
}

static void end_of_others(void *context)
{
    uint32_t count = 200;

    (void)context;
    CHECK_STATUS(ndisbridge_next_events(
                     session, events, &count, subscription, 0),
        SUCCESS);
}

static void fetch_beside(void)
{
    uint32_t count = 200;
    static ndisbridge_event own[200];

    ONE_OF(ndisbridge_next_events(session, own, &count, subscription, 0), OK,
        NDISBRIDGE_STATUS_TIMEOUT);
}

static void test_events(void)
{
    at_every_step(no_setup, subscribe, publish_up, 1, 200);
    test_publish_in_walk();
    at_every_step(no_setup, subscribe, register_many, 0, 200);
    at_every_step(subscribe_and_fill, fetch, unsubscribe, 0, 200);
    at_every_step(subscribe_and_fill, fetch_beside, end_of_others, 0, 200);
    at_every_step(subscribe_and_fill, fetch_a_part, publish_up, 0, 200);
}

/* ---- a release, and who registers what it gives up --------------------- */

/* Of the same IfType, in another block. */
static const uint32_t elsewhere = NDISBRIDGE_BLOCK_SIZE + 3;

static void retain_both(void)
{
    uint32_t any = 0;

    CHECK_STATUS(ndisbridge_allocate_if_index(session, &any), SUCCESS);
    CHECK_STATUS(
        ndisbridge_retain(session, 6, spare, 2, any, 0, NULL), SUCCESS);
    CHECK_STATUS(
        ndisbridge_claim_net_luid_index(session, 6, elsewhere), SUCCESS);
    CHECK_STATUS(
        ndisbridge_retain(session, 6, &elsewhere, 1, 0, 0, NULL), SUCCESS);
    if_index = any;
}

static void release_both(void)
{
    ONE_OF(ndisbridge_release(session, 6, spare, 1, if_index, 0, NULL), OK,
        NDISBRIDGE_STATUS_IN_USE, CLOSED);
}

static void register_retained(void *context)
{
    uint32_t wanted = if_index;

    (void)context;
    ONE_OF(kit_register(session, &wanted, provider, kit_luid(6, spare[1]), 0,
               NULL),
        OK, NDISBRIDGE_STATUS_IN_USE, CLOSED);  /* inside the hook */
}

static void release_other(void *context)
{
    (void)context;
    ONE_OF(ndisbridge_release(session, 6, spare + 1, 1, 0, 0, NULL), OK,
        CLOSED, NDISBRIDGE_STATUS_IN_USE);
}

static void release_elsewhere(void *context)
{
    uint32_t any = 0;

    (void)context;
    ONE_OF(kit_register(session, &any, provider, kit_luid(6, elsewhere), 0,
               NULL),
        OK, CLOSED);
    if (any != 0)
        ONE_OF(ndisbridge_deregister_interface(session, any, 0), OK);
    ONE_OF(ndisbridge_release(session, 6, &elsewhere, 1, 0, 0, NULL), OK,
        CLOSED);
}

static void test_releases(void)
{
    at_every_step(retain_both, release_both, release_elsewhere, 0, 150);
    at_every_step(retain_both, release_both, release_other, 0, 150);
    at_every_step(retain_both, release_both, register_retained, 0, 150);
    at_every_step(retain_both, release_both, close_now, 0, 150);
}

/* ---- blocks that come and go meanwhile --------------------------------- */

static uint32_t claimed;

static void trim_now(void *context)
{
    (void)context;
    ONE_OF(ndisbridge_trim(session, NULL), OK, CLOSED);
}

static void leave_two_empty(void)
{
    static uint32_t many[3 * NDISBRIDGE_BLOCK_SIZE];

    CHECK_STATUS(ndisbridge_allocate_net_luid_indexes(
                     session, many, 3 * NDISBRIDGE_BLOCK_SIZE, 3),
        SUCCESS);
    CHECK_STATUS(ndisbridge_free_net_luid_indexes(
                     session, NULL, 3, many, 3 * NDISBRIDGE_BLOCK_SIZE),
        SUCCESS);
    claimed = many[2 * NDISBRIDGE_BLOCK_SIZE + 5];
}

static void claim(void)
{
    ONE_OF(ndisbridge_claim_net_luid_index(session, 3, claimed), OK);
}

static void allocate_all(void)
{
    static uint32_t many[4 * NDISBRIDGE_BLOCK_SIZE];

    ONE_OF(ndisbridge_allocate_net_luid_indexes(
               session, many, 4 * NDISBRIDGE_BLOCK_SIZE - 1, 3),
        OK, NDISBRIDGE_STATUS_RESOURCES);
}

static void take_if_index(void)
{
    uint32_t any;

    ONE_OF(ndisbridge_allocate_if_index(session, &any), OK);
}

static void test_blocks(void)
{
    at_every_step(leave_two_empty, claim, trim_now, 0, 60);
    at_every_step(leave_two_empty, allocate_all, trim_now, 0, 1);
    at_every_step(no_setup, take_if_index, trim_now, 0, 60);
}

/* ---- one bitmap -------------------------------------------------------- */

static struct nb_bitmap *bitmap;
static uint32_t taken;

static void take_one(void *context)
{
    (void)context;
    taken = nb_bitmap_allocate(bitmap, 1);
}

static void take_last(void *context)
{
    (void)context;
    if (nb_bitmap_claim(bitmap, NDISBRIDGE_BLOCK_SIZE - 1))
        taken = NDISBRIDGE_BLOCK_SIZE - 1;
}

static void pin(void *context)
{
    (void)context;
    nb_bitmap_pin(bitmap, 0, 1);
}

static void free_taken(void *context)
{
    (void)context;
    CHECK(nb_bitmap_free(bitmap, 1, taken));
}

/* Whatever is taken or pinned while a block is given back stays. */
static void test_unlease(void)
{
    /* The fourth word is all retained. */
    static const uint64_t none[NB_BLOCK_WORDS] = { 0, 0, 0, UINT64_MAX };
    static void (*const acts[])(void *) = { take_one, take_last, pin };

    for (size_t i = 0; i < 3; i++)
        for (uint32_t n = 1;; n++) {
            uint64_t retained[NB_BLOCK_WORDS];
            bool given, done;

            bitmap = aligned_alloc(64, sizeof *bitmap);
            REQUIRE(bitmap != NULL);
            memset(bitmap, 0, sizeof *bitmap);
            nb_bitmap_init(bitmap);
            taken = NB_NO_INDEX;
            CHECK(nb_bitmap_lease(bitmap, 0, none));
            staged_begin(acts[i], NULL, n, 0);
            given = nb_bitmap_unlease(bitmap, 0, retained);
            done = staged_end();
            CHECK(!given || taken == NB_NO_INDEX);
            CHECK(given != nb_bitmap_is_leased(bitmap, 0));
            if (i < 2) {
                CHECK(nb_bitmap_validate(bitmap));
                if (taken != NB_NO_INDEX)
                    CHECK(nb_bitmap_free(bitmap, 0, taken));
            }
            free(bitmap);
            if (!done)
                break;
        }
}

static uint32_t batch[130];

static void scribble(void *context)
{
    (void)context;
    memset(batch, 0xFF, sizeof batch);
}

/* What others write into the buffer of a batch harms nobody else. */
static void test_scribbled_batch(void)
{
    static const uint64_t none[NB_BLOCK_WORDS];
    bool freeing = false, done;

    for (uint32_t n = 1;; n++) {
        bitmap = aligned_alloc(64, sizeof *bitmap);
        REQUIRE(bitmap != NULL);
        memset(bitmap, 0, sizeof *bitmap);
        nb_bitmap_init(bitmap);
        CHECK(nb_bitmap_lease(bitmap, 0, none));
        if (freeing)
            CHECK(nb_bitmap_allocate_many(bitmap, 0, batch, 130) == 130);
        staged_begin(scribble, NULL, n, 0);
        if (freeing)
            nb_bitmap_free_many(bitmap, batch, 130);
        else
            CHECK(nb_bitmap_allocate_many(bitmap, 0, batch, 130) == 130);
        done = staged_end();
        CHECK(nb_bitmap_validate(bitmap));
        CHECK(nb_bitmap_allocate(bitmap, 0) < NDISBRIDGE_BLOCK_SIZE);
        CHECK(nb_bitmap_allocate_many(bitmap, 0, batch, 130) == 130);
        free(bitmap);
        if (!done && freeing)
            break;
        if (!done)
            freeing = true, n = 0;
    }
}

/* The last index: searched for while it is freed, and while it is taken. */
static void test_last_index(void)
{
    uint64_t mask[NB_BLOCK_WORDS];

    memset(mask, 0xFF, sizeof mask);
    mask[7] &= ~(uint64_t)2;
    for (uint32_t way = 0; way < 4; way++)
        for (uint32_t n = 1;; n++) {
            uint32_t index;
            bool done;

            bitmap = aligned_alloc(64, sizeof *bitmap);
            REQUIRE(bitmap != NULL);
            memset(bitmap, 0, sizeof *bitmap);
            nb_bitmap_init(bitmap);
            CHECK(nb_bitmap_lease(bitmap, 70, mask));
            taken = NB_NO_INDEX;
            if (way < 2) {
                taken = nb_bitmap_allocate(bitmap, 0);
                REQUIRE(taken == 70 * NDISBRIDGE_BLOCK_SIZE + 7 * 64 + 1);
            }
            staged_begin(way < 2 ? free_taken : take_one, NULL, n, 0);
            index = way == 0 ? nb_bitmap_allocate(bitmap, 0)
                : way == 1   ? nb_bitmap_allocate_from(bitmap, 0)
                : way == 2   ? nb_bitmap_scan(bitmap)
                             : nb_bitmap_allocate_from(bitmap, 1 << 12);
            done = staged_end();
            CHECK(way < 2 || !done
                || (index == NB_NO_INDEX) != (taken == NB_NO_INDEX));
            /* A hint leads to what has been freed. */
            if (way < 2 && done && index == NB_NO_INDEX)
                CHECK(nb_bitmap_allocate(bitmap, 2) == taken);
            free(bitmap);
            if (!done)
                break;
        }
}

/* A block of which all is retained has no index to be hinted at. */
static void test_full_block(void)
{
    uint64_t mask[NB_BLOCK_WORDS];

    memset(mask, 0xFF, sizeof mask);
    bitmap = aligned_alloc(64, sizeof *bitmap);
    REQUIRE(bitmap != NULL);
    memset(bitmap, 0, sizeof *bitmap);
    nb_bitmap_init(bitmap);
    CHECK(nb_bitmap_lease(bitmap, 3, mask));
    CHECK(nb_bitmap_allocate(bitmap, 0) == NB_NO_INDEX);
    CHECK(nb_bitmap_validate(bitmap));
    free(bitmap);
}

int main(void)
{
    (void)check_begin("preempted");
    test_interfaces();
    test_full_flight();
    test_next_registration();
    test_closing();
    test_waits_of_closing();
    test_events();
    test_releases();
    test_blocks();
    test_unlease();
    test_scribbled_batch();
    test_last_index();
    test_full_block();
    return check_end();
}
