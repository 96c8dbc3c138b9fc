/* SPDX-License-Identifier: MIT
 *
 * test_allocation_failure.c - a scenario that touches every function that
 * takes memory, with an allocator that fails the N-th call, for N = 1 up to
 * the first run in which nothing fails; once, and from then on.
 *
 * After each failure: the call said RESOURCES and nothing else, its state is
 * as it was, calling again works where memory is back, and at the end every
 * byte has been given back with the size that it was asked for.
 */
#include "session.h"

#include "block_store.h"
#include "interface_kit.h"

/* Counts what is alive, and remembers the size in front of each piece. */
struct memory {
    uint32_t calls, fail_at;
    bool sticky, failed;
    size_t live_bytes, live_pieces;
};

static void *count_allocate(void *context, size_t size)
{
    struct memory *memory = context;
    uint8_t *piece;

    memory->calls++;
    if (memory->calls == memory->fail_at
        || (memory->sticky && memory->fail_at != 0
            && memory->calls > memory->fail_at)) {
        memory->failed = true;
        return NULL;
    }
    /* calloc() leaves large pieces to the kernel: lazily zero. */
    piece = calloc(1, size + 128);
    REQUIRE(piece != NULL);
    {
        uint8_t *at = piece + 64;

        at += -(uintptr_t)at % 64;
        memcpy(at - 16, &size, sizeof size);
        memcpy(at - 32, &piece, sizeof piece);
        memory->live_bytes += size;
        memory->live_pieces++;
        return at;
    }
}

static void count_deallocate(void *context, void *piece, size_t size)
{
    struct memory *memory = context;
    uint8_t *at = piece, *whole;
    size_t asked;

    memcpy(&asked, at - 16, sizeof asked);
    memcpy(&whole, at - 32, sizeof whole);
    CHECK_EQUAL(size, asked);
    memory->live_bytes -= asked;
    memory->live_pieces--;
    free(whole);
}

/* ---- the scenario ------------------------------------------------------ */

enum { INTERFACES = 20, FAR = 0x300000 };

struct scenario {
    struct memory memory;
    struct block_store *store;
    struct store_member member;
    ndisbridge_session *session;
    bool once;  /* memory is back at the next call: try again */
};

/* Goes on after SUCCESS; after RESOURCES tries again or gives up.  Anything
 * else, or RESOURCES while memory was there, is a mistake. */
static bool passed(struct scenario *scenario, ndisbridge_status status)
{
    if (status == NDISBRIDGE_STATUS_SUCCESS)
        return true;
    CHECK_STATUS(status, RESOURCES);
    CHECK(scenario->memory.failed);
    return false;
}

#define STEP(call) \
    do { \
        if (!passed(scenario, (call)) \
            && (!scenario->once || !passed(scenario, (call)))) \
            return false; \
    } while (0)

static bool register_all(struct scenario *scenario,
    ndisbridge_provider provider, const uint32_t *indexes)
{
    static struct kit_information information[INTERFACES];
    ndisbridge_session *session = scenario->session;
    ndisbridge_net_luid net_luids[INTERFACES];
    ndisbridge_status statuses[INTERFACES];
    uint32_t if_indexes[INTERFACES] = { 0 };

    for (uint32_t i = 0; i < INTERFACES; i++) {
        net_luids[i] = kit_luid(6, indexes[i]);
        information[i] = kit_information(0);
    }
    for (uint32_t attempt = 0; attempt < 2; attempt++) {
        ndisbridge_status status = ndisbridge_register_interfaces(session,
            if_indexes, statuses, provider, net_luids, information,
            sizeof *information, NULL, INTERFACES);

        if (status == NDISBRIDGE_STATUS_SUCCESS)
            break;
        CHECK(scenario->memory.failed);
        if (status == NDISBRIDGE_STATUS_FAILURE)
            for (uint32_t i = 0; i < INTERFACES; i++) {
                CHECK(statuses[i] == NDISBRIDGE_STATUS_SUCCESS
                    || statuses[i] == NDISBRIDGE_STATUS_RESOURCES);
                CHECK_EQUAL(if_indexes[i] != 0,
                    statuses[i] == NDISBRIDGE_STATUS_SUCCESS);
                if (if_indexes[i] != 0)
                    CHECK_STATUS(ndisbridge_deregister_interface(
                                     session, if_indexes[i], 0),
                        SUCCESS);
                if_indexes[i] = 0;
            }
        else
            CHECK_STATUS(status, RESOURCES);
        CHECK_EQUAL(ndisbridge_interface_count(session), 0);
        if (!scenario->once || attempt == 1)
            return false;
    }
    /* A star of rows, more than the stack's first array has room for. */
    for (uint32_t i = 0; i < INTERFACES; i++)
        for (uint32_t j = i + 1; j < INTERFACES && j < i + 6; j++)
            STEP(ndisbridge_add_if_stack_entry(
                session, if_indexes[i], if_indexes[j]));
    for (uint32_t i = 0; i < INTERFACES; i++)
        CHECK_STATUS(
            ndisbridge_deregister_interface(session, if_indexes[i], 0),
            SUCCESS);
    return true;
}

static bool run(struct scenario *scenario)
{
    static uint32_t many[3 * NDISBRIDGE_BLOCK_SIZE];
    ndisbridge_session *session = scenario->session;
    ndisbridge_provider providers[12];
    const uint32_t count = 3 * NDISBRIDGE_BLOCK_SIZE;
    uint32_t index, if_index, far, scattered[2];
    ndisbridge_net_luid net_luids[2];
    ndisbridge_if_provider_characteristics characteristics =
        kit_characteristics(kit_no_answer, NULL);

    STEP(ndisbridge_allocate_net_luid_index(session, &index, 6));
    STEP(ndisbridge_allocate_net_luid_indexes(session, many, count, 6));
    STEP(ndisbridge_claim_net_luid_index(session, 6, FAR));
    STEP(ndisbridge_claim_net_luid_index(session, 7, 5));
    STEP(ndisbridge_allocate_if_index(session, &if_index));
    scattered[0] = many[0];
    scattered[1] = FAR;
    STEP(ndisbridge_retain(
        session, 6, scattered, 2, if_index, 0, NULL));
    net_luids[0] = kit_luid(7, 5);
    net_luids[1] = kit_luid(6, many[1]);
    STEP(ndisbridge_retain_net_luids(session, net_luids, 2, 0, NULL));
    index = 5;
    STEP(ndisbridge_release(session, 7, &index, 1, 0, 0, NULL));
    STEP(ndisbridge_release(session, 6, &many[1], 1, 0, 0, NULL));
    STEP(ndisbridge_claim_net_luid_index(session, 6, many[1]));
    for (uint32_t i = 0; i < 12; i++)
        STEP(ndisbridge_register_provider(
            session, &providers[i], &characteristics, 0, NULL, 0));
    /* One retained, the rest held; then one far off by ifIndex. */
    if (!register_all(scenario, providers[11], many))
        return false;
    far = NDISBRIDGE_IF_INDEX_MAX;
    STEP(kit_register(
        session, &far, providers[0], kit_luid(6, many[7]), 0, NULL));
    far = if_index;
    STEP(kit_register(
        session, &far, providers[0], kit_luid(6, many[0]), 0, NULL));
    CHECK_STATUS(
        ndisbridge_deregister_interface(session, if_index, 0), SUCCESS);
    STEP(ndisbridge_release(session, 6, scattered, 2, if_index, 0, NULL));
    CHECK_STATUS(ndisbridge_free_net_luid_indexes(
                     session, NULL, 6, many + 8, count - 8),
        SUCCESS);
    STEP(ndisbridge_trim(session, NULL));
    return true;
}

/* Everything that does not take memory works, whatever has failed. */
static void check_usable(struct scenario *scenario)
{
    ndisbridge_session *session = scenario->session;
    ndisbridge_index_counts counts;
    struct nb_space *space = nb_pool_peek(&session->pool, 6);
    uint32_t count = 0;

    CHECK_STATUS(
        ndisbridge_count_net_luid_indexes(session, &counts, 6), SUCCESS);
    CHECK(space == NULL || nb_bitmap_validate(&space->bitmap));
    CHECK_EQUAL(
        counts.leased_blocks, store_leased_by(scenario->store, 6, 1));
    ndisbridge_get_if_table(session, NULL, &count, 0);
    CHECK_EQUAL(count, ndisbridge_interface_count(session));
}

/* One run; false once nothing failed in it. */
static bool run_failing(uint32_t fail_at, bool sticky, bool with_store)
{
    struct scenario scenario = { .memory = { .fail_at = fail_at,
                                     .sticky = sticky },
        .once = !sticky };
    ndisbridge_session_config config;
    ndisbridge_status status;

    scenario.store = store_make(NDISBRIDGE_BLOCK_COUNT);
    store_join(&scenario.member, scenario.store, 1);
    config = check_config(with_store ? &scenario.member.hooks : NULL);
    config.allocate = count_allocate;
    config.deallocate = count_deallocate;
    config.memory_context = &scenario.memory;
    status = ndisbridge_session_create(&scenario.session, &config);
    if (status == NDISBRIDGE_STATUS_SUCCESS) {
        bool finished = run(&scenario);

        CHECK(finished || scenario.memory.failed);
        CHECK(finished || sticky);
        if (with_store)
            check_usable(&scenario);
        CHECK_STATUS(ndisbridge_session_destroy(scenario.session), SUCCESS);
    } else {
        CHECK_STATUS(status, RESOURCES);
        CHECK(scenario.memory.failed);
    }
    CHECK_EQUAL(scenario.memory.live_bytes, 0);
    CHECK_EQUAL(scenario.memory.live_pieces, 0);
    store_free(scenario.store);
    return scenario.memory.failed;
}

int main(void)
{
    check_begin("test_allocation_failure");
    for (uint32_t kind = 0; kind < 4; kind++) {
        uint32_t n = 1;

        while (run_failing(n, kind & 1, kind & 2))
            n += CHECK_SLOWNESS > 4 ? 3 : 1;
        CHECK(n > 20);
        printf("%u calls failed, %s, %s store\n", n - 1,
            kind & 1 ? "from then on" : "once", kind & 2 ? "with" : "no");
    }
    return check_end();
}
