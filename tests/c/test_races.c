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
#define DURATION_MS CHECK_DURATION_MS(300)

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
    until.tv_sec += ms / 1000;
    until.tv_nsec += (long)(ms % 1000) * 1000000L;
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

static void check_no_pins(void)
{
    struct nb_space *space = nb_pool_peek(&session->pool, 6);

    for (uint32_t i = 0; i < NB_BLOCKS; i++)
        if (nb_load(&space->bitmap.pins[i]) != 0)
            CHECK_EQUAL(nb_load(&space->bitmap.pins[i]), 0);
    CHECK(nb_bitmap_validate(&space->bitmap));
}

static void *trim_everything(void *argument)
{
    CHECK_STATUS(nb_pool_trim(&session->pool, argument, 0), SUCCESS);
    return NULL;
}

static ndisbridge_status release_beside_a_trim(void *context,
    const ndisbridge_index_set *sets, uint32_t set_count, uint32_t flags,
    void *record)
{
    ndisbridge_status status =
        store_release(context, sets, set_count, flags, record);
    uint32_t returned = 99;
    pthread_t thread;

    REQUIRE(pthread_create(&thread, NULL, trim_everything, &returned) == 0);
    pthread_join(thread, NULL);
    CHECK_EQUAL(returned, 0);
    return status;
}

/* A block that is leased here stays so while something in it is released,
 * empty as it is. */
static void test_trim_inside_release(void)
{
    struct block_store *store;
    struct store_member member;
    uint32_t index, returned;

    open_session(&store, &member);
    CHECK_STATUS(ndisbridge_session_destroy(session), SUCCESS);
    member.hooks.release = release_beside_a_trim;
    session = check_open(&member.hooks);
    index = allocate();
    CHECK_STATUS(retain_one(index, 0), SUCCESS);
    CHECK_STATUS(release_one(index, 0), SUCCESS);
    CHECK_EQUAL(state_of(index), NDISBRIDGE_INDEX_FREE);
    check_no_pins();
    CHECK_STATUS(nb_pool_trim(&session->pool, &returned, 0), SUCCESS);
    CHECK_EQUAL(returned, 1);
    close_session(store);
}

static ndisbridge_status registered_inside, deregistered_inside;
static uint32_t if_index_at_stake;

static ndisbridge_status release_beside_a_registration(void *context,
    const ndisbridge_index_set *sets, uint32_t set_count, uint32_t flags,
    void *record)
{
    (void)context, (void)sets, (void)set_count, (void)flags, (void)record;
    set_stage(2);
    CHECK(await_stage(3, 5000));
    return store_release(context, sets, set_count, flags, record);
}

static void *register_at_stake(void *argument)
{
    uint32_t if_index = *(uint32_t *)argument;

    REQUIRE(await_stage(2, 5000));
    registered_inside = kit_register(session, &if_index, provider,
        kit_luid(6, if_index == 0 ? index_at_stake : index_at_stake + 1), 0,
        NULL);
    CHECK_STATUS(release_one(index_at_stake, 0), IN_USE);
    set_stage(3);
    return NULL;
}

/* What is being released, NET_LUID or ifIndex, is not registered. */
static void test_register_inside_release(bool by_if_index)
{
    struct block_store *store = store_make(16);
    struct store_member member;
    uint32_t wanted = 0;
    pthread_t thread;

    store_join(&member, store, 1);
    member.hooks.release = release_beside_a_registration;
    session = check_open(&member.hooks);
    provider = kit_provider(session, kit_no_answer, NULL);
    index_at_stake = allocate();
    allocate();
    CHECK_STATUS(
        ndisbridge_allocate_if_index(session, &if_index_at_stake), SUCCESS);
    CHECK_STATUS(ndisbridge_retain(session, 6, &index_at_stake, 1,
                     if_index_at_stake, 0, NULL),
        SUCCESS);
    if (by_if_index)
        wanted = if_index_at_stake;
    set_stage(1);
    REQUIRE(pthread_create(&thread, NULL, register_at_stake, &wanted) == 0);
    CHECK_STATUS(ndisbridge_release(session, 6, &index_at_stake, 1,
                     if_index_at_stake, 0, NULL),
        SUCCESS);
    pthread_join(thread, NULL);
    CHECK_STATUS(registered_inside, IN_USE);
    CHECK_EQUAL(state_of(index_at_stake), NDISBRIDGE_INDEX_FREE);
    check_no_pins();
    close_session(store);
}

static ndisbridge_status confirm_beside_the_provider(void *context,
    const ndisbridge_net_luid *net_luids, const uint32_t *if_indexes,
    uint32_t count)
{
    set_stage(2);
    CHECK(await_stage(3, 5000));
    return store_confirm(context, net_luids, if_indexes, count);
}

static void *deregister_the_provider(void *argument)
{
    (void)argument;
    REQUIRE(await_stage(2, 5000));
    deregistered_inside =
        ndisbridge_deregister_provider(session, provider);
    set_stage(3);
    return NULL;
}

/* A provider with an interface on its way has one. */
static void test_provider_inside_confirm(void)
{
    struct block_store *store = store_make(16);
    struct store_member member;
    uint32_t if_index = 0;
    pthread_t thread;

    store_join(&member, store, 1);
    member.hooks.confirm = confirm_beside_the_provider;
    session = check_open(&member.hooks);
    provider = kit_provider(session, kit_no_answer, NULL);
    index_at_stake = allocate();
    CHECK_STATUS(retain_one(index_at_stake, 0), SUCCESS);
    set_stage(1);
    REQUIRE(
        pthread_create(&thread, NULL, deregister_the_provider, NULL) == 0);
    CHECK_STATUS(kit_register(session, &if_index, provider,
                     kit_luid(6, index_at_stake), 0, NULL),
        SUCCESS);
    pthread_join(thread, NULL);
    CHECK_STATUS(deregistered_inside, PROVIDER_HAS_INTERFACES);
    CHECK_STATUS(
        ndisbridge_deregister_interface(session, if_index, 1000), SUCCESS);
    CHECK_STATUS(ndisbridge_deregister_provider(session, provider), SUCCESS);
    close_session(store);
}

/* Flags that are not those of the retain are told, whatever else is held in
 * the block. */
static void test_released_with_wrong_flags(void)
{
    const uint32_t other = NDISBRIDGE_RETAIN_NON_PERSISTENT;
    struct block_store *store;
    struct store_member member;
    uint32_t if_index = 0, lasting, held, ending;

    open_session(&store, &member);
    lasting = allocate();
    held = allocate();
    ending = allocate();
    CHECK_STATUS(retain_one(lasting, 0), SUCCESS);
    CHECK_STATUS(retain_one(ending, other), SUCCESS);
    CHECK_STATUS(kit_register(session, &if_index, provider,
                     kit_luid(6, held), 0, NULL),
        SUCCESS);
    CHECK_STATUS(release_one(lasting, other), INVALID_PARAMETER);
    CHECK_STATUS(release_one(held, other), IN_USE);
    CHECK_STATUS(release_one(ending, 0), INVALID_PARAMETER);
    CHECK(store_is_retained(store, 6, lasting));
    CHECK_STATUS(
        ndisbridge_deregister_interface(session, if_index, 1000), SUCCESS);
    CHECK_STATUS(free_one(held), SUCCESS);
    CHECK_STATUS(release_one(ending, other), SUCCESS);
    CHECK_STATUS(release_one(ending, other), INVALID_PARAMETER);
    CHECK_STATUS(release_one(lasting, 0), SUCCESS);
    check_no_pins();
    close_session(store);
}

/* After a return that has failed the block is what it was. */
static void test_release_after_failed_return(void)
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

/* For a while, and on a busy machine until both have done something. */
static void meet(void *(*one)(void *), void *(*other)(void *))
{
    static uint32_t numbers[] = { 0, 1 };
    pthread_t threads[2];
    uint32_t patience = 2000;

    atomic_store(&stopping, false);
    atomic_store(&won[0], 0);
    atomic_store(&won[1], 0);
    REQUIRE(pthread_create(&threads[0], NULL, one, &numbers[0]) == 0);
    REQUIRE(pthread_create(&threads[1], NULL, other, &numbers[1]) == 0);
    nanosleep(&(struct timespec){ 0, DURATION_MS * 1000000L }, NULL);
    while ((atomic_load(&won[0]) == 0 || atomic_load(&won[1]) == 0)
        && patience-- > 0)
        nanosleep(&(struct timespec){ 0, 10000000L }, NULL);
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

static void retain_and_release_one(uint32_t index)
{
    CHECK_STATUS(retain_one(index, 0), SUCCESS);
    CHECK_STATUS(release_one(index, 0), SUCCESS);
}

static void register_and_free(uint32_t index)
{
    uint32_t if_index = 0;

    CHECK_STATUS(kit_register(session, &if_index, provider,
                     kit_luid(6, index), 0, NULL),
        SUCCESS);
    CHECK_STATUS(
        ndisbridge_deregister_interface(session, if_index, 1000), SUCCESS);
    CHECK_STATUS(free_one(index), SUCCESS);
}

/* A fresh index, or a fresh ifIndex, is nobody's to refuse. */
static void *retain_and_release_any(void *argument)
{
    uint32_t number = *(uint32_t *)argument, if_index;

    while (!atomic_load(&stopping)) {
        retain_and_release_one(allocate());
        CHECK_STATUS(
            ndisbridge_allocate_if_index(session, &if_index), SUCCESS);
        CHECK_STATUS(
            ndisbridge_retain(session, 6, NULL, 0, if_index, 0, NULL),
            SUCCESS);
        CHECK_STATUS(
            ndisbridge_release(session, 6, NULL, 0, if_index, 0, NULL),
            SUCCESS);
        atomic_fetch_add(&won[number], 1);
    }
    return NULL;
}

static void *register_fresh_ones(void *argument)
{
    uint32_t number = *(uint32_t *)argument;

    while (!atomic_load(&stopping)) {
        register_and_free(allocate());
        atomic_fetch_add(&won[number], 1);
    }
    return NULL;
}

static void test_fresh_ones(struct store_member *member)
{
    struct block_store *store = NULL;
    ndisbridge_session_config config;

    if (member != NULL) {
        store = store_make(16);
        store_join(member, store, 1);
    }
    config = check_config(member != NULL ? &member->hooks : NULL);
    config.if_index_policy = NDISBRIDGE_IF_INDEX_POLICY_LOWEST;
    REQUIRE(ndisbridge_session_create(&session, &config)
        == NDISBRIDGE_STATUS_SUCCESS);
    provider = kit_provider(session, kit_no_answer, NULL);
    meet(retain_and_release_any, register_fresh_ones);
    CHECK(atomic_load(&won[0]) > 0 && atomic_load(&won[1]) > 0);
    check_no_pins();
    close_session(store);
}

/* ndisbridge_trim() that keeps no block. */
static void trim_all(void)
{
    uint32_t returned;

    CHECK_STATUS(nb_pool_trim(&session->pool, &returned, 0), SUCCESS);
}

/* Leases a block and gives it back, again and again. */
static void *lease_and_trim(void *argument)
{
    uint32_t number = *(uint32_t *)argument;

    while (!atomic_load(&stopping)) {
        uint32_t index = allocate();

        CHECK_STATUS(free_one(index), SUCCESS);
        trim_all();
        atomic_fetch_add(&won[number], 1);
    }
    return NULL;
}

/* Allocated from a block that another thread is still publishing, an index
 * is one's own all the same. */
static void *retain_what_is_had(void *argument)
{
    uint32_t number = *(uint32_t *)argument;

    while (!atomic_load(&stopping)) {
        uint32_t index = allocate();

        CHECK_EQUAL(state_of(index), NDISBRIDGE_INDEX_ALLOCATED);
        retain_and_release_one(index);
        trim_all();
        register_and_free(allocate());
        atomic_fetch_add(&won[number], 1);
    }
    return NULL;
}

static void test_beside_lease(void)
{
    struct store_member member;
    struct block_store *store = store_make(1);

    store_join(&member, store, 1);
    session = check_open(&member.hooks);
    provider = kit_provider(session, kit_no_answer, NULL);
    meet(lease_and_trim, retain_what_is_had);
    CHECK(atomic_load(&won[0]) > 0 && atomic_load(&won[1]) > 0);
    check_no_pins();
    close_session(store);
}

/* Beside a trim, a free index is not taken for an allocated one. */
static void *retain_a_free_one(void *argument)
{
    uint32_t number = *(uint32_t *)argument;

    while (!atomic_load(&stopping)) {
        uint32_t if_index = 0;

        CHECK_STATUS(retain_one(9000, 0), INVALID_PARAMETER);
        CHECK(kit_register(session, &if_index, provider, kit_luid(6, 9000),
                  0, NULL)
            == NDISBRIDGE_STATUS_INVALID_PARAMETER);
        /* So that its block is leased and empty again and again. */
        CHECK_STATUS(
            ndisbridge_claim_net_luid_index(session, 6, 8200), SUCCESS);
        CHECK_STATUS(free_one(8200), SUCCESS);
        atomic_fetch_add(&won[number], 1);
    }
    return NULL;
}

/* ---- all at once ------------------------------------------------------- */

#define SOME_BLOCKS 6

static ndisbridge_session *sharing[2];
static ndisbridge_provider providers[2];
static atomic_uchar owned[SOME_BLOCKS * BLOCK];

static void take(uint32_t index)
{
    CHECK_EQUAL(atomic_exchange(&owned[index], 1), 0);
}

static void drop(uint32_t index)
{
    atomic_store(&owned[index], 0);
}

struct chaos {
    ndisbridge_session *session;
    ndisbridge_provider provider;
    uint64_t random_state;
    uint32_t retained[64], count;
};

static void chaos_many(struct chaos *me)
{
    uint32_t indexes[3000], freed;
    uint32_t count = 1 + check_below(&me->random_state, 3000);
    ndisbridge_status status = ndisbridge_allocate_net_luid_indexes(
        me->session, indexes, count, 6);

    if (status == NDISBRIDGE_STATUS_RESOURCES)
        return;
    CHECK_STATUS(status, SUCCESS);
    for (uint32_t i = 0; i < count; i++)
        take(indexes[i]);
    for (uint32_t i = 0; i < count; i++)
        drop(indexes[i]);
    CHECK_STATUS(ndisbridge_free_net_luid_indexes(
                     me->session, &freed, 6, indexes, count),
        SUCCESS);
}

static void chaos_claim(struct chaos *me)
{
    uint32_t index =
        check_below(&me->random_state, SOME_BLOCKS * BLOCK);
    ndisbridge_status status =
        ndisbridge_claim_net_luid_index(me->session, 6, index);

    if (status == NDISBRIDGE_STATUS_IN_USE)
        return;
    CHECK_STATUS(status, SUCCESS);
    take(index);
    drop(index);
    CHECK_STATUS(
        ndisbridge_free_net_luid_index(me->session, 6, index), SUCCESS);
}

static void chaos_retain(struct chaos *me)
{
    uint32_t index;
    ndisbridge_status status;

    if (me->count == 64)
        return;
    status = ndisbridge_allocate_net_luid_index(me->session, &index, 6);
    if (status == NDISBRIDGE_STATUS_RESOURCES)
        return;
    CHECK_STATUS(status, SUCCESS);
    take(index);
    CHECK_STATUS(
        ndisbridge_retain(me->session, 6, &index, 1, 0, 0, NULL), SUCCESS);
    me->retained[me->count++] = index;
}

static void chaos_release(struct chaos *me, bool register_first)
{
    uint32_t at, index, if_index = 0;

    if (me->count == 0)
        return;
    at = check_below(&me->random_state, me->count);
    index = me->retained[at];
    if (register_first) {
        CHECK_STATUS(kit_register(me->session, &if_index, me->provider,
                         kit_luid(6, index), 0, NULL),
            SUCCESS);
        CHECK_STATUS(
            ndisbridge_release(me->session, 6, &index, 1, 0, 0, NULL),
            IN_USE);
        CHECK_STATUS(
            ndisbridge_deregister_interface(me->session, if_index, 5000),
            SUCCESS);
        return;
    }
    drop(index);
    CHECK_STATUS(ndisbridge_release(me->session, 6, &index, 1, 0, 0, NULL),
        SUCCESS);
    me->retained[at] = me->retained[--me->count];
}

static void *make_chaos(void *argument)
{
    struct chaos *me = argument;

    while (!atomic_load(&stopping)) {
        uint32_t dice = check_below(&me->random_state, 8);

        if (dice < 2)
            chaos_many(me);
        else if (dice == 2)
            chaos_claim(me);
        else if (dice == 3)
            chaos_retain(me);
        else if (dice == 4)
            CHECK_STATUS(ndisbridge_trim(me->session, NULL), SUCCESS);
        else
            chaos_release(me, dice == 5);
    }
    while (me->count > 0)
        chaos_release(me, false);
    return NULL;
}

/* A new session can allocate every index of the store. */
static void check_all_are_free(struct block_store *store)
{
    static uint32_t indexes[SOME_BLOCKS * BLOCK];
    struct store_member member;

    store_join(&member, store, 9);
    session = check_open(&member.hooks);
    CHECK_STATUS(ndisbridge_allocate_net_luid_indexes(
                     session, indexes, SOME_BLOCKS * BLOCK, 6),
        SUCCESS);
    CHECK_STATUS(ndisbridge_session_destroy(session), SUCCESS);
}

/* Four threads on one or two sessions of a store do everything to all of
 * its indexes: none is held twice, none is lost, none is refused. */
static void test_chaos(uint64_t seed, uint32_t sessions)
{
    struct block_store *store = store_make(SOME_BLOCKS);
    struct store_member members[2];
    struct chaos chaos[4] = { 0 };
    pthread_t threads[4];

    for (uint32_t i = 0; i < sessions; i++) {
        store_join(&members[i], store, (uint8_t)(i + 1));
        sharing[i] = check_open(&members[i].hooks);
        providers[i] = kit_provider(sharing[i], kit_no_answer, NULL);
    }
    atomic_store(&stopping, false);
    for (uint32_t i = 0; i < 4; i++) {
        chaos[i].session = sharing[i % sessions];
        chaos[i].provider = providers[i % sessions];
        chaos[i].random_state = seed + i;
        REQUIRE(
            pthread_create(&threads[i], NULL, make_chaos, &chaos[i]) == 0);
    }
    nanosleep(&(struct timespec){ 0, CHECK_DURATION_MS(999) * 1000000L },
        NULL);
    atomic_store(&stopping, true);
    for (uint32_t i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    for (uint32_t i = 0; i < sessions; i++) {
        ndisbridge_index_counts counts;

        session = sharing[i];
        check_no_pins();
        CHECK_STATUS(ndisbridge_count_net_luid_indexes(session, &counts, 6),
            SUCCESS);
        CHECK_EQUAL(counts.allocated, 0);
        /* What another session has released since the block was leased is
         * known here when it is leased again. */
        if (sessions == 1)
            CHECK_EQUAL(counts.retained, 0);
        CHECK_EQUAL(
            counts.free + counts.retained, counts.leased_blocks * BLOCK);
    }
    for (uint32_t i = 0; i < sessions; i++)
        CHECK_STATUS(ndisbridge_session_destroy(sharing[i]), SUCCESS);
    for (uint32_t i = 0; i < SOME_BLOCKS * BLOCK; i++)
        CHECK(!store_is_retained(store, 6, i));
    check_all_are_free(store);
    store_free(store);
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
    check_no_pins();
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
    uint64_t seed = check_begin("test_races");

    test_release_meets_lease(true);
    test_release_meets_lease(false);
    test_release_after_failed_return();
    test_trim_inside_release();
    test_register_inside_release(false);
    test_register_inside_release(true);
    test_provider_inside_confirm();
    test_released_with_wrong_flags();
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
    test_fresh_ones(NULL);
    test_fresh_ones(&member);
    test_beside_lease();
    test_beside_trim(NULL, retain_a_free_one);
    test_beside_trim(&member, retain_a_free_one);
    test_chaos(seed, 1);
    test_chaos(seed, 2);
    test_wait_ends();
    return check_end();
}
