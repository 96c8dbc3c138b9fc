/* SPDX-License-Identifier: MIT
 *
 * test_replaced_facts.c - facts of a registered interface replaced by others:
 * what changes, what stays, what is refused, what is told; and readers that
 * never see half of it.
 */
#include "interface_kit.h"

static struct kit_information other_information(void)
{
    struct kit_information other = kit_information(0);

    memset(other.current, 7, sizeof other.current);
    memset(other.permanent, 8, sizeof other.permanent);
    for (size_t i = 0; i < 5; i++)
        other.name[i] = 'x';
    other.fixed.media_type = 0;
    other.fixed.access_type = NDISBRIDGE_NET_IF_ACCESS_POINT_TO_POINT;
    other.fixed.if_connector_present = 0;
    other.fixed.supported_statistics = 0;
    return other;
}

static ndisbridge_status replace(ndisbridge_session *session,
    ndisbridge_net_luid net_luid, const struct kit_information *information)
{
    return ndisbridge_replace_interface_information(
        session, net_luid, &information->fixed, sizeof *information);
}

static void test_facts(ndisbridge_session *session)
{
    ndisbridge_provider provider =
        kit_provider(session, kit_no_answer, NULL);
    uint32_t if_index, count = 1;
    ndisbridge_net_luid net_luid =
        kit_interface(session, &if_index, provider, 0, NULL);
    struct kit_information other = other_information(), wrong;
    ndisbridge_published values = { .fields = 1 << 4
            | NDISBRIDGE_PUBLISH_ALIAS,
        .information = { .if_mtu = 1400 },
        .alias = { .length = 2, .string = { 'a' } } };
    ndisbridge_subscription subscription;
    ndisbridge_mib_if_row2 before, row;
    ndisbridge_event event;

    CHECK_STATUS(ndisbridge_publish(session, net_luid, &values), SUCCESS);
    CHECK_STATUS(
        ndisbridge_get_if_entry(session, &before, net_luid, 2), SUCCESS);
    CHECK_STATUS(
        ndisbridge_subscribe(session, &subscription, 8, 0), SUCCESS);
    CHECK_STATUS(replace(session, net_luid, &other), SUCCESS);
    CHECK_STATUS(
        ndisbridge_get_if_entry(session, &row, net_luid, 2), SUCCESS);
    CHECK(row.description[0] == 'x' && row.description[5] == 0);
    CHECK(row.physical_address[5] == 7 && row.physical_address_length == 6);
    CHECK(row.permanent_physical_address[0] == 8);
    CHECK(row.media_type == 0 && row.access_type != before.access_type);
    CHECK(!(row.interface_and_oper_status_flags & 4));
    CHECK(row.mtu == 1400 && row.alias[0] == 'a');
    CHECK(row.interface_index == if_index);
    CHECK(row.interface_luid == net_luid);
    CHECK(row.interface_guid.data1 == before.interface_guid.data1);
    CHECK(row.oper_status == before.oper_status);
    CHECK_STATUS(ndisbridge_next_events(
                     session, &event, &count, subscription, 1000),
        SUCCESS);
    CHECK(count == 1 && event.kind == NDISBRIDGE_EVENT_PARAMETER);
    CHECK(event.changed == NDISBRIDGE_CHANGED_FACTS);
    CHECK(event.net_luid == net_luid && event.if_index == if_index);
    /* The same again is no event; and nothing of what is refused happens. */
    CHECK_STATUS(replace(session, net_luid, &other), SUCCESS);
    wrong = kit_information(NDISBRIDGE_NIIF_FILTER_INTERFACE);
    CHECK_STATUS(replace(session, net_luid, &wrong), INVALID_PARAMETER);
    wrong = kit_information(0);
    wrong.fixed.interface_guid.data1++;
    CHECK_STATUS(replace(session, net_luid, &wrong), INVALID_PARAMETER);
    wrong = kit_information(0);
    wrong.fixed.friendly_name_offset = sizeof wrong;
    CHECK_STATUS(replace(session, net_luid, &wrong), INVALID_PARAMETER);
    wrong = kit_information(0);
    wrong.fixed.header.revision = 9;
    CHECK_STATUS(replace(session, net_luid, &wrong), NOT_SUPPORTED);
    CHECK_STATUS(ndisbridge_replace_interface_information(
                     session, net_luid, &other.fixed, 8),
        INVALID_PARAMETER);
    CHECK_STATUS(ndisbridge_replace_interface_information(
                     session, net_luid, NULL, sizeof other),
        INVALID_PARAMETER);
    count = 1;
    CHECK_STATUS(ndisbridge_next_events(
                     session, &event, &count, subscription, 0),
        TIMEOUT);
    CHECK(count == 0);
    CHECK_STATUS(
        ndisbridge_get_if_entry(session, &before, net_luid, 2), SUCCESS);
    CHECK(memcmp(&before, &row, sizeof row) == 0);
    CHECK_STATUS(ndisbridge_deregister_interface(session, if_index, 1000),
        SUCCESS);
    CHECK_STATUS(replace(session, net_luid, &other), INTERFACE_NOT_FOUND);
    CHECK_STATUS(ndisbridge_deregister_provider(session, provider), SUCCESS);
}

/* ---- readers ---------------------------------------------------------- */

struct reader {
    pthread_t thread;
    ndisbridge_session *session;
    ndisbridge_net_luid net_luid;
    atomic_bool *over;
    uint32_t torn, rows;
};

static void *read_rows(void *argument)
{
    struct reader *reader = argument;

    while (!atomic_load(reader->over)) {
        ndisbridge_mib_if_row2 row;
        bool other;

        if (ndisbridge_get_if_entry(
                reader->session, &row, reader->net_luid, 2)
            != NDISBRIDGE_STATUS_SUCCESS) {
            reader->torn++;
            break;
        }
        reader->rows++;
        other = row.description[0] == 'x';
        if (other != (row.description[4] == 'x')
            || other != (row.physical_address[0] == 7)
            || other != (row.permanent_physical_address[5] == 8)
            || other != (row.media_type == 0)
            || other == ((row.interface_and_oper_status_flags & 4) != 0)
            || row.mtu < 1000)
            reader->torn++;
    }
    return NULL;
}

static void *publish_values(void *argument)
{
    struct reader *reader = argument;
    ndisbridge_published values = { .fields = 1 << 4 };

    for (uint32_t i = 0; !atomic_load(reader->over); i++) {
        values.information.if_mtu = 1000 + i % 1000;
        if (ndisbridge_publish(reader->session, reader->net_luid, &values)
            != NDISBRIDGE_STATUS_SUCCESS)
            reader->torn++;
        reader->rows++;
    }
    return NULL;
}

static void test_readers(ndisbridge_session *session)
{
    ndisbridge_provider provider =
        kit_provider(session, kit_no_answer, NULL);
    uint32_t if_index;
    ndisbridge_net_luid net_luid =
        kit_interface(session, &if_index, provider, 0, NULL);
    ndisbridge_published values = { .fields = 1 << 4,
        .information = { .if_mtu = 1400 } };
    atomic_bool over = false;
    struct reader readers[3];

    CHECK_STATUS(ndisbridge_publish(session, net_luid, &values), SUCCESS);
    for (uint32_t i = 0; i < 3; i++) {
        readers[i] = (struct reader) { .session = session,
            .net_luid = net_luid,
            .over = &over };
        REQUIRE(pthread_create(&readers[i].thread, NULL,
                    i == 0 ? publish_values : read_rows, &readers[i])
            == 0);
    }
    for (uint32_t i = 0; i < 20000 / CHECK_SLOWNESS; i++) {
        struct kit_information information =
            i % 2 == 0 ? other_information() : kit_information(0);

        CHECK_STATUS(replace(session, net_luid, &information), SUCCESS);
    }
    atomic_store(&over, true);
    for (uint32_t i = 0; i < 3; i++) {
        REQUIRE(pthread_join(readers[i].thread, NULL) == 0);
        CHECK(readers[i].torn == 0);
    }
    CHECK_STATUS(ndisbridge_deregister_interface(session, if_index, 1000),
        SUCCESS);
    CHECK_STATUS(ndisbridge_deregister_provider(session, provider), SUCCESS);
}

int main(void)
{
    ndisbridge_session *session;

    (void)check_begin("replaced_facts");
    CHECK_STATUS(ndisbridge_session_create(&session, NULL), SUCCESS);
    test_facts(session);
    test_readers(session);
    CHECK_STATUS(ndisbridge_session_destroy(session), SUCCESS);
    return check_end();
}
