/* SPDX-License-Identifier: MIT
 *
 * session_interfaces.c - the public functions on providers, interfaces, the
 * interface stack and OIDs: check arguments, call one layer, map to a
 * status.
 */
#include "session.h"

#include <string.h>

/* ---- providers -------------------------------------------------------- */

void nb_session_free_providers(ndisbridge_session *session)
{
    const struct nb_memory *memory = &session->host.memory;

    for (uint32_t i = 0; i < session->provider_capacity; i++) {
        struct nb_provider_entry *entry = &session->providers[i];

        nb_deallocate(memory, entry->provider, sizeof *entry->provider);
        nb_deallocate(
            memory, entry->interfaces, sizeof *entry->interfaces);
    }
    nb_deallocate(memory, session->providers,
        session->provider_capacity * sizeof *session->providers);
}

static bool grow_providers(ndisbridge_session *session)
{
    const struct nb_memory *memory = &session->host.memory;
    uint32_t before = session->provider_capacity;
    uint32_t capacity = before == 0 ? 8 : before * 2;
    struct nb_provider_entry *grown =
        nb_allocate(memory, capacity * sizeof *grown);

    if (grown == NULL)
        return false;
    if (before != 0)
        memcpy(grown, session->providers, before * sizeof *grown);
    nb_deallocate(
        memory, session->providers, before * sizeof *session->providers);
    session->providers = grown;
    session->provider_capacity = capacity;
    return true;
}

/* Under providers_lock. */
static ndisbridge_status insert_provider(ndisbridge_session *session,
    ndisbridge_provider *handle, struct nb_provider *provider)
{
    const struct nb_memory *memory = &session->host.memory;
    struct nb_provider_entry *entry;
    uint32_t slot = 0;

    while (slot < session->provider_capacity
        && session->providers[slot].provider != NULL)
        slot++;
    if (slot == session->provider_capacity && !grow_providers(session))
        return NDISBRIDGE_STATUS_RESOURCES;
    entry = &session->providers[slot];
    if (entry->interfaces == NULL)
        entry->interfaces = nb_allocate(memory, sizeof *entry->interfaces);
    if (entry->interfaces == NULL)
        return NDISBRIDGE_STATUS_RESOURCES;
    entry->provider = provider;
    entry->generation++;
    *handle = (uint64_t)entry->generation << 32 | (slot + 1);
    return NDISBRIDGE_STATUS_SUCCESS;
}

static bool header_is(const ndisbridge_object_header *header, size_t size)
{
    return header->type == NDISBRIDGE_OBJECT_TYPE_DEFAULT
        && header->revision == NDISBRIDGE_OBJECT_REVISION_1
        && header->size >= size;
}

ndisbridge_status ndisbridge_register_provider(ndisbridge_session *session,
    ndisbridge_provider *provider,
    const ndisbridge_if_provider_characteristics *characteristics,
    uint32_t flags, const ndisbridge_oid_handler *handlers, uint32_t count)
{
    struct nb_provider *made;
    ndisbridge_status status = NDISBRIDGE_STATUS_INVALID_PARAMETER;

    NB_SESSION_ENTER(session);
    NB_REQUIRE(provider != NULL && characteristics != NULL);
    if (!header_is(&characteristics->header, sizeof *characteristics))
        return NDISBRIDGE_STATUS_NOT_SUPPORTED;
    NB_REQUIRE(characteristics->reserved1 == NULL
        && characteristics->reserved2 == NULL);
    NB_REQUIRE(characteristics->query_object_handler != NULL || count > 0);
    NB_REQUIRE(handlers != NULL || count == 0);
    made = nb_allocate(&session->host.memory, sizeof *made);
    if (made == NULL)
        return NDISBRIDGE_STATUS_RESOURCES;
    if (nb_provider_fill(made, characteristics, flags, handlers, count)) {
        pthread_mutex_lock(&session->providers_lock);
        status = insert_provider(session, provider, made);
        pthread_mutex_unlock(&session->providers_lock);
    }
    if (status != NDISBRIDGE_STATUS_SUCCESS)
        nb_deallocate(&session->host.memory, made, sizeof *made);
    return status;
}

/* Under providers_lock. */
static struct nb_provider_entry *find_provider(
    ndisbridge_session *session, ndisbridge_provider handle)
{
    uint32_t slot = (uint32_t)handle - 1;
    struct nb_provider_entry *entry;

    if (slot >= session->provider_capacity)
        return NULL;
    entry = &session->providers[slot];
    return entry->provider != NULL && entry->generation == handle >> 32
        ? entry
        : NULL;
}

ndisbridge_status ndisbridge_deregister_provider(
    ndisbridge_session *session, ndisbridge_provider provider)
{
    ndisbridge_status status = NDISBRIDGE_STATUS_INVALID_PARAMETER;
    struct nb_provider_entry *entry;

    NB_SESSION_ENTER(session);
    pthread_mutex_lock(&session->providers_lock);
    entry = find_provider(session, provider);
    if (entry != NULL && nb_load(entry->interfaces) != 0) {
        status = NDISBRIDGE_STATUS_PROVIDER_HAS_INTERFACES;
    } else if (entry != NULL) {
        nb_deallocate(&session->host.memory, entry->provider,
            sizeof *entry->provider);
        entry->provider = NULL;
        status = NDISBRIDGE_STATUS_SUCCESS;
    }
    pthread_mutex_unlock(&session->providers_lock);
    return status;
}

/* ---- register --------------------------------------------------------- */

/* How far the registration of one interface has come. */
enum progress { NOTHING, HOLDS_NET_LUID, NEEDS_CONFIRM };

/* One call's worth of registrations; the arrays are the caller's. */
struct batch {
    ndisbridge_session *session;
    const struct nb_provider *provider;
    nb_atomic_u32 *provider_interfaces;
    uint32_t *if_indexes;
    ndisbridge_status *statuses;
    const ndisbridge_net_luid *net_luids;
    const uint8_t *information;
    uint32_t stride;
    void *const *contexts;
    uint32_t count;
    uint8_t *progress;  /* of each */
};

static struct nb_bitmap *bitmap_of(
    ndisbridge_session *session, ndisbridge_net_luid net_luid)
{
    struct nb_space *space =
        nb_pool_peek(&session->pool, (uint16_t)(net_luid >> 48));

    return space == NULL ? NULL : &space->bitmap;
}

static uint32_t index_of(ndisbridge_net_luid net_luid)
{
    return (uint32_t)(net_luid >> 24) & NDISBRIDGE_NET_LUID_INDEX_MAX;
}

/* Checks one, and holds its NET_LUID if it is allocated here. */
static ndisbridge_status prepare(struct batch *batch, uint32_t i)
{
    const ndisbridge_net_if_information *information =
        (const void *)(batch->information + (size_t)i * batch->stride);
    ndisbridge_net_luid net_luid = batch->net_luids[i];
    struct nb_bitmap *bitmap = bitmap_of(batch->session, net_luid);

    if (!header_is(&information->header, sizeof *information))
        return NDISBRIDGE_STATUS_NOT_SUPPORTED;
    NB_REQUIRE(net_luid >> 48 != 0 && (net_luid & 0xFFFFFF) == 0);
    NB_REQUIRE(batch->if_indexes[i] <= NDISBRIDGE_IF_INDEX_MAX);
    if (nb_table_find(&batch->session->table, net_luid) != NULL)
        return NDISBRIDGE_STATUS_DUPLICATE_OBJECTID;
    if (bitmap != NULL && nb_bitmap_hold_one(bitmap, index_of(net_luid))) {
        batch->progress[i] = HOLDS_NET_LUID;
        return NDISBRIDGE_STATUS_SUCCESS;
    }
    if (batch->session->host.hooks.confirm == NULL)
        /* Retained without a store: held here, by nobody registered. */
        return bitmap != NULL
                && nb_bitmap_test(bitmap, index_of(net_luid))
                    == NDISBRIDGE_INDEX_RETAINED
            ? NDISBRIDGE_STATUS_SUCCESS
            : NDISBRIDGE_STATUS_INVALID_PARAMETER;
    batch->progress[i] = NEEDS_CONFIRM;
    return NDISBRIDGE_STATUS_SUCCESS;
}

/* Asks the store for all that need it, in one call. */
static void confirm(struct batch *batch, ndisbridge_net_luid *net_luids,
    uint32_t *if_indexes)
{
    struct nb_hook hook;
    struct nb_host *host = &batch->session->host;
    ndisbridge_status status;
    uint32_t n = 0;

    for (uint32_t i = 0; i < batch->count; i++) {
        if (batch->progress[i] != NEEDS_CONFIRM)
            continue;
        net_luids[n] = batch->net_luids[i];
        if_indexes[n++] = batch->if_indexes[i];
    }
    if (n == 0)
        return;
    status = nb_host_enter_hook(host, &hook, false);
    if (status == NDISBRIDGE_STATUS_SUCCESS) {
        status = host->hooks.confirm(
            host->hooks.context, net_luids, if_indexes, n);
        nb_host_leave_hook(host, &hook);
    }
    for (uint32_t i = 0; i < batch->count; i++) {
        if (batch->progress[i] != NEEDS_CONFIRM)
            continue;
        if (status != NDISBRIDGE_STATUS_SUCCESS) {
            batch->statuses[i] = status;
            batch->progress[i] = NOTHING;
        }
    }
}

static ndisbridge_status insert(struct batch *batch, uint32_t i)
{
    const ndisbridge_net_if_information *information =
        (const void *)(batch->information + (size_t)i * batch->stride);
    ndisbridge_mib_if_row2 row;
    ndisbridge_interface_information values;
    struct nb_registration registration = {
        .provider = batch->provider,
        .provider_interfaces = batch->provider_interfaces,
        .context = batch->contexts == NULL ? NULL : batch->contexts[i],
        .net_luid = batch->net_luids[i],
        .if_index = batch->if_indexes[i],
        .flags = information->flags,
        .holds_net_luid = batch->progress[i] == HOLDS_NET_LUID,
        .confirmed = batch->progress[i] == NEEDS_CONFIRM,
        .row = &row,
        .information = &values,
    };
    ndisbridge_status status;

    NB_REQUIRE(nb_values_from_registration(&row, &values,
        registration.net_luid, information, batch->stride));
    status = nb_table_register(&batch->session->table, &registration);
    if (status == NDISBRIDGE_STATUS_SUCCESS)
        batch->if_indexes[i] = registration.if_index;
    return status;
}

/* Gives back what prepare() and confirm() took for one that failed.  A
 * duplicate's mark stays: it is the mark of the one that is registered. */
static void give_back(struct batch *batch, uint32_t i)
{
    struct nb_hook hook;
    struct nb_host *host = &batch->session->host;
    ndisbridge_net_luid net_luid = batch->net_luids[i];

    if (batch->progress[i] == HOLDS_NET_LUID)
        nb_bitmap_unhold_one(
            bitmap_of(batch->session, net_luid), index_of(net_luid));
    if (batch->progress[i] == NEEDS_CONFIRM
        && batch->statuses[i] != NDISBRIDGE_STATUS_DUPLICATE_OBJECTID
        && host->hooks.unconfirm != NULL
        && nb_host_enter_hook(host, &hook, true) == NDISBRIDGE_STATUS_SUCCESS) {
        host->hooks.unconfirm(host->hooks.context, &net_luid, 1);
        nb_host_leave_hook(host, &hook);
    }
}

/* Between nb_host_enter() and _leave(), so that a session that closes finds
 * the interfaces in its table, and their marks in the store, or not at
 * all. */
static ndisbridge_status register_batch(struct batch *batch,
    ndisbridge_net_luid *net_luids, uint32_t *if_indexes)
{
    ndisbridge_status result = NDISBRIDGE_STATUS_SUCCESS;

    for (uint32_t i = 0; i < batch->count; i++)
        batch->statuses[i] = prepare(batch, i);
    confirm(batch, net_luids, if_indexes);
    for (uint32_t i = 0; i < batch->count; i++) {
        if (batch->statuses[i] == NDISBRIDGE_STATUS_SUCCESS) {
            batch->statuses[i] = insert(batch, i);
            if (batch->statuses[i] != NDISBRIDGE_STATUS_SUCCESS)
                give_back(batch, i);
        }
        if (batch->statuses[i] != NDISBRIDGE_STATUS_SUCCESS)
            result = NDISBRIDGE_STATUS_FAILURE;
    }
    return result;
}

/* Finds the provider and keeps it from being deregistered meanwhile. */
static bool hold_provider(
    struct batch *batch, ndisbridge_provider provider)
{
    ndisbridge_session *session = batch->session;
    struct nb_provider_entry *entry;

    pthread_mutex_lock(&session->providers_lock);
    entry = find_provider(session, provider);
    if (entry != NULL) {
        batch->provider = entry->provider;
        batch->provider_interfaces = entry->interfaces;
        nb_fetch_add(entry->interfaces, 1);
    }
    pthread_mutex_unlock(&session->providers_lock);
    return entry != NULL;
}

ndisbridge_status ndisbridge_register_interface(ndisbridge_session *session,
    uint32_t *if_index, ndisbridge_provider provider,
    ndisbridge_net_luid net_luid,
    const ndisbridge_net_if_information *information,
    uint32_t information_length, void *provider_if_context)
{
    ndisbridge_status status;
    ndisbridge_net_luid confirmed;
    uint32_t assigned, wanted;
    uint8_t progress = NOTHING;
    struct batch batch = { .session = session, .if_indexes = &assigned,
        .statuses = &status, .net_luids = &net_luid,
        .information = (const uint8_t *)information,
        .stride = information_length, .contexts = &provider_if_context,
        .count = 1, .progress = &progress };

    NB_SESSION_ENTER(session);
    NB_REQUIRE(if_index != NULL && information != NULL
        && information_length >= sizeof *information);
    assigned = *if_index;
    status = nb_host_enter(&session->host, false);
    if (status != NDISBRIDGE_STATUS_SUCCESS)
        return status;
    if (hold_provider(&batch, provider)) {
        register_batch(&batch, &confirmed, &wanted);
        nb_fetch_sub(batch.provider_interfaces, 1);
    } else {
        status = NDISBRIDGE_STATUS_INVALID_PARAMETER;
    }
    nb_host_leave(&session->host);
    if (status == NDISBRIDGE_STATUS_SUCCESS)
        *if_index = assigned;
    return status;
}

ndisbridge_status ndisbridge_register_interfaces(ndisbridge_session *session,
    uint32_t *if_indexes, ndisbridge_status *statuses,
    ndisbridge_provider provider, const ndisbridge_net_luid *net_luids,
    const void *information, uint32_t information_stride,
    void *const *provider_if_contexts, uint32_t count)
{
    const struct nb_memory *memory;
    size_t size = count * (sizeof(ndisbridge_net_luid) + sizeof(uint32_t) + 1);
    ndisbridge_net_luid *confirmed;
    ndisbridge_status status;
    struct batch batch = { .session = session, .if_indexes = if_indexes,
        .statuses = statuses, .net_luids = net_luids,
        .information = information, .stride = information_stride,
        .contexts = provider_if_contexts, .count = count };

    NB_SESSION_ENTER(session);
    memory = &session->host.memory;
    if (count == 0)
        return NDISBRIDGE_STATUS_SUCCESS;
    NB_REQUIRE(if_indexes != NULL && statuses != NULL && net_luids != NULL
        && information != NULL && information_stride % 4 == 0
        && information_stride >= sizeof(ndisbridge_net_if_information));
    status = nb_host_enter(&session->host, false);
    if (status != NDISBRIDGE_STATUS_SUCCESS)
        return status;
    confirmed = nb_allocate(memory, size);
    if (confirmed == NULL) {
        nb_host_leave(&session->host);
        return NDISBRIDGE_STATUS_RESOURCES;
    }
    batch.progress = (uint8_t *)(confirmed + count) + count * sizeof(uint32_t);
    if (hold_provider(&batch, provider)) {
        status = register_batch(
            &batch, confirmed, (uint32_t *)(confirmed + count));
        nb_fetch_sub(batch.provider_interfaces, 1);
        for (uint32_t i = 0; i < count; i++)
            if (statuses[i] != NDISBRIDGE_STATUS_SUCCESS)
                if_indexes[i] = 0;
    } else {
        status = NDISBRIDGE_STATUS_INVALID_PARAMETER;
    }
    nb_deallocate(memory, confirmed, size);
    nb_host_leave(&session->host);
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

    NB_SESSION_ENTER(session);
    NB_REQUIRE(if_index != NULL);
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

    NB_SESSION_ENTER(session);
    NB_REQUIRE(net_luid != NULL);
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

ndisbridge_status ndisbridge_query_binding_if_index(
    ndisbridge_session *session, uint32_t *bound_if_index,
    ndisbridge_net_luid *bound_if_net_luid, uint32_t *lowest_if_index,
    ndisbridge_net_luid *lowest_if_net_luid, uint32_t if_index)
{
    ndisbridge_net_luid bound_luid, lowest_luid;
    uint32_t bound, lowest;
    ndisbridge_status status;

    NB_SESSION_ENTER(session);
    NB_REQUIRE(bound_if_index != NULL && bound_if_net_luid != NULL
        && lowest_if_index != NULL && lowest_if_net_luid != NULL);
    status = nb_stack_binding(&session->stack, if_index, &bound, &lowest);
    if (status == NDISBRIDGE_STATUS_SUCCESS)
        status = ndisbridge_get_net_luid_from_interface_index(
            session, &bound_luid, bound);
    if (status == NDISBRIDGE_STATUS_SUCCESS)
        status = ndisbridge_get_net_luid_from_interface_index(
            session, &lowest_luid, lowest);
    if (status != NDISBRIDGE_STATUS_SUCCESS)
        return status;
    *bound_if_index = bound;
    *bound_if_net_luid = bound_luid;
    *lowest_if_index = lowest;
    *lowest_if_net_luid = lowest_luid;
    return NDISBRIDGE_STATUS_SUCCESS;
}

/* ---- stack ------------------------------------------------------------ */

ndisbridge_status ndisbridge_add_if_stack_entry(ndisbridge_session *session,
    uint32_t higher_layer_if_index, uint32_t lower_layer_if_index)
{
    NB_SESSION_ENTER(session);
    return nb_stack_add(
        &session->stack, higher_layer_if_index, lower_layer_if_index);
}

ndisbridge_status ndisbridge_delete_if_stack_entry(
    ndisbridge_session *session, uint32_t higher_layer_if_index,
    uint32_t lower_layer_if_index)
{
    NB_SESSION_ENTER(session);
    nb_stack_delete(
        &session->stack, higher_layer_if_index, lower_layer_if_index);
    return NDISBRIDGE_STATUS_SUCCESS;
}

ndisbridge_status ndisbridge_get_if_stack_table(ndisbridge_session *session,
    ndisbridge_mib_ifstack_row *rows, uint32_t *count)
{
    NB_SESSION_ENTER(session);
    NB_REQUIRE(count != NULL && (rows != NULL || *count == 0));
    return nb_stack_copy(&session->stack, false, (void *)rows, count);
}

ndisbridge_status ndisbridge_get_inverted_if_stack_table(
    ndisbridge_session *session, ndisbridge_mib_invertedifstack_row *rows,
    uint32_t *count)
{
    NB_SESSION_ENTER(session);
    NB_REQUIRE(count != NULL && (rows != NULL || *count == 0));
    return nb_stack_copy(&session->stack, true, (void *)rows, count);
}
