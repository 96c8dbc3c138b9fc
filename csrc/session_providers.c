/* SPDX-License-Identifier: MIT
 *
 * session_providers.c - the public functions that register and deregister
 * providers, and their handles.
 */
#include "session.h"

#include <string.h>

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
    struct nb_provider_entry *old;

    if (grown == NULL)
        return false;
    if (before != 0)
        memcpy(grown, session->providers, before * sizeof *grown);
    old = session->providers;
    session->providers = grown;
    session->provider_capacity = capacity;
    /* Only now: a child that another thread forks frees what it finds. */
    nb_deallocate(memory, old, before * sizeof *old);
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

ndisbridge_status ndisbridge_register_provider(ndisbridge_session *session,
    ndisbridge_provider *provider,
    const ndisbridge_if_provider_characteristics *characteristics,
    uint32_t flags, const ndisbridge_oid_handler *handlers, uint32_t count)
{
    struct nb_provider *made;
    ndisbridge_status status = NDISBRIDGE_STATUS_INVALID_PARAMETER;

    NB_SESSION_ENTER(session);
    NB_REQUIRE(provider != NULL && characteristics != NULL);
    if (!nb_header_is(&characteristics->header, sizeof *characteristics))
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

bool nb_session_hold_provider(ndisbridge_session *session,
    ndisbridge_provider handle, const struct nb_provider **provider,
    nb_atomic_u32 **interfaces)
{
    struct nb_provider_entry *entry;

    pthread_mutex_lock(&session->providers_lock);
    entry = find_provider(session, handle);
    if (entry != NULL) {
        *provider = entry->provider;
        *interfaces = entry->interfaces;
        nb_fetch_add(entry->interfaces, 1);
    }
    pthread_mutex_unlock(&session->providers_lock);
    return entry != NULL;
}

ndisbridge_status ndisbridge_deregister_provider(
    ndisbridge_session *session, ndisbridge_provider provider)
{
    ndisbridge_status status = NDISBRIDGE_STATUS_INVALID_PARAMETER;
    struct nb_provider_entry *entry;
    struct nb_provider *gone;

    NB_SESSION_ENTER(session);
    pthread_mutex_lock(&session->providers_lock);
    entry = find_provider(session, provider);
    if (entry != NULL && nb_load(entry->interfaces) != 0) {
        status = NDISBRIDGE_STATUS_PROVIDER_HAS_INTERFACES;
    } else if (entry != NULL) {
        gone = entry->provider;
        entry->provider = NULL;
        nb_deallocate(&session->host.memory, gone, sizeof *gone);
        status = NDISBRIDGE_STATUS_SUCCESS;
    }
    pthread_mutex_unlock(&session->providers_lock);
    return status;
}
