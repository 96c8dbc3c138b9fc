/* SPDX-License-Identifier: MIT
 *
 * fuzz_oids.c - buffers of OID requests: facts of a registration, published
 * values, answers of a handler that says anything, sets, all from the input;
 * every buffer lies in a heap block of exactly its size.
 */
#define _GNU_SOURCE
#include "fuzz_session.h"

static struct fuzz_input input;
static ndisbridge_session *session;

static const ndisbridge_status said[] = {
    NDISBRIDGE_STATUS_SUCCESS, NDISBRIDGE_STATUS_SUCCESS,
    NDISBRIDGE_STATUS_BUFFER_TOO_SHORT, NDISBRIDGE_STATUS_NOT_SUPPORTED,
    NDISBRIDGE_STATUS_INVALID_LENGTH, NDISBRIDGE_STATUS_INVALID_OID,
    NDISBRIDGE_STATUS_PENDING, NDISBRIDGE_STATUS_FAILURE,
};

/* Keeps to its buffer, and to nothing else. */
static ndisbridge_status query_handler(
    void *context, uint32_t oid, uint32_t *length, void *output)
{
    uint32_t room = *length, given = fuzz_u16(&input) % 2048;

    (void)context, (void)oid;
    fuzz_take(&input, output, given < room ? given : room);
    *length = given;
    return said[fuzz_u8(&input) % 8];
}

static ndisbridge_status set_handler(
    void *context, uint32_t oid, uint32_t length, const void *bytes)
{
    uint8_t sum = 0;

    (void)context, (void)oid;
    for (uint32_t i = 0; i < length; i++)
        sum ^= ((const uint8_t *)bytes)[i];
    return said[(fuzz_u8(&input) ^ (sum & 1)) % 8];
}

static uint32_t any_oid(void)
{
    static uint32_t oids[256];
    static uint32_t count;
    uint8_t choice = fuzz_u8(&input);

    if (count == 0) {
        count = 256;
        ENSURE_STATUS(ndisbridge_list_oids(oids, &count), SUCCESS);
    }
    return choice == 255 ? fuzz_u32(&input) : oids[choice % count];
}

static void check_query(ndisbridge_net_luid net_luid)
{
    uint32_t oid = any_oid(), room = fuzz_u16(&input) % 2048, length = room;
    ndisbridge_oid_description description;
    void *output = malloc(room > 0 ? room : 1);
    ndisbridge_status status;

    ENSURE(output != NULL);
    status = ndisbridge_query(session, output, &length, net_luid, oid);
    if (status == NDISBRIDGE_STATUS_SUCCESS) {
        ENSURE(length <= room);
        if (ndisbridge_describe_oid(&description, oid)
            == NDISBRIDGE_STATUS_SUCCESS) {
            if (description.size_rule == NDISBRIDGE_OID_SIZE_FIXED)
                ENSURE(length == description.size);
            if (description.size_rule == NDISBRIDGE_OID_SIZE_ARRAY)
                ENSURE(length % description.size == 0);
        }
    }
    if (status == NDISBRIDGE_STATUS_BUFFER_TOO_SHORT)
        ENSURE(length > room);
    free(output);
}

static void check_query_many(ndisbridge_net_luid net_luid)
{
    ndisbridge_net_luid net_luids[3] = { net_luid, 0, net_luid };
    uint32_t oid = any_oid(), stride = fuzz_u16(&input) % 1024;
    uint32_t lengths[3], count = fuzz_u8(&input) % 4;
    ndisbridge_status statuses[3];
    uint8_t *output = malloc((size_t)stride * 3 + 1);

    ENSURE(output != NULL);
    ndisbridge_query_many(session, output, stride, lengths, statuses,
        net_luids, count, oid);
    for (uint32_t i = 0; i < count; i++)
        if (statuses[i] == NDISBRIDGE_STATUS_SUCCESS)
            ENSURE(lengths[i] <= stride);
    free(output);
}

static void check_set(ndisbridge_net_luid net_luid)
{
    uint32_t oid = any_oid(), length = fuzz_u16(&input) % 1024;
    uint8_t *value = malloc(length > 0 ? length : 1);

    ENSURE(value != NULL);
    fuzz_take(&input, value, length);
    ndisbridge_set(session, net_luid, oid, value, length);
    free(value);
}

static void check_publish(ndisbridge_net_luid net_luid)
{
    ndisbridge_published values;

    fuzz_take(&input, &values, sizeof values);
    ndisbridge_publish(session, net_luid, &values);
}

static void check_rows(uint32_t level)
{
    ndisbridge_mib_if_row2 row;
    uint32_t count = 1;

    ENSURE_STATUS(
        ndisbridge_get_if_table(session, &row, &count, level), SUCCESS);
    ENSURE(count == 1);
}

/* Facts in a block of their size: valid ones of which bytes are replaced. */
static ndisbridge_net_if_information *any_facts(uint32_t *length)
{
    ndisbridge_net_if_information valid = {
        .header = { NDISBRIDGE_OBJECT_TYPE_DEFAULT,
            NDISBRIDGE_OBJECT_REVISION_1,
            sizeof(ndisbridge_net_if_information) },
        .interface_guid = { .data1 = 1 },
        .wan_tunnel_type = 0xFFFFFFFF,
        .access_type = NDISBRIDGE_NET_IF_ACCESS_BROADCAST,
        .direction_type = NDISBRIDGE_NET_IF_DIRECTION_SENDRECEIVE,
        .connection_type = NDISBRIDGE_NET_IF_CONNECTION_DEDICATED,
    };
    uint8_t *bytes, replaced = fuzz_u8(&input) % 8;

    *length = (uint32_t)sizeof valid + fuzz_u8(&input);
    bytes = calloc(1, *length);
    ENSURE(bytes != NULL);
    memcpy(bytes, &valid, sizeof valid);
    for (uint8_t i = 0; i < replaced; i++) {
        uint16_t at = (uint16_t)(fuzz_u16(&input) % *length);

        bytes[at] = fuzz_u8(&input);
    }
    return (ndisbridge_net_if_information *)bytes;
}

static void run(ndisbridge_net_luid net_luid)
{
    for (uint32_t i = 0; i < 32 && input.size > 0; i++)
        switch (fuzz_u8(&input) % 6) {
        case 0: check_query(net_luid); break;
        case 1: check_query_many(net_luid); break;
        case 2: check_set(net_luid); break;
        case 3: check_publish(net_luid); break;
        case 4: check_rows(fuzz_u8(&input) & 2); break;
        default: {
            uint32_t length;
            ndisbridge_net_if_information *facts = any_facts(&length);

            ndisbridge_replace_interface_information(
                session, net_luid, facts, length);
            free(facts);
        }
        }
}

static const ndisbridge_if_provider_characteristics characteristics = {
    .header = { NDISBRIDGE_OBJECT_TYPE_DEFAULT,
        NDISBRIDGE_OBJECT_REVISION_1, sizeof characteristics },
    .query_object_handler = query_handler,
    .set_object_handler = set_handler,
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct fuzz_session own;
    ndisbridge_net_luid net_luid;
    ndisbridge_net_if_information *facts;
    uint32_t length, index, if_index = 0;

    fuzz_begin(&own, &characteristics, NDISBRIDGE_IF_INDEX_POLICY_STICKY);
    session = own.session;
    input = (struct fuzz_input){ data, size };
    ENSURE_STATUS(
        ndisbridge_allocate_net_luid_index(session, &index, 6), SUCCESS);
    ENSURE_STATUS(ndisbridge_make_net_luid(&net_luid, 6, index), SUCCESS);
    facts = any_facts(&length);
    if (ndisbridge_register_interface(session, &if_index, own.provider,
            net_luid, facts, length, NULL)
        == NDISBRIDGE_STATUS_SUCCESS) {
        run(net_luid);
        ENSURE_STATUS(ndisbridge_deregister_interface(session, if_index, 0),
            SUCCESS);
    }
    free(facts);
    ENSURE_STATUS(
        ndisbridge_free_net_luid_index(session, 6, index), SUCCESS);
    fuzz_end(&own);
    return 0;
}
