/* SPDX-License-Identifier: MIT
 *
 * bench_core.c - the loops that call the core without Python.  Each returns
 * what proves that it did its work.  Loops over keys go on where they have
 * stopped, so that short samples of a long array of keys see all of it.
 */
#include "bench.h"

#include <ndisbridge.h>
#include <string.h>

/* ---- one index --------------------------------------------------------- */

uint64_t pairs(ndisbridge_session *session, uint16_t if_type, uint32_t n)
{
    uint64_t done = 0;
    uint32_t index;

    for (uint32_t i = 0; i < n; i++) {
        done += !ndisbridge_allocate_net_luid_index(
            session, &index, if_type);
        done += !ndisbridge_free_net_luid_index(session, if_type, index);
    }
    return done;
}

/* Frees the oldest of a window and allocates another: what a program that
 * holds many does. */
uint64_t churn(ndisbridge_session *session, uint16_t if_type,
    uint32_t *window, uint32_t size, uint32_t n)
{
    static uint32_t from;
    uint64_t done = 0;

    for (uint32_t i = 0; i < n; i++) {
        uint32_t at = next_of(&from, size);

        done += !ndisbridge_free_net_luid_index(
            session, if_type, window[at]);
        done += !ndisbridge_allocate_net_luid_index(
            session, &window[at], if_type);
    }
    return done;
}

/* Claims a given index and frees it. */
uint64_t claims(ndisbridge_session *session, uint16_t if_type,
    uint32_t net_luid_index, uint32_t n)
{
    uint64_t done = 0;

    for (uint32_t i = 0; i < n; i++) {
        done += !ndisbridge_claim_net_luid_index(
            session, if_type, net_luid_index);
        done += !ndisbridge_free_net_luid_index(
            session, if_type, net_luid_index);
    }
    return done;
}

/* ---- many indexes ------------------------------------------------------ */

uint64_t claim_many(ndisbridge_session *session, uint16_t if_type,
    uint32_t *indexes, uint32_t count)
{
    return ndisbridge_allocate_net_luid_indexes(
               session, indexes, count, if_type)
            == NDISBRIDGE_STATUS_SUCCESS
        ? count
        : 0;
}

uint64_t free_many(ndisbridge_session *session, uint16_t if_type,
    uint32_t *indexes, uint32_t count)
{
    uint32_t freed = 0;

    ndisbridge_free_net_luid_indexes(
        session, &freed, if_type, indexes, count);
    return freed;
}

uint64_t batch(ndisbridge_session *session, uint16_t if_type,
    uint32_t *indexes, uint32_t count)
{
    return claim_many(session, if_type, indexes, count) == count
        ? free_many(session, if_type, indexes, count)
        : 0;
}

/* ---- interfaces -------------------------------------------------------- */

/* A native handler: 77 octets, whoever asks. */
ndisbridge_status answer(
    void *context, uint32_t oid, uint32_t *length, void *output)
{
    (void)context, (void)oid;
    memcpy(output, &(uint64_t){ 77 }, 8);
    *length = 8;
    return NDISBRIDGE_STATUS_SUCCESS;
}

/* A provider whose query_object_handler is answer(). */
ndisbridge_provider provide(ndisbridge_session *session)
{
    ndisbridge_if_provider_characteristics characteristics = {
        { NDISBRIDGE_OBJECT_TYPE_DEFAULT, NDISBRIDGE_OBJECT_REVISION_1,
            sizeof characteristics },
        answer, NULL, NULL, NULL
    };
    ndisbridge_provider provider;

    return ndisbridge_register_provider(session, &provider, &characteristics,
               NDISBRIDGE_HANDLER_NON_BLOCKING, NULL, 0)
            == NDISBRIDGE_STATUS_SUCCESS
        ? provider
        : 0;
}

/* Registers count Ethernet interfaces on new indexes; each publishes `octets`
 * received, and what else a row has, unless octets is 0. */
uint64_t populate(ndisbridge_session *session, ndisbridge_provider provider,
    uint64_t *net_luids, uint32_t *if_indexes, uint32_t count,
    uint64_t octets)
{
    ndisbridge_net_if_information facts = {
        .header = { NDISBRIDGE_OBJECT_TYPE_DEFAULT,
            NDISBRIDGE_OBJECT_REVISION_1, sizeof facts },
        .access_type = NDISBRIDGE_NET_IF_ACCESS_BROADCAST,
        .connection_type = NDISBRIDGE_NET_IF_CONNECTION_DEDICATED
    };
    ndisbridge_published values = {
        .fields = NDISBRIDGE_PUBLISH_INFORMATION
            | NDISBRIDGE_PUBLISH_ADMIN_STATUS | NDISBRIDGE_PUBLISH_ALIAS,
        .information = { .if_oper_status = NDISBRIDGE_NET_IF_OPER_STATUS_UP,
            .if_hc_in_octets = octets },
        .admin_status = NDISBRIDGE_NET_IF_ADMIN_STATUS_UP
    };
    uint64_t done = 0;

    for (uint32_t i = 0; i < count; i++) {
        uint32_t index;

        facts.interface_guid.data1 = i + 1;
        if_indexes[i] = 0;
        if (ndisbridge_allocate_net_luid_index(
                session, &index, NDISBRIDGE_IF_TYPE_ETHERNET_CSMACD)
                != NDISBRIDGE_STATUS_SUCCESS
            || ndisbridge_make_net_luid(&net_luids[i],
                   NDISBRIDGE_IF_TYPE_ETHERNET_CSMACD, index)
                != NDISBRIDGE_STATUS_SUCCESS
            || ndisbridge_register_interface(session, &if_indexes[i],
                   provider, net_luids[i], &facts, sizeof facts, NULL)
                != NDISBRIDGE_STATUS_SUCCESS)
            return done;
        done += octets == 0
            || ndisbridge_publish(session, net_luids[i], &values)
                == NDISBRIDGE_STATUS_SUCCESS;
    }
    return done;
}

/* Registers one more interface and deregisters it, n times. */
uint64_t registrations(ndisbridge_session *session,
    ndisbridge_provider provider, uint64_t net_luid, uint32_t n)
{
    ndisbridge_net_if_information facts = {
        .header = { NDISBRIDGE_OBJECT_TYPE_DEFAULT,
            NDISBRIDGE_OBJECT_REVISION_1, sizeof facts },
        .access_type = NDISBRIDGE_NET_IF_ACCESS_BROADCAST,
        .connection_type = NDISBRIDGE_NET_IF_CONNECTION_DEDICATED,
        .interface_guid = { UINT32_MAX, 0, 0, { 0 } }
    };
    uint64_t done = 0;

    for (uint32_t i = 0; i < n; i++) {
        uint32_t if_index = 0;

        done += !ndisbridge_register_interface(session, &if_index, provider,
            net_luid, &facts, sizeof facts, NULL);
        done += !ndisbridge_deregister_interface(
            session, if_index, NDISBRIDGE_TIMEOUT_DEFAULT);
    }
    return done;
}

/* ---- look-ups and OIDs ------------------------------------------------- */

/* The sum of the ifIndexes found. */
uint64_t find_if_indexes(ndisbridge_session *session,
    const uint64_t *net_luids, uint32_t count, uint32_t n)
{
    static uint32_t from;
    uint64_t sum = 0;

    for (uint32_t i = 0; i < n; i++) {
        uint32_t if_index;

        if (ndisbridge_get_interface_index_from_net_luid(
                session, &if_index, net_luids[next_of(&from, count)])
            == NDISBRIDGE_STATUS_SUCCESS)
            sum += if_index;
    }
    return sum;
}

/* The sum of the NET_LUID indexes found. */
uint64_t find_net_luids(ndisbridge_session *session,
    const uint32_t *if_indexes, uint32_t count, uint32_t n)
{
    static uint32_t from;
    uint64_t sum = 0;

    for (uint32_t i = 0; i < n; i++) {
        uint64_t net_luid;

        if (ndisbridge_get_net_luid_from_interface_index(
                session, &net_luid, if_indexes[next_of(&from, count)])
            == NDISBRIDGE_STATUS_SUCCESS)
            sum += net_luid >> 24 & NDISBRIDGE_NET_LUID_INDEX_MAX;
    }
    return sum;
}

uint64_t queries(ndisbridge_session *session, const uint64_t *net_luids,
    uint32_t count, uint32_t oid, uint32_t n)
{
    static _Thread_local uint32_t from;
    uint64_t sum = 0, value;

    for (uint32_t i = 0; i < n; i++) {
        uint32_t length = 8;

        if (ndisbridge_query(
                session, &value, &length, net_luids[next_of(&from, count)], oid)
            == NDISBRIDGE_STATUS_SUCCESS)
            sum += value;
    }
    return sum;
}

/* The same batch, so many times. */
uint64_t query_many(ndisbridge_session *session, const uint64_t *net_luids,
    uint32_t count, uint32_t oid, uint64_t *values, uint32_t *lengths,
    int32_t *statuses, uint32_t times)
{
    uint64_t done = 0;

    while (times-- > 0)
        if (ndisbridge_query_many(session, values, 8, lengths, statuses,
                net_luids, count, oid)
            == NDISBRIDGE_STATUS_SUCCESS)
            done += count;
    return done;
}

/* ---- the table --------------------------------------------------------- */

uint64_t table(ndisbridge_session *session, ndisbridge_mib_if_row2 *rows,
    uint32_t room)
{
    uint32_t count = room;

    return ndisbridge_get_if_table(
               session, rows, &count, NDISBRIDGE_IF_TABLE_NORMAL)
            == NDISBRIDGE_STATUS_SUCCESS
        ? count
        : 0;
}
