/* SPDX-License-Identifier: MIT
 *
 * test_if_stack.c - the interface stack against a matrix of rows: random
 * additions and deletions, loops refused exactly where the closure of the
 * matrix has one, rows that vanish with their interfaces; filter chains.
 */
#include "session.h"

#include "block_store.h"
#include "interface_kit.h"

#define NODES 48

static uint64_t random_state;
static bool rows[NODES][NODES];  /* higher, lower */
static bool reach[NODES][NODES];  /* transitive closure */
static uint32_t if_indexes[NODES];  /* 0: not registered */

static void close_over(void)
{
    memcpy(reach, rows, sizeof reach);
    for (uint32_t k = 0; k < NODES; k++)
        for (uint32_t i = 0; i < NODES; i++)
            for (uint32_t j = 0; reach[i][k] && j < NODES; j++)
                reach[i][j] |= reach[k][j];
}

static uint32_t node_of(uint32_t if_index)
{
    uint32_t i = 0;

    while (i < NODES && if_indexes[i] != if_index)
        i++;
    REQUIRE(i < NODES);
    return i;
}

static void compare(ndisbridge_session *session)
{
    static ndisbridge_mib_ifstack_row table[NODES * NODES];
    static ndisbridge_mib_invertedifstack_row inverted[NODES * NODES];
    uint32_t wanted = 0, count = 0;

    for (uint32_t i = 0; i < NODES; i++)
        for (uint32_t j = 0; j < NODES; j++)
            wanted += rows[i][j];
    CHECK_EQUAL(ndisbridge_get_if_stack_table(session, NULL, &count),
        wanted == 0 ? NDISBRIDGE_STATUS_SUCCESS
                    : NDISBRIDGE_STATUS_BUFFER_TOO_SHORT);
    CHECK_EQUAL(count, wanted);
    count = NODES * NODES;
    CHECK_STATUS(
        ndisbridge_get_if_stack_table(session, table, &count), SUCCESS);
    CHECK_EQUAL(count, wanted);
    for (uint32_t i = 0; i < count; i++) {
        uint32_t higher = table[i].higher_layer_interface_index;
        uint32_t lower = table[i].lower_layer_interface_index;

        CHECK(rows[node_of(higher)][node_of(lower)]);
        CHECK(i == 0 || higher > table[i - 1].higher_layer_interface_index
            || (higher == table[i - 1].higher_layer_interface_index
                && lower > table[i - 1].lower_layer_interface_index));
    }
    count = wanted;
    CHECK_STATUS(ndisbridge_get_inverted_if_stack_table(
                     session, inverted, &count),
        SUCCESS);
    CHECK_EQUAL(count, wanted);
    for (uint32_t i = 0; i < count; i++) {
        uint32_t lower = inverted[i].lower_layer_interface_index;
        uint32_t higher = inverted[i].higher_layer_interface_index;

        CHECK(rows[node_of(higher)][node_of(lower)]);
        CHECK(i == 0 || lower > inverted[i - 1].lower_layer_interface_index
            || (lower == inverted[i - 1].lower_layer_interface_index
                && higher > inverted[i - 1].higher_layer_interface_index));
    }
}

static void test_random(void)
{
    ndisbridge_session *session = check_open(NULL);
    ndisbridge_provider provider = kit_provider(session, kit_no_answer, NULL);
    ndisbridge_net_luid net_luids[NODES];
    uint32_t loops = 0;

    for (uint32_t i = 0; i < NODES; i++)
        net_luids[i] =
            kit_interface(session, &if_indexes[i], provider, 0, NULL);
    for (uint32_t round = 0; round < 20000 / CHECK_SLOWNESS; round++) {
        uint32_t higher = check_below(&random_state, NODES);
        uint32_t lower = check_below(&random_state, NODES);
        uint32_t dice = check_below(&random_state, 100);
        ndisbridge_status status, wanted = NDISBRIDGE_STATUS_SUCCESS;

        if (dice < 3) {
            if (if_indexes[higher] != 0) {
                CHECK_STATUS(ndisbridge_deregister_interface(
                                 session, if_indexes[higher], 0),
                    SUCCESS);
                if_indexes[higher] = 0;
                for (uint32_t i = 0; i < NODES; i++)
                    rows[higher][i] = rows[i][higher] = false;
            } else {
                CHECK_STATUS(kit_register(session, &if_indexes[higher],
                                 provider, net_luids[higher], 0, NULL),
                    SUCCESS);
            }
        } else if (dice < 45) {
            CHECK_STATUS(ndisbridge_delete_if_stack_entry(
                             session, if_indexes[higher], if_indexes[lower]),
                SUCCESS);
            rows[higher][lower] = false;
        } else {
            close_over();
            if (if_indexes[higher] == 0 || if_indexes[lower] == 0)
                wanted = NDISBRIDGE_STATUS_INTERFACE_NOT_FOUND;
            else if (higher == lower || reach[lower][higher])
                wanted = NDISBRIDGE_STATUS_STACK_LOOP;
            status = ndisbridge_add_if_stack_entry(
                session, if_indexes[higher], if_indexes[lower]);
            CHECK_EQUAL(status, wanted);
            loops += status == NDISBRIDGE_STATUS_STACK_LOOP;
            rows[higher][lower] |= status == NDISBRIDGE_STATUS_SUCCESS;
        }
        if (round % 100 == 0)
            compare(session);
    }
    compare(session);
    CHECK(loops > 10);
    CHECK_STATUS(ndisbridge_session_destroy(session), SUCCESS);
}

/* A long chain, and the row that would close it: the array has grown. */
static void test_long_chain(void)
{
    enum { LONG = 1000 };
    static uint32_t chain[LONG];
    ndisbridge_session *session = check_open(NULL);
    ndisbridge_provider provider = kit_provider(session, kit_no_answer, NULL);
    uint32_t count = 0;

    for (uint32_t i = 0; i < LONG; i++)
        kit_interface(session, &chain[i], provider, 0, NULL);
    for (uint32_t i = 0; i + 1 < LONG; i++)
        CHECK_STATUS(ndisbridge_add_if_stack_entry(
                         session, chain[i], chain[i + 1]),
            SUCCESS);
    CHECK_STATUS(ndisbridge_add_if_stack_entry(
                     session, chain[LONG - 1], chain[0]),
        STACK_LOOP);
    CHECK_STATUS(
        ndisbridge_add_if_stack_entry(session, chain[LONG / 2], chain[1]),
        STACK_LOOP);
    CHECK_STATUS(
        ndisbridge_add_if_stack_entry(session, chain[0], chain[LONG - 1]),
        SUCCESS);
    CHECK_STATUS(ndisbridge_deregister_interface(
                     session, chain[LONG / 2], 0),
        SUCCESS);
    CHECK_STATUS(ndisbridge_get_if_stack_table(session, NULL, &count),
        BUFFER_TOO_SHORT);
    CHECK_EQUAL(count, LONG - 2);
    CHECK_STATUS(ndisbridge_add_if_stack_entry(
                     session, chain[LONG / 2 - 1], chain[0]),
        STACK_LOOP);
    CHECK_STATUS(ndisbridge_add_if_stack_entry(
                     session, chain[LONG / 2 + 1], chain[1]),
        SUCCESS);
    CHECK_STATUS(ndisbridge_session_destroy(session), SUCCESS);
}

/* protocol / two filter modules / miniport adapter, and a VLAN on top. */
static void test_binding(void)
{
    ndisbridge_session *session = check_open(NULL);
    struct kit_gate gate = KIT_GATE;
    struct kit_asker asker;
    ndisbridge_provider provider =
        kit_provider(session, kit_wait_at_gate, NULL);
    const uint32_t filter = NDISBRIDGE_NIIF_FILTER_INTERFACE;
    uint32_t miniport, first, second, vlan, alone, bound, lowest;
    ndisbridge_net_luid luid[5], bound_luid, lowest_luid;
    uint32_t members[3];

    luid[0] = kit_interface(session, &miniport, provider, 0, NULL);
    kit_interface(session, &first, provider, filter, NULL);
    luid[2] = kit_interface(session, &second, provider, filter, &gate);
    luid[3] = kit_interface(session, &vlan, provider, 0, NULL);
    luid[4] = kit_interface(session, &alone, provider, 0, NULL);
    CHECK_STATUS(
        ndisbridge_add_if_stack_entry(session, first, miniport), SUCCESS);
    CHECK_STATUS(
        ndisbridge_add_if_stack_entry(session, second, first), SUCCESS);
    CHECK_STATUS(
        ndisbridge_add_if_stack_entry(session, vlan, second), SUCCESS);
    CHECK_STATUS(
        ndisbridge_add_if_stack_entry(session, vlan, miniport), SUCCESS);
    members[0] = miniport;
    members[1] = first;
    members[2] = second;
    for (uint32_t i = 0; i < 3; i++) {
        CHECK_STATUS(ndisbridge_query_binding_if_index(session, &bound,
                         &bound_luid, &lowest, &lowest_luid, members[i]),
            SUCCESS);
        CHECK_EQUAL(bound, second);
        CHECK_EQUAL(bound_luid, luid[2]);
        CHECK_EQUAL(lowest, miniport);
        CHECK_EQUAL(lowest_luid, luid[0]);
    }
    CHECK_STATUS(ndisbridge_query_binding_if_index(session, &bound,
                     &bound_luid, &lowest, &lowest_luid, vlan),
        SUCCESS);
    CHECK_EQUAL(bound, vlan);
    CHECK_EQUAL(lowest_luid, luid[3]);
    CHECK_STATUS(ndisbridge_query_binding_if_index(session, &bound,
                     &bound_luid, &lowest, &lowest_luid, alone),
        SUCCESS);
    CHECK_EQUAL(bound_luid, luid[4]);
    CHECK_EQUAL(lowest, alone);
    CHECK_STATUS(ndisbridge_query_binding_if_index(session, &bound,
                     &bound_luid, &lowest, &lowest_luid, 999),
        INTERFACE_NOT_FOUND);
    CHECK_STATUS(ndisbridge_query_binding_if_index(
                     session, &bound, NULL, &lowest, &lowest_luid, alone),
        INVALID_PARAMETER);
    /* One that is closing is no part of the chain any more. */
    kit_start_asker(&asker, session, luid[2]);
    kit_await_inside(&gate, 1);
    CHECK_STATUS(
        ndisbridge_deregister_interface(session, second, 0), TIMEOUT);
    CHECK_STATUS(ndisbridge_query_binding_if_index(session, &bound,
                     &bound_luid, &lowest, &lowest_luid, miniport),
        SUCCESS);
    CHECK_EQUAL(bound, first);
    kit_open_gate(&gate);
    pthread_join(asker.thread, NULL);
    luid[2] = kit_interface(session, &second, provider,
        filter, &gate);
    CHECK_STATUS(
        ndisbridge_add_if_stack_entry(session, second, first), SUCCESS);
    /* Without its lower filter the upper one is a chain of its own. */
    CHECK_STATUS(ndisbridge_deregister_interface(session, first, 0), SUCCESS);
    CHECK_STATUS(ndisbridge_query_binding_if_index(session, &bound,
                     &bound_luid, &lowest, &lowest_luid, miniport),
        SUCCESS);
    CHECK_EQUAL(bound, miniport);
    CHECK_STATUS(ndisbridge_query_binding_if_index(session, &bound,
                     &bound_luid, &lowest, &lowest_luid, second),
        SUCCESS);
    CHECK_EQUAL(lowest, second);
    CHECK_STATUS(ndisbridge_session_destroy(session), SUCCESS);
}

int main(void)
{
    random_state = check_begin("test_if_stack");
    test_random();
    test_long_chain();
    test_binding();
    return check_end();
}
