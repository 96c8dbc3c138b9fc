/* SPDX-License-Identifier: MIT
 *
 * An interface that is the same on every run: the NET_LUID, the GUID and the
 * ifIndex of the key that is given, in a log beside it.
 *
 *   export PKG_CONFIG_PATH=$(python -m ndisbridge --pkg-config-dir)
 *   cc -pthread lasting.c log_store.c \
 *       $(pkg-config --cflags --libs ndisbridge) -o lasting
 *   ./lasting interfaces.log uplink
 */
#include "log_store.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void check(ndisbridge_status status, const char *what, int error)
{
    if (status != NDISBRIDGE_STATUS_SUCCESS) {
        fprintf(stderr, "%s: %s%s%s\n", what,
            ndisbridge_status_string(status), error != 0 ? ": " : "",
            error != 0 ? strerror(error) : "");
        exit(1);
    }
}

static ndisbridge_status query_object(
    void *context, uint32_t oid, uint32_t *length, void *output)
{
    (void)context, (void)oid, (void)length, (void)output;
    return NDISBRIDGE_STATUS_NOT_SUPPORTED;
}

int main(int count, char **words)
{
    ndisbridge_session_config config = {
        .header = { NDISBRIDGE_OBJECT_TYPE_DEFAULT,
            NDISBRIDGE_OBJECT_REVISION_1, sizeof config },
        .if_index_first = NDISBRIDGE_IF_INDEX_FIRST_LINUX
    };
    ndisbridge_if_provider_characteristics characteristics = {
        .header = { NDISBRIDGE_OBJECT_TYPE_DEFAULT,
            NDISBRIDGE_OBJECT_REVISION_1, sizeof characteristics },
        .query_object_handler = query_object
    };
    ndisbridge_net_if_information information = {
        .header = { NDISBRIDGE_OBJECT_TYPE_DEFAULT,
            NDISBRIDGE_OBJECT_REVISION_1, sizeof information },
        .access_type = NDISBRIDGE_NET_IF_ACCESS_BROADCAST,
        .connection_type = NDISBRIDGE_NET_IF_CONNECTION_DEDICATED
    };
    const uint16_t if_type = NDISBRIDGE_IF_TYPE_ETHERNET_CSMACD;
    log_store *store;
    log_store_identity identity;
    ndisbridge_session *session;
    ndisbridge_provider provider;
    char name[NDISBRIDGE_NET_LUID_NAME_SIZE];
    uint32_t size = sizeof name;
    int error = 0;
    ndisbridge_status status;

    if (count != 3) {
        fprintf(stderr, "usage: lasting LOG KEY\n");
        return 2;
    }
    status = log_store_open(&store, &error, words[1]);
    check(status, words[1], error);
    config.hooks = log_store_hooks(store);
    check(ndisbridge_session_create(&session, &config), "session", 0);
    check(ndisbridge_register_provider(
              session, &provider, &characteristics, 0, NULL, 0),
        "provider", 0);

    /* The same as last time, or new and on the disk already. */
    check(log_store_identify(store, &identity, session, words[2], if_type),
        words[2], 0);
    information.interface_guid = identity.interface_guid;
    check(ndisbridge_register_interface(session, &identity.if_index,
              provider, identity.net_luid, &information,
              sizeof information, NULL),
        "interface", 0);

    check(ndisbridge_net_luid_to_name(name, &size, identity.net_luid),
        "name", 0);
    printf("%s: %s, NET_LUID 0x%016" PRIx64 ", ifIndex %" PRIu32 "\n",
        identity.key, name, identity.net_luid, identity.if_index);
    check(ndisbridge_session_destroy(session), "end", 0);
    log_store_close(store);
    return 0;
}
