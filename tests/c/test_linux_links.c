/* SPDX-License-Identifier: MIT
 *
 * test_linux_links.c - netlink bytes to link records, on hand-made streams:
 * well-formed, cut off anywhere, over-long, nested, interrupted, failed, and
 * mutated at random.  Attribute numbers come from the system's headers, so
 * that the parser's own are checked against them.
 */
#ifndef __linux__

int main(void)
{
    return 0;
}

#else

#include <errno.h>
#include <linux/ethtool_netlink.h>
#include <linux/genetlink.h>
#include <linux/if.h>
#include <linux/if_arp.h>
#include <linux/if_link.h>
#include <linux/if_tunnel.h>
#include <linux/nl80211.h>
#include <linux/rtnetlink.h>
#include <stdio.h>
#include <stdlib.h>

#include "../../csrc/linux_links.h"
#include "check.h"
#include "netlink_kit.h"

static ndisbridge_linux_link links[4];
static struct nb_link_list list;
static struct nb_dump dump;

/* Feeds a copy that ends where the heap block ends: reading one byte too far
 * is seen by the sanitizer. */
static enum nb_dump_state feed_bytes(
    const uint8_t *bytes, size_t size, uint32_t capacity)
{
    uint8_t *copy = malloc(size > 0 ? size : 1);
    enum nb_dump_state state;

    REQUIRE(copy != NULL);
    if (size > 0)
        memcpy(copy, bytes, size);
    memset(links, 0xA5, sizeof links);
    list = (struct nb_link_list){ .links = links, .capacity = capacity };
    dump = (struct nb_dump){ .sequence = SEQUENCE,
        .take = nb_take_link,
        .context = &list };
    state = nb_dump_feed(&dump, copy, size);
    free(copy);
    return state;
}

static enum nb_dump_state feed(void)
{
    enum nb_dump_state state = feed_bytes(out.bytes, out.size, 4);

    out.size = 0;
    return state;
}

/* Everything that a link can say. */
static void put_full_link(void)
{
    static const uint8_t address[] = { 2, 0, 0, 0, 0, 1 };
    static const uint8_t permanent[] = { 2, 0, 0, 0, 0, 2 };
    uint64_t stats[25];
    size_t at = begin_link(7, ARPHRD_ETHER,
        IFF_UP | IFF_RUNNING | IFF_BROADCAST | 0x10000, "vx0");
    size_t nest, data;

    for (size_t i = 0; i < 25; i++)
        stats[i] = 1000 + i;
    stats[0] = ((uint64_t)1 << 40) + 8;  /* rx_packets */
    stats[8] = 8;  /* multicast */
    attribute(IFLA_ADDRESS, address, sizeof address);
    attribute(IFLA_PERM_ADDRESS, permanent, sizeof permanent);
    number(IFLA_MTU, 1450);
    number(IFLA_MASTER, 9);
    number(IFLA_LINK, 3);
    number(IFLA_PROMISCUITY, 2);
    byte(IFLA_OPERSTATE, IF_OPER_UP);
    byte(IFLA_CARRIER, 1);
    text(IFLA_IFALIAS, "B\xC3\xBCro");
    text(IFLA_PARENT_DEV_NAME, "0000:00:1f.6");
    attribute(IFLA_STATS64, stats, sizeof stats);
    nest = begin_nest(IFLA_LINKINFO);
    text(IFLA_INFO_KIND, "vxlan");
    data = begin_nest(IFLA_INFO_DATA);
    number(IFLA_VXLAN_ID, 4);
    number(IFLA_VXLAN_LINK, 5);
    end_nest(data);
    end_nest(nest);
    nest = begin_nest(IFLA_PROP_LIST);
    text(IFLA_ALT_IFNAME, "uplink");
    text(IFLA_ALT_IFNAME, "ndis-luid-000600800000000");
    text(IFLA_ALT_IFNAME, "ndis-luid-00060080000000zz");
    text(IFLA_ALT_IFNAME, "ndis-luid-0006008000000001");
    text(IFLA_ALT_IFNAME, "ndis-luid-0006008000000000");
    end_nest(nest);
    end_message(at);
}

static void test_full_link(void)
{
    const ndisbridge_linux_link *link = &links[0];
    const ndisbridge_interface_information *is = &link->published.information;

    put_full_link();
    put_done();
    CHECK(feed() == NB_DUMP_DONE && list.count == 1 && !dump.interrupted);
    CHECK(link->if_index == 7 && link->arphrd == ARPHRD_ETHER);
    CHECK(strcmp(link->name, "vx0") == 0);
    CHECK(strcmp(link->kind, "vxlan") == 0);
    CHECK(strcmp(link->parent_device, "0000:00:1f.6") == 0);
    CHECK(link->if_type == NDISBRIDGE_IF_TYPE_TUNNEL);
    CHECK(link->master_if_index == 9 && link->link_if_index == 3);
    CHECK(link->lower_if_index == 5 && link->link_net_ns_id == -1);
    CHECK(link->address.length == 6 && link->address.address[5] == 1);
    CHECK(link->permanent_address.length == 6
        && link->permanent_address.address[5] == 2);
    CHECK(link->tagged_net_luid == UINT64_C(0x0006008000000000));
    CHECK(link->connector_present == 0);  /* its kind is a virtual one */
    CHECK(is->if_oper_status == NDISBRIDGE_NET_IF_OPER_STATUS_UP);
    CHECK(is->media_connect_state
        == NDISBRIDGE_NET_IF_MEDIA_CONNECT_STATE_CONNECTED);
    CHECK(is->if_mtu == 1450 && is->if_promiscuous_mode == 1);
    CHECK(is->xmit_link_speed == NDISBRIDGE_LINK_SPEED_UNKNOWN);
    CHECK(is->if_hc_in_ucast_pkts == (uint64_t)1 << 40);
    CHECK(is->if_hc_in_multicast_pkts == 8);
    CHECK(is->if_hc_out_ucast_pkts == 1001 && is->if_hc_in_octets == 1002);
    CHECK(is->if_hc_out_octets == 1003 && is->if_in_errors == 1004);
    CHECK(is->if_out_errors == 1005 && is->if_out_discards == 1007);
    CHECK(is->if_in_discards == 1006 + 1015);
    CHECK(is->if_in_unknown_protos == 1023);
    CHECK(is->if_hc_in_broadcast_pkts == 0);
    CHECK(link->published.fields & NDISBRIDGE_PUBLISH_ALIAS);
    CHECK(!(link->published.fields & 1 << 17));  /* not counted */
    CHECK(link->published.alias.length == 8
        && link->published.alias.string[1] == 0xFC);
    CHECK(link->published.admin_status == NDISBRIDGE_NET_IF_ADMIN_STATUS_UP);
}

/* Every message cut off at every byte: an error or an incomplete dump, and
 * never a read behind the end. */
static void test_truncated(void)
{
    size_t size;

    put_full_link();
    size = out.size;
    for (size_t cut = 0; cut < size; cut++)
        CHECK(feed_bytes(out.bytes, cut, 4)
            == (cut == 0 ? NB_DUMP_MORE : NB_DUMP_FAILED));
    CHECK(feed_bytes(out.bytes, size, 4) == NB_DUMP_MORE);
    CHECK(list.count == 1);
    /* The same with a message length that says it is all there. */
    for (size_t cut = 16; cut < size; cut++) {
        uint32_t length = (uint32_t)cut;

        memcpy(out.bytes, &length, sizeof length);
        CHECK(feed_bytes(out.bytes, cut, 4) != NB_DUMP_DONE);
    }
    out.size = 0;
}

static const uint8_t filler[512] = { 1, 2, 3 };

static void test_lengths(void)
{
    static const uint32_t lengths[] = { 0, 1, 15, 17, 0x7FFFFFFF, 0x80000000,
        0xFFFFFFF0, 0xFFFFFFFF };
    size_t at, name;

    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        put_simple_link(1, "a");
        memcpy(out.bytes, &lengths[i], sizeof *lengths);
        CHECK(feed() == NB_DUMP_FAILED && dump.error_number == EBADMSG);
    }
    for (uint32_t length = 0; length < 0x10000; length += 13) {
        uint16_t short_length = (uint16_t)length;

        at = begin_link(1, ARPHRD_ETHER, 0, "a");
        name = at + 16 + sizeof(struct ifinfomsg);
        end_message(at);
        memcpy(out.bytes + name, &short_length, sizeof short_length);
        CHECK(feed() == NB_DUMP_FAILED);  /* 6 is the one that is right */
    }
    /* Names, kinds and addresses longer than their room are cut or left. */
    at = begin_link(1, ARPHRD_ETHER, 0, "0123456789abcdefghijkl");
    name = begin_nest(IFLA_LINKINFO);
    text(IFLA_INFO_KIND, "a kind with a name of forty characters..");
    end_nest(name);
    attribute(IFLA_ADDRESS, filler, 33);
    attribute(IFLA_OPERSTATE, "", 0);
    attribute(IFLA_CARRIER, "", 0);
    attribute(IFLA_MTU, "abc", 3);
    attribute(IFLA_STATS64, filler, 100);
    attribute(IFLA_IFALIAS, "", 0);
    attribute(IFLA_LINK_NETNSID, "", 0);
    end_message(at);
    CHECK(feed() == NB_DUMP_MORE && list.count == 1);
    CHECK(strcmp(links[0].name, "0123456789abcde") == 0);
    CHECK(strlen(links[0].kind) == 31 && links[0].address.length == 0);
    CHECK(!(links[0].published.fields & 1 << 4));  /* no MTU */
    CHECK(!(links[0].published.fields & 1 << 14));  /* no counters */
}

static void test_nesting(void)
{
    uint16_t wrong = 400;
    size_t at, nest, data;

    /* A nest whose inner attribute is longer than the nest. */
    at = begin_link(1, ARPHRD_ETHER, 0, "a");
    nest = begin_nest(IFLA_LINKINFO);
    text(IFLA_INFO_KIND, "veth");
    end_nest(nest);
    attribute(IFLA_WEIGHT, filler, 500);
    end_message(at);
    memcpy(out.bytes + nest + 4, &wrong, sizeof wrong);
    CHECK(feed() == NB_DUMP_FAILED);
    /* Data of a kind that is no list of attributes is passed over. */
    at = begin_link(1, ARPHRD_ETHER, 0, "a");
    number(IFLA_LINK, 3);
    nest = begin_nest(IFLA_LINKINFO);
    text(IFLA_INFO_KIND, "macvlan");
    data = begin_nest(IFLA_INFO_DATA);
    put("\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF", 8);
    end_nest(data);
    end_nest(nest);
    end_message(at);
    CHECK(feed() == NB_DUMP_MORE && list.count == 1);
    CHECK(links[0].lower_if_index == 3);
    /* Nests in nests, each in the last 4 bytes of the one around it. */
    at = begin_link(1, ARPHRD_ETHER, 0, "a");
    for (uint16_t depth = 1; depth <= 1000; depth++) {
        struct nlattr header = { .nla_len = (uint16_t)(4 * (1001 - depth)),
            .nla_type = depth % 2 ? IFLA_LINKINFO : IFLA_INFO_DATA };

        put(&header, sizeof header);
    }
    end_message(at);
    CHECK(feed() == NB_DUMP_MORE && list.count == 1);
}

static void test_dump_control(void)
{
    size_t at;

    /* Interrupted: marked on any message, the last one too. */
    put_simple_link(1, "a");
    at = begin_message(NLMSG_DONE, NLM_F_DUMP_INTR, SEQUENCE);
    end_message(at);
    CHECK(feed() == NB_DUMP_DONE && dump.interrupted);
    /* Errors, with numbers that cannot be negated too. */
    put_error(-ENOBUFS);
    CHECK(feed() == NB_DUMP_FAILED && dump.error_number == ENOBUFS);
    put_error(INT32_MIN);
    CHECK(feed() == NB_DUMP_FAILED && dump.error_number == EBADMSG);
    put_error(5);
    CHECK(feed() == NB_DUMP_FAILED && dump.error_number == EBADMSG);
    put_error(0);
    CHECK(feed() == NB_DUMP_MORE);
    at = begin_message(NLMSG_ERROR, 0, SEQUENCE);
    end_message(at);
    CHECK(feed() == NB_DUMP_FAILED && dump.error_number == EBADMSG);
    at = begin_message(NLMSG_DONE, 0, SEQUENCE);
    put(&(int32_t){ -EMSGSIZE }, 4);
    end_message(at);
    CHECK(feed() == NB_DUMP_FAILED && dump.error_number == EMSGSIZE);
    /* Answers to another request, and what follows the end. */
    at = begin_message(NLMSG_DONE, NLM_F_DUMP_INTR, SEQUENCE - 1);
    end_message(at);
    at = begin_message(NLMSG_NOOP, 0, SEQUENCE);
    end_message(at);
    put_simple_link(1, "a");
    put_done();
    put_simple_link(2, "b");
    CHECK(feed() == NB_DUMP_DONE && list.count == 1 && !dump.interrupted);
    at = begin_message(NLMSG_OVERRUN, 0, SEQUENCE);
    end_message(at);
    CHECK(feed() == NB_DUMP_MORE && dump.interrupted);
}

/* More links than fit are counted, not stored. */
static void test_many_links(void)
{
    for (uint32_t i = 1; i <= 300; i++)
        put_simple_link(i, "a");
    CHECK(feed_bytes(out.bytes, out.size, 2) == NB_DUMP_MORE);
    CHECK(list.count == 300 && links[1].if_index == 2);
    CHECK(links[2].if_index == 0xA5A5A5A5);
    CHECK(feed_bytes(out.bytes, out.size, 0) == NB_DUMP_MORE);
    CHECK(list.count == 300 && links[0].if_index == 0xA5A5A5A5);
    out.size = 0;
    /* ifIndexes that cannot be, and a link without a name. */
    put_simple_link(0, "a");
    CHECK(feed() == NB_DUMP_FAILED);
    put_simple_link(0x80000000, "a");
    CHECK(feed() == NB_DUMP_FAILED);
    put_simple_link(1, "");
    CHECK(feed() == NB_DUMP_FAILED);
}

static void test_states(void)
{
    static const struct {
        uint32_t flags;
        int operstate, carrier;
        uint32_t status, media;
    } cases[] = {
        /* lo, tun: no state is kept */
        { IFF_UP | 0x10000, 0, 1, 1, 1 },
        { IFF_UP, 0, 0, 2, 2 },
        { IFF_UP | 0x10000, -1, -1, 1, 1 },
        { IFF_UP, -1, -1, 2, 2 },
        { 0, IF_OPER_DOWN, 1, 2, 0 },
        { IFF_UP | 0x10000, IF_OPER_UP, 1, 1, 1 },
        { IFF_UP | 0x10000, IF_OPER_DORMANT, 1, 5, 1 },
        { IFF_UP, IF_OPER_LOWERLAYERDOWN, 0, 7, 2 },
        { IFF_UP, IF_OPER_TESTING, 1, 3, 1 },
        { IFF_UP, IF_OPER_NOTPRESENT, 0, 6, 2 },
        { IFF_UP | 0x10000, 200, 1, 1, 1 },
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const ndisbridge_interface_information *is =
            &links[0].published.information;
        size_t at = begin_link(1, ARPHRD_NONE, cases[i].flags, "a");

        if (cases[i].operstate >= 0)
            byte(IFLA_OPERSTATE, (uint8_t)cases[i].operstate);
        if (cases[i].carrier >= 0)
            byte(IFLA_CARRIER, (uint8_t)cases[i].carrier);
        end_message(at);
        CHECK(feed() == NB_DUMP_MORE);
        CHECK(is->if_oper_status == cases[i].status);
        CHECK(is->media_connect_state == cases[i].media);
        CHECK(links[0].published.admin_status
            == (cases[i].flags & IFF_UP ? 1 : 2));
    }
}

static void test_types(void)
{
    static const struct {
        const char *kind;
        uint16_t arphrd, if_type;
        uint8_t lower;  /* with IFLA_LINK 3 and 4 in attribute 1 of data */
    } cases[] = {
        { "", ARPHRD_ETHER, 6, 0 }, { "", ARPHRD_LOOPBACK, 24, 0 },
        { "", ARPHRD_IEEE802, 9, 0 }, { "", ARPHRD_ARCNET, 35, 0 },
        { "", ARPHRD_ATM, 37, 0 }, { "", ARPHRD_INFINIBAND, 199, 0 },
        { "", ARPHRD_SLIP, 28, 0 }, { "", ARPHRD_CSLIP6, 28, 0 },
        { "", ARPHRD_PPP, 23, 0 }, { "", ARPHRD_TUNNEL, 131, 0 },
        { "", ARPHRD_TUNNEL6, 131, 0 }, { "", ARPHRD_SIT, 131, 0 },
        { "", ARPHRD_IPGRE, 131, 0 }, { "", ARPHRD_LOCALTLK, 42, 0 },
        { "", ARPHRD_FDDI, 15, 0 }, { "", ARPHRD_HIPPI, 47, 0 },
        { "", ARPHRD_IEEE802_TR, 9, 0 }, { "", ARPHRD_NONE, 1, 0 },
        { "", ARPHRD_NETROM, 1, 0 }, { "", ARPHRD_CAN, 1, 0 },
        { "tun", ARPHRD_ETHER, 6, 0 }, { "tun", ARPHRD_NONE, 53, 0 },
        { "tun", ARPHRD_PPP, 23, 0 }, { "veth", ARPHRD_ETHER, 6, 0 },
        { "netkit", ARPHRD_ETHER, 6, 0 }, { "ifb", ARPHRD_ETHER, 6, 0 },
        { "dummy", ARPHRD_ETHER, 6, 0 }, { "bridge", ARPHRD_ETHER, 209, 0 },
        { "vlan", ARPHRD_ETHER, 135, 3 }, { "bond", ARPHRD_ETHER, 161, 0 },
        { "team", ARPHRD_ETHER, 161, 0 }, { "macvlan", ARPHRD_ETHER, 6, 3 },
        { "macvtap", ARPHRD_ETHER, 6, 3 }, { "ipvlan", ARPHRD_ETHER, 6, 3 },
        { "macsec", ARPHRD_ETHER, 231, 3 }, { "gre", ARPHRD_IPGRE, 131, 4 },
        { "gretap", ARPHRD_ETHER, 131, 4 }, { "sit", ARPHRD_SIT, 131, 4 },
        { "ipip", ARPHRD_TUNNEL, 131, 4 }, { "vti", ARPHRD_TUNNEL, 131, 4 },
        { "geneve", ARPHRD_ETHER, 131, 0 },
        { "vxlan", ARPHRD_ETHER, 131, 0 }, { "xfrm", ARPHRD_NONE, 131, 4 },
        { "wireguard", ARPHRD_NONE, 53, 0 }, { "can", ARPHRD_CAN, 1, 0 },
        { "ppp", ARPHRD_PPP, 23, 0 }, { "unheard-of", ARPHRD_NONE, 1, 0 },
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        for (int elsewhere = 0; elsewhere < 2; elsewhere++) {
            size_t at = begin_link(1, cases[i].arphrd, 0, "a"), nest, data;

            number(IFLA_LINK, 3);
            if (elsewhere)
                number(IFLA_LINK_NETNSID, 0);
            if (cases[i].kind[0] != '\0') {
                nest = begin_nest(IFLA_LINKINFO);
                text(IFLA_INFO_KIND, cases[i].kind);
                data = begin_nest(IFLA_INFO_DATA);
                number(IFLA_GRE_LINK, 4);
                end_nest(data);
                end_nest(nest);
            }
            end_message(at);
            CHECK(feed() == NB_DUMP_MORE && list.count == 1);
            CHECK(links[0].if_type == cases[i].if_type);
            CHECK((links[0].media_type == NDISBRIDGE_MEDIUM_802_3)
                == (cases[i].arphrd == ARPHRD_ETHER));
            CHECK((links[0].media_type == NDISBRIDGE_MEDIUM_TUNNEL)
                == (cases[i].if_type == NDISBRIDGE_IF_TYPE_TUNNEL
                    && cases[i].arphrd != ARPHRD_ETHER));
            CHECK(links[0].lower_if_index
                == (elsewhere ? 0 : cases[i].lower));
        }
    }
}

/* UTF-8, well-formed and not, against units written by hand. */
static void test_alias(void)
{
    static const struct {
        const char *utf8;
        size_t length;
        uint16_t units[5];
    } cases[] = {
        { "\xF0\x9F\x98\x80", 2, { 0xD83D, 0xDE00 } },
        { "\xEF\xBF\xBF", 1, { 0xFFFF } },
        { "a\xFF\x80", 3, { 'a', 0xFFFD, 0xFFFD } },
        { "\xC0\xAF", 2, { 0xFFFD, 0xFFFD } },  /* overlong */
        { "\xED\xA0\x80", 3, { 0xFFFD, 0xFFFD, 0xFFFD } },  /* surrogate */
        { "\xF4\x90\x80\x80", 4, { 0xFFFD, 0xFFFD, 0xFFFD, 0xFFFD } },
        { "\xE2\x82", 1, { 0xFFFD } },  /* cut off */
        { "\xE2\x82z", 2, { 0xFFFD, 'z' } },
        { "\xE2\x82\xC0", 2, { 0xFFFD, 0xFFFD } },
        { "\xF0\x9F\x98", 1, { 0xFFFD } },
    };
    ndisbridge_if_counted_string string;
    uint8_t many[1024];

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        nb_utf8_to_counted_string(&string, (const uint8_t *)cases[i].utf8,
            strlen(cases[i].utf8));
        CHECK(string.length == 2 * cases[i].length);
        CHECK(memcmp(string.string, cases[i].units, string.length) == 0);
    }
    memset(many, 'x', sizeof many);
    nb_utf8_to_counted_string(&string, many, sizeof many);
    CHECK(string.length == 512 && string.string[255] == 'x'
        && string.string[256] == 0);
    /* A pair that would straddle the end is left out. */
    memcpy(many + 255, "\xF0\x9F\x98\x80", 4);
    nb_utf8_to_counted_string(&string, many, sizeof many);
    CHECK(string.length == 510);
    memcpy(many + 254, "\xF0\x9F\x98\x80", 4);
    nb_utf8_to_counted_string(&string, many, sizeof many);
    CHECK(string.length == 512 && string.string[255] == 0xDE00);
}

static size_t begin_generic(uint8_t command)
{
    struct genlmsghdr header = { .cmd = command, .version = 1 };
    size_t at = begin_message(0x20, 0, SEQUENCE);

    put(&header, sizeof header);
    return at;
}

static void put_modes(uint32_t if_index, uint32_t speed, uint8_t duplex)
{
    size_t at = begin_generic(ETHTOOL_MSG_LINKMODES_GET_REPLY);
    size_t nest = begin_nest(ETHTOOL_A_LINKMODES_HEADER);

    number(ETHTOOL_A_HEADER_DEV_INDEX, if_index);
    text(ETHTOOL_A_HEADER_DEV_NAME, "a");
    end_nest(nest);
    number(ETHTOOL_A_LINKMODES_SPEED, speed);
    byte(ETHTOOL_A_LINKMODES_DUPLEX, duplex);
    end_message(at);
}

static enum nb_dump_state feed_details(
    bool (*take)(void *, const struct nb_netlink_message *), void *context)
{
    enum nb_dump_state state;

    dump = (struct nb_dump){
        .sequence = SEQUENCE, .take = take, .context = context
    };
    state = nb_dump_feed(&dump, out.bytes, out.size);
    out.size = 0;
    return state;
}

static void test_details(void)
{
    struct nb_families families = { 0, 0 };
    size_t at;

    for (uint32_t i = 1; i <= 3; i++)
        put_simple_link(i * 10, "a");
    CHECK(feed() == NB_DUMP_MORE);
    put_modes(30, 25000, 1);
    put_modes(10, 100, 0);
    put_modes(20, 0xFFFFFFFF, 0xFF);
    put_modes(99, 10, 1);  /* made since */
    at = begin_generic(ETHTOOL_MSG_LINKMODES_NTF);
    end_message(at);
    CHECK(feed_details(nb_take_link_modes, &list) == NB_DUMP_MORE);
    CHECK(links[0].published.information.xmit_link_speed == 100000000);
    CHECK(links[0].published.information.media_duplex_state == 1);
    CHECK(links[1].published.information.xmit_link_speed
        == NDISBRIDGE_LINK_SPEED_UNKNOWN);
    CHECK(links[1].published.information.media_duplex_state == 0);
    CHECK(links[2].published.information.rcv_link_speed == 25000000000);
    CHECK(links[2].published.information.media_duplex_state == 2);
    at = begin_generic(NL80211_CMD_NEW_INTERFACE);
    number(NL80211_ATTR_WIPHY, 0);
    number(NL80211_ATTR_IFINDEX, 20);
    end_message(at);
    CHECK(feed_details(nb_take_wireless, &list) == NB_DUMP_MORE);
    CHECK(links[1].if_type == NDISBRIDGE_IF_TYPE_IEEE80211);
    CHECK(links[0].if_type == NDISBRIDGE_IF_TYPE_ETHERNET_CSMACD);
    for (uint16_t i = 0; i < 3; i++) {
        static const char *const names[] = { "ethtool", "nl80211", "x" };
        uint16_t id = (uint16_t)(0x20 + i);

        at = begin_generic(CTRL_CMD_NEWFAMILY);
        text(CTRL_ATTR_FAMILY_NAME, names[i]);
        attribute(CTRL_ATTR_FAMILY_ID, &id, sizeof id);
        end_message(at);
    }
    CHECK(feed_details(nb_take_family, &families) == NB_DUMP_MORE);
    CHECK(families.ethtool == 0x20 && families.nl80211 == 0x21);
    at = begin_generic(CTRL_CMD_NEWFAMILY);
    text(CTRL_ATTR_FAMILY_NAME, "ethtool");
    attribute(CTRL_ATTR_FAMILY_ID, "", 1);
    end_message(at);
    CHECK(feed_details(nb_take_family, &families) == NB_DUMP_MORE);
    CHECK(families.ethtool == 0);
    at = begin_generic(NL80211_CMD_NEW_INTERFACE);
    number(NL80211_ATTR_IFINDEX, 99);  /* made since */
    end_message(at);
    CHECK(feed_details(nb_take_wireless, &list) == NB_DUMP_MORE);
    for (int i = 0; i < 3; i++) {
        static const uint8_t commands[] = { NL80211_CMD_NEW_INTERFACE,
            ETHTOOL_MSG_LINKMODES_GET_REPLY, CTRL_CMD_NEWFAMILY };

        at = begin_generic(commands[i]);
        put("\2\0\0\0", 4);  /* an attribute shorter than its header */
        end_message(at);
        CHECK(feed_details(i == 0 ? nb_take_wireless
                      : i == 1    ? nb_take_link_modes
                                  : nb_take_family,
                  i == 2 ? (void *)&families : (void *)&list)
            == NB_DUMP_FAILED);
    }
    at = begin_message(0x20, 0, SEQUENCE);  /* shorter than its header */
    put("\4", 1);
    end_message(at);
    CHECK(feed_details(nb_take_link_modes, &list) == NB_DUMP_MORE);
}

/* Every number of ARPHRD, with and without hardware behind it: an IfType and
 * media are found, and the same ones again. */
static void test_every_arphrd(void)
{
    for (uint32_t arphrd = 0; arphrd <= UINT16_MAX; arphrd++) {
        ndisbridge_linux_link link = { .arphrd = (uint16_t)arphrd,
            .permanent_address = { .length = 6 } };

        nb_classify_link(&link, false);
        CHECK(link.if_type != 0 && link.connector_present);
        if (arphrd == ARPHRD_FDDI)
            CHECK(link.media_type == NDISBRIDGE_MEDIUM_FDDI);
        if (arphrd == ARPHRD_IEEE1394)
            CHECK(link.physical_medium_type
                == NDISBRIDGE_PHYSICAL_MEDIUM_1394);
        link.permanent_address.length = 0;
        nb_classify_link(&link, false);
        CHECK(link.physical_medium_type
            == NDISBRIDGE_PHYSICAL_MEDIUM_UNSPECIFIED);
    }
    {
        ndisbridge_linux_link link = { .kind = "wwan",
            .parent_device = "usb1" };

        nb_classify_link(&link, false);
        CHECK(link.physical_medium_type
            == NDISBRIDGE_PHYSICAL_MEDIUM_WIRELESS_WAN);
    }
}

/* What can be said of any bytes at all: no read outside them, and records
 * that hold what the header promises. */
static void check_any(const uint8_t *bytes, size_t size)
{
    struct nb_families families = { 0, 0 };

    (void)feed_bytes(bytes, size, 3);
    for (uint32_t i = 0; i < list.count && i < 3; i++) {
        CHECK(memchr(links[i].name, 0, sizeof links[i].name) != NULL);
        CHECK(memchr(links[i].kind, 0, sizeof links[i].kind) != NULL);
        CHECK(links[i].address.length <= 32);
        CHECK(links[i].permanent_address.length <= 32);
        CHECK(links[i].if_type != 0 && links[i].if_index != 0);
        CHECK(links[i].published.alias.length <= 512);
        CHECK(links[i].published.information.if_oper_status >= 1
            && links[i].published.information.if_oper_status <= 7);
    }
    dump.take = nb_take_link_modes;
    (void)nb_dump_feed(&dump, bytes, size);
    dump.take = nb_take_wireless;
    (void)nb_dump_feed(&dump, bytes, size);
    dump.take = nb_take_family;
    dump.context = &families;
    (void)nb_dump_feed(&dump, bytes, size);
}

static void test_mutations(uint64_t seed)
{
    static uint8_t bytes[ROOM];
    size_t size;

    put_full_link();
    put_simple_link(8, "b");
    put_modes(7, 1000, 1);
    put_full_link();
    put_done();
    size = out.size;
    for (uint32_t round = 0; round < 200000 / CHECK_SLOWNESS; round++) {
        uint32_t changes = 1 + check_below(&seed, 6);
        size_t cut = round % 3 == 0 ? check_below(&seed, (uint32_t)size) : size;

        memcpy(bytes, out.bytes, size);
        for (uint32_t i = 0; i < changes; i++) {
            static const uint8_t edges[] = { 0, 1, 3, 4, 5, 0x7F, 0x80,
                0xFF };
            uint32_t at = check_below(&seed, (uint32_t)size);

            bytes[at] = check_below(&seed, 2)
                ? edges[check_below(&seed, sizeof edges)]
                : (uint8_t)check_below(&seed, 256);
        }
        check_any(bytes, cut);
    }
    out.size = 0;
}

static void test_this_host(void)
{
    uint32_t count = 0;
    int32_t error = 0;
    ndisbridge_status status;

    CHECK(ndisbridge_get_linux_links(NULL, NULL, NULL)
        == NDISBRIDGE_STATUS_INVALID_PARAMETER);
    if (!CHECK_HAS_NETLINK)
        return;
    status = ndisbridge_get_linux_links(NULL, &count, &error);
    if (status == NDISBRIDGE_STATUS_FAILURE) {
        /* A sandbox without netlink, such as a seccomp filter. */
        printf("links of this host: skipped, errno %d\n", (int)error);
        return;
    }
    CHECK(count == 0 || status == NDISBRIDGE_STATUS_BUFFER_TOO_SHORT);
    while (status == NDISBRIDGE_STATUS_BUFFER_TOO_SHORT) {
        ndisbridge_linux_link *all = calloc(count, sizeof *all);

        REQUIRE(all != NULL);
        status = ndisbridge_get_linux_links(all, &count, &error);
        if (status == NDISBRIDGE_STATUS_SUCCESS)
            for (uint32_t i = 0; i < count; i++)
                CHECK(all[i].if_index != 0 && all[i].if_type != 0);
        free(all);
    }
    CHECK(status == NDISBRIDGE_STATUS_SUCCESS);
}

int main(void)
{
    uint64_t seed = check_begin("linux_links");

    test_full_link();
    test_truncated();
    test_lengths();
    test_nesting();
    test_dump_control();
    test_many_links();
    test_states();
    test_types();
    test_alias();
    test_details();
    test_every_arphrd();
    test_mutations(seed);
    test_this_host();
    return check_end();
}

#endif
