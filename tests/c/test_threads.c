/* SPDX-License-Identifier: MIT
 *
 * test_threads.c - many threads at once.  An array outside of the library
 * says who owns each index: none is held twice, none is lost, and none is
 * refused while there are more free ones than all threads together may hold.
 * Handlers and readers race with registrations whose contexts are freed as
 * soon as deregistration has returned.
 */
#define _GNU_SOURCE
#include "session.h"

#include <sched.h>

#include "block_store.h"
#include "interface_kit.h"

#define BLOCK NDISBRIDGE_BLOCK_SIZE
#define THREADS 8
#define DURATION_MS CHECK_DURATION_MS(500)
#define OCCUPANCY_MS CHECK_DURATION_MS(2000)  /* of each degree */

static uint64_t seed;
static atomic_uchar owners[0x1000000];

static atomic_bool stopping;

struct crew {
    ndisbridge_session *session;
    uint32_t number;  /* of the thread, 0 .. */
    uint32_t most;  /* indexes that it may hold */
    uint64_t random_state;
    uint64_t done;  /* operations */
};

/* Runs a crew for a while, each with its own function. */
static void run_crew_for(struct crew *crew,
    void *(*const *functions)(void *), uint32_t count, uint32_t duration_ms)
{
    pthread_t threads[THREADS + 2];

    atomic_store(&stopping, false);
    for (uint32_t i = 0; i < count; i++) {
        crew[i].number = i;
        crew[i].random_state = seed + i * 1000003;
        REQUIRE(pthread_create(&threads[i], NULL, functions[i], &crew[i])
            == 0);
    }
    nanosleep(&(struct timespec){ duration_ms / 1000,
                  (long)(duration_ms % 1000) * 1000000L },
        NULL);
    atomic_store(&stopping, true);
    for (uint32_t i = 0; i < count; i++)
        pthread_join(threads[i], NULL);
}

static void run_crew(struct crew *crew, void *(*const *functions)(void *),
    uint32_t count)
{
    run_crew_for(crew, functions, count, DURATION_MS);
}

/* ---- allocate and free ------------------------------------------------- */

static void own(uint32_t index, uint32_t number)
{
    CHECK(index <= NDISBRIDGE_NET_LUID_INDEX_MAX);
    CHECK_EQUAL(
        atomic_exchange(&owners[index], (unsigned char)(number + 1)), 0);
}

static void disown(uint32_t index, uint32_t number)
{
    CHECK_EQUAL(atomic_exchange(&owners[index], 0), number + 1);
}

/* Single and bulk, in any order, never more than `most` at a time. */
static void *allocate_and_free(void *argument)
{
    struct crew *me = argument;
    uint32_t *held = malloc((me->most + 1) * sizeof *held), count = 0;

    REQUIRE(held != NULL);
    while (!atomic_load(&stopping)) {
        uint32_t room = me->most - count, n = 1, at;
        uint32_t dice = check_below(&me->random_state, 16);

        me->done++;
        if (dice < 8 && room > 0) {
            CHECK_STATUS(ndisbridge_allocate_net_luid_index(
                             me->session, &held[count], 6),
                SUCCESS);
            own(held[count++], me->number);
        } else if (dice == 8 && room > 0) {
            n = 1 + check_below(&me->random_state, room);
            CHECK_STATUS(ndisbridge_allocate_net_luid_indexes(
                             me->session, held + count, n, 6),
                SUCCESS);
            while (n-- > 0)
                own(held[count++], me->number);
        } else if (dice == 9 && count > 0) {
            n = 1 + check_below(&me->random_state, count);
            for (uint32_t i = count - n; i < count; i++)
                disown(held[i], me->number);
            count -= n;
            CHECK_STATUS(ndisbridge_free_net_luid_indexes(
                             me->session, &at, 6, held + count, n),
                SUCCESS);
            CHECK_EQUAL(at, n);
        } else if (count > 0) {
            at = check_below(&me->random_state, count);
            disown(held[at], me->number);
            CHECK_STATUS(ndisbridge_free_net_luid_index(
                             me->session, 6, held[at]),
                SUCCESS);
            held[at] = held[--count];
        }
    }
    for (uint32_t i = 0; i < count; i++) {
        disown(held[i], me->number);
        CHECK_STATUS(
            ndisbridge_free_net_luid_index(me->session, 6, held[i]), SUCCESS);
    }
    free(held);
    return NULL;
}

static void *trim_often(void *argument)
{
    struct crew *me = argument;

    while (!atomic_load(&stopping)) {
        CHECK_STATUS(ndisbridge_trim(me->session, NULL), SUCCESS);
        me->done++;
        nanosleep(&(struct timespec){ 0, 200000 }, NULL);
    }
    return NULL;
}

/* `vacant` free ones of a space of 64 blocks, anywhere. */
static void test_occupancy(uint32_t vacant, uint32_t most)
{
    enum { LIMIT = 64, SPACE = LIMIT * BLOCK };
    static uint32_t indexes[SPACE];
    struct block_store *store = store_make(LIMIT);
    struct store_member member;
    struct crew crew[THREADS] = { 0 };
    void *(*functions[THREADS])(void *);
    ndisbridge_session *session;
    ndisbridge_index_counts counts;
    uint64_t done = 0;

    REQUIRE(vacant > most * THREADS);
    store_join(&member, store, 1);
    session = check_open(&member.hooks);
    CHECK_STATUS(ndisbridge_allocate_net_luid_indexes(
                     session, indexes, SPACE, 6),
        SUCCESS);
    for (uint32_t i = 0; i < vacant; i++) {
        uint32_t at = i + check_below(&seed, SPACE - i);
        uint32_t index = indexes[at];

        indexes[at] = indexes[i];
        indexes[i] = index;
        CHECK_STATUS(
            ndisbridge_free_net_luid_index(session, 6, index), SUCCESS);
    }
    for (uint32_t i = vacant; i < SPACE; i++)
        own(indexes[i], 99);
    for (uint32_t i = 0; i < THREADS; i++) {
        functions[i] = allocate_and_free;
        crew[i].session = session;
        crew[i].most = most;
    }
    run_crew_for(crew, functions, THREADS, OCCUPANCY_MS);
    for (uint32_t i = vacant; i < SPACE; i++)
        disown(indexes[i], 99);
    CHECK_STATUS(
        ndisbridge_count_net_luid_indexes(session, &counts, 6), SUCCESS);
    CHECK_EQUAL(counts.free, vacant);
    CHECK_EQUAL(counts.allocated, SPACE - vacant);
    CHECK(nb_bitmap_validate(&nb_pool_peek(&session->pool, 6)->bitmap));
    /* Every free one can be had, and then there are none. */
    for (uint32_t i = 0; i < vacant; i++)
        CHECK_STATUS(ndisbridge_allocate_net_luid_index(
                         session, &indexes[i], 6),
            SUCCESS);
    CHECK_STATUS(
        ndisbridge_allocate_net_luid_index(session, indexes, 6), RESOURCES);
    for (uint32_t i = 0; i < THREADS; i++)
        done += crew[i].done;
    printf("%u free: %llu operations\n", vacant, (unsigned long long)done);
    CHECK_STATUS(ndisbridge_session_destroy(session), SUCCESS);
    store_free(store);
}

/* Two sessions of one store, each with a thread that trims all the time. */
static void test_two_sessions_trimming(void)
{
    struct block_store *store = store_make(NDISBRIDGE_BLOCK_COUNT);
    struct store_member members[2];
    struct crew crew[THREADS + 2] = { 0 };
    void *(*functions[THREADS + 2])(void *);
    ndisbridge_session *sessions[2];

    for (uint32_t i = 0; i < 2; i++) {
        store_join(&members[i], store, (uint8_t)(i + 1));
        sessions[i] = check_open(&members[i].hooks);
    }
    for (uint32_t i = 0; i < THREADS + 2; i++) {
        functions[i] = i % 5 == 4 ? trim_often : allocate_and_free;
        crew[i].session = sessions[i / 5];
        crew[i].most = i % 2 ? 3 : 6000;
    }
    run_crew(crew, functions, THREADS + 2);
    for (uint32_t i = 0; i < 2; i++) {
        ndisbridge_index_counts counts;

        CHECK_STATUS(ndisbridge_count_net_luid_indexes(
                         sessions[i], &counts, 6),
            SUCCESS);
        CHECK_EQUAL(counts.allocated, 0);
        CHECK_EQUAL(
            counts.leased_blocks, store_leased_by(store, 6, (uint8_t)(i + 1)));
        CHECK_EQUAL(counts.free, counts.leased_blocks * BLOCK);
        CHECK(nb_bitmap_validate(
            &nb_pool_peek(&sessions[i]->pool, 6)->bitmap));
        CHECK_STATUS(ndisbridge_session_destroy(sessions[i]), SUCCESS);
    }
    store_free(store);
}

/* Trimming without a store, where blocks come from the session itself. */
static void test_own_leases_trimming(void)
{
    struct crew crew[4] = { 0 };
    void *(*const functions[4])(void *) = { allocate_and_free,
        allocate_and_free, trim_often, trim_often };
    ndisbridge_session *session = check_open(NULL);
    ndisbridge_index_counts counts;

    for (uint32_t i = 0; i < 4; i++) {
        crew[i].session = session;
        crew[i].most = 9000;
    }
    run_crew(crew, functions, 4);
    CHECK_STATUS(
        ndisbridge_count_net_luid_indexes(session, &counts, 6), SUCCESS);
    CHECK_EQUAL(counts.allocated, 0);
    CHECK_EQUAL(counts.free, counts.leased_blocks * BLOCK);
    CHECK_STATUS(ndisbridge_session_destroy(session), SUCCESS);
}

/* ---- blocks on their way ----------------------------------------------- */

static ndisbridge_status return_slowly(void *context, uint16_t if_type,
    const uint32_t *blocks, uint32_t count)
{
    nanosleep(&(struct timespec){ 0, 300000 }, NULL);
    return store_return(context, if_type, blocks, count);
}

static void *allocate_most(void *argument)
{
    struct crew *me = argument;
    static uint32_t indexes[2][3000];

    while (!atomic_load(&stopping)) {
        CHECK_STATUS(ndisbridge_allocate_net_luid_indexes(
                         me->session, indexes[me->number], 3000, 6),
            SUCCESS);
        nanosleep(&(struct timespec){ 0, 1 + (long)check_below(
                                             &me->random_state, 2000000) },
            NULL);
        CHECK_STATUS(ndisbridge_free_net_luid_indexes(
                         me->session, NULL, 6, indexes[me->number], 3000),
            SUCCESS);
        nanosleep(&(struct timespec){ 0, 1 + (long)check_below(
                                             &me->random_state, 2000000) },
            NULL);
    }
    return NULL;
}

/* Two threads need two blocks, of which trimming always takes one away:
 * they wait for it, and are never told that there is nothing. */
static void test_blocks_in_transit(void)
{
    struct block_store *store = store_make(2);
    struct store_member member;
    struct crew crew[4] = { 0 };
    void *(*const functions[4])(void *) = { allocate_most, allocate_most,
        trim_often, trim_often };
    ndisbridge_session *session;

    store_join(&member, store, 1);
    member.hooks.return_blocks = return_slowly;
    session = check_open(&member.hooks);
    for (uint32_t i = 0; i < 4; i++)
        crew[i].session = session;
    run_crew(crew, functions, 4);
    CHECK(member.calls[STORE_RETURN] > 0);
    CHECK_STATUS(ndisbridge_session_destroy(session), SUCCESS);
    store_free(store);
}

/* ---- the last ones ----------------------------------------------------- */

enum { LAST_BLOCKS = 3 };

/* Attempts begun: whoever is refused must have been one too many. */
static atomic_uint attempts;

/* A store that takes its time between giving a block and saying so. */
static ndisbridge_status lease_slowly(void *context,
    ndisbridge_block_mask *leases, uint32_t *count, uint16_t if_type,
    uint32_t lowest, uint32_t highest)
{
    ndisbridge_status status =
        store_lease(context, leases, count, if_type, lowest, highest);

    if (status == NDISBRIDGE_STATUS_SUCCESS)
        nanosleep(&(struct timespec){ 0, 300000 }, NULL);
    return status;
}

static void *take_until_refused(void *argument)
{
    struct crew *me = argument;
    ndisbridge_status status;
    uint32_t index;

    for (;;) {
        atomic_fetch_add(&attempts, 1);
        status =
            ndisbridge_allocate_net_luid_index(me->session, &index, 6);
        if (status != NDISBRIDGE_STATUS_SUCCESS)
            break;
        own(index, me->number);
        me->done++;
    }
    CHECK_STATUS(status, RESOURCES);
    CHECK(atomic_load(&attempts) > LAST_BLOCKS * BLOCK);
    return NULL;
}

/* Nobody is refused while blocks are on their way to another thread. */
static void test_exhaust(void)
{
    enum { LIMIT = LAST_BLOCKS, CREW = 4 };

    for (uint32_t round = 0; round < 20; round++) {
        struct block_store *store = store_make(LIMIT);
        struct store_member member;
        struct crew crew[CREW] = { 0 };
        pthread_t threads[CREW];
        ndisbridge_session *session;
        uint64_t total = 0;

        atomic_store(&attempts, 0);
        store_join(&member, store, 1);
        member.hooks.lease_blocks = lease_slowly;
        session = check_open(&member.hooks);
        for (uint32_t i = 0; i < CREW; i++) {
            crew[i].session = session;
            crew[i].number = i;
            REQUIRE(pthread_create(
                        &threads[i], NULL, take_until_refused, &crew[i])
                == 0);
        }
        for (uint32_t i = 0; i < CREW; i++) {
            pthread_join(threads[i], NULL);
            total += crew[i].done;
        }
        CHECK_EQUAL(total, LIMIT * BLOCK);
        for (uint32_t i = 0; i < LIMIT * BLOCK; i++)
            CHECK(atomic_exchange(&owners[i], 0) != 0);
        CHECK_STATUS(ndisbridge_session_destroy(session), SUCCESS);
        store_free(store);
    }
}

/* ---- claims of the same index ------------------------------------------ */

enum { CLAIMS = 40, CLAIMERS = 4 };

struct claimer {
    pthread_t thread;
    ndisbridge_session *session;
    pthread_barrier_t *barrier;
    uint32_t number;
    atomic_uint *claimed, *freed;  /* by index */
};

static void *claim_all(void *argument)
{
    struct claimer *me = argument;

    for (uint32_t i = 0; i < CLAIMS; i++) {
        uint32_t index = i * BLOCK + 5;
        ndisbridge_status status;

        pthread_barrier_wait(me->barrier);
        status = ndisbridge_claim_net_luid_index(me->session, 6, index);
        if (status == NDISBRIDGE_STATUS_SUCCESS)
            atomic_fetch_add(&me->claimed[i], 1);
        else
            CHECK_STATUS(status, IN_USE);
        /* One of its own in a block that all want at once. */
        pthread_barrier_wait(me->barrier);
        index += CLAIMS * BLOCK + me->number;
        CHECK_STATUS(
            ndisbridge_claim_net_luid_index(me->session, 6, index), SUCCESS);
        pthread_barrier_wait(me->barrier);
        CHECK_STATUS(
            ndisbridge_free_net_luid_index(me->session, 6, index), SUCCESS);
        index -= CLAIMS * BLOCK + me->number;
        /* Freeing it at once, all of them: one has it. */
        status = ndisbridge_free_net_luid_index(me->session, 6, index);
        if (status == NDISBRIDGE_STATUS_SUCCESS)
            atomic_fetch_add(&me->freed[i], 1);
        else
            CHECK_STATUS(status, INVALID_PARAMETER);
    }
    return NULL;
}

static void test_claims(void)
{
    struct block_store *store = store_make(NDISBRIDGE_BLOCK_COUNT);
    struct store_member member;
    struct claimer claimers[CLAIMERS];
    atomic_uint claimed[CLAIMS] = { 0 }, freed[CLAIMS] = { 0 };
    pthread_barrier_t barrier;
    ndisbridge_session *session;

    store_join(&member, store, 1);
    member.hooks.lease_blocks = lease_slowly;
    session = check_open(&member.hooks);
    pthread_barrier_init(&barrier, NULL, CLAIMERS);
    for (uint32_t i = 0; i < CLAIMERS; i++) {
        claimers[i].session = session;
        claimers[i].barrier = &barrier;
        claimers[i].number = i;
        claimers[i].claimed = claimed;
        claimers[i].freed = freed;
        REQUIRE(pthread_create(
                    &claimers[i].thread, NULL, claim_all, &claimers[i])
            == 0);
    }
    for (uint32_t i = 0; i < CLAIMERS; i++)
        pthread_join(claimers[i].thread, NULL);
    for (uint32_t i = 0; i < CLAIMS; i++) {
        CHECK_EQUAL(atomic_load(&claimed[i]), 1);
        CHECK_EQUAL(atomic_load(&freed[i]), 1);
    }
    pthread_barrier_destroy(&barrier);
    CHECK_STATUS(ndisbridge_session_destroy(session), SUCCESS);
    store_free(store);
}

/* ---- queries and registrations ----------------------------------------- */

enum { LUIDS = 12, MAGIC = 0x600DF00D };

/* Freed after deregistration; a handler that comes late reads garbage, and
 * the sanitizers say so. */
struct context {
    uint32_t magic, number;
};

static ndisbridge_provider racing_provider;
static uint32_t racing_indexes[LUIDS];

static ndisbridge_status query_context(
    void *argument, uint32_t oid, uint32_t *length, void *output)
{
    const struct context *context = argument;

    (void)oid;
    CHECK_EQUAL(context->magic, MAGIC);
    if (*length < 4) {
        *length = 4;
        return NDISBRIDGE_STATUS_BUFFER_TOO_SHORT;
    }
    if (context->number % 4 == 0)
        sched_yield();
    memcpy(output, &context->number, 4);
    *length = 4;
    CHECK_EQUAL(context->magic, MAGIC);
    return NDISBRIDGE_STATUS_SUCCESS;
}

/* Two of these share the interfaces, odd and even. */
static void *register_and_deregister(void *argument)
{
    struct crew *me = argument;

    while (!atomic_load(&stopping)) {
        uint32_t i =
            check_below(&me->random_state, LUIDS / 2) * 2 + me->number;
        struct context *context = malloc(sizeof *context);
        uint32_t if_index = 1000 + i;

        REQUIRE(context != NULL);
        context->magic = MAGIC;
        context->number = i;
        CHECK_STATUS(kit_register(me->session, &if_index, racing_provider,
                         kit_luid(6, racing_indexes[i]), 0, context),
            SUCCESS);
        if (check_below(&me->random_state, 2))
            sched_yield();
        CHECK_STATUS(ndisbridge_deregister_interface(
                         me->session, 1000 + i, 60000),
            SUCCESS);
        context->magic = 0xDEADBEEF;
        free(context);
        me->done++;
    }
    return NULL;
}

static void *query_racing(void *argument)
{
    struct crew *me = argument;
    static const uint32_t oids[] = { NDISBRIDGE_OID_GEN_VENDOR_ID,
        NDISBRIDGE_OID_GEN_VENDOR_DESCRIPTION,
        NDISBRIDGE_OID_GEN_MAXIMUM_FRAME_SIZE };

    while (!atomic_load(&stopping)) {
        uint32_t i = check_below(&me->random_state, LUIDS);
        uint32_t oid = oids[check_below(&me->random_state, 3)];
        ndisbridge_net_luid net_luid = kit_luid(6, racing_indexes[i]), found;
        uint32_t number = 77, length = 4;
        ndisbridge_published values = { .fields = 16 };
        ndisbridge_status status =
            ndisbridge_query(me->session, &number, &length, net_luid, oid);

        if (status != NDISBRIDGE_STATUS_INTERFACE_NOT_FOUND
            && CHECK(status == NDISBRIDGE_STATUS_SUCCESS))
            CHECK_EQUAL(number, oid == oids[2] && number > 1000 ? 2000 + i
                                                                : i);
        if (ndisbridge_get_interface_index_from_net_luid(
                me->session, &number, net_luid)
            == NDISBRIDGE_STATUS_SUCCESS)
            CHECK_EQUAL(number, 1000 + i);
        if (ndisbridge_get_net_luid_from_interface_index(
                me->session, &found, 1000 + i)
            == NDISBRIDGE_STATUS_SUCCESS)
            CHECK_EQUAL(found, net_luid);
        values.information.if_mtu = 2000 + i;
        if (check_below(&me->random_state, 4) == 0)
            ndisbridge_publish(me->session, net_luid, &values);
        me->done++;
    }
    return NULL;
}

static void *read_tables(void *argument)
{
    struct crew *me = argument;
    ndisbridge_mib_if_row2 rows[LUIDS + 4];
    ndisbridge_mib_ifstack_row stack[LUIDS * LUIDS];

    while (!atomic_load(&stopping)) {
        uint32_t count = LUIDS + 4, size = LUIDS * LUIDS;
        uint32_t higher = 1000 + check_below(&me->random_state, LUIDS);
        uint32_t lower = 1000 + check_below(&me->random_state, LUIDS);
        ndisbridge_status status;

        CHECK_STATUS(ndisbridge_get_if_table(me->session, rows, &count,
                         me->done % 2 ? NDISBRIDGE_IF_TABLE_NORMAL
                                      : NDISBRIDGE_IF_TABLE_PUBLISHED),
            SUCCESS);
        for (uint32_t i = 0; i < count; i++) {
            uint32_t at = rows[i].interface_index - 1000;

            CHECK(at < LUIDS
                && rows[i].interface_luid == kit_luid(6, racing_indexes[at])
                && (rows[i].mtu == 0 || rows[i].mtu == 2000 + at));
        }
        status = ndisbridge_add_if_stack_entry(me->session, higher, lower);
        CHECK(status == NDISBRIDGE_STATUS_SUCCESS
            || status == NDISBRIDGE_STATUS_STACK_LOOP
            || status == NDISBRIDGE_STATUS_INTERFACE_NOT_FOUND);
        CHECK_STATUS(
            ndisbridge_get_if_stack_table(me->session, stack, &size),
            SUCCESS);
        me->done++;
    }
    return NULL;
}

static void test_queries(void)
{
    struct crew crew[6] = { 0 };
    void *(*const functions[6])(void *) = { register_and_deregister,
        register_and_deregister, query_racing, query_racing, query_racing,
        read_tables };
    ndisbridge_session *session = check_open(NULL);
    uint32_t count = 0;

    racing_provider = kit_provider(session, query_context, NULL);
    CHECK_STATUS(ndisbridge_allocate_net_luid_indexes(
                     session, racing_indexes, LUIDS, 6),
        SUCCESS);
    for (uint32_t i = 0; i < 6; i++)
        crew[i].session = session;
    run_crew(crew, functions, 6);
    CHECK_EQUAL(ndisbridge_interface_count(session), 0);
    CHECK_STATUS(
        ndisbridge_get_if_stack_table(session, NULL, &count), SUCCESS);
    CHECK_EQUAL(count, 0);
    CHECK_STATUS(
        ndisbridge_deregister_provider(session, racing_provider), SUCCESS);
    CHECK_STATUS(ndisbridge_free_net_luid_indexes(
                     session, NULL, 6, racing_indexes, LUIDS),
        SUCCESS);
    printf("%llu registrations, %llu queries\n",
        (unsigned long long)(crew[0].done + crew[1].done),
        (unsigned long long)(crew[2].done + crew[3].done + crew[4].done));
    CHECK_STATUS(ndisbridge_session_destroy(session), SUCCESS);
}

/* ---- publishing and reading -------------------------------------------- */

static ndisbridge_net_luid published_luid;

/* Everything carries one number, so that half of it would show. */
static void *publish_numbers(void *argument)
{
    struct crew *me = argument;
    ndisbridge_published values = { 0 };
    ndisbridge_interface_information *is = &values.information;

    values.fields = NDISBRIDGE_PUBLISH_INFORMATION
        | NDISBRIDGE_PUBLISH_ADMIN_STATUS | NDISBRIDGE_PUBLISH_ALIAS;
    is->if_oper_status = values.admin_status = 1;
    for (uint32_t n = 1 + me->number; !atomic_load(&stopping); n += 2) {
        uint16_t letter = (uint16_t)(1 + n % 1000);

        is->if_mtu = n;
        is->xmit_link_speed = is->rcv_link_speed = n;
        is->if_hc_in_octets = is->if_hc_out_broadcast_octets = n;
        is->if_in_discards = is->if_out_errors = n;
        values.alias.length = 512;
        for (uint32_t i = 0; i < 256; i++)
            values.alias.string[i] = letter;
        CHECK_STATUS(
            ndisbridge_publish(me->session, published_luid, &values),
            SUCCESS);
        /* Readers have no claim against two that never stop writing. */
        if (++me->done % 16 == 0)
            nanosleep(&(struct timespec){ 0, 20000 }, NULL);
    }
    return NULL;
}

static void *read_numbers(void *argument)
{
    struct crew *me = argument;
    ndisbridge_interface_information is;
    ndisbridge_statistics_info statistics;
    ndisbridge_if_counted_string alias;
    ndisbridge_mib_if_row2 row;

    while (!atomic_load(&stopping)) {
        uint32_t length = sizeof is, count = 1, n;
        bool same;

        CHECK_STATUS(ndisbridge_query(me->session, &is, &length,
                         published_luid, NDISBRIDGE_OID_GEN_INTERFACE_INFO),
            SUCCESS);
        n = is.if_mtu;
        CHECK(is.xmit_link_speed == n && is.rcv_link_speed == n
            && is.if_hc_in_octets == n && is.if_out_errors == n
            && is.if_hc_out_broadcast_octets == n && is.if_in_discards == n);
        length = sizeof statistics;
        CHECK_STATUS(ndisbridge_query(me->session, &statistics, &length,
                         published_luid, NDISBRIDGE_OID_GEN_STATISTICS),
            SUCCESS);
        CHECK(statistics.if_hc_in_octets == statistics.if_out_errors);
        length = sizeof alias;
        CHECK_STATUS(ndisbridge_query(me->session, &alias, &length,
                         published_luid, NDISBRIDGE_OID_GEN_ALIAS),
            SUCCESS);
        same = alias.length == 512;
        for (uint32_t i = 1; i < 256; i++)
            same &= alias.string[i] == alias.string[0];
        CHECK(same);
        CHECK_STATUS(ndisbridge_get_if_table(me->session, &row, &count,
                         NDISBRIDGE_IF_TABLE_NORMAL),
            SUCCESS);
        n = row.mtu;
        same = row.transmit_link_speed == n && row.in_octets == n
            && row.out_broadcast_octets == n && row.out_errors == n;
        for (uint32_t i = 0; i < 256; i++)
            same &= row.alias[i] == 1 + n % 1000;
        CHECK(same);
        me->done++;
    }
    return NULL;
}

static void test_publishing(void)
{
    struct crew crew[4] = { 0 };
    void *(*const functions[4])(void *) = { publish_numbers, publish_numbers,
        read_numbers, read_numbers };
    ndisbridge_session *session = check_open(NULL);
    ndisbridge_published first = { .fields = NDISBRIDGE_PUBLISH_INFORMATION
            | NDISBRIDGE_PUBLISH_ADMIN_STATUS | NDISBRIDGE_PUBLISH_ALIAS,
        .information = { .if_oper_status = 1 }, .admin_status = 1 };
    ndisbridge_provider provider = kit_provider(session, kit_no_answer, NULL);
    uint32_t if_index;

    published_luid = kit_interface(session, &if_index, provider, 0, NULL);
    first.alias.length = 512;
    for (uint32_t i = 0; i < 256; i++)
        first.alias.string[i] = 1;
    CHECK_STATUS(
        ndisbridge_publish(session, published_luid, &first), SUCCESS);
    for (uint32_t i = 0; i < 4; i++)
        crew[i].session = session;
    run_crew(crew, functions, 4);
    printf("%llu published, %llu reads\n",
        (unsigned long long)(crew[0].done + crew[1].done),
        (unsigned long long)(crew[2].done + crew[3].done));
    CHECK_STATUS(ndisbridge_session_destroy(session), SUCCESS);
}

int main(void)
{
    seed = check_begin("test_threads");
    test_occupancy(64 * BLOCK, 2000);  /* empty */
    test_occupancy(2621, 300);  /* 99 % */
    test_occupancy(26, 3);  /* 99.99 % */
    test_two_sessions_trimming();
    test_own_leases_trimming();
    test_blocks_in_transit();
    test_exhaust();
    test_claims();
    test_queries();
    test_publishing();
    return check_end();
}
