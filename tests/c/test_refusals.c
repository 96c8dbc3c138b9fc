/* SPDX-License-Identifier: MIT
 *
 * test_refusals.c - every argument of the public API that may not be what it
 * is: no session, NULL, numbers out of range, one at a time.  Nothing is
 * written, and the session is as before.
 */
#include "session.h"

#include <string.h>

#include "check.h"
#include "interface_kit.h"

#define REFUSED(call) CHECK_STATUS(call, INVALID_PARAMETER)

static ndisbridge_session *session;
static ndisbridge_provider provider;
static uint32_t one, count = 1, if_index;
static ndisbridge_net_luid net_luid;

static void test_statuses(void)
{
    static const ndisbridge_status all[] = { 0, 259,
        NDISBRIDGE_STATUS_FAILURE, NDISBRIDGE_STATUS_INVALID_PARAMETER,
        NDISBRIDGE_STATUS_RESOURCES, NDISBRIDGE_STATUS_NOT_SUPPORTED,
        NDISBRIDGE_STATUS_INVALID_STATE, NDISBRIDGE_STATUS_ACCESS_DENIED,
        NDISBRIDGE_STATUS_DUPLICATE_OBJECTID,
        NDISBRIDGE_STATUS_INVALID_LENGTH, NDISBRIDGE_STATUS_INVALID_DATA,
        NDISBRIDGE_STATUS_BUFFER_TOO_SHORT, NDISBRIDGE_STATUS_INVALID_OID,
        NDISBRIDGE_STATUS_INTERFACE_NOT_FOUND,
        NDISBRIDGE_STATUS_STACK_LOOP,
        NDISBRIDGE_STATUS_PROVIDER_HAS_INTERFACES,
        NDISBRIDGE_STATUS_IN_OWN_HANDLER, NDISBRIDGE_STATUS_TIMEOUT,
        NDISBRIDGE_STATUS_IN_USE, NDISBRIDGE_STATUS_LEASE_LOST,
        NDISBRIDGE_STATUS_FORKED };
    const size_t statuses = sizeof all / sizeof *all;

    for (size_t i = 0; i < statuses; i++) {
        const char *name = ndisbridge_status_string(all[i]);

        CHECK(strncmp(name, "NDIS_STATUS_", 12) == 0);
        for (size_t j = 0; j < i; j++)
            CHECK(strcmp(name, ndisbridge_status_string(all[j])) != 0);
    }
}

static void test_catalog(void)
{
    uint32_t none = 0;

    REFUSED(ndisbridge_describe_oid(NULL, NDISBRIDGE_OID_GEN_ALIAS));
    REFUSED(ndisbridge_list_oids(NULL, NULL));
    REFUSED(ndisbridge_list_oids(NULL, &count));
    CHECK_STATUS(ndisbridge_list_oids(NULL, &none), BUFFER_TOO_SHORT);
    CHECK(none > 100);
    none = 0;
    REFUSED(ndisbridge_net_luid_to_name(NULL, NULL, net_luid));
    REFUSED(ndisbridge_net_luid_to_name(NULL, &count, net_luid));
}

static void test_indexes(void)
{
    ndisbridge_index_counts counts;

    for (uint32_t i = 0; i < 2; i++) {
        ndisbridge_session *to = i == 0 ? NULL : session;
        uint16_t type = i == 0 ? 6 : 0;

        REFUSED(ndisbridge_allocate_net_luid_index(to, &one, type));
        REFUSED(ndisbridge_try_allocate_net_luid_index(to, &one, type));
        REFUSED(ndisbridge_allocate_net_luid_indexes(to, &one, 1, type));
        REFUSED(ndisbridge_try_allocate_net_luid_indexes(to, &one, 1, type));
        REFUSED(ndisbridge_claim_net_luid_index(to, type, 1));
        REFUSED(ndisbridge_free_net_luid_index(to, type, 1));
        REFUSED(
            ndisbridge_free_net_luid_indexes(to, NULL, type, &one, 1));
        REFUSED(ndisbridge_test_net_luid_index(to, &one, type, 1));
        REFUSED(ndisbridge_count_net_luid_indexes(to, &counts, type));
        REFUSED(ndisbridge_retain(to, type, &one, 1, 0, 0, NULL));
        REFUSED(ndisbridge_release(to, type, &one, 1, 0, 0, NULL));
    }
    REFUSED(ndisbridge_allocate_net_luid_index(session, NULL, 6));
    REFUSED(ndisbridge_try_allocate_net_luid_index(session, NULL, 6));
    REFUSED(ndisbridge_allocate_net_luid_indexes(session, NULL, 1, 6));
    REFUSED(ndisbridge_try_allocate_net_luid_indexes(session, NULL, 1, 6));
    CHECK_STATUS(
        ndisbridge_allocate_net_luid_indexes(session, &one, 0x1000001, 6),
        RESOURCES);
    CHECK_STATUS(ndisbridge_allocate_net_luid_indexes(session, NULL, 0, 6),
        SUCCESS);
    REFUSED(ndisbridge_claim_net_luid_index(session, 6, 0x1000000));
    REFUSED(ndisbridge_free_net_luid_index(session, 6, 0x1000000));
    REFUSED(ndisbridge_free_net_luid_index(session, 999, 1));
    REFUSED(ndisbridge_free_net_luid_indexes(session, &one, 6, NULL, 1));
    CHECK_STATUS(
        ndisbridge_free_net_luid_indexes(session, NULL, 6, NULL, 0),
        SUCCESS);
    one = 5;
    REFUSED(
        ndisbridge_free_net_luid_indexes(session, NULL, 999, &one, 1));
    REFUSED(ndisbridge_test_net_luid_index(session, NULL, 6, 1));
    REFUSED(ndisbridge_test_net_luid_index(session, &one, 6, 0x1000000));
    CHECK_STATUS(
        ndisbridge_test_net_luid_index(session, &one, 999, 1), SUCCESS);
    CHECK_EQUAL(one, NDISBRIDGE_INDEX_UNLEASED);
    REFUSED(ndisbridge_count_net_luid_indexes(session, NULL, 6));
    CHECK_STATUS(ndisbridge_count_net_luid_indexes(session, &counts, 999),
        SUCCESS);
    CHECK_EQUAL(counts.leased_blocks + counts.free + counts.allocated, 0);
    REFUSED(ndisbridge_trim(NULL, NULL));
    REFUSED(ndisbridge_allocate_if_index(NULL, &one));
    REFUSED(ndisbridge_allocate_if_index(session, NULL));
    REFUSED(ndisbridge_free_if_index(NULL, 1));
    REFUSED(ndisbridge_free_if_index(session, 0));
    REFUSED(ndisbridge_free_if_index(session, 0x1000000));
}

static void test_retained(void)
{
    ndisbridge_net_luid wrong[] = { 1, kit_luid(0, 1), net_luid };

    REFUSED(ndisbridge_retain(session, 6, NULL, 1, 0, 0, NULL));
    REFUSED(ndisbridge_retain(session, 6, &one, 1, 0, 2, NULL));
    REFUSED(ndisbridge_retain(session, 6, &one, 1, 0x1000000, 0, NULL));
    REFUSED(ndisbridge_release(session, 6, NULL, 1, 0, 0, NULL));
    REFUSED(ndisbridge_release(session, 6, &one, 1, 0, 2, NULL));
    REFUSED(ndisbridge_release(session, 6, &one, 1, 0x1000000, 0, NULL));
    REFUSED(ndisbridge_retain_net_luids(NULL, &net_luid, 1, 0, NULL));
    REFUSED(ndisbridge_retain_net_luids(session, NULL, 1, 0, NULL));
    REFUSED(ndisbridge_retain_net_luids(session, &net_luid, 0, 0, NULL));
    REFUSED(ndisbridge_retain_net_luids(session, &net_luid, 1, 2, NULL));
    REFUSED(ndisbridge_retain_net_luids(
        session, &net_luid, 0x1000000, 0, NULL));
    REFUSED(ndisbridge_retain_net_luids(session, wrong, 1, 0, NULL));
    REFUSED(ndisbridge_retain_net_luids(session, wrong + 1, 1, 0, NULL));
}

static void test_providers(void)
{
    ndisbridge_if_provider_characteristics good =
        kit_characteristics(kit_no_answer, NULL);
    ndisbridge_provider made;

    REFUSED(ndisbridge_register_provider(NULL, &made, &good, 0, NULL, 0));
    REFUSED(ndisbridge_register_provider(session, NULL, &good, 0, NULL, 0));
    REFUSED(ndisbridge_register_provider(session, &made, NULL, 0, NULL, 0));
    REFUSED(ndisbridge_register_provider(session, &made, &good, 0, NULL, 1));
    good.reserved1 = &made;
    REFUSED(ndisbridge_register_provider(session, &made, &good, 0, NULL, 0));
    good.reserved1 = NULL;
    good.reserved2 = &made;
    REFUSED(ndisbridge_register_provider(session, &made, &good, 0, NULL, 0));
    REFUSED(ndisbridge_deregister_provider(NULL, provider));
    REFUSED(ndisbridge_deregister_provider(session, 12345));
}

static void test_interfaces(void)
{
    struct kit_information facts = kit_information(0);
    const uint32_t size = sizeof facts;
    ndisbridge_net_luid luids[2];
    uint32_t indexes[2];
    ndisbridge_status status = 0;

#define REGISTER(s, i, f, n) \
    REFUSED(ndisbridge_register_interface(s, i, provider, net_luid, f, n, NULL))
    REGISTER(NULL, &one, &facts.fixed, size);
    REGISTER(session, NULL, &facts.fixed, size);
    REGISTER(session, &one, NULL, size);
    REGISTER(session, &one, &facts.fixed, sizeof facts.fixed - 1);
#define REGISTER_MANY(s, i, st, l, f, stride) \
    REFUSED(ndisbridge_register_interfaces( \
        s, i, st, provider, l, f, stride, NULL, 1))
    REGISTER_MANY(NULL, &one, &status, &net_luid, &facts, size);
    REGISTER_MANY(session, NULL, &status, &net_luid, &facts, size);
    REGISTER_MANY(session, &one, NULL, &net_luid, &facts, size);
    REGISTER_MANY(session, &one, &status, NULL, &facts, size);
    REGISTER_MANY(session, &one, &status, &net_luid, NULL, size);
    REGISTER_MANY(session, &one, &status, &net_luid, &facts, size + 1);
    REGISTER_MANY(session, &one, &status, &net_luid, &facts, 4);
    REFUSED(ndisbridge_replace_interface_information(
        NULL, net_luid, &facts.fixed, size));
    REFUSED(ndisbridge_replace_interface_information(
        session, net_luid, NULL, size));
    REFUSED(ndisbridge_deregister_interface(NULL, if_index, 0));
    REFUSED(ndisbridge_get_interface_index_from_net_luid(
        NULL, &one, net_luid));
    REFUSED(ndisbridge_get_interface_index_from_net_luid(
        session, NULL, net_luid));
    REFUSED(ndisbridge_get_net_luid_from_interface_index(
        NULL, luids, if_index));
    REFUSED(ndisbridge_get_net_luid_from_interface_index(
        session, NULL, if_index));
    CHECK_EQUAL(ndisbridge_interface_count(NULL), 0);
#define BINDING(s, a, b, c, d) \
    REFUSED(ndisbridge_query_binding_if_index(s, a, b, c, d, if_index))
    BINDING(NULL, indexes, luids, indexes + 1, luids + 1);
    BINDING(session, NULL, luids, indexes + 1, luids + 1);
    BINDING(session, indexes, NULL, indexes + 1, luids + 1);
    BINDING(session, indexes, luids, NULL, luids + 1);
    BINDING(session, indexes, luids, indexes + 1, NULL);
}

/* Facts that point outside of themselves, or say what cannot be. */
static void test_facts(void)
{
    const struct kit_information good = kit_information(0);
    struct kit_information facts;

#define FACT(member, value) \
    facts = good; \
    facts.fixed.member = (value); \
    REFUSED(ndisbridge_replace_interface_information( \
        session, net_luid, &facts.fixed, sizeof facts))
    FACT(phys_address_offset, 4);
    FACT(phys_address_offset, sizeof facts + 1);
    FACT(phys_address_offset, sizeof facts - 5);
    FACT(phys_address_length, 33);
    FACT(permanent_phys_address_offset, 4);
    FACT(friendly_name_length, 9);
    FACT(friendly_name_length, 2 * NDISBRIDGE_MAX_STRING_SIZE + 2);
    FACT(friendly_name_offset, 4);
    FACT(access_type, 0);
    FACT(access_type, 5);
    FACT(direction_type, 3);
    FACT(connection_type, 0);
    FACT(connection_type, 4);
    FACT(if_connector_present, 2);
    FACT(interface_guid, (ndisbridge_guid){ 0 });
    /* What is not there may be anywhere. */
    facts = good;
    facts.fixed.phys_address_length = 0;
    facts.fixed.phys_address_offset = 0;
    facts.fixed.friendly_name_length = 0;
    facts.fixed.friendly_name_offset = 0;
    CHECK_STATUS(ndisbridge_replace_interface_information(
                     session, net_luid, &facts.fixed, sizeof facts),
        SUCCESS);
}

static void test_stack(void)
{
    ndisbridge_mib_ifstack_row row;
    ndisbridge_mib_invertedifstack_row inverted;

    REFUSED(ndisbridge_add_if_stack_entry(NULL, 1, 2));
    REFUSED(ndisbridge_delete_if_stack_entry(NULL, 1, 2));
    REFUSED(ndisbridge_get_if_stack_table(NULL, &row, &count));
    REFUSED(ndisbridge_get_if_stack_table(session, &row, NULL));
    REFUSED(ndisbridge_get_if_stack_table(session, NULL, &count));
    REFUSED(ndisbridge_get_inverted_if_stack_table(NULL, &inverted, &count));
    REFUSED(
        ndisbridge_get_inverted_if_stack_table(session, &inverted, NULL));
    REFUSED(ndisbridge_get_inverted_if_stack_table(session, NULL, &count));
    REFUSED(ndisbridge_get_if_stack_table(session, NULL, &count));
    count = 0;
    CHECK_STATUS(
        ndisbridge_get_if_stack_table(session, NULL, &count), SUCCESS);
    CHECK_STATUS(
        ndisbridge_get_inverted_if_stack_table(session, NULL, &count),
        SUCCESS);
    count = 1;
}

static void test_requests(void)
{
    static ndisbridge_published values;
    static ndisbridge_mib_if_row2 row;
    const uint32_t oid = NDISBRIDGE_OID_GEN_ALIAS;
    const uint32_t stride = sizeof values;
    ndisbridge_status status;
    uint64_t output[2];
    uint32_t length = 8, done;

    REFUSED(ndisbridge_publish(NULL, net_luid, &values));
    REFUSED(ndisbridge_publish(session, net_luid, NULL));
    REFUSED(
        ndisbridge_publish_many(NULL, NULL, &net_luid, 1, &values, stride));
    REFUSED(
        ndisbridge_publish_many(session, &done, NULL, 1, &values, stride));
    REFUSED(
        ndisbridge_publish_many(session, &done, &net_luid, 1, NULL, stride));
    REFUSED(ndisbridge_publish_many(
        session, &done, &net_luid, 1, &values, stride + 4));
    CHECK_STATUS(ndisbridge_publish_many(
                     session, NULL, &net_luid, 1, &values, stride),
        SUCCESS);
    CHECK_STATUS(
        ndisbridge_publish_many(session, &done, NULL, 0, NULL, 0), SUCCESS);
    for (uint32_t i = 0; i < 2; i++) {
        ndisbridge_status (*query)(ndisbridge_session *, void *, uint32_t *,
            ndisbridge_net_luid, uint32_t) =
            i == 0 ? ndisbridge_query : ndisbridge_try_query;

        REFUSED(query(NULL, output, &length, net_luid, oid));
        REFUSED(query(session, output, NULL, net_luid, oid));
        REFUSED(query(session, NULL, &length, net_luid, oid));
        length = 0;
        CHECK_STATUS(query(session, NULL, &length, net_luid,
                         NDISBRIDGE_OID_GEN_PHYSICAL_MEDIUM),
            BUFFER_TOO_SHORT);
        length = 8;
    }
#define QUERY_MANY(s, o, st, l) \
    REFUSED(ndisbridge_query_many(s, o, 8, NULL, st, l, 1, oid))
    QUERY_MANY(NULL, output, &status, &net_luid);
    QUERY_MANY(session, NULL, &status, &net_luid);
    QUERY_MANY(session, output, &status, NULL);
    REFUSED(ndisbridge_query_many(
        session, output, 8, NULL, NULL, &net_luid, 1, oid));
    length = 77;
    REFUSED(ndisbridge_query_many(
        session, output, 8, &length, &status, NULL, 1, oid));
    CHECK_EQUAL(length, 0);
    length = 77;
    REFUSED(ndisbridge_query_many(
        NULL, output, 8, &length, &status, &net_luid, 0, oid));
    CHECK_EQUAL(length, 77);
    REFUSED(ndisbridge_set(NULL, net_luid, oid, output, 8));
    REFUSED(ndisbridge_set(session, net_luid, oid, NULL, 8));
    REFUSED(ndisbridge_get_if_table(NULL, &row, &count, 0));
    REFUSED(ndisbridge_get_if_table(session, &row, NULL, 0));
    REFUSED(ndisbridge_get_if_table(session, NULL, &count, 0));
    REFUSED(ndisbridge_get_if_table(session, &row, &count, 7));
    REFUSED(ndisbridge_get_if_entry(NULL, &row, net_luid, 0));
    REFUSED(ndisbridge_get_if_entry(session, NULL, net_luid, 0));
    REFUSED(ndisbridge_get_if_entry(session, &row, net_luid, 7));
    CHECK_STATUS(ndisbridge_get_if_entry(session, &row, 0, 0),
        INTERFACE_NOT_FOUND);
}

static void test_events(void)
{
    uint64_t when;
    int32_t descriptor;

    REFUSED(ndisbridge_get_subscription_descriptor(NULL, &descriptor, 1));
    REFUSED(ndisbridge_get_subscription_descriptor(session, NULL, 1));
    REFUSED(ndisbridge_unsubscribe(NULL, 1));
    REFUSED(ndisbridge_post_identity_event(NULL, net_luid, 0, 1, 0));
    /* Nobody listens. */
    CHECK_STATUS(ndisbridge_post_identity_event(session, net_luid, 0,
                     NDISBRIDGE_IDENTITY_CREATED, 0),
        SUCCESS);
    REFUSED(ndisbridge_get_if_table_last_change(NULL, &when));
    REFUSED(ndisbridge_get_if_table_last_change(session, NULL));
    REFUSED(ndisbridge_get_if_stack_last_change(NULL, &when));
    REFUSED(ndisbridge_get_if_stack_last_change(session, NULL));
}

#ifdef __linux__

static void test_linux(void)
{
    ndisbridge_linux_host *host = NULL;
    ndisbridge_linux_monitor *monitor = NULL;
    static ndisbridge_linux_link links[256];
    static ndisbridge_linux_change change;
    uint32_t many = 256, none = 0, number = 1;
    int32_t error = 0;

    REFUSED(ndisbridge_open_linux_host(NULL, &error));
    REFUSED(ndisbridge_open_linux_monitor(NULL, 0, &error));
    CHECK_STATUS(ndisbridge_open_linux_host(&host, &error), SUCCESS);
    CHECK_STATUS(ndisbridge_open_linux_monitor(&monitor, 0, NULL), SUCCESS);
    REFUSED(ndisbridge_get_linux_links(links, NULL, NULL));
    REFUSED(ndisbridge_get_linux_links(NULL, &many, NULL));
    CHECK_STATUS(
        ndisbridge_get_linux_links(NULL, &none, &error), BUFFER_TOO_SHORT);
    CHECK(none > 0);
    CHECK_STATUS(
        ndisbridge_get_linux_links(links, &many, &error), SUCCESS);
    REFUSED(ndisbridge_read_linux_links(NULL, links, &many, NULL));
    REFUSED(ndisbridge_read_linux_links(host, links, NULL, NULL));
    REFUSED(ndisbridge_read_linux_links(host, NULL, &many, NULL));
    REFUSED(ndisbridge_read_linux_link(NULL, links, 1, NULL));
    REFUSED(ndisbridge_read_linux_link(host, NULL, 1, NULL));
    REFUSED(ndisbridge_read_linux_link(host, links, 0, NULL));
    REFUSED(ndisbridge_read_linux_link(host, links, 0x80000000, NULL));
    CHECK_STATUS(
        ndisbridge_read_linux_link(host, links, 0x7FFFFFFF, NULL),
        INTERFACE_NOT_FOUND);
#define SET(h, i, in, n) \
    REFUSED(ndisbridge_set_linux_link( \
        h, i, NDISBRIDGE_OID_GEN_ADMIN_STATUS, in, n, NULL))
    SET(NULL, 1, &number, 4);
    SET(host, 0, &number, 4);
    SET(host, 0x80000000, &number, 4);
    SET(host, 1, NULL, 4);
    CHECK_STATUS(ndisbridge_set_linux_link(host, 1,
                     NDISBRIDGE_OID_GEN_ADMIN_STATUS, NULL, 0, NULL),
        INVALID_LENGTH);
#define TAG(h, i, n, p) REFUSED(ndisbridge_tag_linux_link(h, i, n, p, NULL))
    TAG(NULL, 1, net_luid, 0);
    TAG(host, 0, net_luid, 0);
    TAG(host, 0x80000000, net_luid, 0);
    TAG(host, 1, 1, 0);
    TAG(host, 1, net_luid | 1, 0);
    TAG(host, 1, 0, 1);
    TAG(host, 1, 0, net_luid | 1);
    CHECK_STATUS(ndisbridge_tag_linux_link(host, 1, 0, 0, NULL), SUCCESS);
    CHECK_STATUS(
        ndisbridge_tag_linux_link(host, 1, net_luid, net_luid, NULL),
        SUCCESS);
    /* Nobody has such a link, or may do that. */
    CHECK_STATUS(ndisbridge_tag_linux_link(
                     host, 0x7FFFFFFF, net_luid, 0, NULL),
        FAILURE);
    CHECK_STATUS(ndisbridge_tag_linux_link(
                     host, 0x7FFFFFFF, 0, net_luid, &error),
        FAILURE);
    CHECK(error != 0);
    many = 1;
    REFUSED(ndisbridge_next_linux_changes(NULL, &change, &many, 0, NULL));
    REFUSED(ndisbridge_next_linux_changes(monitor, NULL, &many, 0, NULL));
    REFUSED(ndisbridge_next_linux_changes(monitor, &change, NULL, 0, NULL));
    REFUSED(ndisbridge_next_linux_changes(monitor, &change,
        (uint32_t[]){ 0 }, 0, NULL));
    CHECK_EQUAL(ndisbridge_linux_monitor_fd(NULL), -1);
    ndisbridge_close_linux_monitor(monitor);
    ndisbridge_close_linux_monitor(NULL);
    ndisbridge_close_linux_host(host);
    ndisbridge_close_linux_host(NULL);
}

#else

static void test_linux(void)
{
    ndisbridge_linux_host *host = NULL;
    ndisbridge_linux_monitor *monitor = NULL;
    static ndisbridge_linux_link link;
    static ndisbridge_linux_change change;
    uint32_t count = 1;

#define ABSENT(call) CHECK_STATUS(call, NOT_SUPPORTED)
    ABSENT(ndisbridge_get_linux_links(&link, &count, NULL));
    ABSENT(ndisbridge_open_linux_host(&host, NULL));
    ABSENT(ndisbridge_read_linux_links(host, &link, &count, NULL));
    ABSENT(ndisbridge_read_linux_link(host, &link, 1, NULL));
    ABSENT(ndisbridge_set_linux_link(host, 1,
        NDISBRIDGE_OID_GEN_ADMIN_STATUS, &count, sizeof count, NULL));
    ABSENT(ndisbridge_tag_linux_link(host, 1, net_luid, 0, NULL));
    ABSENT(ndisbridge_open_linux_monitor(&monitor, 0, NULL));
    ABSENT(ndisbridge_next_linux_changes(monitor, &change, &count, 0, NULL));
    CHECK_EQUAL(ndisbridge_linux_monitor_fd(monitor), -1);
    CHECK(host == NULL && monitor == NULL && count == 1);
    ndisbridge_close_linux_host(host);
    ndisbridge_close_linux_monitor(monitor);
}

#endif

int main(void)
{
    check_begin("test_refusals");
    REQUIRE(ndisbridge_session_create(&session, NULL) == 0);
    provider = kit_provider(session, kit_no_answer, NULL);
    net_luid = kit_interface(session, &if_index, provider, 0, NULL);
    test_statuses();
    test_catalog();
    test_indexes();
    test_retained();
    test_providers();
    test_interfaces();
    test_facts();
    test_stack();
    test_requests();
    test_events();
    if (CHECK_HAS_NETLINK)
        test_linux();
    CHECK_EQUAL(ndisbridge_interface_count(session), 1);
    CHECK_STATUS(ndisbridge_session_destroy(session), SUCCESS);
    return check_end();
}
