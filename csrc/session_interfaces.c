/* SPDX-License-Identifier: MIT
 *
 * session_interfaces.c - the public functions that register, deregister and
 * find interfaces.
 *
 * A registration goes through four steps, all of a batch through one before
 * any goes through the next: its NET_LUID is reserved in the table, then
 * held if it is allocated here; what is not is confirmed by the store, in
 * one call for all; then it is opened under its ifIndex.
 */
#include "session.h"

#include <string.h>

/* ---- register --------------------------------------------------------- */

/* What a registration has taken that its failure gives back. */
enum progress { NOTHING, RESERVED, HOLDS_NET_LUID, NEEDS_CONFIRM };

struct item {
    struct nb_interface *made;
    enum progress progress;
};

/* One call's worth of registrations. */
struct batch {
    ndisbridge_session *session;
    const struct nb_provider *provider;
    nb_atomic_u32 *provider_interfaces;
    /* The caller's. */
    uint32_t *if_indexes;
    ndisbridge_status *statuses;
    const ndisbridge_net_luid *net_luids;
    const uint8_t *information;
    uint32_t stride;
    void *const *contexts;
    uint32_t count;
    /* Of this call: of each, and what the confirm hook is given. */
    struct item *items;
    ndisbridge_net_luid *to_confirm;
    uint32_t *to_confirm_if_indexes;
};

static uint16_t if_type_of(ndisbridge_net_luid net_luid)
{
    return (uint16_t)(net_luid >> 48);
}

static uint32_t index_of(ndisbridge_net_luid net_luid)
{
    return (uint32_t)(net_luid >> 24) & NDISBRIDGE_NET_LUID_INDEX_MAX;
}

/* Checks one, and reserves its NET_LUID. */
static ndisbridge_status reserve(struct batch *batch, uint32_t i)
{
    const ndisbridge_net_if_information *information =
        (const void *)(batch->information + (size_t)i * batch->stride);
    ndisbridge_net_luid net_luid = batch->net_luids[i];
    ndisbridge_mib_if_row2 row;
    ndisbridge_interface_information values;
    struct nb_registration registration = {
        .provider = batch->provider,
        .provider_interfaces = batch->provider_interfaces,
        .context = batch->contexts == NULL ? NULL : batch->contexts[i],
        .net_luid = net_luid,
        .flags = information->flags,
        .row = &row,
        .information = &values,
    };
    ndisbridge_status status;

    if (!nb_header_is(&information->header, sizeof *information))
        return NDISBRIDGE_STATUS_NOT_SUPPORTED;
    NB_REQUIRE(net_luid >> 48 != 0 && (net_luid & 0xFFFFFF) == 0);
    NB_REQUIRE(batch->if_indexes[i] <= NDISBRIDGE_IF_INDEX_MAX);
    NB_REQUIRE(nb_values_from_registration(
        &row, &values, net_luid, information, batch->stride));
    status = nb_table_reserve(
        &batch->session->table, &registration, &batch->items[i].made);
    if (status == NDISBRIDGE_STATUS_SUCCESS)
        batch->items[i].progress = RESERVED;
    return status;
}

/* Finds out why a reserved NET_LUID may be registered: allocated here, or
 * retained, which the store must confirm. */
static ndisbridge_status hold(struct batch *batch, uint32_t i)
{
    const ndisbridge_persistence_hooks *hooks = &batch->session->host.hooks;
    struct item *item = &batch->items[i];
    ndisbridge_net_luid net_luid = batch->net_luids[i];
    struct nb_pool *pool = &batch->session->pool;

    if (nb_pool_hold_one(pool, if_type_of(net_luid), index_of(net_luid))) {
        item->progress = HOLDS_NET_LUID;
        item->made->holds_net_luid = true;
        return NDISBRIDGE_STATUS_SUCCESS;
    }
    /* What is leased from no store is retained here or nowhere. */
    if (hooks->lease_blocks == NULL || hooks->retain == NULL) {
        if (!nb_pool_is_kept(pool, if_type_of(net_luid), index_of(net_luid)))
            return NDISBRIDGE_STATUS_INVALID_PARAMETER;
    } else if (hooks->confirm == NULL
        && nb_pool_test(pool, if_type_of(net_luid), index_of(net_luid))
            != NDISBRIDGE_INDEX_RETAINED) {
        return NDISBRIDGE_STATUS_INVALID_PARAMETER;
    }
    if (hooks->confirm != NULL)
        item->progress = NEEDS_CONFIRM;
    return NDISBRIDGE_STATUS_SUCCESS;
}

/* Asks the store for all that need it, in one call. */
static void confirm(struct batch *batch)
{
    struct nb_hook hook;
    struct nb_host *host = &batch->session->host;
    ndisbridge_status status;
    uint32_t n = 0;

    for (uint32_t i = 0; i < batch->count; i++) {
        if (batch->items[i].progress != NEEDS_CONFIRM)
            continue;
        batch->to_confirm[n] = batch->net_luids[i];
        batch->to_confirm_if_indexes[n++] = batch->if_indexes[i];
    }
    if (n == 0)
        return;
    status = nb_host_enter_hook(host, &hook, false);
    if (status == NDISBRIDGE_STATUS_SUCCESS) {
        status = host->hooks.confirm(host->hooks.context, batch->to_confirm,
            batch->to_confirm_if_indexes, n);
        nb_host_leave_hook(host, &hook);
    }
    for (uint32_t i = 0; i < batch->count; i++) {
        struct item *item = &batch->items[i];

        if (item->progress != NEEDS_CONFIRM)
            continue;
        item->made->confirmed = status == NDISBRIDGE_STATUS_SUCCESS;
        if (status != NDISBRIDGE_STATUS_SUCCESS) {
            batch->statuses[i] = status;
            item->progress = RESERVED;
        }
    }
}

static void give_back(struct batch *batch, uint32_t i)
{
    struct nb_hook hook;
    struct nb_host *host = &batch->session->host;
    struct item *item = &batch->items[i];
    ndisbridge_net_luid net_luid = batch->net_luids[i];

    if (item->progress == HOLDS_NET_LUID)
        nb_pool_unhold_one(&batch->session->pool, if_type_of(net_luid),
            index_of(net_luid));
    if (item->progress == NEEDS_CONFIRM
        && NB_ALWAYS(nb_host_enter_hook(host, &hook, true)
            == NDISBRIDGE_STATUS_SUCCESS)) {
        host->hooks.unconfirm(host->hooks.context, &net_luid, 1);
        nb_host_leave_hook(host, &hook);
    }
    if (item->progress != NOTHING)
        nb_table_cancel(&batch->session->table, item->made);
}

/* Between nb_host_enter() and _leave(), so that a session that closes finds
 * the interfaces in its table, and their marks in the store, or not at
 * all. */
static ndisbridge_status register_batch(struct batch *batch)
{
    ndisbridge_status result = NDISBRIDGE_STATUS_SUCCESS;

    for (uint32_t i = 0; i < batch->count; i++) {
        batch->items[i].progress = NOTHING;
        batch->statuses[i] = reserve(batch, i);
        if (batch->statuses[i] == NDISBRIDGE_STATUS_SUCCESS)
            batch->statuses[i] = hold(batch, i);
    }
    confirm(batch);
    for (uint32_t i = 0; i < batch->count; i++) {
        if (batch->statuses[i] == NDISBRIDGE_STATUS_SUCCESS)
            batch->statuses[i] = nb_table_open(&batch->session->table,
                batch->items[i].made, &batch->if_indexes[i]);
        if (batch->statuses[i] != NDISBRIDGE_STATUS_SUCCESS) {
            give_back(batch, i);
            result = NDISBRIDGE_STATUS_FAILURE;
        }
    }
    return result;
}

/* The batch of a provider that cannot be deregistered meanwhile. */
static ndisbridge_status register_for(
    struct batch *batch, ndisbridge_provider provider)
{
    ndisbridge_status status;

    if (!nb_session_hold_provider(batch->session, provider, &batch->provider,
            &batch->provider_interfaces))
        return NDISBRIDGE_STATUS_INVALID_PARAMETER;
    status = register_batch(batch);
    nb_fetch_sub(batch->provider_interfaces, 1);
    return status;
}

ndisbridge_status ndisbridge_register_interface(ndisbridge_session *session,
    uint32_t *if_index, ndisbridge_provider provider,
    ndisbridge_net_luid net_luid,
    const ndisbridge_net_if_information *information,
    uint32_t information_length, void *provider_if_context)
{
    ndisbridge_status status, own = NDISBRIDGE_STATUS_SUCCESS;
    ndisbridge_net_luid to_confirm;
    uint32_t assigned, wanted;
    struct item item;
    struct batch batch = { .session = session, .if_indexes = &assigned,
        .statuses = &own, .net_luids = &net_luid,
        .information = (const uint8_t *)information,
        .stride = information_length, .contexts = &provider_if_context,
        .count = 1, .items = &item, .to_confirm = &to_confirm,
        .to_confirm_if_indexes = &wanted };

    NB_SESSION_ENTER(session);
    NB_REQUIRE(if_index != NULL && information != NULL
        && information_length >= sizeof *information);
    assigned = *if_index;
    status = nb_host_enter(&session->host, false);
    if (status != NDISBRIDGE_STATUS_SUCCESS)
        return status;
    status = register_for(&batch, provider);
    nb_host_leave(&session->host);
    if (status == NDISBRIDGE_STATUS_SUCCESS)
        *if_index = assigned;
    return own != NDISBRIDGE_STATUS_SUCCESS ? own : status;
}

/* With memory for what each of the batch needs. */
static ndisbridge_status register_many(
    struct batch *batch, ndisbridge_provider provider)
{
    const struct nb_memory *memory = &batch->session->host.memory;
    const size_t each = sizeof *batch->items + sizeof *batch->to_confirm
        + sizeof *batch->to_confirm_if_indexes;
    ndisbridge_status status = NDISBRIDGE_STATUS_RESOURCES;

    batch->items = nb_allocate(memory, batch->count * each);
    if (batch->items == NULL)
        return status;
    batch->to_confirm = (ndisbridge_net_luid *)(batch->items + batch->count);
    batch->to_confirm_if_indexes =
        (uint32_t *)(batch->to_confirm + batch->count);
    status = register_for(batch, provider);
    nb_deallocate(memory, batch->items, batch->count * each);
    return status;
}

ndisbridge_status ndisbridge_register_interfaces(ndisbridge_session *session,
    uint32_t *if_indexes, ndisbridge_status *statuses,
    ndisbridge_provider provider, const ndisbridge_net_luid *net_luids,
    const void *information, uint32_t information_stride,
    void *const *provider_if_contexts, uint32_t count)
{
    ndisbridge_status status = nb_session_check(session);
    struct batch batch = { .session = session, .if_indexes = if_indexes,
        .statuses = statuses, .net_luids = net_luids,
        .information = information, .stride = information_stride,
        .contexts = provider_if_contexts, .count = count };

    if (status == NDISBRIDGE_STATUS_SUCCESS && count == 0)
        return status;
    NB_REQUIRE(if_indexes != NULL && statuses != NULL);
    if (status == NDISBRIDGE_STATUS_SUCCESS
        && (net_luids == NULL || information == NULL
            || information_stride % 4 != 0
            || information_stride < sizeof(ndisbridge_net_if_information)))
        status = NDISBRIDGE_STATUS_INVALID_PARAMETER;
    if (status == NDISBRIDGE_STATUS_SUCCESS)
        status = nb_host_enter(&session->host, false);
    if (status == NDISBRIDGE_STATUS_SUCCESS) {
        status = register_many(&batch, provider);
        nb_host_leave(&session->host);
    }
    for (uint32_t i = 0; i < count; i++) {
        /* Nothing was tried: then all have failed for the same reason. */
        if (status != NDISBRIDGE_STATUS_SUCCESS
            && status != NDISBRIDGE_STATUS_FAILURE)
            statuses[i] = status;
        if (statuses[i] != NDISBRIDGE_STATUS_SUCCESS)
            if_indexes[i] = NDISBRIDGE_IF_INDEX_UNSPECIFIED;
    }
    return status;
}

ndisbridge_status ndisbridge_deregister_interface(
    ndisbridge_session *session, uint32_t if_index, uint32_t timeout_ms)
{
    NB_SESSION_ENTER(session);
    return nb_table_deregister(&session->table, if_index,
        nb_session_timeout(session, timeout_ms));
}

/* ---- look up ---------------------------------------------------------- */

/* ifIndex and NET_LUID of a record, if it is what was looked for. */
static bool read_ids(struct nb_interface *interface, uint32_t *if_index,
    ndisbridge_net_luid *net_luid)
{
    uint64_t before, after;

    if (interface == NULL)
        return false;
    do {
        before = nb_load_acquire(&interface->sequence);
        *net_luid = nb_load_acquire(&interface->net_luid);
        *if_index = nb_load_acquire(&interface->if_index);
        after = nb_load_acquire(&interface->rundown);
    } while ((before & 1)
        || nb_load_relaxed(&interface->sequence) != before);
    return !(after & NB_RUNDOWN_CLOSED);
}

ndisbridge_status ndisbridge_get_interface_index_from_net_luid(
    ndisbridge_session *session, uint32_t *if_index,
    ndisbridge_net_luid net_luid)
{
    ndisbridge_net_luid found;

    NB_REQUIRE(if_index != NULL);
    *if_index = NDISBRIDGE_IF_INDEX_UNSPECIFIED;
    NB_SESSION_ENTER(session);
    if (read_ids(nb_table_find(&session->table, net_luid), if_index, &found)
        && found == net_luid)
        return NDISBRIDGE_STATUS_SUCCESS;
    *if_index = NDISBRIDGE_IF_INDEX_UNSPECIFIED;
    return NDISBRIDGE_STATUS_INTERFACE_NOT_FOUND;
}

ndisbridge_status ndisbridge_get_net_luid_from_interface_index(
    ndisbridge_session *session, ndisbridge_net_luid *net_luid,
    uint32_t if_index)
{
    uint32_t found;

    NB_REQUIRE(net_luid != NULL);
    *net_luid = NDISBRIDGE_NET_LUID_UNSPECIFIED;
    NB_SESSION_ENTER(session);
    if (read_ids(nb_table_find_if_index(&session->table, if_index), &found,
            net_luid)
        && found == if_index)
        return NDISBRIDGE_STATUS_SUCCESS;
    *net_luid = NDISBRIDGE_NET_LUID_UNSPECIFIED;
    return NDISBRIDGE_STATUS_INTERFACE_NOT_FOUND;
}

uint32_t ndisbridge_interface_count(ndisbridge_session *session)
{
    return nb_session_check(session) == NDISBRIDGE_STATUS_SUCCESS
        ? nb_load_relaxed(&session->table.count)
        : 0;
}
