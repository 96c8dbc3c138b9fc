/* SPDX-License-Identifier: MIT
 *
 * test_session.c - making, closing and freeing sessions: configurations that
 * are refused, handlers that still run, marks and leases that go back.
 */
#define _GNU_SOURCE
#include "session.h"

#include "block_store.h"
#include "interface_kit.h"

static void *no_allocate(void *context, size_t size)
{
    (void)context, (void)size;
    return NULL;
}

static void test_configurations(void)
{
    ndisbridge_session_config good = check_config(NULL), bad;
    ndisbridge_persistence_hooks hooks = { .header = good.header };
    ndisbridge_session *session = NULL;

    hooks.header.size = sizeof hooks;
#define REFUSED(change, name) \
    do { \
        bad = good; \
        change; \
        CHECK_STATUS(ndisbridge_session_create(&session, &bad), name); \
        CHECK(session == NULL); \
    } while (0)
    REFUSED(bad.header.revision = 2, NOT_SUPPORTED);
    REFUSED(bad.header.type = 1, NOT_SUPPORTED);
    REFUSED(bad.header.size = sizeof bad - 1, NOT_SUPPORTED);
    REFUSED(bad.if_index_policy = 2, INVALID_PARAMETER);
    REFUSED(bad.if_index_first = 0x1000000, INVALID_PARAMETER);
    REFUSED(bad.allocate = no_allocate, INVALID_PARAMETER);
    REFUSED((bad.hooks = &hooks, hooks.header.revision = 0), NOT_SUPPORTED);
    hooks.header.revision = 1;
    REFUSED((bad.hooks = &hooks, hooks.lease_blocks = store_lease),
        INVALID_PARAMETER);
    hooks.lease_blocks = NULL;
    REFUSED((bad.hooks = &hooks, hooks.retain = store_retain),
        INVALID_PARAMETER);
    hooks.retain = NULL;
    REFUSED((bad.hooks = &hooks, hooks.confirm = store_confirm),
        INVALID_PARAMETER);
#undef REFUSED
    CHECK_STATUS(ndisbridge_session_create(NULL, &good), INVALID_PARAMETER);
    CHECK_STATUS(ndisbridge_session_create(&session, NULL), SUCCESS);
    CHECK_STATUS(ndisbridge_session_destroy(session), SUCCESS);
    CHECK_STATUS(ndisbridge_session_destroy(NULL), SUCCESS);
    CHECK(strcmp(ndisbridge_version(), NDISBRIDGE_VERSION) == 0);
    CHECK(strcmp(ndisbridge_status_string(NDISBRIDGE_STATUS_RESOURCES),
              "NDIS_STATUS_RESOURCES")
        == 0);
    CHECK(ndisbridge_status_string(12345) != NULL);
}

static void test_closed(void)
{
    ndisbridge_session *session = check_open(NULL);
    ndisbridge_provider provider = kit_provider(session, kit_no_answer, NULL);
    ndisbridge_net_luid net_luid;
    ndisbridge_index_counts counts;
    uint32_t if_index, index, length = 4;

    net_luid = kit_interface(session, &if_index, provider, 0, NULL);
    CHECK_STATUS(ndisbridge_session_close(session, 100), SUCCESS);
    CHECK_STATUS(ndisbridge_session_close(session, 100), INVALID_STATE);
    CHECK_STATUS(ndisbridge_session_close(NULL, 100), INVALID_PARAMETER);
    CHECK_STATUS(ndisbridge_allocate_net_luid_index(session, &index, 6),
        INVALID_STATE);
    CHECK_STATUS(
        ndisbridge_free_net_luid_index(session, 6, 0), INVALID_STATE);
    CHECK_STATUS(ndisbridge_count_net_luid_indexes(session, &counts, 6),
        INVALID_STATE);
    CHECK_STATUS(ndisbridge_trim(session, NULL), INVALID_STATE);
    CHECK_STATUS(ndisbridge_retain(session, 6, &index, 0, 0, 0, NULL),
        INVALID_STATE);
    CHECK_STATUS(kit_register(
                     session, &if_index, provider, net_luid, 0, NULL),
        INVALID_STATE);
    CHECK_STATUS(ndisbridge_deregister_interface(session, if_index, 0),
        INVALID_STATE);
    CHECK_STATUS(ndisbridge_query(session, &index, &length, net_luid,
                     NDISBRIDGE_OID_GEN_PHYSICAL_MEDIUM),
        INVALID_STATE);
    CHECK_STATUS(
        ndisbridge_deregister_provider(session, provider), INVALID_STATE);
    CHECK_EQUAL(ndisbridge_interface_count(session), 0);
    CHECK_STATUS(ndisbridge_session_destroy(session), SUCCESS);
}

/* A handler still runs: TIMEOUT, then the rest of the way. */
static void test_close_with_handler(bool wait_inside)
{
    struct block_store *store = store_make(16);
    struct store_member member;
    ndisbridge_session_config config;
    ndisbridge_session *session;
    ndisbridge_provider provider;
    struct kit_gate gate = KIT_GATE;
    struct kit_asker asker;
    uint32_t index, number, if_index = 0, length = 4;

    store_join(&member, store, 1);
    config = check_config(&member.hooks);
    config.wait_timeout_ms = 20;
    CHECK_STATUS(ndisbridge_session_create(&session, &config), SUCCESS);
    provider = kit_provider(session, kit_wait_at_gate, NULL);
    CHECK_STATUS(
        ndisbridge_allocate_net_luid_index(session, &index, 6), SUCCESS);
    CHECK_STATUS(
        ndisbridge_retain(session, 6, &index, 1, 0, 0, NULL), SUCCESS);
    CHECK_STATUS(kit_register(session, &if_index, provider,
                     kit_luid(6, index), 0, &gate),
        SUCCESS);
    kit_start_asker(&asker, session, kit_luid(6, index));
    kit_await_inside(&gate, 1);
    CHECK_STATUS(ndisbridge_session_close(session, 0), TIMEOUT);
    CHECK_STATUS(ndisbridge_session_close(
                     session, NDISBRIDGE_TIMEOUT_DEFAULT),
        TIMEOUT);
    CHECK_STATUS(ndisbridge_session_destroy(session), TIMEOUT);
    CHECK_STATUS(ndisbridge_query(session, &number, &length,
                     kit_luid(6, index), NDISBRIDGE_OID_GEN_VENDOR_ID),
        INVALID_STATE);
    CHECK_EQUAL(store->confirmed_count, 1);
    CHECK(store_leased_by(store, 6, 1) > 0);
    kit_open_gate(&gate);
    if (wait_inside)
        CHECK_STATUS(ndisbridge_session_close(session, 10000), SUCCESS);
    pthread_join(asker.thread, NULL);
    CHECK_STATUS(asker.status, NOT_SUPPORTED);
    CHECK_STATUS(ndisbridge_session_close(session, 10000),
        SUCCESS + (wait_inside ? NDISBRIDGE_STATUS_INVALID_STATE : 0));
    CHECK_EQUAL(store->confirmed_count, 0);
    CHECK_EQUAL(store_leased_by(store, 6, 1), 0);
    CHECK_STATUS(ndisbridge_session_destroy(session), SUCCESS);
    store_free(store);
}

/* ---- closing while others register, trim, lease ------------------------ */

struct worker {
    pthread_t thread;
    ndisbridge_session *session;
    ndisbridge_provider provider;
    ndisbridge_net_luid net_luid;
    atomic_bool *go;
    uint32_t number;
};

static void *work_until_closed(void *argument)
{
    struct worker *worker = argument;
    ndisbridge_status status = NDISBRIDGE_STATUS_SUCCESS;
    static uint32_t indexes[4][2 * NDISBRIDGE_BLOCK_SIZE];
    uint32_t *own = indexes[worker->number];

    while (!atomic_load(worker->go))
        ;
    while (status != NDISBRIDGE_STATUS_INVALID_STATE) {
        uint32_t if_index = 0;

        if (worker->number < 2) {
            status = kit_register(worker->session, &if_index,
                worker->provider, worker->net_luid, 0, NULL);
            if (status == NDISBRIDGE_STATUS_SUCCESS)
                status = ndisbridge_deregister_interface(
                    worker->session, if_index, 1000);
            /* The session's closing may have done it already. */
            CHECK(status == NDISBRIDGE_STATUS_SUCCESS
                || status == NDISBRIDGE_STATUS_INVALID_STATE
                || status == NDISBRIDGE_STATUS_INTERFACE_NOT_FOUND);
        } else {
            status = ndisbridge_allocate_net_luid_indexes(
                worker->session, own, 2 * NDISBRIDGE_BLOCK_SIZE, 6);
            if (status == NDISBRIDGE_STATUS_SUCCESS)
                status = ndisbridge_free_net_luid_indexes(worker->session,
                    NULL, 6, own, 2 * NDISBRIDGE_BLOCK_SIZE);
            if (status == NDISBRIDGE_STATUS_SUCCESS)
                status = ndisbridge_trim(worker->session, NULL);
            CHECK(status == NDISBRIDGE_STATUS_SUCCESS
                || status == NDISBRIDGE_STATUS_INVALID_STATE);
        }
    }
    return NULL;
}

static void test_close_race(void)
{
    for (uint32_t round = 0; round < 60 / CHECK_SLOWNESS; round++) {
        struct block_store *store = store_make(64);
        struct store_member member;
        struct worker workers[4];
        ndisbridge_session *session;
        ndisbridge_provider provider;
        atomic_bool go = false;

        store_join(&member, store, 1);
        session = check_open(&member.hooks);
        provider = kit_provider(session, kit_no_answer, NULL);
        for (uint32_t i = 0; i < 4; i++) {
            uint32_t index;

            CHECK_STATUS(ndisbridge_allocate_net_luid_index(
                             session, &index, 6),
                SUCCESS);
            CHECK_STATUS(ndisbridge_retain(
                             session, 6, &index, 1, 0, 0, NULL),
                SUCCESS);
            workers[i] = (struct worker){ .session = session,
                .provider = provider, .net_luid = kit_luid(6, index),
                .go = &go, .number = i };
            REQUIRE(pthread_create(&workers[i].thread, NULL,
                        work_until_closed, &workers[i])
                == 0);
        }
        atomic_store(&go, true);
        nanosleep(&(struct timespec){ 0, (long)round % 7 * 300000 }, NULL);
        CHECK_STATUS(ndisbridge_session_close(session, 20000), SUCCESS);
        /* Nothing is left behind in the store, whatever was under way. */
        CHECK_EQUAL(store->confirmed_count, 0);
        CHECK_EQUAL(store_leased_by(store, 6, 1), 0);
        CHECK_EQUAL(store_leased_by(store, 0, 1), 0);
        for (uint32_t i = 0; i < 4; i++)
            pthread_join(workers[i].thread, NULL);
        CHECK_STATUS(ndisbridge_session_destroy(session), SUCCESS);
        store_free(store);
    }
}

/* Two sessions in one thread: the hook of one may use the other. */
static void test_two_sessions(void)
{
    struct block_store *store = store_make(16);
    struct store_member member, other;
    ndisbridge_session *inner, *outer;
    uint32_t index;

    store_join(&member, store, 1);
    store_join(&other, store, 2);
    inner = check_open(NULL);
    outer = check_open(&member.hooks);
    member.call_back = inner;
    CHECK_STATUS(
        ndisbridge_allocate_net_luid_index(outer, &index, 6), SUCCESS);
    CHECK_EQUAL(member.refused_call_backs, 0);
    CHECK_STATUS(ndisbridge_session_destroy(outer), SUCCESS);
    CHECK_STATUS(ndisbridge_session_destroy(inner), SUCCESS);
    store_free(store);
}

int main(void)
{
    check_begin("test_session");
    test_configurations();
    test_closed();
    test_close_with_handler(false);
    test_close_with_handler(true);
    test_two_sessions();
    test_close_race();
    return check_end();
}
