/* SPDX-License-Identifier: MIT
 *
 * test_if_table.c - registered interfaces against an array of rows; ifIndex
 * policies; providers; rundown of handlers that still run.
 */
#define _GNU_SOURCE
#include "session.h"

#include "block_store.h"
#include "interface_kit.h"

static uint64_t random_state;

/* ---- against a model --------------------------------------------------- */

#define LUIDS 600

struct row {
    ndisbridge_net_luid net_luid;
    uint32_t if_index;  /* 0: not registered */
};

static void compare(ndisbridge_session *session, const struct row *rows)
{
    uint32_t registered = 0, after = 0, walked = 0;

    for (uint32_t i = 0; i < LUIDS; i++) {
        ndisbridge_net_luid net_luid = 1;
        uint32_t if_index = 1;
        ndisbridge_status wanted = rows[i].if_index != 0
            ? NDISBRIDGE_STATUS_SUCCESS
            : NDISBRIDGE_STATUS_INTERFACE_NOT_FOUND;

        registered += rows[i].if_index != 0;
        CHECK_EQUAL(ndisbridge_get_interface_index_from_net_luid(
                        session, &if_index, rows[i].net_luid),
            wanted);
        CHECK_EQUAL(if_index, rows[i].if_index);
        if (rows[i].if_index == 0)
            continue;
        CHECK_STATUS(ndisbridge_get_net_luid_from_interface_index(
                         session, &net_luid, rows[i].if_index),
            SUCCESS);
        CHECK_EQUAL(net_luid, rows[i].net_luid);
    }
    CHECK_EQUAL(ndisbridge_interface_count(session), registered);
    for (uint32_t before = 0;
         (after = nb_table_next(&session->table, before)) != 0;
         before = after, walked++)
        CHECK(after > before);
    CHECK_EQUAL(walked, registered);
}

static uint32_t holder_of(const struct row *rows, uint32_t if_index)
{
    uint32_t i = 0;

    while (i < LUIDS && rows[i].if_index != if_index)
        i++;
    return i;
}

static uint32_t random_if_index(void)
{
    static const uint32_t edges[] = { 1, 1023, 1024, 0xFFFFFF, 0x1000000,
        0x100000, 0xFFFFF, NDISBRIDGE_IF_INDEX_MAX };
    const uint32_t count = sizeof edges / sizeof *edges;

    switch (check_below(&random_state, 3)) {
    case 0:
        return edges[check_below(&random_state, count)];
    case 1:
        return 1 + check_below(&random_state, 3000);
    default:
        return 1 + check_below(&random_state, NDISBRIDGE_IF_INDEX_MAX);
    }
}

static void test_random(void)
{
    static struct row rows[LUIDS];
    ndisbridge_session *session = check_open(NULL);
    ndisbridge_provider provider = kit_provider(session, kit_no_answer, NULL);

    for (uint32_t i = 0; i < LUIDS; i++) {
        uint32_t type = 1 + i % 3, index = i * 2797 & 0xFFFFFF;

        rows[i].net_luid = kit_luid(type, index);
        CHECK_STATUS(ndisbridge_claim_net_luid_index(
                         session, (uint16_t)type, index),
            SUCCESS);
    }
    for (uint32_t round = 0; round < 20000 / CHECK_SLOWNESS; round++) {
        uint32_t i = check_below(&random_state, LUIDS);
        struct row *row = &rows[i];
        uint32_t wanted =
            check_below(&random_state, 2) ? random_if_index() : 0;
        uint32_t if_index = wanted;
        ndisbridge_status status;

        if (check_below(&random_state, 100) < 45) {
            status = ndisbridge_deregister_interface(session,
                row->if_index != 0 ? row->if_index : 0x7000000, 1000);
            CHECK_EQUAL(status,
                row->if_index != 0 ? NDISBRIDGE_STATUS_SUCCESS
                                   : NDISBRIDGE_STATUS_INTERFACE_NOT_FOUND);
            row->if_index = 0;
            continue;
        }
        status = kit_register(
            session, &if_index, provider, row->net_luid, 0, row);
        if (row->if_index != 0) {
            CHECK_STATUS(status, DUPLICATE_OBJECTID);
        } else if (wanted != 0 && holder_of(rows, wanted) < LUIDS) {
            CHECK_STATUS(status, IN_USE);
            CHECK_EQUAL(if_index, wanted);
        } else {
            CHECK_STATUS(status, SUCCESS);
            CHECK(wanted == 0 || if_index == wanted);
            CHECK_EQUAL(holder_of(rows, if_index), LUIDS);
            row->if_index = if_index;
        }
        /* A registered NET_LUID cannot be freed. */
        if (row->if_index != 0)
            CHECK_STATUS(ndisbridge_free_net_luid_index(session,
                             ndisbridge_net_luid_if_type(row->net_luid),
                             ndisbridge_net_luid_index(row->net_luid)),
                INVALID_PARAMETER);
        if (round % 1000 == 0)
            compare(session, rows);
    }
    compare(session, rows);
    CHECK_STATUS(ndisbridge_deregister_provider(session, provider),
        PROVIDER_HAS_INTERFACES);
    for (uint32_t i = 0; i < LUIDS; i++) {
        if (rows[i].if_index != 0)
            CHECK_STATUS(ndisbridge_deregister_interface(
                             session, rows[i].if_index, 0),
                SUCCESS);
        CHECK_STATUS(ndisbridge_free_net_luid_index(session,
                         ndisbridge_net_luid_if_type(rows[i].net_luid),
                         ndisbridge_net_luid_index(rows[i].net_luid)),
            SUCCESS);
    }
    CHECK_STATUS(ndisbridge_deregister_provider(session, provider), SUCCESS);
    CHECK_STATUS(ndisbridge_session_destroy(session), SUCCESS);
}

/* ---- ifIndexes --------------------------------------------------------- */

static void test_policies(void)
{
    ndisbridge_session_config config = check_config(NULL);

    for (uint32_t policy = 0; policy < 2; policy++) {
        ndisbridge_session *session;
        ndisbridge_provider provider;
        ndisbridge_net_luid net_luid;
        uint32_t first, second, third, wanted;

        config.if_index_policy = policy;
        config.if_index_first = 100;
        CHECK_STATUS(ndisbridge_session_create(&session, &config), SUCCESS);
        provider = kit_provider(session, kit_no_answer, NULL);
        kit_interface(session, &first, provider, 0, NULL);
        kit_interface(session, &second, provider, 0, NULL);
        CHECK_EQUAL(first, 100);
        CHECK_EQUAL(second, 101);
        CHECK_STATUS(
            ndisbridge_deregister_interface(session, first, 0), SUCCESS);
        net_luid = kit_interface(session, &third, provider, 0, NULL);
        CHECK_EQUAL(
            third, policy == NDISBRIDGE_IF_INDEX_POLICY_LOWEST ? 100 : 102);
        CHECK_STATUS(
            ndisbridge_deregister_interface(session, third, 0), SUCCESS);
        /* One wanted below the first, in the space, and above it. */
        wanted = 7;
        CHECK_STATUS(kit_register(
                         session, &wanted, provider, net_luid, 0, NULL),
            SUCCESS);
        CHECK_STATUS(
            ndisbridge_deregister_interface(session, 7, 0), SUCCESS);
        wanted = 103;
        CHECK_STATUS(kit_register(
                         session, &wanted, provider, net_luid, 0, NULL),
            SUCCESS);
        for (uint32_t i = 0; i < 5; i++) {
            kit_interface(session, &third, provider, 0, NULL);
            CHECK(third != 103);
        }
        CHECK_STATUS(
            ndisbridge_deregister_interface(session, 103, 0), SUCCESS);
        wanted = NDISBRIDGE_IF_INDEX_MAX;
        CHECK_STATUS(kit_register(
                         session, &wanted, provider, net_luid, 0, NULL),
            SUCCESS);
        CHECK_STATUS(ndisbridge_session_destroy(session), SUCCESS);
    }
}

/* An identity has the ifIndex that was retained with it, and nobody else
 * gets it; with a store and without. */
/* The lowest free one, also where a higher block was leased first, and after
 * a trim. */
static void test_lowest(void)
{
    ndisbridge_session_config config = check_config(NULL);
    ndisbridge_session *session = NULL;
    ndisbridge_provider provider;
    uint32_t if_index = 20500, index, returned;
    static uint32_t held[2 * NDISBRIDGE_BLOCK_SIZE];

    config.if_index_policy = NDISBRIDGE_IF_INDEX_POLICY_LOWEST;
    REQUIRE(ndisbridge_session_create(&session, &config)
        == NDISBRIDGE_STATUS_SUCCESS);
    provider = kit_provider(session, kit_no_answer, NULL);
    CHECK_STATUS(
        ndisbridge_allocate_net_luid_index(session, &index, 6), SUCCESS);
    CHECK_STATUS(kit_register(session, &if_index, provider,
                     kit_luid(6, index), 0, NULL),
        SUCCESS);
    for (uint32_t i = 0; i < 2 * NDISBRIDGE_BLOCK_SIZE; i++) {
        CHECK_STATUS(
            ndisbridge_allocate_if_index(session, &held[i]), SUCCESS);
        CHECK_EQUAL(held[i], i + 1);
    }
    for (uint32_t i = 0; i < 2 * NDISBRIDGE_BLOCK_SIZE; i++)
        CHECK_STATUS(ndisbridge_free_if_index(session, held[i]), SUCCESS);
    CHECK_STATUS(ndisbridge_trim(session, &returned), SUCCESS);
    CHECK(returned > 0);
    for (uint32_t i = 0; i < 2 * NDISBRIDGE_BLOCK_SIZE; i++) {
        CHECK_STATUS(
            ndisbridge_allocate_if_index(session, &held[i]), SUCCESS);
        CHECK_EQUAL(held[i], i + 1);
    }
    /* That of an interface is not anybody's to free. */
    CHECK_STATUS(
        ndisbridge_free_if_index(session, 20500), INVALID_PARAMETER);
    CHECK_STATUS(
        ndisbridge_deregister_interface(session, 20500, 0), SUCCESS);
    CHECK_STATUS(
        ndisbridge_free_if_index(session, 20500), INVALID_PARAMETER);
    CHECK_STATUS(ndisbridge_session_destroy(session), SUCCESS);
}

/* A lower block that could not be had is asked for again. */
static void test_lowest_after_refusals(void)
{
    struct block_store *store = store_make(16);
    struct store_member members[2];
    ndisbridge_session *sessions[2];
    uint32_t if_index = 0, tries = 0;

    for (uint32_t i = 0; i < 2; i++) {
        ndisbridge_session_config config;

        store_join(&members[i], store, (uint8_t)(i + 1));
        config = check_config(&members[i].hooks);
        config.if_index_policy = NDISBRIDGE_IF_INDEX_POLICY_LOWEST;
        REQUIRE(ndisbridge_session_create(&sessions[i], &config)
            == NDISBRIDGE_STATUS_SUCCESS);
        CHECK_STATUS(
            ndisbridge_allocate_if_index(sessions[i], &if_index), SUCCESS);
        CHECK_EQUAL(if_index, i == 0 ? 1 : NDISBRIDGE_BLOCK_SIZE);
    }
    /* The other one has gone; but the store fails for a while. */
    CHECK_STATUS(ndisbridge_session_destroy(sessions[0]), SUCCESS);
    members[1].failing = STORE_LEASE;
    members[1].failure = NDISBRIDGE_STATUS_FAILURE;
    for (uint32_t i = 0; i < 100; i++)
        CHECK_STATUS(
            ndisbridge_allocate_if_index(sessions[1], &if_index), SUCCESS);
    CHECK(if_index > NDISBRIDGE_BLOCK_SIZE);
    members[1].failing = -1;
    do {
        CHECK_STATUS(
            ndisbridge_allocate_if_index(sessions[1], &if_index), SUCCESS);
    } while (if_index > NDISBRIDGE_BLOCK_SIZE && ++tries < 1000);
    CHECK(tries < 70);
    CHECK_EQUAL(if_index, 1);
    CHECK_STATUS(ndisbridge_session_destroy(sessions[1]), SUCCESS);
    store_free(store);
}

/* Outputs that are written on failure too. */
static void test_always_written(void)
{
    ndisbridge_session *session = check_open(NULL);
    struct kit_information information = kit_information(0);
    ndisbridge_net_luid net_luid = 77;
    ndisbridge_status statuses[2] = { 99, 99 };
    uint32_t if_index = 77, if_indexes[2] = { 7, 7 };

    CHECK_STATUS(ndisbridge_register_interfaces(session, if_indexes, statuses,
                     12345, &net_luid, &information, sizeof information, NULL,
                     1),
        INVALID_PARAMETER);
    CHECK_STATUS(statuses[0], INVALID_PARAMETER);
    CHECK_EQUAL(if_indexes[0], 0);
    CHECK_EQUAL(statuses[1], 99);
    CHECK_STATUS(ndisbridge_session_close(session, 100), SUCCESS);
    CHECK_STATUS(ndisbridge_get_interface_index_from_net_luid(
                     session, &if_index, net_luid),
        INVALID_STATE);
    CHECK_EQUAL(if_index, 0);
    CHECK_STATUS(ndisbridge_get_net_luid_from_interface_index(
                     session, &net_luid, 5),
        INVALID_STATE);
    CHECK_EQUAL(net_luid, 0);
    if_indexes[0] = 7;
    CHECK_STATUS(ndisbridge_register_interfaces(session, if_indexes, statuses,
                     1, &net_luid, &information, sizeof information, NULL, 1),
        INVALID_STATE);
    CHECK_STATUS(statuses[0], INVALID_STATE);
    CHECK_EQUAL(if_indexes[0], 0);
    CHECK_STATUS(ndisbridge_session_destroy(session), SUCCESS);
}

static void test_retained_if_index(bool with_store)
{
    struct block_store *store = store_make(NDISBRIDGE_BLOCK_COUNT);
    struct store_member member;
    ndisbridge_session *session;
    ndisbridge_provider provider;
    uint32_t index, if_index, other, wanted;

    store_join(&member, store, 1);
    session = check_open(with_store ? &member.hooks : NULL);
    provider = kit_provider(session, kit_no_answer, NULL);
    CHECK_STATUS(
        ndisbridge_allocate_net_luid_index(session, &index, 6), SUCCESS);
    CHECK_STATUS(ndisbridge_allocate_if_index(session, &if_index), SUCCESS);
    CHECK_STATUS(
        ndisbridge_retain(session, 6, &index, 1, if_index, 0, NULL), SUCCESS);
    for (uint32_t round = 0; round < 2; round++) {
        wanted = if_index;
        CHECK_STATUS(kit_register(session, &wanted, provider,
                         kit_luid(6, index), 0, NULL),
            SUCCESS);
        CHECK_EQUAL(store->confirmed_count, with_store);
        CHECK_STATUS(kit_register(session, &wanted, provider,
                         kit_luid(6, index), 0, NULL),
            DUPLICATE_OBJECTID);
        CHECK_STATUS(
            ndisbridge_release(session, 6, &index, 1, if_index, 0, NULL),
            IN_USE);
        CHECK_STATUS(
            ndisbridge_release(session, 6, NULL, 0, if_index, 0, NULL),
            IN_USE);
        CHECK_STATUS(
            ndisbridge_deregister_interface(session, if_index, 0), SUCCESS);
        CHECK_EQUAL(store->confirmed_count, 0);
    }
    /* An interface that is not that identity cannot have its ifIndex. */
    CHECK_STATUS(
        ndisbridge_allocate_net_luid_index(session, &other, 6), SUCCESS);
    wanted = if_index;
    CHECK_STATUS(kit_register(
                     session, &wanted, provider, kit_luid(6, other), 0, NULL),
        IN_USE);
    CHECK_STATUS(ndisbridge_free_net_luid_index(session, 6, other), SUCCESS);
    CHECK_STATUS(
        ndisbridge_release(session, 6, &index, 1, if_index, 0, NULL),
        SUCCESS);
    CHECK_STATUS(kit_register(
                     session, &wanted, provider, kit_luid(6, index), 0, NULL),
        INVALID_PARAMETER);
    CHECK_STATUS(ndisbridge_session_destroy(session), SUCCESS);
    store_free(store);
}

/* ---- many at once ------------------------------------------------------ */

static void test_batch(void)
{
    enum { MANY = 700 };
    static ndisbridge_net_luid net_luids[MANY + 1];
    static struct kit_information information[MANY + 1];
    static uint32_t indexes[MANY], if_indexes[MANY + 1];
    static ndisbridge_status statuses[MANY + 1];
    struct block_store *store = store_make(NDISBRIDGE_BLOCK_COUNT);
    struct store_member member;
    ndisbridge_session *session;
    ndisbridge_provider provider;

    store_join(&member, store, 1);
    session = check_open(&member.hooks);
    provider = kit_provider(session, kit_no_answer, NULL);
    CHECK_STATUS(ndisbridge_allocate_net_luid_indexes(
                     session, indexes, MANY, 6),
        SUCCESS);
    CHECK_STATUS(ndisbridge_retain(
                     session, 6, indexes, MANY / 2, 0, 0, NULL),
        SUCCESS);
    for (uint32_t i = 0; i < MANY; i++) {
        net_luids[i] = kit_luid(6, indexes[i]);
        information[i] = kit_information(0);
        if_indexes[i] = i % 3 == 0 ? 5000 + i : 0;
    }
    net_luids[MANY] = net_luids[3];  /* once more */
    information[MANY] = information[0];
    information[9].fixed.access_type = 77;
    information[MANY - 9].fixed.header.revision = 9;
    net_luids[11] |= 1;
    if_indexes[14] = 5006;  /* also of the one with number 6 */

    member.failing = STORE_CONFIRM;
    member.failure = NDISBRIDGE_STATUS_LEASE_LOST;
    CHECK_STATUS(ndisbridge_register_interfaces(session, if_indexes, statuses,
                     provider, net_luids, information, sizeof *information,
                     NULL, 8),
        FAILURE);
    for (uint32_t i = 0; i < 8; i++) {
        CHECK_STATUS(statuses[i], LEASE_LOST);
        CHECK_EQUAL(if_indexes[i], 0);
        if_indexes[i] = i % 3 == 0 ? 5000 + i : 0;
    }
    member.failing = -1;
    member.calls[STORE_CONFIRM] = 0;
    CHECK_STATUS(ndisbridge_register_interfaces(session, if_indexes, statuses,
                     provider, net_luids, information, sizeof *information,
                     NULL, MANY + 1),
        FAILURE);
    CHECK_EQUAL(member.calls[STORE_CONFIRM], 1);
    CHECK_EQUAL(member.calls[STORE_UNCONFIRM], 1);  /* of number 14 */
    for (uint32_t i = 0; i <= MANY; i++) {
        uint32_t found = 0;

        if (i == MANY)
            CHECK_STATUS(statuses[i], DUPLICATE_OBJECTID);
        else if (i == 9 || i == 11)
            CHECK_STATUS(statuses[i], INVALID_PARAMETER);
        else if (i == MANY - 9)
            CHECK_STATUS(statuses[i], NOT_SUPPORTED);
        else if (i == 14)
            CHECK_STATUS(statuses[i], IN_USE);
        else
            CHECK_STATUS(statuses[i], SUCCESS);
        CHECK_EQUAL(if_indexes[i] != 0,
            statuses[i] == NDISBRIDGE_STATUS_SUCCESS);
        if (if_indexes[i] == 0)
            continue;
        CHECK_STATUS(ndisbridge_get_interface_index_from_net_luid(
                         session, &found, net_luids[i]),
            SUCCESS);
        CHECK_EQUAL(found, if_indexes[i]);
        CHECK(i % 3 != 0 || found == 5000 + i);
    }
    CHECK_EQUAL(ndisbridge_interface_count(session), MANY - 4);
    CHECK_EQUAL(store->confirmed_count, MANY / 2 - 3);
    CHECK_STATUS(
        ndisbridge_register_interfaces(session, if_indexes, statuses,
            provider + 1, net_luids, information, sizeof *information, NULL,
            1),
        INVALID_PARAMETER);
    CHECK_STATUS(ndisbridge_register_interfaces(session, NULL, NULL, provider,
                     NULL, NULL, 0, NULL, 0),
        SUCCESS);
    /* Closing gives all marks back in few calls. */
    member.calls[STORE_UNCONFIRM] = 0;
    CHECK_STATUS(ndisbridge_session_close(session, 1000), SUCCESS);
    CHECK(member.calls[STORE_UNCONFIRM] <= 3);
    CHECK_STATUS(ndisbridge_session_destroy(session), SUCCESS);
    store_free(store);
}

/* ---- providers --------------------------------------------------------- */

static void test_providers(void)
{
    enum { MANY = 40 };
    ndisbridge_session *session = check_open(NULL);
    ndisbridge_provider providers[MANY], newer[MANY], again;
    ndisbridge_if_provider_characteristics characteristics =
        kit_characteristics(kit_no_answer, NULL);
    ndisbridge_oid_handler handlers[2] = {
        { NDISBRIDGE_OID_GEN_ALIAS, 0, kit_no_answer, NULL },
        { NDISBRIDGE_OID_GEN_ALIAS, 0, kit_no_answer, NULL },
    };
    uint32_t if_index = 0, index;

    for (uint32_t i = 0; i < MANY; i++) {
        providers[i] = kit_provider(session, kit_no_answer, NULL);
        for (uint32_t j = 0; j < i; j++)
            CHECK(providers[i] != providers[j]);
    }
    for (uint32_t i = 0; i < MANY; i++)
        CHECK_STATUS(
            ndisbridge_deregister_provider(session, providers[i]), SUCCESS);
    /* The places are used again, the handles are not. */
    for (uint32_t i = 0; i < MANY; i++) {
        again = kit_provider(session, kit_no_answer, NULL);
        for (uint32_t j = 0; j < MANY; j++) {
            CHECK(again != providers[j]);
            CHECK_STATUS(
                ndisbridge_deregister_provider(session, providers[j]),
                INVALID_PARAMETER);
        }
        newer[i] = again;
    }
    CHECK_STATUS(
        ndisbridge_deregister_provider(session, 0), INVALID_PARAMETER);
    CHECK_STATUS(ndisbridge_deregister_provider(session, UINT64_MAX),
        INVALID_PARAMETER);
    CHECK_STATUS(ndisbridge_deregister_provider(session, newer[0]),
        SUCCESS);
    CHECK_STATUS(
        ndisbridge_allocate_net_luid_index(session, &index, 6), SUCCESS);
    CHECK_STATUS(kit_register(session, &if_index, newer[0],
                     kit_luid(6, index), 0, NULL),
        INVALID_PARAMETER);
    CHECK_STATUS(
        ndisbridge_free_net_luid_index(session, 6, index), SUCCESS);

    CHECK_STATUS(ndisbridge_register_provider(
                     session, &again, &characteristics, 0, handlers, 2),
        INVALID_PARAMETER);
    handlers[1].object_id = 0x12345;
    CHECK_STATUS(ndisbridge_register_provider(
                     session, &again, &characteristics, 0, handlers, 2),
        INVALID_PARAMETER);
    characteristics.query_object_handler = NULL;
    CHECK_STATUS(ndisbridge_register_provider(
                     session, &again, &characteristics, 0, NULL, 0),
        INVALID_PARAMETER);
    CHECK_STATUS(ndisbridge_register_provider(
                     session, &again, &characteristics, 0, handlers, 1),
        SUCCESS);
    characteristics.reserved1 = &again;
    CHECK_STATUS(ndisbridge_register_provider(
                     session, &again, &characteristics, 0, handlers, 1),
        INVALID_PARAMETER);
    characteristics.header.revision = 2;
    CHECK_STATUS(ndisbridge_register_provider(
                     session, &again, &characteristics, 0, handlers, 1),
        NOT_SUPPORTED);
    CHECK_STATUS(ndisbridge_session_destroy(session), SUCCESS);
}

static void test_arguments(void)
{
    ndisbridge_session *session = check_open(NULL);
    ndisbridge_provider provider = kit_provider(session, kit_no_answer, NULL);
    struct kit_information good = kit_information(0), bad;
    uint32_t index, if_index = 0;
    ndisbridge_net_luid net_luid;
    ndisbridge_mib_if_row2 row;

    CHECK_STATUS(
        ndisbridge_allocate_net_luid_index(session, &index, 6), SUCCESS);
    net_luid = kit_luid(6, index);
#define REFUSED(change, name) \
    do { \
        bad = good; \
        change; \
        CHECK_STATUS(ndisbridge_register_interface(session, &if_index, \
                         provider, net_luid, &bad.fixed, sizeof bad, NULL), \
            name); \
        CHECK_EQUAL(if_index, 0); \
    } while (0)
    REFUSED(bad.fixed.header.revision = 2, NOT_SUPPORTED);
    REFUSED(bad.fixed.header.type = 0, NOT_SUPPORTED);
    REFUSED(bad.fixed.phys_address_length = 33, INVALID_PARAMETER);
    REFUSED(bad.fixed.phys_address_offset = 95, INVALID_PARAMETER);
    REFUSED(bad.fixed.phys_address_offset = sizeof bad - 5,
        INVALID_PARAMETER);
    REFUSED(bad.fixed.permanent_phys_address_offset = 65535,
        INVALID_PARAMETER);
    REFUSED(bad.fixed.friendly_name_length = 9, INVALID_PARAMETER);
    REFUSED(bad.fixed.friendly_name_length = 14, INVALID_PARAMETER);
    REFUSED(bad.fixed.access_type = 0, INVALID_PARAMETER);
    REFUSED(bad.fixed.access_type = 5, INVALID_PARAMETER);
    REFUSED(bad.fixed.direction_type = 3, INVALID_PARAMETER);
    REFUSED(bad.fixed.connection_type = 0, INVALID_PARAMETER);
    REFUSED(bad.fixed.connection_type = 4, INVALID_PARAMETER);
    REFUSED(bad.fixed.if_connector_present = 2, INVALID_PARAMETER);
    REFUSED(bad.fixed.interface_guid.data1 = 0, INVALID_PARAMETER);
#undef REFUSED
    CHECK_STATUS(kit_register(
                     session, &if_index, provider, net_luid | 1, 0, NULL),
        INVALID_PARAMETER);
    CHECK_STATUS(kit_register(session, &if_index, provider,
                     kit_luid(6, index ^ 1), 0, NULL),
        INVALID_PARAMETER);
    CHECK_STATUS(kit_register(session, &if_index, provider,
                     kit_luid(0, index), 0, NULL),
        INVALID_PARAMETER);
    CHECK_STATUS(ndisbridge_register_interface(session, &if_index, provider,
                     net_luid, &good.fixed, 95, NULL),
        INVALID_PARAMETER);
    if_index = 0x80000000;
    CHECK_STATUS(
        kit_register(session, &if_index, provider, net_luid, 0, NULL),
        INVALID_PARAMETER);
    /* None of the failures has kept the NET_LUID. */
    CHECK_STATUS(ndisbridge_free_net_luid_index(session, 6, index), SUCCESS);
    CHECK_STATUS(ndisbridge_claim_net_luid_index(session, 6, index), SUCCESS);
    if_index = 0;
    CHECK_STATUS(kit_register(session, &if_index, provider, net_luid,
                     NDISBRIDGE_NIIF_HARDWARE_INTERFACE, NULL),
        SUCCESS);
    CHECK_STATUS(ndisbridge_get_if_entry(session, &row, net_luid,
                     NDISBRIDGE_IF_TABLE_PUBLISHED),
        SUCCESS);
    CHECK_EQUAL(row.interface_index, if_index);
    CHECK_EQUAL(row.interface_luid, net_luid);
    CHECK_EQUAL(row.interface_and_oper_status_flags, 5);
    CHECK_EQUAL(row.physical_address_length, 6);
    CHECK(memcmp(row.physical_address, good.current, 6) == 0);
    CHECK(memcmp(row.permanent_physical_address, good.permanent, 6) == 0);
    CHECK(memcmp(row.description, good.name, sizeof good.name) == 0);
    CHECK_EQUAL(row.alias[0], 0);
    CHECK_EQUAL(row.type, 6);
    CHECK_EQUAL(row.interface_guid.data1, 0x12345678);
    CHECK_EQUAL(row.admin_status, NDISBRIDGE_NET_IF_ADMIN_STATUS_DOWN);
    CHECK_EQUAL(row.oper_status, NDISBRIDGE_NET_IF_OPER_STATUS_UNKNOWN);
    CHECK_EQUAL(row.transmit_link_speed, 0);
    CHECK_EQUAL(row.media_type, 9);
    CHECK_STATUS(ndisbridge_deregister_interface(session, 0, 0),
        INTERFACE_NOT_FOUND);
    CHECK_STATUS(ndisbridge_deregister_interface(session, UINT32_MAX, 0),
        INTERFACE_NOT_FOUND);
    CHECK_STATUS(ndisbridge_session_destroy(session), SUCCESS);
}

/* ---- rundown ----------------------------------------------------------- */

struct deregistration {
    pthread_t thread;
    ndisbridge_session *session;
    uint32_t if_index, timeout_ms;
    ndisbridge_status status;
    atomic_bool done;
};

static void *deregister(void *argument)
{
    struct deregistration *order = argument;

    order->status = ndisbridge_deregister_interface(
        order->session, order->if_index, order->timeout_ms);
    atomic_store(&order->done, true);
    return NULL;
}

static void test_rundown(void)
{
    ndisbridge_session *session = check_open(NULL);
    ndisbridge_provider provider =
        kit_provider(session, kit_wait_at_gate, NULL);
    struct kit_gate gate = KIT_GATE;
    struct kit_asker askers[3];
    struct deregistration orders[2];
    ndisbridge_net_luid net_luid;
    uint32_t if_index, found, length = 4, again = 0;

    net_luid = kit_interface(session, &if_index, provider, 0, &gate);
    for (uint32_t i = 0; i < 3; i++)
        kit_start_asker(&askers[i], session, net_luid);
    kit_await_inside(&gate, 3);

    CHECK_STATUS(
        ndisbridge_deregister_interface(session, if_index, 30), TIMEOUT);
    /* Closing: not there for readers, there for those who register. */
    CHECK_STATUS(ndisbridge_query(session, &found, &length, net_luid,
                     NDISBRIDGE_OID_GEN_CURRENT_PACKET_FILTER),
        INTERFACE_NOT_FOUND);
    CHECK_STATUS(ndisbridge_get_interface_index_from_net_luid(
                     session, &found, net_luid),
        INTERFACE_NOT_FOUND);
    CHECK_STATUS(
        kit_register(session, &again, provider, net_luid, 0, &gate),
        DUPLICATE_OBJECTID);
    CHECK_EQUAL(ndisbridge_interface_count(session), 1);
    CHECK_STATUS(ndisbridge_deregister_provider(session, provider),
        PROVIDER_HAS_INTERFACES);
    CHECK_STATUS(
        ndisbridge_deregister_interface(session, if_index, 0), TIMEOUT);
    for (uint32_t i = 0; i < 2; i++) {
        orders[i].session = session;
        orders[i].if_index = if_index;
        orders[i].timeout_ms = 10000;
        atomic_store(&orders[i].done, false);
        REQUIRE(pthread_create(
                    &orders[i].thread, NULL, deregister, &orders[i])
            == 0);
    }
    for (uint32_t i = 0; i < 3; i++) {
        CHECK(!atomic_load(&orders[0].done));
        nanosleep(&(struct timespec){ 0, 5000000 }, NULL);
    }
    kit_open_gate(&gate);
    for (uint32_t i = 0; i < 2; i++) {
        pthread_join(orders[i].thread, NULL);
        /* One that came after the end found nothing. */
        CHECK(orders[i].status == NDISBRIDGE_STATUS_SUCCESS
            || orders[i].status == NDISBRIDGE_STATUS_INTERFACE_NOT_FOUND);
    }
    for (uint32_t i = 0; i < 3; i++) {
        pthread_join(askers[i].thread, NULL);
        CHECK_STATUS(askers[i].status, NOT_SUPPORTED);
    }
    CHECK_EQUAL(ndisbridge_interface_count(session), 0);
    CHECK_STATUS(
        kit_register(session, &again, provider, net_luid, 0, &gate),
        SUCCESS);
    CHECK_STATUS(ndisbridge_session_destroy(session), SUCCESS);
}

/* TIMEOUT, and then nobody waits: the last handler completes it. */
static void test_completed_by_handler(void)
{
    ndisbridge_session *session = check_open(NULL);
    ndisbridge_provider provider =
        kit_provider(session, kit_wait_at_gate, NULL);
    struct kit_gate gate = KIT_GATE;
    struct kit_asker asker;
    ndisbridge_net_luid net_luid;
    uint32_t if_index;

    net_luid = kit_interface(session, &if_index, provider, 0, &gate);
    kit_start_asker(&asker, session, net_luid);
    kit_await_inside(&gate, 1);
    CHECK_STATUS(
        ndisbridge_deregister_interface(session, if_index, 0), TIMEOUT);
    kit_open_gate(&gate);
    pthread_join(asker.thread, NULL);
    CHECK_EQUAL(ndisbridge_interface_count(session), 0);
    CHECK_STATUS(ndisbridge_free_net_luid_index(
                     session, 6, ndisbridge_net_luid_index(net_luid)),
        SUCCESS);
    CHECK_STATUS(ndisbridge_deregister_provider(session, provider), SUCCESS);
    CHECK_STATUS(ndisbridge_session_destroy(session), SUCCESS);
}

/* What a handler that deregisters gets. */
struct self {
    ndisbridge_session *session;
    uint32_t own, other, idle;
    ndisbridge_status own_status, other_status, idle_status, close_status;
    ndisbridge_status destroy_status;
};

static ndisbridge_status deregister_from_handler(
    void *context, uint32_t oid, uint32_t *length, void *output)
{
    struct self *self = context;

    (void)oid, (void)length, (void)output;
    self->own_status =
        ndisbridge_deregister_interface(self->session, self->own, 1000);
    self->other_status =
        ndisbridge_deregister_interface(self->session, self->other, 1000);
    self->idle_status =
        ndisbridge_deregister_interface(self->session, self->idle, 1000);
    self->close_status = ndisbridge_session_close(self->session, 10);
    self->destroy_status = ndisbridge_session_destroy(self->session);
    return NDISBRIDGE_STATUS_NOT_SUPPORTED;
}

static void test_from_handler(void)
{
    ndisbridge_session *session = check_open(NULL);
    ndisbridge_provider gated =
        kit_provider(session, kit_wait_at_gate, NULL);
    ndisbridge_provider selfish =
        kit_provider(session, deregister_from_handler, NULL);
    struct kit_gate gate = KIT_GATE;
    struct self self = { .session = session };
    struct kit_asker asker;
    ndisbridge_net_luid own, other;
    uint32_t length = 4, number;

    own = kit_interface(session, &self.own, selfish, 0, &self);
    other = kit_interface(session, &self.other, gated, 0, &gate);
    kit_interface(session, &self.idle, gated, 0, &gate);
    kit_start_asker(&asker, session, other);
    kit_await_inside(&gate, 1);
    CHECK_STATUS(ndisbridge_query(session, &number, &length, own,
                     NDISBRIDGE_OID_GEN_CURRENT_PACKET_FILTER),
        NOT_SUPPORTED);
    CHECK_STATUS(self.own_status, IN_OWN_HANDLER);
    CHECK_STATUS(self.other_status, PENDING);
    CHECK_STATUS(self.idle_status, SUCCESS);
    CHECK_STATUS(self.close_status, INVALID_STATE);
    CHECK_STATUS(self.destroy_status, INVALID_STATE);
    CHECK_EQUAL(ndisbridge_interface_count(session), 2);
    kit_open_gate(&gate);
    pthread_join(asker.thread, NULL);
    CHECK_EQUAL(ndisbridge_interface_count(session), 1);
    CHECK_STATUS(
        ndisbridge_deregister_interface(session, self.own, 0), SUCCESS);
    CHECK_STATUS(ndisbridge_session_destroy(session), SUCCESS);
}

int main(void)
{
    random_state = check_begin("test_if_table");
    test_random();
    test_policies();
    test_lowest();
    test_lowest_after_refusals();
    test_always_written();
    test_retained_if_index(true);
    test_retained_if_index(false);
    test_batch();
    test_providers();
    test_arguments();
    test_rundown();
    test_completed_by_handler();
    test_from_handler();
    return check_end();
}
