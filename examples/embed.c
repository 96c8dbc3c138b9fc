/* SPDX-License-Identifier: MIT
 *
 * A virtual switch that registers its uplink and answers for it:
 *
 *   export PKG_CONFIG_PATH=$(python -m ndisbridge --pkg-config-dir)
 *   cc embed.c $(pkg-config --cflags --libs ndisbridge) -o embed && ./embed
 */
#include <inttypes.h>
#include <ndisbridge.h>
#include <stdio.h>
#include <stdlib.h>

static void check(ndisbridge_status status)
{
    if (status != NDISBRIDGE_STATUS_SUCCESS) {
        fprintf(stderr, "%s\n", ndisbridge_status_string(status));
        exit(1);
    }
}

/* Answers every OID that is not published: here only the octets received. */
static ndisbridge_status query_object(
    void *context, uint32_t oid, uint32_t *length, void *output)
{
    if (oid != NDISBRIDGE_OID_GEN_BYTES_RCV)
        return NDISBRIDGE_STATUS_NOT_SUPPORTED;
    *(uint64_t *)output = *(const uint64_t *)context;
    *length = sizeof(uint64_t);
    return NDISBRIDGE_STATUS_SUCCESS;
}

int main(void)
{
    uint64_t received = 12345, answer = 0;
    ndisbridge_session *session;
    ndisbridge_provider provider;
    ndisbridge_net_luid net_luid;
    uint32_t net_luid_index, if_index = 0, length = sizeof answer;
    ndisbridge_if_provider_characteristics characteristics = {
        { NDISBRIDGE_OBJECT_TYPE_DEFAULT, NDISBRIDGE_OBJECT_REVISION_1,
            sizeof characteristics },
        query_object, NULL, NULL, NULL
    };
    ndisbridge_net_if_information information = {
        .header = { NDISBRIDGE_OBJECT_TYPE_DEFAULT,
            NDISBRIDGE_OBJECT_REVISION_1, sizeof information },
        .access_type = NDISBRIDGE_NET_IF_ACCESS_BROADCAST,
        .connection_type = NDISBRIDGE_NET_IF_CONNECTION_DEDICATED,
        .interface_guid = { 0x6E646973, 0, 0, { 0 } }
    };
    char name[NDISBRIDGE_NET_LUID_NAME_SIZE];
    uint32_t size = sizeof name;

    check(ndisbridge_session_create(&session, NULL));
    check(ndisbridge_register_provider(
        session, &provider, &characteristics, 0, NULL, 0));
    check(ndisbridge_allocate_net_luid_index(
        session, &net_luid_index, NDISBRIDGE_IF_TYPE_ETHERNET_CSMACD));
    check(ndisbridge_make_net_luid(
        &net_luid, NDISBRIDGE_IF_TYPE_ETHERNET_CSMACD, net_luid_index));
    check(ndisbridge_register_interface(session, &if_index, provider,
        net_luid, &information, sizeof information, &received));
    check(ndisbridge_query(session, &answer, &length, net_luid,
        NDISBRIDGE_OID_GEN_BYTES_RCV));
    check(ndisbridge_net_luid_to_name(name, &size, net_luid));
    printf("%s, ifIndex %" PRIu32 ": %" PRIu64 " octets received\n", name,
        if_index, answer);
    check(ndisbridge_session_destroy(session));
    return 0;
}
