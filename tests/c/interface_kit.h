/* SPDX-License-Identifier: MIT
 *
 * interface_kit.h - short ways for the C tests to a provider and to
 * registered interfaces.  Link with the core; include after check.h.
 */
#ifndef NB_TEST_INTERFACE_KIT_H
#define NB_TEST_INTERFACE_KIT_H

#include <pthread.h>
#include <string.h>

#include "check.h"
#include "ndisbridge.h"

static inline ndisbridge_if_provider_characteristics kit_characteristics(
    ndisbridge_if_query_object query, ndisbridge_if_set_object set)
{
    ndisbridge_if_provider_characteristics characteristics = {
        .header = { NDISBRIDGE_OBJECT_TYPE_DEFAULT,
            NDISBRIDGE_OBJECT_REVISION_1,
            sizeof(ndisbridge_if_provider_characteristics) },
        .query_object_handler = query,
        .set_object_handler = set,
    };

    return characteristics;
}

static inline ndisbridge_provider kit_provider(ndisbridge_session *session,
    ndisbridge_if_query_object query, ndisbridge_if_set_object set)
{
    ndisbridge_if_provider_characteristics characteristics =
        kit_characteristics(query, set);
    ndisbridge_provider provider = 0;

    CHECK_STATUS(ndisbridge_register_provider(
                     session, &provider, &characteristics, 0, NULL, 0),
        SUCCESS);
    return provider;
}

/* Information with two addresses and a name behind it. */
struct kit_information {
    ndisbridge_net_if_information fixed;
    uint8_t current[6], permanent[6];
    uint16_t name[6];
};

static inline struct kit_information kit_information(uint32_t flags)
{
    struct kit_information information = {
        .fixed = {
            .header = { NDISBRIDGE_OBJECT_TYPE_DEFAULT,
                NDISBRIDGE_OBJECT_REVISION_1,
                sizeof(ndisbridge_net_if_information) },
            .flags = flags,
            .wan_tunnel_type = 0xFFFFFFFF,
            .access_type = NDISBRIDGE_NET_IF_ACCESS_BROADCAST,
            .direction_type = NDISBRIDGE_NET_IF_DIRECTION_SENDRECEIVE,
            .connection_type = NDISBRIDGE_NET_IF_CONNECTION_DEDICATED,
            .if_connector_present = 1,
            .phys_address_length = 6,
            .phys_address_offset = offsetof(struct kit_information, current),
            .permanent_phys_address_offset =
                offsetof(struct kit_information, permanent),
            .friendly_name_length = 10,
            .friendly_name_offset = offsetof(struct kit_information, name),
            .interface_guid = { .data1 = 0x12345678 },
            .supported_statistics = 0x55,
            .media_type = 9,
            .physical_medium_type = 14,
        },
        .current = { 2, 0, 0, 0, 0, 1 },
        .permanent = { 2, 0, 0, 0, 0, 2 },
        .name = { 'T', 'e', 's', 't', '1', 0 },
    };

    return information;
}

static inline ndisbridge_net_luid kit_luid(uint32_t if_type, uint32_t index)
{
    return (uint64_t)if_type << 48 | (uint64_t)index << 24;
}

/* Registers; the ifIndex wanted, or 0 for any, becomes the one assigned. */
static inline ndisbridge_status kit_register(ndisbridge_session *session,
    uint32_t *if_index, ndisbridge_provider provider,
    ndisbridge_net_luid net_luid, uint32_t flags, void *context)
{
    struct kit_information information = kit_information(flags);

    return ndisbridge_register_interface(session, if_index, provider,
        net_luid, &information.fixed, sizeof information, context);
}

/* Allocates a NET_LUID of Ethernet and registers it. */
static inline ndisbridge_net_luid kit_interface(ndisbridge_session *session,
    uint32_t *if_index, ndisbridge_provider provider, uint32_t flags,
    void *context)
{
    uint32_t index = 0;
    ndisbridge_net_luid net_luid;

    CHECK_STATUS(
        ndisbridge_allocate_net_luid_index(session, &index, 6), SUCCESS);
    net_luid = kit_luid(6, index);
    *if_index = 0;
    CHECK_STATUS(kit_register(
                     session, if_index, provider, net_luid, flags, context),
        SUCCESS);
    return net_luid;
}

static inline ndisbridge_status kit_no_answer(
    void *context, uint32_t oid, uint32_t *length, void *output)
{
    (void)context, (void)oid, (void)length, (void)output;
    return NDISBRIDGE_STATUS_NOT_SUPPORTED;
}

/* A handler that waits to be let go.  Its context is a struct kit_gate. */
struct kit_gate {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    uint32_t inside;
    bool open;
};

#define KIT_GATE \
    { PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0, false }

static inline ndisbridge_status kit_wait_at_gate(
    void *context, uint32_t oid, uint32_t *length, void *output)
{
    struct kit_gate *gate = context;

    (void)oid, (void)length, (void)output;
    pthread_mutex_lock(&gate->lock);
    gate->inside++;
    pthread_cond_broadcast(&gate->changed);
    while (!gate->open)
        pthread_cond_wait(&gate->changed, &gate->lock);
    gate->inside--;
    pthread_mutex_unlock(&gate->lock);
    return NDISBRIDGE_STATUS_NOT_SUPPORTED;
}

static inline void kit_await_inside(struct kit_gate *gate, uint32_t count)
{
    pthread_mutex_lock(&gate->lock);
    while (gate->inside < count)
        pthread_cond_wait(&gate->changed, &gate->lock);
    pthread_mutex_unlock(&gate->lock);
}

static inline void kit_open_gate(struct kit_gate *gate)
{
    pthread_mutex_lock(&gate->lock);
    gate->open = true;
    pthread_cond_broadcast(&gate->changed);
    pthread_mutex_unlock(&gate->lock);
}

/* A thread that asks one interface once. */
struct kit_asker {
    pthread_t thread;
    ndisbridge_session *session;
    ndisbridge_net_luid net_luid;
    ndisbridge_status status;
};

static inline void *kit_ask(void *argument)
{
    struct kit_asker *asker = argument;
    uint32_t length = 4, number;

    asker->status = ndisbridge_query(asker->session, &number, &length,
        asker->net_luid, NDISBRIDGE_OID_GEN_CURRENT_PACKET_FILTER);
    return NULL;
}

static inline void kit_start_asker(struct kit_asker *asker,
    ndisbridge_session *session, ndisbridge_net_luid net_luid)
{
    asker->session = session;
    asker->net_luid = net_luid;
    asker->status = 1;
    REQUIRE(pthread_create(&asker->thread, NULL, kit_ask, asker) == 0);
}

#endif
