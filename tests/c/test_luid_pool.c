/* SPDX-License-Identifier: MIT
 *
 * test_luid_pool.c - leases, claims, trimming, retaining and releasing, with
 * and without a store; two sessions that share one; every hook failing.
 */
#include "session.h"

#include "block_store.h"

#define BLOCK NDISBRIDGE_BLOCK_SIZE
#define TYPE 6

static uint64_t random_state;

static uint32_t allocate(ndisbridge_session *session)
{
    uint32_t index = NB_NO_INDEX;

    CHECK_STATUS(
        ndisbridge_allocate_net_luid_index(session, &index, TYPE), SUCCESS);
    return index;
}

static uint32_t state_of(ndisbridge_session *session, uint32_t index)
{
    uint32_t state = UINT32_MAX;

    CHECK_STATUS(
        ndisbridge_test_net_luid_index(session, &state, TYPE, index),
        SUCCESS);
    return state;
}

static ndisbridge_index_counts counts_of(ndisbridge_session *session)
{
    ndisbridge_index_counts counts;

    CHECK_STATUS(
        ndisbridge_count_net_luid_indexes(session, &counts, TYPE), SUCCESS);
    return counts;
}

/* ---- exhaustion -------------------------------------------------------- */

/* `limit` blocks: every index once, RESOURCES exactly then. */
static void exhaust(ndisbridge_session *session, uint32_t limit)
{
    uint32_t total = limit * BLOCK, index, half = total / 2;
    uint8_t *seen = calloc(total, 1);
    uint32_t *indexes = malloc(total * sizeof *indexes);
    uint32_t *more = malloc((total + 1) * sizeof *more);

    REQUIRE(seen != NULL && indexes != NULL && more != NULL);
    for (uint32_t i = 0; i < half; i++)
        indexes[i] = allocate(session);
    /* All or none: one too many is refused, and nothing is lost. */
    CHECK_STATUS(ndisbridge_allocate_net_luid_indexes(
                     session, more, total - half + 1, TYPE),
        RESOURCES);
    CHECK_STATUS(ndisbridge_allocate_net_luid_indexes(
                     session, indexes + half, total - half, TYPE),
        SUCCESS);
    for (uint32_t i = 0; i < total; i++) {
        REQUIRE(indexes[i] < total);
        seen[indexes[i]]++;
    }
    for (uint32_t i = 0; i < total; i++)
        if (seen[i] != 1)
            CHECK_EQUAL(seen[i], 1);
    CHECK_STATUS(
        ndisbridge_allocate_net_luid_index(session, &index, TYPE), RESOURCES);
    CHECK_STATUS(
        ndisbridge_try_allocate_net_luid_index(session, &index, TYPE),
        PENDING);
    index = check_below(&random_state, total);
    CHECK_STATUS(
        ndisbridge_free_net_luid_index(session, TYPE, index), SUCCESS);
    CHECK_STATUS(
        ndisbridge_free_net_luid_index(session, TYPE, index),
        INVALID_PARAMETER);
    CHECK_EQUAL(allocate(session), index);
    CHECK_STATUS(
        ndisbridge_allocate_net_luid_index(session, &index, TYPE), RESOURCES);
    CHECK_EQUAL(counts_of(session).allocated, total);
    CHECK_STATUS(ndisbridge_free_net_luid_indexes(
                     session, &index, TYPE, indexes, total),
        SUCCESS);
    CHECK_EQUAL(index, total);
    CHECK_EQUAL(counts_of(session).free, total);
    free(more);
    free(indexes);
    free(seen);
}

static void test_exhaustion(void)
{
    struct block_store *store = store_make(5);
    struct store_member member;
    ndisbridge_session *session;

    store_join(&member, store, 1);
    session = check_open(&member.hooks);
    exhaust(session, 5);
    CHECK_STATUS(ndisbridge_session_destroy(session), SUCCESS);
    store_free(store);

    session = check_open(NULL);
    exhaust(session, NDISBRIDGE_BLOCK_COUNT);
    CHECK_STATUS(ndisbridge_session_destroy(session), SUCCESS);
}

/* ---- arguments, claims ------------------------------------------------- */

static void test_arguments(void)
{
    ndisbridge_session *session = check_open(NULL);
    uint32_t index, freed = 7, mixed[4] = { 3, 3, 0x1000000, 9 };
    ndisbridge_index_counts counts;

    CHECK_STATUS(ndisbridge_allocate_net_luid_index(session, &index, 0),
        INVALID_PARAMETER);
    CHECK_STATUS(ndisbridge_allocate_net_luid_index(session, NULL, TYPE),
        INVALID_PARAMETER);
    CHECK_STATUS(ndisbridge_allocate_net_luid_index(NULL, &index, TYPE),
        INVALID_PARAMETER);
    CHECK_STATUS(
        ndisbridge_allocate_net_luid_indexes(session, NULL, 0, TYPE),
        SUCCESS);
    CHECK_STATUS(
        ndisbridge_allocate_net_luid_indexes(session, NULL, 1, TYPE),
        INVALID_PARAMETER);
    CHECK_STATUS(ndisbridge_try_allocate_net_luid_index(
                     session, &index, TYPE),
        PENDING);
    CHECK_STATUS(ndisbridge_free_net_luid_index(session, TYPE, 3),
        INVALID_PARAMETER);
    CHECK_STATUS(ndisbridge_claim_net_luid_index(session, TYPE, 0x1000000),
        INVALID_PARAMETER);
    CHECK_STATUS(ndisbridge_claim_net_luid_index(session, TYPE, 3), SUCCESS);
    CHECK_STATUS(ndisbridge_claim_net_luid_index(session, TYPE, 3), IN_USE);
    CHECK_STATUS(
        ndisbridge_claim_net_luid_index(session, TYPE, 0xFFFFFF), SUCCESS);
    CHECK_STATUS(
        ndisbridge_free_net_luid_index(session, 7, 3), INVALID_PARAMETER);
    CHECK_STATUS(ndisbridge_free_net_luid_index(session, TYPE, 0x1000003),
        INVALID_PARAMETER);
    CHECK_STATUS(
        ndisbridge_free_net_luid_indexes(session, &freed, TYPE, mixed, 4),
        INVALID_PARAMETER);
    CHECK_EQUAL(freed, 1);
    CHECK_STATUS(
        ndisbridge_free_net_luid_indexes(session, NULL, TYPE, mixed, 0),
        SUCCESS);
    CHECK_STATUS(ndisbridge_count_net_luid_indexes(session, &counts, TYPE),
        SUCCESS);
    CHECK_EQUAL(counts.allocated, 1);
    CHECK_EQUAL(counts.leased_blocks, 2);
    /* Spaces are apart: an index of one type says nothing of another. */
    CHECK_STATUS(ndisbridge_claim_net_luid_index(session, 7, 3), SUCCESS);
    CHECK_STATUS(
        ndisbridge_claim_net_luid_index(session, 65535, 3), SUCCESS);
    CHECK_STATUS(ndisbridge_session_destroy(session), SUCCESS);
}

static void test_if_indexes(void)
{
    ndisbridge_session_config config = check_config(NULL);
    ndisbridge_session *session;
    uint32_t index, last = 4999;

    config.if_index_first = 5000;
    config.if_index_policy = NDISBRIDGE_IF_INDEX_POLICY_STICKY;
    CHECK_STATUS(ndisbridge_session_create(&session, &config), SUCCESS);
    for (uint32_t i = 0; i < 10000; i++) {
        CHECK_STATUS(ndisbridge_allocate_if_index(session, &index), SUCCESS);
        CHECK_EQUAL(index, last + 1);
        last = index;
        /* A freed one does not come back before its round. */
        CHECK_STATUS(ndisbridge_free_if_index(session, index), SUCCESS);
    }
    CHECK_STATUS(
        ndisbridge_free_if_index(session, index), INVALID_PARAMETER);
    CHECK_STATUS(ndisbridge_free_if_index(session, 4999), INVALID_PARAMETER);
    CHECK_STATUS(ndisbridge_free_if_index(session, 0x1000000),
        INVALID_PARAMETER);
    CHECK_STATUS(ndisbridge_session_destroy(session), SUCCESS);

    config.if_index_policy = NDISBRIDGE_IF_INDEX_POLICY_LOWEST;
    CHECK_STATUS(ndisbridge_session_create(&session, &config), SUCCESS);
    for (uint32_t i = 0; i < 200; i++) {
        CHECK_STATUS(ndisbridge_allocate_if_index(session, &index), SUCCESS);
        CHECK_EQUAL(index, 5000 + i);
    }
    CHECK_STATUS(ndisbridge_free_if_index(session, 5100), SUCCESS);
    CHECK_STATUS(ndisbridge_free_if_index(session, 5003), SUCCESS);
    CHECK_STATUS(ndisbridge_allocate_if_index(session, &index), SUCCESS);
    CHECK_EQUAL(index, 5003);
    CHECK_STATUS(ndisbridge_session_destroy(session), SUCCESS);
}

/* A round takes every block that can be had before it begins again. */
static void test_if_index_round(void)
{
    struct block_store *store = store_make(3);
    struct store_member member;
    ndisbridge_session_config config;
    ndisbridge_session *session;
    uint32_t index, kept, count = 3 * BLOCK - 5000;

    store_join(&member, store, 1);
    config = check_config(&member.hooks);
    config.if_index_first = 5000;
    CHECK_STATUS(ndisbridge_session_create(&session, &config), SUCCESS);
    for (uint32_t i = 0; i < 3 * count; i++) {
        CHECK_STATUS(ndisbridge_allocate_if_index(session, &index), SUCCESS);
        CHECK_EQUAL(index, 5000 + i % count);
        CHECK_STATUS(ndisbridge_free_if_index(session, index), SUCCESS);
        /* Not even a trim brings a freed one back early. */
        if (i == count / 2)
            CHECK_STATUS(ndisbridge_trim(session, NULL), SUCCESS);
    }
    for (uint32_t i = 0; i < count; i++)
        CHECK_STATUS(ndisbridge_allocate_if_index(session, &index), SUCCESS);
    CHECK_STATUS(ndisbridge_allocate_if_index(session, &kept), RESOURCES);
    CHECK_STATUS(ndisbridge_free_if_index(session, 7777), SUCCESS);
    CHECK_STATUS(ndisbridge_allocate_if_index(session, &kept), SUCCESS);
    CHECK_EQUAL(kept, 7777);
    CHECK_STATUS(ndisbridge_session_destroy(session), SUCCESS);
    store_free(store);
}

/* ---- two sessions of one store ----------------------------------------- */

static void test_two_sessions(void)
{
    enum { MANY = 9000 };
    struct block_store *store = store_make(NDISBRIDGE_BLOCK_COUNT);
    struct store_member members[2];
    ndisbridge_session *sessions[2];
    static uint32_t indexes[2][MANY];
    uint8_t *owner = calloc(0x1000000, 1);
    uint32_t returned = 0, block;

    REQUIRE(owner != NULL);
    for (uint8_t i = 0; i < 2; i++) {
        store_join(&members[i], store, (uint8_t)(i + 1));
        sessions[i] = check_open(&members[i].hooks);
    }
    for (uint32_t i = 0; i < MANY; i++)
        for (uint32_t j = 0; j < 2; j++) {
            indexes[j][i] = allocate(sessions[j]);
            CHECK_EQUAL(owner[indexes[j][i]]++, 0);
        }
    /* What is in the other's block is in use, whoever has it there. */
    CHECK_STATUS(ndisbridge_claim_net_luid_index(
                     sessions[0], TYPE, indexes[1][0]),
        IN_USE);
    CHECK_STATUS(ndisbridge_claim_net_luid_index(sessions[0], TYPE,
                     indexes[1][0] / BLOCK * BLOCK + BLOCK - 1),
        IN_USE);
    CHECK_STATUS(ndisbridge_claim_net_luid_index(
                     sessions[0], TYPE, 0xFFF000),
        SUCCESS);
    CHECK_STATUS(ndisbridge_free_net_luid_index(
                     sessions[0], TYPE, indexes[1][0]),
        INVALID_PARAMETER);
    CHECK_EQUAL(state_of(sessions[0], indexes[1][0]),
        NDISBRIDGE_INDEX_UNLEASED);

    /* Trimming keeps blocks in which something is allocated, and one. */
    CHECK_STATUS(ndisbridge_free_net_luid_indexes(
                     sessions[1], NULL, TYPE, indexes[1], MANY),
        SUCCESS);
    block = store_leased_by(store, TYPE, 2);
    CHECK(block > 2);
    CHECK_STATUS(ndisbridge_trim(sessions[1], &returned), SUCCESS);
    CHECK_EQUAL(returned, block - 1);
    CHECK_EQUAL(store_leased_by(store, TYPE, 2), 1);
    CHECK_STATUS(ndisbridge_trim(sessions[1], &returned), SUCCESS);
    CHECK_EQUAL(returned, 0);
    block = store_leased_by(store, TYPE, 1);
    CHECK_STATUS(ndisbridge_free_net_luid_indexes(
                     sessions[0], NULL, TYPE, indexes[0], BLOCK),
        SUCCESS);
    CHECK_STATUS(ndisbridge_trim(sessions[0], &returned), SUCCESS);
    CHECK_EQUAL(store_leased_by(store, TYPE, 1), block - returned);
    CHECK_EQUAL(counts_of(sessions[0]).allocated, MANY - BLOCK + 1);
    /* The other may have them now. */
    CHECK_STATUS(ndisbridge_claim_net_luid_index(sessions[0], TYPE,
                     indexes[1][MANY - 1]),
        SUCCESS);
    for (uint32_t i = 0; i < 2; i++)
        CHECK_STATUS(ndisbridge_session_destroy(sessions[i]), SUCCESS);
    free(owner);
    store_free(store);
}

/* ---- retain, release --------------------------------------------------- */

static void test_retain(bool with_store)
{
    struct block_store *store = store_make(NDISBRIDGE_BLOCK_COUNT);
    struct store_member member;
    ndisbridge_session *session;
    uint32_t scattered[40], twice[2], if_index, bad[2];
    uint32_t returned;

    store_join(&member, store, 1);
    session = check_open(with_store ? &member.hooks : NULL);
    for (uint32_t i = 0; i < 40; i++) {
        scattered[i] = (i * 7919 * 4096 + i * 97) & 0xFFFFFF;
        CHECK_STATUS(ndisbridge_claim_net_luid_index(
                         session, TYPE, scattered[i]),
            SUCCESS);
    }
    CHECK_STATUS(ndisbridge_allocate_if_index(session, &if_index), SUCCESS);

    twice[0] = twice[1] = scattered[5];
    CHECK_STATUS(ndisbridge_retain(session, TYPE, twice, 2, 0, 0, NULL),
        INVALID_PARAMETER);
    bad[0] = scattered[1];
    bad[1] = scattered[1] ^ 1;  /* free */
    CHECK_STATUS(ndisbridge_retain(session, TYPE, bad, 2, 0, 0, NULL),
        INVALID_PARAMETER);
    bad[1] = 0x1000000;
    CHECK_STATUS(ndisbridge_retain(session, TYPE, bad, 2, 0, 0, NULL),
        INVALID_PARAMETER);
    CHECK_STATUS(ndisbridge_retain(session, 0, bad, 1, 0, 0, NULL),
        INVALID_PARAMETER);
    CHECK_STATUS(ndisbridge_retain(session, TYPE, bad, 1, 0, 2, NULL),
        INVALID_PARAMETER);
    CHECK_STATUS(ndisbridge_retain(
                     session, TYPE, bad, 1, if_index + 1, 0, NULL),
        INVALID_PARAMETER);
    CHECK_STATUS(ndisbridge_release(session, TYPE, bad, 1, 0, 0, NULL),
        INVALID_PARAMETER);
    for (uint32_t i = 0; i < 40; i++)
        CHECK_EQUAL(
            state_of(session, scattered[i]), NDISBRIDGE_INDEX_ALLOCATED);

    CHECK_STATUS(ndisbridge_retain(
                     session, TYPE, scattered, 40, if_index, 0, NULL),
        SUCCESS);
    CHECK_EQUAL(member.calls[STORE_RETAIN], with_store ? 1 : 0);
    for (uint32_t i = 0; i < 40; i++) {
        CHECK_EQUAL(
            state_of(session, scattered[i]), NDISBRIDGE_INDEX_RETAINED);
        CHECK_STATUS(ndisbridge_free_net_luid_index(
                         session, TYPE, scattered[i]),
            INVALID_PARAMETER);
        CHECK_STATUS(ndisbridge_claim_net_luid_index(
                         session, TYPE, scattered[i]),
            IN_USE);
        if (with_store)
            CHECK(store_is_retained(store, TYPE, scattered[i]));
    }
    CHECK_STATUS(
        ndisbridge_free_if_index(session, if_index), INVALID_PARAMETER);
    CHECK_STATUS(ndisbridge_retain(
                     session, TYPE, scattered, 1, 0, 0, NULL),
        INVALID_PARAMETER);

    /* Retained ones go with their blocks, without a store they stay. */
    CHECK_STATUS(ndisbridge_trim(session, &returned), SUCCESS);
    if (with_store) {
        CHECK_EQUAL(returned, 39);
        CHECK_STATUS(ndisbridge_claim_net_luid_index(
                         session, TYPE, scattered[33]),
            IN_USE);
        CHECK_EQUAL(
            state_of(session, scattered[33]), NDISBRIDGE_INDEX_RETAINED);
    } else {
        CHECK_EQUAL(returned, 0);
    }

    bad[0] = scattered[3];
    bad[1] = scattered[3] ^ 1;
    CHECK_STATUS(ndisbridge_release(session, TYPE, bad, 2, 0, 0, NULL),
        INVALID_PARAMETER);
    CHECK_STATUS(ndisbridge_release(
                     session, TYPE, scattered, 40, if_index, 0, NULL),
        SUCCESS);
    CHECK_STATUS(ndisbridge_release(
                     session, TYPE, scattered, 40, 0, 0, NULL),
        INVALID_PARAMETER);
    CHECK_EQUAL(counts_of(session).retained, 0);
    CHECK_EQUAL(counts_of(session).allocated, 0);
    for (uint32_t i = 0; i < 40; i++)
        CHECK_STATUS(ndisbridge_claim_net_luid_index(
                         session, TYPE, scattered[i]),
            SUCCESS);
    CHECK_STATUS(ndisbridge_session_destroy(session), SUCCESS);
    store_free(store);
}

static void test_non_persistent(void)
{
    struct block_store *store = store_make(NDISBRIDGE_BLOCK_COUNT);
    struct store_member member;
    ndisbridge_session *session;
    uint32_t index, flag = NDISBRIDGE_RETAIN_NON_PERSISTENT, returned;

    store_join(&member, store, 1);
    session = check_open(&member.hooks);
    CHECK_STATUS(
        ndisbridge_claim_net_luid_index(session, TYPE, 9), SUCCESS);
    CHECK_STATUS(
        ndisbridge_claim_net_luid_index(session, TYPE, 70000), SUCCESS);
    index = 70000;
    CHECK_STATUS(
        ndisbridge_retain(session, TYPE, &index, 1, 0, flag, NULL), SUCCESS);
    CHECK(!store_is_retained(store, TYPE, index));
    CHECK_EQUAL(state_of(session, index), NDISBRIDGE_INDEX_RETAINED);
    CHECK_STATUS(ndisbridge_trim(session, &returned), SUCCESS);
    CHECK_EQUAL(returned, 0);  /* its block stays */
    CHECK_STATUS(
        ndisbridge_release(session, TYPE, &index, 1, 0, flag, NULL), SUCCESS);
    CHECK_EQUAL(state_of(session, index), NDISBRIDGE_INDEX_FREE);
    CHECK_STATUS(
        ndisbridge_release(session, TYPE, &index, 1, 0, flag, NULL),
        INVALID_PARAMETER);
    CHECK_STATUS(ndisbridge_session_destroy(session), SUCCESS);
    store_free(store);
}

/* ---- failing hooks ----------------------------------------------------- */

static void test_failures(void)
{
    struct block_store *store = store_make(64);
    struct store_member member;
    ndisbridge_session *session;
    uint32_t index, first, if_index, returned = 99;
    static uint32_t many[3 * BLOCK];

    store_join(&member, store, 1);
    session = check_open(&member.hooks);
    member.failure = NDISBRIDGE_STATUS_FAILURE;

    member.failing = STORE_LEASE;
    CHECK_STATUS(ndisbridge_allocate_net_luid_index(session, &index, TYPE),
        FAILURE);
    CHECK_STATUS(
        ndisbridge_claim_net_luid_index(session, TYPE, 5), FAILURE);
    CHECK_STATUS(ndisbridge_allocate_if_index(session, &index), FAILURE);
    CHECK_STATUS(ndisbridge_allocate_net_luid_indexes(
                     session, many, 3 * BLOCK, TYPE),
        FAILURE);
    member.failing = -1;
    first = allocate(session);
    member.failing = STORE_LEASE;
    CHECK_STATUS(ndisbridge_allocate_net_luid_indexes(
                     session, many, 3 * BLOCK, TYPE),
        FAILURE);
    CHECK_EQUAL(counts_of(session).allocated, 1);
    member.failing = -1;
    CHECK_STATUS(ndisbridge_allocate_if_index(session, &if_index), SUCCESS);

    member.failing = STORE_RETAIN;
    CHECK_STATUS(ndisbridge_retain(
                     session, TYPE, &first, 1, if_index, 0, NULL),
        FAILURE);
    CHECK_EQUAL(state_of(session, first), NDISBRIDGE_INDEX_ALLOCATED);
    member.failing = -1;
    CHECK_STATUS(ndisbridge_retain(
                     session, TYPE, &first, 1, if_index, 0, NULL),
        SUCCESS);
    member.failing = STORE_RELEASE;
    CHECK_STATUS(ndisbridge_release(
                     session, TYPE, &first, 1, if_index, 0, NULL),
        FAILURE);
    CHECK_EQUAL(state_of(session, first), NDISBRIDGE_INDEX_RETAINED);
    member.failing = -1;
    CHECK_STATUS(ndisbridge_release(
                     session, TYPE, &first, 1, if_index, 0, NULL),
        SUCCESS);

    /* A return that fails leaves the blocks leased, and usable. */
    CHECK_STATUS(ndisbridge_allocate_net_luid_indexes(
                     session, many, 3 * BLOCK, TYPE),
        SUCCESS);
    CHECK_STATUS(ndisbridge_free_net_luid_indexes(
                     session, NULL, TYPE, many, 3 * BLOCK),
        SUCCESS);
    member.failing = STORE_RETURN;
    CHECK_STATUS(ndisbridge_trim(session, &returned), FAILURE);
    CHECK_EQUAL(returned, 99);
    CHECK_EQUAL(counts_of(session).leased_blocks,
        store_leased_by(store, TYPE, 1));
    CHECK_STATUS(ndisbridge_allocate_net_luid_indexes(
                     session, many, 3 * BLOCK, TYPE),
        SUCCESS);
    CHECK_STATUS(ndisbridge_free_net_luid_indexes(
                     session, NULL, TYPE, many, 3 * BLOCK),
        SUCCESS);
    member.failing = -1;
    CHECK_STATUS(ndisbridge_trim(session, &returned), SUCCESS);
    CHECK_EQUAL(store_leased_by(store, TYPE, 1), 1);
    CHECK(nb_bitmap_validate(&nb_pool_peek(&session->pool, TYPE)->bitmap));

    /* A hook that calls back is refused, whichever it is. */
    member.call_back = session;
    CHECK_STATUS(ndisbridge_allocate_net_luid_indexes(
                     session, many, 2 * BLOCK, TYPE),
        SUCCESS);
    CHECK(member.refused_call_backs > 0);
    member.refused_call_backs = 0;
    CHECK_STATUS(
        ndisbridge_retain(session, TYPE, many, 1, 0, 0, NULL), SUCCESS);
    CHECK_STATUS(
        ndisbridge_release(session, TYPE, many, 1, 0, 0, NULL), SUCCESS);
    CHECK_EQUAL(member.refused_call_backs, 2);
    CHECK_STATUS(ndisbridge_free_net_luid_indexes(
                     session, NULL, TYPE, many + 1, 2 * BLOCK - 1),
        SUCCESS);
    CHECK_STATUS(ndisbridge_trim(session, &returned), SUCCESS);
    CHECK(returned > 0 && member.refused_call_backs > 2);
    member.call_back = NULL;
    CHECK_STATUS(ndisbridge_session_destroy(session), SUCCESS);
    store_free(store);
}

/* ---- random, against the store's truth --------------------------------- */

static void test_random(void)
{
    enum { LIMIT = 6, SPACE = LIMIT * BLOCK };
    static uint8_t owner[SPACE];  /* 0 free, 1 2 allocated by, 3 retained */
    struct block_store *store = store_make(LIMIT);
    struct store_member members[2];
    ndisbridge_session *sessions[2];
    uint32_t counts[4] = { SPACE, 0, 0, 0 };

    for (uint8_t i = 0; i < 2; i++) {
        store_join(&members[i], store, (uint8_t)(i + 1));
        sessions[i] = check_open(&members[i].hooks);
    }
    for (uint32_t round = 0; round < 60000 / CHECK_SLOWNESS; round++) {
        uint32_t who = check_below(&random_state, 2);
        uint32_t index = check_below(&random_state, SPACE), many[300];
        uint32_t n = check_below(&random_state, 300), k = 0;
        ndisbridge_session *session = sessions[who];
        ndisbridge_status status;

        switch (check_below(&random_state, 9)) {
        case 0:
        case 1:
            status = ndisbridge_allocate_net_luid_indexes(
                session, many, n, TYPE);
            if (status == NDISBRIDGE_STATUS_SUCCESS)
                for (; k < n; k++) {
                    CHECK_EQUAL(owner[many[k]], 0);
                    owner[many[k]] = (uint8_t)(who + 1);
                }
            else
                CHECK_STATUS(status, RESOURCES);
            counts[who + 1] += k;
            break;
        case 2:
            status = ndisbridge_allocate_net_luid_index(
                session, &index, TYPE);
            if (status != NDISBRIDGE_STATUS_SUCCESS) {
                CHECK_STATUS(status, RESOURCES);
                break;
            }
            CHECK_EQUAL(owner[index], 0);
            owner[index] = (uint8_t)(who + 1);
            counts[who + 1]++;
            break;
        case 3:
            status =
                ndisbridge_claim_net_luid_index(session, TYPE, index);
            if (status != NDISBRIDGE_STATUS_SUCCESS) {
                CHECK_STATUS(status, IN_USE);
                CHECK(owner[index] != 0
                    || store->holder[TYPE][index / BLOCK] == 2 - who);
                break;
            }
            CHECK_EQUAL(owner[index], 0);
            owner[index] = (uint8_t)(who + 1);
            counts[who + 1]++;
            break;
        case 4:
        case 5:
            for (; k < n && index + k < SPACE; k++) {
                status = ndisbridge_free_net_luid_index(
                    session, TYPE, index + k);
                CHECK_EQUAL(status == NDISBRIDGE_STATUS_SUCCESS,
                    owner[index + k] == who + 1);
                if (owner[index + k] == who + 1) {
                    owner[index + k] = 0;
                    counts[who + 1]--;
                }
            }
            break;
        case 6:
        case 7:
            for (uint32_t i = 0; i < 20; i++) {
                uint32_t at = (index + i * 31) % SPACE;
                bool good = owner[at] == who + 1;

                if (counts[3] < 2000 && check_below(&random_state, 2)) {
                    status = ndisbridge_retain(
                        session, TYPE, &at, 1, 0, 0, NULL);
                    CHECK_EQUAL(status == NDISBRIDGE_STATUS_SUCCESS, good);
                    if (good)
                        owner[at] = 3, counts[3]++, counts[who + 1]--;
                    continue;
                }
                /* Who holds no lease of it may release it just as well;
                 * but the holder learns of it only from its next lease. */
                good = owner[at] == 3;
                if (good
                    && store->holder[TYPE][at / BLOCK] == 2 - who)
                    continue;
                status =
                    ndisbridge_release(session, TYPE, &at, 1, 0, 0, NULL);
                CHECK_EQUAL(status == NDISBRIDGE_STATUS_SUCCESS, good);
                if (good)
                    owner[at] = 0, counts[3]--;
            }
            break;
        default:
            CHECK_STATUS(ndisbridge_trim(session, NULL), SUCCESS);
            break;
        }
        if (round % 512 == 0)
            for (uint32_t i = 0; i < 2; i++)
                CHECK_EQUAL(
                    counts_of(sessions[i]).allocated, counts[i + 1]);
    }
    for (uint32_t i = 0; i < 2; i++) {
        struct nb_space *space = nb_pool_peek(&sessions[i]->pool, TYPE);

        CHECK_EQUAL(counts_of(sessions[i]).allocated, counts[i + 1]);
        CHECK(space == NULL || nb_bitmap_validate(&space->bitmap));
        CHECK_STATUS(ndisbridge_session_destroy(sessions[i]), SUCCESS);
    }
    store_free(store);
}

int main(void)
{
    random_state = check_begin("test_luid_pool");
    test_arguments();
    test_if_indexes();
    test_if_index_round();
    test_two_sessions();
    test_retain(true);
    test_retain(false);
    test_non_persistent();
    test_failures();
    test_random();
    test_exhaustion();
    return check_end();
}
