/* SPDX-License-Identifier: MIT
 *
 * test_lease_hooks.c - hooks that do less than they should, or other things:
 * leases of nothing, of too much, of what was not asked for; refusals at odd
 * moments; trips that never end.
 */
#include "session.h"

#include "block_store.h"
#include "interface_kit.h"

static struct block_store *store;
static struct store_member member;
static ndisbridge_session *session;

static void open_on(uint32_t blocks, uint32_t if_index_first)
{
    ndisbridge_session_config config;

    store = store_make(blocks);
    store_join(&member, store, 1);
    config = check_config(&member.hooks);
    config.if_index_first = if_index_first;
    config.wait_timeout_ms = 10;
    CHECK_STATUS(ndisbridge_session_create(&session, &config), SUCCESS);
}

/* Policy lowest; the first blocks of ifIndexes are another's. */
static void open_lowest(uint32_t taken)
{
    ndisbridge_session_config config;

    store = store_make(16);
    store_join(&member, store, 1);
    for (uint32_t i = 0; i < taken; i++)
        store->holder[0][i] = 2;
    config = check_config(&member.hooks);
    config.if_index_policy = NDISBRIDGE_IF_INDEX_POLICY_LOWEST;
    CHECK_STATUS(ndisbridge_session_create(&session, &config), SUCCESS);
}

static void close_it(void)
{
    CHECK_STATUS(ndisbridge_session_destroy(session), SUCCESS);
    store_free(store);
}

/* ---- a lease that is none ---------------------------------------------- */

static uint32_t odd_count, odd_block;

static ndisbridge_session *odd;

static ndisbridge_status odd_lease(void *context,
    ndisbridge_block_mask *leases, uint32_t *count, uint16_t if_type,
    uint32_t lowest, uint32_t highest)
{
    uint32_t one = 1;
    ndisbridge_event event;

    (void)context, (void)if_type, (void)lowest, (void)highest;
    CHECK_STATUS(ndisbridge_session_destroy(odd), INVALID_STATE);
    CHECK_STATUS(
        ndisbridge_next_events(odd, &event, &one, 1, 0), INVALID_STATE);
    memset(leases, 0, sizeof *leases);
    leases[0].block = odd_block;
    *count = odd_count;
    return NDISBRIDGE_STATUS_SUCCESS;
}

static ndisbridge_status no_return(void *context, uint16_t if_type,
    const uint32_t *blocks, uint32_t count)
{
    (void)context, (void)if_type, (void)blocks, (void)count;
    return NDISBRIDGE_STATUS_FAILURE;
}

static void test_odd_leases(void)
{
    ndisbridge_persistence_hooks hooks = {
        .header = { NDISBRIDGE_OBJECT_TYPE_DEFAULT,
            NDISBRIDGE_OBJECT_REVISION_1, sizeof hooks },
        .lease_blocks = odd_lease,
        .return_blocks = no_return,
    };
    uint32_t index = 0, any = 0;

    odd = check_open(&hooks);

    odd_count = 0;
    CHECK_STATUS(
        ndisbridge_allocate_net_luid_index(odd, &index, 6), RESOURCES);
    CHECK_STATUS(ndisbridge_claim_net_luid_index(odd, 6, 5), IN_USE);
    odd_count = 1;
    odd_block = NDISBRIDGE_BLOCK_COUNT;
    CHECK_STATUS(
        ndisbridge_allocate_net_luid_index(odd, &index, 6), INVALID_DATA);
    odd_block = 4;
    CHECK_STATUS(ndisbridge_claim_net_luid_index(odd, 6, 5 << 12),
        INVALID_DATA);
    CHECK_STATUS(ndisbridge_claim_net_luid_index(odd, 6, 3 << 12),
        INVALID_DATA);
    /* More than was asked for is not looked at. */
    odd_count = 1000;
    CHECK_STATUS(ndisbridge_claim_net_luid_index(odd, 6, 4 << 12), SUCCESS);
    /* Without the hooks of retaining, what is retained is so here. */
    CHECK_STATUS(ndisbridge_retain(odd, 6, (uint32_t[]){ 4 << 12 }, 1, 0, 0,
                     NULL),
        SUCCESS);
    CHECK_STATUS(kit_register(odd, &any,
                     kit_provider(odd, kit_no_answer, NULL),
                     kit_luid(6, (4 << 12) + 1), 0, NULL),
        INVALID_PARAMETER);
    CHECK_STATUS(ndisbridge_release(odd, 6, (uint32_t[]){ 4 << 12 }, 1, 0,
                     0, NULL),
        SUCCESS);
    /* The store will not have it back, and the session ends all the same. */
    CHECK_STATUS(ndisbridge_session_close(odd, 0), FAILURE);
    CHECK_STATUS(ndisbridge_session_destroy(odd), SUCCESS);
}

/* ---- registering without a confirmation -------------------------------- */

static void test_no_confirm(void)
{
    uint32_t index, if_index = 0, elsewhere = 200;
    ndisbridge_provider provider;

    store = store_make(16);
    store_join(&member, store, 1);
    member.hooks.confirm = NULL;
    member.hooks.unconfirm = NULL;
    session = check_open(&member.hooks);
    provider = kit_provider(session, kit_no_answer, NULL);
    CHECK_STATUS(
        ndisbridge_allocate_net_luid_index(session, &index, 6), SUCCESS);
    CHECK_STATUS(
        ndisbridge_retain(session, 6, &index, 1, 0, 0, NULL), SUCCESS);
    /* Retained here, so it is known to be; of another nothing is. */
    CHECK_STATUS(kit_register(session, &if_index, provider,
                     kit_luid(6, index), 0, NULL),
        SUCCESS);
    if_index = 0;
    CHECK_STATUS(kit_register(session, &if_index, provider,
                     kit_luid(6, 9 << 12), 0, NULL),
        INVALID_PARAMETER);
    CHECK_STATUS(kit_register(session, &if_index, provider,
                     kit_luid(5, 9 << 12), 0, NULL),
        INVALID_PARAMETER);
    /* An ifIndex in a block of another session's is not to be had. */
    store->holder[0][10] = 2;
    CHECK_STATUS(
        ndisbridge_allocate_net_luid_index(session, &index, 6), SUCCESS);
    CHECK_STATUS(
        ndisbridge_retain(session, 6, &index, 1, 0, 0, NULL), SUCCESS);
    elsewhere = (10 << 12) + 5;
    CHECK_STATUS(kit_register(session, &elsewhere, provider,
                     kit_luid(6, index), 0, NULL),
        IN_USE);
    store->holder[0][10] = 0;
    close_it();
}

static void test_confirmed(void)
{
    uint32_t index, wanted = (10 << 12) + 5;
    ndisbridge_provider provider;

    open_on(16, 0);
    provider = kit_provider(session, kit_no_answer, NULL);
    store->holder[0][10] = 2;
    CHECK_STATUS(
        ndisbridge_allocate_net_luid_index(session, &index, 6), SUCCESS);
    CHECK_STATUS(
        ndisbridge_retain(session, 6, &index, 1, 0, 0, NULL), SUCCESS);
    /* The store has said that the ifIndex goes with it. */
    CHECK_STATUS(kit_register(session, &wanted, provider,
                     kit_luid(6, index), 0, NULL),
        SUCCESS);
    CHECK_STATUS(
        ndisbridge_deregister_interface(session, wanted, 0), SUCCESS);
    /* One that somebody has taken here is his. */
    CHECK_STATUS(ndisbridge_allocate_if_index(session, &wanted), SUCCESS);
    CHECK_STATUS(kit_register(session, &wanted, provider,
                     kit_luid(6, index), 0, NULL),
        IN_USE);
    store->holder[0][10] = 0;
    close_it();
}

/* ---- the end of the numbers -------------------------------------------- */

static void test_last_if_indexes(void)
{
    uint32_t index;

    open_on(NDISBRIDGE_BLOCK_COUNT, 0xFFFF00);
    for (uint32_t i = 0; i < 256; i++) {
        CHECK_STATUS(ndisbridge_allocate_if_index(session, &index), SUCCESS);
        CHECK_EQUAL(index, 0xFFFF00 + i);
    }
    CHECK_STATUS(ndisbridge_allocate_if_index(session, &index), RESOURCES);
    close_it();
    /* The only block is another's. */
    open_on(NDISBRIDGE_BLOCK_COUNT, 0xFFFF00);
    store->holder[0][NDISBRIDGE_BLOCK_COUNT - 1] = 2;
    CHECK_STATUS(ndisbridge_allocate_if_index(session, &index), RESOURCES);
    store->holder[0][NDISBRIDGE_BLOCK_COUNT - 1] = 0;
    close_it();
}

/* Policy lowest: why a lower block was not to be had is not told, but it is
 * not taken for the store's word either. */
static void test_no_lower_block(void)
{
    uint32_t index;

    open_lowest(1);
    CHECK_STATUS(ndisbridge_allocate_if_index(session, &index), SUCCESS);
    CHECK_EQUAL(index, 1 << 12);
    CHECK_STATUS(ndisbridge_trim(session, NULL), SUCCESS);
    store->holder[0][0] = 0;
    nb_store(&nb_pool_peek(&session->pool, 0)->asked_below, 0);
    member.failing = STORE_LEASE;
    member.failure = NDISBRIDGE_STATUS_FAILURE;
    CHECK_STATUS(ndisbridge_allocate_if_index(session, &index), SUCCESS);
    CHECK_EQUAL(index, (1 << 12) + 1);
    member.failing = -1;
    CHECK_STATUS(ndisbridge_allocate_if_index(session, &index), SUCCESS);
    CHECK_EQUAL(index, 1);
    close_it();
}

/* ---- trips that do not end --------------------------------------------- */

static void test_endless_trips(void)
{
    struct nb_space *space;
    struct nb_trip trip;
    uint32_t index, returned;
    static uint32_t many[3 * NDISBRIDGE_BLOCK_SIZE];

    open_on(16, 0);
    CHECK_STATUS(
        ndisbridge_try_allocate_net_luid_index(session, &index, 6), PENDING);
    CHECK_STATUS(ndisbridge_allocate_net_luid_indexes(
                     session, many, 3 * NDISBRIDGE_BLOCK_SIZE, 6),
        SUCCESS);
    space = nb_pool_peek(&session->pool, 6);
    CHECK_STATUS(ndisbridge_free_net_luid_index(session, 6, many[0]), SUCCESS);
    CHECK_STATUS(
        ndisbridge_try_allocate_net_luid_index(session, &index, 6), SUCCESS);
    while (ndisbridge_try_allocate_net_luid_index(session, &index, 6)
        == NDISBRIDGE_STATUS_SUCCESS)
        continue;
    /* All that are there, or none. */
    CHECK_STATUS(
        ndisbridge_free_net_luid_indexes(session, NULL, 6, many, 99), SUCCESS);
    CHECK_STATUS(
        ndisbridge_try_allocate_net_luid_indexes(session, many, 100, 6),
        PENDING);
    CHECK_STATUS(
        ndisbridge_try_allocate_net_luid_indexes(session, many, 99, 6),
        SUCCESS);
    CHECK_STATUS(
        ndisbridge_try_allocate_net_luid_indexes(session, NULL, 0, 6),
        SUCCESS);
    CHECK_STATUS(
        ndisbridge_try_allocate_net_luid_indexes(session, NULL, 0, 7),
        PENDING);
    /* While something is released, nothing is leased or given back. */
    REQUIRE(nb_transit_begin(&space->transit, &trip, NB_TRIP_RELEASE, 0)
        == NDISBRIDGE_STATUS_SUCCESS);
    CHECK_STATUS(
        ndisbridge_allocate_net_luid_index(session, &index, 6), TIMEOUT);
    CHECK_STATUS(
        ndisbridge_claim_net_luid_index(session, 6, 9 << 12), TIMEOUT);
    CHECK_STATUS(ndisbridge_trim(session, &returned), TIMEOUT);
    nb_transit_end(&space->transit, &trip);
    /* A block that is on its way back may be to be had later. */
    store->holder[6][9] = 2;
    REQUIRE(nb_transit_begin(&space->transit, &trip, NB_TRIP_RETURN, 0)
        == NDISBRIDGE_STATUS_SUCCESS);
    CHECK_STATUS(
        ndisbridge_claim_net_luid_index(session, 6, 9 << 12), TIMEOUT);
    nb_transit_end(&space->transit, &trip);
    CHECK_STATUS(
        ndisbridge_claim_net_luid_index(session, 6, 9 << 12), IN_USE);
    store->holder[6][9] = 0;
    close_it();
}

/* More blocks than go back in one call, and the first call fails. */
static void test_return_of_many(void)
{
    static uint32_t many[40 * NDISBRIDGE_BLOCK_SIZE];

    open_on(64, 0);
    CHECK_STATUS(ndisbridge_allocate_net_luid_indexes(
                     session, many, 40 * NDISBRIDGE_BLOCK_SIZE, 6),
        SUCCESS);
    CHECK_STATUS(ndisbridge_free_net_luid_indexes(
                     session, NULL, 6, many, 40 * NDISBRIDGE_BLOCK_SIZE),
        SUCCESS);
    member.failing = STORE_RETURN;
    member.failure = NDISBRIDGE_STATUS_FAILURE;
    CHECK_STATUS(ndisbridge_trim(session, NULL), FAILURE);
    member.failing = -1;
    CHECK_STATUS(ndisbridge_trim(session, NULL), SUCCESS);
    close_it();
}

/* A release that the store refuses leaves a non-persistent one kept. */
static void test_refused_release(void)
{
    uint32_t index;
    const uint32_t flags = NDISBRIDGE_RETAIN_NON_PERSISTENT;

    open_on(16, 0);
    CHECK_STATUS(
        ndisbridge_allocate_net_luid_index(session, &index, 6), SUCCESS);
    CHECK_STATUS(
        ndisbridge_retain(session, 6, &index, 1, 0, flags, NULL), SUCCESS);
    member.failing = STORE_RELEASE;
    member.failure = NDISBRIDGE_STATUS_FAILURE;
    CHECK_STATUS(
        ndisbridge_release(session, 6, &index, 1, 0, flags, NULL), FAILURE);
    member.failing = -1;
    CHECK_STATUS(
        ndisbridge_release(session, 6, &index, 1, 0, flags, NULL), SUCCESS);
    CHECK_STATUS(ndisbridge_release(session, 6, &index, 1, 0, flags, NULL),
        INVALID_PARAMETER);
    /* Nothing to be retained is a record alone. */
    CHECK_STATUS(
        ndisbridge_retain(session, 6, NULL, 0, 0, 0, NULL), SUCCESS);
    close_it();
}

/* Two lower blocks, both another's. */
static void test_no_lower_blocks(void)
{
    uint32_t index;

    open_lowest(2);
    CHECK_STATUS(ndisbridge_allocate_if_index(session, &index), SUCCESS);
    CHECK_EQUAL(index, 2 << 12);
    store->holder[0][0] = store->holder[0][1] = 0;
    close_it();
}

/* ---- without memory for a space ---------------------------------------- */

static bool memory_gone;

static void *allocate_while_there(void *context, size_t size)
{
    if (memory_gone && size > 4 * 1024 * 1024)
        return NULL;
    return nb_system_allocate(context, size);
}

/* An IfType or the ifIndexes, of which another session has retained some,
 * but whose space there is no memory for here. */
static void test_no_space(void)
{
    ndisbridge_session_config config;
    ndisbridge_session *before;
    struct store_member owner;
    uint32_t index, if_index, many[2];

    store = store_make(16);
    store_join(&owner, store, 2);
    before = check_open(&owner.hooks);
    CHECK_STATUS(
        ndisbridge_allocate_net_luid_index(before, &index, 5), SUCCESS);
    CHECK_STATUS(ndisbridge_allocate_if_index(before, &if_index), SUCCESS);
    CHECK_STATUS(ndisbridge_retain(before, 5, &index, 1, if_index, 0, NULL),
        SUCCESS);
    CHECK_STATUS(ndisbridge_session_destroy(before), SUCCESS);
    store_join(&member, store, 1);
    config = check_config(&member.hooks);
    config.allocate = allocate_while_there;
    config.deallocate = nb_system_deallocate;
    CHECK_STATUS(ndisbridge_session_create(&session, &config), SUCCESS);
    memory_gone = true;
    CHECK_STATUS(
        ndisbridge_allocate_net_luid_index(session, many, 5), RESOURCES);
    CHECK_STATUS(ndisbridge_allocate_net_luid_indexes(session, many, 2, 5),
        RESOURCES);
    CHECK_STATUS(ndisbridge_allocate_if_index(session, many), RESOURCES);
    CHECK_STATUS(
        ndisbridge_claim_net_luid_index(session, 5, 1), RESOURCES);
    CHECK_STATUS(ndisbridge_release(session, 5, &index, 1, if_index, 0, NULL),
        RESOURCES);
    /* One of the two is there. */
    memory_gone = false;
    CHECK_STATUS(
        ndisbridge_allocate_net_luid_index(session, many, 5), SUCCESS);
    memory_gone = true;
    CHECK_STATUS(ndisbridge_release(session, 5, &index, 1, if_index, 0, NULL),
        RESOURCES);
    memory_gone = false;
    CHECK_STATUS(ndisbridge_release(session, 5, &index, 1, if_index, 0, NULL),
        SUCCESS);
    close_it();
}

int main(void)
{
    (void)check_begin("lease_hooks");
    test_no_lower_blocks();
    test_no_space();
    test_odd_leases();
    test_no_confirm();
    test_confirmed();
    test_last_if_indexes();
    test_no_lower_block();
    test_endless_trips();
    test_return_of_many();
    test_refused_release();
    return check_end();
}
