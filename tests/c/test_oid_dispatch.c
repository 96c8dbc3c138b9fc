/* SPDX-License-Identifier: MIT
 *
 * test_oid_dispatch.c - OID requests: the rules of buffers for every OID of
 * the catalog, handlers that break them, published values, facts, sets, the
 * interface table, and NET_LUID values with their names.
 */
#include "session.h"

#include <ctype.h>

#include "block_store.h"
#include "interface_kit.h"

/* A variable OID, and one that is in no catalog. */
#define VARIABLE NDISBRIDGE_OID_GEN_VENDOR_DESCRIPTION
#define PRIVATE 0xFF020304

/* NDIS_STATUS_BUFFER_OVERFLOW, which only handlers give. */
#define BUFFER_OVERFLOW ((ndisbridge_status)0x80000005)

static uint64_t random_state;

/* What the handler does next, and what it saw. */
struct script {
    uint8_t bytes[600];
    uint32_t writes;  /* bytes that it writes, if they fit */
    uint32_t says;  /* what it reports */
    ndisbridge_status status;
    uint32_t calls, oid, room;
    uint8_t set_bytes[600];
};

static ndisbridge_status query_script(
    void *context, uint32_t oid, uint32_t *length, void *output)
{
    struct script *script = context;

    script->calls++;
    script->oid = oid;
    script->room = *length;
    if (script->writes <= *length && script->writes > 0)
        memcpy(output, script->bytes, script->writes);
    *length = script->says;
    return script->status;
}

static ndisbridge_status set_script(
    void *context, uint32_t oid, uint32_t length, const void *input)
{
    struct script *script = context;

    script->calls++;
    script->oid = oid;
    script->room = length;
    if (length > 0 && length <= sizeof script->set_bytes)
        memcpy(script->set_bytes, input, length);
    return script->status;
}

static ndisbridge_session *session;
static ndisbridge_net_luid net_luid;
static struct script script;
static union {
    uint64_t align;
    uint8_t bytes[1024];
} output;

static ndisbridge_status ask(uint32_t oid, uint32_t room, uint32_t *length)
{
    *length = room;
    memset(output.bytes, 0xAA, sizeof output.bytes);
    return ndisbridge_query(
        session, room == 0 ? NULL : output.bytes, length, net_luid, oid);
}

/* Nothing beyond `from` was touched. */
static bool untouched(uint32_t from)
{
    for (uint32_t i = from; i < sizeof output.bytes; i++)
        if (output.bytes[i] != 0xAA)
            return false;
    return true;
}

static void answer(uint32_t writes, uint32_t says, ndisbridge_status status)
{
    for (uint32_t i = 0; i < sizeof script.bytes; i++)
        script.bytes[i] = (uint8_t)(i + 1);
    script.writes = writes;
    script.says = says;
    script.status = status;
    script.calls = 0;
}

/* ---- the rules of buffers, through a handler --------------------------- */

static void check_fixed(const struct nb_oid_entry *entry)
{
    uint32_t size = entry->size, length;

    answer(size, size, NDISBRIDGE_STATUS_SUCCESS);
    CHECK_STATUS(ask(entry->oid, size, &length), SUCCESS);
    CHECK_EQUAL(length, size);
    CHECK(memcmp(output.bytes, script.bytes, size) == 0 && untouched(size));
    CHECK_STATUS(ask(entry->oid, size + 8, &length), SUCCESS);
    CHECK_EQUAL(length, size);
    CHECK(untouched(size));
    script.calls = 0;
    CHECK_STATUS(ask(entry->oid, size - 1, &length), BUFFER_TOO_SHORT);
    CHECK_EQUAL(length, size);
    CHECK(untouched(0));
    CHECK_STATUS(ask(entry->oid, 0, &length), BUFFER_TOO_SHORT);
    CHECK_EQUAL(length, size);
    CHECK_EQUAL(script.calls, 0);
    for (uint32_t says = 0; says < size + 9; says++) {
        answer(size, says, NDISBRIDGE_STATUS_SUCCESS);
        if (says == size)
            continue;
        CHECK_STATUS(ask(entry->oid, size + 8, &length), INVALID_DATA);
        CHECK(untouched(0));
    }
    answer(size, 0xFFFFFFFF, NDISBRIDGE_STATUS_SUCCESS);
    CHECK_STATUS(ask(entry->oid, size, &length), INVALID_DATA);
    answer(0, size + 1, BUFFER_OVERFLOW);
    CHECK_STATUS(ask(entry->oid, size + 8, &length), INVALID_DATA);
    CHECK(untouched(0));
}

static void check_counter(const struct nb_oid_entry *entry)
{
    uint32_t length, low;
    uint64_t number;

    answer(8, 8, NDISBRIDGE_STATUS_SUCCESS);
    CHECK_STATUS(ask(entry->oid, 8, &length), SUCCESS);
    CHECK_EQUAL(length, 8);
    memcpy(&number, output.bytes, 8);
    for (uint32_t room = 4; room < 8; room++) {
        CHECK_STATUS(ask(entry->oid, room, &length), SUCCESS);
        CHECK_EQUAL(length, 4);
        memcpy(&low, output.bytes, 4);
        CHECK_EQUAL(low, (uint32_t)number);
        CHECK(untouched(4));
    }
    CHECK_STATUS(ask(entry->oid, 100, &length), SUCCESS);
    CHECK_EQUAL(length, 8);
    script.calls = 0;
    for (uint32_t room = 0; room < 4; room++) {
        CHECK_STATUS(ask(entry->oid, room, &length), INVALID_LENGTH);
        CHECK_EQUAL(length, 8);
        CHECK(untouched(0));
    }
    CHECK_EQUAL(script.calls, 0);
    /* A 32-bit counter reads as its 64-bit self. */
    answer(4, 4, NDISBRIDGE_STATUS_SUCCESS);
    CHECK_STATUS(ask(entry->oid, 8, &length), SUCCESS);
    memcpy(&number, output.bytes, 8);
    memcpy(&low, script.bytes, 4);
    CHECK_EQUAL(number, low);
    CHECK_EQUAL(length, 8);
    for (uint32_t says = 0; says < 20; says++) {
        answer(8, says, NDISBRIDGE_STATUS_SUCCESS);
        if (says != 4 && says != 8)
            CHECK_STATUS(ask(entry->oid, 20, &length), INVALID_DATA);
    }
}

static void set_string(uint16_t bytes)
{
    memcpy(script.bytes, &bytes, 2);
}

static void check_counted_string(const struct nb_oid_entry *entry)
{
    const uint32_t size = sizeof(ndisbridge_if_counted_string);
    uint32_t length;

    CHECK_EQUAL(entry->size, size);
    answer(size, size, NDISBRIDGE_STATUS_SUCCESS);
    set_string(512);
    CHECK_STATUS(ask(entry->oid, size, &length), SUCCESS);
    CHECK_EQUAL(length, size);
    CHECK(memcmp(output.bytes, script.bytes, 514) == 0);
    CHECK_EQUAL(output.bytes[514], 0);
    CHECK_STATUS(ask(entry->oid, size - 1, &length), BUFFER_TOO_SHORT);
    CHECK_EQUAL(length, size);
    /* One that says only what it uses; all 516 are given. */
    answer(12, 12, NDISBRIDGE_STATUS_SUCCESS);
    set_string(10);
    CHECK_STATUS(ask(entry->oid, size + 4, &length), SUCCESS);
    CHECK_EQUAL(length, size);
    CHECK_EQUAL(output.bytes[11], 12);
    for (uint32_t i = 12; i < size; i++)
        CHECK_EQUAL(output.bytes[i], 0);
    CHECK(untouched(size));
    set_string(0);
    script.writes = script.says = 2;
    CHECK_STATUS(ask(entry->oid, size, &length), SUCCESS);
    CHECK_EQUAL(output.bytes[2], 0);
    /* Odd, longer than what is there, longer than allowed, cut off. */
    for (uint32_t i = 0; i < 4; i++) {
        static const uint16_t used[] = { 9, 12, 514, 10 };
        static const uint32_t says[] = { 516, 12, 516, 1 };

        answer(500, says[i], NDISBRIDGE_STATUS_SUCCESS);
        set_string(used[i]);
        CHECK_STATUS(ask(entry->oid, size, &length), INVALID_DATA);
        CHECK(untouched(0));
    }
}

static void check_variable(uint32_t oid, uint32_t unit)
{
    uint32_t length;

    answer(3 * unit, 3 * unit, NDISBRIDGE_STATUS_SUCCESS);
    CHECK_STATUS(ask(oid, 100, &length), SUCCESS);
    CHECK_EQUAL(script.room, 100);
    CHECK_EQUAL(length, 3 * unit);
    CHECK(untouched(3 * unit));
    CHECK_STATUS(ask(oid, 3 * unit, &length), SUCCESS);
    answer(0, 0, NDISBRIDGE_STATUS_SUCCESS);
    CHECK_STATUS(ask(oid, 0, &length), SUCCESS);
    CHECK_EQUAL(length, 0);
    answer(0, 3 * unit, NDISBRIDGE_STATUS_BUFFER_TOO_SHORT);
    CHECK_STATUS(ask(oid, 1, &length), BUFFER_TOO_SHORT);
    CHECK_EQUAL(length, 3 * unit);
    answer(0, 3 * unit, NDISBRIDGE_STATUS_INVALID_LENGTH);
    CHECK_STATUS(ask(oid, 1, &length), BUFFER_TOO_SHORT);
    CHECK_EQUAL(length, 3 * unit);
    answer(0, 3 * unit, BUFFER_OVERFLOW);
    CHECK_STATUS(ask(oid, 1, &length), BUFFER_TOO_SHORT);
    CHECK_EQUAL(length, 3 * unit);
    /* Whoever asks again with what was wanted would ask for ever. */
    for (uint32_t i = 0; i < 6; i++) {
        static const ndisbridge_status statuses[] = {
            NDISBRIDGE_STATUS_BUFFER_TOO_SHORT,
            NDISBRIDGE_STATUS_INVALID_LENGTH, BUFFER_OVERFLOW
        };

        answer(0, i < 3 ? 100 : 0, statuses[i % 3]);
        CHECK_STATUS(ask(oid, 100, &length), INVALID_DATA);
    }
    /* More than fits, and nonetheless success. */
    answer(0, 101 * unit, NDISBRIDGE_STATUS_SUCCESS);
    CHECK_STATUS(ask(oid, 100, &length), INVALID_DATA);
    answer(0, UINT32_MAX, NDISBRIDGE_STATUS_SUCCESS);
    CHECK_STATUS(ask(oid, 100, &length), INVALID_DATA);
    if (unit > 1) {
        answer(unit + 1, unit + 1, NDISBRIDGE_STATUS_SUCCESS);
        CHECK_STATUS(ask(oid, 100, &length), INVALID_DATA);
    }
}

/* Every OID that is not answered from facts. */
static void test_rules(void)
{
    uint32_t length;

    for (uint16_t i = 0; i < NB_OID_COUNT; i++) {
        const struct nb_oid_entry *entry = nb_oid_entry(i);

        if (entry->field >= NB_FIELD_CURRENT_ADDRESS)
            continue;
        switch (entry->size_rule) {
        case NDISBRIDGE_OID_SIZE_FIXED:
            check_fixed(entry);
            break;
        case NDISBRIDGE_OID_SIZE_COUNTER:
            check_counter(entry);
            break;
        case NDISBRIDGE_OID_SIZE_COUNTED_STRING:
            check_counted_string(entry);
            break;
        case NDISBRIDGE_OID_SIZE_ARRAY:
            check_variable(entry->oid, entry->size);
            break;
        default:
            check_variable(entry->oid, 1);
            break;
        }
        CHECK_EQUAL(script.oid, entry->oid);
        /* A failure gets through unchanged, PENDING does not. */
        answer(0, 7, (ndisbridge_status)0xC0000001 + 5);
        CHECK_EQUAL(ask(entry->oid, 600, &length), script.status);
        answer(0, 7, NDISBRIDGE_STATUS_PENDING);
        CHECK_STATUS(ask(entry->oid, 600, &length), FAILURE);
    }
    check_variable(PRIVATE, 1);
    CHECK_EQUAL(script.oid, PRIVATE);
    CHECK_STATUS(ndisbridge_query(session, NULL, NULL, net_luid, PRIVATE),
        INVALID_PARAMETER);
    length = 1;
    CHECK_STATUS(ndisbridge_query(session, NULL, &length, net_luid, PRIVATE),
        INVALID_PARAMETER);
    CHECK_STATUS(ndisbridge_query(
                     session, &length, &length, net_luid + (1 << 24), PRIVATE),
        INTERFACE_NOT_FOUND);
    CHECK_STATUS(ndisbridge_query(session, &length, &length, 0, PRIVATE),
        INTERFACE_NOT_FOUND);
}

static void test_sets(void)
{
    answer(0, 0, NDISBRIDGE_STATUS_SUCCESS);
    for (uint16_t i = 0; i < NB_OID_COUNT; i++) {
        const struct nb_oid_entry *entry = nb_oid_entry(i);

        for (uint32_t length = 0; length < 530; length++) {
            bool good = true;

            if (entry->size_rule == NDISBRIDGE_OID_SIZE_FIXED)
                good = length == entry->size;
            else if (entry->size_rule == NDISBRIDGE_OID_SIZE_COUNTER)
                good = length == 4 || length == 8;
            else if (entry->size_rule == NDISBRIDGE_OID_SIZE_COUNTED_STRING)
                good = length >= 2 && length <= 516;
            else if (entry->size_rule == NDISBRIDGE_OID_SIZE_ARRAY)
                good = length % entry->size == 0;
            script.calls = 0;
            CHECK_EQUAL(ndisbridge_set(session, net_luid, entry->oid,
                            length == 0 ? NULL : output.bytes, length),
                good ? NDISBRIDGE_STATUS_SUCCESS
                     : NDISBRIDGE_STATUS_INVALID_LENGTH);
            CHECK_EQUAL(script.calls, good);
        }
    }
    CHECK_STATUS(
        ndisbridge_set(session, net_luid, PRIVATE, "abc", 3), SUCCESS);
    CHECK(script.oid == PRIVATE && memcmp(script.set_bytes, "abc", 3) == 0);
    script.status = NDISBRIDGE_STATUS_PENDING;
    CHECK_STATUS(
        ndisbridge_set(session, net_luid, PRIVATE, "abc", 3), FAILURE);
    CHECK_STATUS(ndisbridge_set(session, net_luid, PRIVATE, NULL, 3),
        INVALID_PARAMETER);
    CHECK_STATUS(ndisbridge_set(session, 0, PRIVATE, NULL, 0),
        INTERFACE_NOT_FOUND);
}

/* ---- who answers ------------------------------------------------------- */

static ndisbridge_status query_slot(
    void *context, uint32_t oid, uint32_t *length, void *to)
{
    (void)context;
    *length = 4;
    memcpy(to, &oid, 4);
    return NDISBRIDGE_STATUS_SUCCESS;
}

static void test_slots(void)
{
    const uint32_t filter = NDISBRIDGE_OID_GEN_CURRENT_PACKET_FILTER;
    const uint32_t vendor = NDISBRIDGE_OID_GEN_VENDOR_ID;
    const uint32_t lookahead = NDISBRIDGE_OID_GEN_CURRENT_LOOKAHEAD;
    const ndisbridge_oid_handler handlers[] = {
        { NDISBRIDGE_OID_GEN_CURRENT_PACKET_FILTER,
            NDISBRIDGE_HANDLER_NON_BLOCKING, query_slot, NULL },
        { NDISBRIDGE_OID_GEN_VENDOR_ID, 0, query_slot, NULL },
        { NDISBRIDGE_OID_GEN_CURRENT_LOOKAHEAD, 0, NULL, set_script },
    };
    ndisbridge_if_provider_characteristics none =
        kit_characteristics(NULL, NULL);
    ndisbridge_provider provider;
    ndisbridge_net_luid luid;
    uint32_t if_index, number, length = 4;

    CHECK_STATUS(ndisbridge_register_provider(
                     session, &provider, &none, 0, handlers, 3),
        SUCCESS);
    luid = kit_interface(session, &if_index, provider, 0, &script);
#define ASK(call, oid) \
    (length = 4, ndisbridge_##call(session, &number, &length, luid, oid))
    CHECK_STATUS(ASK(query, filter), SUCCESS);
    CHECK_EQUAL(number, filter);
    CHECK_STATUS(ASK(query, vendor), SUCCESS);
    CHECK_STATUS(ASK(query, lookahead), NOT_SUPPORTED);
    CHECK_STATUS(ASK(query, VARIABLE), NOT_SUPPORTED);
    CHECK_STATUS(ASK(query, PRIVATE), INVALID_OID);
    CHECK_STATUS(ASK(try_query, filter), SUCCESS);
    CHECK_STATUS(ASK(try_query, vendor), PENDING);
    CHECK_STATUS(ASK(try_query, VARIABLE), NOT_SUPPORTED);
    CHECK_STATUS(ASK(try_query, PRIVATE), INVALID_OID);
    CHECK_STATUS(ASK(try_query, NDISBRIDGE_OID_GEN_PHYSICAL_MEDIUM), SUCCESS);
    CHECK_EQUAL(number, 14);
    CHECK_STATUS(
        ndisbridge_set(session, luid, filter, &number, 4), NOT_SUPPORTED);
    CHECK_STATUS(
        ndisbridge_set(session, luid, PRIVATE, &number, 4), INVALID_OID);
    script.status = NDISBRIDGE_STATUS_SUCCESS;
    CHECK_STATUS(
        ndisbridge_set(session, luid, lookahead, &number, 4), SUCCESS);
    CHECK_EQUAL(script.oid, lookahead);
    CHECK_STATUS(
        ndisbridge_deregister_interface(session, if_index, 0), SUCCESS);

    none = kit_characteristics(query_script, NULL);
    CHECK_STATUS(ndisbridge_register_provider(session, &provider, &none,
                     NDISBRIDGE_HANDLER_NON_BLOCKING, handlers, 3),
        SUCCESS);
    luid = kit_interface(session, &if_index, provider, 0, &script);
    answer(4, 4, NDISBRIDGE_STATUS_SUCCESS);
    CHECK_STATUS(ASK(try_query, filter), SUCCESS);
    CHECK_EQUAL(number, filter);
    CHECK_EQUAL(script.calls, 0);
    CHECK_STATUS(ASK(try_query, VARIABLE), SUCCESS);
    CHECK_EQUAL(script.calls, 1);
    CHECK_STATUS(ASK(try_query, PRIVATE), SUCCESS);
    CHECK_STATUS(ASK(try_query, vendor), PENDING);
#undef ASK
    CHECK_STATUS(
        ndisbridge_deregister_interface(session, if_index, 0), SUCCESS);
}

/* Flags say how queries run, and only flags that mean something are
 * taken. */
static void test_flags(void)
{
    const uint32_t filter = NDISBRIDGE_OID_GEN_CURRENT_PACKET_FILTER;
    ndisbridge_oid_handler handler = {
        NDISBRIDGE_OID_GEN_CURRENT_PACKET_FILTER,
        NDISBRIDGE_HANDLER_NON_BLOCKING, NULL, set_script
    };
    ndisbridge_if_provider_characteristics both =
        kit_characteristics(query_script, NULL);
    ndisbridge_provider provider;
    ndisbridge_net_luid luid;
    uint32_t if_index, number, length = 4;

    CHECK_STATUS(ndisbridge_register_provider(
                     session, &provider, &both, 0, &handler, 1),
        SUCCESS);
    luid = kit_interface(session, &if_index, provider, 0, &script);
    answer(4, 4, NDISBRIDGE_STATUS_SUCCESS);
    CHECK_STATUS(
        ndisbridge_try_query(session, &number, &length, luid, filter),
        PENDING);
    CHECK_EQUAL(script.calls, 0);
    CHECK_STATUS(
        ndisbridge_query(session, &number, &length, luid, filter), SUCCESS);
    CHECK_EQUAL(script.calls, 1);
    CHECK_STATUS(
        ndisbridge_set(session, luid, filter, &number, 4), SUCCESS);
    CHECK_STATUS(
        ndisbridge_deregister_interface(session, if_index, 0), SUCCESS);

    /* The flags of a provider don't make its want of a query block. */
    both = kit_characteristics(NULL, set_script);
    handler.query = query_slot;
    CHECK_STATUS(ndisbridge_register_provider(
                     session, &provider, &both, 0, &handler, 1),
        SUCCESS);
    luid = kit_interface(session, &if_index, provider, 0, &script);
    CHECK_STATUS(
        ndisbridge_try_query(session, &number, &length, luid, VARIABLE),
        NOT_SUPPORTED);
    CHECK_STATUS(
        ndisbridge_deregister_interface(session, if_index, 0), SUCCESS);

    for (uint32_t bit = 2; bit != 0; bit <<= 1) {
        both = kit_characteristics(query_script, NULL);
        CHECK_STATUS(ndisbridge_register_provider(
                         session, &provider, &both, bit | 1, NULL, 0),
            INVALID_PARAMETER);
        handler.flags = bit;
        CHECK_STATUS(ndisbridge_register_provider(
                         session, &provider, &both, 0, &handler, 1),
            INVALID_PARAMETER);
    }
}

/* The two addresses: by medium and length, whatever the IfType. */
static void test_addresses(ndisbridge_provider provider)
{
    const uint32_t oids[] = { NDISBRIDGE_OID_802_3_CURRENT_ADDRESS,
        NDISBRIDGE_OID_802_3_PERMANENT_ADDRESS };
    static const struct {
        uint32_t if_type, media_type, length;
        bool answered;
    } cases[] = { { NDISBRIDGE_IF_TYPE_ETHERNET_CSMACD, 0, 6, true },
        { NDISBRIDGE_IF_TYPE_BRIDGE, 0, 6, true },
        { NDISBRIDGE_IF_TYPE_L2_VLAN, 0, 6, true },
        { NDISBRIDGE_IF_TYPE_ETHERNET_CSMACD, 0, 4, false },
        { NDISBRIDGE_IF_TYPE_ETHERNET_CSMACD, 9, 6, false },
        { NDISBRIDGE_IF_TYPE_IEEE80211, 16, 6, false } };
    ndisbridge_net_luid before = net_luid;
    uint32_t length;

    for (uint32_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct kit_information facts = kit_information(0);
        const uint8_t *wanted[] = { facts.current, facts.permanent };
        uint32_t if_index = 0, index;

        facts.fixed.media_type = cases[i].media_type;
        facts.fixed.phys_address_length = (uint16_t)cases[i].length;
        CHECK_STATUS(ndisbridge_allocate_net_luid_index(
                         session, &index, (uint16_t)cases[i].if_type),
            SUCCESS);
        net_luid = kit_luid(cases[i].if_type, index);
        CHECK_STATUS(
            ndisbridge_register_interface(session, &if_index, provider,
                net_luid, &facts.fixed, sizeof facts, &script),
            SUCCESS);
        answer(0, 0, NDISBRIDGE_STATUS_FAILURE);
        for (uint32_t j = 0; j < 2; j++) {
            if (!cases[i].answered) {
                CHECK_STATUS(ask(oids[j], 6, &length), FAILURE);
                continue;
            }
            CHECK_STATUS(ask(oids[j], 6, &length), SUCCESS);
            CHECK_EQUAL(length, 6);
            CHECK(memcmp(output.bytes, wanted[j], 6) == 0);
            CHECK_STATUS(ask(oids[j], 5, &length), BUFFER_TOO_SHORT);
            CHECK_EQUAL(length, 6);
        }
        CHECK_EQUAL(script.calls, cases[i].answered ? 0 : 2);
        CHECK_STATUS(
            ndisbridge_deregister_interface(session, if_index, 0), SUCCESS);
    }
    net_luid = before;
}

static void test_facts(void)
{
    uint32_t length, number;

    answer(0, 0, NDISBRIDGE_STATUS_FAILURE);
    CHECK_STATUS(
        ask(NDISBRIDGE_OID_GEN_MEDIA_SUPPORTED, 20, &length), SUCCESS);
    CHECK_EQUAL(length, 4);
    memcpy(&number, output.bytes, 4);
    CHECK_EQUAL(number, 9);
    CHECK_STATUS(ask(NDISBRIDGE_OID_GEN_MEDIA_IN_USE, 3, &length),
        BUFFER_TOO_SHORT);
    CHECK_EQUAL(length, 4);
    CHECK_STATUS(
        ask(NDISBRIDGE_OID_GEN_PHYSICAL_MEDIUM_EX, 4, &length), SUCCESS);
    CHECK_EQUAL(script.calls, 0);
}

/* ---- published values -------------------------------------------------- */

/* The bytes of member `field` in the information. */
static void read_member(const ndisbridge_interface_information *information,
    uint32_t field, uint64_t *number)
{
    /* Offsets by the layout of NDIS_INTERFACE_INFORMATION: five u32, two
     * bytes, 23 u64 from 24, two u32. */
    size_t offset = field < 5 ? field * 4
        : field < 7           ? 20 + (field - 5)
        : field < 30          ? 24 + (field - 7) * 8
                              : 208 + (field - 30) * 4;
    size_t size = field < 5 ? 4 : field < 7 ? 1 : field < 30 ? 8 : 4;

    *number = 0;
    memcpy(number, (const uint8_t *)information + offset, size);
}

static void test_published(void)
{
    ndisbridge_published values = { 0 };
    ndisbridge_interface_information *is = &values.information;
    ndisbridge_interface_information whole;
    ndisbridge_statistics_info statistics;
    ndisbridge_if_counted_string alias;
    ndisbridge_mib_if_row2 row;
    uint32_t length, status;
    uint64_t number, wanted;

    answer(0, 0, NDISBRIDGE_STATUS_FAILURE);
    /* One value: it is published, its neighbours are the handler's. */
    values.fields = 1;
    is->if_oper_status = NDISBRIDGE_NET_IF_OPER_STATUS_UP;
    is->if_mtu = 9999;
    CHECK_STATUS(ndisbridge_publish(session, net_luid, &values), SUCCESS);
    CHECK_STATUS(
        ask(NDISBRIDGE_OID_GEN_OPERATIONAL_STATUS, 4, &length), SUCCESS);
    CHECK_EQUAL(script.calls, 0);
    CHECK_STATUS(
        ask(NDISBRIDGE_OID_GEN_MAXIMUM_FRAME_SIZE, 4, &length), FAILURE);
    CHECK_EQUAL(script.calls, 1);
    CHECK_STATUS(ask(NDISBRIDGE_OID_GEN_STATISTICS, 152, &length), FAILURE);
    CHECK_STATUS(
        ask(NDISBRIDGE_OID_GEN_INTERFACE_INFO, 216, &length), FAILURE);
    script.status = NDISBRIDGE_STATUS_NOT_SUPPORTED;
    CHECK_STATUS(
        ask(NDISBRIDGE_OID_GEN_INTERFACE_INFO, 216, &length), SUCCESS);
    memcpy(&whole, output.bytes, sizeof whole);
    CHECK_EQUAL(whole.if_oper_status, NDISBRIDGE_NET_IF_OPER_STATUS_UP);
    CHECK_EQUAL(whole.if_mtu, 0);
    CHECK_EQUAL(whole.xmit_link_speed, NDISBRIDGE_LINK_SPEED_UNKNOWN);

    /* All of it; the composite equals its parts. */
    for (uint32_t i = 0; i < sizeof *is; i++)
        ((uint8_t *)is)[i] = (uint8_t)check_mix(&random_state);
    is->if_oper_status = NDISBRIDGE_NET_IF_OPER_STATUS_DORMANT;
    is->if_oper_status_flags = 5;
    is->media_connect_state = is->media_duplex_state = 1;
    is->if_promiscuous_mode = 1;
    is->if_device_wake_up_enable = 0;
    values.fields = NDISBRIDGE_PUBLISH_INFORMATION
        | NDISBRIDGE_PUBLISH_ADMIN_STATUS | NDISBRIDGE_PUBLISH_ALIAS;
    values.admin_status = NDISBRIDGE_NET_IF_ADMIN_STATUS_UP;
    values.alias.length = 8;
    memcpy(values.alias.string, (uint16_t[4]){ 'L', 'A', 'N', '1' }, 8);
    script.calls = 0;
    CHECK_STATUS(ndisbridge_publish(session, net_luid, &values), SUCCESS);
    CHECK_STATUS(
        ask(NDISBRIDGE_OID_GEN_INTERFACE_INFO, 224, &length), SUCCESS);
    CHECK_EQUAL(length, 216);
    memcpy(&whole, output.bytes, sizeof whole);
    for (uint16_t i = 0; i < NB_OID_COUNT; i++) {
        const struct nb_oid_entry *entry = nb_oid_entry(i);
        uint32_t field = (uint32_t)entry->field - NB_FIELD_OPER_STATUS;

        if (entry->field == NB_FIELD_NONE || field >= 32)
            continue;
        CHECK_STATUS(ask(entry->oid, 16, &length), SUCCESS);
        number = 0;
        memcpy(&number, output.bytes, length);
        read_member(&whole, field, &wanted);
        CHECK_EQUAL(number, wanted);
        read_member(is, field, &wanted);
        CHECK_EQUAL(number, wanted);
    }
    CHECK_STATUS(ask(NDISBRIDGE_OID_GEN_STATISTICS, 152, &length), SUCCESS);
    memcpy(&statistics, output.bytes, sizeof statistics);
    CHECK_EQUAL(statistics.header.size, 152);
    CHECK_EQUAL(statistics.if_hc_in_octets, is->if_hc_in_octets);
    CHECK_EQUAL(statistics.if_out_discards, is->if_out_discards);
    CHECK_EQUAL(statistics.if_hc_out_broadcast_octets,
        is->if_hc_out_broadcast_octets);
    CHECK_EQUAL(__builtin_popcount(statistics.supported_statistics), 18);
    CHECK_STATUS(ask(NDISBRIDGE_OID_GEN_ALIAS, 516, &length), SUCCESS);
    memcpy(&alias, output.bytes, sizeof alias);
    CHECK_EQUAL(alias.length, 8);
    CHECK_EQUAL(alias.string[0], 'L');
    CHECK_STATUS(ask(NDISBRIDGE_OID_GEN_ALIAS, 515, &length),
        BUFFER_TOO_SHORT);
    CHECK_STATUS(ask(NDISBRIDGE_OID_GEN_ADMIN_STATUS, 4, &length), SUCCESS);
    memcpy(&status, output.bytes, sizeof status);
    CHECK_EQUAL(status, NDISBRIDGE_NET_IF_ADMIN_STATUS_UP);
    CHECK_STATUS(ask(NDISBRIDGE_OID_GEN_LINK_STATE, 40, &length), SUCCESS);
    CHECK_STATUS(ask(NDISBRIDGE_OID_GEN_LINK_SPEED_EX, 16, &length), SUCCESS);
    memcpy(&number, output.bytes + 8, 8);
    CHECK_EQUAL(number, is->rcv_link_speed);
    CHECK_STATUS(ask(NDISBRIDGE_OID_GEN_BYTES_RCV, 5, &length), SUCCESS);
    CHECK_EQUAL(length, 4);
    CHECK_STATUS(ask(NDISBRIDGE_OID_GEN_BYTES_RCV, 3, &length),
        INVALID_LENGTH);
    CHECK_EQUAL(script.calls, 0);
    CHECK_STATUS(ndisbridge_get_if_entry(
                     session, &row, net_luid, NDISBRIDGE_IF_TABLE_NORMAL),
        SUCCESS);
    CHECK_EQUAL(script.calls, 0);
    CHECK_EQUAL(row.mtu, is->if_mtu);
    CHECK_EQUAL(row.in_octets, is->if_hc_in_octets);
    CHECK_EQUAL(row.out_nucast_pkts,
        is->if_hc_out_multicast_pkts + is->if_hc_out_broadcast_pkts);
    CHECK_EQUAL(row.alias[3], '1');
    CHECK_EQUAL(row.interface_and_oper_status_flags, 4 | 5 << 3);

    /* One more time, less: the rest stays, a shorter alias leaves nothing. */
    values.fields = NDISBRIDGE_PUBLISH_ALIAS;
    values.alias.length = 2;
    is->if_mtu = 1;
    CHECK_STATUS(ndisbridge_publish(session, net_luid, &values), SUCCESS);
    CHECK_STATUS(ndisbridge_get_if_entry(
                     session, &row, net_luid, NDISBRIDGE_IF_TABLE_NORMAL),
        SUCCESS);
    CHECK(row.alias[0] == 'L' && row.alias[1] == 0 && row.mtu != 1);
}

/* What the handler answers to OID_GEN_INTERFACE_INFO, and what comes of
 * it. */
static ndisbridge_interface_information told(
    uint32_t mtu, ndisbridge_status wanted)
{
    ndisbridge_interface_information whole = { 0 };
    ndisbridge_status status;
    uint32_t length;

    memset(&whole, 0, sizeof whole);
    whole.if_oper_status = NDISBRIDGE_NET_IF_OPER_STATUS_TESTING;
    whole.if_mtu = mtu;
    whole.if_in_errors = 33;
    whole.supported_statistics = 0x10000000;
    memcpy(script.bytes, &whole, sizeof whole);
    status = ask(NDISBRIDGE_OID_GEN_INTERFACE_INFO, 216, &length);
    CHECK_EQUAL(status, wanted);
    if (status == NDISBRIDGE_STATUS_SUCCESS)
        CHECK_EQUAL(length, 216);
    memcpy(&whole, output.bytes, sizeof whole);
    return whole;
}

/* What is published in part is laid over what the handler says. */
static void test_partly_published(ndisbridge_provider provider)
{
    const uint32_t oid = NDISBRIDGE_OID_GEN_INTERFACE_INFO;
    const uint32_t mine = NDISBRIDGE_STATISTICS_BYTES_RCV_SUPPORTED;
    ndisbridge_net_luid before = net_luid;
    ndisbridge_published values = { 0 };
    ndisbridge_interface_information whole;
    ndisbridge_mib_if_row2 row;
    uint32_t if_index, length = 216;

#define ROW(level) \
    CHECK_STATUS(ndisbridge_get_if_entry( \
                     session, &row, net_luid, NDISBRIDGE_IF_TABLE_##level), \
        SUCCESS)
    net_luid = kit_interface(session, &if_index, provider, 0, &script);
    answer(216, 216, NDISBRIDGE_STATUS_SUCCESS);
    values.fields = nb_bit(NB_FIELD_OPER_STATUS - NB_FIELD_OPER_STATUS)
        | nb_bit(NB_FIELD_IN_OCTETS - NB_FIELD_OPER_STATUS);
    values.information.if_oper_status = NDISBRIDGE_NET_IF_OPER_STATUS_UP;
    values.information.if_hc_in_octets = 7;
    CHECK_STATUS(ndisbridge_publish(session, net_luid, &values), SUCCESS);
    whole = told(1500, NDISBRIDGE_STATUS_SUCCESS);
    CHECK_EQUAL(script.calls, 1);
    CHECK_EQUAL(whole.if_oper_status, NDISBRIDGE_NET_IF_OPER_STATUS_UP);
    CHECK_EQUAL(whole.if_hc_in_octets, 7);
    CHECK_EQUAL(whole.if_mtu, 1500);
    CHECK_EQUAL(whole.if_in_errors, 33);
    CHECK_EQUAL(whole.xmit_link_speed, 0);
    CHECK_EQUAL(whole.supported_statistics, 0x10000000 | mine);
    /* Rules of its buffer come first, and it may block. */
    CHECK_STATUS(ask(oid, 215, &length), BUFFER_TOO_SHORT);
    CHECK_EQUAL(length, 216);
    CHECK_EQUAL(script.calls, 1);
    CHECK_STATUS(ndisbridge_try_query(
                     session, output.bytes, &length, net_luid, oid),
        PENDING);
    CHECK_EQUAL(script.calls, 1);
    /* Rows say the same, but where nobody is to be asked. */
    ROW(NORMAL);
    CHECK_EQUAL(row.mtu, 1500);
    CHECK_EQUAL(row.in_octets, 7);
    CHECK_EQUAL(row.in_errors, 33);
    CHECK_EQUAL(row.oper_status, NDISBRIDGE_NET_IF_OPER_STATUS_UP);
    script.calls = 0;
    ROW(PUBLISHED);
    CHECK_EQUAL(row.mtu, 0);
    CHECK_EQUAL(row.in_octets, 7);
    CHECK_EQUAL(script.calls, 0);
    /* A handler that fails. */
    answer(216, 215, NDISBRIDGE_STATUS_SUCCESS);
    told(1500, NDISBRIDGE_STATUS_INVALID_DATA);
    answer(216, 216, NDISBRIDGE_STATUS_RESOURCES);
    told(1500, NDISBRIDGE_STATUS_RESOURCES);
    ROW(NORMAL);
    CHECK_EQUAL(row.in_octets, 7);
    CHECK_EQUAL(row.mtu, 0);
    answer(216, 216, NDISBRIDGE_STATUS_PENDING);
    told(1500, NDISBRIDGE_STATUS_FAILURE);
    /* One that leaves it to what is published. */
    for (uint32_t i = 0; i < 2; i++) {
        answer(216, 216, i ? NDISBRIDGE_STATUS_NOT_SUPPORTED
                           : NDISBRIDGE_STATUS_INVALID_OID);
        whole = told(1500, NDISBRIDGE_STATUS_SUCCESS);
        CHECK_EQUAL(script.calls, 1);
        CHECK_EQUAL(whole.if_oper_status, NDISBRIDGE_NET_IF_OPER_STATUS_UP);
        CHECK_EQUAL(whole.if_mtu, 0);
        CHECK_EQUAL(whole.xmit_link_speed, NDISBRIDGE_LINK_SPEED_UNKNOWN);
        CHECK_EQUAL(whole.supported_statistics, 0x55 | mine);
    }
    /* All but one member: still asked.  All: not any more. */
    values.fields = NDISBRIDGE_PUBLISH_INFORMATION & ~(uint64_t)16;
    CHECK_STATUS(ndisbridge_publish(session, net_luid, &values), SUCCESS);
    answer(216, 216, NDISBRIDGE_STATUS_SUCCESS);
    whole = told(1400, NDISBRIDGE_STATUS_SUCCESS);
    CHECK_EQUAL(script.calls, 1);
    CHECK_EQUAL(whole.if_mtu, 1400);
    CHECK_EQUAL(whole.if_in_errors, 0);
    CHECK_EQUAL(whole.supported_statistics, 0);
    values.fields = 16;
    CHECK_STATUS(ndisbridge_publish(session, net_luid, &values), SUCCESS);
    whole = told(1400, NDISBRIDGE_STATUS_SUCCESS);
    CHECK_EQUAL(script.calls, 1);
    CHECK_EQUAL(whole.if_mtu, 0);
    CHECK_STATUS(
        ndisbridge_deregister_interface(session, if_index, 0), SUCCESS);
    net_luid = before;
#undef ROW
}

/* A provider without a handler for it: nobody to wait for. */
static void test_partly_published_alone(void)
{
    const ndisbridge_oid_handler handler = { NDISBRIDGE_OID_GEN_VENDOR_ID, 0,
        query_slot, NULL };
    ndisbridge_if_provider_characteristics none =
        kit_characteristics(NULL, NULL);
    ndisbridge_published values = { .fields = 16,
        .information = { .if_mtu = 1300 } };
    ndisbridge_net_luid before = net_luid;
    ndisbridge_interface_information whole;
    ndisbridge_provider provider;
    ndisbridge_mib_if_row2 row;
    uint32_t if_index, length = sizeof whole;

    CHECK_STATUS(ndisbridge_register_provider(
                     session, &provider, &none, 0, &handler, 1),
        SUCCESS);
    net_luid = kit_interface(session, &if_index, provider, 0, NULL);
    CHECK_STATUS(ask(NDISBRIDGE_OID_GEN_INTERFACE_INFO, 216, &length),
        NOT_SUPPORTED);
    CHECK_STATUS(ndisbridge_publish(session, net_luid, &values), SUCCESS);
    CHECK_STATUS(ndisbridge_try_query(session, &whole, &length, net_luid,
                     NDISBRIDGE_OID_GEN_INTERFACE_INFO),
        SUCCESS);
    CHECK_EQUAL(whole.if_mtu, 1300);
    CHECK_EQUAL(
        whole.if_oper_status, NDISBRIDGE_NET_IF_OPER_STATUS_UNKNOWN);
    CHECK_EQUAL(whole.supported_statistics, 0x55);
    CHECK_STATUS(ndisbridge_get_if_entry(
                     session, &row, net_luid, NDISBRIDGE_IF_TABLE_NORMAL),
        SUCCESS);
    CHECK_EQUAL(row.mtu, 1300);
    CHECK_STATUS(
        ndisbridge_deregister_interface(session, if_index, 0), SUCCESS);
    net_luid = before;
}

/* in = unicast + multicast + broadcast, once all three are published. */
static void test_octets(ndisbridge_provider provider)
{
    static const struct {
        uint32_t total_oid, total, part;
    } ways[] = { { NDISBRIDGE_OID_GEN_BYTES_RCV, NB_FIELD_IN_OCTETS,
                     NB_FIELD_IN_UCAST_OCTETS },
        { NDISBRIDGE_OID_GEN_BYTES_XMIT, NB_FIELD_OUT_OCTETS,
            NB_FIELD_OUT_UCAST_OCTETS } };
    ndisbridge_net_luid before = net_luid;
    ndisbridge_statistics_info statistics;
    ndisbridge_mib_if_row2 row;
    uint64_t number;
    uint32_t if_index, length;

    answer(0, 0, NDISBRIDGE_STATUS_NOT_SUPPORTED);
    net_luid = kit_interface(session, &if_index, provider, 0, &script);
    for (uint32_t i = 0; i < 2; i++) {
        const uint64_t total = nb_bit(ways[i].total - NB_FIELD_OPER_STATUS);
        const uint64_t part = nb_bit(ways[i].part - NB_FIELD_OPER_STATUS);
        ndisbridge_published values = { 0 };
        ndisbridge_interface_information *is = &values.information;

        is->if_hc_in_ucast_octets = is->if_hc_out_ucast_octets = 100;
        is->if_hc_in_multicast_octets = is->if_hc_out_multicast_octets = 20;
        is->if_hc_in_broadcast_octets = is->if_hc_out_broadcast_octets = 3;
        is->if_hc_in_octets = is->if_hc_out_octets = 999;
#define PUBLISH(bits, wanted) \
    do { \
        values.fields = (bits); \
        CHECK_STATUS( \
            ndisbridge_publish(session, net_luid, &values), SUCCESS); \
        CHECK_STATUS(ask(ways[i].total_oid, 8, &length), SUCCESS); \
        memcpy(&number, output.bytes, 8); \
        CHECK_EQUAL(number, wanted); \
    } while (0)
        values.fields = part | part << 1;
        CHECK_STATUS(ndisbridge_publish(session, net_luid, &values), SUCCESS);
        CHECK_STATUS(ask(ways[i].total_oid, 8, &length), NOT_SUPPORTED);
        PUBLISH(part << 2, 123);
        CHECK_STATUS(
            ask(NDISBRIDGE_OID_GEN_STATISTICS, 152, &length), SUCCESS);
        memcpy(&statistics, output.bytes, sizeof statistics);
        CHECK(statistics.supported_statistics
            & (i ? NDISBRIDGE_STATISTICS_FLAGS_VALID_BYTES_XMIT
                 : NDISBRIDGE_STATISTICS_FLAGS_VALID_BYTES_RCV));
        CHECK_EQUAL(i ? statistics.if_hc_out_octets
                      : statistics.if_hc_in_octets, 123);
        /* A total that is given is kept; other values don't touch it. */
        PUBLISH(total | part, 999);
        PUBLISH(16, 999);
        is->if_hc_in_ucast_octets = is->if_hc_out_ucast_octets = 200;
        PUBLISH(part, 223);
        PUBLISH(total, 999);
        PUBLISH(part * 7, 223);
#undef PUBLISH
    }
    CHECK_STATUS(ndisbridge_get_if_entry(
                     session, &row, net_luid, NDISBRIDGE_IF_TABLE_PUBLISHED),
        SUCCESS);
    CHECK_EQUAL(row.in_octets, 223);
    CHECK_EQUAL(row.out_octets, 223);
    CHECK_STATUS(
        ndisbridge_deregister_interface(session, if_index, 0), SUCCESS);
    net_luid = before;
}

/* Registration says what is supported; counters that are published add. */
static void test_supported_statistics(ndisbridge_provider provider)
{
    const uint32_t error = NDISBRIDGE_STATISTICS_RCV_ERROR_SUPPORTED;
    ndisbridge_net_luid before = net_luid;
    ndisbridge_published values = { .fields = 16 };
    uint32_t if_index;

    answer(0, 0, NDISBRIDGE_STATUS_NOT_SUPPORTED);
    net_luid = kit_interface(session, &if_index, provider, 0, &script);
#define SUPPORTED(bits, wanted) \
    do { \
        values.fields = (bits); \
        CHECK_STATUS( \
            ndisbridge_publish(session, net_luid, &values), SUCCESS); \
        CHECK_EQUAL(told(0, NDISBRIDGE_STATUS_SUCCESS).supported_statistics, \
            wanted); \
    } while (0)
    SUPPORTED(16, 0x55);
    SUPPORTED(nb_bit(NB_FIELD_IN_ERRORS - NB_FIELD_OPER_STATUS),
        0x55 | error);
    values.information.supported_statistics = 2;
    SUPPORTED(nb_bit(NB_FIELD_SUPPORTED_STATISTICS - NB_FIELD_OPER_STATUS),
        2);
    SUPPORTED(nb_bit(NB_FIELD_IN_OCTETS - NB_FIELD_OPER_STATUS), 2);
#undef SUPPORTED
    CHECK_STATUS(
        ndisbridge_deregister_interface(session, if_index, 0), SUCCESS);
    net_luid = before;
}

static void test_publish_arguments(void)
{
    ndisbridge_published values = { 0 }, many[3] = { 0 };
    ndisbridge_net_luid luids[3] = { 0, 0, 0 };
    uint32_t done = 9;

#define REFUSED(bits, change) \
    do { \
        memset(&values, 0, sizeof values); \
        values.fields = bits; \
        change; \
        CHECK_STATUS(ndisbridge_publish(session, net_luid, &values), \
            INVALID_PARAMETER); \
    } while (0)
    REFUSED(UINT64_C(1) << 34, (void)0);
    REFUSED(1, values.information.if_oper_status = 0);
    REFUSED(1, values.information.if_oper_status = 8);
    REFUSED(4, values.information.media_connect_state = 3);
    REFUSED(8, values.information.media_duplex_state = 3);
    REFUSED(32, values.information.if_promiscuous_mode = 2);
    REFUSED(NDISBRIDGE_PUBLISH_ADMIN_STATUS, values.admin_status = 0);
    REFUSED(NDISBRIDGE_PUBLISH_ADMIN_STATUS, values.admin_status = 4);
    REFUSED(NDISBRIDGE_PUBLISH_ALIAS, values.alias.length = 3);
    REFUSED(NDISBRIDGE_PUBLISH_ALIAS, values.alias.length = 514);
#undef REFUSED
    CHECK_STATUS(ndisbridge_publish(session, net_luid, NULL),
        INVALID_PARAMETER);
    values.fields = 16;
    values.alias.length = 0;
    CHECK_STATUS(ndisbridge_publish(session, 1, &values),
        INTERFACE_NOT_FOUND);
    luids[1] = net_luid;
    CHECK_STATUS(
        ndisbridge_publish_many(session, &done, luids, 3, many, sizeof *many),
        SUCCESS);
    CHECK_EQUAL(done, 1);
    luids[2] = kit_luid(6, 0xABCDEF);
    CHECK_STATUS(
        ndisbridge_publish_many(session, &done, luids, 3, &values, 0),
        FAILURE);
    CHECK_EQUAL(done, 1);
    CHECK_STATUS(
        ndisbridge_publish_many(session, &done, luids, 3, &values, 12),
        INVALID_PARAMETER);
    CHECK_STATUS(
        ndisbridge_publish_many(session, &done, luids, 3, &values, 16),
        INVALID_PARAMETER);
}

/* ---- many, tables ------------------------------------------------------ */

static void test_many(ndisbridge_provider provider)
{
    enum { MANY = 50, STRIDE = 12 };
    static ndisbridge_mib_if_row2 rows[MANY + 1];
    ndisbridge_net_luid luids[MANY];
    ndisbridge_status statuses[MANY];
    ndisbridge_published values = { 0 };
    uint32_t lengths[MANY], if_indexes[MANY], count = 0;
    uint8_t answers[MANY * STRIDE];

    for (uint32_t i = 0; i < MANY; i++) {
        luids[i] =
            kit_interface(session, &if_indexes[i], provider, 0, &script);
        values.fields = 16;
        values.information.if_mtu = 1000 + i;
        if (i % 2)
            CHECK_STATUS(
                ndisbridge_publish(session, luids[i], &values), SUCCESS);
    }
    answer(4, 4, NDISBRIDGE_STATUS_SUCCESS);
    luids[7] ^= UINT64_C(1) << 40;
    CHECK_STATUS(ndisbridge_query_many(session, answers, STRIDE, lengths,
                     statuses, luids, MANY,
                     NDISBRIDGE_OID_GEN_MAXIMUM_FRAME_SIZE),
        FAILURE);
    for (uint32_t i = 0; i < MANY; i++) {
        const uint8_t *at = answers + (size_t)i * STRIDE;
        uint32_t mtu;

        memcpy(&mtu, at, 4);
        if (i == 7) {
            CHECK_STATUS(statuses[i], INTERFACE_NOT_FOUND);
            CHECK_EQUAL(mtu, 0);
            continue;
        }
        CHECK_STATUS(statuses[i], SUCCESS);
        CHECK_EQUAL(lengths[i], 4);
        CHECK(i % 2 ? mtu == 1000 + i : memcmp(at, script.bytes, 4) == 0);
        for (uint32_t j = 4; j < STRIDE; j++)
            CHECK_EQUAL(at[j], 0);
    }
    luids[7] ^= UINT64_C(1) << 40;
    CHECK_STATUS(ndisbridge_query_many(session, NULL, 0, NULL, statuses,
                     luids, MANY, NDISBRIDGE_OID_GEN_MAXIMUM_FRAME_SIZE),
        FAILURE);
    CHECK_STATUS(statuses[3], BUFFER_TOO_SHORT);

    CHECK_STATUS(ndisbridge_get_if_table(session, NULL, &count, 0),
        BUFFER_TOO_SHORT);
    CHECK_EQUAL(count, MANY + 1);
    count = MANY;
    CHECK_STATUS(
        ndisbridge_get_if_table(session, rows, &count, 0), BUFFER_TOO_SHORT);
    CHECK_EQUAL(count, MANY + 1);
    /* What has been published is shown without asking. */
    script.calls = 0;
    CHECK_STATUS(ndisbridge_get_if_table(
                     session, rows, &count, NDISBRIDGE_IF_TABLE_PUBLISHED),
        SUCCESS);
    CHECK_EQUAL(script.calls, 0);
    for (uint32_t i = 1; i < count; i++) {
        CHECK(rows[i].interface_index > rows[i - 1].interface_index);
        CHECK_EQUAL(rows[i].interface_luid, luids[i - 1]);
        CHECK_EQUAL(rows[i].mtu, (i - 1) % 2 ? 1000 + i - 1 : 0);
    }
    CHECK_STATUS(
        ndisbridge_get_if_table(session, rows, &count, 0), SUCCESS);
    CHECK(script.calls >= MANY);
    CHECK_STATUS(ndisbridge_get_if_table(session, rows, &count, 1),
        INVALID_PARAMETER);
    CHECK_STATUS(ndisbridge_get_if_entry(session, rows, 1 << 24, 0),
        INTERFACE_NOT_FOUND);
    for (uint32_t i = 0; i < MANY; i++)
        CHECK_STATUS(ndisbridge_deregister_interface(
                         session, if_indexes[i], 0),
            SUCCESS);
}

/* A batch answers what single queries do, whatever is between what it can
 * read in its loop: interfaces that publish nothing, of other IfTypes, or
 * that are not there; small or too large for a cache. */
static void test_many_mixed(ndisbridge_provider provider)
{
    enum { KINDS = 6, MANY = 3001, WIDEST = 16 };
    static ndisbridge_net_luid luids[MANY];
    static ndisbridge_status statuses[MANY];
    static uint32_t lengths[MANY];
    static uint8_t answers[MANY * WIDEST];
    static const uint32_t strides[] = { 2, 4, WIDEST };
    ndisbridge_published values = { .fields = 16 };
    ndisbridge_net_luid kinds[KINDS];
    uint32_t if_indexes[3], index;

    kinds[0] = kit_interface(session, &if_indexes[0], provider, 0, &script);
    kinds[1] = kit_interface(session, &if_indexes[1], provider, 0, &script);
    CHECK_STATUS(
        ndisbridge_allocate_net_luid_index(session, &index, 71), SUCCESS);
    kinds[2] = kit_luid(71, index);
    if_indexes[2] = 0;
    CHECK_STATUS(kit_register(session, &if_indexes[2], provider, kinds[2], 0,
                     &script),
        SUCCESS);
    kinds[3] = kit_luid(6, 4095);
    kinds[4] = kit_luid(99, 1);
    kinds[5] = kinds[0] | 1;  /* reserved bits */
    values.information.if_mtu = 1500;
    CHECK_STATUS(ndisbridge_publish(session, kinds[0], &values), SUCCESS);
    values.information.if_mtu = 1600;
    CHECK_STATUS(ndisbridge_publish(session, kinds[2], &values), SUCCESS);
    answer(4, 4, NDISBRIDGE_STATUS_SUCCESS);
    for (uint32_t i = 0; i < MANY; i++)
        luids[i] = kinds[i % 97 < KINDS ? i % 97 : i % 2 * 2];
    for (uint32_t round = 0; round < 12; round++) {
        uint32_t stride = strides[round % 3];
        uint32_t count = round < 6 ? 500 : MANY;
        bool all = true;

        ndisbridge_query_many(session, answers, stride,
            round % 2 ? lengths : NULL, statuses, luids, count,
            NDISBRIDGE_OID_GEN_MAXIMUM_FRAME_SIZE);
        for (uint32_t i = 0; i < count; i++) {
            uint8_t alone[WIDEST] = { 0 };
            uint32_t length = stride;
            ndisbridge_status status = ndisbridge_query(session, alone,
                &length, luids[i], NDISBRIDGE_OID_GEN_MAXIMUM_FRAME_SIZE);

            all &= status == statuses[i]
                && (round % 2 == 0 || length == lengths[i])
                && memcmp(alone, answers + (size_t)i * stride, stride) == 0;
        }
        CHECK(all);
    }
    for (uint32_t i = 0; i < 3; i++)
        CHECK_STATUS(
            ndisbridge_deregister_interface(session, if_indexes[i], 0),
            SUCCESS);
}

/* Answers that are written in place are aligned; a batch of which nothing is
 * tried says so for each. */
static void test_many_arguments(void)
{
    static const uint32_t in_place[] = { VARIABLE, PRIVATE,
        NDISBRIDGE_OID_GEN_SUPPORTED_LIST,
        NDISBRIDGE_OID_802_3_MULTICAST_LIST };
    ndisbridge_session *closed = check_open(NULL);
    ndisbridge_net_luid luids[2] = { net_luid, net_luid };
    ndisbridge_status statuses[2];
    uint32_t lengths[2];
    uint64_t answers[8];

    answer(12, 12, NDISBRIDGE_STATUS_SUCCESS);
#define MANY(of, stride, count, oid) \
    (memset(statuses, 0x77, sizeof statuses), \
        memset(lengths, 0x77, sizeof lengths), \
        ndisbridge_query_many(of, answers, stride, lengths, statuses, luids, \
            count, oid))
#define ALL(status) \
    do { \
        for (uint32_t k_ = 0; k_ < 2; k_++) { \
            CHECK_STATUS(statuses[k_], status); \
            CHECK_EQUAL(lengths[k_], 0); \
        } \
    } while (0)
    for (uint32_t i = 0; i < 4; i++) {
        for (uint32_t stride = 12; stride <= 24; stride++) {
            script.calls = 0;
            if (stride % 8 == 0) {
                CHECK_STATUS(
                    MANY(session, stride, 2, in_place[i]), SUCCESS);
                CHECK_EQUAL(script.calls, 2);
                CHECK_EQUAL(lengths[1], 12);
                continue;
            }
            CHECK_STATUS(
                MANY(session, stride, 2, in_place[i]), INVALID_PARAMETER);
            ALL(INVALID_PARAMETER);
            CHECK_EQUAL(script.calls, 0);
            CHECK_STATUS(MANY(session, stride, 1, in_place[i]), SUCCESS);
            CHECK_STATUS(MANY(session, stride, 0, in_place[i]), SUCCESS);
        }
    }
    CHECK_STATUS(ndisbridge_session_close(closed, 0), SUCCESS);
    CHECK_STATUS(MANY(closed, 16, 2, VARIABLE), INVALID_STATE);
    ALL(INVALID_STATE);
    CHECK_STATUS(ndisbridge_query_many(session, NULL, 8, NULL, statuses,
                     luids, 2, VARIABLE),
        INVALID_PARAMETER);
    ALL(INVALID_PARAMETER);
    CHECK_STATUS(ndisbridge_query_many(session, answers, 8, lengths, NULL,
                     luids, 2, VARIABLE),
        INVALID_PARAMETER);
    CHECK_STATUS(ndisbridge_session_destroy(closed), SUCCESS);
#undef MANY
#undef ALL
}

/* ---- a table that changes while it is read ----------------------------- */

enum { COMERS = 24, READS = 3000 };

static atomic_bool all_read;

/* Keeps a few interfaces coming and going, so that records are used again
 * for other ifIndexes. */
static void *come_and_go(void *argument)
{
    ndisbridge_provider provider = *(ndisbridge_provider *)argument;
    uint32_t indexes[COMERS], if_indexes[COMERS] = { 0 };

    CHECK_STATUS(ndisbridge_allocate_net_luid_indexes(
                     session, indexes, COMERS, 131),
        SUCCESS);
    while (!atomic_load(&all_read)) {
        for (uint32_t i = 0; i < COMERS; i++) {
            if_indexes[i] = 0;
            CHECK_STATUS(kit_register(session, &if_indexes[i], provider,
                             kit_luid(131, indexes[i]), 0, &script),
                SUCCESS);
        }
        for (uint32_t i = COMERS; i-- > 0;)
            CHECK_STATUS(ndisbridge_deregister_interface(
                             session, if_indexes[i], 0),
                SUCCESS);
    }
    return NULL;
}

static void test_changing_table(ndisbridge_provider provider)
{
    static ndisbridge_mib_if_row2 rows[4 * COMERS];
    nb_interface_slot *stale;
    pthread_t comers[2];
    ndisbridge_status status;
    uint32_t ahead, if_index, count, not_ascending = 0;

    /* A reader that has found a record just before it became another's sees
     * a slot that leads to it: here is one that stays. */
    kit_interface(session, &if_index, provider, 0, &script);
    ahead = if_index + 1;
    stale = nb_table_index_slot(&session->table, ahead);
    REQUIRE(stale != NULL && nb_load_acquire(stale) == NULL);
    nb_store_release(
        stale, nb_table_find_if_index(&session->table, if_index));
    count = 4;
    CHECK_STATUS(ndisbridge_get_if_table(
                     session, rows, &count, NDISBRIDGE_IF_TABLE_PUBLISHED),
        SUCCESS);
    CHECK_EQUAL(count, 2);
    CHECK_EQUAL(rows[1].interface_index, if_index);
    nb_store_release(stale, NULL);
    CHECK_STATUS(
        ndisbridge_deregister_interface(session, if_index, 0), SUCCESS);

    atomic_store(&all_read, false);
    for (uint32_t i = 0; i < 2; i++)
        REQUIRE(pthread_create(&comers[i], NULL, come_and_go, &provider) == 0);
    for (uint32_t i = 0; i < READS / CHECK_SLOWNESS; i++) {
        count = 4 * COMERS;
        status = ndisbridge_get_if_table(
            session, rows, &count, NDISBRIDGE_IF_TABLE_PUBLISHED);
        /* ifIndexes go up: a reader may follow those who come. */
        if (status != NDISBRIDGE_STATUS_SUCCESS) {
            CHECK_STATUS(status, BUFFER_TOO_SHORT);
            count = 4 * COMERS;
        }
        for (uint32_t j = 1; j < count; j++)
            not_ascending +=
                rows[j].interface_index <= rows[j - 1].interface_index;
    }
    CHECK_EQUAL(not_ascending, 0);
    atomic_store(&all_read, true);
    for (uint32_t i = 0; i < 2; i++)
        pthread_join(comers[i], NULL);
}

static void test_catalog(void)
{
    uint32_t oids[NB_OID_COUNT], count = 0;
    ndisbridge_oid_description description;

    CHECK_STATUS(ndisbridge_list_oids(NULL, &count), BUFFER_TOO_SHORT);
    CHECK_EQUAL(count, NB_OID_COUNT);
    CHECK_STATUS(ndisbridge_list_oids(oids, &count), SUCCESS);
    for (uint32_t i = 0; i < count; i++) {
        CHECK(i == 0 || oids[i] > oids[i - 1]);
        CHECK_STATUS(ndisbridge_describe_oid(&description, oids[i]), SUCCESS);
        CHECK_EQUAL(description.oid, oids[i]);
        CHECK(description.name[0] != 0);
        CHECK_EQUAL(nb_oid_find(oids[i]), i);
        CHECK_STATUS(
            ndisbridge_describe_oid(&description, oids[i] ^ 0x80000000),
            INVALID_OID);
    }
}

/* ---- NET_LUID ---------------------------------------------------------- */

static void test_net_luid(void)
{
    static const struct {
        uint32_t if_type, index;
        ndisbridge_net_luid value;
        const char *name;
    } vectors[] = {
        { 6, 21, 1688850212585472, "ethernet_21" },
        { 6, 11, 1688850044813312, "ethernet_11" },
        { 6, 32769, 1689399632855040, "ethernet_32769" },
        { 6, 1, 1688849877041152, "ethernet_1" },
        { 1, 0, 281474976710656, "other_0" },
        { 9, 2, 0x0009000002000000, "tokenring_2" },
        { 23, 3, 0x0017000003000000, "ppp_3" },
        { 24, 0, 0x0018000000000000, "loopback_0" },
        { 37, 4, 0x0025000004000000, "atm_4" },
        { 71, 32768, 0x0047008000000000, "wireless_32768" },
        { 131, 5, 0x0083000005000000, "tunnel_5" },
        { 144, 6, 0x0090000006000000, "ieee1394_6" },
        { 53, 7, 0x0035000007000000, "iftype53_7" },
        { 65535, 0xFFFFFF, 0xFFFFFFFFFF000000, "iftype65535_16777215" },
    };
    static const char *const wrong[] = { "", "_", "ethernet", "ethernet_",
        "ethernet_01", "ethernet_-1", "ethernet_+1", "ethernet_ 1",
        "ethernet_1 ", "ethernet_16777216", "ethernet_4294967296",
        "ethernet_18446744073709551617", "ethernet_1_1", " ethernet_1",
        "iftype_1", "iftype0_1", "iftype65536_1", "iftype06_1", "eth_1",
        "iftype4294967302_1", "ethernet_0x10", "_1", "iftype-1_1" };
    ndisbridge_net_luid luid;
    char name[NDISBRIDGE_NET_LUID_NAME_SIZE];
    uint32_t size;

    for (uint32_t i = 0; i < sizeof vectors / sizeof *vectors; i++) {
        uint32_t needed = (uint32_t)strlen(vectors[i].name) + 1;

        CHECK_STATUS(ndisbridge_make_net_luid(
                         &luid, vectors[i].if_type, vectors[i].index),
            SUCCESS);
        CHECK_EQUAL(luid, vectors[i].value);
        CHECK_EQUAL(ndisbridge_net_luid_if_type(luid), vectors[i].if_type);
        CHECK_EQUAL(ndisbridge_net_luid_index(luid), vectors[i].index);
        size = sizeof name;
        CHECK_STATUS(ndisbridge_net_luid_to_name(name, &size, luid), SUCCESS);
        CHECK(strcmp(name, vectors[i].name) == 0);
        CHECK_EQUAL(size, needed);
        size = needed - 1;
        CHECK_STATUS(ndisbridge_net_luid_to_name(name, &size, luid),
            BUFFER_TOO_SHORT);
        CHECK_EQUAL(size, needed);
        size = 0;
        CHECK_STATUS(ndisbridge_net_luid_to_name(NULL, &size, luid),
            BUFFER_TOO_SHORT);
        luid = 0;
        CHECK_STATUS(
            ndisbridge_net_luid_from_name(&luid, vectors[i].name), SUCCESS);
        CHECK_EQUAL(luid, vectors[i].value);
        for (char *at = strcpy(name, vectors[i].name); *at != 0; at++)
            *at = (char)toupper((unsigned char)*at);
        CHECK_STATUS(ndisbridge_net_luid_from_name(&luid, name), SUCCESS);
        CHECK_EQUAL(luid, vectors[i].value);
    }
    for (uint32_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        luid = 99;
        if (!CHECK(ndisbridge_net_luid_from_name(&luid, wrong[i])
                == NDISBRIDGE_STATUS_INVALID_PARAMETER))
            fprintf(stderr, "    \"%s\"\n", wrong[i]);
        CHECK_EQUAL(luid, 0);
    }
    luid = 99;
    CHECK_STATUS(
        ndisbridge_net_luid_from_name(&luid, NULL), INVALID_PARAMETER);
    CHECK_EQUAL(luid, 0);
    CHECK_STATUS(
        ndisbridge_net_luid_from_name(NULL, "ethernet_1"), INVALID_PARAMETER);
    CHECK_STATUS(ndisbridge_net_luid_from_name(&luid, "iftype6_1"), SUCCESS);
    CHECK_EQUAL(luid, kit_luid(6, 1));
    CHECK_STATUS(ndisbridge_make_net_luid(&luid, 0, 1), INVALID_PARAMETER);
    CHECK_STATUS(
        ndisbridge_make_net_luid(&luid, 65536, 1), INVALID_PARAMETER);
    CHECK_STATUS(
        ndisbridge_make_net_luid(&luid, 6, 0x1000000), INVALID_PARAMETER);
    CHECK_STATUS(ndisbridge_make_net_luid(NULL, 6, 1), INVALID_PARAMETER);
    size = sizeof name;
    CHECK_STATUS(ndisbridge_net_luid_to_name(name, &size, 0),
        INVALID_PARAMETER);
    CHECK_STATUS(ndisbridge_net_luid_to_name(name, &size, kit_luid(6, 1) | 1),
        INVALID_PARAMETER);
    CHECK_STATUS(ndisbridge_net_luid_to_name(NULL, &size, kit_luid(6, 1)),
        INVALID_PARAMETER);
}

int main(void)
{
    ndisbridge_provider provider;
    uint32_t if_index;

    random_state = check_begin("test_oid_dispatch");
    session = check_open(NULL);
    provider = kit_provider(session, query_script, set_script);
    net_luid = kit_interface(session, &if_index, provider, 0, &script);
    test_rules();
    test_sets();
    test_slots();
    test_flags();
    test_facts();
    test_addresses(provider);
    test_many(provider);
    test_many_mixed(provider);
    test_many_arguments();
    test_changing_table(provider);
    test_partly_published(provider);
    test_partly_published_alone();
    test_octets(provider);
    test_supported_statistics(provider);
    test_published();
    test_publish_arguments();
    test_catalog();
    test_net_luid();
    CHECK_STATUS(ndisbridge_session_destroy(session), SUCCESS);
    return check_end();
}
