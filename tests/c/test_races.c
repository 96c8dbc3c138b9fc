/* SPDX-License-Identifier: MIT
 *
 * test_races.c - what two threads may do to one index, one NET_LUID or one
 * block at once: exactly one wins, and what is said is true.  First those
 * whose order a hook can force, then those that meet by chance.
 */
#define _GNU_SOURCE
#include "session.h"

#include "block_store.h"
#include "interface_kit.h"

#define BLOCK NDISBRIDGE_BLOCK_SIZE
#define DURATION_MS 300

static ndisbridge_session *session;
static ndisbridge_provider provider;
static uint32_t index_at_stake;

static uint32_t state_of(uint32_t index)
{
    uint32_t state = UINT32_MAX;

    CHECK_STATUS(
        ndisbridge_test_net_luid_index(session, &state, 6, index), SUCCESS);
    return state;
}

static ndisbridge_status free_one(uint32_t index)
{
    return ndisbridge_free_net_luid_index(session, 6, index);
}

static ndisbridge_status retain_one(uint32_t index, uint32_t flags)
{
    return ndisbridge_retain(session, 6, &index, 1, 0, flags, NULL);
}

static ndisbridge_status release_one(uint32_t index, uint32_t flags)
{
    return ndisbridge_release(session, 6, &index, 1, 0, flags, NULL);
}

static uint32_t allocate(void)
{
    uint32_t index = NB_NO_INDEX;

    CHECK_STATUS(
        ndisbridge_allocate_net_luid_index(session, &index, 6), SUCCESS);
    return index;
}

/* A session on a store, or without one. */
static void open_session(
    struct block_store **store, struct store_member *member)
{
    *store = NULL;
    if (member != NULL) {
        *store = store_make(16);
        store_join(member, *store, 1);
    }
    session = check_open(member != NULL ? &member->hooks : NULL);
    provider = kit_provider(session, kit_no_answer, NULL);
}

static void close_session(struct block_store *store)
{
    CHECK_STATUS(ndisbridge_session_destroy(session), SUCCESS);
    if (store != NULL)
        store_free(store);
}

/* ---- a hook that stops until it is let go ------------------------------ */

static pthread_mutex_t stage_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t stage_changed = PTHREAD_COND_INITIALIZER;
static int stage;

static void set_stage(int next)
{
    pthread_mutex_lock(&stage_lock);
    stage = next;
    pthread_cond_broadcast(&stage_changed);
    pthread_mutex_unlock(&stage_lock);
}

/* False if it does not come about in time. */
static bool await_stage(int wanted, uint32_t ms)
{
    struct timespec until;
    int waited = 0;
    bool reached;

    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_nsec += (long)ms * 1000000L;
    until.tv_sec += until.tv_nsec / 1000000000L;
    until.tv_nsec %= 1000000000L;
    pthread_mutex_lock(&stage_lock);
    while (stage < wanted && waited == 0)
        waited =
            pthread_cond_timedwait(&stage_changed, &stage_lock, &until);
    reached = stage >= wanted;
    pthread_mutex_unlock(&stage_lock);
    return reached;
}

static ndisbridge_status lease_then_stop(void *context,
    ndisbridge_block_mask *leases, uint32_t *count, uint16_t if_type,
    uint32_t lowest, uint32_t highest)
{
    ndisbridge_status status =
        store_lease(context, leases, count, if_type, lowest, highest);

    if (stage == 1) {
        set_stage(2);
        CHECK(!await_stage(3, 100));  /* the release waits for this */
    }
    return status;
}

static ndisbridge_status release_then_stop(void *context,
    const ndisbridge_index_set *sets, uint32_t set_count, uint32_t flags,
    void *record)
{
    ndisbridge_status status =
        store_release(context, sets, set_count, flags, record);

    if (stage == 1) {
        set_stage(2);
        CHECK(!await_stage(3, 100));  /* the lease waits for this */
    }
    return status;
}

static void *release_stake(void *argument)
{
    (void)argument;
    CHECK_STATUS(release_one(index_at_stake, 0), SUCCESS);
    set_stage(3);
    return NULL;
}

static void *allocate_block(void *argument)
{
    uint32_t *indexes = argument;

    CHECK_STATUS(ndisbridge_allocate_net_luid_indexes(
                     session, indexes, BLOCK - 1, 6),
        SUCCESS);
    set_stage(3);
    return NULL;
}

/* An index that an earlier session has retained in the store's only block,
 * which this one has not leased. */
static void retained_before(struct block_store **store,
    struct store_member *member)
{
    *store = store_make(1);
    store_join(member, *store, 1);
    session = check_open(&member->hooks);
    index_at_stake = allocate();
    CHECK_STATUS(retain_one(index_at_stake, 0), SUCCESS);
    CHECK_STATUS(ndisbridge_session_destroy(session), SUCCESS);
    stage = 0;
}

/* Whichever of the two is inside its hook when the other begins: the index
 * ends up free, once. */
static void test_release_meets_lease(bool lease_first)
{
    static uint32_t indexes[BLOCK + 1];
    struct block_store *store;
    struct store_member member;
    pthread_t first, second;
    uint32_t times = 0;

    retained_before(&store, &member);
    if (lease_first)
        member.hooks.lease_blocks = lease_then_stop;
    else
        member.hooks.release = release_then_stop;
    session = check_open(&member.hooks);
    set_stage(1);
    REQUIRE(pthread_create(&first, NULL,
                lease_first ? allocate_block : release_stake, indexes)
        == 0);
    REQUIRE(await_stage(2, 5000));
    REQUIRE(pthread_create(&second, NULL,
                lease_first ? release_stake : allocate_block, indexes)
        == 0);
    pthread_join(first, NULL);
    pthread_join(second, NULL);
    indexes[BLOCK - 1] = allocate();
    CHECK_STATUS(ndisbridge_allocate_net_luid_index(
                     session, &indexes[BLOCK], 6),
        RESOURCES);
    for (uint32_t i = 0; i < BLOCK; i++)
        times += indexes[i] == index_at_stake;
    CHECK_EQUAL(times, 1);
    close_session(store);
}

/* A failed return gives a block back as it is now, not as it was. */
static void test_release_meets_failed_return(void)
{
    struct block_store *store;
    struct store_member member;
    uint32_t count, index;

    open_session(&store, &member);
    index = allocate();
    for (uint32_t i = 0; i < BLOCK; i++)
        CHECK_STATUS(free_one(allocate()), SUCCESS);
    CHECK_STATUS(retain_one(index, 0), SUCCESS);
    member.failing = STORE_RETURN;
    member.failure = NDISBRIDGE_STATUS_FAILURE;
    CHECK_STATUS(nb_pool_trim(&session->pool, &count, 0), FAILURE);
    member.failing = -1;
    CHECK_STATUS(release_one(index, 0), SUCCESS);
    CHECK_EQUAL(state_of(index), NDISBRIDGE_INDEX_FREE);
    close_session(store);
}

/* ---- one NET_LUID twice ------------------------------------------------ */

static void test_twice_in_a_batch(bool with_store, uint32_t bad)
{
    struct block_store *store;
    struct store_member member;
    struct kit_information information[2] = { kit_information(0),
        kit_information(0) };
    ndisbridge_net_luid net_luids[2];
    ndisbridge_status statuses[2];
    uint32_t if_indexes[2] = { 0, 0 }, index;

    open_session(&store, with_store ? &member : NULL);
    index = allocate();
    CHECK_STATUS(
        with_store ? retain_one(index, 0) : NDISBRIDGE_STATUS_SUCCESS,
        SUCCESS);
    net_luids[0] = net_luids[1] = kit_luid(6, index);
    if (bad < 2)
        information[bad].fixed.access_type = 99;
    CHECK_STATUS(ndisbridge_register_interfaces(session, if_indexes, statuses,
                     provider, net_luids, information, sizeof *information,
                     NULL, 2),
        FAILURE);
    CHECK_STATUS(statuses[bad == 0 ? 1 : 0], SUCCESS);
    CHECK_EQUAL(statuses[bad == 0 ? 0 : 1],
        bad < 2 ? NDISBRIDGE_STATUS_INVALID_PARAMETER
                : NDISBRIDGE_STATUS_DUPLICATE_OBJECTID);
    CHECK_STATUS(free_one(index), INVALID_PARAMETER);
    CHECK_STATUS(release_one(index, 0), IN_USE);
    if (with_store)
        CHECK_EQUAL(store->confirmed_count, 1);
    CHECK_STATUS(ndisbridge_deregister_interface(
                     session, if_indexes[bad == 0 ? 1 : 0], 1000),
        SUCCESS);
    close_session(store);
}

/* ---- by chance --------------------------------------------------------- */

static atomic_bool stopping;
static atomic_ulong won[2];

static void meet(void *(*one)(void *), void *(*other)(void *))
{
    static uint32_t numbers[] = { 0, 1 };
    pthread_t threads[2];

    atomic_store(&stopping, false);
    atomic_store(&won[0], 0);
    atomic_store(&won[1], 0);
    REQUIRE(pthread_create(&threads[0], NULL, one, &numbers[0]) == 0);
    REQUIRE(pthread_create(&threads[1], NULL, other, &numbers[1]) == 0);
    nanosleep(&(struct timespec){ 0, DURATION_MS * 1000000L }, NULL);
    atomic_store(&stopping, true);
    pthread_join(threads[0], NULL);
    pthread_join(threads[1], NULL);
}

static void *trim(void *argument)
{
    uint32_t number = *(uint32_t *)argument;

    while (!atomic_load(&stopping)) {
        CHECK_STATUS(ndisbridge_trim(session, NULL), SUCCESS);
        atomic_fetch_add(&won[number], 1);
    }
    return NULL;
}

static void *claim_and_free(void *argument)
{
    uint32_t number = *(uint32_t *)argument;

    while (!atomic_load(&stopping)) {
        CHECK_STATUS(
            ndisbridge_claim_net_luid_index(session, 6, 5000), SUCCESS);
        CHECK_STATUS(free_one(5000), SUCCESS);
        atomic_fetch_add(&won[number], 1);
    }
    return NULL;
}

static void *retain_and_release(void *argument)
{
    uint32_t number = *(uint32_t *)argument;

    while (!atomic_load(&stopping)) {
        CHECK_STATUS(
            ndisbridge_claim_net_luid_index(session, 6, 5001), SUCCESS);
        CHECK_STATUS(retain_one(5001, 0), SUCCESS);
        CHECK_STATUS(release_one(5001, 0), SUCCESS);
        atomic_fetch_add(&won[number], 1);
    }
    return NULL;
}

static void *register_and_deregister(void *argument)
{
    uint32_t number = *(uint32_t *)argument;

    while (!atomic_load(&stopping)) {
        uint32_t if_index = 0;
        ndisbridge_status status = kit_register(session, &if_index, provider,
            kit_luid(6, index_at_stake), 0, NULL);

        if (status == NDISBRIDGE_STATUS_DUPLICATE_OBJECTID)
            continue;
        if (!CHECK(status == NDISBRIDGE_STATUS_SUCCESS))
            break;
        CHECK_STATUS(free_one(index_at_stake), INVALID_PARAMETER);
        CHECK_STATUS(
            ndisbridge_deregister_interface(session, if_index, 5000),
            SUCCESS);
        atomic_fetch_add(&won[number], 1);
    }
    return NULL;
}

/* What one gives up, the other has registered, or the other way round. */
static void *register_if_it_is_there(void *argument)
{
    uint32_t number = *(uint32_t *)argument;

    while (!atomic_load(&stopping)) {
        uint32_t if_index = 0;

        if (kit_register(session, &if_index, provider,
                kit_luid(6, index_at_stake), 0, NULL)
            != NDISBRIDGE_STATUS_SUCCESS)
            continue;
        CHECK(state_of(index_at_stake) != NDISBRIDGE_INDEX_FREE);
        CHECK_STATUS(release_one(index_at_stake, 0), IN_USE);
        CHECK_STATUS(
            ndisbridge_deregister_interface(session, if_index, 5000),
            SUCCESS);
        atomic_fetch_add(&won[number], 1);
    }
    return NULL;
}

static void *release_and_retain_again(void *argument)
{
    uint32_t number = *(uint32_t *)argument;

    while (!atomic_load(&stopping)) {
        ndisbridge_status status = release_one(index_at_stake, 0);

        if (status == NDISBRIDGE_STATUS_IN_USE)
            continue;
        CHECK_STATUS(status, SUCCESS);
        CHECK_STATUS(ndisbridge_claim_net_luid_index(
                         session, 6, index_at_stake),
            SUCCESS);
        /* Allocated it may be registered too, and then it is held. */
        while (retain_one(index_at_stake, 0) != NDISBRIDGE_STATUS_SUCCESS)
            sched_yield();
        atomic_fetch_add(&won[number], 1);
    }
    return NULL;
}

static void test_beside_trim(
    struct store_member *member, void *(*other)(void *))
{
    struct block_store *store;

    open_session(&store, member);
    meet(trim, other);
    CHECK(atomic_load(&won[0]) > 0 && atomic_load(&won[1]) > 0);
    CHECK(nb_bitmap_validate(&nb_pool_peek(&session->pool, 6)->bitmap));
    close_session(store);
}

static void test_one_net_luid(struct store_member *member, bool retained)
{
    struct block_store *store;

    open_session(&store, member);
    index_at_stake = allocate();
    if (retained)
        CHECK_STATUS(retain_one(index_at_stake, 0), SUCCESS);
    meet(register_and_deregister, register_and_deregister);
    CHECK(atomic_load(&won[0]) + atomic_load(&won[1]) > 0);
    CHECK_EQUAL(state_of(index_at_stake),
        retained ? NDISBRIDGE_INDEX_RETAINED : NDISBRIDGE_INDEX_ALLOCATED);
    close_session(store);
}

static void test_release_beside_register(struct store_member *member)
{
    struct block_store *store;

    open_session(&store, member);
    index_at_stake = allocate();
    CHECK_STATUS(retain_one(index_at_stake, 0), SUCCESS);
    meet(register_if_it_is_there, release_and_retain_again);
    CHECK(atomic_load(&won[1]) > 0);
    CHECK_EQUAL(state_of(index_at_stake), NDISBRIDGE_INDEX_RETAINED);
    CHECK_STATUS(release_one(index_at_stake, 0), SUCCESS);
    CHECK_EQUAL(state_of(index_at_stake), NDISBRIDGE_INDEX_FREE);
    close_session(store);
}

static pthread_barrier_t both;
static atomic_uint releases;

static void *release_together(void *argument)
{
    (void)argument;
    for (;;) {
        pthread_barrier_wait(&both);
        if (atomic_load(&stopping))
            return NULL;
        if (release_one(index_at_stake, 0) == NDISBRIDGE_STATUS_SUCCESS)
            atomic_fetch_add(&releases, 1);
        pthread_barrier_wait(&both);
    }
}

/* Of two that release one index, one does. */
static void test_released_once(struct store_member *member)
{
    struct block_store *store;
    pthread_t threads[2];

    open_session(&store, member);
    atomic_store(&stopping, false);
    REQUIRE(pthread_barrier_init(&both, NULL, 3) == 0);
    for (uint32_t i = 0; i < 2; i++)
        REQUIRE(pthread_create(&threads[i], NULL, release_together, NULL)
            == 0);
    for (uint32_t round = 0; round < 4000 / CHECK_SLOWNESS; round++) {
        index_at_stake = allocate();
        CHECK_STATUS(retain_one(index_at_stake, 0), SUCCESS);
        atomic_store(&releases, 0);
        pthread_barrier_wait(&both);
        pthread_barrier_wait(&both);
        CHECK_EQUAL(atomic_load(&releases), 1);
    }
    atomic_store(&stopping, true);
    pthread_barrier_wait(&both);
    for (uint32_t i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    pthread_barrier_destroy(&both);
    CHECK(nb_bitmap_validate(&nb_pool_peek(&session->pool, 6)->bitmap));
    close_session(store);
}

/* ---- waits have deadlines ---------------------------------------------- */

static ndisbridge_status lease_for_long(void *context,
    ndisbridge_block_mask *leases, uint32_t *count, uint16_t if_type,
    uint32_t lowest, uint32_t highest)
{
    if (stage == 1) {
        set_stage(2);
        await_stage(3, 3000);
    }
    return store_lease(context, leases, count, if_type, lowest, highest);
}

static void *lease_last_block(void *argument)
{
    (void)argument;
    index_at_stake = allocate();
    return NULL;
}

/* A hook that takes long keeps nobody waiting for ever. */
static void test_wait_ends(void)
{
    static uint32_t indexes[BLOCK];
    struct block_store *store = store_make(1);
    struct store_member member;
    ndisbridge_session_config config;
    uint32_t index, retained;
    pthread_t thread;

    store_join(&member, store, 1);
    session = check_open(&member.hooks);
    retained = allocate();
    CHECK_STATUS(retain_one(retained, 0), SUCCESS);
    CHECK_STATUS(ndisbridge_session_destroy(session), SUCCESS);
    member.hooks.lease_blocks = lease_for_long;
    config = check_config(&member.hooks);
    config.wait_timeout_ms = 50;
    REQUIRE(ndisbridge_session_create(&session, &config)
        == NDISBRIDGE_STATUS_SUCCESS);
    stage = 1;
    REQUIRE(pthread_create(&thread, NULL, lease_last_block, NULL) == 0);
    REQUIRE(await_stage(2, 5000));
    CHECK_STATUS(release_one(retained, 0), TIMEOUT);
    /* Another store's last block is gone: is it on its way here? */
    store->block_limit = 0;
    CHECK_STATUS(
        ndisbridge_allocate_net_luid_index(session, &index, 6), TIMEOUT);
    store->block_limit = 1;
    set_stage(3);
    pthread_join(thread, NULL);
    CHECK_STATUS(release_one(retained, 0), SUCCESS);
    CHECK_STATUS(ndisbridge_allocate_net_luid_indexes(
                     session, indexes, BLOCK - 1, 6),
        SUCCESS);
    CHECK_STATUS(
        ndisbridge_allocate_net_luid_index(session, &index, 6), RESOURCES);
    close_session(store);
}

int main(void)
{
    struct store_member member;

    (void)check_begin("test_races");
    test_release_meets_lease(true);
    test_release_meets_lease(false);
    test_release_meets_failed_return();
    for (uint32_t bad = 0; bad < 3; bad++) {
        test_twice_in_a_batch(false, bad);
        test_twice_in_a_batch(true, bad);
    }
    test_beside_trim(NULL, claim_and_free);
    test_beside_trim(&member, claim_and_free);
    test_beside_trim(&member, retain_and_release);
    test_one_net_luid(NULL, false);
    test_one_net_luid(&member, false);
    test_one_net_luid(NULL, true);
    test_one_net_luid(&member, true);
    test_release_beside_register(NULL);
    test_release_beside_register(&member);
    test_released_once(NULL);
    test_released_once(&member);
    test_wait_ends();
    return check_end();
}
