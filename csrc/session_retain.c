/* SPDX-License-Identifier: MIT
 *
 * session_retain.c - the public functions that make indexes durable and give
 * them up for good.
 */
#include "index_sets.h"
#include "session.h"

/* Without a store, or for a non-persistent identity, what is retained is
 * held here, and its blocks stay pinned. */
static bool stays_held(const ndisbridge_session *session, uint32_t flags)
{
    return (flags & NDISBRIDGE_RETAIN_NON_PERSISTENT)
        || session->host.hooks.lease_blocks == NULL
        || session->host.hooks.retain == NULL;
}

typedef ndisbridge_status retain_hook(void *context,
    const ndisbridge_index_set *sets, uint32_t set_count, uint32_t flags,
    void *record);

static ndisbridge_status call_hook(ndisbridge_session *session,
    retain_hook *call, const struct nb_index_sets *sets, uint32_t flags,
    void *record)
{
    struct nb_hook hook;
    struct nb_host *host = &session->host;
    ndisbridge_status status;

    if (call == NULL)
        return NDISBRIDGE_STATUS_SUCCESS;
    status = nb_host_enter_hook(host, &hook, false);
    if (status == NDISBRIDGE_STATUS_SUCCESS) {
        status = call(host->hooks.context, sets->sets, sets->set_count,
            flags, record);
        nb_host_leave_hook(host, &hook);
    }
    return status;
}

static bool flags_known(uint32_t flags)
{
    return !(flags & ~(uint32_t)NDISBRIDGE_RETAIN_NON_PERSISTENT);
}

/* ---- retain ----------------------------------------------------------- */

static ndisbridge_status retain(ndisbridge_session *session,
    const struct nb_index_sets *sets, uint32_t flags, void *record)
{
    ndisbridge_status status;

    NB_REQUIRE(nb_sets_hold(sets, &session->pool));
    status = call_hook(
        session, session->host.hooks.retain, sets, flags, record);
    if (status != NDISBRIDGE_STATUS_SUCCESS)
        nb_sets_unhold(sets, &session->pool);
    else if (stays_held(session, flags))
        nb_sets_keep(sets, &session->pool);
    else
        nb_sets_settle(sets, &session->pool);
    return status;
}

ndisbridge_status ndisbridge_retain(ndisbridge_session *session,
    uint16_t if_type, const uint32_t *net_luid_indexes, uint32_t count,
    uint32_t if_index, uint32_t flags, void *record)
{
    struct nb_index_sets sets;
    ndisbridge_status status;

    NB_SESSION_ENTER(session);
    NB_REQUIRE(if_type != 0 && (net_luid_indexes != NULL || count == 0)
        && if_index <= NDISBRIDGE_NET_LUID_INDEX_MAX && flags_known(flags));
    status = nb_sets_of_indexes(&sets, &session->host.memory, if_type,
        net_luid_indexes, count, if_index);
    if (status != NDISBRIDGE_STATUS_SUCCESS)
        return status;
    status = retain(session, &sets, flags, record);
    nb_sets_free(&sets);
    return status;
}

ndisbridge_status ndisbridge_retain_net_luids(ndisbridge_session *session,
    const ndisbridge_net_luid *net_luids, uint32_t count, uint32_t flags,
    void *record)
{
    struct nb_index_sets sets;
    ndisbridge_status status;

    NB_SESSION_ENTER(session);
    NB_REQUIRE(net_luids != NULL && count > 0
        && count <= NDISBRIDGE_NET_LUID_INDEX_MAX && flags_known(flags));
    status = nb_sets_of_net_luids(
        &sets, &session->host.memory, net_luids, count);
    if (status != NDISBRIDGE_STATUS_SUCCESS)
        return status;
    status = retain(session, &sets, flags, record);
    nb_sets_free(&sets);
    return status;
}

/* ---- release ---------------------------------------------------------- */

static ndisbridge_status release_held(ndisbridge_session *session,
    const struct nb_index_sets *sets, struct nb_release *release,
    uint32_t flags, void *record)
{
    bool kept = nb_sets_unkeep(sets, &session->pool);
    ndisbridge_status status = NDISBRIDGE_STATUS_INVALID_PARAMETER;

    if (kept)
        status = call_hook(
            session, session->host.hooks.release, sets, flags, record);
    pthread_mutex_lock(&session->table.writer);
    if (status == NDISBRIDGE_STATUS_SUCCESS)
        nb_sets_free_held(sets, &session->pool);
    else if (kept)
        nb_sets_keep(sets, &session->pool);
    nb_table_end_release(&session->table, release);
    pthread_mutex_unlock(&session->table.writer);
    return status;
}

static ndisbridge_status release_stored(ndisbridge_session *session,
    const struct nb_index_sets *sets, struct nb_release *release,
    uint32_t flags, void *record)
{
    struct nb_sets_release way;
    ndisbridge_status status =
        nb_sets_begin_release(sets, &session->pool, &way);
    bool begun = status == NDISBRIDGE_STATUS_SUCCESS;

    if (begun)
        status = call_hook(
            session, session->host.hooks.release, sets, flags, record);
    pthread_mutex_lock(&session->table.writer);
    if (begun)
        nb_sets_end_release(sets, &session->pool, &way,
            status == NDISBRIDGE_STATUS_SUCCESS);
    nb_table_end_release(&session->table, release);
    pthread_mutex_unlock(&session->table.writer);
    return status;
}

ndisbridge_status ndisbridge_release(ndisbridge_session *session,
    uint16_t if_type, const uint32_t *net_luid_indexes, uint32_t count,
    uint32_t if_index, uint32_t flags, void *record)
{
    struct nb_index_sets sets;
    struct nb_release release;
    ndisbridge_status status;

    NB_SESSION_ENTER(session);
    NB_REQUIRE(if_type != 0 && (net_luid_indexes != NULL || count == 0)
        && if_index <= NDISBRIDGE_NET_LUID_INDEX_MAX && flags_known(flags));
    status = nb_sets_of_indexes(&sets, &session->host.memory, if_type,
        net_luid_indexes, count, if_index);
    if (status != NDISBRIDGE_STATUS_SUCCESS)
        return status;
    release.sets = sets.sets;
    release.set_count = sets.set_count;
    status = nb_table_begin_release(&session->table, &release);
    if (status == NDISBRIDGE_STATUS_SUCCESS)
        status = stays_held(session, flags)
            ? release_held(session, &sets, &release, flags, record)
            : release_stored(session, &sets, &release, flags, record);
    nb_sets_free(&sets);
    return status;
}
