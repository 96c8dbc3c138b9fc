/* SPDX-License-Identifier: MIT
 *
 * linux_links.h - the links of a Linux host: from the bytes of netlink dumps
 * to flat records.
 *
 *   linux_link_parse.c    RTM_NEWLINK messages to records
 *   linux_link_details.c  what ethtool and nl80211 add to them
 *   linux_link_values.c   states, counters and alias, ready to publish
 *   linux_link_types.c    what a kind and an ARPHRD type mean to NDIS
 *
 * All need nothing of the system (see netlink.h), and neither do
 * linux_changes.[ch] and linux_settings.[ch].  On top of them, for Linux:
 *
 *   linux_socket.[ch]     sockets and requests: the only file that does I/O
 *   linux_details.[ch]    what is asked of ethtool and nl80211
 *   linux_host.c          the public functions that read and set links
 *   linux_monitor.c       the public functions that wait for changes
 */
#ifndef NB_LINUX_LINKS_H
#define NB_LINUX_LINKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../ndisbridge/include/ndisbridge.h"
#include "netlink.h"

/* An altname that carries a NET_LUID: this and 16 hexadecimal digits. */
#define NB_TAG_PREFIX "ndis-luid-"
enum { NB_TAG_SIZE = sizeof NB_TAG_PREFIX + 16 };  /* with its NUL */

/* ---- dumps that are read ---------------------------------------------- */

/* Context of nb_take_link(). */
struct nb_link_list {
    ndisbridge_linux_link *links;
    uint32_t capacity;
    uint32_t count;  /* links seen; those beyond capacity are not stored */
    uint32_t next;  /* where the next record asked for probably is */
};

/* RTM_GETLINK: appends a link. */
bool nb_take_link(void *list, const struct nb_netlink_message *message);

/* ETHTOOL_MSG_LINKMODES_GET: speed and duplex of a link in the list. */
bool nb_take_link_modes(
    void *list, const struct nb_netlink_message *message);

/* NL80211_CMD_GET_INTERFACE: marks a link in the list as a wireless one. */
bool nb_take_wireless(void *list, const struct nb_netlink_message *message);

/* Context of nb_take_family(): generic netlink families, 0 if not there. */
struct nb_families {
    uint16_t ethtool, nl80211;
};

/* CTRL_CMD_GETFAMILY. */
bool nb_take_family(
    void *families, const struct nb_netlink_message *message);

/* ---- what it means ---------------------------------------------------- */

/* Where a kind of link names the link that it runs on. */
enum nb_lower_link {
    NB_LOWER_NONE,  /* nowhere, or IFLA_LINK is a peer */
    NB_LOWER_LINK,  /* IFLA_LINK */
    NB_LOWER_DATA_1,  /* attribute 1, 3 or 4 of IFLA_INFO_DATA */
    NB_LOWER_DATA_3,
    NB_LOWER_DATA_4
};

enum nb_lower_link nb_lower_link_of_kind(const char *kind);

/* Fills in if_type, access_type, connector_present and the media from kind,
 * arphrd, flags and parent device. */
void nb_classify_link(ndisbridge_linux_link *link, bool wireless);

/* What the kernel says of a link's state. */
struct nb_link_state {
    uint8_t operstate;  /* IF_OPER_*; 0 unknown */
    uint8_t carrier;  /* 0, 1, or 0xFF: not told */
    bool promiscuity_told;
    uint32_t promiscuity;  /* how many want all packets */
};

/* Publishes state, admin status, promiscuity; speed and duplex as unknown;
 * and the alias as it is. */
void nb_link_publish_state(
    ndisbridge_linux_link *link, const struct nb_link_state *state);

/* Publishes the MTU, in bytes. */
void nb_link_publish_mtu(ndisbridge_published *published, uint32_t mtu);

/* Publishes the counters of a struct rtnl_link_stats64. */
void nb_link_publish_statistics(
    ndisbridge_published *published, const struct nb_bytes *stats64);

/* Publishes speed and duplex: Mbit/s and DUPLEX_*, as ethtool has them. */
void nb_link_publish_modes(
    ndisbridge_linux_link *link, uint32_t speed, uint8_t duplex);

/* The bits in fields of what nb_link_publish_modes() publishes. */
uint64_t nb_link_detail_fields(void);

/* UTF-8 to a counted string of at most 256 units, cut between characters;
 * what is not UTF-8 becomes U+FFFD. */
void nb_utf8_to_counted_string(
    ndisbridge_if_counted_string *string, const uint8_t *utf8, size_t size);

#endif
