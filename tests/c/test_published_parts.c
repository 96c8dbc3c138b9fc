/* SPDX-License-Identifier: MIT
 *
 * test_published_parts.c - interfaces that have published a part of what an
 * OID or a row is made of, and providers that answer a part of the OIDs.
 */
#include "interface_kit.h"
#include "oid_catalog.h"

static ndisbridge_session *session;
static ndisbridge_net_luid net_luid;
static ndisbridge_published values;

static ndisbridge_status set_only(
    void *context, uint32_t oid, uint32_t length, const void *input)
{
    (void)context, (void)oid, (void)length, (void)input;
    return NDISBRIDGE_STATUS_SUCCESS;
}

static ndisbridge_status publish(uint64_t fields)
{
    values.fields = fields;
    return ndisbridge_publish(session, net_luid, &values);
}

/* The state of a link is that of both speeds and the media. */
static void test_link_state(void)
{
    const uint64_t media = (uint64_t)1
        << (NB_FIELD_MEDIA_CONNECT_STATE - NB_FIELD_OPER_STATUS);
    uint64_t answer[8];
    uint32_t length = sizeof answer;

    memset(&values, 0, sizeof values);
    values.information.if_oper_status = 1;
    CHECK_STATUS(publish(NDISBRIDGE_PUBLISH_INFORMATION & ~media), SUCCESS);
    CHECK(ndisbridge_query(session, answer, &length, net_luid,
              NDISBRIDGE_OID_GEN_LINK_STATE)
        != NDISBRIDGE_STATUS_SUCCESS);
    length = sizeof answer;
    CHECK_STATUS(publish(media), SUCCESS);
    CHECK_STATUS(ndisbridge_query(session, answer, &length, net_luid,
                     NDISBRIDGE_OID_GEN_LINK_STATE),
        SUCCESS);
    values.information.if_device_wake_up_enable = 2;
    CHECK_STATUS(publish(NDISBRIDGE_PUBLISH_INFORMATION), INVALID_PARAMETER);
    values.information.if_device_wake_up_enable = 0;
}

static void test_alias_again(void)
{
    ndisbridge_subscription subscription;
    ndisbridge_event events[4];
    uint32_t count = 4;

    CHECK_STATUS(
        ndisbridge_subscribe(session, &subscription, 8, 0), SUCCESS);
    memset(&values, 0, sizeof values);
    values.alias.length = 2;
    values.alias.string[0] = 'a';
    CHECK_STATUS(publish(NDISBRIDGE_PUBLISH_ALIAS), SUCCESS);
    CHECK_STATUS(publish(NDISBRIDGE_PUBLISH_ALIAS), SUCCESS);
    values.alias.string[0] = 'b';
    CHECK_STATUS(publish(NDISBRIDGE_PUBLISH_ALIAS), SUCCESS);
    CHECK_STATUS(ndisbridge_next_events(
                     session, events, &count, subscription, 0),
        SUCCESS);
    CHECK_EQUAL(count, 2);
}

int main(void)
{
    const ndisbridge_oid_handler handlers[] = {
        { .object_id = NDISBRIDGE_OID_GEN_CURRENT_PACKET_FILTER,
            .set = set_only },
    };
    ndisbridge_oid_handler none = handlers[0];
    ndisbridge_if_provider_characteristics characteristics =
        kit_characteristics(NULL, NULL);
    ndisbridge_mib_if_row2 row;
    struct kit_information facts = kit_information(0);
    ndisbridge_provider provider;
    uint32_t index, if_index = 0;

    (void)check_begin("published_parts");
    CHECK_STATUS(ndisbridge_session_create(&session, NULL), SUCCESS);
    none.set = NULL;
    CHECK_STATUS(ndisbridge_register_provider(
                     session, &provider, &characteristics, 0, &none, 1),
        INVALID_PARAMETER);
    CHECK_STATUS(ndisbridge_register_provider(
                     session, &provider, &characteristics, 0, handlers, 1),
        SUCCESS);
    net_luid = kit_interface(session, &if_index, provider, 0, NULL);
    /* No handler answers what the row lacks. */
    CHECK_STATUS(
        ndisbridge_get_if_entry(session, &row, net_luid, 0), SUCCESS);
    test_link_state();
    test_alias_again();
    /* A tunnel that says which, and one that does not. */
    for (uint32_t i = 0; i < 2; i++) {
        facts.fixed.wan_tunnel_type = i == 0 ? 11 : UINT32_MAX;
        CHECK_STATUS(ndisbridge_allocate_net_luid_index(
                         session, &index, NDISBRIDGE_IF_TYPE_TUNNEL),
            SUCCESS);
        if_index = 0;
        net_luid = kit_luid(NDISBRIDGE_IF_TYPE_TUNNEL, index);
        CHECK_STATUS(ndisbridge_register_interface(session, &if_index,
                         provider, net_luid, &facts.fixed, sizeof facts,
                         NULL),
            SUCCESS);
        CHECK_STATUS(
            ndisbridge_get_if_entry(session, &row, net_luid, 0), SUCCESS);
        CHECK_EQUAL(row.tunnel_type, i == 0 ? 11 : 0);
        /* What is published is not asked for. */
        memset(&values, 0, sizeof values);
        values.information.if_oper_status = 1;
        values.admin_status = NDISBRIDGE_NET_IF_ADMIN_STATUS_UP;
        CHECK_STATUS(publish(i == 0 ? NDISBRIDGE_PUBLISH_INFORMATION
                                    : NDISBRIDGE_PUBLISH_ADMIN_STATUS
                                 | NDISBRIDGE_PUBLISH_ALIAS),
            SUCCESS);
        CHECK_STATUS(
            ndisbridge_get_if_entry(session, &row, net_luid, 0), SUCCESS);
        CHECK_EQUAL(row.admin_status,
            i == 0 ? NDISBRIDGE_NET_IF_ADMIN_STATUS_DOWN
                   : NDISBRIDGE_NET_IF_ADMIN_STATUS_UP);
    }
    CHECK_STATUS(ndisbridge_session_destroy(session), SUCCESS);
    return check_end();
}
