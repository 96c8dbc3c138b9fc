/* SPDX-License-Identifier: MIT
 *
 * linux_link_types.c - what kind and ARPHRD type of a Linux link mean to
 * NDIS: IfType, media, access type.
 *
 * By kind where the kernel gives one, otherwise by ARPHRD.  The ARPHRD part
 * is what snmpd and Wine agree on, and where one of them says "other", the
 * better of the two.  An IfType is part of every NET_LUID: changing a line
 * changes new identities only, those in a store keep theirs.
 */
#include "linux_links.h"

#include <string.h>

/* Numbers of the kernel's ABI; this file is also built where <linux/> is
 * not. */
enum {
    LINK_FLAG_BROADCAST = 0x2,
    LINK_FLAG_LOOPBACK = 0x8,
    LINK_FLAG_POINT_TO_POINT = 0x10
};

enum { LINK_ARPHRD_ETHER = 1, LINK_ARPHRD_NONE = 65534 };

#define T(name) NDISBRIDGE_IF_TYPE_##name
#define BY_ARPHRD 0

static const struct {
    const char *kind;
    uint16_t if_type;
    uint8_t lower;  /* enum nb_lower_link */
    uint8_t hardware;  /* a driver of real devices */
} kinds[] = {
    { "amt", T(TUNNEL), NB_LOWER_DATA_4, 0 },
    { "bareudp", T(TUNNEL), NB_LOWER_NONE, 0 },
    { "batadv", T(PROP_VIRTUAL), NB_LOWER_NONE, 0 },
    { "bond", T(IEEE8023AD_LAG), NB_LOWER_NONE, 0 },
    { "bridge", T(BRIDGE), NB_LOWER_NONE, 0 },
    { "can", T(OTHER), NB_LOWER_NONE, 1 },
    { "dsa", T(ETHERNET_CSMACD), NB_LOWER_LINK, 1 },
    { "erspan", T(TUNNEL), NB_LOWER_DATA_1, 0 },
    { "geneve", T(TUNNEL), NB_LOWER_NONE, 0 },
    { "gre", T(TUNNEL), NB_LOWER_DATA_1, 0 },
    { "gretap", T(TUNNEL), NB_LOWER_DATA_1, 0 },
    { "gtp", T(GTP), NB_LOWER_NONE, 0 },
    { "ip6erspan", T(TUNNEL), NB_LOWER_DATA_1, 0 },
    { "ip6gre", T(TUNNEL), NB_LOWER_DATA_1, 0 },
    { "ip6gretap", T(TUNNEL), NB_LOWER_DATA_1, 0 },
    { "ip6tnl", T(TUNNEL), NB_LOWER_DATA_1, 0 },
    { "ipip", T(TUNNEL), NB_LOWER_DATA_1, 0 },
    { "ipoib", T(INFINIBAND), NB_LOWER_LINK, 1 },
    { "ipvlan", BY_ARPHRD, NB_LOWER_LINK, 0 },
    { "ipvtap", BY_ARPHRD, NB_LOWER_LINK, 0 },
    { "lowpan", BY_ARPHRD, NB_LOWER_LINK, 0 },
    { "macsec", T(MACSEC_CONTROLLED_IF), NB_LOWER_LINK, 0 },
    { "macvlan", BY_ARPHRD, NB_LOWER_LINK, 0 },
    { "macvtap", BY_ARPHRD, NB_LOWER_LINK, 0 },
    { "ovpn", T(PROP_VIRTUAL), NB_LOWER_NONE, 0 },
    { "ppp", T(PPP), NB_LOWER_NONE, 0 },
    { "rmnet", T(WWANPP), NB_LOWER_LINK, 0 },
    { "sit", T(TUNNEL), NB_LOWER_DATA_1, 0 },
    { "team", T(IEEE8023AD_LAG), NB_LOWER_NONE, 0 },
    { "vlan", T(L2_VLAN), NB_LOWER_LINK, 0 },
    { "vrf", T(PROP_VIRTUAL), NB_LOWER_NONE, 0 },
    { "vti", T(TUNNEL), NB_LOWER_DATA_1, 0 },
    { "vti6", T(TUNNEL), NB_LOWER_DATA_1, 0 },
    { "vxlan", T(TUNNEL), NB_LOWER_DATA_3, 0 },
    { "wireguard", T(PROP_VIRTUAL), NB_LOWER_NONE, 0 },
    { "wwan", T(WWANPP), NB_LOWER_NONE, 1 },
    { "xfrm", T(TUNNEL), NB_LOWER_DATA_1, 0 }
};
#define KIND_COUNT (sizeof kinds / sizeof *kinds)

static const struct {
    uint16_t first, last, if_type;
} arphrds[] = {
    { 1, 1, T(ETHERNET_CSMACD) },
    { 6, 6, T(ISO88025_TOKENRING) },  /* ARPHRD_IEEE802 */
    { 7, 7, T(ARCNET) },
    { 19, 19, T(ATM) },
    { 24, 24, T(IEEE1394) },
    { 32, 32, T(INFINIBAND) },
    { 256, 259, T(SLIP) },  /* SLIP, CSLIP, SLIP6, CSLIP6 */
    { 512, 512, T(PPP) },
    { 513, 513, T(HDLC) },  /* ARPHRD_CISCO */
    { 518, 518, T(HDLC) },  /* ARPHRD_RAWHDLC */
    { 768, 769, T(TUNNEL) },  /* IP in IP, IPv6 in IPv6 */
    { 772, 772, T(SOFTWARE_LOOPBACK) },
    { 773, 773, T(LOCALTALK) },
    { 774, 774, T(FDDI) },
    { 776, 776, T(TUNNEL) },  /* ARPHRD_SIT */
    { 778, 778, T(TUNNEL) },  /* ARPHRD_IPGRE */
    { 780, 780, T(HIPPI) },
    { 784, 787, T(FIBRECHANNEL) },
    { 800, 800, T(ISO88025_TOKENRING) },  /* ARPHRD_IEEE802_TR */
    { 801, 803, T(IEEE80211) },
    { 804, 805, T(IEEE802154) },
    { 823, 823, T(TUNNEL) }  /* ARPHRD_IP6GRE */
};
#define ARPHRD_COUNT (sizeof arphrds / sizeof *arphrds)

static size_t find_kind(const char *kind)
{
    size_t i = 0;

    while (i < KIND_COUNT && strcmp(kinds[i].kind, kind) != 0)
        i++;
    return i;
}

enum nb_lower_link nb_lower_link_of_kind(const char *kind)
{
    size_t i = find_kind(kind);

    return i < KIND_COUNT ? (enum nb_lower_link)kinds[i].lower
                          : NB_LOWER_NONE;
}

static uint16_t if_type_of(
    const ndisbridge_linux_link *link, size_t kind, bool wireless)
{
    if (wireless)
        return T(IEEE80211);
    if (kind < KIND_COUNT && kinds[kind].if_type != BY_ARPHRD)
        return kinds[kind].if_type;
    /* A tap is of ARPHRD_ETHER, and so an Ethernet link. */
    if (link->arphrd == LINK_ARPHRD_NONE && strcmp(link->kind, "tun") == 0)
        return T(PROP_VIRTUAL);
    for (size_t i = 0; i < ARPHRD_COUNT; i++)
        if (link->arphrd >= arphrds[i].first
            && link->arphrd <= arphrds[i].last)
            return arphrds[i].if_type;
    return T(OTHER);
}

static uint32_t access_type_of(uint32_t flags)
{
    if (flags & LINK_FLAG_LOOPBACK)
        return NDISBRIDGE_NET_IF_ACCESS_LOOPBACK;
    if (flags & LINK_FLAG_POINT_TO_POINT)
        return NDISBRIDGE_NET_IF_ACCESS_POINT_TO_POINT;
    if (flags & LINK_FLAG_BROADCAST)
        return NDISBRIDGE_NET_IF_ACCESS_BROADCAST;
    return NDISBRIDGE_NET_IF_ACCESS_POINT_TO_MULTI_POINT;
}

/* NDIS_MEDIUM has no member for "other": links that carry bare IP packets,
 * and all that NDIS has never heard of, are of its IP medium.  A tunnel of
 * Ethernet frames (vxlan, geneve, gretap) is an 802.3 link to what runs on
 * it. */
static uint32_t medium_of(const ndisbridge_linux_link *link)
{
    switch (link->if_type) {
    case T(SOFTWARE_LOOPBACK):
        return NDISBRIDGE_MEDIUM_LOOPBACK;
    case T(TUNNEL):
    case T(GTP):
        return link->arphrd == LINK_ARPHRD_ETHER
            ? NDISBRIDGE_MEDIUM_802_3
            : NDISBRIDGE_MEDIUM_TUNNEL;
    case T(ISO88025_TOKENRING):
        return NDISBRIDGE_MEDIUM_802_5;
    case T(FDDI):
        return NDISBRIDGE_MEDIUM_FDDI;
    case T(PPP):
    case T(SLIP):
    case T(HDLC):
        return NDISBRIDGE_MEDIUM_WAN;
    case T(LOCALTALK):
        return NDISBRIDGE_MEDIUM_LOCALTALK;
    case T(ARCNET):
        return NDISBRIDGE_MEDIUM_ARCNET_878_2;
    case T(ATM):
        return NDISBRIDGE_MEDIUM_ATM;
    case T(WWANPP):
        return NDISBRIDGE_MEDIUM_WIRELESS_WAN;
    case T(IEEE1394):
        return NDISBRIDGE_MEDIUM_1394;
    case T(INFINIBAND):
        return NDISBRIDGE_MEDIUM_INFINIBAND;
    case T(IEEE80211):
        return NDISBRIDGE_MEDIUM_NATIVE_802_11;
    default:
        return link->arphrd == LINK_ARPHRD_ETHER ? NDISBRIDGE_MEDIUM_802_3
                                 : NDISBRIDGE_MEDIUM_IP;
    }
}

static uint32_t physical_medium_of(const ndisbridge_linux_link *link)
{
    switch (link->if_type) {
    case T(IEEE80211):
        return NDISBRIDGE_PHYSICAL_MEDIUM_NATIVE_802_11;
    case T(ETHERNET_CSMACD):
        return NDISBRIDGE_PHYSICAL_MEDIUM_802_3;
    case T(ISO88025_TOKENRING):
        return NDISBRIDGE_PHYSICAL_MEDIUM_802_5;
    case T(IEEE1394):
        return NDISBRIDGE_PHYSICAL_MEDIUM_1394;
    case T(INFINIBAND):
        return NDISBRIDGE_PHYSICAL_MEDIUM_INFINIBAND;
    case T(FIBRECHANNEL):
        return NDISBRIDGE_PHYSICAL_MEDIUM_FIBRE_CHANNEL;
    case T(WWANPP):
        return NDISBRIDGE_PHYSICAL_MEDIUM_WIRELESS_WAN;
    default:
        return NDISBRIDGE_PHYSICAL_MEDIUM_OTHER;
    }
}

void nb_classify_link(ndisbridge_linux_link *link, bool wireless)
{
    size_t kind = find_kind(link->kind);
    bool hardware =
        link->kind[0] == '\0' || (kind < KIND_COUNT && kinds[kind].hardware);

    link->if_type = if_type_of(link, kind, wireless);
    link->access_type = access_type_of(link->flags);
    /* Kernels before 5.14 don't tell the parent device; a permanent address
     * that no software made is as good. */
    link->connector_present = hardware
        && link->access_type != NDISBRIDGE_NET_IF_ACCESS_LOOPBACK
        && (link->parent_device[0] != '\0'
            || link->permanent_address.length > 0);
    link->media_type = medium_of(link);
    link->physical_medium_type = link->connector_present
        ? physical_medium_of(link)
        : NDISBRIDGE_PHYSICAL_MEDIUM_UNSPECIFIED;
}
