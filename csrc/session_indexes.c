/* SPDX-License-Identifier: MIT
 *
 * session_indexes.c - the public functions on NET_LUID indexes: check
 * arguments, call one layer, map to a status.
 */
#include "session.h"

#include <string.h>

#define MAX_INDEX NDISBRIDGE_NET_LUID_INDEX_MAX

ndisbridge_status ndisbridge_allocate_net_luid_index(
    ndisbridge_session *session, uint32_t *net_luid_index, uint16_t if_type)
{
    NB_SESSION_ENTER(session);
    NB_REQUIRE(net_luid_index != NULL && if_type != 0);
    return nb_pool_allocate(&session->pool, net_luid_index, if_type);
}

ndisbridge_status ndisbridge_try_allocate_net_luid_index(
    ndisbridge_session *session, uint32_t *net_luid_index, uint16_t if_type)
{
    NB_SESSION_ENTER(session);
    NB_REQUIRE(net_luid_index != NULL && if_type != 0);
    return nb_pool_try_allocate(&session->pool, net_luid_index, if_type);
}

ndisbridge_status ndisbridge_allocate_net_luid_indexes(
    ndisbridge_session *session, uint32_t *net_luid_indexes, uint32_t count,
    uint16_t if_type)
{
    NB_SESSION_ENTER(session);
    NB_REQUIRE((net_luid_indexes != NULL || count == 0) && if_type != 0);
    if (count > MAX_INDEX + 1)
        return NDISBRIDGE_STATUS_RESOURCES;
    return nb_pool_allocate_many(
        &session->pool, net_luid_indexes, count, if_type);
}

ndisbridge_status ndisbridge_try_allocate_net_luid_indexes(
    ndisbridge_session *session, uint32_t *net_luid_indexes, uint32_t count,
    uint16_t if_type)
{
    NB_SESSION_ENTER(session);
    NB_REQUIRE((net_luid_indexes != NULL || count == 0) && if_type != 0);
    return nb_pool_try_allocate_many(
        &session->pool, net_luid_indexes, count, if_type);
}

ndisbridge_status ndisbridge_claim_net_luid_index(
    ndisbridge_session *session, uint16_t if_type, uint32_t net_luid_index)
{
    NB_SESSION_ENTER(session);
    NB_REQUIRE(if_type != 0 && net_luid_index <= MAX_INDEX);
    return nb_pool_claim(&session->pool, if_type, net_luid_index);
}

ndisbridge_status ndisbridge_free_net_luid_index(
    ndisbridge_session *session, uint16_t if_type, uint32_t net_luid_index)
{
    NB_SESSION_ENTER(session);
    NB_REQUIRE(if_type != 0);
    return nb_pool_free(&session->pool, if_type, net_luid_index);
}

ndisbridge_status ndisbridge_free_net_luid_indexes(
    ndisbridge_session *session, uint32_t *freed, uint16_t if_type,
    const uint32_t *net_luid_indexes, uint32_t count)
{
    struct nb_space *space;
    uint32_t done = 0;

    if (freed != NULL)
        *freed = 0;
    NB_SESSION_ENTER(session);
    NB_REQUIRE((net_luid_indexes != NULL || count == 0) && if_type != 0);
    space = nb_pool_peek(&session->pool, if_type);
    if (space != NULL)
        done = nb_bitmap_free_many(&space->bitmap, net_luid_indexes, count);
    if (freed != NULL)
        *freed = done;
    return done == count ? NDISBRIDGE_STATUS_SUCCESS
                         : NDISBRIDGE_STATUS_INVALID_PARAMETER;
}

ndisbridge_status ndisbridge_test_net_luid_index(ndisbridge_session *session,
    uint32_t *state, uint16_t if_type, uint32_t net_luid_index)
{
    NB_SESSION_ENTER(session);
    NB_REQUIRE(
        state != NULL && if_type != 0 && net_luid_index <= MAX_INDEX);
    *state = nb_pool_test(&session->pool, if_type, net_luid_index);
    return NDISBRIDGE_STATUS_SUCCESS;
}

ndisbridge_status ndisbridge_count_net_luid_indexes(
    ndisbridge_session *session, ndisbridge_index_counts *counts,
    uint16_t if_type)
{
    struct nb_space *space;

    NB_SESSION_ENTER(session);
    NB_REQUIRE(counts != NULL && if_type != 0);
    memset(counts, 0, sizeof *counts);
    space = nb_pool_peek(&session->pool, if_type);
    if (space != NULL)
        nb_bitmap_count(&space->bitmap, counts);
    return NDISBRIDGE_STATUS_SUCCESS;
}

ndisbridge_status ndisbridge_trim(
    ndisbridge_session *session, uint32_t *returned)
{
    uint32_t count = 0;
    ndisbridge_status status;

    NB_SESSION_ENTER(session);
    status = nb_host_enter(&session->host, false);
    if (status != NDISBRIDGE_STATUS_SUCCESS)
        return status;
    status = nb_pool_trim(&session->pool, &count, 1);
    nb_host_leave(&session->host);
    if (returned != NULL && status == NDISBRIDGE_STATUS_SUCCESS)
        *returned = count;
    return status;
}

ndisbridge_status ndisbridge_allocate_if_index(
    ndisbridge_session *session, uint32_t *if_index)
{
    NB_SESSION_ENTER(session);
    NB_REQUIRE(if_index != NULL);
    return nb_pool_allocate_if_index(
        &session->pool, if_index, session->table.lowest);
}

ndisbridge_status ndisbridge_free_if_index(
    ndisbridge_session *session, uint32_t if_index)
{
    NB_SESSION_ENTER(session);
    NB_REQUIRE(nb_table_find_if_index(&session->table, if_index) == NULL);
    return nb_pool_free(&session->pool, NB_IF_INDEX_SPACE, if_index);
}
