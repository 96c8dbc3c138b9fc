/* SPDX-License-Identifier: MIT
 *
 * test_linux_changes.c - what rtnetlink multicasts, to changes; what setting
 * an OID asks of the kernel; acknowledgements.  All on hand-made bytes, cut
 * off anywhere and mutated at random.
 */
#ifndef __linux__

int main(void)
{
    return 0;
}

#else

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "../../csrc/linux_changes.h"
#include "../../csrc/linux_settings.h"
#include "check.h"
#include "netlink_kit.h"

static ndisbridge_linux_change change;

/* A link that has come or changed, as the kernel tells all of it. */
static void put_whole_link(uint32_t if_index, const char *name)
{
    size_t at = begin_link(if_index, ARPHRD_ETHER, IFF_UP, name);

    number(IFLA_MTU, 1400);
    byte(IFLA_OPERSTATE, IF_OPER_UP);
    end_message(at);
}

static void put_gone(uint32_t if_index, uint8_t family, const char *name)
{
    struct ifinfomsg info = { .ifi_family = family,
        .ifi_index = (int)if_index };
    size_t at = begin_message(RTM_DELLINK, 0, 0);

    put(&info, sizeof info);
    text(IFLA_IFNAME, name);
    end_message(at);
}

static struct nb_bytes taken(void)
{
    struct nb_bytes bytes = { out.bytes, out.size };

    out.size = 0;
    return bytes;
}

static void test_order(void)
{
    struct nb_bytes bytes;

    put_whole_link(4, "a");
    put_gone(4, AF_UNSPEC, "a");
    put_whole_link(4, "b");
    bytes = taken();
    CHECK(nb_next_change(&bytes, &change) == NB_NETLINK_GOT);
    CHECK(change.kind == NDISBRIDGE_LINUX_CHANGE_LINK);
    CHECK(change.link.if_index == 4 && strcmp(change.link.name, "a") == 0);
    CHECK(change.link.published.information.if_mtu == 1400);
    CHECK(nb_next_change(&bytes, &change) == NB_NETLINK_GOT);
    CHECK(change.kind == NDISBRIDGE_LINUX_CHANGE_GONE);
    CHECK(change.link.if_index == 4 && strcmp(change.link.name, "a") == 0);
    CHECK(change.link.published.fields == 0);
    CHECK(nb_next_change(&bytes, &change) == NB_NETLINK_GOT);
    CHECK(change.kind == NDISBRIDGE_LINUX_CHANGE_LINK);
    CHECK(strcmp(change.link.name, "b") == 0);
    CHECK(nb_next_change(&bytes, &change) == NB_NETLINK_END);
    CHECK(bytes.size == 0);
}

/* What comes in the same group, and is no change of a link. */
static void test_passed_over(void)
{
    struct ifinfomsg port = { .ifi_family = AF_BRIDGE, .ifi_index = 4 };
    struct nb_bytes bytes;
    size_t at;

    put_gone(4, AF_BRIDGE, "a");  /* has left its bridge */
    at = begin_message(RTM_NEWLINK, 0, 0);
    put(&port, sizeof port);
    text(IFLA_IFNAME, "a");
    number(IFLA_MTU, 1500);
    end_message(at);
    at = begin_link(5, ARPHRD_ETHER, IFF_UP, "wlan0");
    number(IFLA_MTU, 1500);
    attribute(IFLA_WIRELESS, "\1\2\3\4", 4);
    end_message(at);
    at = begin_link(6, ARPHRD_ETHER, IFF_UP, "part");
    end_message(at);
    at = begin_message(RTM_NEWADDR, 0, 0);
    end_message(at);
    at = begin_message(NLMSG_NOOP, 0, 0);
    end_message(at);
    put_whole_link(9, "last");
    bytes = taken();
    CHECK(nb_next_change(&bytes, &change) == NB_NETLINK_GOT);
    CHECK(change.link.if_index == 9);
    CHECK(nb_next_change(&bytes, &change) == NB_NETLINK_END);
}

static void test_malformed(void)
{
    struct ifinfomsg none = { .ifi_index = 0 };
    struct nb_bytes bytes;
    size_t at;

    at = begin_message(RTM_DELLINK, 0, 0);  /* shorter than its header */
    put("\0\0\0", 4);
    end_message(at);
    bytes = taken();
    CHECK(nb_next_change(&bytes, &change) == NB_NETLINK_MALFORMED);
    at = begin_message(RTM_DELLINK, 0, 0);
    put(&none, sizeof none);
    end_message(at);
    bytes = taken();
    CHECK(nb_next_change(&bytes, &change) == NB_NETLINK_MALFORMED);
    put_gone(0x80000000, AF_UNSPEC, "a");
    bytes = taken();
    CHECK(nb_next_change(&bytes, &change) == NB_NETLINK_MALFORMED);
    at = begin_message(NLMSG_OVERRUN, 0, 0);
    end_message(at);
    bytes = taken();
    CHECK(nb_next_change(&bytes, &change) == NB_NETLINK_MALFORMED);
    put_whole_link(0, "a");
    bytes = taken();
    CHECK(nb_next_change(&bytes, &change) == NB_NETLINK_MALFORMED);
}

/* Every beginning of a datagram: no byte behind it is read, and what is cut
 * off is told as malformed. */
static void test_truncated(void)
{
    struct nb_bytes whole;
    size_t first;

    put_whole_link(4, "a");
    first = out.size;
    put_gone(5, AF_UNSPEC, "b");
    whole = taken();
    for (size_t size = 1; size < whole.size; size++) {
        uint8_t *copy = malloc(size);
        struct nb_bytes bytes = { copy, size };
        enum nb_netlink_step step;

        REQUIRE(copy != NULL);
        memcpy(copy, whole.at, size);
        while ((step = nb_next_change(&bytes, &change)) == NB_NETLINK_GOT)
            CHECK(change.link.if_index == 4);
        CHECK(step
            == (size == first ? NB_NETLINK_END : NB_NETLINK_MALFORMED));
        free(copy);
    }
}

static void test_mutations(uint64_t seed)
{
    static uint8_t original[ROOM], mutated[ROOM];
    size_t size;

    put_whole_link(4, "a");
    put_gone(4, AF_UNSPEC, "a");
    put_gone(5, AF_BRIDGE, "b");
    put_whole_link(6, "c");
    size = out.size;
    memcpy(original, out.bytes, size);
    out.size = 0;
    for (uint32_t round = 0; round < 200000 / CHECK_SLOWNESS; round++) {
        struct nb_bytes bytes = { mutated, size };

        memcpy(mutated, original, size);
        for (uint32_t i = 0; i <= round % 6; i++)
            mutated[check_below(&seed, (uint32_t)size)] =
                (uint8_t)check_below(&seed, 256);
        while (nb_next_change(&bytes, &change) == NB_NETLINK_GOT) {
            CHECK(change.kind == NDISBRIDGE_LINUX_CHANGE_LINK
                || change.kind == NDISBRIDGE_LINUX_CHANGE_GONE);
            CHECK(change.link.if_index >= 1
                && change.link.if_index <= NDISBRIDGE_IF_INDEX_MAX);
            CHECK(memchr(change.link.name, 0, sizeof change.link.name)
                != NULL);
            CHECK(bytes.size < size);
        }
    }
}

/* ---- acknowledgements ------------------------------------------------- */

static bool take_none(void *context, const struct nb_netlink_message *message)
{
    (void)message;
    ++*(uint32_t *)context;
    return true;
}

static void test_acknowledgement(void)
{
    uint32_t messages = 0;
    struct nb_dump dump = { .sequence = SEQUENCE,
        .acknowledged = true,
        .take = take_none,
        .context = &messages };
    struct nb_bytes bytes;

    put_simple_link(4, "a");
    put_error(0);
    bytes = taken();
    CHECK(nb_dump_feed(&dump, bytes.at, bytes.size) == NB_DUMP_DONE);
    CHECK(messages == 1);
    put_error(-EPERM);
    bytes = taken();
    CHECK(nb_dump_feed(&dump, bytes.at, bytes.size) == NB_DUMP_FAILED);
    CHECK(dump.error_number == EPERM);
    dump.acknowledged = false;
    put_error(0);
    bytes = taken();
    CHECK(nb_dump_feed(&dump, bytes.at, bytes.size) == NB_DUMP_MORE);
}

/* ---- settings --------------------------------------------------------- */

static void test_flags(void)
{
    struct nb_link_setting setting;
    uint32_t status = NDISBRIDGE_NET_IF_ADMIN_STATUS_UP;
    const uint32_t admin = NDISBRIDGE_OID_GEN_ADMIN_STATUS;
    const uint32_t promiscuous = NDISBRIDGE_OID_GEN_PROMISCUOUS_MODE;

    CHECK(nb_link_setting_of(&setting, admin, &status, 4) == 0);
    CHECK(setting.flags == IFF_UP && setting.change == IFF_UP);
    CHECK(setting.attribute == 0);
    status = NDISBRIDGE_NET_IF_ADMIN_STATUS_DOWN;
    CHECK(nb_link_setting_of(&setting, admin, &status, 4) == 0);
    CHECK(setting.flags == 0 && setting.change == IFF_UP);
    status = NDISBRIDGE_NET_IF_ADMIN_STATUS_TESTING;
    CHECK(nb_link_setting_of(&setting, admin, &status, 4)
        == NDISBRIDGE_STATUS_NOT_SUPPORTED);
    status = 4;
    CHECK(nb_link_setting_of(&setting, admin, &status, 4)
        == NDISBRIDGE_STATUS_INVALID_PARAMETER);
    CHECK(nb_link_setting_of(&setting, admin, &status, 2)
        == NDISBRIDGE_STATUS_INVALID_LENGTH);
    CHECK(nb_link_setting_of(&setting, promiscuous, "\1", 1) == 0);
    CHECK(setting.flags == IFF_PROMISC && setting.change == IFF_PROMISC);
    CHECK(nb_link_setting_of(&setting, promiscuous, "\0", 1) == 0);
    CHECK(setting.flags == 0 && setting.change == IFF_PROMISC);
    CHECK(nb_link_setting_of(&setting, promiscuous, "\0", 2)
        == NDISBRIDGE_STATUS_INVALID_LENGTH);
    CHECK(nb_link_setting_of(&setting, NDISBRIDGE_OID_GEN_LINK_SPEED, "", 0)
        == NDISBRIDGE_STATUS_NOT_SUPPORTED);
}

static ndisbridge_status set_alias(struct nb_link_setting *setting,
    const uint16_t *units, uint32_t count)
{
    ndisbridge_if_counted_string string = { .length =
                                                (uint16_t)(2 * count) };

    memcpy(string.string, units, 2 * count);
    return nb_link_setting_of(
        setting, NDISBRIDGE_OID_GEN_ALIAS, &string, 2 + 2 * count);
}

static void test_attributes(void)
{
    static const uint16_t text[] = { 'B', 0xFC, 0x20AC, 0xD83D, 0xDE00 };
    static const uint16_t high[] = { 0xD83D }, twice[] = { 0xD83D, 'a' },
                          beyond[] = { 0xD83D, 0xE000 }, low[] = { 'a', 0xDE00 },
                          nul[] = { 'a', 0 };
    static uint16_t longest[NDISBRIDGE_MAX_STRING_SIZE];
    struct nb_link_setting setting;
    uint32_t mtu = 9000;
    uint8_t truncated[] = { 4, 0, 'a', 0 }, odd[] = { 1, 0, 'a', 0 };
    uint8_t too_long[2 + 2 * NDISBRIDGE_MAX_STRING_SIZE + 2] = { 2, 2 };

    CHECK(nb_link_setting_of(&setting, NDISBRIDGE_OID_GEN_MAXIMUM_FRAME_SIZE,
              &mtu, 4)
        == 0);
    CHECK(setting.attribute == IFLA_MTU && setting.size == 4);
    CHECK(memcmp(setting.value, &mtu, 4) == 0 && setting.change == 0);
    CHECK(set_alias(&setting, text, 5) == 0);
    CHECK(setting.attribute == IFLA_IFALIAS && setting.size == 10);
    CHECK(memcmp(setting.value, "B\xC3\xBC\xE2\x82\xAC\xF0\x9F\x98\x80", 10)
        == 0);
    CHECK(set_alias(&setting, text, 0) == 0 && setting.size == 0);
    CHECK(set_alias(&setting, high, 1)
        == NDISBRIDGE_STATUS_INVALID_PARAMETER);
    CHECK(set_alias(&setting, twice, 2)
        == NDISBRIDGE_STATUS_INVALID_PARAMETER);
    CHECK(set_alias(&setting, beyond, 2)
        == NDISBRIDGE_STATUS_INVALID_PARAMETER);
    CHECK(
        set_alias(&setting, low, 2) == NDISBRIDGE_STATUS_INVALID_PARAMETER);
    CHECK(
        set_alias(&setting, nul, 2) == NDISBRIDGE_STATUS_INVALID_PARAMETER);
    for (size_t i = 0; i < NDISBRIDGE_MAX_STRING_SIZE; i++)
        longest[i] = 0xFFFD;
    CHECK(set_alias(&setting, longest, NDISBRIDGE_MAX_STRING_SIZE) == 0);
    CHECK(setting.size == 3 * NDISBRIDGE_MAX_STRING_SIZE);
    too_long[0] = (uint8_t)(2 * NDISBRIDGE_MAX_STRING_SIZE + 2);
    too_long[1] = (uint8_t)((2 * NDISBRIDGE_MAX_STRING_SIZE + 2) >> 8);
    CHECK(nb_link_setting_of(&setting, NDISBRIDGE_OID_GEN_ALIAS, too_long,
              sizeof too_long)
        == NDISBRIDGE_STATUS_INVALID_LENGTH);
    CHECK(nb_link_setting_of(&setting, NDISBRIDGE_OID_GEN_ALIAS, odd, 4)
        == NDISBRIDGE_STATUS_INVALID_LENGTH);
    CHECK(nb_link_setting_of(
              &setting, NDISBRIDGE_OID_GEN_ALIAS, truncated, 4)
        == NDISBRIDGE_STATUS_INVALID_LENGTH);
    CHECK(nb_link_setting_of(
              &setting, NDISBRIDGE_OID_GEN_ALIAS, truncated, 1)
        == NDISBRIDGE_STATUS_INVALID_LENGTH);
}

/* UTF-16 to UTF-8 and back again, of every character. */
static void test_every_character(void)
{
    ndisbridge_if_counted_string back;
    uint8_t utf8[4];

    for (uint32_t character = 1; character < 0x110000; character++) {
        uint16_t units[2] = { (uint16_t)character, 0 };
        size_t count = 1, size;

        if (character >= 0xD800 && character < 0xE000)
            continue;
        if (character > 0xFFFF) {
            units[0] = (uint16_t)(0xD800 | (character - 0x10000) >> 10);
            units[1] = (uint16_t)(0xDC00 | ((character - 0x10000) & 0x3FF));
            count = 2;
        }
        size = nb_utf16_to_utf8(utf8, units, count);
        nb_utf8_to_counted_string(&back, utf8, size);
        if (size > 4 || back.length != 2 * count
            || memcmp(back.string, units, 2 * count) != 0) {
            CHECK(false);
            return;
        }
    }
    CHECK(true);
}

static void test_refusals(void)
{
    CHECK(nb_status_of_errno(0) == NDISBRIDGE_STATUS_SUCCESS);
    CHECK(nb_status_of_errno(EPERM) == NDISBRIDGE_STATUS_ACCESS_DENIED);
    CHECK(nb_status_of_errno(EINVAL) == NDISBRIDGE_STATUS_INVALID_PARAMETER);
    CHECK(nb_status_of_errno(ENODEV)
        == NDISBRIDGE_STATUS_INTERFACE_NOT_FOUND);
    CHECK(nb_status_of_errno(EOPNOTSUPP) == NDISBRIDGE_STATUS_NOT_SUPPORTED);
    CHECK(nb_status_of_errno(EBUSY) == NDISBRIDGE_STATUS_IN_USE);
    CHECK(nb_status_of_errno(ENOBUFS) == NDISBRIDGE_STATUS_RESOURCES);
    CHECK(nb_status_of_errno(EIO) == NDISBRIDGE_STATUS_FAILURE);
}

static void test_arguments(void)
{
    ndisbridge_linux_host *host;
    ndisbridge_linux_monitor *monitor;
    uint32_t count = 0;

    CHECK(ndisbridge_open_linux_host(NULL, NULL)
        == NDISBRIDGE_STATUS_INVALID_PARAMETER);
    CHECK(ndisbridge_open_linux_monitor(NULL, 0, NULL)
        == NDISBRIDGE_STATUS_INVALID_PARAMETER);
    CHECK(ndisbridge_linux_monitor_fd(NULL) == -1);
    ndisbridge_close_linux_host(NULL);
    ndisbridge_close_linux_monitor(NULL);
    if (!CHECK_HAS_NETLINK || ndisbridge_open_linux_host(&host, NULL) != 0
        || ndisbridge_open_linux_monitor(&monitor, 0, NULL) != 0) {
        printf("no netlink here: skipped\n");
        return;
    }
    CHECK(ndisbridge_linux_monitor_fd(monitor) >= 0);
    CHECK(ndisbridge_next_linux_changes(monitor, &change, &count, 0, NULL)
        == NDISBRIDGE_STATUS_INVALID_PARAMETER);
    CHECK(ndisbridge_read_linux_link(host, &change.link, 0, NULL)
        == NDISBRIDGE_STATUS_INVALID_PARAMETER);
    CHECK(ndisbridge_read_linux_link(
              host, &change.link, NDISBRIDGE_IF_INDEX_MAX, NULL)
        == NDISBRIDGE_STATUS_INTERFACE_NOT_FOUND);
    CHECK(ndisbridge_read_linux_links(host, NULL, NULL, NULL)
        == NDISBRIDGE_STATUS_INVALID_PARAMETER);
    CHECK(ndisbridge_set_linux_link(
              host, 0, NDISBRIDGE_OID_GEN_ALIAS, "", 0, NULL)
        == NDISBRIDGE_STATUS_INVALID_PARAMETER);
    ndisbridge_close_linux_host(host);
    ndisbridge_close_linux_monitor(monitor);
}

int main(void)
{
    uint64_t seed = check_begin("linux_changes");

    test_order();
    test_passed_over();
    test_malformed();
    test_truncated();
    test_mutations(seed);
    test_acknowledgement();
    test_flags();
    test_attributes();
    test_every_character();
    test_refusals();
    test_arguments();
    return check_end();
}

#endif
