/* SPDX-License-Identifier: MIT
 *
 * linux_link_values.c - what a link of the kernel publishes: states,
 * counters and alias in the terms of NDIS_INTERFACE_INFORMATION.
 */
#include "linux_links.h"

#include <string.h>

enum { LINK_FLAG_UP = 0x1, LINK_FLAG_LOWER_UP = 0x10000 };

#define ETHTOOL_SPEED_UNKNOWN 0xFFFFFFFFU

/* Bit of a member in ndisbridge_published.fields: its place among the
 * members of ndisbridge_interface_information. */
enum {
    FIELD_OPER_STATUS = 0,
    FIELD_OPER_STATUS_FLAGS,
    FIELD_MEDIA_CONNECT_STATE,
    FIELD_MEDIA_DUPLEX_STATE,
    FIELD_MTU,
    FIELD_PROMISCUOUS_MODE,
    FIELD_XMIT_LINK_SPEED = 7,
    FIELD_RCV_LINK_SPEED,
    FIELD_IN_UNKNOWN_PROTOS = 11,
    FIELD_IN_DISCARDS,
    FIELD_IN_ERRORS,
    FIELD_IN_OCTETS,
    FIELD_IN_UCAST_PKTS,
    FIELD_IN_MULTICAST_PKTS,
    FIELD_OUT_OCTETS = 18,
    FIELD_OUT_UCAST_PKTS,
    FIELD_OUT_ERRORS = 22,
    FIELD_OUT_DISCARDS,
    FIELD_SUPPORTED_STATISTICS = 31
};

#define BIT(field) ((uint64_t)1 << (field))

/* struct rtnl_link_stats64, as far as it is used; each is a uint64_t. */
enum {
    STAT_RX_PACKETS,
    STAT_TX_PACKETS,
    STAT_RX_BYTES,
    STAT_TX_BYTES,
    STAT_RX_ERRORS,
    STAT_TX_ERRORS,
    STAT_RX_DROPPED,
    STAT_TX_DROPPED,
    STAT_MULTICAST,
    STAT_RX_MISSED = 15,
    STAT_RX_NOHANDLER = 23,
    STAT_COUNT
};

/* The kernel counts all packets, and of the received ones those to groups:
 * the rest is called unicast, as snmpd does.  Discards are rx_dropped with
 * rx_missed_errors, the "drop" of /proc/net/dev; unknown protocols is
 * rx_nohandler: received by a link that nothing listens to. */
void nb_link_publish_statistics(
    ndisbridge_published *published, const struct nb_bytes *stats64)
{
    ndisbridge_interface_information *is = &published->information;
    uint64_t stats[STAT_COUNT] = { 0 };
    size_t size =
        stats64->size < sizeof stats ? stats64->size : sizeof stats;

    if (size < (STAT_RX_MISSED + 1) * sizeof *stats)
        return;
    memcpy(stats, stats64->at, size);
    is->if_in_discards = stats[STAT_RX_DROPPED] + stats[STAT_RX_MISSED];
    is->if_in_errors = stats[STAT_RX_ERRORS];
    is->if_hc_in_octets = stats[STAT_RX_BYTES];
    is->if_hc_in_ucast_pkts = stats[STAT_RX_PACKETS] > stats[STAT_MULTICAST]
        ? stats[STAT_RX_PACKETS] - stats[STAT_MULTICAST]
        : 0;
    is->if_hc_in_multicast_pkts = stats[STAT_MULTICAST];
    is->if_hc_out_octets = stats[STAT_TX_BYTES];
    is->if_hc_out_ucast_pkts = stats[STAT_TX_PACKETS];
    is->if_out_errors = stats[STAT_TX_ERRORS];
    is->if_out_discards = stats[STAT_TX_DROPPED];
    is->supported_statistics = NDISBRIDGE_STATISTICS_RCV_DISCARDS_SUPPORTED
        | NDISBRIDGE_STATISTICS_RCV_ERROR_SUPPORTED
        | NDISBRIDGE_STATISTICS_BYTES_RCV_SUPPORTED
        | NDISBRIDGE_STATISTICS_DIRECTED_FRAMES_RCV_SUPPORTED
        | NDISBRIDGE_STATISTICS_MULTICAST_FRAMES_RCV_SUPPORTED
        | NDISBRIDGE_STATISTICS_BYTES_XMIT_SUPPORTED
        | NDISBRIDGE_STATISTICS_DIRECTED_FRAMES_XMIT_SUPPORTED
        | NDISBRIDGE_STATISTICS_XMIT_ERROR_SUPPORTED
        | NDISBRIDGE_STATISTICS_XMIT_DISCARDS_SUPPORTED
        | NDISBRIDGE_STATISTICS_GEN_STATISTICS_SUPPORTED;
    published->fields |= BIT(FIELD_IN_DISCARDS) | BIT(FIELD_IN_ERRORS)
        | BIT(FIELD_IN_OCTETS) | BIT(FIELD_IN_UCAST_PKTS)
        | BIT(FIELD_IN_MULTICAST_PKTS) | BIT(FIELD_OUT_OCTETS)
        | BIT(FIELD_OUT_UCAST_PKTS) | BIT(FIELD_OUT_ERRORS)
        | BIT(FIELD_OUT_DISCARDS) | BIT(FIELD_SUPPORTED_STATISTICS);
    if (size == sizeof stats) {
        is->if_in_unknown_protos = stats[STAT_RX_NOHANDLER];
        published->fields |= BIT(FIELD_IN_UNKNOWN_PROTOS);
    }
}

/* The kernel's "unknown" is what drivers say that keep no operational state,
 * such as lo and tun: up if it is up and has a carrier, as snmpd and Wine
 * say. */
static uint32_t oper_status_of(uint8_t operstate, bool up, bool carrier)
{
    static const uint8_t statuses[] = {
        NDISBRIDGE_NET_IF_OPER_STATUS_UNKNOWN,
        NDISBRIDGE_NET_IF_OPER_STATUS_NOT_PRESENT,
        NDISBRIDGE_NET_IF_OPER_STATUS_DOWN,
        NDISBRIDGE_NET_IF_OPER_STATUS_LOWER_LAYER_DOWN,
        NDISBRIDGE_NET_IF_OPER_STATUS_TESTING,
        NDISBRIDGE_NET_IF_OPER_STATUS_DORMANT,
        NDISBRIDGE_NET_IF_OPER_STATUS_UP
    };

    if (operstate > 0 && operstate < sizeof statuses)
        return statuses[operstate];
    return up && carrier ? NDISBRIDGE_NET_IF_OPER_STATUS_UP
                         : NDISBRIDGE_NET_IF_OPER_STATUS_DOWN;
}

/* A link that is down has no carrier to speak of: few drivers look then. */
void nb_link_publish_state(
    ndisbridge_linux_link *link, const struct nb_link_state *state)
{
    ndisbridge_published *published = &link->published;
    ndisbridge_interface_information *is = &published->information;
    bool up = (link->flags & LINK_FLAG_UP) != 0;
    bool carrier = state->carrier != 0xFF
        ? state->carrier != 0
        : (link->flags & LINK_FLAG_LOWER_UP) != 0;

    published->admin_status = up ? NDISBRIDGE_NET_IF_ADMIN_STATUS_UP
                                 : NDISBRIDGE_NET_IF_ADMIN_STATUS_DOWN;
    is->if_oper_status = oper_status_of(state->operstate, up, carrier);
    if (up && !carrier
        && is->if_oper_status == NDISBRIDGE_NET_IF_OPER_STATUS_DOWN)
        is->if_oper_status_flags =
            NDISBRIDGE_NET_IF_OPER_STATUS_DOWN_NOT_MEDIA_CONNECTED;
    is->media_connect_state = !up
        ? NDISBRIDGE_NET_IF_MEDIA_CONNECT_STATE_UNKNOWN
        : carrier ? NDISBRIDGE_NET_IF_MEDIA_CONNECT_STATE_CONNECTED
                  : NDISBRIDGE_NET_IF_MEDIA_CONNECT_STATE_DISCONNECTED;
    /* Published even when unknown: what was known may not be any more. */
    is->media_duplex_state = NDISBRIDGE_NET_IF_MEDIA_DUPLEX_STATE_UNKNOWN;
    is->xmit_link_speed = NDISBRIDGE_LINK_SPEED_UNKNOWN;
    is->rcv_link_speed = NDISBRIDGE_LINK_SPEED_UNKNOWN;
    published->fields |= NDISBRIDGE_PUBLISH_ADMIN_STATUS
        | NDISBRIDGE_PUBLISH_ALIAS | BIT(FIELD_OPER_STATUS)
        | BIT(FIELD_OPER_STATUS_FLAGS) | BIT(FIELD_MEDIA_CONNECT_STATE)
        | BIT(FIELD_MEDIA_DUPLEX_STATE) | BIT(FIELD_XMIT_LINK_SPEED)
        | BIT(FIELD_RCV_LINK_SPEED);
    if (state->promiscuity_told) {
        is->if_promiscuous_mode = state->promiscuity > 0;
        published->fields |= BIT(FIELD_PROMISCUOUS_MODE);
    }
}

uint64_t nb_link_detail_fields(void)
{
    return BIT(FIELD_MEDIA_DUPLEX_STATE) | BIT(FIELD_XMIT_LINK_SPEED)
        | BIT(FIELD_RCV_LINK_SPEED);
}

void nb_link_publish_mtu(ndisbridge_published *published, uint32_t mtu)
{
    published->information.if_mtu = mtu;
    published->fields |= BIT(FIELD_MTU);
}

/* Drivers say 0 or SPEED_UNKNOWN while there is no link. */
void nb_link_publish_modes(
    ndisbridge_linux_link *link, uint32_t speed, uint8_t duplex)
{
    ndisbridge_interface_information *is = &link->published.information;

    if (speed != 0 && speed != ETHTOOL_SPEED_UNKNOWN) {
        is->xmit_link_speed = (uint64_t)speed * 1000000;
        is->rcv_link_speed = is->xmit_link_speed;
    }
    if (duplex <= 1)
        is->media_duplex_state = duplex == 0
            ? NDISBRIDGE_NET_IF_MEDIA_DUPLEX_STATE_HALF
            : NDISBRIDGE_NET_IF_MEDIA_DUPLEX_STATE_FULL;
}

/* ---- text ------------------------------------------------------------- */

/* One character, or U+FFFD for the longest part that could begin one;
 * returns how many bytes that is.  size > 0. */
static size_t decode_utf8(
    const uint8_t *utf8, size_t size, uint32_t *character)
{
    /* Bounds of the second byte rule out overlong forms, surrogates and what
     * lies beyond U+10FFFF. */
    uint8_t first = utf8[0], low = 0x80, high = 0xBF;
    size_t length;

    if (first < 0x80) {
        *character = first;
        return 1;
    }
    *character = 0xFFFD;
    if (first < 0xC2 || first > 0xF4)
        return 1;
    length = first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4;
    if (first == 0xE0)
        low = 0xA0;
    else if (first == 0xED)
        high = 0x9F;
    else if (first == 0xF0)
        low = 0x90;
    else if (first == 0xF4)
        high = 0x8F;
    if (size < 2 || utf8[1] < low || utf8[1] > high)
        return 1;
    for (size_t i = 2; i < length; i++)
        if (size <= i || utf8[i] < 0x80 || utf8[i] > 0xBF)
            return i;
    *character = first & (0xFFU >> (length + 1));
    for (size_t i = 1; i < length; i++)
        *character = *character << 6 | (utf8[i] & 0x3FU);
    return length;
}

void nb_utf8_to_counted_string(
    ndisbridge_if_counted_string *string, const uint8_t *utf8, size_t size)
{
    uint32_t units = 0, character;

    memset(string, 0, sizeof *string);
    for (size_t i = 0; i < size;) {
        i += decode_utf8(utf8 + i, size - i, &character);
        if (units + (character > 0xFFFF ? 2 : 1)
            > NDISBRIDGE_MAX_STRING_SIZE)
            break;
        if (character > 0xFFFF) {
            character -= 0x10000;
            string->string[units++] = (uint16_t)(0xD800 | character >> 10);
            character = 0xDC00 | (character & 0x3FF);
        }
        string->string[units++] = (uint16_t)character;
    }
    string->length = (uint16_t)(units * 2);
}
